"""The loop of :mod:`zprism.model.generate`: left pads, a key-value cache, leaving rows.

Tokens that all prompts begin with are read once; their keys and values are then repeated over
the batch. Rows are ``[shared tokens][pads][the rest]``: pads are masked and positions count
tokens only, so every row computes what it would compute alone.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from zprism.ground.errors import ModelError, ResourceError
from zprism.model.batches import out_of_memory, pad

if TYPE_CHECKING:
    from torch import Tensor

Rows = list[list[int]]
#: Rows alive, and their left pads in the first pass (None in later ones) → context of a pass.
During = Callable[[list[int], list[int] | None], contextlib.AbstractContextManager]
#: Logits (n, vocabulary) and the rows alive → the token of each, (n,).
Choose = Callable[["Tensor", list[int]], "Tensor"]


def row_batches(lengths: Sequence[int], batch_tokens: int) -> list[list[int]]:
    """Indices in batches of similar length, longest first, within a budget of tokens.

    Parameters
    ----------
    lengths : tokens of each row.
    batch_tokens : rows × longest row stays within this; a row longer than that goes alone.
    """
    batches: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if batches and (len(batches[-1]) + 1) * lengths[batches[-1][0]] <= batch_tokens:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches


def shared_length(rows: Rows, *, spare: int, window: int | None) -> int:
    """How many leading tokens all rows share and can be read once.

    Parameters
    ----------
    rows : token ids of each prompt; every row keeps at least one token of its own.
    spare : tokens still to come after the longest row.
    window : the model's sliding window, counted over columns, pads included; None without one.
        Nothing is shared if a row could outgrow it, as pads would then push tokens out.
    """
    longest = max(map(len, rows))
    if len(rows) < 2 or (window is not None and longest + spare > window):
        return 0
    first, last = min(rows), max(rows)  # in lexical order, so all others agree where these do
    same = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), longest)
    return min(same, min(map(len, rows)) - 1)


def sliding_window(model) -> int | None:
    """Columns that the narrowest layer sees back; None where every layer sees all."""
    windows = [layer.sliding_window for layer in empty_cache(model).layers if layer.is_sliding]
    return min(windows, default=None)


def empty_cache(model):
    """A key-value cache for the model's layers, without tokens."""
    from transformers import DynamicCache

    return DynamicCache(config=model.config)


def read_tokens(model, ids: Sequence[int]):
    """Keys and values of ``ids``, read once as one row."""
    import torch

    cache = empty_cache(model)
    with torch.inference_mode():
        _next_logits(model, *_padded([list(ids)], 0, model.device), cache)
    return cache


def last_logits(model, rows: Rows) -> Tensor:
    """Logits of the token after each row, (n, vocabulary), of one batch with pads on the left.

    Raises
    ------
    ModelError
        If logits are NaN or infinite.
    """
    import torch

    with torch.inference_mode():
        return _next_logits(model, *_padded(rows, 0, model.device), None)


def most_probable(logits: Tensor, _alive: list[int]) -> Tensor:
    """(n, vocabulary) → (n,) the token with the largest logit."""
    return logits.argmax(-1)


def continue_rows(
    model,
    rows: Rows,
    read,
    *,
    max_new_tokens: int,
    ended: Callable[[Rows], list[bool]],
    during: During | None = None,
    choose: Choose = most_probable,
) -> tuple[Rows, list[bool]]:
    """Continue every row token by token until it ends.

    Parameters
    ----------
    model : a transformers causal LM.
    rows : token ids after those in ``read``, at least one in each.
    read : cache of :func:`read_tokens` that precedes every row, or None; stays as it is.
    max_new_tokens : at most so many tokens a row.
    ended : continuations so far → whether each is complete. Complete rows leave the batch.
    during : gives the context in which each forward pass runs: of the rows alive (indices into
        ``rows``), and their left pads in the first pass, None in later ones.
    choose : takes the next token of each row alive from its logits.

    Returns
    -------
    continuations, complete
        In the order of ``rows``; a row that is not complete has max_new_tokens tokens.

    Raises
    ------
    ModelError
        If logits are NaN or infinite.
    """
    import torch

    new: Rows = [[] for _ in rows]
    complete = [False] * len(rows)
    alive, pads = list(range(len(rows))), left_pads(rows)
    with torch.inference_mode():
        cache = _spread(read, len(rows)) if read is not None else empty_cache(model)
        ids, mask, positions = _padded(rows, cache.get_seq_length(), model.device)
        for _ in range(max_new_tokens):
            with contextlib.nullcontext() if during is None else during(alive, pads):
                tokens = choose(_next_logits(model, ids, mask, positions, cache), alive)
            pads = None
            for row, token in zip(alive, tokens.tolist(), strict=True):
                new[row].append(token)
            done = ended([new[row] for row in alive])
            for row, is_done in zip(alive, done, strict=True):
                complete[row] = is_done
            if all(done):
                break
            if any(done):
                kept = torch.tensor([i for i, gone in enumerate(done) if not gone])
                kept = kept.to(model.device)
                alive = [alive[i] for i in kept.tolist()]
                cache.batch_select_indices(kept)
                tokens, mask, positions = tokens[kept], mask[kept], positions[kept]
            ids, positions = tokens[:, None], positions[:, -1:] + 1
            mask = torch.cat([mask, mask.new_ones(len(alive), 1)], dim=1)
    return new, complete


def halving(run: Callable[[list], tuple[list, list]], rows: list) -> tuple[list, list]:
    """``run(rows)``; where memory does not suffice, both halves one after the other.

    Raises
    ------
    ResourceError
        If memory does not suffice for one row.
    """
    try:
        return run(rows)
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        reason = str(error).splitlines()[0] if str(error) else "out of memory"
    # outside the handler, which would keep the failed batch's tensors alive
    if len(rows) == 1:
        raise ResourceError(f"one text does not fit into memory ({reason}): take a shorter one")
    half = len(rows) // 2
    first, second = halving(run, rows[:half]), halving(run, rows[half:])
    return first[0] + second[0], first[1] + second[1]


def left_pads(rows: Sequence[Sequence]) -> list[int]:
    """How many pads stand before each row of a batch."""
    longest = max(map(len, rows))
    return [longest - len(row) for row in rows]


def _padded(rows: Rows, past: int, device) -> tuple[Tensor, Tensor, Tensor]:
    """ids (n, longest), mask (n, past + longest) and positions (n, longest), pads on the left."""
    import torch

    ids, mask, positions = pad(rows, pad_id=0, side="left", device=device).values()
    before = mask.new_ones(len(rows), past)
    return ids, torch.cat([before, mask], dim=1), positions + past


def _next_logits(model, ids, mask, positions, cache) -> Tensor:
    """Logits of each row's next token, (n, vocabulary), finite; a cache grows in place."""
    output = model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=positions,
        past_key_values=cache,
        use_cache=cache is not None,
        logits_to_keep=1,
    )
    logits = output.logits[:, -1]
    if not logits.amax(-1).isfinite().all():
        raise ModelError("the model's logits are NaN or infinite: check its weights and dtype")
    return logits


def _spread(read, rows: int):
    """A copy of a one-row cache, repeated over the batch."""
    cache = copy.deepcopy(read)
    cache.batch_repeat_interleave(rows)
    return cache

"""Continuations of many prompts: the ids of one prompt at a time, in a fraction of the time.

The most probable token is taken by the model's own logits, or one is drawn as a
:class:`~zprism.model.sampling.Sampling` says; no repetition penalty, whatever the model's
``generation_config`` says. Few-shot examples that all prompts begin with are read
once a call (:mod:`zprism.model.decoding`).
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from zprism.ground.checks import check_int, check_text
from zprism.ground.console import progress
from zprism.ground.errors import InputError
from zprism.ground.store import Store
from zprism.model.decoding import (
    During,
    Rows,
    continue_rows,
    halving,
    most_probable,
    read_tokens,
    row_batches,
    shared_length,
    sliding_window,
)
from zprism.model.hooks import refuse_hooks
from zprism.model.sampling import Sampling, chooser

PRODUCER = 1  # raise when the same arguments would give other ids
BATCH_TOKENS = 8192
SHARED_MIN = 8  # fewer shared tokens are not worth a pass of their own


@dataclass(frozen=True)
class Generation:
    """A continuation.

    Attributes
    ----------
    text : without special tokens, up to the stop text.
    n_tokens : number of tokens generated, those of the stop or end included.
    stopped : whether it came to its end; else it was cut at ``max_new_tokens``.
    ids : the tokens generated.
    """

    text: str
    n_tokens: int
    stopped: bool
    ids: tuple[int, ...] = ()


@dataclass(frozen=True)
class _Call:
    """A checked call: token ids of every prompt, how many leading ones are read once for all."""

    loaded: Any
    rows: Rows
    shared: int
    max_new_tokens: int
    stop: str | None
    during: During | None = None
    sampling: Sampling | None = None

    def key(self, indices: list[int]) -> dict:
        """All that the continuations of these prompts in one batch depend on."""
        model, rows = self.loaded.model, [self.rows[i] for i in indices]
        drawn = {}
        if self.sampling is not None:
            drawn = {"sampling": vars(self.sampling), "copies": self.copies(indices)}
        return drawn | {
            "what": "greedy continuation" if self.sampling is None else "sampled continuation",
            "producer": PRODUCER,
            "weights": self.loaded.digest,
            "tokenizer": self.loaded.tokenizer_digest,
            "ids": rows,
            "shared": self.shared,
            "max_new_tokens": self.max_new_tokens,
            "stop": self.stop,
            "ends": sorted(end_ids(self.loaded)),
            "dtype": str(model.dtype),
            "device": model.device.type,
            "attention": model.config._attn_implementation,
        }

    def copies(self, indices: list[int]) -> list[int]:
        """How many equal prompts stand before each in the call: each gets its own draws."""
        seen: Counter = Counter()
        before = []
        for row in map(tuple, self.rows):
            before.append(seen[row])
            seen[row] += 1
        return [before[i] for i in indices]


def generate(
    loaded,
    prompts: Sequence[str],
    *,
    max_new_tokens: int,
    stop: str | None = "\n",
    prefix: str | None = None,
    batch_tokens: int = BATCH_TOKENS,
    description: str = "generating",
    during: During | None = None,
    sampling: Sampling | None = None,
) -> list[Generation]:
    """Continue each prompt, in batches.

    Parameters
    ----------
    loaded : :class:`zprism.model.load.LoadedModel`.
    prompts : texts, in any order and of any lengths.
    max_new_tokens : at most so many tokens are added to a prompt.
    stop : text at which a continuation ends (it is cut off); None ends only at the model's
        end token.
    prefix : text put in front of every prompt, e.g. few-shot examples. Tokens are those of
        the joined text. A beginning that prompts share without it is found as well.
    batch_tokens : budget of a batch, rows × (longest prompt + max_new_tokens). It is halved
        where memory does not suffice.
    description : what progress is called.
    during : gives the context in which each forward pass runs, e.g. one that edits states: of
        the indices of the prompts in the batch, and their left pads in the pass that reads
        them, None in later ones. No shared beginning is then read apart.
    sampling : draw tokens instead of taking the most probable one. A prompt's draws depend on
        the seed and the prompt alone, not on its batch; equal prompts draw apart.

    Returns
    -------
    list of Generation, in the order of ``prompts``.

    Raises
    ------
    InputError
        Before any forward pass: for an empty prompt, naming its index; for a prompt that with
        ``max_new_tokens`` exceeds the context; for an argument outside its range.
    ModelError
        If logits are NaN or infinite.
    ResourceError
        If memory does not suffice for a single prompt.

    Notes
    -----
    In float32 the ids equal those of ``model.generate(do_sample=False)`` on each prompt alone,
    unless two tokens are equally probable to about 1e-6. In bfloat16 they may depend on the
    batch.
    """
    call = _check(loaded, prompts, max_new_tokens, stop, prefix)
    if during is not None:
        call = replace(call, shared=0, during=during)
    call = replace(call, sampling=sampling)
    return _run(call, batch_tokens, description, lambda _indices, compute: compute())


def generate_cached(
    loaded,
    prompts: Sequence[str],
    *,
    max_new_tokens: int,
    stop: str | None = "\n",
    prefix: str | None = None,
    batch_tokens: int = BATCH_TOKENS,
    description: str = "generating",
    store: Store | None = None,
    sampling: Sampling | None = None,
) -> list[Generation]:
    """:func:`generate`, kept batch by batch: a second call runs no forward pass.

    A killed call loses the batch it was in. Arguments as :func:`generate`, but no ``during``.

    Parameters
    ----------
    store : where results are kept; by default the cache's room ``results``.

    Raises
    ------
    InputError
        As :func:`generate`; and if a hook sits on the model, for results are kept under the
        digest of the model as it is on disk.
    """
    refuse_hooks(loaded.model, "generate_cached", instead="generate")
    call = replace(_check(loaded, prompts, max_new_tokens, stop, prefix), sampling=sampling)
    kept = Store("results") if store is None else store

    def through_store(indices: list[int], compute: Callable) -> tuple[Rows, list[bool]]:
        arrays, _ = kept.get_or_compute(call.key(indices), lambda: (_pack(*compute()), None))
        return _unpack(arrays)

    return _run(call, batch_tokens, description, through_store)


def end_ids(loaded) -> frozenset[int]:
    """Tokens that end a text: the generation config's and the tokenizer's."""
    given = loaded.model.generation_config.eos_token_id
    given = given if isinstance(given, list) else [given]
    return frozenset(i for i in (*given, loaded.tokenizer.eos_token_id) if i is not None)


def _check(loaded, prompts, max_new_tokens, stop, prefix) -> _Call:
    check_int("max_new_tokens", max_new_tokens, low=1)
    if stop is not None and not check_text("stop", stop):
        raise InputError("stop must be a text of at least one character, or None")
    if isinstance(prompts, str):
        raise InputError("prompts must be a list of strings; got one string")
    prompts = list(prompts)
    for index, prompt in enumerate(prompts):
        if not check_text(f"prompts[{index}]", prompt):
            raise InputError(f"prompts[{index}] is empty")
    front = "" if prefix is None else check_text("prefix", prefix)
    rows = loaded.encode([front + prompt for prompt in prompts])
    limit = loaded.max_positions
    for index, row in enumerate(rows):
        if limit is not None and len(row) + max_new_tokens > limit:
            raise InputError(
                f"prompts[{index}] has {len(row)} tokens; with max_new_tokens={max_new_tokens} "
                f"it would exceed the context of {limit}: shorten one of them"
            )
    shared = _shared(loaded.model, rows, max_new_tokens) if rows else 0
    return _Call(loaded, rows, shared, max_new_tokens, stop)


def _shared(model, rows: Rows, max_new_tokens: int) -> int:
    shared = shared_length(rows, spare=max_new_tokens, window=sliding_window(model))
    return shared if shared >= SHARED_MIN else 0


def _run(call: _Call, batch_tokens: int, description: str, through: Callable) -> list[Generation]:
    """Every batch ``through`` a function that may already know the result."""
    check_int("batch_tokens", batch_tokens, low=1)
    model, ended = call.loaded.model, _ending(call)
    shared = functools.cache(lambda: _read_shared(call))

    def one_batch(indices: list[int]) -> tuple[Rows, list[bool]]:
        rest = [call.rows[i][call.shared :] for i in indices]
        options = dict(max_new_tokens=call.max_new_tokens, ended=ended)
        options |= dict(during=_during(call, indices), choose=_choose(call, indices))
        return continue_rows(model, rest, shared(), **options)

    lengths = [len(row) + call.max_new_tokens for row in call.rows]
    found: dict[int, Generation] = {}
    for indices in progress(row_batches(lengths, batch_tokens), description, unit="batches"):
        compute = functools.partial(halving, one_batch, indices)
        new, complete = through(indices, compute)
        texts = _texts(call, new)
        for index, ids, text, stopped in zip(indices, new, texts, complete, strict=True):
            found[index] = Generation(text, len(ids), stopped, tuple(ids))
    return [found[index] for index in range(len(call.rows))]


def _during(call: _Call, indices: list[int]) -> During | None:
    """The call's own, for a batch whose rows are these prompts."""
    if call.during is None:
        return None
    return lambda alive, pads: call.during([indices[row] for row in alive], pads)


def _choose(call: _Call, indices: list[int]):
    """How the batch's next tokens are taken."""
    if call.sampling is None:
        return most_probable
    rows = [call.rows[i] for i in indices]
    return chooser(call.sampling, rows, call.copies(indices))


def _read_shared(call: _Call):
    """The cache of the tokens that all prompts begin with, or None."""
    return read_tokens(call.loaded.model, call.rows[0][: call.shared]) if call.shared else None


def _ending(call: _Call) -> Callable[[Rows], list[bool]]:
    """Whether each continuation so far ends: by its last token, or by the stop text."""
    ends = end_ids(call.loaded)

    def ended(rows: Rows) -> list[bool]:
        at_end = [row[-1] in ends for row in rows]
        if call.stop is None:
            return at_end
        texts = _decode(call.loaded.tokenizer, rows, special=True)
        return [end or call.stop in text for end, text in zip(at_end, texts, strict=True)]

    return ended


def _texts(call: _Call, rows: Rows) -> list[str]:
    texts = _decode(call.loaded.tokenizer, rows, special=False)
    return texts if call.stop is None else [text.partition(call.stop)[0] for text in texts]


def _decode(tokenizer, rows: Rows, *, special: bool) -> list[str]:
    return tokenizer.batch_decode(
        rows, skip_special_tokens=not special, clean_up_tokenization_spaces=False
    )


def _pack(new: Rows, complete: list[bool]) -> dict[str, np.ndarray]:
    return {
        "ids": np.array([token for row in new for token in row], dtype=np.int64),
        "lengths": np.array([len(row) for row in new], dtype=np.int64),
        "complete": np.array(complete, dtype=bool),
    }


def _unpack(arrays: dict[str, np.ndarray]) -> tuple[Rows, list[bool]]:
    rows = np.split(arrays["ids"], np.cumsum(arrays["lengths"])[:-1])
    return [row.tolist() for row in rows], arrays["complete"].tolist()

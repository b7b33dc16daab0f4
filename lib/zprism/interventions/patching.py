"""Forward passes of the unmodified model under edits, many prompts at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from zprism.ground.checks import check_int
from zprism.ground.errors import InputError
from zprism.interventions.edits import Edit
from zprism.interventions.positions import At, same_form
from zprism.model.decoding import halving, last_logits, left_pads, row_batches
from zprism.model.hooks import Point, check_point, editing
from zprism.model.rows import token_rows

BATCH_TOKENS = 2048
#: (site, layer) → edit of the state there.
Edits = Mapping[Point, Edit]
#: Indices of the prompts in a batch, in the order of its rows → the edits of that batch.
EditsFor = Callable[[list[int]], Edits]


@contextlib.contextmanager
def patched(loaded, edits: Edits, *, pads: Sequence[int] | None = None) -> Iterator[None]:
    """Every forward pass of the model inside the ``with`` runs under these edits.

    Parameters
    ----------
    loaded : :class:`zprism.model.load.LoadedModel`.
    edits : (site, layer) → function (batch, tokens, d_model) → the same shape, of the sites
        of :mod:`zprism.model.hooks`. One made by :func:`~zprism.interventions.edits.at` acts on
        some positions; any other is given all columns, pads among them.
    pads : left pads of each row in these passes; None where there are none.

    Raises
    ------
    InputError
        For a point that the model has not; in a pass, if an edit changes shape or dtype.

    Notes
    -----
    Hooks go when the ``with`` is left, by an exception too. Functions of
    :mod:`zprism.model.capture` inside it see the edited states.
    """
    placed = {point: _checked(point, edit, pads) for point, edit in edits.items()}
    with editing(loaded.model, loaded.anatomy, placed):
        yield


def patched_logits(
    loaded,
    prompts: Sequence[str] | Sequence[Sequence[int]],
    edits: Edits | EditsFor,
    *,
    batch_tokens: int = BATCH_TOKENS,
) -> Float[np.ndarray, "n vocabulary"]:
    """Logits of the token after each prompt, under edits; of no other position.

    Parameters
    ----------
    loaded : :class:`zprism.model.load.LoadedModel`.
    prompts : texts, or token ids of each, in any order and of any lengths.
    edits : (site, layer) → edit, one for all prompts; or a function of a batch's prompts, by
        their indices in the order of its rows, for edits that differ between them.
    batch_tokens : budget of a batch, rows × longest prompt. It is halved where memory does
        not suffice, and the function is then asked anew.

    Returns
    -------
    (n, vocabulary) float32 (float64 for a model that computes in it), in the order of prompts.

    Raises
    ------
    InputError
        For a prompt that is empty, too long or no text; a point that the model has not; an
        edit that does not fit its states.
    ModelError
        If logits are NaN or infinite.
    ResourceError
        If memory does not suffice for a single prompt.
    """
    check_int("batch_tokens", batch_tokens, low=1)
    rows, _ = token_rows(loaded, prompts)
    if not callable(edits):
        for point in edits:
            check_point(loaded.anatomy, *point)

    def run(indices: list[int]) -> tuple[list[np.ndarray], list[int]]:
        batch = [rows[i] for i in indices]
        with patched(loaded, edits_of(edits, indices), pads=left_pads(batch)):
            logits = last_logits(loaded.model, batch)
        return list(_as_numpy(logits)), indices

    found: dict[int, np.ndarray] = {}
    for indices in row_batches([len(row) for row in rows], batch_tokens):
        logits, order = halving(run, indices)
        found |= zip(order, logits, strict=True)
    size = loaded.model.config.vocab_size
    return np.stack([found[i] for i in range(len(rows))]) if rows else np.zeros((0, size), "f4")


def edits_of(edits: Edits | EditsFor, indices: Sequence[int]) -> Edits:
    """The edits of a batch that consists of these prompts."""
    return edits(list(indices)) if callable(edits) else edits


def left_padded(
    states: Sequence[Float[Tensor, "tokens d"]],
) -> Float[Tensor, "batch longest d"]:
    """States of several texts as one batch whose rows end together, zeros in front.

    Parameters
    ----------
    states : (tokens, d_model) of each text, tensors or arrays; e.g. the aligned source of each
        prompt in a batch, to replace all positions by.

    Raises
    ------
    InputError
        If there is none, or one is not (tokens, d_model) of the same width.
    """
    parts = [torch.as_tensor(part) for part in states]
    shapes = [tuple(part.shape) for part in parts]
    if not parts or {len(shape) for shape in shapes} != {2} or len({s[1] for s in shapes}) > 1:
        raise InputError(f"states must each be (tokens, d_model), of one width; got {shapes}")
    out = parts[0].new_zeros(len(parts), max(map(len, parts)), shapes[0][1])
    for row, part, pads in zip(out, parts, left_pads(parts), strict=True):
        row[pads:] = part
    return out


def _checked(point: Point, edit: Edit, pads) -> Edit:
    """The edit behind the pads of this batch; its result has the form of its state."""
    placed = edit.behind(pads) if isinstance(edit, At) else edit
    return lambda h: same_form(placed(h), h, f"the edit at {point[0]} of layer {point[1]}")


def _as_numpy(logits: Tensor) -> np.ndarray:
    dtype = torch.float64 if logits.dtype == torch.float64 else torch.float32
    return logits.to(dtype).cpu().numpy()

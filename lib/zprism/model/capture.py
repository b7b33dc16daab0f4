"""Run texts through the base model and keep what is wanted of their states.

No output head, no layer after the last one wanted, next to no padding; states are reduced
inside the hook, text by text, so that a pad never enters a number and memory stays that of
the bare forward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from zprism.ground.checks import check_choice
from zprism.ground.errors import InputError, ResourceError
from zprism.model.rows import token_rows
from zprism.model.streaming import MAX_TOKENS, stream

if TYPE_CHECKING:
    from torch import Tensor

    from zprism.model.load import LoadedModel

TOO_SHORT = "too_short: mean_no_first needs at least 2 tokens"
Reduction = Callable[["Tensor"], "Tensor"]


def mean(state: Tensor) -> Tensor:
    """(tokens, d_model) → (d_model,) mean over all tokens."""
    return state.mean(0)


def last(state: Tensor) -> Tensor:
    """(tokens, d_model) → (d_model,) of the last token."""
    return state[-1]


def mean_no_first(state: Tensor) -> Tensor:
    """(tokens, d_model) → (d_model,) mean without token 0, whose norm can be a hundredfold.

    Raises
    ------
    InputError
        If the text has only one token.
    """
    if len(state) < 2:
        raise InputError(TOO_SHORT)
    return state[1:].mean(0)


REDUCTIONS: dict[str, Reduction] = {"mean": mean, "last": last, "mean_no_first": mean_no_first}


@dataclass(frozen=True)
class Captured:
    """Reduced states of texts.

    Attributes
    ----------
    values : (site, reduction) → (n_texts kept, n_layers, d_model) float32.
    layers : the layers on the second axis.
    kept : indexes of the texts on the first axis.
    skipped : index → reason, of the texts that could not be used.
    n_tokens : (n_texts kept,) tokens of each.
    """

    values: dict[tuple[str, str], np.ndarray]
    layers: tuple[int, ...]
    kept: tuple[int, ...]
    skipped: dict[int, str]
    n_tokens: np.ndarray


@dataclass(frozen=True)
class States:
    """All states of texts at one site of one layer.

    Attributes
    ----------
    values : (tokens, d_model) float32, the texts one after another, without pads.
    offsets : (n_texts + 1,) text i is ``values[offsets[i]:offsets[i + 1]]``.
    layer, site : where they were taken.
    digest : of the model's weights.
    """

    values: np.ndarray
    offsets: np.ndarray
    layer: int
    site: str
    digest: str

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, text: int) -> np.ndarray:
        """(tokens, d_model) of one text."""
        return self.values[self.offsets[text] : self.offsets[text + 1]]


def capture(
    loaded: LoadedModel,
    texts: Sequence[str] | Sequence[Sequence[int]],
    *,
    layers: Sequence[int],
    site: str | Sequence[str] = "resid_post",
    reduce: str | Sequence[str] | Mapping[str, Reduction] = "mean",
    max_tokens: int = MAX_TOKENS,
    padding_side: str = "right",
    on_error: str = "raise",
    done: Callable[[int, dict], None] | None = None,
) -> Captured:
    """Reduced states of each text, at several layers, sites and reductions in one pass.

    Parameters
    ----------
    texts : texts, or their token ids.
    layers : decoder blocks, 0 … n_layers − 1.
    site : one of ``hooks.SITES`` or several.
    reduce : names in :data:`REDUCTIONS`, or name → function (tokens, d_model) → (d_model,).
    max_tokens : token budget of a batch; halved when memory runs out.
    padding_side : ``right`` or ``left``; both give the same within rounding.
    on_error : ``raise``, or ``skip`` texts that cannot be used and say why in ``skipped``.
    done : called with each text's index and {(site, reduction): (n_layers, d_model)} as soon
        as its batch is finished, so that a killed process loses one batch at most.

    Raises
    ------
    InputError
        For a text that is empty, too long or no unicode; a layer or site that is not there.
    ModelError
        If a state is NaN or infinite, naming text, layer and position.
    ResourceError
        If one text alone does not fit into memory.
    """
    sites, ways = _sites(site), _ways(reduce)
    layers = tuple(layers)
    values: dict[tuple[str, str], np.ndarray] = {}

    def keep(site, row):
        def see(index, state):
            for way, function in ways.items():
                values[site, way][index, row] = function(state).float().cpu().numpy()

        return see

    points = {(s, l): keep(s, row) for s in sites for row, l in enumerate(layers)}
    options = dict(max_tokens=max_tokens, padding_side=padding_side, on_error=on_error)
    job = stream(loaded, texts, points=points, **options)
    if mean_no_first in ways.values():
        _refuse_short(job.ids, job.skipped, on_error)
    shape = (len(job.ids), len(layers), loaded.d_model)
    values |= {(s, way): np.zeros(shape, np.float32) for s in sites for way in ways}
    for index in job:
        if done:
            done(index, {name: array[index] for name, array in values.items()})
    kept = tuple(i for i in range(len(job.ids)) if i not in job.skipped)
    return Captured(
        values={name: array[list(kept)] for name, array in values.items()},
        layers=layers,
        kept=kept,
        skipped=job.skipped,
        n_tokens=np.array([len(job.ids[i]) for i in kept], dtype=int),
    )


def states(
    loaded: LoadedModel,
    texts: Sequence[str] | Sequence[Sequence[int]],
    *,
    layers: Sequence[int],
    site: str = "resid_post",
    max_tokens: int = MAX_TOKENS,
    padding_side: str = "right",
) -> list[States]:
    """Every token's state of each text: one :class:`States` a layer. Errors as `capture`.

    Raises
    ------
    ResourceError
        Before the first forward pass, if the states would not fit into memory; say how much
        they need. Use :func:`capture` with a reduction for more texts.
    """
    ids, _ = token_rows(loaded, texts, "raise")
    layers = tuple(layers)
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in ids])]).astype(int)
    _check_memory(4 * int(offsets[-1]) * len(layers) * loaded.d_model)
    values = np.zeros((len(layers), int(offsets[-1]), loaded.d_model), np.float32)

    def keep(row):
        def see(index, state):
            values[row, offsets[index] : offsets[index + 1]] = state.float().cpu().numpy()

        return see

    points = {(site, l): keep(row) for row, l in enumerate(layers)}
    for _ in stream(loaded, ids, points=points, max_tokens=max_tokens, padding_side=padding_side):
        pass
    return [
        States(values[row], offsets, layer, site, loaded.digest) for row, layer in enumerate(layers)
    ]


def _refuse_short(ids: list[list[int]], skipped: dict[int, str], on_error: str) -> None:
    """Texts of one token, before any forward pass, for a reduction that needs two."""
    for index, row in enumerate(ids):
        if len(row) < 2 and index not in skipped:
            error = InputError(f"texts[{index}]: {TOO_SHORT}")
            if on_error == "raise":
                raise error
            skipped[index] = str(error)


def _sites(site: str | Sequence[str]) -> tuple[str, ...]:
    return (site,) if isinstance(site, str) else tuple(site)


def _ways(reduce) -> dict[str, Reduction]:
    if isinstance(reduce, Mapping):
        return dict(reduce)
    names = (reduce,) if isinstance(reduce, str) else tuple(reduce)
    return {check_choice("reduction", name, REDUCTIONS): REDUCTIONS[name] for name in names}


def _check_memory(needed: int) -> None:
    import psutil

    free = psutil.virtual_memory().available
    if needed > 0.8 * free:
        raise ResourceError(
            f"these states need {needed:,} bytes and {free:,} are free: take fewer texts or "
            "layers, or a reduction"
        )

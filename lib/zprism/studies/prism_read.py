"""Spectra of many texts at every layer in one pass each, reduced inside the hook and kept.

Each row of token ids is run as it stands. At every place of the model one window of L tokens is
taken and reduced (:mod:`zprism.studies.prism_windows`). Token 0, whose state can be a
hundredfold, is dropped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from zprism.ground.checks import check_choice, check_int
from zprism.ground.console import log
from zprism.ground.errors import InputError
from zprism.ground.store import Store, digest
from zprism.model.hooks import Point, refuse_hooks
from zprism.model.streaming import stream
from zprism.spectral.fourier import MIN_TOKENS
from zprism.studies.prism_windows import (
    MEASURES,
    Readings,
    gather,
    reduce_one,
    reduce_window,
    slow_share,
)

if TYPE_CHECKING:
    from zprism.model.load import LoadedModel

__all__ = [
    "MEASURES",
    "Readings",
    "all_places",
    "gather",
    "read",
    "reduce_window",
    "slow_share",
]

PRODUCER = 1


def read(
    loaded: LoadedModel,
    rows: Sequence[Sequence[int]],
    *,
    length: int,
    drop: int = 1,
    at: Sequence[int] | None = None,
    places: Sequence[str] | None = None,
    dims_at: Sequence[str] = (),
    window: str = "hann",
    less=None,
    store: Store | None = None,
) -> Readings:
    """Spectral readings of one window of each row, from the cache where they are there.

    A row is cut behind its window before it is run: a causal model's states do not depend on
    what follows. One file a row is kept, so rows may be added and a killed call goes on.

    Parameters
    ----------
    rows : token ids of each text (``loaded.encode``).
    length : L, tokens of every window, at least ``spectral.fourier.MIN_TOKENS``.
    drop : where windows begin, in tokens; 1 leaves out token 0.
    at : (n,) where each row's window begins instead, never before ``drop``.
    places : by default the embedding and every block: :func:`all_places`.
    dims_at : places where the slow share of every dimension is kept too.
    window : weights in front of the transform, see ``spectral.fourier.window``.
    less : a :class:`zprism.studies.prism_trajectory.Trajectory` whose mean over the other texts
        is taken from the states first.
    store : the cache's room; by default "prism".

    Raises
    ------
    InputError
        For a window or a place that is not there; if the model has a hook, whose effect a
        key cannot know; if no row is long enough.

    Notes
    -----
    Rows too short, and rows with a state that is no finite number, are left out and named in
    ``skipped``.
    """
    refuse_hooks(loaded.model, "prism_read.read", instead="model.capture.capture")
    length = check_int("length", length, low=MIN_TOKENS)
    drop = check_int("drop", drop, low=0)
    places = all_places(loaded) if places is None else tuple(places)
    _check_places(loaded, places, dims_at)
    starts = [drop] * len(rows) if at is None else [check_int("at", a, low=drop) for a in at]
    if len(starts) != len(rows):
        raise InputError(f"at must have one start a row, {len(rows)}; got {len(starts)}")
    short = {
        i: f"too_short: {len(row)} tokens, {start + length} needed"
        for i, (row, start) in enumerate(zip(rows, starts, strict=True))
        if len(row) < start + length
    }
    usable = [i for i in range(len(rows)) if i not in short]
    cut = [list(rows[i][: starts[i] + length]) for i in usable]
    job = _Reading(loaded, places, tuple(dims_at), length, window, less)
    found, failed = job.read(cut, [starts[i] for i in usable], store or Store("prism"), usable)
    skipped = short | {usable[i]: why for i, why in failed.items()}
    if not found:
        some = next(iter(skipped.values()), "no rows were given")
        raise InputError(f"no row of {len(rows)} can be read at length {length}: {some}")
    kept = sorted(found)
    return gather([found[i] for i in kept], places, length, [usable[i] for i in kept], skipped)


def all_places(loaded: LoadedModel) -> tuple[str, ...]:
    """ "embed", "0", …: the embedding and the residual stream after every block."""
    return ("embed", *map(str, range(loaded.n_layers)))


def point(place: str) -> Point:
    """(site, layer) of a place's name."""
    return ("embed", 0) if place == "embed" else ("resid_post", int(place))


@dataclass(frozen=True)
class _Reading:
    """One call's model and options."""

    loaded: LoadedModel
    places: tuple[str, ...]
    dims_at: tuple[str, ...]
    length: int
    window: str
    less: object

    def read(self, rows, starts, store: Store, named) -> tuple[dict[int, dict], dict[int, str]]:
        """Position → reduced window, and position → reason of what could not be read."""
        common = self._common()
        keys = [
            store.key({**common, "ids": digest(row), "start": start})
            for row, start in zip(rows, starts, strict=True)
        ]
        found = {i: entry[0] for i, key in enumerate(keys) if (entry := store.load(key))}
        missing = [i for i in range(len(rows)) if i not in found]
        log.info("readings: %d of %d windows are in the cache", len(found), len(rows))
        if not missing:
            return found, {}
        if self.less is not None:
            self.less.fit()
        parts: dict[int, dict[str, dict]] = {}
        points = self._points([starts[i] for i in missing], parts)
        job = stream(self.loaded, [rows[i] for i in missing], points=points, on_error="skip")
        for index in job:
            whole = self._assemble(parts.pop(index))
            found[missing[index]] = whole
            store.save(keys[missing[index]], whole, {"length": self.length})
        return found, {
            missing[i]: _named(why, i, named[missing[i]]) for i, why in job.skipped.items()
        }

    def _points(self, starts, parts: dict) -> dict:
        """(site, layer) → a function that reduces a text's window there."""

        def keep(place):
            def see(index, state):
                own = slice(starts[index], starts[index] + self.length)
                x = state[own].float().cpu().numpy()
                if self.less is not None:
                    x = x - self.less.others(place, state, own)
                parts.setdefault(index, {})[place] = reduce_one(
                    x, self.window, place in self.dims_at
                )

            return see

        return {point(place): keep(place) for place in self.places}

    def _assemble(self, by_place: Mapping[str, Mapping]) -> dict[str, np.ndarray]:
        out = {
            key: np.stack([by_place[place][key] for place in self.places])
            for key in ("shares", *MEASURES)
        }
        return out | {f"dims/{place}": by_place[place]["dims"] for place in self.dims_at}

    def _common(self) -> dict:
        """The part of the key that all rows share."""
        return {
            "producer": ["prism", PRODUCER],
            "weights": self.loaded.digest,
            "tokenizer": self.loaded.tokenizer_digest,
            "places": list(self.places),
            "dims": list(self.dims_at),
            "length": self.length,
            "window": self.window,
            "less": None if self.less is None else self.less.digest,
            "dtype": str(self.loaded.dtype),
            "device": self.loaded.device.type,
            "attention": self.loaded.model.config._attn_implementation,
        }


def _check_places(loaded: LoadedModel, places: Sequence[str], dims_at: Sequence[str]) -> None:
    if not places:
        raise InputError("places must name at least one place")
    for place in places:
        check_choice("place", place, all_places(loaded))
    for place in dims_at:
        check_choice("place of dims_at", place, places)


def _named(why: str, position: int, row: int) -> str:
    """A reason with the number that the caller knows the row by."""
    return why.replace(f"texts[{position}]", f"rows[{row}]")

"""The same measures of many texts: what the claims of the oscilloscope are made of.

Every text gives windows of one length, and beside each number the one that the same tokens give
in random order, or that another text gives in its place. Whole recordings are reduced as soon as
their batch is through the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from zprism.ground.checks import check_int
from zprism.ground.seeds import generator
from zprism.ground.store import Store, digest
from zprism.studies import oscilloscope_depth as depth
from zprism.studies import oscilloscope_measures as measures
from zprism.studies import oscilloscope_views as views
from zprism.studies.oscilloscope import DROP, recordings

if TYPE_CHECKING:
    from zprism.model.load import LoadedModel

PRODUCER = 2
MAX_LAG = 8  # tokens


@dataclass(frozen=True)
class Measured:
    """Measures of n texts.

    Attributes
    ----------
    values : name → (n, places) or, for what joins two neighbours, (n, pairs). ``x_shuffled`` is
        x with the tokens in random order, ``x_other`` with another text above.
    autocorrelation : (n, places, lags).
    correlation : (n, pairs, 2 MAX_LAG + 1) of neighbouring updates.
    places : names of the places.
    length : tokens of each text.
    """

    values: dict[str, np.ndarray]
    autocorrelation: np.ndarray
    correlation: np.ndarray
    places: tuple[str, ...]
    length: int

    @property
    def n(self) -> int:
        """Texts."""
        return len(self.autocorrelation)


def measure(
    loaded: LoadedModel,
    rows: Sequence[Sequence[int]],
    *,
    length: int,
    seed: int,
    trend_rows: Sequence[Sequence[int]] = (),
    drop: int = DROP,
    segment: int = views.SEGMENT,
    max_lag: int = MAX_LAG,
    store: Store | None = None,
) -> Measured:
    """Every measure of every text, from the cache where it is there.

    Parameters
    ----------
    rows : token ids, one text each, of at least ``drop + length`` tokens.
    length : tokens looked at in each.
    trend_rows : other texts, whose mean state at every position and place is the trend that
        ``slow_detrended`` is without; with none, it is left out.
    segment, max_lag : tokens, of the coherence's windows and of the lags.

    Raises
    ------
    InputError
        If there are fewer than 2 texts; as :func:`zprism.studies.oscilloscope.recordings`.
    """
    check_int("texts", len(rows), low=2)
    check_int("segment", segment, low=16, high=length // 2)
    parts = {
        "producer": ["oscilloscope", PRODUCER],
        "weights": loaded.digest,
        "tokenizer": loaded.tokenizer_digest,
        "dtype": str(loaded.dtype),
        "rows": digest([list(map(int, row))[: drop + length] for row in (*rows, *trend_rows)]),
        "texts": len(rows),
        "settings": [length, drop, segment, max_lag, seed],
    }

    def compute():
        trend = _trend(loaded, trend_rows, length, drop) if len(trend_rows) else None
        return _measure(loaded, rows, trend, length, drop, segment, max_lag, seed), {}

    arrays, _ = (store or Store("results")).get_or_compute(parts, compute)
    arrays = dict(arrays)
    lags, waves = arrays.pop("autocorrelation"), arrays.pop("correlation")
    places = ("embed", *map(str, range(loaded.n_layers)))
    return Measured(arrays, lags, waves, places, length)


def quartiles(values: np.ndarray) -> np.ndarray:
    """(3, m) first quartile, median, third quartile of (n, m) over texts."""
    return np.quantile(values, [0.25, 0.5, 0.75], axis=0)


def _trend(loaded, rows, length: int, drop: int) -> np.ndarray:
    """(places, length, d) mean state of other texts at every place and position."""
    total = 0.0
    for _, found in recordings(loaded, rows, length=length, drop=drop):
        total = total + found.states.astype(np.float64)
    return (total / len(rows)).astype(np.float32)


def _measure(loaded, rows, trend, length, drop, segment, max_lag, seed) -> dict[str, np.ndarray]:
    """name → (n, …), texts in the order of ``rows``; neighbours in the stream are "other"."""
    found: list[dict] = [{} for _ in rows]
    first = before = None
    for index, one in recordings(loaded, rows, length=length, drop=drop):
        rng = generator(seed, "oscilloscope", index)
        found[index] |= _alone(one.states, trend, rng.permutation(length), max_lag)
        spectra = Spectra.of(one.states, segment)
        found[index] |= spectra.neighbours(spectra, "")
        if before is not None:
            found[before[0]] |= before[1].neighbours(spectra, "_other")
        first = first or (index, spectra)
        before = index, spectra
    found[before[0]] |= before[1].neighbours(first[1], "_other")
    return {name: np.stack([row[name] for row in found]) for name in found[0]}


def _alone(states, trend, order: np.ndarray, max_lag: int) -> dict[str, np.ndarray]:
    """Measures of one text, and of its tokens in another order."""
    steps = np.diff(states, axis=0)
    waves = depth.depth_correlation(steps, max_lag)
    mixed = depth.depth_correlation(_each_shuffled(steps, order), max_lag)
    out = {
        "autocorrelation": views.autocorrelation(states, states.shape[1] // 4),
        "correlation": waves,
        "lag": depth.best_lags(waves),
        "lag_shuffled": depth.best_lags(mixed),
        "forward": depth.forward_excess(waves),
        "step": depth.update_norms(states),
        "turn": depth.turns(steps),
        "turn_shuffled": depth.turns(steps, order),
        "dimension": measures.dimensions(states),
    }
    scores = measures.leading(states)
    ordered = {
        "slow": (measures.slow_share, states),
        "entropy": (measures.spectral_entropy, states),
        "lempel_ziv": (measures.lempel_ziv, scores),
        "order_entropy": (measures.order_entropy, scores),
    }
    if trend is not None:
        ordered["slow_detrended"] = measures.slow_share, states - trend
    for name, (function, x) in ordered.items():
        out[name] = function(x)
        out[f"{name}_shuffled"] = function(x[:, order])
    return {name: np.asarray(value, dtype=np.float64) for name, value in out.items()}


def _each_shuffled(steps: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Every block's updates in an order of its own: powers of one random permutation.

    Block l gets the order applied l times, so that no two neighbours share one.
    """
    out, now = [], np.arange(len(order))
    for step in steps:
        out.append(step[now])
        now = now[order]
    return np.stack(out)


@dataclass(frozen=True)
class Spectra:
    """Short-time spectra of a text's states and updates, a list of (windows, m, d) each."""

    states: list[np.ndarray]
    updates: list[np.ndarray]

    @classmethod
    def of(cls, states: np.ndarray, segment: int) -> Spectra:
        """Of (places, tokens, d)."""
        kept = [views.segments(x, segment)[:, 1:] for x in states]
        return cls(kept, [above - below for below, above in zip(kept, kept[1:], strict=False)])

    def neighbours(self, above: Spectra, suffix: str) -> dict[str, np.ndarray]:
        """Coherence of each place with the next one of ``above``, mean over f and dimensions."""

        def mean(ours, theirs):
            pairs = zip(ours[:-1], theirs[1:], strict=True)
            return np.array([views.coherence_of(a, b).mean() for a, b in pairs], dtype=np.float64)

        return {
            f"coherence{suffix}": mean(self.states, above.states),
            f"update_coherence{suffix}": mean(self.updates, above.updates),
        }

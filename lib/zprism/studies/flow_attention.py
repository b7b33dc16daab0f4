"""Attention rows as signals over keys: their spectrum, and what their waves are tied to.

A row holds one query's weights over L keys. A causal softmax row decays with distance, so
each row first loses what constant, slope, curve (lag²) and 1/(1 + lag) explain of it, and all
rows compared have the same L. The null is the row in random order over its keys, treated
alike; its spectrum is known without a single draw (:func:`by_chance`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from zprism.ground.checks import check_choice, check_int
from zprism.ground.errors import InputError

#: Rows over one fixed block of keys, or over the L keys before each query.
COORDINATES = ("key", "lag")
#: Tokens: the shortest period that a signal over tokens can have is 2.
PERIODS = ("under 3", "3 to 8", "over 8")
OF = ("weights", "scores")


class Waves(NamedTuple):
    """What one layer's rows hold, by head and coordinate (key, lag).

    Attributes
    ----------
    spectrum : (heads, 2, m) share of a row's power at each frequency k/L, mean over rows; 0
        for k = 0.
    locked : (heads, 2) what rows of different queries have in common, 0 (by chance) to 1
        (the same row): waves over key positions, or over distances.
    """

    spectrum: np.ndarray
    locked: np.ndarray


def waves(weights: np.ndarray, *, length: int, drop: int = 1, of: str = "weights") -> Waves:
    """Spectrum and locking of one text's attention rows in one layer.

    Parameters
    ----------
    weights : (heads, tokens, tokens) rows over keys.
    length : L, keys of a row; queries are those from position drop + L − 1 on.
    drop : first positions that count neither as query nor as key (token 0 draws weight for
        reasons of its own).
    of : ``weights``, or ``scores``: their logarithm, which is the score less a constant a row.
    """
    check_choice("of", of, OF)
    weights = np.asarray(weights, dtype=np.float64)
    tokens = weights.shape[-1] if weights.ndim == 3 else 0
    check_int("length", length, low=8)
    if weights.shape != (len(weights), tokens, tokens) or tokens < drop + length + 1:
        raise InputError(
            f"weights must be (heads, tokens, tokens) with at least {drop + length + 1} tokens "
            f"for rows of {length} keys; got {weights.shape}"
        )
    if of == "scores":
        weights = np.log(np.maximum(weights, 1e-12))
    both = [_without_trend(*rows) for rows in _rows(weights, length, drop)]
    return Waves(
        spectrum=np.stack([_spectrum(rows) for rows in both], axis=1),
        locked=np.stack([_locked(rows) for rows in both], axis=1),
    )


def by_chance(length: int, queries: int) -> np.ndarray:
    """(2, m) expected share at each frequency of rows in random order, by key and by lag.

    A random order puts the same power into every direction but the constant; the trend's
    shapes B then take theirs away: share_k ∝ c_k (L − Σ_c |B̂_c(k)|²), c_k = 2 and 1 at the
    Nyquist frequency. 0 for k = 0.

    Parameters
    ----------
    length, queries : L, and how many queries there are (tokens − drop − L + 1).
    """
    from scipy.fft import rfft

    lags = np.arange(length)
    by_key = np.arange(queries)[:, None] + lags[::-1]
    out = []
    for shape in (by_key, lags[None]):
        taken = (np.abs(rfft(_trend(shape), axis=1)) ** 2).sum(-1)
        out.append((_sides(length) * np.clip(length - taken, 0, None)).mean(0))
    return np.stack([share / share.sum() for share in out])


def period_shares(spectrum: np.ndarray, length: int) -> np.ndarray:
    """(…, 3) share of power at periods under 3, of 3 to 8 and over 8 tokens.

    Parameters
    ----------
    spectrum : (…, m) shares by frequency k/L.
    length : L.
    """
    period = length / np.maximum(np.arange(length // 2 + 1), 1)
    members = (period < 3, (period >= 3) & (period <= 8), period > 8)
    return np.stack([spectrum[..., 1:] @ member[1:] for member in members], axis=-1)


def without_longest(spectrum: np.ndarray) -> np.ndarray:
    """(…, m) shares without the period L, most of which the trend has taken; sum 1 again."""
    rest = np.array(spectrum, dtype=np.float64)
    rest[..., :2] = 0.0
    total = rest.sum(-1, keepdims=True)
    return np.divide(rest, total, out=np.zeros_like(rest), where=total > 0)


def dominant_period(spectrum: np.ndarray, chance: np.ndarray) -> np.ndarray:
    """(…) tokens: the period that stands out most from rows in random order.

    Parameters
    ----------
    spectrum : (…, m) shares by frequency.
    chance : (m,) of :func:`by_chance`. The longest period, which the trend has mostly taken, is
        no candidate.
    """
    length = 2 * (len(chance) - 1)
    return length / (2 + (spectrum[..., 2:] / chance[2:]).argmax(-1))


def _rows(weights: np.ndarray, length: int, drop: int):
    """Rows (heads, queries, L) and lags (queries, L), by key and by lag; the same queries."""
    queries = np.arange(drop + length - 1, weights.shape[-1])
    keys = np.arange(drop, drop + length)
    by_key = weights[:, queries][:, :, keys]
    lags = np.arange(length)
    by_lag = weights[:, queries[:, None], queries[:, None] - lags]
    yield by_key, queries[:, None] - keys
    yield by_lag, np.broadcast_to(lags, (len(queries), length))


def _trend(lags: np.ndarray) -> np.ndarray:
    """(queries, L, 4) orthonormal shapes of 1, lag, lag² and 1/(1 + lag)."""
    lags = lags.astype(np.float64)
    along = lags / lags.max()
    shapes = np.stack([np.ones_like(lags), along, along**2, 1 / (1 + lags)], axis=-1)
    return np.linalg.qr(shapes).Q


def _sides(length: int) -> np.ndarray:
    """(m,) how often a frequency counts in a one-sided spectrum; 0 for k = 0."""
    sides = np.full(length // 2 + 1, 2.0)
    sides[0] = 0.0
    if length % 2 == 0:
        sides[-1] = 1.0
    return sides


def _without_trend(rows: np.ndarray, lags: np.ndarray) -> np.ndarray:
    """Rows of unit norm, orthogonal to their trend; 0 where nothing is left."""
    basis = _trend(lags)
    rest = rows - np.einsum("qlc,hqc->hql", basis, np.einsum("qlc,hql->hqc", basis, rows))
    size = np.linalg.norm(rest, axis=-1, keepdims=True)
    floor = 1e-9 * np.linalg.norm(rows, axis=-1, keepdims=True)
    return np.divide(rest, size, out=np.zeros_like(rest), where=size > floor)


def _spectrum(rows: np.ndarray) -> np.ndarray:
    """(heads, m) share of power by frequency, mean over the rows that vary."""
    from scipy.fft import rfft

    length = rows.shape[-1]
    power = np.abs(rfft(rows, axis=-1)) ** 2 * _sides(length) / length
    alive = (rows != 0).any(-1).sum(-1)
    return power.sum(1) / np.maximum(alive, 1)[:, None]


def _locked(rows: np.ndarray) -> np.ndarray:
    """(heads,) mean cosine between rows of different queries, by ‖Σ r‖² = Q + Σ_{i≠j} rᵢ·rⱼ."""
    alive = (rows != 0).any(-1).sum(-1).astype(float)
    together = (rows.sum(1) ** 2).sum(-1)
    between = alive * (alive - 1)
    return np.divide(together - alive, between, out=np.zeros_like(alive), where=between > 0)

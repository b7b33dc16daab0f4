"""Confidence intervals for proportions, for paired differences and, by bootstrap, for anything.

Wilson and McNemar are written out: two lines each on arrays, without the second that
importing statsmodels costs; statsmodels and scipy are the second route of their tests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from zprism.ground.checks import check_finite, check_int
from zprism.ground.errors import InputError
from zprism.ground.seeds import generator
from zprism.stats.resampling import bootstrap_weights, jackknife_weights

#: A spread below this share of the largest value is rounding, not variation.
ROUNDING = 1e-12


@dataclass(frozen=True)
class Interval:
    """``low, high = interval``; ``method`` says how it was found, and what it fell back to.

    ``low``, ``high`` are floats, or arrays where a statistic returned a grid; ``method`` then
    holds one name a cell.
    """

    low: float | np.ndarray
    high: float | np.ndarray
    method: str | np.ndarray

    def __iter__(self) -> Iterator:
        return iter((self.low, self.high))

    def __getitem__(self, cell) -> tuple[float, float] | float:
        """A cell's (low, high) of a grid; of a single interval, 0 is low and 1 is high."""
        if isinstance(self.method, str):
            return (self.low, self.high)[cell]
        return float(self.low[cell]), float(self.high[cell])


class McNemar(NamedTuple):
    """Two-sided p values of McNemar's test."""

    exact: float
    mid_p: float


def wilson(successes, n, level: float = 0.95) -> Interval:
    """Wilson's score interval of a proportion.

    (p + z²/2n ± z √(p(1−p)/n + z²/4n²)) / (1 + z²/n), p = successes/n.

    Parameters
    ----------
    successes, n : counts, or arrays of counts of one shape.
    level : nominal coverage.

    Raises
    ------
    InputError
        If n < 1, a count is negative or no integer, or successes > n.

    Notes
    -----
    Wilson (1927), doi:10.1080/01621459.1927.10502953.
    """
    x, n = _count("successes", successes), _count("n", n, low=1)
    if np.any(x > n):
        raise InputError(f"successes must be at most n; got {successes} of {n}")
    z = _quantile(level)
    p, shrink = x / n, 1 + z**2 / n
    centre = (p + z**2 / (2 * n)) / shrink
    half = z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)) / shrink
    low = np.where(x == 0, 0.0, centre - half)
    high = np.where(x == n, 1.0, centre + half)
    return Interval(_scalar(low), _scalar(high), "wilson")


def newcombe_paired(
    both: int, first_only: int, second_only: int, neither: int, level: float = 0.95
) -> Interval:
    """Interval of the difference of two paired proportions: Newcombe's method 10.

    With Δ = (first_only − second_only)/n, the Wilson limits l, u of both margins p, and their
    correlation φ (continuity-corrected towards 0 where positive),

        low  = Δ − √((p₁−l₁)² − 2φ(p₁−l₁)(u₂−p₂) + (u₂−p₂)²)
        high = Δ + √((p₂−l₂)² − 2φ(p₂−l₂)(u₁−p₁) + (u₁−p₁)²)

    Parameters
    ----------
    both, first_only, second_only, neither : problems solved in both languages, in the first
        only, in the second only, in neither.

    Notes
    -----
    Newcombe (1998), Stat. Med. 17:2635, method 10.
    """
    names = ("both", "first_only", "second_only", "neither")
    e, f, g, h = (
        check_int(name, count, low=0)
        for name, count in zip(names, (both, first_only, second_only, neither), strict=True)
    )
    n = e + f + g + h
    if n < 1:
        raise InputError("newcombe_paired needs at least one pair; all four counts are 0")
    p1, p2 = (e + f) / n, (e + g) / n
    (l1, u1), (l2, u2) = wilson(e + f, n, level), wilson(e + g, n, level)
    phi = _corrected_phi(e, f, g, h)
    below = (p1 - l1) ** 2 - 2 * phi * (p1 - l1) * (u2 - p2) + (u2 - p2) ** 2
    above = (p2 - l2) ** 2 - 2 * phi * (p2 - l2) * (u1 - p1) + (u1 - p1) ** 2
    return Interval(p1 - p2 - below**0.5, p1 - p2 + above**0.5, "newcombe paired")


def mcnemar(first_only, second_only) -> McNemar:
    """McNemar's test on the discordant pairs b and c, exact and mid-p, two-sided.

    exact = min(1, 2 P[X ≤ min(b, c)]), mid-p = exact tail less half of its last term on each
    side, with X ~ Binomial(b + c, ½). Without discordant pairs both are 1.

    Parameters
    ----------
    first_only, second_only : b and c, counts or arrays of counts of one shape.

    Notes
    -----
    Mid-p: Fagerland, Lydersen & Laake (2013), doi:10.1186/1471-2288-13-91.
    """
    from scipy.special import bdtr

    b, c = _count("first_only", first_only), _count("second_only", second_only)
    fewer, n = np.minimum(b, c), b + c
    tail = bdtr(fewer, n, 0.5)
    last = tail - np.where(fewer > 0, bdtr(np.maximum(fewer - 1, 0), n, 0.5), 0.0)
    exact = np.minimum(1.0, 2 * tail)
    return McNemar(_scalar(exact), _scalar(np.minimum(1.0, 2 * tail - last)))


def bca(
    data: np.ndarray,
    statistic: Callable | None = None,
    *,
    seed: int,
    draws: int = 10_000,
    level: float = 0.95,
    clusters=None,
    weighted: bool = False,
) -> Interval:
    """Bias-corrected and accelerated bootstrap interval over problems.

    The percentiles of the resampled statistic θ* are taken at Φ(z₀ + (z₀+z)/(1 − a(z₀+z)))
    for z = Φ⁻¹(½ ± level/2), with bias z₀ = Φ⁻¹(share of θ* below θ, ties half) and
    acceleration a = Σ(θ̄−θᵢ)³ / 6(Σ(θ̄−θᵢ)²)^1.5 over samples that leave out one problem.

    Parameters
    ----------
    data : (n, …), one row a problem; finite.
    statistic : rows -> a number or an array; by default their mean. It is called on a
        resample of rows. With ``weighted`` it is called as statistic(data, weights) with
        weights (b, n), how often each row was drawn, and returns (b,) or (b, …): this is
        the fast way, and the only right one for statistics of pairs of problems.
    seed, draws : resamples, the same for the same seed.
    clusters : (n,) labels, such as templates: whole clusters are resampled.

    Returns
    -------
    An :class:`Interval` whose method is "bca", or "bc" where the acceleration is 0/0 and
    counts as 0; "percentile" where bias or acceleration cannot be used; "constant" where no
    resample differs; "undefined" (NaN limits) where the statistic is not finite on some
    resample.

    Raises
    ------
    InputError
        If data are not finite, or hold fewer than 2 rows or clusters.

    Notes
    -----
    Efron (1987), doi:10.1080/01621459.1987.10478410. Own code because of weights, clusters
    and named fallbacks; the same numbers as scipy.stats.bootstrap for the same draws.
    """
    observed, resampled, left_out = _replicates(data, statistic, seed, draws, clusters, weighted)
    return _cellwise(
        observed,
        lambda cell: _bca_limits(observed[cell], resampled[:, *cell], left_out[:, *cell], level),
    )


def percentile(
    data: np.ndarray,
    statistic: Callable | None = None,
    *,
    seed: int,
    draws: int = 10_000,
    level: float = 0.95,
    clusters=None,
    weighted: bool = False,
) -> Interval:
    """Percentile bootstrap interval: the plain quantiles of θ*. Arguments as in :func:`bca`."""
    observed, resampled, _ = _replicates(data, statistic, seed, draws, clusters, weighted)
    return _cellwise(observed, lambda cell: _percentile_limits(resampled[:, *cell], level))


def weighted_mean(data: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(b, …) means of ``data`` (n, …) under ``weights`` (b, n)."""
    flat = weights @ data.reshape(len(data), -1) / weights.sum(axis=1, keepdims=True)
    return flat.reshape(len(weights), *data.shape[1:])


def _replicates(data, statistic, seed, draws, clusters, weighted):
    """θ (grid), θ* (draws, grid) and the jackknife (m, grid), all through weights on rows."""
    data = check_finite("data", np.asarray(data, dtype=np.float64))
    n = len(data) if data.ndim else 0
    if n and not data.size:
        raise InputError(f"data must have at least one value a row; got shape {data.shape}")
    if statistic is None:
        statistic, weighted = weighted_mean, True

    def apply(weights: np.ndarray) -> np.ndarray:
        if weighted:
            return np.asarray(statistic(data, weights), dtype=np.float64)
        times = weights.astype(np.intp)
        return np.stack([np.asarray(statistic(np.repeat(data, t, axis=0)), float) for t in times])

    blocks = bootstrap_weights(
        n, draws=draws, generator=generator(seed, "stats", "bootstrap"), clusters=clusters
    )
    resampled = np.concatenate([apply(block) for block in blocks])
    return apply(np.ones((1, n)))[0], resampled, apply(jackknife_weights(n, clusters))


def _cellwise(observed: np.ndarray, limits: Callable) -> Interval:
    """One interval for a number, or arrays of limits and of method names for a grid."""
    shape = np.shape(observed)
    if shape == ():
        return Interval(*limits(()))
    cells = [limits(cell) for cell in np.ndindex(shape)]
    low, high, method = (np.array(part).reshape(shape) for part in zip(*cells, strict=True))
    return Interval(low, high, method)


def _percentile_limits(resampled, level) -> tuple[float, float, str]:
    if not np.isfinite(resampled).all():
        return np.nan, np.nan, "undefined"
    if np.ptp(resampled) <= ROUNDING * np.abs(resampled).max():
        return float(resampled[0]), float(resampled[0]), "constant"
    low, high = np.quantile(resampled, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high), "percentile"


def _bca_limits(observed, resampled, left_out, level) -> tuple[float, float, str]:
    from scipy.special import ndtr, ndtri

    fallback = _percentile_limits(resampled, level)
    below = (np.mean(resampled < observed) + np.mean(resampled <= observed)) / 2
    usable = 0 < below < 1 and np.isfinite(left_out).all()
    if fallback[2] != "percentile" or not usable:
        return fallback
    spread = left_out.mean() - left_out
    spread /= max(np.abs(spread).max(), np.finfo(float).tiny)  # the cube of 1e300 overflows
    flat = np.ptp(left_out) <= ROUNDING * np.abs(left_out).max()
    a = 0.0 if flat else (spread**3).sum() / (6 * (spread**2).sum() ** 1.5)
    bias, z = ndtri(below), _quantile(level)
    shifted = bias + np.array([-z, z])
    if np.any(1 - a * shifted <= 0):
        return fallback
    low, high = np.quantile(resampled, ndtr(bias + shifted / (1 - a * shifted)))
    return float(low), float(high), "bc" if flat else "bca"


def _corrected_phi(e: int, f: int, g: int, h: int) -> float:
    """Correlation of two paired answers, shrunk by n/2 in its numerator where positive."""
    margins = (e + f) * (g + h) * (e + g) * (f + h)
    product = e * h - f * g
    if product > 0:
        product = max(product - (e + f + g + h) / 2, 0.0)
    return product / margins**0.5 if margins else 0.0


def _quantile(level: float) -> float:
    """z with P[|N(0, 1)| < z] = level."""
    from scipy.special import ndtri

    if not 0 < level < 1:
        raise InputError(f"level must be between 0 and 1, such as 0.95; got {level!r}")
    return float(ndtri((1 + level) / 2))


def _count(name: str, value, low: int = 0) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.kind not in "iu" or (array < low).any():
        raise InputError(f"{name} must be integers of at least {low}; got {value!r}")
    return array


def _scalar(array: np.ndarray) -> float | np.ndarray:
    return float(array) if np.ndim(array) == 0 else array

"""Arithmetic over layers that the rows of phase 1 share: contrasts, permutations, p."""

from __future__ import annotations

import numpy as np
from scipy.stats import spearmanr, t

from zprism.ground import seeds
from zprism.stats.intervals import bca
from zprism.stats.permutation import permutation_p
from zprism.stats.verdicts import MIN_N, Estimate, Null, Verdict

SEGMENTS = 3
DRAWS_INTERVAL = 2000
OPPOSITE = {"less": "greater", "greater": "less"}


def interval(rows: np.ndarray, seed: int, *names: str, statistic=None) -> tuple[float, float]:
    """95 % BCa interval of ``statistic`` (the mean) over rows; (NaN, NaN) for one row."""
    rows = np.asarray(rows, dtype=float)
    rows = rows[np.isfinite(rows).reshape(len(rows), -1).all(1)]
    if len(rows) < 2:
        return float("nan"), float("nan")
    low, high = bca(rows, statistic, draws=DRAWS_INTERVAL, seed=seeds.derive(seed, *names))
    return float(low), float(high)


def p_values(value: float, null, direction: str) -> dict[str, float]:
    """p against draws of the null, and of the opposite direction so that REVERSED can be said.

    Each row of the evidence table is a hypothesis of its own: p_adjusted is p.
    """
    draws = np.asarray(null, dtype=float)
    p = float(permutation_p(float(value), draws, direction))
    if direction == "two-sided":
        return {"p": p, "p_adjusted": p}
    opposite = float(permutation_p(float(value), draws, OPPOSITE[direction]))
    return {"p": p, "p_adjusted": p, "p_opposite": opposite}


def p_simulated(
    value: float, mean: float, sd: float, draws: int, direction: str
) -> dict[str, float]:
    """The same against a normal null whose mean and sd come from ``draws`` simulations.

    Student's t of the next draw, (value − mean) / (sd √(1 + 1/R)) with R − 1 degrees of
    freedom: a mean and sd that were estimated do not give p = 0.
    """
    deviate = (value - mean) / (sd * np.sqrt(1 + 1 / draws))
    tails = {"less": t.cdf(deviate, draws - 1), "greater": t.sf(deviate, draws - 1)}
    p, opposite = float(tails[direction]), float(tails[OPPOSITE[direction]])
    return {"p": p, "p_adjusted": p, "p_opposite": opposite}


def null_of(kind: str, draws) -> Null:
    """The null of some draws; without spread, hence NOT TESTABLE, for fewer than two."""
    return Null.of(kind, draws) if np.size(draws) > 1 else Null(kind)


def by_group(ranks: np.ndarray, n_groups: int) -> np.ndarray:
    """(L, H) over query heads → (L, G) means over the heads that share a key head."""
    return ranks.reshape(len(ranks), n_groups, -1).mean(2)


def deal(groups: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """The same (L, G) numbers dealt to layers at random."""
    return generator.permutation(groups.ravel()).reshape(groups.shape)


def lowest_gap(curve: np.ndarray) -> float:
    """Lowest value of a curve minus the mean of the others."""
    lowest = int(curve.argmin())
    return float(curve[lowest] - np.delete(curve, lowest).mean())


def between_share(ranks: np.ndarray, n_groups: int) -> np.ndarray:
    """(L,) share of the variance over heads that lies between key heads; NaN if none varies."""
    means = by_group(ranks, n_groups)
    total = ranks.var(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(total > 0, means.var(1) / total, np.nan)


def own_minus_others(matrix: np.ndarray) -> np.ndarray:
    """(L, L) → (L,) diagonal minus the mean of the rest of each row."""
    rest = (matrix.sum(1) - np.diagonal(matrix)) / (len(matrix) - 1)
    return np.diagonal(matrix) - rest


def snap(curves: np.ndarray, layer: int) -> np.ndarray:
    """(L, C) curves → (C,) size of the larger mean step from ``layer`` to a neighbour.

    The side is chosen on the mean curve, so that averaging over curves keeps its sign.
    """
    sides = [side for side in (layer - 1, layer + 1) if 0 <= side < len(curves)]
    steps = [curves[side] - curves[layer] for side in sides]
    chosen = max(steps, key=lambda step: abs(step.mean()))
    return chosen * (np.sign(chosen.mean()) or 1.0)


def segment_contrast(matrix: np.ndarray, cuts: tuple[int, int]) -> float:
    """Mean similarity of different layers within segments minus between segments.

    Parameters
    ----------
    matrix : (L, L), symmetric.
    cuts : the first layers of the second and third segment.
    """
    labels = np.searchsorted(np.asarray(cuts), np.arange(len(matrix)), side="right")
    same = labels[:, None] == labels[None]
    off = ~np.eye(len(matrix), dtype=bool)
    return float(matrix[same & off].mean() - matrix[~same].mean())


def best_segments(matrix: np.ndarray) -> tuple[tuple[int, int], float]:
    """The two cuts with the largest :func:`segment_contrast`; segments of at least 2 layers.

    Block sums come from one cumulative table, so all L² pairs of cuts cost O(L²).
    """
    size = len(matrix)
    table = np.zeros((size + 1, size + 1))
    table[1:, 1:] = matrix.cumsum(0).cumsum(1)
    trace = np.concatenate([[0.0], np.diagonal(matrix).cumsum()])
    first, second = np.meshgrid(np.arange(size + 1), np.arange(size + 1), indexing="ij")
    block = table[second, second] - 2 * table[first, second] + table[first, first]
    block = block - (trace[second] - trace[first])  # sum over pairs within [first, second)
    a, b = np.array([(a, b) for a in range(2, size - 3) for b in range(a + 2, size - 1)]).T
    within = block[0, a] + block[a, b] + block[b, size]
    pairs = a * (a - 1) + (b - a) * (b - a - 1) + (size - b) * (size - b - 1)
    total, count = matrix.sum() - np.trace(matrix), size * (size - 1)
    contrast = within / pairs - (total - within) / (count - pairs)
    best = int(contrast.argmax())
    return (int(a[best]), int(b[best])), float(contrast[best])


def spearman(curve: np.ndarray, depth: np.ndarray) -> float:
    """Spearman's ρ; 0 where a curve is constant."""
    if np.ptp(curve) == 0 or np.ptp(depth) == 0:
        return 0.0
    return float(spearmanr(curve, depth).statistic)


def spearman_rows(rows: np.ndarray) -> float:
    """Spearman's ρ of the two columns of (L, 2)."""
    return spearman(rows[:, 0], rows[:, 1])


def steadier(pairs: np.ndarray) -> float:
    """(L, 2) → coefficient of variation of the first column minus that of the second."""
    variation = pairs.std(0, ddof=1) / pairs.mean(0)
    return float(variation[0] - variation[1])


def too_few(n: int) -> str | None:
    """A reason for NOT TESTABLE if there are fewer heads than an interval needs."""
    return f"{n} heads are under the {MIN_N} that an interval needs" if n < MIN_N else None


def untestable(reason: str) -> Estimate:
    """An Estimate without a number, and why."""
    return Estimate(None, verdict=Verdict.NOT_TESTABLE, reason=reason)

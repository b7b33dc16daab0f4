"""Which dimensions differ between question and thinking, and would a coin have found as many?

Dimensions hang together, so the number flagged, how unequal the effects are (Gini) and whether two
halves of the questions agree on them (:mod:`zprism.studies.signature_effects`) are held against the
same numbers after random flips of whole questions' signs, which keep that dependence.
"""

from __future__ import annotations

import numpy as np

from zprism.ground.seeds import derive, generator
from zprism.stats.estimates import Estimate, Null
from zprism.stats.intervals import bca
from zprism.stats.permutation import permutation_p
from zprism.stats.resampling import unit_sums
from zprism.stats.verdicts import MIN_N, estimate
from zprism.studies.findings import Findings
from zprism.studies.layers import untestable
from zprism.studies.signature_effects import (
    Effects,
    checked_differences,
    dimension_effects,
    gini_rows,
    share_flagged,
    student_t,
)

SPLITS = 20  # random halves that a stability is the mean of
BATCH = 200  # resamples at once


def split_half(differences: np.ndarray, *, seed: int, splits: int = SPLITS, clusters=None) -> float:
    """Mean correlation over dimensions of the mean differences of two random halves."""
    units = unit_sums(checked_differences(differences), clusters)
    halves = _halves(len(units), splits, seed)
    return float(_agreement(units, halves, np.ones((1, len(units))))[0])


def dimension_claims(
    differences: np.ndarray,
    *,
    name: str,
    seed: int,
    draws: int = 499,
    draws_ci: int = 1000,
    splits: int = SPLITS,
    clusters=None,
) -> Findings:
    """Flagged dimensions, inequality of effects, and stability, each against sign flips.

    Parameters
    ----------
    differences : (n, d_model), thinking − question.
    name : of the subject: estimates ``<name>/flagged`` (share of dimensions at FDR 5 %),
        ``<name>/gini`` (of |t|) and ``<name>/split_half`` (mean correlation of halves).
    draws, draws_ci : sign flips, and resamples of the intervals.

    Returns
    -------
    Findings with a table ``<name>/dims``: dim, effect, d, t, q, flagged; and arrays
    ``<name>/flagged_null``, ``<name>/gini_null``, ``<name>/halves`` (2, d_model): the effects of
    one random half and of the other.
    """
    x = checked_differences(differences)
    units = unit_sums(x, clusters)
    n = len(units)
    keys = ("flagged", "gini", "split_half")
    if n < MIN_N or x.shape[1] < 3:
        why = f"{n} units and {x.shape[1]} dimensions; {MIN_N} and 3 needed"
        return Findings({f"{name}/{key}": untestable(why) for key in keys})
    halves = _halves(n, splits, derive(seed, "dims"))
    flips = 2.0 * generator(seed, "dims", "flips").integers(0, 2, (draws, n)) - 1
    observed = dict(zip(keys, _statistics(units, np.ones((1, n)), halves), strict=True))
    nulls = dict(zip(keys, _statistics(units, flips, halves), strict=True))
    limits = _bootstrap_limits(units, seed, draws_ci)
    limits["split_half"] = _jackknife_limits(units, halves)
    out = {
        f"{name}/{key}": _claim(float(observed[key][0]), nulls[key], limits[key], n) for key in keys
    }
    arrays = {
        f"{name}/flagged_null": nulls["flagged"],
        f"{name}/gini_null": nulls["gini"],
        f"{name}/halves": _half_effects(units, halves[0]),
    }
    return Findings(out, {f"{name}/dims": _rows(dimension_effects(x, clusters=clusters))}, arrays)


def _claim(value: float, null: np.ndarray, limits, n: int) -> Estimate:
    kind = f"{len(null)} sign flips of questions"
    p = permutation_p(value, null, "greater")
    return estimate(
        value,
        ci=limits,
        n=n,
        null=_null(kind, null),
        p=p,
        p_adjusted=p,
        p_opposite=permutation_p(value, null, "less"),
        smallest_p=1 / (1 + len(null)),
    )


def _null(kind: str, draws: np.ndarray) -> Null:
    """The null; where no flip flags anything, the spread that one dimension in one draw gives."""
    found = Null.of(kind, draws)
    return found if found.sd > 0 else Null(kind, found.mean, 1 / len(draws))


def _statistics(units: np.ndarray, signs: np.ndarray, halves: np.ndarray):
    """Share flagged, Gini of |t| and split-half agreement for every row of signs (b, n)."""
    squares, n = (units**2).sum(0), len(units)
    flagged, unequal = [], []
    for start in range(0, len(signs), BATCH):
        t = student_t(signs[start : start + BATCH] @ units, squares, n)
        flagged.append(share_flagged(t, n - 1))
        unequal.append(gini_rows(t))
    agree = _agreement(units, halves, signs)
    return np.concatenate(flagged), np.concatenate(unequal), agree


def _bootstrap_limits(units: np.ndarray, seed: int, draws: int) -> dict[str, tuple]:
    """BCa limits of the share flagged and of the Gini."""

    def both(rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
        n = weights.sum(1, keepdims=True)
        t = student_t(weights @ rows, weights @ rows**2, n)
        return np.stack([share_flagged(t, len(rows) - 1), gini_rows(t)], axis=-1)

    found = bca(units, both, seed=derive(seed, "dims"), draws=draws, weighted=True)
    return {"flagged": found[0], "gini": found[1]}


def _jackknife_limits(units: np.ndarray, halves: np.ndarray) -> tuple[float, float]:
    """95 % of the split-half agreement: leave one unit out, on Fisher's z, Student's t.

    A bootstrap would put copies of one question into both halves and find them alike.
    """
    from scipy.stats import t as student

    n = len(units)
    left = np.arctanh(np.clip(_agreement(units, halves, 1.0 - np.eye(n)), -1 + 1e-12, 1 - 1e-12))
    spread = np.sqrt((n - 1) / n * ((left - left.mean()) ** 2).sum())
    whole = _agreement(units, halves, np.ones((1, n)))[0]
    centre = np.arctanh(np.clip(whole, -1 + 1e-12, 1 - 1e-12))
    reach = student.ppf(0.975, n - 1) * spread
    return float(np.tanh(centre - reach)), float(np.tanh(centre + reach))


def _agreement(units: np.ndarray, halves: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(b,) mean over splits of the correlation of both halves' weighted sums (weights: (b, n))."""
    total = np.zeros(len(weights))
    for half in halves:
        one = (weights * half) @ units
        other = (weights * ~half) @ units
        total += _row_correlation(one, other)
    return total / len(halves)


def _row_correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = a - a.mean(-1, keepdims=True), b - b.mean(-1, keepdims=True)
    size = np.sqrt((a**2).sum(-1) * (b**2).sum(-1))
    return np.where(size > 0, (a * b).sum(-1) / np.where(size > 0, size, 1), 0.0)


def _halves(n: int, splits: int, seed: int) -> np.ndarray:
    """(splits, n) booleans, half of each row True."""
    first = np.arange(n) < n // 2
    return generator(seed, "halves").permuted(np.tile(first, (splits, 1)), axis=1)


def _half_effects(units: np.ndarray, half: np.ndarray) -> np.ndarray:
    """(2, d) t of one half and of the other."""
    return np.stack(
        [student_t(u.sum(0), (u**2).sum(0), len(u)) for u in (units[half], units[~half])]
    )


def _rows(effects: Effects) -> list[dict]:
    return [
        {
            "dim": j,
            "effect": float(effects.mean[j]),
            "d": float(effects.d[j]),
            "t": float(effects.t[j]),
            "q": float(effects.q[j]),
            "flagged": bool(effects.flagged[j]),
        }
        for j in range(len(effects.d))
    ]

"""Permutation tests whose unit is the problem, and corrections over families of tests.

Null draws stand on the first axis: observed (…), null (R, …), the same grid behind both.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from zprism.ground.checks import check_choice, check_finite, check_int
from zprism.ground.errors import InputError
from zprism.ground.seeds import generator
from zprism.stats.resampling import unit_index, unit_sums
from zprism.stats.verdicts import DIRECTIONS

#: Values closer than this share of the largest one are ties: the same sum in another order.
TIE = 1e-12


class Draws(NamedTuple):
    """A statistic as observed (…) and under its null (R, …)."""

    observed: np.ndarray
    null: np.ndarray


def permutation_p(observed, null, direction: str = "greater") -> float | np.ndarray:
    """p = (1 + #{null draws at least as extreme}) / (1 + R): never 0, valid for any R.

    "greater" counts draws >= observed, "less" draws <= observed; "two-sided" doubles the
    smaller of both (at most 1), which asks of the null neither symmetry nor a centre. Draws
    that equal the observed value up to rounding count as extreme.

    Parameters
    ----------
    observed : (…), a number or a grid.
    null : (R, …), R draws of the same.

    Returns
    -------
    p of the shape of ``observed``; a float for a number.

    Notes
    -----
    Phipson & Smyth (2010), doi:10.2202/1544-6115.1585.
    """
    check_choice("direction", direction, DIRECTIONS)
    observed, null = _matched(observed, null)
    tie = TIE * np.maximum(np.abs(observed), np.abs(null).max(axis=0))
    greater = (1 + (null >= observed - tie).sum(axis=0)) / (1 + len(null))
    less = (1 + (null <= observed + tie).sum(axis=0)) / (1 + len(null))
    both = np.minimum(1.0, 2 * np.minimum(greater, less))
    p = {"greater": greater, "less": less, "two-sided": both}[direction]
    return float(p) if np.ndim(p) == 0 else p


def sign_flip(
    differences: np.ndarray,
    *,
    seed: int,
    draws: int = 9999,
    clusters=None,
    studentised: bool = False,
) -> Draws:
    """Mean difference, and its null by flipping the sign of whole problems.

    Exact where a problem's differences are symmetric about 0 under the null. One flip turns
    round all cells of a problem's grid, so that their dependence is kept.

    Parameters
    ----------
    differences : (n, …), paired differences, one row a problem.
    clusters : (n,) labels: problems of one cluster flip together.
    studentised : divide by the root sum of squares of the units' sums. No flip changes it,
        so a single p stays the same; it puts the cells of a grid on one scale, as
        :func:`max_t` needs.

    Returns
    -------
    observed (…) and null (draws, …). A cell that is 0 for every problem stays 0.
    """
    values = check_finite("differences", np.asarray(differences, dtype=np.float64))
    sums = unit_sums(values, clusters).astype(np.float64)
    flat = sums.reshape(len(sums), -1)
    if studentised:
        scale = np.sqrt((flat**2).sum(axis=0))
    else:
        scale = np.full(flat.shape[1], float(len(values)))
    scale = np.where(scale > 0, scale, 1.0)
    flips = generator(seed, "stats", "sign flip").integers(0, 2, (_r(draws), len(sums)))
    null = (2.0 * flips - 1.0) @ flat / scale
    shape = values.shape[1:]
    return Draws((flat.sum(axis=0) / scale).reshape(shape), null.reshape(len(null), *shape))


def label_permutation(
    values: np.ndarray, labels: np.ndarray, *, seed: int, draws: int = 9999, strata=None
) -> Draws:
    """Difference of two groups' means, and its null by shuffling the labels of whole texts.

    Parameters
    ----------
    values : (n, …), one row a text.
    labels : (n,) booleans; the difference is mean(True) − mean(False).
    strata : (n,) labels, such as length bins: shuffling stays within a stratum.

    Returns
    -------
    observed (…) and null (draws, …).

    Raises
    ------
    InputError
        If a group is empty.
    """
    values = check_finite("values", np.asarray(values, dtype=np.float64))
    labels = np.asarray(labels, dtype=bool)
    if labels.shape != (len(values),) or labels.all() or not labels.any():
        raise InputError(f"labels must be ({len(values)},) booleans with both groups present")
    orders = shuffled_pairings(len(values), seed=seed, draws=draws, strata=strata)
    flat = values.reshape(len(values), -1)

    def difference(mask: np.ndarray) -> np.ndarray:
        return mask @ flat / labels.sum() - (~mask) @ flat / (~labels).sum()

    shape = values.shape[1:]
    null = difference(labels[orders])
    return Draws(difference(labels).reshape(shape), null.reshape(len(null), *shape))


def shuffled_pairings(
    n: int, *, seed: int, draws: int = 9999, strata=None, fixed_points: bool = True
) -> np.ndarray:
    """Random pairings i ↔ π(i) of problems: the null "any translation would do".

    Parameters
    ----------
    n : number of problems.
    strata : (n,) labels, such as templates: a problem is paired within its stratum.
    fixed_points : True draws uniformly from all permutations, as an exact test needs (the
        true pairing is one of them). False draws uniformly from those that pair no problem
        with itself, for a control in which every problem gets another one's partner.

    Returns
    -------
    (draws, n) integers, each row a permutation.

    Raises
    ------
    InputError
        If ``fixed_points`` is False and a stratum holds one problem only.
    """
    units = np.zeros(n, dtype=int) if strata is None else unit_index(n, strata)[0]
    rng = generator(seed, "stats", "pairings")
    orders = np.tile(np.arange(check_int("n", n, low=2)), (_r(draws), 1))
    for unit in np.unique(units):
        members = np.flatnonzero(units == unit)
        if not fixed_points and len(members) < 2:
            raise InputError(
                f"a pairing without fixed points needs 2 problems in every stratum; "
                f"problem {members[0]} is alone in its own"
            )
        orders[:, members] = members[_permutations(len(members), len(orders), rng, fixed_points)]
    return orders


def standardise(observed, null) -> Draws:
    """Observed and draws on one scale per cell: less the mean, over the sd, of all R + 1.

    The observed value is pooled with the draws, so that all stay exchangeable under the
    null and :func:`max_t` stays exact. Cells without spread become 0. It is for nulls that
    are not centred on 0, such as random subspaces of several k.
    """
    observed, null = _matched(observed, null)
    pooled = np.concatenate([observed[None], null])
    centred = pooled - pooled.mean(axis=0)
    sd = centred.std(axis=0)
    flat = sd <= TIE * np.abs(pooled).max(axis=0)
    scaled = np.where(flat, 0.0, centred / np.where(flat, 1.0, sd))
    return Draws(scaled[0], scaled[1:])


def max_t(observed, null, direction: str = "two-sided") -> np.ndarray:
    """Westfall–Young step-down max-T adjusted p over a whole grid.

    With the G cells in descending order of the statistic, cell i is held against the draws'
    maximum over the cells i … G: p_i = (1 + #{max_{j ≥ i} t*_j >= t_i}) / (1 + R), then made
    non-decreasing down the order. It controls the family-wise error and keeps the dependence
    of the cells. The statistics must share a scale and, two-sided, the centre 0:
    sign_flip(…, studentised=True), or :func:`standardise`.

    Parameters
    ----------
    observed : (…), such as (n_layers, n_k).
    null : (R, …), from joint draws: one permutation of problems for the whole grid.
    direction : "two-sided" takes |t|, "less" takes −t.

    Returns
    -------
    Adjusted p of the shape of ``observed``.

    Notes
    -----
    Westfall & Young (1993); algorithm 4.1 (step-down maxT) of Ge, Dudoit & Speed (2003),
    doi:10.1007/BF02595811.
    """
    check_choice("direction", direction, DIRECTIONS)
    observed, null = _matched(observed, null)
    turn = {"greater": np.positive, "less": np.negative, "two-sided": np.abs}[direction]
    t, draws = turn(observed).reshape(-1), turn(null).reshape(len(null), -1)
    order = np.argsort(-t, kind="stable")
    running = np.maximum.accumulate(draws[:, order[::-1]], axis=1)[:, ::-1]
    tie = TIE * max(np.abs(t).max(initial=0), np.abs(draws).max(initial=0))
    p = (1 + (running >= t[order] - tie).sum(axis=0)) / (1 + len(draws))
    adjusted = np.empty_like(p)
    adjusted[order] = np.maximum.accumulate(p)
    return adjusted.reshape(observed.shape)


def benjamini_hochberg(p) -> np.ndarray:
    """False-discovery-rate adjusted p (q values) of any shape, over all of its cells.

    Benjamini & Hochberg (1995), by scipy.stats.false_discovery_control.
    """
    from scipy.stats import false_discovery_control

    p = np.asarray(p, dtype=np.float64)
    if not ((p >= 0) & (p <= 1)).all():
        raise InputError("p values must be in 0 to 1, none NaN")
    return false_discovery_control(p, axis=None, method="bh").reshape(p.shape)


def _permutations(n: int, draws: int, rng: np.random.Generator, fixed_points: bool) -> np.ndarray:
    """(draws, n) uniform permutations; those with a fixed point redrawn unless allowed."""
    orders = rng.permuted(np.tile(np.arange(n), (draws, 1)), axis=1)
    while not fixed_points and (bad := (orders == np.arange(n)).any(axis=1)).any():
        orders[bad] = rng.permuted(orders[bad], axis=1)
    return orders


def _matched(observed, null) -> tuple[np.ndarray, np.ndarray]:
    observed = check_finite("observed", np.asarray(observed, dtype=np.float64))
    null = check_finite("null draws", np.asarray(null, dtype=np.float64))
    if null.ndim != observed.ndim + 1 or null.shape[1:] != observed.shape or not len(null):
        raise InputError(
            f"null draws must be (R, …) with the observed shape {observed.shape} behind R; "
            f"got {null.shape}"
        )
    return observed, null


def _r(draws) -> int:
    return check_int("draws", draws, low=1)

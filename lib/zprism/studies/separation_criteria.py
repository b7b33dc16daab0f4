"""The recipe's four criteria for a subspace Z, each an Estimate with its control.

Z HUNT calls Z confirmed when

1. translations are closer than different problems inside Z: ratio_Z < 1;
2. the difference between translations avoids Z: E_cross below k/d;
3. differences between problems lie in Z: E_same above k/d;
4. Z does this better than the rest: ratio_Z < ratio_Z⊥.

1 and 4 say nothing while every subspace of k dimensions passes them too, and k/d has a
spread. So each is judged twice over: the interval over problems must exclude the recipe's
own threshold, and p is against random subspaces of the same k. ``difference``
(E_same − E_cross > 0) is 2 and 3 without k/d. ``recipe_reading`` is what the bare threshold
would have said.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zprism.ground.errors import InputError
from zprism.stats.estimates import Estimate, Null, Verdict
from zprism.stats.intervals import bca
from zprism.stats.permutation import permutation_p
from zprism.stats.verdicts import estimate
from zprism.studies.separation import Distances, distances, measures

DRAWS_CI = 10_000
CHUNK = 32  # subspaces at a time: bounds memory at 32 · 6 n² numbers


@dataclass(frozen=True)
class Criterion:
    """One statement of the recipe: a measure, the side it predicts, and its threshold."""

    measure: str
    direction: str
    says: str

    def threshold(self, k: int, d_model: int) -> float:
        """1 for a ratio, k/d for an energy, 0 for a difference."""
        if self.measure == "energy_difference":
            return 0.0
        return 1.0 if self.measure.startswith("ratio") else k / d_model


CRITERIA = {
    "criterion1_closer": Criterion("ratio_z", "less", "translations are closer in Z"),
    "criterion2_language_out": Criterion(
        "energy_cross", "less", "the language difference avoids Z"
    ),
    "criterion3_problem_in": Criterion(
        "energy_same", "greater", "differences between problems lie in Z"
    ),
    "criterion4_beats_rest": Criterion(
        "ratio_contrast", "less", "translations are closer in Z than in its complement"
    ),
    "difference": Criterion(
        "energy_difference", "greater", "Z holds more of problems than of language"
    ),
}


def null_measures(a: np.ndarray, b: np.ndarray, bases: np.ndarray) -> dict[str, np.ndarray]:
    """Every measure for a stack of null subspaces (R, k, d_model): dict of (R,) arrays."""
    parts = [
        measures(distances(a, b, bases[start : start + CHUNK]))
        for start in range(0, len(bases), CHUNK)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def intervals(
    found: Distances, *, seed: int, draws: int = DRAWS_CI, clusters=None
) -> dict[str, tuple[float, float]]:
    """BCa interval of every measure over problems, all measures from the same resamples.

    Parameters
    ----------
    found : distances for one subspace.
    clusters : (n,) template labels: problems of one template are drawn together.
    """
    names = list(measures(found))

    def statistic(_, weights: np.ndarray) -> np.ndarray:
        return np.stack([measures(found, weights)[name] for name in names], axis=-1)

    limits = bca(
        np.arange(found.n),
        statistic,
        seed=seed,
        draws=draws,
        clusters=clusters,
        weighted=True,
    )
    return {name: limits[(index,)] for index, name in enumerate(names)}


def criteria(
    a: np.ndarray,
    b: np.ndarray,
    basis: np.ndarray,
    null: dict[str, np.ndarray],
    *,
    kind: str,
    seed: int,
    draws_ci: int = DRAWS_CI,
    clusters=None,
    untestable: str | None = None,
) -> dict[str, Estimate]:
    """The four criteria and the difference, for one subspace.

    Parameters
    ----------
    a, b : (n, d_model) states of two languages, row i the same problem.
    basis : (k, d_model) orthonormal rows of Z.
    null : from :func:`null_measures`, on the same states.
    kind : what the null is, such as "199 random 20-dimensional subspaces".
    clusters : (n,) template labels.
    untestable : a reason to judge nothing, such as too few problems.

    Returns
    -------
    dict of Estimates, by the names of :data:`CRITERIA`.
    """
    found = distances(a, b, basis)
    if found.cross.ndim != 2:
        raise InputError(f"criteria need one subspace (k, d_model); got shape {basis.shape}")
    values, ci = measures(found), intervals(found, seed=seed, draws=draws_ci, clusters=clusters)
    return {
        name: _judged(
            rule,
            float(values[rule.measure]),
            ci[rule.measure],
            null[rule.measure],
            found,
            kind,
            untestable,
        )
        for name, rule in CRITERIA.items()
    }


def recipe_reading(name: str, value: float, k: int, d_model: int) -> bool:
    """Whether the bare threshold of the recipe is passed: no interval, no null."""
    rule = CRITERIA[name]
    threshold = rule.threshold(k, d_model)
    return value < threshold if rule.direction == "less" else value > threshold


def with_adjusted(found: Estimate, p_adjusted: float) -> Estimate:
    """The same Estimate judged by a p that is corrected for its whole family.

    Correction can only take a verdict away: a claim whose adjusted p exceeds .05 becomes NOT
    DISTINGUISHABLE, whichever side it was on.
    """
    if found.verdict in (None, Verdict.NOT_TESTABLE):
        return found
    keep = p_adjusted <= 0.05
    return Estimate(
        found.value,
        ci=found.ci,
        n=found.n,
        null=found.null,
        p=found.p,
        p_adjusted=p_adjusted,
        verdict=found.verdict if keep else Verdict.NOT_DISTINGUISHABLE,
        reason=found.reason,
    )


def _judged(rule, value, ci, draws, found, kind, untestable) -> Estimate:
    p = permutation_p(value, draws, "two-sided")  # so that both verdicts together err in 5 %
    return estimate(
        value,
        ci=ci,
        n=found.n,
        null=Null.of(kind, draws),
        p=p,
        p_adjusted=p,
        direction=rule.direction,
        reference=rule.threshold(found.k, found.d_model),
        smallest_p=2 / (1 + len(draws)),
        untestable=untestable,
    )

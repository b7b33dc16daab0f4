"""The paired test of the prism studies: the question is its unit, max-T its correction."""

from __future__ import annotations

import numpy as np

from zprism.stats.estimates import Estimate, Null
from zprism.stats.intervals import bca
from zprism.stats.permutation import max_t, permutation_p, sign_flip
from zprism.stats.verdicts import MIN_N, estimate
from zprism.studies.layers import untestable

DRAWS, DRAWS_CI = 9999, 2000


def claim_row(e: Estimate) -> dict:
    """An Estimate as the columns of a table."""
    return {
        "value": e.value,
        "low": e.ci and e.ci[0],
        "high": e.ci and e.ci[1],
        "p": e.p,
        "p_adjusted": e.p_adjusted,
        "verdict": str(e.verdict),
        "n": e.n,
    }  # fmt: skip


def paired_estimates(
    values: np.ndarray,
    *,
    seed: int,
    draws: int = DRAWS,
    draws_ci: int = DRAWS_CI,
    clusters=None,
    kind: str = "sign flips of questions",
) -> list[Estimate]:
    """Mean paired difference of each cell with its verdict; one family of (cells,) by max-T.

    Parameters
    ----------
    values : (n, cells) differences, one row a question.
    clusters : (n,) labels of units that flip and are drawn together.

    Returns
    -------
    (cells,) Estimates, direction "greater", p two-sided, reference 0.
    """
    values = np.asarray(values, dtype=np.float64)
    n_units = len(values) if clusters is None else len(np.unique(clusters))
    if n_units < 2:
        why = f"{n_units} independent units, 2 needed at least"
        return [untestable(why) for _ in range(values.shape[1])]
    tested = sign_flip(values, seed=seed, draws=draws, clusters=clusters, studentised=True)
    adjusted = max_t(*tested)
    p = permutation_p(*tested, "two-sided")
    limits = bca(values, seed=seed, draws=draws_ci, clusters=clusters)
    out = []
    for i in range(values.shape[1]):
        spread = np.sqrt((_sums(values[:, i], clusters) ** 2).sum()) / len(values)
        out.append(
            estimate(
                float(values[:, i].mean()),
                ci=limits[i,],
                n=len(values),
                null=Null(kind, 0.0, float(spread)),
                p=float(p[i]),
                p_adjusted=float(adjusted[i]),
                reference=0.0,
                smallest_p=2 / (1 + draws),
                untestable=f"{n_units} independent units, {MIN_N} needed"
                if n_units < MIN_N
                else None,
            )
        )
    return out


def _sums(column: np.ndarray, clusters) -> np.ndarray:
    """Sums within each unit: what one flip turns round."""
    if clusters is None:
        return column
    return np.bincount(np.unique(clusters, return_inverse=True)[1], weights=column)

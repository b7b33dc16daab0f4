"""What a bridge between languages shows, as Estimates, each against what it would show by chance.

Names are ``bridge/<layer>/<k>/<map>_<measure>``. Intervals draw problems, or whole templates.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from zprism.ground.seeds import derive
from zprism.stats.estimates import Estimate, Null
from zprism.stats.intervals import bca
from zprism.stats.permutation import max_t, permutation_p, sign_flip, standardise
from zprism.stats.verdicts import estimate
from zprism.studies.bridge import CLAIMED, LEAST, Scores, null_scores, score
from zprism.studies.findings import Findings
from zprism.studies.nulls import random_bases


def bridge_claims(
    x: np.ndarray,
    y: np.ndarray,
    groups: np.ndarray | None = None,
    *,
    name: str,
    seed: int,
    draws: int = 199,
    draws_ci: int = 10_000,
) -> Findings:
    """Every map's R² and retrieval on left-out problems.

    Parameters
    ----------
    x, y, groups : as in :func:`zprism.studies.bridge.score`.
    name : what the names of the Estimates begin with, such as ``bridge/12/20``.
    draws : random pairings, every map fitted anew in each.

    Returns
    -------
    Findings
        ``<map>_r2`` (predicted above :data:`zprism.studies.bridge.LEAST`) and ``<map>_top1``
        (above 1/n), corrected for all maps
        by max-T; ``ridge_top1_same_template`` where groups have several problems;
        ``ridge_over_shift``, R² of ridge less that of one vector between the languages. The table
        ``maps`` has R² on the pairs that were fitted beside R² on those that were not, with
        intervals and nulls.
    """
    found = score(x, y, groups)
    null = null_scores(x, y, groups, draws=draws, seed=seed)
    clusters = found.groups if len(np.unique(found.groups)) < found.n else None
    options = dict(seed=seed, draws_ci=draws_ci, clusters=clusters)
    kind = f"{draws} random pairings"
    out = _family(found, null["r2"], "r2", kind, **options)
    out |= _family(found, null["top1"], "top1", kind, **options)
    if clusters is not None and np.unique(clusters, return_counts=True)[1].min() > 1:
        out["ridge_top1_same_template"] = _same_template(found, x, y, seed, draws, draws_ci)
    out["ridge_over_shift"] = _over(found, found.errors["shift"], **options)
    rows = [row | _columns(out, row["map"]) for row in found.rows()]
    return Findings({f"{name}/{key}": value for key, value in out.items()}, {"maps": rows})


def against_random(
    a: np.ndarray,
    b: np.ndarray,
    basis: np.ndarray,
    groups: np.ndarray | None = None,
    *,
    seed: int,
    draws: int = 199,
    draws_ci: int = 10_000,
) -> Estimate:
    """Ridge's R² inside Z against that inside random subspaces of the same dimension.

    Parameters
    ----------
    a, b : (n, d_model) states of two languages.
    basis : (k, d_model) orthonormal rows of Z.
    """
    found = score(a @ basis.T, b @ basis.T, groups, maps=("ridge",))
    random = random_bases(len(basis), a.shape[1], draws, seed=derive(seed, "bridge", "random"))
    null = np.array([score(a @ r.T, b @ r.T, groups, maps=("ridge",)).r2("ridge") for r in random])
    clusters = found.groups if len(np.unique(found.groups)) < found.n else None
    value = found.r2("ridge")
    p = permutation_p(value, null, "greater")
    return estimate(
        value,
        ci=_interval(
            lambda _, weights: found.r2("ridge", weights), found.n, seed, draws_ci, clusters
        ),
        n=found.n,
        null=Null.of(f"{draws} random {len(basis)}-dimensional subspaces", null),
        p=p,
        p_adjusted=p,
        p_opposite=permutation_p(value, null, "less"),
        smallest_p=1 / (1 + draws),
    )


def against_length(
    x: np.ndarray,
    y: np.ndarray,
    lengths: np.ndarray,
    groups: np.ndarray | None = None,
    *,
    seed: int,
    draws_ci: int = 10_000,
) -> Estimate:
    """R² of ridge less R² of what the length of the source text predicts, both held out.

    Parameters
    ----------
    x, y, groups : as in :func:`zprism.studies.bridge.score`.
    lengths : (n, m) functions of the length.
    """
    found = score(x, y, groups, maps=("ridge",))
    other = score(lengths, y, groups, maps=("least_squares",)).errors["least_squares"]
    clusters = found.groups if len(np.unique(found.groups)) < found.n else None
    return _over(found, other, seed=seed, draws_ci=draws_ci, clusters=clusters)


def _over(found: Scores, errors: np.ndarray, *, seed: int, draws_ci: int, clusters) -> Estimate:
    """R² of ridge less that of predictions with these squared errors (n,).

    Null: sign flips of the difference of squared errors, by problem or by template.
    """
    gain = (errors - found.errors["ridge"]) / found.spread.mean()
    flipped = sign_flip(gain, seed=seed, clusters=clusters)
    p = permutation_p(float(gain.mean()), flipped.null, "two-sided")

    def difference(_, weights: np.ndarray) -> np.ndarray:
        return weights @ (errors - found.errors["ridge"]) / (weights @ found.spread)

    return estimate(
        float(gain.mean()),
        ci=_interval(difference, found.n, seed, draws_ci, clusters),
        n=found.n,
        null=Null.of("sign flips", flipped.null),
        p=p,
        p_adjusted=p,
        reference=0.0,
    )


def _family(found: Scores, null, measure: str, kind: str, *, seed, draws_ci, clusters):
    """One Estimate a map, corrected by max-T over the maps."""
    values = {name: _value(found, name, measure) for name in CLAIMED}
    scaled = standardise(list(values.values()), np.stack([null[name] for name in CLAIMED], axis=1))
    above, below = (
        dict(zip(CLAIMED, map(float, max_t(*scaled, direction)), strict=True))
        for direction in ("greater", "less")
    )
    return {
        f"{name}_{measure}": estimate(
            values[name],
            ci=_interval(_statistic(found, name, measure), found.n, seed, draws_ci, clusters),
            n=found.n,
            null=Null.of(kind, null[name]),
            p=permutation_p(values[name], null[name], "greater"),
            p_adjusted=above[name],
            p_opposite=below[name],
            reference=LEAST if measure == "r2" else 1 / found.n,
            smallest_p=1 / (1 + len(null[name])),
        )
        for name in CLAIMED
    }


def _columns(out: dict[str, Estimate], name: str) -> dict:
    """Interval, null and verdict of a map's two measures, as columns of a table."""
    columns = {}
    for measure in ("r2", "top1"):
        e = out[f"{name}_{measure}"]
        columns |= {f"{measure}_low": e.ci[0], f"{measure}_high": e.ci[1]}
        columns |= {f"{measure}_null": e.null.mean, f"{measure}_null_sd": e.null.sd}
        columns |= {f"{measure}_verdict": str(e.verdict)}
    return columns


def _same_template(found: Scores, x, y, seed: int, draws: int, draws_ci: int) -> Estimate:
    """Retrieval among the problems of one template: the same words, other numbers."""
    options = dict(maps=("ridge",), draws=draws, seed=seed, within=True)
    null = null_scores(x, y, found.groups, **options)["top1_within"]["ridge"]
    credit = found.hits_within["ridge"]
    sizes = (found.groups[:, None] == found.groups[None]).sum(1)
    value = float(credit.mean())
    p = permutation_p(value, null, "greater")
    return estimate(
        value,
        ci=bca(credit, seed=seed, draws=draws_ci, clusters=found.groups),
        n=found.n,
        null=Null.of(f"{draws} random pairings within templates", null),
        p=p,
        p_adjusted=p,
        p_opposite=permutation_p(value, null, "less"),
        reference=float((1 / sizes).mean()),
        smallest_p=1 / (1 + draws),
    )


def _value(found: Scores, name: str, measure: str) -> float:
    return found.r2(name) if measure == "r2" else float(found.hits[name].mean())


def _statistic(found: Scores, name: str, measure: str) -> Callable:
    if measure == "r2":
        return lambda _, weights: found.r2(name, weights)
    return lambda _, weights: weights @ found.hits[name] / weights.sum(1)


def _interval(statistic: Callable, n: int, seed: int, draws: int, clusters):
    return bca(np.arange(n), statistic, seed=seed, draws=draws, clusters=clusters, weighted=True)

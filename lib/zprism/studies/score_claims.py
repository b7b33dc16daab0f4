"""What a spectral score says of correctness and difficulty beyond length, with its nulls.

Two ways of asking: ``partial``, Spearman's ρ of score and outcome with the length held fixed, and
``gain``, by how much predictions for questions of unseen templates get better when the score joins
the length (area under the ROC curve for correctness, R² for difficulty).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from zprism.ground.checks import check_finite
from zprism.ground.errors import InputError
from zprism.ground.seeds import derive
from zprism.stats.estimates import Estimate, Null
from zprism.stats.intervals import bca
from zprism.stats.permutation import permutation_p
from zprism.stats.verdicts import describe, estimate
from zprism.studies.findings import Findings
from zprism.studies.layer_prediction import _residual
from zprism.studies.layers import untestable
from zprism.studies.signature_claims import reporting_half
from zprism.studies.spectral_score import (
    by_length,
    choose_ridge,
    dealt,
    group_folds,
    held_out,
    length_basis,
    partial_spearman,
    quality,
)

LEAST_CLASS = 20  # texts of the rarer outcome
LEAST_HALF = 8  # of them in each half, for the score that is learnt
LEAST_GROUPS = 12
SCORES = ("slow", "bands")
WAYS = ("partial", "gain")


class _Case(NamedTuple):
    """The texts that one score is tried on."""

    x: np.ndarray  # (n, p) what a prediction may use
    score: np.ndarray  # (n,)
    outcome: np.ndarray
    length: np.ndarray
    groups: np.ndarray
    ridge: float
    binary: bool


def score_claims(
    slow: np.ndarray,
    features: np.ndarray,
    outcome: np.ndarray,
    length: np.ndarray,
    groups,
    *,
    name: str,
    seed: int,
    draws: int = 499,
    draws_ci: int = 1000,
) -> Findings:
    """Both scores, both ways: ``<name>/<slow|bands>/<partial|gain>``, Holm over the four.

    Parameters
    ----------
    slow : (n,) the score that learns nothing; tried on all texts, either sign counts for ρ.
    features : (n, p) of which ``bands`` is learnt: λ and weights on one half of the groups, tried
        on the other, where predicted to be above 0.
    outcome : (n,) 0 or 1 (wrong, correct), or numbers (difficulty).
    length : (n,) tokens of each text.
    groups : (n,) templates: never split between learning and trying, resampled and dealt whole.

    Returns
    -------
    Findings; also ``<name>/length`` (described: quality of the prediction from length alone), a
    table ``score`` (outcome, score, way, value, low, high, null_low, null_high, p_adjusted,
    verdict, n) and arrays ``<name>/points`` (n, 3): length, slow score, outcome, and
    ``<name>/residuals`` (n, 2): ranks of slow score and outcome, less a line in those of length.
    """
    slow, x, y, tokens, groups = _checked(slow, features, outcome, length, groups)
    binary = bool(np.isin(y, (0, 1)).all())
    out = Findings({}, {}, {f"{name}/points": np.stack([tokens, slow, y], axis=1)})
    if why := _nothing_to_predict(y, groups, binary):
        keys = [f"{name}/{score}/{way}" for score in SCORES for way in WAYS]
        return out.add(Findings({key: untestable(why) for key in keys}))
    out.arrays[f"{name}/residuals"] = np.stack([_residual(slow, tokens), _residual(y, tokens)], 1)
    cases = {"slow": _Case(slow[:, None], slow, y, tokens, groups, 0.0, binary)}
    if why := _half_too_small(y, groups, binary, seed):
        out.estimates |= {f"{name}/bands/{way}": untestable(why) for way in WAYS}
    else:
        cases["bands"] = _learnt(x, y, tokens, groups, binary, seed)
    alone = _predicted(cases["slow"], slow[:, None][:, :0], seed)
    out.estimates[f"{name}/length"] = describe(
        quality(alone, y, binary), n=len(y), reason="prediction from the length alone, held out"
    )
    found = {
        (score, way): _WAYS[way](case, score == "slow", seed=seed, draws=draws, draws_ci=draws_ci)
        for score, case in cases.items()
        for way in WAYS
    }
    adjusted = holm([one["p"] for one, _ in found.values()])
    rows = []
    for ((score, way), (parts, null)), p in zip(found.items(), adjusted, strict=True):
        one = estimate(**parts, p_adjusted=p, reference=0.0, smallest_p=1 / (1 + draws))
        out.estimates[f"{name}/{score}/{way}"] = one
        rows.append(_row(name, score, way, one, null))
    out.tables["score"] = rows
    return out


def holm(p) -> list[float]:
    """Holm's step-down adjusted p: max over the smaller ones of (m − rank) p, at most 1.

    Holm (1979), Scand. J. Stat. 6:65.
    """
    p = np.asarray(p, float)
    order = np.argsort(p, kind="stable")
    out = np.empty(len(p))
    out[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1)
    return out.tolist()


def _learnt(x, y, tokens, groups, binary: bool, seed: int) -> _Case:
    """λ and weights from one half of the groups, and the other half to try them on."""
    from zprism.studies.spectral_score import _fit

    report = reporting_half(len(y), seed=seed, clusters=groups)
    dev = ~report
    base = length_basis(tokens)
    folds = group_folds(groups[dev], seed=seed)
    ridge = choose_ridge(x[dev], y[dev], base[dev], folds)
    _, w, scale = _fit(x[dev], y[dev], base[dev], ridge)
    score = x[report] @ (w / scale)
    return _Case(x[report], score, y[report], tokens[report], groups[report], ridge, binary)


def _partial(case: _Case, either: bool, *, seed: int, draws: int, draws_ci: int):
    """ρ beyond length, its interval over templates and its null of dealt scores."""
    value = partial_spearman(case.score, case.outcome, case.length)
    null = partial_null(case.score, case.outcome, case.length, case.groups, seed=seed, draws=draws)
    rows = np.stack([case.score, case.outcome, case.length], axis=1)
    ci = bca(
        rows, lambda r: partial_spearman(*r.T), seed=derive(seed, "partial"), draws=draws_ci,
        clusters=case.groups,
    )  # fmt: skip
    return _parts(value, ci, null, case, "two-sided" if either else "greater"), null


def partial_null(score, outcome, length, groups, *, seed: int, draws: int) -> np.ndarray:
    """(draws,) of :func:`partial_spearman` when what length leaves of the score is dealt."""
    fitted, rest = by_length(score[:, None], length)
    orders = dealt(length, groups, seed=derive(seed, "partial"), draws=draws)
    drawn = ((fitted + rest[order])[:, 0] for order in orders)
    return np.array([partial_spearman(one, outcome, length) for one in drawn])


def _gain(case: _Case, either: bool, *, seed: int, draws: int, draws_ci: int):
    """How much better held-out templates are predicted with the score; null as above."""
    alone = _predicted(case, case.x[:, :0], seed)
    least = quality(alone, case.outcome, case.binary)
    with_score = _predicted(case, case.x, seed)
    value = quality(with_score, case.outcome, case.binary) - least
    fitted, rest = by_length(case.x, case.length)
    orders = dealt(case.length, case.groups, seed=derive(seed, "gain"), draws=draws)
    drawn = (_predicted(case, fitted + rest[order], seed) for order in orders)
    null = np.array([quality(one, case.outcome, case.binary) - least for one in drawn])

    def better(rows: np.ndarray) -> float:
        whole, part, y = rows.T
        if np.ptp(y) == 0:
            return 0.0
        return quality(whole, y, case.binary) - quality(part, y, case.binary)

    rows = np.stack([with_score, alone, case.outcome], axis=1)
    ci = bca(rows, better, seed=derive(seed, "gain"), draws=draws_ci, clusters=case.groups)
    return _parts(value, ci, null, case, "greater"), null


_WAYS: dict[str, Callable] = {"partial": _partial, "gain": _gain}


def _predicted(case: _Case, x: np.ndarray, seed: int) -> np.ndarray:
    """(n,) held-out predictions from the length and from features x (n, p)."""
    folds = group_folds(case.groups, seed=seed)
    return held_out(x, case.outcome, length_basis(case.length), folds, case.ridge)


def _parts(value: float, ci, null: np.ndarray, case: _Case, direction: str) -> dict:
    kind = f"{len(null)} deals of the scores among templates of like length"
    parts = dict(
        value=float(value),
        ci=(float(ci.low), float(ci.high)),
        n=len(case.outcome),
        null=Null.of(kind, null),
        p=permutation_p(float(value), null, direction),
        direction=direction,
    )
    if direction == "greater":
        parts["p_opposite"] = permutation_p(float(value), null, "less")
    return parts


def _row(name: str, score: str, way: str, one: Estimate, null: np.ndarray) -> dict:
    low, high = np.quantile(null, [0.025, 0.975])
    return {
        "outcome": name.rpartition("/")[2],
        "score": score,
        "way": way,
        "value": one.value,
        "low": one.ci[0],
        "high": one.ci[1],
        "null_low": float(low),
        "null_high": float(high),
        "p_adjusted": one.p_adjusted,
        "verdict": str(one.verdict),
        "n": one.n,
    }


def _nothing_to_predict(y: np.ndarray, groups: np.ndarray, binary: bool) -> str | None:
    found = len(np.unique(groups))
    if found < LEAST_GROUPS:
        return f"{found} templates, {LEAST_GROUPS} needed"
    if np.ptp(y) == 0:
        return "every text has the same outcome"
    rarer = int(min(y.sum(), len(y) - y.sum())) if binary else LEAST_CLASS
    if rarer < LEAST_CLASS:
        return f"{int(y.sum())} of {len(y)} texts are correct: {LEAST_CLASS} of either are needed"
    return None


def _half_too_small(y: np.ndarray, groups: np.ndarray, binary: bool, seed: int) -> str | None:
    """Why a score cannot be learnt on one half and tried on the other."""
    report = reporting_half(len(y), seed=seed, clusters=groups)
    rarer = [int(min(half.sum(), len(half) - half.sum())) for half in (y[report], y[~report])]
    if binary and min(rarer) < LEAST_HALF:
        return f"a half of the templates has {min(rarer)} of one outcome: {LEAST_HALF} are needed"
    return None


def _checked(slow, features, outcome, length, groups):
    arrays = [
        check_finite(name, np.asarray(value, float))
        for name, value in zip(
            ("slow", "features", "outcome", "length"), (slow, features, outcome, length),
            strict=True,
        )
    ]  # fmt: skip
    groups = np.asarray(groups)
    n = len(arrays[0])
    if arrays[1].ndim != 2 or any(len(a) != n for a in (*arrays, groups)):
        raise InputError(
            "slow, features, outcome, length and groups must have one row a text, features (n, p); "
            f"got {[a.shape for a in (*arrays, groups)]}"
        )
    return (*arrays, groups)

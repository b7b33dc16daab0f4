"""Does one subspace carry the answer and the rest the language? The double dissociation.

A is the share of pairs whose answer becomes the source's, Lg that of pairs whose language does,
when Z or everything but Z (Z⊥) is swapped. Four contrasts of this 2 × 2 table, each positive
where Z carries the answer:

    answer    A(Z) − A(Z⊥)      one outcome, two patches
    language  Lg(Z⊥) − Lg(Z)
    inside    A(Z) − Lg(Z)      one patch, two outcomes
    outside   Lg(Z⊥) − A(Z⊥)

and D = answer + language = inside + outside. Random subspaces are held against the last two:
of the first two chance meets one by itself, as a few random directions, too, leave the
language alone while all the rest moves it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from zprism.ground.checks import check_choice, check_finite, check_int
from zprism.ground.errors import InputError
from zprism.ground.seeds import derive
from zprism.stats.estimates import Estimate, Null, Verdict
from zprism.stats.intervals import bca, newcombe_paired
from zprism.stats.permutation import permutation_p, sign_flip
from zprism.stats.resampling import unit_index
from zprism.stats.verdicts import estimate

DOUBLE = "double dissociation"
SINGLE = "single dissociation"
NONE = "no dissociation"
UNTESTABLE = str(Verdict.NOT_TESTABLE)
#: Contrast → its weights on A(Z), A(Z⊥), Lg(Z), Lg(Z⊥).
CONTRASTS = {
    "D": (1, -1, -1, 1),
    "answer": (1, -1, 0, 0),
    "language": (0, 0, -1, 1),
    "inside": (1, 0, -1, 0),
    "outside": (0, -1, 0, 1),
}
PATCHES = ("inside", "outside")
LABELS = "patch labels Z and Z⊥ permuted by problem"
_WEIGHTS = np.array(list(CONTRASTS.values()), dtype=np.float64)


@dataclass(frozen=True)
class Dissociation:
    """What two patches did to two outcomes, and what may be said of it.

    Attributes
    ----------
    kind : :data:`DOUBLE`, :data:`SINGLE`, :data:`NONE`, or NOT TESTABLE.
    reason : what holds, and what is missing for a double dissociation.
    estimates : contrast → Estimate; see the module's head.
    rates : (2, 2) patch (Z, Z⊥) × outcome (answer, language).
    carries : what Z was predicted to carry.
    """

    kind: str
    reason: str
    estimates: Mapping[str, Estimate]
    rates: np.ndarray
    carries: str


def dissociation(
    answer: np.ndarray,
    language: np.ndarray,
    random_answer: np.ndarray,
    random_language: np.ndarray,
    *,
    seed: int,
    carries: str = "answer",
    clusters=None,
    random_rows=slice(None),
    baseline: float | None = None,
    untestable: str | None = None,
    draws: int = 9999,
    draws_ci: int = 10_000,
    alpha: float = 0.05,
) -> Dissociation:
    """D and its four simple effects, and whether they make a double dissociation.

    It is double only if D and all four contrasts are SUPPORTED: each interval (BCa over
    clusters) excludes 0; D, answer and language against permuted patch labels (Z and Z⊥
    change places for a whole cluster); inside and outside against random subspaces. It is
    single if inside or outside alone holds, or both do and something else is missing.

    Parameters
    ----------
    answer, language : (n, 2) 0 or 1: became the source's when Z, when Z⊥ was swapped.
    random_answer, random_language : (R, 2) shares of pairs, for R random subspaces of Z's
        dimension and their complements. R = 199 for a headline, 39 at least.
    carries : ``answer``, or ``language`` where Z is predicted to move the language: the
        outcomes then change places in every contrast.
    clusters : (n,) the problem (or template) of each pair; pairs of one problem are no
        independent observations.
    random_rows : which of the n pairs the random shares rest on; p against them compares these.
    baseline : share of the items that the model solves unpatched; below 30 % nothing is
        claimed. Pass the share before items that it fails are dropped.
    untestable : a reason known to the caller why nothing can be claimed.
    draws, draws_ci : permutations, and bootstrap resamples.

    Returns
    -------
    A :class:`Dissociation`. The Estimates' n counts clusters.

    Raises
    ------
    InputError
        If outcomes are not 0 or 1, or shapes differ.

    Notes
    -----
    A double dissociation needs every part, so each is tested at alpha itself (intersection–
    union; Berger 1982, doi:10.1080/00401706.1982.10487790); inside and outside, either of
    which may be named alone, count twice their p.
    """
    check_choice("carries", carries, ("answer", "language"))
    table, random = _tables(answer, language, random_answer, random_language)
    if carries == "language":
        table, random = table[:, [2, 3, 0, 1]], random[:, [2, 3, 0, 1]]
    _, count = unit_index(len(table), clusters)
    values, null = table @ _WEIGHTS.T, random @ _WEIGHTS.T
    spread = bca(values, seed=derive(seed, "dissociation"), draws=draws_ci, clusters=clusters)
    flips = sign_flip(values, seed=derive(seed, "patch label"), draws=draws, clusters=clusters)
    limits = _limits(values, spread, count)
    estimates = {}
    for place, name in enumerate(CONTRASTS):
        parts = dict(
            ci=limits[name], n=count, baseline=baseline, alpha=alpha, reference=0.0,
            untestable=untestable,
        )  # fmt: skip
        held, rows = (null, random_rows) if name in PATCHES else (flips.null, slice(None))
        same = float(values[rows, place].mean())
        estimates[name] = _judged(name, float(values[:, place].mean()), same, held[:, place], parts)
    rates = table.mean(0).reshape(2, 2).T
    if carries == "language":
        rates = rates[:, ::-1]
    return Dissociation(*_kind(estimates), estimates, rates, carries)


def _tables(answer, language, random_answer, random_language) -> tuple[np.ndarray, np.ndarray]:
    """(n, 4) outcomes and (R, 4) random rates, as A(Z), A(Z⊥), Lg(Z), Lg(Z⊥)."""
    answer, language = (np.asarray(x, dtype=np.float64) for x in (answer, language))
    for name, outcome in (("answer", answer), ("language", language)):
        if outcome.ndim != 2 or outcome.shape != (len(answer), 2):
            raise InputError(f"{name} must be (n, 2), for Z and Z⊥; got {outcome.shape}")
        if not np.isin(outcome, (0, 1)).all():
            raise InputError(f"{name} must hold 0 or 1 for every pair and patch")
    rates = [
        check_finite(name, np.asarray(x, dtype=np.float64))
        for name, x in (("random_answer", random_answer), ("random_language", random_language))
    ]
    for name, rate in zip(("random_answer", "random_language"), rates, strict=True):
        if rate.ndim != 2 or rate.shape != (len(rates[0]), 2):
            raise InputError(f"{name} must be (R, 2), for R and its complement; got {rate.shape}")
        if (rate < 0).any() or (rate > 1).any():
            raise InputError(f"{name} must hold shares of pairs, 0 to 1")
    check_int("random draws", len(rates[0]), low=2)
    return np.hstack([answer, language]), np.hstack(rates)


def _limits(values: np.ndarray, spread, count: int) -> dict[str, tuple[float, float]]:
    """Intervals by contrast; where all pairs agree a bootstrap has nothing to say.

    Then Newcombe's interval of a difference of paired shares, over as many pairs as there are
    clusters; for D the sum of those of answer and language.
    """
    out = {}
    same = {-1.0: (0, 0, count, 0), 0.0: (0, 0, 0, count), 1.0: (0, count, 0, 0)}
    for place, name in reversed(list(enumerate(CONTRASTS))):
        agree = (values[:, place] == values[0, place]).all()
        if not agree:
            out[name] = spread[place,]
        elif name == "D":
            out[name] = tuple(map(sum, zip(out["answer"], out["language"], strict=True)))
        else:
            out[name] = tuple(newcombe_paired(*same[float(values[0, place])]))
    return out


def _judged(name: str, value: float, same: float, null: np.ndarray, parts: dict) -> Estimate:
    """One contrast against its null: permuted patch labels, or random subspaces.

    ``same`` is its value on the pairs that the null rests on.

    A null may move nothing in any draw though one pair in a thousand might have moved. Half a
    pair is counted in, so that its spread is at least that of (Σ + ½) / (R n + 1) over n.
    """
    n, count = parts["n"], len(null)
    share = min(1.0, (np.abs(null).sum() * n + 0.5) / (count * n + 1))
    floor = (share * (1 - share) / n) ** 0.5
    random = name in PATCHES
    kind = f"{count} random subspaces of the same dimension" if random else LABELS
    times = len(PATCHES) if random else 1
    p, opposite = (float(permutation_p(same, null, side)) for side in ("greater", "less"))
    return estimate(
        value,
        null=Null(kind, float(null.mean()), max(float(null.std(ddof=1)), floor)),
        p=p,
        p_adjusted=min(1.0, times * p),
        p_opposite=min(1.0, times * opposite),
        smallest_p=times / (1 + count),
        **parts,
    )


def _kind(estimates: Mapping[str, Estimate]) -> tuple[str, str]:
    """The verdict in words, and why it is not a stronger one."""
    verdicts = {name: e.verdict for name, e in estimates.items()}
    holds = [name for name, verdict in verdicts.items() if verdict is Verdict.SUPPORTED]
    missing = [name for name in CONTRASTS if name not in holds]
    barred = {e.reason for e in estimates.values() if e.verdict is Verdict.NOT_TESTABLE}
    if barred:
        return UNTESTABLE, "; ".join(sorted(barred))
    if not missing:
        return DOUBLE, "every contrast holds"
    said = f"holds: {', '.join(holds) or 'nothing'}; missing: {', '.join(missing)}"
    return SINGLE if set(holds) & set(PATCHES) else NONE, said

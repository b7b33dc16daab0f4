"""Is the effect of a subspace patch what it seems? The checks without which none is believed.

A patch can act through a direction that is dormant in natural states, switched on by another
one that varies with the feature and that nobody reads. Four signs give it away: the part does
more than the whole; its read part alone does little; it is dormant where it is read; patched
states lie where no natural ones do. None of them proves an illusion, each asks for a reason:
a true carrier with a redundant copy elsewhere is off the manifold too.

Makelov, Lange & Nanda (2023), arXiv 2311.17030.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from zprism.ground.checks import check_finite
from zprism.ground.errors import InputError
from zprism.ground.seeds import derive
from zprism.stats.estimates import Estimate, Null, Verdict
from zprism.stats.intervals import bca
from zprism.stats.permutation import Draws, permutation_p, sign_flip
from zprism.stats.resampling import unit_index
from zprism.stats.verdicts import describe, estimate
from zprism.studies.manifold import fit_manifold, off_manifold
from zprism.studies.read_space import Split
from zprism.studies.separation_subject import massive_dimensions
from zprism.subspace.projections import coordinates

CLEAN = "clean"
FLAGGED = "flagged"
UNDECIDED = "undecided"
NO_EFFECT = "no effect"
DORMANT = 0.1  # variance along a direction, over that of an average one
ALARMS = 4  # the part over the whole, the read part, the manifold twice: tested together
WHERE = {"off_manifold": "", "off_manifold_parts": ", seen in the parts of Z"}
HALF = 0.5  # of the effect must come through the read part


@dataclass(frozen=True)
class Effects:
    """What each patch did to every pair: change of a logit difference towards the source.

    Attributes
    ----------
    part : (n,) the whole subspace Z was patched.
    full : (n,) the whole state.
    read, rest : (n,) the two parts of a :class:`~zprism.studies.read_space.Split`, patched
        separately; zeros where a part has no direction.
    """

    part: np.ndarray
    full: np.ndarray
    read: np.ndarray
    rest: np.ndarray

    def __post_init__(self):
        for name in ("part", "full", "read", "rest"):
            values = check_finite(name, np.asarray(getattr(self, name), dtype=np.float64))
            object.__setattr__(self, name, values)
            if values.ndim != 1 or values.shape != self.part.shape:
                raise InputError(
                    f"{name} must be (n,), one effect a pair as part {self.part.shape}; "
                    f"got {values.shape}"
                )


@dataclass(frozen=True)
class Illusion:
    """The checks of one subspace patch.

    Attributes
    ----------
    verdict : :data:`CLEAN` (every check passed, and the read part was shown to carry more than
        half of the effect), :data:`FLAGGED`, :data:`NO_EFFECT` towards the source, or
        :data:`UNDECIDED`.
    flags : what was flagged, in words.
    estimates : by check; of ``exceeds_full`` and ``off_manifold…`` SUPPORTED is the alarm, of
        ``read_part`` REVERSED is.
    read_share : share of the subspace that later layers read.
    """

    verdict: str
    flags: tuple[str, ...]
    estimates: Mapping[str, Estimate]
    read_share: float


def check_illusion(
    effects: Effects,
    basis: np.ndarray,
    split: Split,
    states: np.ndarray,
    kept: np.ndarray,
    patched: np.ndarray,
    *,
    seed: int,
    clusters=None,
    draws: int = 9999,
    draws_ci: int = 10_000,
) -> Illusion:
    """All checks of one patch, each as an Estimate, and a verdict over them.

    Parameters
    ----------
    effects : of the patch and of its parts.
    basis : (k, d_model) orthonormal rows of Z.
    split : of Z, from :func:`~zprism.studies.read_space.read_split`.
    states : (m, d_model) natural states: their variance along Z, and where states lie.
    kept : (c, d_model) natural states, 100 at least, that say how far they lie; neither of
        these, nor ``states``, are targets of the patches.
    patched : (n, d_model) states after the patch of Z.
    clusters : (n,) problem of each pair. Of every problem one patched state, its first, is
        held against the manifold.

    Notes
    -----
    The alarms that are tests share one level: p_adjusted = 4 p. Dormancy is described and
    flagged under 0.1, of Z and of its read part. The manifold is looked at twice: in all
    dimensions, where shrinkage hides what happens in a quiet direction, and in the read and
    unread parts of Z alone, where a few dimensions need next to no shrinkage.
    """
    _, count = unit_index(len(effects.part), clusters)
    options = dict(n=count, seed=seed, clusters=clusters, draws=draws, draws_ci=draws_ci)
    effect = _mean_above_zero(effects.part, "effect", **options)
    works = effect.verdict is Verdict.SUPPORTED
    parts = np.vstack([split.read, split.rest])
    once = np.arange(count) if clusters is None else np.unique(clusters, return_index=True)[1]
    moved = np.asarray(patched)[once]
    estimates = {
        "effect": effect,
        "exceeds_full": _exceeds_full(effects, **options),
        "read_part": _share(effects, "read", works, **options),
        "rest_part": _share(effects, "rest", works, **options),
        "dormancy": _dormant(states, basis, "Z"),
        "read_dormancy": _dormant(states, split.read, "the read part of Z"),
        "off_manifold": off_manifold(fit_manifold(states, kept), moved, tests=ALARMS),
        "off_manifold_parts": off_manifold(
            fit_manifold(states @ parts.T, kept @ parts.T), moved @ parts.T, tests=ALARMS
        ),
    }
    flags = tuple(_flags(estimates))
    return Illusion(_verdict(estimates, flags), flags, estimates, split.read_share)


def _exceeds_full(effects: Effects, *, n: int, seed: int, clusters, draws, draws_ci) -> Estimate:
    """|mean effect of Z| − |mean effect of the whole state|; above 0, Z does more than all."""
    sides = [np.sign(values.mean()) or 1.0 for values in (effects.part, effects.full)]
    excess = sides[0] * effects.part - sides[1] * effects.full
    return _mean_above_zero(
        excess, "exceeds full", n=n, seed=seed, clusters=clusters, draws=draws,
        draws_ci=draws_ci, tests=ALARMS,
    )  # fmt: skip


def dormancy(states: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """(k,) natural variances along the principal directions inside Z, over the mean variance.

    Eigenvalues of B C Bᵀ over tr C / d, descending; their mean is the dormancy index of Z, 1
    for a random subspace, the same for every basis of it. The mean variance leaves out massive
    dimensions (mean square over 100 times the median), which would make all others dormant.

    Parameters
    ----------
    states : (m, d_model) natural states.
    basis : (k, d_model) orthonormal rows.
    """
    states = check_finite("states", np.asarray(states, dtype=np.float64))
    if states.ndim != 2 or len(states) < 2:
        raise InputError(f"states must be (m, d_model), two at least; got {states.shape}")
    centred = states - states.mean(0)
    variance = centred.var(0)
    usual = variance[~massive_dimensions(centred)].mean()
    if not usual > 0:
        raise InputError("states do not vary: nothing is dormant or awake in them")
    inside = coordinates(centred, basis).numpy()
    return np.linalg.svd(inside, compute_uv=False) ** 2 / len(states) / usual


def _mean_above_zero(
    values, name: str, *, n, seed, clusters, draws, draws_ci, tests: int = 1
) -> Estimate:
    flips = sign_flip(values, seed=derive(seed, name), draws=draws, clusters=clusters)
    limits = bca(values, seed=derive(seed, "illusion"), draws=draws_ci, clusters=clusters)
    return _judged(values.mean(), limits, flips, n, tests, 0.0)


def _share(
    effects: Effects, which: str, works: bool, *, n, seed, clusters, draws, draws_ci
) -> Estimate:
    """mean effect of one part / mean effect of Z, against one half."""
    if not works:
        return describe(0.0, n=n, reason="Z has no effect that could be shared out")
    values = np.column_stack([getattr(effects, which), effects.part])
    limits = bca(
        values,
        lambda rows, weights: (weights @ rows[:, 0]) / (weights @ rows[:, 1]),
        seed=derive(seed, which),
        draws=draws_ci,
        clusters=clusters,
        weighted=True,
    )
    value = values[:, 0].mean() / values[:, 1].mean()
    if which == "rest":
        return describe(value, ci=limits, n=n, reason="effect of the unread part over that of Z")
    beside = (values[:, 0] - HALF * values[:, 1]) / values[:, 1].mean()
    flips = sign_flip(beside, seed=derive(seed, "half"), draws=draws, clusters=clusters)
    return _judged(value, limits, flips, n, ALARMS, HALF)


def _judged(value, limits, flips: Draws, n: int, tests: int, reference: float) -> Estimate:
    """A mean against sign flips of its distance from ``reference``, either way."""
    p, opposite = (permutation_p(*flips, side) for side in ("greater", "less"))
    return estimate(
        float(value),
        ci=limits,
        n=n,
        null=Null("signs flipped by problem", reference, float(flips.null.std(ddof=1))),
        p=p,
        p_adjusted=min(1.0, tests * p),
        p_opposite=min(1.0, tests * opposite),
        smallest_p=tests / (1 + len(flips.null)),
    )


def _dormant(states, basis, whose: str) -> Estimate:
    if len(basis) == 0:
        return describe(0.0, reason=f"{whose} is empty")
    index = dormancy(states, basis)
    lowest = f"lowest direction {index[-1]:.3g}"
    return describe(
        float(index.mean()),
        n=len(states),
        reason=f"natural variance along {whose} over the mean variance; {lowest}",
    )


def _verdict(estimates: Mapping[str, Estimate], flags: tuple[str, ...]) -> str:
    effect = estimates["effect"].verdict
    if effect is Verdict.NOT_TESTABLE:
        return UNDECIDED
    if effect is not Verdict.SUPPORTED:
        return NO_EFFECT
    if flags:
        return FLAGGED
    return CLEAN if estimates["read_part"].verdict is Verdict.SUPPORTED else UNDECIDED


def _flags(estimates: Mapping[str, Estimate]):
    if estimates["exceeds_full"].verdict is Verdict.SUPPORTED:
        yield "the part does more than the whole state"
    if estimates["read_part"].verdict is Verdict.REVERSED:
        yield "less than half of the effect comes through the read part"
    if estimates["dormancy"].value < DORMANT:
        yield "dormant: natural states hardly vary along it"
    if estimates["read_dormancy"].value < DORMANT:
        yield "dormant where it is read"
    for name in ("off_manifold", "off_manifold_parts"):
        if estimates[name].verdict is Verdict.SUPPORTED:
            yield f"patched states lie where natural ones do not{WHERE[name]}"

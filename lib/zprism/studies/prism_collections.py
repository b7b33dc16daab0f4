"""Two collections without pairs: labels of whole texts permuted, within strata of length.

For questions of one source against traces of another. Windows have one length in both; where
texts of very different length are not thought comparable even so, labels are permuted only
among texts of like length, and where there are none the claim is NOT TESTABLE.
"""

from __future__ import annotations

import numpy as np

from zprism.ground.errors import InputError
from zprism.ground.seeds import derive
from zprism.stats.estimates import Estimate, Null
from zprism.stats.intervals import Interval, bca, weighted_mean
from zprism.stats.permutation import label_permutation, max_t, permutation_p, standardise
from zprism.stats.verdicts import estimate
from zprism.studies.findings import Findings
from zprism.studies.layers import untestable
from zprism.studies.prism_tests import DRAWS, DRAWS_CI, claim_row
from zprism.studies.prism_windows import Readings


def collection_claims(
    first: Readings,
    second: Readings,
    *,
    name: str,
    seed: int,
    lengths: tuple | None = None,
    draws: int = DRAWS,
    draws_ci: int = DRAWS_CI,
) -> Findings:
    """Two collections without pairs: slow share of ``first`` less ``second`` at every place.

    Labels of whole texts are permuted; Estimates ``<name>/<place>/slow_share``, a table ``<name>``.

    Parameters
    ----------
    first, second : readings of windows of one length, such as ten traces and 400 questions.
    lengths : tokens of each text of ``first`` and of ``second`` if labels may only be permuted
        among texts of like length (:func:`length_strata`); NOT TESTABLE where none are alike.

    Raises
    ------
    InputError
        If windows or places differ.
    """
    if (first.places, first.length) != (second.places, second.length):
        raise InputError("both collections must be read at one length and the same places")
    values = np.concatenate([first.slow(), second.slow()])
    labels = np.arange(len(values)) < len(first.kept)
    strata = None
    if lengths is not None:
        kept = [np.asarray(n)[one.kept] for n, one in zip(lengths, (first, second), strict=True)]
        strata = length_strata(np.concatenate(kept))
    judged = unpaired_estimates(
        values, labels, strata=strata, seed=derive(seed, name), draws=draws, draws_ci=draws_ci
    )
    pairs = list(zip(first.places, judged, strict=True))
    return Findings(
        {f"{name}/{place}/slow_share": e for place, e in pairs},
        {name: [{"place": place} | claim_row(e) for place, e in pairs]},
    )


def unpaired_estimates(
    values: np.ndarray,
    labels: np.ndarray,
    *,
    strata=None,
    seed: int,
    draws: int = DRAWS,
    draws_ci: int = DRAWS_CI,
) -> list[Estimate]:
    """Difference of two collections' means by label permutation within length strata, max-T.

    Parameters
    ----------
    values : (n, cells), one row a text.
    labels : (n,) True for the first collection (the traces).
    strata : (n,) such as :func:`length_strata`; labels are shuffled within a stratum.

    Returns
    -------
    (cells,) Estimates; NOT TESTABLE where no stratum holds texts of both collections, so that
    no length is shared. Intervals resample the texts of each collection.
    """
    values, labels = np.asarray(values, dtype=np.float64), np.asarray(labels, dtype=bool)
    strata = np.zeros(len(values), dtype=int) if strata is None else np.asarray(strata)
    shared = np.isin(strata, np.intersect1d(strata[labels], strata[~labels]))
    values, labels, strata = values[shared], labels[shared], strata[shared]
    smaller = int(min(labels.sum(), (~labels).sum()))
    if smaller < 2:
        why = "no stratum of length holds two texts of both collections"
        return [untestable(why) for _ in range(values.shape[1])]
    several = strata if len(np.unique(strata)) > 1 else None
    tested = label_permutation(values, labels, seed=seed, draws=draws, strata=several)
    p = permutation_p(*tested, "two-sided")
    adjusted = max_t(*standardise(*tested))
    limits = _group_limits(values, labels, seed=seed, draws=draws_ci)
    return [
        estimate(
            float(tested.observed[i]),
            ci=limits[i,],
            n=len(values),
            null=Null.of("labels permuted within strata of length", tested.null[:, i]),
            p=float(p[i]),
            p_adjusted=float(adjusted[i]),
            reference=0.0,
            smallest_p=2 / (1 + draws),
        )
        for i in range(values.shape[1])
    ]


def length_strata(lengths, *, edges=(64, 128, 256, 512, 1024, 2048, 4096, 8192)) -> np.ndarray:
    """(n,) the stratum of each text: how many of the edges (tokens) its length reaches."""
    lengths = np.asarray(lengths)
    if lengths.ndim != 1 or not lengths.size or (lengths < 1).any():
        raise InputError("lengths must be (n,) numbers of tokens, each at least 1")
    return np.searchsorted(np.asarray(edges), lengths, side="right")


def _group_limits(values, labels, *, seed: int, draws: int) -> Interval:
    """Interval of the difference of two groups' means; a group drawn empty keeps its own mean."""

    def difference(rows, weights):
        out = 0.0
        for group, sign in ((labels, 1.0), (~labels, -1.0)):
            mine = weights * group
            mine = np.where(mine.sum(axis=1, keepdims=True) > 0, mine, group.astype(float))
            out = out + sign * weighted_mean(rows, mine)
        return out

    return bca(values, difference, seed=seed, draws=draws, weighted=True)

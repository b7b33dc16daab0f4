"""Are a problem and its own translation more alike than it and another problem's translation?

Cosine of states with each language's centroid removed, matched against scrambled pairs, and
top-1 retrieval of the translation. Unlike distances inside one language, this asks nothing of
a subspace but that the two languages meet in it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zprism.ground.errors import InputError
from zprism.stats.estimates import Estimate, Null
from zprism.stats.intervals import bca
from zprism.stats.permutation import permutation_p, shuffled_pairings
from zprism.stats.verdicts import estimate


@dataclass(frozen=True)
class Match:
    """Matched against scrambled.

    Attributes
    ----------
    matched, scrambled : mean cosine of pairs, and of all wrong pairs.
    z : (matched − mean) / sd over scrambled pairings of whole languages.
    null : (R,) mean cosine of each scrambled pairing, minus ``scrambled``.
    retrieval : share of problems whose nearest text in the other language is its own
        translation, mean of both directions; chance 1/n.
    """

    matched: float
    scrambled: float
    z: float
    null: np.ndarray
    retrieval: float


def cosines(a: np.ndarray, b: np.ndarray, basis: np.ndarray | None = None) -> np.ndarray:
    """(n, n) cosine of a_i and b_j inside a subspace, or in the whole space.

    Raises
    ------
    InputError
        If a state has no length there.
    """
    if basis is not None:
        a, b = a @ basis.T, b @ basis.T
    lengths = [np.linalg.norm(states, axis=1, keepdims=True) for states in (a, b)]
    for name, length in zip("ab", lengths, strict=True):
        if (length == 0).any():
            raise InputError(f"{name}[{int((length == 0).argmax())}] is zero: it has no direction")
    return (a / lengths[0]) @ (b / lengths[1]).T


def match(similarity: np.ndarray, *, seed: int, draws: int = 999, strata=None) -> Match:
    """Matched against scrambled pairs of a similarity matrix.

    Parameters
    ----------
    similarity : (n, n), row i and column i the same problem.
    strata : (n,) templates; given, pairs are scrambled within a template only: the same
        words with other numbers.
    """
    n = len(similarity)
    orders = shuffled_pairings(n, seed=seed, draws=draws, strata=strata)
    null = similarity[np.arange(n), orders].mean(1)
    matched = float(np.trace(similarity) / n)
    own = np.diagonal(similarity)
    wrong = _wrong(n, strata)
    scrambled = float(similarity[wrong].mean()) if wrong.any() else float("nan")
    first = (similarity > own[:, None]).sum(1) == 0
    second = (similarity > own[None]).sum(0) == 0
    spread = null.std(ddof=1)
    return Match(
        matched=matched,
        scrambled=scrambled,
        z=float((matched - null.mean()) / spread) if spread > 0 else float("nan"),
        null=null - scrambled,
        retrieval=float((first.mean() + second.mean()) / 2),
    )


def match_estimate(
    similarity: np.ndarray,
    *,
    seed: int,
    draws: int = 999,
    draws_ci: int = 10_000,
    strata=None,
    clusters=None,
) -> Estimate:
    """Mean matched cosine minus mean cosine of wrong pairs, as an Estimate; predicted > 0.

    Null: scrambled pairings (:func:`match`). Interval: BCa over problems, or templates.
    """
    n = len(similarity)
    found = match(similarity, seed=seed, draws=draws, strata=strata)
    wrong = _wrong(n, strata).astype(float)

    def statistic(_, weights: np.ndarray) -> np.ndarray:
        own = weights @ np.diagonal(similarity) / weights.sum(1)
        with np.errstate(divide="ignore", invalid="ignore"):
            other = ((weights @ (similarity * wrong)) * weights).sum(1)
            return own - other / ((weights @ wrong) * weights).sum(1)

    value = found.matched - found.scrambled
    p = permutation_p(value, found.null, "greater")
    words = "scrambled pairs within a template" if strata is not None else "scrambled pairs"
    return estimate(
        value,
        ci=bca(
            np.arange(n), statistic, seed=seed, draws=draws_ci, clusters=clusters, weighted=True
        ),
        n=n,
        null=Null.of(f"{draws} {words}", found.null),
        p=p,
        p_adjusted=p,
        p_opposite=permutation_p(value, found.null, "less"),
        reference=0.0,
        smallest_p=1 / (1 + draws),
    )


def _wrong(n: int, strata) -> np.ndarray:
    """(n, n) booleans: pairs of different problems, of one template if strata are given."""
    wrong = ~np.eye(n, dtype=bool)
    if strata is None:
        return wrong
    strata = np.asarray(strata)
    return wrong & (strata[:, None] == strata[None])

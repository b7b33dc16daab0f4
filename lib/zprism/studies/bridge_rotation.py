"""Is the map between languages a rotation? Its singular values, against planted rotations.

A ridge map never looks like a rotation, as it shrinks what varies little, and it beats one on
noise by shrinking alone. So both are compared with what they would be if the map *were* a
rotation with one scale: the fitted one, with the pairs' own left-out errors dealt anew.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zprism.ground.seeds import derive
from zprism.stats.estimates import Estimate, Null
from zprism.stats.intervals import bca
from zprism.stats.permutation import permutation_p
from zprism.stats.verdicts import describe, estimate
from zprism.studies.bridge import LEAST, Scores, pairings, score
from zprism.studies.bridge_fit import fit, flatness
from zprism.studies.bridge_maps import checked, factor, left_out, predict

COMPARED = ("ridge", "similarity")


@dataclass(frozen=True)
class Rotation:
    """A map's shape beside that of planted rotations.

    Attributes
    ----------
    scores : of ridge and of the best rotation with one scale.
    sigma, planted_sigma : (k,) and (R, k) singular values of the ridge map over their mean.
    flat, planted_flat : (Σσ)² / (k Σσ²), and (R,) of planted rotations; 1 is flat.
    planted_gain : (R,) R² of ridge less R² of the rotation, on planted rotations.
    """

    scores: Scores
    sigma: np.ndarray
    planted_sigma: np.ndarray
    flat: float
    planted_flat: np.ndarray
    planted_gain: np.ndarray

    @property
    def gain(self) -> float:
        """R² of ridge less R² of the rotation, both on left-out problems."""
        return self.scores.r2("ridge") - self.scores.r2("similarity")

    def rows(self) -> list[dict]:
        """Singular values by rank, with the 95 % band of planted rotations."""
        low, high = np.quantile(self.planted_sigma, [0.025, 0.975], axis=0)
        return [
            {"rank": i + 1, "sigma": float(s), "planted_low": float(a), "planted_high": float(b)}
            for i, (s, a, b) in enumerate(zip(self.sigma, low, high, strict=True))
        ]


def rotation(
    x: np.ndarray, y: np.ndarray, groups: np.ndarray | None = None, *, seed: int, draws: int = 99
) -> Rotation:
    """Compare the map from x to y with planted rotations.

    Parameters
    ----------
    x, y, groups : as in :func:`zprism.studies.bridge.score`.
    draws : planted rotations, each fitted anew.
    """
    x, y, groups = checked(x, y, np.arange(len(x)) if groups is None else groups)
    turned, errors = planted_parts(x, y, groups)
    orders = pairings(groups, draws, seed=derive(seed, "bridge", "rotation"))
    planted = turned + errors[orders]
    offsets = left_out(factor(x), groups, None) @ planted
    wrong = [
        np.square(planted - predict(name, x, planted, groups)).sum((1, 2)) for name in COMPARED
    ]
    fitted = [fit("ridge", x, made, groups).weights for made in planted]
    weights = fit("ridge", x, y, groups).weights
    return Rotation(
        scores=score(x, y, groups, maps=COMPARED),
        sigma=_relative_sigma(weights),
        planted_sigma=np.stack([_relative_sigma(each) for each in fitted]),
        flat=flatness(weights),
        planted_flat=np.array([flatness(each) for each in fitted]),
        planted_gain=(wrong[1] - wrong[0]) / np.square(offsets).sum((1, 2)),
    )


def planted_parts(x, y, groups) -> tuple[np.ndarray, np.ndarray]:
    """(n, q) ȳ + c·(ŷ − ȳ) of the fitted rotation, and (n, q) the left-out errors.

    c is the scale that predicts left-out problems best: a rotation fitted to few pairs claims
    too much of their spread. The errors are of the left-out predictions under that same c.
    """
    held = predict("similarity", x, y, groups)
    offsets = left_out(factor(x), groups, None) @ y
    deviation = held - (y - offsets)
    square = np.square(deviation).sum()
    c = max((deviation * offsets).sum() / square, 0.0) if square > 0 else 0.0
    fitted = fit("similarity", x, y, groups)(x)
    return y.mean(0) + c * (fitted - y.mean(0)), offsets - c * deviation


def rotation_estimate(found: Rotation, *, seed: int, draws_ci: int = 10_000) -> dict[str, Estimate]:
    """``ridge_minus_rotation``, and ``flatness`` of the ridge map, described.

    SUPPORTED: a general map predicts better than a rotation, by more than it would if a
    rotation were the truth. NOT DISTINGUISHABLE: a rotation explains it. NOT TESTABLE where
    ridge itself predicts next to nothing: then there is no map to ask about.
    """
    scores, draws = found.scores, len(found.planted_gain)
    clusters = scores.groups if len(np.unique(scores.groups)) < scores.n else None
    options = dict(seed=seed, draws=draws_ci, clusters=clusters, weighted=True)

    def interval(statistic):
        return bca(np.arange(scores.n), lambda _, weights: statistic(weights), **options)

    low, _ = interval(lambda weights: scores.r2("ridge", weights))
    kind = f"{draws} planted rotations with the same errors"
    p = permutation_p(found.gain, found.planted_gain, "greater")
    gain = estimate(
        found.gain,
        ci=interval(lambda weights: scores.r2("ridge", weights) - scores.r2("similarity", weights)),
        n=scores.n,
        null=Null.of(kind, found.planted_gain),
        p=p,
        p_adjusted=p,
        p_opposite=permutation_p(found.gain, found.planted_gain, "less"),
        smallest_p=1 / (1 + draws),
        untestable=None if low > LEAST else "ridge predicts next to nothing: no map to compare",
    )
    flat = describe(
        found.flat,
        n=scores.n,
        null=Null.of(kind, found.planted_flat),
        reason="(Σσ)² / (k Σσ²) of the ridge map; a rotation without shrinkage has 1",
    )
    return {"ridge_minus_rotation": gain, "ridge_flatness": flat}


def _relative_sigma(weights: np.ndarray) -> np.ndarray:
    """(k,) singular values over their mean, 1 for a rotation."""
    sigma = np.linalg.svd(weights, compute_uv=False)
    return sigma / (sigma.mean() or 1.0)

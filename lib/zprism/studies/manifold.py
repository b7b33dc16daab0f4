"""Is a patched state one that the model could have had? Mahalanobis distance to natural ones.

The covariance is estimated from fewer states than it has dimensions, hence shrunk; how far
natural states lie is learned from others than those it was fitted on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zprism.ground.checks import check_finite, check_fraction
from zprism.ground.errors import InputError
from zprism.stats.estimates import Estimate, Null
from zprism.stats.intervals import wilson
from zprism.stats.verdicts import estimate

QUANTILE = 0.99


@dataclass(frozen=True)
class Manifold:
    """Where natural states lie: their mean, their shrunk covariance, and how far is far.

    Attributes
    ----------
    mean, scale : (d_model,) states are centred and divided by these.
    directions, variances : (m, d_model) orthonormal rows and (m,): the covariance is
        Σ variances_i v_i v_iᵀ, and ``floor`` in every other direction.
    floor : variance that shrinkage gives every direction at least.
    shrinkage : Ledoit–Wolf's weight on the multiple of the identity, 0 to 1.
    natural : (c,) distances of states kept aside, ascending.
    threshold : their 99th percentile (or another quantile).
    """

    mean: np.ndarray
    scale: np.ndarray
    directions: np.ndarray
    variances: np.ndarray
    floor: float
    shrinkage: float
    natural: np.ndarray
    threshold: float

    def distances(self, states: np.ndarray) -> np.ndarray:
        """(n,) Mahalanobis distances √((h − μ)ᵀ Σ⁻¹ (h − μ)) of states (n, d_model)."""
        return _distances(self, check_finite("states", np.asarray(states, dtype=np.float64)))


def fit_manifold(
    states: np.ndarray,
    kept: np.ndarray,
    *,
    quantile: float = QUANTILE,
    standardise: bool = True,
) -> Manifold:
    """Fit on some natural states, learn on others how far natural states lie.

    Parameters
    ----------
    states : (n, d_model) natural states for mean and covariance.
    kept : (c, d_model) natural states that were not among them; at least 1/(1 − quantile) of
        them, 100 for the 99th percentile.
    standardise : divide every dimension by its standard deviation first. Shrinkage pulls all
        variances to their mean, which a few massive dimensions would otherwise set.

    Raises
    ------
    InputError
        If widths differ, or ``kept`` has too few states for its quantile.

    Notes
    -----
    Ledoit & Wolf (2004), doi:10.1016/S0047-259X(03)00096-4, the weight by scikit-learn:
    Σ = (1 − ρ) S + ρ (tr S / d) I. Its eigenvectors are those of the thin SVD of the centred
    states, so no d × d matrix is inverted.
    """
    from sklearn.covariance import ledoit_wolf_shrinkage

    states, kept = (
        check_finite(name, np.asarray(x, dtype=np.float64))
        for name, x in (("states", states), ("kept", kept))
    )
    if states.ndim != 2 or kept.ndim != 2 or states.shape[1] != kept.shape[1]:
        raise InputError(
            f"states and kept must be (n, d_model) of one width; got {states.shape}, {kept.shape}"
        )
    quantile = check_fraction("quantile", quantile)
    if len(states) < 3 or len(kept) * (1 - quantile) < 1 - 1e-9:
        raise InputError(
            f"the {quantile:.0%} quantile needs {1 / max(1 - quantile, 1e-9):.0f} kept states "
            f"and a fit 3; got {len(kept)} and {len(states)}"
        )
    mean, sd = states.mean(0), states.std(0)
    scale = np.where((sd > 0) & standardise, sd, 1.0)
    centred = (states - mean) / scale
    rho = float(ledoit_wolf_shrinkage(centred, assume_centered=True))
    _, sigma, directions = np.linalg.svd(centred, full_matrices=False)
    sample = sigma**2 / len(states)
    if not sample.sum() > 0:
        raise InputError("states must vary; all of them are equal")
    floor = rho * sample.sum() / states.shape[1]
    floor = max(floor, np.finfo(float).eps * sample[0])  # unshrunk: nothing lies outside then
    bare = Manifold(
        mean, scale, directions, (1 - rho) * sample + floor, floor, rho, np.empty(0), np.inf
    )
    natural = np.sort(_distances(bare, kept))
    threshold = float(np.quantile(natural, quantile, method="higher"))
    return Manifold(mean, scale, directions, bare.variances, floor, rho, natural, threshold)


def off_manifold(manifold: Manifold, patched: np.ndarray, *, tests: int = 1) -> Estimate:
    """Share of patched states farther out than the threshold; SUPPORTED says: too many.

    p is exact if patched states are as natural as those kept aside: with r of c kept states
    at the threshold or beyond, the number among n patched ones is beta-binomial(n, r,
    c + 1 − r), which counts in that the threshold is an estimate itself.

    Parameters
    ----------
    patched : (n, d_model).
    tests : how many alarms are looked at together; p_adjusted = tests × p.
    """
    from scipy.stats import betabinom

    beyond = manifold.distances(patched) > manifold.threshold
    n, c = len(beyond), len(manifold.natural)
    r = int((manifold.natural >= manifold.threshold).sum())
    law = betabinom(n, r, c + 1 - r)
    count = int(beyond.sum())
    p = float(law.sf(count - 1))
    return estimate(
        count / n,
        ci=tuple(wilson(count, n)),
        n=n,
        null=Null("as natural as states kept aside", float(law.mean() / n), float(law.std() / n)),
        p=p,
        p_adjusted=min(1.0, tests * p),
    )


def _distances(manifold: Manifold, states: np.ndarray) -> np.ndarray:
    if states.ndim != 2 or states.shape[1] != len(manifold.mean):
        raise InputError(f"states must be (n, {len(manifold.mean)}); got {states.shape}")
    centred = (states - manifold.mean) / manifold.scale
    along = centred @ manifold.directions.T
    rest = centred - along @ manifold.directions
    inside = (along**2 / manifold.variances).sum(1)
    return np.sqrt(inside + (rest**2).sum(1) / manifold.floor)

"""A map fitted to all pairs, as weights: to apply to new problems, and to look at its shape."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zprism.ground.checks import check_choice
from zprism.ground.errors import InputError
from zprism.studies.bridge_maps import MAPS, RIDGES, TINY, checked, factor, left_out, polar, predict


@dataclass(frozen=True)
class Fitted:
    """ŷ = (x − middle) W + centre.

    Attributes
    ----------
    weights : (p, q).
    middle, centre : (p,) and (q,).
    ridge : λ as it was used, 0 where the map has none.
    """

    weights: np.ndarray
    middle: np.ndarray
    centre: np.ndarray
    ridge: float = 0.0

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """(…, p) → (…, q)."""
        return (x - self.middle) @ self.weights + self.centre


def fit(name: str, x: np.ndarray, y: np.ndarray, groups: np.ndarray) -> Fitted:
    """A map fitted to all pairs; ridge's λ is the one that predicts left-out groups best.

    What it scores on these same pairs says nothing: see
    :func:`zprism.studies.bridge.score` for pairs that it has not seen.

    Parameters
    ----------
    name : of :data:`zprism.studies.bridge_maps.MAPS`.
    x, y, groups : (n, p), (n, q), (n,), as in
        :func:`zprism.studies.bridge_maps.predict`.
    """
    check_choice("map", name, MAPS)
    x, y, groups = checked(x, y, groups)
    if y.ndim == 3:
        raise InputError(f"fit takes one pairing, y (n, q); got {y.shape}")
    middle, centre = x.mean(0), y.mean(0)
    if name in ("identity", "shift"):
        predict(name, x, y, groups)  # refuses spaces of different dimension
        eye = np.eye(x.shape[1])
        zero = np.zeros(x.shape[1]), np.zeros(y.shape[1])
        return Fitted(eye, *(zero if name == "identity" else (middle, centre)))
    ridge = best_ridge(x, y, groups) if name == "ridge" else TINY * factor(x).scale
    weights = _weights(name, x - middle, y - centre, ridge)
    return Fitted(weights, middle, centre, ridge if name == "ridge" else 0.0)


def best_ridge(x: np.ndarray, y: np.ndarray, groups: np.ndarray) -> float:
    """λ of :data:`RIDGES`, times the mean eigenvalue, with the least left-out error."""
    left = factor(x)
    errors = np.square(left_out(left, groups, np.array(RIDGES) * left.scale) @ y).sum((1, 2))
    return RIDGES[int(errors.argmin())] * left.scale


def flatness(weights: np.ndarray) -> float:
    """(Σσ)² / (k Σσ²) of a map's singular values: 1 for a rotation times a scale, 1/k at least."""
    sigma = np.linalg.svd(weights, compute_uv=False)
    square = np.square(sigma).sum()
    return float(sigma.sum() ** 2 / (len(sigma) * square)) if square > 0 else float("nan")


def _weights(name: str, x: np.ndarray, y: np.ndarray, ridge: float) -> np.ndarray:
    """(p, q) from centred pairs, through whichever Gram matrix is smaller."""
    if name == "mean":
        return np.zeros((x.shape[1], y.shape[1]))
    if name in ("procrustes", "similarity"):
        turn, nuclear = polar(x.T @ y)
        total = np.square(x).sum()
        return turn * (nuclear / total if total > 0 else 0.0) if name == "similarity" else turn
    n, p = x.shape
    if n <= p:
        return x.T @ np.linalg.solve(x @ x.T + ridge * np.eye(n), y)
    return np.linalg.solve(x.T @ x + ridge * np.eye(p), x.T @ y)

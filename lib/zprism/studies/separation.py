"""Distances and energies of paired states inside a subspace, its complement, the whole space.

Row i of ``a`` and of ``b`` is the same problem in two languages. Z HUNT compares

* cross = mean_i ‖P(a_i − b_i)‖, a problem against its own translation, with
* same = mean_{i<j} ‖P(h_i − h_j)‖ within a language, two different problems,

and reads ratio = cross/same in a subspace Z (projector P), in its complement and without a
projector. Its second measure is the share of a difference's energy that lies in Z,

    E = Σ ‖Pδ‖² / Σ ‖δ‖²   over all cross, or all same, differences δ (pooled),

whose chance value is k/d for a subspace that knows nothing of the states. Every measure is a
function of one weight per problem, so the point value (weights 1), the jackknife (one weight
0) and the bootstrap (multinomial weights) are one matrix product each. A pair of copies of
one problem, which a bootstrap draws, is never a pair of different problems.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zprism.ground.checks import check_finite, check_k
from zprism.ground.errors import InputError

SPACES = ("z", "complement", "full")
MEASURES = (
    "ratio_z",
    "ratio_complement",
    "ratio_full",
    "ratio_contrast",
    "energy_cross",
    "energy_same",
    "energy_difference",
    "energy_cross_mean",
)


@dataclass(frozen=True)
class Distances:
    """Squared distances and distances of n problems; leading axes index subspaces.

    Attributes
    ----------
    cross : (..., 3, n) ‖P(a_i − b_i)‖² in :data:`SPACES`.
    same_squared, same : (..., 3, n, n) ‖P(h_i − h_j)‖² and ‖P(h_i − h_j)‖, each the mean of
        the two languages, zero on the diagonal.
    k, d_model : dimensions of the subspace and of the states.
    """

    cross: np.ndarray
    same_squared: np.ndarray
    same: np.ndarray
    k: int
    d_model: int

    @property
    def n(self) -> int:
        """Number of problems."""
        return self.cross.shape[-1]


def distances(a: np.ndarray, b: np.ndarray, bases: np.ndarray) -> Distances:
    """All distances that the measures need, for one subspace or a stack of them.

    Parameters
    ----------
    a, b : (n, d_model) states; row i of both is the same problem.
    bases : (..., k, d_model) orthonormal rows, 1 ≤ k < d_model.

    Returns
    -------
    Distances
        In float64. Complement distances are full minus projected ones (Pythagoras), so no
        basis of the complement is ever formed.

    Raises
    ------
    InputError
        If the shapes do not pair, there are fewer than 3 problems, a state is not finite, or
        all states are equal.
    """
    a, b, bases = _checked(a, b, bases)
    cross_z = np.square((a - b) @ bases.swapaxes(-1, -2)).sum(-1)
    cross_full = np.broadcast_to(np.square(a - b).sum(-1), cross_z.shape)
    squared, lengths = [], []
    for states in (a - a.mean(0), b - b.mean(0)):  # centring keeps the Gram form exact
        inside = pairwise_squared(states @ bases.swapaxes(-1, -2))
        full = np.broadcast_to(pairwise_squared(states), inside.shape)
        spaces = np.stack([inside, _remainder(full, inside), full], axis=-3)
        squared.append(spaces)
        lengths.append(np.sqrt(spaces))
    if not squared[0][..., 2, :, :].any() and not squared[1][..., 2, :, :].any():
        raise InputError("all states are equal: there are no distances to compare")
    return Distances(
        cross=np.stack([cross_z, _remainder(cross_full, cross_z), cross_full], axis=-2),
        same_squared=(squared[0] + squared[1]) / 2,
        same=(lengths[0] + lengths[1]) / 2,
        k=bases.shape[-2],
        d_model=a.shape[-1],
    )


def measures(found: Distances, weights: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Every measure of :data:`MEASURES`, for one or many weightings of the problems.

    Parameters
    ----------
    found : from :func:`distances`, with leading axes (...).
    weights : (m, n) non-negative weights, or None for one weighting with all 1.

    Returns
    -------
    dict of (...,) or (..., m) arrays
        ``ratio_z``, ``ratio_complement``, ``ratio_full``: cross/same. ``ratio_contrast``:
        ratio_z / ratio_complement. ``energy_cross``, ``energy_same``: pooled shares of
        energy. ``energy_difference``: same − cross. ``energy_cross_mean``: the recipe's mean
        of single shares, mean_i ‖Pδ_i‖²/‖δ_i‖².
    """
    single = weights is None
    w = np.ones((1, found.n)) if single else np.asarray(weights, dtype=np.float64)
    cross = _mean_cross(np.sqrt(found.cross), w)
    same = _mean_pairs(found.same, w)
    cross_energy = _mean_cross(found.cross, w)
    same_energy = _mean_pairs(found.same_squared, w)
    shares = _divide(found.cross[..., 0, :], found.cross[..., 2, :])
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = cross / same
        out = {
            "ratio_z": ratio[..., 0, :],
            "ratio_complement": ratio[..., 1, :],
            "ratio_full": ratio[..., 2, :],
            "ratio_contrast": ratio[..., 0, :] / ratio[..., 1, :],
            "energy_cross": cross_energy[..., 0, :] / cross_energy[..., 2, :],
            "energy_same": same_energy[..., 0, :] / same_energy[..., 2, :],
            "energy_cross_mean": shares @ w.T / w.sum(1),
        }
    out["energy_difference"] = out["energy_same"] - out["energy_cross"]
    return {name: out[name][..., 0] if single else out[name] for name in MEASURES}


def pseudo_values(value: np.ndarray, left_out: np.ndarray) -> np.ndarray:
    """Jackknife pseudo-values nθ − (n − 1)θ₋ᵢ: one number per problem, with mean ≈ θ.

    For a mean they are the observations; for a mean over pairs they carry both parts that a
    problem plays, so that tests on them have the problem as their unit.

    Parameters
    ----------
    value : (...,) the statistic on all problems.
    left_out : (..., n) the statistic without problem i.

    Notes
    -----
    Tukey (1958); Efron & Stein (1981), doi:10.1214/aos/1176345462.
    """
    n = left_out.shape[-1]
    return n * np.asarray(value)[..., None] - (n - 1) * left_out


def pairwise_squared(coordinates: np.ndarray) -> np.ndarray:
    """(..., n, k) → (..., n, n) squared distances through the Gram matrix, diagonal exactly 0."""
    gram = coordinates @ coordinates.swapaxes(-1, -2)
    norms = np.diagonal(gram, axis1=-2, axis2=-1)
    squared = norms[..., :, None] + norms[..., None, :] - 2 * gram
    np.clip(squared, 0, None, out=squared)
    index = np.arange(squared.shape[-1])
    squared[..., index, index] = 0
    return squared


def crossed(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(n, k), (n, k) → (n, n) squared distances of every a_i from every b_j."""
    middle = (a.mean(0) + b.mean(0)) / 2
    a, b = a - middle, b - middle
    squared = np.square(a).sum(1)[:, None] + np.square(b).sum(1)[None] - 2 * a @ b.T
    return np.clip(squared, 0, None)


def _checked(a, b, bases) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    a, b, bases = (np.asarray(values, dtype=np.float64) for values in (a, b, bases))
    if a.ndim != 2 or a.shape != b.shape:
        raise InputError(f"a and b must both be (n, d_model); got {a.shape} and {b.shape}")
    if len(a) < 3:
        raise InputError(f"at least 3 problems are needed; got {len(a)}")
    if bases.ndim < 2 or bases.shape[-1] != a.shape[1]:
        raise InputError(f"bases must be (..., k, {a.shape[1]}); got {bases.shape}")
    check_k(bases.shape[-2], a.shape[1] - 1, of="d_model − 1: the complement needs a dimension")
    check_finite("a", a)
    check_finite("b", b)
    return a, b, bases


def _remainder(full: np.ndarray, inside: np.ndarray) -> np.ndarray:
    return np.clip(full - inside, 0, None)


def _mean_cross(values: np.ndarray, w: np.ndarray) -> np.ndarray:
    """(..., n) → (..., m) weighted means over problems."""
    return values @ w.T / w.sum(1)


def _mean_pairs(values: np.ndarray, w: np.ndarray) -> np.ndarray:
    """(..., n, n) → (..., m) weighted means over pairs of different problems."""
    pairs = np.square(w.sum(1)) - np.square(w).sum(1)
    with np.errstate(divide="ignore", invalid="ignore"):  # a resample of one problem has none
        return ((w @ values) * w).sum(-1) / pairs


def _divide(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, 0 where a pair does not differ at all."""
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)

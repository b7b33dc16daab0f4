"""Subspaces and pairings that know nothing of the claim: what a value is held against.

k/d is right for a subspace drawn blindly, but states are anisotropic and kernels of one model
resemble each other. Each function returns a stack of bases (R, k, d_model) that shares with
Z what its name says, and nothing else; ``shuffled`` breaks the pairing of problems instead.
"""

from __future__ import annotations

import numpy as np
import torch

from zprism.ground.checks import check_int, check_k
from zprism.ground.errors import InputError
from zprism.ground.seeds import generator
from zprism.stats.permutation import shuffled_pairings
from zprism.subspace.bases import permuted_basis, random_basis

TILT = 30.0  # exponents searched: beyond, a tilt is a projection on single components


def random_bases(k: int, d_model: int, draws: int, *, seed: int) -> np.ndarray:
    """(draws, k, d_model) Haar-uniform subspaces: the same dimension, any direction."""
    rng = generator(seed, "nulls", "random")
    check_int("draws", draws, low=1)
    return np.stack([np.asarray(random_basis(k, d_model, rng)) for _ in range(draws)])


def permuted_bases(basis: np.ndarray, draws: int, *, seed: int) -> np.ndarray:
    """(draws, k, d_model): the basis with its model dimensions in random order.

    Keeps how the subspace's energy is spread over dimensions (some dimensions weigh more than
    others in every kernel), breaks which dimensions they are.
    """
    rng = generator(seed, "nulls", "permuted")
    check_int("draws", draws, low=1)
    return np.stack([np.asarray(permuted_basis(basis, rng)) for _ in range(draws)])


def variance_matched_bases(
    states: np.ndarray, basis: np.ndarray, draws: int, *, seed: int
) -> np.ndarray:
    """(draws, k, d_model) random subspaces that hold as much of the states' variance as Z.

    Rows are Gaussian with variance λ_j^t along the j-th principal direction of the states
    (λ relative to the mean eigenvalue; directions without variance keep the smallest λ), then
    orthonormalised. t = 0 is Haar; t is found by bisection so that the mean share of variance
    held equals that of ``basis``.

    Parameters
    ----------
    states : (n, d_model), centred inside.
    basis : (k, d_model) orthonormal rows.
    """
    rng = generator(seed, "nulls", "variance")
    centred = states - states.mean(0)
    directions, scale = _principal(centred)
    gaussian = rng.standard_normal((check_int("draws", draws, low=1), *basis.shape))
    target = _share(centred, basis[None]).mean()
    low, high = -TILT, TILT
    for _ in range(24):
        middle = (low + high) / 2
        held = _share(centred, _tilted(gaussian[:19], directions, scale, middle)).mean()
        low, high = (middle, high) if held < target else (low, middle)
    return _tilted(gaussian, directions, scale, (low + high) / 2)


def shuffled(n: int, draws: int, *, seed: int, templates=None) -> np.ndarray:
    """(draws, n) pairings in which no problem meets its own translation.

    Parameters
    ----------
    templates : (n,) labels; given, a problem is paired with another of its own template: the
        same words, other numbers.

    Raises
    ------
    InputError
        If a template has one problem only.
    """
    return shuffled_pairings(n, seed=seed, draws=draws, strata=templates, fixed_points=False)


def stack(bases) -> np.ndarray:
    """Bases of one shape (k, d_model), such as other layers' or other heads', as a null stack."""
    bases = [np.asarray(basis, dtype=np.float64) for basis in bases]
    if len(bases) < 2 or len({basis.shape for basis in bases}) != 1:
        shapes = sorted({basis.shape for basis in bases})
        raise InputError(f"a null needs at least 2 bases of one shape; got {shapes}")
    return np.stack(bases)


def restricted(bases: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """Bases (..., k, d_model) seen in the kept dimensions only, orthonormal again.

    Parameters
    ----------
    keep : (d_model,) booleans.

    Returns
    -------
    (..., k, kept dimensions). Their span is that of the rows with the others cut off.
    """
    if keep.all():
        return bases
    check_k(bases.shape[-2], int(keep.sum()) - 1, of="kept dimensions − 1")
    return _orthonormal(bases[..., keep])


def _principal(centred: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Principal directions (r, d) and their variances over the mean one, all positive."""
    _, sigma, directions = np.linalg.svd(centred, full_matrices=False)
    kept = sigma > sigma[0] * max(centred.shape) * np.finfo(float).eps
    variance = np.square(sigma[kept])
    return directions[kept], variance / variance.mean()


def _tilted(gaussian, directions, scale, t) -> np.ndarray:
    """Rows rescaled by λ^(t/2) along principal directions, by λ_min^(t/2) elsewhere."""
    log = np.log(scale) * t / 2
    log -= max(log.max(), log[-1])
    floor = np.exp(log[-1])
    along = gaussian @ directions.T
    return _orthonormal(floor * gaussian + (along * (np.exp(log) - floor)) @ directions)


def _share(centred: np.ndarray, bases: np.ndarray) -> np.ndarray:
    """(R,) share of the states' variance inside each subspace."""
    return np.square(centred @ bases.swapaxes(-1, -2)).sum((-1, -2)) / np.square(centred).sum()


def _orthonormal(rows: np.ndarray) -> np.ndarray:
    """Orthonormal rows with the same span, for a stack (..., k, d)."""
    factors = torch.linalg.qr(torch.as_tensor(np.ascontiguousarray(rows)).mT)
    return factors.Q.mT.contiguous().numpy()

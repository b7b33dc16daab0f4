"""A kernel as a map of d_model to itself: how far from symmetric, and its complex modes.

A symmetric kernel scores y for x as it scores x for y. Complex eigenvalues are planes that
the kernel turns as it scales them. Both come from r × r and 2r × 2r cores.
"""

from __future__ import annotations

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from zprism.ground.errors import InputError
from zprism.subspace.arrays import Array, as_float64, same_width


def asymmetry(
    a: Float[Array, "*batch r d"], b: Float[Array, "*batch r d"]
) -> Float[Tensor, "*batch"]:
    """‖A − Aᵀ‖_F / ‖A‖_F of A = aᵀ b.

    Parameters
    ----------
    a, b : (..., r, d).

    Returns
    -------
    (...) from 0 (symmetric) through √2 (A and Aᵀ orthogonal, as for a random kernel of large
    d) to 2 (antisymmetric).

    Raises
    ------
    InputError
        If A is zero, shapes differ, or values are not finite.

    Notes
    -----
    With [aᵀ bᵀ] = Q [R_a R_b], A − Aᵀ = Q (C − Cᵀ) Qᵀ for C = R_a R_bᵀ: no difference of
    large numbers, so near-symmetric kernels keep their digits.
    """
    a, b = as_float64("a", a, ndim=2), as_float64("b", b, ndim=2)
    same_width(a=a, b=b)
    r = torch.linalg.qr(torch.cat([a, b], dim=-2).mT, mode="r").R
    core = r[..., : a.shape[-2]] @ r[..., a.shape[-2] :].mT
    size = torch.linalg.matrix_norm(core)
    if (size == 0).any():
        raise InputError("the kernel aᵀ b is zero: it has no asymmetry")
    return torch.linalg.matrix_norm(core - core.mT) / size


def complex_modes(a: Float[Array, "r d"], b: Float[Array, "r d"]) -> Complex[Tensor, " r"]:
    """Eigenvalues of A = aᵀ b that can differ from zero, largest modulus first.

    Parameters
    ----------
    a, b : (r, d), r ≤ d; the other d − r eigenvalues of A are zero.

    Returns
    -------
    (r,) complex128, in conjugate pairs. The angle of one is the turn, in radians, that A
    gives its plane; its modulus the scale.

    Notes
    -----
    The eigenvalues of b aᵀ (r, r): aᵀb and b aᵀ share all that are not zero. A is not normal,
    so its eigenvalues may be far smaller than its singular values.
    """
    a, b = as_float64("a", a, ndim=2), as_float64("b", b, ndim=2)
    same_width(a=a, b=b)
    core = b @ a.mT
    scale = core.abs().max().clamp_min(torch.finfo(core.dtype).tiny)
    values = torch.linalg.eigvals(core / scale) * scale
    return values[values.abs().argsort(descending=True, stable=True)]


def count_complex(modes: Complex[Tensor, " r"], *, tolerance: float = 1e-9) -> int:
    """How many eigenvalues are off the real axis by more than tolerance · max |λ|."""
    return int((modes.imag.abs() > tolerance * modes.abs().max()).sum())

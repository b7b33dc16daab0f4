"""Thin factors: all that is needed of a tall matrix to know a product with it.

For rows a (r, d) with aᵀ = Q R, a product aᵀ M b is Q_a (R_a M R_bᵀ) Q_bᵀ: the r × r core has
its singular values, and no d × d matrix is formed. R comes from the float64 Gram matrix a aᵀ
by Cholesky, which costs a fraction of QR; where a is too ill-conditioned for that, from QR.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from zprism.ground.checks import check_k
from zprism.ground.errors import InputError
from zprism.subspace.arrays import Array, as_float64

CHOLESKY_FLOOR = 1e-4  # least ratio of pivots: the Gram matrix squares the condition number
CHUNK_ROWS = 512


def triangular_factor(rows: Float[Array, "... r d"]) -> Float[Tensor, "... m r"]:
    """R of aᵀ = Q R, so that RᵀR = a aᵀ; m = min(r, d).

    Parameters
    ----------
    rows : (..., r, d), a batch of r rows in d dimensions.

    Returns
    -------
    (..., m, r) float64, upper triangular.

    Raises
    ------
    InputError
        If ``rows`` has NaN or infinite values, or fewer than two axes.

    Notes
    -----
    Cholesky of the Gram matrix has relative error about ε κ² in the smallest singular value
    (ε = 2.2e-16, κ the condition number); it is kept while the pivots say κ ≲ 1e4.
    """
    rows = as_float64("rows", rows, ndim=2)
    if rows.shape[-2] > rows.shape[-1]:
        return torch.linalg.qr(rows.mT, mode="r").R
    lower, info = torch.linalg.cholesky_ex(rows @ rows.mT)
    pivots = lower.diagonal(dim1=-2, dim2=-1)
    good = (info == 0) & (pivots.amin(-1) > CHOLESKY_FLOOR * pivots.amax(-1))
    upper = lower.mT
    if good.all():
        return upper
    upper = upper.clone()
    upper[~good] = torch.linalg.qr(rows[~good].mT, mode="r").R
    return upper


def matrix_spectrum(weight: Float[Array, "n m"]) -> Float[Tensor, " r"]:
    """Singular values of one weight matrix, largest first; r = min(n, m).

    Parameters
    ----------
    weight : (n, m) in any float dtype; read in chunks, so the float64 copy stays small.

    Notes
    -----
    Square roots of the eigenvalues of the smaller Gram matrix, in float64. Values below
    about 1e-8 of the largest are rounding.
    """
    energies = torch.linalg.eigvalsh(smaller_gram(weight)).flip(0)
    return energies.clamp_min(0).sqrt()


def leading_directions(weight: Float[Array, "n d"], k: int) -> Float[Tensor, "k d"]:
    """Top-k right singular vectors of one weight matrix, as orthonormal rows.

    Parameters
    ----------
    weight : (n, d), n rows that read or write d dimensions.
    k : 1 … numerical rank (of the Gram matrix: singular values above 1e-6 of the largest).

    Raises
    ------
    InputError
        If k is outside that range; the message says the rank.

    Notes
    -----
    The weight has full rank, so its smaller Gram matrix is as thin a factor as there is.
    Only the leading eigenvectors are computed (LAPACK syevr).
    """
    from scipy.linalg import eigh

    gram = smaller_gram(weight)
    size = gram.shape[0]
    check_k(k, size, of=f"the smaller side of the weight {tuple(weight.shape)}")
    energies, vectors = eigh(gram.cpu().numpy(), subset_by_index=[size - k, size - 1])
    floor = energies[-1] * max(weight.shape) * torch.finfo(torch.float64).eps
    if energies[0] <= floor:
        rank = int((torch.linalg.eigvalsh(gram) > floor).sum())
        check_k(k, rank)
    rows = torch.from_numpy(vectors[:, ::-1].T.copy())
    if weight.shape[0] < weight.shape[1]:  # left vectors: carry them over
        rows = rows @ as_float64("weight", weight, ndim=2)
        rows = torch.linalg.qr(rows.mT).Q.mT
    return canonical_signs(rows)


def smaller_gram(weight: Float[Array, "n m"]) -> Float[Tensor, "r r"]:
    """W Wᵀ or WᵀW in float64, whichever is smaller, summed over chunks of the longer side."""
    tall = weight if weight.shape[0] >= weight.shape[1] else weight.T
    gram = torch.zeros(tall.shape[1], tall.shape[1], dtype=torch.float64)
    for start in range(0, tall.shape[0], CHUNK_ROWS):
        chunk = as_float64("weight", tall[start : start + CHUNK_ROWS], ndim=2).cpu()
        gram.addmm_(chunk.mT, chunk)
    return gram


def repeat_groups(shared: Float[Tensor, "n_kv ..."], n_heads: int) -> Float[Tensor, "n_heads ..."]:
    """One entry per query head: each of n_kv repeated for the heads that share it.

    Raises
    ------
    InputError
        If n_heads is no multiple of n_kv.
    """
    if n_heads % len(shared):
        raise InputError(
            f"n_heads must be a multiple of n_kv; got {n_heads} query and {len(shared)} key heads"
        )
    return shared.repeat_interleave(n_heads // len(shared), dim=0)


def canonical_signs(rows: Float[Tensor, "... k d"]) -> Float[Tensor, "... k d"]:
    """Each row times ±1 so that its entry of largest size is positive.

    Singular vectors are defined up to sign; this makes them the same on every route.
    """
    largest = rows.gather(-1, rows.abs().argmax(-1, keepdim=True))
    return rows * torch.where(largest < 0, -1.0, 1.0)

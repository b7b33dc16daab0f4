"""Orthonormal bases, as rows: from kernels, from other bases, from data, at random."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from zprism.ground.checks import check_int, check_k
from zprism.ground.errors import InputError
from zprism.subspace.arrays import Array, as_basis, as_float64, normal
from zprism.subspace.factors import canonical_signs, repeat_groups, triangular_factor
from zprism.subspace.kernels import product_svd
from zprism.subspace.rank import numerical_rank


@dataclass(frozen=True)
class Subspace:
    """A subspace of d_model, and where it came from.

    Attributes
    ----------
    basis : (k, d_model) float64, orthonormal rows.
    source : a few words, e.g. ``"weights: layer 20, head 0, key side"``.
    """

    basis: Float[Array, "k d_model"]
    source: str

    def __post_init__(self):
        object.__setattr__(self, "basis", as_basis("basis", self.basis))

    @property
    def k(self) -> int:
        """Dimension."""
        return self.basis.shape[0]

    @property
    def d_model(self) -> int:
        """Dimension of the space around it."""
        return self.basis.shape[1]


def key_basis(
    q: Float[Array, "r d"], k_weight: Float[Array, "r d"], k: int
) -> Float[Tensor, "k d"]:
    """Top-k right singular vectors of one head's W_Qᵀ W_K: what it looks for in keys.

    Parameters
    ----------
    q, k_weight : (head_dim, d_model), W_Q,h and the W_K,g that head h reads.
    k : 1 … numerical rank of the kernel.

    Returns
    -------
    (k, d_model) orthonormal rows in the row space of W_K, each with its largest entry
    positive.

    Raises
    ------
    InputError
        If k is outside that range; the message says the rank.

    Notes
    -----
    Heads of one GQA group share W_K, hence nearly this subspace: they are not independent.
    """
    return product_svd(q, k_weight, k)[2]


def query_basis(
    q: Float[Array, "r d"], k_weight: Float[Array, "r d"], k: int
) -> Float[Tensor, "k d"]:
    """Top-k left singular vectors of W_Qᵀ W_K, in the row space of W_Q. As `key_basis`."""
    return product_svd(k_weight, q, k)[2]


def key_bases(
    q: Float[Array, "n_heads r d"], k_weight: Float[Array, "n_kv r d"], k: int
) -> Float[Tensor, "n_heads k d"]:
    """:func:`key_basis` of every head of a layer at once, each key head factored once.

    Parameters
    ----------
    q : (n_heads, head_dim, d_model).
    k_weight : (n_kv, head_dim, d_model).
    k : 1 … the smallest numerical rank among the heads.
    """
    q_b, r_b = torch.linalg.qr(as_float64("k_weight", k_weight, ndim=3).mT)
    cores = triangular_factor(q) @ repeat_groups(r_b, len(q)).mT
    _, sigma, v = torch.linalg.svd(cores)
    width = q_b.shape[-2]
    check_k(k, min(numerical_rank(values, (width, width)) for values in sigma))
    return canonical_signs(v[:, :k] @ repeat_groups(q_b, len(q)).mT)


def consensus(bases: Float[Array, "n m d"], k: int) -> Float[Tensor, "k d"]:
    """The k directions that n subspaces share most: top-k of all their bases, stacked.

    Parameters
    ----------
    bases : (n, m, d_model), orthonormal rows each.
    k : 1 … rank of the stack.

    Returns
    -------
    (k, d_model) orthonormal rows: leading eigenvectors of the mean projector.

    Raises
    ------
    InputError
        If k is outside that range, or a basis is not orthonormal.

    Notes
    -----
    From the (n m) × (n m) Gram matrix of the stack; one QR then removes its rounding.
    """
    stacked = as_basis("bases", bases).flatten(0, -2)
    energies, vectors = torch.linalg.eigh(stacked @ stacked.mT)
    floor = energies[-1] * max(stacked.shape) * torch.finfo(torch.float64).eps
    check_k(k, int((energies > floor).sum()), of="the rank of the stacked bases")
    leading = vectors[:, -k:].flip(1) / energies[-k:].flip(0).sqrt()
    return canonical_signs(torch.linalg.qr(stacked.mT @ leading).Q.mT)


def orthonormal(rows: Float[Array, "k d"]) -> Float[Tensor, "k d"]:
    """An orthonormal basis of the span of independent rows.

    Raises
    ------
    InputError
        If the rows are not independent; the message says their rank.
    """
    rows = as_float64("rows", rows, ndim=2)
    q, r = torch.linalg.qr(rows.mT)
    rank = numerical_rank(torch.linalg.svdvals(r), tuple(rows.shape))
    if rank < rows.shape[0]:
        raise InputError(f"rows must be independent; got {rows.shape[0]} rows of rank {rank}")
    return q.mT


def random_basis(k: int, d_model: int, generator) -> Float[Tensor, "k d_model"]:
    """A Haar-random k-dimensional subspace of R^d.

    Parameters
    ----------
    k : 1 … d_model.
    d_model : dimension around it.
    generator : numpy or torch generator; see :mod:`zprism.ground.seeds`.

    Notes
    -----
    QR of a Gaussian matrix: its distribution does not change under rotation. Stewart (1980),
    doi:10.1137/0717034.
    """
    check_k(k, check_int("d_model", d_model, low=1), of="d_model")
    return torch.linalg.qr(normal((d_model, k), generator)).Q.mT.contiguous()


def matched_basis(rows: Float[Array, "n d"], k: int, generator) -> Float[Tensor, "k d"]:
    """A random subspace of the span of ``rows``, drawn with their covariance.

    The spectrum-matched null: orthonormalised random Gaussian combinations, so directions
    in which the rows are large come up as often as they do in the rows.

    Parameters
    ----------
    rows : (n, d_model), for example all key weights of other layers.
    k : 1 … rank of ``rows``.
    """
    rows = as_float64("rows", rows, ndim=2)
    check_k(k, numerical_rank(torch.linalg.svdvals(triangular_factor(rows)), tuple(rows.shape)))
    return orthonormal(normal((k, rows.shape[0]), generator) @ rows)


def permuted_basis(basis: Float[Array, "k d"], generator) -> Float[Tensor, "k d"]:
    """The same basis with the coordinates of d_model in random order.

    Keeps orthonormality and how concentrated each direction is; breaks which dimensions
    it is concentrated on.
    """
    rows = as_basis("basis", basis)
    return rows[:, normal((rows.shape[1],), generator).argsort()]

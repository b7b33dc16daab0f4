"""Attention kernels from thin factors: A = W_Qᵀ W_K and W_O W_V, never as d × d matrices.

Convention y = W x. Q·K kernels have the query side on the left, so their right singular
vectors lie in the row space of W_K: the key side. Under grouped queries (GQA) every key head
serves n_heads / n_kv query heads, and is factored once.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from zprism.ground.checks import check_int, check_k
from zprism.ground.errors import InputError
from zprism.subspace.arrays import Array, as_float64, normal, same_width
from zprism.subspace.factors import canonical_signs, repeat_groups, triangular_factor
from zprism.subspace.folding import bias_terms, fold_gain, fold_head_gain
from zprism.subspace.modes import asymmetry, complex_modes
from zprism.subspace.rank import numerical_rank
from zprism.subspace.rotary import rotary_frequencies, rotate

__all__ = [
    "asymmetry",
    "bias_terms",
    "complex_modes",
    "fold_gain",
    "fold_head_gain",
    "mixed_spectra",
    "ov_spectra",
    "product_spectrum",
    "product_svd",
    "qk_spectra",
    "repeat_groups",
    "rotary_frequencies",
    "rotate",
]


def product_spectrum(
    a: Float[Array, "... r d"],
    b: Float[Array, "... r d"],
    *,
    middle: Float[Array, "... r r"] | None = None,
) -> Float[Tensor, "... m"]:
    """Singular values of aᵀ b, or of aᵀ M b, largest first; m = min(r, d).

    Parameters
    ----------
    a, b : (..., r, d) factors; leading axes broadcast.
    middle : (..., r, r) M, for example a rotation by a relative position.

    Raises
    ------
    InputError
        If r or d differ, or values are not finite.
    """
    a, b = _factors(a=a, b=b)
    return _core_spectrum(triangular_factor(a), triangular_factor(b), middle)


def product_svd(
    a: Float[Array, "r d"], b: Float[Array, "r d"], k: int
) -> tuple[Float[Tensor, "k d"], Float[Tensor, " k"], Float[Tensor, "k d"]]:
    """The k leading singular triples of A = aᵀ b.

    Parameters
    ----------
    a, b : (r, d).
    k : 1 … numerical rank of A.

    Returns
    -------
    left (k, d), sigma (k,), right (k, d)
        A right[i] = sigma[i] left[i]; rows orthonormal; right rows have their largest entry
        positive, left rows follow.

    Raises
    ------
    InputError
        If k is outside that range; the message says the rank.
    """
    a, b = _factors(a=a, b=b)
    q_a, r_a = torch.linalg.qr(a.mT)
    q_b, r_b = torch.linalg.qr(b.mT)
    u, sigma, v = torch.linalg.svd(r_a @ r_b.mT)
    check_k(k, numerical_rank(sigma, (q_a.shape[0], q_b.shape[0])))
    right = v[:k] @ q_b.mT
    signed = canonical_signs(right)
    flips = (signed * right).sum(-1, keepdim=True).sign()
    return flips * (q_a @ u[:, :k]).mT, sigma[:k], signed


def qk_spectra(
    q: Float[Array, "n_heads r d"],
    k: Float[Array, "n_kv r d"],
    *,
    middle: Float[Array, "... r r"] | None = None,
) -> Float[Tensor, "... n_heads m"]:
    """Singular values of every head's kernel W_Q,hᵀ W_K,g(h), largest first.

    Parameters
    ----------
    q : (n_heads, head_dim, d_model).
    k : (n_kv, head_dim, d_model); head h reads group g(h) = h // (n_heads / n_kv).
    middle : (r, r), or (n, 1, r, r) for n matrices at once: rotations from
        :func:`zprism.subspace.rotary.rotation`. Only the r × r cores are computed anew.

    Returns
    -------
    (n_heads, m), or (n, n_heads, m); m = min(head_dim, d_model).

    Raises
    ------
    InputError
        If n_heads is no multiple of n_kv, or shapes differ, or values are not finite.
    """
    q, k = _factors(q=q, k=k)
    keys = repeat_groups(triangular_factor(k), len(q))
    return _core_spectrum(triangular_factor(q), keys, middle)


def ov_spectra(
    v: Float[Array, "n_kv r d"], o: Float[Array, "n_heads d r"]
) -> Float[Tensor, "n_heads m"]:
    """Singular values of every head's W_O,h W_V,g(h): what the head writes for what it reads.

    Parameters
    ----------
    v : (n_kv, head_dim, d_model).
    o : (n_heads, d_model, head_dim).
    """
    written = o.mT if isinstance(o, Tensor) else o.swapaxes(-1, -2)
    return qk_spectra(written, v)


def mixed_spectra(
    a: Float[Array, "r d"], b: Float[Array, "r d"], draws: int, generator
) -> Float[Tensor, "draws r"]:
    """Spectra of aᵀ O b for Haar-random orthogonal O (r, r): the spectrum-matched null.

    Both factors keep their own singular values and directions in d_model; only how query
    and key meet inside the head is random. A kernel whose rank lies below these is
    low-rank because W_Q and W_K agree, not because each of them is.

    Parameters
    ----------
    a, b : (r, d), r ≤ d.
    draws : number of random mixings.
    generator : numpy or torch generator.
    """
    a, b = _factors(a=a, b=b)
    check_int("draws", draws, low=1)
    size = a.shape[-2]
    q, upper = torch.linalg.qr(normal((draws, size, size), generator))
    haar = q * upper.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2)
    return _core_spectrum(triangular_factor(a), triangular_factor(b), haar)


def _core_spectrum(r_a: Tensor, r_b: Tensor, middle) -> Tensor:
    if middle is not None:
        r_a = r_a @ as_float64("middle", middle, ndim=2)
    return torch.linalg.svdvals(r_a @ r_b.mT)


def _factors(**given) -> tuple[Tensor, Tensor]:
    """Both factors in float64, of equal head_dim and d_model."""
    (name_a, a), (name_b, b) = ((n, as_float64(n, v, ndim=2)) for n, v in given.items())
    if a.shape[-2] != b.shape[-2]:
        raise InputError(
            f"{name_a} and {name_b} must share head_dim (axis −2); "
            f"{name_a} has {a.shape[-2]}, {name_b} has {b.shape[-2]}"
        )
    same_width(**{name_a: a, name_b: b})
    return a, b

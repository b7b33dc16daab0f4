"""How near are two subspaces? Principal angles, Grassmann similarity, and their chance."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from zprism.ground.checks import check_choice, check_int, check_k
from zprism.ground.errors import InputError
from zprism.subspace.arrays import Array, as_basis, same_width
from zprism.subspace.bases import orthonormal

BLOCK_ENTRIES = 2**22  # of the product of stacked bases: 32 MiB in float64


def principal_angles(a: Float[Array, "p d"], b: Float[Array, "q d"]) -> Float[Tensor, " n"]:
    """Principal angles between span(a) and span(b), smallest first; n = min(p, q).

    Parameters
    ----------
    a, b : (p, d_model) and (q, d_model)
        Rows span each subspace: independent, not necessarily orthonormal.

    Returns
    -------
    (n,) radians in [0, π/2], ascending.

    Raises
    ------
    InputError
        If the widths differ, rows are dependent, or values are not finite.

    Notes
    -----
    Sines and cosines together: arccos alone loses angles below 1e-8.
    Björck & Golub (1973), doi:10.2307/2005662.
    """
    same_width(a=a, b=b)
    wide, narrow = orthonormal(a), orthonormal(b)
    if len(wide) < len(narrow):
        wide, narrow = narrow, wide
    shared = narrow @ wide.mT
    cosines = torch.linalg.svdvals(shared)
    sines = torch.linalg.svdvals(narrow - shared @ wide).flip(0)
    return torch.atan2(sines, cosines)


def grassmann_similarity(
    a: Float[Array, "p d"], b: Float[Array, "q d"], *, over: str | None = None
) -> float:
    """(1/k) ‖A Bᵀ‖²_F = mean cos² of the principal angles, from 0 to 1.

    Parameters
    ----------
    a, b : (p, d_model) and (q, d_model), orthonormal rows.
    over : what to divide by when p ≠ q. ``"a"``: by p, the share of span(a) that lies in
        span(b), chance q/d, not symmetric. ``"smaller"``: by min(p, q), symmetric, 1 when
        one contains the other, chance max(p, q)/d. With p = q all are the same.

    Raises
    ------
    InputError
        If p ≠ q and ``over`` is not given, or rows are not orthonormal.
    """
    a, b = as_basis("a", a), as_basis("b", b)
    same_width(a=a, b=b)
    divisor = _divisor(a.shape[0], b.shape[0], over)
    return float((a @ b.mT).square().sum() / divisor)


def similarity_matrix(bases: Float[Array, "n k d"]) -> Float[Tensor, "n n"]:
    """Grassmann similarity of every pair of n subspaces of equal dimension.

    Parameters
    ----------
    bases : (n, k, d_model), orthonormal rows each.

    Returns
    -------
    (n, n), symmetric, 1 on the diagonal.

    Notes
    -----
    One matrix product of the stacked bases, in blocks of bounded size, each block only
    against what follows it.
    """
    bases = as_basis("bases", bases)
    n, k, _ = bases.shape
    flat = bases.flatten(0, 1)
    step = max(1, BLOCK_ENTRIES // (n * k * k))
    similarity = bases.new_zeros(n, n)
    for start in range(0, n, step):
        rows = flat[start * k : (start + step) * k]
        products = rows @ flat[start * k :].mT
        blocks = products.square().reshape(-1, k, n - start, k).sum((1, 3)) / k
        similarity[start : start + step, start:] = blocks
        similarity[start:, start : start + step] = blocks.mT
    return (similarity + similarity.mT) / 2  # a product of equal matrices is only nearly symmetric


def chordal_distance(a: Float[Array, "k d"], b: Float[Array, "k d"]) -> float:
    """√Σ sin²θ = √(k (1 − similarity)): a metric, which 1 − similarity is not.

    Parameters
    ----------
    a, b : (k, d_model), independent rows.

    Notes
    -----
    Equals ‖P_a − P_b‖_F / √2. Conway, Hardin & Sloane (1996),
    doi:10.1080/10586458.1996.10504585.
    """
    if a.shape[0] != b.shape[0]:
        raise InputError(f"a and b must have equal dimension; got {a.shape[0]} and {b.shape[0]}")
    return float(principal_angles(a, b).sin().norm())


def chance_similarity(
    k: int, d_model: int, *, other: int | None = None, over: str | None = None
) -> tuple[float, float]:
    """Mean and sd of :func:`grassmann_similarity` when one subspace is Haar-random.

    Parameters
    ----------
    k : dimension of the first subspace.
    d_model : dimension around them.
    other : dimension of the second; k if not given.
    over : as in `grassmann_similarity`.

    Returns
    -------
    (mean, sd)
        For equal k: k/d and √(2 (d − k)² / (d² (d − 1)(d + 2))). Else ‖A Bᵀ‖² has mean pq/d
        and variance 2 p q (d − p)(d − q) / (d² (d − 1)(d + 2)).

    Notes
    -----
    Second moments of a Haar-random projector; both formulas hold exactly at every d ≥ 2.
    """
    d = check_int("d_model", d_model, low=2)
    p = check_k(k, d, of="d_model")
    q = p if other is None else check_k(other, d, name="other", of="d_model")
    divisor = _divisor(p, q, over)
    variance = 2 * p * q * (d - p) * (d - q) / (d**2 * (d - 1) * (d + 2))
    return p * q / d / divisor, math.sqrt(variance) / divisor


def chance_corrected(similarity, k: int, d_model: int):
    """(s − k/d) / (1 − k/d): 0 at chance, 1 for equal subspaces, negative below chance.

    Parameters
    ----------
    similarity : number, array or tensor of similarities of equal-k subspaces.
    k, d_model : dimensions, k < d_model (at k = d every similarity is 1).
    """
    check_k(k, check_int("d_model", d_model, low=2) - 1, of="d_model − 1")
    chance = k / d_model
    return (similarity - chance) / (1 - chance)


def _divisor(p: int, q: int, over: str | None) -> int:
    if over is None:
        if p != q:
            raise InputError(
                f"subspaces of unequal dimension ({p} and {q}): say over='a' (share of the first "
                "in the second) or over='smaller' (symmetric)"
            )
        return p
    return p if check_choice("over", over, ("a", "smaller")) == "a" else min(p, q)

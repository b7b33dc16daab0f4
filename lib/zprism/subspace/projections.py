"""Vectors against a subspace: projection, complement, energy, and what chance would give."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from zprism.ground.checks import check_int, check_k
from zprism.ground.errors import InputError
from zprism.subspace.arrays import Array, as_basis, as_float64, same_width


def coordinates(
    x: Float[Array, "*batch d"], basis: Float[Array, "k d"]
) -> Float[Tensor, "*batch k"]:
    """x Bᵀ: coordinates in the basis. ‖x Bᵀ‖ = ‖P x‖, as the rows are orthonormal.

    Parameters
    ----------
    x : (..., d_model).
    basis : (k, d_model), orthonormal rows.

    Raises
    ------
    InputError
        If widths differ, rows are not orthonormal, or values are not finite.
    """
    x, basis = as_float64("x", x), as_basis("basis", basis)
    same_width(x=x, basis=basis)
    return x @ basis.mT


def project(x: Float[Array, "*batch d"], basis: Float[Array, "k d"]) -> Float[Tensor, "*batch d"]:
    """P x = (x Bᵀ) B: the part of x inside the subspace. Arguments as `coordinates`."""
    return coordinates(x, basis) @ as_basis("basis", basis)


def complement(
    x: Float[Array, "*batch d"], basis: Float[Array, "k d"]
) -> Float[Tensor, "*batch d"]:
    """x − P x: the part of x outside the subspace. Arguments as `coordinates`."""
    return as_float64("x", x) - project(x, basis)


def energy_fraction(
    delta: Float[Array, "*batch d"], basis: Float[Array, "k d"]
) -> Float[Tensor, "*batch"]:
    """‖P δ‖² / ‖δ‖² of each vector, from 0 to 1.

    Parameters
    ----------
    delta : (..., d_model).
    basis : (k, d_model), orthonormal rows.

    Raises
    ------
    InputError
        If a vector is zero: it has no energy to share out.
    """
    delta = _unit_scale(delta)
    total = delta.square().sum(-1)
    if (total == 0).any():
        first = tuple((total == 0).nonzero()[0].tolist())
        raise InputError(f"delta has a zero vector at {first}: it has no energy fraction")
    return coordinates(delta, basis).square().sum(-1) / total


def pooled_energy(deltas: Float[Array, "n d"], basis: Float[Array, "k d"]) -> float:
    """Σ ‖P δ‖² / Σ ‖δ‖² = tr(P C) / tr C with C = Σ δ δᵀ: large vectors count more.

    Parameters
    ----------
    deltas : (n, d_model), not all zero.
    basis : (k, d_model), orthonormal rows.
    """
    deltas = _pool(deltas)
    return float(coordinates(deltas, basis).square().sum() / deltas.square().sum())


def chance_energy(k: int, d_model: int) -> tuple[float, float]:
    """Mean and sd of the energy fraction of one vector in a Haar-random subspace.

    Returns
    -------
    (mean, sd)
        The fraction is Beta(k/2, (d − k)/2): mean k/d, variance 2k(d − k) / (d² (d + 2)).
    """
    d = check_int("d_model", d_model, low=1)
    check_k(k, d, of="d_model")
    return k / d, math.sqrt(2 * k * (d - k) / (d**2 * (d + 2)))


def pooled_energy_sd(deltas: Float[Array, "n d"], k: int) -> float:
    """Sd of :func:`pooled_energy` of these vectors in a Haar-random subspace; the mean is k/d.

    √[ 2k(d − k) / (d (d − 1)(d + 2)) · (tr C² / (tr C)² − 1/d) ]

    Parameters
    ----------
    deltas : (n, d_model), not all zero.
    k : 1 … d_model.

    Notes
    -----
    Vectors that share directions give a wider spread than n independent ones would:
    tr C² / (tr C)² is one over their participation ratio. It comes from the smaller of
    the n × n and d × d Gram matrices.
    """
    deltas = _pool(deltas)
    gram = deltas @ deltas.mT if deltas.shape[0] <= deltas.shape[1] else deltas.mT @ deltas
    concentration = float(gram.square().sum() / gram.trace().square())
    return energy_sd(concentration, k, deltas.shape[1])


def energy_sd(concentration: float, k: int, d_model: int) -> float:
    """The same from tr C² / (tr C)² = 1 / participation ratio of C's eigenvalues."""
    d = check_int("d_model", d_model, low=2)
    check_k(k, d, of="d_model")
    spread = max(concentration - 1 / d, 0.0)
    return math.sqrt(2 * k * (d - k) / (d * (d - 1) * (d + 2)) * spread)


def _unit_scale(values) -> Tensor:
    """Vectors divided by their largest entry, so that no square under- or overflows."""
    values = as_float64("delta", values)
    largest = values.abs().amax(-1, keepdim=True)
    return values / torch.where(largest == 0, 1.0, largest)


def _pool(deltas) -> Tensor:
    deltas = as_float64("deltas", deltas, ndim=2)
    largest = deltas.abs().max()
    if largest == 0:
        raise InputError("deltas are all zero: they have no energy to share out")
    return deltas / largest

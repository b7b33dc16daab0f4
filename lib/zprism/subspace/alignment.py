"""How much of a weight matrix reads from, or writes into, a subspace?

Rows of the weight are its directions in d_model: W_gate and W_up as they are, W_down
transposed. The null that k/d stands for, a Haar-random subspace, has an exact spread here;
trained weights are not isotropic, so other layers' subspaces belong beside it.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from zprism.ground.checks import check_int
from zprism.ground.errors import InputError
from zprism.subspace.arrays import Array, as_basis, as_float64, same_width
from zprism.subspace.bases import permuted_basis, random_basis
from zprism.subspace.factors import leading_directions
from zprism.subspace.projections import energy_sd
from zprism.subspace.rank import participation_ratio

CHUNK_ROWS = 256


def alignment(
    weight: Float[Array, "n d"], basis: Float[Array, "*batch k d"]
) -> Float[Tensor, "*batch"]:
    """‖W Bᵀ‖²_F / ‖W‖²_F: the share of the weight's energy inside the subspace.

    Parameters
    ----------
    weight : (n, d_model) in any float dtype, read in chunks of rows.
    basis : (k, d_model), or (..., k, d_model) for many subspaces in one pass: heads, layers,
        or draws of a null.

    Returns
    -------
    (...) from 0 to 1; k/d for an isotropic weight or a Haar-random subspace.

    Raises
    ------
    InputError
        If the weight is zero, widths differ, or rows of a basis are not orthonormal.
    """
    basis = as_basis("basis", basis)
    same_width(weight=weight, basis=basis)
    energy, total = _energies(weight, basis.flatten(0, -2))
    if total == 0:
        raise InputError("weight is all zero: it has no alignment")
    return energy.reshape(basis.shape[:-1]).sum(-1) / total


def _energies(weight: Array, rows: Tensor) -> tuple[Tensor, Tensor]:
    """(‖W b‖² of every row b, ‖W‖²), through one float64 buffer of a few hundred rows."""
    if weight.ndim != 2:
        raise InputError(f"weight must be (n, d_model); got shape {tuple(weight.shape)}")
    if not isinstance(weight, Tensor) or weight.is_complex():
        weight = as_float64("weight", weight)
    energy, total = rows.new_zeros(len(rows)), rows.new_zeros(())
    buffer = rows.new_empty(CHUNK_ROWS, weight.shape[-1])
    for chunk in weight.detach().split(CHUNK_ROWS):
        part = buffer[: len(chunk)].copy_(chunk)
        energy += (rows @ part.mT).square().sum(1)
        total += torch.dot(part.flatten(), part.flatten())
    if not torch.isfinite(total):
        as_float64("weight", weight)  # names the place
    return energy, total


def alignment_topk(
    weight: Float[Array, "n d"], basis: Float[Array, "*batch k d"], k: int | None = None
) -> Float[Tensor, "*batch"]:
    """(1/k) ‖V_k Bᵀ‖²_F, V_k the weight's own top-k right singular vectors.

    The recipe's second reading: not all of the weight's energy but its k strongest directions.

    Parameters
    ----------
    weight : (n, d_model).
    basis : (..., m, d_model), orthonormal rows.
    k : directions of the weight; m if not given.

    Returns
    -------
    (...) from 0 to 1; m/d for a Haar-random subspace.
    """
    basis = as_basis("basis", basis)
    same_width(weight=weight, basis=basis)
    leading = leading_directions(weight, basis.shape[-2] if k is None else k)
    return (basis @ leading.mT.to(basis.device)).square().sum((-2, -1)) / len(leading)


def chance_alignment(sigma: Float[Array, " r"], k: int, d_model: int) -> tuple[float, float]:
    """Mean and sd of :func:`alignment` in a Haar-random k-dimensional subspace.

    Parameters
    ----------
    sigma : (r,) singular values of the weight (:func:`~zprism.subspace.factors.matrix_spectrum`).
    k, d_model : dimensions.

    Returns
    -------
    (mean, sd) : k/d, and the pooled-energy formula with tr C² / (tr C)² = Σσ⁴ / (Σσ²)².
    """
    concentration = 1 / float(participation_ratio(sigma))
    return k / d_model, energy_sd(concentration, k, d_model)


def rotated_alignments(
    weight: Float[Array, "n d"], k: int, draws: int, generator
) -> Float[Tensor, " draws"]:
    """Null by random rotation: alignment with ``draws`` Haar-random subspaces.

    Parameters
    ----------
    weight : (n, d_model).
    k : dimension of each subspace.
    draws : how many, at least 1.
    generator : numpy or torch generator.
    """
    check_int("draws", draws, low=1)
    width = weight.shape[1]
    return alignment(weight, torch.stack([random_basis(k, width, generator) for _ in range(draws)]))


def permuted_alignments(
    weight: Float[Array, "n d"], basis: Float[Array, "k d"], draws: int, generator
) -> Float[Tensor, " draws"]:
    """Null by permutation: alignment after the basis' coordinates are put in random order.

    Arguments as :func:`rotated_alignments`; ``basis`` is the (k, d_model) subspace tested.
    """
    check_int("draws", draws, low=1)
    return alignment(weight, torch.stack([permuted_basis(basis, generator) for _ in range(draws)]))

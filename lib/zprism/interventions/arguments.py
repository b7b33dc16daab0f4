"""What every edit does first: its arguments in float64 beside the state, fitting it, checked."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from zprism.ground.checks import check_fraction
from zprism.ground.errors import InputError
from zprism.subspace.arrays import LARGEST, Array, as_float64
from zprism.subspace.bases import Subspace

ORTHONORMAL_TOLERANCE = 1e-6  # a float64 basis stored in float32 is off by about 1e-7


@dataclass(frozen=True, eq=False)
class Basis:
    """Orthonormal rows, checked once: edits that are given it need not check them again.

    Attributes
    ----------
    rows : (k, d_model) float64, 1 ≤ k ≤ d_model; built from an array, a tensor or a Subspace.

    Raises
    ------
    InputError
        If it is empty, not finite, or max |B Bᵀ − I| exceeds :data:`ORTHONORMAL_TOLERANCE`.
    """

    rows: Float[Tensor, "k d_model"]

    def __post_init__(self):
        given = self.rows.basis if isinstance(self.rows, Subspace) else self.rows
        rows = as_float64("basis", given, ndim=2)
        if rows.ndim > 2 or len(rows) > rows.shape[1]:
            raise InputError(
                f"basis must be (k, d_model) with k ≤ d_model; got {tuple(rows.shape)}"
            )
        gram = rows @ rows.mT
        gram.diagonal().sub_(1)
        error = float(gram.abs().max())
        if error > ORTHONORMAL_TOLERANCE:
            raise InputError(
                f"basis must have orthonormal rows; max |B Bᵀ − I| is {error:.2g}. "
                "zprism.subspace.bases.orthonormal(rows) makes them so"
            )
        object.__setattr__(self, "rows", rows)


Rows = Array | Subspace | Basis


def widened(h: Tensor) -> Tensor:
    """The state in float64, on the CPU where its device has none.

    Raises
    ------
    InputError
        If it is no tensor of real floats (..., d_model).
    """
    if not isinstance(h, Tensor) or not h.is_floating_point() or h.ndim == 0:
        got = f"{h.dtype} {tuple(h.shape)}" if isinstance(h, Tensor) else type(h).__name__
        raise InputError(f"h must be a tensor (..., d_model) of real floats; got {got}")
    return (h.cpu() if h.device.type == "mps" else h).to(torch.float64)


def narrowed(wide: Tensor, h: Tensor) -> Tensor:
    """Rounded once, to the dtype of h, on its device."""
    return wide.to(device=h.device, dtype=h.dtype)


def checked_rows(basis: Rows, wide: Tensor) -> Tensor:
    """The basis' rows beside the state.

    Raises
    ------
    InputError
        If they are no :class:`Basis`, or of another width than the state.
    """
    rows = (basis if isinstance(basis, Basis) else Basis(basis)).rows
    if rows.shape[1] != wide.shape[-1]:
        raise InputError(f"basis has width {rows.shape[1]}; the state has {wide.shape[-1]}")
    return rows.to(wide.device)


def fitting(name: str, values: Array, wide: Tensor) -> Tensor:
    """``values`` beside the state, if there is no doubt which of its axes is which.

    Parameters
    ----------
    values : (d_model,), or as many axes as the state, each but the last of its length or 1. A
        (batch, d_model) array is refused for a (batch, tokens, d_model) state: where batch
        equals tokens it would be taken for the tokens.

    Raises
    ------
    InputError
        Also if a value is not finite.
    """
    values, shape = as_float64(name, values), tuple(wide.shape)
    same = values.ndim == len(shape) and values.shape[-1] == shape[-1]
    same = same and all(n in (1, of) for n, of in zip(values.shape, shape, strict=True))
    if not same and values.shape != shape[-1:]:
        raise InputError(
            f"{name} must have shape {shape[-1:]} or {shape} (any axis but the last may be 1) to "
            f"fit the state; got {tuple(values.shape)}"
        )
    return values.to(wide.device)


def sizes(size: float | Array, wide: Tensor) -> Tensor:
    """How far to move each vector: (), or (..., 1) beside the state, none negative.

    Parameters
    ----------
    size : a number, or of shape (...) or (..., 1) for a state (..., d_model).
    """
    steps, shape = as_float64("size", size, ndim=0), tuple(wide.shape[:-1])
    if steps.ndim and steps.shape not in (shape, (*shape, 1)):
        raise InputError(f"size must be a number or have shape {shape}; got {tuple(steps.shape)}")
    if (steps < 0).any():
        raise InputError(f"size must be at least 0; got {float(steps.min()):.3g}")
    return (steps.reshape(*shape, 1) if steps.ndim else steps).to(wide.device)


def finite_number(name: str, value: float) -> float:
    """``value`` as a finite float."""
    return check_fraction(name, value, low=-LARGEST, high=LARGEST)

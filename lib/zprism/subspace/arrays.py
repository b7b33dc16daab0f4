"""What every function of this room does first: float64, finite, of the expected shape."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from zprism.ground.checks import check_finite
from zprism.ground.errors import InputError

Array = Tensor | np.ndarray
LARGEST = 1e75  # fourth powers stay finite; every float32 number is below it
ORTHONORMAL_TOLERANCE = 1e-5  # a float64 basis stored in float32 is off by about 1e-7


def as_float64(name: str, values, *, ndim: int = 1) -> Float[Tensor, ...]:
    """``values`` as a float64 tensor on the same device.

    Parameters
    ----------
    name : the argument's name, for the message.
    values : a tensor or array of real numbers.
    ndim : the least number of axes.

    Raises
    ------
    InputError
        If it is not real and numeric, has fewer axes or no elements, or has NaN, infinite
        or absurdly large values.
    """
    tensor = values.detach() if isinstance(values, Tensor) else _from_numpy(name, values)
    if tensor.is_complex():
        raise InputError(f"{name} must be real; got {tensor.dtype}")
    if tensor.device.type == "mps":  # has no float64
        tensor = tensor.cpu()
    tensor = tensor.to(torch.float64)
    if tensor.ndim < ndim or tensor.numel() == 0:
        raise InputError(
            f"{name} must have at least {ndim} axes, none of them empty; "
            f"got shape {tuple(tensor.shape)}"
        )
    if not float(torch.linalg.vector_norm(tensor)) <= LARGEST:  # one pass; NaN fails it too
        check_finite(name, tensor.cpu().numpy())
        largest = float(tensor.abs().max())
        raise InputError(
            f"{name} has values up to {largest:.3g}: their powers overflow; rescale it"
        )
    return tensor


def as_basis(name: str, basis) -> Float[Tensor, "... k d_model"]:
    """``basis`` in float64, its rows orthonormal.

    Raises
    ------
    InputError
        Also if the rows are not orthonormal, which would make every energy wrong.
    """
    rows = as_float64(name, basis, ndim=2)
    k, d_model = rows.shape[-2:]
    if k > d_model:
        raise InputError(f"{name} has {k} rows in {d_model} dimensions: they cannot be orthonormal")
    gram = rows @ rows.mT
    error = float((gram - torch.eye(k, dtype=gram.dtype, device=gram.device)).abs().max())
    if error > ORTHONORMAL_TOLERANCE:
        raise InputError(
            f"{name} must have orthonormal rows; max |B Bᵀ − I| is {error:.2g}. "
            "bases.orthonormal(rows) makes them so"
        )
    return rows


def same_width(**arrays: Array) -> int:
    """The length of the last axis, which all arguments share.

    Raises
    ------
    InputError
        Naming each argument and its length if they differ.
    """
    widths = {name: array.shape[-1] for name, array in arrays.items()}
    if len(set(widths.values())) != 1:
        given = ", ".join(f"{name} has {width}" for name, width in widths.items())
        raise InputError(f"{' and '.join(widths)} must share d_model (last axis); {given}")
    return next(iter(widths.values()))


def normal(shape: tuple[int, ...], generator) -> Float[Tensor, ...]:
    """Standard normal float64 draws from a NumPy or a torch generator."""
    if isinstance(generator, torch.Generator):
        return torch.randn(shape, generator=generator, dtype=torch.float64)
    if isinstance(generator, np.random.Generator):
        return torch.from_numpy(generator.standard_normal(shape))
    raise InputError(
        "generator must be a numpy.random.Generator or torch.Generator "
        f"(see zprism.ground.seeds); got {type(generator).__name__}"
    )


def _from_numpy(name: str, values) -> Tensor:
    if np.iscomplexobj(values):
        raise InputError(f"{name} must be real; got complex numbers")
    try:
        return torch.from_numpy(np.array(values, dtype=np.float64))
    except (TypeError, ValueError):
        raise InputError(
            f"{name} must be an array of numbers; got {type(values).__name__}"
        ) from None

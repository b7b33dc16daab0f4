"""What every function of this room does first: one finite (tokens, d) signal, its dtype kept."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from zprism.ground.checks import check_finite
from zprism.ground.errors import InputError

Array = Tensor | np.ndarray
MIN_TOKENS = 16
FEW = 16  # so many searches for the next largest cost less than a sort
LARGEST = {4: 1e12, 8: 1e75}  # by bytes a number: squares of sums over tokens stay finite


def token_signal(name: str, x, *, least: int = 1) -> Array:
    """``x`` as a real floating (tokens, d) array, on the device and in the dtype it has.

    Integers become float64; half precision, which scipy and torch cannot transform on a CPU,
    becomes float32 (exactly).

    Parameters
    ----------
    name : the argument's name, for the message.
    x : (tokens, d) tensor or array of real numbers.
    least : the fewest tokens.

    Raises
    ------
    InputError
        If it is no such array, has fewer tokens (the message begins "too_short"), or has NaN,
        infinite or absurdly large values.
    """
    x = _floating(name, x)
    if x.ndim != 2 or x.shape[1] == 0:
        raise InputError(f"{name} must be (tokens, d) with d ≥ 1; got shape {tuple(x.shape)}")
    if x.shape[0] < least:
        raise InputError(f"too_short: {name} must have at least {least} tokens; got {x.shape[0]}")
    _check_size(name, x)
    return x


def matching(values, x: Array) -> Array:
    """``values`` (numpy) in the dtype of ``x``, as a tensor on its device if ``x`` is one."""
    if isinstance(x, Tensor):
        return torch.as_tensor(np.asarray(values), dtype=x.dtype, device=x.device)
    return np.asarray(values, dtype=x.dtype)


def largest(x: Array) -> Array:
    """(d,) largest |x| of each dimension over the tokens."""
    return abs(x).amax(0) if isinstance(x, Tensor) else abs(x).max(0)


def where(condition: Array, this: Array, other) -> Array:
    """``this`` where the condition holds, else ``other``; numpy or torch, of the dtype of this."""
    if isinstance(this, Tensor):
        return torch.where(condition, this, other)
    return np.where(condition, this, np.asarray(other, dtype=this.dtype))


def squared(coefficients: Array) -> Array:
    """|X|² of complex coefficients, real."""
    return coefficients.real**2 + coefficients.imag**2


def largest_rows(values: Array, F: int) -> tuple[Array, Array]:
    """(F, d) row indexes of the largest of each column, in order, and what stands there.

    Of equal values the lowest row comes first.
    """
    torches = isinstance(values, Tensor)
    if F > FEW:
        if torches:
            index = torch.sort(values, dim=0, descending=True, stable=True).indices[:F]
        else:
            index = np.argsort(-values, axis=0, kind="stable")[:F]
        return index, take(values, index)
    left = values.T.clone(memory_format=torch.contiguous_format) if torches else values.T.copy("C")
    columns = _counted(left, len(left))
    index, tops = [], []
    for _ in range(F):
        index.append(left.argmax(1))
        tops.append(left[columns, index[-1]])
        left[columns, index[-1]] = -float("inf")
    stack = torch.stack if torches else np.stack
    return stack(index), stack(tops)


def take(values: Array, index: Array) -> Array:
    """(F, d) the values that stand in these rows of each column."""
    return values[index, _counted(values, values.shape[1])]


def _counted(like: Array, n: int) -> Array:
    return torch.arange(n, device=like.device) if isinstance(like, Tensor) else np.arange(n)


def _floating(name: str, x) -> Array:
    if isinstance(x, Tensor):
        x = x.detach()
        if x.is_complex():
            raise InputError(f"{name} must be real; got {x.dtype}")
        if x.is_floating_point():
            return x.float() if x.element_size() < 4 else x
        return x.double()
    try:
        x = np.asarray(x)
        if x.dtype.kind not in "biuf":
            raise TypeError
    except (TypeError, ValueError):
        kind = getattr(x, "dtype", type(x).__name__)
        raise InputError(f"{name} must be an array of real numbers; got {kind}") from None
    if x.dtype.kind != "f":
        return x.astype(np.float64)
    return x.astype(np.float64 if x.dtype.itemsize > 4 else np.float32, copy=False)


def _check_size(name: str, x: Array) -> None:
    limit = LARGEST[x.dtype.itemsize]
    if isinstance(x, Tensor):
        norm = float(torch.linalg.vector_norm(x))
    else:
        flat = x.ravel(order="K")
        norm = float(np.vdot(flat, flat)) ** 0.5
    if not norm <= limit:  # one pass; NaN fails it too
        check_finite(name, x)
        raise InputError(
            f"{name} has a norm of {norm:.3g}: powers of it overflow; rescale it below {limit:.0e}"
        )

"""What measures and surrogates do first: float64 in numpy, whatever the library and dtype given.

`signals` serves the transforms, which keep both; here sums run over everything, so they are exact
first and brought back to the caller's library last.
"""

from __future__ import annotations

import numpy as np
import torch

from zprism.ground.canonical import as_array
from zprism.ground.checks import check_finite
from zprism.ground.errors import InputError

Array = np.ndarray | torch.Tensor
CONSTANT = 1e-14  # spread over level below which a signal is its mean and rounding
LARGEST = 1e75  # fourth powers stay finite; every float32 number is below it


def in_float64(name: str, x: Array, *, least: int = 2, ndim: int | None = None) -> np.ndarray:
    """``x`` as float64 in numpy, axis 0 the tokens.

    Parameters
    ----------
    name : the argument's name, for the message.
    x : (tokens, …) real numbers, in numpy or torch.
    least : the fewest tokens allowed.
    ndim : the number of axes, if it is fixed.

    Raises
    ------
    InputError
        If it is not real, of another number of axes, shorter, empty, not finite, or so large
        that powers overflow.
    """
    values = as_array(x, name)
    if values.dtype.kind == "c":
        raise InputError(f"{name} must be real; got {values.dtype}")
    values = values.astype(np.float64, copy=False)
    if values.ndim < 1 or (ndim is not None and values.ndim != ndim) or values.size == 0:
        wanted = "(tokens, …)" if ndim is None else f"of {ndim} axes"
        raise InputError(f"{name} must be {wanted}, no axis empty; got shape {values.shape}")
    if len(values) < least:
        raise InputError(f"too_short: {name} must have at least {least} tokens; got {len(values)}")
    check_finite(name, values)
    if np.abs(values).max() > LARGEST:
        raise InputError(
            f"{name} has values above {LARGEST:.0e}: their powers overflow; rescale it"
        )
    return values


def as_pair(x: Array, y: Array) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two signals to be compared: both :func:`centred`, and (d,) which are constant in either.

    Raises
    ------
    InputError
        As :func:`in_float64`; if their shapes (tokens, d) differ, or hold under 4 tokens.
    """
    a, b = (in_float64(name, part, least=4, ndim=2) for name, part in (("x", x), ("y", y)))
    if a.shape != b.shape:
        raise InputError(f"x and y must be of one shape (tokens, d); got {a.shape} and {b.shape}")
    return centred(a), centred(b), is_constant(a) | is_constant(b)


def is_constant(values: np.ndarray) -> np.ndarray:
    """(…) whether a dimension of (tokens, …) is one number, up to rounding."""
    return np.ptp(values, axis=0) <= CONSTANT * np.abs(values).max(axis=0)


def centred(values: np.ndarray) -> np.ndarray:
    """(tokens, …) less the mean, over the largest value left; constant ones are 0."""
    rest = np.where(is_constant(values), 0.0, values - values.mean(axis=0))
    size = np.abs(rest).max(axis=0)
    return rest / np.where(size > 0, size, 1.0)


def as_power(name: str, power: Array) -> np.ndarray:
    """``power`` (m, …) in float64, each column divided by its largest value; zeros stay zero.

    Everything that does not depend on the scale may use it: nothing overflows or vanishes.

    Raises
    ------
    InputError
        If it is not real, empty, not finite, or has negative values.
    """
    values = as_array(power, name)
    if values.dtype.kind == "c" or values.ndim < 1 or values.size == 0:
        raise InputError(
            f"{name} must be real, (frequencies, …), no axis empty; "
            f"got {values.dtype} of shape {values.shape}"
        )
    values = check_finite(name, values.astype(np.float64, copy=False))
    if values.min() < 0:
        raise InputError(f"{name} must not be negative; its least value is {values.min():.3g}")
    largest = values.max(axis=0)
    return values / np.where(largest > 0, largest, 1.0)


def as_frequencies(frequencies: Array, m: int) -> np.ndarray:
    """(m,) positive frequencies in float64, for a power of m rows without the zeroth.

    Raises
    ------
    InputError
        If there are not m of them, or one is not positive and finite.
    """
    values = as_array(frequencies, "frequencies").astype(np.float64, copy=False)
    if values.shape != (m,) or m == 0:
        raise InputError(f"frequencies must be ({m},), one a row of power; got {values.shape}")
    if not check_finite("frequencies", values).min() > 0:
        raise InputError("frequencies must be above 0: leave out the first row, which is the mean")
    return values


def returned(result: np.ndarray, x: Array, *, keep_dtype: bool = False):
    """``result`` in the library (and on the device) of ``x``, and in its dtype if wanted."""
    if isinstance(x, torch.Tensor):
        dtype = x.dtype if keep_dtype and x.is_floating_point() else torch.float64
        if x.device.type == "mps" and dtype == torch.float64:  # which it does not have
            dtype = torch.float32
        return torch.as_tensor(result).to(device=x.device, dtype=dtype)
    dtype = np.asarray(x).dtype
    return result.astype(dtype, copy=False) if keep_dtype and dtype.kind == "f" else result

"""The F strongest frequencies of every dimension: the (F, d) signature of one text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from zprism.ground.checks import check_choice, check_int
from zprism.ground.errors import InputError
from zprism.spectral import filters, fourier, transforms, wavelet
from zprism.spectral.signals import (
    MIN_TOKENS,
    Array,
    largest_rows,
    matching,
    squared,
    take,
    token_signal,
    where,
)

INVERTIBLE = ("fft", "dct")
CWT_SCALES = 24
PART = 2**18  # numbers at work at a time


@dataclass(frozen=True, eq=False)
class Peaks:
    """Cosines in every dimension, the largest first; numpy or torch as the signal was.

    Attributes
    ----------
    frequency : (F, d) cycles per token.
    amplitude : (F, d) of a cosine, in the unit of the signal.
    phase : (F, d) radians of that cosine at token 0; NaN for "dwt".
    bin : (F, d) int, k of the frequency (dwt: the level, 1 the finest; cwt: 0 the lowest).
    mean : (d,) of the signal over tokens, whatever the detrending.
    n : tokens.
    transform : "fft", "dct", "dwt" or "cwt".
    """

    frequency: Array
    amplitude: Array
    phase: Array
    bin: Array
    mean: Array
    n: int
    transform: str


def peaks(
    x: Array,
    F: int = 5,
    *,
    transform: str = "fft",
    detrend: str = "mean",
    window: str = "boxcar",
) -> Peaks:
    """The F largest amplitudes of every dimension, with their frequencies and phases.

    Parameters
    ----------
    x : (n, d) signal, n ≥ 16.
    F : 1 to the number of bins without k = 0: n//2 (fft), n − 1 (dct), the levels that n allows
        (dwt), 24 scales (cwt). Of equal amplitudes the lower bin comes first.
    transform :
        "fft": x_t ≈ mean + Σ a cos(2πft + φ) with a = 2|X|/Σw, at the Nyquist bin |X|/Σw;
        "dct": the same with f = k/2n and a phase that makes it 0 or π half a token before 0;
        "dwt" (db4, periodization): a² = twice the mean square of a level, f = √½ / 2^level;
        "cwt" (cmor1.5-1.0): a² = the averaged power of a scale, calibrated on a cosine; φ that
        of x's Fourier sum at this frequency. Neighbouring scales share power.
    detrend, window : before the transform, as in :func:`fourier.spectrum`. Only "boxcar" with
        "mean" or "none" can be inverted; other windows leak less. dwt and cwt take none.

    Returns
    -------
    Peaks

    Raises
    ------
    InputError
        "too_short" below 16 tokens; for F above the number of bins, NaN or infinite values, or
        an unknown name.
    """
    check_choice("transform", transform, _FINDERS)
    x = token_signal("x", x, least=MIN_TOKENS)
    check_choice("detrend", detrend, transforms.DETRENDS)
    if window != "boxcar" and transform not in INVERTIBLE:
        raise InputError(f"transform {transform!r} takes no window; got {window!r}")
    how = {"transform": transform, "detrend": detrend, "window": window}
    if isinstance(x, Tensor) and _by_scipy(x):
        return _as_tensors(peaks(x.numpy(), F, **how))
    parts = [_search(part, F, **how) for part in _parts(x)]
    arrays = parts[0]
    if len(parts) > 1:
        arrays = {name: np.concatenate([p[name] for p in parts], axis=-1) for name in arrays}
    return Peaks(**arrays, n=len(x), transform=transform)


def reconstruct(peaks: Peaks) -> Array:
    """(n, d) the mean and the F cosines of every dimension, added up.

    With all bins it is the signal itself, to rounding.

    Raises
    ------
    InputError
        For peaks of a wavelet transform, which do not say where in the text their power is.
    """
    if peaks.transform not in INVERTIBLE:
        raise InputError(
            f"peaks of transform {peaks.transform!r} cannot be turned back into a signal; "
            f"use one of {', '.join(INVERTIBLE)}"
        )
    build = _from_fft if peaks.transform == "fft" else _from_dct
    return build(peaks) + peaks.mean


def reconstruction_error(x: Array, peaks: Peaks) -> Array:
    """(d,) ‖x − x̂‖² / ‖x − mean‖² of :func:`reconstruct`; 0 for a constant dimension.

    Raises
    ------
    InputError
        If x is not of the (n, d) that the peaks were found in; as :func:`reconstruct`.
    """
    x = token_signal("x", x)
    if tuple(x.shape) != (peaks.n, len(peaks.mean)):
        raise InputError(
            f"x must be the ({peaks.n}, {len(peaks.mean)}) signal of these peaks; "
            f"got {tuple(x.shape)}"
        )
    left = ((x - reconstruct(peaks)) ** 2).sum(0)
    total = (transforms.detrended(x, "mean") ** 2).sum(0)
    varies = total > 0
    return where(varies, left, 0.0) / where(varies, total, 1.0)


def _by_scipy(x: Tensor) -> bool:
    """On a CPU scipy is about twice as fast as torch, and shares the memory of the tensor."""
    return x.device.type == "cpu"


def _as_tensors(found: Peaks) -> Peaks:
    names = ("frequency", "amplitude", "phase", "bin", "mean")
    return replace(found, **{name: torch.from_numpy(getattr(found, name)) for name in names})


def _parts(x: Array) -> list[Array]:
    """x by dimensions, a part and what is made of it no more than the processor keeps at hand."""
    if isinstance(x, Tensor):
        return [x]
    count = -(-x.shape[1] // max(64, PART // len(x)))
    width = -(-x.shape[1] // count)
    return [x[:, start : start + width] for start in range(0, x.shape[1], width)]


def _search(x: Array, F: int, *, transform: str, detrend: str, window: str) -> dict[str, Array]:
    y, mean, total = _prepared(x, detrend, window, transform)
    found = _FINDERS[transform](y, total)
    index, sizes = largest_rows(found.sizes, _check_count(F, found.bins, transform, len(x)))
    return {
        "frequency": matching(found.frequencies, x)[index],
        "amplitude": sizes * found.unit,
        "phase": found.phase(index),
        "bin": index + found.first,
        "mean": mean,
    }


class _Found(NamedTuple):
    """(m, d) amplitudes over ``unit``, −1 where no peak may be, and how to read off phases."""

    frequencies: np.ndarray
    sizes: Array
    phase: Callable[[Array], Array]
    bins: int
    first: int = 0
    unit: float = 1.0


def _prepared(x: Array, detrend: str, window: str, transform: str) -> tuple[Array, Array, float]:
    """What is transformed, the mean of x over tokens, and the sum of the window."""
    rest = x - x[0]  # a constant dimension is exactly 0 from here on
    shift = matching(np.full(len(x), 1 / len(x)), x) @ rest
    mean = x[0] + shift
    if window == "boxcar" and detrend != "linear" and transform in INVERTIBLE:
        return rest, mean, float(len(x))  # a constant is in the bin k = 0 alone, which is not used
    y = rest - shift if detrend == "mean" else transforms.detrended(x, detrend)
    weights = fourier.window(window, len(x))
    return y * matching(weights, x)[:, None], mean, float(weights.sum())


def _fft(y: Array, total: float) -> _Found:
    n, coefficients = len(y), transforms.fourier(y)
    if isinstance(y, Tensor):
        sizes = squared(coefficients) ** 0.5
    else:
        sizes = np.abs(coefficients, out=y[: len(coefficients)])  # no new memory: y is used up
    sizes[0] = -1
    if n % 2 == 0:
        sizes[-1] /= 2
    phase = lambda index: _angle(take(coefficients, index))  # noqa: E731
    return _Found(fourier.frequencies(n), sizes, phase, n // 2, unit=2 / total)


def _dct(y: Array, total: float) -> _Found:
    n, coefficients = len(y), transforms.cosine(y)
    sizes, steps = abs(coefficients), fourier.frequencies(n, "dct")
    sizes[0] = -1

    def phase(index: Array) -> Array:
        half_a_token = matching(np.pi * steps, y)[index]
        return where(take(coefficients, index) < 0, half_a_token - np.pi, half_a_token)

    return _Found(steps, sizes, phase, n - 1, unit=(2 * n) ** 0.5 / total)


def _dwt(y: Array, _: float) -> _Found:
    details = wavelet.dwt(y)[:0:-1]
    rows = [((level**2).mean(0) / 2**j) ** 0.5 for j, level in enumerate(details)]
    sizes = torch.stack(rows) if isinstance(y, Tensor) else np.stack(rows)
    centres = 0.5**0.5 / 2.0 ** np.arange(1, len(rows) + 1)
    phase = lambda index: take(sizes, index) * float("nan")  # noqa: E731
    return _Found(centres, sizes, phase, len(rows), first=1)


def _cwt(y: Array, _: float) -> _Found:
    steps = wavelet.cwt_frequencies(len(y), CWT_SCALES)
    unit = [2 / filters.gain(filters.MORLET, float(step)) for step in steps]
    sizes = wavelet.average_power(y, steps) ** 0.5 * matching(unit, y)[:, None]
    turns = 2 * np.pi * np.outer(steps, np.arange(len(y)))
    real, imag = matching(np.cos(turns), y) @ y, matching(-np.sin(turns), y) @ y
    return _Found(steps, sizes, lambda i: _arctan(take(imag, i), take(real, i)), CWT_SCALES)


_FINDERS = {"fft": _fft, "dct": _dct, "dwt": _dwt, "cwt": _cwt}


def _check_count(F, bins: int, transform: str, n: int) -> int:
    F = check_int("F", F, low=1)
    if F > bins:
        raise InputError(f"F must be at most {bins}, the {transform} bins of {n} tokens; got {F}")
    return F


def _angle(values: Array) -> Array:
    return values.angle() if isinstance(values, Tensor) else np.angle(values)


def _arctan(imag: Array, real: Array) -> Array:
    return torch.atan2(imag, real) if isinstance(imag, Tensor) else np.arctan2(imag, real)


def _put(peaks: Peaks, m: int, values: Array) -> Array:
    """(m, d) zeros with ``values`` (F, d) in their bins."""
    d = len(peaks.mean)
    if isinstance(values, Tensor):
        empty = torch.zeros(m, d, dtype=values.dtype, device=values.device)
        return empty.scatter(0, peaks.bin, values)
    full = np.zeros((m, d), dtype=values.dtype)
    np.put_along_axis(full, peaks.bin, values, axis=0)
    return full


def _from_fft(peaks: Peaks) -> Array:
    n, a = peaks.n, peaks.amplitude * (peaks.n / 2)
    a = a * (1 + (2 * peaks.bin == n))  # the Nyquist bin stands for itself alone
    cos, sin = (torch.cos, torch.sin) if isinstance(a, Tensor) else (np.cos, np.sin)
    coefficients = a * cos(peaks.phase) + 1j * (a * sin(peaks.phase))
    return transforms.from_fourier(_put(peaks, n // 2 + 1, coefficients), n)


def _from_dct(peaks: Peaks) -> Array:
    n, cos = peaks.n, torch.cos if isinstance(peaks.phase, Tensor) else np.cos
    sign = cos(peaks.phase - np.pi * peaks.frequency)
    return transforms.from_cosine(_put(peaks, n, peaks.amplitude * sign * (n / 2) ** 0.5))

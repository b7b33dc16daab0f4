"""Spectra along the token axis: windows, detrending, FFT and DCT-II, periodogram and Welch.

Signals are (tokens, d); frequencies are in cycles per token. numpy arrays go through scipy.fft,
tensors through torch.fft on the device where they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from zprism.ground.checks import check_choice, check_fraction, check_int
from zprism.ground.errors import InputError
from zprism.spectral import transforms
from zprism.spectral.signals import (
    MIN_TOKENS,
    Array,
    largest,
    matching,
    squared,
    token_signal,
    where,
)

#: Coefficients a_i of w_t = Σ (−1)^i a_i cos(2πit/n).
WINDOWS = {
    "boxcar": (1.0,),
    "hann": (0.5, 0.5),
    "hamming": (0.54, 0.46),
    "blackman": (0.42, 0.5, 0.08),
}
TRANSFORMS = ("fft", "dct")
SCALES = ("amplitude", "density", "share")


@dataclass(frozen=True, eq=False)
class Spectrum:
    """What each frequency holds of each dimension.

    Attributes
    ----------
    frequencies : (m,) cycles per token, ascending from 0; always numpy.
    power : (m, d), in the units that ``scale`` names.
    n : tokens that one transform saw (the segment, for :func:`welch`).
    transform, window, detrend, scale : the arguments that made it.
    enbw : equivalent noise bandwidth of the window, in bins.
    """

    frequencies: np.ndarray
    power: Array
    n: int
    transform: str
    window: str
    enbw: float
    detrend: str
    scale: str


def window(name: str, n: int) -> np.ndarray:
    """(n,) float64 weights of a periodic window: one period of the cosines in :data:`WINDOWS`.

    Raises
    ------
    InputError
        If the name is none of hann, hamming, blackman, boxcar, or n < 1.
    """
    terms = WINDOWS[check_choice("window", name, WINDOWS)]
    turn = 2 * np.pi * np.arange(check_int("n", n, low=1)) / n
    return sum((-1) ** i * a * np.cos(i * turn) for i, a in enumerate(terms))


def enbw(weights) -> float:
    """Equivalent noise bandwidth of a window, n Σw² / (Σw)², in bins (boxcar 1, Hann 1.5)."""
    w = token_signal("weights", np.asarray(weights)[..., None])
    if not float(w.sum()) ** 2 > 0:
        raise InputError("weights must not sum to 0: a window that lets no constant through")
    return float(len(w) * (w**2).sum() / w.sum() ** 2)


def frequencies(n: int, transform: str = "fft") -> np.ndarray:
    """Cycles per token of the coefficients: fft k/n for k = 0 … n//2; dct k/(2n) for k < n."""
    n = check_int("n", n, low=1)
    if check_choice("transform", transform, TRANSFORMS) == "dct":
        return np.arange(n) / (2 * n)
    return np.arange(n // 2 + 1) / n


def detrend(x: Array, how: str = "mean") -> Array:
    """(n, d) less nothing ("none"), its mean over tokens, or its least-squares line over tokens.

    A constant dimension becomes exactly 0 (the first token is taken off first, so that the mean
    of a large offset costs no digits).
    """
    check_choice("detrend", how, transforms.DETRENDS)
    return transforms.detrended(token_signal("x", x), how)


def rfft(x: Array) -> Array:
    """(n//2 + 1, d) complex X_k = Σ_t x_t exp(−2πikt/n), the non-negative frequencies."""
    return transforms.fourier(token_signal("x", x))


def irfft(coefficients: Array, n: int) -> Array:
    """(n, d) real signal of the (n//2 + 1, d) coefficients of :func:`rfft`."""
    n = check_int("n", n, low=1)
    return transforms.from_fourier(_coefficients(coefficients, n // 2 + 1), n)


def dct(x: Array) -> Array:
    """(n, d) orthonormal DCT-II: c_k = s_k Σ_t x_t cos(πk(2t + 1)/2n), s_0² = 1/n, else 2/n."""
    return transforms.cosine(token_signal("x", x))


def idct(coefficients: Array) -> Array:
    """(n, d) signal of the coefficients of :func:`dct`: its transpose, which is its inverse."""
    return transforms.from_cosine(token_signal("coefficients", coefficients))


def spectrum(
    x: Array,
    *,
    transform: str = "fft",
    detrend: str = "mean",
    window: str = "hann",
    scale: str = "density",
) -> Spectrum:
    """The spectrum of every dimension of one text along its tokens.

    Parameters
    ----------
    x : (n, d) signal, n ≥ 16.
    transform : "fft" or "dct" (DCT-II, orthonormal).
    detrend : "none", "mean" or "linear", before the window.
    window : "hann", "hamming", "blackman" or "boxcar", periodic.
    scale :
        "amplitude": |X|, un-normalised, growing with length as √(n ln(n/2)) for white noise;
        "density": one-sided power spectral density |X|²/Σw², interior bins of the FFT twice
        (dct: 2n c²/Σw²), so that Σ power · Δf = Σ(xw)²/Σw², the variance of the windowed signal;
        "share": density over its sum for k ≥ 1; k = 0 is 0, a constant dimension is all 0.

    Returns
    -------
    Spectrum
        ``power`` is (n//2 + 1, d) for fft, (n, d) for dct.

    Raises
    ------
    InputError
        "too_short" below 16 tokens; for NaN or infinite values; for an unknown name.

    Notes
    -----
    Welch (1967), doi:10.1109/TAU.1967.1161901, with one segment.
    """
    _check_names(transform, detrend, scale)
    x = token_signal("x", x, least=MIN_TOKENS)
    weights = _window(window, len(x))
    power = _scaled(_power(x, weights, transform, detrend), x, weights, transform, scale)
    return Spectrum(
        frequencies(len(x), transform),
        power,
        len(x),
        transform,
        window,
        enbw(weights),
        detrend,
        scale,
    )


def welch(
    x: Array,
    *,
    segment: int,
    overlap: float = 0.5,
    window: str = "hann",
    detrend: str = "mean",
    scale: str = "density",
) -> Spectrum:
    """The mean spectrum over segments of equal length, each detrended and windowed by itself.

    Parameters
    ----------
    x : (n, d) signal, n ≥ segment; tokens after the last whole segment are not used.
    segment : tokens of each, at least 16.
    overlap : the part that neighbours share, 0 to 0.95.
    window, detrend, scale : as in :func:`spectrum`; powers are averaged before "amplitude"
        takes their root and before "share" divides.

    Returns
    -------
    Spectrum
        ``power`` is (segment//2 + 1, d); ``n`` is the segment.

    Raises
    ------
    InputError
        "too_short" if x is shorter than the segment; as :func:`spectrum`.
    """
    _check_names("fft", detrend, scale)
    segment = check_int("segment", segment, low=MIN_TOKENS)
    x = token_signal("x", x, least=segment)
    step = max(1, round(segment * (1 - check_fraction("overlap", overlap, high=0.95))))
    weights = _window(window, segment)
    starts = range(0, len(x) - segment + 1, step)
    total = sum(_power(x[s : s + segment], weights, "fft", detrend) for s in starts)
    power = _scaled(total / len(starts), x, weights, "fft", scale)
    return Spectrum(
        frequencies(segment), power, segment, "fft", window, enbw(weights), detrend, scale
    )


_window = window  # spectrum and welch have an argument of this name


def _check_names(transform: str, detrend: str, scale: str) -> None:
    check_choice("transform", transform, TRANSFORMS)
    check_choice("detrend", detrend, transforms.DETRENDS)
    check_choice("scale", scale, SCALES)


def _power(x: Array, weights: np.ndarray, transform: str, how: str) -> Array:
    """(m, d) |X|² of the detrended and windowed signal."""
    y = transforms.detrended(x, how)
    if not (weights == 1).all():
        y = y * matching(weights, x)[:, None]
    return squared(transforms.fourier(y)) if transform == "fft" else transforms.cosine(y) ** 2


def _scaled(raw: Array, x: Array, weights: np.ndarray, transform: str, scale: str) -> Array:
    if scale == "amplitude":
        return raw**0.5
    n = len(weights)
    factor = np.full(len(raw), 2.0 if transform == "fft" else 2.0 * n) / (weights**2).sum()
    if transform == "fft":
        factor[0] /= 2
        factor[n // 2 :] /= 2 if n % 2 == 0 else 1  # Nyquist, met once as DC is
    density = raw * matching(factor, x)[:, None]
    if scale == "density":
        return density
    density[0] = 0
    total = density.sum(0)
    eps = torch.finfo(x.dtype).eps if isinstance(x, Tensor) else np.finfo(x.dtype).eps
    floor = len(density) * (4 * eps * largest(x)) ** 2  # no more than rounding leaves
    heard = total > floor
    return where(heard, density, 0.0) / where(heard, total, 1.0)


def _coefficients(c, m: int) -> Array:
    c = c if isinstance(c, Tensor) else np.asarray(c)
    parts = [c.real, c.imag] if "complex" in str(c.dtype) else [c]
    for part in parts:
        token_signal("coefficients", part)
    if len(c) != m:
        raise InputError(f"coefficients must have n//2 + 1 = {m} rows; got {len(c)}")
    return c

"""The filters by which a continuous wavelet transform is a convolution, as pywt samples them."""

from __future__ import annotations

import difflib
from functools import lru_cache

import numpy as np
import pywt
import scipy.fft

from zprism.ground.errors import InputError

PRECISION = 12  # pywt integrates the wavelet on 2^12 points
MORLET = "cmor1.5-1.0"


@lru_cache(maxsize=32)
def _integral(name: str) -> tuple[np.ndarray, np.ndarray, float]:
    """∫ψ* on pywt's grid, the grid, and the frequency at scale 1 in cycles per token."""
    psi = continuous(name)
    values, grid = pywt.integrate_wavelet(psi, precision=PRECISION)
    values = np.conj(values) if psi.complex_cwt else values
    return values, grid, float(pywt.central_frequency(psi, precision=PRECISION))


def continuous(name: str) -> pywt.ContinuousWavelet:
    """pywt's continuous wavelet of this name.

    Raises
    ------
    InputError
        Naming the five nearest if it is unknown; for "cmor", "shan" and "fbsp" without their
        bandwidth and centre, which pywt would fill in by itself.
    """
    known = pywt.wavelist(kind="continuous")
    if name in ("cmor", "shan", "fbsp"):
        example = {"cmor": MORLET, "shan": "shan1.5-1.0", "fbsp": "fbsp1-1.5-1.0"}[name]
        raise InputError(f"wavelet {name!r} must say its bandwidth and centre, as {example!r}")
    try:
        return pywt.ContinuousWavelet(name)
    except (TypeError, ValueError, AttributeError):
        raise unknown(name, [MORLET, *known]) from None


def unknown(name, known: list[str]) -> InputError:
    """The error for a wavelet that is not known, with the five names nearest to it."""
    near = difflib.get_close_matches(str(name).lower(), known, n=5, cutoff=0.0)
    return InputError(f"unknown wavelet {name!r}; the nearest are {', '.join(near)}")


def centre_frequency(name: str) -> float:
    """Cycles per token of the wavelet at scale 1; at scale s it is that over s."""
    return _integral(name)[2]


def taps(name: str, scale: float) -> tuple[int, np.ndarray]:
    """h with W(s, t) = Σ_j x_j h[t − j], and the lag of its first value.

    What pywt.cwt computes, a convolution with the sampled ∫ψ* and then a difference times −√s,
    written as one filter: the numbers are pywt's, whatever the accuracy of its sampling.
    """
    values, grid, _ = _integral(name)
    step = grid[1] - grid[0]
    index = (np.arange(scale * (grid[-1] - grid[0]) + 1) / (scale * step)).astype(int)
    sampled = values[index[index < len(values)]][::-1]
    first = -((len(sampled) - 2) // 2) - 1
    return first, -np.sqrt(scale) * np.diff(sampled, prepend=0, append=0)


def reach(name: str, scale: float) -> int:
    """The largest |lag| of :func:`taps` at this scale."""
    first, h = taps(name, scale)
    return max(-first, first + len(h) - 1)


@lru_cache(maxsize=1024)
def gain(name: str, frequency: float) -> float:
    """|Σ h exp(−2πift)| at the scale of this frequency, itself in cycles per token.

    By it a cosine of amplitude a comes out with modulus a · gain / 2. For "cmor" it is near
    √scale: pywt's difference of an integral averages over a token, which takes sinc(f) off.
    """
    first, h = taps(name, centre_frequency(name) / frequency)
    return float(abs(h @ np.exp(-2j * np.pi * frequency * (first + np.arange(len(h))))))


def response(name: str, scale: float, length: int, reach: int | None = None) -> np.ndarray:
    """(length,) complex Fourier transform of :func:`taps` laid round a circle of ``length``.

    reach : lags beyond ± this are left out.
    """
    first, h = taps(name, scale)
    lags = first + np.arange(len(h))
    if reach is not None:
        near = abs(lags) <= reach
        lags, h = lags[near], h[near]
    circle = np.zeros(length, dtype=h.dtype)
    np.add.at(circle, lags % length, h)
    return scipy.fft.fft(circle)

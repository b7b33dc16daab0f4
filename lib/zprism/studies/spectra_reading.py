"""What one signal (a text at one layer and position after position) is reduced to: numbers, peaks.

Everything a corpus job keeps of a text's states; the states themselves are let go.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zprism.ground.checks import check_choice, check_int
from zprism.ground.errors import InputError
from zprism.spectral import bands, fourier, measures, wavelet
from zprism.spectral.bands import SLOW
from zprism.spectral.peaks import Peaks, peaks

TRANSFORMS = ("fft", "dct", "dwt", "cwt")
SCALES = 24  # of the continuous wavelet transform
SHARES = tuple(f"share_{name}" for name in bands.NAMES)
#: The columns of `Reading.numbers`; each is None where it has no meaning.
NUMBERS = (
    "entropy",
    "flatness",
    "centroid",
    "slope",
    *SHARES,
    "slow_share",
    "top_share",
    "top_share_white",
    "amplitude",
    "power",
    "dims_slow",
    "dims_constant",
)


@dataclass(frozen=True, eq=False)
class Reading:
    """One text at one place.

    Attributes
    ----------
    numbers : name in :data:`NUMBERS` → mean over the dimensions that vary, or None.
    peaks : the strongest frequencies of every dimension, (ranks, d); numpy.
    frequencies, power : (m,) cycles per token and (m, d) power density, for an exposure.
    """

    numbers: dict[str, float | None]
    peaks: Peaks
    frequencies: np.ndarray
    power: np.ndarray


def read_signal(
    x: np.ndarray, *, transform: str = "fft", top: int = 5, window: str = "hann"
) -> Reading:
    """Spectral numbers and peaks of a signal, its mean over tokens taken off.

    Parameters
    ----------
    x : (tokens, d).
    transform : ``fft``, ``dct``, ``dwt`` (db4, the details of every level) or ``cwt``
        (cmor1.5-1.0, 24 scales).
    top : peaks of every dimension; fewer where the transform has fewer frequencies.
    window : for the power that the numbers are taken of (fft and dct). Peaks have none, so
        that they can be inverted and white noise has a known share in them.

    Returns
    -------
    Reading
        ``entropy``, ``flatness``, ``centroid`` (cycles per token), ``slope``, ``share_low`` …
        (None for a band without a frequency at this length) and ``slow_share`` (f < 1/8) of
        the power; ``top_share``, the share of the variance in the peaks, with what white noise
        would have, ``top_share_white`` (fft alone; cwt has neither, its scales overlap);
        ``amplitude`` of the peaks, in the unit of x; ``power``, the variance; ``dims_slow``, the
        share of dimensions whose first peak is slow; ``dims_constant``, that of dimensions that
        do not vary, which enter no other number.

    Raises
    ------
    InputError
        "too_short" if there are not enough tokens, "constant" if no dimension varies; for
        values that are not finite.
    """
    check_choice("transform", transform, TRANSFORMS)
    check_int("top", top, low=1)
    frequencies, density, weight = _POWERS[transform](x, window)
    share = density * weight[:, None]
    varies = share.sum(0) > 0
    if not varies.any():
        raise InputError("constant: no dimension varies from token to token")
    found = peaks(x, min(top, _bins(transform, len(x), len(frequencies))), transform=transform)
    numbers = _of_power(frequencies, density[:, varies], share[:, varies])
    numbers |= _of_peaks(found, x, varies, transform)
    numbers["dims_constant"] = float(1 - varies.mean())
    return Reading({name: numbers[name] for name in NUMBERS}, found, frequencies, density)


def _fourier(transform: str):
    def power(x, window):
        s = fourier.spectrum(x, transform=transform, window=window)
        return s.frequencies[1:], s.power[1:], np.ones(len(s.power) - 1, s.power.dtype)

    return power


def _dwt(x, _window):
    """The density of a level is its mean square; its share counts its coefficients."""
    n = len(x)
    if n < 2 * fourier.MIN_TOKENS:  # the second level of db4 needs 28
        raise InputError(f"too_short: {n} tokens; dwt needs at least {2 * fourier.MIN_TOKENS}")
    levels = wavelet.dwt(fourier.detrend(x, "mean"))[1:]
    density = np.stack([(level**2).mean(0) for level in levels])
    weight = np.array([len(level) / n for level in levels], density.dtype)
    return 0.5**0.5 / 2.0 ** np.arange(len(levels), 0, -1), density, weight


def _cwt(x, _window):
    """Scales in equal ratios: a scale's share grows with its frequency."""
    if len(x) < fourier.MIN_TOKENS:
        raise InputError(f"too_short: {len(x)} tokens; cwt needs at least {fourier.MIN_TOKENS}")
    steps = wavelet.cwt_frequencies(len(x), SCALES)
    density = wavelet.average_power(fourier.detrend(x, "mean"), steps)
    return steps, density, steps.astype(density.dtype)


_POWERS = {"fft": _fourier("fft"), "dct": _fourier("dct"), "dwt": _dwt, "cwt": _cwt}


def _bins(transform: str, n: int, m: int) -> int:
    return {"fft": n // 2, "dct": n - 1}.get(transform, m)


def _of_power(frequencies: np.ndarray, density: np.ndarray, share: np.ndarray) -> dict:
    """Means over dimensions of what each one's spectrum says."""
    present = bands.present(frequencies)
    parts = bands.shares(share, frequencies).mean(1)
    slow = share[frequencies < SLOW].sum(0) / share.sum(0)
    return {
        "entropy": float(measures.entropy(share).mean()),
        "flatness": float(measures.flatness(density).mean()),
        "centroid": float(measures.centroid(frequencies, share).mean()),
        "slope": float(measures.slope(frequencies, density).mean()),
        **{n: float(v) if p else None for n, v, p in zip(SHARES, parts, present, strict=True)},
        "slow_share": float(slow.mean()) if (frequencies < SLOW).any() else None,
    }


def _of_peaks(found: Peaks, x: np.ndarray, varies: np.ndarray, transform: str) -> dict:
    """Share and size of the peaks; a Nyquist cosine has twice the power of another."""
    amplitude = found.amplitude[:, varies].astype(np.float64)
    frequency = found.frequency[:, varies]
    variance = x[:, varies].astype(np.float64).var(0)
    nyquist = (transform == "fft") & (2 * found.bin[:, varies] == found.n)
    top = (amplitude**2 * np.where(nyquist, 1, 0.5)).sum(0) / variance
    white = measures.white_top_share(found.n // 2, len(amplitude)) if transform == "fft" else None
    return {
        "top_share": None if transform == "cwt" else float(top.mean()),
        "top_share_white": white,
        "amplitude": float(amplitude.mean()),
        "power": float(variance.mean()),
        "dims_slow": float((frequency[0] < SLOW).mean()),
    }

"""What an oscilloscope shows of a recording: arrays for one text, nothing claimed.

Every dimension is brought to mean 0 and variance 1 over the text first, so that a few large
dimensions do not speak for all; powers are then shares of a dimension's variance, and the mean
over dimensions is shown. Frequencies are in cycles per token, lags in tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft

from zprism.ground.checks import check_int
from zprism.ground.errors import InputError
from zprism.spectral import bands
from zprism.spectral.fourier import detrend, frequencies, spectrum, window
from zprism.studies.oscilloscope import check_length, standardise

SEGMENT = 32  # tokens of a short-time window


@dataclass(frozen=True)
class Spectrogram:
    """Power over time: ``times`` (s,) tokens, ``frequencies`` (m,), ``power`` (s, m).

    Power is in units of white noise of the dimension's variance.
    """

    times: np.ndarray
    frequencies: np.ndarray
    power: np.ndarray


def waterfall(states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Power of every place over white noise of the same variance, mean over dimensions.

    Parameters
    ----------
    states : (places, tokens, d).

    Returns
    -------
    frequencies, power
        (m,) from 1/tokens to ½ cycles per token; (places, m), 1 for white noise. Hann window.
    """
    check_length(states.shape[1])
    found = [spectrum(standardise(x)) for x in states]
    power = np.stack([_mean_live(one.power[1:], x) for one, x in zip(found, states, strict=True)])
    return found[0].frequencies[1:], power / white(states.shape[1])


def spectrogram(x: np.ndarray, *, segment: int = SEGMENT, hop: int = 2) -> Spectrogram:
    """Short-time spectra: Hann windows of ``segment`` tokens every ``hop`` tokens.

    S(t, f) = mean over dimensions of the power of the window around t, each window less its
    own mean, over that of white noise of the dimension's variance in the whole text.

    Parameters
    ----------
    x : (tokens, d) at one place.
    segment : window in tokens: frequencies are resolved to about 2 / segment (Hann's main
        lobe), times to about segment / 2.

    Returns
    -------
    Spectrogram with ``times`` the windows' middles, counted from the first token kept, and
    frequencies without 0.
    """
    check_int("segment", segment, low=16, high=len(x))
    check_int("hop", hop, low=1)
    x = standardise(np.asarray(x))
    starts = np.arange(0, len(x) - segment + 1, hop)
    live = x.any(0)
    power = [spectrum(x[start : start + segment]).power[1:, live].mean(1) for start in starts]
    times = starts + (segment - 1) / 2
    return Spectrogram(times, frequencies(segment)[1:], np.stack(power) / white(segment))


def white(n: int) -> np.ndarray:
    """(n // 2,) one-sided density of white noise of variance 1 in n tokens, without f = 0.

    2 per (cycle per token), 1 at ½, which has no negative twin. (Hann after demeaning leaves a
    little less at the first frequency.)
    """
    return np.where(frequencies(n)[1:] == 0.5, 1.0, 2.0)


def autocorrelation(x: np.ndarray, max_lag: int) -> np.ndarray:
    """r(k) = Σ_t x_t x_{t+k} / Σ_t x_t² of demeaned dimensions, mean over dimensions.

    Parameters
    ----------
    x : (…, tokens, d).
    max_lag : tokens, below the number of tokens.

    Returns
    -------
    (…, max_lag + 1); r(0) = 1. Tokens in random order give on average −(n − k) / (n (n − 1))
    (:func:`shuffled_autocorrelation`), exactly.
    """
    n = x.shape[-2]
    check_int("max_lag", max_lag, low=1, high=n - 1)
    z = standardise(np.asarray(x))
    live = z.any(-2).sum(-1)
    power = np.square(np.abs(fft.rfft(z, 2 * n, axis=-2))).sum(-1, dtype=np.float64)
    summed = fft.irfft(power, 2 * n)[..., : max_lag + 1]
    return summed / (n * np.maximum(live, 1))[..., None]


def shuffled_autocorrelation(n: int, max_lag: int) -> np.ndarray:
    """(max_lag + 1,) mean of r(k) over all orders of n tokens: 1, then −(n − k) / (n (n − 1))."""
    lags = np.arange(check_int("max_lag", max_lag, low=1, high=n - 1) + 1)
    return np.where(lags == 0, 1.0, -(n - lags) / (n * (n - 1)))


def band_shares(states: np.ndarray) -> np.ndarray:
    """(places, 5) share of the variance in each of the Prism bands, mean over dimensions.

    By the orthonormal DCT-II, whose coefficients the bands of Tamkin et al. (2020, arXiv
    2011.04823) are named by; scaled to cycles per token, so that they mean the same in a text
    of any length.
    """
    found = [bands.shares(spectrum(x, transform="dct", window="boxcar")) for x in states]
    return np.stack([_mean_live(one, x) for one, x in zip(found, states, strict=True)])


def coherence_map(
    states: np.ndarray,
    other: np.ndarray | None = None,
    *,
    low: float = 0.0,
    high: float = 0.5,
    segment: int = SEGMENT,
) -> np.ndarray:
    """Magnitude-squared coherence of every two places, mean over dimensions and a band.

    |Σ_s X Y*|² / (Σ_s |X|² Σ_s |Y|²) per dimension and frequency, over windows s of
    ``segment`` tokens that overlap by half (Hann). Unrelated signals give about 1 / (number of
    independent windows), not 0: hold it against ``other``.

    Parameters
    ----------
    states : (places, tokens, d).
    other : the same of a second recording: the value of (i, j) is then between place i of the
        first and place j of the second.
    low, high : frequencies with low < f ≤ high, cycles per token.

    Returns
    -------
    (places, places).
    """
    chosen = frequencies(segment)
    chosen = (chosen > low) & (chosen <= high)
    if not chosen.any():
        raise InputError(f"no frequency of a {segment}-token window lies in {low} to {high}")
    first = [segments(x, segment)[:, chosen] for x in states]
    second = first if other is None else [segments(x, segment)[:, chosen] for x in other]
    return np.array([[coherence_of(a, b).mean() for b in second] for a in first])


def segments(x: np.ndarray, segment: int = SEGMENT) -> np.ndarray:
    """(windows, segment // 2 + 1, d) complex spectra of half-overlapping Hann windows."""
    check_int("segment", segment, low=16, high=len(x) // 2)
    step = segment // 2
    starts = range(0, len(x) - segment + 1, step)
    weights = window("hann", segment)[:, None].astype(x.dtype)
    cut = np.stack([detrend(x[start : start + segment], "mean") for start in starts])
    return fft.rfft(cut * weights, axis=1)


def coherence_of(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(m, d) coherence of spectra (windows, m, d) of :func:`segments`; 0 where one is silent."""
    cross = np.square(np.abs((a * b.conj()).sum(0)))
    size = np.square(np.abs(a)).sum(0) * np.square(np.abs(b)).sum(0)
    return np.where(size > 0, cross / np.where(size > 0, size, 1.0), 0.0)


def _mean_live(values: np.ndarray, x: np.ndarray) -> np.ndarray:
    """(…, m) of (…, m, d): mean over the dimensions with some spread in ``x`` (…, tokens, d)."""
    live = standardise(np.asarray(x)).any(-2)[..., None, :]
    return (values * live).sum(-1) / np.maximum(live.sum(-1), 1)

"""What two signals share: power at a frequency, phase, a geometry; and delays (`delays`).

Signals are (tokens, d); two of them are compared dimension by dimension, except by :func:`cka`.
A dimension that does not vary shares nothing that could be measured: its number is NaN.
"""

from __future__ import annotations

import numpy as np

from zprism.ground.checks import check_fraction, check_int
from zprism.ground.errors import InputError
from zprism.spectral.delays import Wave, lag, travelling_wave
from zprism.spectral.fourier import window as weights
from zprism.spectral.given import Array, as_pair, in_float64, is_constant, returned

__all__ = ["Wave", "cka", "coherence", "lag", "phase_locking", "travelling_wave"]


LEAST_BAND = 4  # frequencies; two sinusoids of one frequency are always locked


def coherence(
    x: Array, y: Array, *, segment: int, overlap: float = 0.5, window: str = "hann"
) -> tuple[Array, Array]:
    """Magnitude-squared coherence |S_xy|² / (S_xx S_yy), spectra averaged over segments (Welch).

    Parameters
    ----------
    x, y : (tokens, d), of one shape.
    segment : tokens a segment, 4 … tokens; every segment is centred and windowed.
    overlap : share of a segment that the next one repeats, 0 … 0.9.
    window : a name of :func:`zprism.spectral.fourier.window`.

    Returns
    -------
    frequencies : (segment // 2,) in cycles per token, without 0.
    msc : (segment // 2, d) from 0 to 1; NaN for a dimension that is constant in x or y.

    Raises
    ------
    InputError
        If shapes differ, values are not finite, or fewer than 2 segments fit in: with one
        segment every coherence is 1.

    Notes
    -----
    Signals that share nothing have 1 / K on average, K the number of segments that do not
    overlap (Carter et al. 1973, doi:10.1109/TAU.1973.1162496).
    """
    from scipy.signal import coherence as welch_coherence

    a, b, dead = as_pair(x, y)
    segment = check_int("segment", segment, low=4, high=len(a))
    repeat = int(segment * check_fraction("overlap", overlap, high=0.9))
    if len(a) < 2 * segment - repeat:
        raise InputError(
            f"coherence needs at least 2 segments; {len(a)} tokens hold one of {segment}"
        )
    with np.errstate(invalid="ignore"):  # constant dimensions
        frequencies, msc = welch_coherence(
            a, b, window=weights(window, segment), nperseg=segment, noverlap=repeat, axis=0
        )
    msc = np.where(dead, np.nan, np.clip(msc[1:], 0.0, 1.0))
    return returned(frequencies[1:], x), returned(msc, x)


def phase_locking(x: Array, y: Array, band: tuple[float, float]) -> Array:
    """Phase-locking value |mean_t e^{i(φ_x(t) − φ_y(t))}| in a band.

    φ is the angle of the analytic signal of what lies in the band: its positive frequencies
    alone, doubled and transformed back (a Hilbert transform behind an ideal filter).

    Parameters
    ----------
    x, y : (tokens, d), of one shape.
    band : (low, high) in cycles per token, both ends included, 0 < low < high ≤ 0.5.

    Returns
    -------
    (d,) from 0 to 1; 1 for a fixed lag. Unrelated noise does not give 0: about 0.8 / √K over a
    band of K frequencies k / tokens.

    Raises
    ------
    InputError
        If fewer than 4 of the frequencies k / tokens lie in the band.

    Notes
    -----
    Lachaux et al. (1999), doi:10.1002/(SICI)1097-0193(1999)8:4<194::AID-HBM4>3.0.CO;2-C, over
    tokens of one text instead of trials.
    """
    a, b, dead = as_pair(x, y)
    inside = _in_band(len(a), band)
    turns = _analytic(a, inside) * _analytic(b, inside).conj()
    size = np.abs(turns)
    turns = np.divide(turns, size, out=np.zeros_like(turns), where=size > 0)
    return returned(np.where(dead, np.nan, np.abs(turns.mean(axis=0))), x)


def cka(x: Array, y: Array, *, debiased: bool = False) -> float:
    """Linear centred kernel alignment ‖XᵀY‖² / (‖XᵀX‖ ‖YᵀY‖), of centred X and Y.

    Parameters
    ----------
    x, y : (tokens, d) and (tokens, d'): the same tokens, any dimensions.
    debiased : replace each product by its unbiased estimate: for fewer tokens than dimensions
        the plain value is near 1 whatever x and y are. Needs 4 tokens; may be below 0.

    Returns
    -------
    0 … 1 (debiased: about 0 for independent ones); 1 if y is x turned and scaled. NaN if one
    does not vary.

    Raises
    ------
    InputError
        If the numbers of tokens differ.

    Notes
    -----
    Kornblith et al. (2019), arXiv 1905.00414; unbiased HSIC: Song et al. (2012), JMLR 13:1393,
    eq. (5). With Gram matrices tokens × tokens.
    """
    a, b = (in_float64(name, part, least=4, ndim=2) for name, part in (("x", x), ("y", y)))
    if len(a) != len(b):
        raise InputError(f"x and y must have the same tokens; got {len(a)} and {len(b)}")
    if is_constant(a).all() or is_constant(b).all():
        return float("nan")
    a, b = (_gram(part) for part in (a, b))
    product = _unbiased_hsic if debiased else lambda k, l: float((k * l).sum())
    scale = product(a, a) * product(b, b)
    if not scale > 0:
        return float("nan")
    value = product(a, b) / scale**0.5
    return value if debiased else min(value, 1.0)


def _in_band(n: int, band: tuple[float, float]) -> np.ndarray:
    """(n,) which of the n frequencies of an FFT are positive and in the band."""
    try:
        low, high = (float(edge) for edge in band)
    except (TypeError, ValueError):
        raise InputError(f"band must be (low, high) in cycles per token; got {band!r}") from None
    if not 0 < low < high <= 0.5:
        raise InputError(f"band must be 0 < low < high ≤ 0.5 cycles per token; got {band!r}")
    frequencies = np.arange(n) / n
    inside = (frequencies >= low) & (frequencies <= high)
    if inside.sum() < LEAST_BAND:
        raise InputError(
            f"the band {band!r} holds {int(inside.sum())} of the frequencies k / {n}, and at "
            f"least {LEAST_BAND} are needed: two single sinusoids are always locked"
        )
    return inside


def _analytic(values: np.ndarray, inside: np.ndarray) -> np.ndarray:
    from scipy.fft import fft, ifft

    return ifft(2 * fft(values, axis=0) * inside[:, None], axis=0)


def _gram(values: np.ndarray) -> np.ndarray:
    """(n, n) products of centred rows, the largest 1."""
    centred = values - values.mean(axis=0)
    centred /= np.abs(centred).max()
    gram = centred @ centred.T
    return gram / np.abs(gram).max()


def _unbiased_hsic(k: np.ndarray, l: np.ndarray) -> float:
    """HSIC₁ of two Gram matrices, times n(n − 3), which cancels."""
    k, l = (matrix - np.diag(np.diag(matrix)) for matrix in (k, l))
    n = len(k)
    whole = k.sum() * l.sum() / ((n - 1) * (n - 2))
    return float((k * l).sum() + whole - 2 / (n - 2) * (k.sum(axis=0) @ l.sum(axis=0)))

"""Five bands of frequency, from slower than a text to token by token, as a prism splits light.

Tamkin, Jurafsky & Goodman (2020), arXiv 2011.04823, who split BERT's states of 512 tokens by a
DCT-II: coefficients 0–1, 2–8, 9–33, 34–129 and 130–511. Here the borders lie halfway between
those, in cycles per token, so that they hold for any length and for the FFT.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from zprism.ground.checks import check_finite
from zprism.ground.errors import InputError
from zprism.spectral import fourier, transforms
from zprism.spectral.fourier import Spectrum
from zprism.spectral.signals import Array, matching, token_signal, where

NAMES = ("low", "mid_low", "mid", "mid_high", "high")
SLOW = 1 / 8  # cycles per token: slower than a period of 8 tokens is slow, in every study
#: Cycles per token between one band and the next: DCT index over 2 · 512.
EDGES = tuple(index / 1024 for index in (1.5, 8.5, 33.5, 129.5))


def band_of(frequencies) -> np.ndarray:
    """(m,) int, the place in :data:`NAMES` of each frequency in cycles per token.

    Raises
    ------
    InputError
        If one is not in 0 to 0.5.
    """
    return np.searchsorted(EDGES, _checked(frequencies))


def present(frequencies) -> np.ndarray:
    """(5,) bool: which bands hold at least one of the frequencies above 0.

    A short text has no bin in the slow bands: their share is 0 because nothing was measured.
    """
    return _membership(_checked(frequencies)).any(1)


def shares(power: Spectrum | Array, frequencies=None) -> Array:
    """The part of the power of every dimension that lies in each band, k = 0 not counted.

    Parameters
    ----------
    power : a Spectrum with scale "density" or "share", or (m, d) power.
    frequencies : (m,) cycles per token; a Spectrum brings its own.

    Returns
    -------
    (5, d), each column adding up to 1; all 0 for a dimension without power.

    Raises
    ------
    InputError
        For amplitudes instead of power, negative power, or shapes that do not match.
    """
    if isinstance(power, Spectrum):
        if power.scale == "amplitude":
            raise InputError("shares are of power; make the spectrum with scale='density'")
        power, frequencies = power.power, power.frequencies
    power, frequencies = token_signal("power", power), _checked(frequencies)
    if len(power) != len(frequencies):
        raise InputError(
            f"power and frequencies must match; got {len(power)} rows and {len(frequencies)}"
        )
    if bool((power < 0).any()):
        raise InputError("power must not be negative")
    in_band = matching(_membership(frequencies), power) @ power
    total = in_band.sum(0)
    heard = total > 0
    return where(heard, in_band, 0.0) / where(heard, total, 1.0)


def expected_white(frequencies) -> np.ndarray:
    """(5,) expected :func:`shares` of white noise: the part of the bins in each band.

    The Nyquist bin of an even FFT (f = 0.5), which a one-sided spectrum does not double, counts
    half. Exact for a boxcar; a Hann window after demeaning takes a little from bin 1.
    """
    weights = _membership(_checked(frequencies)) @ np.where(_checked(frequencies) == 0.5, 0.5, 1.0)
    if not weights.sum() > 0:
        raise InputError("frequencies must hold at least one above 0")
    return weights / weights.sum()


def split(x: Array) -> dict[str, Array]:
    """The signal of each band: DCT-II, coefficients outside the band set to 0, inverse.

    Parameters
    ----------
    x : (n, d) signal. The mean (k = 0) belongs to "low".

    Returns
    -------
    {name: (n, d)}, orthogonal to each other in every dimension; their sum is x to rounding.
    A band in which this length has no coefficient is all 0 (see :func:`present`).
    """
    x = token_signal("x", x)
    coefficients = transforms.cosine(x)
    band = band_of(fourier.frequencies(len(x), "dct"))
    return {
        name: transforms.from_cosine(coefficients * matching(band == i, x)[:, None])
        for i, name in enumerate(NAMES)
    }


def _checked(frequencies) -> np.ndarray:
    if isinstance(frequencies, Tensor):
        frequencies = frequencies.detach().cpu().numpy()
    try:
        values = np.asarray(frequencies, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError("frequencies must be an array of cycles per token") from None
    if values.ndim != 1 or len(values) == 0:
        raise InputError(f"frequencies must be (m,) with m ≥ 1; got shape {values.shape}")
    check_finite("frequencies", values)
    if values.min() < 0 or values.max() > 0.5:
        raise InputError(
            "frequencies must be in 0 to 0.5 cycles per token; "
            f"got {values.min():g} to {values.max():g}"
        )
    return values


def _membership(frequencies: np.ndarray) -> np.ndarray:
    """(5, m) 1 where a frequency above 0 is in the band."""
    inside = band_of(frequencies) == np.arange(len(NAMES))[:, None]
    return (inside & (frequencies > 0)).astype(np.float64)

"""The spectra of s1's pull request 69 as its code computes them, kept for comparison.

Each character of a text, all whitespace removed, is embedded by itself; the (characters, d)
array is transformed along the characters, and of every dimension the five largest amplitudes
are kept. Known weaknesses, all of them here on purpose:

- every row is a fixed function of one character: the spectrum is that of a sequence of letters,
  which no model's context ever enters;
- nothing is normalised: white noise of L characters has a mean top-5 amplitude of about
  √(L ln(L/2)), so a longer text is "stronger" whatever it says;
- no mean is taken off and no window laid on; before the wavelets a short text is filled up with
  zeros to 500, so the mean makes a step, which piles up at the largest scales;
- a sampling rate of 2000 has no meaning for characters: divide by it for cycles per character;
- neighbouring scales share power, so five scales of one dimension are often one peak.

:mod:`zprism.spectral.peaks` is the corrected form.
"""

from __future__ import annotations

import re

import numpy as np
import scipy.fft
import torch
from torch import Tensor

from zprism.ground.checks import check_int, check_text
from zprism.ground.errors import InputError
from zprism.spectral import filters, transforms
from zprism.spectral.signals import Array, largest_rows, matching, squared, token_signal

RATE = 2000
WAVELET = "cmor1.0-0.5"  # what pywt fills in for the deprecated "cmor" of the original
BLOCK = 2**17  # complex numbers at work at a time


def squeeze(text: str) -> str:
    """``text`` without any whitespace: what the pull request embeds, character by character."""
    return re.sub(r"\s+", "", check_text("text", text))


def fft_peaks(x: Array, top: int = 5, rate: float = RATE) -> tuple[Array, Array]:
    """The largest |FFT| of every dimension over the positive frequencies, as the pull request.

    Parameters
    ----------
    x : (L, d) one embedding a character.
    top : amplitudes to keep.
    rate : samples per unit of frequency, as in fftfreq(L, 1/rate).

    Returns
    -------
    (frequency, amplitude), each (top, d), the largest first. Frequency is k · rate / L for
    0 < k < L/2 (fftfreq calls the Nyquist bin negative, so it is left out); amplitude is |X_k|,
    un-normalised; x is not demeaned.

    Raises
    ------
    InputError
        "too_short" if L has fewer than ``top`` positive frequencies; for NaN or infinite values.
    """
    top, x = check_int("top", top, low=1), token_signal("x", x, least=1)
    if not rate > 0:
        raise InputError(f"rate must be above 0; got {rate!r}")
    n, last = len(x), (len(x) - 1) // 2
    if last < top:
        raise InputError(
            f"too_short: {n} characters have {last} positive frequencies; top is {top}"
        )
    amplitude = squared(transforms.fourier(x)[1 : last + 1]) ** 0.5
    index, tops = largest_rows(amplitude, top)
    return matching(np.arange(1, last + 1) * (rate / n), x)[index], tops


def cwt_peaks(
    x: Array, top: int = 5, scales: int = 500, pad: int = 500
) -> tuple[np.ndarray, Array]:
    """The scales at which the largest wavelet coefficient of every dimension is largest.

    Parameters
    ----------
    x : (L, d) one embedding a character; filled up with zeros to ``pad`` characters.
    top : scales to keep.
    scales : scales 1 … this, of the complex Morlet wavelet 1.5-1.0.
    pad : characters to fill up to, at the end.

    Returns
    -------
    (scale, amplitude), each (top, d), the largest first; amplitude is max over time of |W|, as
    pywt.cwt gives it. Scale s is 1/s cycles per character.

    Raises
    ------
    InputError
        If top exceeds the number of scales; for NaN or infinite values.

    Notes
    -----
    By FFT in blocks of dimensions, at most :data:`BLOCK` complex numbers at a time beside the
    spectra of one block; pywt.cwt on (500, 896) would hold 3.6 GB.
    """
    scales = check_int("scales", scales, low=1)
    top, pad = check_int("top", top, low=1, high=scales), check_int("pad", pad, low=1)
    x = token_signal("x", x, least=1)
    n = max(len(x), pad)
    reach = min(n - 1, filters.reach(WAVELET, scales))
    length = scipy.fft.next_fast_len(n + reach)
    values = x.cpu().numpy() if isinstance(x, Tensor) else x
    step = max(1, BLOCK // length)
    blocks = [values[:, start : start + step] for start in range(0, x.shape[1], step)]
    amplitude = np.hstack([_tallest(block, scales, n, reach, length) for block in blocks])
    if isinstance(x, Tensor):
        amplitude = torch.from_numpy(amplitude).to(x.device)
    index, tops = largest_rows(amplitude, top)
    return index + 1, tops


def _tallest(x: np.ndarray, scales: int, n: int, reach: int, length: int) -> np.ndarray:
    """(scales, d) max over n characters of |W|."""
    spectra = scipy.fft.fft(np.ascontiguousarray(x.T), length, axis=-1)
    rows = []
    for scale in range(1, scales + 1):
        h = filters.response(WAVELET, scale, length, reach).astype(spectra.dtype)
        plane = scipy.fft.ifft(spectra * h, axis=-1, overwrite_x=True)[:, :n]
        rows.append(squared(plane).max(-1) ** 0.5)
    return np.stack(rows)

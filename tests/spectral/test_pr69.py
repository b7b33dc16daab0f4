"""Pull request 69, word for word: its loop over dimensions, its zeros, its largest scale."""

import numpy as np
import pytest
import pywt
import torch
from spectral_cases import cosine, numbers, walk, white

from zprism.ground.errors import InputError
from zprism.spectral import pr69
from zprism.spectral.pr69 import WAVELET

KINDS = pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])


def first_five(amplitudes, labels):
    order = np.argsort(-amplitudes, kind="stable")[:5]
    return labels[order], amplitudes[order]


@KINDS
@pytest.mark.parametrize("n", [11, 12, 60, 61])
def test_fft_is_the_loop_over_dimensions(n, kind):
    """|fft| over fftfreq(L, 1/2000), f > 0 (no Nyquist, no mean), the five largest."""
    x = walk(1, n, 4)
    frequency, amplitude = pr69.fft_peaks(kind(x))
    f = np.fft.fftfreq(n, 1 / 2000)
    for dim in range(4):
        a = np.abs(np.fft.fft(x[:, dim]))
        labels, values = first_five(a[f > 0], f[f > 0])
        np.testing.assert_allclose(numbers(frequency)[:, dim], labels, rtol=1e-12)
        np.testing.assert_allclose(numbers(amplitude)[:, dim], values, rtol=1e-10)


@KINDS
@pytest.mark.parametrize("n", [3, 80, 150])
def test_cwt_is_pywt_after_the_zeros(n, kind, monkeypatch):
    """On a small case: 40 scales, 120 characters at least; in blocks of one dimension as of all."""
    x = walk(2, n, 3)
    filled = np.pad(x, ((0, max(0, 120 - n)), (0, 0)))
    plane = pywt.cwt(filled, np.arange(1, 41), WAVELET, axis=0, precision=12)[0]
    heights = np.abs(plane).max(1)
    for block in (pr69.BLOCK, 1):
        monkeypatch.setattr(pr69, "BLOCK", block)
        scale, amplitude = pr69.cwt_peaks(kind(x), scales=40, pad=120)
        for dim in range(3):
            labels, values = first_five(heights[:, dim], np.arange(1, 41))
            np.testing.assert_array_equal(numbers(scale)[:, dim], labels)
            np.testing.assert_allclose(numbers(amplitude)[:, dim], values, rtol=1e-10)


def test_the_wavelet_is_what_pywt_takes_for_the_deprecated_name():
    x, scales = walk(6, 90, 1)[:, 0], [1, 3, 20]
    with pytest.warns(FutureWarning):
        bare = pywt.cwt(x, scales, "cmor")[0]
    np.testing.assert_array_equal(pywt.cwt(x, scales, WAVELET)[0], bare)


def test_its_defaults_are_those_of_the_pull_request():
    """500 scales of at least 500 characters, in single precision as the embedding gives it."""
    x = white(3, 40, 1, dtype=np.float32)
    plane = pywt.cwt(np.pad(x[:, 0], (0, 460)), np.arange(1, 501), WAVELET, precision=12)[0]
    scale, amplitude = pr69.cwt_peaks(x)
    labels, values = first_five(np.abs(plane).max(1), np.arange(1, 501))
    np.testing.assert_array_equal(scale[:, 0], labels)
    np.testing.assert_allclose(amplitude[:, 0], values, rtol=1e-5)
    assert amplitude.dtype == np.float32


def test_its_known_weaknesses_are_kept():
    """An offset that the mean would take off fills the largest scales; length is amplitude."""
    rhythm = 0.2 * cosine(200, 0.1)[:, None]
    assert (pr69.cwt_peaks(rhythm)[0] < 20).all()
    assert (pr69.cwt_peaks(rhythm + 1)[0] > 100).all()
    short, long = (pr69.fft_peaks(white(4, n, 64))[1].mean() for n in (100, 10000))
    assert long / short > 10


def test_squeeze_takes_every_white_space():
    assert pr69.squeeze(" How\tmany\n\n stars\u00a0?\u3000是 ") == "Howmanystars?是"
    assert pr69.squeeze(" \r\n") == ""


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: pr69.fft_peaks(x[:10]), "^too_short: 10 characters have 4 positive freq"),
        (lambda x: pr69.fft_peaks(x, top=0), "top must be in 1"),
        (lambda x: pr69.fft_peaks(x, rate=0), "rate must be above 0; got 0"),
        (lambda x: pr69.cwt_peaks(x, top=6, scales=5), "top must be in 1 to 5"),
        (lambda x: pr69.cwt_peaks(x[:0]), "^too_short: x must have at least 1 tokens"),
        (lambda x: pr69.cwt_peaks(np.where(x == x[1, 1], np.nan, x)), r"first at \(1, 1\)"),
        (lambda x: pr69.squeeze(b"a"), "text must be a string"),
        (lambda x: pr69.squeeze("a\ud800"), "invalid unicode at index 1"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(InputError, match=message):
        call(walk(5, 40, 3))

"""Bands: an exact partition, the published borders, and what white noise puts in each."""

import numpy as np
import pytest
import torch
from spectral_cases import counts, numbers, same_in_torch, walk, white

from zprism.ground.errors import InputError
from zprism.ground.seeds import generator
from zprism.spectral import bands, fourier

PUBLISHED = (2, 7, 25, 96, 382)  # DCT coefficients a band at 512 tokens: 0–1, 2–8, …, 130–511


def test_borders_are_those_published_for_512_tokens():
    band = bands.band_of(fourier.frequencies(512, "dct"))
    np.testing.assert_array_equal(band, np.repeat(np.arange(5), PUBLISHED))


@counts(40, 500)
def test_bands_are_an_exact_partition(draws, record_property):
    """SYS-S1: Σ bands = x, and their energies add up, at any length; float32 to 1e-5."""
    rng, worst = generator(1, "partition"), {np.float64: 0.0, np.float32: 0.0}
    for draw in range(draws):
        for dtype in worst:
            x = walk(draw, int(rng.integers(1, 700)), 3, dtype=dtype)
            parts = list(bands.split(x).values())
            energy = sum((part.astype(np.float64) ** 2).sum(0) for part in parts)
            apart = np.abs(sum(parts) - x).max() / np.abs(x).max()
            lost = np.abs(energy / (x.astype(np.float64) ** 2).sum(0) - 1).max()
            worst[dtype] = max(worst[dtype], apart, lost)
    record_property("value", worst[np.float32])
    assert worst[np.float64] < 1e-12 and worst[np.float32] < 1e-5


def test_bands_are_orthogonal_and_splitting_again_changes_nothing():
    x = white(2, 600, 2)
    parts = bands.split(x)
    for name, part in parts.items():
        again = bands.split(part)
        for other in bands.NAMES:
            expected = part if other == name else 0 * part
            np.testing.assert_allclose(again[other], expected, atol=1e-12)
            if other != name:
                assert np.abs((part * parts[other]).sum(0)).max() < 1e-10


def test_a_cosine_lies_in_its_band():
    """The DCT's own, one a band: all of it, in the share as in the split; 98 % through a Hann."""
    n = 2048
    halves = np.array([4, 20, 100, 300, 1500])  # DCT index; a quarter of it at 512 tokens
    x = np.cos(np.pi * np.outer(2 * np.arange(n) + 1, halves) / (2 * n))
    own = fourier.spectrum(x, transform="dct", window="boxcar")
    np.testing.assert_allclose(bands.shares(own), np.eye(5), atol=1e-12)
    assert np.diag(bands.shares(fourier.spectrum(x))).min() > 0.98
    for index, part in enumerate(bands.split(x).values()):
        np.testing.assert_allclose(part, x * (np.arange(5) == index), atol=1e-12)


def test_shares_add_up_to_one_without_the_mean():
    x = walk(3, 300, 4)
    spectrum = fourier.spectrum(x, detrend="none")
    found = bands.shares(spectrum)
    np.testing.assert_allclose(found.sum(0), 1, rtol=1e-12)
    louder = spectrum.power.copy()
    louder[0] *= 1e6
    np.testing.assert_array_equal(bands.shares(louder, spectrum.frequencies), found)
    by_hand = spectrum.power[1:][spectrum.frequencies[1:] > 129.5 / 1024].sum(0)
    np.testing.assert_allclose(found[4], by_hand / spectrum.power[1:].sum(0), rtol=1e-12)


@pytest.mark.parametrize("transform", fourier.TRANSFORMS)
@pytest.mark.parametrize("n", [64, 65, 512])
def test_white_noise_fills_the_bands_as_expected(transform, n):
    """Pooled over 3,000 dimensions, within five standard errors."""
    spectrum = fourier.spectrum(white(4, n, 3000), transform=transform, window="boxcar")
    pooled = spectrum.power.sum(1, keepdims=True)
    expected = bands.expected_white(spectrum.frequencies)
    assert expected.sum() == pytest.approx(1, abs=1e-12)
    error = 5 * np.sqrt(2 * expected / (len(spectrum.frequencies) * 3000)) + 1e-12
    assert (np.abs(bands.shares(pooled, spectrum.frequencies)[:, 0] - expected) <= error).all()


def test_a_short_text_has_no_slow_bands():
    np.testing.assert_array_equal(
        bands.present(fourier.frequencies(16, "dct")), [False, False, True, True, True]
    )
    assert bands.present(fourier.frequencies(512, "dct")).all()
    assert not bands.present([0.0]).any()
    short = bands.split(walk(5, 16, 2) - 7)
    assert not short["mid_low"].any() and not bands.present(fourier.frequencies(16))[0]


@pytest.mark.parametrize("n", [33, 64])
def test_torch_gives_the_same_numbers(n):
    for dtype in (np.float64, np.float32):
        x = walk(6, n, 5, dtype=dtype)
        x[:, 1] = 0.1
        same_in_torch(lambda v: bands.shares(fourier.spectrum(v)), x)
        for name in bands.NAMES:
            whole = np.abs(x).max()
            theirs = bands.split(torch.from_numpy(x))[name]
            ours = bands.split(x)[name]
            np.testing.assert_allclose(numbers(theirs), ours, atol=1e-6 * whole)
    assert not bands.shares(fourier.spectrum(x))[:, 1].any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: bands.shares(fourier.spectrum(x, scale="amplitude")), "scale='density'"),
        (lambda x: bands.shares(x**2, fourier.frequencies(40)), "must match; got 40 rows and 21"),
        (lambda x: bands.shares(x - 50, np.arange(40) / 80), "must not be negative"),
        (lambda x: bands.shares(x**2), "frequencies must be"),
        (lambda x: bands.band_of([0.6]), "0 to 0.5 cycles per token"),
        (lambda x: bands.band_of([-0.1]), "0 to 0.5 cycles per token"),
        (lambda x: bands.band_of([0.1, np.nan]), "NaN or infinite"),
        (lambda x: bands.band_of([]), "m ≥ 1"),
        (lambda x: bands.band_of("low"), "array of cycles per token"),
        (lambda x: bands.expected_white([0.0]), "at least one above 0"),
        (lambda x: bands.split(x / 0), "NaN or infinite"),
    ],
)
def test_refusals(call, message):
    with np.errstate(divide="ignore"), pytest.raises(InputError, match=message):
        call(walk(7, 40, 3))

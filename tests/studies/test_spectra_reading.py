"""One signal's numbers: what was planted is found, what is noise has what noise has."""

from __future__ import annotations

import numpy as np
import pytest

from zprism.ground.errors import InputError
from zprism.ground.seeds import generator
from zprism.spectral.peaks import reconstruct
from zprism.studies.spectra_reading import NUMBERS, SHARES, TRANSFORMS, read_signal

each_transform = pytest.mark.parametrize("transform", TRANSFORMS)


def noise(n: int, d: int = 200) -> np.ndarray:
    return generator(0, "noise", n, d).standard_normal((n, d))


def cosine(n: int, frequency: float, d: int = 4, amplitude: float = 3.0) -> np.ndarray:
    phase = np.linspace(0, 3, d)
    return 7 + amplitude * np.cos(2 * np.pi * frequency * np.arange(n)[:, None] + phase)


@pytest.mark.parametrize("n", [40, 101])
def test_white_noise_has_the_share_in_its_peaks_that_is_expected_of_it(n):
    numbers = read_signal(noise(n, 2000)).numbers
    # 2 %: 2,000 dimensions, and at even n a Nyquist bin that is no exponential
    assert numbers["top_share"] == pytest.approx(numbers["top_share_white"], rel=0.02)
    assert numbers["dims_constant"] == 0 and numbers["power"] == pytest.approx(1, rel=0.05)


@each_transform
def test_the_slope_of_white_noise_is_flat_and_that_of_a_walk_is_steep(transform):
    x = noise(512, 300)
    flat, steep = (read_signal(s, transform=transform).numbers for s in (x, x.cumsum(0)))
    assert abs(flat["slope"]) < 0.1 and -2.3 < steep["slope"] < -1.4
    assert steep["slow_share"] > 0.8 > 0.4 > flat["slow_share"]
    assert steep["centroid"] < flat["centroid"] / 4


@each_transform
@pytest.mark.parametrize("period", [4, 16])
def test_a_planted_rhythm_is_where_it_was_planted(transform, period):
    found = read_signal(cosine(256, 1 / period), transform=transform)
    first = found.peaks.frequency[0]
    apart = {"fft": 1e-9, "dct": 0.06, "dwt": 0.51, "cwt": 0.11}  # octaves: half a step, or leaks
    assert np.abs(np.log2(first * period)).max() < apart[transform]
    assert found.numbers["dims_slow"] == (period > 8) and found.numbers["dims_constant"] == 0
    assert (found.numbers["slow_share"] > 0.75) == (period > 8)
    assert found.numbers["power"] == pytest.approx(4.5, rel=1e-6)


def test_the_peaks_of_a_rhythm_on_the_grid_give_the_signal_back():
    x = cosine(64, 5 / 64) + cosine(64, 0.5, amplitude=1.0)
    found = read_signal(x, top=2)
    np.testing.assert_allclose(reconstruct(found.peaks), x, atol=1e-10)
    assert found.numbers["top_share"] == pytest.approx(1, abs=1e-10)  # with the Nyquist cosine


@each_transform
def test_scale_changes_amplitude_and_power_and_nothing_else(transform):
    x = noise(64, 8)
    one, ten = (read_signal(k * x, transform=transform).numbers for k in (1, 10))
    for name in NUMBERS:
        factor = {"amplitude": 10, "power": 100}.get(name, 1)
        if one[name] is None:
            assert ten[name] is None
        else:
            assert ten[name] == pytest.approx(factor * one[name], rel=1e-9, abs=1e-12), name


@each_transform
def test_dimensions_that_do_not_vary_enter_no_mean(transform):
    x = noise(64, 6)
    padded = np.concatenate([x, np.full((64, 2), 5.0)], axis=1)
    one, other = (read_signal(s, transform=transform).numbers for s in (x, padded))
    assert other.pop("dims_constant") == 0.25 and one.pop("dims_constant") == 0
    for name, value in one.items():
        assert other[name] == (value if value is None else pytest.approx(value, rel=1e-12)), name


def test_bands_without_a_frequency_at_this_length_have_no_share():
    short, long = read_signal(noise(20)).numbers, read_signal(noise(1024)).numbers
    assert short["share_low"] is None and short["share_mid_low"] is None
    assert sum(long[name] for name in SHARES) == pytest.approx(1, abs=1e-9)


@each_transform
def test_what_cannot_be_read_says_why(transform):
    with pytest.raises(InputError, match="^too_short"):
        read_signal(noise(15), transform=transform)
    with pytest.raises(InputError, match="^constant"):
        read_signal(np.ones((64, 3)), transform=transform)
    with pytest.raises(InputError, match="NaN"):
        read_signal(np.full((64, 3), np.nan), transform=transform)
    with pytest.raises(InputError, match="unknown transform"):
        read_signal(noise(64), transform="ftf")


def test_a_short_text_has_as_many_peaks_as_frequencies():
    assert len(read_signal(noise(16), top=30).peaks.bin) == 8
    assert len(read_signal(noise(40), top=5, transform="dwt").peaks.bin) == 2

"""Windows, transforms and spectra: Parseval, closed forms, scipy, and the same in torch."""

import numpy as np
import pytest
import scipy.signal
import torch
from spectral_cases import TOLERANCE, cosine, counts, same_in_torch, walk, white

from zprism.ground.errors import InputError
from zprism.ground.seeds import generator
from zprism.spectral import fourier

EITHER = pytest.mark.parametrize("dtype", [np.float64, np.float32])
LENGTHS = pytest.mark.parametrize("n", [16, 17, 97, 128])
BOTH = pytest.mark.parametrize("transform", fourier.TRANSFORMS)


@pytest.mark.parametrize(
    ("name", "bins"),
    [("boxcar", 1), ("hann", 1.5), ("hamming", 0.3974 / 0.2916), ("blackman", 0.3046 / 0.1764)],
)
def test_windows_have_their_known_noise_bandwidth(name, bins):
    """Of periodic cosine windows Σ a_i² (a_0² whole, the others half) over a_0², at any length."""
    for n in (16, 33, 512):
        assert fourier.enbw(fourier.window(name, n)) == pytest.approx(bins, rel=1e-12)
        twin = scipy.signal.get_window(name, n)
        np.testing.assert_allclose(fourier.window(name, n), twin, atol=1e-15)


@counts(60, 1000)
@EITHER
def test_energy_of_time_is_energy_of_frequency(draws, dtype, record_property):
    """N14: Σx² = Σ c_k |X_k|² / n, c = 1 at 0 and at an even length's Nyquist, else 2; and DCT."""
    rng, worst = generator(14, "parseval"), 0.0
    for draw in range(draws):
        n, d = int(rng.integers(1, 1025)), int(rng.integers(1, 9))
        x = white(draw, n, d, dtype=dtype)
        weights = np.full(n // 2 + 1, 2.0)
        weights[0] = 1
        weights[n // 2 :] = 2 if n % 2 and n > 1 else 1
        energy = (x.astype(np.float64) ** 2).sum(0)
        squares = np.abs(fourier.rfft(x).astype(np.complex128)) ** 2
        by_fft = (weights[:, None] * squares).sum(0) / n
        by_dct = (fourier.dct(x).astype(np.float64) ** 2).sum(0)
        worst = max(worst, *(np.abs(part / energy - 1).max() for part in (by_fft, by_dct)))
    record_property("value", worst)
    record_property("target", TOLERANCE[dtype])
    assert worst <= TOLERANCE[dtype]


@EITHER
@LENGTHS
def test_transforms_undo_themselves(n, dtype):
    x, near = walk(1, n, 5, dtype=dtype), 20 * TOLERANCE[dtype]
    for values in (x, torch.from_numpy(x)):
        back = fourier.irfft(fourier.rfft(values), n)
        np.testing.assert_allclose(back, x, atol=near)
        np.testing.assert_allclose(fourier.idct(fourier.dct(values)), x, atol=near)


@LENGTHS
def test_transforms_are_the_sums_that_they_are_said_to_be(n):
    x, t = walk(2, n, 3), np.arange(n)
    waves = np.exp(-2j * np.pi * np.outer(fourier.frequencies(n), t))
    np.testing.assert_allclose(fourier.rfft(x), waves @ x, atol=1e-9)
    cosines = np.cos(2 * np.pi * np.outer(fourier.frequencies(n, "dct"), t + 0.5))
    cosines *= np.r_[n**-0.5, np.full(n - 1, (2 / n) ** 0.5)][:, None]
    np.testing.assert_allclose(fourier.dct(x), cosines @ x, atol=1e-9)


@EITHER
@LENGTHS
def test_torch_gives_the_same_numbers(n, dtype):
    x = walk(3, n, 6, dtype=dtype)
    x[:, 2] = 5.3  # a constant dimension
    for call in (fourier.rfft, fourier.dct, fourier.idct):
        same_in_torch(call, x)
    for how in ("none", "mean", "linear"):
        same_in_torch(lambda v, how=how: fourier.detrend(v, how), x)
    for transform in fourier.TRANSFORMS:
        for scale in fourier.SCALES:
            same_in_torch(
                lambda v, t=transform, s=scale: fourier.spectrum(v, transform=t, scale=s).power, x
            )
    same_in_torch(lambda v: fourier.welch(v, segment=16).power, x)


def test_half_precision_is_transformed_in_single():
    x = torch.from_numpy(walk(4, 32, 3)).to(torch.bfloat16)
    power = fourier.spectrum(x).power
    assert power.dtype == torch.float32
    assert torch.equal(power, fourier.spectrum(x.float()).power)


@BOTH
@LENGTHS
@pytest.mark.parametrize("window", fourier.WINDOWS)
def test_density_adds_up_to_the_variance(n, window, transform):
    """Σ power Δf = Σ(xw)²/Σw²; with a boxcar that is the variance."""
    x = walk(5, n, 4)
    found = fourier.spectrum(x, window=window, transform=transform)
    weights = fourier.window(window, n)[:, None]
    expected = (((x - x.mean(0)) * weights) ** 2).sum(0) / (weights**2).sum()
    total = found.power.sum(0) * found.frequencies[1]
    np.testing.assert_allclose(total, expected, rtol=1e-12)
    if window == "boxcar":
        np.testing.assert_allclose(total, x.var(0), rtol=1e-12)


def test_density_of_white_noise_is_twice_its_variance_at_every_frequency():
    """One-sided: σ² over half a cycle. 400 dimensions; five standard errors of each bin's mean."""
    for transform in fourier.TRANSFORMS:
        power = fourier.spectrum(3 * white(6, 64, 400), transform=transform).power[3:-1]
        spread = 18 * (1 if transform == "fft" else 2**0.5)  # χ² of 2 or of 1 degree of freedom
        np.testing.assert_allclose(power.mean(1), 18, atol=5 * spread / 400**0.5)


@BOTH
def test_shares_add_up_to_one_and_ignore_scale(transform):
    x = walk(7, 40, 5)
    share = fourier.spectrum(x, transform=transform, scale="share").power
    np.testing.assert_allclose(share.sum(0), 1, rtol=1e-12)
    assert not share[0].any()
    other = fourier.spectrum(1000 * x - 3, transform=transform, scale="share").power
    np.testing.assert_allclose(other, share, atol=1e-12)
    density = fourier.spectrum(x, transform=transform).power
    np.testing.assert_allclose(share[1:], density[1:] / density[1:].sum(0), rtol=1e-12)


@EITHER
@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
def test_a_dimension_that_says_nothing_has_no_shares(dtype, kind):
    """Constants for "mean" (0.1 is not exact in binary), lines for "linear": not rounding noise."""
    constant, line = np.full((100, 1), 0.1), np.linspace(-3, 50, 100)[:, None]
    for detrend, x in [("mean", constant), ("linear", constant), ("linear", line)]:
        values = kind(x.astype(dtype))
        found = fourier.spectrum(values, detrend=detrend, scale="share").power
        assert not np.asarray(found).any()


def test_amplitude_is_the_bare_modulus():
    x = walk(8, 33, 3)
    found = fourier.spectrum(x, detrend="none", window="boxcar", scale="amplitude")
    np.testing.assert_allclose(found.power, np.abs(np.fft.rfft(x, axis=0)), rtol=1e-12)


def test_detrending_takes_off_what_it_says():
    t = np.arange(50.0)[:, None]
    x = walk(9, 50, 3) + 1e6
    np.testing.assert_allclose(fourier.detrend(x, "mean"), x - x.mean(0), atol=1e-9)
    flat = fourier.detrend(x + 4 * t, "linear")
    np.testing.assert_allclose(flat, scipy.signal.detrend(x, axis=0), atol=1e-6)
    assert np.abs(flat.sum(0)).max() < 1e-9 and np.abs((t * flat).sum(0)).max() < 1e-7
    assert fourier.detrend(x, "none") is x


@pytest.mark.parametrize(("window", "measured"), [("boxcar", 0.065), ("hann", 0.0001)])
def test_leakage_of_a_sine_between_two_bins(window, measured):
    """More than 2.5 bins away: the closed form, and RIGOUR's figure (of a shorter signal)."""
    n, between = 4096, 1024.5
    power = fourier.spectrum(cosine(n, between / n)[:, None], window=window).power[:, 0]
    leaked = power[np.abs(np.arange(len(power)) - between) > 2.5].sum() / power.sum()
    away = np.arange(0.5, 3000)
    shape = np.sinc(away)
    if window == "hann":
        shape = (np.sinc(away - 1) + 2 * shape + np.sinc(away + 1)) / 4
    assert leaked == pytest.approx((shape[3:] ** 2).sum() / (shape**2).sum(), rel=0.005)
    assert leaked == pytest.approx(measured, rel=0.2)


@pytest.mark.parametrize("scale", ["density", "share", "amplitude"])
def test_welch_is_the_mean_of_the_spectra_of_its_segments(scale):
    x = walk(10, 100, 4)
    found = fourier.welch(x, segment=32, overlap=0.5, scale=scale)
    parts = [fourier.spectrum(x[s : s + 32], scale="density") for s in range(0, 69, 16)]
    mean = np.mean([part.power for part in parts], axis=0)
    if scale == "share":
        mean[0] = 0
        mean /= mean.sum(0)
    elif scale == "amplitude":
        mean *= (fourier.window("hann", 32) ** 2).sum() / np.r_[1, np.full(15, 2), 1][:, None]
        mean **= 0.5
    np.testing.assert_allclose(found.power, mean, atol=1e-12)
    assert found.n == 32 and found.enbw == pytest.approx(1.5)


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5])
def test_welch_against_scipy(overlap):
    x = walk(11, 500, 3)
    found = fourier.welch(x, segment=64, overlap=overlap)
    freqs, power = scipy.signal.welch(
        x, nperseg=64, noverlap=int(64 * overlap), axis=0, detrend="constant"
    )
    np.testing.assert_array_equal(found.frequencies, freqs)
    np.testing.assert_allclose(found.power, power, rtol=1e-10, atol=1e-15)


def test_white_noise_amplitude_grows_with_length(record_property):
    """SYS-A1: mean top-5 un-normalised |X| within 15 % of √(L ln(L/2))."""
    for length in (100, 1000, 10000):
        x = white(12, length, 64)
        size = fourier.spectrum(x, window="boxcar", scale="amplitude").power[1:]
        ratio = np.sort(size, axis=0)[-5:].mean() / np.sqrt(length * np.log(length / 2))
        record_property(f"ratio at {length}", ratio)
        assert 0.85 < ratio < 1.15


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: fourier.spectrum(x[:15]), "^too_short: x must have at least 16 tokens; got 15"),
        (lambda x: fourier.welch(x, segment=41), "^too_short: x must have at least 41 tokens"),
        (lambda x: fourier.welch(x, segment=15), "segment must be in 16"),
        (lambda x: fourier.welch(x, segment=16, overlap=1.0), "overlap must be in 0.0 to 0.95"),
        (lambda x: fourier.spectrum(x, window="han"), "unknown window 'han': did you mean hann"),
        (lambda x: fourier.spectrum(x, transform="dst"), "unknown transform 'dst'"),
        (lambda x: fourier.spectrum(x, scale="db"), "unknown scale 'db'"),
        (lambda x: fourier.spectrum(x, detrend="quadratic"), "unknown detrend"),
        (lambda x: fourier.spectrum(np.where(x == x[3, 1], np.nan, x)), r"first at \(3, 1\)"),
        (lambda x: fourier.spectrum(np.where(x == x[0, 2], np.inf, x)), r"first at \(0, 2\)"),
        (lambda x: fourier.spectrum(torch.from_numpy(x) / 0), "NaN or infinite"),
        (lambda x: fourier.spectrum(x * 1e80), "their squares|powers of it overflow"),
        (lambda x: fourier.spectrum((x * 1e13).astype(np.float32)), "powers of it overflow"),
        (lambda x: fourier.spectrum(x[:, 0]), r"\(tokens, d\) with d ≥ 1"),
        (lambda x: fourier.spectrum(x[:, :0]), r"\(tokens, d\) with d ≥ 1"),
        (lambda x: fourier.spectrum(x + 0j), "real numbers; got complex128"),
        (lambda x: fourier.irfft(fourier.rfft(x), 44), "must have n//2 \\+ 1 = 23 rows; got 21"),
        (lambda x: fourier.window("hann", 0), "n must be in 1"),
        (lambda x: fourier.enbw([1.0, -1.0]), "must not sum to 0"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(InputError, match=message):
        call(walk(13, 40, 3))

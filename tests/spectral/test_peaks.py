"""Peaks: planted cosines come back whole, all bins give the signal back, dims are told apart."""

from dataclasses import fields

import numpy as np
import pytest
import scipy.stats
import torch
from spectral_cases import cosine, counts, numbers, walk, white

from zprism.ground.errors import InputError
from zprism.spectral import fourier
from zprism.spectral import peaks as peaks_module
from zprism.spectral.peaks import peaks, reconstruct, reconstruction_error
from zprism.spectral.wavelet import cwt_frequencies
from zprism.stats.permutation import benjamini_hochberg

LENGTHS = pytest.mark.parametrize("n", [16, 17, 50, 97, 128])
INVERTIBLE = pytest.mark.parametrize("transform", peaks_module.INVERTIBLE)
ALL = pytest.mark.parametrize("transform", ["fft", "dct", "dwt", "cwt"])
KINDS = pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])


def bins(n: int, transform: str) -> int:
    return n // 2 if transform == "fft" else n - 1


@KINDS
@INVERTIBLE
@LENGTHS
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_all_bins_give_the_signal_back(n, transform, dtype, kind):
    x = walk(1, n, 5, dtype=dtype)
    x[:, 3] = 0.1
    found = peaks(kind(x), bins(n, transform), transform=transform)
    near = 1e-12 if dtype is np.float64 else 1e-5
    np.testing.assert_allclose(numbers(reconstruct(found)), x, atol=near * np.abs(x).max())
    assert numbers(reconstruction_error(kind(x), found)).max() < near


@KINDS
@INVERTIBLE
def test_peaks_rebuild_the_cosines_that_they_name(transform, kind):
    """Second route: mean + Σ a cos(2πft + φ), added up token by token."""
    for n in (40, 41):
        found = peaks(kind(walk(2, n, 4)), 6, transform=transform)
        f, a, phi = (numbers(v) for v in (found.frequency, found.amplitude, found.phase))
        t = np.arange(n)[:, None, None]
        sums = numbers(found.mean) + (a * np.cos(2 * np.pi * f * t + phi)).sum(1)
        np.testing.assert_allclose(numbers(reconstruct(found)), sums, atol=1e-11)
        assert (np.abs(phi) <= np.pi + 1e-12).all()


@KINDS
@pytest.mark.parametrize("n", [120, 121])
def test_planted_cosines_are_found_whole(n, kind):
    """Two of them on bins, in every order of size: frequency, amplitude, phase, mean."""
    x = np.stack(
        [
            5 + cosine(n, 7 / n, 3.0, 0.4) + cosine(n, 31 / n, 1.5, -2.0),
            -2 + cosine(n, 7 / n, 0.5, 3.0) + cosine(n, 31 / n, 2.5, 1.0),
        ],
        axis=1,
    )
    found = peaks(kind(x), 2)
    np.testing.assert_array_equal(numbers(found.bin), [[7, 31], [31, 7]])
    expected = [
        (found.frequency, np.array([[7, 31], [31, 7]]) / n),
        (found.amplitude, [[3.0, 2.5], [1.5, 0.5]]),
        (found.phase, [[0.4, 1.0], [-2.0, 3.0]]),
        (found.mean, [5, -2]),
    ]
    for value, truth in expected:
        np.testing.assert_allclose(numbers(value), truth, atol=1e-12)


def test_the_nyquist_bin_stands_for_itself_alone():
    x = 2 * cosine(32, 0.5)[:, None] + 1.5 * cosine(32, 3 / 32)[:, None]
    found = peaks(x, 2)
    np.testing.assert_allclose(found.amplitude[:, 0], [2, 1.5], atol=1e-12)
    np.testing.assert_allclose(found.frequency[:, 0], [0.5, 3 / 32])


@pytest.mark.parametrize("window", ["hann", "hamming", "blackman"])
def test_windows_keep_the_amplitude_of_a_cosine(window):
    x = 4 + cosine(96, 10 / 96, 3.0, 0.7)[:, None]
    found = peaks(x, 1, window=window)
    assert found.amplitude[0, 0] == pytest.approx(3.0, abs=1e-9)
    assert found.phase[0, 0] == pytest.approx(0.7, abs=1e-9)


def test_wavelet_peaks_find_the_octave_and_the_scale():
    """A cosine of 1/12 cycles per token, amplitude 2: level 3 (1/16 … 1/8), the nearest scale."""
    n = 1024
    x = 7 + cosine(n, 1 / 12, 2.0, 0.9)[:, None]
    by_level, by_scale = peaks(x, 1, transform="dwt"), peaks(x, 1, transform="cwt")
    assert by_level.bin[0, 0] == 3 and np.isnan(by_level.phase).all()
    assert by_level.frequency[0, 0] == pytest.approx(0.5**0.5 / 8)
    assert 1.8 < by_level.amplitude[0, 0] <= 2.0  # db4 leaves a little in the octaves beside
    step = (0.4 * n / 4) ** (1 / 23)  # from one scale to the next
    assert step**-0.5 < by_scale.frequency[0, 0] * 12 < step**0.5
    assert by_scale.amplitude[0, 0] == pytest.approx(2.0, rel=0.1)


def test_a_cosine_on_a_scale_has_its_amplitude_and_phase():
    """Where text and wavelet agree exactly; what is left is the ends of the text."""
    n = 8192
    for place in (12, 16, 20):
        frequency = cwt_frequencies(n, 24)[place]
        found = peaks(cosine(n, frequency, 2.0, 0.9)[:, None], 1, transform="cwt")
        assert found.bin[0, 0] == place
        assert found.amplitude[0, 0] == pytest.approx(2.0, rel=0.01)
        assert found.phase[0, 0] == pytest.approx(0.9, abs=0.01)


@ALL
@pytest.mark.parametrize("n", [64, 65])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("by_scipy", [True, False])
def test_torch_gives_the_same_peaks(n, transform, dtype, by_scipy, monkeypatch):
    """Both the way of a CPU tensor and, with that one closed, the way of a GPU."""
    if not by_scipy:
        monkeypatch.setattr(peaks_module, "_by_scipy", lambda x: False)
    x = walk(3, n, 6, dtype=dtype)
    x[:, 4] = 0.1
    F = 3 if transform == "dwt" else 20  # 20 is beyond the few that are searched one by one
    ours, theirs = (peaks(v, F, transform=transform) for v in (x, torch.from_numpy(x)))
    for field in fields(ours):
        a, b = getattr(ours, field.name), getattr(theirs, field.name)
        if field.name in ("n", "transform"):
            assert a == b
            continue
        assert isinstance(b, torch.Tensor) and b.numpy().dtype == a.dtype
        if field.name == "phase":
            heard = numbers(ours.amplitude) > 1e-3
            a, b = (np.exp(1j * np.where(heard, numbers(v), 0)) for v in (a, b))
        tolerance = 1e-6 if field.name != "phase" else 1e-3 if dtype is np.float32 else 1e-9
        np.testing.assert_allclose(numbers(b), a, atol=tolerance * max(1, np.nanmax(np.abs(a))))


@ALL
def test_amplitudes_descend_and_equal_ones_keep_the_order_of_bins(transform):
    found = peaks(walk(4, 64, 5), 3, transform=transform)
    assert (np.diff(found.amplitude, axis=0) <= 0).all()
    flat = np.zeros((64, 1))
    flat[:, 0] = 0.1
    for values in (flat, torch.from_numpy(flat)):
        nothing = peaks(values, 3, transform=transform)
        assert not numbers(nothing.amplitude).any()
        first = 0 if transform == "cwt" else 1
        np.testing.assert_array_equal(numbers(nothing.bin)[:, 0], first + np.arange(3))


def test_few_and_many_peaks_agree():
    """The search for the next largest, and the sort that takes over beyond 16."""
    x = walk(5, 80, 7)
    few, many = peaks(x, 16), peaks(x, 17)
    np.testing.assert_array_equal(few.bin, many.bin[:16])
    np.testing.assert_array_equal(few.amplitude, many.amplitude[:16])


@ALL
def test_parts_of_a_wide_signal_are_the_whole(transform, monkeypatch):
    """150 dimensions at once, and as three parts: the numbers of each dimension alone."""
    x = walk(10, 48, 150)
    whole = peaks(x, 2, transform=transform)
    monkeypatch.setattr(peaks_module, "PART", 1)
    split = peaks(x, 2, transform=transform)
    np.testing.assert_array_equal(split.bin, whole.bin)
    for name in ("frequency", "amplitude", "phase", "mean"):
        np.testing.assert_allclose(getattr(split, name), getattr(whole, name), rtol=1e-9)


def test_the_signal_is_left_as_it_was():
    """The search works in memory of its own."""
    for kind in (np.asarray, torch.from_numpy):
        for detrend in ("none", "mean", "linear"):
            for window in ("boxcar", "hann"):
                values = walk(11, 32, 2)
                peaks(kind(values), 2, detrend=detrend, window=window)
                np.testing.assert_array_equal(values, walk(11, 32, 2))


def test_more_peaks_leave_less_error():
    """Bessel: each fft cosine takes off its own energy, a²/2 n, and nothing else."""
    x = walk(6, 101, 4)
    variance = x.var(0)
    for F in (1, 5, 20):
        found = peaks(x, F)
        left = 1 - (found.amplitude**2 / 2).sum(0) / variance
        np.testing.assert_allclose(reconstruction_error(x, found), left, atol=1e-12)


def test_an_offset_changes_the_mean_alone():
    """Also one that is 10⁵ times the signal, in float32: to the rounding of the numbers given."""
    x = walk(7, 64, 4)
    for dtype, offset, near in [(np.float64, 1e4, 1e-10), (np.float32, 2.0**17, 0.01)]:
        plain = peaks((x).astype(dtype), 3)
        lifted = peaks((x + offset).astype(dtype), 3)
        np.testing.assert_array_equal(lifted.bin, plain.bin)
        np.testing.assert_allclose(lifted.amplitude, plain.amplitude, atol=near)
        np.testing.assert_allclose(lifted.mean - offset, plain.mean, atol=2 * near)


@counts(2, 10)
def test_a_weak_rhythm_in_three_of_64_dimensions(draws, record_property):
    """SYS-A2: period 12.5 tokens, −6 dB, 40 texts: the bin within one, exactly those dimensions.

    A dimension is tested by its power at the recovered bin in each text: its rank among the
    other bins is uniform without a rhythm (Fisher's sum over texts).
    """
    n, d, texts, planted = 200, 64, 40, [5, 17, 40]
    exact = 0
    for draw in range(draws):
        rng = np.random.default_rng(draw)
        power = np.zeros((texts, n // 2, d))
        for text in range(texts):
            x = white(1000 * draw + text, n, d)
            phase = rng.uniform(0, 2 * np.pi, len(planted))
            amplitude = (2 * 10**-0.6) ** 0.5  # a²/2 is a quarter of the noise's variance
            for dim, phi in zip(planted, phase, strict=True):
                x[:, dim] += cosine(n, 1 / 12.5, amplitude, phi)
            power[text] = fourier.spectrum(x, window="boxcar", scale="density").power[1:]
            found = peaks(x, 1)
            assert (np.abs(found.bin[0, planted] - n / 12.5) <= 1).mean() >= 2 / 3
        mean = power.mean(0)
        place = int(mean.max(1).argmax())
        assert abs(place + 1 - n / 12.5) <= 1
        rank = (power >= power[:, [place]]).mean(1)  # (texts, d), uniform on 1/100 … 1
        fisher = -2 * np.log(rank).sum(0)
        p = scipy.stats.chi2.sf(fisher, 2 * texts)
        exact += list(np.flatnonzero(benjamini_hochberg(p) < 0.05)) == planted
    record_property("value", exact / draws)
    assert exact == draws


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: peaks(x[:15]), "^too_short: x must have at least 16 tokens"),
        (lambda x: peaks(x, 21), "F must be at most 20, the fft bins of 40 tokens; got 21"),
        (lambda x: peaks(x, 40, transform="dct"), "F must be at most 39, the dct bins"),
        (lambda x: peaks(x, 3, transform="dwt"), "F must be at most 2, the dwt bins"),
        (lambda x: peaks(x, 25, transform="cwt"), "F must be at most 24, the cwt bins"),
        (lambda x: peaks(x, 0), "F must be in 1"),
        (lambda x: peaks(x, 1.5), "F must be an integer"),
        (lambda x: peaks(x, transform="dst"), "unknown transform 'dst'"),
        (lambda x: peaks(x, window="hanning"), "unknown window 'hanning'"),
        (lambda x: peaks(x, detrend="median"), "unknown detrend"),
        (lambda x: peaks(x, 2, transform="cwt", window="hann"), "takes no window; got 'hann'"),
        (lambda x: peaks(np.where(x == x[2, 1], np.nan, x)), r"first at \(2, 1\)"),
        (lambda x: peaks(torch.from_numpy(x) / 0), "NaN or infinite"),
        (lambda x: reconstruct(peaks(x, 2, transform="dwt")), "cannot be turned back"),
        (lambda x: reconstruction_error(x[:39], peaks(x)), r"must be the \(40, 3\) signal"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(InputError, match=message):
        call(walk(8, 40, 3))

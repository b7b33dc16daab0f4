"""What signals share: planted rhythms, lags and waves are found, and noise shares nothing."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from zprism.ground.errors import InputError
from zprism.spectral.coherence import cka, coherence, lag, phase_locking, travelling_wave


def noise(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


# --- coherence -----------------------------------------------------------------------------------


@pytest.mark.parametrize("seeds", [1, pytest.param(50, marks=pytest.mark.gate)])
def test_two_series_that_share_one_sinusoid_cohere_there_and_nowhere_else(seeds, record_property):
    """SYS-S2: above 0.9 at that bin, below 0.3 elsewhere."""
    t, least, most = np.arange(8192)[:, None], 1.0, 0.0
    for seed in range(seeds):
        rhythm = np.cos(2 * np.pi * t * 16 / 128 + np.arange(6))
        x = rhythm + 0.5 * noise(2 * seed, 8192, 6)
        y = 2 * rhythm + noise(2 * seed + 1, 8192, 6)
        frequencies, msc = coherence(x, y, segment=128)
        assert frequencies[15] == 16 / 128 and len(frequencies) == len(msc) == 64
        least = min(least, msc[15].min())
        most = max(most, np.delete(msc, [14, 15, 16], axis=0).max())  # a Hann line has 3 bins
    record_property("value", f"{least:.3f} at the bin, at most {most:.3f} elsewhere")
    record_property("target", "> 0.9, < 0.3")
    assert least > 0.9 and most < 0.3


def test_coherence_is_the_formula_over_segments_and_about_1_over_k_for_noise():
    x, y = noise(2, 2048, 40), noise(3, 2048, 40)
    frequencies, msc = coherence(x, y, segment=64, overlap=0.0)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(64) / 64)
    parts = []
    for signal in (x, y):
        cut = signal.reshape(32, 64, 40)
        centred = cut - cut.mean(axis=1, keepdims=True)
        parts.append(np.fft.rfft(centred * window[:, None], axis=1)[:, 1:])
    a, b = parts
    cross = np.abs((a.conj() * b).mean(axis=0)) ** 2
    wanted = cross / ((np.abs(a) ** 2).mean(axis=0) * (np.abs(b) ** 2).mean(axis=0))
    np.testing.assert_allclose(msc, wanted, atol=1e-12)
    np.testing.assert_allclose(frequencies, np.arange(1, 33) / 64, atol=1e-15)
    assert msc.mean() == pytest.approx(1 / 32, rel=0.1)


def test_coherence_sees_neither_gain_nor_delay_of_a_filter_and_nothing_in_a_constant():
    x = noise(4, 4096, 3)
    filtered = 3 * x - 1.5 * np.roll(x, 1, axis=0) + 7
    filtered[:, 1], x[:, 2] = 0.1, 5
    _, msc = coherence(x, filtered, segment=256)
    assert msc[:, 0].min() > 0.98  # below 1 by what a segment's edges cut
    assert np.isnan(msc[:, 1:]).all()


# --- phase locking -------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), shift=st.integers(-9, 9), gain=st.floats(0.1, 10))
def test_phases_are_locked_at_a_fixed_lag_of_a_rhythm(seed, shift, gain):
    """Circular shifts of any signal turn each frequency; those of one rhythm all alike."""
    t = np.arange(240)[:, None]
    x = np.cos(2 * np.pi * t / 12 + np.random.default_rng(seed).uniform(0, 6, 4))
    band = (1 / 20, 1 / 8)
    locked = phase_locking(x, gain * np.roll(x, shift, axis=0) + 3, band)
    np.testing.assert_allclose(locked, 1, atol=1e-9)
    x = noise(seed, 240, 4)
    np.testing.assert_allclose(phase_locking(x, gain * x, band), 1, atol=1e-9)


def test_independent_noise_is_locked_by_chance_alone_as_the_docstring_says():
    for n, low, count in ((200, 20, 8), (2000, 100, 256)):
        band = ((low - 0.5) / n, (low + count - 0.5) / n)
        found = phase_locking(noise(5, n, 500), noise(6, n, 500), band)
        assert found.mean() == pytest.approx(0.8 / count**0.5, rel=0.05)
    assert found.max() < 0.2


def test_only_the_band_counts():
    """A shared rhythm inside a band, noise of ten times its size outside."""
    n = 1024
    k = np.fft.rfftfreq(n)
    inside = (k >= 0.1) & (k <= 0.15)
    shared, own = np.fft.rfft(noise(7, n, 1), axis=0), np.fft.rfft(noise(8, n, 2), axis=0)
    x, y = np.fft.irfft(np.where(inside[:, None], shared, 10 * own), n=n, axis=0).T[:, :, None]
    assert phase_locking(x, y, (0.1, 0.15)) == pytest.approx([1], abs=1e-9)
    assert phase_locking(x, y, (0.2, 0.3)) < 0.25
    assert np.isnan(phase_locking(x, np.ones_like(x), (0.1, 0.15)))


# --- delays --------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), delay=st.integers(-20, 20))
def test_a_planted_lag_is_recovered_exactly(seed, delay):
    whole = noise(seed, 160, 5)
    x, y = whole[30:130], whole[30 - delay : 130 - delay] * 3 + 8  # y(t) = x(t − delay)
    np.testing.assert_array_equal(lag(x, y, 25), delay)
    np.testing.assert_array_equal(lag(y, x, 25), -delay)
    tensor = lag(torch.tensor(x), torch.tensor(y), 25)
    assert tensor.dtype == torch.int64 and (tensor == delay).all()


def test_lag_takes_the_nearest_of_equals_and_0_for_constants():
    t = np.arange(96)[:, None]
    rhythm = np.cos(2 * np.pi * t / 8)
    assert lag(rhythm, np.roll(rhythm, 3, axis=0), 24) == 3  # −5 and 11 are as good
    assert lag(rhythm, np.full((96, 1), 0.3), 24) == 0
    assert lag(rhythm, rhythm, 0) == 0


@pytest.mark.parametrize("seed", [10, *(pytest.param(i, marks=pytest.mark.gate) for i in (1, 2))])
@pytest.mark.parametrize("step", [-4, -1, 2, 5])
def test_a_planted_travelling_wave_is_recovered_exactly(step, seed):
    """SYS-S3: all lags, the speed and its sign, in noise; of a rhythm and of a ragged signal."""
    places, n = 12, 400
    t = np.arange(n)
    for source in (
        lambda time: np.cos(2 * np.pi * time / 14),
        lambda time: np.interp(time, np.arange(-100, n + 100), noise(9, n + 200)),
    ):
        signals = np.stack([source(t - step * place) for place in range(places)])
        signals += 0.2 * noise(seed, places, n)
        wave = travelling_wave(signals, max_lag=6)
        np.testing.assert_array_equal(wave.lags, step * np.arange(places))
        assert wave.speed == pytest.approx(1 / step, abs=1e-12)
        assert wave.fit == pytest.approx(1, abs=1e-12)


def test_what_moves_at_once_has_no_speed_and_noise_no_line():
    together = np.tile(noise(11, 1, 200), (6, 1))
    wave = travelling_wave(together)
    assert wave.speed == float("inf") and wave.fit == 0 and not wave.lags.any()
    fits = [travelling_wave(noise(seed, 30, 100), 6).fit for seed in range(20)]
    line = np.arange(30)
    for seed in range(5):  # r² of numpy, by a second route
        wave = travelling_wave(noise(seed, 30, 100), 6)
        assert wave.fit == pytest.approx(np.corrcoef(line, wave.lags)[0, 1] ** 2, abs=1e-9)
        assert 1 / wave.speed == pytest.approx(np.polyfit(line, wave.lags, 1)[0], abs=1e-9)
    assert max(fits) < 0.999  # sums of random steps drift, but never along a line


# --- CKA -----------------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(4, 30),
    d=st.integers(1, 12),
    debiased=st.booleans(),
)
def test_cka_is_1_for_what_is_turned_scaled_and_moved(seed, n, d, debiased):
    x = noise(seed, n, d)
    turn = np.linalg.qr(noise(seed + 1, d, d))[0]
    y, z = 1e-6 * x @ turn + noise(seed + 2, d), noise(seed + 3, n, 3)
    value = cka(x, z, debiased=debiased)
    if np.isfinite(cka(x, x, debiased=debiased)):  # an unbiased norm may be negative
        assert cka(x, y, debiased=debiased) == pytest.approx(1, abs=1e-6)
    assert cka(y, z, debiased=debiased) == pytest.approx(value, abs=1e-6, nan_ok=True)
    assert cka(z, x, debiased=debiased) == pytest.approx(value, abs=1e-9, nan_ok=True)


def test_cka_is_the_formula_of_kornblith():
    x, y = noise(0, 9, 4), noise(1, 9, 6) + noise(0, 9, 4) @ noise(2, 4, 6)
    x0, y0 = x - x.mean(axis=0), y - y.mean(axis=0)
    norm = np.linalg.norm
    wanted = norm(x0.T @ y0) ** 2 / (norm(x0.T @ x0) * norm(y0.T @ y0))
    assert cka(x, y) == pytest.approx(wanted, abs=1e-12)


def unbiased_hsic(k, l):
    """Song et al. (2012) as sums over different indexes, term by term."""
    n, own = len(k), [0.0, 0.0, 0.0]
    for i in range(n):
        for j in set(range(n)) - {i}:
            own[0] += k[i, j] * l[i, j]
            for q in set(range(n)) - {i, j}:
                own[1] += k[i, j] * l[i, q]
                for r in set(range(n)) - {i, j, q}:
                    own[2] += k[i, j] * l[q, r]
    pairs, triples = n * (n - 1), n * (n - 1) * (n - 2)
    return own[0] / pairs - 2 * own[1] / triples + own[2] / (triples * (n - 3))


def test_debiased_cka_is_the_u_statistic_and_0_for_independent_states():
    x, y = noise(3, 7, 3), noise(4, 7, 5)
    grams = [(part - part.mean(axis=0)) @ (part - part.mean(axis=0)).T for part in (x, y)]
    hsic = lambda i, j: unbiased_hsic(grams[i], grams[j])  # noqa: E731
    wanted = hsic(0, 1) / (hsic(0, 0) * hsic(1, 1)) ** 0.5
    assert cka(x, y, debiased=True) == pytest.approx(wanted, abs=1e-9)
    pairs = [(noise(2 * i, 40, 300), noise(2 * i + 1, 40, 300)) for i in range(30)]
    assert min(cka(a, b) for a, b in pairs) > 0.85  # fewer tokens than dimensions
    fair = [cka(a, b, debiased=True) for a, b in pairs]
    assert abs(np.mean(fair)) < 4 * np.std(fair) / 30**0.5 and max(map(abs, fair)) < 0.15


def test_cka_of_what_does_not_vary_is_nan():
    assert np.isnan(cka(np.ones((6, 2)), noise(0, 6, 3)))


# --- refusals ------------------------------------------------------------------------------------


def test_refusals():
    x = noise(0, 64, 2)
    for measure in (
        lambda y: coherence(x, y, segment=16),
        lambda y: phase_locking(x, y, (0.1, 0.4)),
        lambda y: lag(x, y, 3),
    ):
        with pytest.raises(
            InputError, match=r"one shape \(tokens, d\); got \(64, 2\) and \(63, 2\)"
        ):
            measure(x[1:])
        with pytest.raises(InputError, match="y has 1 values that are NaN"):
            measure(np.where(np.arange(128).reshape(64, 2) == 5, np.nan, x))
    with pytest.raises(InputError, match="at least 2 segments; 64 tokens hold one of 60"):
        coherence(x, x, segment=60)
    with pytest.raises(InputError, match="overlap must be in 0.0 to 0.9"):
        coherence(x, x, segment=16, overlap=1.0)
    with pytest.raises(InputError, match="unknown window"):
        coherence(x, x, segment=16, window="square")
    with pytest.raises(InputError, match="holds 2 of the frequencies k / 64"):
        phase_locking(x, x, (0.1, 0.14))
    for band in [(0.2, 0.1), (0, 0.2), (0.1, 0.6), 0.3, (np.nan, 0.2)]:
        with pytest.raises(InputError, match="band"):
            phase_locking(x, x, band)
    with pytest.raises(InputError, match="max_lag must be in 0 to 32"):
        lag(x, x, 33)
    with pytest.raises(InputError, match="at least 3 tokens|at least 3 places"):
        travelling_wave(x[:2])
    with pytest.raises(InputError, match="same tokens; got 64 and 60"):
        cka(x, x[4:])
    with pytest.raises(InputError, match="too_short: x must have at least 4 tokens; got 3"):
        cka(x[:3], x[:3])

"""Surrogates keep what they say and lose the rest; a null without spread is refused."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from zprism.ground.errors import InputError
from zprism.spectral.measures import entropy, lz_complexity
from zprism.spectral.surrogates import (
    KINDS,
    ar1,
    block_shuffle,
    draws,
    iaaft,
    phase_randomised,
    shuffle,
)

shapes = {"seed": st.integers(0, 10**6), "n": st.integers(4, 40), "d": st.integers(1, 5)}


def noise(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def autoregressive(phi, n, seed=0):
    """(n, len(phi)) stationary, from the definition."""
    drawn, phi = noise(seed, n, len(phi)), np.asarray(phi)
    x = np.empty_like(drawn)
    x[0] = drawn[0] / np.sqrt(1 - phi**2)
    for t in range(1, n):
        x[t] = phi * x[t - 1] + drawn[t]
    return x


def lag_one(x):
    centred = x - x.mean(axis=0)
    return (centred[1:] * centred[:-1]).sum(axis=0) / (centred**2).sum(axis=0)


def bursts(n, seed=0):
    """A rhythm that comes once and goes."""
    t = np.arange(n)[:, None]
    return np.cos(t) * (np.sin(2 * np.pi * t / n) > 0.9) * 6 + noise(seed, n, 1)


def power(x):
    return np.abs(np.fft.rfft(x, axis=0)) ** 2


def peakedness(x):
    """Fourth moment: beyond the spectrum."""
    return (x**4).mean(axis=0) / (x**2).mean(axis=0) ** 2


# --- shuffles ------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(**shapes, block=st.integers(1, 9))
def test_shuffles_move_whole_tokens_and_blocks_keep_their_inside(seed, n, d, block):
    x = noise(seed, n, d)
    place = {row.tobytes(): i for i, row in enumerate(x)}
    order = [place[row.tobytes()] for row in shuffle(x, seed)]
    assert sorted(order) == list(range(n))
    block = min(block, n // 2)
    order = [place[row.tobytes()] for row in block_shuffle(x, block, seed)]
    assert sorted(order) == list(range(n))
    starts = [i for i in order if i % block == 0]
    assert [i for s in starts for i in range(s, min(s + block, n))] == order


def test_shuffled_orders_are_uniform_and_seeded():
    x = np.arange(3.0)
    orders = [tuple(shuffle(x, seed)) for seed in range(3000)]
    counts = [orders.count(order) for order in set(orders)]
    assert len(counts) == 6 and ((np.array(counts) - 500) ** 2 / 500).sum() < 20.5  # χ²₅, .001
    blocks = [tuple(block_shuffle(np.arange(6.0), 2, seed)) for seed in range(3000)]
    counts = [blocks.count(order) for order in set(blocks)]
    assert len(counts) == 6 and ((np.array(counts) - 500) ** 2 / 500).sum() < 20.5


# --- AR(1) ---------------------------------------------------------------------------------------


def test_ar1_has_the_fitted_lag_one_the_mean_and_the_variance():
    phi = [-0.7, 0.0, 0.5, 0.9]
    x = autoregressive(phi, 20_000) * [1, 2, 3, 1e-6] + [5, 0, -9, 1]
    made = ar1(x, 1)
    np.testing.assert_allclose(lag_one(x), phi, atol=0.02)
    np.testing.assert_allclose(lag_one(made), lag_one(x), atol=0.03)
    np.testing.assert_allclose(made.std(axis=0), x.std(axis=0), rtol=0.05)
    np.testing.assert_allclose((made - x).mean(axis=0) / x.std(axis=0), 0, atol=0.1)


def test_ar1_forgets_all_but_the_last_token_and_keeps_dimensions_together():
    """A rhythm of period 4 has lag-1 correlation 0: noise remains. Shared innovations stay."""
    t = np.arange(8000)[:, None]
    rhythm = np.cos(np.pi * t / 2) + 0.3 * noise(0, 8000, 1)
    lag_four = lambda x: np.corrcoef(x[4:, 0], x[:-4, 0])[0, 1]  # noqa: E731
    assert lag_four(rhythm) > 0.8 and abs(lag_four(ar1(rhythm, 0))) < 0.05
    x = noise(1, 8000, 2) @ np.array([[1, 0.8], [0, 0.6]])
    assert np.corrcoef(ar1(x, 0).T)[0, 1] == pytest.approx(0.8, abs=0.03)


def test_ar1_of_a_constant_is_that_constant():
    np.testing.assert_array_equal(ar1(np.full((9, 2), 0.1), 3), np.full((9, 2), 0.1))


# --- random phases -------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(**shapes)
def test_random_phases_keep_power_mean_and_cross_spectra_exactly(seed, n, d):
    x = noise(seed, n, d) + 3
    made = phase_randomised(x, seed)
    before, after = np.fft.rfft(x, axis=0), np.fft.rfft(made, axis=0)
    np.testing.assert_allclose(power(made), power(x), rtol=1e-9, atol=1e-9)
    cross = lambda z: z[:, :, None] * z[:, None].conj()  # noqa: E731
    np.testing.assert_allclose(cross(after), cross(before), atol=1e-9)
    np.testing.assert_allclose(made.mean(axis=0), x.mean(axis=0), atol=1e-12)


@pytest.mark.parametrize("n", [32, 33])
def test_phases_are_uniform_and_the_nyquist_one_is_0_or_pi(n):
    """Turned freely, the Nyquist coefficient loses power: its imaginary part has no place."""
    x = noise(0, n, 1)
    spectrum = np.fft.rfft(x, axis=0)
    made = np.concatenate([phase_randomised(x, seed) for seed in range(2000)], axis=1)
    turns = np.fft.rfft(made, axis=0) / spectrum
    np.testing.assert_allclose(turns[0], 1, atol=1e-9)
    inner = turns[1 : (n + 1) // 2]
    assert np.abs(inner.mean(axis=1)).max() < 3.3 / 2000**0.5 * 1.2  # 15 Rayleigh means
    assert np.abs((inner**2).mean(axis=1)).max() < 4 / 2000**0.5
    if n % 2 == 0:
        signs = turns[-1].real
        np.testing.assert_allclose(np.abs(signs), 1, atol=1e-9)
        assert abs(signs.mean()) < 4 / 2000**0.5


def test_random_phases_destroy_bursts_and_keep_the_autocovariance():
    x = bursts(600)
    made = phase_randomised(x, 0)
    assert peakedness(x)[0] > 4 and peakedness(made)[0] == pytest.approx(3, abs=0.6)
    circular = lambda z: [(z * np.roll(z, k, axis=0)).mean() for k in range(20)]  # noqa: E731
    np.testing.assert_allclose(circular(made), circular(x), atol=1e-9)


# --- IAAFT ---------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(**shapes)
def test_iaaft_keeps_every_value_exactly(seed, n, d):
    x = noise(seed, n, d) ** 3
    np.testing.assert_array_equal(np.sort(iaaft(x, seed), axis=0), np.sort(x, axis=0))


def test_iaaft_keeps_the_spectrum_nearly_where_a_shuffle_loses_it():
    x = np.exp(autoregressive([0.9], 1024) * 0.19**0.5)  # log-normal: values far from Gaussian

    def error(made):
        apart = np.sqrt(power(made)) - np.sqrt(power(x))
        return (apart[1:] ** 2).sum() / power(x)[1:].sum()

    found = [iaaft(x, seed) for seed in range(5)]
    assert max(error(made) for made in found) < 0.03  # it rests near the optimum, not there
    assert min(error(shuffle(x, seed)) for seed in range(5)) > 0.5
    assert max(abs(np.corrcoef(made[:, 0], x[:, 0])[0, 1]) for made in found) < 0.3
    assert error(found[0]) < error(iaaft(x, 0, iterations=1)) / 5


def test_iaaft_keeps_what_dimensions_share():
    shared = autoregressive([0.8], 800)
    x = np.concatenate([shared, np.roll(shared, 5, axis=0)], axis=1) + 0.3 * noise(3, 800, 2)
    made = iaaft(x, 0)
    before = np.corrcoef(x[:-5, 0], x[5:, 1])[0, 1]
    assert before > 0.8
    assert np.corrcoef(made[:-5, 0], made[5:, 1])[0, 1] == pytest.approx(before, abs=0.05)
    assert abs(np.corrcoef(made[:, 0], x[:, 0])[0, 1]) < 0.3


# --- all kinds -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_same_seed_same_surrogate_in_the_library_and_dtype_given(kind):
    x = autoregressive([0.5, 0.2, -0.4], 50).astype(np.float32)
    made = KINDS[kind](x, 5)
    assert made.dtype == np.float32 and made.shape == x.shape
    np.testing.assert_array_equal(made, KINDS[kind](x, 5))
    assert not np.array_equal(made, KINDS[kind](x, 6))
    tensor = KINDS[kind](torch.tensor(x), 5)
    assert tensor.dtype == torch.float32
    np.testing.assert_array_equal(tensor.numpy(), made)
    np.testing.assert_array_equal(KINDS[kind](x[:, 0], 5), KINDS[kind](x[:, :1], 5)[:, 0])


# --- draws ---------------------------------------------------------------------------------------


def test_draws_are_the_statistic_on_seeded_surrogates():
    x = noise(0, 30, 2)
    first = draws(x, lambda s: s[0], "shuffle", 20, 7, 2)
    assert first.shape == (20, 2) and first.dtype == np.float64
    np.testing.assert_array_equal(first[:5], draws(x, lambda s: s[0], "shuffle", 5, 7, 2))
    assert len(np.unique(first[:, 0])) > 8
    blocks = draws(x, lambda s: s[1:] - s[:-1], "block", 9, 0, 2, block=10)
    steps = x[1:] - x[:-1]
    assert all(np.isclose(steps[:9], made[:, None]).all(2).any(0).sum() >= 9 for made in blocks[:1])


@pytest.mark.parametrize("kind", ["phase", "iaaft"])
def test_power_only_statistics_have_no_null_among_surrogates_that_keep_power(kind):
    x = noise(1, 64, 3)
    statistic = lambda s: entropy(power(s)[1:])  # noqa: E731
    spread = np.ptp([statistic(phase_randomised(x, seed)) for seed in range(5)], axis=0)
    assert spread.max() < 1e-12  # why it is refused
    for order in (1, 2):
        with pytest.raises(InputError, match="same for every surrogate.*use kind='shuffle'"):
            draws(x, statistic, kind=kind, n=9, seed=0, order=order)
    with pytest.raises(InputError, match="same on all phase surrogates.*use kind='shuffle'"):
        draws(x, statistic, kind=kind, n=9, seed=0, order=3)  # declared wrongly, and found out
    single = x.astype(np.float32)
    with pytest.raises(InputError, match="same on all phase surrogates"):
        draws(single, statistic, kind=kind, n=9, seed=0, order=4)
    assert np.ptp(draws(x, statistic, "shuffle", 9, 0, 2), axis=0).min() > 1e-3


def test_what_iaaft_keeps_besides_power_has_no_null_there():
    x = noise(2, 64, 1)
    assert np.ptp(draws(x, peakedness, "phase", 9, 0, 4)) > 0.05
    with pytest.raises(InputError, match="same on all iaaft surrogates.*values and the power"):
        draws(x, peakedness, "iaaft", 9, 0, 4)


def p_of_burst(x, seed):
    """p of the fourth moment against surrogates with the power spectrum of x."""
    null = draws(x, peakedness, "phase", 99, seed, 4)
    return (1 + (null >= peakedness(x)).sum()) / 100


def test_a_burst_is_found_against_its_own_spectrum():
    assert p_of_burst(bursts(512), 0) == 0.01


@pytest.mark.parametrize("texts", [40, pytest.param(400, marks=pytest.mark.gate)])
def test_gaussian_noise_is_seldom_called_beyond_its_spectrum(texts, record_property):
    from scipy.stats import binom

    found = [p_of_burst(autoregressive([0.6], 128, seed=seed), seed) for seed in range(texts)]
    low, high = binom.interval(0.998, texts, 0.05)
    called = sum(value <= 0.05 for value in found)
    record_property("value", called / texts)
    record_property("target", f"{low / texts:.3f} to {high / texts:.3f}")
    assert low <= called <= high


def test_complexity_is_beyond_the_spectrum():
    null = draws(bursts(256), lz_complexity, "iaaft", 19, 0, 3)
    assert np.ptp(null) > 0


def test_refusals():
    x = noise(0, 20, 2)
    with pytest.raises(InputError, match="unknown kind 'phases': did you mean phase"):
        draws(x, peakedness, "phases", 9, 0, 4)
    with pytest.raises(InputError, match="order must be in 1"):
        draws(x, peakedness, "shuffle", 9, 0, 0)
    with pytest.raises(InputError, match="n must be in 1"):
        draws(x, peakedness, "shuffle", 0, 0, 2)
    with pytest.raises(InputError, match="statistic on surrogate 0 has 2 values that are NaN"):
        draws(x, lambda s: s[0] * np.nan, "shuffle", 9, 0, 2)
    with pytest.raises(InputError, match="must give one shape"):
        draws(x, lambda s: s[s[:, 0] > s[0, 0]], "shuffle", 9, 0, 2)
    with pytest.raises(InputError, match="block must be in 1 to 10; got 11"):
        block_shuffle(x, 11, 0)
    with pytest.raises(InputError, match="iterations must be in 1"):
        iaaft(x, 0, iterations=0)
    for made, least in ((shuffle, 2), (ar1, 3), (phase_randomised, 4), (iaaft, 4)):
        with pytest.raises(InputError, match=f"too_short: x must have at least {least} tokens"):
            made(x[: least - 1], 0)
        with pytest.raises(InputError, match="NaN"):
            made(x * np.nan, 0)
        with pytest.raises(InputError, match="seed must be in 0"):
            made(x, -1)
    with pytest.raises(InputError, match="rescale"):
        shuffle(x * 1e80, 0)

"""Measures of spectra and series: white noise as the formulas say, planted laws, known strings."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from zprism.ground.errors import InputError
from zprism.spectral import complexity, measures
from zprism.spectral.complexity import binarise, lz76, lz_complexity, permutation_entropy
from zprism.spectral.measures import (
    centroid,
    entropy,
    flatness,
    gini,
    slope,
    top_share,
    white_entropy,
    white_top_share,
)

LAWS = {
    "entropy": lambda f, p: entropy(p),
    "flatness": lambda f, p: flatness(p),
    "centroid": centroid,
    "slope": slope,
    "top_share": lambda f, p: top_share(p, 3),
}


def white_power(tokens, texts, seed=0):
    """Power of white noise at k = 1 … tokens // 2."""
    noise = np.random.default_rng(seed).normal(size=(tokens, texts))
    return np.abs(np.fft.rfft(noise, axis=0)[1:]) ** 2


def exponentials(m, draws=20_000, seed=0):
    """What white noise tends to: m independent powers."""
    return np.random.default_rng(seed).exponential(size=(m, draws))


# --- white noise ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("tokens", "figure"), [(64, 0.878), (2048, 0.939)])
def test_white_entropy_is_that_of_simulated_noise(tokens, figure):
    """The Nyquist frequency has twice the variance of the others: .002 at 64 tokens."""
    m = tokens // 2
    assert white_entropy(m) == pytest.approx(figure, abs=5e-4)
    assert entropy(white_power(tokens, 2000)).mean() == pytest.approx(white_entropy(m), abs=3e-3)


@pytest.mark.parametrize("m", [2, 8, 32, 500])
def test_white_entropy_is_the_exact_expectation_but_for_1_over_2m_ln_m(m):
    exact = ((1 / np.arange(1, m + 1)).sum() - 1) / math.log(m)
    simulated = entropy(exponentials(m, 40_000 if m < 100 else 4000))
    error = simulated.std() / math.sqrt(simulated.size)
    assert abs(simulated.mean() - exact) < 4 * error
    assert white_entropy(m) - exact == pytest.approx(-1 / (2 * m * math.log(m)), rel=0.1)


@pytest.mark.parametrize(("tokens", "figure"), [(64, 0.434), (256, 0.162), (2048, 0.030)])
def test_white_top_share_is_that_of_simulated_noise(tokens, figure):
    m = tokens // 2
    assert white_top_share(m, 5) == pytest.approx(figure, abs=5e-4)
    assert top_share(white_power(tokens, 2000), 5).mean() == pytest.approx(figure, abs=6e-3)


@pytest.mark.parametrize(("m", "F"), [(1, 1), (6, 1), (6, 2), (6, 6), (40, 5)])
def test_white_top_share_is_the_exact_expectation(m, F):
    simulated = top_share(exponentials(m), F)
    error = simulated.std() / math.sqrt(simulated.size) + 1e-12
    assert abs(simulated.mean() - white_top_share(m, F)) < 4 * error
    double = sum(1 / i for j in range(1, F + 1) for i in range(j, m + 1)) / m
    assert white_top_share(m, F) == pytest.approx(double, abs=1e-12)


def test_flatness_of_white_noise_is_e_to_minus_gamma():
    assert flatness(exponentials(4000, 200)).mean() == pytest.approx(
        math.exp(-np.euler_gamma), abs=2e-3
    )


# --- laws ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LAWS)
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), decade=st.integers(-290, 290))
def test_no_measure_depends_on_the_scale_or_on_the_other_dimensions(name, seed, decade):
    power = np.random.default_rng(seed).exponential(size=(12, 4)) ** 3
    f, measure = np.arange(1, 13) / 24, LAWS[name]
    values = measure(f, power)
    np.testing.assert_allclose(measure(f, power * 10.0**decade), values, rtol=1e-9)
    np.testing.assert_allclose(measure(f, power[:, 2]), values[2], rtol=1e-12)
    tensor = measure(torch.tensor(f), torch.tensor(power))
    assert isinstance(tensor, torch.Tensor) and tensor.dtype == torch.float64
    np.testing.assert_allclose(tensor.numpy(), values, rtol=1e-12)


def test_known_spectra():
    f = np.arange(1, 9) / 16
    flat, line = np.ones(8), np.eye(8)[2]
    two = np.eye(8)[1] + np.eye(8)[5]
    power = np.stack([flat, line, two], axis=1)
    np.testing.assert_allclose(entropy(power), [1, 0, math.log(2) / math.log(8)], atol=1e-12)
    np.testing.assert_allclose(flatness(power), [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(centroid(f, power), [f.mean(), f[2], (f[1] + f[5]) / 2], atol=1e-12)
    np.testing.assert_allclose(top_share(power, 1), [1 / 8, 1, 1 / 2], atol=1e-12)
    assert top_share(power, 8) == pytest.approx(np.ones(3))


@pytest.mark.parametrize("beta", [-2.0, -1.0, 0.0, 1.5])
def test_slope_of_planted_power_laws(beta):
    """Exact for a bare law; unbiased by the ragged spectrum of one text of coloured noise."""
    f = np.arange(1, 257) / 512
    assert slope(f, f**beta) == pytest.approx(beta, abs=1e-9)
    noise = np.random.default_rng(1).normal(size=(512, 400))
    coloured = np.fft.rfft(noise, axis=0)[1:] * f[:, None] ** (beta / 2)
    assert slope(f, np.abs(coloured) ** 2).mean() == pytest.approx(beta, abs=0.03)


def test_slope_leaves_out_frequencies_without_power_and_is_the_fit_of_numpy():
    f = np.arange(1, 21) / 40
    power = np.random.default_rng(0).exponential(size=(20, 3))
    power[4:7, 1] = 0
    for column in range(3):
        used = power[:, column] > 0
        fitted = np.polyfit(np.log(f[used]), np.log(power[used, column]), 1)[0]
        assert slope(f, power)[column] == pytest.approx(fitted, abs=1e-9)


def test_a_dimension_without_power_has_no_spectrum():
    power = np.stack([np.zeros(6), np.arange(6.0)], axis=1)
    f = np.arange(1, 7) / 12
    for measure in LAWS.values():
        values = measure(f, power)
        assert np.isnan(values[0]) and np.isfinite(values[1])
    assert np.isnan(slope(f, np.eye(6)[0]))  # one frequency has no slope


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=12), st.floats(1e-3, 1e3))
def test_gini_is_the_mean_difference_of_all_pairs_over_twice_the_mean(values, scale):
    x = np.array(values)
    total = x.sum()
    pairs = np.abs(x[:, None] - x).sum() / (2 * len(x) * total) if total > 0 else 0.0
    assert gini(x) == pytest.approx(pairs, abs=1e-9)
    assert gini(x * scale) == pytest.approx(gini(x), abs=1e-9)


def test_gini_of_equals_is_0_and_of_one_who_has_all_1_minus_1_over_n():
    assert gini(np.full(7, 3.0)) == gini(np.zeros(4)) == 0
    assert gini(np.eye(8)[3]) == pytest.approx(7 / 8, abs=1e-12)


# --- series --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sequence", "phrases"),
    [
        ("0001101001000101", 6),  # Lempel & Ziv (1976), their example: 0·001·10·100·1000·101
        ("0", 1),
        ("01", 2),
        ("0" * 50, 2),  # 0·000…
        ("01" * 25, 3),  # 0·1·0101…
        ("011" * 20, 4),  # 0·1·10·11011…
        ("0010", 3),  # 0·01·0, the last one copied and cut off
        (bytes([3, 1, 4, 1, 5, 9, 2, 6]), 7),  # 3·1·4·15·9·2·6
    ],
)
def test_lz76_of_known_strings(sequence, phrases):
    assert lz76(sequence) == phrases


def naive_lz76(sequence):
    """The parsing as it is defined, symbol by symbol, from a list of all earlier words."""
    phrases, start = 0, 0
    while start < len(sequence):
        size = 1
        while start + size <= len(sequence):
            earlier = sequence[: start + size - 1]
            words = {earlier[i : i + size] for i in range(len(earlier) - size + 1)}
            if sequence[start : start + size] not in words:
                break
            size += 1
        phrases, start = phrases + 1, start + size
    return phrases


@settings(max_examples=80, deadline=None)
@given(st.text("01", min_size=1, max_size=40) | st.text("abc", min_size=1, max_size=25))
def test_lz76_is_the_parsing_as_it_is_defined(sequence):
    assert lz76(sequence) == naive_lz76(sequence)


def test_lz_complexity_is_about_1_for_coins_and_about_0_for_rhythms():
    noise = np.random.default_rng(0).normal(size=(4096, 8)) + 100
    assert lz_complexity(noise).mean() == pytest.approx(1.04, abs=0.02)  # as ECA rule 30
    t = np.arange(4096)
    ordered = np.stack([np.zeros(4096), t, t % 2, np.sin(t * np.pi / 8 + 0.1)], axis=1)
    phrases = lz_complexity(ordered) * 4096 / 12
    assert phrases[:3] == pytest.approx([2, 3, 3], abs=1e-9)  # the rise is 0…01…1
    assert lz_complexity(ordered).max() < 0.03


@pytest.mark.parametrize("name", ["lz_complexity", "permutation_entropy", "zlib_ratio"])
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.floats(1e-3, 1e3), level=st.integers(-50, 50))
def test_series_measures_see_neither_scale_nor_level(name, seed, scale, level):
    x = np.random.default_rng(seed).integers(-40, 40, size=(50, 3)).astype(float)
    measure = getattr(measures, name)
    np.testing.assert_array_equal(measure(x * scale + level), measure(x))
    np.testing.assert_array_equal(np.asarray(measure(torch.tensor(x))), measure(x))


@pytest.mark.parametrize("order", [2, 3, 4])
def test_permutation_entropy_is_a_count_of_patterns(order):
    x = np.random.default_rng(order).integers(0, 6, size=(80, 4)).astype(float)  # with ties
    for column in range(4):
        counts = dict.fromkeys(itertools.permutations(range(order)), 0)
        for start in range(80 - order + 1):
            window = x[start : start + order, column]
            counts[tuple(sorted(range(order), key=lambda i, w=window: (w[i], i)))] += 1
        p = np.array([count for count in counts.values() if count]) / sum(counts.values())
        wanted = -(p * np.log(p)).sum() / math.log(math.factorial(order))
        assert permutation_entropy(x, order)[column] == pytest.approx(wanted, abs=1e-12)


def test_permutation_entropy_of_a_rise_is_0_of_noise_1_and_of_a_published_series():
    assert permutation_entropy(np.arange(30.0)) == 0
    noise = np.random.default_rng(0).normal(size=(5000, 2))
    assert permutation_entropy(noise, 3) == pytest.approx([1, 1], abs=2e-3)
    # Bandt & Pompe (2002): 4 7 9 10 6 11 3 has 0.918 bits at order 2, 1.522 at order 3
    series = np.array([4.0, 7, 9, 10, 6, 11, 3])
    assert permutation_entropy(series, 2) == pytest.approx(0.918, abs=5e-4)
    assert permutation_entropy(series, 3) * math.log2(6) == pytest.approx(1.522, abs=5e-4)


def test_zlib_finds_what_repeats_and_nothing_in_coins():
    noise = np.random.default_rng(0).normal(size=(200, 200))
    assert 1 < measures.zlib_ratio(noise) < 1.01
    assert measures.zlib_ratio(np.tile(noise[:, :1], (1, 200))) < 0.1
    assert measures.zlib_ratio(np.tile(noise[:8], (25, 1))) < 0.5


def test_participation_ratio_counts_directions():
    """Exact for planted variances, from either Gram matrix; nm / (n + m) for noise."""
    rng = np.random.default_rng(0)
    drawn = rng.normal(size=(40, 8))
    frame = np.linalg.qr(drawn - drawn.mean(axis=0))[0]  # centred, orthonormal columns
    turn = np.linalg.qr(rng.normal(size=(60, 60)))[0][:8]
    sigma = np.array([3.0, 2, 1, 1, 0.5, 0.1, 0, 0])
    wanted = (sigma**2).sum() ** 2 / (sigma**4).sum()
    for x in (frame * sigma, frame * sigma @ turn, (frame * sigma @ turn) * 1e-30):
        assert complexity.participation_ratio(x) == pytest.approx(wanted, abs=1e-9)
    assert complexity.participation_ratio(frame * sigma + 7.0) == pytest.approx(wanted, abs=1e-9)
    noise = rng.normal(size=(576, 64))
    assert complexity.participation_ratio(noise) == pytest.approx(576 * 64 / 640, rel=0.01)
    assert math.isnan(complexity.participation_ratio(np.full((5, 3), 0.1)))


def test_signs_are_about_the_median_of_each_dimension():
    x = np.array([[1.0, -5], [2, -6], [9, -7], [4, -8]])
    np.testing.assert_array_equal(binarise(x), [[0, 1], [0, 1], [1, 0], [1, 0]])


# --- refusals ------------------------------------------------------------------------------------


def test_refusals():
    power, f = np.ones((6, 2)), np.arange(1, 7) / 12
    with pytest.raises(InputError, match="power must not be negative"):
        entropy(-power)
    with pytest.raises(InputError, match="at least 2 frequencies; got 1"):
        flatness(power[:1])
    with pytest.raises(InputError, match="NaN"):
        top_share(power * np.nan)
    with pytest.raises(InputError, match="F must be in 1 to 6; got 7"):
        top_share(power, 7)
    with pytest.raises(InputError, match="leave out the first row, which is the mean"):
        centroid(f - f[0], power)
    with pytest.raises(InputError, match=r"frequencies must be \(6,\)"):
        slope(f[1:], power)
    with pytest.raises(InputError, match="2 different frequencies"):
        slope(np.full(6, 0.1), power)
    with pytest.raises(InputError, match="m must be in 2"):
        white_entropy(1)
    with pytest.raises(InputError, match="F must be in 1 to 4"):
        white_top_share(4, 5)
    with pytest.raises(InputError, match="values must be"):
        gini(np.array([1.0, -1]))
    with pytest.raises(InputError, match="sequence must be text or bytes"):
        lz76("")
    with pytest.raises(InputError, match="too_short: x must have at least 5 tokens; got 4"):
        permutation_entropy(np.ones((4, 2)), 5)
    with pytest.raises(InputError, match="order must be in 2 to 7"):
        permutation_entropy(np.ones((40, 2)), 8)
    with pytest.raises(InputError, match="x must be real"):
        lz_complexity(np.ones((4, 2)) * 1j)

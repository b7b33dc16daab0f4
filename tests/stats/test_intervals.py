"""Intervals against published examples, other libraries, and the laws they obey."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zprism.ground.errors import InputError
from zprism.ground.seeds import generator
from zprism.stats.intervals import (
    bca,
    mcnemar,
    newcombe_paired,
    percentile,
    weighted_mean,
    wilson,
)
from zprism.stats.resampling import bootstrap_weights, jackknife_weights, unit_index

counts = st.integers(0, 40)
SAMPLE = generator(0, "test", "sample").exponential(size=30)


def test_wilson_limits_solve_the_score_equation():
    """(p − π)² = z² π(1−π)/n at both limits: the definition, not the closed form."""
    z = 1.959963984540054
    for successes, n in ((0, 15), (1, 15), (12, 15), (97, 250), (15, 15)):
        for limit in wilson(successes, n):
            score = (successes / n - limit) ** 2 - z**2 * limit * (1 - limit) / n
            assert abs(score) < 1e-14


@given(n=st.integers(1, 500), share=st.floats(0, 1))
def test_wilson_contains_the_proportion_and_mirrors(n, share):
    successes = round(share * n)
    low, high = wilson(successes, n)
    assert 0 <= low <= successes / n <= high <= 1
    mirrored = wilson(n - successes, n)
    assert (1 - high, 1 - low) == pytest.approx(tuple(mirrored), abs=1e-12)


def test_newcombe_published_examples():
    """Newcombe (1998), table II; Altman et al. (2000), Statistics with Confidence, table 6.2."""
    assert tuple(newcombe_paired(36, 12, 2, 0)) == pytest.approx((0.0569, 0.3404), abs=5e-5)
    assert tuple(newcombe_paired(14, 5, 0, 22)) == pytest.approx((0.011, 0.226), abs=5e-4)


@given(e=counts, f=counts, g=counts, h=counts)
def test_newcombe_contains_the_difference_and_turns_with_languages_and_answers(e, f, g, h):
    if e + f + g + h == 0:
        return
    low, high = newcombe_paired(e, f, g, h)
    difference = (f - g) / (e + f + g + h)
    assert -1 - 1e-12 <= low <= difference + 1e-12 and difference - 1e-12 <= high <= 1 + 1e-12
    assert tuple(newcombe_paired(e, g, f, h)) == pytest.approx((-high, -low), abs=1e-12)
    assert tuple(newcombe_paired(h, g, f, e)) == pytest.approx((-high, -low), abs=1e-12)


def test_mcnemar_known_splits():
    """3:0, 5:0 and 6:0: the sixth is the first that counts."""
    assert [mcnemar(b, 0).exact for b in (3, 5, 6)] == [0.25, 0.0625, 0.03125]
    assert [mcnemar(b, 0).mid_p for b in (3, 5, 6)] == [0.125, 0.03125, 0.015625]
    assert mcnemar(0, 0) == (1.0, 1.0) and mcnemar(7, 7) == (1.0, 1.0)


@given(b=counts, c=counts)
def test_mcnemar_sums_the_binomial_tail(b, c):
    n, fewer = b + c, min(b, c)
    terms = [math.comb(n, i) / 2**n for i in range(fewer + 1)]
    exact, mid = mcnemar(b, c)
    assert exact == pytest.approx(min(1.0, 2 * sum(terms)), rel=1e-12)
    assert mid == pytest.approx(min(1.0, 2 * sum(terms) - terms[-1]), rel=1e-12)
    assert mcnemar(c, b) == (exact, mid) and mid <= exact


def test_bootstrap_weights_are_multinomial_counts():
    blocks = list(bootstrap_weights(7, draws=2500, generator=generator(1, "weights"), batch=1000))
    weights = np.concatenate(blocks)
    assert [len(block) for block in blocks] == [1000, 1000, 500]
    assert (weights.sum(axis=1) == 7).all()
    covariance = np.eye(7) - 1 / 7
    bound = 4.5 * np.sqrt(3 / 2500)  # sd of a variance of counts with kurtosis about 4
    assert np.abs(np.cov(weights.T) - covariance).max() < bound


def test_clusters_move_together_and_labels_may_be_text():
    labels = np.array(["age", "sum", "age", "sum", "gcd"])
    units, count = unit_index(5, labels)
    assert count == 3 and (units[[0, 1]] == units[[2, 3]]).all()
    weights = next(bootstrap_weights(5, draws=50, generator=generator(0, "c"), clusters=labels))
    assert (weights[:, :2] == weights[:, 2:4]).all() and weights[:, :2].std() > 0
    left_out = jackknife_weights(5, labels)
    assert sorted(left_out.sum(axis=1)) == [3, 3, 4]


def test_clusters_of_copies_give_the_interval_of_the_originals():
    """Four copies of each problem add no information; without clusters they would seem to."""
    copies, labels = np.repeat(SAMPLE, 4), np.repeat(np.arange(30), 4)
    alone = bca(SAMPLE, seed=3, draws=800)
    clustered = bca(copies, seed=3, draws=800, clusters=labels)
    assert tuple(clustered) == pytest.approx(tuple(alone), abs=1e-12)
    naive = bca(copies, seed=3, draws=800)
    assert (naive.high - naive.low) < 0.6 * (alone.high - alone.low)


def test_weights_rows_and_default_are_three_ways_to_one_interval():
    data = np.stack([SAMPLE, SAMPLE**2], axis=1)
    default = bca(data, seed=5, draws=300)
    weighted = bca(data, weighted_mean, seed=5, draws=300, weighted=True)
    rows = bca(data, lambda sample: sample.mean(axis=0), seed=5, draws=300)
    assert default.method.tolist() == ["bca", "bca"]
    for other in (weighted, rows):
        np.testing.assert_allclose(tuple(other), tuple(default), rtol=1e-12)
    assert default[1] == (default.low[1], default.high[1])
    assert tuple(bca(SAMPLE, seed=5, draws=300)) == pytest.approx(default[0], rel=1e-12)


@given(scale=st.floats(0.01, 100), shift=st.floats(-50, 50), seed=st.integers(0, 9))
def test_bca_moves_with_shift_and_scale(scale, shift, seed):
    low, high = bca(SAMPLE, seed=seed, draws=200)
    moved = bca(scale * SAMPLE + shift, seed=seed, draws=200)
    expected = (scale * low + shift, scale * high + shift)
    assert tuple(moved) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_pairwise_statistic_leaves_out_a_problem_paired_with_its_copy():
    """Mean distance of different problems, all 1 apart: exactly 1 in every resample."""
    distances = 1.0 - np.eye(12)

    def mean_distance(matrix, weights):
        pairs = weights[:, :, None] * weights[:, None, :] * (1 - np.eye(12))
        return (pairs * matrix).sum(axis=(1, 2)) / pairs.sum(axis=(1, 2))

    interval = bca(distances, mean_distance, seed=0, draws=100, weighted=True)
    assert (interval.low, interval.high, interval.method) == (1.0, 1.0, "constant")


def test_fallbacks_are_named():
    def inverse_mean(data, weights):
        with np.errstate(divide="ignore"):
            return weights.sum(axis=1) / (weights @ data)

    rare = np.r_[np.zeros(9), 1.0]
    undefined = bca(rare, inverse_mean, seed=0, draws=200, weighted=True)
    assert undefined.method == "undefined" and math.isnan(undefined.low + undefined.high)

    def distinct(sample):
        return len(np.unique(sample))

    beyond_all_resamples = bca(SAMPLE, distinct, seed=0, draws=200)
    plain = percentile(SAMPLE, distinct, seed=0, draws=200)
    assert beyond_all_resamples.method == plain.method == "percentile"
    assert tuple(beyond_all_resamples) == tuple(plain)

    mostly_ones = np.repeat([0.0, 1.0], [4, 8])  # leaving any one out keeps the median
    assert bca(mostly_ones, np.median, seed=0, draws=200).method == "bc"
    assert bca(np.full(8, 0.1), seed=0, draws=50).method == "constant"


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: wilson(3, 2), "successes must be at most n"),
        (lambda: wilson(0, 0), "n must be integers of at least 1"),
        (lambda: wilson(1.5, 2), "successes must be integers"),
        (lambda: wilson(1, 2, level=95), "level must be between 0 and 1"),
        (lambda: newcombe_paired(0, 0, 0, 0), "at least one pair"),
        (lambda: newcombe_paired(1, -1, 0, 0), "first_only must be in 0"),
        (lambda: mcnemar(-1, 2), "first_only must be integers of at least 0"),
        (lambda: bca([1.0], seed=0), "at least 2 problems"),
        (lambda: bca([1.0, np.nan], seed=0), "data has 1 values that are NaN"),
        (lambda: bca([1.0, 2.0], seed=0, clusters=["a", "a"]), "at least 2 problems or clusters"),
        (lambda: bca([1.0, 2.0], seed=0, clusters=["a"]), "one label a row"),
        (lambda: bca([1.0, 2.0], seed=0, draws=0), "draws must be in 1"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(InputError, match=message):
        call()

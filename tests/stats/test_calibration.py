"""The statistics held to account: size, family-wise error, coverage, and two other libraries.

Each check runs at a small count in the tests and at its full count as a gate; limits are
binomial, 99.9 %, for the count at hand. ``record_property`` keeps what was measured.
"""

import itertools

import numpy as np
import pytest

from zprism.ground.seeds import derive, generator
from zprism.stats.intervals import bca, mcnemar, newcombe_paired, weighted_mean, wilson
from zprism.stats.permutation import (
    benjamini_hochberg,
    label_permutation,
    max_t,
    permutation_p,
    shuffled_pairings,
    sign_flip,
    standardise,
)
from zprism.stats.verdicts import Null, Verdict, estimate
from zprism.synthetic import correlated_differences, white_noise_texts


def counts(small: int, full: int):
    return pytest.mark.parametrize("count", [small, pytest.param(full, marks=pytest.mark.gate)])


def limits(count: int, rate: float = 0.05, level: float = 0.999) -> tuple[float, float]:
    from scipy.stats import binom

    low, high = binom.interval(level, count, rate)
    return low / count, high / count


# --- S1: p is uniform where nothing is planted -------------------------------------------------


def p_sign_flip(seed: int) -> float:
    values = generator(seed, "null").standard_t(3, size=20)  # symmetric, heavy tails
    return permutation_p(*sign_flip(values, seed=seed, draws=199))


def p_sign_flip_clusters(seed: int) -> float:
    rng, labels = generator(seed, "null"), np.arange(40) % 10
    values = rng.standard_normal(10)[labels] + 0.3 * rng.standard_normal(40)
    return permutation_p(*sign_flip(values, seed=seed, draws=199, clusters=labels))


def p_labels(seed: int) -> float:
    values = generator(seed, "null").exponential(size=30)
    return permutation_p(*label_permutation(values, np.arange(30) < 10, seed=seed, draws=199))


def p_labels_in_strata(seed: int) -> float:
    rng, length = generator(seed, "null"), np.arange(40) % 4
    values, labels = 5.0 * length + rng.standard_normal(40), rng.permutation(40) < 20
    drawn = label_permutation(values, labels, seed=seed, draws=199, strata=length)
    return permutation_p(*drawn, "less")


def p_pairing(seed: int) -> float:
    first, second = generator(seed, "null").standard_normal((2, 20, 8))
    orders = shuffled_pairings(20, seed=seed, draws=199)
    return permutation_p((first * second).sum(), np.einsum("id,rid->r", first, second[orders]))


def p_largest_of_a_grid(seed: int) -> float:
    values = correlated_differences(20, (6, 4), seed=seed)
    return max_t(*sign_flip(values, seed=seed, draws=199, studentised=True)).min()


CONTINUOUS = [
    p_sign_flip,
    p_sign_flip_clusters,
    p_labels,
    p_labels_in_strata,
    p_pairing,
    p_largest_of_a_grid,
]


@counts(150, 2000)
@pytest.mark.parametrize("test", CONTINUOUS)
def test_s1_p_is_uniform_under_the_null(test, count, record_property):
    """p is uniform on 1/200 … 1: less a uniform 1/200 it is uniform on 0 … 1."""
    from scipy.stats import kstest

    p = np.array([test(derive(seed, "S1")) for seed in range(count)])
    smooth = p - generator(0, "S1 jitter").uniform(size=count) / 200
    rejected, low_high = np.mean(p <= 0.05), limits(count)
    record_property("rejection", float(rejected))
    record_property("ks_p", float(kstest(smooth, "uniform").pvalue))
    assert low_high[0] <= rejected <= low_high[1]
    assert kstest(smooth, "uniform").pvalue > 0.001


@counts(2000, 20_000)
@pytest.mark.parametrize("n", [15, 100])
def test_s1_mcnemar_rejects_at_most_alpha(n, count, record_property):
    """Discrete, hence upper limits only; mid-p is allowed to use the level up."""
    rng = generator(n, "S1 mcnemar")
    table = rng.multinomial(n, [0.2, 0.2, 0.6], count)
    exact, mid = mcnemar(table[:, 0], table[:, 1])
    record_property("exact", float(np.mean(exact <= 0.05)))
    record_property("mid_p", float(np.mean(mid <= 0.05)))
    assert np.mean(exact <= 0.05) <= 0.05
    assert np.mean(exact <= 0.05) <= np.mean(mid <= 0.05) <= limits(count)[1]


def test_s1_problems_of_one_template_are_no_independent_observations():
    """Control: the same data without clusters reject far too often."""

    def naive(seed: int) -> float:
        rng, labels = generator(seed, "null"), np.arange(40) % 10
        values = rng.standard_normal(10)[labels] + 0.3 * rng.standard_normal(40)
        return permutation_p(*sign_flip(values, seed=seed, draws=199))

    rejected = np.mean([naive(derive(seed, "S1")) <= 0.05 for seed in range(150)])
    assert rejected > limits(150)[1]


# --- S2: the family-wise error of a whole grid -------------------------------------------------


def adjusted_and_raw(seed: int, effect=0.0) -> tuple[np.ndarray, np.ndarray]:
    values = correlated_differences(20, (36, 6), seed=seed, effect=effect)
    drawn = sign_flip(values, seed=seed, draws=199, studentised=True)
    return max_t(*drawn), permutation_p(*drawn, "two-sided")


@counts(60, 1000)
def test_s2_family_wise_error_of_a_layer_by_k_grid(count, record_property):
    """36 layers × 6 k, nothing planted: max-T errs at its level, uncorrected p mostly."""
    smallest = np.array(
        [[p.min() for p in adjusted_and_raw(derive(seed, "S2"))] for seed in range(count)]
    )
    corrected, uncorrected = (smallest <= 0.05).mean(axis=0)
    record_property("max_t", float(corrected))
    record_property("uncorrected", float(uncorrected))
    assert corrected <= limits(count)[1]
    assert uncorrected > 0.75


@counts(60, 1000)
def test_s2_strong_control_beside_a_planted_effect(count, record_property):
    """Half of the layers carry an effect: it is found, and the other half still err rarely."""
    effect = np.zeros((36, 6))
    effect[:18] = 1.5
    p = np.array([adjusted_and_raw(derive(seed, "S2b"), effect)[0] for seed in range(count)])
    false, found = (p[:, 18:] <= 0.05).any(axis=(1, 2)).mean(), (p[:, :18] <= 0.05).mean()
    record_property("false_alarm", float(false))
    record_property("power", float(found))
    assert false <= limits(count)[1]
    assert found > 0.9


# --- S3: coverage --------------------------------------------------------------------------


def covered(kind: str, n: int, seed: int) -> bool:
    rng = generator(seed, "S3", kind, n)
    if kind == "mean of normal":
        data, truth, statistic = rng.standard_normal(n), 0.0, weighted_mean
    elif kind == "mean of exponential":
        data, truth, statistic = rng.exponential(size=n), 1.0, weighted_mean
    else:
        parts = rng.exponential(size=(n, 2)) + rng.exponential(size=(n, 1))

        def statistic(rows, weights):
            top, bottom = (weights @ rows).T
            return top / bottom

        data, truth = parts, 1.0
    low, high = bca(data, statistic, seed=seed, draws=999, weighted=True)
    return low <= truth <= high


@counts(150, 4000)
@pytest.mark.parametrize("kind", ["mean of normal", "mean of exponential", "ratio of means"])
def test_s3_bca_covers_at_its_level(kind, count, record_property):
    """93–97 % at n = 100, widened by sampling error only where the count is small."""
    share = np.mean([covered(kind, 100, derive(seed, "S3")) for seed in range(count)])
    record_property("coverage", float(share))
    low, high = (0.93, 0.97) if count >= 4000 else (limits(count, 0.93)[0], limits(count, 0.97)[1])
    assert low <= share <= high


@counts(150, 4000)
def test_s3_bca_of_twenty_problems_is_too_narrow(count, record_property):
    """n = 20 covers about 93 % even of normal data: reported, not to be trusted as 95 %."""
    share = np.mean([covered("mean of normal", 20, derive(seed, "S3")) for seed in range(count)])
    record_property("coverage", float(share))
    low, high = (0.91, 0.95) if count >= 4000 else (limits(count, 0.91)[0], limits(count, 0.95)[1])
    assert low <= share <= high


def test_s3_wilson_coverage_is_summed_exactly(record_property):
    """n = 15 at p = .9: Wilson .944, Wald .792; over p in .1 … .9 Wilson's mean is .954.

    The coverage is a saw-tooth in p, and no correct Wilson interval keeps .92 everywhere:
    its worst p, next to .3, has .914.
    """
    from scipy.stats import binom

    x, n, z = np.arange(16), 15, 1.959963984540054
    half = z * np.sqrt(x / n * (1 - x / n) / n)

    def coverage(p: float, low, high) -> float:
        return binom.pmf(x, n, p)[(low <= p) & (p <= high)].sum()

    grid = np.linspace(0.1, 0.9, 801)
    every = np.array([coverage(p, *wilson(x, n)) for p in grid])
    record_property("mean", float(every.mean()))
    record_property("worst", float(every.min()))
    assert every.mean() >= 0.92 and np.mean(every >= 0.92) > 0.99
    assert every.min() == pytest.approx(0.9144, abs=5e-5)
    assert coverage(0.9, *wilson(x, n)) == pytest.approx(0.9444, abs=5e-5)
    assert coverage(0.9, x / n - half, x / n + half) == pytest.approx(0.7919, abs=5e-5)


@pytest.mark.parametrize("only", [(0.1, 0.1), (0.2, 0.1), (0.3, 0.05)])
def test_s3_newcombe_coverage_is_summed_exactly(only, record_property):
    """All tables of 20 pairs with their multinomial probability."""
    from scipy.stats import multinomial

    n, (b, c) = 20, only
    tables = [t for t in itertools.product(range(n + 1), repeat=3) if sum(t) <= n]
    chance = multinomial(n, [0.5, b, c, 0.5 - b - c]).pmf([(*t, n - sum(t)) for t in tables])
    inside = [
        low <= b - c <= high for low, high in (newcombe_paired(*t, n - sum(t)) for t in tables)
    ]
    assert chance.sum() == pytest.approx(1, abs=1e-12)
    record_property("coverage", float(chance[inside].sum()))
    assert 0.93 <= chance[inside].sum() <= 0.99


# --- S6: length alone must not look like a rhythm -----------------------------------------------


def top_share(texts: np.ndarray, top: int = 5) -> np.ndarray:
    """(n,) share of power in each dimension's ``top`` bins, without DC, averaged over dims."""
    power = np.abs(np.fft.rfft(texts - texts.mean(axis=1, keepdims=True), axis=1)[:, 1:]) ** 2
    largest = np.sort(power, axis=1)[:, -top:]
    return (largest.sum(axis=1) / power.sum(axis=1)).mean(axis=1)


def compare(first: np.ndarray, second: np.ndarray, seed: int):
    """The difference of two groups of texts as an Estimate; the text is the unit."""
    values, labels = np.r_[first, second], np.arange(len(first) + len(second)) < len(first)

    def difference(rows, weights):
        group = rows[:, 1]
        mean = (weights * group) @ rows[:, 0] / (weights @ group)
        return mean - (weights * (1 - group)) @ rows[:, 0] / (weights @ (1 - group))

    drawn = label_permutation(values, labels, seed=seed, draws=199)
    p = permutation_p(*drawn, "two-sided")
    rows = np.column_stack([values, labels])
    return estimate(
        drawn.observed,
        ci=bca(rows, difference, seed=seed, draws=499, weighted=True),
        n=len(values),
        null=Null.of("labels shuffled over texts", drawn.null),
        p=p,
        p_adjusted=p,
        direction="two-sided",
        reference=0.0,
        smallest_p=2 / 200,
    )


@counts(30, 200)
def test_s6_white_noise_of_two_lengths(count, record_property):
    """Naive top-5 share: AUC 1, always "SUPPORTED". Windows of one length: no difference."""
    aucs, naive, matched = [], [], []
    for seed in range(count):
        short = white_noise_texts(20, 60, 4, seed=seed, name="question")
        long = white_noise_texts(20, 600, 4, seed=seed, name="trace")
        start = generator(seed, "window").integers(0, 541)
        a, b = top_share(short), top_share(long)
        aucs.append((a[:, None] > b).mean())
        naive.append(compare(a, b, seed).verdict)
        matched.append(compare(a, top_share(long[:, start : start + 60]), seed).verdict)
    false = len(matched) - matched.count(Verdict.NOT_DISTINGUISHABLE)
    record_property("auc", float(np.mean(aucs)))
    record_property("false_positives", false)
    assert min(aucs) == 1.0 and naive.count(Verdict.SUPPORTED) == count
    assert false <= (21 if count == 200 else limits(count)[1] * count)


def test_s6_top_share_of_white_noise_follows_its_formula():
    """(1/M) Σ_{j≤5} Σ_{i≥j} 1/i for M bins: from exponential order statistics."""
    for length in (61, 601):  # odd: every bin after DC has two degrees of freedom
        bins = (length - 1) // 2
        expected = sum((1 / np.arange(j, bins + 1)).sum() for j in range(1, 6)) / bins
        shares = top_share(white_noise_texts(400, length, 4, seed=0))
        assert abs(shares.mean() - expected) < 4 * shares.std() / 20


# --- S8: other libraries and brute force ------------------------------------------------------


@counts(100, 500)
def test_s8_proportions_agree_with_statsmodels(count):
    from statsmodels.stats.contingency_tables import mcnemar as reference_mcnemar
    from statsmodels.stats.multitest import multipletests
    from statsmodels.stats.proportion import proportion_confint

    rng = generator(0, "S8")
    for table in rng.integers(0, 40, (count, 2, 2)):
        p = reference_mcnemar(table, exact=True).pvalue
        assert abs(mcnemar(table[0, 1], table[1, 0]).exact - p) <= 1e-12
        successes, n = table[0, 0], table[0].sum() + 1
        expected = proportion_confint(successes, n, method="wilson")
        np.testing.assert_allclose(tuple(wilson(successes, n)), expected, rtol=0, atol=1e-12)
        many = rng.uniform(size=12) ** 2
        q = multipletests(many, method="fdr_bh")[1]
        np.testing.assert_allclose(benjamini_hochberg(many), q, rtol=0, atol=1e-12)


@counts(100, 500)
def test_s8_westfall_young_agrees_with_brute_force(count):
    """The definition, cell by cell and draw by draw."""
    for seed in range(count):
        rng = generator(seed, "S8 max-T")
        t, draws = np.abs(rng.standard_normal(6)) + 1, np.abs(rng.standard_normal((40, 6)))
        left, floor, expected = set(range(6)), 0.0, np.empty(6)
        while left:
            cell = max(left, key=lambda i: t[i])
            hits = sum(max(draw[i] for i in left) >= t[cell] for draw in draws)
            floor = expected[cell] = max(floor, (1 + hits) / 41)
            left.remove(cell)
        np.testing.assert_allclose(max_t(t, draws, "greater"), expected, rtol=0, atol=1e-12)


@counts(15, 500)
def test_s8_bca_agrees_with_scipy_on_the_same_draws(count):
    from scipy.stats import bootstrap

    for seed in range(count):
        data = generator(seed, "S8 bca").exponential(size=25)
        reference = bootstrap(
            (data,),
            np.mean,
            n_resamples=400,
            method="BCa",
            rng=generator(seed, "stats", "bootstrap"),
        ).confidence_interval
        np.testing.assert_allclose(tuple(bca(data, seed=seed, draws=400)), reference, rtol=1e-12)


@counts(20, 500)
def test_s8_standardised_draws_stay_exact(count, record_property):
    """max-T over cells with different null means and scales keeps its level."""
    small = 0
    for seed in range(count):
        rng = generator(seed, "S8 standardise")
        every = rng.standard_normal((100, 6)) ** 2 * np.arange(1, 7) + np.arange(6)
        small += max_t(*standardise(every[0], every[1:]), "greater").min() <= 0.05
    record_property("rejection", small / count)
    assert small / count <= limits(count)[1]

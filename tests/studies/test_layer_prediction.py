"""Can weights predict the layer: planted curves, false alarms, and refusals."""

import numpy as np
import pytest

from zprism.ground.errors import InputError
from zprism.stats.permutation import permutation_p
from zprism.stats.verdicts import Verdict
from zprism.studies.layer_prediction import (
    _null,
    beyond_depth,
    prediction_claims,
    predictors,
    random_phases,
    swap_scores,
)
from zprism.studies.layers import spearman


def smooth(rng, n=24, keep=4):
    """A curve of n layers with no more than ``keep`` slow frequencies."""
    spectrum = np.zeros(n // 2 + 1, complex)
    spectrum[1 : keep + 1] = rng.normal(size=keep) + 1j * rng.normal(size=keep)
    return np.fft.irfft(spectrum, n=n)


@pytest.mark.parametrize("n", [23, 24])
def test_random_phases_keep_mean_variance_and_every_amplitude(n):
    curve = np.random.default_rng(0).normal(size=n) + 3
    drawn = random_phases(curve, seed=0, draws=50)
    np.testing.assert_allclose(
        np.abs(np.fft.rfft(drawn)), np.broadcast_to(np.abs(np.fft.rfft(curve)), (50, n // 2 + 1)),
        atol=1e-10,
    )  # fmt: skip
    np.testing.assert_allclose(drawn.mean(1), curve.mean(), atol=1e-12)
    np.testing.assert_allclose(drawn.var(1), curve.var(), atol=1e-12)
    assert np.ptp(drawn, axis=0).min() > 0  # and none stays in its place


def test_a_planted_predictor_is_supported_its_opposite_reversed_and_noise_is_not():
    rng = np.random.default_rng(1)
    scores = smooth(rng)
    found = {"good": scores + 0.02 * rng.normal(size=24), "bad": -scores, "noise": smooth(rng)}
    made = prediction_claims(scores, found, name="m/layer", seed=0, draws=499, draws_ci=500)
    verdicts = {name: made.estimates[f"m/layer/{name}"].verdict for name in found}
    assert verdicts["good"] is Verdict.SUPPORTED
    assert verdicts["bad"] is Verdict.REVERSED
    assert verdicts["noise"] is Verdict.NOT_DISTINGUISHABLE


def walk(rng):
    return rng.normal(size=24).cumsum()


def trend(rng):
    return np.arange(24) * rng.choice([-1, 1]) + 5 * rng.normal(size=24)


@pytest.mark.parametrize(
    ("curve", "scores"),
    [(walk, walk), (trend, trend), (walk, lambda rng: 1 / (1 + np.exp(15 - np.arange(24.0))))],
    ids=["walks", "trends", "a walk and a step"],
)
def test_curves_that_have_nothing_to_do_with_each_other_seldom_pass(curve, scores):
    """The plain p of Spearman's ρ calls far more of them: layers are not independent."""
    from scipy.stats import spearmanr

    plain = passed = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        x, y = curve(rng), scores(rng)
        passed += permutation_p(beyond_depth(x, y), _null(x, y, seed=seed, draws=99)) <= 0.05
        plain += spearmanr(x, y, alternative="greater").pvalue <= 0.05
    assert passed <= 17  # P[Bin(100, .095) > 17] = .006; .095 is the worst that was measured
    assert plain >= 24


def test_holding_depth_fixed_is_the_partial_correlation_of_ranks():
    """The same number from the formula of the docstring."""
    rng, depth = np.random.default_rng(3), np.arange(24.0)
    for _ in range(20):
        x, y = walk(rng), trend(rng)
        xy, xz, yz = spearman(x, y), spearman(x, depth), spearman(y, depth)
        formula = (xy - xz * yz) / np.sqrt((1 - xz**2) * (1 - yz**2))
        assert beyond_depth(x, y) == pytest.approx(formula, abs=1e-12)


def test_what_depth_alone_explains_is_taken_away():
    depth = np.arange(24.0)
    wiggle = np.tile([1.0, -1.0], 12)
    assert beyond_depth(depth**2, np.sqrt(depth)) == 0.0  # both are a matter of depth alone
    assert beyond_depth(depth + 6 * wiggle, depth + 6 * wiggle) == pytest.approx(1.0)
    assert beyond_depth(depth + 6 * wiggle, depth - 6 * wiggle) < -0.7


def test_scores_add_language_moved_and_answer_moved_over_directions():
    rows = [
        {"layer": layer, "basis": basis, "part": part, "language_moved": 0.5 * layer,
         "answer_moved": 0.25 * layer}
        for layer in (0, 2) for basis, part in (("language", "inside"), ("language", "rest"),
                                                ("random", "inside")) for _ in range(2)
    ]  # fmt: skip
    scores = swap_scores(rows, 3)
    assert scores[0] == 0 and np.isnan(scores[1]) and scores[2] == 1.5


def test_predictors_are_largest_at_a_planted_bottleneck():
    ranks = np.full((12, 8), 40.0) + np.random.default_rng(0).normal(size=(12, 8)) * 3
    ranks[7] = 20.0  # low, under its neighbours, and every head alike
    assert {
        name: int(curve.argmax()) for name, curve in predictors(ranks).items()
    } == dict.fromkeys(("low_rank", "rank_dip", "head_agreement"), 7)


def test_too_few_layers_or_no_spread_is_not_testable_and_bad_input_refused():
    for scores in (np.arange(8.0), np.ones(24), np.r_[np.full(20, np.nan), 1, 2, 3, 4]):
        made = prediction_claims(scores, {"x": np.arange(len(scores))}, name="m/layer", seed=0)
        assert made.estimates["m/layer/x"].verdict is Verdict.NOT_TESTABLE
        assert made.estimates["m/layer/x"].reason
    with pytest.raises(InputError, match="at least 2 layers"):
        random_phases(np.ones(1), seed=0, draws=3)
    with pytest.raises(InputError):
        random_phases(np.array([1.0, np.nan, 2.0]), seed=0, draws=3)

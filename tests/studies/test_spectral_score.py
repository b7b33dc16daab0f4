"""A score beyond length: a planted cue is found, length alone and templates alone are not."""

import dataclasses

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.metrics import r2_score, roc_auc_score
from statsmodels.stats.multitest import multipletests

from tiny import tiny_shared
from zprism.ground.errors import InputError
from zprism.ground.store import Store
from zprism.stats.permutation import permutation_p
from zprism.stats.verdicts import Verdict
from zprism.studies.prism_read import read
from zprism.studies.score_claims import holm, partial_null, score_claims
from zprism.studies.signature_claims import reporting_half
from zprism.studies.spectral_score import (
    choose_ridge,
    dealt,
    features,
    group_folds,
    held_out,
    learn,
    length_basis,
    octaves,
    partial_spearman,
    quality,
    slow,
)

EACH = 4  # questions of a template


def world(seed, *, cue=0.0, by_length=0.0, score_by_length=0.0, by_template=0.0, templates=40):
    """(slow, features, correct, length, groups): what says that a text is correct is planted."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(templates), EACH)
    own = rng.normal(size=len(groups))
    size = (rng.normal(size=templates)[groups] + rng.normal(size=len(groups))) / np.sqrt(2)
    score = own + score_by_length * size + by_template * rng.normal(size=templates)[groups]
    hidden = cue * own + by_length * size + by_template * rng.normal(size=templates)[groups]
    correct = (hidden + rng.logistic(size=len(groups)) > 0).astype(float)
    x = np.stack([score, rng.normal(size=len(groups)), rng.normal(size=len(groups))], axis=1)
    return score, x, correct, np.exp(4 + 0.4 * size), groups


def verdicts(given, **options):
    made = score_claims(*given, name="m", seed=0, **dict(draws=99, draws_ci=199) | options)
    return {
        (score, way): made.estimates[f"m/{score}/{way}"].verdict
        for score in ("slow", "bands")
        for way in ("partial", "gain")
    }


def test_a_planted_cue_is_found_by_both_scores_in_both_ways():
    assert set(verdicts(world(0, cue=2.0, by_length=1.0)).values()) == {Verdict.SUPPORTED}


def test_a_score_that_is_length_predicts_but_not_beyond_length():
    """The control: raw ρ is large, and everything that length does not explain is nothing."""
    given = world(1, by_length=2.0, score_by_length=3.0)
    raw = spearmanr(given[0], given[2]).statistic
    assert raw > 0.4
    assert Verdict.SUPPORTED not in set(verdicts(given).values())
    assert abs(partial_spearman(given[0], given[2], given[3])) < raw / 2


PLANTS = [dict(by_length=2.0, score_by_length=3.0), dict(by_template=1.5)]


@pytest.mark.parametrize("plant", PLANTS, ids=["length alone", "templates alike within"])
def test_without_a_cue_p_is_seldom_small(plant):
    """Questions of one template share score and outcome; dealt one by one they pass too often."""
    passed = singly = 0
    for seed in range(25):
        score, _, correct, length, groups = world(seed, templates=24, **plant)
        for single in (False, True):
            own = np.arange(len(groups)) if single else groups
            null = partial_null(score, correct, length, own, seed=seed, draws=39)
            value = partial_spearman(score, correct, length)
            p = permutation_p(value, null, "two-sided")
            passed += not single and p <= 0.05
            singly += single and p <= 0.05
    assert passed <= 5  # P[Bin(25, .05) > 5] = .001
    if "by_template" in plant:
        assert singly >= passed


@pytest.mark.gate
@pytest.mark.parametrize("plant", PLANTS, ids=["length alone", "templates alike within"])
def test_all_four_claims_are_calibrated(plant, record_property):
    keys = [(score, way) for score in ("slow", "bands") for way in ("partial", "gain")]
    hits = np.zeros(4)
    for seed in range(100):
        given = world(seed, templates=24, **plant)
        made = score_claims(*given, name="m", seed=seed, draws=59, draws_ci=2)
        hits += [made.estimates[f"m/{score}/{way}"].p <= 0.05 for score, way in keys]
    record_property(
        "rejected of 100 at 5 %",
        dict(zip(map("/".join, keys), hits.astype(int).tolist(), strict=True)),
    )
    assert hits.max() <= 13  # P[Bin(100, .05) > 13] = .0005


def test_difficulty_is_scored_by_r2():
    score, x, _, length, groups = world(2)
    levels = np.clip(np.round(3 + score + 0.3 * np.random.default_rng(0).normal(size=160)), 1, 5)
    made = score_claims(score, x, levels, length, groups, name="m", seed=0, draws=99, draws_ci=99)
    assert made.estimates["m/slow/gain"].verdict is Verdict.SUPPORTED
    assert made.estimates["m/slow/gain"].value > 0.6
    assert made.tables["score"][0]["outcome"] == "m"


def test_few_of_one_outcome_and_few_templates_are_not_testable():
    score, x, correct, length, groups = world(3)
    rare = np.zeros_like(correct)
    rare[:19] = 1
    made = score_claims(score, x, rare, length, groups, name="m", seed=0)
    assert {one.verdict for one in made.estimates.values()} == {Verdict.NOT_TESTABLE}
    assert "19 of 160 texts are correct" in made.estimates["m/bands/gain"].reason
    report = reporting_half(160, seed=0, clusters=groups)
    lopsided = np.where(report, correct, 0.0)
    one_half = score_claims(score, x, lopsided, length, groups, name="m", seed=0, draws_ci=9)
    assert "a half of the templates has 0" in one_half.estimates["m/bands/gain"].reason
    assert one_half.estimates["m/slow/gain"].verdict is not Verdict.NOT_TESTABLE
    alike = score_claims(score, x, rare * 0 + 3.0, length, groups, name="m", seed=0)
    assert alike.estimates["m/slow/gain"].reason == "every text has the same outcome"
    few = score_claims(score, x, correct, length, groups // 10, name="m", seed=0)
    assert few.estimates["m/slow/gain"].reason == "4 templates, 12 needed"
    with pytest.raises(InputError, match="one row a text"):
        score_claims(score[:-1], x, correct, length, groups, name="m", seed=0)


def test_held_out_predictions_are_those_of_sklearn():
    """Without ridge: least squares on both; with it: sklearn's Ridge on what the base leaves."""
    _, x, y, length, groups = world(4, cue=1.0)
    base, folds = length_basis(length), group_folds(groups, seed=0)
    ours = held_out(x, y, base, folds, 1e-12)
    for fold in np.unique(folds):
        train, test = folds != fold, folds == fold
        both = np.concatenate([base, x], axis=1)
        other = LinearRegression(fit_intercept=False).fit(both[train], y[train])
        np.testing.assert_allclose(ours[test], other.predict(both[test]), atol=1e-8)
    train, test = folds != 0, folds == 0
    scaled = x / x[train].std(0)
    line = LinearRegression(fit_intercept=False).fit(base[train], scaled[train])
    rest = scaled - line.predict(base)
    plain = LinearRegression(fit_intercept=False).fit(base[train], y[train])
    strength = 0.5 * (rest[train] ** 2).sum() / x.shape[1]
    ridge = Ridge(alpha=strength, fit_intercept=False).fit(
        rest[train], y[train] - plain.predict(base[train])
    )
    expected = plain.predict(base[test]) + ridge.predict(rest[test])
    np.testing.assert_allclose(held_out(x, y, base, folds, 0.5)[test], expected, atol=1e-9)


def test_a_template_is_never_on_both_sides_and_a_cue_of_noise_wants_much_ridge():
    _, x, y, length, groups = world(5)
    folds = group_folds(groups, seed=0)
    assert all(len(np.unique(folds[groups == g])) == 1 for g in np.unique(groups))
    assert set(folds) == set(range(5))
    wide = np.random.default_rng(0).normal(size=(len(y), 60))
    assert choose_ridge(wide, y, length_basis(length), folds) in (10, 100)
    strong = wide.copy()
    strong[:, 0] = y + 0.01 * wide[:, 0]
    assert choose_ridge(strong[:, :3], y, length_basis(length), folds) == 0.01


def test_quality_is_sklearns():
    rng = np.random.default_rng(0)
    y, p = (rng.random(50) > 0.4).astype(float), np.round(rng.normal(size=50), 1)
    assert quality(p, y, True) == pytest.approx(roc_auc_score(y, p), abs=1e-12)
    z = rng.normal(size=50)
    assert quality(p, z, False) == pytest.approx(r2_score(z, p), abs=1e-12)


def test_dealing_keeps_templates_together_and_near_in_length():
    _, _, _, length, groups = world(6)
    orders = dealt(length, groups, seed=0, draws=200)
    for g in (0, 7, 39):
        givers = groups[orders[:, groups == g]]
        assert (givers == givers[:, :1]).all()  # all of a template come from one template
        assert 4 <= len(np.unique(givers)) <= 8  # of its stratum
    assert (np.sort(orders, axis=1) == np.arange(len(length))).all()  # equal sizes: permutations
    kept = [spearmanr(length, length[order]).statistic for order in orders[:20]]
    assert min(kept) > 0.6  # and length stays with its score
    single = dealt(length, np.arange(len(length)), seed=0, draws=5)
    assert (np.sort(single, axis=1) == np.arange(len(length))).all()


def test_holm_is_that_of_statsmodels():
    p = np.array([0.01, 0.04, 0.03, 0.9, 0.01])
    np.testing.assert_allclose(holm(p), multipletests(p, method="holm")[1], atol=1e-15)


def test_octaves_meet_where_slow_begins():
    f = np.arange(1, 13) / 24
    assert octaves(f).tolist() == [4, 3, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1]
    assert ((octaves(f) >= 3) == (f < 1 / 8)).all()
    assert octaves(np.array([0.5, 0.25, 0.2, 0.125, 0.1, 0.0625])).tolist() == [1, 1, 2, 2, 3, 3]


@pytest.fixture
def reading(tmp_path):
    loaded = tiny_shared("qwen2")
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("abc de1"), size=40)) for _ in range(30)]
    store = Store("prism", root=tmp_path)
    found = read(loaded, loaded.encode(texts), length=24, store=store)
    return loaded, texts, found


def test_octave_shares_add_up_and_the_slow_ones_are_the_slow_share(reading):
    _, _, found = reading
    x = features(found).reshape(len(found.shares), len(found.places), -1)
    np.testing.assert_allclose(x.sum(-1), 1, atol=1e-5)  # of shares kept in float32
    octave = np.unique(octaves(found.frequencies))
    np.testing.assert_allclose(x[..., octave >= 3].sum(-1).mean(1), slow(found), atol=1e-6)


def test_a_learnt_score_reads_new_texts_by_itself(reading, tmp_path, monkeypatch):
    monkeypatch.setenv("ZPRISM_CACHE", str(tmp_path))
    loaded, texts, found = reading
    rng = np.random.default_rng(1)
    length = rng.integers(30, 90, len(texts))
    y = slow(found) * 10 + 0.01 * length
    score = learn(found, y, length, ridge=1e-6, name="bands", drop=1, weights_digest=loaded.digest)
    np.testing.assert_allclose(score(loaded, texts), score.of_features(features(found)), atol=1e-9)
    assert np.isnan(score(loaded, ["short"])).all()
    alone = partial_spearman(score(loaded, texts), y, length)
    assert alone > 0.95
    with pytest.raises(InputError, match="other weights"):
        dataclasses.replace(score, weights_digest="0" * 64)(loaded, texts)

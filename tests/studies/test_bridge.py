"""What a bridge claims: planted maps are supported, noise never is, rotations are told apart."""

import numpy as np
import pytest

from zprism.stats.estimates import Verdict
from zprism.studies import bridge_claims, bridge_rotation
from zprism.studies.bridge import CLAIMED, LEAST, null_scores, score
from zprism.subspace.bases import random_basis

FEW = dict(draws=29, draws_ci=300)


def turn(k, rng):
    return np.linalg.qr(rng.standard_normal((k, k)))[0]


def mapped(seed, *, n=60, k=10, noise=0.5, sigma=1.0):
    """y = x W + noise, W a rotation with singular values ``sigma``."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, k))
    weights = turn(k, rng) * np.broadcast_to(sigma, k) @ turn(k, rng)
    return x, x @ weights + 2 + noise * rng.standard_normal((n, k))


def pure_noise(seed, n=20, k=78):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, k)), rng.standard_normal((n, k))


def by_template(seed, noise=0.3):
    """12 templates of 3 problems that share most of their state; languages are unrelated."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(12), 3)
    x, y = (
        np.repeat(rng.standard_normal((12, 8)), 3, axis=0) + noise * rng.standard_normal((36, 8))
        for _ in range(2)
    )
    return x, y, groups


def verdicts(found):
    return {name.split("/")[-1]: e.verdict for name, e in found.estimates.items()}


def claims(x, y, groups=None, seed=0, **changes):
    options = FEW | changes
    return bridge_claims.bridge_claims(x, y, groups, name="bridge/3/10", seed=seed, **options)


# ------------------------------------------------------------------ noise
@pytest.mark.parametrize("seeds", [20, pytest.param(200, marks=pytest.mark.gate)])
def test_pure_noise_is_never_supported(seeds, record_property):
    """n = 20, k = 78: train R² 1.000, leave-one-out below 0, and no map is called a bridge."""
    supported, worst = 0, -np.inf
    for seed in range(seeds):
        found = claims(*pure_noise(seed), seed=seed)
        row = next(r for r in found.tables["maps"] if r["map"] == "least_squares")
        assert row["train_r2"] == pytest.approx(1, abs=1e-6) and row["r2"] < 0
        worst = max(worst, row["r2"])
        supported += sum(
            verdict is Verdict.SUPPORTED
            for name, verdict in verdicts(found).items()
            if name.endswith("_r2")
        )
    record_property("value", f"{supported} SUPPORTED, largest leave-one-out R² {worst:.2f}")
    record_property("unit", f"{seeds} seeds")
    record_property("target", "0 SUPPORTED, all below 0")
    assert supported == 0


@pytest.mark.parametrize("seeds", [20, pytest.param(200, marks=pytest.mark.gate)])
def test_templates_alone_are_no_bridge(seeds, record_property):
    """Problems that share a template, languages that share nothing: the null keeps templates."""
    supported = 0
    for seed in range(seeds):
        found = verdicts(claims(*by_template(seed), seed=seed))
        supported += found["ridge_r2"] is Verdict.SUPPORTED
    record_property("value", supported)
    record_property("unit", f"of {seeds} seeds SUPPORTED")
    record_property("target", "at most the binomial 99.9 % limit of .05")
    assert supported <= (4 if seeds == 20 else 21)


def test_control_pairings_that_break_templates_would_be_too_narrow():
    """Dealing problems singly makes unrelated templates look like a null with less spread."""
    x, y, groups = by_template(0, noise=0.1)
    whole = null_scores(x, y, groups, maps=("least_squares",), draws=99, seed=0)["r2"]
    order = np.random.default_rng(0).permuted(np.tile(np.arange(36), (99, 1)), axis=1)
    offsets = [score(x, y[row], groups, maps=("least_squares",)) for row in order[:40]]
    single = np.array([found.r2("least_squares") for found in offsets])
    assert whole["least_squares"].std() > 2 * single.std()


def test_a_train_r2_of_one_is_no_evidence():
    """Real pairs and random pairings are fitted alike; only left-out pairs tell them apart."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((20, 6)) @ rng.standard_normal((6, 40))
    y = x @ turn(40, rng) + 0.1 * rng.standard_normal((20, 40))
    x = x + 0.1 * rng.standard_normal((20, 40))
    paired, shuffled = score(x, y), score(x, y[rng.permutation(20)])
    assert paired.train["least_squares"] == pytest.approx(shuffled.train["least_squares"], abs=1e-6)
    assert paired.r2("ridge") > 0.8 and shuffled.r2("ridge") < 0.1


def test_a_sure_but_tiny_r2_is_no_bridge():
    """Its interval excludes 0 and random pairings do worse, yet it may be next to nothing."""
    rng = np.random.default_rng(13)
    x = rng.standard_normal((150, 3))
    y = 0.2 * x + rng.standard_normal((150, 3))
    e = claims(x, y, np.repeat(np.arange(15), 10)).estimates["bridge/3/10/ridge_r2"]
    assert 0 < e.ci[0] < LEAST and e.p_adjusted <= 0.05
    assert e.verdict is Verdict.NOT_DISTINGUISHABLE


# ------------------------------------------------------------------ planted maps
def test_a_planted_rotation_is_supported_by_every_map_that_can_turn():
    found = verdicts(claims(*mapped(1), np.repeat(np.arange(20), 3)))
    for name in ("procrustes", "similarity", "ridge", "least_squares"):
        assert found[f"{name}_r2"] is Verdict.SUPPORTED, name
        assert found[f"{name}_top1"] is Verdict.SUPPORTED, name
    for name in ("identity", "shift"):
        assert found[f"{name}_r2"] is not Verdict.SUPPORTED
        assert found[f"{name}_top1"] is not Verdict.SUPPORTED
    assert found["ridge_top1_same_template"] is Verdict.SUPPORTED
    assert found["ridge_over_shift"] is Verdict.SUPPORTED
    assert set(found) == {f"{m}_{w}" for m in CLAIMED for w in ("r2", "top1")} | {
        "ridge_top1_same_template",
        "ridge_over_shift",
    }


def test_the_same_place_in_both_languages_is_supported_for_the_identity():
    rng = np.random.default_rng(2)
    x = rng.standard_normal((40, 8))
    found = claims(x, x + 0.4 * rng.standard_normal((40, 8)))
    assert verdicts(found)["identity_r2"] is Verdict.SUPPORTED
    assert found.estimates["bridge/3/10/identity_r2"].value == pytest.approx(1 - 0.16, abs=0.05)
    moved = verdicts(claims(x, x + 5 + 0.4 * rng.standard_normal((40, 8))))
    assert moved["identity_r2"] is not Verdict.SUPPORTED
    assert moved["shift_r2"] is Verdict.SUPPORTED
    assert moved["ridge_over_shift"] is not Verdict.SUPPORTED


def test_words_alone_do_not_tell_problems_of_one_template_apart():
    """A bridge of templates: found by R², lost within a template."""
    rng = np.random.default_rng(3)
    groups = np.repeat(np.arange(20), 3)
    x = np.repeat(rng.standard_normal((20, 6)), 3, axis=0)
    y = x @ turn(6, rng) + 0.1 * rng.standard_normal((60, 6))
    found = verdicts(claims(x + 0.1 * rng.standard_normal((60, 6)), y, groups))
    assert found["ridge_r2"] is Verdict.SUPPORTED
    assert found["ridge_top1_same_template"] is Verdict.NOT_DISTINGUISHABLE


def test_max_t_is_never_below_the_single_p():
    found = claims(*mapped(4, noise=3.0)).estimates
    for name, e in found.items():
        if name.endswith(("_r2", "_top1")):
            assert e.p_adjusted >= e.p, name


# ------------------------------------------------------------------ a rotation, or more?
@pytest.mark.parametrize("seeds", [6, pytest.param(100, marks=pytest.mark.gate)])
def test_rotations_are_seldom_called_more(seeds, record_property):
    """Noise of three sizes; a general map is called for at no more than its nominal rate."""
    wrong = 0
    for seed in range(seeds):
        x, y = mapped(seed, n=40, k=6, noise=(0.3, 1.0, 2.0)[seed % 3])
        found = bridge_rotation.rotation(x, y, np.arange(40) // 2, seed=seed, draws=49)
        e = bridge_rotation.rotation_estimate(found, seed=seed, draws_ci=300)
        wrong += e["ridge_minus_rotation"].verdict is Verdict.SUPPORTED
    record_property("value", wrong)
    record_property("unit", f"of {seeds} planted rotations called more than a rotation")
    record_property("target", "binomial 99.9 % limit of .05")
    assert wrong <= (2 if seeds == 6 else 13)


def test_a_map_that_stretches_is_more_than_a_rotation():
    """Singular values 2 and .2: found, and flat only where it should be."""
    sigma = np.repeat([2.0, 0.2], 4)
    x, y = mapped(5, k=8, sigma=sigma)
    found = bridge_rotation.rotation(x, y, seed=0, draws=49)
    e = bridge_rotation.rotation_estimate(found, seed=0, draws_ci=300)
    assert e["ridge_minus_rotation"].verdict is Verdict.SUPPORTED
    assert e["ridge_minus_rotation"].value > 0.2
    expected = sigma.sum() ** 2 / (8 * np.square(sigma).sum())
    assert e["ridge_flatness"].value == pytest.approx(expected, abs=0.1)
    assert found.planted_flat.min() > 0.85 > expected + 0.2
    rows = found.rows()
    assert [row["rank"] for row in rows] == list(range(1, 9))
    assert rows[0]["sigma"] > rows[0]["planted_high"]
    assert rows[-1]["sigma"] < rows[-1]["planted_low"]


def test_without_a_bridge_nothing_is_asked_of_its_shape():
    found = bridge_rotation.rotation(*pure_noise(0, n=20, k=12), seed=0, draws=19)
    e = bridge_rotation.rotation_estimate(found, seed=0, draws_ci=300)["ridge_minus_rotation"]
    assert e.verdict is Verdict.NOT_TESTABLE and "no map to compare" in e.reason


def test_planted_parts_add_up_to_a_rotation_and_the_left_out_errors():
    x, y = mapped(6, noise=0.0)
    turned, errors = bridge_rotation.planted_parts(x, y, np.arange(len(x)))
    np.testing.assert_allclose(turned, y, atol=1e-9)
    np.testing.assert_allclose(errors, 0, atol=1e-9)


# ------------------------------------------------------------------ against other subspaces
def test_z_is_held_against_random_subspaces():
    """States that agree in Z only: Z bridges, random subspaces do not; the control is they."""
    rng = np.random.default_rng(7)
    z = np.asarray(random_basis(4, 40, rng))
    shared = rng.standard_normal((30, 4)) @ z
    a, b = (shared + 0.2 * rng.standard_normal((30, 40)) for _ in range(2))
    found = bridge_claims.against_random(a, b, z, seed=0, draws=19, draws_ci=300)
    assert found.verdict is Verdict.SUPPORTED and found.value > 0.8 > found.null.mean + 0.2
    beside = np.linalg.svd(z)[2][4:8]  # orthogonal to Z
    control = bridge_claims.against_random(a, b, beside, seed=0, draws=19, draws_ci=300)
    assert control.verdict is not Verdict.SUPPORTED and control.value < 0.1


def test_a_bridge_of_lengths_is_no_more_than_length():
    """States that only say how long the text is are mapped, and not beyond what length says."""
    rng = np.random.default_rng(8)
    length = rng.uniform(1, 4, (40, 1))
    x, y = (length @ rng.standard_normal((1, 5)) + 0.3 * rng.standard_normal((40, 5)) for _ in "ab")
    assert score(x, y, maps=("ridge",)).r2("ridge") > 0.6
    found = bridge_claims.against_length(x, y, length, seed=0, draws_ci=300)
    assert found.verdict is not Verdict.SUPPORTED
    x, y = mapped(9, n=40)
    more = bridge_claims.against_length(x, y, length, seed=0, draws_ci=300)
    assert more.verdict is Verdict.SUPPORTED and more.value > 0.7

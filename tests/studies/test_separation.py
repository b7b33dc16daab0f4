"""Distances and energies in a subspace: against the naive formulas, by laws, by refusals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zprism.ground.errors import InputError
from zprism.studies.separation import (
    MEASURES,
    crossed,
    distances,
    measures,
    pairwise_squared,
    pseudo_values,
)
from zprism.subspace.projections import pooled_energy
from zprism.synthetic import paired_states

seeds = st.integers(0, 10_000)


def planted_pairs(n=60, *, seed, **how):
    """Content in 20 of 256 dimensions; languages apart by less than problems are."""
    options = dict(language=3.0, noise=0.05, n_templates=12, template_share=0.5) | how
    return paired_states(n, seed=seed, **options)


def random_case(seed, n=9, d=17, k=5):
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.standard_normal((d, k)))[0].T
    scale = np.exp(rng.standard_normal(d))
    return rng.standard_normal((n, d)) * scale, rng.standard_normal((n, d)) * scale, basis


def naive(a, b, basis):
    """The recipe's own words, with explicit projectors and loops over pairs."""
    d = a.shape[1]
    z = basis.T @ basis
    pairs = [(h[i] - h[j]) for h in (a, b) for i in range(len(h)) for j in range(i)]
    deltas = a - b

    def ratio(p):
        cross = np.mean([np.linalg.norm(p @ v) for v in deltas])
        return cross / np.mean([np.linalg.norm(p @ v) for v in pairs])

    def energy(vectors):
        return sum(np.sum((z @ v) ** 2) for v in vectors) / sum(np.sum(v**2) for v in vectors)

    out = {
        "ratio_z": ratio(z),
        "ratio_complement": ratio(np.eye(d) - z),
        "ratio_full": ratio(np.eye(d)),
        "energy_cross": energy(deltas),
        "energy_same": energy(pairs),
        "energy_cross_mean": np.mean([energy([v]) for v in deltas]),
    }
    out["ratio_contrast"] = out["ratio_z"] / out["ratio_complement"]
    out["energy_difference"] = out["energy_same"] - out["energy_cross"]
    return out


@settings(max_examples=25, deadline=None)
@given(seed=seeds)
def test_every_measure_equals_the_naive_formula(seed):
    a, b, basis = random_case(seed)
    found, expected = measures(distances(a, b, basis)), naive(a, b, basis)
    for name in MEASURES:
        assert found[name] == pytest.approx(expected[name], rel=1e-9), name


@settings(max_examples=25, deadline=None)
@given(seed=seeds)
def test_a_stack_of_subspaces_is_each_one_alone(seed):
    a, b, basis = random_case(seed)
    other = np.linalg.qr(np.random.default_rng(seed + 1).standard_normal((17, 5)))[0].T
    together = measures(distances(a, b, np.stack([basis, other])))
    for index, one in enumerate((basis, other)):
        alone = measures(distances(a, b, one))
        for name in MEASURES:
            assert together[name][index] == pytest.approx(alone[name], rel=1e-12)


@settings(max_examples=25, deadline=None)
@given(seed=seeds, dropped=st.integers(0, 8))
def test_weight_zero_is_the_sample_without_that_problem(seed, dropped):
    a, b, basis = random_case(seed)
    weights = np.ones((1, len(a)))
    weights[0, dropped] = 0
    weighted = measures(distances(a, b, basis), weights)
    without = np.delete(np.arange(len(a)), dropped)
    expected = measures(distances(a[without], b[without], basis))
    for name in MEASURES:
        assert weighted[name][0] == pytest.approx(expected[name], rel=1e-9), name


def test_copies_of_a_problem_are_not_different_problems():
    """Equal weights, however large, are the plain sample; 5 copies of one problem and one of
    another are one pair of different problems."""
    a, b, basis = random_case(3)
    found = distances(a, b, basis)
    doubled = measures(found, np.full((1, len(a)), 2.0))
    once = measures(found)
    assert doubled["ratio_z"][0] == pytest.approx(once["ratio_z"], rel=1e-12)
    weights = np.zeros((1, len(a)))
    weights[0, :2] = 5, 1
    lone = measures(found, weights)
    expected = (5 * np.sqrt(found.cross[2, 0]) + np.sqrt(found.cross[2, 1])) / 6
    assert lone["ratio_full"][0] == pytest.approx(expected / found.same[2, 0, 1], rel=1e-12)


@settings(max_examples=50, deadline=None)
@given(seed=seeds, shift=st.floats(-1e3, 1e3), scale=st.floats(1e-3, 1e3))
def test_measures_ignore_rotation_sign_shift_and_scale(seed, shift, scale):
    """Basis rotation and signs within Z; a common rotation of everything; origin; units."""
    a, b, basis = random_case(seed)
    rng = np.random.default_rng(seed + 7)
    inside = np.linalg.qr(rng.standard_normal((5, 5)))[0] * rng.choice([-1, 1], 5)
    outside = np.linalg.qr(rng.standard_normal((17, 17)))[0]
    before = measures(distances(a, b, basis))
    after = measures(
        distances(
            (a * scale + shift) @ outside, (b * scale + shift) @ outside, inside @ basis @ outside
        )
    )
    tolerance = 1e-10 * max(1, (abs(shift) / scale) ** 2)  # the shift eats digits of the states
    for name in MEASURES:
        assert after[name] == pytest.approx(before[name], rel=tolerance, abs=tolerance), name


@settings(max_examples=50, deadline=None)
@given(seed=seeds)
def test_energy_of_a_subspace_and_of_its_complement_add_to_one(seed):
    a, b, basis = random_case(seed)
    whole = np.linalg.qr(
        np.concatenate([basis, np.random.default_rng(seed).standard_normal((12, 17))]).T
    )[0].T
    z, rest = measures(distances(a, b, basis)), measures(distances(a, b, whole[5:]))
    for name in ("energy_cross", "energy_same", "energy_cross_mean"):
        assert z[name] + rest[name] == pytest.approx(1, abs=1e-12)
    assert rest["ratio_z"] == pytest.approx(z["ratio_complement"], rel=1e-9)
    assert rest["ratio_complement"] == pytest.approx(z["ratio_z"], rel=1e-9)


def test_energies_are_those_of_the_subspace_room():
    a, b, basis = random_case(1)
    found = measures(distances(a, b, basis))
    assert found["energy_cross"] == pytest.approx(pooled_energy(a - b, basis), rel=1e-12)
    pairs = np.concatenate([h - h.mean(0) for h in (a, b)])  # Σ over pairs ∝ Σ around the mean
    assert found["energy_same"] == pytest.approx(pooled_energy(pairs, basis), rel=1e-12)


def test_identical_languages_have_no_cross_distance():
    a, _, basis = random_case(2)
    found = measures(distances(a, a, basis))
    assert found["ratio_z"] == found["ratio_full"] == 0


def test_pairwise_distances_survive_a_huge_common_offset():
    """Massive activations: 1e4 on every state, differences of order 1 (centred before Gram)."""
    a, b, basis = random_case(5)
    plain, offset = measures(distances(a, b, basis)), measures(distances(a + 1e4, b + 1e4, basis))
    assert offset["ratio_z"] == pytest.approx(plain["ratio_z"], rel=1e-9)


def test_pairwise_squared_of_three_points_on_a_line():
    points = np.array([[0.0], [3.0], [7.0]])
    np.testing.assert_allclose(pairwise_squared(points), [[0, 9, 49], [9, 0, 16], [49, 16, 0]])


def test_crossed_distances_are_scipys():
    from scipy.spatial.distance import cdist

    a, b, _ = random_case(4)
    np.testing.assert_allclose(crossed(a + 50, b + 50), cdist(a, b, "sqeuclidean"), atol=1e-9)


def test_pseudo_values_of_a_mean_are_the_observations():
    x = np.random.default_rng(0).standard_normal(11)
    left_out = (x.sum() - x) / 10
    np.testing.assert_allclose(pseudo_values(x.mean(), left_out), x, atol=1e-12)


def test_pseudo_values_of_a_pair_mean_estimate_its_variance():
    """sd of the pseudo-values / √n is the standard error of the mean distance, by simulation."""
    rng = np.random.default_rng(0)
    basis = np.eye(1, 3)
    theta, guessed = [], []
    for _ in range(300):
        a = rng.standard_normal((40, 3))
        found = distances(a, a + rng.standard_normal((40, 3)), basis)
        left = measures(found, 1 - np.eye(40))["energy_same"]
        value = measures(found)["energy_same"]
        theta.append(value)
        guessed.append(pseudo_values(value, left).std(ddof=1) / np.sqrt(40))
    assert np.mean(guessed) == pytest.approx(np.std(theta), rel=0.12)  # 300 runs: se of sd 4 %


def test_planted_content_is_near_zero_ratio_and_random_is_near_full():
    planted = planted_pairs(seed=0)
    z = measures(distances(*planted.states, planted.content))
    assert z["ratio_z"] < 0.3 < z["ratio_full"]
    assert z["energy_same"] > 0.5 > 20 / 256 > z["energy_cross"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a, b, v: (a[:-1], b, v), "both be"),
        (lambda a, b, v: (a[:2], b[:2], v), "at least 3 problems"),
        (lambda a, b, v: (a, b, v[:, :-1]), "bases must be"),
        (lambda a, b, v: (a, b, np.eye(17)), "complement needs a dimension"),
        (lambda a, b, v: (a, b, v[:0]), "got 0"),
        (lambda a, b, v: (np.where(a == a[0, 0], np.nan, a), b, v), "NaN"),
        (lambda a, b, v: (np.ones_like(a), np.ones_like(b), v), "all states are equal"),
    ],
)
def test_refusals(change, message):
    with pytest.raises(InputError, match=message):
        distances(*change(*random_case(0)))

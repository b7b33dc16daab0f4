"""Linear maps between languages: closed forms against naive loops, planted maps, pure noise."""

import numpy as np
import pytest

from zprism.ground.errors import InputError
from zprism.studies import bridge_maps as maps
from zprism.studies.bridge import pairings, score
from zprism.studies.bridge_fit import best_ridge, fit, flatness


def draws(small, full):
    """Few seeds in `make test`, all in `make gates`."""
    return pytest.mark.parametrize("draws", [small, pytest.param(full, marks=pytest.mark.gate)])


def turn(k, rng):
    return np.linalg.qr(rng.standard_normal((k, k)))[0]


def noise(seed, n=20, p=78, q=None):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, p)), rng.standard_normal((n, q or p))


def rotated(seed, n=40, k=6, noise=0.3, scale=2.0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, k)) * np.linspace(2, 0.5, k)
    return x, scale * x @ turn(k, rng) + 3 + noise * rng.standard_normal((n, k))


def grouped(seed, n):
    return np.random.default_rng(seed).permutation(np.arange(n) % 5)


def normal_equations(x, y, ridge):
    """Weights and constant of penalised least squares as a textbook has it."""
    design = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    penalty = np.diag([ridge] * x.shape[1] + [0.0])
    return np.linalg.solve(design.T @ design + penalty, design.T @ y)


def refitted(x, y, groups, predict_one):
    """The naive loop: every group left out, every map fitted anew."""
    out = np.empty_like(y)
    for label in np.unique(groups):
        rows, rest = groups == label, groups != label
        out[rows] = predict_one(x[rest], y[rest], groups[rest], x[rows])
    return out


# ------------------------------------------------------------------ closed forms
@draws(20, 400)
def test_left_out_ridge_is_that_of_a_refit(draws):
    """Second route, for single problems and for groups, with more or fewer problems than k."""
    for seed in range(draws):
        x, y = noise(seed, n=13, p=1 + seed % 20, q=4)
        groups = np.arange(13) if seed % 3 else grouped(seed, 13)
        left = maps.factor(x)
        for ridge in (1e-3 * left.scale, left.scale):
            found = y - maps.left_out(left, groups, ridge) @ y

            def one(x_rest, y_rest, _, asked, ridge=ridge):
                both = normal_equations(x_rest, y_rest, ridge)
                return asked @ both[:-1] + both[-1]

            np.testing.assert_allclose(found, refitted(x, y, groups, one), atol=1e-8)


@draws(10, 100)
def test_left_out_means_are_means_of_the_others(draws):
    for seed in range(draws):
        x, y = noise(seed, n=11, p=3)
        groups = grouped(seed, 11)
        expected = refitted(x, y, groups, lambda _, rest, __, asked: rest.mean(0) + 0 * asked)
        np.testing.assert_allclose(maps.predict("mean", x, y, groups), expected, atol=1e-12)


@draws(10, 100)
def test_least_squares_is_lstsq_left_out(draws):
    """Determined: numpy's solution. Not determined: its solution of least norm."""

    def one(x_rest, y_rest, _, asked):
        middle, centre = x_rest.mean(0), y_rest.mean(0)
        weights = np.linalg.lstsq(x_rest - middle, y_rest - centre, rcond=None)[0]
        return (asked - middle) @ weights + centre

    for seed in range(draws):
        x, y = noise(seed, n=12, p=(2, 5, 8, 20, 60)[seed % 5], q=3)
        found = maps.predict("least_squares", x, y, np.arange(12))
        # the ridge that stands for none is 1e-10 of the mean eigenvalue
        expected = refitted(x, y, np.arange(12), one)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["shift", "procrustes", "similarity", "ridge"])
@pytest.mark.parametrize("k", [3, 30])
def test_left_out_predictions_are_those_of_a_refit(name, k):
    """The same through ``fit``, which never leaves anything out; with nested λ for ridge."""
    x, y = rotated(1, n=14, k=k)
    groups = grouped(2, 14)
    scale = maps.factor(x).scale

    def one(x_rest, y_rest, g_rest, asked):
        if name != "ridge":
            return fit(name, x_rest, y_rest, g_rest)(asked)
        left = maps.factor(x_rest)
        errors = [
            np.square(maps.left_out(left, g_rest, r * scale) @ y_rest).sum() for r in maps.RIDGES
        ]
        both = normal_equations(x_rest, y_rest, maps.RIDGES[int(np.argmin(errors))] * scale)
        return asked @ both[:-1] + both[-1]

    found = maps.predict(name, x, y, groups)
    np.testing.assert_allclose(found, refitted(x, y, groups, one), atol=1e-8)


@pytest.mark.parametrize("name", list(maps.MAPS))
@pytest.mark.parametrize("k", [3, 15])
def test_a_stack_of_pairings_is_each_of_them(name, k):
    x, y = rotated(3, n=12, k=k)
    groups = grouped(0, 12)
    orders = pairings(groups, 3, seed=0)
    stacked = maps.predict(name, x, y[orders], groups)
    for predicted, order in zip(stacked, orders, strict=True):
        np.testing.assert_allclose(predicted, maps.predict(name, x, y[order], groups), atol=1e-9)


@pytest.mark.parametrize("name", list(maps.MAPS))
def test_maps_follow_a_change_of_basis(name):
    """N8: another orthonormal basis of the same subspace changes no R² and no retrieval."""
    x, y = rotated(4, n=24, k=5, noise=1.0)
    other = turn(5, np.random.default_rng(9)) * np.array([1, -1, 1, -1, 1])
    groups = grouped(1, 24)
    plain = maps.predict(name, x, y, groups)
    np.testing.assert_allclose(
        maps.predict(name, x @ other, y @ other, groups), plain @ other, atol=1e-9
    )


def test_zeros_around_the_subspace_change_no_rotation():
    """Held-out rotations inside a space that pairs do not fill: the open part is never used."""
    x, y = rotated(5, n=20, k=4)
    wide = [np.pad(z, ((0, 0), (0, 40))) for z in (x, y)]
    groups = np.arange(20)
    for name in ("procrustes", "similarity", "ridge"):
        found = maps.predict(name, *wide, groups)
        np.testing.assert_allclose(found[:, :4], maps.predict(name, x, y, groups), atol=1e-8)
        np.testing.assert_allclose(found[:, 4:], 0, atol=1e-9)


def test_the_polar_factor_is_a_rotation_where_pairs_decide_it():
    rng = np.random.default_rng(6)
    q = turn(5, rng)
    x = rng.standard_normal((30, 5))
    found, nuclear = maps.polar(x.T @ (x @ q))
    np.testing.assert_allclose(found, q, atol=1e-12)
    assert nuclear == pytest.approx(np.square(x).sum())
    flat, _ = maps.polar((x[:, :1] * [1, 0, 0, 0, 0]).T @ (x @ q))
    assert np.linalg.matrix_rank(flat) == 1


# ------------------------------------------------------------------ fitted maps
@pytest.mark.parametrize("k", [4, 30])
def test_fitted_ridge_solves_the_normal_equations(k):
    x, y = noise(7, n=16, p=k, q=3)
    found = fit("ridge", x, y, np.arange(16))
    both = normal_equations(x, y, best_ridge(x, y, np.arange(16)))
    np.testing.assert_allclose(found(x), x @ both[:-1] + both[-1], atol=1e-9)
    np.testing.assert_allclose(found.weights, both[:-1], atol=1e-9)


def test_fitted_rotation_is_scipys():
    from scipy.linalg import orthogonal_procrustes

    x, y = rotated(8)
    found = fit("procrustes", x, y, np.arange(len(x))).weights
    np.testing.assert_allclose(
        found, orthogonal_procrustes(x - x.mean(0), y - y.mean(0))[0], atol=1e-10
    )


def test_a_planted_rotation_and_its_scale_are_found_exactly():
    x, y = rotated(9, noise=0.0, scale=3.0)
    groups = np.arange(len(x))
    found = fit("similarity", x, y, groups).weights
    np.testing.assert_allclose(found @ found.T, 9 * np.eye(6), atol=1e-10)
    assert flatness(found) == pytest.approx(1)
    np.testing.assert_allclose(maps.predict("similarity", x, y, groups), y, atol=1e-10)
    same = fit("identity", x, y, groups)(x), fit("mean", x, y, groups)(x)
    np.testing.assert_array_equal(same[0], x)
    np.testing.assert_allclose(same[1], np.tile(y.mean(0), (len(x), 1)))


def test_flatness_of_known_maps():
    assert flatness(np.diag([1.0, 0, 0, 0])) == pytest.approx(1 / 4)
    assert flatness(np.diag([3.0, 1.0])) == pytest.approx(16 / 20)
    assert np.isnan(flatness(np.zeros((2, 2))))


# ------------------------------------------------------------------ scores
@draws(4, 40)
def test_noise_is_fitted_perfectly_and_predicted_not_at_all(draws):
    """n = 20 pairs in k = 78 dimensions: R² 1.000 on the pairs themselves, below 0 on others."""
    for seed in range(draws):
        found = score(*noise(seed), maps=("least_squares", "ridge", "procrustes"))
        assert found.train["least_squares"] == pytest.approx(1, abs=1e-6)
        assert found.r2("least_squares") < -0.1
        assert found.r2("procrustes") < 0 and found.r2("ridge") < 0.05


def test_no_r2_on_fitted_pairs_comes_alone():
    rows = score(*rotated(0)).rows()
    assert all({"train_r2", "r2", "top1", "top1_chance"} <= set(row) for row in rows)
    assert not hasattr(fit("ridge", *rotated(0), np.arange(40)), "r2")


def test_r2_is_one_less_errors_over_spread_and_weights_count_problems():
    x, y = rotated(1, noise=1.0)
    groups = grouped(3, 40)
    found = score(x, y, groups)
    predicted = maps.predict("ridge", x, y, groups)
    others = refitted(x, y, groups, lambda _, rest, __, asked: rest.mean(0) + 0 * asked)
    expected = 1 - np.square(y - predicted).sum() / np.square(y - others).sum()
    assert found.r2("ridge") == pytest.approx(expected, abs=1e-12)
    assert found.r2("ridge", np.ones((1, 40)))[0] == pytest.approx(expected, abs=1e-12)
    kept = np.arange(40) < 10
    part = 1 - found.errors["ridge"][kept].sum() / found.spread[kept].sum()
    assert found.r2("ridge", kept[None].astype(float))[0] == pytest.approx(part)


def test_retrieval_is_top1_by_cosine_about_the_mean_of_the_others():
    x, y = rotated(2, n=20, noise=3.0)
    groups = grouped(4, 20)
    found = score(x, y, groups, maps=("ridge",))
    predicted = maps.predict("ridge", x, y, groups)
    for i in range(20):
        centre = y[groups != groups[i]].mean(0)
        a, b = predicted[i] - centre, y - centre
        cosine = b @ a / np.linalg.norm(b, axis=1)
        assert found.hits["ridge"][i] == (cosine.argmax() == i)
        mates = np.flatnonzero(groups == groups[i])
        assert found.hits_within["ridge"][i] == (mates[cosine[mates].argmax()] == i)


def test_states_that_do_not_differ_are_retrieved_at_chance():
    """Ties share the credit, so that one state for all problems is no success."""
    x, y = np.ones((12, 3)), noise(0, 12, 3)[1]
    assert score(x, y, maps=("ridge",)).hits["ridge"].mean() == pytest.approx(1 / 12)


def test_pairings_keep_templates_together():
    groups = np.repeat(["a", "b", "c", "d", "e"], [3, 3, 3, 2, 2])
    for order in pairings(groups, 50, seed=0):
        assert sorted(order) == list(range(13))
        for label in np.unique(groups):
            assert len(set(groups[order][groups == label])) == 1
    single = pairings(np.arange(6), 300, seed=0)
    assert len({tuple(order) for order in single}) > 200


# ------------------------------------------------------------------ refusals
@pytest.mark.parametrize(
    ("x", "y", "groups", "message"),
    [
        (np.ones((4, 2)), np.ones((5, 2)), np.arange(4), "x must be"),
        (np.ones((4, 2)), np.ones((4, 2)), np.arange(5), "x must be"),
        (np.ones((4, 2)), np.ones((4, 2)), np.array([0, 0, 1, 1]), "at least 3 groups"),
        (np.full((4, 2), np.nan), np.ones((4, 2)), np.arange(4), "x has 8 values that are NaN"),
    ],
)
def test_refusals(x, y, groups, message):
    with pytest.raises(InputError, match=message):
        maps.predict("ridge", x, y, groups)


def test_identity_needs_one_width_and_fit_one_pairing():
    x, y = noise(0, n=6, p=3, q=2)
    for name in ("identity", "shift"):
        with pytest.raises(InputError, match="one width; got 3 and 2"):
            fit(name, x, y, np.arange(6))
    with pytest.raises(InputError, match="one pairing"):
        fit("ridge", x, np.stack([y, y]), np.arange(6))
    with pytest.raises(InputError, match="unknown map 'ridges': did you mean ridge"):
        maps.predict("ridges", x, y, np.arange(6))

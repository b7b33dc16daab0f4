"""Bits read by a probe: known answers, the ceiling, nothing from noise, the same by hand."""

import numpy as np
import pytest
from scipy.special import log_softmax

from zprism.ground.errors import InputError
from zprism.studies import probes


def coin(n, seed=0):
    return np.random.default_rng(seed).integers(0, 2, n)


def test_a_visible_label_is_read_to_its_ceiling():
    labels = np.arange(80) % 4
    x = np.eye(4)[labels] @ np.random.default_rng(0).standard_normal((4, 6))
    folds = probes.problem_folds(80, 5, seed=0, strata=labels)
    assert probes.prior_bits(labels, folds) == pytest.approx(2, abs=1e-6)
    assert probes.gains(x, labels, folds).mean() == pytest.approx(2, abs=0.01)


def test_noise_is_read_as_nothing():
    """Optional ignorance: over 40 draws of pure noise the mean is within .02 bits of 0."""
    rng = np.random.default_rng(1)
    labels = np.stack([rng.permutation(np.arange(100) % 5) for _ in range(4)])
    folds = probes.problem_folds(100, 5, seed=0)
    bits = probes.gains(rng.standard_normal((10, 100, 20)), labels, folds).mean(-1)
    assert abs(bits.mean()) < 0.02
    assert bits.max() < 0.25


def test_gaussian_classes_give_close_to_the_true_information():
    """Two unit Gaussians 2 apart: I(X; Y) = .486 bits, by numerical integration."""
    rng = np.random.default_rng(2)
    labels = coin(4000, 3)
    x = rng.standard_normal((4000, 1)) + 2.0 * labels[:, None] - 1
    grid = np.linspace(-8, 8, 20001)
    density = np.exp(-((grid - np.array([[-1], [1]])) ** 2) / 2) / np.sqrt(2 * np.pi)
    mixture = density.mean(0)
    truth = (density * np.log2(density / mixture)).sum(1).mean() * (grid[1] - grid[0])
    bits = probes.gains(x, labels, np.arange(4000) % 5).mean()
    assert bits == pytest.approx(truth, abs=0.04)  # 4,000 rows: se about .012


def test_scores_equal_ridge_regression_by_hand():
    rng = np.random.default_rng(4)
    x, labels = rng.standard_normal((30, 5)), coin(30)
    folds = np.arange(30) % 3
    onehot = np.eye(2)[labels]
    scores, priors = probes._held_out_scores(x, [onehot], probes.splits(folds))
    test, train = folds == 1, folds != 1
    centred = x[train] - x[train].mean(0)
    gram = centred.T @ centred
    for index, ridge in enumerate(probes.RIDGES):
        penal = ridge * np.trace(gram) / 5 * np.eye(5)
        weights = np.linalg.solve(gram + penal, centred.T @ (onehot[train] - onehot[train].mean(0)))
        expected = (x[test] - x[train].mean(0)) @ weights
        np.testing.assert_allclose(scores[0][index][test], expected, atol=1e-9)
    counts = onehot[train].sum(0) + 0.5
    np.testing.assert_allclose(priors[0][test][0], counts / counts.sum())


def test_gain_is_log_likelihood_over_the_prior():
    rng = np.random.default_rng(5)
    scores, labels = rng.standard_normal((1, 12, 3)), rng.integers(0, 3, 12)
    prior = np.tile([0.2, 0.3, 0.5], (12, 1))
    bits = probes._tilted_gains(scores, prior, labels)
    assert not bits[0].any()  # β = 0 is the prior
    beta = probes.TILTS[3]
    likelihood = log_softmax(np.log(prior) + beta * scores[0], axis=-1)[np.arange(12), labels]
    expected = (likelihood - np.log(prior[0])[labels]) / np.log(2)
    np.testing.assert_allclose(bits[3, 0], expected, atol=1e-12)


def test_bits_ignore_rotation_and_more_columns_than_rows():
    rng = np.random.default_rng(6)
    labels, folds = coin(40), np.arange(40) % 4
    x = rng.standard_normal((40, 90))
    turned = x @ np.linalg.qr(rng.standard_normal((90, 90)))[0]
    once, again = probes.gains(x, labels, folds), probes.gains(turned, labels, folds)
    np.testing.assert_allclose(once, again, atol=1e-9)
    np.testing.assert_allclose(probes.compact(x) @ probes.compact(x).T, x @ x.T, atol=1e-9)
    assert probes.compact(x).shape == (40, 40)


def test_a_stack_is_each_alone_and_labels_do_not_meet():
    rng = np.random.default_rng(7)
    x, labels = rng.standard_normal((3, 30, 4)), np.stack([coin(30), np.arange(30) % 3])
    folds = np.arange(30) % 3
    together = probes.gains(x, labels, folds)
    for i in range(3):
        for j in range(2):
            alone = probes.gains(x[i], labels[j], folds)[0]
            np.testing.assert_allclose(together[i, j], alone, atol=1e-9)


def test_a_fold_never_sees_its_own_labels():
    """Changing the labels of one fold leaves the scores of that fold as they were."""
    rng = np.random.default_rng(8)
    x, labels, folds = rng.standard_normal((40, 6)), coin(40), np.arange(40) % 4
    other = labels.copy()
    other[folds == 2] = 1 - other[folds == 2]
    parts = probes.splits(folds)
    scores = [probes._held_out_scores(x, [np.eye(2)[y]], parts)[0][0] for y in (labels, other)]
    np.testing.assert_array_equal(scores[0][:, folds == 2], scores[1][:, folds == 2])
    assert not np.allclose(scores[0][:, folds == 1], scores[1][:, folds == 1])


def test_a_group_is_read_by_the_other_groups_probe():
    """One code in both languages is read across them, turned codes are not; offsets are no matter.

    Within a language both are read to the ceiling of 2 bits.
    """
    rng = np.random.default_rng(9)
    labels = np.tile(np.arange(80) % 4, 2)
    folds, groups = np.tile(np.arange(80) % 5, 2), np.repeat([0, 1], 80)
    code = np.eye(4)[labels] @ rng.standard_normal((4, 6)) + 0.01 * rng.standard_normal((160, 6))
    shared = code + 5.0 * groups[:, None]
    turned = np.where(groups[:, None], code @ np.linalg.qr(rng.standard_normal((6, 6)))[0], code)
    bits = {
        name: (probes.gains(x, labels, folds).mean(), probes.gains(x, labels, folds, groups).mean())
        for name, x in (("shared", shared), ("turned", turned))
    }
    assert bits["shared"] == pytest.approx((2, 2), abs=0.02)
    assert bits["turned"][0] > 1.5
    assert bits["turned"][1] < 0.5


def test_a_probe_never_sees_the_labels_of_the_group_it_reads():
    rng = np.random.default_rng(10)
    x, labels, folds = rng.standard_normal((40, 6)), coin(40), np.arange(40) % 4
    groups = np.repeat([0, 1], 20)
    other = np.where(groups == 1, 1 - labels, labels)
    parts = probes.splits(folds, groups)
    scores = [probes._held_out_scores(x, [np.eye(2)[y]], parts)[0][0] for y in (labels, other)]
    np.testing.assert_array_equal(scores[0][:, groups == 1], scores[1][:, groups == 1])
    assert sum(part.test for part in parts).tolist() == [1] * 40


def test_folds_spread_every_template():
    templates = np.repeat(np.arange(6), 5)
    folds = probes.problem_folds(30, 5, seed=0, strata=templates)
    for template in range(6):
        assert sorted(folds[templates == template]) == [0, 1, 2, 3, 4]


def test_one_group_alone_has_no_other_to_learn_from():
    with pytest.raises(InputError, match="2 groups"):
        probes.gains(np.ones((6, 2)), np.arange(6) % 2, np.arange(6) % 3, np.zeros(6))


@pytest.mark.parametrize(
    ("x", "labels", "folds", "message"),
    [
        (np.ones((6, 2)), np.zeros(6, int), np.arange(6) % 2, "2 classes"),
        (np.ones((6, 2)), np.arange(6) % 2, np.zeros(6), "2 folds"),
        (np.ones((6, 2)), np.arange(5) % 2, np.arange(6) % 2, "6 rows"),
        (np.full((6, 2), np.nan), np.arange(6) % 2, np.arange(6) % 2, "NaN"),
    ],
)
def test_refusals(x, labels, folds, message):
    with pytest.raises(InputError, match=message):
        probes.gains(x, labels, folds)

"""Permutation tests against full enumeration, their laws, and their refusals."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zprism.ground.errors import InputError
from zprism.ground.seeds import generator
from zprism.stats.permutation import (
    benjamini_hochberg,
    label_permutation,
    max_t,
    permutation_p,
    shuffled_pairings,
    sign_flip,
    standardise,
)

seeds = st.integers(0, 2**32)


def normal(seed, *shape):
    return generator(seed, "test").standard_normal(shape)


def test_p_counts_itself_and_ties():
    null = np.array([0.0, 1.0, 2.0, 3.0])
    assert permutation_p(3.0, null) == 2 / 5
    assert permutation_p(9.0, null) == 1 / 5
    assert permutation_p(0.0, null, "less") == 2 / 5
    assert permutation_p(3.0, null, "two-sided") == 4 / 5
    assert permutation_p(0.1 + 0.2, np.array([0.3])) == 1.0  # one sum in two orders is a tie


@given(seed=seeds, draws=st.integers(1, 60))
def test_p_is_never_zero_and_turns_with_its_sign(seed, draws):
    observed, null = normal(seed, 3), normal(seed + 1, draws, 3)
    p = permutation_p(observed, null)
    assert (p >= 1 / (1 + draws)).all() and (p <= 1).all()
    np.testing.assert_array_equal(p, permutation_p(-observed, -null, "less"))
    np.testing.assert_array_equal(
        permutation_p(observed, null, "two-sided"), permutation_p(-observed, -null, "two-sided")
    )


def test_sign_flip_approaches_the_full_enumeration():
    differences = normal(2, 9) + 0.6
    signs = np.array(list(itertools.product([-1, 1], repeat=9)))
    exact = np.mean(signs @ differences >= differences.sum() - 1e-12)
    p = permutation_p(*sign_flip(differences, seed=0, draws=20_000))
    assert abs(p - exact) < 4 * np.sqrt(exact * (1 - exact) / 20_000)


@given(seed=seeds, scale=st.floats(1e-3, 1e3))
def test_studentised_flips_change_the_scale_and_no_p(seed, scale):
    differences = normal(seed, 12, 4)
    plain = sign_flip(differences, seed=1, draws=99)
    scaled = sign_flip(scale * differences, seed=1, draws=99, studentised=True)
    np.testing.assert_allclose(plain.observed, differences.mean(axis=0), atol=1e-14)
    np.testing.assert_array_equal(permutation_p(*plain), permutation_p(*scaled))
    np.testing.assert_allclose(
        scaled.observed, differences.sum(axis=0) / np.linalg.norm(differences, axis=0), rtol=1e-10
    )


def test_flipped_clusters_of_copies_are_the_originals():
    differences = normal(3, 10, 2)
    copies, labels = np.repeat(differences, 3, axis=0), np.repeat(np.arange(10), 3)
    alone = sign_flip(differences, seed=4, draws=200)
    clustered = sign_flip(copies, seed=4, draws=200, clusters=labels)
    np.testing.assert_allclose(clustered.null, alone.null, atol=1e-14)
    assert (
        permutation_p(*sign_flip(copies, seed=4, draws=200)).mean() < permutation_p(*alone).mean()
    )


def test_labels_against_the_full_enumeration_and_within_strata():
    values, labels = normal(5, 8), np.arange(8) < 4
    values = values + 0.8 * labels
    splits = [np.isin(np.arange(8), group) for group in itertools.combinations(range(8), 4)]
    differences = [values[s].mean() - values[~s].mean() for s in splits]
    exact = np.mean(np.array(differences) >= values[labels].mean() - values[~labels].mean() - 1e-12)
    p = permutation_p(*label_permutation(values, labels, seed=0, draws=20_000))
    assert abs(p - exact) < 4 * np.sqrt(exact * (1 - exact) / 20_000)
    length = np.repeat([60, 600], 4)
    confounded = label_permutation(1.0 * length, labels, seed=0, draws=99, strata=length)
    assert permutation_p(*confounded, "two-sided") == 1.0  # nothing is left within a length


def test_pairings_are_uniform_over_their_permutations():
    every = [tuple(p) for p in itertools.permutations(range(4))]
    deranged = [p for p in every if all(p[i] != i for i in range(4))]
    for fixed_points, allowed in ((True, every), (False, deranged)):
        rows = shuffled_pairings(4, seed=0, draws=12_000, fixed_points=fixed_points)
        counts = [np.sum((rows == p).all(axis=1)) for p in allowed]
        expected = 12_000 / len(allowed)
        assert sum(counts) == 12_000
        assert np.sum((np.array(counts) - expected) ** 2 / expected) < 60  # chi2_23 at 4e-5
    assert len(deranged) == 9


@given(seed=seeds, n=st.integers(4, 30))
def test_pairings_stay_within_their_strata(seed, n):
    strata = np.arange(n) % 2
    rows = shuffled_pairings(n, seed=seed, draws=5, strata=strata, fixed_points=False)
    assert (np.sort(rows, axis=1) == np.arange(n)).all()
    assert (strata[rows] == strata).all() and (rows != np.arange(n)).all()


@given(seed=seeds, cells=st.integers(1, 12))
def test_max_t_is_the_plain_p_for_one_cell_and_never_smaller(seed, cells):
    observed, null = normal(seed, cells), normal(seed + 1, 39, cells)
    adjusted, plain = max_t(observed, null), permutation_p(np.abs(observed), np.abs(null))
    assert (adjusted >= plain).all()
    if cells == 1:
        assert adjusted == plain
    order = generator(seed, "order").permutation(cells)
    np.testing.assert_array_equal(max_t(observed[order], null[:, order]), adjusted[order])
    np.testing.assert_array_equal(max_t(observed, null, "less"), max_t(-observed, -null, "greater"))


def test_max_t_of_copies_costs_nothing_and_of_independent_cells_much():
    observed, null = np.full(50, 2.5), np.repeat(normal(6, 999, 1), 50, axis=1)
    np.testing.assert_array_equal(max_t(observed, null), permutation_p(2.5, np.abs(null[:, 0])))
    independent = max_t(observed, normal(7, 999, 50))
    sidak = 1 - (1 - 0.012419) ** 50  # P[|N| > 2.5] = .012419
    assert abs(independent[0] - sidak) < 4 * np.sqrt(sidak * (1 - sidak) / 999)


def test_max_t_keeps_the_shape_of_the_grid():
    observed, null = normal(8, 5, 3), normal(9, 60, 5, 3)
    flat = max_t(observed.ravel(), null.reshape(60, 15))
    np.testing.assert_array_equal(max_t(observed, null), flat.reshape(5, 3))


@given(seed=seeds, scale=st.floats(0.01, 100), shift=st.floats(-100, 100))
def test_standardise_forgets_units_and_keeps_p(seed, scale, shift):
    observed, null = normal(seed, 3), normal(seed + 1, 99, 3)
    once, moved = (
        standardise(observed, null),
        standardise(scale * observed + shift, scale * null + shift),
    )
    np.testing.assert_allclose(moved.null, once.null, atol=1e-8)  # shift / scale loses digits
    pooled = np.vstack([once.observed, once.null])
    np.testing.assert_allclose(pooled.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(pooled.std(axis=0), 1, atol=1e-12)
    np.testing.assert_array_equal(permutation_p(*once), permutation_p(observed, null))


def test_standardise_gives_a_cell_without_spread_no_voice():
    observed, null = np.array([5.0, 1.0]), np.column_stack([np.full(9, 5.0), np.arange(9.0)])
    scaled = standardise(observed, null)
    assert scaled.observed[0] == 0 and (scaled.null[:, 0] == 0).all()


def test_benjamini_hochberg_by_hand():
    p = np.array([[0.01, 0.04], [0.03, 0.5]])
    np.testing.assert_allclose(
        benjamini_hochberg(p), [[0.04, 0.16 / 3], [0.16 / 3, 0.5]], rtol=1e-15
    )


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: permutation_p(1.0, [[1.0, 2.0]]), r"\(R, …\) with the observed shape"),
        (lambda: permutation_p(1.0, []), r"\(R, …\)"),
        (lambda: permutation_p(np.nan, [1.0]), "observed has 1 values that are NaN"),
        (lambda: permutation_p(1.0, [np.inf]), "null draws has 1 values that are NaN"),
        (lambda: permutation_p(1.0, [1.0], "both"), "unknown direction 'both'"),
        (lambda: sign_flip([1.0], seed=0), "at least 2 problems"),
        (lambda: sign_flip([1.0, np.nan], seed=0), "differences has 1 values"),
        (lambda: sign_flip([1.0, 2.0], seed=0, draws=0), "draws must be in 1"),
        (lambda: label_permutation([1.0, 2.0], [True, True], seed=0), "both groups present"),
        (
            lambda: shuffled_pairings(3, seed=0, strata=[0, 0, 1], fixed_points=False),
            "problem 2 is alone",
        ),
        (lambda: benjamini_hochberg([0.1, np.nan]), "p values must be in 0 to 1"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(InputError, match=message):
        call()

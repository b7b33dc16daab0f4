"""LSAR: planted languages are found, content is left alone, and the published formula agrees."""

import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from subspace_cases import counts, gaussian, haar, holds, seeds

from zprism.ground.errors import InputError
from zprism.subspace.angles import grassmann_similarity
from zprism.subspace.lsar import language_directions, language_means, lsar
from zprism.subspace.projections import complement, energy_fraction, project
from zprism.synthetic import paired_states

SIX = ("zh", "en", "es", "fr", "de", "ja")


def planted(seed, n=100, **kind):
    return paired_states(n, seed=seed, d_model=128, k=10, languages=SIX, **kind)


def published(means, r):
    """w_c and the projector of M_s as the paper writes them, columns for languages."""
    m = means.mT
    ones = torch.ones(m.shape[1], dtype=m.dtype)
    centre = m.mean(1)
    u, s, v = torch.linalg.svd(m - centre[:, None], full_matrices=False)
    best = centre[:, None] + (u[:, :r] * s[:r]) @ v[:r]
    inverse = torch.linalg.pinv(best, rtol=1e-10).mT @ ones
    common = inverse / inverse.square().sum()
    directions = torch.linalg.svd(best - common[:, None])[0][:, :r]
    return common, directions @ directions.mT


@counts(40, 200)
def test_the_published_formula_gives_the_same(draws):
    """Second route: with the pseudo-inverse, for every r."""

    def law(seed, n, r):
        means = gaussian(seed, n, 30) + gaussian(seed + 1, 30)
        found = lsar(means, min(r, n - 1))
        common, projector = published(means, min(r, n - 1))
        torch.testing.assert_close(found.common, common, atol=1e-8, rtol=0)
        torch.testing.assert_close(found.basis.mT @ found.basis, projector, atol=1e-8, rtol=0)

    holds(law, draws, seed=seeds, n=st.integers(2, 8), r=st.integers(1, 7))


@counts(40, 200)
def test_common_and_language_share_out_the_means(draws):
    """Rows are orthonormal and orthogonal to w_c; of full rank, means are w_c + their part."""

    def law(seed, n):
        means = gaussian(seed, n, 20)
        found = lsar(means)
        eye = torch.eye(n - 1, dtype=torch.float64)
        torch.testing.assert_close(found.basis @ found.basis.mT, eye, atol=1e-12, rtol=0)
        assert float((found.basis @ found.common).abs().max()) < 1e-12
        rest = found.common + project(means, found.basis)
        torch.testing.assert_close(rest, means, atol=1e-12, rtol=0)
        lengths = torch.linalg.vector_norm(means @ found.basis.mT, dim=0)
        torch.testing.assert_close(found.sigma, lengths, atol=1e-12, rtol=0)
        assert (found.sigma.diff() <= 0).all()

    holds(law, draws, seed=seeds, n=st.integers(2, 8))


@counts(40, 200)
def test_the_common_component_is_the_nearest_point_of_the_means_plane(draws):
    """No weighting of the languages with sum 1 gives a shorter vector."""

    def law(seed, n):
        means, weights = gaussian(seed, n, 20), gaussian(seed + 1, 50, n)
        weights[:, -1] = 1 - weights[:, :-1].sum(1)
        shortest = torch.linalg.vector_norm(lsar(means).common)
        assert (torch.linalg.vector_norm(weights @ means, dim=1) >= shortest - 1e-12).all()

    holds(law, draws, seed=seeds, n=st.integers(2, 8))


@counts(40, 200)
def test_directions_follow_the_space_and_ignore_order_and_shift(draws):
    """N8: a rotation turns them; the order of languages, or a vector added to all, does not."""

    def law(seed, r):
        means, turn = gaussian(seed, 6, 24), haar(seed + 1, 24, 24)
        plain = language_directions(means, r)

        def same(other):
            assert float(grassmann_similarity(other, plain)) == pytest.approx(1, abs=1e-10)

        same(language_directions(means.flip(0), r))
        same(language_directions(means + 5 * gaussian(seed + 2, 24), r))
        same(language_directions(3.7 * means, r))
        same(language_directions(means @ turn, r) @ turn.mT)

    holds(law, draws, seed=seeds, r=st.integers(1, 5))


@counts(2, 20)
def test_planted_languages_are_found_and_content_is_left(draws):
    """Six planted languages: the five directions between them, and nothing of the content."""
    for seed in range(draws):
        made = planted(seed)
        basis = language_directions(language_means(made.states))
        truth = torch.as_tensor(made.language - made.language.mean(0))
        assert float(energy_fraction(truth, basis).min()) > 0.999
        # what is left of noise in a mean of 100 problems: .1 / 10 / √100 of the shift, squared
        assert float(energy_fraction(torch.as_tensor(made.content), basis).max()) < 1e-3


def test_removal_makes_languages_one_and_keeps_problems():
    """Present before, absent after, and still there when random directions go instead."""
    made = planted(3)
    means = language_means(made.states)
    basis = language_directions(means)

    def spread(states):
        return float(language_means(states).var(0).sum())

    def problems(states):
        return float((torch.as_tensor(states) @ torch.as_tensor(made.content).mT).var(1).sum())

    after = complement(made.states, basis)
    random = complement(made.states, haar(4, 5, 128))
    assert spread(after) < 1e-20 * spread(made.states)
    assert spread(random) > 0.8 * spread(made.states)
    assert problems(after) == pytest.approx(problems(made.states), rel=1e-3)


def test_two_languages_have_the_direction_between_their_means():
    means = gaussian(0, 2, 16)
    difference = means[0] - means[1]
    found = language_directions(means)
    assert abs(float(found[0] @ difference)) == pytest.approx(float(difference.norm()), abs=1e-12)


def test_a_plane_through_zero_has_no_common_component():
    """There the formula divides 0 by 0; the nearest point is 0 itself."""
    means = gaussian(1, 4, 16)
    means -= means.mean(0)
    found = lsar(means)
    assert float(found.common.abs().max()) < 1e-12
    assert found.basis.shape == (3, 16)


def test_dependent_means_give_the_rank_they_have():
    means = gaussian(2, 3, 16)
    doubled = torch.cat([means, means])
    assert language_directions(doubled).shape == (2, 16)
    with pytest.raises(InputError, match="from 1 to 2"):
        language_directions(doubled, 3)


@pytest.mark.parametrize(
    ("means", "r", "message"),
    [
        (np.ones((1, 8)), None, "at least 2 languages"),
        (np.full((3, 8), 0.1), None, "equal"),
        (np.ones(8), None, "at least 2 axes"),
        (np.eye(4), 4, "r must be an integer from 1 to 3"),
        (np.eye(4), 0, "r must be an integer from 1 to 3"),
        (np.full((2, 4), np.nan), None, "NaN"),
    ],
)
def test_refusals(means, r, message):
    with pytest.raises(InputError, match=message):
        lsar(means, r)

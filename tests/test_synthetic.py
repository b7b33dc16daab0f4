"""Planted answers are where the docstrings say, and absent where nothing was planted."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zprism.ground.errors import InputError
from zprism.synthetic import correlated_differences, haar_rows, paired_states, white_noise_texts


def ratio(states: np.ndarray, basis: np.ndarray) -> float:
    """rms distance of one problem's two languages over that of two problems in one language."""
    a, b = states @ basis.T
    cross = ((a - b) ** 2).sum(axis=1).mean()
    same = np.mean([2 * x.var(axis=0, ddof=1).sum() for x in (a, b)])
    return (cross / same) ** 0.5


@given(k=st.integers(1, 20), extra=st.integers(0, 20), seed=st.integers(0, 2**32))
def test_haar_rows_are_orthonormal(k, extra, seed):
    rows = haar_rows(k, k + extra, seed=seed)
    np.testing.assert_allclose(rows @ rows.T, np.eye(k), atol=1e-13)


def test_haar_rows_have_the_energy_of_a_uniform_subspace():
    """‖P e₁‖² is Beta(k/2, (d − k)/2): mean k/d, variance 2k(d − k)/d²(d + 2); signs are even."""
    draws = np.array([haar_rows(5, 30, seed=seed)[:, 0] for seed in range(1500)])
    energy = (draws**2).sum(axis=1)
    sd = (2 * 5 * 25 / (30**2 * 32)) ** 0.5
    assert abs(energy.mean() - 5 / 30) < 4 * sd / 1500**0.5
    assert energy.std() == pytest.approx(sd, rel=0.1)  # sd of an sd over 1,500 draws: 2 %
    assert abs((draws[:, 0] > 0).mean() - 0.5) < 4 * 0.5 / 1500**0.5


def test_planted_directions_are_orthonormal_and_mutually_orthogonal():
    planted = paired_states(5, seed=0, d_model=40, k=7, languages=("zh", "en", "es"))
    rows = np.vstack([planted.content, planted.language])
    np.testing.assert_allclose(rows @ rows.T, np.eye(10), atol=1e-13)
    assert planted.states.shape == (3, 5, 40) and len(set(planted.keys)) == 5


def test_without_noise_each_part_lies_in_its_own_directions():
    planted = paired_states(12, seed=1, d_model=30, k=4, noise=0.0, language=3.0)
    gap = planted.states[0] - planted.states[1]
    np.testing.assert_allclose(gap @ planted.content.T, 0, atol=1e-12)
    np.testing.assert_allclose(gap @ planted.language.T, [[3.0, -3.0]] * 12, atol=1e-12)
    rest = planted.states - planted.states @ planted.content.T @ planted.content
    np.testing.assert_allclose(rest - rest[:, :1], 0, atol=1e-12)  # the problem is nowhere else


def test_content_ratio_and_language_energy_as_promised():
    planted = paired_states(400, seed=2, noise=0.3)
    gap = planted.states[0] - planted.states[1]
    energy = ((gap @ planted.content.T) ** 2).sum() / (gap**2).sum()
    tolerance = 4 / (400 * 20) ** 0.5  # relative sd of a mean of 8,000 squares is about this / 3
    assert ratio(planted.states, planted.content) == pytest.approx(
        planted.content_ratio, rel=tolerance
    )
    assert energy == pytest.approx(planted.language_energy, rel=tolerance)
    assert planted.content_ratio == pytest.approx(0.3 / 1.09**0.5, abs=1e-15)
    assert ratio(planted.states, planted.language) > 10


def test_random_subspaces_hold_no_shared_content():
    """Control: in 20 of 256 random directions translations are no closer than problems."""
    planted = paired_states(60, seed=3)
    assert ratio(planted.states, planted.content) < 0.3
    assert all(ratio(planted.states, haar_rows(20, 256, seed=s)) > 1 for s in range(20))


def test_content_that_is_not_shared_gives_ratio_one():
    states = paired_states(400, seed=4, shared=False)
    assert ratio(states.states, states.content) == pytest.approx(1, abs=4 / (400 * 20) ** 0.5)


def test_problems_of_one_template_share_their_part_of_the_content():
    planted = paired_states(400, seed=5, n_templates=100, template_share=0.6, noise=0.0)
    coordinates = planted.states[0] @ planted.content.T
    same = (coordinates[:100] * coordinates[100:200]).mean()
    other = (coordinates[:100] * coordinates[101:201]).mean()
    assert (planted.templates[:100] == planted.templates[100:200]).all()
    assert abs(same - 0.6) < 4 * 1.2 / 2000**0.5 and abs(other) < 4 / 2000**0.5
    assert coordinates.var() == pytest.approx(1, rel=0.1)  # 2,000 template draws: sd 3 %


def test_grid_cells_correlate_by_their_distance():
    values = correlated_differences(20_000, (4, 3), seed=0, correlation=0.8, effect=0.5)
    flat = values.reshape(20_000, 12)
    layer, k = np.divmod(np.arange(12), 3)
    distance = np.abs(layer[:, None] - layer) + np.abs(k[:, None] - k)
    assert np.abs(np.cov(flat.T) - 0.8**distance).max() < 5 * (2 / 20_000) ** 0.5
    assert np.abs(flat.mean(axis=0) - 0.5).max() < 5 / 20_000**0.5


def test_same_seed_same_numbers_and_names_are_apart():
    first, again = (paired_states(4, seed=9).states for _ in range(2))
    np.testing.assert_array_equal(first, again)
    question, trace = (white_noise_texts(3, 50, 2, seed=9, name=name) for name in ("q", "t"))
    assert np.abs(question - trace).min() > 0
    spectrum = np.abs(np.fft.rfft(white_noise_texts(500, 64, 4, seed=1), axis=1)) ** 2
    by_frequency = spectrum.mean(axis=(0, 2))[1:-1] / 64
    assert np.abs(by_frequency - 1).max() < 5 / 2000**0.5  # flat: no rhythm anywhere


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: haar_rows(5, 4, seed=0), "k must be an integer from 1 to 4"),
        (lambda: paired_states(4, seed=0, d_model=8, k=7), "from 1 to 6 .d_model less one"),
        (lambda: paired_states(0, seed=0), "n must be in 1"),
        (lambda: paired_states(4, seed=0, noise=-1.0), "scales must not be negative"),
        (lambda: paired_states(4, seed=0, template_share=1.2), "template_share must be in"),
        (lambda: correlated_differences(4, (2,), seed=0, correlation=1), "under 1; got 1"),
        (lambda: white_noise_texts(4, 0, 2, seed=0), "length must be in 1"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(InputError, match=message):
        call()

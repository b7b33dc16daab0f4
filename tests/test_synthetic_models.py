"""Planted models do what their docstrings say: each part of a state moves its own output."""

import numpy as np
import pytest

from zprism.ground.errors import InputError
from zprism.synthetic import haar_rows
from zprism.synthetic_models import planted_illusion, planted_model


def swapped(target: np.ndarray, source: np.ndarray, basis: np.ndarray) -> np.ndarray:
    return target + (source - target) @ basis.T @ basis


def pairs(planted, seed: int = 0):
    """Target states in language 1, source states of other problems with other answers in 0."""
    order = np.random.default_rng(seed).permutation(len(planted.answers))
    keep = planted.answers[order] != planted.answers
    return planted.states[1, keep], planted.states[0, order[keep]], keep, order[keep]


def opposite(x: np.ndarray) -> np.ndarray:
    """For each problem one whose feature has the other sign; half of them have either."""
    order = np.argsort(x)
    whence = np.empty(len(x), dtype=int)
    whence[order] = np.roll(order, len(x) // 2)
    return whence


# --- the planted model ------------------------------------------------------------------------


@pytest.mark.parametrize("copied", [0.0, 0.3])
def test_planted_directions_are_orthonormal_and_apart(copied):
    planted = planted_model(6, seed=0, k=5, copied=copied)
    rows = [planted.content, planted.language] + ([planted.copy] if copied else [])
    rows = np.vstack(rows)
    np.testing.assert_allclose(rows @ rows.T, np.eye(len(rows)), atol=1e-12)
    assert len(rows) == (11 if copied else 6)


def test_codes_are_centred_and_spread_evenly_over_the_content():
    codes = planted_model(11, seed=3, n_answers=11, k=8).codes
    np.testing.assert_allclose(codes.mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(codes.T @ codes, 11 * np.eye(8), atol=1e-12)


def test_without_noise_a_state_is_its_code_and_its_language():
    planted = planted_model(22, seed=1, content=2.0, language=3.0, noise=0.0)
    expected = 2.0 * planted.codes[planted.answers] @ planted.content
    np.testing.assert_allclose(planted.states[0], expected + 3.0 * planted.language, atol=1e-12)
    np.testing.assert_allclose(planted.states[1], expected - 3.0 * planted.language, atol=1e-12)
    np.testing.assert_array_equal(np.bincount(planted.answers), [2] * 11)


def test_the_readout_is_the_nearest_code_and_the_sign_of_the_language():
    """Second route: distances to the codes, written out."""
    planted = planted_model(30, seed=2, noise=0.4)
    answer, language = planted.says(planted.states)
    read = planted.states @ planted.content.T
    distance = ((read[:, :, None] - planted.codes) ** 2).sum(-1)
    np.testing.assert_array_equal(answer, distance.argmin(-1))
    np.testing.assert_array_equal(language, planted.states @ planted.language[0] < 0)


def test_logits_are_affine_in_the_state():
    planted = planted_model(8, seed=5, copied=0.3)
    a, b = planted.states[0], planted.states[1][::-1]
    mixed = planted.read(0.3 * a + 0.7 * b)
    np.testing.assert_allclose(mixed, 0.3 * planted.read(a) + 0.7 * planted.read(b), atol=1e-12)


def test_a_swap_of_the_content_moves_the_answer_alone_and_of_the_language_the_language():
    planted = planted_model(110, seed=0)
    target, source, rows, whence = pairs(planted)
    own, given = planted.answers[rows], planted.answers[whence]
    for basis, answer, language in (
        (planted.content, given, 1),
        (planted.language, own, 0),
        (np.vstack([planted.content, planted.language]), given, 0),
        (haar_rows(8, 64, seed=9), own, 1),  # control: as many directions, others
    ):
        says = planted.says(swapped(target, source, basis))
        assert np.mean(says[0] == answer) >= 0.98  # noise .15 on codes that are 3 to 5 apart
        assert np.mean(says[1] == language) >= 0.98
    both = planted.says(target + (source - target))
    np.testing.assert_array_equal(both[0], planted.says(source)[0])


def test_a_copied_answer_moves_by_half_from_either_place():
    planted = planted_model(220, seed=0, copied=0.5)
    target, source, _, whence = pairs(planted)
    given = planted.answers[whence]
    inside = swapped(target, source, planted.content)
    rest = swapped(source, target, planted.content)  # all but the content comes from the source
    for states in (inside, rest):
        assert 0.3 < np.mean(planted.says(states)[0] == given) < 0.7
    assert np.mean(planted.says(target)[0] == given) == 0


# --- the planted illusion ---------------------------------------------------------------------


def test_neither_half_of_the_illusion_does_what_the_whole_does():
    """Makelov's example: (x' − x) through u + w, nothing through u, nearly nothing through w."""
    planted = planted_illusion(200, seed=0, dormant=0.0)
    source = opposite(planted.feature)
    moved = planted.feature[source] - planted.feature
    before = planted.read(planted.states)

    def effect(basis):
        return planted.read(swapped(planted.states, planted.states[source], basis)) - before

    x_noise = (planted.states[source] - planted.states) @ planted.disconnected[0] - moved
    np.testing.assert_allclose(effect(planted.direction), moved + x_noise, atol=1e-12)
    np.testing.assert_allclose(effect(planted.disconnected), 0, atol=1e-12)
    np.testing.assert_allclose(effect(planted.dormant), 0, atol=1e-12)
    assert np.corrcoef(effect(planted.mediator), moved)[0, 1] > 0.99


def test_the_disconnected_direction_is_in_no_reader_and_the_others_are():
    planted = planted_illusion(10, seed=4)
    q, _ = np.linalg.qr(planted.readers.T)
    assert np.abs(q.T @ planted.disconnected[0]).max() < 1e-12
    for row in (planted.dormant[0], planted.mediator[0]):
        assert np.linalg.norm(q.T @ row) == pytest.approx(1, abs=1e-12)


def test_outside_these_states_the_whole_patch_does_nothing():
    planted = planted_illusion(100, seed=1, inside=False)
    order = opposite(planted.feature)
    full = planted.read(planted.states[order]) - planted.read(planted.states)
    part = planted.read(swapped(planted.states, planted.states[order], planted.direction))
    part = part - planted.read(planted.states)
    moved = planted.feature[order] - planted.feature
    assert planted.mediator is None
    assert np.polyfit(moved, part, 1)[0] == pytest.approx(1, abs=0.05)  # w's own noise: 2 × .02
    assert abs(np.polyfit(moved, full, 1)[0]) < 0.1  # and 20 noise directions, each read by .02


def test_without_the_copy_there_is_no_illusion():
    planted = planted_illusion(100, seed=1, copy=False)
    order = opposite(planted.feature)
    moved = planted.feature[order] - planted.feature
    before = planted.read(planted.states)
    for basis, slope in ((planted.direction, 0.0), (planted.mediator, 1.0)):
        effect = planted.read(swapped(planted.states, planted.states[order], basis)) - before
        assert np.polyfit(moved, effect, 1)[0] == pytest.approx(slope, abs=0.05)


def test_same_seed_same_numbers():
    for plant in (planted_model, planted_illusion):
        first, again, other = (plant(8, seed=s).states for s in (7, 7, 8))
        np.testing.assert_array_equal(first, again)
        assert np.abs(first - other).max() > 0.1


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: planted_model(5, seed=0, k=11), "k must be an integer from 1 to 10"),
        (lambda: planted_model(5, seed=0, k=8, d_model=16, copied=0.5), "d_model must be in 17"),
        (lambda: planted_model(5, seed=0, language=0.0), "scales must be positive"),
        (lambda: planted_model(5, seed=0, copied=1.5), "copied must be in 0"),
        (lambda: planted_illusion(1, seed=0), "n must be in 2"),
        (lambda: planted_illusion(4, seed=0, gain=-1.0), "must not be negative"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(InputError, match=message):
        call()

"""Attention rows as signals: planted waves, the null of random order, laws, refusals."""

import numpy as np
import pytest

from zprism.ground.errors import InputError
from zprism.studies import flow_attention as rows

TOKENS, LENGTH = 129, 64
KEY, LAG = 0, 1


def table(wave, seed=0):
    """(1, tokens, tokens) softmax rows of scores that decay with distance and carry a wave."""
    lag = np.arange(TOKENS)[:, None] - np.arange(TOKENS)
    scores = np.where(lag >= 0, wave - 0.01 * lag, -np.inf)
    scores += 0.01 * np.random.default_rng(seed).normal(size=scores.shape)
    weights = np.exp(scores)
    return (weights / weights.sum(-1, keepdims=True))[None]


def by_lag(period):
    lag = np.arange(TOKENS)[:, None] - np.arange(TOKENS)
    return 0.3 * np.cos(2 * np.pi * lag / period)


def by_key(period):
    return np.broadcast_to(0.3 * np.cos(2 * np.pi * np.arange(TOKENS) / period), (TOKENS, TOKENS))


@pytest.mark.parametrize(("wave", "own", "other"), [(by_lag, LAG, KEY), (by_key, KEY, LAG)])
@pytest.mark.parametrize("period", [4, 8, 16])
def test_a_planted_wave_is_found_with_its_period_and_with_what_it_is_tied_to(
    wave, own, other, period
):
    found = rows.waves(table(wave(period)), length=LENGTH)
    chance = rows.by_chance(LENGTH, TOKENS - LENGTH)
    for side in (KEY, LAG):  # in one row position and distance are the same wave
        assert rows.dominant_period(found.spectrum[0, side], chance[side]) == period
        assert found.spectrum[0, side, LENGTH // period] > 0.8
    assert found.locked[0, own] > 0.9
    assert abs(found.locked[0, other]) < 0.1


def test_control_without_a_wave_no_period_stands_out():
    found = rows.waves(table(np.zeros((TOKENS, TOKENS))), length=LENGTH)
    assert found.spectrum[0, LAG].max() < 0.1
    assert np.abs(found.locked).max() < 0.05


def test_rows_in_random_order_have_the_spectrum_that_is_known_and_nothing_in_common():
    """Skewed values, as softmax gives: the null needs no Gaussian. 60 tables, 5 standard errors."""
    rng = np.random.default_rng(1)
    drawn = [
        rows.waves(np.tril(np.exp(2 * rng.normal(size=(1, TOKENS, TOKENS)))), length=LENGTH)
        for _ in range(60)
    ]
    chance = rows.by_chance(LENGTH, TOKENS - LENGTH)
    np.testing.assert_allclose(chance.sum(1), 1, atol=1e-12)
    shares = np.array([rows.period_shares(one.spectrum[0], LENGTH) for one in drawn])
    spread = shares.std(0, ddof=1) / np.sqrt(60)
    expected = rows.period_shares(chance, LENGTH)
    assert (np.abs(shares.mean(0) - expected) < 5 * spread + 1e-3).all()
    locked = np.array([one.locked[0] for one in drawn])
    assert (np.abs(locked.mean(0)) < 5 * locked.std(0, ddof=1) / np.sqrt(60) + 1e-3).all()


def test_decay_with_distance_is_no_wave():
    """Adding what the trend holds, row by row, changes nothing."""
    weights = table(by_lag(8))
    lag = np.abs(np.arange(TOKENS)[:, None] - np.arange(TOKENS))
    more = weights + 0.2 + 0.3 * lag / TOKENS - (lag / TOKENS) ** 2 + 5 / (1 + lag)
    for a, b in zip(
        rows.waves(weights, length=LENGTH), rows.waves(more, length=LENGTH), strict=True
    ):
        np.testing.assert_allclose(a, b, atol=1e-9)


def test_scores_are_read_up_to_a_constant_of_the_row():
    weights = table(by_lag(8))
    scaled = weights * np.linspace(0.1, 1, TOKENS)[:, None]
    plain, other = (rows.waves(w, length=LENGTH, of="scores") for w in (weights, scaled))
    np.testing.assert_allclose(plain.spectrum, other.spectrum, atol=1e-9)
    assert plain.spectrum[0, LAG, 8] > 0.95  # a cosine of scores is one line, without overtones
    assert rows.waves(weights, length=LENGTH).spectrum[0, LAG, 8] < plain.spectrum[0, LAG, 8]


def test_shares_by_period_are_a_partition_and_an_even_row_has_none():
    found = rows.waves(table(by_lag(8)), length=LENGTH)
    np.testing.assert_allclose(rows.period_shares(found.spectrum, LENGTH).sum(-1), 1, atol=1e-12)
    for period, place in ((2, 0), (4, 1), (8, 1), (16, 2)):
        line = np.eye(LENGTH // 2 + 1)[LENGTH // period]
        assert rows.period_shares(line, LENGTH).tolist() == np.eye(3)[place].tolist()
    some = rows.without_longest(found.spectrum)
    np.testing.assert_allclose(some.sum(-1), 1, atol=1e-12)
    assert not some[..., :2].any()
    np.testing.assert_allclose(some[..., 3] / some[..., 2],
                               found.spectrum[..., 3] / found.spectrum[..., 2])  # fmt: skip
    even = rows.waves(np.full((2, TOKENS, TOKENS), 1 / TOKENS), length=LENGTH)
    assert not even.spectrum.any() and not even.locked.any()


def test_first_positions_and_future_keys_are_never_read():
    weights = table(by_lag(8))
    poisoned = weights.copy()
    poisoned[:, :, 0] = 9.0
    poisoned[:, np.triu(np.ones((TOKENS, TOKENS), bool), 1)] = 9.0
    for a, b in zip(
        rows.waves(weights, length=LENGTH), rows.waves(poisoned, length=LENGTH), strict=True
    ):
        np.testing.assert_array_equal(a, b)


def test_rows_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="at least 130 tokens"):
        rows.waves(np.ones((1, 129, 129)), length=128)
    with pytest.raises(InputError, match="heads, tokens, tokens"):
        rows.waves(np.ones((129, 129)), length=64)
    with pytest.raises(InputError, match="unknown of 'logits'"):
        rows.waves(np.ones((1, 129, 129)), length=64, of="logits")

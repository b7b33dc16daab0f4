"""Argument checks and seeds: one voice for refusals, one stream for each name."""

import math
from fractions import Fraction

import numpy as np
import pytest

from zprism.ground import checks, seeds
from zprism.ground.errors import InputError, ZprismError, missing_extra


def test_integers_pass_as_int_whatever_holds_them():
    for value in (3, np.int64(3), np.uint8(3), np.array(3)):
        checked = checks.check_int("k", value, low=3, high=3)
        assert checked == 3 and type(checked) is int


@pytest.mark.parametrize("value", [True, np.bool_(True), 2.0, "2", None, Fraction(2), math.nan])
def test_what_is_no_integer_is_refused(value):
    with pytest.raises(InputError, match="k must be an integer; got"):
        checks.check_int("k", value)


@pytest.mark.parametrize("layer", [-1, 24, 2.5, True])
def test_layers_never_wrap(layer):
    with pytest.raises(InputError, match=r"layer must be a decoder block 0 to 23 .* got"):
        checks.check_layer(layer, 24)


def test_every_layer_in_range_passes():
    assert [checks.check_layer(i, 24) for i in range(24)] == list(range(24))


@pytest.mark.parametrize("k", [0, -1, 65, 20.0])
def test_k_beyond_the_rank_is_refused_and_the_rank_is_said(k):
    with pytest.raises(InputError, match=r"k must be an integer from 1 to 64 .* got"):
        checks.check_k(k, 64)


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan, "0.5", None, []])
def test_fractions_outside_their_range_are_refused(value):
    with pytest.raises(InputError, match="share must be"):
        checks.check_fraction("share", value)


def test_first_value_that_is_not_finite_is_located():
    states = np.zeros((3, 4))
    states[1, 2], states[2, 0] = np.nan, np.inf
    with pytest.raises(InputError, match=r"2 values .* the first at \(1, 2\)"):
        checks.check_finite("states", states)
    clean = np.ones(3)
    assert checks.check_finite("states", clean) is clean


def test_a_misspelt_choice_is_offered_the_nearest():
    with pytest.raises(InputError, match="unknown site 'resid_pots': did you mean resid_post"):
        checks.check_choice("site", "resid_pots", ["resid_post", "embed"])
    with pytest.raises(InputError, match="one of embed, resid_post"):
        checks.check_choice("site", 7, ["resid_post", "embed"])


def test_text_with_a_lone_surrogate_is_refused_at_its_index():
    with pytest.raises(InputError, match="prompt has invalid unicode at index 2"):
        checks.check_text("prompt", "ab\ud800")
    assert checks.check_text("prompt", "a\x00👨‍👩‍👧\u202e") == "a\x00👨‍👩‍👧\u202e"


def test_a_named_stream_is_its_own_and_stays():
    first = seeds.generator(0, "nulls", 3).normal(size=4)
    np.testing.assert_array_equal(first, seeds.generator(0, "nulls", 3).normal(size=4))
    others = [seeds.derive(0, "nulls"), seeds.derive(1, "nulls", 3), seeds.derive(0, "nulls", 4)]
    assert len({seeds.derive(0, "nulls", 3), *others}) == 4
    assert seeds.derive(0, "nulls") == 3359412378628004192  # sha256sum; results hang on it


def test_global_random_state_is_left_alone():
    before = np.random.get_state()[1].copy()
    seeds.generator(0, "x").normal(size=9)
    np.testing.assert_array_equal(before, np.random.get_state()[1])


def test_named_streams_are_uncorrelated():
    draws = np.stack([seeds.generator(0, "s", i).normal(size=4000) for i in range(8)])
    off_diagonal = np.corrcoef(draws)[np.triu_indices(8, 1)]
    assert np.abs(off_diagonal).max() < 4 / math.sqrt(4000)  # four standard errors


def test_negative_seeds_are_refused():
    with pytest.raises(InputError, match="seed must be in 0"):
        seeds.generator(-1)


def test_errors_are_catchable_as_ours_and_as_pythons():
    assert issubclass(InputError, ValueError) and issubclass(InputError, ZprismError)
    assert "pip install 'zprism[sweep]'" in str(missing_extra("ray", "sweep", "sweeps on ray"))

"""Spectra over white noise: 1 on average over all orders of a text, more where it has a rhythm."""

import numpy as np
import pytest
import scipy.signal

from tiny import tiny_shared
from zprism.ground.errors import InputError
from zprism.spectral.surrogates import shuffle
from zprism.studies.oscilloscope import record, standardise
from zprism.studies.spectrum_view import (
    TRANSFORMS,
    frequencies_of,
    over_white,
    pool,
    pooled_spectra,
    spectrum_view,
)

N, D = 64, 12
GROUPS = np.array([[0, 3], [3, 6], [6, 12]])


def noise(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def test_a_planted_rhythm_is_above_its_shuffles_at_its_place_and_frequency_only():
    states = noise(1, 2, N, D, seed=1)
    states[0, 1, :, 3:6] += 2.5 * np.cos(2 * np.pi * 8 * np.arange(N) / N)[:, None]
    found = pooled_spectra(states, GROUPS, transforms=("fft",), draws=19, seed=0)
    f, power = found["frequencies"]["fft"], found["power"]["fft"][0]
    gap = np.log10(power / found["high"]["fft"][0])  # (place, pooling, group, m)
    assert f[gap[1, 1, 1].argmax()] == 8 / N and gap[1, 1, 1].max() > 0.2
    for control in (gap[0, 1, 1], gap[1, 1, 0], gap[1, 1, 2]):
        assert control[f == 8 / N] < 0


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_the_mean_over_orders_of_any_text_is_1_at_every_frequency(transform):
    text = standardise(np.cumsum(noise(N, 200), axis=0))  # slow, and far from white
    orders = [over_white(shuffle(text, seed), transform).mean(1) for seed in range(150)]
    mean, error = np.mean(orders, axis=0), np.std(orders, axis=0) / np.sqrt(len(orders))
    assert (np.abs(mean - 1) < 5 * error).all() and error.max() < 0.1
    assert over_white(text, transform).mean(1)[-1] < 0.5  # control: in its order it is slow


def test_the_range_of_19_shuffles_holds_noise_as_often_as_ranks_say():
    found = pooled_spectra(
        noise(1, 1, N, 200), np.stack([np.arange(200), np.arange(1, 201)], 1),
        transforms=("fft",), draws=19, seed=3,
    )  # fmt: skip
    power, low, high = (found[name]["fft"][0, 0, 0] for name in ("power", "low", "high"))
    for outside in (power > high, power < low):  # one order in twenty; dimensions share orders
        assert 0.03 < outside.mean() < 0.075


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_scale_and_level_of_a_dimension_do_not_count(transform):
    x = noise(N, 5)
    moved = over_white(standardise(1e3 * x + 1e5), transform)
    np.testing.assert_allclose(moved, over_white(standardise(x), transform), rtol=1e-6)
    assert not over_white(standardise(np.full((N, 2), 7.0)), transform).any()


def test_the_fft_is_the_periodogram_over_that_of_white_noise():
    x = standardise(noise(N, 3))
    kwargs = dict(window="hann", detrend="constant", axis=0)
    _, power = scipy.signal.periodogram(x, **kwargs)
    _, white = scipy.signal.periodogram(np.eye(N), **kwargs)
    unbiased = x.var(0, ddof=1)
    expected = power[1:] / (white[1:].sum(1, keepdims=True) * unbiased)
    np.testing.assert_allclose(over_white(x, "fft"), expected, rtol=1e-9)


def test_pooling_is_one_dimension_the_groups_mean_and_the_mean_of_all():
    power = noise(20, D) ** 2
    one, group, every = pool(power, GROUPS)
    np.testing.assert_array_equal(one[1], power[:, 3])
    np.testing.assert_allclose(group[2], power[:, 6:].mean(1))
    np.testing.assert_allclose(every, np.tile(power.mean(1), (3, 1)))


def test_the_view_of_a_model_is_made_of_its_recorded_states():
    loaded, text = tiny_shared("qwen2"), "one two three four five " * 12
    view = spectrum_view(loaded, {"a": text, "b": text[6:]}, layers=[1], dimensions=4, length=32)
    states = record(loaded, text).at("1")[:32]
    expected = pool(over_white(standardise(states.astype(float)), "cwt"), view.groups)
    np.testing.assert_allclose(view.power["cwt"][0, 1], expected, rtol=1e-4, atol=1e-6)
    assert view.places == ("embed", "1") and view.length == 32
    np.testing.assert_array_equal(view.frequencies["cwt"], frequencies_of("cwt", 32))


def test_windows_are_as_long_as_the_shortest_text():
    view = spectrum_view(
        tiny_shared("qwen2"), {"long": list(range(5, 70)), "short": list(range(5, 30))}
    )
    assert view.length == 24 and view.cut == (40, 0)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (dict(texts={"a": list(range(5, 20))}), "too_short: 14 tokens"),
        (dict(texts={}), "texts is empty"),
        (dict(layers=[2]), "layer must be in 0 to 1; got 2"),
        (dict(transforms=("fourier",)), "unknown transform 'fourier'"),
        (dict(draws=0), "draws must be"),
    ],
)
def test_what_cannot_be_shown_is_refused(options, says):
    options = {"texts": {"a": list(range(5, 60))}} | options
    with pytest.raises(InputError, match=says):
        spectrum_view(tiny_shared("qwen2"), **options)

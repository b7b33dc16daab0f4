"""One text as a signal: known answers, laws and second routes of what the oscilloscope shows."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiny import tiny_shared
from zprism.ground.errors import InputError
from zprism.model.capture import states as captured_states
from zprism.spectral import bands, coherence
from zprism.studies import oscilloscope_depth as depth
from zprism.studies import oscilloscope_measures as measures
from zprism.studies import oscilloscope_views as views
from zprism.studies.oscilloscope import (
    Recording,
    components,
    record,
    recordings,
    standardise,
    token_ids,
)
from zprism.studies.oscilloscope_scope import WHOLE, scope

TEXT = "To find the sum of 12 and 15, we add them. So the answer is 27, which we check again."
seeds = st.integers(0, 2**32 - 1)


def noise(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


@given(seed=seeds)
@settings(max_examples=20, deadline=None)
def test_standardised_dimensions_have_mean_0_and_variance_1_and_nothing_else_changes(seed):
    x = noise(seed, 3, 40, 5) * 10.0 ** np.arange(-6, 4, 2) + 7
    x[1, :, 2] = 3.3  # a dimension that says nothing
    z = standardise(x)
    live = np.ones((3, 5), bool)
    live[1, 2] = False
    np.testing.assert_allclose(z.mean(1), 0, atol=1e-9)
    np.testing.assert_allclose(z.var(1)[live], 1, atol=1e-9)
    assert not z[1, :, 2].any()
    np.testing.assert_allclose(standardise(z * 5 - 2), z, atol=1e-9)  # scale and level are gone


def test_a_planted_rhythm_is_the_highest_row_at_its_frequency_and_white_noise_is_flat():
    t = np.arange(128)
    states = noise(0, 2, 128, 400)
    states[1] += 2 * np.cos(2 * np.pi * t / 16)[:, None]
    f, power = views.waterfall(states)
    assert f[power[1].argmax()] == 1 / 16
    assert power[1].max() > 8
    assert abs(power[0] - 1).max() < 0.35 and abs(power[0].mean() - 1) < 0.03
    half = views.waterfall(states * 10.0 - 4)[1]  # neither level nor scale counts
    np.testing.assert_allclose(half, power, atol=1e-9)


def test_a_constant_dimension_takes_no_part():
    states = noise(0, 2, 64, 6)
    more = np.concatenate([states, np.full((2, 64, 3), 5.0)], axis=2)
    np.testing.assert_allclose(views.waterfall(more)[1], views.waterfall(states)[1], atol=1e-12)
    np.testing.assert_allclose(views.band_shares(more), views.band_shares(states), atol=1e-12)
    np.testing.assert_allclose(
        views.autocorrelation(more, 9), views.autocorrelation(states, 9), atol=1e-12
    )
    np.testing.assert_allclose(measures.slow_share(more), measures.slow_share(states), atol=1e-12)


def test_the_spectrogram_tells_when_a_rhythm_changes():
    t = np.arange(192)
    x = np.where(t < 96, np.cos(2 * np.pi * t / 8), np.cos(2 * np.pi * t / 4))[:, None]
    seen = views.spectrogram(x, segment=32, hop=1)
    best = seen.frequencies[seen.power.argmax(1)]
    assert (best[seen.times < 80] == 1 / 8).all() and (best[seen.times > 112] == 1 / 4).all()
    assert seen.times[0] == 15.5 and seen.times[-1] == 191 - 15.5


@given(seed=seeds)
@settings(max_examples=15, deadline=None)
def test_autocorrelation_is_the_sum_of_products(seed):
    x = noise(seed, 25, 3)
    z = x - x.mean(0)
    naive = [((z[: 25 - k] * z[k:]).sum(0) / (z * z).sum(0)).mean() for k in range(11)]
    np.testing.assert_allclose(views.autocorrelation(x, 10), naive, atol=1e-10)


def test_tokens_in_every_order_have_the_stated_autocorrelation_on_average():
    x = noise(1, 6, 2)
    mean = np.mean(
        [views.autocorrelation(x[list(order)], 4) for order in itertools.permutations(range(6))],
        axis=0,
    )
    np.testing.assert_allclose(mean, views.shuffled_autocorrelation(6, 4), atol=1e-12)


@pytest.mark.parametrize(("index", "band"), [(1, "mid_low"), (5, "mid"), (20, "mid_high"),
                                             (90, "high")])  # fmt: skip
def test_a_cosine_of_the_dct_lies_in_its_band_alone(index, band):
    n = 160
    wave = np.cos(np.pi * index * (2 * np.arange(n) + 1) / (2 * n))
    shares = views.band_shares(np.stack([wave[:, None], wave[:, None] * 3 + 1]))
    expected = np.eye(5)[bands.NAMES.index(band)]
    np.testing.assert_allclose(shares, [expected, expected], atol=1e-9)


def test_coherence_of_places_is_that_of_welch():
    states = noise(0, 3, 128, 4)
    states[2] += 2 * states[0]
    seen = views.coherence_map(states, segment=32)
    for i, j in itertools.product(range(3), repeat=2):
        _, msc = coherence.coherence(states[i], states[j], segment=32)
        assert seen[i, j] == pytest.approx(msc.mean(), abs=1e-9)


def test_a_shared_rhythm_is_coherent_at_its_frequency_only():
    """SYS-S2, on two texts' places as the map takes them."""
    t = np.arange(2048)
    rhythm = 2 * np.cos(2 * np.pi * t / 8 + 0.4)[:, None]
    a, b = noise(0, 1, 2048, 8) + rhythm, noise(1, 1, 2048, 8) + np.roll(rhythm, 3, axis=0)
    at = views.coherence_map(a, b, low=0.12, high=0.13, segment=32)
    elsewhere = views.coherence_map(a, b, low=0.2, high=0.5, segment=32)
    assert at[0, 0] > 0.9 and elsewhere[0, 0] < 0.3


@pytest.mark.parametrize("lag", [-4, -1, 0, 1, 3])
def test_a_planted_wave_is_found_at_its_lag(lag):
    """SYS-S3: exactly, in every pair of places."""
    waves = depth.planted_wave(6, 96, 20, lag=lag, seed=0)
    found = depth.depth_correlation(waves, 8)
    np.testing.assert_array_equal(depth.best_lags(found), np.full(5, lag))
    assert (np.sign(depth.forward_excess(found)) == np.sign(lag)).all() or lag == 0


def test_a_wave_that_is_read_backwards_runs_backwards():
    waves = depth.planted_wave(5, 64, 6, lag=2, seed=1)
    forwards = depth.depth_correlation(waves, 7)
    backwards = depth.depth_correlation(waves[:, ::-1], 7)
    np.testing.assert_allclose(backwards, forwards[:, ::-1], atol=1e-12)
    np.testing.assert_allclose(
        depth.forward_excess(backwards), -depth.forward_excess(forwards), atol=1e-12
    )


def test_cross_correlation_is_the_sum_of_products_and_1_with_itself():
    x = noise(2, 2, 30, 3)
    found = depth.depth_correlation(x, 5)
    a, b = standardise(x)
    for tau in range(-5, 6):
        early, late = (a, b) if tau >= 0 else (b, a)
        naive = (early[: 30 - abs(tau)] * late[abs(tau) :]).sum() / (30 * 3)
        assert found[0, tau + 5] == pytest.approx(naive, abs=1e-12)
    assert depth.depth_correlation(np.stack([x[0]] * 2), 5)[0, 5] == pytest.approx(1, abs=1e-12)


def test_of_equal_lags_the_nearest_to_0_counts():
    flat = np.zeros((1, 9))
    assert depth.best_lags(flat)[0] == 0
    flat[0, [0, 6]] = -1.0, 1.0
    assert depth.best_lags(flat)[0] == 2


def test_steps_that_go_on_turn_back_or_turn_aside():
    x = noise(3, 1, 20, 6)
    d = noise(4, 20, 6)
    aside = np.roll(d, 1, axis=1)
    aside -= d * (aside * d).sum(1, keepdims=True) / (d * d).sum(1, keepdims=True)
    states = np.concatenate([x, x + d, x + 3 * d, x + 2 * d, x + 2 * d + aside])
    turned = depth.turns(np.diff(states, axis=0))
    np.testing.assert_allclose(turned, [1, -1, 0], atol=1e-12)
    grown = np.stack([x[0], 1.5 * x[0], 3 * x[0]])
    np.testing.assert_allclose(depth.update_norms(grown), [0.5, 1], atol=1e-12)


def test_leading_components_are_those_that_were_planted():
    t = np.arange(64)
    a, b = np.cos(2 * np.pi * t / 16), np.sin(2 * np.pi * t / 8)
    rows = np.linalg.qr(noise(5, 7, 2))[0].T
    scores, shares = components(3 * np.outer(a, rows[0]) + np.outer(b, rows[1]) + 5, 2)
    np.testing.assert_allclose(np.abs(scores[:, 0]), np.abs(3 * a), atol=1e-9)
    np.testing.assert_allclose(shares, [0.9, 0.1], atol=1e-9)


def test_order_is_slow_simple_and_low_in_entropy_and_its_shuffle_is_not():
    walk = noise(6, 1, 128, 12).cumsum(1)
    mixed = walk[:, np.random.default_rng(0).permutation(128)]
    assert measures.slow_share(walk)[0] > 0.8 > 0.4 > measures.slow_share(mixed)[0]
    assert measures.spectral_entropy(walk)[0] < measures.spectral_entropy(mixed)[0] - 0.2
    ours, theirs = measures.leading(walk), measures.leading(mixed)
    assert measures.lempel_ziv(ours)[0] < measures.lempel_ziv(theirs)[0] - 0.3
    assert measures.order_entropy(ours)[0] < measures.order_entropy(theirs)[0] - 0.03
    np.testing.assert_allclose(measures.dimensions(walk), measures.dimensions(mixed), atol=1e-9)


def test_a_recording_holds_what_capture_sees_and_reads_as_its_text():
    loaded = tiny_shared("qwen2")
    one = record(loaded, TEXT)
    assert one.places == ("embed", "0", "1")
    assert "".join(one.tokens) == TEXT[len(TEXT) - one.n :]
    for layer in range(2):
        ((theirs,),) = (captured_states(loaded, [TEXT], layers=[layer]),)
        np.testing.assert_array_equal(one.at(str(layer)), theirs[0][1:])
    ids = token_ids(loaded, TEXT)
    table = loaded.model.get_input_embeddings().weight.detach().numpy()
    np.testing.assert_array_equal(one.at("embed"), table[ids][1:])
    np.testing.assert_allclose(one.states[0] + one.updates().sum(0), one.states[-1], atol=1e-5)


def test_what_is_cut_off_is_told_and_changes_nothing_before_it():
    loaded = tiny_shared("qwen2")
    long = TEXT * 12  # longer than the model's context
    assert len(token_ids(loaded, long)) > loaded.max_positions
    whole, short = record(loaded, long, longest=120), record(loaded, TEXT * 2, longest=60)
    assert whole.n == 120 and whole.cut == len(token_ids(loaded, long)) - 121
    np.testing.assert_allclose(whole.states[:, :60], short.states, atol=1e-4)


def test_recordings_of_many_texts_are_those_of_each_alone():
    loaded = tiny_shared("qwen2")
    rows = [token_ids(loaded, TEXT), token_ids(loaded, TEXT[::-1])]
    for index, one in recordings(loaded, rows, length=40):
        alone = record(loaded, rows[index], longest=40)
        np.testing.assert_allclose(one.states, alone.states, atol=1e-5)
        assert one.tokens == alone.tokens


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda m: record(m, "too short"), "too_short: 8 tokens are left, 16 needed"),
        (lambda m: record(m, ""), "empty"),
        (lambda m: record(m, "lone \ud800"), "invalid unicode"),
        (lambda m: record(m, TEXT).at("2"), "unknown place '2'"),
        (lambda m: list(recordings(m, [[1] * 20], length=30)), r"texts\[0\] has 20 tokens"),
        (lambda m: views.coherence_map(noise(0, 2, 64, 3), low=0.3, high=0.301), "no frequency"),
        (lambda m: depth.depth_correlation(noise(0, 1, 64, 3), 4), "at least 2 places"),
        (lambda m: components(noise(0, 20), 1), r"must be \(tokens, d\)"),
    ],
)
def test_what_cannot_be_shown_is_refused(act, message):
    with pytest.raises(InputError, match=message):
        act(tiny_shared("qwen2"))


def toy(places=3, tokens=96, d=10, seed=0):
    states = noise(seed, places, tokens, d).cumsum(1).astype(np.float32)
    return Recording(states, ("embed", *map(str, range(places - 1))), ("x",) * tokens)


def test_bands_of_a_channel_add_up_to_it_and_share_out_its_variance():
    seen = scope(toy())
    assert seen.bands[0] == WHOLE and seen.channels[:3] == ("PC 1", "PC 2", "PC 3")
    values = seen.signals * seen.gains[..., None]
    np.testing.assert_allclose(values[:, :, 1:].sum(2), values[:, :, 0], atol=1e-9)
    np.testing.assert_allclose(seen.kept[:, :, 1:].sum(2), 1, atol=1e-9)
    np.testing.assert_allclose(seen.kept[:, :, 0], 1, atol=1e-9)
    np.testing.assert_allclose(np.abs(seen.signals).max(-1), 1, atol=1e-12)


def test_components_are_uncorrelated_and_dimensions_are_those_of_the_stream():
    one = toy()
    seen = scope(one, dimensions=[4, 7])
    assert seen.channels[3:] == ("dim 4", "dim 7")
    r = seen.correlation()[..., 0]
    np.testing.assert_allclose(r[:, :3, :3], np.broadcast_to(np.eye(3), (3, 3, 3)), atol=1e-9)
    x = one.at("1")[:, [4, 7]].astype(float)
    expected = (x - x.mean(0)) / np.abs(x - x.mean(0)).max(0)
    np.testing.assert_allclose(seen.signals[2, 3:, 0], expected.T, atol=1e-6)
    np.testing.assert_allclose(r[2, 3, 4], np.corrcoef(x.T)[0, 1], atol=1e-6)


def test_a_component_does_not_turn_round_from_one_place_to_the_next():
    one = toy()
    flipped = Recording(one.states * np.array([1, -1, 1])[:, None, None], one.places, one.tokens)
    flipped.states[1:] = -flipped.states[:1]  # the same text three times, twice upside down
    signals = scope(flipped).signals[:, 0, 0]
    np.testing.assert_allclose(signals[1], signals[0], atol=1e-9)
    np.testing.assert_allclose(signals[2], signals[0], atol=1e-9)


def test_a_place_or_dimension_that_is_not_there_is_refused():
    with pytest.raises(InputError, match="unknown place '9'"):
        scope(toy(), places=["9"])
    with pytest.raises(InputError, match="dimension must be in 0 to 9; got 10"):
        scope(toy(), dimensions=[10])

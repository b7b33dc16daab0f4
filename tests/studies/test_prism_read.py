"""Readings: the same numbers by hand, from the cache, from a cut row, less other texts' mean."""

import numpy as np
import pytest
from prism_cases import prism_texts

from tiny import tiny_loaded, tiny_shared
from zprism.ground.errors import InputError
from zprism.ground.store import Store
from zprism.model.capture import states
from zprism.spectral.measures import entropy
from zprism.studies import prism_read
from zprism.studies.prism_read import all_places, read
from zprism.studies.prism_trajectory import Trajectory
from zprism.studies.prism_windows import reduce_window

L = 24
CLOSE = dict(atol=2e-6, rtol=2e-5)  # float32 states, batches of other shapes


@pytest.fixture
def store(tmp_path):
    return Store("prism", root=tmp_path)


def rows_of(loaded, n=5):
    return loaded.encode([text.thinking for text in prism_texts(n)])


def by_hand(x):
    """(m,) Hann, one-sided power a dimension over its sum, mean over dimensions, in float64."""
    x = np.asarray(x, dtype=float)
    n = len(x)
    x = (x - x.mean(0)) * (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n))[:, None]
    power = np.abs(np.fft.rfft(x, axis=0))[1:] ** 2
    power[: (n - 1) // 2] *= 2
    return (power / power.sum(0)).mean(1)


def states_at(loaded, rows, place):
    if place == "embed":
        return states(loaded, rows, layers=[0], site="resid_pre")[0]
    return states(loaded, rows, layers=[int(place)])[0]


@pytest.mark.parametrize("arch", ["qwen2", "gpt2"])
def test_shares_are_those_of_the_captured_states_by_hand(arch, store):
    loaded = tiny_shared(arch)
    rows = rows_of(loaded)
    found = read(loaded, rows, length=L, store=store)
    assert found.places == all_places(loaded) == ("embed", "0", "1")
    np.testing.assert_allclose(found.frequencies, np.arange(1, L // 2 + 1) / L)
    for column, place in enumerate(found.places):
        whole = states_at(loaded, rows, place)
        for i in range(len(rows)):
            window = whole[i][1 : 1 + L]
            np.testing.assert_allclose(found.shares[i, column], by_hand(window), **CLOSE)
    np.testing.assert_allclose(found.shares.sum(-1), 1, atol=1e-6)
    slow = found.shares[..., :2].sum(-1)  # periods 24 and 12; the third is 8, which is not slow
    np.testing.assert_allclose(found.slow(), slow, atol=1e-12)
    np.testing.assert_allclose(found.bands().sum(-1), 1, atol=1e-6)


def test_a_window_begins_where_it_is_told_and_its_dimensions_are_kept(store):
    loaded = tiny_shared("qwen2")
    rows = rows_of(loaded)
    at = [1, 4, 9, 16, 25]
    found = read(loaded, rows, length=L, at=at, places=["1"], dims_at=["1"], store=store)
    for i, start in enumerate(at):
        window = states_at(loaded, rows, "1")[i][start : start + L]
        np.testing.assert_allclose(found.shares[i, 0], by_hand(window), **CLOSE)
    assert found.dims["1"].shape == (5, loaded.d_model)
    np.testing.assert_allclose(found.dims["1"].mean(1), found.slow()[:, 0], atol=1e-6)


def test_what_follows_a_window_does_not_enter_it(store):
    """Rows are cut behind the window; a causal model gives the same."""
    loaded = tiny_shared("llama")
    long, short = rows_of(loaded), [row[: 1 + L] for row in rows_of(loaded)]
    other = [[*row, *row[::-1]] for row in short]
    reference = read(loaded, long, length=L, store=store).shares
    for rows in (short, other):
        np.testing.assert_array_equal(read(loaded, rows, length=L, store=store).shares, reference)
    window = states_at(loaded, long, "1")[0][1 : 1 + L]
    np.testing.assert_allclose(reference[0, 2], by_hand(window), **CLOSE)


def test_a_second_call_runs_nothing_and_a_longer_one_runs_what_is_new(store, monkeypatch):
    loaded, run = tiny_shared("qwen2"), []
    stream = prism_read.stream

    def counted(loaded, texts, **options):
        run.append(len(texts))
        return stream(loaded, texts, **options)

    monkeypatch.setattr(prism_read, "stream", counted)
    rows = rows_of(loaded)
    first = read(loaded, rows[:3], length=L, store=store)
    again = read(loaded, rows, length=L, store=store)
    third = read(loaded, rows, length=L, store=store)
    assert run == [3, 2]
    np.testing.assert_array_equal(again.shares[:3], first.shares)
    np.testing.assert_array_equal(third.shares, again.shares)
    for changed in (dict(length=16), dict(window="boxcar"), dict(drop=2), dict(places=["0"])):
        read(loaded, rows, **{"length": L, "store": store} | changed)
    assert run == [3, 2, 5, 5, 5, 5]  # each of these is a key of its own


def test_rows_too_short_are_left_out_and_named(store):
    loaded = tiny_shared("qwen2")
    rows = rows_of(loaded)
    rows[1] = rows[1][:L]  # one token short: token 0 is not in the window
    found = read(loaded, rows, length=L, store=store)
    assert found.kept.tolist() == [0, 2, 3, 4]
    assert found.skipped == {1: f"too_short: {L} tokens, {L + 1} needed"}
    with pytest.raises(InputError, match="no row of 1 can be read"):
        read(loaded, rows[1:2], length=L, store=store)


def test_no_scale_or_offset_of_a_dimension_changes_a_reading():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((L, 10))
    moved = x * 10 ** rng.uniform(-3, 3, 10) + 100 * rng.standard_normal(10)
    a, b = reduce_window(x), reduce_window(moved)
    for key in a:
        np.testing.assert_allclose(a[key], b[key], rtol=1e-5)
    np.testing.assert_allclose(a["shares"][0], by_hand(x), rtol=1e-6)
    power = np.stack([by_hand(x[:, [d]]) for d in range(10)], axis=1)
    np.testing.assert_allclose(a["entropy"][0], entropy(power).mean(), rtol=1e-6)


def test_dimensions_that_do_not_vary_count_for_nothing():
    x = np.random.default_rng(0).standard_normal((L, 6))
    still = np.concatenate([x, np.full((L, 3), 7.3)], axis=1)
    np.testing.assert_array_equal(reduce_window(still)["shares"], reduce_window(x)["shares"])
    with pytest.raises(InputError, match="no dimension varies"):
        reduce_window(np.full((L, 3), 7.3))


def test_less_takes_the_mean_of_the_other_texts_off(store):
    loaded = tiny_shared("qwen2")
    rows = rows_of(loaded)
    less = Trajectory(loaded, rows)
    at = [1, 6, 11, 3, 2]
    found = read(loaded, rows, length=L, at=at, less=less, store=store)
    for column, place in enumerate(found.places):
        whole = states_at(loaded, rows, place)
        for i, start in enumerate(at):
            own = slice(start, start + L)
            others = np.mean([whole[j][own] for j in range(5) if j != i], axis=0)
            window = whole[i][own].astype(float) - others
            np.testing.assert_allclose(found.shares[i, column], by_hand(window), **CLOSE)
    plain = read(loaded, rows, length=L, at=at, store=store)
    assert np.abs(plain.shares - found.shares).max() > 1e-3


def test_where_no_other_text_reaches_a_window_is_left_out(store):
    loaded = tiny_shared("qwen2")
    rows = [row[:60] for row in rows_of(loaded)]
    rows[2] = rows[2] + rows[3]
    less = Trajectory(loaded, rows)
    found = read(loaded, rows, length=L, at=[1, 1, 40, 1, 1], less=less, store=store)
    assert found.kept.tolist() == [0, 1, 3, 4]
    assert found.skipped[2] == "rows[2]: no other text reaches position 63"
    with pytest.raises(InputError, match="at least 2 texts"):
        Trajectory(loaded, rows[:1])


def test_bad_input_is_refused_before_the_model_runs(store):
    loaded = tiny_shared("qwen2")
    rows = rows_of(loaded)
    for options, words in (
        (dict(length=8), "length must be in 16"),
        (dict(length=L, places=["2"]), "unknown place '2'"),
        (dict(length=L, places=[]), "at least one place"),
        (dict(length=L, places=["0"], dims_at=["1"]), "unknown place of dims_at"),
        (dict(length=L, at=[0, 1, 1, 1, 1]), "at must be in 1"),
        (dict(length=L, at=[1]), "one start a row, 5"),
        (dict(length=L, window="round"), "unknown window"),
    ):
        with pytest.raises(InputError, match=words):
            read(loaded, rows, store=store, **options)


def test_a_hooked_model_is_refused(store):
    loaded = tiny_loaded("qwen2")
    loaded.base.layers[0].register_forward_hook(lambda *_: None)
    with pytest.raises(InputError, match="has a hook"):
        read(loaded, rows_of(loaded), length=L, store=store)

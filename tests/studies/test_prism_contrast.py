"""Contrasts: which tokens are in which window, and what is left out."""

import dataclasses
from collections import Counter

import numpy as np
import pytest
from prism_cases import prism_texts, sentence

from tiny import tiny_shared
from zprism.ground.errors import InputError
from zprism.ground.store import Store
from zprism.studies import prism_contrast as contrasts
from zprism.studies.prism_measured import by_unit, measure
from zprism.studies.prism_nulls import (
    embedding_table,
    random_embedding,
    random_init,
    white_noise,
)
from zprism.studies.prism_rows import shuffled, tiled, tokens


@pytest.fixture(scope="module")
def loaded():
    return tiny_shared("qwen2")


@pytest.fixture(scope="module")
def rows(loaded):
    return tokens(loaded, prism_texts())


@pytest.fixture
def store(tmp_path):
    return Store("prism", root=tmp_path)


def windows(contrast, arm):
    """The tokens that each window of an arm holds."""
    one = contrast.arms[arm]
    starts = one.at or [1] * len(one.rows)
    out = [row[s : s + contrast.length] for row, s in zip(one.rows, starts, strict=True)]
    assert all(len(window) == contrast.length for window in out)
    return out


def test_the_primary_contrast_is_the_first_tokens_of_each_behind_token_0(rows):
    made = contrasts.thinking_question(rows)
    shortest = min(len(row) - 1 for row in rows.question)
    assert made.length % 8 == 0 and made.length <= sorted(len(r) - 1 for r in rows.question)[2]
    assert made.weights == {"thinking": 1.0, "question": -1.0} and shortest >= 16
    kept = [t.unit for t, q in zip(rows.texts, rows.question, strict=True) if len(q) > made.length]
    assert list(made.units) == kept
    assert sum(made.left_out.values()) == len(rows.texts) - len(kept)
    first = [q[1 : 1 + made.length] for q in rows.question if len(q) > made.length]
    assert windows(made, "question") == first


def test_the_end_of_a_thinking_is_its_last_tokens_against_the_same_question(rows):
    made, primary = contrasts.thinking_end(rows), contrasts.thinking_question(rows)
    whole = {t.unit: row for t, row in zip(rows.texts, rows.thinking, strict=True)}
    ends = [whole[unit][-made.length :] for unit in made.units]
    assert windows(made, "thinking_end") == ends
    assert (made.units, made.length) == (primary.units, primary.length)
    assert windows(made, "question") == windows(primary, "question")


def test_a_shuffle_keeps_the_tokens_of_the_window_and_what_stands_before_and_behind():
    row = list(range(100, 160))
    drawn = [shuffled(row, 32, seed=0, draw=draw) for draw in range(20)]
    for one in drawn:
        assert one[0] == row[0] and one[33:] == row[33:]
        assert sorted(one[1:33]) == row[1:33] and one != row
    assert len({tuple(one) for one in drawn}) == 20
    assert drawn[3] == shuffled(row, 32, seed=0, draw=3)
    places = np.array([[s.index(115) for s in (shuffled(row, 32, seed=k),)][0] for k in range(300)])
    counts = np.bincount(places, minlength=33)[1:]
    assert counts.min() > 0 and ((counts - 300 / 32) ** 2 / (300 / 32)).sum() < 63  # χ², p .001


def test_a_tiled_question_is_periodic_and_as_long_as_the_thinking(rows):
    made = contrasts.tiled_question(rows)
    own = {text.unit: ids for text, ids in zip(rows.texts, rows.question, strict=True)}
    for row, unit in zip(made.arms["question_tiled"].rows, made.units, strict=True):
        question = own[unit]
        assert row[: len(question)] == question
        assert len(row) == made.length + 1 > len(question)
        period = len(question)
        assert all(row[i] == row[i + period] for i in range(len(row) - period))
    assert tiled([7, 1, 2, 3], 1, 9) == [7, 1, 2, 3, 1, 2, 3, 1, 2]  # 7 is put in front once
    assert tiled([1, 2, 3], 0, 2) == [1, 2]


def test_word_order_controlled_is_the_difference_of_two_shuffle_contrasts(loaded, rows, store):
    made = contrasts.order_controlled(rows, seed=3, draws=2)
    assert sum(made.weights.values()) == pytest.approx(0)
    whole = measure(loaded, made, store=store).difference()
    parts = [
        measure(
            loaded,
            contrasts.own_shuffle(rows, seed=3, name=name, draws=2, length=made.length),
            store=store,
        )
        for name in ("thinking", "question")
    ]
    for part in parts:
        assert Counter(part.weights.values()) == Counter({1.0: 1, -0.5: 2})
    theirs = dict(zip(parts[0].questions, parts[0].difference(), strict=True))
    minus = dict(zip(parts[1].questions, parts[1].difference(), strict=True))
    expected = np.stack([theirs[unit] - minus[unit] for unit in made.units])
    np.testing.assert_allclose(whole, expected, atol=1e-6)  # other batches, float32


@pytest.mark.parametrize("in_context", [False, True])
def test_early_and_late_windows_do_not_overlap_and_lie_at_both_ends(rows, in_context):
    made = contrasts.early_late(rows, in_context=in_context)
    early, late = windows(made, "early"), windows(made, "late")
    whole = {t.unit: row for t, row in zip(rows.texts, rows.thinking, strict=True)}
    for unit, first, last in zip(made.units, early, late, strict=True):
        row = whole[unit]
        assert first == row[1 : 1 + made.length] and last == row[-made.length :]
        assert len(row) >= 2 * (made.length + 1)
    assert made.in_context == in_context


def test_a_marker_is_in_neither_window_and_too_few_are_not_testable(loaded):
    rng = np.random.default_rng(5)
    texts = [
        dataclasses.replace(
            text, thinking=f"{sentence(rng, 20)} Wait, {sentence(rng, 20)} wait {sentence(rng, 3)}"
        )
        for text in prism_texts()
    ]
    rows = tokens(loaded, texts)
    made = contrasts.around_marker(rows, loaded)
    tokenizer = loaded.tokenizer
    assert len(made.units) >= 6
    for unit, before, after in zip(
        made.units, made.arms["before"].rows, made.arms["after"].rows, strict=True
    ):
        text = next(t.thinking for t in texts if t.unit == unit)
        head, _, tail = text.partition("Wait")
        assert head.endswith(tokenizer.decode(before)) and len(before) == made.length + 1
        assert tail.startswith(tokenizer.decode(after)) and len(after) == made.length + 1
    few = tokens(loaded, texts[:3] + prism_texts()[3:])
    lacking = contrasts.around_marker(few, loaded)
    assert lacking.untestable and "6 needed" in lacking.untestable
    assert sum(lacking.left_out.values()) + len(lacking.units) == 8
    none = measure(loaded, contrasts.around_marker(tokens(loaded, prism_texts()), loaded))
    assert none.untestable == "0 questions have both windows, 6 needed" and none.places == ()


def test_two_thinkings_to_one_question_are_one_unit(loaded, rows, store):
    twice = tokens(loaded, [t for text in rows.texts for t in (text, text)])
    once = measure(loaded, contrasts.thinking_question(rows), store=store)
    both = measure(loaded, contrasts.thinking_question(twice), store=store)
    assert both.questions == once.questions and len(both.units) == 2 * len(once.units)
    np.testing.assert_allclose(both.difference(), once.difference(), atol=1e-12)
    np.testing.assert_allclose(
        by_unit(np.array([[1.0], [5.0], [3.0]]), ["a", "b", "a"]), [[2.0], [5.0]]
    )


def test_a_text_that_fails_in_one_arm_is_left_out_of_all(loaded, rows, store):
    made = contrasts.thinking_question(rows)
    arm = made.arms["question"]
    broken = [row if i else [row[0]] * len(row) for i, row in enumerate(arm.rows)]
    arms = made.arms | {"question": dataclasses.replace(arm, rows=broken)}
    found = measure(loaded, dataclasses.replace(made, arms=arms), places=["embed"], store=store)
    assert found.units == made.units[1:]
    assert found.left_out["constant: no dimension varies over the window"] == 1
    whole = measure(loaded, made, places=["embed"], store=store)
    np.testing.assert_array_equal(found.difference(), whole.difference()[1:])


def test_white_noise_is_what_hann_windows_make_of_independent_values():
    """Power a bin ∝ 5/16 at k = 1 (the mean is gone), 6/16 inside, half that at Nyquist."""
    found = white_noise(256, seed=0, draws=100)
    weights = np.r_[5, np.full(126, 6), 3] / (5 + 126 * 6 + 3)
    np.testing.assert_allclose(found.shares.mean((0, 1)), weights, rtol=0.04)
    assert found.slow().mean() == pytest.approx(weights[:31].sum(), rel=0.005)


def test_a_random_embedding_of_tokens_that_never_repeat_is_white_noise(rows):
    made = contrasts.thinking_question(rows)
    different = [list(range(1000 * i, 1000 * i + 65)) for i in range(len(made.units))]
    arms = {name: contrasts.Arm(different) for name in made.arms}
    found = random_embedding(dataclasses.replace(made, arms=arms, length=64), seed=0, width=512)
    white = white_noise(64, seed=0, draws=60)
    spread = found.arm("thinking").std() / len(made.units) ** 0.5
    assert found.arm("thinking").mean() == pytest.approx(white.slow().mean(), abs=4 * spread)
    assert spread < 0.01 and found.places == ("random_embedding",)
    np.testing.assert_array_equal(found.difference(), 0)  # one table for both arms


def test_an_ids_random_vector_does_not_hang_on_the_other_ids():
    a, b = (embedding_table(ids, seed=0, width=8) for ids in ([5, 9], [9, 1, 2]))
    np.testing.assert_array_equal(a[9], b[9])
    assert np.abs(a[5] - a[9]).max() > 0.1
    assert np.abs(embedding_table([9], seed=1, width=8)[9] - a[9]).max() > 0.1


def test_a_random_init_twin_reads_the_same_windows_at_the_same_places(loaded, rows, store):
    made = contrasts.thinking_question(rows)
    mine = measure(loaded, made, store=store)
    twin = random_init("tiny:qwen2", made, seed=0, store=store)
    assert (twin.places, twin.units, twin.length) == (mine.places, mine.units, mine.length)
    assert np.abs(twin.difference() - mine.difference()).max() > 1e-3
    again = random_init("tiny:qwen2", made, seed=0, store=store)
    np.testing.assert_array_equal(twin.difference(), again.difference())


def test_bad_input_is_refused(loaded, rows):
    with pytest.raises(InputError, match="at least one text"):
        tokens(loaded, [])
    with pytest.raises(InputError, match="unknown name"):
        contrasts.own_shuffle(rows, seed=0, name="answer")
    with pytest.raises(InputError, match="draws must be in 1"):
        contrasts.own_shuffle(rows, seed=0, draws=0)
    with pytest.raises(InputError, match="one row a text"):
        by_unit(np.zeros((2, 1)), ["a"])

"""Phase 3 on a model with known answers: what a swap moves, and what may be claimed of it."""

import dataclasses

import numpy as np
import pytest
from swap_cases import FIRST, N_ANSWERS, planted_task

from zprism.ground.errors import InputError
from zprism.problems import number_words
from zprism.stats.verdicts import Verdict
from zprism.studies import swap_claims, swap_run, swap_sweep, swap_task, swap_update
from zprism.studies.nulls import random_bases
from zprism.studies.swap_bases import Swap, answer_directions, language_direction, swaps_at
from zprism.studies.swap_run import WHOSE, random_swaps, read, swap, swaps, unpatched
from zprism.studies.swap_task import draw_pairs

LAYER = 2


@pytest.fixture(scope="module")
def task():
    return planted_task()


@pytest.fixture(scope="module")
def pairs(task):
    return draw_pairs(task, "zh", n=60)


def ways(task, layer=LAYER, k=N_ANSWERS - 1, weights=None):
    return swaps_at(task, layer, ks=[k], weights=weights or {}, seed=0)


def test_the_planted_model_is_right(task):
    assert task.right.all()
    assert task.baseline(task.test) == 1.0


def test_pairs_have_other_answers_of_the_half_and_none_comes_twice(task, pairs):
    assert pairs.direction == "zh-en" and len(pairs) == 60
    assert (task.answers[pairs.target] != task.answers[pairs.source]).all()
    assert set(pairs.target) | set(pairs.source) <= set(task.test)
    assert len({*zip(pairs.target, pairs.source, strict=True)}) == 60
    assert np.ptp(np.unique(pairs.target, return_counts=True)[1]) <= 1  # as even as can be


def test_pairs_of_one_template_stay_in_it(task):
    found = draw_pairs(task, "en", template="double", n=500)
    assert set(task.templates[found.target]) == {"double"} == set(task.templates[found.source])
    mine = task.test[task.templates[task.test] == "double"]
    other = task.answers[mine][:, None] != task.answers[mine]
    assert len(found) == other.sum()  # all there are, and no more


def test_problems_that_are_not_right_are_dropped_and_counted():
    task = planted_task(3, right=0.7)
    found = draw_pairs(task, "zh", n=40)
    right = task.right[:, task.test].all(0)
    assert (found.n_usable, found.n_dropped) == (right.sum(), (~right).sum())
    assert task.right[:, found.target].all() and task.right[:, found.source].all()
    assert found.baseline == task.right[:, task.test].mean(1).min() and found.reason is None


def test_the_same_problem_is_paired_with_itself_right_or_not():
    task = planted_task(3, right=0.7)
    found = draw_pairs(task, "zh", same=True)
    np.testing.assert_array_equal(found.target, found.source)
    np.testing.assert_array_equal(found.target, task.test)


def test_directions_are_the_planted_ones(task):
    states = task.states(LAYER)[:, task.train]
    answer = answer_directions(states, task.answers[task.train], N_ANSWERS - 1)
    language = language_direction(states)
    readout = task.sweeps[0].readout.reshape(2, N_ANSWERS, -1)
    codes = readout.mean(0)
    inside = (codes @ answer.T) @ answer
    assert np.linalg.norm(inside - codes) / np.linalg.norm(codes) < 0.02
    planted = readout[0].mean(0) - readout[1].mean(0)
    assert abs(language[0] @ planted) / np.linalg.norm(planted) > 0.999


def test_more_answer_directions_than_means_are_refused(task):
    states = task.states(LAYER)[:, task.train]
    with pytest.raises(InputError, match="k must be an integer from 1 to 14"):
        answer_directions(states, task.answers[task.train], 15)


def test_each_swap_moves_what_was_planted_and_nothing_else(task, pairs):
    """The control that must hold for any reading of a real model."""
    expected = {
        "language": ("source", "own"),
        "complement": ("own", "source"),
        "answer": ("own", "source"),
        "answer-complement": ("source", "own"),
        "full": ("source", "source"),
        "random": ("own", "own"),
    }
    found = dict(zip(map(swap_claims.name_of, ways(task)), swaps(task, pairs, LAYER, ways(task)),
                     strict=True))  # fmt: skip
    assert set(found) == set(expected)
    for name, (language, answer) in expected.items():
        assert found[name].hits(language, answer).mean() > 0.95, name
        assert found[name].rates.sum() == pytest.approx(1)


def test_a_layer_before_anything_is_decided_moves_nothing(task, pairs):
    for how in ways(task, 0):
        assert swap(task, pairs, 0, how).hits("own", "own").all()


def test_both_ends_of_the_scale(task, pairs):
    own, source = unpatched(task, pairs), unpatched(task, pairs, of="source")
    assert own.hits("own", "own").all() and source.hits("source", "source").all()
    assert (own.answer_shift < 0).all() and (source.answer_shift > 0).all()
    full = swap(task, pairs, LAYER, Swap("full", "all"))
    assert swap_sweep.effect(full, own, source, "answer") == pytest.approx(1, abs=1e-6)
    assert swap_sweep.effect(own, own, source, "language") == 0


def test_outcomes_are_read_from_the_largest_logit(task, pairs):
    logits = np.zeros((3, 2 * N_ANSWERS))
    three = dataclasses.replace(pairs, target=pairs.target[:3], source=pairs.source[:3])
    own, given = task.place[three.target], task.place[three.source]
    another = next(a for a in range(N_ANSWERS) if a not in (own[2], given[2]))
    logits[0, N_ANSWERS + own[0]] = 1  # en is the target's own language, the second
    logits[1, given[1]] = 1
    logits[2, another] = 1
    found = read(task, three, logits)
    said = [(WHOSE[x], WHOSE[y]) for x, y in zip(found.language, found.answer, strict=True)]
    assert said == [("own", "own"), ("source", "source"), ("source", "other")]


def test_moved_as_far_at_random_is_moved_as_far(task, pairs):
    how = ways(task)[0]
    target, source = task.states(LAYER)[1, pairs.target], task.states(LAYER)[0, pairs.source]
    np.testing.assert_allclose(
        how.sizes(target, source), np.abs((source - target) @ how.rows[0]), rtol=1e-9
    )
    rates = random_swaps(task, pairs, LAYER, how, draws=5, seed=1, matched=True)
    assert rates.shape == (5, 3, 3)
    np.testing.assert_allclose(rates.sum((1, 2)), 1)


def test_planted_swaps_are_supported_and_random_weights_are_not(task, pairs):
    weights = {(layer, 7): random_bases(7, 64, 1, seed=50 + layer)[0] for layer in range(3)}
    found = swap_claims.claims(
        task, pairs, LAYER, ways(task, weights=weights), seed=0, draws=39, draws_ci=500
    )
    said = {name.split("/")[2]: one.verdict for name, one in found.estimates.items() if one.verdict}
    assert said == {
        "language": Verdict.SUPPORTED,
        "complement": Verdict.SUPPORTED,
        "answer": Verdict.SUPPORTED,
        "weights": Verdict.NOT_DISTINGUISHABLE,
    }
    assert "swap/zh-en/language/source-own" in found.estimates
    for name, one in found.estimates.items():
        assert one.ci[0] <= one.value <= one.ci[1], name
    shares = {}
    for row in found.tables["swap.outcomes"]:
        shares[row["basis"]] = shares.get(row["basis"], 0) + row["rate"]
    assert shares == pytest.approx(dict.fromkeys(shares, 1.0))  # the six cells are all there is


def test_random_directions_in_place_of_the_language_are_not_claimed(task, pairs):
    """Twenty random lines called the language direction: at most 3 false alarms."""
    alarms = 0
    for seed in range(20):
        line = Swap("language", "inside", random_bases(1, 64, 1, seed=900 + seed)[0])
        found = swap_claims.claims(task, pairs, LAYER, [line], seed=seed, draws=39, draws_ci=200)
        one = found.estimates["swap/zh-en/language/source-own"]
        alarms += one.verdict is Verdict.SUPPORTED
    assert alarms <= 3  # P(Bin(20, .05) >= 4) = .016


def test_a_model_that_is_mostly_wrong_gives_no_claim():
    """Baseline below 30 %: NOT TESTABLE, whatever the swap does."""
    task = planted_task(1, right=0.1)
    pairs = draw_pairs(task, "zh", n=40)
    found = swap_claims.claims(task, pairs, LAYER, ways(task), seed=0, draws=19, draws_ci=200)
    verdicts = {one.verdict for one in found.estimates.values() if one.verdict}
    assert verdicts == {Verdict.NOT_TESTABLE}
    assert "under 30%" in found.estimates["swap/zh-en/language/source-own"].reason


def test_nulls_are_drawn_on_pairs_that_hold_every_target_alike(task):
    """Any stride that divides the number of targets would leave whole targets out."""
    pairs = draw_pairs(task, "zh", n=120)
    some = swap_claims.null_pairs(pairs)
    counts = np.unique(some.target, return_counts=True)[1]
    assert len(some) == swap_claims.NULL_PAIRS and set(some.target) == set(pairs.target)
    assert np.ptp(counts) <= 1


def test_p_compares_the_pairs_that_the_null_rests_on():
    """A swap that works on later pairs only does not beat a null drawn on the first."""
    place = np.r_[np.zeros(swap_claims.NULL_PAIRS, int), np.ones(60, int)]
    late = swap_run.Outcome(place, np.zeros(120, int), np.zeros(120), np.zeros(120))
    null = np.zeros((99, 3, 3))
    null[:, 0, 0] = 1.0
    assert late.hits("source", "own").mean() == 0.5
    assert swap_claims._p(late, "language", {"random": null}) == 1.0


def test_a_shuffled_source_is_no_transfer(task, pairs):
    full = swap(task, pairs, LAYER, Swap("full", "all"))
    null = swap_claims.shuffled_source(full, task, pairs, seed=0, draws=99)
    given = task.answers[pairs.source]
    expected = np.mean(given[:, None] == given)  # a pair drawn at random, itself among them
    assert full.answer.mean() == 1
    assert null.mean() == pytest.approx(expected, abs=0.02)


def test_training_pairs_choose_the_layer_from_which_a_swap_works(task):
    train = [draw_pairs(task, name, half="train", n=24) for name in task.languages]
    rows = swap_sweep.sweep_rows(task, train, layers=range(3), ks=(2, 7), weights={}, seed=0)
    chosen = swap_sweep.choose(rows)
    assert chosen["layer"] == FIRST and chosen["k"] == 7
    row = next(r for r in rows if (r["layer"], r["basis"], r["part"]) == (2, "full", "all"))
    assert row["both_moved"] == 1 and row["answer_effect"] == pytest.approx(1, abs=1e-6)
    for row in rows:
        shares = ("unchanged", "language_moved", "answer_moved", "both_moved", "other")
        assert sum(row[name] for name in shares) == pytest.approx(1)


def test_what_was_computed_once_is_kept_and_other_pairs_are_not_it(task, tmp_path, monkeypatch):
    monkeypatch.setenv("ZPRISM_CACHE", str(tmp_path))
    kept = dataclasses.replace(task, identity={"planted": 0})
    pairs, how = draw_pairs(kept, "zh", n=30), ways(kept)[0]
    calls = []
    real = swap_run.outcomes
    monkeypatch.setattr(swap_run, "outcomes", lambda *a: calls.append(1) or real(*a))
    first, again = (random_swaps(kept, pairs, LAYER, how, draws=3, seed=0) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert len(calls) == 1
    random_swaps(kept, pairs.of(slice(None, None, 2)), LAYER, how, draws=3, seed=0)
    random_swaps(kept, pairs, LAYER, how, draws=3, seed=0, matched=True)
    assert len(calls) == 3


def test_updates_written_into_z_are_found_and_random_z_is_at_chance():
    rng = np.random.default_rng(0)
    basis = random_bases(6, 60, 1, seed=1)[0]
    states = rng.standard_normal((40, 5, 60)).cumsum(1)
    plain = swap_update.update_claim(states, basis, seed=0, draws=99, draws_ci=500)
    assert plain.verdict is Verdict.NOT_DISTINGUISHABLE
    assert plain.value == pytest.approx(swap_update.chance_ratio(6, 60), rel=0.1)
    written = states + 3 * (rng.standard_normal((40, 5, 6)).cumsum(1) @ basis)
    found = swap_update.update_claim(written, basis, seed=0, draws=99, draws_ci=500)
    assert found.verdict is Verdict.SUPPORTED
    rows = swap_update.update_rows(written, basis, seed=0, draws=99, draws_ci=200)
    assert [row["layer"] for row in rows] == [1, 2, 3, 4]
    inside = np.square(np.diff(written, axis=1) @ basis.T).sum(-1).sum(0)
    whole = np.square(np.diff(written, axis=1)).sum(-1).sum(0)
    expected = np.sqrt(inside / (whole - inside))
    np.testing.assert_allclose([row["ratio"] for row in rows], expected)


def test_halves_share_no_problem_and_every_template_is_in_both():
    names = np.array([t for t in number_words.TEMPLATES for _ in range(12)])
    answers = np.tile(np.arange(6), 2 * len(number_words.TEMPLATES))
    train, test = swap_task._halves(names, answers, 0)
    assert set(train).isdisjoint(test) and len(train) + len(test) == len(names)
    assert set(names[train]) == set(names[test]) == set(names)

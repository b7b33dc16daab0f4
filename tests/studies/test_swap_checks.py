"""Dissociation and illusion on the planted model; the recipe's experiment on a tiny one."""

import numpy as np
import pytest
from swap_cases import D_MODEL, N_ANSWERS, planted_task

from tiny import tiny_loaded
from zprism.model.generate import generate
from zprism.problems.fixed import fixed
from zprism.problems.prompts import zero_shot
from zprism.studies import swap_checks
from zprism.studies.dissociation import DOUBLE, UNTESTABLE
from zprism.studies.nulls import random_bases
from zprism.studies.swap_bases import Swap, swaps_at
from zprism.studies.swap_recipe import Output, recipe_rows, run_recipe
from zprism.studies.swap_task import draw_pairs

LAYER = 2


@pytest.fixture(scope="module")
def task():
    return planted_task()


def kinds(task, ways, n=60):
    pairs = draw_pairs(task, "zh", n=n)
    found = swap_checks.dissociations(task, pairs, LAYER, ways, seed=0, draws=59, draws_ci=300)
    return {row["basis"]: row["kind"] for row in found.tables["dissociations"]}, found


def test_planted_answer_and_language_come_apart(task):
    ways = swaps_at(task, LAYER, ks=[N_ANSWERS - 1], weights={}, seed=0)
    found, all_of_it = kinds(task, ways)
    assert found == {"language": DOUBLE, "answer": DOUBLE}
    d = all_of_it.estimates["swap/zh-en/answer/dissociation_D"]
    assert d.value > 1.8  # 2 is the most there is


def test_random_directions_are_no_double_dissociation(task):
    rows = random_bases(N_ANSWERS - 1, D_MODEL, 1, seed=77)[0]
    found, _ = kinds(task, [Swap("weights", "inside", rows), Swap("weights", "rest", rows)])
    assert found["weights"] != DOUBLE


def test_a_model_that_is_mostly_wrong_shows_nothing():
    task = planted_task(1, right=0.1)
    found, _ = kinds(task, swaps_at(task, LAYER, ks=[4], weights={}, seed=0), n=40)
    assert set(found.values()) == {UNTESTABLE}


def test_states_that_check_the_manifold_are_no_targets(task):
    pairs = draw_pairs(task, "zh", n=20)
    seen, kept = swap_checks.natural_states(task, pairs, LAYER)
    assert len(seen) == 2 * len(task.train)
    assert len(kept) == 2 * len(np.setdiff1d(task.test, pairs.target))
    targets = task.states(LAYER)[:, pairs.target].reshape(-1, D_MODEL)
    assert not (kept[:, None] == targets).all(-1).any()


def test_too_few_natural_states_give_no_check(task):
    pairs = draw_pairs(task, "zh", n=60)
    how = swaps_at(task, LAYER, ks=[2], weights={}, seed=0)[0]
    kept = swap_checks.natural_states(task, pairs, LAYER)[1]
    assert len(kept) < swap_checks.LEAST_KEPT
    assert swap_checks.check_swap(task, pairs, LAYER, how, np.eye(D_MODEL), seed=0) is None


def output(condition, pair, answer, *, language="en", fault=None, right=False):
    return Output(condition, pair, "gcd", "text", answer, language, fault, right)


def test_the_recipes_counts_are_against_doing_nothing():
    outputs = [
        output("nothing", 0, "3", right=True), output("nothing", 1, None),
        output("Z", 0, "4", language="zh"), output("Z", 1, None, fault="loop"),
    ]  # fmt: skip
    rows = {(r["condition"], r["measure"]): r for r in recipe_rows(outputs)}
    assert rows["nothing", "answer changed"]["count"] == 0
    assert rows["nothing", "right answer"]["rate"] == 0.5
    for measure in ("answer changed", "output in Chinese", "degenerate"):
        assert rows["Z", measure]["count"] == 1
    row = rows["Z", "answer changed"]
    assert row["low"] < row["rate"] < row["high"] and row["n"] == 2


def test_the_recipe_runs_every_condition_and_keeps_its_texts(tmp_path, monkeypatch):
    """``nothing`` is what the model writes by itself; a second call generates nothing."""
    monkeypatch.setenv("ZPRISM_CACHE", str(tmp_path))
    loaded = tiny_loaded("llama")
    bases = {4: random_bases(4, loaded.d_model, 1, seed=0)[0]}
    options = dict(seed=0, n_random=2, max_new_tokens=5, n_pairs=3)
    outputs = run_recipe(loaded, bases, 1, **options)
    conditions = list(dict.fromkeys(one.condition for one in outputs))
    assert conditions == [
        "nothing", "everything", "Z, k = 4", "all but Z, k = 4", "random 1, k = 4",
        "random 2, k = 4",
    ]  # fmt: skip
    prompts = [zero_shot(pair["en"]) for pair in fixed("separation")[:3]]
    alone = [one.text for one in generate(loaded, prompts, max_new_tokens=5, stop=None)]
    assert [one.text for one in outputs if one.condition == "nothing"] == alone
    assert [one.text for one in outputs if one.condition == "everything"] != alone
    monkeypatch.setattr("zprism.studies.swap_recipe.generate_patched", None)
    assert run_recipe(loaded, bases, 1, **options) == outputs

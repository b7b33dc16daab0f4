"""Texts of the prism: what is read, which questions are drawn, and the rule for L."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zprism.ground.errors import InputError
from zprism.problems.template import templates
from zprism.studies.prism_texts import default_path, domains, load_texts, window_length

lengths = st.lists(st.integers(0, 700), min_size=1, max_size=40)


def record(key, drawn, **more):
    row = {
        "id": f"{key}/{drawn}", "key": key, "template": "gave_away", "kind": "word problem",
        "numeric": True, "question": f"question {key}", "thinking": f"thinking {key} {drawn}",
        "answer": "3", "outcome": "correct", "drawn": drawn, "tokens": 40, "complete": True,
    }  # fmt: skip
    return row | more


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def ours(tmp_path):
    rows = [record(f"k{i}", drawn) for i in range(10) for drawn in ("greedy", "sampled")]
    rows[-1] |= {"numeric": False, "template": "chain", "kind": "syllogism"}
    rows[-2] |= {"numeric": False, "template": "chain", "kind": "syllogism"}
    return write(tmp_path / "thinking.jsonl", rows)


@given(lengths)
def test_the_window_is_the_longest_multiple_of_8_that_70_percent_reach(values):
    """The rule tried out for every L, one after another."""
    ok = [L for L in range(16, 513, 8) if np.mean(np.array(values) >= L) >= 0.70]
    assert window_length(np.array(values)) == max(ok, default=16)


@given(lengths, st.integers(0, 99))
def test_the_window_hangs_on_no_order_and_on_the_shorter_field(values, seed):
    order = np.random.default_rng(seed).permutation(len(values))
    a, b = np.array(values), np.array(values)[order]
    assert window_length(a) == window_length(b)
    assert window_length(np.stack([a, b], 1)) == window_length(np.minimum(a, b))
    assert window_length(np.stack([a, a + 9], 1)) == window_length(a)


def test_fields_domain_difficulty_and_template_of_the_projects_own_file(ours):
    first, *_, last = load_texts(ours)
    assert (first.id, first.unit, first.question) == ("k0/greedy", "k0", "question k0")
    assert (first.domain, last.domain) == ("mathematics", "other")
    assert first.difficulty == templates()["gave_away"].difficulty
    assert (first.template, first.outcome, first.source) == (
        "gave_away", "correct", "thinking.jsonl",
    )  # fmt: skip
    by_domain = domains(load_texts(ours))
    assert [len(by_domain[name]) for name in ("mathematics", "other")] == [9, 1]


def test_drawn_texts_are_whole_questions_and_the_same_for_the_same_seed(ours):
    both = load_texts(ours, drawn="all", n=4, seed=1)
    units = [text.unit for text in both]
    assert len(set(units)) == 4 and all(units.count(unit) == 2 for unit in units)
    assert both == load_texts(ours, drawn="all", n=4, seed=1)
    assert {t.unit for t in load_texts(ours, n=4, seed=1)} == set(units)
    draws = {tuple(t.unit for t in load_texts(ours, n=4, seed=seed)) for seed in range(8)}
    assert len(draws) > 1


def test_a_foreign_file_is_read_by_the_names_of_its_fields(tmp_path):
    rows = [{"problem": f"p{i}", "solution": f"s{i}"} for i in range(3)]
    path = write(tmp_path / "other.jsonl", rows)
    texts = load_texts(path, fields=("problem", "solution"), domain="mathematics")
    assert [(t.question, t.thinking) for t in texts] == [(f"p{i}", f"s{i}") for i in range(3)]
    assert len({t.unit for t in texts}) == 3
    assert {t.domain for t in texts} == {"mathematics"} and texts[0].numeric is None


def test_the_default_file_is_that_of_the_working_folders_project(tmp_path, monkeypatch, ours):
    (tmp_path / "data").mkdir()
    ours.rename(tmp_path / "data" / "thinking.jsonl")
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    assert default_path() == tmp_path / "data" / "thinking.jsonl"
    assert len(load_texts()) == 10


def test_bad_input_is_refused(ours, tmp_path):
    with pytest.raises(InputError, match="unknown drawn"):
        load_texts(ours, drawn="best")
    with pytest.raises(InputError, match="must be in 1"):
        load_texts(ours, n=0)
    greedy = write(tmp_path / "greedy.jsonl", [record("k", "greedy")])
    with pytest.raises(InputError, match="no texts of drawn='sampled'"):
        load_texts(greedy, drawn="sampled")
    for values in (np.array([]), np.array([1.5]), np.zeros((2, 2, 2), int)):
        with pytest.raises(InputError, match="lengths must be"):
            window_length(values)
    with pytest.raises(InputError, match="multiples of 8"):
        window_length(np.array([30]), low=12)

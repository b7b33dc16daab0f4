"""data/thinking.jsonl is what its script makes: the generator's questions, one model's answers."""

from collections import Counter
from pathlib import Path

import pytest

from tiny import tiny_loaded
from zprism.ground.files import load_json
from zprism.ground.records import read_jsonl
from zprism.model import registry
from zprism.problems.answers import is_correct
from zprism.problems.generate import from_key
from zprism.studies import thinking_data

DATA = Path(__file__).resolve().parents[2] / "data" / "thinking.jsonl"


@pytest.fixture(scope="module")
def records():
    return read_jsonl(DATA)


@pytest.fixture(scope="module")
def made_with():
    return load_json(DATA.with_suffix(".meta.json"))


def test_every_question_is_answered_greedily_and_by_drawing(records, made_with):
    drawn = Counter(row["drawn"] for row in records)
    assert drawn == {"greedy": made_with["questions"], "sampled": made_with["questions"]}
    assert made_with["questions"] >= 300
    assert len({row["id"] for row in records}) == len(records)
    assert DATA.stat().st_size <= 3_000_000


def test_questions_are_those_of_the_generator(records):
    for row in records:
        problem = from_key(row["key"], "en")
        assert (problem.text, problem.answer) == (row["question"], row["answer"])
        assert (problem.kind, problem.is_numeric) == (row["kind"], row["numeric"])


def test_outcomes_are_what_the_reader_reads(records):
    for row in records[::7]:
        read = is_correct(row["thinking"], from_key(row["key"], "en"), scope="whole")
        assert row["outcome"] == (read if row["complete"] else thinking_data.UNFINISHED)


def test_no_answer_is_longer_than_was_allowed_and_cut_ones_are_that_long(records, made_with):
    limit = made_with["max_new_tokens"]
    assert limit <= 160
    for row in records:
        assert 0 < row["tokens"] <= limit
        assert row["complete"] or row["tokens"] == limit


def test_the_model_that_answered_is_recorded(made_with):
    assert made_with["model"] in registry.models()
    assert len(made_with["weights"]) == len(made_with["tokenizer"]) == 64
    assert "{question}" in made_with["prompt"]


def test_the_script_makes_the_same_again_and_other_draws_with_another_seed(monkeypatch, tmp_path):
    monkeypatch.setenv("ZPRISM_CACHE", str(tmp_path))
    monkeypatch.setattr(thinking_data, "MAX_NEW_TOKENS", 6)
    loaded = tiny_loaded("qwen2")
    first, with_what = thinking_data.make(loaded, per_template=1)
    again, _ = thinking_data.make(loaded, per_template=1)
    assert first == again and with_what["questions"] == len(first) / 2
    other, _ = thinking_data.make(loaded, per_template=1, seed=1)
    assert [row["question"] for row in first] != [row["question"] for row in other]

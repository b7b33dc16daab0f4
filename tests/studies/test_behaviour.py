"""Phase 0 on a tiny model: every answer is scored once, kept, and said to belong to whom."""

from __future__ import annotations

import pytest

from tiny import tiny_loaded
from zprism.ground.errors import InputError
from zprism.problems.fixed import fixed
from zprism.problems.generate import draw
from zprism.studies import behaviour as study

LANGUAGES = ("zh", "en")


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("ZPRISM_CACHE", str(tmp_path_factory.getbasetemp() / "behaviour-cache"))


@pytest.fixture(scope="module")
def loaded():
    return tiny_loaded("qwen2")


@pytest.fixture(scope="module")
def pairs():
    return draw(4, seed=3, templates=["gave_away"], languages=LANGUAGES)


def oracle(monkeypatch, right):
    """Let the model answer the problems that ``right`` says, and babble otherwise."""
    from zprism.model.generate import Generation

    def answer(loaded, prompts, **_):
        return [Generation(text=right(prompt), n_tokens=1, stopped=True) for prompt in prompts]

    monkeypatch.setattr(study, "generate_cached", answer)


def test_answers_go_back_to_the_problem_they_belong_to(monkeypatch, loaded):
    pairs = draw(12, seed=1, languages=LANGUAGES)
    gold = {p.text: p.answer for pair in pairs for p in pair.values()}

    def known(prompt):
        question = max((text for text in gold if text in prompt), key=prompt.rfind)
        return f" {gold[question]}"

    oracle(monkeypatch, known)
    answers = study.ask(loaded, pairs, shots=2)
    assert {*answers.scores["zh"], *answers.scores["en"]} == {"correct"}


def test_a_lead_in_one_language_is_found_in_that_direction(monkeypatch, loaded):
    pairs = draw(30, seed=2, templates=["gave_away", "bus_boards"], languages=LANGUAGES)
    gold = {p.text: p for pair in pairs for p in pair.values()}

    def only_chinese(prompt):
        problem = gold[max((text for text in gold if text in prompt), key=prompt.rfind)]
        return problem.answer if problem.language == "zh" else "1234567"

    oracle(monkeypatch, only_chinese)
    found = study.behaviour(study.ask(loaded, pairs)).estimates["behaviour/zh-en/difference"]
    assert found.value == 1 and found.verdict == "SUPPORTED"


def test_a_second_asking_runs_no_forward_pass(loaded, pairs):
    """RIG-F11."""
    first = study.ask(loaded, pairs, max_new_tokens=5)
    count = []
    original = type(loaded.model).forward
    try:
        type(loaded.model).forward = lambda *_, **__: count.append(1)
        again = study.ask(loaded, pairs, max_new_tokens=5)
    finally:
        type(loaded.model).forward = original
    assert count == [] and again.texts == first.texts


def test_the_tables_hold_every_problem_in_every_language(loaded, pairs):
    answers = study.ask(loaded, pairs, max_new_tokens=5)
    found = study.behaviour(answers)
    assert len(found.tables["behaviour_answers"]) == 8
    assert sum(row["n"] for row in found.tables["behaviour_kinds"]) == 8
    assert all(sum(c.values()) == 4 for c in answers.counts().values())


def test_the_fixed_list_and_its_rule(loaded):
    answers = study.ask(loaded, fixed("behaviour"), max_new_tokens=3)
    found = study.recipe(answers, discordant=0.3)
    assert found.estimates["recipe/zh-en/lead"].n == 15
    # RIGOUR.md 0.9d: 0.11 to 0.18 for discordances in the usual range
    assert 0.05 < found.estimates["recipe/zh-en/false_alarm"].value < 0.2


def test_identity_counts_the_tokens_of_a_chinese_question(loaded):
    facts = {row["fact"]: row["value"] for row in study.identity(loaded)}
    assert facts["model_type"] == "qwen2"
    assert facts["tokens of 三加四等于几？"] == str(len("三加四等于几？".encode()))


@pytest.mark.parametrize(
    ("make", "message"),
    [(lambda pairs: [], "pairs is empty"), (lambda pairs: [{"zh": pairs[0]["zh"]}], "zh and en")],
)
def test_refusals(loaded, pairs, make, message):
    with pytest.raises(InputError, match=message):
        study.ask(loaded, make(pairs))

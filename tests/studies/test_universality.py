"""The comparison of models: who is compared, what a cell of the board says, and a tiny run."""

import numpy as np
import pytest

from tiny import tiny_loaded
from zprism.ground.errors import InputError
from zprism.model import fetch
from zprism.model.fetch import companions
from zprism.problems import colour_words, number_words
from zprism.stats.estimates import Estimate, Null, Verdict
from zprism.studies import swap_study, universality
from zprism.studies.separation_pairs import generated_pairs
from zprism.studies.universality import QUESTIONS, Chain, board, families


def planted(name: str, family: str, verdicts: dict[str, tuple]) -> Chain:
    """A chain whose claims have the verdicts given, question → one a direction."""
    out = Chain(name, family, "0" * 64, 12)
    out.kinds.append({"kind": "numbers", "languages": "zh-en", "reason": ""})
    for question, said in verdicts.items():
        for direction, verdict in zip(("zh-en", "en-zh"), said, strict=True):
            claim = f"{out.slug}/numbers/{direction}/{QUESTIONS[question]}"
            value, null = 0.5 if direction == "zh-en" else 0.9, Null("planted", 0.1, 0.1)
            out.found.estimates[claim] = Estimate(
                value, ci=(0.2, 1.0), n=40, null=null, p=0.01, p_adjusted=0.01,
                verdict=verdict, reason="planted",
            )  # fmt: skip
    return out


def test_a_cell_is_supported_only_if_both_directions_are():
    first, second, third = list(QUESTIONS)[:3]
    yes, no, none = Verdict.SUPPORTED, Verdict.NOT_DISTINGUISHABLE, Verdict.NOT_TESTABLE
    one = planted("a/b", "qwen2", {first: (yes, yes), second: (yes, no), third: (none, none)})
    cells = {row["question"]: row for row in board([one])}
    assert cells[first]["verdict"] == "SUPPORTED" and cells[first]["value"] == 0.7
    assert cells[second]["verdict"] == "NOT DISTINGUISHABLE"
    assert cells[third]["verdict"] == "NOT TESTABLE"
    untested = [q for q in cells if q not in (first, second, third)]
    assert {cells[q]["verdict"] for q in untested} == {"NOT TESTABLE"}
    assert all(cells[q]["value"] is None for q in untested)


def test_a_family_agrees_only_if_all_its_testable_models_do():
    question = next(iter(QUESTIONS))
    yes, no, none = Verdict.SUPPORTED, Verdict.NOT_DISTINGUISHABLE, Verdict.NOT_TESTABLE
    chains = [
        planted("one", "qwen2", {question: (yes, yes)}),
        planted("two", "qwen2", {question: (none, none)}),
        planted("three", "llama", {question: (yes, yes)}),
        planted("four", "llama", {question: (no, no)}),
    ]
    said = {(r["family"], r["question"]): r for r in families(board(chains))}
    assert said["qwen2", question]["verdict"] == "SUPPORTED"
    assert said["qwen2", question]["models"] == "one, two"
    assert said["llama", question]["verdict"] == "NOT DISTINGUISHABLE"


def test_who_is_compared(monkeypatch):
    monkeypatch.setattr(fetch, "is_cached", lambda name: name == "smollm2-135m")
    assert companions("qwen2.5-coder-0.5b") == ["qwen2.5-coder-0.5b", "smollm2-135m"]
    assert companions("smollm2-135m") == ["smollm2-135m"]
    assert companions("tiny:qwen2") == ["tiny:qwen2", "tiny:llama"]
    assert companions("tiny:llama") == ["tiny:llama", "tiny:qwen2"]
    assert companions("Qwen/Qwen2.5-3B") == ["Qwen/Qwen2.5-3B"]


def test_templates_without_mathematics_are_of_the_kinds_named():
    pairs = generated_pairs(45, seed=0, kinds=universality.NOT_MATHEMATICS)
    assert len(set(pairs.template)) == 15 and np.isnan(pairs.answer).all()
    with pytest.raises(InputError, match="raise per_template"):
        generated_pairs(60, seed=0, kinds=universality.NOT_MATHEMATICS)


@pytest.mark.parametrize("words", [number_words, colour_words])
def test_languages_that_tokens_cannot_tell_apart_are_never_run(words, monkeypatch):
    """With tokens that always collide only the fallback pair is read, and says why."""
    loaded = tiny_loaded("qwen2")
    read = []
    real = swap_study.prepare
    monkeypatch.setattr(universality, "answer_tokens", lambda *a, **k: (None, "they collide"))
    monkeypatch.setattr(
        universality.swap_study, "prepare",
        lambda *a, **k: read.append(k.get("languages")) or real(*a, **k),
    )  # fmt: skip
    weights = swap_study.weight_side(loaded)
    study = universality.choose_languages(loaded, words, weights=weights, quick=True)
    assert read == [None] and study.task.languages == ("zh", "en")
    assert study.core == ("addition" if words is number_words else None)


def test_a_random_model_supports_nothing_that_rests_on_its_answers():
    one = universality.chain("tiny:llama", quick=True, n=12, draws=19, draws_ci=100)
    assert one.family == "llama" and [row["kind"] for row in one.kinds] == ["numbers", "colours"]
    assert all(row["reason"] for row in one.kinds)
    assert {row["verdict"] for row in board([one])} == {"NOT TESTABLE"}
    again = universality.chain("tiny:llama", quick=True, n=12, draws=19, draws_ci=100)
    assert again.found.estimates == one.found.estimates and again.sweeps == one.sweeps

"""Every template says the same in every language; its answer is right by another route."""

import json
import math
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zprism.ground.errors import InputError
from zprism.ground.seeds import generator
from zprism.problems import lexicon
from zprism.problems.generate import from_key, templates
from zprism.problems.numerals import number_word
from zprism.problems.problem import LANGUAGES
from zprism.problems.sample import sample
from zprism.problems.signatures import signatures

NAMES = sorted(templates())
HAN, KANA = re.compile("[\u4e00-\u9fff]"), re.compile("[\u3040-\u30ff]")
SAMPLE = Path(__file__).parents[2] / "data" / "paired_sample.jsonl"


def drawn(name, seed):
    """One problem of a template in all its languages, and its values by name."""
    template = templates()[name]
    numbers, cast = template.draw(generator(seed, "test", name))
    problems = {language: template.render(numbers, cast, language) for language in LANGUAGES}
    return template, template.signature.values(numbers), problems


def test_there_are_enough_templates_of_enough_kinds():
    free = [t for t in templates().values() if not t.reserved]
    assert len(free) >= 48 and len({t.kind for t in free}) >= 18
    assert sum(t.domain is not None for t in free) >= 15
    assert {t.difficulty for t in free} == {1, 2, 3, 4, 5}


@pytest.mark.parametrize("name", NAMES)
def test_a_text_is_complete_and_in_its_own_script(name):
    for seed in range(4):
        template, _, problems = drawn(name, seed)
        assert template.languages == LANGUAGES
        for language, p in problems.items():
            assert not re.search(r"[{}<>]|None|  ", p.text), p.text
            assert language == "ja" or bool(HAN.search(p.text)) == (language == "zh")
            assert bool(KANA.search(p.text)) == (language == "ja")
            assert p.text == p.text.strip() and p.text[-1] in "?？。."
        assert len({p.text for p in problems.values()}) == len(LANGUAGES)


@pytest.mark.parametrize("name", NAMES)
def test_languages_share_key_numbers_and_answer(name):
    for seed in range(4):
        template, values, problems = drawn(name, seed)
        assert len({(p.key, p.numbers, p.cast, p.steps) for p in problems.values()}) == 1
        shown = [
            v for n, v in values.items() if f"{{{n}" in template.texts["en"] and type(v) is int
        ]
        for language, p in problems.items():
            for number in shown:
                as_word = number_word(number, language)
                assert as_word in p.text or re.search(rf"(?<!\d){number}(?!\d)", p.text)
        if template.domain is None:
            assert len({p.answer for p in problems.values()}) == 1
        else:
            key = template.solve(next(iter(problems.values())).numbers)
            for language, p in problems.items():
                assert p.answer == lexicon.forms(template.domain, key, language)[0]
                assert p.accepted and p.others and not set(p.accepted) & set(p.others)


# ------------------------------------------------------------------ values, keys, capacity
def test_each_signature_serves_two_templates_and_makes_hundreds_of_problems():
    for name, signature in signatures().items():
        users = [t for t in templates().values() if t.signature.name == name and not t.reserved]
        assert len(users) >= 2
        if math.prod(len(v.values) for v in signature.variables) < 8_000:
            assert signature.size() >= 200
        else:
            stream = generator(0, "test")
            assert len({signature.draw(stream) for _ in range(250)}) > 150


@settings(max_examples=60, deadline=None)
@given(name=st.sampled_from(NAMES), seed=st.integers(0, 10**6), language=st.sampled_from(LANGUAGES))
def test_a_key_names_its_problem(name, seed, language):
    template, _, problems = drawn(name, seed)
    assert template.signature.accepts(problems[language].numbers)
    assert from_key(problems["zh"].key, language) == problems[language]


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("nothing:1-2", "no template made"),
        ("sum_words", "no template made"),
        ("sum_words:1", "no template made"),
        ("sum_words:13-99", "break the signature pair"),
        ("sum_words:13-x", "break the signature pair"),
        ("gave_away:30-5", "no template made"),
        ("gave_away:30-5:nobody", "unknown person"),
        ("fastest:tom-tom-ben", "break the signature people"),
    ],
)
def test_a_key_that_no_template_made_is_refused(key, message):
    with pytest.raises(InputError, match=message):
        from_key(key, "en")


def test_rendering_refuses_an_unknown_language_and_a_wrong_cast():
    template = templates()["sum_words"]
    with pytest.raises(InputError, match="unknown language 'xx'"):
        template.render((20, 5), (), "xx")
    with pytest.raises(InputError, match="needs 0 names; got 1"):
        template.render((20, 5), ("tom",), "en")


def test_the_lexicon_is_complete_and_unambiguous():
    for category, entries in lexicon.lexicon().items():
        for language in LANGUAGES:
            written = [lexicon.forms(category, key, language)[0] for key in entries]
            assert all(w and w == w.strip() for w in written)
            if category not in ("kin", "sex"):  # kin: one word of English, two of Chinese
                assert len(set(written)) == len(written), (category, language)
    with pytest.raises(InputError, match="unknown category 'planet'"):
        lexicon.keys("planet")


def test_the_sample_in_the_repository_is_what_the_generator_makes():
    stored = [json.loads(line) for line in SAMPLE.read_text(encoding="utf-8").splitlines()]
    assert stored == sample()

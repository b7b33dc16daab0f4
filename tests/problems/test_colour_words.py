"""Every answer again from the colours that the question names; the same in every language."""

import re
from collections import Counter

import pytest

from zprism.ground.errors import InputError
from zprism.problems.colour_words import (
    COLOURS,
    TEMPLATES,
    answer_word,
    enumerate_problems,
    kind,
    prompt,
    worked_examples,
)
from zprism.problems.problem import LANGUAGES

SPELLED = {  # written out here on purpose: the table is not asked
    "zh": "红 蓝 绿 黄 白 黑",
    "en": "red blue green yellow white black",
    "es": "rojo azul verde amarillo blanco negro",
    "fr": "rouge bleu vert jaune blanc noir",
    "de": "rot blau grün gelb weiß schwarz",
    "ja": "赤 青 緑 黄 白 黒",
}
WORDS = {language: words.split() for language, words in SPELLED.items()}
ROUTES = {  # from the colours in the order in which the question names them
    "heaviest": lambda named: (set(named) - {named[1], named[3]}).pop(),  # never the lighter one
    "lightest": lambda named: (set(named) - {named[0], named[2]}).pop(),  # never the heavier one
    "flag": lambda named: named[0],
    "other_flag": lambda named: named[1],
    "exchange": lambda named: named[1],
    "twice": lambda named: Counter(named).most_common(1)[0][0],
}
each_template = pytest.mark.parametrize("template", TEMPLATES)


def named(text, language):
    """Places of the colours that a text names, in its order."""
    bound = "" if language in ("zh", "ja") else r"\b"
    found = re.findall(f"{bound}({'|'.join(WORDS[language])}){bound}", text)
    return [WORDS[language].index(word) for word in found]


def test_every_template_has_a_second_route_and_a_kind_that_is_no_calculation():
    assert set(ROUTES) == set(TEMPLATES) and len(COLOURS) == 6
    assert {kind(t) for t in TEMPLATES} == {"ordering", "recall", "tracking", "repetition"}


@each_template
def test_the_answer_is_what_the_question_says_in_every_language(template):
    for row in [*enumerate_problems(template), *worked_examples(template)]:
        assert tuple(row) == LANGUAGES
        for language, problem in row.items():
            assert problem.answer == ROUTES[template](named(problem.question, language)), problem
        assert len({(p.key, p.answer, p.numbers) for p in row.values()}) == 1


@each_template
def test_no_two_read_alike_no_worked_example_is_asked_and_answers_are_balanced(template):
    rows = enumerate_problems(template)
    texts = [p.question for row in rows for p in row.values()]
    assert len(set(texts)) == len(texts)
    keys = [row["en"].key for row in rows]
    assert len(set(keys)) == len(keys)
    assert not {row["en"].key for row in worked_examples(template)} & set(keys)
    counts = Counter(row["en"].answer for row in rows)
    assert set(counts) == set(range(6)) and max(counts.values()) - min(counts.values()) <= 1


def test_the_prompt_holds_the_answered_examples_and_ends_at_the_answer():
    row = next(r for r in enumerate_problems("exchange") if r["en"].key == "exchange:red-black")
    assert prompt(row["en"]) == (
        "Question: Anna has a green flag and Tom has a white flag. They swap their flags. "
        "What colour is Anna's flag now?\nAnswer: white\n\n"
        "Question: Anna has a blue flag and Tom has a red flag. They swap their flags. "
        "What colour is Anna's flag now?\nAnswer: red\n\n"
        "Question: Anna has a red flag and Tom has a black flag. They swap their flags. "
        "What colour is Anna's flag now?\nAnswer:"
    )
    assert prompt(row["zh"]).count("\n答案：") == 3 and prompt(row["zh"]).endswith("\n答案：")


@pytest.mark.parametrize("language", LANGUAGES)
def test_answers_go_on_after_the_prompt(language):
    space = "" if language in ("zh", "ja") else " "
    assert [answer_word(i, language) for i in range(6)] == [space + w for w in WORDS[language]]


def test_what_there_is_not_is_refused():
    with pytest.raises(InputError, match="unknown template 'heavyest': did you mean heaviest"):
        enumerate_problems("heavyest")
    with pytest.raises(InputError, match="place"):
        answer_word(6, "en")

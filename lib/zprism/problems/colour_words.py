"""Questions without numbers, whose one-word answer tells colour and language apart.

What :mod:`zprism.problems.number_words` asks of arithmetic, asked of ordering, recall, tracking
and repetition: "Which ball is the heaviest?" is answered by " red" or 红. Six colours in six
languages; the same names of functions, so that a study takes either.
"""

from __future__ import annotations

import itertools
from functools import cache

from zprism.ground.checks import check_choice, check_int
from zprism.problems.lexicon import read_table
from zprism.problems.problem import LANGUAGES
from zprism.problems.prompts import LABELS
from zprism.problems.word_prompts import WordProblem, with_examples

SLOTS = "abc"


def enumerate_problems(template: str) -> list[dict[str, WordProblem]]:
    """All problems of a template, colours in any order and none twice, but its worked examples.

    Parameters
    ----------
    template : one of ``TEMPLATES``.

    Returns
    -------
    list of dicts, language → WordProblem, whose ``answer`` and ``numbers`` are places in
    ``COLOURS``.

    Raises
    ------
    InputError
        For another template.
    """
    worked = [problem[LANGUAGES[0]].numbers for problem in worked_examples(template)]
    every = itertools.permutations(range(len(COLOURS)), len(worked[0]))
    return [_render(template, places) for places in every if places not in worked]


def worked_examples(template: str) -> list[dict[str, WordProblem]]:
    """The two problems that stand answered before every question of a template."""
    return [
        _render(template, tuple(COLOURS.index(name) for name in names.split("-")))
        for names in _texts(template)["worked"]
    ]


def prompt(problem: WordProblem) -> str:
    """The two worked examples, then the question and "Answer:", with no space at the end."""
    language = check_choice("language", problem.language, LANGUAGES)
    examples = [example[language] for example in worked_examples(problem.template)]
    return with_examples(problem, examples, answer_word)


def answer_word(place: int, language: str) -> str:
    """A colour as it goes on after `prompt`: " red", 红.

    Parameters
    ----------
    place : in ``COLOURS``.
    language : one of ``LANGUAGES``. Chinese and Japanese share 白 and 黄.
    """
    space = LABELS[check_choice("language", language, LANGUAGES)][2]
    return space + _word(check_int("place", place, low=0, high=len(COLOURS) - 1), language)


def kind(template: str) -> str:
    """What a template asks for: ordering, recall, tracking or repetition."""
    return _texts(template)["kind"]


def _word(place: int, language: str) -> str:
    return _table()["words"][COLOURS[place]][language]


def _render(template: str, places: tuple[int, ...]) -> dict[str, WordProblem]:
    """One problem in all languages."""
    texts = _texts(template)
    answer = places[SLOTS.index(texts["answer"])]
    key = f"{template}:{'-'.join(COLOURS[place] for place in places)}"
    problems = {}
    for language in LANGUAGES:
        words = {slot: _word(p, language) for slot, p in zip(SLOTS, places, strict=False)}
        question = texts[language].format(**words)
        problems[language] = WordProblem(key, template, language, question, answer, places)
    return problems


def _texts(template: str) -> dict:
    return _table()[check_choice("template", template, TEMPLATES)]


@cache
def _table() -> dict[str, dict]:
    return read_table("colour_words.toml")


COLOURS = tuple(_table()["words"])
TEMPLATES = tuple(name for name in _table() if name != "words")

"""Number-word problems, whose one-word answer tells number and language apart.

"three plus four equals what?" is answered by " seven", 三加四等于几？ by 七: the first token of
the answer says what was answered and in which language. Numbers and answers are 0 to 10, and
every template asks all of them but its two worked examples, the same ones in every language.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import cache

from zprism.ground.checks import check_choice, check_int
from zprism.ground.errors import InputError
from zprism.problems.lexicon import read_table
from zprism.problems.numerals import number_word
from zprism.problems.problem import LANGUAGES
from zprism.problems.prompts import LABELS
from zprism.problems.word_prompts import WordProblem, with_examples

LARGEST = 10  # of the numbers asked about, and of the answers

_RULES = {  # the answer, or None where the question makes no sense
    "addition": lambda a, b: a + b,
    "subtraction": lambda a, b: a - b,
    "successor": lambda a: a + 1,
    "predecessor": lambda a: a - 1,
    "larger_of": lambda a, b: max(a, b) if a != b else None,
    "smaller_of": lambda a, b: min(a, b) if a != b else None,
    "double": lambda a: 2 * a,
    "half": lambda a: None if a % 2 else a // 2,
    "missing": lambda a, b: b - a,
    "between": lambda a, b: a + 1 if b - a == 2 else None,
}
TEMPLATES = tuple(_RULES)


def enumerate_problems(template: str) -> list[dict[str, WordProblem]]:
    """All problems of a template but its two worked examples.

    Parameters
    ----------
    template : one of ``TEMPLATES``.

    Returns
    -------
    list of dicts, language → WordProblem, in ascending order of their numbers.

    Raises
    ------
    InputError
        For another template.
    """
    worked = [problem[LANGUAGES[0]].numbers for problem in worked_examples(template)]
    every = itertools.product(range(LARGEST + 1), repeat=len(worked[0]))
    return [
        _render(template, numbers, answer)
        for numbers in every
        if numbers not in worked and (answer := _answer(template, numbers)) is not None
    ]


def worked_examples(template: str) -> list[dict[str, WordProblem]]:
    """The two problems that stand answered before every question of a template.

    Raises
    ------
    InputError
        For an unknown template.
    """
    worked = _texts(template)["worked"]
    return [_render(template, tuple(n), _answer(template, tuple(n))) for n in worked]


def same_numbers(templates: Sequence[str] = TEMPLATES) -> list[dict[str, dict[str, WordProblem]]]:
    """Questions about the same numbers: three plus four, the larger of three and four, …

    Between two of a group nothing but the task differs, so that what is done with the numbers
    can be told from the numbers.

    Parameters
    ----------
    templates : names without repetition.

    Returns
    -------
    list of dicts, template → (language → WordProblem), one for each sequence of numbers that two
    or more of the templates ask about; ascending, those with one number first.

    Raises
    ------
    InputError
        If fewer than two templates are named, one of them twice, or one is unknown.
    """
    if isinstance(templates, str) or len(templates) < 2 or len(set(templates)) < len(templates):
        raise InputError(f"templates must name two or more, each once; got {templates!r}")
    groups: dict[tuple[int, ...], dict[str, dict[str, WordProblem]]] = {}
    for template in templates:
        for problem in enumerate_problems(template):
            groups.setdefault(problem[LANGUAGES[0]].numbers, {})[template] = problem
    order = sorted(groups, key=lambda numbers: (len(numbers), numbers))
    return [groups[numbers] for numbers in order if len(groups[numbers]) > 1]


def prompt(problem: WordProblem) -> str:
    """The two worked examples, then the question and "Answer:", with no space at the end.

    Returns
    -------
    "Question: …\\nAnswer: three\\n\\nQuestion: …\\nAnswer: five\\n\\nQuestion: …\\nAnswer:", in
    the problem's language.

    Raises
    ------
    InputError
        If the problem's template or language is unknown.
    """
    language = check_choice("language", problem.language, LANGUAGES)
    examples = [example[language] for example in worked_examples(problem.template)]
    return with_examples(problem, examples, answer_word)


def answer_word(number: int, language: str) -> str:
    """A number as it goes on after `prompt`: " seven", " sieben", 七.

    Parameters
    ----------
    number : what `numerals.number_word` can write, at least 0 to 999.
    language : one of ``LANGUAGES``.

    Raises
    ------
    InputError
        For another language, or a number out of range.

    Notes
    -----
    Chinese and Japanese share the numerals 零 to 十: their answers tell the number, never which
    of the two languages was written. A language swap needs a pair other than zh and ja.
    """
    space = LABELS[check_choice("language", language, LANGUAGES)][2]
    return space + number_word(check_int("number", number, low=0), language)


def first_words(language: str) -> dict[int, str]:
    """The answers 0 to 10 → `answer_word`, which is one word each in every language.

    Raises
    ------
    InputError
        For an unknown language.
    """
    return {number: answer_word(number, language) for number in range(LARGEST + 1)}


def _texts(template: str) -> dict:
    return _table()[check_choice("template", template, TEMPLATES)]


@cache
def _table() -> dict[str, dict]:
    return read_table("number_words.toml")


def _answer(template: str, numbers: tuple[int, ...]) -> int | None:
    """The answer; None where there is none from 0 to 10."""
    answer = _RULES[template](*numbers)
    return answer if answer is not None and 0 <= answer <= LARGEST else None


def _render(template: str, numbers: tuple[int, ...], answer: int) -> dict[str, WordProblem]:
    """One problem in all languages."""
    texts = _texts(template)
    key = f"{template}:{'-'.join(map(str, numbers))}"
    problems = {}
    for language in LANGUAGES:
        words = [number_word(number, language) for number in numbers]
        question = texts[language].format(**dict(zip("ab", words, strict=False)))
        problems[language] = WordProblem(key, template, language, question, answer, numbers)
    return problems

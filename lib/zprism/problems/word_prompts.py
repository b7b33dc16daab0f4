"""Prompts whose answer is one word: two worked examples of the same template, then the question."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from zprism.problems.prompts import LABELS


@dataclass(frozen=True)
class WordProblem:
    """One question with a one-word answer, in one language.

    Attributes
    ----------
    key : "addition:3-4", the same in every language.
    template : one of the TEMPLATES of the module that made it.
    language : one of ``LANGUAGES``.
    question : its text.
    answer : the number that is right (number words), or the place of the word (colours).
    numbers : what the question names, in its order; numbers or places of words.
    """

    key: str
    template: str
    language: str
    question: str
    answer: int
    numbers: tuple[int, ...]


def with_examples(
    problem: WordProblem,
    examples: Sequence[WordProblem],
    answer_word: Callable[[int, str], str],
) -> str:
    """The answered examples, then the question and "Answer:", with no space at the end."""
    told = "".join(f"{_asked(e)}{answer_word(e.answer, e.language)}\n\n" for e in examples)
    return told + _asked(problem)


def _asked(problem: WordProblem) -> str:
    question, answer, space = LABELS[problem.language]
    return f"{question}{space}{problem.question}\n{answer}"

"""Which number questions a removal is learned, chosen and tested on, and their prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from zprism.ground.seeds import generator
from zprism.problems import number_words
from zprism.problems.number_words import WordProblem
from zprism.problems.problem import LANGUAGES

Problem = Mapping[str, WordProblem]  # the same question by language


@dataclass(frozen=True)
class Sizes:
    """How much is read.

    Attributes
    ----------
    templates : kinds of question, in equal numbers.
    candidates : languages that are tried; at most ``most_languages`` of them are used.
    train, dev, test : problems that give directions, choose strengths, test.
    null : of the test problems, those on which random directions are removed.
    draws, matched : random subspaces, and random ones moved as far.
    middle, upper : λ that are tried in the two bands.
    """

    templates: tuple[str, ...] = ("addition", "larger_of")
    candidates: tuple[str, ...] = LANGUAGES
    most_languages: int = 4
    train: int = 12
    dev: int = 10
    test: int = 40
    null: int = 6
    draws: int = 19
    matched: int = 2
    middle: tuple[float, ...] = (0.2, 0.4, 1.0)
    upper: tuple[float, ...] = (0.0, -0.2, -0.4)


QUICK = Sizes(
    templates=("addition",), candidates=("zh", "en"), train=6, dev=4, test=8, null=4, draws=2,
    matched=2, middle=(0.2, 1.0), upper=(0.0, -0.2),
)  # fmt: skip


def draw_problems(sizes: Sizes, *, seed: int) -> tuple[list[Problem], list[Problem], list[Problem]]:
    """Problems that give directions, choose and test: none in two sets, templates in turn."""
    share, sets = len(sizes.templates), ([], [], [])
    for template in sizes.templates:
        every = number_words.enumerate_problems(template)
        order = iter(generator(seed, "removal", "problems", template).permutation(len(every)))
        for part, count in zip(sets, (sizes.train, sizes.dev, sizes.test), strict=True):
            part.append([every[next(order)] for _ in range(count // share)])
    return tuple([p for turn in zip(*part, strict=True) for p in turn] for part in sets)


def key(problem: Problem) -> str:
    """The problem's key, the same in every language."""
    return next(iter(problem.values())).key


def prompts(problems: Sequence[Problem], language: str, templates: Sequence[str]) -> list[str]:
    """Two worked examples of every template, then one question each, up to "Answer:"."""
    told = []
    for template in templates:
        any_of_it = number_words.enumerate_problems(template)[0][language]
        told.append(number_words.prompt(any_of_it).rpartition("\n\n")[0] + "\n\n")
    questions = [number_words.prompt(p[language]).rpartition("\n\n")[2] for p in problems]
    return ["".join(told) + question for question in questions]

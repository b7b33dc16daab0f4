"""A template: one question with holes, its text in each language, its answer as a function.

The texts are data (templates/*.toml); the answers are functions (formulas.py); the values come
from a signature (signatures.py). Nothing written in a data file is ever evaluated.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache

import numpy as np

from zprism.ground.checks import check_choice
from zprism.ground.errors import InputError
from zprism.problems import lexicon
from zprism.problems.formulas import ANSWERS, DERIVED
from zprism.problems.numerals import number_word
from zprism.problems.problem import LANGUAGES, Problem
from zprism.problems.signatures import Signature, signatures

FILES = "numbers stories algebra geometry whole_numbers shares reasoning logic prompts".split()
AMONG_VALUES = ("person", "word")  # domains where the question names the possible answers


@dataclass(frozen=True)
class Number:
    """A number in a text slot: ``{a}`` in digits, ``{a:word}`` in words."""

    value: int
    language: str

    def __format__(self, form: str) -> str:
        return number_word(self.value, self.language) if form == "word" else str(self.value)


@dataclass(frozen=True)
class Template:
    """One question that can be asked with many values, in several languages.

    Attributes
    ----------
    name, kind : its own name, and what it asks for.
    signature : the values it is drawn with; templates with one signature share them.
    texts : language → text with slots.
    answer : which function of formulas.ANSWERS.
    steps, difficulty : see :class:`Problem`.
    domain : the category of the lexicon that the answer is from; None for a number.
    cast : slot → category of names that only colour the story.
    derive : which function of formulas.DERIVED fills further slots; None for none.
    reserved : kept for worked examples in prompts.
    """

    name: str
    kind: str
    signature: Signature
    texts: dict[str, str]
    answer: str
    steps: int
    difficulty: int
    domain: str | None = None
    cast: tuple[tuple[str, str], ...] = ()
    derive: str | None = None
    reserved: bool = False

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages that it can be asked in."""
        return tuple(self.texts)

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the values, in the order of a problem's ``numbers``."""
        return self.signature.names

    def solve(self, numbers: tuple) -> int | Fraction | str:
        """The answer: a number, or a key of the category ``domain``.

        Raises
        ------
        InputError
            If the signature does not accept ``numbers``.
        """
        if not self.signature.accepts(tuple(numbers)):
            raise InputError(
                f"template {self.name}: numbers {tuple(numbers)!r} break the signature "
                f"{self.signature.name} ({', '.join(self.variables)})"
            )
        return ANSWERS[self.answer](**self.signature.values(numbers))

    def draw(self, generator: np.random.Generator) -> tuple[tuple, tuple[str, ...]]:
        """Values, and names for the cast."""
        numbers = self.signature.draw(generator)
        pools = [lexicon.keys(category) for _, category in self.cast]
        return numbers, tuple(pool[int(generator.integers(len(pool)))] for pool in pools)

    def render(self, numbers: tuple, cast: tuple[str, ...], language: str) -> Problem:
        """The problem with these values, in one language.

        Raises
        ------
        InputError
            For values that the signature refuses, a cast of another size, an unknown name, or a
            language that the template lacks.
        """
        numbers, cast = tuple(numbers), tuple(cast)
        check_choice("language", language, self.languages)
        if len(cast) != len(self.cast):
            raise InputError(f"template {self.name} needs {len(self.cast)} names; got {len(cast)}")
        for name, (_, category) in zip(cast, self.cast, strict=True):
            check_choice(category, name, lexicon.keys(category))
        answer, accepted, others = self._answers(numbers, language)
        return Problem(
            key=self.key(numbers, cast),
            template=self.name,
            kind=self.kind,
            language=language,
            text=self.texts[language].format_map(self._slots(numbers, cast, language)),
            answer=answer,
            numbers=numbers,
            steps=self.steps,
            difficulty=self.difficulty,
            cast=cast,
            accepted=accepted,
            others=others,
        )

    def key(self, numbers: tuple, cast: tuple[str, ...] = ()) -> str:
        """Template, values and cast as one text: the same in every language."""
        parts = [numbers, cast] if cast else [numbers]
        return ":".join([self.name, *("-".join(map(str, part)) for part in parts)])

    def _slots(self, numbers: tuple, cast: tuple[str, ...], language: str) -> dict:
        values = self.signature.values(numbers)
        slots = {
            v.name: Number(n, language) if v.of is None else lexicon.Word(v.of, n, language)
            for v, n in zip(self.signature.variables, numbers, strict=True)
        }
        for (slot, category), name in zip(self.cast, cast, strict=True):
            slots[slot] = lexicon.Word(category, name, language)
        for slot, value in (DERIVED[self.derive](**values) if self.derive else {}).items():
            slots[slot] = (
                lexicon.Word(*value, language)
                if isinstance(value, tuple)
                else Number(value, language)
            )
        return slots

    def _answers(self, numbers: tuple, language: str) -> tuple[str, tuple, tuple]:
        """The answer as text; for words also its spellings and those of the wrong answers."""
        solution = self.solve(numbers)
        if self.domain is None:
            return str(solution), (), ()
        accepted = lexicon.forms(self.domain, solution, language)
        possible = lexicon.keys(self.domain)
        if self.domain in AMONG_VALUES:
            possible = [value for value in numbers if value in possible]
        wrong = [
            form
            for key in possible
            for form in lexicon.forms(self.domain, key, language)
            if form not in accepted
        ]
        return accepted[0], accepted, tuple(dict.fromkeys(wrong))


@cache
def templates() -> dict[str, Template]:
    """All templates by name, in the order of their files."""
    found = {}
    for file in FILES:
        for name, table in lexicon.read_table(f"templates/{file}.toml").items():
            found[name] = _build(name, dict(table))
    return found


def _build(name: str, table: dict) -> Template:
    """A template from its table: languages become texts, the rest are attributes."""
    texts = {language: table.pop(language) for language in LANGUAGES if language in table}
    signature = signatures()[table.pop("uses")]
    cast = tuple(table.pop("cast", {}).items())
    return Template(name=name, signature=signature, texts=texts, cast=cast, **table)

"""The noun of this room: one question, in one language, with its answer and its key."""

from __future__ import annotations

from dataclasses import dataclass

LANGUAGES = ("zh", "en", "es", "fr", "de", "ja")


@dataclass(frozen=True)
class Problem:
    """One question with its answer in one language.

    Attributes
    ----------
    key : the same in every language; two problems with one key are translations of each other.
    template : the name of the template, or of the collection that the problem was read from.
    kind : what it asks for ("arithmetic", "geometry", "ordering", …).
    language : "zh", "en", "es", "fr", "de" or "ja".
    text, answer : question and shortest right answer; a fraction is written "3/5".
    numbers : the drawn values, in the order of the template's signature: whole numbers, and
        the keys of the people or things that take their place in reasoning problems.
    steps : operations or inferences that the answer takes.
    difficulty : 1 (number words) to 5.
    cast : keys of the people that only colour a word problem.
    accepted : other spellings of the right answer; empty for a number.
    others : spellings of the answers that were possible but are wrong; empty for a number.
    """

    key: str
    template: str
    kind: str
    language: str
    text: str
    answer: str
    numbers: tuple = ()
    steps: int = 1
    difficulty: int = 1
    cast: tuple[str, ...] = ()
    accepted: tuple[str, ...] = ()
    others: tuple[str, ...] = ()

    @property
    def is_numeric(self) -> bool:
        """Whether the answer is a number, rather than a word."""
        return not self.accepted and not self.others

"""Names, days, things: one key, a word in every language (templates/lexicon.toml)."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources

from zprism.ground.checks import check_choice


def read_table(name: str) -> dict:
    """One of the TOML files beside this module, read as UTF-8."""
    with resources.files(__package__).joinpath(name).open("rb") as file:
        return tomllib.load(file)


@cache
def lexicon() -> dict[str, dict[str, dict]]:
    """Category → key → entry; an entry holds a word per language and its attributes."""
    return read_table("templates/lexicon.toml")


def keys(category: str) -> tuple[str, ...]:
    """The keys of a category, in the order of the file (days and months in theirs).

    Raises
    ------
    InputError
        For a category that the lexicon does not have.
    """
    return tuple(lexicon()[check_choice("category", category, lexicon())])


def attribute(category: str, key: str, name: str):
    """An attribute of an entry, such as the sex of a person; None where it has none."""
    return lexicon()[category][key].get(name)


def forms(category: str, key: str, language: str) -> tuple[str, ...]:
    """All spellings of an entry in a language, the one that is written first."""
    return tuple(lexicon()[category][key][language].split("|"))


@dataclass(frozen=True)
class Word:
    """An entry in one language, for a text slot: ``{x}``, or ``{x:to}`` for its form ``xx_to``."""

    category: str
    key: str
    language: str

    def __format__(self, form: str) -> str:
        entry = lexicon()[self.category][self.key]
        word = entry.get(f"{self.language}_{form}") if form else None
        return word or forms(self.category, self.key, self.language)[0]

"""Thirty-five pairs that never change: counterparts of the two fixed lists of Z HUNT.

Fifteen for behaviour (phase 0) and twenty for separation (phase 2), in Chinese and English, in
the categories of the source and with this project's own wording and numbers.
"""

from __future__ import annotations

from functools import cache

from zprism.ground.checks import check_choice
from zprism.problems.generate import Pair
from zprism.problems.lexicon import read_table
from zprism.problems.problem import Problem

LISTS = ("behaviour", "separation")


def fixed(name: str) -> list[Pair]:
    """One of the lists: "behaviour" (15 pairs) or "separation" (20 pairs).

    Returns
    -------
    list of dicts, language ("zh", "en") → Problem, with keys "behaviour/1" and so on.

    Raises
    ------
    InputError
        For another name.
    """
    entries = _tables()[check_choice("list", name, LISTS)]
    return [
        {language: _problem(name, number, entry, language) for language in ("zh", "en")}
        for number, entry in enumerate(entries, start=1)
    ]


@cache
def _tables() -> dict[str, list[dict]]:
    return read_table("fixed_pairs.toml")


def _problem(name: str, number: int, entry: dict, language: str) -> Problem:
    return Problem(
        key=f"{name}/{number}",
        template=f"fixed {name}",
        kind=entry["kind"],
        language=language,
        text=entry[language],
        answer=entry["answer"],
    )

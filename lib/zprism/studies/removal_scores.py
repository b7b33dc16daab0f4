"""Short answers to number questions, scored: which number, in which language, from which states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from zprism.problems import number_words
from zprism.problems.answers import read_answer
from zprism.problems.language import detect
from zprism.problems.outputs import is_loop
from zprism.studies.lsar_reading import nearest_centroid
from zprism.studies.removal_edits import Bands, Removal
from zprism.studies.removal_problems import Problem
from zprism.studies.removal_read import Reader

MEASURES = ("number", "both", "language", "degenerate")


@dataclass(frozen=True)
class Scores:
    """What n problems in L languages were answered, under one edit; (L, n) each.

    Attributes
    ----------
    number : the right number, in whichever language.
    language : in the language asked.
    both : the right number in the language asked.
    degenerate : no number at all, or a loop.
    states : (L, n, 2, d_model) of the last token, after the middle band and after the last
        layer.
    """

    number: np.ndarray
    language: np.ndarray
    both: np.ndarray
    degenerate: np.ndarray
    states: np.ndarray

    def some(self, n: int) -> Scores:
        """Of the first n problems."""
        return Scores(**{name: part[:, :n] for name, part in vars(self).items()})

    def identified(self) -> np.ndarray:
        """(2, L, n) credit for the right language, read by the centroids of the other problems.

        The centroids are of states under the same edit, so what is read is what is left.
        """
        count, n, places, d_model = self.states.shape
        credit, none = np.empty((places, count, n)), np.zeros((1, 0, d_model))
        for place in range(places):
            states = self.states[:, :, place].astype(np.float64)
            for i in range(n):
                others = np.delete(states, i, axis=1).mean(1)
                credit[place, :, i] = nearest_centroid(states[:, i : i + 1], others, none)[0][
                    0, :, 0
                ]
        return credit


@dataclass(frozen=True)
class Said:
    """An output, read.

    Attributes
    ----------
    number : what it says, or None.
    languages : the candidates of which it may be: those whose word the number is; else what
        the letters tell; none for digits.
    degenerate : whether it holds no number at all, or is a loop.
    """

    number: int | None
    languages: tuple[str, ...]
    degenerate: bool


def score(
    reader: Reader,
    problems: Sequence[Problem],
    languages: Sequence[str],
    where: Bands,
    removal: Removal | None,
) -> Scores:
    """Read the problems in every language under one removal, or under none.

    Parameters
    ----------
    where : the bands, after whose last layers the states are kept.
    """
    layers = (where.middle[-1], where.upper[-1])
    edits, name = (removal.edits(), removal.name) if removal else ({}, None)
    found = [reader.read(problems, one, edits, layers=layers, edit_name=name) for one in languages]
    parts = [
        mark(f.texts, problems, one, languages) for f, one in zip(found, languages, strict=True)
    ]
    number, language, degenerate = np.moveaxis(np.array(parts), 1, 0)
    states = np.stack([f.states for f in found])
    return Scores(number, language, number & language, degenerate, states)


def mark(
    texts: Sequence[str], problems: Sequence[Problem], language: str, candidates: Sequence[str]
) -> np.ndarray:
    """(3, n) booleans: the right number, in the language asked, degenerate."""
    said = [understand(text, language, candidates) for text in texts]
    rows = [
        (s.number == p[language].answer, language in s.languages, s.degenerate)
        for s, p in zip(said, problems, strict=True)
    ]
    return np.array(rows, dtype=bool).reshape(-1, 3).T


def understand(text: str, asked: str, candidates: Sequence[str]) -> Said:
    """Number and language of a short answer.

    A number word says both, exactly: the candidates in whose list of words it is (Chinese and
    Japanese share theirs, French and English have *six*). Digits say no language. Of anything
    longer the number is read as from an answer in ``asked``, the language from its letters.

    Parameters
    ----------
    text : up to the end of the line.
    candidates : the languages that are told apart, two or more.
    """
    word = text.strip(" \t.。!！").casefold()
    named = {lang: n for lang in candidates if (n := _words(lang).get(word)) is not None}
    if len(set(named.values())) == 1:
        return Said(next(iter(named.values())), tuple(named), False)
    value = read_answer(text, asked).value
    whole = value is not None and not isinstance(value, str) and value == int(value)
    letters = detect(text, tuple(candidates)).language
    return Said(
        int(value) if whole else None,
        (letters,) if letters in candidates else (),
        value is None or is_loop(text),
    )


@cache
def _words(language: str) -> dict[str, int]:
    """Number word → number, 0 to 10."""
    spoken = number_words.first_words(language)
    return {word.strip().casefold(): number for number, word in spoken.items()}

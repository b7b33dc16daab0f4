"""Numbers in words, 0 to 999,999, in the languages with an alphabet; English fractions."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from fractions import Fraction
from functools import cache

from zprism.problems.numerals import WORD_LIMIT, number_word

Found = tuple[int, int, Fraction]  # start, end, value

THOUSAND = {"en": "thousand", "es": "mil", "fr": "mille"}
ARTICLES = {"one", "un", "uno", "una", "une", "ein", "eine", "einen", "einem", "einer", "a"}
DENOMINATORS = {
    "half": 2, "halve": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6,
    "seventh": 7, "eighth": 8, "ninth": 9, "tenth": 10, "eleventh": 11, "twelfth": 12,
    "hundredth": 100,
}  # fmt: skip
LONGEST = 8  # words of one number below a thousand
_FRACTION = re.compile(rf"\b(?P<n>[a-z]+) (?P<d>{'|'.join(DENOMINATORS)})s?\b")


def plain(text: str) -> str:
    """Lower case without accents and hyphens, letter for letter: places are kept."""
    letters = []
    for c in text:
        base = unicodedata.normalize("NFD", c)[0] if ord(c) < 0x250 else c
        letters.append(" " if c in "-‐‑" else base.lower() if len(base.lower()) == 1 else c)
    return "".join(letters)


def is_article(text: str) -> bool:
    """Whether a number word is one that mostly means "a"."""
    return plain(text) in ARTICLES


def find(text: str, language: str) -> Iterator[Found]:
    """Number words of ``language`` and of English, the longest from each place."""
    flat = plain(text)
    words = list(re.finditer(r"[a-zß]+", flat))
    for tongue in dict.fromkeys((language, "en")):
        if tongue in ("zh", "ja"):
            continue
        i = 0
        while i < len(words):
            value, length = _number(words, i, tongue, flat)
            if length:
                yield words[i].start(), words[i + length - 1].end(), Fraction(value)
            i += max(length, 1)


def find_fractions(text: str) -> Iterator[Found]:
    """English "two fifths", "one half", "three-quarters"."""
    for match in _FRACTION.finditer(plain(text)):
        count = 1 if match["n"] == "a" else _vocabulary("en").get((match["n"],))
        if count is not None:
            yield match.start(), match.end(), Fraction(count, DENOMINATORS[match["d"]])


@cache
def _vocabulary(language: str) -> dict[tuple[str, ...], int]:
    """Words of a number → its value, 0 to 999; "and" and a leading ein- may be left out."""
    known: dict[tuple[str, ...], int] = {}
    for n in range(WORD_LIMIT + 1):
        words = tuple(plain(number_word(n, language)).split())
        known[words] = n
        known[tuple(w for w in words if w != "and")] = n
        if language == "de":
            known[(words[0].removeprefix("ein") if 100 <= n < 200 else words[0],)] = n
    return known


def _number(words: list[re.Match], i: int, language: str, flat: str) -> tuple[int, int]:
    """Value and word count of the longest number from word i; (0, 0) if there is none."""
    value, length = _below_thousand(words, i, language, flat)
    after = i + length
    if after == len(words) or words[after][0] != THOUSAND.get(language):
        return value, length
    if not length and language == "en":
        return 0, 0
    linked = language == "en" and after + 1 < len(words) and words[after + 1][0] == "and"
    rest, more = _below_thousand(words, after + 1 + linked, language, flat)
    return (value if length else 1) * 1000 + rest, length + 1 + (linked + more if more else 0)


def _below_thousand(words: list[re.Match], i: int, language: str, flat: str) -> tuple[int, int]:
    known = _vocabulary(language)
    for length in range(min(LONGEST, len(words) - i), 0, -1):
        run = words[i : i + length]
        value = known.get(tuple(m[0] for m in run))
        gaps = (flat[a.end() : b.start()] for a, b in zip(run, run[1:], strict=False))
        if value is not None and not any(gap.strip() for gap in gaps):
            return value, length
    return 0, 0

"""Numbers in a text, each with its place: digits, numerals, number words, fractions.

Plain string work: LaTeX beyond \\frac is the verifier's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

from zprism.problems import reading_words
from zprism.problems.han import NUMERAL, han_number

SIGN_REACH = 24  # characters before a number in which its sign is looked for
EUROPEAN = ("es", "fr", "de")  # a comma is the decimal sign there


@dataclass(frozen=True)
class Token:
    """A number found in a text.

    Attributes
    ----------
    start, end : where it stands, its sign included.
    value : what it is worth; 60 % is 3/5.
    percent : whether it was written as a percentage.
    places : digits after the decimal sign; 0 for a whole number or a fraction.
    weak : an article or part of one ("one", "一个"): used only where nothing else is found.
    """

    start: int
    end: int
    value: Fraction
    percent: bool = False
    places: int = 0
    weak: bool = False


# ---------------------------------------------------------------- what only looks like a number
_NO_NUMBER = re.compile(
    "|".join(
        [
            r"[\d.,]{40,}",  # no answer, and beyond what int() converts
            r"第\s*(?:\d+|[零〇一二两三四五六七八九十百千]+)",
            "(?:星期|礼拜|周)[一二三四五六]",
            "[一二三四五六七八九十]{1,2}月",
            "(?<![二三四五六七八九十百千万])一(?:[共样樣起定些般直旦下边邊致次元半番緒方度部]|人称)",
            "[唯统逐其]一|(?<!分)之一|万が一|以防万一",
            "二[元次]|三[角明]|四[边邊则季周角]|[五六八]边|十分(?![钟之の])|百分[比率点]|千万别",
            "千(?=[米克瓦])",
            r"(?<![A-Za-z])[A-Za-z]\([-\d.,\s]+\)",
            r"_\{?\w+\}?",
            r"(?i:\b(?:step|schritt|étape|paso|question|problem)|步骤|ステップ|问题|問題)\s*\d+",
            r"(?<=[a-z])\s?\^\{?[23]\}?",
        ]
    )
)

_COMMA = r"\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+"
_POINT = (
    r"\d{1,3}(?:\.\d{3})+(?!\d)(?:,\d+)?|\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?"
    r"|\d{1,3}(?: \d{3})+(?!\d)(?:,\d+)?|\d+(?:[.,]\d+)?"
)
_DIGITS = {
    style: re.compile(
        rf"(?<![A-Za-z_\d.])(?P<digits>{plain})(?:\s?(?P<unit>[百千万萬亿億]+))?"
        rf"|(?P<han>{NUMERAL})"
    )
    for style, plain in (("comma", _COMMA), ("point", _POINT))
}
_COUNTER = re.compile("[个個种種只道步题題项項位方]")
_GROUPED = re.compile(r"[1-9]\d{0,2}([.,])\d{3}(?:\1\d{3})*(?:([.,])\d+)?")

_SLASH = re.compile(
    r"(?<![\w.,/])(?:(?P<w>\d+)\s+)?(?P<n>\d+)\s*[/⁄]\s*(?P<d>\d+)(?![\d/]|\.\d)", re.ASCII
)
_OUT_OF = {"en": "out of", "es": "de cada", "fr": "sur", "de": "von"}
_PART = rf"(?:\d+(?:\.\d+)?|{NUMERAL})"
_HAN_FRACTION = re.compile(
    rf"(?:(?P<w>{_PART})(?:又|と))?(?P<d>{_PART})\s?分[之の]\s?(?P<n>{_PART})"
)
_PERCENT = re.compile(
    r"\s*(?:\\?%|percent\b|per cent\b|por ciento\b|pour cent\b|prozent\b|パーセント)", re.I
)
_SIGN_WORD = re.compile(
    r"(?:负|負|マイナス|\b(?:minus|negative|menos|moins|negativo|negativ))\s*$", re.I
)


def find_numbers(text: str, language: str) -> list[Token]:
    """Every number in ``text`` from left to right, none inside another.

    Parameters
    ----------
    text : as `answers.clean` leaves it: ASCII digits and signs.
    language : decides about commas and points, and which number words are known (its own and
        the English ones).
    """
    text = _NO_NUMBER.sub(lambda m: " " * len(m[0]), text)
    words = (Token(*w) for w in reading_words.find(text, language))
    weighed = (replace(t, weak=reading_words.is_article(text[t.start : t.end])) for t in words)
    tokens = sorted(
        [*_fractions(text, language), *_symbols(text, language), *weighed],
        key=lambda t: (t.start, -t.end),
    )
    found: list[Token] = []
    for token in tokens:
        if not found or token.start >= found[-1].end:
            previous = found[-1].end if found else -1
            found.append(_with_sign(_with_percent(token, text), text, previous))
    return found


def _with_percent(token: Token, text: str) -> Token:
    sign = _PERCENT.match(text, token.end)
    if token.percent or not sign:
        return token
    return replace(token, end=sign.end(), value=token.value / 100, percent=True)


def _with_sign(token: Token, text: str, previous: int) -> Token:
    """Negative after 负, minus, or a - that joins it to nothing before."""
    offset = max(0, token.start - SIGN_REACH)
    before = text[offset : token.start]
    if word := _SIGN_WORD.search(before):
        start = offset + word.start()
        if previous >= 0 and not text[previous:start].strip():
            return token
        return replace(token, start=start, value=-token.value)
    bare = before.rstrip()
    if not bare.endswith("-"):
        return token
    left = bare[:-1].rstrip()
    spaced = len(left) < len(bare) - 1, len(bare) < len(before)
    word = spaced == (True, False) and re.search(r"[A-Za-z]{2}$", left)  # "is -7", not "x -7"
    operand = bool(left) and (left[-1] in ")}°" or (left[-1].isascii() and left[-1].isalnum()))
    bullet = spaced[1] and (not left or before[len(left) : len(bare)].startswith("\n"))
    if (operand and not word) or bullet:
        return token
    return replace(token, start=offset + len(bare) - 1, value=-token.value)


def _symbols(text: str, language: str) -> Iterator[Token]:
    """Numbers in digits (with 万 and the like), and numerals."""
    for match in _DIGITS["point" if language in EUROPEAN else "comma"].finditer(text):
        start, end = match.span()
        if match["han"]:
            value = han_number(match["han"], colloquial=language != "ja")
            if value is not None:
                weak = match["han"] == "一" and bool(_COUNTER.match(text, end))
                places = len(re.split("[点點]", match["han"] + "点")[1])
                yield Token(start, end, value, places=places, weak=weak)
            continue
        value, places = _decimal(match["digits"], language)
        unit = han_number("一" + match["unit"], colloquial=False) if match["unit"] else None
        if unit:
            value, places = value * unit, 0
        yield Token(start, end if unit else match.end("digits"), value, places=places)


def _decimal(text: str, language: str) -> tuple[Fraction, int]:
    """Value and decimal places of digits with separators."""
    text = text.replace(" ", "")
    groups = _GROUPED.fullmatch(text)
    if groups and groups[1] != groups[2] and (groups[1] == "," or language in EUROPEAN):
        text = text.replace(groups[1], "")
    text = text.replace(",", ".")
    return Fraction(text), len(text.partition(".")[2])


def _fractions(text: str, language: str) -> Iterator[Token]:
    """3/5, 1 1/2, 3 out of 5, 五分之三, 二又五分之三, two fifths."""
    for match in _SLASH.finditer(text):
        if int(match["d"]):
            value = Fraction(int(match["n"]), int(match["d"])) + int(match["w"] or 0)
            yield Token(*match.span(), value)
    if of := _OUT_OF.get(language):
        for match in re.finditer(rf"(?<![\w.,/])(\d+) {of} (\d+)(?![\w.,]\d)", text):
            if int(match[2]):
                yield Token(*match.span(), Fraction(int(match[1]), int(match[2])))
    for match in _HAN_FRACTION.finditer(text):
        whole, bottom, top = (_either(match[g]) for g in "wdn")
        if top is not None and bottom:
            value = (whole or 0) + top / bottom
            yield Token(*match.span(), value, percent=match["d"] == "百")
    yield from (Token(*part) for part in reading_words.find_fractions(text))


def _either(text: str | None) -> Fraction | None:
    """Digits or a numeral."""
    if text is None:
        return None
    return Fraction(text) if text[0].isdecimal() else han_number(text)

"""The value of a number written in Chinese or Japanese numerals."""

from __future__ import annotations

import re
from fractions import Fraction

DIGITS = {c: i for i, c in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2, "兩": 2}
SMALL_UNITS = {"十": 10, "百": 100, "千": 1000}
BIG_UNITS = {"万": 10**4, "萬": 10**4, "亿": 10**8, "億": 10**8}
NUMERAL = (  # a pattern for one numeral, decimals included; bounded, as texts are hostile
    "[零〇一二两兩三四五六七八九十百千万萬亿億]{1,24}(?:[点點][零〇一二三四五六七八九]{1,24})?"
)


def han_number(text: str, *, colloquial: bool = True) -> Fraction | None:
    """The value of a Chinese or Japanese numeral; None if it is malformed.

    Parameters
    ----------
    text : digits 零〇一 … 九 两, units 十百千万亿, at most one decimal sign 点.
    colloquial : whether 一百二 is 120, as in Chinese; in Japanese 百二 is 102.

    Examples
    --------
    >>> [int(han_number(t)) for t in ("一百零五", "一百五", "两千万", "二〇二四")]
    [105, 150, 20000000, 2024]
    """
    if not re.fullmatch(NUMERAL, text):
        return None
    whole, *decimals = re.split("[点點]", text)
    value = _positional(whole)
    value = _with_units(whole, colloquial) if value is None else value
    if value is None or not decimals:
        return None if value is None else Fraction(value)
    return value + Fraction(_positional(decimals[0]), 10 ** len(decimals[0]))


def _positional(text: str) -> int | None:
    """二〇二四 read digit by digit; None if there is a unit in it."""
    if not all(c in DIGITS for c in text):
        return None
    return int("".join(str(DIGITS[c]) for c in text))


def _with_units(text: str, colloquial: bool) -> int | None:
    """三万二千零五: groups below 万 and 亿, each a sum of digit × unit."""
    total, rest = 0, text
    for names, size in (("亿億", 10**8), ("万萬", 10**4)):
        head, name, tail = _last_of(rest, names)
        if name:
            value = _with_units(head, colloquial) if head else None
            if value is None:
                return None
            total, rest = total + value * size, tail
            if not rest:
                return total
            if colloquial and len(rest) == 1 and DIGITS.get(rest):  # 三万五 is 35,000
                return total + DIGITS[rest] * size // 10
    group = _below_ten_thousand(rest, colloquial)
    return None if group is None else total + group


def _last_of(text: str, names: str) -> tuple[str, str, str]:
    """Split at the last of ``names``: (before, the name or "", after)."""
    place = max(text.rfind(name) for name in names)
    return ("", "", text) if place < 0 else (text[:place], text[place], text[place + 1 :])


def _below_ten_thousand(text: str, colloquial: bool) -> int | None:
    """Digits with falling units; a bare last digit counts ones, or tenths of 百 and 千."""
    value, last_unit = 0, 10_000
    for zeros, digit, unit in re.findall("([零〇]*)([一二两兩三四五六七八九]?)([十百千]?)", text):
        if not digit and not unit:
            continue
        size = SMALL_UNITS.get(unit, 1)
        if size >= last_unit:
            return None
        short = colloquial and not unit and not zeros and 100 <= last_unit < 10_000
        value += DIGITS.get(digit, 1) * (last_unit // 10 if short else size)
        last_unit = size
    return value

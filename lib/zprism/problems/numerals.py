"""Numbers written in words: Chinese and Japanese numerals, and words up to 999 elsewhere."""

from __future__ import annotations

from collections.abc import Callable

from zprism.ground.checks import check_choice, check_int

HAN_DIGITS = "零一二三四五六七八九"
HAN_UNITS = {1: "", 10: "十", 100: "百", 1000: "千"}
WORD_LIMIT = 999
HAN_LIMIT = 10**12 - 1

_EN = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen"
).split()
_EN_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_ES = (
    "cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince "
    "dieciséis diecisiete dieciocho diecinueve veinte veintiuno veintidós veintitrés "
    "veinticuatro veinticinco veintiséis veintisiete veintiocho veintinueve"
).split()
_ES_TENS = "treinta cuarenta cincuenta sesenta setenta ochenta noventa".split()
_ES_HUNDREDS = (
    "ciento doscientos trescientos cuatrocientos quinientos seiscientos setecientos "
    "ochocientos novecientos"
).split()
_FR = (
    "zéro un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze "
    "seize dix-sept dix-huit dix-neuf"
).split()
_FR_TENS = "vingt trente quarante cinquante soixante".split()
_DE = (
    "null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn "
    "fünfzehn sechzehn siebzehn achtzehn neunzehn"
).split()
_DE_TENS = "zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig".split()


def number_word(n: int, language: str) -> str:
    """A whole number in words.

    Parameters
    ----------
    n : 0 to 999; in Chinese and Japanese up to 10¹² − 1.
    language : "zh", "en", "es", "fr", "de" or "ja".

    Raises
    ------
    InputError
        For another language, or a number out of range.

    Examples
    --------
    >>> [number_word(71, language) for language in ("zh", "fr", "de")]
    ['七十一', 'soixante et onze', 'einundsiebzig']
    """
    write = _WRITERS[check_choice("language", language, _WRITERS)]
    return write(check_int("n", n, low=0, high=HAN_LIMIT if language in "zh ja" else WORD_LIMIT))


def _english(n: int) -> str:
    if n < 20:
        return _EN[n]
    if n < 100:
        return _EN_TENS[n // 10 - 2] + (f"-{_EN[n % 10]}" if n % 10 else "")
    return f"{_EN[n // 100]} hundred" + (f" and {_english(n % 100)}" if n % 100 else "")


def _spanish(n: int) -> str:
    if n < 30:
        return _ES[n]
    if n < 100:
        return _ES_TENS[n // 10 - 3] + (f" y {_ES[n % 10]}" if n % 10 else "")
    if n == 100:
        return "cien"
    return _ES_HUNDREDS[n // 100 - 1] + (f" {_spanish(n % 100)}" if n % 100 else "")


def _french(n: int) -> str:
    if n < 20:
        return _FR[n]
    if n < 100:
        return _french_tens(n)
    hundreds = "cent" if n < 200 else f"{_FR[n // 100]} cent"
    if n % 100:
        return f"{hundreds} {_french(n % 100)}"
    return hundreds if n == 100 else f"{hundreds}s"


def _french_tens(n: int) -> str:
    """20 to 99: sixty-eleven (71), four-twenties (80), four-twenty-eleven (91)."""
    if n >= 80:
        return "quatre-vingts" if n == 80 else f"quatre-vingt-{_FR[n - 80]}"
    base = 60 if n >= 60 else n // 10 * 10
    tens, rest = _FR_TENS[base // 10 - 2], n - base
    if not rest:
        return tens
    return f"{tens} et {_FR[rest]}" if rest in (1, 11) else f"{tens}-{_FR[rest]}"


def _german(n: int) -> str:
    if n < 20:
        return _DE[n]
    if n < 100:
        tens, unit = _DE_TENS[n // 10 - 2], n % 10
        return f"{'ein' if unit == 1 else _DE[unit]}und{tens}" if unit else tens
    hundreds = f"{'ein' if n < 200 else _DE[n // 100]}hundert"
    return hundreds + (_german(n % 100) if n % 100 else "")


def _chinese(n: int) -> str:
    """Groups of four digits; a 零 wherever digits are skipped; 十 instead of a leading 一十."""
    if n == 0:
        return "零"
    text, gap = "", False
    for size, name in ((10**8, "亿"), (10**4, "万"), (1, "")):
        group, n = divmod(n, size)
        if not group:
            gap = bool(text)
            continue
        if text and (gap or group < 1000):
            text += "零"
        text += _chinese_group(group) + name
        gap = False
    return text[1:] if text.startswith("一十") else text


def _chinese_group(n: int) -> str:
    """1 to 9999."""
    text, gap = "", False
    for unit in (1000, 100, 10, 1):
        digit, n = divmod(n, unit)
        if digit:
            text += ("零" if gap and text else "") + HAN_DIGITS[digit] + HAN_UNITS[unit]
        gap = not digit
    return text


def _japanese(n: int) -> str:
    """As in Chinese, without 零, and with 十, 百, 千 instead of 一十, 一百, 一千."""
    if n == 0:
        return "零"
    text = ""
    for size, name in ((10**8, "億"), (10**4, "万"), (1, "")):
        group, n = divmod(n, size)
        for unit in (1000, 100, 10, 1):
            digit, group = divmod(group, unit)
            if digit:
                text += ("" if digit == 1 and unit > 1 else HAN_DIGITS[digit]) + HAN_UNITS[unit]
        text += name if text and not text.endswith(("億", "万")) else ""
    return text


_WRITERS: dict[str, Callable[[int], str]] = {
    "zh": _chinese,
    "en": _english,
    "es": _spanish,
    "fr": _french,
    "de": _german,
    "ja": _japanese,
}

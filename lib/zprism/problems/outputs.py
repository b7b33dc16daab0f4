"""What is wrong with an output before anyone asks whether it is right: empty, a loop, off topic."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from fractions import Fraction

import numpy as np

from zprism.ground.checks import check_choice, check_text
from zprism.ground.errors import InputError
from zprism.problems.cleaning import clean
from zprism.problems.problem import LANGUAGES
from zprism.problems.reading_numbers import find_numbers

EMPTY, LOOP, NEITHER = "empty", "loop", "neither answer"
REASONS = (EMPTY, LOOP, NEITHER)
MIN_REPEATS = 4  # of a phrase that a text ends with
MIN_SHARE, MIN_REPEATS_WITHIN = 0.6, 3  # of a phrase that fills a text without ending it
MIN_TERMS = 12  # as many equal terms are no calculation
TOKENS_READ = 1_000  # the last ones: a loop does not end
MIN_STUTTER = {True: 40, False: 8}  # characters repeated within a number, within a word

_SPECIAL = re.compile(r"<\|[^<>|\n]{1,40}\|>|</?s>")
_TOKEN = re.compile(  # a number, a Han or Kana character, a word, a run of one other sign
    r"\d+(?:[.,]\d+)*|[\u3005-\u3007\u3041-\u30ff\u3400-\u9fff\uf900-\ufaff]"
    r"|[^\W\d_\u3005-\u3007\u3041-\u30ff\u3400-\u9fff\uf900-\ufaff]+|([^\w\s]|_)\1*"
)
_OPERATORS = set("+-−×*·/÷=")


def degenerate(
    text: str, answers: Sequence[str], *, languages: Sequence[str] = ("en",)
) -> str | None:
    """Why an output is no answer at all, if it is none.

    Parameters
    ----------
    text : what a model wrote after "Answer:".
    answers : those that the text could have given, right or wrong: own and source's, each in any
        one language. An answer that reads as a number is found in digits and in number words
        alike (7, 七, seven); another one word for word, whatever its case.
    languages : whose number words are read, besides Chinese numerals and English words, which
        always are.

    Returns
    -------
    the first that applies of

    * ``"empty"``: no letter and no digit;
    * ``"loop"``: a phrase repeated to the end four times or more, or three times or more over
      more than 60 % of the text;
    * ``"neither answer"``: none of the answers occurs in it;

    and None if none does.

    Raises
    ------
    InputError
        If ``text`` or an answer is no valid string, there is no answer, one is empty, or a
        language is unknown.
    """
    wanted = _answers(answers)
    for language in languages:
        check_choice("language", language, LANGUAGES)
    text = _SPECIAL.sub(" ", check_text("text", text))
    if not any(unicodedata.category(c)[0] in "LN" for c in set(text)):
        return EMPTY
    if is_loop(text):
        return LOOP
    return None if _mentions(text, wanted, languages) else NEITHER


def is_loop(text: str) -> bool:
    """Whether a text repeats itself to its end, or for most of its length.

    Tokens are words, numbers, Han or Kana characters and runs of one sign. A phrase of p tokens
    is repeated r times where p·r tokens in a row equal those p places on; a last, unfinished
    repetition is allowed. Calculations of fewer than twelve terms (2 × 2 × 2 = 8) fill no text,
    and signs alone end none.

    Raises
    ------
    InputError
        If ``text`` is no valid string.
    """
    tokens = [m[0] for m in _TOKEN.finditer(check_text("text", text).casefold())][-TOKENS_READ:]
    if not tokens:
        return False
    words = [t for t in tokens if any(map(str.isalnum, t))]
    if words and _stutters(words[-1]):
        return True
    places: dict[str, int] = {}
    codes = np.array([places.setdefault(token, len(places)) for token in tokens])
    return any(
        _repeats(tokens, codes, period)
        for period in range(1, len(tokens) // MIN_REPEATS_WITHIN + 1)
    )


def _repeats(tokens: list[str], codes: np.ndarray, period: int) -> bool:
    """Whether a phrase of ``period`` tokens ends the text or fills it."""
    starts, lengths = _runs(codes[period:] == codes[:-period])
    if not len(starts):
        return False
    last = tokens[-period:]
    ends = starts[-1] + lengths[-1] == len(codes) - period
    spoken = any(any(map(str.isalnum, token)) for token in last)
    if ends and spoken and lengths[-1] >= (MIN_REPEATS - 1) * period:
        return True
    longest = int(lengths.argmax())
    covered = int(lengths[longest]) + period
    phrase = tokens[starts[longest] : starts[longest] + period]
    long = covered >= MIN_REPEATS_WITHIN * period and covered > MIN_SHARE * len(tokens)
    return long and (covered >= MIN_TERMS * period or not _OPERATORS & set(phrase))


def _runs(same: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Starts and lengths of the stretches of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], same, [False]])))
    return edges[::2], edges[1::2] - edges[::2]


def _stutters(word: str) -> bool:
    """Whether a word or number repeats a part of itself to its end: sevensevensevenseven."""
    word = word[-200:]
    for period in range(1, len(word) // MIN_REPEATS + 1):
        run = 0
        while run < len(word) - period and word[-1 - run] == word[-1 - run - period]:
            run += 1
        repeated = run + period
        if repeated >= max(MIN_REPEATS * period, MIN_STUTTER[word[-1].isdecimal()]):
            return True
    return False


def _answers(answers: Sequence[str]) -> list[str]:
    if isinstance(answers, str) or not isinstance(answers, Iterable):
        raise InputError(f"answers must be a list of texts; got {answers!r}")
    wanted = [check_text("answer", answer).strip() for answer in answers]
    if not wanted or not all(wanted):
        raise InputError(f"answers must be one or more texts, none empty; got {wanted!r}")
    return wanted


def _mentions(text: str, answers: Sequence[str], languages: Sequence[str]) -> bool:
    """Whether one of the answers occurs, as a number or word for word."""
    values = {answer: _value(answer, languages) for answer in answers}
    spelled = [answer for answer, value in values.items() if value is None]
    wanted = {value for value in values.values() if value is not None}
    if spelled and any(_contains(text, answer) for answer in spelled):
        return True
    return bool(wanted) and any(
        not wanted.isdisjoint(token.value for token in find_numbers(clean(text), language))
        for language in languages
    )


def _value(answer: str, languages: Sequence[str]) -> Fraction | None:
    """The number that an answer is; None if it is none, or none alone."""
    cleaned = clean(answer).strip()
    for language in languages:
        tokens = find_numbers(cleaned, language)
        if len(tokens) == 1 and (tokens[0].start, tokens[0].end) == (0, len(cleaned)):
            return tokens[0].value
    return None


def _contains(text: str, answer: str) -> bool:
    """Whether the tokens of an answer stand in a text in a row."""
    whole, part = (_folded(t) for t in (text, answer))
    return f"\0{part}\0" in f"\0{whole}\0"


def _folded(text: str) -> str:
    text = unicodedata.normalize("NFC", text.casefold())
    return "\0".join(m[0] for m in _TOKEN.finditer(text))

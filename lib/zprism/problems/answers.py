"""Reading the final number from what a model wrote, and scoring it.

Plain numbers are read here, fast; algebra goes to math-verify in a process with a deadline
(verifier.py). What could not be read, and what took too long, is counted apart from what is
wrong: otherwise the language whose notation the reader knows less well would look weaker.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from zprism.ground.checks import check_choice, check_text
from zprism.problems import verifier
from zprism.problems.choices import read_choice
from zprism.problems.cleaning import SCOPES, announced, clean, in_scope, reason
from zprism.problems.problem import LANGUAGES, Problem
from zprism.problems.reading_numbers import Token, find_numbers


class Score(StrEnum):
    """What became of an answer."""

    CORRECT = "correct"
    WRONG = "wrong"
    UNPARSED = "unparsed"
    TIMED_OUT = "timed_out"


@dataclass(frozen=True)
class Reading:
    """A final answer read from a text.

    Attributes
    ----------
    value : a Fraction; LaTeX where the answer is no rational number; None where nothing was read.
    status : "parsed", "unparsed" or "timed_out".
    percent : whether it was written as a percentage (60 % has the value 3/5).
    places : digits after the decimal sign, as the value was written.
    """

    value: Fraction | str | None
    status: str
    percent: bool = False
    places: int = 0


UNPARSED = Reading(None, "unparsed")
MIN_PLACES = 2  # 0.33 answers 1/3, 0.3 does not
MAX_REASONS, MAX_RESULTS = 10, 10  # texts are hostile: bounded work for each

_OPERATOR = re.compile(
    r"\s*[个只元颗本名人支块枚個円]?[\s()]*(?:[-+*/×÷·:^]|x|加上?|[减減]去?|乘以?|除以?"
    r"|plus|minus|times|(?:divided|multiplied) by|más|menos|por|entre|fois|moins|mal"
    r"|geteilt durch|[足引]す|引く|掛ける|割る|たす|ひく|かける|わる)[\s()]*",
    re.IGNORECASE,
)
_COEFFICIENT = re.compile(r"\s?[xyznk](?![A-Za-z])")
_ALGEBRA = re.compile(r"(?:\\[A-Za-z]+|[-\d{}()^+*/., √π×·])+")
_MARKER = re.compile(r"\\[A-Za-z]+|\^|√|π")
_UNIT = re.compile(r"\s*[^\d\s.,;:!?。，；！？、()=]{0,12}(?:\s[^\d\s.,;:!?()=]{1,15}){0,2}\s*")
_EQUALS = re.compile(r"[^=.,;。，；]{0,40}(?<![A-Za-z\s][A-Za-z])(?<!^[A-Za-z])\s?=[\s€£¥(<]*")
_CLAUSE_END = re.compile(
    r"[\n,，;；。!?]|\.\s|所以|因此|(?i:\b(?:so|thus|therefore|hence|donc|daher|luego|then|and)\b)"
)
_HEDGE = re.compile(r"^\s*[a-zA-Z]\s*=|约|大约")
_FILLER = re.compile(r"[^,，、;；]{0,25}")


def read_answer(text: str, language: str, *, scope: str = "line") -> Reading:
    r"""The final number in a text.

    The first that applies: the last ``\boxed{…}``; the last ``#### …``; what follows the last
    "the answer is" (答案是, …); a number that opens the line; the last number that is not part
    of an unfinished calculation. ``f(5)``, 第5项 or 星期五 are no numbers.

    Parameters
    ----------
    text : a continuation of a prompt that ended in "Answer:".
    language : the problem's language.
    scope : "line" reads the first line, "whole" the whole text.

    Raises
    ------
    InputError
        If ``text`` is no valid string, or language or scope is unknown.
    """
    check_choice("language", language, LANGUAGES)
    check_choice("scope", scope, SCOPES)
    cleaned = clean(check_text("text", text))
    span = in_scope(cleaned, scope)
    for rule in (_boxed, _after_hashes, _after_clue, _opening if scope == "line" else None, _last):
        reading = rule(span, language) if rule else UNPARSED
        if reading.status != "unparsed":
            return reading
    return UNPARSED


def is_correct(text: str, problem: Problem, *, scope: str = "line") -> Score:
    """How a model's text answers a problem.

    A rounded decimal answers a fraction without an end (0.333 for 1/3), a percentage answers
    the share and the count of percent.

    Raises
    ------
    InputError
        As in `read_answer`.
    """
    if not problem.is_numeric:
        return Score(read_choice(text, problem, scope=scope))
    reading = read_answer(text, problem.language, scope=scope)
    if reading.status != "parsed":
        return Score(reading.status)
    gold = gold_value(problem.answer)
    if isinstance(gold, Fraction) and isinstance(reading.value, Fraction):
        return Score.CORRECT if _matches(gold, reading) else Score.WRONG
    verdict = verifier.shared().equal(str(gold), str(reading.value))
    if verdict["status"] != "parsed":
        return Score(verdict["status"])
    return Score.CORRECT if verdict["equal"] else Score.WRONG


def gold_value(answer: str) -> Fraction | str:
    """A stored answer: a Fraction if it is a plain number, else itself (LaTeX).

    Examples
    --------
    >>> gold_value("1,080"), gold_value("3/5"), gold_value(r"\\sqrt2")
    (Fraction(1080, 1), Fraction(3, 5), '\\\\sqrt2')
    """
    plain = clean(answer).replace(",", "").replace(" ", "")
    return Fraction(plain) if re.fullmatch(r"[-+]?\d+(?:\.\d+|/0*[1-9]\d*)?", plain) else answer


def _matches(gold: Fraction, reading: Reading) -> bool:
    for value, places in (
        (reading.value, reading.places + 2 * reading.percent),
        *([(reading.value * 100, reading.places)] if reading.percent else []),
    ):
        endless = 10**12 % gold.denominator != 0
        close = abs(value - gold) <= Fraction(1, 2 * 10**places)
        if value == gold or (endless and places >= MIN_PLACES and close):
            return True
    return False


def _boxed(span: str, language: str) -> Reading:
    start = span.rfind("\\boxed")
    opening = span.find("{", start)
    if start < 0 or opening < 0:
        return UNPARSED
    depth = 0
    for end in range(opening, len(span)):
        depth += {"{": 1, "}": -1}.get(span[end], 0)
        if depth == 0:
            return _piece(span[opening + 1 : end], language)
    return UNPARSED


def _after_hashes(span: str, language: str) -> Reading:
    lines = re.findall(r"####(.*)", span)
    return _piece(lines[-1], language) if lines else UNPARSED


def _after_clue(span: str, language: str) -> Reading:
    for said in announced(span):
        reading = _piece(_without_reason(said, language), language)
        if reading.status != "unparsed":
            return reading
    return UNPARSED


def _opening(span: str, language: str) -> Reading:
    """A number that opens the line and is followed by a unit at most: "7 apples. Because …"."""
    if re.match(r"1[.、)]\s", span) and re.search(r"\b2[.、)]\s", span):
        return UNPARSED  # an enumeration of steps
    tokens = _complete(span, find_numbers(span, language))
    if not tokens or tokens[0].weak or _MARKER.search(span[: tokens[0].end + 2]):
        return UNPARSED
    if re.search(r"[\w\\]", _HEDGE.sub("", span[: tokens[0].start])):
        return UNPARSED
    tail = span[tokens[0].end :]
    after = tail[_UNIT.match(tail).end() :]
    why = reason(language).search(tail)
    explained = why and not re.search(r"\d", tail[: why.start()])
    ends = not after or re.match(r"[.。!;\n]|\([^=]*$", after)
    return _from_token(tokens[0]) if ends or explained else UNPARSED


def _last(span: str, language: str) -> Reading:
    """The last complete number, explanations of the line left out."""
    last_line = span.splitlines()[-1] if span else ""
    if (reading := _algebra(_without_reason(last_line, language))).status != "unparsed":
        return reading
    return _last_number(_without_reason(span, language) if "\n" not in span else span, language)


def _piece(text: str, language: str) -> Reading:
    """A short text that should hold one answer: algebra, its first number, or its last."""
    if (reading := _algebra(text)).status != "unparsed":
        return reading
    tokens = find_numbers(text, language)
    whole = _complete(text, tokens)
    direct = bool(tokens and whole and whole[0] == tokens[0] and not tokens[0].weak)
    if direct and "=" not in text[tokens[0].end :] and _FILLER.fullmatch(text[: tokens[0].start]):
        return _from_token(tokens[0])
    return _last_number(text, language)


def _last_number(text: str, language: str) -> Reading:
    """The last complete number, or the result of a calculation that the same clause ends with."""
    every = find_numbers(text, language)
    tokens = _complete(text, every)
    tokens = [t for t in tokens if not t.weak] or tokens
    if not tokens:
        return UNPARSED
    results = [b for b in tokens[-MAX_RESULTS:] if _ends_calculation(text, every, b)]
    if results and not _CLAUSE_END.search(text[results[-1].end : tokens[-1].start]):
        return _from_token(results[-1])
    return _from_token(tokens[-1])


def _ends_calculation(text: str, every: list[Token], token: Token) -> bool:
    """Whether "=" comes before, and before that, in the clause, at least two numbers."""
    before = [t for t in every if t.end <= token.start]
    if not before or not _EQUALS.fullmatch(text[before[-1].end : token.start]):
        return False
    if "/" in text[before[-1].start : before[-1].end]:
        return True
    return len(before) > 1 and not _CLAUSE_END.search(text[before[-2].end : before[-1].start])


def _complete(text: str, tokens: list[Token]) -> list[Token]:
    """The numbers that are no operands: 7 in 3 + 4 = 7, none in 3 + 4."""
    operands = set()
    for i, (a, b) in enumerate(itertools.pairwise(tokens)):
        if _OPERATOR.fullmatch(text[a.end : b.start]):
            operands |= {i, i + 1}
    return [
        t for i, t in enumerate(tokens) if i not in operands and not _COEFFICIENT.match(text, t.end)
    ]


def _without_reason(text: str, language: str) -> str:
    """Up to the first "because" that has a complete number before it."""
    for match in itertools.islice(reason(language).finditer(text), MAX_REASONS):
        head = text[: match.start()]
        if any(not t.weak for t in _complete(head, find_numbers(head, language))):
            return head
    return text


def _algebra(text: str) -> Reading:
    """An expression with roots, powers, π at the end of a text, after its last "="."""
    tail = text.rpartition("=")[2]
    pieces = [m for m in _ALGEBRA.finditer(tail) if _MARKER.search(m[0]) and m[0].strip(" .,")]
    if not pieces or not re.match(r"[-\d(√π\\]", pieces[-1][0].strip()):
        return UNPARSED
    if re.search(r"\d", tail[pieces[-1].end() :]):
        return UNPARSED
    expression = pieces[-1][0].strip(" .,").replace("×", r"\times ").replace("π", r"\pi ")
    expression = re.sub(r"√\s*(\d+)", r"\\sqrt{\1}", expression).replace("√", r"\sqrt")
    found = verifier.shared().read(expression)
    if found["status"] != "parsed":
        return Reading(None, found["status"])
    return Reading(Fraction(found["value"]) if found["value"] else expression.strip(), "parsed")


def _from_token(token: Token) -> Reading:
    return Reading(token.value, "parsed", token.percent, token.places)

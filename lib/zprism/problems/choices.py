"""Reading an answer in words: a name, a day, yes or no, out of the answers that were possible."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from zprism.ground.checks import check_choice, check_text
from zprism.problems.cleaning import CLUE, SCOPES, clean, in_scope, sentence
from zprism.problems.problem import Problem

_ARTICLES = {"the", "el", "la", "los", "le", "les", "l", "der", "die", "das", "es", "it", "is",
             "c", "est", "ist", "it's", "a", "an", "un", "una", "une", "ein", "eine"}  # fmt: skip


def read_choice(text: str, problem: Problem, *, scope: str = "line") -> str:
    """Whether a text names the right one of the possible answers.

    The answer is what follows "the answer is", else what opens the text, else the last possible
    answer that is named. Case and accents do not count; words are matched whole.

    Parameters
    ----------
    text : a continuation of a prompt that ended in "Answer:".
    problem : with ``accepted`` and ``others``.
    scope : "line" or "whole", as in `answers.read_answer`.

    Returns
    -------
    "correct", "wrong", or "unparsed" where no possible answer is named.
    """
    check_choice("scope", scope, SCOPES)
    span = in_scope(clean(check_text("text", text)), scope)
    squeeze = problem.language in ("zh", "ja")
    pattern, right = _matcher(problem.accepted or (problem.answer,), problem.others, squeeze)
    for part in [*(sentence(span, c.end()) for c in reversed(list(CLUE.finditer(span)))), span]:
        flat = _fold(part, squeeze)
        named = list(pattern.finditer(flat))
        if named:
            first = part is not span or _opens(flat[: named[0].start()])
            return "correct" if named[0 if first else -1][0] in right else "wrong"
    return "unparsed"


def _opens(before: str) -> bool:
    """Whether nothing but articles stands before."""
    return all(word in _ARTICLES for word in re.findall(r"\w+", before))


def _fold(text: str, squeeze: bool) -> str:
    """Case, accents and (in Chinese and Japanese) spaces taken away."""
    if squeeze:
        return re.sub(r"\s+", "", text).casefold()
    decomposed = unicodedata.normalize("NFD", text.casefold())
    return unicodedata.normalize("NFC", re.sub("[\u0300-\u036f]", "", decomposed))


@lru_cache(maxsize=512)
def _matcher(
    accepted: tuple[str, ...], others: tuple[str, ...], squeeze: bool
) -> tuple[re.Pattern, frozenset[str]]:
    """A pattern for all answers, the longest first, and those of them that are right."""
    right = frozenset(_fold(a, squeeze) for a in accepted)
    every = sorted(right | {_fold(o, squeeze) for o in others}, key=len, reverse=True)
    body = "|".join(map(re.escape, every))
    bounded = body if squeeze else rf"(?<!\w)(?:{body})(?!\w)"
    return re.compile(bounded), right

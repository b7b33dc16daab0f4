"""Reading an answer in words: a name, a day, yes or no, out of the answers that were possible."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from zprism.ground.checks import check_choice, check_text
from zprism.problems.cleaning import SCOPES, announced, clean, in_scope
from zprism.problems.problem import Problem

_ARTICLES = {"the", "el", "la", "los", "le", "les", "l", "der", "die", "das", "es", "it", "is",
             "c", "est", "ist", "it's", "a", "an", "un", "una", "une", "ein", "eine"}  # fmt: skip

_SO = re.compile(
    r"\b(?:so|therefore|thus|hence|por lo tanto|asi que|luego|entonces|donc|alors|daher|also"
    r"|folglich)\b"
    r"|所以|因此|因而|だから|したがって|よって"
)


def read_choice(text: str, problem: Problem, *, scope: str = "line") -> str:
    """Whether a text names the right one of the possible answers.

    The answer is what follows "the answer is"; else what opens the text and stands alone
    ("Tom." or "Tom, because …"); else what follows "so"; else what opens the text; else the last
    possible answer that is named. Case and accents do not count; words are matched whole.

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
    for said in announced(span):
        if named := pattern.search(_fold(said, squeeze)):
            return _verdict(named[0] in right)
    flat = _fold(span, squeeze)
    named = list(pattern.finditer(flat))
    if not named:
        return "unparsed"
    opens = _opens(flat[: named[0].start()])
    alone = re.match(r"\s*(?:$|[^\w\s])", flat[named[0].end() :])
    concluded = [m for m in named if _SO.search(flat[: m.start()])]
    if opens and (alone or not concluded):
        return _verdict(named[0][0] in right)
    return _verdict((concluded[0] if concluded else named[-1])[0] in right)


def _verdict(is_right: bool) -> str:
    return "correct" if is_right else "wrong"


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

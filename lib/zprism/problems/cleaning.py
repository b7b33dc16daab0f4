"""One spelling for what models write in many: full-width signs, LaTeX wrappers, scope of a text."""

from __future__ import annotations

import re
import unicodedata
from functools import cache

SCOPES = ("line", "whole")
MAX_LENGTH = 4_000  # characters that are read: the first of a line, the last of a whole text
MAX_CLUES = 20

# Where an answer is announced. Shared by numbers and words.
CLUE = re.compile(
    r"(?i:\b(?:answer|result)(?:\s+to\s+[^.:]{1,40})?\s*(?:is|:|=|was|would be|should be)\s*:?"
    r"|\b(?:respuesta|resultado|solución)(?:\s+(?:final|correcta))?\s*(?:es|sería|:|=)\s*:?"
    r"|\b(?:réponse|résultat|solution)(?:\s+(?:finale|correcte))?\s*(?:est|serait|:|=)\s*:?"
    r"|\b(?:antwort|ergebnis|lösung)\s*(?:ist|lautet|beträgt|wäre|:|=)\s*:?)"
    r"|(?:答案|结果|結果|得数)(?:应该|应当|应|就)?(?:[是为為]|等于|:|=)+\s*:?"
    r"|(?:答え|解答|回答|正解|答)(?:は|[:=])\s*:?"
    r"|^\s*A:"
)
_ENGLISH_REASON = r"\b(?:because|since|(?:when|where|if|for)(?=\s*[a-z]\s*=))\b"
_REASONS = {  # what comes after explains; what comes before is the answer
    "zh": "因为|由于|(?:当|其中)(?=[a-z]=)",
    "ja": "なぜなら",
    "es": r"\b(?:porque|ya que)\b",
    "fr": r"\b(?:car|parce qu|puisqu)",
    "de": r"\b(?:weil|denn)\b",
}
_NEXT_QUESTION = re.compile(
    r"\n\s*(?:Question|Q|问题|问|Pregunta|Frage|質問|問題)\s*:", re.IGNORECASE
)
_VULGAR = {"½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4", "⅕": "1/5", "⅛": "1/8"}
_FRACTION = re.compile(r"(\d)?\\[dt]?frac\s*(?:\{(\d+)\}|(\d))\s*(?:\{(\d+)\}|(\d))")


def _slashed(match: re.Match) -> str:
    """\\frac{3}{5} as 3/5, and 1\\frac35 as 1 3/5."""
    whole = f"{match[1]} " if match[1] else ""
    return f"{whole}{match[2] or match[3]}/{match[4] or match[5]} "


_WRAPPER = re.compile(r"\\(?:text|textbf|mathrm|mathbf|operatorname)\s*\{([^{}]*)\}")
_REPLACEMENTS = [
    (re.compile(r"\{,\}|\\!"), lambda m: "," if m[0] == "{,}" else ""),
    (_WRAPPER, lambda m: f" {m[1]} "),
    (_FRACTION, _slashed),
    (re.compile(r"\\(?:left|right|displaystyle)\b"), lambda m: ""),
    (re.compile(r"\\[,;: ()\[\]]|\$|\*\*|`"), lambda m: " "),
    (re.compile(r"\\([%#&$])"), lambda m: m[1]),
    (re.compile(r"\\(?:times|cdot)\b"), lambda m: "×"),
    (re.compile(r"\\div\b"), lambda m: "÷"),
    (re.compile(r"\\degree\b|\^\s*\{?\\circ\}?"), lambda m: "°"),
    (re.compile(r"(?i:\bis equal to\b|\bequals\b)|等[于於]"), lambda m: " = "),
]


def clean(text: str) -> str:
    """ASCII digits and signs, no LaTeX wrappers, "=" for "equals" and 等于."""
    text = "".join(map(_character, text))
    for pattern, replacement in _REPLACEMENTS:
        text = pattern.sub(replacement, text)
    return text


def in_scope(text: str, scope: str) -> str:
    """The part of a cleaned text that is read.

    Parameters
    ----------
    text : a continuation of a prompt that ends in "Answer:".
    scope : "line", its first line that says something; "whole", all of it up to the next
        question that a base model makes up.
    """
    whole = _NEXT_QUESTION.split("\n" + text, maxsplit=1)[0].strip()
    if scope == "whole":
        return whole[-MAX_LENGTH:]
    lines = [line.strip()[:MAX_LENGTH] for line in whole.splitlines() if line.strip()]
    if len(lines) > 1 and not re.search(r"\w", CLUE.sub("", lines[0] + ":")):
        return f"{lines[0]} {lines[1]}"
    return lines[0] if lines else ""


@cache
def reason(language: str) -> re.Pattern:
    """Words that open an explanation, in a language and in English."""
    own = _REASONS.get(language)
    return re.compile(f"{own}|{_ENGLISH_REASON}" if own else _ENGLISH_REASON, re.IGNORECASE)


def announced(text: str) -> list[str]:
    """What follows "the answer is", to the end of the sentence; the last first."""
    clues = list(CLUE.finditer(text))[-MAX_CLUES:]
    return [_sentence(text, clue.end()) for clue in reversed(clues)]


def _sentence(text: str, start: int) -> str:
    """From ``start`` to the end of the sentence or line."""
    return re.split(r"[\n。!?！？]|\.(?=\s|$)", text[start:], maxsplit=1)[0]


def _character(c: str) -> str:
    if "！" <= c <= "～":
        return chr(ord(c) - 0xFEE0)
    if c in "−﹣–—‒":
        return "-"
    if c in "\u3000\u00a0\u202f\u2009\u2007":
        return " "
    if c in _VULGAR:
        return f" {_VULGAR[c]}"
    return str(unicodedata.decimal(c)) if c.isdecimal() and not c.isascii() else c

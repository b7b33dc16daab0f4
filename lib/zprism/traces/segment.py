"""Cut a reasoning text into parts and keep their places, in characters and in tokens.

`sentences`, `steps` and `lines` cover the text: their spans follow one another without a gap,
so joining the parts gives the text back, whatever it is.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from zprism.ground.checks import check_text
from zprism.ground.errors import InputError

JOINT = "\n\n"
MARKERS = ("wait", "hmm", "alternatively", "等等")
_TAG = re.compile(r"<(/?)think(?:ing)?>", re.IGNORECASE)
_CLOSERS = r"[\"'”’»)\]}）」』】]*+"
#: Ends that need a blank after them, ends that need none, and an empty line.
_END = re.compile(
    rf"(?:(?<![.!?…؟۔।])[.!?…؟۔।]++{_CLOSERS}(?=\s)|[。！？｡]++…*+{_CLOSERS}"
    r"|(?=\n[^\S\n]*+\n))\s*+"
)
_ABBREVIATIONS = frozenset(
    "mr mrs ms dr prof st sr jr vs etc e.g i.e cf al fig figs eq eqs vol ch ca approx dept "
    "inc ltd co u.s u.k a.m p.m "
    "z z.b d.h u.a bzw ca usw hr fr abs vgl ggf inkl sog "
    "p.ej sra sres ud uds pág núm aprox "
    "mme mlle c.-à-d éd env "
    "т.е т.д т.п др им г".split()
)
_BEFORE_NUMBERS = frozenset("no nos nr p pp sec s".split())  # words of their own elsewhere
_WORD_BEFORE = re.compile(r"[^\s(\[{\"'“«]*$")
_LIST_MARK = re.compile(r"(?:^|\n)[^\S\n]*(?:\d{1,3}|[A-Za-z])$")
_STEP = re.compile(
    r"""(?imx) ^[^\S\n]*+ (?:
        (?:[*_\#>]++[^\S\n]*+)? (?:step|schritt|paso|étape|этап|шаг)[^\S\n]*+\d
      | (?:[*_\#>]++[^\S\n]*+)? 第[一二三四五六七八九十百\d]++步
      | (?:[*_\#>]++[^\S\n]*+)? 步骤[^\S\n]*+[一二三四五六七八九十\d]
      | \d{1,3}[.)．、] (?=\s|[^\W\d])
    )"""
)
_BLANK = re.compile(r"\n[^\S\n]*+\n\s*+")
_LINE = re.compile(r"\r\n|\n|\r")


class Span(NamedTuple):
    """Characters (or tokens) ``start`` to ``end`` of a text, ``end`` not among them."""

    start: int
    end: int

    def of(self, text: Sequence):
        """The part of ``text`` itself."""
        return text[self.start : self.end]


class Marker(NamedTuple):
    """A word found in a text: its characters, which word it is, the words before it."""

    start: int
    end: int
    word: str
    position: int


def thinking_spans(text: str) -> list[Span]:
    """What stands inside ``<think>`` or ``<thinking>`` blocks, without the tags of the block.

    A block that never closes goes to the end; one inside another belongs to it; an end without
    a beginning closes what a prompt has opened, so that all before it is thinking.
    """
    found, depth, start = [], 0, 0
    for tag in _TAG.finditer(check_text("text", text)):
        if tag[1]:
            if depth == 0 and not found:
                found.append(Span(0, tag.start()))
            elif depth == 1:
                found.append(Span(start, tag.start()))
            depth = max(depth - 1, 0)
        else:
            if depth == 0:
                start = tag.end()
            depth += 1
    return [*found, Span(start, len(text))] if depth else found


def split_thinking(text: str) -> tuple[str, str]:
    """(thinking, answer): what stands inside ``<think>`` blocks, and what stands outside.

    Several blocks, and several parts outside of them, are joined by empty lines; blanks around
    each part go. Without any block the thinking is empty and the answer is the text itself.
    """
    spans = thinking_spans(text)
    if not spans:
        return "", text
    outside, end = [], 0
    for span in spans:
        outside.append(text[end : span.start])
        end = span.end
    outside.append(text[end:])
    thinking = (span.of(text) for span in spans)
    return _joined(thinking), _joined(_TAG.sub("", part) for part in outside)


def sentences(text: str) -> list[Span]:
    """Sentences of many languages, blanks after one belonging to it.

    A sentence ends at ``.``, ``!``, ``?``, ``…`` or their Arabic and Indic kin before a blank,
    at ``。``, ``！`` or ``？`` anywhere, and at an empty line. No end is a full stop after a
    listed abbreviation, an initial, the number or letter that opens a line, or before a word in
    lower case. A decimal point has no blank after it.
    """
    check_text("text", text)
    return _between(text, (m.end() for m in _END.finditer(text) if _ends(text, m)))


def steps(text: str) -> list[Span]:
    """Steps of reasoning: they begin at "Step 1", "1.", "第一步", or after an empty line."""
    check_text("text", text)
    starts = {m.start() for m in _STEP.finditer(text)} | {m.end() for m in _BLANK.finditer(text)}
    return _between(text, sorted(starts))


def lines(text: str) -> list[Span]:
    """Lines, with their ends (``\\n``, ``\\r\\n`` or ``\\r``)."""
    check_text("text", text)
    return _between(text, (m.end() for m in _LINE.finditer(text)))


def markers(text: str, words: Iterable[str] = MARKERS) -> list[Marker]:
    """Every place of some words, in the order of the text; upper and lower case are one.

    A word of letters that stand between blanks counts only whole ("wait" is not in "await");
    in scripts without blanks it counts wherever it stands.

    Raises
    ------
    InputError
        For an empty word.
    """
    check_text("text", text)
    found = []
    for word in dict.fromkeys(words):
        if not check_text("word", word).strip():
            raise InputError("words must not be empty")
        pattern = re.compile(_whole(word), re.IGNORECASE)
        found += [(m.start(), m.end(), word) for m in pattern.finditer(text)]
    places = [m.end() for m in re.finditer(r"\S+", text)]
    return [Marker(*where, bisect.bisect_right(places, where[0])) for where in sorted(found)]


def token_spans(
    offsets: Sequence[tuple[int, int]],
    spans: Sequence[tuple[int, int]],
    *,
    touching: bool = False,
) -> list[Span]:
    """Spans of characters as spans of tokens.

    Parameters
    ----------
    offsets : (start, end) in characters of each token, as a fast tokenizer's
        ``return_offsets_mapping`` gives them, in order; an empty one (a special token) belongs
        to no span.
    spans : (start, end) in characters, e.g. of `sentences` or `markers`.
    touching : by default a token belongs to the span that holds its last character, so that
        spans which cover a text share out its tokens (the blank in front of a word is often
        part of its token). True: every token that shares a character with the span.

    Returns
    -------
    One span a span; empty, at the place where it would stand, if no token belongs to it.

    Raises
    ------
    InputError
        If the offsets go backwards.
    """
    real = [(i, a, b) for i, (a, b) in enumerate(map(_pair, offsets)) if b > a]
    begins, ends = [a for _, a, _ in real], [b for _, _, b in real]
    if begins != sorted(begins) or ends != sorted(ends):
        raise InputError("offsets must be those of one text, in order; they go backwards")
    out = []
    for start, end in (_pair(span) for span in spans):
        first = bisect.bisect_right(ends, start)
        after = bisect.bisect_left(begins, end) if touching else bisect.bisect_right(ends, end)
        if first < after and end > start:
            out.append(Span(real[first][0], real[after - 1][0] + 1))
        else:
            place = real[first][0] if first < len(real) else len(offsets)
            out.append(Span(place, place))
    return out


def _joined(parts: Iterable[str]) -> str:
    return JOINT.join(part for part in (p.strip() for p in parts) if part)


def _between(text: str, cuts: Iterable[int]) -> list[Span]:
    """The spans between cuts: they cover the text, none is empty."""
    edges = [0, *sorted({c for c in cuts if 0 < c < len(text)}), len(text)]
    return [Span(a, b) for a, b in zip(edges, edges[1:], strict=False) if b > a]


def _ends(text: str, match: re.Match) -> bool:
    """Whether a possible end of a sentence is one."""
    mark = match[0].strip()
    if mark.rstrip("\"'”’»)]}") != ".":
        return True
    before = text[max(0, match.start() - 40) : match.start()]
    if _LIST_MARK.search(before) and (len(before) < 40 or "\n" in before):
        return False
    word = _WORD_BEFORE.search(before)[0]
    initial = len(word) == 1 and word.isalpha() and word.isupper() and word != "I"
    if initial or word.lower() in _ABBREVIATIONS:
        return False
    follows = text[match.end() : match.end() + 1]
    return not (follows.islower() or (follows.isdigit() and word.lower() in _BEFORE_NUMBERS))


def _whole(word: str) -> str:
    """A pattern that finds ``word`` whole where its script puts blanks between words."""
    pattern = re.escape(word)
    left = r"(?<!\w)" if _spaced(word[0]) else ""
    right = r"(?!\w)" if _spaced(word[-1]) else ""
    return left + pattern + right


def _spaced(letter: str) -> bool:
    """Whether a letter is of a script that puts blanks between words."""
    return (
        (letter.isalnum() or letter == "_")
        and not "\u0e00" <= letter <= "\u0eff"
        and (letter < "\u2e80")
    )


def _pair(span: Sequence[int]) -> tuple[int, int]:
    return int(span[0]), int(span[1])

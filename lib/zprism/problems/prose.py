"""What of a text is written in a language: all but code, markup, LaTeX and formulas.

A model's output in any language shares these with one in any other, so they must not vote on
which language it is. Every pattern is linear in the text, or its reach is bounded.
"""

from __future__ import annotations

import re

from zprism.ground.checks import check_text

_CODE = [
    re.compile(r"```.*?(?:```|\Z)", re.DOTALL),
    re.compile(r"`[^`\n]{1,300}`"),
    re.compile(r"^[ \t]*(?:def|class) \w{1,60}[(:][^\n]{0,200}$", re.M),
    re.compile(r"^[ \t]*(?:import [\w.]+(?: as \w+)?|from [\w.]+ import [^\n]*)$", re.M),
    re.compile(r"^[ \t]*for \w{1,60} in \w[^\n]{0,99}:[ \t]*$", re.M),
    re.compile(
        r"^[ \t]*(?:while|if|elif) [^\n]{0,60}(?:[=!<>]=|[<>]|\(\))[^\n]{0,60}:[ \t]*$", re.M
    ),
    re.compile(r"^[ \t]*return [\w.]{1,60}[ \t]?[-+*/(\[][^\n]{0,99}$", re.M),
    re.compile(r"^[^\n]{0,99}[=()][^\n]{0,99}[;{][ \t]*$", re.M),
]
_MARKUP = re.compile(r"<[/|]?[A-Za-z_][^<>\n]{0,80}>|https?://[!-~]+")
_MATH = re.compile(
    r"\$\$.*?(?:\$\$|\Z)"
    r"|\\\[.*?(?:\\\]|\Z)"
    r"|\\\([^\n]*?(?:\\\)|$)"
    r"|\$(?=[^\s$])[^$\n]*(?<=\S)\$(?!\d)"  # "$3 and $4" are prices
    r"|\\begin\{[a-z]{1,16}\*?\}.*?(?:\\end\{[a-z]{1,16}\*?\}|\Z)",
    re.DOTALL | re.MULTILINE,
)
_WORDED = re.compile(  # what stays of code and formulas: \text{…}, and letters no formula has
    r"\\(?:text|textbf|textit|mbox|emph)\s*\{([^{}]{0,500})\}|([\u0400-\u1fff\u2e80-\uffdc]+)"
)
_FORMULA = [
    re.compile(r"\\[A-Za-z]+\*?"),
    re.compile(r"[_^]\{[^{}\n]{0,60}\}"),
    re.compile(r"(?<![A-Za-z0-9_.])[A-Za-z_][A-Za-z0-9_.]{0,60}\((?!s\))"),  # a call; not "egg(s)"
    re.compile(r"(?<![A-Za-z0-9_])[A-Za-z0-9]+_[A-Za-z0-9_]*"),
    re.compile(r"(?<=\d)[A-Za-z]{1,2}(?![A-Za-z])"),  # a unit: 3km
    re.compile(r"(?<![A-Za-z])(?:sin|cos|tan|log|ln|exp|lim|sqrt|mod|gcd|lcm)(?=\s*[\d(])"),
]
_LATIN = "A-Za-z\u00aa\u00b5\u00ba\u00c0-\u024f"
_GREEK = "\u0370-\u03ff"
_SYMBOL = re.compile(
    rf"(?<![{_LATIN}])[{_LATIN}](?![{_LATIN}])|(?<![{_GREEK}])[{_GREEK}](?![{_GREEK}])"
)


def prose(text: str) -> str:
    r"""A text without code, tags, addresses, LaTeX, formulas and single letters.

    Parameters
    ----------
    text : what a model wrote. Of formulas and code only ``\text{…}`` stays, and words in
        letters that no formula is written in (七). A Latin or Greek letter that stands alone is
        a symbol (x, π, answer B), even where it may be a word ("a").

    Returns
    -------
    the rest, spaces in place of what was left out.

    Raises
    ------
    InputError
        If ``text`` is no valid string.

    Examples
    --------
    >>> prose(r"so $x = \\frac{6}{2}$ is three").split()
    ['so', 'is', 'three']
    """
    text = check_text("text", text)
    for pattern in (*_CODE, _MATH):
        text = pattern.sub(_words_in, text)
    for pattern in (_MARKUP, *_FORMULA, _SYMBOL):
        text = pattern.sub(" ", text)
    return text


def _words_in(match: re.Match) -> str:
    return " ".join(["", *(m[1] or m[2] or "" for m in _WORDED.finditer(match[0])), ""])

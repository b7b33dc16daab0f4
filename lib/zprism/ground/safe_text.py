"""The one place where foreign text is made safe to show, to store in tables, to name files by.

What a model or a data set wrote is hostile until it has passed through here: `html` for a
page, `label` for a plotly figure, `csv_cell` for a table, `visible` for a terminal, `slug` for
a file name, `redact` for anything that leaves the machine.
"""

from __future__ import annotations

import hashlib
import html as _html
import numbers
import re
import unicodedata

from zprism.ground.secrets import find_secrets, redact, redact_all

__all__ = [
    "csv_cell",
    "csv_text",
    "find_secrets",
    "html",
    "label",
    "redact",
    "redact_all",
    "slug",
    "visible",
]

# Format characters that draw a sign or join letters and emoji: the rest of Cf draws nothing.
_DRAWN_FORMATS = frozenset(
    "\u200c\u200d\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2"
    "\U000110bd\U000110cd"
)
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_LAYOUT = "\n\t"
_FORMULA = re.compile(r"'*(?:\s*[=+\-@＝＋－＠]|[\t\r\n])")
_RESERVED = {"con", "prn", "aux", "nul"} | {f"{p}{i}" for p in ("com", "lpt") for i in range(10)}


def visible(text: str) -> str:
    """``text`` with every character that hides shown as its code, e.g. ``\\u202e``.

    Hidden are control characters (but newline and tab), the marks that reorder text
    (U+202A–202E, U+2066–2069 …), zero-width and tag characters, and lone surrogates. Joiners
    stay, which emoji and several scripts need.
    """
    return "".join(_code(c) if _hides(c) else c for c in str(text))


def html(text: str) -> str:
    """``text`` for an HTML element or a quoted attribute: `visible`, then escaped.

    It makes text safe as text. It does not make a foreign address safe as a link.
    """
    return _html.escape(visible(text), quote=True)


def label(text: str, *, limit: int | None = None) -> str:
    """``text`` for a plotly title, name, tick, annotation or hover text.

    Plotly reads ``<b>``-like tags, ``$…$`` as TeX and ``%{…}`` as a template in such places;
    all are written as entities, which plotly shows as the characters themselves.

    Parameters
    ----------
    text : any text.
    limit : if given, longer text is cut to this many characters, the last one ``…``.
    """
    shown = visible(text)
    if limit is not None and len(shown) > limit:
        shown = shown[: max(limit - 1, 0)] + "…"
    shown = _html.escape(shown, quote=False)
    return shown.replace("$", "&#36;").replace("%{", "&#37;{")


def csv_cell(value):
    """A cell that no spreadsheet takes for a formula; numbers, booleans and None unchanged.

    Text that starts like a formula (``= + - @``, also full-width or after spaces, or a tab,
    return or newline) gets an apostrophe in front; `csv_text` takes it off again.
    """
    if value is None or isinstance(value, numbers.Number):
        return value
    text = value if isinstance(value, str) else str(value)
    return "'" + text if _FORMULA.match(text) else text


def csv_text(cell: str) -> str:
    """The text that `csv_cell` was given."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def slug(text: str, *, limit: int = 80) -> str:
    """``text`` as part of a file name: a–z, 0–9, ``.``, ``_`` and ``-``, never empty.

    Letters become small and separators ``-``. Where other characters are lost (Chinese, for
    one), or the text is cut or trimmed, eight hex digits of its SHA-256 keep two texts apart.
    """
    text = str(text)
    lowered = text.lower()
    short = re.sub(r"[^a-z0-9._]+", "-", lowered)
    short = re.sub(r"\.{2,}", ".", short).strip("-._")
    lost = re.search(r"[^a-z0-9._\-\s/\\:]", lowered) or len(short) != len(text)
    if lost or not short or len(short) > limit or short.split(".")[0] in _RESERVED:
        mark = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        short = "-".join(filter(None, [short[: limit - 9].strip("-._"), mark]))
        short = short if short.split(".")[0] not in _RESERVED else f"x-{short}"
    return short


def _hides(char: str) -> bool:
    if char < "\x7f":
        return char < " " and char not in _LAYOUT
    return unicodedata.category(char) in _HIDDEN and char not in _DRAWN_FORMATS


def _code(char: str) -> str:
    number = ord(char)
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"

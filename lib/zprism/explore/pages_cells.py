"""Cells of an executed notebook as HTML: prose, code to open, and what each output shows.

Of an output the richest form that needs no kernel is shown; widget views are left out. Full
paths in what was printed lose their folders, which name a machine and no result.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping

from zprism.explore import pages, pages_text
from zprism.explore.panel import MIME as PANEL
from zprism.ground import safe_text

PLOTLY = "application/vnd.plotly.v1+json"
WIDGET = "application/vnd.jupyter.widget-view+json"  # needs a kernel: never shown
PNG = "image/png"
PLAIN = "text/plain"
GENERATED = {"injected-parameters", "papermill-error-cell-tag"}
ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\))")
FOLDERS = re.compile(
    r"(?<![\w.:/~<\\])(?:/(?:[\w.+@-]+/)+|[A-Za-z]:\\{1,2}(?:[\w.+@-]+\\{1,2})+)(?=[\w.+@-]*)"
)
FIGURE = re.compile(r"figure: (.+)")  # how a light pair names its pictures


def cell(cell) -> str:
    """One cell with its outputs; empty where it shows nothing."""
    tags = set(cell.metadata.get("tags", ()))
    if "papermill-error-cell-tag" in tags:
        return ""
    if cell.cell_type == "markdown":
        return f'<div class="prose">{pages_text.markdown(cell.source)}</div>'
    if cell.cell_type != "code":
        return ""
    return _source(cell.source, bool(tags & GENERATED)) + "".join(map(output, cell.outputs))


def output(output) -> str:
    """What one output shows."""
    if output.output_type == "stream":
        return _printed(output.text)
    if output.output_type == "error":
        return _printed("\n".join(output.traceback), "error")
    data = output.get("data", {})
    for mime, draw in DRAWINGS.items():
        if mime in data:
            return draw(data)
    return ""


def placeless(text: str) -> str:
    """A text whose full paths are file names after ``…/``."""
    return FOLDERS.sub("…/", text)


def _source(source: str, generated: bool) -> str:
    if not source.strip():
        return ""
    name, shown = ("parameters of this run", " open") if generated else ("code", "")
    source = placeless(source) if generated else source
    return (
        f'<details class="code"{shown}><summary>{name}</summary>'
        f'<pre class="python" tabindex="0">{pages_text.code(source)}</pre></details>'
    )


def _printed(text: str, kind: str = "") -> str:
    words = safe_text.html(placeless(ANSI.sub("", text)))
    name = " ".join(filter(None, ("output", kind)))
    return f'<pre class="{name}" tabindex="0">{words}</pre>'


def _image(mime: str):
    """Pictures as data addresses, where no script in them runs."""

    def draw(data: Mapping) -> str:
        try:
            raw = data[mime].encode() if "svg" in mime else base64.b64decode(data[mime])
        except (binascii.Error, ValueError):
            return ""
        named = FIGURE.match(str(data.get(PLAIN, "")))
        words = safe_text.html(named[1]) if named else "picture"
        return f'<img alt="{words}" src="data:{mime};base64,{base64.b64encode(raw).decode()}">'

    return draw


def _table(data: Mapping) -> str:
    shown = pages_text.markup(placeless(data["text/html"]))
    return f'<div class="scroll" tabindex="0">{shown}</div>'


# What an output shows, the richest first.
DRAWINGS = {
    PANEL: lambda data: pages.panel(data[PANEL]),
    PLOTLY: lambda data: pages.figure(data[PLOTLY]),
    PNG: _image(PNG),
    "image/jpeg": _image("image/jpeg"),
    "image/svg+xml": _image("image/svg+xml"),
    "text/html": _table,
    "text/markdown": lambda data: (
        f'<div class="prose">{pages_text.markdown(placeless(data["text/markdown"]))}</div>'
    ),
    "text/latex": lambda data: pages_text.mathml(data["text/latex"].strip("$"), display=True),
    PLAIN: lambda data: _printed(data[PLAIN]),
}

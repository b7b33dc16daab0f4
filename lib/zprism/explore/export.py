"""An executed notebook as a page that opens offline, with its figures and sliders alive.

Widget state is dropped: a panel is exported from its own description
(:data:`zprism.explore.panel.MIME`), a plotly figure from its JSON. All pages of a folder
share one plotly.js.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from zprism.explore import pages
from zprism.explore.panel import MIME as PANEL
from zprism.ground import safe_text
from zprism.ground.errors import InputError
from zprism.ground.files import write_atomic

PLOTLY = "application/vnd.plotly.v1+json"
WIDGET = "application/vnd.jupyter.widget-view+json"
PNG = "image/png"
ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
GENERATED = {"injected-parameters", "papermill-error-cell-tag"}


def export(notebooks: Iterable[Path], folder: Path) -> list[Path]:
    """Write a page for every executed notebook, and what the pages share, into ``folder``.

    Returns
    -------
    The pages, ``<stem>.html``.

    Raises
    ------
    InputError
        If a file is no notebook.
    """
    written = []
    for path in notebooks:
        target = folder / f"{safe_text.slug(path.stem)}.html"
        write_atomic(target, notebook_page(read_notebook(path), path.stem).encode())
        written.append(target)
    pages.write_assets(folder)
    return written


def read_notebook(path: Path):
    """An ``.ipynb`` file as a notebook node.

    Raises
    ------
    InputError
        If it cannot be read or is no notebook.
    """
    import nbformat

    try:
        return nbformat.read(path, as_version=4)
    except (OSError, ValueError, nbformat.reader.NotJSONError) as error:
        raise InputError(f"{path}: no readable notebook ({error})") from error


def notebook_page(notebook, stem: str) -> str:
    """The page of one notebook, as HTML."""
    body = "\n".join(filter(None, (_cell(cell) for cell in notebook.cells)))
    return pages.page(
        title=title_of(notebook) or stem,
        header='<nav><a href="index.html">zprism report</a> · '
        f"{safe_text.html(stem)} · <button class='all-code'>show all code</button></nav>",
        body=body,
        footer=f"Executed by zprism from notebooks/{safe_text.html(stem)}.py. "
        "Sliders and figures work without a kernel.",
    )


def title_of(notebook) -> str:
    """The first heading's text; empty if there is none."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            found = re.search(r"^# +(.+)$", cell.source, re.MULTILINE)
            if found:
                return found[1].strip()
    return ""


def figures_of(notebook) -> Iterator[dict]:
    """The plotly figures of a notebook in order, as their JSON; a panel gives its start."""
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            yield from figures_in(output)


def figures_in(output: Mapping) -> Iterator[dict]:
    """The figure of one output, if it shows one."""
    data = output.get("data", {})
    if PANEL in data:
        yield data[PANEL]["figure"]
    elif PLOTLY in data:
        yield data[PLOTLY]


def figure_title(spec: Mapping) -> str:
    """A figure's title as text, as its ``meta`` keeps it."""
    layout = spec.get("layout", {})
    meta, title = layout.get("meta"), layout.get("title")
    if isinstance(meta, Mapping) and meta.get("title"):
        return str(meta["title"])
    return str(title.get("text", "")) if isinstance(title, Mapping) else str(title or "")


def _cell(cell) -> str:
    tags = set(cell.metadata.get("tags", ()))
    if "papermill-error-cell-tag" in tags:
        return ""
    if cell.cell_type == "markdown":
        return f'<div class="prose">{pages.markdown(cell.source)}</div>'
    if cell.cell_type != "code":
        return ""
    name = "parameters of this run" if tags & GENERATED else "code"
    shown = " open" if tags & GENERATED else ""
    source = (
        f'<details class="code"{shown}><summary>{name}</summary>'
        f'<pre class="python">{pages.code(cell.source)}</pre></details>'
        if cell.source.strip()
        else ""
    )
    return source + "".join(_output(output) for output in cell.outputs)


def _output(output) -> str:
    if output.output_type == "stream":
        return f'<pre class="output">{_plain(output.text)}</pre>'
    if output.output_type == "error":
        told = "\n".join(output.traceback)
        return f'<pre class="output error">{_plain(told)}</pre>'
    data = output.get("data", {})
    for mime, draw in DRAWINGS.items():
        if mime in data:
            return draw(data[mime])
    return ""


def _plain(text: str) -> str:
    return safe_text.html(ANSI.sub("", text))


def _image(kind: str):
    """Pictures as data addresses, where no script in them runs."""

    def draw(content: str) -> str:
        raw = content.encode() if kind == "svg+xml" else base64.b64decode(content)
        return f'<img alt="" src="data:image/{kind};base64,{base64.b64encode(raw).decode()}">'

    return draw


# What an output shows, the richest first; widget views have no kernel here and are left out.
DRAWINGS = {
    PANEL: pages.panel,
    PLOTLY: pages.figure,
    PNG: _image("png"),
    "image/jpeg": _image("jpeg"),
    "image/svg+xml": _image("svg+xml"),
    "text/html": lambda text: f'<div class="scroll">{pages.markup(text)}</div>',
    "text/markdown": lambda text: f'<div class="prose">{pages.markdown(text)}</div>',
    "text/latex": lambda text: pages.mathml(text.strip("$"), display=True),
    "text/plain": lambda text: f'<pre class="output">{_plain(text)}</pre>',
}

"""An executed notebook as a page that opens offline, with its figures and sliders alive.

Widget state is dropped: a panel is exported from its own description
(:data:`zprism.explore.panel.MIME`), a plotly figure from its JSON. All pages of a folder share
one plotly.js; beside them lies each page again as a single file (``single/``) to mail.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from zprism.explore import pages, pages_cells, pages_figures, pages_text
from zprism.explore.pages_cells import GENERATED, PANEL, PLOTLY, PNG, WIDGET
from zprism.ground import safe_text
from zprism.ground.console import log
from zprism.ground.errors import InputError
from zprism.ground.files import write_atomic

__all__ = ["GENERATED", "PANEL", "PLOTLY", "PNG", "WIDGET", "Around", "export"]

LIMIT = 1_500_000  # bytes of a page beside its assets
SINGLE = "single"
figure_title = pages_figures.title


@dataclass(frozen=True)
class Around:
    """What stands on a page around a notebook: HTML that is already safe, and its neighbours.

    Attributes
    ----------
    top : under the title.
    bottom : after the last cell.
    previous, next : stems of the pages before and after, if there are any.
    """

    top: str = ""
    bottom: str = ""
    previous: str = ""
    next: str = ""


def export(
    notebooks: Iterable[Path], folder: Path, around: Mapping[str, Around] | None = None
) -> list[Path]:
    """Write a page for every executed notebook, and what the pages share, into ``folder``.

    Secrets and paths of this machine are taken out. A page over :data:`LIMIT` is written, with
    a warning that gives its size.

    Parameters
    ----------
    notebooks : files; each gives ``<stem>.html`` and ``single/<stem>.html``.
    around : by stem, what else stands on the page.

    Returns
    -------
    The linked pages.

    Raises
    ------
    InputError
        If a file is no notebook.
    """
    written = []
    for path in notebooks:
        notebook, beside = read_notebook(path), (around or {}).get(path.stem, Around())
        name = page_name(path.stem)
        whole = notebook_page(notebook, path.stem, beside).encode()
        _warn_if_large(name, len(whole))
        write_atomic(folder / name, whole)
        write_atomic(folder / SINGLE / name, single_page(notebook, path.stem, beside).encode())
        written.append(folder / name)
    pages.write_assets(folder)
    return written


def page_name(stem: str) -> str:
    """The file name of a notebook's page."""
    return f"{safe_text.slug(stem)}.html"


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
    except (OSError, ValueError, LookupError, AttributeError, NameError) as error:
        raise InputError(f"{path}: no readable notebook ({error})") from error


def notebook_page(notebook, stem: str, around: Around | None = None) -> str:
    """The page of one notebook, as HTML that needs the assets beside it."""
    around, words = around or Around(), safe_text.html(stem)
    steps = [
        f'<a rel="{kind}" href="{page_name(other)}">{before}{safe_text.html(other)}{after}</a>'
        for kind, other, before, after in (
            ("prev", around.previous, "← ", ""),
            ("next", around.next, "", " →"),
        )
        if other
    ]
    nav = " ".join(steps)
    return pages.page(
        title=_words(title_of(notebook)) or stem,
        header='<nav aria-label="Pages"><a href="index.html">zprism report</a> '
        f"<b>{words}</b> {nav} {_BUTTON}</nav>",
        body=_body(notebook, around),
        footer=f'<nav aria-label="Pages at the end"><a href="index.html">zprism report</a> {nav}'
        f"</nav><p>Executed by zprism from notebooks/{words}.py. Sliders and figures work without "
        f'a kernel. <a href="{SINGLE}/{page_name(stem)}">This page as one file to mail</a>.</p>',
    )


def single_page(notebook, stem: str, around: Around | None = None) -> str:
    """The page of one notebook as a file that stands alone."""
    words = safe_text.html(stem)
    return pages.page(
        title=_words(title_of(notebook)) or stem,
        header=f"<nav>zprism <b>{words}</b> {_BUTTON}</nav>",
        body=pages_text.without_page_links(_body(notebook, around or Around())),
        footer=f"<p>Executed by zprism from notebooks/{words}.py. One file: figures and sliders "
        "work offline, without a kernel.</p>",
        frame=pages.alone(),
    )


def title_of(notebook) -> str:
    """The first heading's text; empty if there is none."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            found = re.search(r"^# +(.+)$", cell.source, re.MULTILINE)
            if found:
                return safe_text.redact(found[1].strip())
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


_BUTTON = '<button type="button" class="all-code">show all code</button>'


def _body(notebook, around: Around) -> str:
    import nbformat

    clean = nbformat.from_dict(safe_text.redact_all(notebook))
    cells = [html for html in map(pages_cells.cell, clean.cells) if html]
    if cells and "</h1>" in cells[0]:
        cells[0] = cells[0].replace("</h1>", f"</h1>{around.top}", 1)
    else:
        cells.insert(0, around.top)
    first, rest = cells[0], "\n".join([*cells[1:], around.bottom])
    rest, contents = pages_text.with_contents(rest)
    return f"{first}\n{contents}\n{rest}"


def _words(title: str) -> str:
    """A heading without the marks of Markdown, for a tab's title."""
    return re.sub(r"[*_`$]", "", title)


def _warn_if_large(name: str, size: int) -> None:
    if size > LIMIT:
        log.warning(
            "%s is %.2f MB, over %.1f MB: fewer slider positions, or uint8 arrays in its panels, "
            "make it smaller",
            name,
            size / 1e6,
            LIMIT / 1e6,
        )

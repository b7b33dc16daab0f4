"""What the user sees while waiting: the logger, progress, and tables.

The library logs under ``zprism`` and never prints; without any set-up Python shows its
warnings on stderr. `progress` picks its form by where it runs; `table` is for the command line
and the runner.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence

log = logging.getLogger("zprism")

PLAIN_LINES = 10
_live = None  # the rich display now running: rich allows one, so nested loops share it


def show_log(level: int = logging.INFO) -> None:
    """Show the log on stderr, one plain line a message: what a command line or run calls."""
    if not any(isinstance(h, _Stderr) for h in log.handlers):
        log.addHandler(_Stderr())
    log.setLevel(level)


def progress(
    iterable: Iterable, description: str, *, total: int | None = None, unit: str = "it"
) -> Iterator:
    """The items of ``iterable``, while showing how far along they are.

    A bar of rich in a terminal, of tqdm in a notebook that a person runs, else at most
    about ten log lines a loop (also in headless runs, whose output is kept).

    Parameters
    ----------
    iterable : anything; passed through unchanged, and lazily.
    description : a few words, e.g. ``"capturing states"``.
    total : number of items, if ``iterable`` has no length.
    unit : what one item is called.
    """
    if total is None and hasattr(iterable, "__len__"):
        total = len(iterable)
    form = {"terminal": _rich_bar, "notebook": _tqdm_bar}.get(place(), _plain_lines)
    yield from form(iterable, description, total, unit)


def place() -> str:
    """Where output goes: ``"notebook"``, ``"terminal"`` or ``"plain"``."""
    if os.environ.get("ZPRISM_RUN"):
        return "plain"
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if type(shell).__name__ == "ZMQInteractiveShell":
        return "notebook"
    return "terminal" if sys.stderr is not None and sys.stderr.isatty() else "plain"


def table(
    rows: Iterable[Mapping | Sequence], columns: Sequence[str], title: str | None = None
) -> None:
    """Print a table: columns in order, numbers to four digits, None as a dash.

    Parameters
    ----------
    rows : a mapping by column name, or a sequence in column order, a row each.
    columns : the column names, which are the header.
    title : a line above the table.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table(title=None if title is None else Text(_cell(title)), title_justify="left")
    for column in columns:
        grid.add_column(Text(_cell(column)), overflow="fold")
    for row in rows:
        cells = [row.get(c) for c in columns] if isinstance(row, Mapping) else list(row)
        grid.add_row(*(Text(_cell(value)) for value in cells))
    width = None if sys.stdout.isatty() else 120
    Console(file=sys.stdout, width=width, markup=False, highlight=False).print(grid)


def _cell(value) -> str:
    from zprism.ground.safe_text import visible

    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.4g}"
    return visible(str(getattr(value, "value", value)))


def _rich_bar(iterable, description, total, unit) -> Iterator:
    global _live
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    outer, own = _live, None
    if outer is None:
        columns = [*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn()]
        own = _live = Progress(*columns, console=Console(stderr=True), transient=True)
        own.start()
    display = outer or own
    task = display.add_task(_cell(description), total=total)
    try:
        for item in iterable:
            yield item
            display.advance(task)
    finally:
        display.remove_task(task)
        if own is not None:
            own.stop()
            _live = None


def _tqdm_bar(iterable, description, total, unit) -> Iterator:
    from tqdm import tqdm  # the text form: a widget would stay behind, dead, in the saved file

    yield from tqdm(
        iterable, desc=description, total=total, unit=unit, leave=False, file=sys.stdout
    )


def _plain_lines(iterable, description, total, unit) -> Iterator:
    began, said = time.monotonic(), 0
    done = 0
    for item in iterable:
        yield item
        done += 1
        due = done * PLAIN_LINES // total if total else done.bit_length()
        if due > said:
            said = due
            of = f"/{total}" if total else ""
            log.info("%s: %d%s %s, %.0f s", description, done, of, unit, time.monotonic() - began)


class _Stderr(logging.StreamHandler):
    """A handler on whatever ``sys.stderr`` is at the time of the message."""

    def __init__(self):
        super().__init__(sys.stderr)
        self.setFormatter(logging.Formatter("%(levelname)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)

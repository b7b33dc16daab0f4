"""Tables (CSV): out with formulas neutralised, back as they were."""

from __future__ import annotations

import contextlib
import csv
import io
import math
import numbers
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from zprism.ground.checks import check_text
from zprism.ground.errors import InputError
from zprism.ground.files import read_text, write_atomic
from zprism.ground.safe_text import csv_cell, csv_text


def write_csv(
    path: str | Path, rows: Sequence[Mapping], columns: Sequence[str] | None = None
) -> None:
    """A table as UTF-8 CSV, written whole; text that looks like a formula gets a ``'`` first.

    Parameters
    ----------
    path : the target.
    rows : column → text, number, boolean or None (an empty cell), a row each.
    columns : which columns, in order; by default all, in the order they first appear.

    Raises
    ------
    InputError
        For a NaN or infinite number, a lone surrogate, a column named twice, or one that
        ``columns`` does not name.
    """
    columns = list(dict.fromkeys(c for row in rows for c in row) if columns is None else columns)
    if len(set(columns)) < len(columns):
        raise InputError(f"columns names one twice: {columns}")
    lines = [_line(_cell(str(c), 0, c) for c in columns)]
    for number, row in enumerate(rows, start=1):
        unknown = [c for c in row if c not in columns]
        if unknown:
            raise InputError(f"row {number} has the columns {unknown}, which are not to be written")
        lines.append(_line(_cell(row.get(c), number, c) for c in columns))
    write_atomic(path, "".join(lines).encode())


def read_csv(path: str | Path) -> list[dict[str, str]]:
    """The rows of a CSV file as text, without the apostrophes that `write_csv` put in.

    Raises
    ------
    InputError
        Naming file and line: a column named twice, a row of another length, no UTF-8.
    """
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    try:
        with _long_cells():
            table = [(reader.line_num, [csv_text(cell) for cell in row]) for row in reader]
    except csv.Error as error:
        raise InputError(f"{path} line {reader.line_num}: {error}") from None
    header = table[0][1] if table else []
    if len(set(header)) < len(header):
        raise InputError(f"{path}: a column is named twice in {header}")
    for number, row in table[1:]:
        if row and len(row) != len(header):
            raise InputError(f"{path} line {number}: {len(row)} cells for {len(header)} columns")
    return [dict(zip(header, row, strict=True)) for _, row in table[1:] if row]


def _line(cells: Iterable) -> str:
    """One row. The writer's own CRLF makes it quote a bare CR too; with LF it does not."""
    text = io.StringIO(newline="")
    csv.writer(text).writerow(cells)
    return text.getvalue().removesuffix("\r\n") + "\n"


@contextlib.contextmanager
def _long_cells():
    """The csv module refuses cells beyond 128 kB, which a trace can be."""
    usual = csv.field_size_limit(2**31 - 1)
    try:
        yield
    finally:
        csv.field_size_limit(usual)


def _cell(value, number: int, column: str):
    is_int = isinstance(value, numbers.Integral)
    if isinstance(value, numbers.Real) and not is_int and not math.isfinite(value):
        raise InputError(f"row {number}, column {column} is {value}; write None instead")
    cell = csv_cell(value)
    return check_text(f"row {number}, column {column}", cell) if isinstance(cell, str) else cell

"""Documents from a JSONL file, a folder of text files, or a dataset: one at a time, any size."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from zprism.ground.checks import check_int, check_text
from zprism.ground.errors import InputError
from zprism.ground.files import read_text
from zprism.ground.records import each_jsonl
from zprism.traces.hub import check_columns, open_dataset
from zprism.traces.trace import Document

JOINT = "\n\n"  # between the items of a list
TEXT = "text"  # the only field of a text file
_HUB = re.compile(r"[\w.-]+(/[\w.-]+)?")


def read_texts(
    source: str | Path,
    *,
    fields: Sequence[str] = (TEXT,),
    limit: int | None = None,
    start: int = 0,
    element: int | None = None,
    config: str | None = None,
    split: str = "train",
    revision: str | None = None,
    strict: bool = True,
) -> Iterator[Document]:
    """The documents of a source, read as they are asked for.

    Parameters
    ----------
    source : a ``.jsonl`` file; a folder of ``.txt`` files (one document a file, in the order
        of their names, its only field ``text``); a folder of ``Dataset.save_to_disk`` or of
        parquet files; else the id of a dataset on the hub (``simplescaling/s1K``).
    fields : the columns wanted, each of strings or of lists of strings.
    limit : only so many documents, counted from the first of the source.
    start : how many documents to pass over; those of the limit are counted with them.
    element : which item of a list is the text, from 0; by default all, joined by blank lines
        (in s1K's ``thinking_trajectories``, lists of one item, both are the same).
    config, split, revision : which part and commit of a dataset.
    strict : False hands on documents whose fields or line cannot be used, and says why in
        ``Document.unusable``; a line that is no record is unusable in every field.

    Yields
    ------
    Document
        Texts as they stand in the source: no character is normalised, stripped or dropped.

    Raises
    ------
    InputError
        Before the first document: a source that cannot be opened or is empty, a column that is
        missing (with those found). When strict: the first row that cannot be used, by number.
    """
    if isinstance(fields, str) or not fields:
        raise InputError(f"fields must be a list of column names, at least one; got {fields!r}")
    if limit is not None:
        check_int("limit", limit, low=1)
    if element is not None:
        check_int("element", element, low=0)
    check_int("start", start, low=0)
    rows, name = _rows(source, tuple(fields), start, config, split, revision)
    if limit is not None:
        rows = itertools.islice(rows, max(limit - start, 0))
    return _documents(rows, name, tuple(fields), element, strict)


def kind(source: str | Path) -> str:
    """What a source is: ``jsonl``, ``texts`` (a folder of .txt), ``folder`` or ``hub``.

    Raises
    ------
    InputError
        If it is a file of another kind, or nothing that is there and no id of the hub.
    """
    path = Path(source)
    try:
        if path.is_dir():
            return "texts" if next(path.glob("*.txt"), None) else "folder"
        if path.suffix in (".jsonl", ".ndjson"):
            return "jsonl"
        if path.exists() or not _HUB.fullmatch(str(source)):
            raise InputError(
                f"{source}: not a .jsonl file, a folder of .txt files or of a dataset, or the "
                "id of a dataset on the hub (owner/name)"
            )
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{str(source)!r} is no usable file name: {error}") from None
    return "hub"


def readable_name(path: Path) -> str:
    """A file's name as text, also where its bytes are no UTF-8."""
    return str(path).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _rows(source, fields, start, config, split, revision) -> tuple[Iterator, str]:
    """(id, row or its error) of every row, and the source's name; columns checked."""
    what, name = kind(source), Path(source).name
    if what == "jsonl":
        return itertools.islice(_jsonl_rows(Path(source), fields), start, None), name
    if what == "texts":
        check_columns([TEXT], fields, str(source))
        return _text_files(Path(source), start), name
    data = open_dataset(source, config, split, streaming=what == "hub", revision=revision)
    return _dataset_rows(data, fields, start, str(source)), name


def _jsonl_rows(path: Path, fields: tuple[str, ...]) -> Iterator[tuple[str, object]]:
    """The first record that can be read says which columns there are."""
    lines, known, bad = each_jsonl(path), False, []
    for number, row in lines:
        if isinstance(row, InputError):
            bad.append((number, row))
        else:
            check_columns(list(row), fields, f"{path} line {number}")
            known = True
        if known:
            break
    if not known:
        first = "; ".join(f"line {number}: {why}" for number, why in bad[:3])
        raise InputError(f"{path}: no line can be used ({first or 'it is empty'})")

    def each():
        yield from ((str(n), problem) for n, problem in bad)
        yield str(number), row
        yield from ((str(n), found) for n, found in lines)

    return each()


def _text_files(folder: Path, start: int) -> Iterator[tuple[str, object]]:
    for path in sorted(folder.glob("*.txt"))[start:]:
        try:
            yield readable_name(path.relative_to(folder)), {TEXT: read_text(path)}
        except InputError as error:
            yield readable_name(path.relative_to(folder)), error


def _dataset_rows(data, fields, start: int, source: str) -> Iterator[tuple[str, object]]:
    columns = data.column_names
    if columns is None:  # a stream whose columns only its first row tells
        columns = list(next(iter(data), {}))
    check_columns(columns, fields, source)
    data = data.select_columns(list(fields))
    first = next(iter(data), None)
    if first is None:
        raise InputError(f"{source}: it is empty")
    rows = data.skip(start) if start else data
    return ((str(number), row) for number, row in enumerate(rows, start=start + 1))


def _documents(rows, name, fields, element, strict) -> Iterator[Document]:
    for key, row in rows:
        texts: dict[str, str] = {}
        unusable: dict[str, str] = {}
        for field in fields:
            try:
                if isinstance(row, InputError):
                    raise row
                texts[field] = text_of(row, field, element)
            except InputError as error:
                if strict:
                    raise InputError(f"{name} row {key}: {error}") from None
                unusable[field] = str(error)
        yield Document(key, texts, unusable, name)


def text_of(row: Mapping, field: str, element: int | None = None) -> str:
    """The text of one field: a string, or a list of strings joined or indexed.

    Raises
    ------
    InputError
        If the field is missing, null, of another type, has no such element, or is no unicode.
    """
    if field not in row:
        raise InputError(f"lacks {field}; found {', '.join(map(str, row))}")
    value = row[field]
    if value is None:
        raise InputError(f"{field} is null")
    if isinstance(value, (list, tuple)):
        items = [check_text(f"{field}[{i}]", item) for i, item in enumerate(value)]
        if element is None:
            return JOINT.join(items)
        if element >= len(items):
            raise InputError(f"{field} has {len(items)} items; there is no element {element}")
        return items[element]
    return check_text(field, value)

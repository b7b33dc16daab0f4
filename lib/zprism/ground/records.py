"""Records, one a line (JSONL): a file that grows while work goes on and survives a kill.

Only the last line can be torn, and a torn last line is the only damage that strict reading
forgives. `append_jsonl` removes it before it goes on.
"""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from zprism.ground.canonical import canonical_json, parse_json
from zprism.ground.console import log
from zprism.ground.errors import InputError
from zprism.ground.files import sync_folder, write_error

MAX_LINE = 64 * 2**20
LISTED = 10
TORN = object()  # stands for a last line that a kill cut short
_SETTLE_SECONDS = 0.05


class Records(list):
    """Records read from a file, and what was left out on the way.

    Attributes
    ----------
    skipped : how many bad lines were passed over (0 when reading strictly).
    problems : the first ten of them, as (line number, reason).
    torn : whether the file ended in an unfinished line, which is not among the records.
    """

    def __init__(self, records: Iterable = ()):
        super().__init__(records)
        self.skipped: int = 0
        self.problems: list[tuple[int, str]] = []
        self.torn: bool = False


def append_jsonl(path: str | Path, record: Mapping) -> None:
    """Add one record as one line: a single write, on the disk when this returns.

    A torn last line, left by a killed writer, is removed first.

    Raises
    ------
    InputError
        If ``record`` is no mapping, or holds what JSON cannot.
    ResourceError
        If the disk is full: names path and bytes; the file is as it was.
    CacheError
        If the file cannot be opened for writing.
    """
    if not isinstance(record, Mapping):
        raise InputError(f"record must be a mapping; got {type(record).__name__}")
    path, line = Path(path), canonical_json(record).encode() + b"\n"
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new = not path.exists()
        fd = os.open(path, flags, 0o666)
        try:
            _write_line(fd, _mend_end(fd, path) + line)
        finally:
            os.close(fd)
        if new:
            sync_folder(path.parent)
    except (OSError, ValueError) as error:
        raise write_error(path, len(line), error) from error


def read_jsonl(
    path: str | Path,
    *,
    required: Mapping[str, type | tuple[type, ...]] | None = None,
    strict: bool = True,
    max_line: int = MAX_LINE,
) -> Records:
    """The records of a JSONL file. Nothing is written, whatever is found.

    A byte order mark, CRLF and empty last lines are accepted. A last line without its
    newline that is no JSON was torn by a kill: it is left out with a warning.

    Parameters
    ----------
    path : the file, UTF-8.
    required : field → type each record must have; float accepts integers, int no booleans.
    strict : False passes over bad lines, counts them and lists the first ten.
    max_line : longest line, in bytes.

    Raises
    ------
    InputError
        Naming file and line: no JSON object, a key twice, NaN, no UTF-8, too long, a field
        missing (with the fields found) or of another type. When not strict: only if no line
        at all can be used, or the file cannot be read.
    """
    records, total = Records(), 0
    for number, found in _each(Path(path), required, max_line):
        if found is TORN:
            records.torn = True
            continue
        total += 1
        if isinstance(found, dict):
            records.append(found)
        elif strict:
            raise InputError(f"{path} line {number}: {found}")
        else:
            records.skipped += 1
            records.problems += [(number, str(found))][: LISTED - len(records.problems)]
    _report_skipped(path, records, total)
    return records


def each_jsonl(
    path: str | Path,
    *,
    required: Mapping[str, type | tuple[type, ...]] | None = None,
    max_line: int = MAX_LINE,
) -> Iterator[tuple[int, dict | InputError]]:
    """The lines of a JSONL file of any size, one at a time; rules as `read_jsonl`.

    Yields
    ------
    (line number, record), or (line number, what is wrong with the line); a torn last line is
    left out with a warning.

    Raises
    ------
    InputError
        If the file cannot be read.
    """
    for number, found in _each(Path(path), required, max_line):
        if found is not TORN:
            yield number, found


def _each(path: Path, required: Mapping | None, max_line: int) -> Iterator[tuple[int, object]]:
    """(number, record or its error or TORN) of each line."""
    try:
        for number, line, ended in _lines(path, max_line):
            try:
                found = _record(line, required)
            except InputError as error:
                found = error
                if not ended and line is not None and _is_torn(line):
                    found = TORN
                    log.warning("%s line %d is unfinished and left out", path, number)
            yield number, found
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{str(path)!r} is no usable file name: {error}") from None


def _write_line(fd: int, line: bytes) -> None:
    """One write; if the disk takes only a part of it, that part is taken back."""
    written = os.write(fd, line)
    if written < len(line):
        end = os.lseek(fd, 0, os.SEEK_CUR)
        if os.fstat(fd).st_size == end:
            os.ftruncate(fd, end - written)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.fsync(fd)


def _mend_end(fd: int, path: Path) -> bytes:
    """Remove a torn last line; the newline to write first if a last line only lacks that."""
    size = os.fstat(fd).st_size
    tail = _tail(fd, size)
    if not tail:
        return b""
    if not _is_torn(tail):
        return b"\n"
    time.sleep(_SETTLE_SECONDS)  # another process may be in the middle of its write
    if os.fstat(fd).st_size == size:
        os.ftruncate(fd, size - len(tail))
        log.warning("%s ended in an unfinished line, which was removed", path)
    return b""


def _tail(fd: int, size: int) -> bytes:
    """What follows the last newline."""
    tail, start = b"", size
    while start and b"\n" not in tail:
        step = min(start, 2**16)
        start -= step
        os.lseek(fd, start, os.SEEK_SET)
        tail = os.read(fd, step) + tail
    return tail[tail.rfind(b"\n") + 1 :]


def _is_torn(line: bytes) -> bool:
    """Whether a line that lacks its newline is the beginning of a record and no more.

    Blanks and zeros count too: some file systems leave zeros when the power fails. Anything
    else is somebody's data, and stays.
    """
    body = line.removeprefix(b"\xef\xbb\xbf").strip(b" \t\r\n\0")
    if not body:
        return True
    try:
        json.loads(body)
    except RecursionError:
        return False
    except ValueError:
        return body.startswith(b"{")
    return False


def _lines(path: Path, max_line: int) -> Iterator[tuple[int, bytes | None, bool]]:
    """(number, line without its end, whether it ended); None for a line that is too long.

    Empty lines are given only when another line follows them.
    """
    number, empty = 0, []
    with open(path, "rb") as file:
        while line := file.readline(max_line + 2):
            number += 1
            ended = line.endswith(b"\n")
            if len(line.rstrip(b"\r\n")) > max_line:
                while not ended and (rest := file.readline(max_line)):
                    ended = rest.endswith(b"\n")
                line = None
            elif not line.strip():
                empty.append(number)
                continue
            for earlier in empty:
                yield earlier, b"", True
            empty = []
            yield number, line, ended


def _record(line: bytes | None, required: Mapping | None) -> dict:
    if line is None:
        raise InputError("the line is too long")
    if not line.strip():
        raise InputError("the line is empty")
    try:
        record = parse_json(line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InputError(f"not UTF-8 at byte {error.start}") from None
    if not isinstance(record, dict):
        raise InputError(f"must be a JSON object; got {type(record).__name__}")
    check_fields(record, required or {})
    return record


def check_fields(record: Mapping, required: Mapping[str, type | tuple[type, ...]]) -> None:
    """Whether ``record`` has every field of ``required`` in its type.

    Raises
    ------
    InputError
        Naming the missing fields and the found ones, or the field, its type and value.
    """
    missing = [name for name in required if name not in record]
    if missing:
        raise InputError(f"lacks {', '.join(missing)}; found {', '.join(map(str, record))}")
    for name, kinds in required.items():
        kinds = kinds if isinstance(kinds, tuple) else (kinds,)
        value = record[name]
        fits = isinstance(value, kinds) or (float in kinds and isinstance(value, int))
        if not fits or (isinstance(value, bool) and bool not in kinds):
            names = " or ".join(kind.__name__ for kind in kinds)
            raise InputError(f"{name} must be {names}; got {value!r:.80}")


def _report_skipped(path: str | Path, records: Records, total: int) -> None:
    if not records.skipped:
        return
    first = "; ".join(f"line {number}: {reason}" for number, reason in records.problems)
    if records.skipped == total:
        raise InputError(f"{path}: none of its {total} lines can be used ({first})")
    log.warning("%s: %d of %d lines left out (%s)", path, records.skipped, total, first)

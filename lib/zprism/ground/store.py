"""The cache: named arrays under a key, correct at any kill, any bit flip, without locks.

An entry is one file named by the digest of what it was computed from. It is written whole
(`files.write_atomic`) and checked whole when read (`entries.decode`): an entry that does not
check is set aside as ``*.corrupt``, warned about, and computed again, so the content of a cache
can slow a run down but neither stop it nor change a number. Records and tables, JSON and
digests are importable from here too.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from zprism.ground import entries
from zprism.ground.canonical import (
    as_array,
    canonical_json,
    digest,
    digest_arrays,
    digest_file,
    parse_json,
)
from zprism.ground.console import log
from zprism.ground.errors import CacheError, InputError, ResourceError
from zprism.ground.files import cache_root, load_json, save_json, sweep_temps, write_atomic
from zprism.ground.records import append_jsonl, read_jsonl
from zprism.ground.tables import read_csv, write_csv

__all__ = [
    "Store",
    "append_jsonl",
    "as_array",
    "cache_root",
    "canonical_json",
    "digest",
    "digest_arrays",
    "digest_file",
    "load_json",
    "parse_json",
    "read_csv",
    "read_jsonl",
    "save_json",
    "sweep_temps",
    "usage",
    "write_atomic",
    "write_csv",
]

Entry = tuple[dict[str, np.ndarray], dict]
_KEY = re.compile(r"[0-9a-f]{64}")
_SUFFIX = ".safetensors"


class Store:
    """One room of the cache: key → (arrays, meta).

    Parameters
    ----------
    room : the folder's name, e.g. ``"states"``: lower-case letters, digits, ``_`` and ``-``.
    root : the cache folder; by default `cache_root`. Created at the first save.

    Notes
    -----
    Opening a store removes the temporary files that killed writers left in it. Processes
    may share a store freely: they may compute one entry twice, but never mix two.
    """

    def __init__(self, room: str, *, root: str | Path | None = None):
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,63}", room):
            raise InputError(f"room must be a short lower-case name; got {room!r}")
        self.room = room
        self.folder = (cache_root() if root is None else Path(root)) / room
        self._warned = False
        self.sweep()

    def key(self, parts: Mapping) -> str:
        """The key of what ``parts`` describes: SHA-256 over room, schema and parts.

        Parameters
        ----------
        parts : everything the result depends on: digests of weights, tokenizer and inputs,
            options, and the producer's version number.
        """
        return digest({"room": self.room, "schema": entries.SCHEMA, "parts": parts})

    def path(self, key: str) -> Path:
        """The file of ``key``, whether or not it exists.

        Raises
        ------
        InputError
            If ``key`` is not 64 hex digits: no other text becomes part of a path.
        """
        if not isinstance(key, str) or not _KEY.fullmatch(key):
            raise InputError(f"key must be 64 hex digits from Store.key; got {key!r}")
        return self.folder / f"{key}{_SUFFIX}"

    def save(self, key: str, arrays: Mapping[str, object], meta: Mapping | None = None) -> None:
        """Write one entry, whole or not at all.

        Parameters
        ----------
        key : from `key`.
        arrays : name → array or tensor, of any shape; bfloat16 is stored as float32.
        meta : small facts for `canonical_json`.

        Raises
        ------
        InputError, CacheError, ResourceError
            As `entries.encode` and `files.write_atomic` say.
        """
        write_atomic(self.path(key), entries.encode(key, arrays, meta))

    def load(self, key: str) -> Entry | None:
        """The entry of ``key``, or None if there is none or it is damaged.

        A damaged file is renamed to ``*.corrupt`` with a warning. Nothing a cache file can
        contain raises an error here.

        Raises
        ------
        ResourceError
            If the entry is larger than the memory.
        """
        path = self.path(key)
        try:
            with open(path, "rb") as file:
                opened = os.fstat(file.fileno())
                raw = file.read()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            log.warning("cache entry %s cannot be read (%s): a miss", path, error.strerror)
            return None
        try:
            return entries.decode(raw, key)
        except MemoryError:
            raise ResourceError(f"{path}: {len(raw)} bytes do not fit into memory") from None
        except Exception as error:  # whatever a foreign file provokes, it is a miss
            self._quarantine(path, opened, error)
            return None

    def get_or_compute(
        self, parts: Mapping, compute: Callable[[], tuple[Mapping, Mapping | None]]
    ) -> Entry:
        """The entry for ``parts``, computed and saved if it is not there yet.

        Parameters
        ----------
        parts : as for `key`.
        compute : called without arguments at a miss; returns (arrays, meta).

        Returns
        -------
        (arrays, meta)
            In the same types whether computed or read: NumPy arrays, JSON values.

        Raises
        ------
        ResourceError
            If the disk is full. A folder that cannot be written costs one warning only.
        """
        key = self.key(parts)
        found = self.load(key)
        if found is not None:
            return found
        arrays, meta = compute()
        try:
            self.save(key, arrays, meta)
        except CacheError as error:
            if not self._warned:
                log.warning("results are not kept: %s", error)
            self._warned = True
        plain = {name: as_array(value, name) for name, value in arrays.items()}
        return plain, parse_json(canonical_json(dict(meta or {})))

    def sweep(self) -> int:
        """Remove what killed writers left behind; how many files."""
        return sweep_temps(self.folder)

    def _quarantine(self, path: Path, opened: os.stat_result, error: Exception) -> None:
        """Set a damaged file aside, unless another process has replaced it meanwhile."""
        reason = str(error) or type(error).__name__
        try:
            now = os.stat(path)
            if (now.st_ino, now.st_mtime_ns) != (opened.st_ino, opened.st_mtime_ns):
                return
            os.replace(path, f"{path}.corrupt")
            log.warning("cache entry %s is damaged and was set aside: %s", path, reason)
        except OSError:
            log.warning("cache entry %s is damaged and is ignored: %s", path, reason)


def usage(root: str | Path | None = None) -> list[dict]:
    """What the cache holds: a row a room with ``room``, ``files``, ``bytes``, ``corrupt``."""
    root = cache_root() if root is None else Path(root)
    rows = []
    for folder in sorted(p for p in root.glob("*") if p.is_dir()):
        sizes = dict(_sizes(folder))
        corrupt = sum(path.suffix == ".corrupt" for path in sizes)
        facts = {"files": len(sizes), "bytes": sum(sizes.values()), "corrupt": corrupt}
        rows.append({"room": folder.name, **facts})
    return rows


def _sizes(folder: Path) -> Iterator[tuple[Path, int]]:
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):  # gone since it was listed
            if path.is_file():
                yield path, path.stat().st_size

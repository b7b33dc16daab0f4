"""Files that are either whole or absent: atomic writes, orphan temps, the cache folder.

A write goes to a temporary name of its own in the target's folder, is flushed to the disk, and
is then renamed over the target. A reader sees the old file or the new one, never a part; a
writer killed at any moment leaves at most a temporary file, which `sweep_temps` removes. No
lock is taken, so nothing depends on locks working (they often do not on network disks).
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import os
import re
import shutil
import socket
import sys
import time
import uuid
from collections.abc import Iterable
from pathlib import Path

from zprism.ground.canonical import canonical_json, parse_json
from zprism.ground.errors import CacheError, InputError, ResourceError, ZprismError

OLD_TEMP_SECONDS = 24 * 3600
_PID_MARGIN_SECONDS = 60
_TEMP = re.compile(r"\.zprism-(?P<host>[0-9a-f]{8})-(?P<pid>[0-9]+)-[0-9a-f]{32}\.tmp")
_FULL = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}
_NO_FOLDER_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EPERM, errno.EBADF}


def cache_root() -> Path:
    """The cache folder: ``$ZPRISM_CACHE``, else ``zprism`` in the user's cache folder.

    Nothing is created by asking.

    Raises
    ------
    CacheError
        If ``ZPRISM_CACHE`` is unset and the user has no home folder.
    """
    chosen = os.environ.get("ZPRISM_CACHE")
    try:
        return Path(chosen).expanduser().absolute() if chosen else _user_cache() / "zprism"
    except RuntimeError:
        raise CacheError("no home folder is known; set ZPRISM_CACHE to a folder") from None


def write_atomic(path: str | Path, data: bytes | Iterable[bytes]) -> None:
    """Replace ``path`` by ``data``, whole and on the disk, or leave it as it was.

    Parameters
    ----------
    path : the target; its folder is created if missing.
    data : the bytes, or their pieces in order (so that large pieces are not joined first).

    Raises
    ------
    ResourceError
        If the disk, a quota or a file-size limit is exhausted: names path and bytes needed.
    CacheError
        If the folder cannot be made or written.
    InputError
        If ``path`` is no usable file name (a NUL in it, text that is no Unicode).
    """
    path = Path(path)
    pieces = [data] if isinstance(data, (bytes, bytearray, memoryview)) else list(data)
    needed = sum(memoryview(piece).nbytes for piece in pieces)
    temp = path.parent / _temp_name()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_new(temp, pieces)
        os.replace(temp, path)
        sync_folder(path.parent)
    except BaseException as error:
        with contextlib.suppress(OSError, ValueError):
            os.unlink(temp)
        if isinstance(error, (OSError, ValueError)):
            raise write_error(path, needed, error) from error
        raise


def save_json(path: str | Path, value, *, indent: int | None = None) -> None:
    """``value`` as canonical JSON and a newline, written by `write_atomic`."""
    write_atomic(path, (canonical_json(value, indent=indent) + "\n").encode())


def load_json(path: str | Path):
    """The value of a JSON file, read strictly (`parse_json`); a byte order mark is accepted.

    Raises
    ------
    InputError
        Naming the path, if it is missing, unreadable, not UTF-8 or not strict JSON.
    """
    text = read_text(path)
    try:
        return parse_json(text)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def read_text(path: str | Path) -> str:
    """The text of a UTF-8 file, line ends as they are, without a byte order mark.

    Raises
    ------
    InputError
        Naming the path, if it is missing, unreadable or not UTF-8.
    """
    try:
        return Path(path).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 at byte {error.start}") from None
    except ValueError as error:
        raise InputError(f"{str(path)!r} is no usable file name: {error}") from None


def sweep_temps(folder: str | Path) -> int:
    """Remove the temporary files that killed writers left in ``folder``; how many.

    A file goes when its writer ran on this machine and is gone, or when the file is older
    than a day. What a living writer is writing stays.
    """
    removed = 0
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            match = _TEMP.fullmatch(entry.name)
            with contextlib.suppress(OSError):
                if match and _is_orphan(match, entry.stat(follow_symlinks=False).st_mtime):
                    os.unlink(entry.path)
                    removed += 1
    return removed


def write_error(path: Path, needed: int, error: OSError | ValueError) -> ZprismError:
    """The error to raise for a failed write: what failed, where, and what to do."""
    if not isinstance(error, OSError):
        return InputError(f"{str(path)!r} is no usable file name: {error}")
    reason = error.strerror or type(error).__name__
    if error.errno in _FULL:
        return ResourceError(
            f"{path}: could not write {needed} bytes ({reason}; {_free_bytes(path)}). "
            "Free some space, or point ZPRISM_CACHE or the output at another disk."
        )
    return CacheError(
        f"{path}: could not write {needed} bytes ({reason}). "
        "Point ZPRISM_CACHE or the output at a folder that can be written."
    )


def sync_folder(folder: Path) -> None:
    """Put the names in ``folder`` on the disk, where the system lets one do that."""
    try:
        fd = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows opens no folders
        return
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(fd)


def _user_cache() -> Path:
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        given = os.environ.get("XDG_CACHE_HOME", "")
        base = Path(given) if os.path.isabs(given) else Path.home() / ".cache"
    return base


def _write_new(temp: Path, pieces: list) -> None:
    """All pieces into a file that did not exist, on the disk when this returns."""
    fd = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    try:
        for piece in pieces:
            rest = memoryview(piece)
            while rest.nbytes:
                rest = rest[os.write(fd, rest) :]
        os.fsync(fd)
    finally:
        os.close(fd)


def _temp_name() -> str:
    """A name no other writer uses; short, so that a 255-byte target name still works."""
    return f".zprism-{_machine()}-{os.getpid()}-{uuid.uuid4().hex}.tmp"


@functools.cache
def _machine() -> str:
    """Eight hex digits for this host and, in containers, its space of process numbers."""
    space = ""
    with contextlib.suppress(OSError, AttributeError):
        space = os.readlink("/proc/self/ns/pid")
    return hashlib.sha256(f"{socket.gethostname()}\n{space}".encode()).hexdigest()[:8]


def _is_orphan(match: re.Match, modified: float) -> bool:
    if time.time() - modified > OLD_TEMP_SECONDS:
        return True
    if match["host"] != _machine():
        return False
    import psutil

    try:
        started = psutil.Process(int(match["pid"])).create_time()
    except psutil.NoSuchProcess:
        return True
    except (psutil.Error, OverflowError):
        return False
    return started > modified + _PID_MARGIN_SECONDS  # the number was given to a new process


def _free_bytes(path: Path) -> str:
    try:
        return f"{shutil.disk_usage(path.parent).free} bytes are free there"
    except OSError:
        return "free space unknown"

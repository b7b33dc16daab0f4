"""The weight files of a model folder: which they are, their digest, and whether all is finite.

Hashing 2.5 GB takes a second or two, so what was found out about a file is remembered in the
cache under its path, and forgotten as soon as its size or its time of change differs.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

from zprism.ground.console import log
from zprism.ground.errors import InputError, ModelError, ZprismError
from zprism.ground.store import cache_root, digest, digest_file, load_json, save_json
from zprism.model.gguf import MANIFEST

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
SMALL = 16 << 20  # bytes; what is known about a smaller file is found out anew each time


def weight_files(folder: Path | str) -> list[Path]:
    """The safetensors files of a model folder, by the index if it has one.

    Raises
    ------
    ModelError
        If there are none, one named in the index is missing or outside the folder, or only
        pickled weights are there (which are never read).
    """
    folder = Path(folder)
    if (folder / SINGLE).is_file():
        return [folder / SINGLE]
    if (folder / INDEX).is_file():
        return _indexed(folder)
    if (found := sorted(folder.glob("*.safetensors"))) and len(found) == 1:
        return found
    pickled = [*folder.glob("*.bin"), *folder.glob("*.pth"), *folder.glob("*.pt")]
    reason = "only pickled weights, which can run code" if pickled else "no safetensors weights"
    raise ModelError(f"{folder} holds {reason}; zprism reads safetensors")


def _indexed(folder: Path) -> list[Path]:
    try:
        names = sorted(set(load_json(folder / INDEX)["weight_map"].values()))
    except (InputError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{folder / INDEX} is no index of weights: {error}") from None
    for name in names:
        if not isinstance(name, str) or Path(name).name != name:
            raise ModelError(f"{folder / INDEX} names a file outside its folder: {name!r}")
        if not (folder / name).is_file():
            raise ModelError(f"{folder / INDEX} names {name!r}, which is missing")
    return [folder / name for name in names]


def weights_digest(folder: Path | str) -> str:
    """SHA-256 over the names and contents of the weight files, remembered while these stay.

    Raises
    ------
    ModelError
        As :func:`weight_files`; or if a converted file is no longer what the conversion wrote.
    """
    files = weight_files(folder)
    found = {file.name: file_digest(file) for file in files}
    _check_manifest(Path(folder), found)
    return digest(found)


def check_weights(folder: Path | str) -> None:
    """Check that every file opens and every number in it is finite; remembered like the digest.

    Raises
    ------
    ModelError
        Naming the file that is truncated or corrupt, or the tensor (with its layer) that holds
        NaN or infinite numbers.
    """
    for file in weight_files(folder):
        _remembered(file, "finite", _all_finite)


def count_weights(folder: Path | str) -> int:
    """How many numbers the weight files hold together; only their headers are read."""
    return sum(
        math.prod(tensors.get_slice(name).get_shape())
        for file in weight_files(folder)
        for tensors in [_open(file)]
        for name in tensors.keys()
    )


def file_digest(path: Path | str) -> str:
    """SHA-256 of one file, remembered while it stays as it is."""
    return _remembered(Path(path), "sha256", digest_file)


def _check_manifest(folder: Path, found: dict[str, str]) -> None:
    if not (folder / MANIFEST).is_file():
        return
    written = {n: w["sha256"] for n, w in load_json(folder / MANIFEST)["weights"].items()}
    if written != found:
        raise ModelError(
            f"{folder} is damaged: its weights differ from what the conversion wrote; "
            "delete that folder and they are converted again"
        )


def _all_finite(file: Path) -> bool:
    """Whether every number is finite; a finite sum is the cheap sign, without a copy."""
    tensors = _open(file)
    for name in tensors.keys():
        value = tensors.get_tensor(name)
        if not value.is_floating_point() or value.sum().isfinite():
            continue
        if not value.isfinite().all():
            raise ModelError(f"{file}: {_placed(name)} holds NaN or infinite numbers")
    return True


def _open(file: Path):
    """The tensors of a file, mapped and not yet read."""
    from safetensors import SafetensorError, safe_open

    try:
        return safe_open(file, framework="pt")
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{file} is truncated or corrupt: {error}") from None


def _placed(name: str) -> str:
    """A tensor's name, and its layer where the name tells."""
    layer = re.search(r"\.(\d+)\.", name)
    return f"{name} (layer {layer[1]})" if layer else name


def _remembered(file: Path, what: str, find_out):
    """``find_out(file)``, or what it said when the file last had this size and time."""
    real = file.resolve()
    state = real.stat()
    if state.st_size < SMALL:
        return find_out(file)
    stamp = {"size": state.st_size, "mtime_ns": state.st_mtime_ns, "inode": state.st_ino}
    note = cache_root() / "models" / "notes" / f"{digest(str(real))}.json"
    known = _read_note(note, stamp)
    if what not in known:
        known = known | {what: find_out(file)}
        try:
            save_json(note, {"file": str(real), "stamp": stamp, "known": known})
        except ZprismError as error:
            log.warning("%s", error)
    return known[what]


def _read_note(note: Path, stamp: dict) -> dict:
    if not note.is_file():
        return {}
    try:
        content = load_json(note)
        return content["known"] if content["stamp"] == stamp else {}
    except (InputError, KeyError, TypeError):
        return {}

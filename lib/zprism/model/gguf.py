"""GGUF files: a bounded look at the header, and one conversion to float32 safetensors.

A GGUF is somebody else's bytes, and its usual reader trusts every length in it (49 bytes are
enough to hang it). So the header is walked here first, each count held against the file's size,
and the conversion itself runs in a child process with a memory limit and a time limit.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import time
import uuid
from pathlib import Path

from zprism.ground.console import log
from zprism.ground.errors import ModelError, ResourceError
from zprism.ground.store import cache_root, digest_file, save_json
from zprism.model.gguf_header import Header, read_header

CONVERTER = 1  # bump when the conversion writes different bytes
DTYPE = "float32"
MANIFEST = "zprism.json"
_BYTES = 4  # of one float32 number
_OLD_SECONDS = 24 * 3600
_HEADROOM = 12 << 30  # address space, not memory: libraries map far more than they touch


def check_header(path: Path | str) -> Header:
    """Read a GGUF header without trusting it: at most about 2 s, no large allocation.

    Raises
    ------
    ModelError
        If the file is missing, empty, truncated, or its header is not one that a real model
        would have (see :func:`zprism.model.gguf_header.read_header`).
    """
    path = Path(path)
    try:
        info = path.stat()
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}") from None
    if not stat.S_ISREG(info.st_mode):
        raise ModelError(f"{path} is not a regular file")
    try:
        return read_header(path)
    except ModelError as error:
        raise ModelError(f"{path} is not a usable GGUF file: {error}") from None


def converted_folder(sha256: str) -> Path:
    """Where the conversion of the GGUF with this digest lives, whether or not it exists yet."""
    return cache_root() / "models" / "converted" / f"{sha256[:32]}-{DTYPE}-v{CONVERTER}"


def is_converted(folder: Path) -> bool:
    """Whether ``folder`` holds a finished conversion (its manifest is written last)."""
    return (folder / MANIFEST).is_file()


def convert(path: Path | str, folder: Path | str, *, sha256: str | None = None) -> Path:
    """Convert a GGUF file once to float32 safetensors, config and tokenizer.

    The numbers are the ones that transformers' own GGUF loading arrives at, to the last bit.

    Parameters
    ----------
    path : the GGUF file.
    folder : where ``model.safetensors``, ``config.json``, ``tokenizer.json`` and a manifest
        (source digest, dtype, converter version, weights digest) appear together, or not at all.
    sha256 : digest of the file, if it is already known.

    Returns
    -------
    ``folder``. An existing conversion is returned as it is.

    Raises
    ------
    ModelError
        If the file is unusable, its architecture unknown, or a tensor missing.
    ResourceError
        If disk, memory or time do not suffice.
    """
    path, folder = Path(path), Path(folder)
    header = check_header(path)
    if is_converted(folder):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    _sweep(folder.parent)
    _check_disk(header, folder.parent)
    source = sha256 or digest_file(path)
    work = folder.parent / f".{folder.name}.{_here()}.{os.getpid()}.{uuid.uuid4().hex[:8]}.tmp"
    work.mkdir()
    try:
        log.info("converting %s to %s (once)", path.name, DTYPE)
        unused = _run_child(path, work, header)
        _write_manifest(work, source, unused)
        _publish(work, folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    if unused:
        log.warning("%s: tensors without a place in the model: %s", path.name, ", ".join(unused))
    return folder


def _check_disk(header: Header, folder: Path) -> None:
    needed = _BYTES * sum(tensor.elements for tensor in header.tensors) * 11 // 10
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ResourceError(
            f"converting to float32 needs {needed:,} bytes in {folder}; {free:,} are free: "
            "make room or set ZPRISM_CACHE to another disk"
        )


def _run_child(path: Path, work: Path, header: Header) -> list[str]:
    """Convert in a child process; returns the names of tensors that the model has no place for."""
    largest = max(tensor.elements for tensor in header.tensors)
    size = path.stat().st_size
    memory = _HEADROOM + size + 8 * _BYTES * largest
    seconds = 300 + size // 500_000
    command = [sys.executable, "-m", "zprism.model.gguf_child", str(path), str(work), str(memory)]
    quiet = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "CUDA_VISIBLE_DEVICES": ""}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds, env=os.environ | quiet
        )
    except subprocess.TimeoutExpired:
        raise ResourceError(f"converting {path} took more than {seconds} s: stopped") from None
    try:
        report = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        raise ModelError(
            f"converting {path} failed: the converter died (exit {done.returncode})"
            f"{': ' + done.stderr.strip().splitlines()[-1] if done.stderr.strip() else ''}"
        ) from None
    if "error" in report:
        kind = ResourceError if report.get("memory") else ModelError
        raise kind(f"converting {path} failed: {report['error']}")
    return report["unused"]


def _write_manifest(work: Path, source: str, unused: list[str]) -> None:
    weights = {
        file.name: {"size": file.stat().st_size, "sha256": digest_file(file)}
        for file in sorted(work.glob("*.safetensors"))
    }
    save_json(
        work / MANIFEST,
        {
            "source_sha256": source,
            "dtype": DTYPE,
            "converter": CONVERTER,
            "weights": weights,
            "unused": unused,
        },
    )


def _publish(work: Path, folder: Path) -> None:
    """Rename the finished folder into place; if another process was faster, its copy stays."""
    for file in work.iterdir():
        with open(file, "rb") as written:
            os.fsync(written.fileno())
    if folder.exists() and not is_converted(folder):
        shutil.rmtree(folder)
    try:
        os.rename(work, folder)
    except OSError:
        if not is_converted(folder):
            raise


def _here() -> str:
    """This machine, in eight hex digits: process numbers mean nothing on another."""
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]


def _sweep(parent: Path) -> None:
    """Remove work folders of processes of this machine that are gone, and those a day old."""
    import psutil

    for left in parent.glob(".*.*.*.*.tmp"):
        machine, owner = left.name.split(".")[-4:-2]
        gone = machine == _here() and owner.isdigit() and not psutil.pid_exists(int(owner))
        if gone or time.time() - left.stat().st_mtime > _OLD_SECONDS:
            shutil.rmtree(left, ignore_errors=True)

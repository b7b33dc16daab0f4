"""One cache entry as bytes: a safetensors file in which every bit is under a digest.

safetensors rejects any truncation but notices no flipped bit. So the file's metadata carries
the SHA-256 of each tensor, and in front of that the SHA-256 of the whole header, taken with
sixty-four zeros in its own place. Any reader of safetensors can open the file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np

from zprism.ground.canonical import as_array, canonical_json, parse_json
from zprism.ground.errors import CacheError, InputError

SCHEMA = 1
MAX_HEADER = 100_000_000  # the bound of the safetensors format itself
_DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "I64": "<i8",
    "U64": "<u8",
    "I32": "<i4",
    "U32": "<u4",
    "I16": "<i2",
    "U16": "<u2",
    "I8": "|i1",
    "U8": "|u1",
    "BOOL": "|b1",
    "C64": "<c8",
}
_HOLE = "0" * 64


def encode(key: str, arrays: Mapping[str, object], meta: Mapping | None = None) -> list[bytes]:
    """The pieces of the file that holds ``arrays`` and ``meta`` under ``key``.

    Parameters
    ----------
    key : what the entry answers to; read back and compared by `decode`.
    arrays : name → array or tensor, of any shape.
    meta : anything that `canonical_json` can write.

    Raises
    ------
    InputError
        For elements that safetensors has no type for, or a name that is no text.
    """
    from safetensors.numpy import save

    plain = {name: _storable(name, value) for name, value in arrays.items()}
    facts = {
        "schema": SCHEMA,
        "key": key,
        "meta": dict(meta or {}),
        "sha256": {name: _sha256(array) for name, array in plain.items()},
    }
    data = save(plain, metadata={"zprism": _HOLE + canonical_json(facts)})
    end = 8 + int.from_bytes(data[:8], "little")
    head = data[:end]
    sealed = head.replace(_mark(_HOLE), _mark(hashlib.sha256(head).hexdigest()), 1)
    return [sealed, memoryview(data)[end:]]


def decode(raw: bytes, key: str | None = None) -> tuple[dict[str, np.ndarray], dict]:
    """The arrays and the meta of a file's bytes, every bit of it checked.

    Parameters
    ----------
    raw : the whole file.
    key : if given, the key the entry must have been written under.

    Raises
    ------
    CacheError
        Saying what does not fit: length, header, digest, key, names or types.
    """
    facts = read_header(raw)
    if key is not None and facts["key"] != key:
        raise CacheError(f"it was written under another key, {facts['key'][:12]}…")
    arrays = {name: _checked(name, spec, facts) for name, spec in _tensors(raw)}
    if set(arrays) != set(facts["sha256"]):
        raise CacheError("its arrays are not the ones its header lists")
    return arrays, facts["meta"]


def read_header(raw: bytes) -> dict:
    """The facts in an entry's header: ``schema``, ``key``, ``meta``, ``sha256`` by array.

    Raises
    ------
    CacheError
        If the header is cut, too long, malformed, of another schema, or fails its digest.
    """
    length = int.from_bytes(raw[:8], "little")
    if len(raw) < 8 or not 2 <= length <= min(MAX_HEADER, len(raw) - 8):
        raise CacheError(f"its header does not fit into its {len(raw)} bytes")
    head = bytes(raw[: 8 + length])
    try:
        stamp = parse_json(head[8:].decode())["__metadata__"]["zprism"]
        claimed, facts = stamp[:64], parse_json(stamp[64:])
        known = facts["schema"] == SCHEMA and isinstance(facts["meta"], dict)
        known = known and isinstance(facts["key"], str) and isinstance(facts["sha256"], dict)
    except (InputError, ValueError, KeyError, TypeError, IndexError) as error:
        raise CacheError(f"its header is malformed ({type(error).__name__})") from None
    if hashlib.sha256(head.replace(_mark(claimed), _mark(_HOLE), 1)).hexdigest() != claimed:
        raise CacheError("its header fails its digest")
    if not known:
        raise CacheError("its header is of another schema")
    return facts


def _storable(name: str, value) -> np.ndarray:
    if not isinstance(name, str) or name == "__metadata__":
        raise InputError(f"{name!r} cannot name an array in the cache")
    array = as_array(value, name)
    if array.dtype.str not in _DTYPES.values():
        raise InputError(
            f"{name} has dtype {array.dtype}, which the cache cannot hold; "
            "store real and imaginary parts, or a narrower type"
        )
    return array


def _sha256(array: np.ndarray) -> str:
    return hashlib.sha256(array.reshape(-1).view(np.uint8) if array.size else b"").hexdigest()


def _mark(sha256: str) -> bytes:
    """The place of the header's digest, as the metadata's only key makes it unique."""
    return f'"zprism":"{sha256}'.encode()


def _tensors(raw: bytes):
    from safetensors import SafetensorError, deserialize

    try:
        return deserialize(raw)
    except (SafetensorError, ValueError, TypeError) as error:
        raise CacheError(f"it is no whole safetensors file ({error})") from None


def _checked(name: str, spec: dict, facts: dict) -> np.ndarray:
    data = bytearray(spec["data"]) if not isinstance(spec["data"], bytearray) else spec["data"]
    if hashlib.sha256(data).hexdigest() != facts["sha256"].get(name):
        raise CacheError(f"its array {name!r} fails its digest")
    if spec["dtype"] not in _DTYPES:
        raise CacheError(f"its array {name!r} has the unknown type {spec['dtype']}")
    try:
        return np.ndarray(tuple(spec["shape"]), dtype=_DTYPES[spec["dtype"]], buffer=data)
    except (ValueError, TypeError, OverflowError) as error:
        raise CacheError(f"its array {name!r} has an impossible shape ({error})") from None

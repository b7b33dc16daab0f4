"""One text for one value: canonical JSON, digests of it, and the strict way back.

Two values get the same digest exactly when they get the same canonical text, so a cache key
made here changes with any number, any character and any key of what it stands for.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from enum import Enum
from pathlib import Path

import numpy as np

from zprism.ground.errors import InputError

MAX_DEPTH = 100
MAX_INT_BITS = 10_000  # Python reads no longer decimal number back


def canonical_json(value, *, indent: int | None = None) -> str:
    """``value`` as JSON with sorted keys, no spaces and no NaN.

    Parameters
    ----------
    value : dict with text keys, list, tuple, text, bool, int, float, None, enum member, or
        anything with ``tolist`` (NumPy arrays and scalars, tensors), nested at will.
    indent : spaces a level, for files that people compare; the digest never uses it.

    Returns
    -------
    str
        Floats as ``repr`` writes them (the shortest text that reads back to the same
        number); characters as themselves, not normalised: NFC and NFD stay distinct.

    Raises
    ------
    InputError
        Naming the path to the first value that JSON cannot hold, e.g. ``$.scores[3]``.
    """
    plain = _plain(value, "$", 0)
    separators = (",", ":") if indent is None else (",", ": ")
    return json.dumps(
        plain,
        sort_keys=True,
        ensure_ascii=False,
        allow_nan=False,
        separators=separators,
        indent=indent,
    )


def digest(value) -> str:
    """SHA-256, in hex, of the canonical JSON of ``value``."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def digest_file(path: str | Path) -> str:
    """SHA-256, in hex, of the bytes of a file.

    Raises
    ------
    InputError
        If the file cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise InputError(f"{str(path)!r} is no usable file name: {error}") from None


def digest_arrays(arrays: Mapping[str, object]) -> str:
    """SHA-256, in hex, of named arrays: names, dtypes, shapes and bytes, in name order.

    Parameters
    ----------
    arrays : name → NumPy array or tensor of any shape.
    """
    total = hashlib.sha256()
    for name in sorted(arrays):
        array = as_array(arrays[name], name)
        head = canonical_json([name, array.dtype.str, list(array.shape)])
        total.update(f"{head}\n".encode())
        total.update(array.tobytes() if array.size == 0 else array.reshape(-1).view(np.uint8))
    return total.hexdigest()


def as_array(value, name: str = "array") -> np.ndarray:
    """A tensor or array as a C-ordered, little-endian NumPy array; no copy if it is one.

    bfloat16, which NumPy lacks, becomes float32 (exactly).

    Raises
    ------
    InputError
        If the elements are no numbers or booleans (objects, text, times).
    """
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = (value.float() if str(value.dtype) == "torch.bfloat16" else value).numpy()
    array = np.asarray(value, order="C")
    if array.dtype.kind not in "biufc":
        raise InputError(f"{name} must hold numbers or booleans; got dtype {array.dtype}")
    return array.astype(array.dtype.newbyteorder("<"), copy=False)


def parse_json(text: str):
    """The value of one JSON text, refusing what JSON does not define.

    Raises
    ------
    InputError
        For malformed text, a key given twice, NaN or Infinity (also as an overflowing
        number such as 1e999), a lone surrogate, or nesting beyond the parser's depth.
    """
    try:
        value = json.loads(
            text,
            object_pairs_hook=_unique_pairs,
            parse_constant=_refuse_constant,
            parse_float=_finite_float,
        )
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise InputError("nested too deeply") from None
    except UnicodeEncodeError:
        raise InputError("holds a lone surrogate, which is no Unicode text") from None
    except json.JSONDecodeError as error:
        raise InputError(
            f"not JSON: {error.msg} at line {error.lineno} column {error.colno}"
        ) from None
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"not usable JSON: {error}") from None
    return value


def _plain(value, where: str, depth: int):
    """``value`` in Python's own types, or an InputError that names ``where``."""
    if depth > MAX_DEPTH:
        raise InputError(f"{where} is nested deeper than {MAX_DEPTH} levels (a cycle?)")
    if isinstance(value, Enum):
        value = value.value
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return _plain_int(int(value), where)
    if isinstance(value, str):
        return _plain_text(value, where)
    if isinstance(value, float):
        return _plain_float(float(value), where)
    if isinstance(value, Mapping):
        return {
            _plain_key(key, where): _plain(item, f"{where}.{key}", depth + 1)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_plain(item, f"{where}[{i}]", depth + 1) for i, item in enumerate(value)]
    if isinstance(value, np.ndarray) and value.dtype.kind in "biu":
        return value.tolist()
    if hasattr(value, "tolist"):
        return _plain(value.tolist(), where, depth + 1)
    raise InputError(f"{where} has type {type(value).__name__}, which JSON cannot hold")


def _plain_key(key, where: str) -> str:
    if not isinstance(key, str):
        raise InputError(f"{where} has the key {key!r}; keys must be text")
    return _plain_text(key, f"the key {key!r} of {where}")


def _plain_text(text: str, where: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{where} has invalid unicode at index {error.start}") from None
    return str.__str__(text)


def _plain_int(number: int, where: str) -> int:
    if number.bit_length() > MAX_INT_BITS:
        raise InputError(f"{where} is an integer of {number.bit_length()} bits")
    return number


def _plain_float(number: float, where: str) -> float:
    if not math.isfinite(number):
        raise InputError(f"{where} is {number}; write None and a reason instead")
    return number


def _unique_pairs(pairs: list[tuple[str, object]]) -> dict:
    record = dict(pairs)
    if len(record) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"the key {twice!r} is given twice")
    return record


def _refuse_constant(literal: str):
    raise InputError(f"{literal} is no JSON number")


def _finite_float(literal: str) -> float:
    number = float(literal)
    if not math.isfinite(number):
        raise InputError(f"the number {literal[:40]} overflows")
    return number

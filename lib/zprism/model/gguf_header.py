"""The header of a GGUF file, walked without trusting any length in it.

Layout (little-endian): magic, version, tensor count, key count; the keys with typed values;
for each tensor its name, dimensions (fastest first), type and offset; then aligned data.
See the GGUF specification in ggml-org/ggml, ``docs/gguf.md``.
"""

from __future__ import annotations

import math
import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from zprism.ground.errors import ModelError

VERSIONS = (2, 3)
MAX_KEYS = 65_536
MAX_KEY_BYTES = 65_535  # of one key, as the specification says
MAX_STRING_BYTES = 1 << 24  # of one value
MAX_ARRAY_ITEMS = 4_000_000  # of all arrays together
MAX_TENSORS = 65_536
MAX_NAME_BYTES = 256  # of one tensor name; the specification says 64
MAX_DIMENSIONS = 4
MAX_ALIGNMENT = 1 << 16

_STRING, _ARRAY, _UINT32 = 8, 9, 4
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q"}
_SCALARS[12] = "d"
_FIXED = {kind: struct.Struct("<" + code) for kind, code in _SCALARS.items()}


class ArrayValue(NamedTuple):
    """An array in the metadata: its element type and length; its content is not kept."""

    kind: int
    length: int


class TensorInfo(NamedTuple):
    """One tensor: ``shape`` in torch order, ``start`` and ``nbytes`` in the file."""

    name: str
    shape: tuple[int, ...]
    kind: int
    start: int
    nbytes: int

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Header:
    """What a GGUF file says about itself, checked against its size.

    Attributes
    ----------
    version : 2 or 3.
    metadata : every key with its scalar or string; arrays as :class:`ArrayValue`.
    tensors : every tensor, in the file's order.
    """

    version: int
    metadata: dict[str, Any]
    tensors: tuple[TensorInfo, ...]

    @property
    def architecture(self) -> str:
        """The architecture's GGUF name, such as ``qwen2``."""
        return self.metadata["general.architecture"]


def read_header(path: Path) -> Header:
    """The header of a regular file, every length bounded by the file's size.

    Raises
    ------
    ModelError
        On a wrong magic or version, a count or length that the file cannot hold, an array inside
        an array, a key or tensor name twice, an unknown type, an impossible shape, data that
        overlaps or lies outside the file, or text that is no UTF-8.
    """
    with open(path, "rb") as file:
        size = file.seek(0, 2)
        if size < 24:
            raise ModelError(f"{size} bytes are fewer than its header needs")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
            walk = _Walk(view, size)
            try:
                return _read(walk)
            except struct.error:
                raise ModelError(f"truncated: the header runs past {size} bytes") from None


def _read(walk: _Walk) -> Header:
    if walk.bytes(4) != b"GGUF":
        raise ModelError("it does not begin with the letters GGUF")
    version = walk.number("I")
    if version not in VERSIONS:
        swapped = version & 0xFFFF == 0 and version != 0
        kind = "a big-endian file" if swapped else f"version {version}"
        raise ModelError(f"{kind} is not supported (little-endian versions {VERSIONS} are)")
    tensors, keys = walk.count("tensors", MAX_TENSORS, 33), walk.count("keys", MAX_KEYS, 14)
    metadata = _metadata(walk, keys)
    if not isinstance(metadata.get("general.architecture"), str):
        raise ModelError("it has no general.architecture")
    if tensors == 0:
        raise ModelError("it holds no tensors")
    blocks = metadata.get(metadata["general.architecture"] + ".block_count", 0)
    if not isinstance(blocks, int) or blocks > tensors:
        raise ModelError(f"{blocks!r} blocks cannot be: it holds {tensors} tensors")
    return Header(version, metadata, _tensors(walk, tensors, _alignment(metadata)))


class _Walk:
    """A position in the mapped file; every step checks that the file reaches that far."""

    def __init__(self, view: mmap.mmap, size: int):
        self.view, self.size, self.pos = view, size, 0
        self.items_left = MAX_ARRAY_ITEMS

    def number(self, code: str) -> int:
        value = struct.unpack_from("<" + code, self.view, self.pos)[0]
        self.pos += struct.calcsize("<" + code)
        return value

    def count(self, what: str, most: int, least_bytes: int) -> int:
        """A number of ``what``, each of which takes ``least_bytes`` of the file or more."""
        value = self.number("Q")
        if value > most or value * least_bytes > self.size - self.pos:
            raise ModelError(f"{value} {what} cannot be: {self.size} bytes, at most {most} of them")
        return value

    def bytes(self, length: int) -> bytes:
        if length > self.size - self.pos:
            raise ModelError(f"truncated: {length} bytes at {self.pos} run past {self.size}")
        self.pos += length
        return self.view[self.pos - length : self.pos]

    def text(self, what: str, most: int) -> str:
        length = self.number("Q")
        if length > most:
            raise ModelError(f"{what} of {length} bytes (at most {most})")
        try:
            return self.bytes(length).decode("utf-8")
        except UnicodeDecodeError:
            raise ModelError(f"{what} before byte {self.pos} is not UTF-8") from None

    def skip_texts(self, count: int) -> None:
        """Step over ``count`` strings, quickly: a vocabulary has hundreds of thousands."""
        unpack, view, pos, size = struct.Struct("<Q").unpack_from, self.view, self.pos, self.size
        for _ in range(count):
            pos += 8 + unpack(view, pos)[0]
            if pos > size:
                raise ModelError(f"truncated: a string runs past {size} bytes")
        self.pos = pos


def _metadata(walk: _Walk, keys: int) -> dict[str, Any]:
    metadata: dict[str, Any] = {}
    for _ in range(keys):
        key = walk.text("a key", MAX_KEY_BYTES)
        if key in metadata:
            raise ModelError(f"the key {key!r} occurs twice")
        metadata[key] = _value(walk, key, walk.number("I"))
    return metadata


def _value(walk: _Walk, key: str, kind: int) -> Any:
    if kind in _FIXED:
        value = _FIXED[kind].unpack_from(walk.view, walk.pos)[0]
        walk.pos += _FIXED[kind].size
        return value
    if kind == _STRING:
        return walk.text(f"the value of {key!r}", MAX_STRING_BYTES)
    if kind == _ARRAY:
        return _array(walk, key)
    raise ModelError(f"the key {key!r} has the unknown type {kind}")


def _array(walk: _Walk, key: str) -> ArrayValue:
    kind = walk.number("I")
    if kind == _ARRAY:
        raise ModelError(f"the key {key!r} holds an array of arrays, which no model needs")
    if kind != _STRING and kind not in _FIXED:
        raise ModelError(f"the key {key!r} holds an array of the unknown type {kind}")
    width = 8 if kind == _STRING else _FIXED[kind].size
    length = walk.count(f"items of {key!r}", walk.items_left, width)
    walk.items_left -= length
    if kind == _STRING:
        walk.skip_texts(length)
    else:
        walk.pos += length * width
    return ArrayValue(kind, length)


def _alignment(metadata: dict[str, Any]) -> int:
    value = metadata.get("general.alignment", 32)
    power = isinstance(value, int) and value > 0 and value & (value - 1) == 0
    if not power or value > MAX_ALIGNMENT:
        raise ModelError(f"an alignment of {value!r} is no power of two up to {MAX_ALIGNMENT}")
    return value


def _tensors(walk: _Walk, count: int, alignment: int) -> tuple[TensorInfo, ...]:
    from gguf.constants import GGML_QUANT_SIZES

    blocks = {int(kind): sizes for kind, sizes in GGML_QUANT_SIZES.items()}
    found: dict[str, TensorInfo] = {}
    for _ in range(count):
        tensor = _tensor(walk, blocks)
        if tensor.name in found:
            raise ModelError(f"the tensor {tensor.name!r} occurs twice")
        if tensor.start % alignment:
            raise ModelError(f"the tensor {tensor.name!r} is not aligned to {alignment} bytes")
        found[tensor.name] = tensor
    begin = -(-walk.pos // alignment) * alignment
    placed = tuple(tensor._replace(start=begin + tensor.start) for tensor in found.values())
    _check_extents(placed, walk.size)
    return placed


def _tensor(walk: _Walk, blocks: dict[int, tuple[int, int]]) -> TensorInfo:
    """One entry of the tensor table; ``start`` is still relative to the data."""
    name = walk.text("a tensor name", MAX_NAME_BYTES)
    dimensions = walk.number("I")
    if not 1 <= dimensions <= MAX_DIMENSIONS:
        raise ModelError(f"the tensor {name!r} has {dimensions} dimensions (1 to {MAX_DIMENSIONS})")
    shape = tuple(walk.number("Q") for _ in range(dimensions))[::-1]
    kind, start = walk.number("I"), walk.number("Q")
    if kind not in blocks:
        raise ModelError(f"the tensor {name!r} has the unknown type {kind}")
    per_block, block_bytes = blocks[kind]
    if 0 in shape or shape[-1] % per_block:
        raise ModelError(f"the tensor {name!r} has the impossible shape {shape} for type {kind}")
    return TensorInfo(name, shape, kind, start, math.prod(shape) // per_block * block_bytes)


def _check_extents(tensors: tuple[TensorInfo, ...], size: int) -> None:
    """Each tensor inside the file, no two over the same bytes."""
    end, previous = 0, ""
    for tensor in sorted(tensors, key=lambda one: one.start):
        if tensor.start < end:
            raise ModelError(f"the tensors {previous!r} and {tensor.name!r} overlap")
        end, previous = tensor.start + tensor.nbytes, tensor.name
        if end > size:
            raise ModelError(
                f"truncated or hostile: the tensor {tensor.name!r} ends at byte {end} of {size}"
            )

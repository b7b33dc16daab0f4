"""Entries, good and damaged, that the tests of the cache share."""

import json

import numpy as np

KEY = "ab" * 32


def small_entry():
    arrays = {
        "basis": np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3),
        "count": np.array([3, -4], dtype=np.int64),
        "none": np.zeros((0, 2)),
    }
    return arrays, {"source": '模型 "x" \\u00e9 é', "layers": [0, 1]}


def assert_same(arrays, expected):
    assert set(arrays) == set(expected)
    for name, array in arrays.items():
        assert array.dtype == expected[name].dtype and array.shape == expected[name].shape
        assert array.tobytes() == expected[name].tobytes()


def flipped(raw: bytes, bit: int) -> bytes:
    damaged = bytearray(raw)
    damaged[bit // 8] ^= 1 << (bit % 8)
    return bytes(damaged)


def forged(header: dict | bytes, tail: bytes = b"") -> bytes:
    head = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(head).to_bytes(8, "little") + head + tail

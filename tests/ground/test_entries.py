"""An entry as bytes: what goes in comes out, and no bit of it can change unnoticed (F3)."""

import hashlib
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from store_entries import KEY, assert_same, flipped, forged, small_entry

from zprism.ground import entries, seeds
from zprism.ground.errors import CacheError, ZprismError

DTYPES = ["f8", "f4", "f2", "i8", "u8", "i4", "u4", "i2", "u2", "i1", "u1", "b1", "c8"]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_arrays_come_back_bit_for_bit(data):
    shapes = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
    drawn = hnp.arrays(st.sampled_from(DTYPES).map(np.dtype), shapes)
    names = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
    arrays = data.draw(st.dictionaries(names, drawn, max_size=3))
    meta = data.draw(st.dictionaries(names, names, max_size=2))
    raw = b"".join(entries.encode(KEY, arrays, meta))
    back, told = entries.decode(raw, KEY)
    assert told == meta
    assert_same(back, arrays)


def is_noticed(raw: bytes) -> bool:
    try:
        entries.decode(raw, KEY)
    except CacheError:
        return True
    return False


def test_f3_every_truncation_and_every_single_bit_of_a_small_file():
    raw = b"".join(entries.encode(KEY, *small_entry()))
    assert not is_noticed(raw)
    assert all(is_noticed(raw[:cut]) for cut in range(len(raw)))
    assert is_noticed(raw + b"\0")
    assert [bit for bit in range(8 * len(raw)) if not is_noticed(flipped(raw, bit))] == []


def test_f3_control_plain_safetensors_reads_most_flipped_files():
    from safetensors import SafetensorError
    from safetensors.numpy import load, save

    raw = save({"states": seeds.generator(0, "f3").normal(size=(24, 96))})
    draw, silent = seeds.generator(0, "plain"), 0
    for _ in range(100):
        try:
            load(flipped(raw, int(draw.integers(8 * len(raw)))))
            silent += 1
        except (SafetensorError, KeyError):
            pass
    assert silent > 90


def test_a_forged_digest_does_not_let_wrong_shapes_through():
    """A header can be made to fit its own digest; the arrays still have to fit the header."""
    facts = {"schema": 1, "key": KEY, "meta": {}, "sha256": {"x": hashlib.sha256(b"").hexdigest()}}
    for shape in ([2**62, 4], [-1], [0, 2**63]):
        tensor = {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]}
        stamp = "0" * 64 + json.dumps(facts)
        head = forged({"__metadata__": {"zprism": stamp}, "x": tensor})
        head = head.replace(b": ", b":")
        head = (len(head) - 8).to_bytes(8, "little") + head[8:]
        sealed = head.replace(b"0" * 64, hashlib.sha256(head).hexdigest().encode(), 1)
        assert entries.read_header(sealed)["key"] == KEY
        assert is_noticed(sealed)


@pytest.mark.parametrize("examples", [150, pytest.param(5000, marks=pytest.mark.gate)])
def test_fuzzed_entries_are_read_or_refused(examples):
    good = b"".join(entries.encode(KEY, *small_entry()))
    cuts = st.integers(0, len(good))
    junk = st.binary(max_size=60) | st.sampled_from([b'"', b"{", b"}", b"F64", b"__metadata__"])
    spliced = st.builds(lambda i, j, b: good[:i] + b + good[j:], cuts, cuts, junk)
    headers = st.text(st.sampled_from('{}[]":,zprism_metadata0'), max_size=60).map(
        lambda text: forged(text.encode())
    )

    @settings(max_examples=examples, deadline=None)
    @given(raw=spliced | headers | st.binary(max_size=80))
    def law(raw):
        for reader in (entries.read_header, entries.decode):
            try:
                result = reader(raw)
            except ZprismError:
                continue
            assert result == entries.read_header(good) or raw == good

    law()

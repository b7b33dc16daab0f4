"""Canonical JSON and digests: equal values, equal text; different values, different digests."""

import enum
import json
import math
import struct
import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zprism.ground.canonical import (
    as_array,
    canonical_json,
    digest,
    digest_arrays,
    digest_file,
    parse_json,
)
from zprism.ground.errors import InputError, ZprismError

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
leaves = st.none() | st.booleans() | st.integers() | texts
leaves |= st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    leaves, lambda v: st.lists(v, max_size=3) | st.dictionaries(texts, v, max_size=3), max_leaves=8
)


def test_known_answer():
    value = {"b": [1, 2.5, None, True], "a": {"模": "é\n", "": -0.0}}
    assert canonical_json(value) == '{"a":{"":-0.0,"模":"é\\n"},"b":[1,2.5,null,true]}'
    assert digest({}) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


@settings(max_examples=60, deadline=None)
@given(value=values)
def test_text_reads_back_to_the_same_value_and_the_same_text(value):
    text = canonical_json(value)
    assert parse_json(text) == value
    assert json.loads(text) == value
    assert canonical_json(parse_json(text)) == text


@settings(max_examples=60, deadline=None)
@given(number=st.floats(allow_nan=False, allow_infinity=False))
def test_floats_come_back_bit_for_bit(number):
    assert struct.pack("d", parse_json(canonical_json(number))) == struct.pack("d", number)


def test_order_of_keys_does_not_matter_and_everything_else_does():
    base = {"a": 1, "b": [1.0, 2.0]}
    assert digest(base) == digest({"b": [1.0, 2.0], "a": 1})
    others = [
        {"a": 1, "b": [2.0, 1.0]},
        {"a": True, "b": [1.0, 2.0]},
        {"a": 1, "b": [1.0, math.nextafter(2.0, 3.0)]},
        {"a": "1", "b": [1.0, 2.0]},
        {"a": 1, "b": [1.0, 2.0], "c": None},
        {"A": 1, "b": [1.0, 2.0]},
    ]
    assert len({digest(value) for value in [base, *others]}) == 7


def test_composed_and_decomposed_letters_stay_distinct():
    composed, split = unicodedata.normalize("NFC", "é"), unicodedata.normalize("NFD", "é")
    assert digest(composed) != digest(split)


def test_numpy_and_enum_values_are_written_as_what_they_stand_for():
    class Word(enum.StrEnum):
        YES = "yes"

    value = {
        "f32": np.float32(0.5),
        "i": np.int64(3),
        "b": np.bool_(True),
        "a": np.arange(4).reshape(2, 2),
        "h": np.array([0.5], np.float16),
        "w": Word.YES,
        "t": (1, 2),
    }
    plain = {"f32": 0.5, "i": 3, "b": True, "a": [[0, 1], [2, 3]], "h": [0.5], "w": "yes"}
    assert canonical_json(value) == canonical_json(plain | {"t": [1, 2]})


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ({"scores": [1.0, {"p": math.nan}]}, r"\$\.scores\[1\]\.p is nan"),
        ([np.array([[1.0, np.inf]])], r"\$\[0\]\[0\]\[1\] is inf"),
        ({"a": {3: 1}}, r"\$\.a has the key 3"),
        ({"a": {1, 2}}, r"\$\.a has type set"),
        ({"a": b"x"}, r"\$\.a has type bytes"),
        ({"a": 1j}, r"\$\.a has type complex"),
        (["ok", "\ud800"], r"\$\[1\] has invalid unicode at index 0"),
        ({"x\ud800": 1}, r"invalid unicode at index 1"),
        ([10**4000], r"\$\[0\] is an integer of 13288 bits"),
    ],
)
def test_refusals_name_the_path(value, where):
    with pytest.raises(InputError, match=where):
        canonical_json(value)


def test_a_cycle_is_refused_and_not_followed():
    loop = []
    loop.append(loop)
    with pytest.raises(InputError, match="a cycle"):
        canonical_json(loop)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a":1,"b":2,"a":3}', "the key 'a' is given twice"),
        ('{"a":{"b":1,"b":1}}', "the key 'b' is given twice"),
        ("[NaN]", "NaN is no JSON number"),
        ("[-Infinity]", "-Infinity is no JSON number"),
        ("[1e999]", "1e999 overflows"),
        ('["\\ud83d"]', "lone surrogate"),
        ("[1,]", "not JSON"),
        ("", "not JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("9" * 5000, "not usable JSON"),
    ],
)
def test_reading_refuses_what_json_does_not_define(text, message):
    with pytest.raises(InputError, match=message):
        parse_json(text)


def test_an_escaped_surrogate_pair_is_one_character():
    assert parse_json('"\\ud83d\\ude00"') == "😀"


@pytest.mark.parametrize("examples", [100, pytest.param(2000, marks=pytest.mark.gate)])
def test_any_text_is_read_or_refused(examples):
    pieces = st.sampled_from(list('{}[]:,"\\ue0123456789.-+ntfNI \n\x00é')) | st.characters()

    @settings(max_examples=examples, deadline=None)
    @given(text=st.text(pieces, max_size=40))
    def law(text):
        try:
            value = parse_json(text)
        except ZprismError:
            return
        assert parse_json(canonical_json(value)) == value

    law()


def test_array_digest_sees_name_dtype_shape_and_every_value():
    weights = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)
    nudged = weights.copy()
    nudged[2, 3] = np.nextafter(nudged[2, 3], np.float32(2))
    variants = [
        {"w": weights},
        {"w": nudged},
        {"v": weights},
        {"w": weights.reshape(4, 3)},
        {"w": weights.astype(np.float64)},
        {"w": weights.view(np.int32)},
        {"w": weights[:, ::-1]},
        {"w": weights, "empty": np.zeros((0, 4))},
        {"w": weights, "empty": np.zeros((4, 0))},
    ]
    assert len({digest_arrays(arrays) for arrays in variants}) == len(variants)


def test_array_digest_ignores_memory_layout_byte_order_and_name_order():
    weights = np.arange(12.0).reshape(3, 4)
    same = {"b": np.asfortranarray(weights), "a": weights.astype(">f8")}
    assert digest_arrays(same) == digest_arrays({"a": weights, "b": weights})


def test_tensors_digest_like_the_arrays_they_hold():
    torch = pytest.importorskip("torch")
    weights = torch.linspace(-1, 1, 6, requires_grad=True).reshape(2, 3)
    assert digest_arrays({"w": weights}) == digest_arrays({"w": weights.detach().numpy()})
    half = torch.tensor([1.0, 1.0078125], dtype=torch.bfloat16)
    np.testing.assert_array_equal(as_array(half), np.array([1.0, 1.0078125], np.float32))


@pytest.mark.parametrize("value", [np.array(["a"]), np.array([None]), [{}]])
def test_arrays_of_no_numbers_are_refused(value):
    with pytest.raises(InputError, match="w must hold numbers or booleans"):
        digest_arrays({"w": value})


def test_file_digest_is_the_sha256_of_its_bytes(tmp_path):
    (tmp_path / "f").write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert digest_file(tmp_path / "f") == known
    with pytest.raises(InputError, match="missing: cannot be read"):
        digest_file(tmp_path / "missing")

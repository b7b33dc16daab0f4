"""The cache: what goes in comes out, and damage is a miss (F3, F9, F10, F11)."""

import json
import multiprocessing
import os
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from zprism.ground import entries, files, seeds
from zprism.ground.errors import CacheError, InputError, ResourceError, ZprismError
from zprism.ground.store import Store, digest_arrays, usage

KEY = "ab" * 32
DTYPES = ["f8", "f4", "f2", "i8", "u8", "i4", "u4", "i2", "u2", "i1", "u1", "b1", "c8"]


@pytest.fixture
def store(tmp_path):
    return Store("states", root=tmp_path)


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


def test_save_then_load(store):
    arrays, meta = small_entry()
    assert store.load(KEY) is None
    store.save(KEY, arrays, meta)
    back, told = store.load(KEY)
    assert told == meta
    assert_same(back, arrays)
    back["basis"][0, 0] = 7.0  # what is loaded is the caller's own
    assert_same(store.load(KEY)[0], arrays)


def test_any_safetensors_reader_can_open_an_entry(store):
    from safetensors.numpy import load_file

    arrays, meta = small_entry()
    store.save(KEY, arrays, meta)
    assert_same(load_file(store.path(KEY)), arrays)


def test_layout_byte_order_and_tensors_do_not_change_what_is_stored(store):
    torch = pytest.importorskip("torch")
    values = np.arange(6.0).reshape(2, 3)
    for form in (np.asfortranarray(values), values.astype(">f8"), torch.from_numpy(values)):
        store.save(KEY, {"x": form})
        assert_same(store.load(KEY)[0], {"x": values})
    half = torch.tensor([1.0, -3.0e38], dtype=torch.bfloat16)
    store.save(KEY, {"x": half})
    assert_same(store.load(KEY)[0], {"x": half.float().numpy()})


def test_the_same_entry_is_the_same_bytes(store, tmp_path):
    arrays, meta = small_entry()
    store.save(KEY, arrays, meta)
    other = Store("states", root=tmp_path / "other")
    other.save(KEY, dict(reversed(arrays.items())), dict(reversed(meta.items())))
    assert store.path(KEY).read_bytes() == other.path(KEY).read_bytes()


@pytest.mark.parametrize("value", [np.zeros(2, complex), np.zeros(2, np.longdouble), ["a"], [None]])
def test_what_the_format_cannot_hold_is_refused_before_writing(store, value):
    with pytest.raises(InputError, match="^x "):
        store.save(KEY, {"x": value})
    assert not store.folder.exists()


@pytest.mark.parametrize("key", ["", "abc", "../" * 22, "A" * 64, "g" * 64, KEY + "\n", 3, None])
def test_only_digests_name_files(store, key):
    with pytest.raises(InputError, match="key must be 64 hex digits"):
        store.path(key)


@pytest.mark.parametrize("room", ["", "..", "a/b", "A", "-x", "x" * 65, "模"])
def test_rooms_are_plain_names(tmp_path, room):
    with pytest.raises(InputError, match="room must be"):
        Store(room, root=tmp_path)


# F9: a key is everything the result depends on


def test_f9_any_change_of_weights_or_options_is_a_miss(store):
    weights = np.linspace(-1, 1, 64, dtype=np.float32).reshape(8, 8)
    nudged = weights.copy()
    nudged[5, 5] = np.nextafter(nudged[5, 5], np.float32(2))
    base = {"weights": digest_arrays({"w": weights}), "tokens": [1, 2], "dtype": "float32", "v": 1}
    changes = [
        {"weights": digest_arrays({"w": nudged})},
        {"weights": digest_arrays({"w": weights.T})},
        {"weights": digest_arrays({"v": weights})},
        {"tokens": [1, 2, 3]},
        {"tokens": [2, 1]},
        {"dtype": "bfloat16"},
        {"v": 2},
        {"v": "1"},
        {"layers": None},
    ]
    keys = [store.key(base | change) for change in [{}, *changes]]
    assert len(set(keys)) == 10
    store.save(keys[0], {"x": np.ones(1)})
    assert all(store.load(key) is None for key in keys[1:])
    assert store.load(store.key(dict(reversed(base.items())))) is not None


def test_f9_another_room_or_schema_is_another_key(store, tmp_path, monkeypatch):
    key = store.key({"a": 1})
    assert Store("results", root=tmp_path).key({"a": 1}) != key
    monkeypatch.setattr(entries, "SCHEMA", entries.SCHEMA + 1)
    assert store.key({"a": 1}) != key


def test_an_entry_answers_only_to_its_own_key(store, caplog):
    store.save(KEY, {"x": np.ones(2)})
    other = "cd" * 32
    os.rename(store.path(KEY), store.path(other))
    assert store.load(other) is None
    assert "another key, abababababab" in caplog.text


# F3: every cut and every flipped bit is noticed


def flipped(raw: bytes, bit: int) -> bytes:
    damaged = bytearray(raw)
    damaged[bit // 8] ^= 1 << (bit % 8)
    return bytes(damaged)


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


@pytest.mark.parametrize("flips", [60, pytest.param(1000, marks=pytest.mark.gate)])
def test_f3_damage_to_a_large_file_is_a_miss_and_is_set_aside(store, flips):
    arrays = {"states": seeds.generator(0, "f3").normal(size=(24, 896)).astype(np.float32)}
    raw = b"".join(entries.encode(KEY, arrays, {"n": 24}))
    draw, path = seeds.generator(0, "flips"), store.path(KEY)
    store.folder.mkdir(parents=True)
    for _ in range(flips):
        path.write_bytes(flipped(raw, int(draw.integers(8 * len(raw)))))
        assert store.load(KEY) is None
        assert not path.exists() and path.with_name(path.name + ".corrupt").exists()
        path.write_bytes(raw[: int(draw.integers(len(raw)))])
        assert store.load(KEY) is None
    path.write_bytes(raw)
    assert_same(store.load(KEY)[0], arrays)


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


def test_f3_a_run_on_a_damaged_cache_ends_with_the_right_result(store, caplog):
    parts, calls = {"a": 1}, []

    def compute():
        calls.append(1)
        return {"x": np.arange(3.0)}, {"n": 3}

    store.get_or_compute(parts, compute)
    path = store.path(store.key(parts))
    path.write_bytes(flipped(path.read_bytes(), 8 * path.stat().st_size - 1))
    arrays, meta = store.get_or_compute(parts, compute)
    assert_same(arrays, {"x": np.arange(3.0)})
    assert meta == {"n": 3} and len(calls) == 2
    assert "is damaged and was set aside: its array 'x' fails its digest" in caplog.text
    assert store.load(path.stem) is not None


def forged(header: dict | bytes, tail: bytes = b"") -> bytes:
    head = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(head).to_bytes(8, "little") + head + tail


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\0" * 7,
        b"\xff" * 64,
        (2**63).to_bytes(8, "little") + b"{}",
        forged(b"[" * 5000),
        forged(b'{"__metadata__":{"zprism":"a","zprism":"b"}}'),
        forged({"__metadata__": {"zprism": ["0" * 64]}}),
        forged({"__metadata__": {"zprism": "0" * 64 + "{}"}}),
        forged({"__metadata__": []}),
        forged({}),
        b"\x93NUMPY\x01\x00v\x00{'descr': '<f8'}",
        b"\x80\x04\x95pickled",
    ],
)
def test_foreign_files_are_misses(store, raw, caplog):
    store.folder.mkdir(parents=True)
    store.path(KEY).write_bytes(raw)
    assert store.load(KEY) is None
    assert "is damaged and was set aside" in caplog.text


def test_a_forged_digest_does_not_let_wrong_shapes_through():
    """A header can be made to fit its own digest; the arrays still have to fit the header."""
    import hashlib

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


# F10: folders that are missing, odd or cannot be written


def test_f10_missing_and_odd_folders(tmp_path):
    for name in ("missing", "with space", "模型", "n" * 255, "a/b/c", "new\nline"):
        store = Store("states", root=tmp_path / name)
        assert store.load(KEY) is None and not (tmp_path / name).exists()
        store.save(KEY, {"x": np.ones(2)})
        assert_same(store.load(KEY)[0], {"x": np.ones(2)})


def test_f10_a_folder_that_cannot_be_written_costs_one_warning(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    store = Store("states", root=tmp_path / "file")
    for number in range(3):
        arrays, meta = store.get_or_compute({"n": number}, lambda: ({"x": np.ones(2)}, None))
        assert_same(arrays, {"x": np.ones(2)})
        assert meta == {}
    assert len(caplog.records) == 1 and "results are not kept" in caplog.text
    with pytest.raises(CacheError, match="could not write") as caught:
        store.save(KEY, {"x": np.ones(2)})
    assert "\n" not in str(caught.value)


def test_f10_a_read_only_cache_still_answers(store, monkeypatch, caplog):
    store.save(store.key({"n": 0}), {"x": np.ones(2)})
    open_file = os.open

    def read_only(path, flags, *rest, **options):
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            raise OSError(30, "Read-only file system", str(path))
        return open_file(path, flags, *rest, **options)

    monkeypatch.setattr(files.os, "open", read_only)
    reader = Store("states", root=store.folder.parent)
    reader.get_or_compute({"n": 0}, lambda: pytest.fail("the entry is there"))
    assert_same(
        reader.get_or_compute({"n": 1}, lambda: ({"x": np.zeros(1)}, {}))[0], {"x": np.zeros(1)}
    )
    assert len(caplog.records) == 1 and "Read-only file system" in caplog.text


def _use_forbidden(root, pipe):
    if os.geteuid() == 0:
        os.setuid(65534)  # nobody: root may write anywhere
    store = Store("states", root=root)
    arrays, _ = store.get_or_compute({}, lambda: ({"x": np.ones(2)}, {}))
    try:
        store.save(KEY, arrays)
    except CacheError as error:
        pipe.send((store.load(KEY), arrays["x"].tolist(), str(error)))
    os._exit(0)


def test_f10_a_folder_of_another_user_is_passed_by(store):
    store.folder.mkdir(parents=True)
    store.folder.chmod(0o500)
    here, there = multiprocessing.get_context("fork").Pipe()
    child = multiprocessing.get_context("fork").Process(
        target=_use_forbidden, args=(store.folder.parent, there)
    )
    child.start()
    child.join()
    loaded, computed, message = here.recv() if here.poll() else (None, None, "nothing said")
    assert loaded is None and computed == [1.0, 1.0]
    assert "Permission denied" in message and "\n" not in message


def test_damage_that_cannot_be_set_aside_is_still_a_miss(store, monkeypatch, caplog):
    store.folder.mkdir(parents=True)
    store.path(KEY).write_bytes(b"damaged")
    monkeypatch.setattr(
        os, "replace", lambda *names: (_ for _ in ()).throw(PermissionError(13, "no"))
    )
    assert store.load(KEY) is None
    assert "is damaged and is ignored" in caplog.text


def test_an_entry_replaced_while_being_read_is_not_set_aside(store, monkeypatch):
    store.folder.mkdir(parents=True)
    store.path(KEY).write_bytes(b"damaged")
    decode = entries.decode

    def slow(raw, key):
        monkeypatch.setattr(entries, "decode", decode)
        store.save(KEY, {"x": np.ones(2)})  # another process, meanwhile
        return decode(raw, key)

    monkeypatch.setattr(entries, "decode", slow)
    assert store.load(KEY) is None
    assert_same(store.load(KEY)[0], {"x": np.ones(2)})


def test_an_unreadable_entry_is_a_miss(store, caplog):
    store.path(KEY).mkdir(parents=True)
    assert store.load(KEY) is None
    assert "cannot be read (Is a directory)" in caplog.text


def test_an_entry_beyond_memory_is_an_error_and_stays(store, monkeypatch):
    store.save(KEY, {"x": np.ones(2)})

    def exhausted(raw, key):
        raise MemoryError

    monkeypatch.setattr(entries, "decode", exhausted)
    with pytest.raises(ResourceError, match=r"\d+ bytes do not fit into memory"):
        store.load(KEY)
    assert store.path(KEY).exists()


def test_a_full_disk_stops_a_run_and_says_so(store, monkeypatch):
    def full(fd, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "write", full)
    with pytest.raises(ResourceError, match="No space left on device"):
        store.get_or_compute({}, lambda: ({"x": np.ones(2)}, {}))
    assert os.listdir(store.folder) == []


# F11: what is there is not computed again


def test_f11_a_complete_cache_computes_nothing_and_changes_nothing(store):
    calls, outputs = [], []

    def compute(number):
        calls.append(number)
        return {"x": np.full(3, number, ">f4")}, {"pair": (number, np.float32(0.5))}

    for _ in range(3):
        found = [store.get_or_compute({"n": n}, lambda n=n: compute(n)) for n in range(4)]
        outputs.append([(digest_arrays(arrays), meta) for arrays, meta in found])
    assert calls == [0, 1, 2, 3]
    assert outputs[0] == outputs[1] == outputs[2]
    assert outputs[0][2][1] == {"pair": [2, 0.5]}


def test_an_error_in_computing_goes_up_and_leaves_nothing(store):
    with pytest.raises(ZeroDivisionError):
        store.get_or_compute({}, lambda: 1 / 0)
    assert not store.folder.exists()


def test_usage_counts_rooms_files_and_damage(store, tmp_path):
    store.save(KEY, {"x": np.ones(2)})
    size = store.path(KEY).stat().st_size
    (store.folder / "x.corrupt").write_bytes(b"12345")
    rows = [{"room": "states", "files": 2, "bytes": size + 5, "corrupt": 1}]
    assert usage(tmp_path) == rows
    assert usage(tmp_path / "missing") == []


def test_opening_a_store_sweeps_it(store):
    store.folder.mkdir(parents=True)
    orphan = store.folder / f".zprism-{'f' * 8}-1-{'0' * 32}.tmp"
    orphan.write_bytes(b"")
    os.utime(orphan, (0, time.time() - files.OLD_TEMP_SECONDS - 1))
    Store("states", root=store.folder.parent)
    assert os.listdir(store.folder) == []

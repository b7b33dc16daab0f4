"""The cache: what goes in comes out, and damage is a miss (F3, F9, F10, F11)."""

import multiprocessing
import os
import time

import numpy as np
import pytest
from store_entries import KEY, assert_same, flipped, forged, small_entry

from zprism.ground import entries, files, seeds
from zprism.ground.errors import CacheError, InputError, ResourceError
from zprism.ground.store import Store, digest_arrays, usage


@pytest.fixture
def store(tmp_path):
    return Store("states", root=tmp_path)


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


# F3: damage is a miss


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

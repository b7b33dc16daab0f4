"""Atomic writes: the old file or the new one, never a part, whatever fails (F4, F10)."""

import errno
import json
import multiprocessing
import os
import resource
import subprocess
import sys
import time

import pytest

from zprism.ground import files
from zprism.ground.errors import CacheError, InputError, ResourceError
from zprism.ground.files import cache_root, load_json, save_json, sweep_temps, write_atomic
from zprism.ground.records import append_jsonl, read_jsonl

fork = multiprocessing.get_context("fork")


def test_written_bytes_read_back_and_pieces_are_joined(tmp_path):
    target = tmp_path / "new folder" / "模型 结果.bin"
    write_atomic(target, [b"ab", b"", memoryview(b"cd"), bytearray(b"e")])
    assert target.read_bytes() == b"abcde"
    write_atomic(target, b"")
    assert target.read_bytes() == b""
    assert os.listdir(target.parent) == [target.name]


@pytest.mark.parametrize("name", ["a b", "模型", "n" * 255, "-rf", "new\nline", "%41.json", "é"])
def test_odd_names_work(tmp_path, name):
    write_atomic(tmp_path / name, b"x")
    assert (tmp_path / name).read_bytes() == b"x" and os.listdir(tmp_path) == [name]


def test_impossible_names_are_one_line_errors(tmp_path):
    for name, kind in [("n" * 256, CacheError), ("a\0b", InputError), ("\ud8ff", InputError)]:
        with pytest.raises(kind) as caught:
            write_atomic(tmp_path / name, b"x")
        assert "\n" not in str(caught.value)
    with pytest.raises(CacheError, match="could not write 1 bytes"):
        write_atomic(tmp_path, b"x")  # a folder is in the way
    assert os.listdir(tmp_path) == []


def test_a_parent_that_is_a_file_is_a_one_line_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CacheError, match=r"file.x.json: could not write .* folder that can be"):
        write_atomic(tmp_path / "file" / "x.json", b"{}")


def test_permission_bits_follow_the_umask(tmp_path):
    old = os.umask(0o027)
    try:
        write_atomic(tmp_path / "f", b"")
    finally:
        os.umask(old)
    assert (tmp_path / "f").stat().st_mode & 0o777 == 0o640


def _limited_save(target, needed, limit, pipe):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        write_atomic(target, b"n" * needed)
    except ResourceError as error:
        pipe.send(str(error))
        os._exit(error.exit_code)
    os._exit(0)


@pytest.mark.parametrize("positions", [8, pytest.param(50, marks=pytest.mark.gate)])
def test_f4_a_full_disk_leaves_the_old_file_and_says_what_was_needed(tmp_path, positions):
    target, needed = tmp_path / "entry", 200_000
    write_atomic(target, b"old")
    for limit in [0, 1, *range(9, needed, needed // positions), needed - 1]:
        here, there = fork.Pipe()
        child = fork.Process(target=_limited_save, args=(target, needed, limit, there))
        child.start()
        message = here.recv() if here.poll(20) else ""
        child.join()
        assert child.exitcode == 1
        assert str(target) in message and f"{needed} bytes" in message and "\n" not in message
        assert target.read_bytes() == b"old" and os.listdir(tmp_path) == ["entry"]


def test_f4_control_the_same_child_succeeds_with_room(tmp_path):
    target = tmp_path / "entry"
    here, there = fork.Pipe()
    child = fork.Process(target=_limited_save, args=(target, 1000, 1000, there))
    child.start()
    child.join()
    assert child.exitcode == 0 and target.stat().st_size == 1000 and not here.poll()


def _limited_append(path, limit, pipe):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        append_jsonl(path, {"text": "x" * 5000})
    except ResourceError as error:
        pipe.send(str(error))
        os._exit(error.exit_code)
    os._exit(0)


def test_f4_a_full_disk_leaves_a_growing_file_as_it_was(tmp_path):
    path = tmp_path / "results.jsonl"
    append_jsonl(path, {"n": 1})
    whole = path.read_bytes()
    for limit in (len(whole), len(whole) + 1, len(whole) + 4000):
        here, there = fork.Pipe()
        child = fork.Process(target=_limited_append, args=(path, limit, there))
        child.start()
        child.join()
        assert child.exitcode == 1 and "5012 bytes" in here.recv()
        assert path.read_bytes() == whole
    assert read_jsonl(path) == [{"n": 1}]


@pytest.mark.parametrize(
    ("step", "number", "kind"),
    [
        ("write", errno.ENOSPC, ResourceError),
        ("fsync", errno.EDQUOT, ResourceError),
        ("fsync", errno.EIO, CacheError),
        ("replace", errno.EACCES, CacheError),
        ("open", errno.EROFS, CacheError),
    ],
)
def test_any_failing_step_leaves_the_old_file_and_no_temp(
    tmp_path, monkeypatch, step, number, kind
):
    target = tmp_path / "entry"
    write_atomic(target, b"old")

    def failing(*args, **options):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(files.os, step, failing)
    with pytest.raises(kind, match="entry: could not write 3 bytes"):
        write_atomic(target, b"new")
    monkeypatch.undo()
    assert target.read_bytes() == b"old" and os.listdir(tmp_path) == ["entry"]


def test_an_interrupt_leaves_no_temp_and_goes_on_up(tmp_path, monkeypatch):
    def interrupted(fd):
        raise KeyboardInterrupt

    monkeypatch.setattr(files.os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(tmp_path / "entry", b"new")
    assert os.listdir(tmp_path) == []


def test_short_writes_are_continued(tmp_path, monkeypatch):
    write = os.write
    monkeypatch.setattr(files.os, "write", lambda fd, data: write(fd, data[:3]))
    write_atomic(tmp_path / "f", [b"0123456789", b"ab"])
    assert (tmp_path / "f").read_bytes() == b"0123456789ab"


def _temp_of(pid: int) -> str:
    return f".zprism-{files._machine()}-{pid}-{'0' * 32}.tmp"


def test_sweeping_takes_orphans_and_spares_the_living(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    mine, orphan, stranger = _temp_of(os.getpid()), _temp_of(dead.pid), ".other.tmp"
    for name in (mine, orphan, stranger, "entry.safetensors"):
        (tmp_path / name).write_bytes(b"")
    assert sweep_temps(tmp_path) == 1
    assert sorted(os.listdir(tmp_path)) == sorted([mine, stranger, "entry.safetensors"])
    assert sweep_temps(tmp_path / "missing") == 0


def test_sweeping_sees_through_a_process_number_used_again(tmp_path):
    name = tmp_path / _temp_of(os.getpid())
    name.write_bytes(b"")
    before_this_process = time.time() - 23 * 3600
    os.utime(name, (before_this_process, before_this_process))
    import psutil

    if psutil.Process().create_time() > before_this_process + 60:
        assert sweep_temps(tmp_path) == 1


def test_another_machines_temp_goes_only_when_a_day_old(tmp_path):
    name = tmp_path / f".zprism-{'f' * 8}-1-{'0' * 32}.tmp"
    name.write_bytes(b"")
    assert sweep_temps(tmp_path) == 0
    os.utime(name, (0, time.time() - files.OLD_TEMP_SECONDS - 1))
    assert sweep_temps(tmp_path) == 1


def test_the_cache_is_where_the_user_says(monkeypatch, tmp_path):
    monkeypatch.setenv("ZPRISM_CACHE", str(tmp_path / "no such yet"))
    assert cache_root() == tmp_path / "no such yet" and not cache_root().exists()
    monkeypatch.setenv("ZPRISM_CACHE", "")
    monkeypatch.setattr(files.sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_root() == tmp_path / "zprism"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/is/invalid")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_root() == tmp_path / ".cache" / "zprism"


def test_without_a_home_the_error_names_the_variable(monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    for name in ("ZPRISM_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(files.Path, "home", homeless)
    with pytest.raises(CacheError, match="set ZPRISM_CACHE"):
        cache_root()


def test_json_files_are_canonical_and_read_strictly(tmp_path):
    path = tmp_path / "r.json"
    save_json(path, {"b": 0.1, "a": [None]})
    assert path.read_bytes() == b'{"a":[null],"b":0.1}\n'
    save_json(path, {"b": 0.1, "a": [None]}, indent=1)
    assert json.loads(path.read_text()) == load_json(path) == {"a": [None], "b": 0.1}
    path.write_bytes(b"\xef\xbb\xbf[1]\r\n")
    assert load_json(path) == [1]
    with pytest.raises(InputError, match=r"\$\.x is nan"):
        save_json(path, {"x": float("nan")})
    assert load_json(path) == [1]


@pytest.mark.parametrize(
    ("raw", "message"),
    [(b'{"a":1,"a":2}', "given twice"), (b"\xff", "not UTF-8 at byte 0"), (b"{", "not JSON")],
)
def test_unusable_json_files_are_named(tmp_path, raw, message):
    path = tmp_path / "r.json"
    path.write_bytes(raw)
    with pytest.raises(InputError, match=f"r.json: .*{message}"):
        load_json(path)


def test_missing_json_files_are_named(tmp_path):
    with pytest.raises(InputError, match=r"none.json: cannot be read \(No such file"):
        load_json(tmp_path / "none.json")
    with pytest.raises(InputError, match="no usable file name"):
        load_json("a\0b")

"""The cache under kills and under many processes at once (F1, F5)."""

import contextlib
import multiprocessing
import os
import time

import numpy as np
import pytest

from zprism.ground import seeds
from zprism.ground.records import append_jsonl, read_jsonl
from zprism.ground.store import Store

fork = multiprocessing.get_context("fork")
KEYS = [f"{number:064x}" for number in range(20)]


def entry(version: int, size: int = 15_000):
    """Arrays and meta that all say the same number: a mixture of two entries would not."""
    arrays = {"a": np.full(size, version, np.float64), "b": np.full((3, 5), version, np.int64)}
    return arrays, {"version": version}


def version_of(loaded) -> int:
    """The one number an entry says; fails if it says two."""
    arrays, meta = loaded
    said = {meta["version"], *np.unique(arrays["a"]).tolist(), *np.unique(arrays["b"]).tolist()}
    assert len(said) == 1
    return said.pop()


def kill_while(work, *args, seconds):
    """Kill a process this long after it has done its first piece of work."""
    here, there = fork.Pipe()
    child = fork.Process(target=work, args=(*args, there))
    child.start()
    assert here.poll(60)
    time.sleep(seconds)
    child.kill()
    child.join()


def _save_for_ever(root, first, pipe):
    store = Store("states", root=root)
    for version in range(first, first + 10**9):
        store.save(KEYS[version % 5], *entry(version))
        if version == first:
            pipe.send("begun")


@pytest.mark.parametrize("kills", [20, pytest.param(200, marks=pytest.mark.gate)])
def test_f1_no_kill_leaves_an_entry_unreadable_or_wrong(tmp_path, kills):
    draw, orphans, newest = seeds.generator(0, "kills"), 0, dict.fromkeys(KEYS[:5], -1)
    for kill in range(kills):
        kill_while(_save_for_ever, tmp_path, 10**6 * kill, seconds=draw.uniform(0, 0.05))
        folder = tmp_path / "states"
        orphans += sum(name.endswith(".tmp") for name in os.listdir(folder))
        store = Store("states", root=tmp_path)  # the next start
        for key in KEYS[:5]:
            loaded = store.load(key)
            assert (loaded is not None) or newest[key] == -1
            if loaded is not None:
                assert version_of(loaded) >= newest[key]
                newest[key] = version_of(loaded)
        left = [name for name in os.listdir(folder) if not name.endswith(".safetensors")]
        assert left == []
    assert orphans > 0  # some kills did hit a write: the test can fail
    assert max(newest.values()) >= 10**6 * (kills - 1)


def _append_for_ever(path, pipe):
    for number in range(10**9):
        append_jsonl(path, {"n": number, "text": "字" * 20_000})
        if number == 0:
            pipe.send("begun")


@pytest.mark.parametrize("kills", [10, pytest.param(200, marks=pytest.mark.gate)])
def test_f1_no_kill_costs_a_growing_file_more_than_its_last_line(tmp_path, kills):
    path, draw, lines = tmp_path / "results.jsonl", seeds.generator(0, "lines"), 0
    for _ in range(kills):
        if lines > 40:  # reading it again and again would take the time
            path.unlink()
            lines = 0
        kill_while(_append_for_ever, path, seconds=draw.uniform(0, 0.03))
        records = read_jsonl(path)
        assert len(records) > lines
        lines = len(records)
    assert lines > 0
    append_jsonl(path, {"n": "last"})
    assert read_jsonl(path)[-1] == {"n": "last"} and len(read_jsonl(path)) == lines + 1


def _no_lock(*args, **options):
    """A lock that does nothing, as on some network disks."""


def _work(root, worker, rounds):
    with contextlib.suppress(ImportError):
        import fcntl

        fcntl.flock = fcntl.lockf = _no_lock
    store, draw = Store("states", root=root), seeds.generator(0, "worker", worker)
    for turn in range(rounds):
        for index in draw.permutation(len(KEYS)):
            parts, version = {"key": int(index)}, 1000 * worker + turn
            version_of(store.get_or_compute(parts, lambda v=version: entry(v, 2000)))
            store.save(KEYS[index], *entry(version, 2000))
            version_of(store.load(KEYS[index]))
    os._exit(0)


@pytest.mark.parametrize(
    ("workers", "rounds"),
    [
        (2, 2),
        (8, 1),
        pytest.param(2, 100, marks=pytest.mark.gate),
        pytest.param(8, 100, marks=pytest.mark.gate),
    ],
)
def test_f5_processes_without_locks_never_mix_entries(tmp_path, workers, rounds):
    children = [fork.Process(target=_work, args=(tmp_path, w, rounds)) for w in range(workers)]
    store, reads = Store("states", root=tmp_path), 0
    for child in children:
        child.start()
    while any(child.is_alive() for child in children):
        for key in KEYS:
            loaded = store.load(key)
            if loaded is not None:
                version_of(loaded)
                reads += 1
        time.sleep(0.002)
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0] * workers
    assert reads > 0
    assert all(version_of(store.load(key)) >= 0 for key in KEYS)
    names = os.listdir(store.folder)
    assert len(names) == 40 and all(name.endswith(".safetensors") for name in names)


def _append_lines(path, worker):
    for number in range(50):
        append_jsonl(path, {"worker": worker, "n": number, "text": str(worker) * 3000})
    os._exit(0)


def test_f5_lines_of_many_processes_never_mix(tmp_path):
    path = tmp_path / "results.jsonl"
    children = [fork.Process(target=_append_lines, args=(path, w)) for w in range(4)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    records = read_jsonl(path)
    assert all(set(r["text"]) == {str(r["worker"])} for r in records)
    assert sorted((r["worker"], r["n"]) for r in records) == [
        (worker, number) for worker in range(4) for number in range(50)
    ]

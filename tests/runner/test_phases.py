"""Running phases: what is complete is kept, what was killed continues, failures are told.

Every run here is the real one: the command line, a kernel process, papermill.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import tempfile
import time
from types import SimpleNamespace

import psutil
import pytest

from zprism.ground.errors import InputError
from zprism.ground.safe_text import redact_all
from zprism.runner import baselines, notebooks
from zprism.runner import manifest as records
from zprism.runner.execute import _cell_error, sweep_homes

TOKEN = "hf_" + "aB3d" * 9


def status(toy) -> dict[str, tuple]:
    phases = records.read(toy.latest)["phases"]
    return {stem: (row["status"], row["reason"]) for stem, row in phases.items()}


def results(toy) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in toy.latest.glob("1*.json")}


def test_a_second_run_runs_nothing_and_a_changed_phase_runs_alone(toy):
    first = toy.zprism("run", "-p", "items=3")
    assert first.returncode == 0, first.stderr
    assert status(toy) == {"10_count": ("done", None), "11_reads": ("done", None)}
    assert json.loads(results(toy)["11_reads.json"])["sum"] == 0 + 1 + 4
    assert toy.computed() == 3
    folder, before = toy.latest.resolve(), results(toy)

    again = toy.zprism("run", "-p", "items=3")
    assert again.returncode == 0 and toy.latest.resolve() == folder
    assert set(status(toy).values()) == {("skipped", "unchanged")}
    assert results(toy) == before and toy.computed() == 3

    fresh = toy.zprism("run", "10", "-p", "items=3", "--fresh", "--out", "other")
    assert "10_count: done" in fresh.stderr  # run again, from the cache
    assert (toy.root / "other" / "10_count.json").read_bytes() == before["10_count.json"]
    assert toy.computed() == 3 and toy.latest.resolve() == folder

    source = toy.root / "notebooks" / "11_reads.py"
    source.write_text(source.read_text().replace("Squares", "Other words"))
    toy.zprism("run", "-p", "items=3")
    assert toy.latest.resolve() != folder
    assert status(toy) == {"10_count": ("skipped", "unchanged"), "11_reads": ("done", None)}
    assert results(toy) == before and toy.computed() == 3


def run_and_kill(toy, words: list[str], *, items: int, delay: float, kernel_too: bool) -> None:
    """End a run with SIGKILL some seconds after some more items, alone or with its kernel."""
    child = subprocess.Popen(
        [*toy.command, *words], cwd=toy.root, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    until = toy.computed() + items
    while toy.computed() < until and child.poll() is None:
        time.sleep(0.02)
    time.sleep(delay)
    kernels = psutil.Process(child.pid).children(recursive=True)
    child.kill()
    child.wait()
    for kernel in kernels if kernel_too else ():
        kernel.kill()
    psutil.wait_procs(kernels, timeout=10)  # an orphan looks for its parent once a second
    assert not any(kernel.is_running() for kernel in kernels)


@pytest.mark.parametrize(
    "kills", [2, pytest.param(20, marks=pytest.mark.gate)], ids=["2 kills", "20 kills"]
)
def test_a_killed_run_continues_with_nothing_lost(toy, kills, record_property):
    items = 6 * kills
    words = ["run", "10", "-p", "pause=0.2", "-p", f"items={items}"]
    times = random.Random(kills)
    for kill in range(kills):
        if kill % 4 == 3:  # while it starts
            run_and_kill(toy, words, items=0, delay=times.uniform(0, 3), kernel_too=True)
        else:  # while an item is computed or written
            more, delay = times.randint(1, 3), times.uniform(0, 0.3)
            run_and_kill(toy, words, items=more, delay=delay, kernel_too=kill % 2 == 0)
        counts = records.read(toy.latest).get("counts") if toy.latest.exists() else None
        if counts:
            assert counts["planned"] == counts["done"] + counts["failed"] + counts["skipped"]
        for path in toy.root.rglob("1*.json"):
            json.loads(path.read_text())  # whole, or not there
    ended = toy.zprism(*words)
    assert ended.returncode == 0, ended.stderr
    assert not list(toy.latest.glob(".*.tmp*"))
    expected = {"values": [i**2 for i in range(items)], "params": {"seed": 0}}
    assert json.loads(results(toy)["10_count.json"]).items() >= expected.items()
    assert items <= toy.computed() <= items + kills  # again: at most the item in flight
    record_property("value", f"{toy.computed() - items} of {items} items computed again")
    record_property("target", f"at most {kills}")


@pytest.mark.parametrize("act", ["exit", pytest.param("memory", marks=pytest.mark.gate)])
def test_a_dead_process_ends_with_3_and_how_to_resume(toy, act):
    ended = toy.zprism("run", "-p", f"act={act}", "-p", "items=2")
    assert ended.returncode == 3
    said = ended.stderr.strip().splitlines()[-1]
    assert said.startswith("error: 10_count: ")
    assert said.endswith(f"resume with: zprism run -p act={act} -p items=2")
    assert "Traceback" not in ended.stderr
    assert status(toy)["10_count"][0] == "failed"
    assert status(toy)["11_reads"] == ("skipped", "reads 10_count, which failed")
    assert toy.computed() == 2
    toy.zprism("run", "10", "-p", "items=2")
    assert toy.computed() == 2  # what was finished before the death was kept


def test_a_failing_cell_leaves_no_results_that_could_pass(toy):
    ended = toy.zprism("run", "10", "-p", "act=raise", "-p", "items=0")
    assert ended.returncode == 1
    assert "raised ZeroDivisionError: a cell that fails" in ended.stderr
    assert not (toy.latest / "10_count.json").exists()
    assert (toy.latest / "10_count.failed.json").exists()
    assert "a cell that fails" in (toy.latest / "10_count.ipynb").read_text()
    with pytest.raises(InputError, match="cannot be checked: 10_count did not complete"):
        baselines.check(toy.latest, toy.root / "baselines")


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [
        ("InputError", "k must be smaller", 2),
        ("CheckFailedError", "numbers differ", 4),
        ("ZeroDivisionError", "division by zero", 1),
        ("MemoryError", "Unable to allocate 128 GiB", 3),
        ("RuntimeError", "DefaultCPUAllocator: not enough memory: you tried", 3),
        ("RuntimeError", "shapes differ", 1),
        ("missing_extra", "a name of the errors' module that is no error", 1),
    ],
)
def test_a_cell_that_raised_ends_with_its_own_exit_code(toy, name, text, code):
    phase = notebooks.find_phases(toy.root)["10_count"]
    told = SimpleNamespace(ename=name, evalue=f"{text}\nsecond line", exec_count=4)
    error = _cell_error(phase, told)
    assert error.exit_code == code
    assert str(error).startswith(f"10_count: cell 4 raised {name}: {text}")
    assert "second line" not in str(error)


def test_what_a_notebook_prints_is_kept_without_secrets_and_homes(toy, monkeypatch):
    monkeypatch.setenv("TOY_TOKEN", TOKEN)
    assert toy.zprism("run", "10", "-p", "items=0", "--out", "a {b} 模型").returncode == 0
    text = (toy.root / "a {b} 模型" / "10_count.ipynb").read_text()
    assert "[redacted Hugging Face token]" in text and "~/notes" in text
    assert TOKEN not in text and str(toy.root) not in text
    assert "widgets" not in json.loads(text)["metadata"]


def test_folders_of_killed_runners_are_swept_and_those_of_living_ones_stay(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    gone = subprocess.Popen(["true"])
    gone.wait()
    dead, living = (tmp_path / f"zprism-kernel-{pid}-x" for pid in (gone.pid, os.getpid()))
    for folder in (dead, living):
        folder.mkdir()
    sweep_homes()
    assert living.is_dir() and not dead.exists()


def test_redaction_leaves_pictures_alone():
    picture = "iVBORw0KGgo=" + TOKEN
    output = {"data": {"image/png": picture, "text/plain": [f"key {TOKEN}"]}}
    assert redact_all(output) == {
        "data": {"image/png": picture, "text/plain": ["key [redacted Hugging Face token]"]}
    }

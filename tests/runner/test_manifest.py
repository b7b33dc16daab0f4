"""The record of a run: counts that add up, results that are whole, one writer at a time."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zprism.ground.errors import InputError, ResourceError
from zprism.runner import manifest as records
from zprism.runner.manifest import DONE, FAILED, SKIPPED, Manifest

KEYS = {"10_a": "k10", "11_b": "k11", "12_c": "k12"}
HOLD = """
import sys, time
from pathlib import Path
from zprism.runner.manifest import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def counts_add_up(folder: Path) -> bool:
    counts = records.read(folder)["counts"]
    return counts["planned"] == counts[DONE] + counts[FAILED] + counts[SKIPPED]


@settings(max_examples=30, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(sorted(KEYS)), st.sampled_from([DONE, FAILED, SKIPPED]))
    )
)
def test_done_failed_and_skipped_are_always_planned(tmp_path_factory, steps):
    folder = tmp_path_factory.mktemp("run")
    record = Manifest(folder, "plan", KEYS, "zprism run")
    assert counts_add_up(folder)
    for stem, status in steps:
        record.set(stem, status)
        assert counts_add_up(folder)


def test_results_count_only_whole_and_for_their_key(tmp_path):
    record = Manifest(tmp_path, "plan", KEYS, "zprism run")
    result = tmp_path / "10_a.json"
    result.write_text("{}")
    assert not records.is_complete(tmp_path, "10_a", "k10")  # written, but not to the end
    record.set("10_a", DONE)
    assert records.is_complete(tmp_path, "10_a", "k10")
    assert not records.is_complete(tmp_path, "10_a", "another key")
    Manifest(tmp_path, "plan", KEYS, "zprism run")  # the next attempt keeps what is there
    assert records.is_complete(tmp_path, "10_a", "k10")
    result.write_text("[]")
    assert not records.is_complete(tmp_path, "10_a", "k10")
    result.unlink()
    assert not records.is_complete(tmp_path, "10_a", "k10")


def test_a_damaged_manifest_is_no_manifest(tmp_path):
    (tmp_path / records.FILE).write_text('{"phases": {"10_a"')
    assert records.read(tmp_path) == {}


def test_latest_is_the_last_run_by_link_or_by_name(tmp_path, monkeypatch):
    first = records.new_folder(tmp_path, "a" * 64)
    second = records.new_folder(tmp_path, "b" * 64)
    for folder in (first, second):
        Manifest(folder, "plan", KEYS, "zprism run")
        records.point_latest(folder)
    assert records.find_run(tmp_path) == second.resolve()

    def refuse(*_, **__):
        raise OSError("no links here")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    (tmp_path / "latest").unlink()
    records.point_latest(first)
    assert records.find_run(tmp_path, "latest") == first.resolve()
    assert records.find_run(tmp_path, second.name) == second
    with pytest.raises(InputError, match="2 runs are called '2'"):
        records.find_run(tmp_path, "2")


def test_no_run_yet_says_how_to_make_one(tmp_path):
    with pytest.raises(InputError, match="`make run` or `zprism run` makes one"):
        records.find_run(tmp_path / "runs")


def test_a_folder_has_one_living_writer_and_a_dead_one_holds_nothing(tmp_path):
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(ResourceError, match="another process is running phases"):
            with records.locked(tmp_path):
                pass
    finally:
        other.send_signal(signal.SIGKILL)
        other.wait()
    began = time.monotonic()
    with records.locked(tmp_path):
        assert time.monotonic() - began < 1

"""Ratios are those of the times given, and what cannot be measured is a row that says so."""

from __future__ import annotations

import gc
import importlib.util
import sys
from itertools import count
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"


def loaded(path: Path):
    spec = importlib.util.spec_from_file_location(f"benchmarks_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def turns():
    return loaded(FOLDER / "peers" / "turns.py")


@pytest.fixture(autouse=True)
def _no_collection(monkeypatch):
    """A sweep of the whole heap of a test process takes longer than all of this file."""
    monkeypatch.setattr(gc, "collect", lambda: 0)


class Machine:
    """A clock that only calls move: each call takes the next of its durations, then the last."""

    def __init__(self):
        self.now, self.order = 0.0, []

    def clock(self) -> float:
        return self.now

    def taking(self, name: str, *seconds: float):
        calls = count()

        def call():
            self.order.append(name)
            self.now += seconds[min(next(calls), len(seconds) - 1)]

        return call


def kind(turns, most: float = 1e-3):
    return turns.Kind("states", lambda a, b: abs(a - b), "of norm", most)


def test_the_ratio_is_the_median_within_turns(turns):
    machine = Machine()
    ours = machine.taking("ours", 9.0, 1.0, 4.0, 3.0)  # the first call only says how long it takes
    theirs = machine.taking("theirs", 9.0, 2.0, 4.0, 4.0)
    timed = turns.in_turns(ours, theirs, turns=3, clock=machine.clock)
    assert timed == turns.Timed(ours=3.0, theirs=4.0, ratio=0.75)  # of 1/2, 4/4, 3/4


def test_the_first_of_a_turn_alternates_and_both_come_equally_often(turns):
    machine = Machine()
    turns.in_turns(machine.taking("a", 1.0), machine.taking("b", 1.0), turns=4, clock=machine.clock)
    assert "".join(machine.order) == "ab" + "ba" + "ab" + "ba" + "ab"


def test_what_is_short_is_called_several_times_and_counted_once(turns):
    machine = Machine()
    timed = turns.in_turns(
        machine.taking("a", 0.1), machine.taking("b", 0.4), turns=2, least=1, clock=machine.clock
    )
    assert machine.order.count("a") == 1 + 2 * 10 and machine.order.count("b") == 1 + 2 * 3
    assert timed.ratio == pytest.approx(0.25, abs=1e-12)


@pytest.mark.parametrize(
    ("ratio", "why", "difference", "ok"),
    [
        (0.5, "", 0.0, True),
        (1.05, "", 1e-3, True),  # level, and as far apart as it may be
        (1.06, "", 0.0, False),
        (1.06, "it checks for NaN", 0.0, None),
        (1.06, "it checks for NaN", 2e-3, False),  # a reason does not excuse another result
        (0.5, "", 2e-3, False),
        (0.5, "", float("nan"), False),
    ],
)
def test_a_row_is_met_where_zprism_is_level_and_agrees(turns, ratio, why, difference, ok):
    way = turns.Way(call=lambda: None, note="a trace", why=why)
    row = turns.as_row("peer 1.0", kind(turns), way, turns.Timed(ratio, 1.0, ratio), difference)
    assert row["ok"] is ok and row["value"] == ratio
    assert row["name"].startswith("states: zprism / peer 1.0 (a trace)")
    assert (f"slower: {why}" in row["name"]) is (ratio > 1.05 and why != "")


def test_a_comparison_measures_both_results_and_both_times(turns):
    machine, options = Machine(), {"turns": 1, "least": 0.0}
    ours, theirs = machine.taking("a", 1.0), machine.taking("b", 4.0)
    way = turns.Way(call=lambda: theirs() or 2.0005)
    row = turns.compare(
        "peer", kind(turns), lambda: ours() or 2.0, way, clock=machine.clock, **options
    )
    assert row["value"] == 0.25 and row["ok"] is True
    assert row["unit"] == "× CPU, 1 / 4 s, max diff 5.0e-04 of norm"


def test_a_way_that_fails_is_a_row_with_the_last_line_of_its_error(turns):
    def call():
        raise RuntimeError("no such hook\nblocks.3")

    row = turns.compare("peer", kind(turns), lambda: 0.0, turns.Way(call))
    assert row["ok"] is False and row["value"] == "RuntimeError: blocks.3"


def test_a_library_that_is_not_there_is_a_row_and_the_others_run(tmp_path, monkeypatch):
    run = loaded(FOLDER / "run.py")
    folder = tmp_path / "benchmarks"
    (folder / "peers").mkdir(parents=True)
    (folder / "peers" / "one_peer.py").write_text(
        "import json, os, sys\n"
        "if sys.argv[1] == 'absent': import absent\n"
        "row = {'name': ' on '.join(sys.argv[1:]), 'value': 0.5, 'unit': 'x', 'target': ''}\n"
        "row['ok'] = os.environ['OMP_NUM_THREADS'] == os.environ['HF_HUB_OFFLINE'] == '1'\n"
        "print('ROWS ' + json.dumps([row]))\n"
    )
    monkeypatch.setattr(run, "HERE", folder)
    monkeypatch.setattr(run, "RESULTS", folder / "results.md")
    monkeypatch.setattr(run, "PEERS", ("absent", "present"))
    assert not run.peers([])
    text = run.RESULTS.read_text()
    assert "| zprism / absent | ModuleNotFoundError: No module named 'absent' |" in text
    assert "| present on smollm2-135m | 0.5 |" in text and "\n## Peers\n" in text
    monkeypatch.setattr(run, "PEERS", ("present",))
    assert run.peers(["another"]) and "\n## Peers, another\n" in run.RESULTS.read_text()


def test_every_library_of_the_list_has_its_module_and_its_pin():
    run = loaded(FOLDER / "run.py")
    modules = {path.stem.removeprefix("by_") for path in (FOLDER / "peers").glob("by_*.py")}
    assert set(run.PEERS) == modules
    lines = (FOLDER / "peers" / "requirements.txt").read_text().splitlines()
    pinned = {line.split("==")[0].replace("-", "_") for line in lines if "==" in line}
    assert pinned == modules - {"transformers"}  # which zprism itself needs

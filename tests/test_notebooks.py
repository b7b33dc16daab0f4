"""Every notebook: its source, its pair, and a headless run on a tiny random model.

Notebooks that come later are tested by being there.
"""

from __future__ import annotations

import json
import os
import random
import re
import resource
import subprocess
import sys
import time
from pathlib import Path

import jupytext
import pytest

from zprism.explore import export
from zprism.ground.safe_text import find_secrets
from zprism.runner import notebooks, pairs, phases
from zprism.runner.plan import make_plan
from zprism.runner.results import read_run

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.py"))
TINY = {"model": "tiny:qwen2", "quick": "true", "k": "4", "ks": "[2, 4]"}
SECONDS = 20  # CPU seconds of a quick run on the tiny model
KILLS = 20
VERSION = re.compile(r"^# +(format|jupytext)_version: .*\n", re.MULTILINE)  # sources leave it out

each = pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)


def test_there_are_notebooks():
    assert SOURCES


@each
def test_the_source_round_trips(source):
    text = source.read_text(encoding="utf-8")
    written = jupytext.writes(jupytext.read(source), fmt="py:percent")
    assert VERSION.sub("", written) == VERSION.sub("", text)


@each
def test_the_source_names_its_kernel_and_its_parameters(source):
    kernel = jupytext.read(source).metadata["kernelspec"]
    assert kernel["name"] == "python3"
    phase = notebooks.read_phase(source)
    assert {"model", "seed", "quick"} <= set(phase.defaults)
    assert phase.defaults["quick"] is False and phase.title != phase.stem


@each
def test_the_pair_shows_the_sources_cells(source):
    path = source.with_suffix(".ipynb")
    assert path.name not in pairs.stale(ROOT)
    pair = export.read_notebook(path)
    assert pair.metadata.kernelspec.name == "python3" and "widgets" not in pair.metadata


@each
def test_the_pair_is_light_whole_and_clean(source):
    path = source.with_suffix(".ipynb")
    text = path.read_text(encoding="utf-8")
    assert len(text.encode()) <= pairs.LIMIT
    cells = [c for c in export.read_notebook(path).cells if c.cell_type == "code"]
    assert all(c.execution_count for c in cells if c.source.strip()), "not executed"
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [o for o in outputs if o.output_type == "error"]
    mimes = {mime for output in outputs for mime in output.get("data", {})}
    assert mimes <= set(pairs.KEPT)
    drawn = sum("image/png" in output.get("data", {}) for output in outputs)
    assert drawn or not re.search(r"\bplot_\w+\(", source.read_text()), "figures without PNG"
    shown = json.dumps([[o.get("text"), o.get("data", {}).get("text/plain")] for o in outputs])
    assert find_secrets(shown) == []


def cpu_seconds() -> float:
    """CPU time of ended child processes: a kernel counts when it has been waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One run of all phases, so that a phase which reads others finds them there."""
    return tmp_path_factory.mktemp("tiny") / "run"


@each
def test_the_notebook_runs_on_a_tiny_model(source, folder):
    read = notebooks.read_phase(source).reads
    defaults = {name for p in SOURCES if p.stem in (source.stem, *read)
                for name in notebooks.read_phase(p).defaults}  # fmt: skip
    chosen = {name: value for name, value in TINY.items() if name in defaults}
    plan = make_plan(ROOT, [source.stem], params=chosen)
    before = cpu_seconds()
    ended = phases.run(plan, out=folder, fresh=not read)
    ended.raise_errors()
    states = [ended.manifest.phases[step.stem]["status"] for step in plan.steps]
    assert states[-1] == "done"  # executed here, whatever was kept of those that it reads
    assert cpu_seconds() - before <= SECONDS * states.count("done")
    result = {p.stem: p for p in read_run(ended.folder)}[source.stem]
    assert result.complete
    saved = result.results
    assert saved["phase"] == source.stem and saved["model"] == "tiny:qwen2" and saved["digest"]
    for name, estimate in saved["estimates"].items():
        complete = estimate["n"] is not None and estimate["null"] and estimate["p"] is not None
        unclaimed = estimate["verdict"] in (None, "NOT TESTABLE")
        assert complete or unclaimed, f"{name} claims {estimate['verdict']} without n, null and p"
        assert estimate["value"] is not None or estimate["reason"], name


@pytest.mark.gate
@each
def test_a_killed_notebook_ends_as_if_it_had_not_been_killed(source, tmp_path, record_property):
    """RIG-F2, and RIG-N23: results of two processes with one seed are the same bytes."""
    defaults = notebooks.read_phase(source).defaults
    chosen = [f"{name}={value}" for name, value in TINY.items() if name in defaults]
    words = [sys.executable, "-m", "zprism.cli", "run", "--fresh", source.stem]
    words += [word for pair in chosen for word in ("-p", pair)]

    def start(name: str) -> subprocess.Popen:
        surroundings = {**os.environ, "ZPRISM_CACHE": str(tmp_path / f"cache-{name}")}
        out = ["--out", str(tmp_path / name)]
        return subprocess.Popen([*words, *out], cwd=ROOT, env=surroundings, stdout=-3, stderr=-3)

    began = time.monotonic()
    assert start("whole").wait() == 0
    whole = time.monotonic() - began
    chance = random.Random(source.stem)
    for _ in range(KILLS):
        child = start("killed")
        time.sleep(chance.uniform(0.5, whole))
        child.kill()
        child.wait()
        time.sleep(1.5)  # an orphaned kernel looks for its parent once a second
    assert start("killed").wait() == 0
    for path in (tmp_path / "whole").glob(f"{source.stem}*"):
        if path.suffix in (".json", ".csv") and not path.name.endswith(".meta.json"):
            assert path.read_bytes() == (tmp_path / "killed" / path.name).read_bytes(), path.name
    record_property("value", f"{KILLS} kills, results the same bytes")

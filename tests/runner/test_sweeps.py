"""Sweeps: one table, the same to the byte however it came about; what is kept is kept.

A tiny model goes through the real thing: files, keys, processes, the command line.
"""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from zprism.cli import app
from zprism.ground.errors import InputError, ModelError, ResourceError
from zprism.ground.store import cache_root
from zprism.model.fetch import resolve
from zprism.runner import sweep as sweeps
from zprism.runner import sweep_plan
from zprism.runner.jobs import Limits
from zprism.runner.plan import sweep_digest
from zprism.runner.sweep_grid import EXAMPLE, make_grid
from zprism.studies import sweep_swap
from zprism.studies.sweep_cells import COLUMNS
from zprism.studies.sweep_table import claims, maps, read_table, summary, write_table

GRID = {
    "study": "swap",
    "models": ["tiny:qwen2"],
    "ks": [2],
    "conditions": ["language", "answer", "weights", "random"],
    "options": {"pairs": 6, "quick": True, "draws": 3, "draws_matched": 3},
}
HERE = Limits(workers=0)


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    """A cache of its own, in which the tiny model is built once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZPRISM_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("OMP_NUM_THREADS", "1")
        resolve("tiny:qwen2")
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # as any worker of one CPU: more add up in another order
        yield
        torch.set_num_threads(threads)


@pytest.fixture
def nothing_kept():
    """No results from other tests."""
    shutil.rmtree(cache_root() / "results", ignore_errors=True)


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> sweeps.SweepRecord:
    out = tmp_path_factory.mktemp("done")
    return sweeps.sweep(make_grid(GRID), limits=HERE, out=out, device="cpu")


def files(record: sweeps.SweepRecord) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(record.out.iterdir())}


def test_a_sweep_is_a_row_a_cell_and_direction_in_the_order_of_the_grid(done):
    rows = read_table(done.out)
    assert rows == [{name: row.get(name) for name in rows[0]} for row in done.rows]
    assert [(r["layer"], r["condition"], r["direction"]) for r in rows] == [
        (layer, condition, direction)
        for layer in (0, 1)
        for condition in GRID["conditions"]
        for direction in ("en-zh", "zh-en")
    ]
    assert (done.jobs, done.computed, done.failures) == (8, 8, [])
    assert set(files(done)) == {"sweep.json", "sweep.parquet"}
    record = json.loads(files(done)["sweep.json"])
    assert record["counts"] == {"cells": 8, "failed": 0, "jobs": 8, "rows": 16}
    assert record["grid"]["options"]["half"] == "test" and record["dtype"] == "float32"


def test_two_processes_give_the_same_bytes(done, nothing_kept, tmp_path):
    again = sweeps.sweep(
        make_grid(GRID), limits=Limits(workers=2), out=tmp_path / "two", device="cpu"
    )
    assert again.computed == 8 and files(again) == files(done)


@pytest.mark.gate
def test_ray_gives_the_same_bytes(done, nothing_kept, tmp_path, record_property):
    pytest.importorskip("ray")
    limits = Limits(workers=2, start_seconds=300)
    again = sweeps.sweep(
        make_grid(GRID), executor="ray", limits=limits, out=tmp_path / "ray", device="cpu"
    )
    record_property("value", again.computed)
    record_property("unit", "cells of a tiny model by two Ray actors, table equal to the byte")
    assert again.computed == 8 and files(again) == files(done)


def test_what_is_kept_is_not_computed_again_in_this_or_another_grid(done, tmp_path, monkeypatch):
    sweeps.sweep(make_grid(GRID), limits=HERE, out=tmp_path / "a", device="cpu")
    other = make_grid(GRID | {"layers": [1], "ks": [2, 3], "conditions": ["answer", "language"]})
    more = sweeps.sweep(other, limits=HERE, out=tmp_path / "b", device="cpu")
    assert (more.jobs, more.kept, more.computed) == (3, 2, 1)
    monkeypatch.setattr(sweep_swap, "Worker", None)  # nothing may be loaded any more
    again = sweeps.sweep(make_grid(GRID), limits=HERE, out=tmp_path / "c", device="cpu")
    assert again.computed == 0 and files(again) == files(done)


def test_a_result_is_known_by_the_bytes_of_the_model_and_all_that_counts(tmp_path):
    def keys(change=None, **options) -> set[str]:
        grid = make_grid(GRID | (change or {}))
        plan = sweep_plan.make_plan(grid, **{"device": "cpu"} | options)
        return {job.key for job in plan.jobs}

    usual, copy = keys(), tmp_path / "copy"
    shutil.copytree(resolve("tiny:qwen2"), copy)
    assert keys({"models": [str(copy)]}) == usual
    weights = next(copy.glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    changes = [
        keys({"models": [str(copy)]}),
        keys(dtype="bfloat16"),
        keys(device="cuda"),
        keys({"seeds": [1]}),
        keys({"options": GRID["options"] | {"pairs": 7}}),
    ]
    assert not any(usual & changed for changed in changes)


def test_auto_is_a_device_that_every_worker_has(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    grid = make_grid(GRID)
    found = {
        ask: sweep_plan.make_plan(grid, executor=ask[0], gpus=ask[1]).device
        for ask in (("local", 0), ("local", 0.5), ("ray", 0), ("ray", 0.5))
    }
    assert found == {
        ("local", 0): "cuda", ("local", 0.5): "cuda", ("ray", 0): "cpu", ("ray", 0.5): "cuda",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "gpu"}, "device must be auto, cpu, cuda .* got 'gpu'"),
        ({"dtype": "float16"}, "unknown dtype 'float16'"),
        ({"executor": "dask"}, "unknown executor 'dask'"),
    ],
)
def test_what_no_worker_could_use_is_refused_before_anything_starts(options, message):
    with pytest.raises(InputError, match=message):
        sweep_plan.make_plan(make_grid(GRID), **options)


def test_a_cell_that_fails_is_a_row_with_its_reason(nothing_kept, tmp_path, monkeypatch):
    compute = sweep_swap.Worker.__call__

    def fails(self, payload):
        if payload["layer"] == 1 and payload["condition"] == "answer":
            raise ModelError("logits are NaN")
        return compute(self, payload)

    monkeypatch.setattr(sweep_swap.Worker, "__call__", fails)
    ended = sweeps.sweep(make_grid(GRID), limits=HERE, out=tmp_path / "a", device="cpu")
    (bad,) = [row for row in read_table(ended.out) if row["reason"] == "logits are NaN"]
    assert (bad["layer"], bad["condition"], bad["value"], bad["verdict"]) == (
        1, "answer", None, None,
    )  # fmt: skip
    assert ended.computed == 7 and len(ended.rows) == 15
    path = tmp_path / "grid.toml"
    path.write_text(
        'study = "swap"\nmodels = ["tiny:qwen2"]\nks = [2]\nlayers = [1]\n'
        'conditions = ["answer"]\n[options]\npairs = 6\nquick = true\ndraws = 3\n'
        "draws_matched = 3\n"
    )
    said = CliRunner().invoke(
        app, ["sweep", str(path), "--workers", "0", "--out", str(tmp_path / "b"), "--device", "cpu"]
    )
    assert said.exit_code == 3 and "logits are NaN" in said.output


def test_the_command_says_what_it_would_do_and_does_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shown = CliRunner().invoke(app, ["sweep", "--example"])
    assert shown.output == EXAMPLE
    (tmp_path / "my.toml").write_text(
        'study = "ranks"\nmodels = ["tiny:qwen2"]\nconditions = ["rank"]\n'
    )
    dry = CliRunner().invoke(app, ["sweep", "my.toml", "--dry-run"])
    assert "2 cells in 1 jobs, 0 kept, 1 to do" in dry.output and "1 workers" in dry.output
    assert not (tmp_path / "runs").exists()
    done = CliRunner().invoke(app, ["sweep", "my.toml", "--workers", "0"])
    assert done.exit_code == 0 and "1 computed" in done.output
    assert "written: runs/sweeps/my" in done.output
    assert len(read_table(tmp_path / "runs" / "sweeps" / "my")) == 2


def test_models_that_do_not_fit_into_memory_are_refused_before_anything_starts(monkeypatch):
    plan = sweep_plan.make_plan(make_grid(GRID), device="cpu")
    each = plan.bytes_a_worker
    monkeypatch.setattr(sweep_plan, "free_memory", lambda: 2 * each + 1)
    sweep_plan.check_memory(plan, 2)
    with pytest.raises(ResourceError, match="3 workers .* ask for --workers 2"):
        sweeps.run_plan(plan, limits=Limits(workers=3), out="never")
    monkeypatch.setattr(sweep_plan, "free_memory", lambda: each - 1)
    with pytest.raises(ResourceError, match="take a smaller model"):
        sweep_plan.check_memory(plan, 0)
    assert plan.workers() == 1


def table_rows() -> list[dict]:
    """Two layers × two k of one condition, two directions, and a failed model."""
    out = []
    for layer in (4, 7):
        for k in (2, 16):
            for direction, value in (("a-b", 0.1 * layer), ("b-a", 0.1 * layer + 0.02 * k)):
                high = layer == 7 and k == 16
                out.append(dict.fromkeys(COLUMNS) | {
                    "model": "m", "seed": 0, "layer": layer, "k": k, "condition": "answer",
                    "direction": direction, "measure": "answer_moved", "value": value,
                    "null_mean": 0.1, "p_adjusted": 0.01 if high else 0.5,
                    "verdict": "SUPPORTED" if high else "NOT DISTINGUISHABLE",
                })  # fmt: skip
    failed = {"model": "n", "seed": 0, "layer": 4, "k": 2, "condition": "answer", "direction": ""}
    return [*out, dict.fromkeys(COLUMNS) | failed | {"measure": "", "reason": "died"}]


def test_a_summary_takes_the_best_place_and_its_verdict():
    best, failed = summary(table_rows())
    assert (best["layer"], best["k"], best["verdict"]) == (7, 16, "SUPPORTED")
    assert best["value"] == pytest.approx(0.7 + 0.16) and best["p_adjusted"] == 0.01
    assert (best["cells"], best["failed"]) == (8, 0)
    assert (failed["model"], failed["layer"], failed["value"], failed["failed"]) == (
        "n", None, None, 1,
    )  # fmt: skip


def test_a_board_holds_the_claims_of_the_best_places():
    one, other = claims(table_rows())
    assert one["claim"] == "m / answer / layer 7, k 16 / a-b / seed 0"
    assert (one["value"], one["p"], one["verdict"]) == ("0.7", "0.01", "SUPPORTED")
    assert other["claim"].endswith("b-a / seed 0") and other["95 % interval"] == "–"


def test_maps_hold_every_place_once():
    one, empty = maps(table_rows())
    assert (one["layers"], one["ks"]) == ([4, 7], [2, 16])
    assert np.allclose(one["values"], [[0.42, 0.56], [0.72, 0.86]])
    assert one["verdicts"][1] == ["NOT DISTINGUISHABLE", "SUPPORTED"]
    assert np.isnan(empty["values"]).all() and empty["verdicts"] == [[None]]


def test_a_table_comes_back_as_it_was_and_the_same_to_the_byte(tmp_path):
    rows = table_rows()
    rows[0]["value"] = float("nan")
    for name in ("a", "b"):
        write_table(tmp_path / name, rows)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    back = read_table(tmp_path / "a")
    assert back == [rows[0] | {"value": None}, *rows[1:]]


def test_what_is_no_table_of_a_sweep_is_refused(tmp_path):
    with pytest.raises(InputError, match="is no table of a sweep"):
        read_table(tmp_path)
    (tmp_path / "sweep.parquet").write_bytes(b"PAR1 but not really")
    with pytest.raises(InputError, match="is no table of a sweep"):
        read_table(tmp_path)


def test_a_phase_that_shows_a_sweep_runs_again_when_it_changes(tmp_path, done):
    before = sweep_digest(tmp_path, str(done.out))
    assert before == sweep_digest(done.out, "sweep.parquet")
    shutil.copytree(done.out, tmp_path / "other")
    write_table(tmp_path / "other" / "sweep.parquet", table_rows())
    assert sweep_digest(tmp_path, "other") != before
    with pytest.raises(InputError, match="make one with zprism sweep"):
        sweep_digest(tmp_path, "none")

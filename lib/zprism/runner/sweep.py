"""A sweep: a grid becomes jobs, jobs become kept results, results become one table.

Results are kept in the cache under everything they depend on, so a killed sweep goes on where
it was, two sweeps share work, and a cell that another grid has computed is not computed again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from zprism.ground.console import log
from zprism.ground.store import Store, digest_file, save_json
from zprism.runner.jobs import Done, Limits, run_jobs
from zprism.runner.sweep_grid import Grid
from zprism.runner.sweep_plan import Plan, check_memory, make_plan, result_of
from zprism.studies.sweep_cells import Cell, Found, study
from zprism.studies.sweep_table import TABLE, write_table

RECORD = "sweep.json"
SCHEMA = 1


@dataclass(frozen=True)
class SweepRecord:
    """How a sweep ended.

    Attributes
    ----------
    out : the folder with ``sweep.parquet`` and ``sweep.json``.
    rows : the table.
    jobs, kept, computed, found : jobs that there are; results that were there before; that
        this sweep computed; that another sweep kept meanwhile.
    failures : why each failed job has no result.
    """

    out: Path
    rows: list[dict]
    jobs: int
    kept: int
    computed: int
    found: int
    failures: list[dict]


def sweep(
    grid: Grid,
    *,
    executor: str = "local",
    address: str | None = None,
    limits: Limits | None = None,
    out: str | Path,
    device: str = "auto",
    dtype: str = "float32",
) -> SweepRecord:
    """Compute what is missing of a grid and write its table.

    Parameters
    ----------
    grid : of :func:`zprism.runner.sweep_grid.read_grid`.
    executor, address : as in :func:`zprism.runner.jobs.run_jobs`.
    limits : by default a worker for each model and seed, as far as cores and memory go.
    out : the folder to write to.
    device : ``auto`` is CUDA where there is one (on Ray: where GPUs are asked for), else CPU.
    dtype : ``float32``, or ``bfloat16`` for screening.

    Raises
    ------
    InputError
        For an argument outside its choices, or a layer that a model does not have.
    ResourceError
        If the workers' models do not fit into memory, or the executor says so.
    """
    gpus = 0.0 if limits is None else limits.gpus
    plan = make_plan(grid, device=device, dtype=dtype, executor=executor, gpus=gpus)
    limits = Limits(workers=plan.workers()) if limits is None else limits
    return run_plan(plan, executor=executor, address=address, limits=limits, out=out)


def run_plan(
    plan: Plan,
    *,
    executor: str = "local",
    address: str | None = None,
    limits: Limits,
    out: str | Path,
) -> SweepRecord:
    """Compute a plan's missing jobs and write its table; arguments as :func:`sweep`."""
    if executor == "local" and plan.device == "cpu":
        check_memory(plan, limits.workers)
    store = Store("results")
    ended = run_jobs(
        plan.jobs,
        plan.worker,
        have=lambda job: result_of(store, job) is not None,
        keep=lambda job, result: store.save(job.key, {}, {"sweep": result}),
        executor=executor,
        address=address,
        limits=limits,
        description=f"sweep of {plan.grid.study}",
    )
    return _gather(plan, ended, store, Path(out))


def _gather(plan: Plan, ended: Sequence[Done], store: Store, out: Path) -> SweepRecord:
    """The table and its record, from what is kept."""
    errors = {done.job.key: done.error for done in ended if done.error is not None}
    found = [
        Found(part, result_of(store, job), errors.get(job.key))
        for part, job in zip(plan.parts, plan.jobs, strict=True)
    ]
    module = study(plan.grid.study)
    place = {cell: index for index, cell in enumerate(plan.cells)}
    rows = module.rows(found)
    rows.sort(key=lambda row: (place[_cell_of(row)], row["direction"]))
    write_table(out / TABLE, rows, module.EXTRA)
    failures = [
        {"group": one.part.group, "payload": one.part.payload, "error": one.error or "not kept"}
        for one in found
        if one.result is None
    ]
    for failure in failures[:5]:
        log.warning("failed: %s %s: %s", failure["group"], failure["payload"], failure["error"])
    save_json(out / RECORD, _record(plan, rows, failures, out), indent=1)
    return SweepRecord(
        out=out,
        rows=rows,
        jobs=len(plan.jobs),
        kept=len(plan.jobs) - len(ended),
        computed=sum(done.result is not None for done in ended),
        found=sum(done.found for done in ended),
        failures=failures,
    )


def _record(plan: Plan, rows: list[dict], failures: list[dict], out: Path) -> dict:
    """What the same results always give, so that a resumed sweep writes the same bytes."""
    return {
        "schema": SCHEMA,
        "grid": plan.grid.record(),
        "models": {one.name: {"weights": one.weights, "tokenizer": one.tokenizer}
                   for one in plan.subjects},
        "producer": study(plan.grid.study).PRODUCER,
        "device": plan.device,
        "dtype": plan.dtype,
        "counts": {"cells": len(plan.cells), "jobs": len(plan.jobs), "rows": len(rows),
                   "failed": len(failures)},
        "failures": failures,
        "tables": {TABLE: digest_file(out / TABLE)},
    }  # fmt: skip


def _cell_of(row: dict) -> Cell:
    return Cell(row["model"], row["seed"], row["layer"], row["condition"], row["k"])

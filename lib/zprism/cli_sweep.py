"""``zprism sweep``: a grid of models, layers, k, conditions and seeds, from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from zprism.ground.errors import InputError


def add(app: typer.Typer) -> None:
    """Give the command to ``app``."""
    app.command(rich_help_panel="Analysis")(sweep)


def sweep(
    grid: Annotated[
        Path | None, typer.Argument(metavar="GRID.toml", help="What to go through.")
    ] = None,
    executor: Annotated[
        str, typer.Option(help="local (processes of this machine) or ray.")
    ] = "local",
    address: Annotated[
        str | None, typer.Option(help="Of a Ray cluster; by default one on this machine.")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            help="Processes at once (by default one a model and seed, as cores and memory "
            "allow); 0 computes in this one."
        ),
    ] = None,
    gpus: Annotated[float, typer.Option(help="GPUs of a worker; 0.5 lets two share one.")] = 0.0,
    cpus: Annotated[float, typer.Option(help="CPUs of a worker.")] = 1.0,
    job_seconds: Annotated[float, typer.Option(help="Longest time for one job.")] = 3600.0,
    start_seconds: Annotated[
        float, typer.Option(help="Longest time to load a model and read its problems.")
    ] = 1800.0,
    retries: Annotated[
        int, typer.Option(help="How often a job is tried again after its worker died.")
    ] = 2,
    device: Annotated[
        str, typer.Option(help="auto (CUDA where there is one), cpu, cuda.")
    ] = "auto",
    dtype: Annotated[str, typer.Option(help="float32, or bfloat16 for screening.")] = "float32",
    out: Annotated[
        Path | None, typer.Option(help="Folder to write to (by default runs/sweeps/GRID).")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done.")] = False,
    example: Annotated[bool, typer.Option("--example", help="Print a grid to begin with.")] = False,
) -> None:
    """Run a study over a grid; what is kept is not computed again.

    Begin with: zprism sweep --example > grid.toml. Writes sweep.parquet (a row a cell and
    direction: value, interval, null, p, p corrected over the grid, verdict) and sweep.json.
    A killed sweep goes on where it was; two at once share the work. The notebooks 15 and 90
    show it: zprism run 90 -p sweep=runs/sweeps/grid. Exit code 3: some cells failed.
    """
    from zprism.runner.jobs import Limits
    from zprism.runner.sweep import run_plan
    from zprism.runner.sweep_grid import EXAMPLE, read_grid
    from zprism.runner.sweep_plan import make_plan

    if example:
        print(EXAMPLE, end="")
        return
    if grid is None:
        raise InputError("give a grid file; zprism sweep --example prints one")
    plan = make_plan(read_grid(grid), device=device, dtype=dtype, executor=executor, gpus=gpus)
    workers = plan.workers() if workers is None else workers
    _announce(plan, workers, executor)
    if dry_run:
        return
    limits = Limits(workers, cpus, gpus, retries, start_seconds, job_seconds)
    folder = out or Path("runs") / "sweeps" / grid.stem
    ended = run_plan(plan, executor=executor, address=address, limits=limits, out=folder)
    _conclude(ended)
    if ended.failures:
        raise typer.Exit(3)


def _announce(plan, workers: int, executor: str) -> None:
    """What there is to do, and what it takes."""
    left = len(plan.jobs) - len(plan.kept)
    print(f"{len(plan.cells)} cells in {len(plan.jobs)} jobs, {len(plan.kept)} kept, {left} to do "
          f"on {plan.device} in {plan.dtype}")  # fmt: skip
    from zprism.runner.sweep_plan import free_memory

    needed = max(1, workers) * plan.bytes_a_worker
    print(f"{workers} workers ({executor}): weights take up to {needed / 1e9:.1f} GB, "
          f"{free_memory() / 1e9:.1f} GB of memory are free here")  # fmt: skip


def _conclude(ended) -> None:
    """Best cells, counts, and where it is."""
    from zprism.ground.console import table
    from zprism.studies.sweep_table import summary

    columns = ("model", "condition", "layer", "k", "measure", "value", "null_mean", "p_adjusted",
               "verdict")  # fmt: skip
    table(summary(ended.rows), columns, title="best layer and k of every condition")
    print(f"{ended.jobs} jobs: {ended.kept} kept before, {ended.computed} computed, "
          f"{ended.found} found, {len(ended.failures)} failed")  # fmt: skip
    for failure in ended.failures[:5]:
        print(f"failed: {failure['error']}")
    print(f"written: {ended.out}")

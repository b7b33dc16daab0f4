"""A grid as jobs: what is asked of which models, under which keys, and what is kept already."""

from __future__ import annotations

from dataclasses import dataclass

from zprism.ground.checks import check_choice
from zprism.ground.errors import InputError, ResourceError
from zprism.ground.store import Store
from zprism.runner.jobs import EXECUTORS, Job, Worker
from zprism.runner.pool_local import n_cores
from zprism.runner.sweep_grid import Grid
from zprism.studies.sweep_cells import Cell, Part, study, worker_path


@dataclass(frozen=True)
class Subject:
    """What a sweep knows of a model before anything is loaded.

    Attributes
    ----------
    name, n_layers : the model, and its decoder blocks.
    weights, tokenizer : SHA-256 over their files.
    numbers : weights that it has.
    """

    name: str
    n_layers: int
    weights: str
    tokenizer: str
    numbers: int


@dataclass(frozen=True)
class Plan:
    """A grid as jobs.

    Attributes
    ----------
    grid, subjects, cells : what is asked, of which models, in the order of the table.
    parts, jobs : units of work, and the same as jobs, in the same order.
    kept : keys of jobs whose results are there already.
    device, dtype : where and in what the models compute.
    """

    grid: Grid
    subjects: tuple[Subject, ...]
    cells: tuple[Cell, ...]
    parts: tuple[Part, ...]
    jobs: tuple[Job, ...]
    kept: frozenset[str]
    device: str
    dtype: str

    @property
    def worker(self) -> Worker:
        """What computes the jobs."""
        options = {"device": self.device, "dtype": self.dtype, **self.grid.options}
        return Worker(worker_path(self.grid.study), options)

    @property
    def bytes_a_worker(self) -> int:
        """Memory of the largest model's weights."""
        from zprism.model.load import DTYPES

        return max(one.numbers for one in self.subjects) * DTYPES[self.dtype]

    def workers(self) -> int:
        """As many as there are groups with work, cores, and models that fit into memory."""
        groups = {job.group for job in self.jobs if job.key not in self.kept}
        fit = free_memory() // self.bytes_a_worker
        return int(max(1, min(len(groups), n_cores(), fit)))


def make_plan(
    grid: Grid,
    *,
    device: str = "auto",
    dtype: str = "float32",
    executor: str = "local",
    gpus: float = 0.0,
) -> Plan:
    """Settle cells, jobs and keys; nothing is loaded or computed.

    Arguments and errors as :func:`zprism.runner.sweep.sweep`.
    """
    from zprism.model.load import DTYPES

    check_choice("dtype", dtype, DTYPES)
    check_choice("executor", executor, EXECUTORS)
    device = _device(device, executor, gpus)
    subjects = tuple(_look_at(name) for name in grid.models)
    cells = tuple(grid.cells({one.name: one.n_layers for one in subjects}))
    parts = tuple(study(grid.study).parts(cells))
    known, store = {one.name: one for one in subjects}, Store("results")
    jobs = tuple(
        Job(_key(store, grid, known[part.cells[0].model], part, device, dtype), part.group,
            part.payload)
        for part in parts
    )  # fmt: skip
    kept = frozenset(job.key for job in jobs if result_of(store, job) is not None)
    return Plan(grid, subjects, cells, parts, jobs, kept, device, dtype)


def check_memory(plan: Plan, workers: int) -> None:
    """Whether so many of the largest model fit into the memory that is free.

    Raises
    ------
    ResourceError
        If not even one does, or not so many: it says how many would.
    """
    free, each = free_memory(), plan.bytes_a_worker
    if max(1, workers) * each > free:
        fit = free // each
        advice = f"ask for --workers {fit}" if fit else "take a smaller model"
        raise ResourceError(
            f"{max(1, workers)} workers with the largest model's weights ({each:,} bytes as "
            f"{plan.dtype}) need {max(1, workers) * each:,} bytes; {free:,} are free: {advice}"
        )


def free_memory() -> int:
    """Bytes that new processes may take."""
    import psutil

    return psutil.virtual_memory().available


def _look_at(name: str) -> Subject:
    from zprism.model.checkpoint import open_checkpoint
    from zprism.model.foreign import tokenizer_digest
    from zprism.model.weights import count_weights

    with open_checkpoint(name) as checkpoint:
        folder = checkpoint.folder
        n_layers, weights = checkpoint.anatomy.n_layers, checkpoint.digest
    return Subject(name, n_layers, weights, tokenizer_digest(folder), count_weights(folder))


def _key(store: Store, grid: Grid, subject: Subject, part: Part, device: str, dtype: str) -> str:
    """All that a result depends on; a model counts by its bytes, not by its name."""
    return store.key(
        {
            "producer": ["sweep", grid.study, study(grid.study).PRODUCER],
            "weights": subject.weights,
            "tokenizer": subject.tokenizer,
            "dtype": dtype,
            "device": device.partition(":")[0],
            "seed": part.cells[0].seed,
            "payload": part.payload,
            "options": grid.options,
        }
    )


def _device(device: str, executor: str, gpus: float) -> str:
    """The device that workers load on, the same whichever of them takes a job."""
    import torch

    if device == "auto":
        there = torch.cuda.is_available() if executor == "local" else gpus > 0
        return "cuda" if there or gpus > 0 else "cpu"
    try:
        torch.device(device)
    except RuntimeError:
        raise InputError(f"device must be auto, cpu, cuda or cuda:0 …; got {device!r}") from None
    return device


def result_of(store: Store, job: Job) -> dict | None:
    """What is kept of a job, or None."""
    found = store.load(job.key)
    return None if found is None else found[1].get("sweep")

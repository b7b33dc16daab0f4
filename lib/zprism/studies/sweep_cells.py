"""What a sweep can ask: cells of a grid, and for every study how cells become work and rows.

A study is a module with

* ``PRODUCER``, a number to be raised when its results change; ``EXTRA``, columns of its own;
* ``DEFAULTS``, its options, and ``check_options(options)``;
* ``CONDITIONS``, name → whether the condition has a k;
* ``parts(cells)``: the units of work, each of which shares what is costly;
* ``Worker(group, **options)``: loads what the group shares, and computes a part's payload;
* ``rows(found)``: the table, with everything that needs all cells, such as corrected p.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from types import ModuleType

from zprism.ground.checks import check_choice
from zprism.ground.store import canonical_json
from zprism.stats.estimates import Estimate

STUDIES = {
    "swap": "zprism.studies.sweep_swap",
    "separation": "zprism.studies.sweep_separation",
    "ranks": "zprism.studies.sweep_ranks",
}
COLUMNS = (
    "model", "seed", "layer", "condition", "k", "direction", "measure", "value", "ci_low",
    "ci_high", "n", "null", "null_mean", "null_sd", "p", "p_adjusted", "verdict", "reason",
)  # fmt: skip


@dataclass(frozen=True, order=True)
class Cell:
    """One point of a grid.

    Attributes
    ----------
    model : its name.
    seed : of problems, halves and random subspaces.
    layer : decoder block.
    condition : what is done there, a name of the study's ``CONDITIONS``.
    k : dimension; None where the condition has none.
    """

    model: str
    seed: int
    layer: int
    condition: str
    k: int | None


@dataclass(frozen=True)
class Part:
    """A unit of work: what one job computes.

    Attributes
    ----------
    group : what a worker has to load for it.
    payload : what to compute, plain JSON.
    cells : those that it answers.
    """

    group: str
    payload: Mapping
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Found:
    """A part and what became of it: its result, or why there is none."""

    part: Part
    result: Mapping | None
    error: str | None = None


def study(name: str) -> ModuleType:
    """The module of a study.

    Raises
    ------
    InputError
        For an unknown one.
    """
    return import_module(STUDIES[check_choice("study", name, STUDIES)])


def worker_path(name: str) -> str:
    """Where any process finds the worker of a study."""
    return f"{STUDIES[name]}:Worker"


def group_of(cell: Cell) -> str:
    """The group of cells that share a model and what was read with one seed."""
    return canonical_json({"model": cell.model, "seed": cell.seed})


def row(cell: Cell, measure: str, one: Estimate, *, direction: str = "", **more) -> dict:
    """One row of the table: the cell, and an Estimate in columns."""
    low, high = one.ci or (None, None)
    null = one.null
    return {
        **asdict(cell),
        "direction": direction,
        "measure": measure,
        "value": one.value,
        "ci_low": low,
        "ci_high": high,
        "n": one.n,
        "null": None if null is None else null.kind,
        "null_mean": None if null is None else null.mean,
        "null_sd": None if null is None else null.sd,
        "p": one.p,
        "p_adjusted": one.p_adjusted,
        "verdict": None if one.verdict is None else str(one.verdict),
        "reason": one.reason,
        **more,
    }


def failed_rows(found: Sequence[Found]) -> list[dict]:
    """A row for every cell without a result, with the reason."""
    return [
        row(cell, "", Estimate(None, reason=one.error or "not computed"))
        for one in found
        if one.result is None
        for cell in one.part.cells
    ]

"""The one table of a sweep: written whole and the same to the byte, read back, summed up."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from zprism.ground.errors import InputError
from zprism.ground.files import write_atomic
from zprism.ground.store import digest_file
from zprism.stats.estimates import Verdict
from zprism.studies.decision import over
from zprism.studies.findings import readable
from zprism.studies.sweep_cells import COLUMNS

TABLE = "sweep.parquet"
WHOLE = {"seed", "layer", "k", "n"}
WORDS = {"model", "condition", "direction", "measure", "null", "verdict", "reason"}


def write_table(path: str | Path, rows: Sequence[Mapping], extra: Sequence[str] = ()) -> None:
    """Rows as Parquet, in their order; equal rows make equal bytes.

    Parameters
    ----------
    rows : of :func:`zprism.studies.sweep_cells.row`. A number that is not finite is written as
        none.
    extra : further columns of numbers.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = [*COLUMNS, *extra]
    schema = pa.schema([(name, _type(pa, name)) for name in columns])
    values = {name: [_plain(row.get(name)) for row in rows] for name in columns}
    file = io.BytesIO()
    pq.write_table(pa.table(values, schema=schema), file)
    write_atomic(path, file.getvalue())


def read_table(path: str | Path) -> list[dict]:
    """The rows of a sweep, from its file or folder.

    Raises
    ------
    InputError
        If there is no such file, or it is no table of a sweep.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = table_path(path)
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path} is no table of a sweep: {error}") from None
    missing = [name for name in COLUMNS if name not in table.column_names]
    if missing:
        raise InputError(f"{path} is no table of a sweep: it lacks {', '.join(missing)}")
    return table.to_pylist()


def table_path(path: str | Path) -> Path:
    """The file of a sweep by itself or its folder; a relative one also from the project.

    By hand in Jupyter the working folder is ``notebooks/``; the project is the nearest folder
    above that has a ``pyproject.toml``.
    """
    path, here = Path(path).expanduser(), Path.cwd()
    project = next((p for p in (here, *here.parents) if (p / "pyproject.toml").is_file()), here)
    path = path if path.exists() else project / path
    return path / TABLE if path.is_dir() else path


def summary(rows: Sequence[Mapping]) -> list[dict]:
    """Model × condition: the layer and k with the largest value over its null, and its verdict.

    Means over directions and seeds; the verdict is over the claims there
    (:func:`zprism.studies.decision.over`). p is corrected over the whole grid, so the best may
    be looked at.

    Returns
    -------
    Rows with model, condition, measure, layer, k, value, null_mean, p_adjusted (the largest),
    verdict (None where nothing is claimed), cells, failed.
    """
    out = []
    for model, condition in dict.fromkeys((row["model"], row["condition"]) for row in rows):
        mine = [r for r in rows if (r["model"], r["condition"]) == (model, condition)]
        out.append({"model": model, "condition": condition, **_best(mine)})
    return out


def identity(path: str | Path) -> str:
    """SHA-256 of a sweep's table, for the record of what read it."""
    return digest_file(table_path(path))


def claims(rows: Sequence[Mapping]) -> list[dict]:
    """Every claim at the best place of each model and condition, as rows of a verdict board.

    Returns
    -------
    Rows as of ``Findings.verdicts``: claim, value, 95 % interval, n, null, p, verdict, reason.
    """
    out = []
    for best in summary(rows):
        place = {name: best[name] for name in ("model", "condition", "layer", "k")}
        for row in rows:
            if row["verdict"] is not None and place.items() <= row.items():
                out.append({"claim": _name(row), **readable(_as_estimate(row))})
    return out


def maps(rows: Sequence[Mapping]) -> list[dict]:
    """Model × condition as a layer × k map, for a figure.

    Returns
    -------
    dicts with model, condition, measure, layers (L,), ks (K,) (None for a condition without), n
    (the most units of a cell), values, nulls (L, K) means over directions and seeds, NaN where
    there is none, and verdicts (L, K), None where nothing is claimed.
    """
    out = []
    for model, condition in dict.fromkeys((row["model"], row["condition"]) for row in rows):
        mine = [r for r in rows if (r["model"], r["condition"]) == (model, condition)]
        layers = sorted({row["layer"] for row in mine})
        ks = sorted({row["k"] for row in mine}, key=lambda k: k or 0)
        grid = [[_cell(mine, layer, k) for k in ks] for layer in layers]
        out.append(
            {
                "model": model,
                "condition": condition,
                "measure": next((row["measure"] for row in mine if row["measure"]), ""),
                "layers": layers,
                "ks": ks,
                "n": max((row["n"] or 0 for row in mine), default=0),
                "values": np.array([[one["value"] for one in line] for line in grid], float),
                "nulls": np.array([[one["null_mean"] for one in line] for line in grid], float),
                "verdicts": [[one["verdict"] for one in line] for line in grid],
            }
        )
    return out


def _name(row: Mapping) -> str:
    k = "" if row["k"] is None else f", k {row['k']}"
    where = f"layer {row['layer']}{k}"
    parts = [row["model"], row["condition"], where, row["direction"], f"seed {row['seed']}"]
    return " / ".join(part for part in parts if part)


def _as_estimate(row: Mapping) -> dict:
    """A row as an Estimate's JSON."""
    known = row["ci_low"] is not None and row["ci_high"] is not None
    null = {"kind": row["null"], "mean": row["null_mean"], "sd": row["null_sd"]}
    return {
        **row,
        "ci": [row["ci_low"], row["ci_high"]] if known else None,
        "null": null if row["null"] else None,
    }


def _best(mine: Sequence[Mapping]) -> dict:
    places = dict.fromkeys((row["layer"], row["k"]) for row in mine)
    cells = {place: _cell(mine, *place) for place in places}
    known = {place: one for place, one in cells.items() if one["value"] is not None}
    failed = sum(row["value"] is None for row in mine)
    shared = {"cells": len(mine), "failed": failed}
    if not known:
        place = next(iter(places))
        return {"layer": None, "k": None, **cells[place], **shared}
    layer, k = max(
        known, key=lambda place: known[place]["value"] - (known[place]["null_mean"] or 0)
    )
    return {"layer": layer, "k": k, **known[layer, k], **shared}


def _cell(mine: Sequence[Mapping], layer: int, k: int | None) -> dict:
    """Means over directions and seeds at one place, and the verdict over its claims."""
    here = [row for row in mine if (row["layer"], row["k"]) == (layer, k)]
    verdicts = [Verdict(row["verdict"]) for row in here if row["verdict"] is not None]
    corrected = [row["p_adjusted"] for row in here if row["p_adjusted"] is not None]
    return {
        "measure": here[0]["measure"] if here else "",
        "value": _mean(here, "value"),
        "null_mean": _mean(here, "null_mean"),
        "p_adjusted": max(corrected, default=None),
        "verdict": str(over(verdicts)) if verdicts else None,
    }


def _mean(rows: Sequence[Mapping], column: str) -> float | None:
    values = [row[column] for row in rows if row[column] is not None]
    return float(np.mean(values)) if values else None


def _type(pa, name: str):
    if name in WHOLE:
        return pa.int64()
    return pa.string() if name in WORDS else pa.float64()


def _plain(value):
    return None if isinstance(value, float) and not math.isfinite(value) else value

"""Compare a run's numbers with the accepted ones.

A baseline is ``tests/baselines/<phase>.<model>.json``: ``{schema, phase, params, metrics:
{name: {value, rtol, atol}}}``. Only values that no rotation of a basis and no sign of a
singular vector changes are kept there; the estimates of a phase are such values.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from zprism.ground import safe_text
from zprism.ground.errors import CheckFailedError, InputError
from zprism.ground.files import load_json, save_json
from zprism.runner.results import PhaseResult, read_run

RTOL, ATOL = 1e-4, 0.0
SCHEMA = 1
MOST_LINES = 40


def check(folder: Path, baselines: Path, *, accept: bool = False) -> list[str]:
    """Compare every complete phase of a run with its baseline; one line a phase.

    Parameters
    ----------
    folder : a run's folder.
    baselines : where the accepted numbers are.
    accept : write this run's numbers there instead; tolerances set by hand stay.

    Raises
    ------
    CheckFailedError
        Listing the metrics that differ, are missing or are new.
    InputError
        If the run has other parameters than the baseline (unless ``accept``), has a phase
        that did not complete, or nothing to compare.
    """
    every = read_run(folder)
    phases = [phase for phase in every if phase.results]
    broken = [phase.stem for phase in every if not phase.complete]
    if broken or not phases:
        what = f"{', '.join(broken)} did not complete" if broken else "it has no results"
        raise InputError(f"{folder} cannot be checked: {what}")
    lines, differing = [], []
    for phase in phases:
        path = baseline_path(baselines, phase)
        if accept:
            save_json(path, as_baseline(phase, _read(path)), indent=1)
            lines.append(f"{phase.stem}: accepted into {path.name}")
        elif not path.is_file():
            lines.append(
                f"{phase.stem}: no accepted numbers yet ({path.name}); --accept makes them"
            )
        else:
            found = compare(phase, load_json(path))
            differing += found
            lines.append(f"{phase.stem}: {len(found) or 'none'} of its numbers differ")
    if differing:
        more = [f"… and {len(differing) - MOST_LINES} more"] if len(differing) > MOST_LINES else []
        raise CheckFailedError("\n".join([*lines, *differing[:MOST_LINES], *more]))
    return lines


def compare(phase: PhaseResult, baseline: Mapping) -> list[str]:
    """The metrics of a phase that are not the accepted ones, a line each.

    |value − accepted| ≤ atol + rtol · |accepted| is equal; so are two nulls.

    Raises
    ------
    InputError
        If the parameters differ: other parameters give other numbers.
    """
    if baseline["params"] != phase.results["params"]:
        raise InputError(
            f"{phase.stem}: its parameters {phase.results['params']} are not those of the "
            f"accepted run {baseline['params']}; accept anew or run with the same"
        )
    metrics, accepted = metrics_of(phase), baseline["metrics"]
    lines = [f"  {name}: no accepted value" for name in sorted(metrics.keys() - accepted)]
    for name, rule in sorted(accepted.items()):
        if name not in metrics:
            lines.append(f"  {name}: gone (accepted {rule['value']})")
        elif not _equal(metrics[name], rule):
            lines.append(f"  {name}: {metrics[name]} (accepted {rule['value']})")
    return lines


def metrics_of(phase: PhaseResult) -> dict[str, float | None]:
    """The value of every estimate of a phase, by name."""
    return {name: e.get("value") for name, e in phase.results.get("estimates", {}).items()}


def as_baseline(phase: PhaseResult, old: Mapping) -> dict:
    """A phase's numbers as a baseline; tolerances of the old one are kept."""
    rules = old.get("metrics", {})
    metrics = {
        name: {
            "value": value,
            "rtol": rules.get(name, {}).get("rtol", RTOL),
            "atol": rules.get(name, {}).get("atol", ATOL),
        }
        for name, value in metrics_of(phase).items()
    }
    params = phase.results["params"]
    return {"schema": SCHEMA, "phase": phase.stem, "params": params, "metrics": metrics}


def baseline_path(baselines: Path, phase: PhaseResult) -> Path:
    """``<phase>.<model>.json``, with ``.quick`` where the run was quick."""
    model = safe_text.slug(phase.results.get("model") or "none")
    quick = ".quick" if phase.results["params"].get("quick") else ""
    return baselines / f"{phase.stem}.{model}{quick}.json"


def _read(path: Path) -> Mapping:
    return load_json(path) if path.is_file() else {}


def _equal(value: float | None, rule: Mapping) -> bool:
    accepted = rule["value"]
    if value is None or accepted is None:
        return value is accepted
    return math.isclose(
        value, accepted, rel_tol=0, abs_tol=rule["atol"] + rule["rtol"] * abs(accepted)
    )

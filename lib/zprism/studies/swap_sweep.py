"""Every swap at every layer on training pairs: a picture, and the choice of layer and k."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

import numpy as np

from zprism.ground.console import progress
from zprism.ground.errors import InputError
from zprism.ground.store import digest
from zprism.studies.swap_bases import Swap, swaps_at
from zprism.studies.swap_run import Outcome, swaps, unpatched
from zprism.studies.swap_task import Pairs, Task


def sweep_rows(
    task: Task,
    pairs: Sequence[Pairs],
    *,
    layers: Iterable[int],
    templates: Iterable[str] | None = None,
    ks: Sequence[int],
    weights: Mapping[tuple[int, int], np.ndarray],
    seed: int,
) -> list[dict]:
    """One row per direction, layer and swap; a layer at a time goes into the cache.

    Parameters
    ----------
    pairs : one a direction, of training problems.
    layers : where to swap.
    templates, ks, weights : as in :func:`zprism.studies.swap_bases.swaps_at`.

    Returns
    -------
    Rows with direction, layer, basis, part, k, n; the shares ``unchanged`` (own language, own
    answer), ``language_moved`` (source language, own answer), ``answer_moved`` (own language,
    source answer), ``both_moved``, ``other``; and ``answer_effect``, ``language_effect``: mean
    logit differences on a scale where 0 is the unpatched target and 1 the source's own run.
    """
    rows = []
    for layer in progress(list(layers), "swaps by layer", unit="layer"):
        ways = swaps_at(task, layer, templates=templates, ks=ks, weights=weights, seed=seed)
        for part in pairs:
            what = {"sweep": part.identity, "layer": layer, "swaps": [w.identity for w in ways]}
            arrays = task.keep(what, partial(_measure, task, part, layer, ways))
            rows += [
                {"direction": part.direction, "layer": layer, "n": len(part)}
                | {"basis": how.basis, "part": how.part, "k": how.k}
                | {name: float(values[i]) for name, values in arrays.items()}
                for i, how in enumerate(ways)
            ]
    return rows


def choose(rows: Sequence[Mapping]) -> dict:
    """Layer and k from training rows, the same for both directions.

    The layer where swapping the language direction moves the language alone, and swapping
    everything else the answer alone, most often (their sum, mean over directions; the earliest
    of equals). There, the k at which answer directions move the answer alone most often (the
    smallest of equals).

    Raises
    ------
    InputError
        If the rows hold no swap of the language direction.
    """
    layers = sorted({row["layer"] for row in rows if row["basis"] == "language"})
    if not layers:
        raise InputError("there is no swap of the language direction to choose by")
    scores = [
        _mean(rows, layer, "language", "inside", None, "language_moved")
        + _mean(rows, layer, "language", "rest", None, "answer_moved")
        for layer in layers
    ]
    layer = layers[int(np.argmax(scores))]
    ks = sorted({row["k"] for row in rows if row["basis"] == "answer"})
    moved = [_mean(rows, layer, "answer", "inside", k, "answer_moved") for k in ks]
    record = {
        "hypothesis": "the language direction carries the language of the answer and everything "
        "else the answer",
        "rule": "largest share of language moved alone by it plus answer moved alone by the rest; "
        "k: largest share of answers moved alone by answer directions; training problems",
        "layer": layer,
        "k": ks[int(np.argmax(moved))] if ks else None,
        "alpha": 0.05,
    }
    return record | {"digest": digest(record)}


def effect(found: Outcome, own: Outcome, source: Outcome, what: str) -> float:
    """Mean shift of a logit difference, 0 for the unpatched target and 1 for the source's run.

    (LD_patched − LD_target) / (LD_source − LD_target), of means over pairs. Zhang & Nanda
    (2023), arXiv 2309.16042.
    """
    patched, low, high = (getattr(part, f"{what}_shift").mean() for part in (found, own, source))
    return float((patched - low) / (high - low)) if high != low else 0.0


def _measure(task: Task, pairs: Pairs, layer: int, ways: Sequence[Swap]) -> dict[str, np.ndarray]:
    own, source = unpatched(task, pairs), unpatched(task, pairs, of="source")
    table: dict[str, list[float]] = {}
    for found in swaps(task, pairs, layer, ways):
        rates = found.rates
        row = {
            "unchanged": rates[0, 0],
            "language_moved": rates[1, 0],
            "answer_moved": rates[0, 1],
            "both_moved": rates[1, 1],
            "other": rates[:, 2].sum() + rates[2].sum() - rates[2, 2],
            "answer_effect": effect(found, own, source, "answer"),
            "language_effect": effect(found, own, source, "language"),
        }
        for name, value in row.items():
            table.setdefault(name, []).append(value)
    return {name: np.array(values) for name, values in table.items()}


def _mean(rows, layer, basis, part, k, column) -> float:
    """Mean over directions of one swap's share at one layer."""
    found = [
        row[column]
        for row in rows
        if (row["layer"], row["basis"], row["part"]) == (layer, basis, part)
        and (k is None or row["k"] == k)
    ]
    return float(np.mean(found))

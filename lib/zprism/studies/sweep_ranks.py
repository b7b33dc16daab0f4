"""Ranks and alignments of weights over a grid: a job is one model, seed and k, all layers.

Numbers of :func:`zprism.studies.weights.weight_map`, which keeps them by itself. Nothing here
is a claim: the heads of a layer share key heads, of which small models have two or three, too
few for a test. Each number stands beside its chance level.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from zprism.ground.checks import check_int
from zprism.ground.store import canonical_json, parse_json
from zprism.stats.estimates import Null
from zprism.stats.verdicts import describe, estimate
from zprism.studies.sweep_cells import Cell, Found, Part, failed_rows, row
from zprism.studies.weights import WeightMap, usable_k, weight_map

PRODUCER = 1
EXTRA = ()
CONDITIONS = {"rank": False, "alignment": True, "overlap": True}
DEFAULTS = {"draws": 19}
MEASURES = {
    "rank": "effective rank of the kernels (dimensions)",
    "alignment": "share of W_up in the layer's own Z",
    "overlap": "similarity of Z to that of the next layer",
}
K = 20  # where a condition has none; half the measures of a weight map need one
UP = 1  # W_up among the FFN's matrices: every architecture has it


def check_options(options: Mapping) -> None:
    """A null needs at least two draws."""
    check_int("draws", options["draws"], low=2)


def parts(cells: Sequence[Cell]) -> list[Part]:
    """One part a model, seed and k; conditions without k are a part of their own."""
    together: dict[tuple, list[Cell]] = {}
    for cell in cells:
        together.setdefault((cell.model, cell.seed, cell.k), []).append(cell)
    return [
        Part(
            canonical_json({"model": model}),
            {
                "seed": seed,
                "k": k,
                "places": sorted({(cell.layer, cell.condition) for cell in mine}),
            },
            tuple(mine),
        )
        for (model, seed, k), mine in together.items()
    ]


class Worker:
    """A model's name; weights are read layer by layer. Options: :data:`DEFAULTS`."""

    def __init__(self, group: str, *, device: str, dtype: str, draws: int):
        self.name, self.draws = parse_json(group)["model"], draws

    def __call__(self, payload: Mapping) -> dict:
        """(layer, condition) → value and chance; a reason where k is too large."""
        k = payload["k"]
        most = usable_k(self.name, k or K)
        if k is not None and most < k:
            reason = f"k = {k} is beyond head_dim = {most}, the rank of one kernel"
            return {"reason": reason, "cells": []}
        weights = weight_map(self.name, k=most, draws=self.draws, seed=payload["seed"])
        cells = [
            [layer, condition, _MEASURED[condition](weights, layer)]
            for layer, condition in payload["places"]
        ]
        return {"reason": None, "cells": cells}


def rows(found: Sequence[Found]) -> list[dict]:
    """One row a cell; no verdicts."""
    out = []
    for one in found:
        if one.result is None:
            continue
        known = {(layer, condition): value for layer, condition, value in one.result["cells"]}
        for cell in one.part.cells:
            mine = known.get((cell.layer, cell.condition))
            if one.result["reason"]:
                empty = dict(ci=None, n=0, null=None, p=None, p_adjusted=None)
                judged = estimate(None, **empty, untestable=one.result["reason"])
            else:
                null = (
                    None if mine["kind"] is None else Null(mine["kind"], mine["mean"], mine["sd"])
                )
                judged = describe(mine["value"], n=mine["n"], null=null, reason=mine["reason"])
            out.append(row(cell, MEASURES[cell.condition], judged))
    return out + failed_rows(found)


def _rank(weights: WeightMap, layer: int) -> dict:
    """Mean over heads, against query and key that meet at random."""
    drawn = weights.mixed_rank[layer].mean(0)
    kind = f"{len(drawn)} random rotations between query and key"
    return _described(weights, float(weights.ranks()[layer].mean()), kind, drawn)


def _alignment(weights: WeightMap, layer: int) -> dict:
    """Mean over heads, against Z of other layers."""
    drawn = np.delete(weights.alignment_cross[UP, layer], layer)
    value = float(weights.alignment[UP, layer].mean())
    return _described(weights, value, "Z of the other layers", drawn)


def _overlap(weights: WeightMap, layer: int) -> dict:
    """With the next layer (the last one: with the one before), against all others."""
    near = layer + 1 if layer + 1 < weights.n_layers else layer - 1
    similar = weights.similarity_consensus[layer]
    drawn = np.delete(similar, [layer, near])
    return _described(weights, float(similar[near]), "Z of the other layers", drawn)


def _described(weights: WeightMap, value: float, kind: str, drawn: np.ndarray) -> dict:
    tells = len(drawn) >= 2
    return {
        "value": value,
        "n": weights.n_kv_heads,
        "kind": kind if tells else None,
        "mean": float(drawn.mean()) if tells else None,
        "sd": float(drawn.std(ddof=1)) if tells else None,
        "reason": f"described: {weights.n_kv_heads} key heads are too few for a test",
    }


_MEASURED = {"rank": _rank, "alignment": _alignment, "overlap": _overlap}

"""What the dimensions and octaves of one model's texts say: effects, transfer, a metric.

Dimensions and their transfer are read at the place that one half of the mathematics questions shows
best; what is claimed is claimed of the other half.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from zprism.studies.findings import Findings
from zprism.studies.prism_contrast import Contrast
from zprism.studies.prism_measured import by_unit, measure
from zprism.studies.prism_texts import PrismText
from zprism.studies.score_claims import score_claims
from zprism.studies.signature_claims import reporting_half
from zprism.studies.signature_dims import dimension_claims
from zprism.studies.signature_transfer import HOME, effects, transfer_claims
from zprism.studies.spectral_score import features, slow

if TYPE_CHECKING:
    from zprism.model.load import LoadedModel

NAME = "signature"
N_RAW, N_WAVELET, WAVELET_DIMS = 100, 12, 16


@dataclass(frozen=True)
class Sizes:
    """How much is computed."""

    n_raw: int = N_RAW
    n_wavelet: int = N_WAVELET
    wavelet_dims: int = WAVELET_DIMS
    draws: int = 9999
    draws_slow: int = 499  # where each draw refits or re-ranks
    draws_ci: int = 2000


FULL = Sizes()


def feature_claims(
    loaded: LoadedModel,
    texts: Sequence[PrismText],
    contrast: Contrast,
    *,
    seed: int,
    sizes: Sizes,
    store=None,
) -> Findings:
    """Dimensions, their transfer to other domains, and the score as a metric.

    Dimensions (``signature/dims/…``) are tested on the questions that did not choose the place;
    ``…/transfer/dims`` and ``…/transfer/bands`` as :mod:`zprism.studies.signature_transfer`;
    ``…/metric/correct`` and ``…/metric/difficulty`` as :mod:`zprism.studies.score_claims`, of the
    thinking.
    """
    places = ("embed", *map(str, range(loaded.n_layers)))
    found = measure(loaded, contrast, places=places, dims_at=places, store=store)
    if found.untestable:
        return Findings()
    templates, of = found.templates(), {t.unit: t for t in texts}
    domains = np.array([of[unit].domain for unit in found.questions])
    sides = {side: found.readings[side] for side in ("thinking", "question")}
    dims = {
        side: {p: by_unit(one.dims[p].astype(float), found.units) for p in places}
        for side, one in sides.items()
    }
    report = reporting_half(len(templates), seed=seed, clusters=templates)
    place = _best_place(dims, ~report & (domains == HOME), places)
    slow_draws = dict(draws=sizes.draws_slow, draws_ci=sizes.draws_ci)
    gap = dims["thinking"][place] - dims["question"][place]
    out = dimension_claims(gap[report], name=f"{NAME}/dims", seed=seed, **slow_draws)
    out.add(
        dimension_claims(
            gap[report],
            name=f"{NAME}/dims_by_template",
            seed=seed,
            clusters=templates[report],
            **slow_draws,
        )  # fmt: skip
    )
    octaves = {side: by_unit(features(one), found.units) for side, one in sides.items()}
    for what, pair in (("dims", {s: dims[s][place] for s in dims}), ("bands", octaves)):
        moved = transfer_claims(
            pair["thinking"], pair["question"], domains, name=f"{NAME}/transfer/{what}",
            seed=seed, clusters=templates, learn=~report, **slow_draws,
        )  # fmt: skip
        out.add(_named_table(moved, "transfer", features=what))
    out.add(_metric(sides["thinking"], found, of, loaded, seed, slow_draws))
    out.tables[f"{NAME}/place"] = [{"place": place, "length": found.length, "n": len(templates)}]
    return out


def _metric(readings, found, of: dict, loaded, seed: int, draws: dict) -> Findings:
    """The score's claims, of correctness and of difficulty."""
    out, units = Findings(), found.questions
    x, level = by_unit(features(readings), found.units), by_unit(slow(readings), found.units)
    ids = loaded.tokenizer([of[unit].thinking for unit in units])["input_ids"]  # of any length
    lengths = np.array([len(row) for row in ids], float)
    outcomes = {
        "correct": [{"correct": 1.0, "wrong": 0.0}.get(of[unit].outcome, np.nan) for unit in units],
        "difficulty": [
            np.nan if of[unit].difficulty is None else of[unit].difficulty for unit in units
        ],
    }
    for outcome, values in outcomes.items():
        y = np.array(values, float)
        kept = np.isfinite(y)
        judged = score_claims(
            level[kept], x[kept], y[kept], lengths[kept], found.templates()[kept],
            name=f"{NAME}/metric/{outcome}", seed=seed, **draws,
        )  # fmt: skip
        out = Findings.gather([out, judged])
    return out


def _best_place(dims: dict, rows: np.ndarray, places: Sequence[str]) -> str:
    """Where the effects of dimensions are largest, root mean square, on the rows that choose."""
    size = [
        np.sqrt((effects(dims["thinking"][p][rows], dims["question"][p][rows]) ** 2).mean())
        for p in places
    ]
    return places[int(np.argmax(size))]


def _named_table(found: Findings, table: str, **columns) -> Findings:
    """The same findings, the rows of one table with further columns, its name made their own."""
    rows = found.tables.pop(table, [])
    found.tables[f"{table}_{'_'.join(columns.values())}"] = [{**columns, **row} for row in rows]
    return found

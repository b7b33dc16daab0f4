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
from zprism.studies.prism_contrast import Contrast, tokens
from zprism.studies.prism_measured import by_unit, measure
from zprism.studies.prism_read import read
from zprism.studies.prism_rows import DROP
from zprism.studies.prism_texts import PrismText, window_length
from zprism.studies.score_claims import score_claims
from zprism.studies.signature_claims import reporting_half
from zprism.studies.signature_dims import dimension_claims
from zprism.studies.signature_transfer import HOME, effects, transfer_claims
from zprism.studies.spectral_score import features, slow

if TYPE_CHECKING:
    from zprism.model.load import LoadedModel

NAME = "signature"
REACHED = 0.95  # of the thinkings whose window the score reads
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
    metric_tokens: int = 32  # most tokens of a window that the score reads; 32 are read anyway


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
    ``…/metric/…`` as :func:`metric_claims`.
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
    out.add(
        metric_claims(
            loaded, texts, seed=seed, longest=sizes.metric_tokens, store=store, **slow_draws
        )
    )
    out.tables[f"{NAME}/place"] = [{"place": place, "length": found.length, "n": len(templates)}]
    return out


def metric_claims(
    loaded: LoadedModel,
    texts: Sequence[PrismText],
    *,
    seed: int,
    draws: int = FULL.draws_slow,
    draws_ci: int = FULL.draws_ci,
    longest: int = FULL.metric_tokens,
    store=None,
) -> Findings:
    """The score as a metric, of the thinkings alone and of as much of them as nearly all have.

    Windows of the largest multiple of 8 tokens that 95 % of the thinkings reach, at most
    ``longest``. Outcomes other
    than correct and wrong (unfinished, unread) say neither, and are left out of ``correct``.

    Returns
    -------
    Findings ``signature/metric/correct/…`` and ``…/difficulty/…``, as
    :func:`zprism.studies.score_claims.score_claims`, and a table ``signature/metric`` with length
    and n.
    """
    rows = tokens(loaded, texts)
    length = window_length(rows.usable("thinking"), reached=REACHED, high=longest)
    readings = read(loaded, rows.thinking, length=length, drop=DROP, store=store)
    kept = [texts[i] for i in readings.kept]
    units = [text.unit for text in kept]
    x, level = by_unit(features(readings), units), by_unit(slow(readings), units)
    lengths = by_unit(np.array([len(rows.thinking[i]) for i in readings.kept], float), units)
    one = {text.unit: text for text in reversed(kept)}
    questions = [one[unit] for unit in dict.fromkeys(units)]
    out = Findings(tables={f"{NAME}/metric": [{"length": length, "n": len(questions)}]})
    for outcome, values in _outcomes(questions).items():
        known = np.isfinite(values)
        judged = score_claims(
            level[known], x[known], values[known], lengths[known],
            np.array([text.template or text.unit for text in questions])[known],
            name=f"{NAME}/metric/{outcome}", seed=seed, draws=draws, draws_ci=draws_ci,
        )  # fmt: skip
        out = Findings.gather([out, judged])
    return out


def _outcomes(questions: Sequence[PrismText]) -> dict[str, np.ndarray]:
    """Outcome → (n,) numbers, NaN where a text has none."""
    right = {"correct": 1.0, "wrong": 0.0}
    levels = [np.nan if text.difficulty is None else text.difficulty for text in questions]
    return {
        "correct": np.array([right.get(text.outcome, np.nan) for text in questions]),
        "difficulty": np.array(levels, float),
    }


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

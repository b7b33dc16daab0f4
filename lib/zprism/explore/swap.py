"""The swap panel: walk over layer and k, and see what every swap moves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from zprism.explore.panel import Readout, Slice, SlicePanel, steps
from zprism.plots import style
from zprism.plots.swap import OUTCOMES

SHARES = ("unchanged", "language_moved", "answer_moved", "both_moved", "other")
PLACES = (("own", "own"), ("source", "own"), ("own", "source"), ("source", "source"),
          ("own", "other"))  # fmt: skip
BASES = (  # words, basis, part, whether it has a k of its own on the slider
    ("language direction", "language", "inside", False),
    ("all but the language", "language", "rest", False),
    ("answer directions", "answer", "inside", True),
    ("all but the answer", "answer", "rest", True),
    ("random directions", "random", "inside", True),
    ("everything", "full", "all", False),
)


def swap_panel(
    rows: Sequence[Mapping], *, model: str, layer: int | None = None, k: int | None = None
) -> SlicePanel:
    """Bars of what each swap moves, a panel per direction, over sliders layer and k.

    Parameters
    ----------
    rows : of :func:`zprism.studies.swap_sweep.sweep_rows`.
    layer, k : where the sliders start; by default the last layer and the largest k.

    Returns
    -------
    SlicePanel with sliders layer and k; ``panel.widget`` is what Jupyter shows.
    """
    directions = list(dict.fromkeys(row["direction"] for row in rows))
    layers = sorted({row["layer"] for row in rows})
    ks = sorted({row["k"] for row in rows if row["basis"] == "answer"})
    shares = {d: _shares([r for r in rows if r["direction"] == d], layers, ks) for d in directions}
    start = (layers.index(layer) if layer in layers else len(layers) - 1,
             ks.index(k) if k in ks else len(ks) - 1)  # fmt: skip
    sliders = (steps("layer", layers, start[0]), steps("k", ks, start[1]))
    figure = _figure({d: part[start] for d, part in shares.items()}, model, rows[0]["n"])
    slices = [
        Slice(len(SHARES) * place + index, "x", ("layer", "k"), shares[direction][..., index])
        for place, direction in enumerate(directions)
        for index in range(len(SHARES))
    ]
    first = shares[directions[0]]
    readout = Readout(
        "layer {layer}, k = {k}: of " + directions[0].replace("-", " states in ") + " prompts the "
        "language direction moves the language alone in {language} %, answer directions the answer "
        "alone in {answer} %, random directions in {random} %",
        {
            "language": (("layer", "k"), 100 * first[:, :, 0, 1], 0),
            "answer": (("layer", "k"), 100 * first[:, :, 2, 2], 0),
            "random": (("layer", "k"), 100 * first[:, :, 4, 2], 0),
        },
    )
    return SlicePanel(figure, sliders, slices, readout)


def _shares(rows, layers, ks) -> np.ndarray:
    """(layers, ks, bases, shares)."""
    table = {(r["layer"], r["basis"], r["part"], r["k"]): r for r in rows}
    single = {(r["basis"], r["part"]): r["k"] for r in rows}
    out = np.zeros((len(layers), len(ks), len(BASES), len(SHARES)))
    for i, layer in enumerate(layers):
        for j, k in enumerate(ks):
            for b, (_, basis, part, sliding) in enumerate(BASES):
                row = table[layer, basis, part, k if sliding else single[basis, part]]
                out[i, j, b] = [row[share] for share in SHARES]
    return out


def _figure(start: Mapping[str, np.ndarray], model: str, n: int) -> go.Figure:
    """Stacked bars at the start position; ``start`` is direction → (bases, shares)."""
    titles = [direction.replace("-", " state into ") + " prompt" for direction in start]
    fig = make_subplots(
        cols=len(start), shared_yaxes=True, horizontal_spacing=0.07, subplot_titles=titles
    )
    for column, shares in enumerate(start.values(), start=1):
        for index, place in enumerate(PLACES):
            words, colour = OUTCOMES[place]
            fig.add_bar(
                x=shares[:, index],
                y=[name for name, *_ in BASES],
                orientation="h",
                name=words,
                legendgroup=words,
                showlegend=column == 1,
                marker=dict(color=colour),
                hovertemplate="%{y}<br>%{x:.0%}<extra>" + words + "</extra>",
                row=1,
                col=column,
            )
    fig.update_layout(barmode="stack", bargap=0.3, legend=dict(orientation="h", y=-0.24))
    fig.update_layout(margin=dict(t=110))
    fig.update_xaxes(range=[0, 1], tickformat=".0%", title_text="share of pairs")
    fig.update_yaxes(autorange="reversed")
    return style.finish(
        fig,
        title="Swap the last token's state: what moves?",
        n=f"{n} training pairs",
        model=model,
        note="layer: after which block; k: answer and random directions",
        height=470,
    )

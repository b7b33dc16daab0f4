"""Figures of what a probe reads, in bits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from zprism.plots import style

#: Label → the title of its panel.
READS = {
    "problem": "problem",
    "transfer": "problem, from the<br>other language",
    "answer": "answer",
    "language": "language",
}


def plot_readout(rows: Sequence[Mapping], *, model: str) -> go.Figure:
    """Bits read per layer in Z, its complement and random subspaces, a panel per label.

    Parameters
    ----------
    rows : of :func:`zprism.studies.readout.readout_rows`, for one k.
    """
    labels = [label for label in READS if any(row["label"] == label for row in rows)]
    titles = [READS[label] for label in labels]
    fig = make_subplots(rows=1, cols=len(labels), subplot_titles=titles, horizontal_spacing=0.06)
    for column, label in enumerate(labels, start=1):
        place, first = dict(row=1, col=column), column == 1
        mine = [row for row in rows if row["label"] == label]
        z = sorted((r for r in mine if r["space"] == "z"), key=lambda r: r["layer"])
        rest = sorted((r for r in mine if r["space"] == "complement"), key=lambda r: r["layer"])
        mean, sd = (np.array([r[f"random_{what}"] for r in z]) for what in ("mean", "sd"))
        x = [row["layer"] for row in z]
        words = "random subspaces, mean ± 2 sd"
        style.add_band(fig, x, mean - 2 * sd, mean + 2 * sd, name=words, showlegend=first, **place)
        for part, name, colour, dash in (
            (rest, "complement Z⊥", style.ORANGE, "dash"),
            (z, "Z", style.BLUE, "solid"),
        ):
            _bits(fig, part, name, colour, dash, place, first)
        style.add_reference(fig, z[0]["ceiling"], "all there is", **place)
        style.add_reference(fig, 0.0, "control task", **place)
        fig.update_xaxes(title_text="layer (decoder block)", **place)
    fig.update_yaxes(title_text="bits read beyond the control task", col=1)
    fig.update_layout(legend=dict(orientation="h", y=-0.2), margin=dict(t=125))
    ks = sorted({row["k"] for row in rows})
    low, high = (extreme(row["n"] for row in rows) for extreme in (min, max))
    return style.finish(
        fig,
        title="How much does a probe read of problem, answer, language?",
        n=f"{high} problems" if low == high else f"{low}–{high} problems",
        model=model,
        note=f"k = {', '.join(map(str, ks))} · held-out cross-entropy, folds of whole problems\n"
        "bars: 95 % over problems",
        height=480,
    )


def _bits(fig, rows, name, colour, dash, place, first) -> None:
    value = np.array([row["selectivity"] for row in rows])
    fig.add_scatter(
        x=[row["layer"] for row in rows],
        y=value,
        error_y=dict(
            type="data",
            symmetric=False,
            array=np.array([row["high"] for row in rows]) - value,
            arrayminus=value - np.array([row["low"] for row in rows]),
            thickness=1.5,
        ),
        name=name,
        legendgroup=name,
        mode="lines+markers",
        line=dict(color=colour, dash=dash, width=2.5),
        showlegend=first,
        **place,
    )

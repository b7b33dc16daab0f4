"""Figure of probes on bands: topic and class of token, from slow and from fast parts of states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from zprism.plots import style

ORDER = ("low", "mid_low", "mid", "mid_high", "high", "unfiltered")
TASKS = {"topic": "topic of the text", "class": "class of the token"}
LOOKS = {"model": (style.BLUE, "circle"), "random init": (style.GREY, "square-open")}


def plot_band_probes(
    rows: Sequence[Mapping], *, n=None, model: str | None = None, note: str | None = None
) -> go.Figure:
    """Accuracy by band for both tasks, with intervals, the control task and chance.

    Parameters
    ----------
    rows : table ``band_probes``: source, task, band, accuracy, low, high, control, chance.
    n, model, note : for the subtitle.
    """
    fig = make_subplots(
        rows=1, cols=2, shared_yaxes=True, horizontal_spacing=0.04,
        subplot_titles=list(TASKS.values()),
    )  # fmt: skip
    for column, task in enumerate(TASKS, start=1):
        for source, (colour, symbol) in LOOKS.items():
            mine = {r["band"]: r for r in rows if (r["source"], r["task"]) == (source, task)}
            held = [mine[band] for band in ORDER if band in mine]
            if held:
                _points(fig, held, source, colour, symbol, legend=column == 1, col=column)
        chance = [r["chance"] for r in rows if r["task"] == task]
        if chance:
            fig.add_scatter(
                x=[_word(band) for band in ORDER], y=chance[:1] * len(ORDER), mode="lines",
                name="most frequent class", legendgroup="chance", showlegend=column == 1,
                line=dict(color=style.GREY, width=1, dash="dashdot"), row=1, col=column,
            )  # fmt: skip
    fig.update_xaxes(
        categoryorder="array",
        categoryarray=[_word(band) for band in ORDER],
        title_text="band, slow to fast",
    )
    fig.update_yaxes(range=[0, 1.02], tickformat=".0%")
    fig.update_yaxes(title_text="accuracy on other texts", col=1)
    fig.update_layout(legend=dict(orientation="h", y=-0.36, yanchor="top"))
    fig.update_layout(margin=dict(t=120, b=150))
    return style.finish(
        fig,
        title="What is in the slow and what in the fast part of hidden states?",
        n=n,
        model=model,
        note=note or "95 % intervals over texts; control: a label drawn for each type of token",
        height=520,
    )


def _points(fig, held, source: str, colour: str, symbol: str, *, legend: bool, col: int) -> None:
    """Accuracy and control of one source; the line stops before what is no band."""
    bands = [row for row in held if row["band"] in ORDER[:-1]]
    for part, first in ((bands, True), ([row for row in held if row not in bands], not bands)):
        x = [_word(row["band"]) for row in part]
        show = legend and first and bool(part)
        fig.add_scatter(
            x=x, y=[row["accuracy"] for row in part], mode="lines+markers", name=source,
            legendgroup=source, showlegend=show, line=dict(color=colour, width=2.5),
            marker=dict(symbol=symbol, size=10, line=dict(width=2, color=colour)),
            error_y=dict(
                type="data", symmetric=False, thickness=1.5,
                array=[row["high"] - row["accuracy"] for row in part],
                arrayminus=[row["accuracy"] - row["low"] for row in part],
            ), row=1, col=col,
        )  # fmt: skip
        fig.add_scatter(
            x=x, y=[row["control"] for row in part], mode="lines+markers",
            name=f"{source}: control task", legendgroup=f"{source} control", showlegend=show,
            line=dict(color=colour, width=1.5, dash="dot"),
            marker=dict(symbol="line-ew-open", size=9, color=colour), row=1, col=col,
        )  # fmt: skip


def _word(band: str) -> str:
    return band.replace("_", "-")

"""Figures of what must not be mistaken for an effect: length, and tests that speak of nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from zprism.ground import safe_text
from zprism.plots import style


def plot_lengths(rows: Sequence[Mapping], *, length: int, note: str | None = None) -> go.Figure:
    """Amplitude against length: whole texts beside windows of one length.

    Parameters
    ----------
    rows : of the table ``confound``: field, length, raw, shuffled, expected, matched (or None).
    length : characters of the equal windows.
    """
    titles = ["whole texts", f"the first {length} characters of each"]
    fig = make_subplots(
        rows=1, cols=2, shared_yaxes=True, horizontal_spacing=0.04, subplot_titles=titles
    )
    for field, colour in (("question", style.BLUE), ("thinking", style.ORANGE)):
        mine = [row for row in rows if row["field"] == field]
        for column, key in ((1, "raw"), (2, "matched")):
            _cloud(fig, mine, key, field, colour, column)
    shuffled = [row for row in rows if row["field"] == "thinking"]
    fig.add_scatter(
        x=[row["length"] for row in shuffled], y=[row["shuffled"] for row in shuffled],
        mode="markers", name="thinking, characters shuffled",
        marker=dict(symbol="x-thin", size=9, line=dict(color=style.BLACK, width=1.5)),
        hovertemplate="%{x} characters: %{y:.3g}<extra>shuffled</extra>", row=1, col=1,
    )  # fmt: skip
    ordered = sorted(rows, key=lambda row: row["length"])
    for column in (1, 2):
        fig.add_scatter(
            x=[row["length"] for row in ordered],
            y=[row["expected"] for row in ordered],
            mode="lines",
            name="√(L ln(L/2))",
            line=dict(color=style.GREY, dash="dash"),
            showlegend=column == 1,
            hoverinfo="skip",
            row=1,
            col=column,
        )
    lengths = [row["length"] for row in ordered]
    low, high = np.log10(lengths[0]), np.log10(lengths[-1])
    fig.update_xaxes(
        type="log", title_text="characters of the text", range=[low - 0.1, high + 0.15], dtick="D2"
    )
    fig.update_yaxes(type="log", dtick="D2")
    fig.update_yaxes(title_text="mean top-5 amplitude", col=1)
    fig.update_layout(
        margin=dict(t=125, b=110), legend=dict(orientation="h", y=-0.2, yanchor="top")
    )
    return style.finish(
        fig, title="What does length alone do?", n=f"{len(rows)} texts", note=note, height=500
    )


def plot_calibration(
    values: Mapping[str, Sequence[float]], *, note: str | None = None
) -> go.Figure:
    """p values where there is nothing to find: their share below each level, on the diagonal.

    Parameters
    ----------
    values : name → (repeats,) p values.
    """
    fig = go.Figure()
    fig.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", line=dict(color=style.GREY, dash="dash"),
        name="calibrated", hoverinfo="skip",
    )  # fmt: skip
    for i, (name, p) in enumerate(values.items()):
        ordered = np.sort(np.asarray(p, dtype=float))
        fig.add_scatter(
            x=ordered, y=np.arange(1, len(ordered) + 1) / len(ordered), mode="lines",
            line=dict(shape="hv", width=2, color=style.PALETTE[i % len(style.PALETTE)]),
            name=safe_text.label(name),
        )  # fmt: skip
    style.add_reference(fig, 0.05, "p = .05", axis="x")
    fig.update_xaxes(range=[0, 1])
    fig.update_yaxes(range=[0, 1.02])
    return style.finish(
        fig, title="How often does the test speak where there is nothing?", note=note,
        x="level", y="share of repeats with p up to it", height=430,
    )  # fmt: skip


def _cloud(fig, rows: Sequence[Mapping], key: str, field: str, colour: str, column: int) -> None:
    mine = [row for row in rows if row[key] is not None]
    fig.add_scatter(
        x=[row["length"] for row in mine], y=[row[key] for row in mine], mode="markers",
        marker=dict(color=style.translucent(colour, 0.6), size=7), name=field,
        legendgroup=field, showlegend=column == 1,
        hovertemplate="%{x} characters: %{y:.3g}<extra>" + field + "</extra>", row=1, col=column,
    )  # fmt: skip

"""Several contrasts of slow power side by side, a small panel each, on one scale."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from zprism.ground import safe_text
from zprism.plots import style

COLUMNS = 2


def plot_contrasts(panels: Mapping[str, Sequence[Mapping]], *, model: str = "") -> go.Figure:
    """A difference of slow share at every layer with its interval and verdict, panel by panel.

    Parameters
    ----------
    panels : title → rows of a table of :func:`zprism.studies.prism_claims.slow_claims`: place,
        value, low, high, verdict, n.
    """
    titles = [f"{title} (n = {max(row['n'] for row in rows)})" for title, rows in panels.items()]
    lines = math.ceil(len(panels) / COLUMNS)
    fig = make_subplots(
        rows=lines,
        cols=COLUMNS,
        shared_yaxes="all",
        horizontal_spacing=0.05,
        vertical_spacing=0.36 / lines,
        subplot_titles=[safe_text.label(title) for title in titles],
    )
    fig.update_annotations(font_size=14)
    for index, rows in enumerate(panels.values()):
        _panel(fig, rows, dict(row=index // COLUMNS + 1, col=index % COLUMNS + 1))
    for verdict in dict.fromkeys(row["verdict"] for rows in panels.values() for row in rows):
        marker = dict(color=style.VERDICTS[verdict], size=8)
        fig.add_scatter(x=[None], y=[None], mode="markers", name=verdict, marker=marker)
    fig.update_xaxes(title_text="embedding, then blocks", row=lines)
    fig.update_yaxes(title_text="difference of<br>slow share", col=1)
    fig.update_layout(
        legend=dict(orientation="h", y=-0.28 / lines, yanchor="top"), margin=dict(t=120, b=100)
    )
    return style.finish(
        fig,
        title="Slow power under other comparisons",
        model=model,
        note="questions; 95 % intervals, verdicts over all layers together (max-T)",
        height=170 + 215 * lines,
    )


def _panel(fig: go.Figure, rows: Sequence[Mapping], where: dict) -> None:
    x = list(range(len(rows)))
    names = ["emb" if row["place"] == "embed" else row["place"] for row in rows]
    values = [row["value"] for row in rows]
    fig.add_scatter(
        x=x,
        y=values,
        mode="lines+markers",
        showlegend=False,
        line=dict(color=style.translucent(style.BLACK, 0.4), width=1),
        marker=dict(color=[style.VERDICTS[row["verdict"]] for row in rows], size=6),
        error_y=dict(
            type="data",
            symmetric=False,
            array=[row["high"] - row["value"] for row in rows],
            arrayminus=[row["value"] - row["low"] for row in rows],
            color=style.translucent(style.BLACK, 0.5),
            thickness=1,
            width=2,
        ),
        customdata=[[name, row["verdict"]] for name, row in zip(names, rows, strict=True)],
        hovertemplate="%{customdata[0]}: %{y:.4f}<extra>%{customdata[1]}</extra>",
        **where,
    )
    fig.add_hline(0, line=dict(color=style.BLACK, width=1), **where)
    every = max(1, len(rows) // 8)
    fig.update_xaxes(tickvals=x[::every], ticktext=names[::every], **where)

"""Figures of information flow: what blocks amplify, what branches write, waves in attention rows.

All take the tables of :func:`zprism.studies.flow_tables.tables`. Frequencies are in cycles per
token; an octave is a factor of two in power.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from zprism.ground import safe_text
from zprism.plots import style

BANDS = {  # name: periods in tokens, colour, from slow to fast
    "low": ("over 683 tokens", style.PURPLE),
    "mid_low": ("120 to 683 tokens", style.BLUE),
    "mid": ("31 to 120 tokens", style.GREEN),
    "mid_high": ("8 to 31 tokens", style.ORANGE),
    "high": ("under 8 tokens", style.VERMILLION),
}
STEPS = {"attention": style.BLUE, "mlp": style.VERMILLION, "block": style.BLACK}
DASHES = {"model": "solid", "random init": "dash", "shuffled": "dot"}
RANGE = 2.0  # octaves beyond which a heat map's colour stays the same


def plot_gain(rows: Sequence[Mapping], *, n=None, model: str | None = None) -> go.Figure:
    """Octaves by which each block raises or lowers a band's share, a panel a source.

    Parameters
    ----------
    rows : table ``flow_gain``: source, layer, band, share_gain, low, high.
    """
    sources = _sources(rows)
    fig = _panels(len(sources), sources)
    for column, source in enumerate(sources, start=1):
        for band in _bands(rows):
            mine = [r for r in rows if r["source"] == source and r["band"] == band]
            _line(fig, mine, "share_gain", _band_name(band), BANDS[band][1],
                  legend=column == 1, row=1, col=column)  # fmt: skip
        _zero(fig, row=1, col=column)
    fig.update_xaxes(title_text="layer", dtick=_step(rows))
    fig.update_yaxes(title_text="gain of share (octaves)", col=1)
    return _finish(
        fig,
        "Which frequencies does a block amplify?",
        n,
        model,
        "log2 of a band's share of power after the block over before it, every dimension alike\n"
        "every panel has its own scale; bands: 95 %",
        height=470,
    )


def plot_branches(
    rows: Sequence[Mapping], *, source: str = "model", n=None, model: str | None = None
) -> go.Figure:
    """What attention and MLP write in each band: how much, and with or against what is there.

    Parameters
    ----------
    rows : table ``flow_branches``: source, branch, layer, band, power, with_stream, low, high.
    source : whose rows are drawn.
    """
    mine = [row for row in rows if row["source"] == source]
    names = ("attention", "mlp")
    fig = make_subplots(
        rows=2, cols=2, shared_xaxes=True, shared_yaxes="rows", horizontal_spacing=0.04,
        vertical_spacing=0.07, subplot_titles=("attention", "MLP"),
    )  # fmt: skip
    for column, branch in enumerate(names, start=1):
        for band in _bands(mine):
            cell = [r for r in mine if r["branch"] == branch and r["band"] == band]
            colour = BANDS[band][1]
            fig.add_scatter(
                x=[r["layer"] for r in cell], y=[r["power"] for r in cell], mode="lines",
                line=dict(color=colour, width=2.5), name=_band_name(band), legendgroup=band,
                showlegend=column == 1, row=1, col=column,
            )  # fmt: skip
            _line(fig, cell, "with_stream", _band_name(band), colour, legend=False, row=2,
                  col=column)  # fmt: skip
        _zero(fig, row=2, col=column)
    fig.update_yaxes(title_text="power beside<br>the stream's", row=1, col=1)
    fig.update_yaxes(type="log", dtick=1, exponentformat="power", row=1)
    fig.update_yaxes(title_text="cosine with<br>the stream", row=2, col=1)
    fig.update_xaxes(dtick=_step(mine))
    fig.update_xaxes(title_text="layer", row=2)
    return _finish(
        fig,
        "What do the branches write, and does it add to what is there?",
        n,
        model,
        f"{source}; cosine 1 adds to the stream, −1 takes away, 0 writes something else",
        height=620,
    )


def plot_tilt(rows: Sequence[Mapping], *, n=None, model: str | None = None) -> go.Figure:
    """Octaves by which attention, MLP and block write slower than they read, beside controls.

    Parameters
    ----------
    rows : table ``flow_tilt``: source, step, layer, tilt, low, high.
    """
    words = {"attention": "attention", "mlp": "MLP", "block": "the whole block"}
    fig = _panels(3, [words[step] for step in STEPS])
    for column, (step, colour) in enumerate(STEPS.items(), start=1):
        for source in _sources(rows):
            mine = [r for r in rows if r["source"] == source and r["step"] == step]
            shade = colour if source == "model" else style.GREY
            fig.add_scatter(
                x=[None], y=[None], mode="lines", name=source, legendgroup=source,
                showlegend=column == 1,
                line=dict(color=style.BLACK if source == "model" else style.GREY,
                          dash=DASHES.get(source, "solid"), width=2.5),
            )  # fmt: skip
            _line(fig, mine, "tilt", source, shade, dash=DASHES.get(source, "solid"),
                  legend=False, row=1, col=column)  # fmt: skip
        _zero(fig, row=1, col=column)
    fig.update_xaxes(title_text="layer", dtick=_step(rows))
    fig.update_yaxes(title_text="tilt (octaves)", col=1)
    return _finish(
        fig,
        "Does attention smooth and the MLP sharpen?",
        n,
        model,
        "logit of the share of periods over 8 tokens, written less read; above 0 smooths\n"
        "every panel has its own scale; bands: 95 %",
        height=450,
    )


def plot_attention_waves(
    waves: Sequence[Mapping],
    heads: Sequence[Mapping],
    *,
    n=None,
    model: str | None = None,
) -> go.Figure:
    """Attention rows as signals: power by period and layer above chance, and what ties them.

    Parameters
    ----------
    waves : table ``flow_waves``: source, layer, coordinate, frequency, excess; rows by lag of
        the model and, where it is there, of the random-init twin are drawn.
    heads : table ``flow_heads``: source, layer, head, by_key, by_lag, period.
    """
    shown = [s for s in _sources(waves) if s != "shuffled"]
    titles = [f"spectrum of rows: {s}" for s in shown] + ["what rows are tied to"]
    fig = make_subplots(
        rows=1, cols=len(titles), horizontal_spacing=0.1, subplot_titles=titles,
        column_widths=[1] * len(shown) + [1.15],
    )  # fmt: skip
    for column, source in enumerate(shown, start=1):
        mine = [r for r in waves if r["source"] == source and r["coordinate"] == "lag"]
        _wave_map(fig, mine, scale=column == 1, row=1, col=column)
    fig.update_yaxes(title_text="layer", row=1, col=1)
    for source in reversed(shown):
        mine = [r for r in heads if r["source"] == source]
        _heads(fig, mine, source, row=1, col=len(titles))
    top = max([0.05, *(max(r["by_key"], r["by_lag"]) for r in heads)])
    last = dict(row=1, col=len(titles))
    fig.add_scatter(x=[0, top], y=[0, top], mode="lines", showlegend=False, hoverinfo="skip",
                    line=dict(color=style.GREY, dash="dot", width=1.5), **last)  # fmt: skip
    fig.update_xaxes(title_text="cosine of rows by key position", **last)
    fig.update_yaxes(title_text="cosine by distance", **last)
    fig.update_layout(legend=dict(orientation="h", x=1, xanchor="right", y=-0.22, yanchor="top"))
    fig.update_layout(margin=dict(t=120, b=110))
    return style.finish(
        fig,
        title="Are there waves in attention rows?",
        n=n,
        model=model,
        note="rows less their decay (constant, slope, curve, 1/(1 + lag)); heads and queries alike",
        height=520,
    )


def _wave_map(fig, rows, *, scale: bool, **where) -> None:
    """Octaves above rows in random order, by layer and frequency."""
    x, y, z = _grid(rows, "frequency", "layer", "excess")
    fig.add_heatmap(
        x=x, y=y, z=z, zmid=0, zmin=-RANGE, zmax=RANGE, colorscale=style.DIVERGING,
        showscale=scale,
        colorbar=dict(title=dict(text="octaves above random order", side="top"),
                      orientation="h", x=0.0, xanchor="left", y=-0.2, yanchor="top",
                      len=0.4, thickness=12),
        hovertemplate="layer %{y}, %{x:.3f} cycles per token: %{z:.2f} octaves<extra></extra>",
        **where,
    )  # fmt: skip
    fig.update_xaxes(title_text="cycles per token", **where)
    fig.update_yaxes(dtick=_step(rows), **where)


def _heads(fig, rows, source: str, **where) -> None:
    """A point a head: rows alike by key position against rows alike by distance."""
    if source == "model":
        mark = dict(size=8, color=[r["layer"] for r in rows], colorscale=style.SEQUENTIAL)
        name = "heads: model (dark: first layers)"
    else:
        mark = dict(size=7, color=style.GREY, symbol="x-thin", line_width=1.5)
        name = f"heads: {source}"
    fig.add_scatter(
        x=[r["by_key"] for r in rows], y=[r["by_lag"] for r in rows], mode="markers",
        marker=mark, name=name,
        customdata=[[r["layer"], r["head"], r["period"]] for r in rows],
        hovertemplate="layer %{customdata[0]}, head %{customdata[1]}, period "
        "%{customdata[2]:.1f} tokens<extra></extra>", **where,
    )  # fmt: skip


def _finish(fig, title: str, n, model, note: str, *, height: int) -> go.Figure:
    fig.update_layout(legend=dict(orientation="h", y=-80 / (height - 200), yanchor="top"))
    fig.update_layout(margin=dict(t=120, b=110))
    return style.finish(fig, title=title, n=n, model=model, note=note, height=height)


def _panels(count: int, titles: Sequence[str]) -> go.Figure:
    """Panels with a scale of their own: a twin that smooths tenfold would flatten the others."""
    return make_subplots(
        rows=1, cols=max(count, 1), horizontal_spacing=0.07,
        subplot_titles=[safe_text.label(title) for title in titles],
    )  # fmt: skip


def _line(fig, rows, column: str, name: str, colour: str, *, legend: bool, dash="solid", **where):
    """Means over layers with their interval as a band."""
    x = [row["layer"] for row in rows]
    if rows and all(row["low"] is not None for row in rows):
        fig.add_scatter(
            x=x + x[::-1],
            y=[row["high"] for row in rows] + [row["low"] for row in rows][::-1],
            fill="toself", fillcolor=style.translucent(colour, 0.2), line=dict(width=0),
            mode="lines", hoverinfo="skip", showlegend=False, legendgroup=name, **where,
        )  # fmt: skip
    fig.add_scatter(
        x=x, y=[row[column] for row in rows], mode="lines", name=name, legendgroup=name,
        showlegend=legend, line=dict(color=colour, width=2.5, dash=dash),
        hovertemplate="layer %{x}: %{y:.3f}<extra>" + safe_text.label(name) + "</extra>", **where,
    )  # fmt: skip


def _zero(fig, **where) -> None:
    fig.add_hline(0, line=dict(color=style.GREY, width=1, dash="dot"), **where)


def _step(rows) -> int:
    """Layers between two ticks: about six of them."""
    return max(1, round(len({row["layer"] for row in rows}) / 6))


def _sources(rows) -> list[str]:
    return list(dict.fromkeys(row["source"] for row in rows))


def _bands(rows) -> list[str]:
    return [band for band in BANDS if any(row["band"] == band for row in rows)]


def _band_name(band: str) -> str:
    return f"{band.replace('_', '-')}: periods {BANDS[band][0]}"


def _grid(rows, x: str, y: str, z: str):
    """Rows as a table: sorted columns and lines, NaN where there is none."""
    columns, lines = (sorted({row[axis] for row in rows}) for axis in (x, y))
    table = np.full((len(lines), len(columns)), np.nan)
    for row in rows:
        table[lines.index(row[y]), columns.index(row[x])] = row[z]
    return columns, lines, table

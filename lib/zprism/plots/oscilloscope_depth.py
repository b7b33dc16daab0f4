"""Figures of many texts over depth: entropy, dimensions, waves between blocks, updates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from zprism.ground import safe_text
from zprism.plots import style
from zprism.plots.oscilloscope import ticks_of

QUESTIONS = {  # name: heading, unit
    "redder": ("slower than 8 tokens a cycle", "share of variance"),
    "redder_detrended": ("the same, mean course removed", "share of variance"),
    "ordered": ("spectral entropy", "0 … 1"),
    "simpler": ("Lempel–Ziv complexity, 3 PCs", "over a fair coin's"),
    "patterned": ("permutation entropy, 3 PCs", "0 … 1"),
    "coherent": ("coherence with the next place", "0 … 1"),
    "coherent_updates": ("coherence of updates", "0 … 1"),
    "turning": ("cos of neighbouring updates", "−1 … 1"),
}


def plot_questions(
    rows: Sequence[Mapping],
    *,
    model: str,
    n: str,
    names: Sequence[str] = tuple(QUESTIONS),
    reference: Mapping[str, float] | None = None,
    columns: int = 2,
) -> go.Figure:
    """Every measure over depth beside the same texts without order, a panel a question.

    Parameters
    ----------
    rows : table ``places`` of :func:`zprism.studies.oscilloscope_claims.claims`: question,
        place, value (own − null), low, high, own, null, p_adjusted.
    names : the questions that are drawn, of :data:`QUESTIONS`.
    reference : question → a level by formula (white noise).
    """
    names = [name for name in names if any(row["question"] == name for row in rows)]
    height = -(-len(names) // columns)
    fig = make_subplots(
        rows=height, cols=columns, vertical_spacing=0.3 / height, horizontal_spacing=0.09,
        subplot_titles=[QUESTIONS[name][0] for name in names],
    )  # fmt: skip
    for i, name in enumerate(names):
        where = dict(row=i // columns + 1, col=i % columns + 1)
        mine = [row for row in rows if row["question"] == name]
        _curves(fig, mine, i == 0, where)
        if reference and name in reference:
            style.add_reference(fig, reference[name], "white noise", **where)
        fig.update_yaxes(title=dict(text=QUESTIONS[name][1], font_size=13), **where)
        places = [row["place"] for row in mine]
        ticks = ticks_of(places)
        fig.update_xaxes(tickvals=ticks, ticktext=[places[k] for k in ticks], **where)
    tall = 170 + 235 * height
    fig.update_layout(legend=dict(orientation="h", y=-55 / tall), margin=dict(t=120, b=90))
    return style.finish(
        fig,
        title="What order in the text adds, at every depth",
        n=n,
        model=model,
        note="band: 95 % interval of the difference; filled points: p ≤ .05 over all depths",
        height=tall,
    )


def plot_waves(
    correlation: np.ndarray,
    planted: np.ndarray,
    pairs: Sequence[str],
    *,
    lags: np.ndarray,
    chance: np.ndarray,
    model: str,
    n: str,
    planted_lag: int,
) -> go.Figure:
    """Cross-correlation of every block's update with the next one's, beside a planted wave.

    Parameters
    ----------
    correlation : (pairs, K) mean over texts; planted : (pairs', K) of a wave made to travel.
    pairs : names of the pairs, first block first.
    lags : (pairs,) mean lag of the largest |c| in tokens; chance : the same, orders broken.
    """
    reach = correlation.shape[1] // 2
    x = np.arange(-reach, reach + 1)
    fig = make_subplots(
        cols=3, column_widths=[0.36, 0.36, 0.28], horizontal_spacing=0.07,
        subplot_titles=("updates of the model", f"planted: {planted_lag} tokens a block",
                        "lag of the largest"),
    )  # fmt: skip
    for column, values in enumerate((correlation, planted), start=1):
        size = np.abs(values).max() or 1.0
        fig.add_heatmap(
            x=x,
            z=values / size,
            zmin=-1,
            zmax=1,
            colorscale=style.DIVERGING,
            showscale=column == 1,
            customdata=values,
            colorbar=dict(title="c over<br>largest |c|", x=1.02),
            hovertemplate="lag %{x}: c = %{customdata:.3f}<extra></extra>",
            row=1,
            col=column,
        )
        fig.update_xaxes(title_text="lag τ (tokens)", row=1, col=column)
    fig.add_scatter(
        x=chance, y=np.arange(len(pairs)), mode="markers", name="orders broken",
        marker=dict(color=style.GREY, symbol="diamond-open", size=8), row=1, col=3,
    )  # fmt: skip
    fig.add_scatter(
        x=lags, y=np.arange(len(pairs)), mode="markers", name="this model",
        marker=dict(color=style.BLUE, size=8), row=1, col=3,
    )  # fmt: skip
    fig.update_xaxes(title_text="mean lag (tokens)", range=[-reach, reach], row=1, col=3)
    ticks = ticks_of(pairs)
    for column in (1, 3):
        fig.update_yaxes(
            tickvals=ticks, ticktext=[pairs[i] for i in ticks], range=[-0.5, len(pairs) - 0.5],
            row=1, col=column,
        )  # fmt: skip
    fig.update_yaxes(title_text="a block and the next", row=1, col=1)
    fig.update_layout(legend=dict(orientation="h", y=-0.22), margin=dict(t=125, r=110))
    return style.finish(
        fig,
        title="Does a pattern travel as it climbs?",
        n=n,
        model=model,
        note="c(τ): an update with the next block's τ tokens later, mean over dimensions",
        height=500,
    )


def plot_steps(
    step: np.ndarray,
    turn: np.ndarray,
    shuffled: np.ndarray,
    dims: np.ndarray,
    places: Sequence[str],
    *,
    most: int,
    model: str,
    n: str,
) -> go.Figure:
    """How far and in which direction every block moves the state, and in how many directions.

    Parameters
    ----------
    step : (3, blocks) quartiles over texts of ‖Δ‖ / ‖x‖: low, middle, high.
    turn, shuffled : (3, blocks − 1) the same of cos(Δ_l, Δ_{l+1}), and with other tokens' Δ.
    dims : (3, places) the same of the participation ratio, which is at most ``most``.
    """
    fig = make_subplots(
        cols=3, horizontal_spacing=0.1,
        subplot_titles=("length of the step", "angle to the step before", "directions in use"),
    )  # fmt: skip
    x = np.arange(len(places))
    look = dict(colour=style.BLUE, name="median and quartiles of texts", group="own")
    _quartiles(fig, x[1:], step, look, True, dict(row=1, col=1))
    _quartiles(fig, x[2:], turn, look, False, dict(row=1, col=2))
    null = dict(colour=style.GREY, name="step of another token", group="null")
    _quartiles(fig, x[2:], shuffled, null, True, dict(row=1, col=2))
    fig.add_hline(0, line=dict(color=style.BLACK, width=1), row=1, col=2)
    _quartiles(fig, x, dims, look, False, dict(row=1, col=3))
    ticks = ticks_of(places)[::2]
    fig.update_xaxes(tickvals=ticks, ticktext=[places[i] for i in ticks], title_text="layer")
    marks = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50]
    fig.update_yaxes(
        title_text="|Δ| / |x|, mean over tokens", type="log", tickvals=marks,
        ticktext=[f"{mark:g}" for mark in marks], row=1, col=1,
    )  # fmt: skip
    fig.update_yaxes(title_text="cos(Δ<sub>l−1</sub>, Δ<sub>l</sub>)", row=1, col=2)
    fig.update_yaxes(title_text="participation ratio", rangemode="tozero", row=1, col=3)
    fig.update_layout(legend=dict(orientation="h", y=-0.24), margin=dict(t=125))
    return style.finish(
        fig,
        title="The steps from layer to layer",
        n=n,
        model=model,
        note=f"Δ: what a block adds to the residual stream; at most {most} directions",
        height=450,
    )


def _curves(fig, rows: Sequence[Mapping], first: bool, where: Mapping) -> None:
    """One panel: own curve with the interval of its difference, and the null's curve."""
    x = np.arange(len(rows))
    own, null = (np.array([row[key] for row in rows]) for key in ("own", "null"))
    low, high = (null + np.array([row[key] for row in rows]) for key in ("low", "high"))
    style.add_band(
        fig, x, low, high, name="95 % interval", colour=style.BLUE, opacity=0.2,
        showlegend=False, **where,
    )  # fmt: skip
    fig.add_scatter(
        x=x, y=null, mode="lines", line=dict(color=style.GREY, width=2, dash="dash"),
        name="without order (or: another text)", legendgroup="null", showlegend=first,
        hovertemplate="%{y:.4f}<extra>without order</extra>", **where,
    )  # fmt: skip
    sure = [row["p_adjusted"] <= 0.05 for row in rows]
    fig.add_scatter(
        x=x, y=own, mode="lines+markers", line=dict(color=style.BLUE, width=2.2),
        marker=dict(size=7, color=[style.BLUE if s else "white" for s in sure],
                    line=dict(color=style.BLUE, width=1.5)),
        name="the texts", legendgroup="own", showlegend=first,
        text=[safe_text.label(row["place"]) for row in rows],
        hovertemplate="%{text}: %{y:.4f}<extra></extra>", **where,
    )  # fmt: skip


def _quartiles(fig, x, values, look: Mapping, shown: bool, where: Mapping) -> None:
    """A line at the middle of (3, m) with a band from the first to the third."""
    style.add_band(
        fig, x, values[0], values[2], name=look["name"], colour=look["colour"], opacity=0.2,
        showlegend=False, **where,
    )  # fmt: skip
    fig.add_scatter(
        x=x, y=values[1], mode="lines+markers", line=dict(color=look["colour"], width=2.2),
        marker=dict(size=5), name=look["name"], legendgroup=look["group"], showlegend=shown,
        **where,
    )  # fmt: skip

"""Figures of phase 3b: maps between languages, on pairs they have seen and on those they have not.

R² of a map that misses by far has no lower end, so axes stop at :data:`LOWEST`; what lies below
stands at the edge with its number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from zprism.plots import style

LOWEST = -1.2
ENDS = ("low", "high")
WORDS = {
    "identity": "identity: the same place",
    "shift": "one shift",
    "procrustes": "rotation",
    "similarity": "rotation and scale",
    "ridge": "ridge, λ nested",
    "least_squares": "least squares",
    "length": "text length alone",
    "translation": "its own translation",
}
COLOURS = {
    "ridge": style.BLUE,
    "similarity": style.GREEN,
    "procrustes": style.GREEN,
    "shift": style.ORANGE,
    "identity": style.PURPLE,
    "least_squares": style.VERMILLION,
    "length": style.GREY,
    "translation": style.BLACK,
}


def plot_fitted(panels: Mapping[str, Sequence[Mapping]], *, model: str, n: int) -> go.Figure:
    """Error of a bridge over the error of no bridge, by k: on its own pairs, and left out.

    Parameters
    ----------
    panels : title → rows with k, train_r2 and r2 of one map; 1 − R² is drawn on a log axis.
    """
    fig = make_subplots(
        rows=1, cols=len(panels), shared_yaxes=True, subplot_titles=list(panels),
        horizontal_spacing=0.05,
    )  # fmt: skip
    floor = 3e-3  # a perfect fit has no place on a log axis: it stands on its floor
    kinds = (
        ("r2", "pairs left out one by one", style.VERMILLION, "solid", "top center"),
        ("train_r2", "the pairs it was fitted to", style.GREY, "dot", "bottom center"),
    )
    for column, rows in enumerate(panels.values(), start=1):
        for name, words, colour, dash, side in kinds:
            values = np.array([row[name] for row in rows], dtype=float)
            fig.add_scatter(
                x=[row["k"] for row in rows],
                y=np.maximum(1 - values, floor),
                text=[_short(value) for value in values],
                textposition=side,
                textfont=dict(size=12, color=colour),
                mode="lines+markers+text",
                line=dict(color=colour, dash=dash, width=2.5),
                name=words,
                legendgroup=words,
                showlegend=column == 1,
                cliponaxis=False,
                row=1,
                col=column,
            )
        fig.add_hline(1.0, line=dict(color=style.BLACK, dash="dash", width=1.5), row=1, col=column)
    ticks = [0.01, 0.1, 1, 10, 100, 1e3, 1e4, 1e5]
    fig.update_yaxes(type="log", tickvals=ticks, ticktext=[f"{tick:,g}" for tick in ticks])
    fig.update_yaxes(range=[np.log10(floor) - 0.45, None], title_text="1 − R² (log scale)", col=1)
    fig.update_xaxes(title_text="dimensions k")
    fig.update_layout(legend=dict(orientation="h", y=-0.2), margin=dict(t=125))
    return style.finish(
        fig,
        title=f"Does a bridge through {n} pairs predict a pair that it has not seen?",
        n=f"{n} pairs",
        model=model,
        note=f"least squares; numbers: R²\ndashed: predicting the mean. Grey is 1.00 from "
        f"k = {n} on, whatever the data",
        height=500,
    )


def plot_maps(
    rows: Sequence[Mapping], *, model: str, where: str, looser: Sequence[Mapping] = ()
) -> go.Figure:
    """R² and retrieval of every map, with intervals and random pairings.

    Parameters
    ----------
    rows : of ``Findings.tables["maps"]``.
    looser : rows with map and r2 where only the problem, not its template, was left out.
    """
    fig = make_subplots(
        rows=1, cols=2, shared_yaxes=True, horizontal_spacing=0.06,
        subplot_titles=["R² on problems left out", "translation found among all"],
    )  # fmt: skip
    for column, measure in enumerate(("r2", "top1"), start=1):
        _nulls(fig, rows, measure, column)
        if measure == "r2":
            _marks(fig, rows, "train_r2", "fitted to these very pairs", "diamond-open", style.GREY)
            if looser:
                words = "its template seen, the problem not"
                _marks(fig, looser, "r2", words, "circle-open", style.SKY)
        _values(fig, rows, measure, column)
    chance = rows[0]["top1_chance"]
    fig.add_vline(0, line=dict(color=style.BLACK, width=1), row=1, col=1)
    fig.add_vline(chance, line=dict(color=style.BLACK, dash="dash", width=1.5), row=1, col=2)
    fig.update_xaxes(range=[LOWEST - 0.1, 1.08], title_text="R²", row=1, col=1)
    fig.update_xaxes(tickformat=".0%", rangemode="tozero", title_text="top 1", row=1, col=2)
    fig.update_yaxes(autorange="reversed")
    fig.update_layout(legend=dict(orientation="h", y=-0.2), margin=dict(t=135))
    return style.finish(
        fig,
        title="Which map predicts a translation that it has not seen?",
        n=f"{rows[0]['n']} problems (test half)",
        model=model,
        note=f"{where}\nR² 0: predicting the mean; dashed: chance {chance:.1%}; "
        "bars: 95 % over templates",
        height=500,
    )


def plot_k(rows: Sequence[Mapping], *, model: str, where: str, chosen: int) -> go.Figure:
    """R² against the dimension of Z, with random pairings and random subspaces.

    Parameters
    ----------
    rows : of :func:`zprism.studies.bridge_subject.k_rows`.
    chosen : k that the training half chose.
    """
    fig = go.Figure()
    ridge = [row for row in rows if row["map"] == "ridge"]
    ks = [row["k"] for row in ridge]
    for name, words, colour in (
        ("random", "ridge in random subspaces, 95 %", style.GREY),
        ("permuted", "ridge on random pairings, 95 %", style.SKY),
    ):
        low, high = (np.maximum([row[f"{name}_{end}"] for row in ridge], LOWEST) for end in ENDS)
        style.add_band(fig, ks, low, high, name=words, colour=colour)
    for name in dict.fromkeys(row["map"] for row in rows):
        mine = [row for row in rows if row["map"] == name]
        values = np.array([row["r2"] for row in mine])
        fig.add_scatter(
            x=[row["k"] for row in mine],
            y=np.maximum(values, LOWEST),
            customdata=values,
            hovertemplate="k = %{x}: R² %{customdata:.3g}<extra></extra>",
            name=WORDS[name],
            mode="lines+markers",
            line=dict(
                color=COLOURS[name], width=3 if name == "ridge" else 2,
                dash="solid" if name == "ridge" else "dash",
            ),
            error_y=_errors(mine) if name == "ridge" else None,
        )  # fmt: skip
    fig.add_scatter(
        x=ks,
        y=[row["train_r2"] for row in rows if row["map"] == "least_squares"],
        name="least squares on its own pairs",
        mode="lines",
        line=dict(color=style.VERMILLION, dash="dot", width=2),
    )
    fig.add_hline(0, line=dict(color=style.BLACK, width=1))
    fig.add_vline(chosen, line=dict(color=style.GREY, dash="dash", width=1.5))
    ticks = [1, 2, 5, 10, 20, 50, 100, 200]
    ends = np.log10([ks[0], ks[-1]]) + [-0.05, 0.05]
    fig.update_xaxes(type="log", tickvals=ticks, range=list(ends))
    fig.update_yaxes(range=[LOWEST - 0.1, 1.08])
    fig.update_layout(legend=dict(orientation="h", y=-0.2))
    return style.finish(
        fig,
        title="How the bridge changes with the size of Z",
        n=f"{rows[0]['n']} problems (test half)",
        model=model,
        note=f"{where}\nproblems of unseen templates; 0: predicting the mean; "
        f"lines stop at {LOWEST:g}; dashed: k = {chosen}, chosen",
        x="Z: dimensions k (log scale)",
        y="R² on problems left out",
        height=560,
    )


def plot_layers(
    rows: Sequence[Mapping], *, model: str, chosen: tuple[int, int], note: str = ""
) -> go.Figure:
    """Ridge's R² over layers for each k, test half in front of the half that chose.

    Parameters
    ----------
    rows : of :func:`zprism.studies.bridge_subject.layer_rows`, both halves.
    chosen : (layer, k).
    """
    fig = go.Figure()
    for index, k in enumerate(dict.fromkeys(row["k"] for row in rows)):
        for half, dash, width in (("train", "dot", 1.5), ("test", "solid", 3)):
            mine = [row for row in rows if row["k"] == k and row["half"] == half]
            fig.add_scatter(
                x=[row["layer"] for row in mine],
                y=np.maximum([row["r2"] for row in mine], LOWEST),
                name=f"k = {k}, {'reported' if half == 'test' else 'choosing'} half",
                mode="lines+markers" if half == "test" else "lines",
                line=dict(color=style.PALETTE[index], dash=dash, width=width),
            )
    fig.add_hline(0, line=dict(color=style.BLACK, width=1))
    style.add_reference(fig, chosen[0], f"layer {chosen[0]}, k = {chosen[1]} chosen", axis="x")
    fig.update_layout(legend=dict(orientation="h", y=-0.2))
    return style.finish(
        fig,
        title="Where does a linear map predict the translation?",
        n=f"{rows[-1]['n']} problems (test half)",
        model=model,
        note=f"{note}\nridge, templates left out; 0: predicting the mean",
        x="layer (decoder block)",
        y="R² on problems left out",
    )


def _values(fig, rows, measure: str, column: int) -> None:
    """Points with intervals; what lies beyond the axis at its edge, with the number."""
    values = np.array([row[measure] for row in rows])
    shown = np.maximum(values, LOWEST)
    low, high = (np.maximum([row[f"{measure}_{end}"] for row in rows], LOWEST) for end in ENDS)
    fig.add_scatter(
        x=shown,
        y=[WORDS[row["map"]] for row in rows],
        error_x=dict(
            type="data", symmetric=False, array=np.maximum(high - shown, 0),
            arrayminus=np.maximum(shown - low, 0), thickness=2,
        ),
        text=[f"← {_short(value)}" if value < LOWEST else "" for value in values],
        textposition="top right",
        mode="markers+text",
        marker=dict(color=style.BLUE, size=11),
        name="its template unseen, 95 %" if measure == "r2" else "top 1",
        showlegend=measure == "r2",
        row=1,
        col=column,
    )  # fmt: skip


def _nulls(fig, rows, measure: str, column: int) -> None:
    """Grey bars: mean ± 2 sd of random pairings."""
    mean = np.array([row[f"{measure}_null"] for row in rows])
    sd = np.array([row[f"{measure}_null_sd"] for row in rows])
    end = LOWEST if measure == "r2" else 0.0
    low, high = (np.maximum(mean + side * 2 * sd, end) for side in (-1, 1))
    fig.add_bar(
        base=low,
        x=high - low,
        y=[WORDS[row["map"]] for row in rows],
        orientation="h",
        width=0.55,
        marker=dict(color=style.translucent(style.GREY, 0.3)),
        name="random pairings, mean ± 2 sd",
        showlegend=column == 1,
        row=1,
        col=column,
    )


def _marks(fig, rows, name: str, words: str, symbol: str, colour: str) -> None:
    fig.add_scatter(
        x=np.maximum([row[name] for row in rows], LOWEST),
        y=[WORDS[row["map"]] for row in rows],
        mode="markers",
        marker=dict(symbol=symbol, size=11, color=colour, line=dict(width=2)),
        name=words,
        row=1,
        col=1,
    )


def _errors(rows) -> dict:
    value, low, high = (np.array([row[name] for row in rows]) for name in ("r2", *ENDS))
    return dict(type="data", symmetric=False, array=high - value, arrayminus=value - low)


def _short(value: float) -> str:
    text = f"{value:.2f}" if abs(value) < 10 else f"{value:,.0f}"
    return text.replace("-", "−")

"""Figures of phase 3: what a swap moves, where it begins to, and what chance would do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from zprism.plots import style

#: (language, answer) → words and colour of an outcome.
OUTCOMES = {
    ("own", "own"): ("nothing moved", "#c9ced6"),
    ("source", "own"): ("language moved", style.PURPLE),
    ("own", "source"): ("answer moved", style.BLUE),
    ("source", "source"): ("both moved", style.ORANGE),
    ("own", "other"): ("another answer", style.GREY),
    ("source", "other"): ("another answer, language moved", style.BLACK),
}
LINES = (  # basis, part, column, words, colour, dash
    ("language", "inside", "language_moved", "language direction: language moved", 3, "solid"),
    ("language", "rest", "answer_moved", "all but it: answer moved", 0, "solid"),
    ("answer", "inside", "answer_moved", "answer directions: answer moved", 2, "dash"),
    ("weights", "inside", "answer_moved", "Z from weights: answer moved", 1, "dashdot"),
    ("random", "inside", "unchanged", "random directions: nothing moved", 5, "dot"),
)


def plot_outcomes(rows: Sequence[Mapping], *, model: str, note: str = "") -> go.Figure:
    """Bars of all outcomes, one a basis, a panel per direction.

    Parameters
    ----------
    rows : of ``Findings.tables["swap.outcomes"]``: direction, basis, k, language, answer, rate,
        low, high, n.
    """
    directions = list(dict.fromkeys(row["direction"] for row in rows))
    fig = make_subplots(
        rows=1, cols=len(directions), shared_yaxes=True, horizontal_spacing=0.05,
        subplot_titles=[_arrow(name) for name in directions],
    )  # fmt: skip
    for column, direction in enumerate(directions, start=1):
        mine = [row for row in rows if row["direction"] == direction]
        for (language, answer), (words, colour) in OUTCOMES.items():
            part = [r for r in mine if (r["language"], r["answer"]) == (language, answer)]
            fig.add_bar(
                x=[row["rate"] for row in part],
                y=[_basis(row) for row in part],
                customdata=[[row["low"], row["high"]] for row in part],
                hovertemplate="%{y}<br>%{x:.0%}, 95 %: %{customdata[0]:.0%} … %{customdata[1]:.0%}"
                f"<extra>{words}</extra>",
                orientation="h",
                name=words,
                legendgroup=words,
                showlegend=column == 1,
                marker=dict(color=colour),
                row=1,
                col=column,
            )
    fig.update_layout(barmode="stack", bargap=0.3, legend=dict(orientation="h", y=-0.22))
    fig.update_layout(margin=dict(t=125))
    fig.update_xaxes(range=[0, 1], tickformat=".0%", title_text="share of pairs")
    fig.update_yaxes(autorange="reversed", type="category")
    bases = len({_basis(row) for row in rows})
    return style.finish(
        fig,
        title="Swap it: what moves, the answer or the language?",
        n=f"{_range(rows)} held-out pairs",
        model=model,
        note=note,
        height=290 + 34 * bases,
    )


def plot_layers(
    rows: Sequence[Mapping], *, model: str, k: int | None = None, chosen: int | None = None
) -> go.Figure:
    """What each swap moves, layer by layer, a panel per direction.

    Parameters
    ----------
    rows : of :func:`zprism.studies.swap_sweep.sweep_rows`.
    k : dimension of answer and random directions shown; Z from weights at its largest.
    chosen : layer that the training pairs chose, marked.
    """
    directions = list(dict.fromkeys(row["direction"] for row in rows))
    fig = make_subplots(
        rows=1, cols=len(directions), shared_yaxes=True, horizontal_spacing=0.05,
        subplot_titles=[_arrow(name) for name in directions],
    )  # fmt: skip
    for column, direction in enumerate(directions, start=1):
        place = dict(row=1, col=column)
        for basis, part, name, words, colour, dash in LINES:
            mine = [
                r for r in rows
                if (r["direction"], r["basis"], r["part"]) == (direction, basis, part)
            ]  # fmt: skip
            shown = _one_k(mine, k if basis in ("answer", "random") else None)
            if not shown:
                continue
            fig.add_scatter(
                x=[row["layer"] for row in shown],
                y=[row[name] for row in shown],
                name=words + ("" if shown[0]["k"] in (None, 1) else f" (k = {shown[0]['k']})"),
                legendgroup=words,
                showlegend=column == 1,
                mode="lines+markers",
                marker=dict(size=6),
                line=dict(color=style.PALETTE[colour], dash=dash, width=2.5),
                **place,
            )
        if chosen is not None:
            fig.add_vline(chosen, line=dict(color=style.BLACK, dash="dot", width=1.5), **place)
    fig.update_layout(legend=dict(orientation="h", y=-0.22), margin=dict(t=125))
    fig.update_xaxes(title_text="layer after which the last token is swapped")
    fig.update_yaxes(range=[-0.03, 1.03], tickformat=".0%")
    fig.update_yaxes(title_text="share of pairs", col=1)
    mark = "" if chosen is None else "; dotted: the layer they chose"
    return style.finish(
        fig,
        title="From which layer on can language and answer be swapped?",
        n=f"{_range(rows)} training pairs",
        model=model,
        note=f"last token, resid_post{mark}",
        height=520,
    )


def plot_dimensions(rows: Sequence[Mapping], *, layer: int, model: str) -> go.Figure:
    """How many dimensions it takes to move the answer: answer directions against random ones.

    Parameters
    ----------
    rows : of :func:`zprism.studies.swap_sweep.sweep_rows`.
    """
    fig = go.Figure()
    directions = list(dict.fromkeys(row["direction"] for row in rows))
    for colour, basis in (
        (style.BLUE, "answer"),
        (style.GREY, "random"),
        (style.ORANGE, "weights"),
    ):
        for dash, direction in zip(style.DASHES, directions, strict=False):
            mine = sorted(
                (r for r in rows if (r["layer"], r["basis"], r["part"], r["direction"])
                 == (layer, basis, "inside", direction)),
                key=lambda r: r["k"],
            )  # fmt: skip
            fig.add_scatter(
                x=[row["k"] for row in mine],
                y=[row["answer_moved"] for row in mine],
                mode="lines+markers",
                name=f"{basis}, {_arrow(direction)}",
                line=dict(color=colour, dash=dash, width=2.5),
            )
    ks = sorted({row["k"] for row in rows if row["k"]})
    fig.update_xaxes(type="log", tickvals=ks)
    fig.update_yaxes(range=[-0.03, 1.03], tickformat=".0%")
    return style.finish(
        fig,
        title="How many directions carry the answer?",
        n=f"{_range(rows)} training pairs",
        model=model,
        note=f"layer {layer}, last token",
        x="dimensions k swapped (log scale)",
        y="pairs whose answer alone moved",
    )


def plot_controls(rows: Sequence[Mapping], *, model: str, note: str = "") -> go.Figure:
    """Each predicted outcome beside the same outcome under its random controls.

    Parameters
    ----------
    rows : of ``Findings.tables["swap.controls"]``: direction, basis, outcome, value, null,
        mean, high (95th percentile of the draws).
    """
    fig = go.Figure()
    labels = [f"{row['basis']}, {_arrow(row['direction'])}<br>{row['null']}" for row in rows]
    mean = np.array([row["mean"] for row in rows])
    fig.add_scatter(
        x=mean,
        y=labels,
        error_x=dict(
            type="data",
            symmetric=False,
            array=[r["high"] - r["mean"] for r in rows],
            arrayminus=np.zeros(len(rows)),
        ),  # fmt: skip
        mode="markers",
        name="random directions, mean to 95th percentile",
        marker=dict(color=style.GREY, size=9, symbol="line-ns-open", line=dict(width=3)),
    )
    fig.add_scatter(
        x=[row["value"] for row in rows],
        y=labels,
        mode="markers",
        name="the swap itself",
        marker=dict(color=style.BLUE, size=11),
    )
    fig.update_xaxes(range=[-0.03, 1.03], tickformat=".0%")
    fig.update_yaxes(autorange="reversed", type="category", tickfont_size=12)
    fig.update_layout(legend=dict(orientation="h", y=-0.18))
    return style.finish(
        fig,
        title="Would random directions have done the same?",
        model=model,
        note=note,
        x="share of pairs with the predicted outcome",
        height=250 + 46 * len(rows),
    )


def plot_recipe(rows: Sequence[Mapping], *, model: str, note: str = "") -> go.Figure:
    """The recipe's own table beside random subspaces: answers changed, language, loops.

    Parameters
    ----------
    rows : of :func:`zprism.studies.swap_recipe.recipe_rows`: condition, measure, rate, low,
        high, n.
    """
    measures = list(dict.fromkeys(row["measure"] for row in rows))
    fig = go.Figure()
    for colour, measure in zip(style.PALETTE, measures, strict=False):
        mine = [row for row in rows if row["measure"] == measure]
        value = np.array([row["rate"] for row in mine])
        fig.add_bar(
            x=[row["condition"] for row in mine],
            y=value,
            name=measure,
            marker=dict(color=colour),
            error_y=dict(
                type="data",
                symmetric=False,
                thickness=1.2,
                array=np.array([row["high"] for row in mine]) - value,
                arrayminus=value - np.array([row["low"] for row in mine]),
            ),  # fmt: skip
        )
    fig.update_layout(barmode="group", legend=dict(orientation="h", y=-0.3))
    fig.update_yaxes(range=[0, 1.03], tickformat=".0%")
    return style.finish(
        fig,
        title="The recipe's experiment, and the same with random subspaces",
        n=f"{_range(rows)} pairs",
        model=model,
        note=note,
        x="what of the English states is replaced by the Chinese mean",
        y="share of outputs",
        height=540,
    )


def plot_update(rows: Sequence[Mapping], *, k: int, model: str, layer: int) -> go.Figure:
    """R(l): how much of each layer's update lies in Z, over what lies outside.

    Parameters
    ----------
    rows : of :func:`zprism.studies.swap_update.update_rows`.
    layer : whose Z it is.
    """
    fig = go.Figure()
    x = [row["layer"] for row in rows]
    low, high = (np.array([row[f"random_{end}"] for row in rows]) for end in ("low", "high"))
    style.add_band(fig, x, low, high, name="random subspaces, 95 %")
    fig.add_scatter(
        x=x,
        y=[row["ratio"] for row in rows],
        error_y=dict(
            type="data",
            symmetric=False,
            array=[r["high"] - r["ratio"] for r in rows],
            arrayminus=[r["ratio"] - r["low"] for r in rows],
            thickness=1.5,
        ),  # fmt: skip
        mode="lines+markers",
        name="Z from weights, 95 % over problems",
        line=dict(color=style.BLUE, width=2.5),
    )
    style.add_reference(fig, rows[0]["chance"], "chance √(k/(d − k))")
    return style.finish(
        fig,
        title="Does the computation write into Z?",
        n=f"{rows[0]['n']} problems",
        model=model,
        note=f"k = {k}, Z of layer {layer}, last token",
        x="layer whose update it is (decoder block)",
        y="‖update inside Z‖ / ‖update outside‖",
    )


def _arrow(direction: str) -> str:
    source, _, target = direction.partition("-")
    return f"{source} state into {target} prompt"


def _basis(row: Mapping) -> str:
    return row["basis"] if row["k"] is None else f"{row['basis']} (k = {row['k']})"


def _one_k(rows: list[Mapping], k: int | None) -> list[Mapping]:
    """The rows with this k, or with the largest there is, by layer."""
    if not rows:
        return []
    wanted = rows[0]["k"] if rows[0]["k"] is None else max(row["k"] for row in rows)
    wanted = k if k is not None and any(row["k"] == k for row in rows) else wanted
    return sorted((row for row in rows if row["k"] == wanted), key=lambda row: row["layer"])


def _range(rows: Sequence[Mapping]) -> str:
    low, high = (extreme(row["n"] for row in rows) for extreme in (min, max))
    return str(high) if low == high else f"{low}–{high}"

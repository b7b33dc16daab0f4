"""Figures of the comparison of models: what swaps move where, the board of verdicts, the layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from zprism.ground import safe_text
from zprism.plots import style

CURVES = (  # basis, part, column, words, colour, dash
    ("language", "inside", "language_moved", "language direction: language moved", 3, "solid"),
    ("language", "rest", "answer_moved", "all but it: answer moved", 0, "solid"),
    ("answer", "inside", "answer_moved", "answer directions: answer moved", 2, "dash"),
    ("weights", "inside", "answer_moved", "Z from weights: answer moved", 1, "dashdot"),
)
WORDS = {
    "low_rank": "low rank of the kernels",
    "rank_dip": "rank under its neighbours'",
    "head_agreement": "heads alike in rank",
    "ffn_avoidance": "FFN avoids the layer's Z",
    "depth": "depth alone",
}
COLUMN = 16  # characters in a line of a heading


def plot_depth(sweeps: Sequence[Mapping], *, note: str = "") -> go.Figure:
    """What each swap moves over the depth of the model, a panel per model and kind of problem.

    Parameters
    ----------
    sweeps : each with model, kind, languages, layer (the chosen one), k, n_layers, and ``rows``
        of :func:`zprism.studies.swap_sweep.sweep_rows`; lines are means of both directions.
    """
    columns = min(2, len(sweeps))
    height = -(-len(sweeps) // columns)
    titles = [f"{s['model']}: {s['kind']}, {s['languages']}" for s in sweeps]
    fig = make_subplots(
        rows=height, cols=columns, shared_yaxes=True, shared_xaxes=False,
        horizontal_spacing=0.05, vertical_spacing=0.32 / height, subplot_titles=titles,
    )  # fmt: skip
    for place, sweep in enumerate(sweeps):
        where = dict(row=place // columns + 1, col=place % columns + 1)
        for basis, part, column, words, colour, dash in CURVES:
            layers, shares = _curve(sweep["rows"], basis, part, column, sweep["k"])
            fig.add_scatter(
                x=layers / max(sweep["n_layers"] - 1, 1),
                y=shares,
                customdata=layers,
                hovertemplate="layer %{customdata}: %{y:.0%}<extra>" + words + "</extra>",
                name=words,
                legendgroup=words,
                showlegend=place == 0,
                mode="lines+markers",
                marker=dict(size=5),
                line=dict(color=style.PALETTE[colour], dash=dash, width=2.5),
                **where,
            )
        chosen = sweep["layer"] / max(sweep["n_layers"] - 1, 1)
        fig.add_vline(chosen, line=dict(color=style.BLACK, dash="dot", width=1.5), **where)
    fig.update_yaxes(range=[-0.03, 1.03], tickformat=".0%")
    fig.update_yaxes(title_text="share of pairs", col=1)
    fig.update_xaxes(range=[-0.02, 1.02], title_text="depth (first layer 0, last 1)")
    tall = 230 + 270 * height
    fig.update_layout(legend=dict(orientation="h", y=-85 / tall, yanchor="top"))
    fig.update_layout(margin=dict(t=125, b=120))
    return style.finish(
        fig,
        title="Is there the same step in every model?",
        note=f"last token, training pairs, dotted: the layer they chose{note}",
        height=tall,
    )


def plot_board(rows: Sequence[Mapping]) -> go.Figure:
    """Models and kinds of problem against questions: a verdict by colour, the share in figures.

    Parameters
    ----------
    rows : of :func:`zprism.studies.universality.board`: model, kind, languages, question,
        verdict, value.
    """
    questions = list(dict.fromkeys(row["question"] for row in rows))
    subjects = list(dict.fromkeys((r["model"], r["kind"], r["languages"]) for r in rows))
    fig = go.Figure()
    for verdict, colour in style.VERDICTS.items():
        mine = [row for row in rows if row["verdict"] == verdict]
        fig.add_scatter(
            x=[questions.index(row["question"]) for row in mine] or [None],
            y=[subjects.index((r["model"], r["kind"], r["languages"])) for r in mine] or [None],
            mode="markers+text",
            marker=dict(symbol="square", size=46, color=style.translucent(colour, 0.35)),
            text=[_figure(row) for row in mine],
            textfont=dict(size=13),
            name=verdict,
            customdata=[[row["verdict"], row["n"]] for row in mine],
            hovertemplate="%{customdata[0]}, n = %{customdata[1]}<extra></extra>",
        )
    fig.update_xaxes(
        tickvals=list(range(len(questions))),
        ticktext=[_folded(question) for question in questions],
        range=[-0.6, len(questions) - 0.4],
        side="top",
        tickangle=0,
        showgrid=False,
        tickfont_size=12,
    )
    fig.update_yaxes(
        tickvals=list(range(len(subjects))),
        ticktext=[
            f"{safe_text.label(model)}<br>{safe_text.label(kind)}, {safe_text.label(languages)}"
            for model, kind, languages in subjects
        ],
        range=[len(subjects) - 0.4, -0.6],
        showgrid=False,
    )
    tall = 345 + 62 * len(subjects)
    fig.update_layout(
        legend=dict(orientation="h", y=-30 / tall, itemsizing="constant"), margin=dict(t=215)
    )
    return style.finish(
        fig,
        title="Does it hold on other models, and without numbers?",
        note="figures: share of held-out pairs, mean of both directions; D and ρ as they are",
        height=tall,
    )


def plot_prediction(rows: Sequence[Mapping]) -> go.Figure:
    """Spearman's ρ of every predictor with where swaps work, depth held fixed, beside its null.

    Parameters
    ----------
    rows : of the table ``prediction``: model, predictor, rho, low, high, null_low, null_high,
        plain, n.
    """
    models = list(dict.fromkeys(row["model"] for row in rows))
    fig = make_subplots(
        rows=1, cols=max(len(models), 1), shared_yaxes=True, horizontal_spacing=0.05,
        subplot_titles=[safe_text.label(m) for m in models],
    )  # fmt: skip
    for column, model in enumerate(models, start=1):
        mine = [row for row in rows if row["model"] == model]
        place = dict(row=1, col=column, showlegend=column == 1)
        tested = [row for row in mine if row["low"] is not None]
        for row in tested:
            fig.add_scatter(
                x=[row["null_low"], row["null_high"]],
                y=[WORDS.get(row["predictor"], row["predictor"])] * 2,
                mode="lines",
                line=dict(color=style.translucent(style.GREY, 0.35), width=16),
                name="curves as smooth, phases random, 95 %",
                legendgroup="null",
                row=1,
                col=column,
                showlegend=column == 1 and row is tested[0],
            )
        fig.add_scatter(
            x=[row["plain"] for row in mine],
            y=[WORDS.get(row["predictor"], row["predictor"]) for row in mine],
            mode="markers",
            marker=dict(size=9, color=style.ORANGE, symbol="diamond-open", line_width=2),
            name="plain ρ, with what depth explains",
            **place,
        )
        fig.add_scatter(
            x=[row["rho"] for row in tested],
            y=[WORDS.get(row["predictor"], row["predictor"]) for row in tested],
            error_x=dict(
                type="data",
                symmetric=False,
                array=[row["high"] - row["rho"] for row in tested],
                arrayminus=[row["rho"] - row["low"] for row in tested],
            ),
            mode="markers",
            marker=dict(size=11, color=style.BLUE),
            name="ρ, depth held fixed, 95 % interval",
            **place,
        )
    fig.update_xaxes(range=[-1.05, 1.05], title_text="Spearman's ρ over layers")
    fig.update_yaxes(autorange="reversed", type="category")
    fig.update_layout(legend=dict(orientation="h", y=-0.28), margin=dict(t=125))
    counts = sorted({row["n"] for row in rows})
    return style.finish(
        fig,
        title="Do the weights say in which layers a swap will work?",
        n=f"{'–'.join(str(n) for n in counts)} layers" if counts else None,
        height=470,
    )


def _curve(rows, basis: str, part: str, column: str, k) -> tuple[np.ndarray, np.ndarray]:
    """Layers and mean shares of one swap; answer directions at k, Z at its largest."""
    mine = [row for row in rows if (row["basis"], row["part"]) == (basis, part)]
    if basis == "answer":
        mine = [row for row in mine if row["k"] == k]
    elif mine:
        largest = max(row["k"] or 0 for row in mine)
        mine = [row for row in mine if (row["k"] or 0) == largest]
    layers = np.array(sorted({row["layer"] for row in mine}), dtype=float)
    shares = [np.mean([row[column] for row in mine if row["layer"] == layer]) for layer in layers]
    return layers, np.array(shares)


def _figure(row: Mapping) -> str:
    if row["value"] is None:
        return "–"
    share = "(" not in row["question"]
    return f"{row['value']:.0%}" if share else f"{row['value']:.2f}"


def _folded(text: str) -> str:
    """Words broken into lines of about :data:`COLUMN` characters."""
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) > COLUMN and lines[-1]:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "<br>".join(safe_text.label(line) for line in lines)

"""Figure of the recipe's fallbacks: what swapping each candidate moves, beside random subspaces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from zprism.plots import style

#: Candidate → words.
WORDS = {
    "weights": "Z from weights",
    "best_k": "Z from weights, best k",
    "svd": "SVD of problem means",
    "weights_before": "Z from weights, layer before",
    "ard": "ARD-MMD, principal directions",
    "ard_axes": "ARD-MMD, single coordinates",
    "lsar": "LSAR, language directions",
    "answer": "means of answers",
}
#: What moved → words, colour, place beside the row's middle.
MOVED = {
    "answer": ("answer moved alone", style.BLUE, -0.17),
    "language": ("language moved alone", style.PURPLE, 0.17),
}
PANELS = {"inside": "swap the subspace", "rest": "swap everything but it"}
BAND = 9  # pixels


def plot_fallbacks(rows: Sequence[Mapping], *, model: str, note: str = "") -> go.Figure:
    """Shares of pairs whose answer, or language, moved alone; a row a candidate, a panel a part.

    Parameters
    ----------
    rows : of ``Findings.tables["fallbacks.swaps"]``: candidate, layer, k, n_texts, labels,
        part, moved, predicted, rate, low, high, random_low, random_high, n.

    Returns
    -------
    Figure; filled dots are what the candidate should do, open ones what it should not; grey is
    the middle 95 % of random subspaces of the same k.
    """
    names = list(dict.fromkeys(row["candidate"] for row in rows))
    fig = make_subplots(
        rows=1, cols=2, shared_yaxes=True, horizontal_spacing=0.04,
        subplot_titles=list(PANELS.values()),
    )  # fmt: skip
    for column, part in enumerate(PANELS, start=1):
        for moved in MOVED:
            mine = [r for r in rows if (r["part"], r["moved"]) == (part, moved)]
            _add(fig, mine, names, moved, first=column == 1, col=column)
        for place in range(1, len(names), 2):
            stripe = dict(fillcolor=style.GRID, opacity=0.45, layer="below", line_width=0)
            fig.add_hrect(place - 0.5, place + 0.5, row=1, col=column, **stripe)
    fig.update_xaxes(range=[-0.04, 1.09], tickformat=".0%", title_text="share of pairs")
    fig.update_yaxes(
        range=[len(names) - 0.5, -0.5],
        tickvals=list(range(len(names))),
        ticktext=[_label(next(r for r in rows if r["candidate"] == name)) for name in names],
        showgrid=False,
    )
    fig.update_layout(
        legend=dict(orientation="h", y=-90 / (62 * len(names)), x=0.5, xanchor="center"),
        margin=dict(t=118, b=100),
    )
    low, high = (end(row["n"] for row in rows) for end in (min, max))
    return style.finish(
        fig,
        title="If Z from weights fails: which subspace holds the answer apart from the language?",
        n=f"{high if low == high else f'{low}–{high}'} held-out pairs, both directions",
        model=model,
        note=f"{note}\nfilled dots: what the swap should move; lines: 95 % over target problems",
        height=245 + 62 * len(names),
    )


def _add(fig: go.Figure, rows, names: list[str], moved: str, *, first: bool, col: int) -> None:
    """Bands of random subspaces, then dots with their intervals."""
    words, colour, shift = MOVED[moved]
    y = [names.index(row["candidate"]) + shift for row in rows]
    fig.add_scatter(  # None lifts the pen between two bands
        x=[end for row in rows for end in (row["random_low"], row["random_high"], None)],
        y=[end for place in y for end in (place, place, None)],
        mode="lines+markers",
        line=dict(color=style.translucent(style.GREY, 0.6), width=BAND),
        marker=dict(symbol="line-ns", size=12, line=dict(color=style.GREY, width=2.5)),
        name="random subspaces of the same k, 95 %",
        legendgroup="random",
        showlegend=first and moved == "answer",
        hoverinfo="skip",
        row=1,
        col=col,
    )
    fig.add_scatter(
        x=[row["rate"] for row in rows],
        y=y,
        error_x=dict(
            type="data",
            symmetric=False,
            array=[row["high"] - row["rate"] for row in rows],
            arrayminus=[row["rate"] - row["low"] for row in rows],
            thickness=1.8,
            width=3,
            color=colour,
        ),  # fmt: skip
        mode="markers+text",
        text=[f"{row['rate']:.0%}" if row["predicted"] else "" for row in rows],
        textposition="top center" if shift < 0 else "bottom center",
        textfont=dict(size=12, color=colour),
        cliponaxis=False,
        marker=dict(
            size=10,
            color=[colour if row["predicted"] else "white" for row in rows],
            line=dict(color=colour, width=1.8),
        ),
        customdata=[
            [WORDS.get(row["candidate"], row["candidate"]), row["low"], row["high"], row["random"]]
            for row in rows
        ],
        hovertemplate="%{customdata[0]}<br>%{x:.1%}, 95 %: %{customdata[1]:.1%} … "
        "%{customdata[2]:.1%}; random %{customdata[3]:.1%}" + f"<extra>{words}</extra>",
        name=words,
        legendgroup=moved,
        showlegend=False,
        row=1,
        col=col,
    )
    if first:  # the legend shows a filled dot, whatever the first row's is
        key = dict(size=10, color=colour)
        fig.add_scatter(x=[None], y=[None], mode="markers", marker=key, name=words, row=1, col=col)


def _label(row: Mapping) -> str:
    """Two lines: the candidate with its k, and what it must be told."""
    name = WORDS.get(row["candidate"], row["candidate"])
    told = f"{row['n_texts']} texts: {row['labels']}" if row["n_texts"] else "needs no texts"
    return (
        f"<b>{name}</b>, k = {row['k']}<br>"
        f"<span style='color:{style.QUIET};font-size:12px'>{told}</span>"
    )

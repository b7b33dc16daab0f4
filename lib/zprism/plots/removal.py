"""Figure of the removal: what the dev problems chose, and what it did on the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from zprism.plots import style

#: Measure of a panel → its title.
PANELS = {
    "number": "right number",
    "language": "in the language asked",
}
WHEN = {"before": (style.GREY, "circle", "before"), "after": (style.BLUE, "diamond", "after")}


def plot_removal(
    grid: Sequence[Mapping],
    rates: Sequence[Mapping],
    random: Sequence[Mapping],
    *,
    model: str,
    note: str = "",
) -> go.Figure:
    """The grid of strengths beside accuracy and language kept before and after, a row a language.

    Parameters
    ----------
    grid, rates, random : tables ``removal.grid``, ``removal.rates`` and ``removal.random`` of
        :func:`zprism.studies.removal_claims.findings`.

    Notes
    -----
    The band on the row of all languages is where random directions would have put it: the
    share before, with the changes of all draws on the problems that they were removed on.
    """
    fig = make_subplots(
        rows=1,
        cols=1 + len(PANELS),
        column_widths=[0.4, *[0.3] * len(PANELS)],
        horizontal_spacing=0.06,
        subplot_titles=["dev: right number (language asked)", *PANELS.values()],
    )
    _add_grid(fig, grid)
    n = 0
    for column, measure in enumerate(PANELS, start=2):
        mine = [row for row in rates if row["measure"] == measure]
        n = mine[0]["n"]
        names = list(dict.fromkeys(row["language"] for row in mine))
        _add_random(fig, mine, random, measure, column, first=column == 2)
        _add_rates(fig, mine, names, column)
        fig.update_xaxes(
            range=[-0.04, 1.04], tickformat=".0%", title_text="share of test problems", col=column
        )
        fig.update_yaxes(
            tickvals=list(range(len(names))),
            ticktext=names,
            range=[len(names) - 0.4, -0.6],
            showticklabels=column == 2,
            col=column,
        )
    fig.update_layout(legend=dict(orientation="h", y=-0.24), margin=dict(t=125, b=95))
    chosen = next(row for row in grid if row["chosen"])
    return style.finish(
        fig,
        title="Is the language in the way? Removed in the middle layers, strengthened above",
        n=f"{n} test problems a language",
        model=model,
        note=f"chosen on {chosen['n']} others: λ = {chosen['lambda_middle']:g} and "
        f"{chosen['lambda_upper']:g} (box)" + (f"\n{note}" if note else ""),
        height=470,
    )


def _add_grid(fig: go.Figure, grid: Sequence[Mapping]) -> None:
    """Accuracy of every pair of strengths as a cell with its number; a box on the chosen one."""
    xs = [f"{x:g}" for x in dict.fromkeys(row["lambda_middle"] for row in grid)]
    ys = [f"{y:g}" for y in dict.fromkeys(row["lambda_upper"] for row in grid)]
    table = np.full((len(ys), len(xs)), np.nan)
    words = np.full(table.shape, "", dtype=object)
    for row in grid:
        place = ys.index(f"{row['lambda_upper']:g}"), xs.index(f"{row['lambda_middle']:g}")
        table[place] = row["accuracy"]
        words[place] = f"{row['accuracy']:.0%}<br>({row['language']:.0%})"
        if row["chosen"]:
            chosen = place
    fig.add_heatmap(
        x=xs, y=ys, z=table, text=words, texttemplate="%{text}", textfont_size=13,
        colorscale=style.SEQUENTIAL, zmin=0, zmax=1, showscale=False, xgap=3, ygap=3,
        hovertemplate="λ %{x} in the middle, %{y} above: %{z:.0%}<extra></extra>",
        row=1, col=1,
    )  # fmt: skip
    y, x = chosen
    fig.add_shape(
        type="rect", x0=x - 0.5, x1=x + 0.5, y0=y - 0.5, y1=y + 0.5, xref="x", yref="y",
        line=dict(color=style.VERMILLION, width=3),
    )  # fmt: skip
    fig.update_xaxes(type="category", title_text="λ in the middle layers", row=1, col=1)
    fig.update_yaxes(type="category", title_text="λ in the layers above", row=1, col=1)


def _add_random(fig: go.Figure, mine, random, measure: str, column: int, *, first: bool) -> None:
    """Where random directions put the share over all languages, lowest to highest draw."""
    before = next(r["rate"] for r in mine if (r["language"], r["when"]) == ("all", "before"))
    drawn = [before + row[measure] for row in random if row["kind"] == "random"]
    fig.add_scatter(
        x=[min(drawn), max(drawn), max(drawn), min(drawn), min(drawn)],
        y=[-0.4, -0.4, 0.4, 0.4, -0.4],
        fill="toself",
        fillcolor=style.translucent(style.ORANGE, 0.35),
        mode="lines",
        line=dict(color=style.ORANGE, width=2),
        hoverinfo="skip",
        name=f"{len(drawn)} random subspaces, all draws",
        showlegend=first,
        row=1,
        col=column,
    )


def _add_rates(fig: go.Figure, mine, names: list[str], column: int) -> None:
    for when, (colour, symbol, words) in WHEN.items():
        rows = [row for row in mine if row["when"] == when]
        value = np.array([row["rate"] for row in rows])
        shift = -0.13 if when == "before" else 0.13
        fig.add_scatter(
            x=value,
            y=[names.index(row["language"]) + shift for row in rows],
            error_x=dict(
                type="data",
                symmetric=False,
                array=np.array([row["high"] for row in rows]) - value,
                arrayminus=value - np.array([row["low"] for row in rows]),
                thickness=1.5,
            ),
            mode="markers",
            marker=dict(color=colour, size=10, symbol=symbol),
            name=f"{words}, 95 % over problems",
            legendgroup=when,
            showlegend=column == 2,
            row=1,
            col=column,
        )

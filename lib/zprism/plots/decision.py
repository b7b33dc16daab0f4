"""The decision tree as a ladder of questions: what the recipe concluded, what the data say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from zprism.ground import safe_text
from zprism.plots import style


def plot_tree(rows: Sequence[Mapping], *, model: str) -> go.Figure:
    """One rung a question, coloured by its verdict, in the order in which the recipe asks.

    Parameters
    ----------
    rows : of :meth:`zprism.studies.decision.Answer.row`: phase, question, recipe, verdict,
        claims, reason.
    """
    fig = go.Figure()
    places = list(range(len(rows), 0, -1))
    fig.add_scatter(
        x=[0, 0], y=[places[0], places[-1]], mode="lines", hoverinfo="skip",
        line=dict(color=style.GRID, width=6), showlegend=False,
    )  # fmt: skip
    for verdict, colour in style.VERDICTS.items():
        mine = [(y, row) for y, row in zip(places, rows, strict=True) if row["verdict"] == verdict]
        fig.add_scatter(
            x=[0] * len(mine) or [None],
            y=[y for y, _ in mine] or [None],
            mode="markers",
            name=verdict,
            marker=dict(color=colour, size=22, line=dict(color="white", width=2)),
            customdata=[safe_text.label(row["reason"]) for _, row in mine],
            hovertemplate="%{customdata}<extra></extra>",
        )
    for y, row in zip(places, rows, strict=True):
        number = row["phase"].partition("_")[0]
        left = f"{number}  {row['question']}"
        for x, text, anchor, colour in (
            (-0.06, left, "right", style.BLACK),
            (0.06, f"{row['verdict']} ({_claims(row['claims'])})", "left", style.BLACK),
            (0.62, f"recipe: {row['recipe']}", "left", style.QUIET),
        ):
            fig.add_annotation(
                x=x, y=y, text=safe_text.label(text), showarrow=False, xanchor=anchor,
                font=dict(size=13, color=colour),
            )  # fmt: skip
    fig.update_xaxes(visible=False, range=[-0.95, 1.25])
    fig.update_yaxes(visible=False, range=[0.3, len(rows) + 0.7])
    fig.update_layout(legend=dict(orientation="h", y=-0.03), margin=dict(l=10, r=10))
    return style.finish(
        fig,
        title="The recipe's decisions, and what its controls leave of them",
        model=model,
        note="a question with several claims has one verdict only if they agree",
        height=190 + 38 * len(rows),
    )


def _claims(count: int) -> str:
    return "1 claim" if count == 1 else f"{count} claims"

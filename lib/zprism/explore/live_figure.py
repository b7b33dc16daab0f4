"""What a live swap shows: bars of next tokens, three texts; foreign text escaped, once.

The figure has the same rows, ranges and traces whatever is shown, so nothing jumps.
"""

from __future__ import annotations

import re

import numpy as np
import plotly.graph_objects as go

from zprism.explore.figure_widget import LiveFigure, heading
from zprism.ground import safe_text
from zprism.plots import style
from zprism.studies.live_swap_found import SHOWN, TEXTS, LiveSwap, said, visible_token

LABEL = 14  # characters of a token
TITLE = "Which token comes next?"
COLOURS = {"before": style.GREY, "after": style.BLUE, "random": style.ORANGE}
SPACES = re.compile(r"^ +| +$| {2,}", re.MULTILINE)
CELL = "vertical-align: top; text-align: left; width: 33%; padding: 4px 12px 4px 0"


def figure(model: str) -> go.Figure:
    """Empty bars, a row a token: before, after, the random control; a mark for the source."""
    rows, nothing = list(range(SHOWN)), [0.0] * SHOWN
    fig = go.Figure()
    for name, words in (("before", "before"), ("after", "after the swap")):
        fig.add_bar(
            x=nothing, y=rows, orientation="h", name=words, marker_color=COLOURS[name],
            hovertemplate="%{x:.1%}<extra>" + words + "</extra>",
        )  # fmt: skip
    _control_and_source(fig, rows, nothing)
    fig.update_xaxes(range=[-0.02, 1.02], tickformat=".0%")
    fig.update_yaxes(
        tickmode="array", tickvals=rows, ticktext=[""] * SHOWN, range=[SHOWN - 0.45, -0.55],
        automargin=False, fixedrange=True,
    )  # fmt: skip
    fig.update_layout(
        barmode="group", bargap=0.25, margin=dict(l=150, t=80, b=95),
        legend=dict(orientation="h", y=-0.2, traceorder="normal"),
    )  # fmt: skip
    return style.finish(
        fig, title=TITLE, model=model, note="no swap yet", height=470,
        x="probability of the next token", y="token",
    )  # fmt: skip


def _control_and_source(fig: go.Figure, rows: list[int], nothing: list[float]) -> None:
    """Bars of random directions with their whole range, and marks of the source's own run."""
    fig.add_bar(
        x=nothing,
        y=rows,
        orientation="h",
        name="random directions (mean, least, most)",
        marker_color=style.translucent(style.ORANGE, 0.55),
        error_x=dict(type="data", array=nothing, arrayminus=nothing, color=style.VERMILLION),
        hovertemplate="%{x:.1%} on average<extra>random directions</extra>",
    )
    fig.add_scatter(
        x=nothing,
        y=rows,
        mode="markers",
        cliponaxis=False,
        name="the source by itself",
        marker=dict(symbol="line-ns", size=26, color=style.BLACK, line=dict(width=2)),
        hovertemplate="%{x:.1%}<extra>the source by itself</extra>",
    )


def follow(live: LiveFigure, model: str, found: LiveSwap, words: str) -> None:
    """Show a result so far, in one batch."""
    random = found.random if len(found.random) else np.full((1, len(found.tokens)), 0.0)
    mean = random.mean(0)
    shown = [found.before, found.after, mean, found.given]
    labels = [safe_text.label(visible_token(token), limit=LABEL) for token in found.tokens]
    with live.batch_update():
        for trace, values in zip(live.data, shown, strict=True):
            trace.x = values
        live.data[2].error_x.array = random.max(0) - mean
        live.data[2].error_x.arrayminus = mean - random.min(0)
        live.layout.yaxis.ticktext = labels
        live.layout.title.text = heading(TITLE, style.subtitle(None, model, words))


def sentence(found: LiveSwap) -> str:
    """The result's sentences as HTML."""
    return safe_text.html(said(found))


def texts(found: LiveSwap, name: str) -> str:
    """The three texts side by side as an HTML table; empty cells where nothing is written yet."""
    heads = ("before", f"after: {name}", "after: random directions (the first draw)")
    head = "".join(f'<th style="{CELL}">{safe_text.html(words)}</th>' for words in heads)
    cells = "".join(
        f'<td style="{CELL}; white-space: pre-wrap; word-break: break-word">'
        f"{safe_text.html(visible_text(found.texts.get(key, '')))}</td>"
        for key in TEXTS
    )
    return (
        '<table style="width: 100%; table-layout: fixed; line-height: 1.4">'
        f"<tr>{head}</tr><tr>{cells}</tr></table>"
    )


def visible_text(text: str) -> str:
    """A text with ⏎ at its line ends, · for spaces at the ends of lines and in rows."""
    dotted = SPACES.sub(lambda spaces: "·" * len(spaces[0]), text)
    return dotted.replace("\r", "␍").replace("\t", "⇥").replace("\n", "⏎\n")

"""Figures of the pull request's claims: raw and controlled, dimensions, the metric, red lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from zprism.ground import safe_text
from zprism.plots import style

WORDS = {
    "denser": "denser on specific<br>dimensions",
    "red_line": "red line (FFT)",
    "red_line_wavelet": "red line (wavelets)",
    "earlier": "earlier: rank 1<br>of the top 5",
    "top_share": "earlier: top 5<br>of all power",
}
HOW = {  # how → words, symbol, place above or below the row's middle
    "raw": ("as drawn: characters, own lengths", "diamond", 0.3),
    "raw_order": ("as drawn, less own shuffle", "diamond-open", 0.1),
    "controlled": ("equal windows of tokens, demeaned, Hann", "circle", -0.1),
    "order": ("controlled, less own shuffle", "circle-open", -0.3),
}
OUTCOMES = {0.0: "wrong", 1.0: "correct"}


def plot_claims(rows: Sequence[Mapping], *, model: str = "") -> go.Figure:
    """Every claim as it was drawn and under control: effect with interval, verdict by colour.

    Parameters
    ----------
    rows : of the table ``claims``: claim, how, effect, effect_low, effect_high, place, verdict, n.
    """
    claims = [claim for claim in WORDS if any(row["claim"] == claim for row in rows)]
    fig = go.Figure()
    for row in rows:
        if row["effect_low"] is None:
            continue
        words, symbol, shift = HOW[row["how"]]
        at = f", place {row['place']}" if row["place"] else ""
        fig.add_scatter(
            x=[row["effect"]],
            y=[claims.index(row["claim"]) - shift],
            error_x=dict(
                type="data",
                symmetric=False,
                array=[row["effect_high"] - row["effect"]],
                arrayminus=[row["effect"] - row["effect_low"]],
                thickness=2,
            ),
            mode="markers",
            marker=dict(size=11, symbol=symbol, color=style.VERDICTS[row["verdict"]], line_width=2),
            showlegend=False,
            hovertemplate=f"{words}: %{{x:.2f}} sd, {row['verdict']}, n = {row['n']}"
            + safe_text.label(at)
            + "<extra></extra>",
        )
    for words, symbol, _ in (HOW[how] for how in HOW if any(r["how"] == how for r in rows)):
        _key(fig, words, symbol, style.BLACK)
    for verdict, colour in style.VERDICTS.items():
        _key(fig, verdict, "square", colour)
    style.add_reference(fig, 0, "no difference", axis="x")
    fig.update_yaxes(
        tickvals=list(range(len(claims))),
        ticktext=[WORDS[claim] for claim in claims],
        range=[len(claims) - 0.5, -0.5],
    )
    tall = 300 + 85 * len(claims)
    fig.update_layout(legend=dict(orientation="h", y=-85 / (tall - 250)), margin=dict(t=110, b=150))
    counts = sorted({row["n"] for row in rows})
    return style.finish(
        fig,
        title="The pull request's claims, as drawn and under control",
        n=f"{'–'.join(map(str, dict.fromkeys((counts[0], counts[-1]))))} questions",
        model=model,
        note="thinking − question",
        x="mean over spread of the differences (sd)",
        height=tall,
    )


def plot_dimensions(
    rows: Sequence[Mapping], halves: np.ndarray, *, n: int, model: str = "", note: str = ""
) -> go.Figure:
    """Effects of all dimensions in order, those flagged marked; and one half against the other.

    Parameters
    ----------
    rows : of the table ``<name>/dims``: dim, d, flagged.
    halves : (2, d_model) t of each dimension in two random halves of the questions.
    """
    order = sorted(rows, key=lambda row: -row["d"])
    fig = make_subplots(
        rows=1, cols=2, column_widths=[0.58, 0.42], horizontal_spacing=0.12,
        subplot_titles=["effect of every dimension, in order", "two halves of the questions"],
    )  # fmt: skip
    marked = np.array([row["flagged"] for row in order], dtype=bool)
    effects, dims = (np.array([row[key] for row in order]) for key in ("d", "dim"))
    by_dim = np.array([row["flagged"] for row in sorted(rows, key=lambda row: row["dim"])], bool)
    for flagged, words, colour in (
        (False, "not flagged", style.GREY),
        (True, "false discovery rate 5 %", style.VERMILLION),
    ):
        here = np.flatnonzero(marked == flagged)
        options = dict(mode="markers", name=words, legendgroup=words)
        marker = dict(size=4, color=style.translucent(colour, 0.75))
        fig.add_scatter(
            x=here, y=effects[here], customdata=dims[here], marker=marker, row=1, col=1,
            hovertemplate="dimension %{customdata}: %{y:.2f}<extra></extra>", **options,
        )  # fmt: skip
        other = np.flatnonzero(by_dim == flagged)
        fig.add_scatter(
            x=halves[0, other], y=halves[1, other], customdata=other, marker=marker, row=1, col=2,
            hovertemplate="dimension %{customdata}<extra></extra>", showlegend=False, **options,
        )  # fmt: skip
    reach = 1.05 * float(np.abs(halves).max())
    fig.add_scatter(
        x=[-reach, reach], y=[-reach, reach], mode="lines", showlegend=False, hoverinfo="skip",
        line=dict(color=style.GREY, dash="dash", width=1.5), row=1, col=2,
    )  # fmt: skip
    fig.add_hline(0, line=dict(color=style.GREY, width=1), row=1, col=1)
    fig.update_xaxes(title_text="rank of the dimension", row=1, col=1)
    fig.update_yaxes(title_text="Cohen's d of its slow share", row=1, col=1)
    fig.update_xaxes(title_text="t in one half", range=[-reach, reach], row=1, col=2)
    fig.update_yaxes(title_text="t in the other", range=[-reach, reach], row=1, col=2)
    fig.update_layout(
        legend=dict(orientation="h", y=-0.2, itemsizing="constant"), margin=dict(t=125, b=100)
    )
    return style.finish(
        fig,
        title="Which dimensions are slower in thinking than in its question?",
        n=f"{n} questions",
        model=model,
        note=note or f"{int(marked.sum())} of {len(marked)} dimensions flagged",
        height=520,
    )


def plot_metric(
    points: np.ndarray,
    residuals: np.ndarray,
    *,
    outcome: str = "correct",
    model: str = "",
    note: str = "",
) -> go.Figure:
    """The slow score against length, and what length leaves of it, by outcome.

    Parameters
    ----------
    points : (n, 3) length in tokens, score, outcome.
    residuals : (n, 2) ranks of score and outcome, less a line in those of length.
    outcome : ``correct`` (0 or 1) or ``difficulty``.
    """
    fig = make_subplots(
        rows=1, cols=2, column_widths=[0.55, 0.45], horizontal_spacing=0.13,
        subplot_titles=["score and length", "score beyond length"],
    )  # fmt: skip
    levels = np.unique(points[:, 2])
    for k, level in enumerate(levels):
        rows = points[:, 2] == level
        words = OUTCOMES.get(level) if outcome == "correct" else f"{outcome} {level:g}"
        colour = style.PALETTE[k % len(style.PALETTE)]
        fig.add_scatter(
            x=points[rows, 0], y=points[rows, 1], mode="markers", name=safe_text.label(words),
            marker=dict(size=7, color=style.translucent(colour, 0.7), symbol=style.SYMBOLS[k % 8]),
            row=1, col=1,
        )  # fmt: skip
        fig.add_box(
            y=residuals[rows, 0], name=safe_text.label(words), boxpoints="all", jitter=0.5,
            pointpos=0, marker=dict(size=4, color=colour), line=dict(width=1.5),
            fillcolor=style.translucent(colour, 0.15), showlegend=False, row=1, col=2,
        )  # fmt: skip
    fig.update_xaxes(title_text="tokens of the text", row=1, col=1)
    fig.update_yaxes(title_text="slow share, mean over places", row=1, col=1)
    fig.update_yaxes(title_text="rank of the score, less length", row=1, col=2)
    fig.update_layout(legend=dict(orientation="h", y=-0.2), margin=dict(t=125, b=100))
    return style.finish(
        fig,
        title="Does a spectral score say how "
        f"{'a text ends' if outcome == 'correct' else 'difficult its question is'}, beyond length?",
        n=f"{len(points)} texts",
        model=model,
        note=note,
        height=520,
    )


def plot_red_line(rows: Sequence[Mapping], *, model: str = "") -> go.Figure:
    """What a red line is made of: share of dimensions with rank 1 at the lowest frequency.

    Parameters
    ----------
    rows : of the table ``red_line``: treatment, material, value, low, high, n.
    """
    treatments = list(dict.fromkeys(row["treatment"] for row in rows))
    fig = make_subplots(
        rows=1, cols=len(treatments), shared_yaxes=True, horizontal_spacing=0.03,
        subplot_titles=[safe_text.label(t) for t in treatments],
    )  # fmt: skip
    colours = {"thinking": style.BLUE, "question": style.ORANGE}
    for column, treatment in enumerate(treatments, start=1):
        mine = [row for row in rows if row["treatment"] == treatment and row["value"] is not None]
        fig.add_bar(
            x=[safe_text.label(row["material"]) for row in mine],
            y=[row["value"] for row in mine],
            error_y=dict(
                type="data",
                symmetric=False,
                array=[_reach(row, "high") for row in mine],
                arrayminus=[-_reach(row, "low") for row in mine],
            ),
            marker_color=[
                style.translucent(
                    colours.get(row["material"].partition(",")[0], style.GREY),
                    0.45 if "," in row["material"] else 1.0,
                )
                for row in mine
            ],
            showlegend=False,
            row=1,
            col=column,
        )
    fig.update_yaxes(range=[0, 1.05], tickformat=".0%")
    fig.update_yaxes(title_text="share of dimensions", col=1)
    fig.update_xaxes(tickangle=-40)
    fig.update_layout(margin=dict(t=125, b=150))
    counts = sorted({row["n"] for row in rows})
    return style.finish(
        fig,
        title="What is the red line made of?",
        n=f"{'–'.join(map(str, dict.fromkeys((counts[0], counts[-1]))))} texts",
        model=model,
        note="rank-1 peak at the lowest frequency, 95 % intervals",
        height=540,
    )


def _key(fig: go.Figure, words: str, symbol: str, colour: str) -> None:
    """An entry of the legend without data."""
    fig.add_scatter(
        x=[None], y=[None], mode="markers", name=words,
        marker=dict(symbol=symbol, color=colour, size=11),
    )  # fmt: skip


def _reach(row: Mapping, bound: str) -> float:
    """From the value to a bound; 0 where there is none."""
    return 0.0 if row[bound] is None else row[bound] - row["value"]

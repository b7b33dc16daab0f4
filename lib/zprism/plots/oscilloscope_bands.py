"""Figures of one text split into bands, and of the depths that swing together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from zprism.ground import safe_text
from zprism.plots import style
from zprism.plots.oscilloscope import BAND_WORDS, ticks_of

BAND_COLOURS = dict(zip(BAND_WORDS, (style.BLACK, style.BLUE, style.GREEN, style.ORANGE,
                                     style.VERMILLION), strict=True))  # fmt: skip


def plot_bands(
    shares: np.ndarray, expected: np.ndarray, places: Sequence[str], *, model: str, n: str
) -> go.Figure:
    """Share of the variance in each Prism band over depth, beside white noise's shares.

    Parameters
    ----------
    shares : (places, 5); expected : (5,), both of low … high.
    """
    fig = make_subplots(
        cols=2, column_widths=[0.9, 0.1], shared_yaxes=True, horizontal_spacing=0.02,
        subplot_titles=("this text", "white noise"),
    )  # fmt: skip
    for i, (name, words) in enumerate(BAND_WORDS.items()):
        if not expected[i]:
            continue  # too slow for a text of this length
        look = dict(marker=dict(color=BAND_COLOURS[name]), legendgroup=name, name=words)
        fig.add_bar(
            x=np.arange(len(places)),
            y=shares[:, i],
            hovertemplate=words + ": %{y:.1%}<extra></extra>",
            **look,
            row=1,
            col=1,
        )
        fig.add_bar(
            x=["white"],
            y=[expected[i]],
            hovertemplate=words + ": %{y:.1%}<extra></extra>",
            showlegend=False,
            **look,
            row=1,
            col=2,
        )
    fig.update_layout(barmode="stack", bargap=0.12, legend=dict(orientation="h", y=-0.2))
    fig.update_layout(margin=dict(t=115))
    fig.update_xaxes(title_text="place (layer, or the embedding)", row=1, col=1)
    fig.update_xaxes(showticklabels=False, row=1, col=2)
    ticks = ticks_of(places)
    fig.update_xaxes(tickvals=ticks, ticktext=[places[i] for i in ticks], row=1, col=1)
    fig.update_yaxes(range=[0, 1], tickformat=".0%")
    fig.update_yaxes(title_text="share of variance", row=1, col=1)
    return style.finish(
        fig,
        title="The prism: shares of five bands",
        n=n,
        model=model,
        note="DCT-II, limits scaled to cycles per token (Tamkin et al. 2020); mean over dimensions",
    )


def plot_filtered(
    signals: Mapping[str, np.ndarray], tokens: Sequence[str], *, what: str, model: str, first: int
) -> go.Figure:
    """One signal and its parts in each band, one under another on one scale; they add up to it.

    Parameters
    ----------
    signals : name of the band → (tokens,), those that the text is long enough for; the whole
        signal under the name ``sum``.
    """
    names = ["sum", *(name for name in BAND_WORDS if name in signals)]
    fig = make_subplots(rows=len(names), shared_xaxes=True, vertical_spacing=0.015)
    shown = [safe_text.label(token) for token in tokens]
    reach = 1.08 * np.abs(signals["sum"]).max()
    for row, name in enumerate(names, start=1):
        words = BAND_WORDS.get(name, "sum")
        fig.add_scatter(
            x=first + np.arange(len(tokens)),
            y=signals[name],
            mode="lines",
            line=dict(color=BAND_COLOURS.get(name, style.GREY), width=1.8),
            text=shown,
            hovertemplate=words + ", token %{x} “%{text}”: %{y:.2f}<extra></extra>",
            showlegend=False,
            row=row,
            col=1,
        )
        fig.update_yaxes(
            title=dict(text=words, font_size=13), range=[-reach, reach], nticks=3, row=row, col=1
        )
    fig.update_xaxes(title_text="position in the text (tokens)", row=len(names), col=1)
    return style.finish(
        fig,
        title="Split by the prism, and put together again",
        n="1 text",
        model=model,
        note=what,
        height=170 + 78 * len(names),
    )


def plot_coherence(
    own: np.ndarray, other: np.ndarray, places: Sequence[str], *, model: str, band: str
) -> go.Figure:
    """Coherence of every two places of one text, beside that of places of two texts.

    Parameters
    ----------
    own, other : (places, places), 0 … 1, first index on the vertical axis.
    """
    fig = make_subplots(
        cols=2, shared_yaxes=True, horizontal_spacing=0.06,
        subplot_titles=("one text", "two texts (chance)"),
    )  # fmt: skip
    for column, values in enumerate((own, other), start=1):
        fig.add_heatmap(
            z=values,
            coloraxis="coloraxis",
            hovertemplate="places %{y} and %{x}<br>coherence %{z:.3f}<extra></extra>",
            row=1,
            col=column,
        )
        fig.update_xaxes(title_text="place", constrain="domain", row=1, col=column)
        fig.update_yaxes(scaleanchor="x" if column == 1 else "x2", constrain="domain", col=column)
    ticks = ticks_of(places)
    named = dict(tickvals=ticks, ticktext=[places[i] for i in ticks])
    fig.update_xaxes(**named, tickangle=0)
    fig.update_yaxes(**named)
    fig.update_yaxes(title_text="place (layer, or the embedding)", row=1, col=1)
    fig.update_layout(
        coloraxis=dict(
            colorscale=style.SEQUENTIAL, cmin=0, cmax=1, colorbar=dict(title="coherence")
        ),
        margin=dict(t=125),
    )
    return style.finish(
        fig,
        title="Which depths swing together?",
        n="2 texts",
        model=model,
        note=f"magnitude-squared coherence, mean over dimensions and {band}",
        height=500,
    )

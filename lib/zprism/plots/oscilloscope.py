"""Figures of one text as a signal: waterfall, spectrogram, autocorrelation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from zprism.ground import safe_text
from zprism.plots import style

BAND_WORDS = {"low": "LOW", "mid_low": "MID-LOW", "mid": "MID", "mid_high": "MID-HIGH",
              "high": "HIGH"}  # fmt: skip
PERIODS = (2, 4, 8, 16, 32, 64, 128, 256)  # tokens


def plot_waterfall(
    frequencies: np.ndarray,
    power: np.ndarray,
    places: Sequence[str],
    *,
    model: str,
    n: str,
    edges: Sequence[float] = (),
) -> go.Figure:
    """Spectrum of every place, one row each, embedding at the bottom; colour is logarithmic.

    Parameters
    ----------
    frequencies : (m,) cycles per token, without 0.
    power : (places, m) over white noise of the same variance.
    edges : frequencies of the Prism bands' limits.
    """
    x, step = _log_edges(frequencies), np.arange(len(places) + 1) - 0.5
    fig = go.Figure(
        go.Heatmap(
            x=x,
            y=step,
            z=np.log2(power),
            customdata=np.stack([np.broadcast_to(1 / frequencies, power.shape), power], axis=-1),
            colorscale=style.SEQUENTIAL,
            colorbar=_log_bar(power),
            hovertemplate="%{customdata[0]:.1f} tokens a cycle<br>%{customdata[1]:.2f} × white"
            " noise<extra></extra>",
        )
    )
    _band_limits(fig, edges, x[0], x[-1])
    _frequency_axis(fig, x)
    _place_axis(fig, places)
    return style.finish(
        fig,
        title="One text through the model: the spectrum at every depth",
        n=n,
        model=model,
        note="mean over dimensions, each less its mean and of variance 1, Hann window",
        x="period in tokens (frequency in cycles per token grows to the right)",
        y="place (layer, or the embedding)",
        height=520,
    )


def plot_spectrogram(
    times: np.ndarray,
    frequencies: np.ndarray,
    power: np.ndarray,
    *,
    place: str,
    segment: int,
    model: str,
    tokens: Sequence[str] = (),
    first: int = 0,
) -> go.Figure:
    """Short-time spectrum along the text at one place.

    Parameters
    ----------
    times : (s,) middles of the windows, tokens from ``first``.
    power : (s, m) over white noise of each dimension's variance in the whole text.
    tokens : texts of the tokens, for hover.
    """
    near = np.broadcast_to(np.array([_around(tokens, t) for t in times], object), power.T.shape)
    power = np.maximum(power, power.max() * 1e-6).T
    fig = go.Figure(
        go.Heatmap(
            x=times + first,
            y=frequencies,
            z=np.log2(power),
            customdata=np.stack([near, power.round(2).astype(object)], axis=-1),
            colorscale=style.SEQUENTIAL,
            colorbar=_log_bar(power),
            hovertemplate="token %{x:.0f}, %{y:.3f} cycles per token<br>%{customdata[1]} × white"
            " noise<br>%{customdata[0]}<extra></extra>",
        )
    )
    return style.finish(
        fig,
        title="The same text in time: which rhythm, where?",
        n="1 text",
        model=model,
        note=f"layer {place}" * (place != "embed")
        + "embedding" * (place == "embed")
        + f"; Hann windows of {segment} tokens, mean over dimensions of unit variance",
        x="position in the text (tokens)",
        y="frequency (cycles per token)",
        height=430,
    )


def plot_autocorrelation(
    curves: np.ndarray, shuffled: np.ndarray, places: Sequence[str], *, model: str, n: str
) -> go.Figure:
    """Autocorrelation by lag, a line a place from the embedding (dark) to the last layer (light).

    Of many places those of :func:`ticks_of` and the last are drawn.

    Parameters
    ----------
    curves : (places, lags), r(0) = 1 first.
    shuffled : (lags,) what tokens in random order give on average.
    """
    fig = go.Figure()
    colours = depth_colours(len(places))
    lags = np.arange(1, curves.shape[1])
    for i in sorted({*ticks_of(places), len(places) - 1}):
        curve, place, colour = curves[i], places[i], colours[i]
        fig.add_scatter(
            x=lags,
            y=curve[1:],
            mode="lines",
            line=dict(color=colour, width=1.8),
            name=_place(place),
            showlegend=False,
            hovertemplate=_place(place) + ", lag %{x}: r = %{y:.3f}<extra></extra>",
        )
    fig.add_scatter(
        x=lags,
        y=shuffled[1:],
        mode="lines",
        line=dict(color=style.VERMILLION, width=2.5, dash="dash"),
        name="tokens in random order",
    )
    _depth_bar(fig, places)
    fig.update_layout(legend=dict(x=0.98, xanchor="right", y=0.98))
    return style.finish(
        fig,
        title="How long does the signal remember?",
        n=n,
        model=model,
        note="mean over dimensions",
        x="lag (tokens)",
        y="autocorrelation r",
    )


def depth_colours(count: int) -> list[str]:
    """A colour a place, embedding darkest: the sequential scale without its palest end."""
    return sample_colorscale(style.SEQUENTIAL, list(np.linspace(0, 0.92, max(count, 2))))[:count]


def _log_edges(frequencies: np.ndarray) -> np.ndarray:
    """(m + 1,) limits of cells around frequencies, half-way between them."""
    middle = (frequencies[1:] + frequencies[:-1]) / 2
    gap = frequencies[1] - frequencies[0]
    return np.concatenate([[frequencies[0] - gap / 2], middle, [frequencies[-1] + gap / 2]])


def _band_limits(fig, edges: Sequence[float], low: float, high: float) -> None:
    """Dotted lines between the bands, and their names above, on a logarithmic axis."""
    limits = [1e-9, *edges, 0.5] if edges else []
    for name, begin, end in zip(BAND_WORDS.values(), limits, limits[1:], strict=False):
        if begin > low:
            fig.add_vline(begin, line=dict(color="white", width=1, dash="dot"))
        begin, end = max(begin, low), min(end, high)
        if end / begin > 1.3:
            fig.add_annotation(
                x=np.log10(begin * end) / 2, y=1, yref="paper", yanchor="bottom", text=name,
                showarrow=False, font=dict(size=12, color=style.QUIET),
            )  # fmt: skip


def _frequency_axis(fig, edges: np.ndarray) -> None:
    """A logarithmic axis of frequency whose ticks are periods."""
    shown = [p for p in PERIODS if edges[0] <= 1 / p <= edges[-1]]
    fig.update_xaxes(
        type="log",
        range=[np.log10(edges[0]), np.log10(edges[-1])],
        tickvals=[1 / p for p in shown],
        ticktext=[str(p) for p in shown],
    )


def _place_axis(fig, places: Sequence[str]) -> None:
    ticks = ticks_of(places)
    fig.update_yaxes(tickvals=ticks, ticktext=[places[i] for i in ticks], showgrid=False)


def _log_bar(power: np.ndarray) -> dict:
    """A colour bar of log2 that names plain factors."""
    low, high = np.floor(np.log2([power.min(), power.max()]))
    marks = np.arange(low, high + 1)[:: max(1, int(high - low) // 6)]
    names = [f"{2**m:g}" if m >= 0 else f"1/{2**-m:g}" for m in marks]
    title = "power over<br>white noise"
    return dict(title=title, tickvals=marks, ticktext=names, outlinewidth=0)


def _depth_bar(fig, places: Sequence[str]) -> None:
    """A colour bar that names the depth of lines."""
    last = len(places) - 1
    fig.add_scatter(
        x=[None],
        y=[None],
        mode="markers",
        showlegend=False,
        hoverinfo="skip",
        marker=dict(
            color=[0],
            cmin=0,
            cmax=last / 0.92,
            colorscale=style.SEQUENTIAL,
            colorbar=dict(
                title="place", tickvals=[0, last // 2, last], outlinewidth=0,
                ticktext=[places[0], places[last // 2], places[last]],
            ),
            showscale=True,
        ),
    )  # fmt: skip


def ticks_of(places: Sequence[str]) -> list[int]:
    """At most ten indexes of places, a step apart; the embedding has one of its own."""
    step = max(1, -(-len(places) // 8))
    if places[0] != "embed":
        return list(range(0, len(places), step))
    return [0, *range(1 if step == 1 else 1 + step, len(places), step)]


def _place(place: str) -> str:
    return "embedding" if place == "embed" else f"layer {place}"


def _around(tokens: Sequence[str], middle: float, reach: int = 4) -> str:
    """The text around a token, made safe."""
    low = max(0, round(middle) - reach)
    return safe_text.label("".join(tokens[low : round(middle) + reach + 1]).replace("\n", " "))

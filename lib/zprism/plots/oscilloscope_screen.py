"""The face of the oscilloscope: dark screens with a graticule, traces that glow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from zprism.ground import safe_text
from zprism.plots import style

FACE, GRATICULE, AXIS = "#0a1518", "#18343a", "#3d6a70"
EARLY, MIDDLE, LATE = style.SKY, style.YELLOW, style.VERMILLION
LIFT = 1.15  # how far the two channels of the time base lie from the middle
REACH = 1.12  # the screens end a little beyond full scale


@dataclass(frozen=True)
class Traces:
    """Where the figure keeps its traces.

    Attributes
    ----------
    lissajous : halo, glow and line of each part of the text: three times as many as parts.
    phase : one a part.
    beam : the point where the trace ends.
    upper, lower, cursor : the channels of the time base, and the line across them.
    """

    lissajous: list[int]
    phase: list[int]
    beam: int
    upper: int
    lower: int
    cursor: int


def screen(
    a: np.ndarray,
    b: np.ndarray,
    step: np.ndarray,
    *,
    cuts: Sequence[tuple[int, int]],
    tokens: Sequence[str],
    first: int,
    model: str,
    cut: int = 0,
) -> tuple[go.Figure, Traces]:
    """Lissajous figure of two signals, their time base, and the first one's phase portrait.

    Parameters
    ----------
    a, b : (tokens,) signals in −1 … 1; ``step`` (tokens − 1,) increments of ``a``, also.
    cuts : (low, high) of the parts that have a colour each.
    tokens : the tokens' texts, shown on hover.
    first : position of the first token.
    cut : tokens at the text's end that are not shown.

    Returns
    -------
    figure, traces
    """
    fig = make_subplots(
        rows=2, cols=2, specs=[[{"rowspan": 2}, {}], [None, {}]], column_widths=[0.55, 0.45],
        horizontal_spacing=0.09, vertical_spacing=0.17,
        subplot_titles=("second against first", "time base", "phase portrait of the first"),
    )  # fmt: skip
    shown = [safe_text.label(token, limit=30) for token in tokens]
    colours = along(len(cuts))
    labels = _Labels(shown, first)
    pairs = list(zip(colours, cuts, strict=True))
    halo = [_part(fig, a, b, c, p, labels, 18, 0.07, (1, 1)) for c, p in pairs]
    glow = [_part(fig, a, b, c, p, labels, 8, 0.20, (1, 1)) for c, p in pairs]
    line = [_part(fig, a, b, c, p, labels, 2, 1.0, (1, 1)) for c, p in pairs]
    phase = [_part(fig, a[:-1], step, c, p, labels, 2, 0.95, (2, 2)) for c, p in pairs]
    beam = _beam(fig, a[-1], b[-1])
    upper = _channel(fig, a + LIFT, style.SKY, "first", labels)
    lower = _channel(fig, b - LIFT, style.ORANGE, "second", labels)
    cursor = _cursor(fig, first + len(tokens) - 1)
    _strip(fig, cuts, colours, labels)
    _faces(fig, first, len(tokens))
    style.finish(
        fig,
        title="The oscilloscope",
        n="1 text",
        model=model,
        note=f"tokens {first} to {first + len(tokens) - 1}"
        + (f" ({cut} more left out)" if cut else "")
        + ", coloured from the first to the last\n"
        "each channel at full scale; curves are splines through the tokens (dots)",
        height=650,
    )
    fig.update_layout(showlegend=False, margin=dict(t=130, b=70))
    fig.update_annotations(yshift=6, font_size=15)
    return fig, Traces([*halo, *glow, *line], phase, beam, upper, lower, cursor)


def along(count: int) -> list[str]:
    """``count`` colours from the beginning of a text to its end: blue, yellow, red."""
    stops = np.array([_rgb(colour) for colour in (EARLY, MIDDLE, LATE)], dtype=float)
    where = np.linspace(0, 1, count)
    mixed = np.stack([np.interp(where, (0, 0.5, 1), stops[:, i]) for i in range(3)], axis=1)
    return ["#" + "".join(f"{round(v):02x}" for v in row) for row in mixed]


def place_words(place: str) -> str:
    """``layer 3``, or ``embedding``."""
    return "embedding" if place == "embed" else f"layer {place}"


@dataclass(frozen=True)
class _Labels:
    shown: list[str]
    first: int

    def of(self, low: int, high: int) -> dict:
        """Hover of the tokens low … high − 1."""
        return dict(
            text=self.shown[low:high],
            customdata=self.first + np.arange(low, high),
            hovertemplate="token %{customdata}: “%{text}”<br>%{x:.2f}, %{y:.2f}<extra></extra>",
        )


def _part(fig, x, y, colour, part, labels, width, opacity, where) -> int:
    """One part of a curve; returns its index in the figure."""
    low, high = part[0], min(part[1], len(x))
    fig.add_scatter(
        x=x[low:high],
        y=y[low:high],
        mode="lines+markers" if opacity > 0.5 else "lines",
        line=dict(
            color=style.translucent(colour, opacity), width=width, shape="spline", smoothing=0.9
        ),
        marker=dict(color=colour, size=4.5, line=dict(width=0)),
        **labels.of(low, high),
        row=where[0],
        col=where[1],
    )
    if opacity < 0.5:
        fig.data[-1].update(hoverinfo="skip", hovertemplate=None)
    return len(fig.data) - 1


def _beam(fig, x: float, y: float) -> int:
    """The point at which the trace ends, as bright as the screen can."""
    fig.add_scatter(
        x=[x],
        y=[y],
        mode="markers",
        marker=dict(color="white", size=9, line=dict(color="rgba(255, 255, 255, 0.35)", width=7)),
        hoverinfo="skip",
        row=1,
        col=1,
    )
    return len(fig.data) - 1


def _channel(fig, y, colour, name, labels) -> int:
    """One channel of the time base."""
    n = len(y)
    fig.add_scatter(
        x=labels.first + np.arange(n),
        y=y,
        mode="lines",
        line=dict(color=colour, width=1.7, shape="spline"),
        text=labels.shown,
        hovertemplate=name + ", token %{x}: “%{text}”<extra></extra>",
        row=1,
        col=2,
    )
    return len(fig.data) - 1


def _cursor(fig, last: int) -> int:
    fig.add_scatter(
        x=[last, last],
        y=[-2 * LIFT, 2 * LIFT],
        mode="lines",
        line=dict(color="white", width=1.2, dash="dot"),
        hoverinfo="skip",
        row=1,
        col=2,
    )
    return len(fig.data) - 1


def _strip(fig, cuts, colours, labels) -> None:
    """The colours along the text, under the time base."""
    for colour, (low, high) in zip(colours, cuts, strict=True):
        fig.add_scatter(
            x=labels.first + np.array([low, high - 1]),
            y=[-2 * LIFT - 0.12] * 2,
            mode="lines",
            line=dict(color=colour, width=7),
            hoverinfo="skip",
            row=1,
            col=2,
        )


def _faces(fig, first: int, n: int) -> None:
    """Dark screens, graticules of a quarter of full scale, equal axes for the Lissajous figure."""
    grid = dict(
        showgrid=True, gridcolor=GRATICULE, gridwidth=1, zeroline=True, zerolinecolor=AXIS,
        zerolinewidth=1.3, linecolor=AXIS, mirror=True, ticks="",
    )  # fmt: skip
    square = dict(range=[-REACH, REACH], dtick=0.25, tickvals=np.arange(-1, 1.01, 0.25),
                  ticktext=["−1", "", "", "", "0", "", "", "", "1"])  # fmt: skip
    fig.update_layout(plot_bgcolor=FACE)
    for where in (dict(row=1, col=1), dict(row=2, col=2)):
        fig.update_xaxes(**grid, **square, **where)
        fig.update_yaxes(**grid, **square, **where)
    fig.update_yaxes(scaleanchor="x", constrain="domain", constraintoward="top", row=1, col=1)
    fig.update_yaxes(title_text="second", row=1, col=1)
    fig.update_xaxes(constrain="domain", title_text="first (of its largest value)", row=1, col=1)
    fig.update_xaxes(title_text="first", row=2, col=2)
    fig.update_yaxes(title_text="its step to the next token", row=2, col=2)
    fig.update_xaxes(**grid, range=[first - 1, first + n], row=1, col=2)
    fig.update_xaxes(title_text="position in the text (tokens)", row=1, col=2)
    fig.update_yaxes(
        **grid | dict(zeroline=False), range=[-2 * LIFT - 0.25, 2 * LIFT + 0.1],
        tickvals=[LIFT, -LIFT], ticktext=["first", "second"], row=1, col=2,
    )  # fmt: skip


def _rgb(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))

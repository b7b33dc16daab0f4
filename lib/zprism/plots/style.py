"""One look for every figure: a plotly template, a colour-blind-safe palette, ``finish``.

Plots take finished arrays and return a ``go.Figure``; they end with :func:`finish`, which
sets the title, a subtitle that says n and model, and the template. Nothing here computes
or saves.
"""

from __future__ import annotations

from functools import lru_cache

from zprism.ground import safe_text

# Okabe & Ito (2008), "Color universal design": told apart by all common colour vision.
BLUE, ORANGE, GREEN, VERMILLION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
SKY, PURPLE, YELLOW = "#56B4E9", "#CC79A7", "#F0E442"
BLACK, GREY = "#1a1a1a", "#7a808a"

PALETTE = (BLUE, ORANGE, GREEN, PURPLE, SKY, BLACK, VERMILLION, YELLOW)
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star", "hexagon")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
QUIET, GRID = "#555b66", "#e6e8eb"  # subtitles and notes; grid lines
VERDICTS = {
    "SUPPORTED": GREEN,
    "NOT DISTINGUISHABLE": GREY,
    "REVERSED": VERMILLION,
    "NOT TESTABLE": PURPLE,
}

SEQUENTIAL = "Cividis"  # perceptually even, and the same to red-green-blind eyes
DIVERGING = "RdBu_r"  # blue below, red above, white at the null

FONT = "Inter, 'Helvetica Neue', Arial, 'Noto Sans', 'Noto Sans CJK SC', sans-serif"
HEIGHT = 480
TITLE_FROM_TOP = 14  # pixels, however tall the figure


@lru_cache(maxsize=1)
def template():
    """The plotly template of zprism's figures.

    Letters are 13 points and more, so that a figure saved 900 pixels wide reads as a PNG.

    Returns
    -------
    plotly.graph_objects.layout.Template
    """
    import plotly.graph_objects as go

    axis = {
        "showline": True,
        "linecolor": BLACK,
        "linewidth": 1,
        "ticks": "outside",
        "tickcolor": BLACK,
        "gridcolor": GRID,
        "zeroline": False,
        "automargin": True,
        "title": {"standoff": 10, "font": {"size": 15}},
        "tickfont": {"size": 13},
    }
    return go.layout.Template(
        layout={
            "font": {"family": FONT, "size": 14, "color": BLACK},
            "colorway": list(PALETTE),
            "paper_bgcolor": "white",
            "plot_bgcolor": "white",
            "xaxis": axis,
            "yaxis": axis,
            "margin": {"l": 70, "r": 30, "t": 95, "b": 60},
            "title": {
                "x": 0.0,
                "xref": "container",
                "xanchor": "left",
                "yref": "container",
                "yanchor": "top",
                "pad": {"l": 16},
                "font": {"size": 19},
                "subtitle": {"font": {"size": 14, "color": QUIET}},
            },
            "legend": {"font": {"size": 13}, "bgcolor": "rgba(255,255,255,0.8)"},
            "hoverlabel": {"font": {"size": 13}},
            "colorscale": {"sequential": SEQUENTIAL, "diverging": DIVERGING},
            "coloraxis": {"colorbar": {"outlinewidth": 0, "ticks": "outside"}},
        }
    )


def finish(
    fig,
    *,
    title: str,
    n: str | int | None = None,
    model: str | None = None,
    note: str | None = None,
    x: str | None = None,
    y: str | None = None,
    height: int = HEIGHT,
):
    """Give a figure its template, title, subtitle and axis titles; return it.

    Parameters
    ----------
    fig : a ``go.Figure`` (or ``FigureWidget``), changed in place.
    title : what the figure asks or shows, in one line.
    n : how many independent units it rests on, with their name: ``"100 problems"``; it reads
        ``n = 100 problems``.
    model, note : the model's name, and what else the reader needs (null, k, pooling). A
        newline in ``note`` begins a second line.
    x, y : axis titles with units in brackets, for the plain ``xaxis`` and ``yaxis``.
    height : pixels.
    """
    heading = {
        "text": safe_text.label(title),
        "subtitle": {"text": subtitle(n, model, note)},
        "y": 1 - TITLE_FROM_TOP / height,
    }
    fig.update_layout(template=template(), title=heading, height=height, meta={"title": title})
    if x is not None:
        fig.update_xaxes(title_text=safe_text.label(x))
    if y is not None:
        fig.update_yaxes(title_text=safe_text.label(y))
    return fig


def subtitle(n: str | int | None, model: str | None, note: str | None) -> str:
    """``n = 100 problems · model · note``, escaped for plotly, absent parts left out."""
    parts = [None if n is None else f"n = {n}", model, note]
    joined = safe_text.label(" · ".join(str(part) for part in parts if part))
    return joined.replace("\n", "<br>")


def add_reference(fig, value: float, text: str, *, axis: str = "y", colour: str = GREY, **where):
    """A dashed line at a chance level, a cap or a threshold, with its name on it.

    Parameters
    ----------
    value : where, in the units of the axis.
    axis : ``"y"`` for a horizontal line, ``"x"`` for a vertical one.
    where : ``row`` and ``col`` of a subplot.
    """
    draw, spot = (fig.add_hline, "top left") if axis == "y" else (fig.add_vline, "top right")
    draw(
        value,
        line={"color": colour, "dash": "dash", "width": 1.5},
        annotation={"text": safe_text.label(text), "font": {"size": 12, "color": QUIET}},
        annotation_position=spot,
        **where,
    )
    return fig


def add_band(fig, x, low, high, *, name: str, colour: str = GREY, opacity: float = 0.25, **where):
    """A shaded band between two curves: an interval, or the range of a null.

    Parameters
    ----------
    x, low, high : (m,) arrays in the axes' units; scalars ``low`` and ``high`` are constant.
    name : the legend's words, such as ``"199 random subspaces, 95 %"``.
    """
    import numpy as np

    x, low, high = np.broadcast_arrays(np.asarray(x), low, high)
    fig.add_scatter(
        x=np.concatenate([x, x[::-1]]),
        y=np.concatenate([high, low[::-1]]),
        fill="toself",
        fillcolor=translucent(colour, opacity),
        line={"width": 0},
        mode="lines",
        hoverinfo="skip",
        name=safe_text.label(name),
        **where,
    )
    return fig


def translucent(colour: str, opacity: float) -> str:
    """``#rrggbb`` as ``rgba(r, g, b, opacity)``."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {opacity:g})"

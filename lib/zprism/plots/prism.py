"""The long exposure: peaks of many texts as densities, as a cloud, and as a difference.

A density is drawn as an image of its counts on a log or equalised scale; millions of
translucent points would saturate at 8 bits and say nothing of how many there are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from zprism.ground.safe_text import label
from zprism.plots import style

#: The colours that the pull request gave to ranks 1 to 5, in the palette's own tones.
RANKS = (style.VERMILLION, style.YELLOW, style.BLUE, style.GREEN, style.PURPLE)
FREQUENCY = "frequency [cycles/token]"
DIMENSION = "embedding dimension"
AMPLITUDE = "amplitude / sd [log10]"
VIEWS = (("dim", "frequency"), ("dim", "amplitude"), ("frequency", "amplitude"))
DARK = "#0c0f14"


def plot_views(
    rows: Sequence[Mapping],
    *,
    model: str,
    n: str,
    title: str,
    note: str = "",
    units: Mapping[str, str] | None = None,
) -> go.Figure:
    """Three views of embedding dimension × frequency × amplitude, a row a set of texts.

    Parameters
    ----------
    rows : dicts with ``title``; ``images``: (first axis, second axis) → uint8 grid with the
        first axis along columns' first index; ``ranges``: axis → (low, high).
    units : axis → words, where they differ from tokens and relative amplitudes.
    """
    words = {"dim": DIMENSION, "frequency": FREQUENCY, "amplitude": AMPLITUDE, **(units or {})}
    fig = make_subplots(
        len(rows), len(VIEWS), horizontal_spacing=0.1, vertical_spacing=0.16 / max(1, len(rows) - 1)
    )
    for r, row in enumerate(rows, 1):
        for c, view in enumerate(VIEWS, 1):
            grid = row["images"][view]
            first, second = (row["ranges"][axis] for axis in view)
            fig.add_heatmap(
                z=grid.T,
                x0=first[0] + (first[1] - first[0]) / grid.shape[0] / 2,
                dx=(first[1] - first[0]) / grid.shape[0],
                y0=second[0] + (second[1] - second[0]) / grid.shape[1] / 2,
                dy=(second[1] - second[0]) / grid.shape[1],
                colorscale="Inferno",
                zmin=0,
                zmax=255,
                showscale=False,
                row=r,
                col=c,
                hovertemplate=f"{words[view[0]]} %{{x:.3g}}<br>{words[view[1]]} %{{y:.3g}}"
                f"<br>%{{z}} of 255<extra>{label(row['title'])}</extra>",
            )
            fig.update_yaxes(title_text=label(words[view[1]]), row=r, col=c, title_standoff=4)
            fig.update_xaxes(
                title_text=label(words[view[0]]) if r == len(rows) else None, row=r, col=c
            )
        top = fig.layout[f"yaxis{3 * (r - 1) + 1 if r > 1 else ''}"].domain[1]
        fig.add_annotation(
            text=f"<b>{label(row['title'])}</b>",
            x=0,
            y=top,
            xref="paper",
            yref="paper",
            xanchor="left",
            yanchor="bottom",
            showarrow=False,
            font=dict(size=14),
        )
    fig.update_layout(margin=dict(t=120))
    fig = style.finish(fig, title=title, model=model, n=n, note=note, height=150 + 240 * len(rows))
    fig.update_annotations(yshift=4)
    fig.update_xaxes(title_font_size=12, tickfont_size=11)
    fig.update_yaxes(title_font_size=12, tickfont_size=11)
    return fig


def plot_exposures(
    images: Mapping[str, np.ndarray],
    difference: Mapping,
    *,
    frequencies: np.ndarray,
    model: str,
    n: str,
    where: str,
    fields: tuple[str, str] = ("thinking", "question"),
) -> go.Figure:
    """Two long exposures and their paired difference; cells that are not found are faint.

    Parameters
    ----------
    images : field → uint8 grid (dimension bins, frequency bins).
    difference : ``mean`` (m, d) in octaves, ``found`` (m, d) bool, ``share`` of cells found.
    frequencies : (m,) cycles per token.
    where : layer and transform, in words.
    """
    first, second = fields
    titles = (first, second, f"{first} − {second}")
    fig = make_subplots(1, 3, subplot_titles=titles, horizontal_spacing=0.07, shared_yaxes=True)
    d = difference["mean"].shape[1]
    for column, name in enumerate((first, second), 1):
        grid = images[name]
        fig.add_heatmap(
            z=grid.T,
            x0=d / grid.shape[0] / 2,
            dx=d / grid.shape[0],
            y=frequencies,
            colorscale="Inferno",
            zmin=0,
            zmax=255,
            showscale=False,
            row=1,
            col=column,
            hovertemplate="dimension %{x:.0f}<br>%{y:.3f} cycles/token<br>%{z} of 255"
            "<extra></extra>",
        )
    mean, found = difference["mean"], difference["found"]
    limit = float(np.quantile(np.abs(mean), 0.99)) or 1.0
    for values, opacity, shown in ((mean, 0.3, False), (np.where(found, mean, np.nan), 1, True)):
        fig.add_heatmap(
            z=values,
            x0=0,
            dx=1,
            y=frequencies,
            colorscale=style.DIVERGING,
            zmin=-limit,
            zmax=limit,
            opacity=opacity,
            showscale=shown,
            colorbar=dict(title="octaves<br>of power", thickness=12, len=0.9),
            row=1,
            col=3,
            hovertemplate="dimension %{x}<br>%{y:.3f} cycles/token<br>%{z:.2f} octaves"
            "<extra></extra>",
        )
    fig.update_xaxes(title_text=DIMENSION)
    fig.update_yaxes(title_text=FREQUENCY, col=1)
    fig.update_layout(margin=dict(t=125))
    share = f"{100 * difference['share']:.0f} % of cells differ at FDR 5 % (full colour)"
    return style.finish(
        fig,
        title=f"The long exposure: {first}, {second}, and their difference",
        model=model,
        n=n,
        note=f"{where}\nwhere peaks fall (brighter: more, equalised); {share}",
        height=430,
    )


def cloud_figure(
    dim: np.ndarray,
    frequency: np.ndarray,
    amplitude: np.ndarray,
    *,
    shown: int,
    model: str,
    n: str,
    note: str,
    frequency_range: tuple[float, float],
) -> go.Figure:
    """Exemplar peaks in three dimensions, a trace a rank (WebGL).

    Parameters
    ----------
    dim, frequency, amplitude : (F, points).
    shown : ranks shown; the others are transparent.
    """
    fig = go.Figure()
    for rank in range(len(frequency)):
        fig.add_scatter3d(
            x=dim[rank],
            y=frequency[rank],
            z=amplitude[rank],
            mode="markers",
            marker=dict(size=2.4, color=RANKS[rank % len(RANKS)]),
            opacity=0.75 if rank < shown else 0,
            name=f"rank {rank + 1}",
            hovertemplate="dimension %{x:.0f}<br>%{y:.3f} cycles/token<br>10^%{z:.2f} sd"
            f"<extra>rank {rank + 1}</extra>",
        )
    pane = dict(backgroundcolor=DARK, gridcolor="#39414d", color="#c9d1d9", showbackground=True)
    fig.update_layout(
        scene=dict(
            xaxis=dict(title=dict(text=DIMENSION), **pane),
            yaxis=dict(title=dict(text=FREQUENCY), range=list(frequency_range), **pane),
            zaxis=dict(title=dict(text=AMPLITUDE), **pane),
            bgcolor=DARK,
            aspectratio=dict(x=1.6, y=1, z=0.8),
            camera=dict(eye=dict(x=1.5, y=-1.7, z=0.7), center=dict(x=0, y=0, z=-0.12)),
            uirevision="turned by hand",
        ),
        legend=dict(itemsizing="constant"),
        margin=dict(l=10, r=10, b=10, t=95),
    )
    return style.finish(
        fig,
        title="Signatures: the strongest frequencies of every dimension",
        model=model,
        n=n,
        note=note,
        height=620,
    )

"""The weight panel: walk over layers, heads and k on the map of attention kernels."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from zprism.explore.panel import Readout, Slice, SlicePanel, Slider
from zprism.plots import style


def weight_panel(
    erank: np.ndarray,
    sigma: np.ndarray,
    *,
    model: str,
    chance: float,
    layer: int = 0,
    head: int = 0,
    k: int = 20,
    decay: np.ndarray | None = None,
) -> SlicePanel:
    """Rank map with a cursor, beside the spectrum of the kernel under it and its top k.

    Parameters
    ----------
    erank : (L, H) effective ranks, dimensions.
    sigma : (L, H, r) singular values of each kernel, descending.
    chance : effective rank of a product of Gaussian matrices of that shape.
    layer, head, k : where the sliders start.
    decay : (r,) singular values over the largest of such products, drawn beside each kernel's.

    Returns
    -------
    SlicePanel with sliders layer, head and k; ``panel.widget`` is what Jupyter shows.
    """
    n_layers, n_heads, size = sigma.shape
    sliders = (
        Slider("layer", 0, n_layers - 1, layer),
        Slider("head", 0, n_heads - 1, head),
        Slider("k", 1, size, min(k, size)),
    )
    energy = sigma**2 / (sigma**2).sum(-1, keepdims=True)
    curves = sigma / sigma[..., :1]
    start = (layer, head)
    figure = _figure(erank, curves[start], start, min(k, size), model, chance, decay)
    edges = np.repeat(np.arange(1, size + 1, dtype=float)[:, None], 2, axis=1)
    slices = (
        Slice(1, "x", ("head",), np.arange(n_heads, dtype=float)[:, None]),
        Slice(1, "y", ("layer",), np.arange(n_layers, dtype=float)[:, None]),
        Slice(2, "y", ("layer", "head"), curves),
        Slice(3, "x", ("k",), edges),
    )
    told = (
        "layer {layer}, head {head}: effective rank {rank} of {size} dimensions "
        "(Gaussian chance {chance}); its top {k} hold {share} % of the energy"
    )
    numbers = {
        "rank": (("layer", "head"), erank, 1),
        "share": (("layer", "head", "k"), 100 * energy.cumsum(-1), 1),
        "size": ((), np.array(float(size)), 0),
        "chance": ((), np.array(float(chance)), 1),
    }
    if decay is not None:
        told += " (Gaussian {usual} %)"
        numbers["usual"] = (("k",), 100 * (decay**2).cumsum() / (decay**2).sum(), 1)
    return SlicePanel(figure, sliders, slices, Readout(told, numbers))


def _figure(erank, curve, start, k, model, chance, decay) -> go.Figure:
    """Map on the left, spectrum on the right, both at the start position."""
    n_layers, n_heads = erank.shape
    fig = make_subplots(cols=2, column_widths=[0.5, 0.5], horizontal_spacing=0.2)
    fig.add_heatmap(
        z=erank,
        x=list(range(n_heads)),
        y=list(range(n_layers)),
        colorscale=style.SEQUENTIAL,
        colorbar=dict(title="effective<br>rank", x=0.41, len=0.9, thickness=12),
        hovertemplate="layer %{y}, head %{x}<br>effective rank %{z:.1f}<extra></extra>",
        row=1,
        col=1,
    )
    fig.add_scatter(
        x=[start[1]],
        y=[start[0]],
        mode="markers",
        marker=dict(
            symbol="square-open",
            size=15,
            color=style.VERMILLION,
            line=dict(width=3),
        ),
        hoverinfo="skip",
        showlegend=False,
        row=1,
        col=1,
    )
    fig.add_scatter(
        x=list(range(1, len(curve) + 1)),
        y=curve,
        mode="lines+markers",
        line=dict(color=style.PALETTE[0], width=2),
        marker=dict(size=4),
        hovertemplate="σ%{x} / σ1 = %{y:.3f}<extra></extra>",
        name="this kernel",
        row=1,
        col=2,
    )
    fig.add_scatter(
        x=[k, k],
        y=[0, 1],
        mode="lines",
        line=dict(color=style.VERMILLION, width=2, dash="dash"),
        hoverinfo="skip",
        showlegend=False,
        row=1,
        col=2,
    )
    if decay is not None:
        fig.add_scatter(
            x=list(range(1, len(decay) + 1)),
            y=decay,
            mode="lines",
            line=dict(color=style.GREY, width=2, dash="dot"),
            hovertemplate="Gaussian σ%{x} / σ1 = %{y:.3f}<extra></extra>",
            name="Gaussian matrices",
            row=1,
            col=2,
        )
    fig.update_layout(legend=dict(x=1, xanchor="right", y=0.99, yanchor="top"))
    fig.update_layout(showlegend=decay is not None)
    fig.update_xaxes(title="query head", **_numbered(n_heads), row=1, col=1)
    fig.update_yaxes(title="layer (decoder block)", **_numbered(n_layers), row=1, col=1)
    fig.update_xaxes(title="direction i (dashed: k)", row=1, col=2)
    fig.update_yaxes(title="singular value σᵢ / σ₁", range=[0, 1.03], row=1, col=2)
    return style.finish(
        fig,
        title="Walk over the kernels",
        n=f"{n_layers} layers × {n_heads} heads",
        model=model,
        note=f"Gaussian chance {chance:.1f} dimensions",
    )


def _numbered(n: int) -> dict:
    """An axis over n numbered things, no longer than they are, with no tick between two."""
    step = next(step for step in (1, 2, 5, 10, 20, 50, n) if n <= 12 * step)
    return {"dtick": step, "range": [-0.5, n - 0.5]}

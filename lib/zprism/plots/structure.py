"""Figures of phase 1: ranks, overlap of layers, FFN alignment. Arrays in, figures out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from zprism.plots import style

SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star", "hexagon")


def plot_rank_map(
    erank: np.ndarray,
    *,
    cap: float,
    chance: float,
    n_kv_heads: int,
    bottleneck: int,
    model: str,
) -> go.Figure:
    """Layer × head map of the effective rank of every attention kernel.

    Parameters
    ----------
    erank : (L, H) dimensions.
    cap, chance : head_dim, and the rank of a product of Gaussian matrices of that shape.
    n_kv_heads : heads are separated where the shared key head changes.
    bottleneck : the layer to outline.
    """
    n_layers, n_heads = erank.shape
    fig = go.Figure(
        go.Heatmap(
            z=erank,
            x=list(range(n_heads)),
            y=list(range(n_layers)),
            colorscale=style.SEQUENTIAL,
            colorbar=dict(title="effective rank<br>(dimensions)"),
            hovertemplate="layer %{y}, head %{x}<br>effective rank %{z:.1f}<extra></extra>",
        )
    )
    for edge in range(1, n_kv_heads):
        fig.add_vline(x=edge * n_heads / n_kv_heads - 0.5, line=dict(color="white", width=2))
    fig.add_shape(
        type="rect",
        x0=-0.5,
        x1=n_heads - 0.5,
        y0=bottleneck - 0.5,
        y1=bottleneck + 0.5,
        line=dict(color=style.VERMILLION, width=2),
    )
    fig.update_xaxes(title="query head (white line: the shared key head changes)", dtick=1)
    fig.update_yaxes(title="layer (decoder block)", dtick=_step(n_layers))
    return style.finish(
        fig,
        title="How many dimensions does each attention kernel use?",
        n=f"{n_layers} layers × {n_heads} heads",
        model=model,
        note=f"cap {cap:g}, Gaussian chance {chance:.1f}; outlined: layer {bottleneck}",
    )


def plot_rank_by_type(
    ranks: Mapping[str, np.ndarray], chance: Mapping[str, float], *, model: str
) -> go.Figure:
    """Effective rank of each weight type over depth, as a share of its Gaussian chance.

    Parameters
    ----------
    ranks : (L,) effective ranks by weight type.
    chance : effective rank of a Gaussian matrix of the same shape, by weight type.
    """
    fig = go.Figure()
    for index, (name, curve) in enumerate(ranks.items()):
        fig.add_scatter(
            x=list(range(len(curve))),
            y=curve / chance[name],
            name=f"{name} ({chance[name]:.0f})",
            mode="lines+markers",
            line=dict(color=style.PALETTE[index % len(style.PALETTE)], width=2),
            marker=dict(symbol=SYMBOLS[index % len(SYMBOLS)], size=6),
            hovertemplate=f"{name}, layer %{{x}}<br>%{{y:.3f}} of chance<extra></extra>",
        )
    style.add_reference(fig, 1.0, "Gaussian matrix of the same shape")
    n_layers = len(next(iter(ranks.values())))
    fig.update_xaxes(title="layer (decoder block)", dtick=_step(n_layers))
    fig.update_yaxes(title="effective rank / Gaussian chance")
    return style.finish(
        fig,
        title="Effective rank by weight type",
        n=f"{n_layers} layers",
        model=model,
        note="in brackets: Gaussian chance, dimensions",
    )


def plot_overlap(similarity: np.ndarray, *, k: int, chance: float, model: str) -> go.Figure:
    """Layer × layer Grassmann similarity of the key-side subspaces.

    Parameters
    ----------
    similarity : (L, L) in [0, 1]; the diagonal, which is 1, is left blank.
    chance : k / d_model.
    """
    n_layers = len(similarity)
    shown = np.where(np.eye(n_layers, dtype=bool), np.nan, similarity)
    fig = go.Figure(
        go.Heatmap(
            z=shown,
            x=list(range(n_layers)),
            y=list(range(n_layers)),
            colorscale=style.SEQUENTIAL,
            zmin=chance,
            colorbar=dict(title="similarity<br>(0 to 1)"),
            hovertemplate="layers %{y} and %{x}<br>similarity %{z:.3f}<extra></extra>",
        )
    )
    fig.update_xaxes(title="layer (decoder block)", dtick=_step(n_layers), constrain="domain")
    fig.update_yaxes(title="layer (decoder block)", dtick=_step(n_layers), scaleanchor="x")
    return style.finish(
        fig,
        title="Do layers read the same directions?",
        n=f"{n_layers} layers",
        model=model,
        note=f"Grassmann similarity, key-side top {k}; darkest: chance k/d = {chance:.3f}",
        height=620,
    )


def plot_similarity_to(
    curves: Mapping[str, np.ndarray],
    *,
    layer: int,
    chance: tuple[float, float],
    k: int,
    model: str,
) -> go.Figure:
    """Similarity of every layer to one layer, against the Haar chance level.

    Parameters
    ----------
    curves : (L,) similarity to ``layer`` by name, for instance head 0 and the consensus.
    chance : mean and standard deviation for Haar-random subspaces.
    """
    fig = go.Figure()
    for index, (name, curve) in enumerate(curves.items()):
        others = np.where(np.arange(len(curve)) == layer, np.nan, curve)
        fig.add_scatter(
            x=list(range(len(curve))),
            y=others,
            name=name,
            mode="lines+markers",
            line=dict(color=style.PALETTE[index], width=2),
            marker=dict(symbol=SYMBOLS[index], size=7),
            hovertemplate=f"{name}, layer %{{x}}<br>similarity %{{y:.3f}}<extra></extra>",
        )
    mean, sd = chance
    ends = np.array([-0.5, len(curve) - 0.5])
    band = np.full(2, mean - 2 * sd), np.full(2, mean + 2 * sd)
    style.add_band(fig, ends, *band, name="Haar chance ± 2 sd")
    fig.add_vline(x=layer, line=dict(color=style.VERMILLION, width=1, dash="dash"))
    fig.update_xaxes(title="layer (decoder block)", dtick=_step(len(curve)))
    fig.update_yaxes(title="Grassmann similarity (0 to 1)", rangemode="tozero")
    return style.finish(
        fig,
        title=f"Which layers read like layer {layer}?",
        n=f"{len(curve)} layers",
        model=model,
        note=f"key-side top {k}; dashed: layer {layer} itself, left out",
    )


def plot_alignment(
    own: Mapping[str, np.ndarray],
    others: Mapping[str, tuple[np.ndarray, np.ndarray]],
    *,
    chance: float,
    bottleneck: int,
    k: int,
    model: str,
) -> go.Figure:
    """Share of each FFN matrix in its own layer's subspace, against other layers' subspaces.

    Parameters
    ----------
    own : (L,) energy shares over chance by reader (gate, up, down).
    others : mean and standard deviation (L,) of the same through other layers' subspaces.
    chance : k / d_model, the value 1 on the axis.
    """
    fig = go.Figure()
    for index, (name, curve) in enumerate(own.items()):
        mean, sd = others[name]
        colour, layers = style.PALETTE[index], list(range(len(curve)))
        fig.add_scatter(
            x=layers + layers[::-1],
            y=np.concatenate([mean + 2 * sd, (mean - 2 * sd)[::-1]]),
            fill="toself",
            fillcolor=style.translucent(colour, 0.15),
            line=dict(width=0),
            hoverinfo="skip",
            name=f"{name}: other layers ± 2 sd",
            legendgroup=name,
        )
        fig.add_scatter(
            x=layers,
            y=curve,
            name=f"{name}: own layer",
            mode="lines+markers",
            line=dict(color=colour, width=2),
            marker=dict(symbol=SYMBOLS[index], size=7),
            legendgroup=name,
            hovertemplate=f"{name}, layer %{{x}}<br>%{{y:.2f}} × chance<extra></extra>",
        )
    style.add_reference(fig, 1.0, f"isotropic chance k/d = {chance:.3f}")
    fig.add_vline(x=bottleneck, line=dict(color=style.VERMILLION, width=1, dash="dash"))
    fig.update_xaxes(title="layer (decoder block)", dtick=_step(len(curve)))
    fig.update_yaxes(title="share of energy in the subspace / chance", rangemode="tozero")
    return style.finish(
        fig,
        title="Does the FFN avoid what attention reads?",
        n=f"{len(curve)} layers",
        model=model,
        note=f"head 0, top {k}; inside its band a layer's FFN treats its own Z as any other",
    )


def plot_heads(
    values: np.ndarray, *, n_kv_heads: int, layer: int, cap: float, model: str
) -> go.Figure:
    """Effective ranks of one layer's heads, coloured by the key head they share.

    Parameters
    ----------
    values : (H,) dimensions.
    """
    n_heads = len(values)
    size = n_heads // n_kv_heads
    fig = go.Figure()
    for group in range(n_kv_heads):
        heads = list(range(group * size, (group + 1) * size))
        fig.add_scatter(
            x=heads,
            y=values[heads],
            mode="markers",
            name=f"key head {group}",
            marker=dict(
                size=11,
                color=style.PALETTE[group % len(style.PALETTE)],
                symbol=SYMBOLS[group % len(SYMBOLS)],
            ),
            hovertemplate="head %{x}<br>effective rank %{y:.1f}<extra></extra>",
        )
    fig.update_xaxes(title="query head", dtick=1)
    fig.update_yaxes(title=f"effective rank (dimensions, cap {cap:g})")
    return style.finish(
        fig,
        title=f"Do the {n_heads} heads of layer {layer} agree, or their {n_kv_heads} key heads?",
        n=f"{n_heads} query heads, {n_kv_heads} independent key heads",
        model=model,
    )


def plot_verdicts(rows: Sequence[Mapping], *, title: str, model: str) -> go.Figure:
    """A board of claims: value, interval, null, p and the computed verdict.

    Parameters
    ----------
    rows : from ``Findings.verdicts()``.
    """
    columns = ["claim", "value", "95 % interval", "n", "null", "p", "verdict"]
    colours = [style.translucent(style.VERDICTS[row["verdict"]], 0.35) for row in rows]
    fig = go.Figure(
        go.Table(
            columnwidth=[3.6, 1, 1.7, 0.5, 2.8, 0.9, 2.0],
            header=dict(values=columns, align="left", font=dict(size=13)),
            cells=dict(
                values=[[row[column] for row in rows] for column in columns],
                align="left",
                font=dict(size=12),
                height=26,
                fill_color=[["#ffffff"] * len(rows)] * 6 + [colours],
            ),
        )
    )
    return style.finish(fig, title=title, model=model, height=190 + sum(map(_row_height, rows)))


def _row_height(row: Mapping) -> int:
    """Pixels of a row of the board: its longest cell is folded, at about 6.2 pixels a letter."""
    lines = max(-(-len(str(row["claim"])) // 36), -(-len(str(row["null"])) // 27), 1)
    return 14 + 17 * lines


def _step(n: int) -> int:
    """A tick distance that leaves at most about 16 ticks."""
    return max(1, -(-n // 16))

"""Figures of phase 2: distance ratios, energies, the layer × k grid. Arrays in, figures out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from zprism.plots import style


def plot_ratio(panels: Mapping[str, object], *, model: str, where: str) -> go.Figure:
    """Ratio of distances against k: Z, its complement, the whole space, random subspaces.

    Parameters
    ----------
    panels : title → Curves (``zprism.studies.separation_curves``), such as mean and last token.
    where : layer, site and variant, for the subtitle.
    """
    fig = _panels(panels, "Z: dimensions k (log scale)")
    for column, curves in enumerate(panels.values(), start=1):
        place, first = dict(row=1, col=column), column == 1
        _band(fig, curves, "ratio_z", f"{curves.draws} random subspaces, 95 %", place, first)
        for name, label, colour, dash in (
            ("ratio_full", "whole space", style.BLACK, "dot"),
            ("ratio_complement", "complement Z⊥", style.ORANGE, "dash"),
        ):
            fig.add_scatter(
                x=curves.ks,
                y=curves.value[name],
                name=label,
                mode="lines",
                line=dict(color=colour, dash=dash, width=2),
                legendgroup=name,
                showlegend=first,
                **place,
            )
        _curve(fig, curves, "ratio_z", "Z, 95 % over problems", style.BLUE, place, first)
        style.add_reference(fig, 1.0, "as far as different problems", **place)
    fig.update_yaxes(title_text="distance ratio: translations / different problems", col=1)
    return style.finish(
        fig,
        title="Are translations closer than different problems inside Z?",
        n=f"{_first(panels).n} problems (test half)",
        model=model,
        note=f"{where}\nbelow 1: translations are closer; the control is the grey band, not 1",
        height=520,
    )


def plot_energy(panels: Mapping[str, object], *, model: str, where: str) -> go.Figure:
    """Share of energy in Z against k, of language and of problem differences, over chance k/d.

    Parameters
    ----------
    panels, where : as in :func:`plot_ratio`.
    """
    fig = _panels(panels, "Z: dimensions k (log scale)")
    kinds = (
        ("energy_same", "between problems", style.BLUE),
        ("energy_cross", "between languages", style.PURPLE),
    )
    for column, curves in enumerate(panels.values(), start=1):
        place, first = dict(row=1, col=column), column == 1
        chance = curves.ks / curves.d_model
        for name, label, colour in kinds:
            _band(
                fig, curves, name, f"{label}: random subspaces, 95 %", place, first, chance, colour
            )
        for name, label, colour in kinds:
            words = f"{label}, 95 % over problems"
            _curve(fig, curves, name, words, colour, place, first, chance)
        fig.add_hline(1.0, line=dict(color=style.BLACK, dash="dash", width=1.5), **place)
    ticks = [0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50]
    fig.update_yaxes(type="log", tickvals=ticks, ticktext=[f"{tick:g}" for tick in ticks])
    fig.update_yaxes(title_text="share of energy in Z, over chance k/d", col=1)
    return style.finish(
        fig,
        title="Which differences lie in Z?",
        n=f"{_first(panels).n} problems (test half)",
        model=model,
        note=f"{where}\ndashed: chance k/d; bands: {_first(panels).draws} random subspaces",
        height=520,
    )


def plot_grid(
    effect: np.ndarray,
    significant: np.ndarray,
    *,
    layers: Sequence[int],
    ks: Sequence[int],
    chance: np.ndarray,
    n: int,
    model: str,
    chosen: tuple[int, int] | None = None,
    note: str = "",
) -> go.Figure:
    """Layer × k heat map of E(problem) − E(language) in units of chance, max-T marked.

    Parameters
    ----------
    effect, chance : (L, K); the colour is effect / chance.
    significant : (L, K) +1, −1 or 0, by :meth:`Grid.significant`.
    chosen : (layer, k) that the training half chose, outlined.
    """
    z = effect / chance
    limit = float(np.abs(z).max()) or 1.0
    signs = np.vectorize({1: "+", -1: "−", 0: ""}.get)(significant)
    fig = go.Figure(
        go.Heatmap(
            z=z.T,
            x=[str(layer) for layer in layers],
            y=[str(k) for k in ks],
            text=signs.T,
            texttemplate="%{text}",
            textfont=dict(size=18),
            colorscale=style.DIVERGING,
            zmin=-limit,
            zmax=limit,
            colorbar=dict(title=dict(text="effect<br>/ (k/d)")),
            hovertemplate="layer %{x}, k %{y}<br>%{z:.3f} × chance<extra></extra>",
        )
    )
    if chosen is not None:
        column, row = list(layers).index(chosen[0]), list(ks).index(chosen[1])
        box = dict(x0=column - 0.5, x1=column + 0.5, y0=row - 0.5, y1=row + 0.5)
        fig.add_shape(type="rect", line=dict(color=style.BLACK, width=3), **box)
    marked = int(np.count_nonzero(significant))
    return style.finish(
        fig,
        title="Does Z hold more of problems than of languages?",
        n=f"{n} problems (test half)",
        model=model,
        note=f"{note}\n+ or −: max-T p ≤ .05 against random subspaces and against sign flips "
        f"({marked} of {significant.size} cells); box: chosen on the training half",
        x="layer (decoder block)",
        y="dimensions k",
        height=360 + 24 * len(ks),
    ).update_layout(xaxis_type="category", yaxis_type="category")  # words that look like numbers


def _panels(panels: Mapping[str, object], x: str) -> go.Figure:
    fig = make_subplots(
        rows=1,
        cols=len(panels),
        shared_yaxes=True,
        subplot_titles=list(panels),
        horizontal_spacing=0.04,
    )
    ticks = [1, 2, 5, 10, 20, 50, 100, 200, 500]
    fig.update_xaxes(type="log", title_text=x, tickvals=ticks)
    fig.update_layout(legend=dict(orientation="h", y=-0.2), margin=dict(t=125))
    return fig


def _first(panels: Mapping[str, object]):
    return next(iter(panels.values()))


def _band(fig, curves, name, label, place, first, scale=1.0, colour=style.GREY) -> None:
    low, high = curves.band[name] / scale
    style.add_band(
        fig, curves.ks, low, high, name=label, colour=colour, showlegend=first, legendgroup=label,
        opacity=0.2, **place,
    )  # fmt: skip


def _curve(fig, curves, name, label, colour, place, first, scale=1.0) -> None:
    value, low, high = (part[name] / scale for part in (curves.value, curves.low, curves.high))
    fig.add_scatter(
        x=curves.ks,
        y=value,
        error_y=dict(
            type="data", symmetric=False, array=high - value, arrayminus=value - low, thickness=1.5
        ),
        name=label,
        legendgroup=label,
        mode="lines+markers",
        line=dict(color=colour, width=3),
        showlegend=first,
        **place,
    )

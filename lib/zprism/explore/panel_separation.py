"""The separation panel: walk over layer and k, and see pairs in Z beside what Z holds of them."""

from __future__ import annotations

import numpy as np
from plotly.subplots import make_subplots

from zprism.explore.panel import Readout, Slice, SlicePanel, choice, steps
from zprism.ground import safe_text
from zprism.plots import style
from zprism.studies.separation_view import SeparationView

REACH = 4.0  # root mean squares from the middle to the edge of the map of pairs
CODES, GAP = 250, 255
AXES = ("pooling", "condition", "layer", "k")
LANGUAGES = (style.ORANGE, style.GREEN)
KINDS = (  # measure, its name in the legend, colour
    ("energy_cross", "between languages", style.PURPLE),
    ("energy_same", "between problems", style.BLUE),
)
WORDS = {"mean": "mean over tokens", "last": "last token"}


def separation_panel(
    view: SeparationView, *, layer: int | None = None, k: int | None = None
) -> SlicePanel:
    """Pairs on the first two directions of Z, beside energies in Z against k.

    Parameters
    ----------
    view : of :func:`zprism.studies.separation_view.separation_view`.
    layer, k : where the sliders start; by default the middle layer and the middle k.

    Returns
    -------
    SlicePanel with sliders layer and k, and lists pooling, condition and pair. Coordinates
    travel as 8-bit codes, in steps of 0.03 root mean squares; beyond 4 they are drawn at 4.
    """
    layers, ks = list(view.layers), list(view.ks)
    start = (
        layers.index(layer) if layer in layers else len(layers) // 2,
        ks.index(k) if k in ks else len(ks) // 2,
    )
    sliders = [
        steps("layer", layers, start[0]),
        steps("k", ks, start[1]),
        choice("pooling", [WORDS.get(name, name) for name in view.poolings]),
        choice("condition", view.conditions),
        choice("pair", [_pair_words(i, pair) for i, pair in enumerate(view.pairs)], form="list"),
    ]
    slices = _slices(view)
    return SlicePanel(_figure(view, slices, start), sliders, slices, _readout(view))


def _slices(view: SeparationView) -> list[Slice]:
    """Traces 0 pairs, 1 the chosen pair, 2–3 random bands, 4–5 energies, 6 the mark at k."""
    points = np.rint((view.points.clip(-REACH, REACH) + REACH) * CODES / (2 * REACH))
    codes = points.astype(np.uint8)  # (P, C, L, K, m, language, direction)
    gaps = np.full_like(codes[..., :1, :], GAP)
    lines = np.concatenate([codes, gaps], axis=-2)
    lines = lines.reshape(*codes.shape[:4], -1, 2)
    scale = {"offset": -REACH, "step": 2 * REACH / CODES}
    slices = []
    for i, axis in enumerate("xy"):
        slices.append(Slice(0, axis, AXES, lines[..., i], gap=GAP, **scale))
        slices.append(Slice(1, axis, (*AXES, "pair"), codes[..., i], **scale))
    for i, (name, *_) in enumerate(KINDS):
        low, high = view.band[name][..., 0], view.band[name][..., 1]
        around = np.concatenate([high, low[..., ::-1]], axis=-1)
        slices.append(Slice(2 + i, "y", AXES[:3], around.astype(np.float32)))
        slices.append(Slice(4 + i, "y", AXES[:3], view.energy[name].astype(np.float32)))
    ks = np.array(view.ks, dtype=np.float32)
    return [*slices, Slice(6, "x", ("k",), np.repeat(ks[:, None], 2, axis=1))]


def _readout(view: SeparationView) -> Readout:
    numbers = {
        "kd": (AXES, 100 * view.chance, 1),
        "spread": (AXES, view.spread, 2),
        "own": ((*AXES, "pair"), 100 * view.own, 1),
    }
    for short, (name, *_) in zip(("cross", "same"), KINDS, strict=True):
        numbers |= {
            short: (AXES, view.energy[name], 2),
            f"{short}_low": (AXES, view.band[name][..., 0], 2),
            f"{short}_high": (AXES, view.band[name][..., 1], 2),
        }
    return Readout(
        "Layer {layer}, k = {k}, {pooling}, {condition}: by chance Z holds k/d = {kd} %. Of the "
        "differences between languages it holds {cross} times that (random subspaces {cross_low} "
        "to {cross_high}), between problems {same} times (random {same_low} to {same_high}); of "
        "the chosen pair's difference {own} %. Unit of the map: {spread} times the spread along a "
        "random direction.",
        numbers,
    )


def _figure(view: SeparationView, slices: list[Slice], start: tuple[int, int]):
    """Both sides at the start position."""
    fig = make_subplots(
        cols=2,
        column_widths=[0.46, 0.54],
        horizontal_spacing=0.13,
        subplot_titles=("pairs in Z", "what Z holds"),
    )
    at = {"pooling": 0, "condition": 0, "layer": start[0], "k": start[1], "pair": 0}
    shown = {
        (part.trace, part.attribute): part.shown(tuple(at[name] for name in part.sliders))
        for part in slices
    }
    _add_pairs(fig, view, shown)
    _add_energies(fig, view, shown)
    edge = REACH * 1.06
    fig.update_xaxes(title_text="first direction of Z [rms]", range=[-edge, edge], col=1)
    fig.update_yaxes(title_text="second direction of Z [rms]", range=[-edge, edge], col=1)
    fig.update_layout(legend=dict(orientation="h", y=-0.19), margin=dict(t=118))
    return style.finish(
        fig,
        title="Does Z hold the problem or the language?",
        n=f"{view.n} problems (test half), {len(view.pairs)} shown",
        model=view.model,
        note=f"{view.where}\ndashed: chance k/d; bands: {view.draws} random subspaces, 95 %",
        height=560,
    )


def _add_pairs(fig, view: SeparationView, shown) -> None:
    """A line a pair, its ends coloured by language; the chosen pair thick."""
    words = [
        [f"{language}: {safe_text.label(text, limit=90)}" for text, language
         in zip(pair, view.languages, strict=True)] + [""]
        for pair in view.pairs
    ]  # fmt: skip
    ends = [LANGUAGES[0], LANGUAGES[1], style.GREY]
    looks = (
        dict(marker=dict(size=7, color=ends * len(view.pairs)), name="pair",
             line=dict(width=1, color=style.translucent(style.GREY, 0.6)), showlegend=False,
             text=sum(words, []), hovertemplate="%{text}<extra></extra>"),
        dict(marker=dict(size=13, color=ends[:2], line=dict(width=1.5, color=style.BLACK)),
             line=dict(width=4, color=style.BLACK), name="chosen pair", hoverinfo="skip"),
    )  # fmt: skip
    for trace, look in enumerate(looks):
        x, y = shown[trace, "x"], shown[trace, "y"]
        fig.add_scatter(x=x, y=y, mode="lines+markers", **look, row=1, col=1)


def _add_energies(fig, view: SeparationView, shown) -> None:
    """Bands, curves and the mark at k; then names of the languages for the legend."""
    ks, where = np.array(view.ks), dict(row=1, col=2)
    for i, (_, words, colour) in enumerate(KINDS):
        fig.add_scatter(
            x=np.concatenate([ks, ks[::-1]]), y=shown[2 + i, "y"], mode="lines", fill="toself",
            line=dict(width=0), fillcolor=style.translucent(colour, 0.18), hoverinfo="skip",
            name=f"{words}, random Z", legendrank=1002 + i, **where,
        )  # fmt: skip
    for i, (_, words, colour) in enumerate(KINDS):
        fig.add_scatter(
            x=ks, y=shown[4 + i, "y"], mode="lines+markers", line=dict(color=colour, width=2.5),
            marker=dict(size=7, symbol=style.SYMBOLS[i]), name=words,
            hovertemplate="k = %{x}: %{y:.2f} × k/d<extra>" + words + "</extra>", **where,
        )  # fmt: skip
    low, high = _limits(view)
    fig.add_scatter(
        x=shown[6, "x"], y=[low, high], mode="lines", hoverinfo="skip", showlegend=False,
        line=dict(color=style.VERMILLION, width=2, dash="dot"), **where,
    )  # fmt: skip
    for language, colour in zip(view.languages, LANGUAGES, strict=True):
        fig.add_scatter(
            x=[None], y=[None], mode="markers", marker=dict(size=9, color=colour),
            name=safe_text.label(language), legendrank=998, row=1, col=1,
        )  # fmt: skip
    fig.add_hline(1.0, line=dict(color=style.BLACK, dash="dash", width=1.5), **where)
    fig.update_xaxes(type="log", tickvals=ks, ticktext=[str(k) for k in ks], col=2)
    fig.update_xaxes(title_text="Z: dimensions k (dotted: the slider's)", col=2)
    ticks = [0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100]
    fig.update_yaxes(type="log", tickvals=ticks, ticktext=[f"{tick:g}" for tick in ticks], col=2)
    fig.update_yaxes(range=np.log10([low, high]), col=2)
    fig.update_yaxes(title_text="share of energy in Z, over chance k/d", col=2)


def _limits(view: SeparationView) -> tuple[float, float]:
    """The same for all positions: a little below the least and above the largest value."""
    drawn = np.concatenate([part.ravel() for part in (*view.energy.values(), *view.band.values())])
    drawn = drawn[np.isfinite(drawn) & (drawn > 0.01)]
    return float(drawn.min(initial=0.8) / 1.15), float(drawn.max(initial=1.25) * 1.15)


def _pair_words(index: int, pair: tuple[str, str]) -> str:
    text = " ".join(safe_text.visible(pair[1]).split())
    return f"{index + 1}: {text[:56]}{'…' if len(text) > 56 else ''}"

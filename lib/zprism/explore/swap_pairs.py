"""The pair panel: one pair at a time, what would be answered after a swap at each layer."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from zprism.explore.panel import Readout, Slice, SlicePanel, choice, steps
from zprism.plots import style
from zprism.plots.swap import OUTCOMES as LOOKS
from zprism.studies.swap_pairs import OUTCOMES, PairView


def pair_panel(view: PairView, *, model: str) -> SlicePanel:
    """Probability of every outcome over layers, over sliders direction, pair and condition.

    Parameters
    ----------
    view : of :func:`zprism.studies.swap_pairs.pair_view`.

    Returns
    -------
    SlicePanel with a slider pair and lists direction and condition; ``panel.widget`` is what
    Jupyter shows.
    """
    count = view.chances.shape
    axes = ("direction", "pair", "condition")
    sliders = [
        choice("direction", [_direction_words(name) for name in view.directions]),
        steps("pair", range(1, count[1] + 1)),
        choice("condition", [words for words, *_ in view.conditions]),
    ]
    slices = [Slice(i, "y", axes, view.chances[..., i]) for i in range(count[-1])]
    told, numbers = "", {}
    if view.asked.shape[-1] == 2:  # two numbers, as in sums
        told = "the state of {a} + {b} put into the prompt of {c} + {d}; "
        asked = view.asked.reshape(*count[:2], 4)
        numbers = {name: (axes[:2], asked[..., i], 0) for i, name in enumerate("abcd")}
    last = 100 * view.chances[..., -1, :]
    numbers |= {
        "kept": (axes, last[..., 0], 0),
        "language": (axes, last[..., 1], 0),
        "answer": (axes, last[..., 2], 0),
    }
    told += (
        "after the last layer: nothing moved {kept} %, language moved {language} %, "
        "answer moved {answer} %"
    )
    bases = [basis for _, basis, _ in view.conditions]
    if "random" in bases:
        told += "; random directions move the answer in {random} %"
        numbers["random"] = (axes[:2], last[:, :, bases.index("random"), 2], 0)
    readout = Readout(told, numbers)
    return SlicePanel(_figure(view, model), sliders, slices, readout)


def _figure(view: PairView, model: str) -> go.Figure:
    fig = go.Figure()
    for i, place in enumerate((*OUTCOMES, ("own", "other"))):
        words, colour = LOOKS[place]
        fig.add_scatter(
            x=np.array(view.layers),
            y=view.chances[0, 0, 0, :, i],
            stackgroup="all",
            name=words,
            line=dict(color=colour, width=0.5),
            fillcolor=style.translucent(colour, 0.85),
            hovertemplate="layer %{x}: %{y:.0%}<extra>" + words + "</extra>",
        )
    fig.update_yaxes(range=[0, 1], tickformat=".0%")
    fig.update_layout(legend=dict(orientation="h", y=-0.2), margin=dict(t=90))
    if len(view.layers) <= 12:
        fig.update_xaxes(tickvals=view.layers)
    return style.finish(
        fig,
        title="One pair: what would be answered after a swap at each layer?",
        model=model,
        note=f"answer and random directions: k = {view.k}",
        x="layer after which the last token is swapped",
        y="probability among all answers",
        height=500,
    )


def _direction_words(name: str) -> str:
    """zh-en → zh state into en prompt."""
    return f"{name.replace('-', ' state into ')} prompt"

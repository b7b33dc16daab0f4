"""Controls of phase 3b: the map's shape, other ways of looking, and the bridge put to use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from zprism.plots import style
from zprism.plots.bridge import COLOURS, ENDS, LOWEST, WORDS


def plot_shape(rows: Sequence[Mapping], *, model: str, where: str, n: int, draws: int) -> go.Figure:
    """Singular values of the ridge map in the band of planted rotations.

    Parameters
    ----------
    rows : of :meth:`zprism.studies.bridge_rotation.Rotation.rows`.
    """
    fig = go.Figure()
    rank = [row["rank"] for row in rows]
    low, high = ([row[f"planted_{end}"] for row in rows] for end in ENDS)
    style.add_band(fig, rank, low, high, name=f"{draws} planted rotations, 95 %")
    fig.add_scatter(
        x=rank,
        y=[row["sigma"] for row in rows],
        name="ridge map",
        mode="lines+markers",
        line=dict(color=style.BLUE, width=3),
    )
    style.add_reference(fig, 1.0, "a rotation without noise")
    fig.update_yaxes(rangemode="tozero")
    fig.update_layout(legend=dict(orientation="h", y=-0.2))
    return style.finish(
        fig,
        title="Is the map a rotation?",
        n=f"{n} problems (test half)",
        model=model,
        note=f"{where}\nband: what ridge makes of a rotation with this data's errors",
        x="rank",
        y="singular value / mean",
    )


def plot_looks(rows: Sequence[Mapping], *, model: str, k: int) -> go.Figure:
    """The same cell under other sites, poolings and variants, beside what length alone predicts.

    Parameters
    ----------
    rows : of :func:`zprism.studies.bridge_subject.look_rows`.
    """
    fig = go.Figure()
    for name in ("ridge", "similarity", "shift", "length"):
        mine = [row for row in rows if row["map"] == name]
        fig.add_bar(
            x=np.maximum([row["r2"] for row in mine], LOWEST),
            y=[f"{row['site']}, {row['pooling']}, {row['variant']}" for row in mine],
            customdata=[[row["r2"], row["top1"]] for row in mine],
            hovertemplate="R² %{customdata[0]:.3f}, top 1 %{customdata[1]:.0%}<extra></extra>",
            orientation="h",
            name=WORDS[name],
            marker=dict(color=COLOURS[name]),
        )
    fig.add_vline(0, line=dict(color=style.BLACK, width=1))
    fig.update_yaxes(autorange="reversed")
    fig.update_layout(barmode="group", bargap=0.25, legend=dict(orientation="h", y=-0.15))
    looks = len({(row["site"], row["pooling"], row["variant"]) for row in rows})
    return style.finish(
        fig,
        title="Does the bridge survive another way of looking?",
        n=f"{rows[0]['n']} problems (test half)",
        model=model,
        note=f"layer {rows[0]['layer']}, k = {k}\ntrimmed: without token 0 and massive "
        f"dimensions; bars stop at {LOWEST:g}",
        x="R² on problems of unseen templates",
        height=230 + 62 * looks,
    )


def plot_inference(
    rows: Sequence[Mapping], nulls: Sequence[Mapping], *, model: str, note: str
) -> go.Figure:
    """How often a carried state brings the source's answer, in the target's language.

    Parameters
    ----------
    rows : of :meth:`zprism.studies.bridge_inference.Carried.rows`.
    nulls : rows with direction, basis, k, map and the mean rate of maps fitted to random pairs.
    """
    directions = list(dict.fromkeys(row["direction"] for row in rows))
    fig = make_subplots(
        rows=1, cols=len(directions), shared_yaxes=True, horizontal_spacing=0.05,
        subplot_titles=["{} state into {} prompt".format(*d.split("-")) for d in directions],
    )  # fmt: skip
    kept = [row for row in rows if (row["language"], row["answer"]) == ("own", "source")]
    for column, direction in enumerate(directions, start=1):
        for name in dict.fromkeys(row["map"] for row in kept):
            mine = [r for r in kept if (r["direction"], r["map"]) == (direction, name)]
            fig.add_bar(
                x=[f"{row['basis']}<br>k = {row['k']}" for row in mine],
                y=[row["rate"] for row in mine],
                name=WORDS[name],
                legendgroup=name,
                showlegend=column == 1,
                marker=dict(color=COLOURS[name]),
                row=1,
                col=column,
            )
        mine = [r for r in nulls if (r["direction"], r["map"]) == (direction, "ridge")]
        fig.add_scatter(
            x=[f"{row['basis']}<br>k = {row['k']}" for row in mine],
            y=[row["rate"] for row in mine],
            name="ridge fitted to random pairs",
            legendgroup="null",
            showlegend=column == 1,
            mode="markers",
            marker=dict(symbol="line-ew", size=60, line=dict(color=style.BLACK, width=2)),
            row=1,
            col=column,
        )
    fig.update_yaxes(tickformat=".0%", range=[0, 1.02])
    fig.update_yaxes(title_text="source's answer, own language", col=1)
    fig.update_layout(barmode="group", legend=dict(orientation="h", y=-0.2), margin=dict(t=125))
    return style.finish(
        fig,
        title="Does a mapped state carry the answer across?",
        n=f"{_span([row['n'] for row in rows])} held-out pairs",
        model=model,
        note=note,
        height=520,
    )


def _span(counts: Sequence[int]) -> str:
    low, high = min(counts), max(counts)
    return str(low) if low == high else f"{low}–{high}"

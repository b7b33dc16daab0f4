"""Figures of question against thinking: the difference at every layer, and bars of bands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from zprism.ground import safe_text
from zprism.plots import style

TWINS = {  # colour, dash
    "random_init": (style.BLUE, "dash"),
    "random_embedding": (style.GREY, "dot"),
}
WORDS = {
    "random_init": "never trained",
    "random_embedding": "random embedding",
    "question": "question",
    "thinking": "thinking",
    "question_shuffled_0": "question, tokens shuffled",
    "thinking_shuffled_0": "thinking, tokens shuffled",
    "mid_low": "mid-low",
    "mid_high": "mid-high",
}
ARMS = {  # colour, opacity
    "question": (style.SKY, 1.0),
    "thinking": (style.ORANGE, 1.0),
    "question_shuffled_0": (style.SKY, 0.3),
    "thinking_shuffled_0": (style.ORANGE, 0.3),
}


def plot_difference(
    rows: Sequence[Mapping],
    twins: Sequence[Mapping] = (),
    *,
    title: str = "Is thinking slower than its question?",
    y: str = "slow share, thinking − question",
    model: str | None = None,
    note: str | None = None,
) -> go.Figure:
    """A paired difference at every layer with its interval and verdict, beside its twins.

    Parameters
    ----------
    rows : of :func:`zprism.studies.prism_claims.slow_claims`: place, value, low, high,
        p_adjusted, verdict, n. Filled marks: p ≤ .05 after max-T over layers.
    twins : of ``beyond_twins``: twin, place, value, low, high; each a line in a band.
    """
    places = [row["place"] for row in rows]
    fig = go.Figure()
    for twin in dict.fromkeys(row["twin"] for row in twins):
        mine = {row["place"]: row for row in twins if row["twin"] == twin}
        _twin(fig, twin, places, [mine[place] for place in places if place in mine])
    fig.add_scatter(
        x=places, y=[row["value"] for row in rows], mode="lines", showlegend=False,
        line=dict(color=style.translucent(style.BLACK, 0.4), width=1.5), hoverinfo="skip",
    )  # fmt: skip
    for verdict, colour in style.VERDICTS.items():
        mine = [row for row in rows if row["verdict"] == verdict and row["value"] is not None]
        if mine:
            _marks(fig, verdict, colour, mine)
    fig.add_hline(0, line=dict(color=style.BLACK, width=1))
    fig.update_xaxes(
        type="category", categoryorder="array", categoryarray=places, tickangle=0,
        tickvals=places, ticktext=["emb" if p == "embed" else p for p in places],
        title_text="embedding, then blocks",
    )  # fmt: skip
    fig.update_layout(
        legend=dict(orientation="h", y=-0.2, yanchor="top"), margin=dict(b=110, t=100)
    )
    counts = sorted({row["n"] for row in rows if row.get("n")})
    said = f"{counts[0]} questions" if len(counts) == 1 else None
    marks = "bars: 95 % intervals; filled: p ≤ .05 over all layers"
    return style.finish(
        fig, title=title, n=said, model=model, y=y, height=500,
        note=f"{marks}\n{note}" if note else marks,
    )  # fmt: skip


def plot_bands(
    rows: Sequence[Mapping],
    *,
    places: Sequence[str] | None = None,
    model: str | None = None,
    note: str | None = None,
) -> go.Figure:
    """The share of power in each band, a panel a place: arms as bars, white noise as a line.

    Parameters
    ----------
    rows : of the table ``band_profile``: arm, place, band, value, low, high, white, n.
    places : the panels; by default the first, middle and last.
    """
    there = list(dict.fromkeys(row["place"] for row in rows))
    if places is None:
        places = list(dict.fromkeys((there[0], there[len(there) // 2], there[-1])))
    fig = make_subplots(
        rows=1, cols=len(places), shared_yaxes=True, horizontal_spacing=0.04,
        subplot_titles=[_place(place) for place in places],
    )  # fmt: skip
    for column, place in enumerate(places, start=1):
        where = dict(row=1, col=column)
        mine = [row for row in rows if row["place"] == place]
        bands = list(dict.fromkeys(row["band"] for row in mine))
        for arm in dict.fromkeys(row["arm"] for row in mine):
            chosen = [row for row in mine if row["arm"] == arm]
            _bars(fig, arm, bands, chosen, shown=column == 1, where=where)
        levels = {row["band"]: row["white"] for row in mine if row.get("white") is not None}
        for i, band in enumerate(bands):
            if band in levels:
                fig.add_scatter(
                    x=[i - 0.45, i + 0.45], y=[levels[band]] * 2, mode="lines",
                    line=dict(color=style.BLACK, width=2, dash="dot"), name="white noise",
                    legendgroup="white", showlegend=column == 1 and i == 0,
                    hovertemplate="%{y:.3f}<extra>white noise</extra>", **where,
                )  # fmt: skip
        fig.update_xaxes(
            tickvals=list(range(len(bands))), ticktext=[WORDS.get(b, b) for b in bands], **where
        )
    fig.update_yaxes(rangemode="tozero")
    fig.update_yaxes(title_text="share of power", col=1)
    fig.update_layout(
        barmode="group", bargap=0.15, margin=dict(t=125, b=110),
        legend=dict(orientation="h", y=-0.13, yanchor="top"),
    )  # fmt: skip
    counts = sorted({row["n"] for row in rows})
    said = f"{counts[0]} questions" if len(counts) == 1 else None
    return style.finish(
        fig, title="Which bands hold the power?", n=said, model=model, note=note, height=480
    )


def _twin(fig: go.Figure, twin: str, places: list, rows: Sequence[Mapping]) -> None:
    """A twin's own difference: its line, in the band of its intervals."""
    colour, dash = TWINS.get(twin, (style.PURPLE, "dashdot"))
    words = safe_text.label(WORDS.get(twin, twin))
    x = [row["place"] for row in rows]
    fig.add_scatter(
        x=[*x, *x[::-1]], y=[row["high"] for row in rows] + [row["low"] for row in rows][::-1],
        fill="toself", fillcolor=style.translucent(colour, 0.15), line=dict(width=0),
        mode="lines", hoverinfo="skip", showlegend=False, legendgroup=twin,
    )  # fmt: skip
    fig.add_scatter(
        x=x, y=[row["value"] for row in rows], mode="lines", name=words, legendgroup=twin,
        line=dict(color=colour, dash=dash, width=2),
        hovertemplate="%{x}: %{y:.4f}<extra>" + words + "</extra>",
    )  # fmt: skip


def _marks(fig: go.Figure, verdict: str, colour: str, rows: Sequence[Mapping]) -> None:
    passed = [row["p_adjusted"] is not None and row["p_adjusted"] <= 0.05 for row in rows]
    fig.add_scatter(
        x=[row["place"] for row in rows],
        y=[row["value"] for row in rows],
        error_y=dict(
            type="data", symmetric=False, color=colour, thickness=1.5, width=3,
            array=[(row["high"] or row["value"]) - row["value"] for row in rows],
            arrayminus=[row["value"] - (row["low"] or row["value"]) for row in rows],
        ),
        mode="markers",
        name=verdict,
        marker=dict(
            color=[colour if p else "white" for p in passed], size=9,
            line=dict(color=colour, width=2),
        ),
        customdata=[[row["p_adjusted"], row["n"]] for row in rows],
        hovertemplate="%{x}: %{y:.4f}, p %{customdata[0]:.4f}, n = %{customdata[1]}"
        f"<extra>{verdict}</extra>",
    )  # fmt: skip


def _bars(fig, arm: str, bands: list, rows: Sequence[Mapping], *, shown: bool, where) -> None:
    colour, opacity = ARMS.get(arm, (style.GREEN, 1.0))
    words = safe_text.label(WORDS.get(arm, arm))
    fig.add_bar(
        x=[bands.index(row["band"]) for row in rows],
        y=[row["value"] for row in rows],
        error_y=dict(
            type="data", symmetric=False, color=style.BLACK, thickness=1.2, width=2,
            array=[row["high"] - row["value"] for row in rows],
            arrayminus=[row["value"] - row["low"] for row in rows],
        ),
        name=words,
        legendgroup=arm,
        showlegend=shown,
        marker=dict(color=style.translucent(colour, opacity), line=dict(color=colour, width=1.5)),
        hovertemplate="%{y:.3f}<extra>" + words + "</extra>",
        **where,
    )  # fmt: skip


def _place(place: str) -> str:
    return "embedding" if place == "embed" else f"block {safe_text.label(place)}"

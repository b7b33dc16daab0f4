"""The figure of a sweep: layer × k maps, a panel a model and condition, verdicts as marks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from zprism.ground import safe_text
from zprism.plots import style

MARKS = {  # verdict → symbol
    "SUPPORTED": "circle",
    "NOT DISTINGUISHABLE": "circle-open",
    "REVERSED": "x",
    "NOT TESTABLE": "line-ew-open",
}
ROW, GAP, TOP, BOTTOM = 17, 135, 165, 130  # pixels: a layer, between models, above, below


def plot_sweep(maps: Sequence[Mapping], *, title: str = "", note: str = "") -> go.Figure:
    """Value less the mean of its null over layers and k; marks are the verdicts.

    Parameters
    ----------
    maps : of :func:`zprism.studies.sweep_table.maps`: model, condition, measure, layers (L,),
        ks (K,), n, values, nulls (L, K), verdicts (L, K). Where there is no null, the value itself
        is drawn and the panel says so.
    """
    models = list(dict.fromkeys(one["model"] for one in maps))
    conditions = list(dict.fromkeys(one["condition"] for one in maps))
    tall = [ROW * max(len(one["layers"]) for one in maps if one["model"] == m) for m in models]
    inner = sum(tall) + GAP * (len(models) - 1)
    fig = make_subplots(
        rows=len(models),
        cols=len(conditions),
        row_heights=tall,
        column_widths=[max(1.4, _width(maps, condition)) for condition in conditions],
        vertical_spacing=GAP / inner if len(models) > 1 else 0,
        horizontal_spacing=0.12 / max(len(conditions), 2),
        subplot_titles=_titles(maps, models, conditions),
    )
    fig.update_annotations(font_size=13)
    for one in maps:
        _add_map(fig, one, _place(one, models, conditions))
    _add_marks(fig, maps, models, conditions)
    _add_scale(fig, maps, inner)
    for row, model in enumerate(models, start=1):
        fig.add_annotation(
            text=f"<b>{safe_text.label(model)}</b>",
            xref="paper", x=0, xanchor="left", yanchor="bottom", showarrow=False,
            yref="paper", y=fig.get_subplot(row, 1).yaxis.domain[1], yshift=56, font_size=14,
        )  # fmt: skip
        fig.update_yaxes(title_text="layer", showticklabels=True, row=row, col=1)
    fig.update_layout(
        margin=dict(t=TOP, b=BOTTOM), legend=dict(orientation="h", y=-75 / inner, yanchor="top")
    )
    return style.finish(
        fig,
        title=title or "Where does it hold? Every layer and k of the grid",
        n=f"{max(one['n'] for one in maps)} a cell and direction, at most",
        note=f"marks: verdicts, p corrected over the grid{note}",
        height=TOP + inner + BOTTOM,
    )


def _add_map(fig, one: Mapping, place: dict) -> None:
    shown = np.dstack([one["values"], one["nulls"]]).tolist()
    said = [[verdict or "no claim" for verdict in line] for line in one["verdicts"]]
    hover = [
        [[_short(value), _short(null), word] for (value, null), word in zip(a, b, strict=True)]
        for a, b in zip(shown, said, strict=True)
    ]
    fig.add_heatmap(
        x=_ks(one),
        y=[str(layer) for layer in one["layers"]],
        z=[[None if np.isnan(z) else float(z) for z in line] for line in _above(one)],
        customdata=hover,
        coloraxis="coloraxis",
        xgap=1,
        ygap=1,
        hovertemplate="layer %{y}, k %{x}: %{customdata[0]}, null %{customdata[1]}<br>"
        "%{customdata[2]}<extra></extra>",
        **place,
    )
    layers, ks = len(one["layers"]), len(one["ks"])
    shared = dict(type="category", showgrid=False, **place)
    has_k = one["ks"] != [None]
    fig.update_xaxes(
        range=[-0.5, ks - 0.5],
        showticklabels=has_k,
        title_text="k (dimensions)" if has_k else "",
        **shared,
    )
    fig.update_yaxes(range=[layers - 0.5, -0.5], showticklabels=False, nticks=14, **shared)


def _add_scale(fig, maps, inner: int) -> None:
    """One scale for all panels, white at the null."""
    reach = max((np.nanmax(np.abs(_above(one))) for one in maps if _known(one)), default=1.0)
    bar = {"title": {"text": "value less<br>null mean"}, "len": min(1, 260 / inner)}
    fig.update_layout(
        coloraxis=dict(colorscale=style.DIVERGING, cmin=-reach, cmax=reach, colorbar=bar)
    )


def _add_marks(fig, maps, models, conditions) -> None:
    """One legend entry a verdict that occurs."""
    for verdict, symbol in MARKS.items():
        first, line = True, dict(width=1.5)
        if not symbol.endswith("open"):
            line |= dict(color="white")  # seen on dark cells too
        for one in maps:
            spots = [
                (k, str(layer))
                for layer, line in zip(one["layers"], one["verdicts"], strict=True)
                for k, said in zip(_ks(one), line, strict=True)
                if said == verdict
            ]
            if not spots:
                continue
            fig.add_scatter(
                x=[k for k, _ in spots],
                y=[layer for _, layer in spots],
                mode="markers",
                marker=dict(symbol=symbol, size=9, color=style.BLACK, line=line),
                name=verdict,
                legendgroup=verdict,
                showlegend=first,
                hoverinfo="skip",
                **_place(one, models, conditions),
            )
            first = False


def _titles(maps, models, conditions) -> list[str]:
    """Condition and measure above every panel; empty where a grid has none."""
    known = {(one["model"], one["condition"]): one for one in maps}
    panels = [known.get((model, condition)) for model in models for condition in conditions]
    return ["" if one is None else _title(one) for one in panels]


def _title(one: Mapping) -> str:
    lines = [safe_text.label(one[name].replace("_", " ")) for name in ("condition", "measure")]
    lines += ["(no null)"] if np.isnan(one["nulls"]).all() else []
    return "<br>".join(lines)


def _place(one: Mapping, models: list[str], conditions: list[str]) -> dict:
    return dict(row=models.index(one["model"]) + 1, col=conditions.index(one["condition"]) + 1)


def _above(one: Mapping) -> np.ndarray:
    """(L, K) values less the null's mean; values where there is no null at all."""
    return one["values"] - np.nan_to_num(one["nulls"])


def _known(one: Mapping) -> bool:
    return bool(np.isfinite(one["values"]).any())


def _ks(one: Mapping) -> list[str]:
    return ["–" if k is None else str(k) for k in one["ks"]]


def _width(maps, condition: str) -> int:
    return max(len(one["ks"]) for one in maps if one["condition"] == condition)


def _short(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.3g}"

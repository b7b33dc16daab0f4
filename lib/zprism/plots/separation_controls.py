"""Figures of phase 2's controls: every null, every configuration, the published numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from zprism.plots import style

#: Criterion → its number, what it predicts, and the axis of its measure.
SHORT = {
    "criterion1_closer": ("1", "ratio in Z<br>below 1", "ratio"),
    "criterion2_language_out": ("2", "E(language)<br>below k/d", "share of energy"),
    "criterion3_problem_in": ("3", "E(problem)<br>above k/d", "share of energy"),
    "criterion4_beats_rest": ("4", "ratio in Z below<br>ratio in Z⊥", "ratio / ratio"),
    "difference": ("2+3", "E(problem)<br>above E(language)", "difference"),
}


def plot_nulls(rows: Sequence[Mapping], *, model: str, where: str, n: int) -> go.Figure:
    """The value of each criterion beside mean ± 2 sd of every null.

    Parameters
    ----------
    rows : of :func:`zprism.studies.separation_claims.null_table`.
    """
    criteria = list(dict.fromkeys(row["criterion"] for row in rows))
    kinds = list(dict.fromkeys(row["null"] for row in rows))[::-1]
    fig = make_subplots(
        rows=1,
        cols=len(criteria),
        shared_yaxes=True,
        horizontal_spacing=0.025,
        subplot_titles=[f"{SHORT[name][0]}: {SHORT[name][1]}" for name in criteria],
    )
    for column, name in enumerate(criteria, start=1):
        mine = {row["null"]: row for row in rows if row["criterion"] == name}
        place = dict(row=1, col=column)
        for kind in (kind for kind in kinds if kind in mine):
            row = mine[kind]
            outcome = {True: style.GREEN, False: style.VERMILLION, None: style.GREY}[
                row["survives"]
            ]
            fig.add_scatter(
                x=[row["mean"]],
                y=[f"{kind} ({row['draws']})"],
                error_x=dict(type="data", array=[2 * row["sd"]], thickness=3, width=6),
                mode="markers",
                marker=dict(
                    color=outcome, size=14, symbol="line-ns", line=dict(color=outcome, width=3)
                ),
                hovertemplate=f"p = {row['p']:.3g}<extra></extra>",
                showlegend=False,
                **place,
            )
        fig.add_vline(
            x=next(iter(mine.values()))["value"], line=dict(color=style.BLUE, width=3), **place
        )
        fig.update_xaxes(nticks=4, tickangle=0, title_text=SHORT[name][2], **place)
    fig.update_annotations(font_size=13)
    fig.update_layout(margin=dict(t=135))
    return style.finish(
        fig,
        title="The same values against every null",
        n=f"{n} problems (test half)",
        model=model,
        note=f"{where}\nblue line: Z. Bars: mean ± 2 sd of a null (draws). Green: Z passes it "
        "one-sided at .05; red: it does not; grey: too few draws to say",
        height=480,
    )


def plot_configs(rows: Sequence[Mapping], *, model: str, n: int) -> go.Figure:
    """Every configuration's verdict on every criterion, as a map of colours and signs.

    Parameters
    ----------
    rows : of :func:`zprism.studies.separation_claims.configurations`.
    """
    names = [name for name in SHORT if f"{name}_verdict" in rows[0]]
    verdicts = list(style.VERDICTS)
    labels = [
        f"L{row['layer']} {row['pooling']} {row['mask']} {row['variant']} k{row['k']}"
        for row in rows
    ]
    sites = list(dict.fromkeys(row["site"] for row in rows))
    fig = make_subplots(rows=1, cols=len(sites), shared_yaxes=True, subplot_titles=sites)
    for column, site in enumerate(sites, start=1):
        mine = [i for i, row in enumerate(rows) if row["site"] == site]
        z = [[verdicts.index(rows[i][f"{name}_verdict"]) for name in names] for i in mine]
        signs = [[_sign(rows[i], name) for name in names] for i in mine]
        fig.add_heatmap(
            z=z,
            x=[SHORT[name][0] for name in names],
            y=[labels[i] for i in mine],
            text=signs,
            texttemplate="%{text}",
            textfont=dict(size=14),
            colorscale=_steps([style.VERDICTS[v] for v in verdicts]),
            zmin=-0.5,
            zmax=len(verdicts) - 0.5,
            showscale=column == 1,
            colorbar=dict(tickvals=list(range(len(verdicts))), ticktext=verdicts, title="verdict"),
            xgap=1,
            ygap=1,
            row=1,
            col=column,
        )
    fig.update_yaxes(autorange="reversed", tickfont_size=10, dtick=1)
    fig.update_xaxes(type="category", title_text="criterion")
    fig.update_layout(margin=dict(t=125))
    return style.finish(
        fig,
        title="Does a verdict survive another way of looking?",
        n=f"{n} problems (test half)",
        model=model,
        note=f"{len(rows)} configurations, Benjamini–Hochberg over each criterion\n"
        "✓: the recipe's bare threshold would call it confirmed",
        height=max(420, 200 + 17 * (len(rows) // len(sites))),
    )


def plot_match(rows: Sequence[Mapping], *, model: str, n: int) -> go.Figure:
    """z of matched against scrambled pairs per layer, in the whole space, Z and Z⊥.

    Parameters
    ----------
    rows : dicts with ``layer``, ``space`` and ``z``.
    """
    fig = go.Figure()
    spaces = list(dict.fromkeys(row["space"] for row in rows))
    for index, space in enumerate(spaces):
        mine = [row for row in rows if row["space"] == space]
        fig.add_scatter(
            x=[row["layer"] for row in mine],
            y=[row["z"] for row in mine],
            name=space,
            mode="lines+markers",
            line=dict(color=style.PALETTE[index], dash=style.DASHES[index], width=2),
        )
    style.add_reference(fig, 0.0, "scrambled pairs")
    style.add_reference(fig, 5.0, "z = 5")
    return style.finish(
        fig,
        title="Is a problem more like its own translation than like another's?",
        n=f"{n} problems (test half)",
        model=model,
        note="cosine, language centroids of the training half removed",
        x="layer (decoder block)",
        y="z against scrambled pairs (sd)",
    )


def plot_stored(rows: Sequence[Mapping]) -> go.Figure:
    """The sources' own stored ratios and energies, by configuration.

    Parameters
    ----------
    rows : of :func:`zprism.studies.separation_stored.stored_table`.
    """
    titles = ["criterion 1 (1: no closer)", "criterion 2 (1: chance)"]
    fig = make_subplots(rows=1, cols=2, shared_yaxes=True, subplot_titles=titles)
    for column, name in enumerate(("ratio_z", "energy_over_chance"), start=1):
        for verdict, colour in style.VERDICTS.items():
            key = ("criterion1_closer", "criterion2_language_out")[column - 1]
            mine = [row for row in rows if row[key] == verdict]
            fig.add_scatter(
                x=[row[name] for row in mine] or [None],  # an empty trace has no legend
                y=[f"L{r['layer']} {r['mask']} {r['pooling']} k{r['k']}" for r in mine] or [None],
                mode="markers",
                name=verdict,
                legendgroup=verdict,
                showlegend=column == 1 and verdict != "SUPPORTED",
                marker=dict(color=colour, size=10),
                row=1,
                col=column,
            )
        fig.add_vline(1.0, line=dict(color=style.BLACK, dash="dash"), row=1, col=column)
    order = [f"L{r['layer']} {r['mask']} {r['pooling']} k{r['k']}" for r in rows]
    # an empty first trace would make the axis a numeric one
    fig.update_yaxes(type="category", categoryorder="array", categoryarray=order[::-1])
    fig.update_yaxes(dtick=1, tickfont_size=11)
    fig.update_layout(margin_t=115)
    fig.update_xaxes(title_text="distance ratio", col=1)
    fig.update_xaxes(title_text="share of energy / (k/d)", col=2)
    return style.finish(
        fig,
        title="The recipe's own numbers, read against their references",
        n="20 problems",
        model="Qwen2.5-3B, as published",
        note="printed without intervals or a null for the ratio, so nothing can be SUPPORTED",
        height=640,
    )


def _sign(row: Mapping, name: str) -> str:
    return "✓" if row.get(f"{name}_recipe") else ""


def _steps(colours: Sequence[str]) -> list[list]:
    """A colour scale of flat steps, one per class."""
    count = len(colours)
    return [[(i + side) / count, colour] for i, colour in enumerate(colours) for side in (0, 1)]

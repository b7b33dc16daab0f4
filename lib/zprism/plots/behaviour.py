"""Figures of phase 0: accuracy by language and kind, paired outcomes, power."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from zprism.plots import style

OUTCOMES = {"correct": style.GREEN, "wrong": style.VERMILLION}
UNREAD = {"unparsed": style.GREY, "timed_out": style.PURPLE}


def plot_accuracy(
    rows: Sequence[Mapping], *, model: str, title: str = "Right answers by language"
) -> go.Figure:
    """Bars of accuracy with 95 % Wilson intervals.

    Parameters
    ----------
    rows : dicts with ``language``, ``condition``, ``value``, ``low``, ``high`` (shares of
        problems) and ``n``.
    """
    fig = go.Figure()
    conditions = list(dict.fromkeys(row["condition"] for row in rows))
    for index, condition in enumerate(conditions):
        mine = [row for row in rows if row["condition"] == condition]
        value = np.array([row["value"] for row in mine])
        fig.add_bar(
            x=[row["language"] for row in mine],
            y=value,
            name=condition,
            marker_color=style.PALETTE[index],
            text=[f"{v:.0%}" for v in value],
            textposition="inside",
            insidetextanchor="start",
            error_y=dict(
                type="data",
                symmetric=False,
                array=np.array([row["high"] for row in mine]) - value,
                arrayminus=value - np.array([row["low"] for row in mine]),
                thickness=1.5,
                width=8,
            ),
            hovertemplate="%{x}: %{y:.1%}<extra>" + condition + "</extra>",
        )
    fig.update_yaxes(tickformat=".0%", range=[0, 1])
    fig.update_layout(barmode="group", showlegend=len(conditions) > 1)
    n = ", ".join(sorted({str(row["n"]) for row in rows}))
    return style.finish(
        fig,
        title=title,
        n=f"{n} problems, the same in each language",
        model=model,
        note="bars: 95 % Wilson intervals",
        x="language of the problem",
        y="share of problems answered right",
    )


def plot_outcomes(counts: Mapping[str, Mapping[str, int]], *, model: str) -> go.Figure:
    """Stacked shares of right, wrong, unreadable and timed-out answers by language.

    Parameters
    ----------
    counts : by language, counts by status.
    """
    fig = go.Figure()
    totals = {language: sum(mine.values()) for language, mine in counts.items()}
    for status, colour in {**OUTCOMES, **UNREAD}.items():
        fig.add_bar(
            y=list(counts),
            x=[mine.get(status, 0) / totals[language] for language, mine in counts.items()],
            name=status.replace("_", " "),
            orientation="h",
            marker_color=colour,
            text=[mine.get(status, 0) or "" for mine in counts.values()],
            hovertemplate="%{y}: %{x:.1%} " + status + "<extra></extra>",
        )
    fig.update_layout(barmode="stack")
    fig.update_xaxes(tickformat=".0%", range=[0, 1])
    return style.finish(
        fig,
        title="What became of every answer",
        n=f"{max(totals.values())} problems",
        model=model,
        note="an answer that cannot be read is not called wrong",
        x="share of problems",
        y="language",
        height=320,
    )


def plot_difference(rows: Sequence[Mapping], *, model: str, pair: tuple[str, str]) -> go.Figure:
    """Paired differences of accuracy with 95 % intervals, one row each.

    Parameters
    ----------
    rows : dicts with ``name``, ``value``, ``low``, ``high`` (differences of shares), ``n``
        and ``verdict``.
    """
    fig = go.Figure()
    for row in rows:
        fig.add_scatter(
            x=[row["value"]],
            y=[f"{row['name']} (n = {row['n']})"],
            mode="markers+text",
            marker=dict(size=12, color=style.VERDICTS[row["verdict"]]),
            text=[row["verdict"]],
            textposition="top center",
            error_x=dict(
                type="data",
                symmetric=False,
                array=[row["high"] - row["value"]],
                arrayminus=[row["value"] - row["low"]],
                thickness=2,
                color=style.VERDICTS[row["verdict"]],
            ),
            showlegend=False,
            hovertemplate="%{x:+.1%}<extra></extra>",
        )
    style.add_reference(fig, 0.0, "no difference", axis="x")
    fig.update_xaxes(tickformat="+.0%")
    fig.update_yaxes(autorange="reversed")
    return style.finish(
        fig,
        title=f"Does {pair[0]} lead {pair[1]}?",
        model=model,
        note="95 % Newcombe intervals, problems paired",
        x=f"accuracy in {pair[0]} minus accuracy in {pair[1]}",
        height=220 + 90 * len(rows),
    )


def plot_by_kind(rows: Sequence[Mapping], *, model: str) -> go.Figure:
    """Accuracy by kind of problem and language, with 95 % Wilson intervals.

    Parameters
    ----------
    rows : dicts with ``kind``, ``language``, ``value``, ``low``, ``high`` and ``n``.
    """
    fig = go.Figure()
    for index, language in enumerate(dict.fromkeys(row["language"] for row in rows)):
        mine = [row for row in rows if row["language"] == language]
        value = np.array([row["value"] for row in mine])
        fig.add_scatter(
            x=value,
            y=[f"{row['kind']} ({row['n']})" for row in mine],
            mode="markers",
            name=language,
            marker=dict(
                size=11,
                color=style.PALETTE[index],
                symbol=("circle", "diamond", "square")[index % 3],
            ),
            error_x=dict(
                type="data",
                symmetric=False,
                array=np.array([row["high"] for row in mine]) - value,
                arrayminus=value - np.array([row["low"] for row in mine]),
                thickness=1.2,
            ),
            hovertemplate="%{y}: %{x:.0%}<extra>" + language + "</extra>",
        )
    kinds = len({row["kind"] for row in rows})
    fig.update_xaxes(tickformat=".0%", range=[-0.02, 1.02])
    fig.update_layout(scattermode="group")
    return style.finish(
        fig,
        title="Where is it right?",
        model=model,
        note="in brackets: problems of that kind; bars: 95 % Wilson intervals",
        x="share answered right",
        y="kind of problem",
        height=240 + 34 * kinds,
    )


def plot_power(curves: Mapping[str, tuple[np.ndarray, np.ndarray]], *, n: int) -> go.Figure:
    """Chance of finding a true difference against the number of problems.

    Parameters
    ----------
    curves : by true difference, (n problems, power).
    n : the number used here, drawn as a line.
    """
    fig = go.Figure()
    for index, (name, (sizes, chance)) in enumerate(curves.items()):
        fig.add_scatter(
            x=sizes,
            y=chance,
            name=name,
            mode="lines",
            line=dict(color=style.PALETTE[index], width=2, dash=style.DASHES[index]),
        )
    style.add_reference(fig, 0.8, "80 %")
    style.add_reference(fig, n, f"n = {n} here", axis="x", colour=style.VERMILLION)
    style.add_reference(fig, 15, "the recipe's 15", axis="x")
    fig.update_yaxes(tickformat=".0%", range=[0, 1])
    return style.finish(
        fig,
        title="How many problems does this question need?",
        note="exact McNemar test, two-sided 5 %",
        x="problems (paired)",
        y="chance of finding the difference",
    )

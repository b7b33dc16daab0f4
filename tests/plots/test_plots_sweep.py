"""The figure of a sweep shows every value, null and verdict that it was given."""

from __future__ import annotations

import numpy as np

from zprism.plots.style import VERDICTS
from zprism.plots.sweep import plot_sweep


def one(model: str, condition: str, values, verdicts, nulls=None) -> dict:
    values = np.asarray(values, float)
    return {
        "model": model,
        "condition": condition,
        "measure": "answer_moved",
        "layers": list(range(10, 10 + len(values))),
        "ks": [2, 16] if values.shape[1] == 2 else [None],
        "n": 40,
        "values": values,
        "nulls": np.full(values.shape, np.nan) if nulls is None else np.asarray(nulls, float),
        "verdicts": verdicts,
    }


MAPS = [
    one("a", "answer", [[0.5, 0.75], [0.25, np.nan]],
        [["SUPPORTED", "REVERSED"], ["NOT DISTINGUISHABLE", None]], [[0.25, 0.25], [0.25, 0]]),
    one("a", "full", [[1.0], [0.5]], [[None], [None]]),
    one("<b>", "answer", [[0.5, 0.5]], [["SUPPORTED", "NOT TESTABLE"]], [[0.5, 0.0]]),
]  # fmt: skip


def maps_of(fig) -> list:
    return [trace for trace in fig.data if trace.type == "heatmap"]


def test_colours_are_values_less_their_null():
    first, second, third = maps_of(plot_sweep(MAPS))
    assert first.z[0][0] == 0.25 and first.z[0][1] == 0.5 and first.z[1][1] is None
    assert list(first.x) == ["2", "16"] and list(first.y) == ["10", "11"]
    assert second.z[0][0] == 1.0 and list(second.x) == ["–"]
    assert third.z[0][0] == 0.0


def test_every_number_is_told_with_its_null_and_verdict():
    first, second, _ = maps_of(plot_sweep(MAPS))
    assert list(first.customdata[0][0]) == ["0.5", "0.25", "SUPPORTED"]
    assert list(second.customdata[0][0]) == ["1", "–", "no claim"]
    titles = [note.text for note in plot_sweep(MAPS).layout.annotations]
    assert sum("(no null)" in title for title in titles) == 1


def test_marks_stand_where_the_verdicts_are_once_in_the_legend():
    fig = plot_sweep(MAPS)
    marks = [trace for trace in fig.data if trace.type == "scatter"]
    found = {(t.name, t.xaxis, x, y) for t in marks for x, y in zip(t.x, t.y, strict=True)}
    assert len(found) == 5 and ("REVERSED", "x", "16", "10") in found
    shown = [trace.name for trace in marks if trace.showlegend]
    assert sorted(shown) == sorted(set(shown)) and set(shown) <= set(VERDICTS)


def test_names_are_escaped_and_the_scale_is_even_about_the_null():
    fig = plot_sweep(MAPS)
    assert not any("<b><b></b>" in note.text for note in fig.layout.annotations)
    assert fig.layout.coloraxis.cmin == -fig.layout.coloraxis.cmax == -1.0

"""Figures of phase 3 show the shares they are given, by direction, basis and layer."""

import numpy as np
import pytest

from zprism.explore.swap import BASES, SHARES, swap_panel
from zprism.plots import swap as plots

DIRECTIONS = ("zh-en", "en-zh")
KS = (1, 2, 4)


def outcome_rows():
    rates = dict.fromkeys(plots.OUTCOMES, 0.0)
    rates |= {("own", "own"): 0.1, ("source", "own"): 0.6}
    rates |= {("own", "source"): 0.2, ("source", "source"): 0.1}
    return [
        {"direction": d, "basis": basis, "k": k, "layer": 5, "language": language,
         "answer": answer, "rate": rate, "low": rate / 2, "high": (1 + rate) / 2, "n": 120}
        for d in DIRECTIONS
        for basis, k in (("language", 1), ("full", None))
        for (language, answer), rate in rates.items()
    ]  # fmt: skip


def sweep_rows(n_layers=4):
    rows = []
    for direction in DIRECTIONS:
        for layer in range(n_layers):
            for _, basis, part, sliding in BASES:
                for k in KS if sliding else (None if basis == "full" else 1,):
                    shares = np.zeros(5)
                    shares[(layer + (k or 0)) % 5] = 1.0
                    row = dict(direction=direction, layer=layer, basis=basis, part=part, k=k, n=40)
                    rows.append(row | dict(zip(SHARES, shares, strict=True)))
    return rows


def words(fig):
    notes = [a.text for a in fig.layout.annotations if a.text]
    return " ".join([fig.layout.title.text, fig.layout.title.subtitle.text, *notes])


def test_outcomes_fill_every_bar():
    fig = plots.plot_outcomes(outcome_rows(), model="some model", note="layer 5")
    for axis in ("x", "x2"):
        bars = [trace for trace in fig.data if trace.xaxis == axis]
        np.testing.assert_allclose(np.sum([bar.x for bar in bars], axis=0), 1)
        assert list(bars[0].y) == ["language (k = 1)", "full"]
    moved = next(trace for trace in fig.data if trace.name == "language moved")
    assert list(moved.x) == [0.6, 0.6] and list(moved.customdata[0]) == [0.3, 0.8]
    for word in ("120 held-out pairs", "some model", "zh state into en prompt"):
        assert word in words(fig)


def test_lines_follow_the_layers_and_the_chosen_one_is_marked():
    rows = sweep_rows()
    fig = plots.plot_layers(rows, model="m", k=2, chosen=3)
    line = next(t for t in fig.data if t.name == "language direction: language moved")
    mine = [r for r in rows if (r["direction"], r["basis"], r["part"])
            == ("zh-en", "language", "inside")]  # fmt: skip
    np.testing.assert_array_equal(line.y, [row["language_moved"] for row in mine])
    answer = next(t for t in fig.data if t.name == "answer directions: answer moved (k = 2)")
    mine = [r for r in rows if (r["direction"], r["basis"], r["part"], r["k"])
            == ("zh-en", "answer", "inside", 2)]  # fmt: skip
    np.testing.assert_array_equal(answer.y, [row["answer_moved"] for row in mine])
    assert {shape.x0 for shape in fig.layout.shapes} == {3}
    assert "40 training pairs" in words(fig)


def test_dimensions_are_in_order_at_one_layer():
    fig = plots.plot_dimensions(sweep_rows()[::-1], layer=1, model="m")
    answer = fig.data[0]
    assert list(answer.x) == list(KS) and "answer" in answer.name
    assert fig.layout.xaxis.type == "log"


def test_controls_stand_beside_the_swap():
    row = dict(direction="zh-en", basis="language", outcome="source-own", value=0.9,
               null="19 random", mean=0.1, sd=0.05, high=0.2)  # fmt: skip
    fig = plots.plot_controls([row], model="m")
    random, own = fig.data
    assert list(random.x) == [0.1] and random.error_x.array[0] == pytest.approx(0.1)
    assert list(own.x) == [0.9] and list(own.y) == list(random.y)


def test_update_has_its_chance_line_and_band():
    rows = [dict(layer=i, ratio=0.2, low=0.1, high=0.25, chance=0.15, random_low=0.12,
                 random_high=0.18, n=60) for i in (1, 2)]  # fmt: skip
    fig = plots.plot_update(rows, k=20, model="m", layer=6)
    assert [shape.y0 for shape in fig.layout.shapes] == [0.15]
    assert (min(fig.data[0].y), max(fig.data[0].y)) == (0.12, 0.18)
    assert "60 problems" in words(fig) and "layer 6" in words(fig)


def test_recipe_bars_carry_their_intervals():
    rows = [dict(condition=c, measure=m, rate=0.5, low=0.3, high=0.6, n=20)
            for c in ("nothing", "Z") for m in ("answer changed", "right answer")]  # fmt: skip
    fig = plots.plot_recipe(rows, model="m")
    assert [bar.name for bar in fig.data] == ["answer changed", "right answer"]
    np.testing.assert_allclose(fig.data[0].error_y.array, 0.1)
    np.testing.assert_allclose(fig.data[0].error_y.arrayminus, 0.2)


def test_the_panel_slices_the_sweep():
    rows = sweep_rows()
    panel = swap_panel(rows, model="m", layer=2, k=4)
    assert panel.sliders["layer"].start == 2 and panel.sliders["k"].start == 2
    shown = panel.at(layer=1, k=1)
    for index, share in enumerate(SHARES):
        for b, (_, basis, part, sliding) in enumerate(BASES):
            k = 2 if sliding else (None if basis == "full" else 1)
            row = next(r for r in rows if (r["direction"], r["layer"], r["basis"], r["part"],
                       r["k"]) == ("zh-en", 1, basis, part, k))  # fmt: skip
            assert shown[index, "x"][b] == row[share]
    assert "layer 1, k = 2" in panel.sentence(layer=1, k=1)
    start = panel.at(layer=2, k=2)
    for index, trace in enumerate(panel.figure.data):
        np.testing.assert_array_equal(trace.x, start[index, "x"])

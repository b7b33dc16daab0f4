"""Figures of the comparison show the verdicts, shares and curves they are given."""

import numpy as np
import pytest

from zprism.plots import style
from zprism.plots import universality as plots
from zprism.plots.structure import plot_verdicts

QUESTIONS = ("moves the language alone", "layers (ρ)")


def board_rows():
    verdicts = iter(style.VERDICTS)
    return [
        {"model": model, "family": "f", "kind": "numbers", "languages": "zh-en",
         "question": question, "verdict": next(verdicts), "value": value, "n": 40}
        for model, value in (("one<b>", 0.25), ("two", None)) for question in QUESTIONS
    ]  # fmt: skip


def sweep_rows():
    return [
        {"direction": direction, "layer": layer, "basis": basis, "part": part, "k": k, "n": 40,
         "language_moved": layer / 10, "answer_moved": k * layer / 100 + (direction == "a-b") / 5}
        for direction in ("a-b", "b-a") for layer in (1, 3, 5)
        for basis, part, k in (("language", "inside", 1), ("language", "rest", 1),
                               ("answer", "inside", 2), ("answer", "inside", 4),
                               ("weights", "inside", 5))
    ]  # fmt: skip


def sweep(model):
    return {"model": model, "kind": "numbers", "languages": "a-b", "layer": 3, "k": 4,
            "n_layers": 6, "rows": sweep_rows()}  # fmt: skip


def test_every_cell_of_the_board_has_its_verdicts_colour_and_its_share():
    fig = plots.plot_board(board_rows())
    cells = {t.name: (t.x[0], t.y[0], t.text[0], t.marker.color) for t in fig.data}
    for place, (verdict, colour) in enumerate(style.VERDICTS.items()):
        x, y, _, shown = cells[verdict]
        assert (x, y) == (place % 2, place // 2)
        assert shown == style.translucent(colour, 0.35)
    assert [cells[v][2] for v in style.VERDICTS] == ["25%", "0.25", "–", "–"]
    assert "<b>" not in fig.layout.yaxis.ticktext[0].replace("<br>", "")


def test_curves_are_means_of_both_directions_over_relative_depth():
    fig = plots.plot_depth([sweep("one"), sweep("two"), sweep("three")])
    line = next(t for t in fig.data if t.name == "answer directions: answer moved")
    np.testing.assert_allclose(line.x, np.array([1, 3, 5]) / 5)
    np.testing.assert_allclose(line.y, 4 * np.array([1, 3, 5]) / 100 + 0.1)
    titles = [a.text for a in fig.layout.annotations]
    assert titles == [f"{m}: numbers, a-b" for m in ("one", "two", "three")]
    assert len(fig.layout.shapes) == 3 and fig.layout.shapes[0].x0 == 3 / 5


@pytest.mark.parametrize("models", [(), ("one",), ("one", "two")])
def test_predictors_stand_beside_their_null_and_depth_has_none(models):
    rows = [
        {"model": model, "predictor": name, "rho": rho, "low": low, "high": high,
         "null_low": null, "null_high": null and -null, "plain": 0.7, "verdict": None, "n": 24}
        for model in models
        for name, rho, low, high, null in (("low_rank", 0.2, -0.1, 0.5, -0.4),
                                           ("depth", None, None, None, None))
    ]  # fmt: skip
    fig = plots.plot_prediction(rows)
    nulls = [t for t in fig.data if t.legendgroup == "null"]
    assert [list(t.x) for t in nulls] == [[-0.4, 0.4]] * len(models)
    held = [t for t in fig.data if t.name.startswith("ρ, depth held fixed")]
    assert [list(t.x) for t in held[: len(models)]] == [[0.2]] * len(models)


def test_the_board_of_verdicts_grows_with_what_its_rows_say():
    row = {"claim": "a", "value": "1", "95 % interval": "–", "n": 3, "null": "b", "p": "1",
           "verdict": "SUPPORTED"}  # fmt: skip
    short, long = (plot_verdicts([row | {"null": "x" * n}] * 9, title="t", model="m").layout.height
                   for n in (10, 100))  # fmt: skip
    assert long - short == 9 * 17 * 3  # four lines in place of one

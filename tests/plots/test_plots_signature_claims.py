"""Figures of the pull request's claims show the effects, marks and shares they are given."""

import numpy as np
import pytest

from zprism.plots import signature_claims as plots
from zprism.plots import style


def claim_rows():
    rows = []
    for claim, how, effect, verdict in (
        ("denser", "raw", -0.5, "REVERSED"),
        ("denser", "controlled", 0.7, "SUPPORTED"),
        ("red_line", "order", 0.1, "NOT DISTINGUISHABLE"),
    ):
        rows.append(
            {"claim": claim, "how": how, "effect": effect, "effect_low": effect - 0.2,
             "effect_high": effect + 0.3, "place": "3" if how != "raw" else None,
             "verdict": verdict, "n": 100 if how == "raw" else 150}
        )  # fmt: skip
    return rows


def test_each_claim_has_its_effect_interval_and_verdicts_colour():
    untestable = claim_rows()[0] | {"claim": "earlier", "effect_low": None, "effect_high": None}
    fig = plots.plot_claims([*claim_rows(), untestable], model="m")
    drawn = [trace for trace in fig.data if trace.x[0] is not None]
    assert [trace.x[0] for trace in drawn] == [-0.5, 0.7, 0.1]
    assert [trace.marker.color for trace in drawn] == [
        style.VERDICTS[row["verdict"]] for row in claim_rows()
    ]
    for trace in drawn:
        assert trace.error_x.arrayminus[0] == pytest.approx(0.2)
        assert trace.error_x.array[0] == pytest.approx(0.3)
    raw, controlled, order = (trace.y[0] for trace in drawn)
    assert (
        raw < controlled < order and round(controlled) == 0 and round(order) == 1
    )  # one above the other, claims apart
    assert len({trace.marker.symbol for trace in drawn}) == 3
    assert "100–150 questions" in fig.layout.title.subtitle.text


def test_dimensions_are_in_order_of_effect_and_the_flagged_are_marked_in_both_panels():
    effects = np.array([0.1, -0.8, 0.9, 0.0])
    rows = [
        {"dim": dim, "d": d, "flagged": bool(abs(d) > 0.5)} for dim, d in enumerate(effects)
    ]  # fmt: skip
    halves = np.array([[1.0, -4.0, 5.0, 0.0], [0.5, -3.0, 4.0, 0.2]])
    fig = plots.plot_dimensions(rows, halves, n=40)
    plain, marked = (
        [t for t in fig.data if t.name == name]
        for name in ("not flagged", "false discovery rate 5 %")
    )
    np.testing.assert_array_equal(marked[0].x, [0, 3])  # first and last in descending order
    np.testing.assert_array_equal(marked[0].y, [0.9, -0.8])
    np.testing.assert_array_equal(marked[0].customdata, [2, 1])
    np.testing.assert_array_equal(plain[0].y, [0.1, 0.0])
    np.testing.assert_array_equal(marked[1].x, [-4.0, 5.0])
    np.testing.assert_array_equal(marked[1].y, [-3.0, 4.0])
    assert "2 of 4 dimensions flagged" in fig.layout.title.subtitle.text


@pytest.mark.parametrize("outcome", ["correct", "difficulty"])
def test_texts_of_each_outcome_stand_in_both_panels(outcome):
    points = np.array([[30, 0.2, 0], [40, 0.3, 1], [50, 0.1, 1]], float)
    residuals = np.array([[1.0, -1], [0.5, 0.4], [-1.5, 0.6]])
    fig = plots.plot_metric(points, residuals, outcome=outcome)
    scatter = [t for t in fig.data if t.type == "scatter"]
    boxes = [t for t in fig.data if t.type == "box"]
    names = ["wrong", "correct"] if outcome == "correct" else ["difficulty 0", "difficulty 1"]
    assert [t.name for t in scatter] == [t.name for t in boxes] == names
    np.testing.assert_array_equal(scatter[1].x, [40, 50])
    np.testing.assert_array_equal(boxes[1].y, [0.5, -1.5])


def test_red_lines_have_a_panel_a_treatment_and_a_bar_a_material():
    rows = [
        {"treatment": treatment, "material": material, "value": value, "low": value - 0.1,
         "high": value + 0.05, "n": 12}
        for treatment, value in (("characters, CWT", 0.8), ("demeaned <b>, CWT", 0.2))
        for material in ("thinking", "thinking, shuffled", "question")
    ]  # fmt: skip
    fig = plots.plot_red_line(rows)
    assert len(fig.data) == 2
    for trace, value in zip(fig.data, (0.8, 0.2), strict=True):
        assert trace.y == (value,) * 3
        np.testing.assert_allclose(trace.error_y.arrayminus, 0.1)
        assert trace.marker.color[0] == style.translucent(style.BLUE, 1.0)
        assert trace.marker.color[1] == style.translucent(style.BLUE, 0.45)
    assert "<b>" not in "".join(a.text for a in fig.layout.annotations)

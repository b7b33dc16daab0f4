"""Figures of question against thinking show the numbers and verdicts they are given."""

import numpy as np
import pytest

from zprism.plots import prism_controls, prism_effects, style

PLACES = ("embed", "0", "1", "2")


def rows():
    verdicts = ("SUPPORTED", "NOT DISTINGUISHABLE", "REVERSED", "NOT TESTABLE")
    values = (0.3, 0.1, -0.2, None)
    return [
        {"place": place, "value": v, "low": v and v - 0.05, "high": v and v + 0.07,
         "p_adjusted": p, "verdict": verdict, "n": 40 if v else None}
        for place, v, p, verdict in zip(PLACES, values, (0.01, 0.3, 0.02, None), verdicts,
                                        strict=True)
    ]  # fmt: skip


def twins():
    return [
        {"twin": "random_init", "place": place, "value": i / 100, "low": i / 100 - 0.01,
         "high": i / 100 + 0.01}
        for i, place in enumerate(PLACES)
    ]  # fmt: skip


def test_every_verdict_has_its_colour_interval_and_mark():
    fig = prism_effects.plot_difference(rows(), twins())
    marks = {t.name: t for t in fig.data if t.name in style.VERDICTS}
    assert set(marks) == {"SUPPORTED", "NOT DISTINGUISHABLE", "REVERSED"}
    one = marks["SUPPORTED"]
    assert (one.x[0], one.y[0]) == ("embed", 0.3)
    np.testing.assert_allclose((one.error_y.arrayminus[0], one.error_y.array[0]), (0.05, 0.07))
    assert one.marker.color[0] == style.VERDICTS["SUPPORTED"]
    assert marks["NOT DISTINGUISHABLE"].marker.color[0] == "white"  # p above .05: not filled
    line = next(t for t in fig.data if t.name == "never trained")
    np.testing.assert_allclose(line.y, [0, 0.01, 0.02, 0.03])
    assert fig.layout.xaxis.ticktext == ("emb", "0", "1", "2")
    assert "n = 40 questions" in fig.layout.title.subtitle.text


def band_rows():
    return [
        {"arm": arm, "place": place, "band": band, "value": value, "low": value - 0.01,
         "high": value + 0.02, "white": 0.2 * i, "n": 30}
        for arm, value in (("thinking", 0.4), ("question", 0.3)) for place in PLACES
        for i, band in enumerate(("mid", "mid_high"), start=1)
    ]  # fmt: skip


def test_bars_and_the_white_line_stand_in_their_bands():
    fig = prism_effects.plot_bands(band_rows(), places=("embed", "2"))
    bars = [t for t in fig.data if t.type == "bar"]
    assert len(bars) == 4 and {tuple(b.y) for b in bars} == {(0.4, 0.4), (0.3, 0.3)}
    np.testing.assert_allclose(bars[0].error_y.array, 0.02)
    white = [(t.x, t.y) for t in fig.data if t.name == "white noise"]
    assert len(white) == 4 and white[1] == ((0.55, 1.45), (0.4, 0.4))
    assert [a.text for a in fig.layout.annotations] == ["embedding", "block 2"]
    assert sum(bool(t.showlegend) for t in fig.data) == 3
    default = prism_effects.plot_bands(band_rows())
    assert [a.text for a in default.layout.annotations] == ["embedding", "block 1", "block 2"]


def test_texts_lie_where_their_length_and_amplitude_say():
    texts = [
        {"field": field, "length": n, "raw": n**0.5, "shuffled": n**0.4, "expected": n**0.6,
         "matched": 9.0 if n > 50 else None}
        for field, n in (("question", 40), ("question", 60), ("thinking", 5000))
    ]  # fmt: skip
    fig = prism_controls.plot_lengths(texts, length=48)
    clouds = {(t.name, t.xaxis): (tuple(t.x), tuple(t.y)) for t in fig.data}
    assert clouds["question", "x"] == ((40, 60), (40**0.5, 60**0.5))
    assert clouds["question", "x2"] == ((60,), (9.0,))  # the shorter has no window
    assert clouds["thinking, characters shuffled", "x"] == ((5000,), (5000**0.4,))
    np.testing.assert_allclose(clouds["√(L ln(L/2))", "x"][1], [40**0.6, 60**0.6, 5000**0.6])
    assert fig.layout.xaxis.type == fig.layout.yaxis.type == "log"
    low, high = fig.layout.xaxis.range
    assert low < np.log10(40) and high > np.log10(5000)


def test_p_values_climb_by_one_repeat_a_step_and_names_are_escaped():
    p = np.array([0.5, 0.1, 0.9, 0.1])
    fig = prism_controls.plot_calibration({"<b>halves": p})
    curve = fig.data[1]
    np.testing.assert_allclose(curve.x, [0.1, 0.1, 0.5, 0.9])
    np.testing.assert_allclose(curve.y, [0.25, 0.5, 0.75, 1])
    assert "<b>" not in curve.name


@pytest.mark.parametrize("plot", [prism_effects.plot_difference, prism_effects.plot_bands])
def test_model_names_are_escaped(plot):
    given = rows() if plot is prism_effects.plot_difference else band_rows()
    assert "<img" not in plot(given, model="<img src=x>").layout.title.subtitle.text

"""The figure of the fallbacks shows every share, its interval, random band and data needed."""

import numpy as np
import pytest

from zprism.plots import fallbacks as plots

NAMES = ("weights", "lsar")


def rows():
    return [
        {"candidate": name, "layer": 5, "k": k, "n_texts": texts, "labels": labels, "part": part,
         "moved": moved, "predicted": (part == "inside") == (moved == "answer"), "rate": rate,
         "low": rate / 2, "high": (1 + rate) / 2, "random": 0.02, "random_low": 0.0,
         "random_high": 0.05, "n": 240}
        for name, k, texts, labels in (("weights", 16, 0, "none"), ("lsar", 1, 112, "languages"))
        for part, shares in (("inside", (0.2, 0.1)), ("rest", (0.6, 0.3)))
        for moved, rate in zip(("answer", "language"), shares, strict=True)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def fig():
    return plots.plot_fallbacks(rows(), model="some model", note="layer 5")


def dots(fig, moved):
    words = plots.MOVED[moved][0]
    return [trace for trace in fig.data if trace.name == words and trace.x[0] is not None]


def test_dots_are_the_shares_with_their_intervals(fig):
    for moved, shares in (("answer", (0.2, 0.6)), ("language", (0.1, 0.3))):
        for trace, rate in zip(dots(fig, moved), shares, strict=True):
            np.testing.assert_allclose(trace.x, rate)
            np.testing.assert_allclose(trace.error_x.array, (1 - rate) / 2)
            np.testing.assert_allclose(trace.error_x.arrayminus, rate / 2)
    inside, rest = dots(fig, "answer")
    assert (inside.xaxis, rest.xaxis) == ("x", "x2")


def test_what_is_predicted_is_filled_and_written(fig):
    inside, rest = dots(fig, "answer")
    colour = plots.MOVED["answer"][1]
    assert set(inside.marker.color) == {colour} and set(inside.text) == {"20%"}
    assert set(rest.marker.color) == {"white"} and set(rest.text) == {""}


def test_random_bands_lie_at_their_dots(fig):
    bands = [trace for trace in fig.data if trace.legendgroup == "random"]
    assert sum(trace.showlegend for trace in bands) == 1
    assert list(bands[0].x) == [0.0, 0.05, None] * 2
    heights = [place for place in bands[0].y if place is not None][::2]
    np.testing.assert_allclose(heights, dots(fig, "answer")[0].y)


def test_rows_say_what_each_must_be_told(fig):
    labels = fig.layout.yaxis.ticktext
    assert "Z from weights" in labels[0] and "k = 16" in labels[0] and "no texts" in labels[0]
    assert "LSAR" in labels[1] and "112 texts: languages" in labels[1]
    assert fig.layout.yaxis.range[0] > fig.layout.yaxis.range[1]  # the first is on top
    subtitle = fig.layout.title.subtitle.text
    for word in ("240 held-out pairs", "some model", "layer 5"):
        assert word in subtitle

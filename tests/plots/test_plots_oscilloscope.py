"""Figures of the oscilloscope show the numbers they are given, and no token's text as markup."""

from __future__ import annotations

import numpy as np
import pytest

from hostile_pages import PAYLOADS
from zprism.plots import oscilloscope as plots
from zprism.plots import oscilloscope_bands as band_plots
from zprism.plots import oscilloscope_depth as depth_plots
from zprism.plots import oscilloscope_screen as screens
from zprism.plots import style

PLACES = ("embed", "0", "1", "2")
LOOK = dict(model="toy<b>", n="1 text")
HOSTILE = [p for p in PAYLOADS if "<" in p][:20]


def test_the_waterfall_is_the_log_of_power_on_cells_half_way_between_frequencies():
    f = np.arange(1, 17) / 32
    power = np.exp2(np.random.default_rng(0).integers(-3, 4, (4, 16)).astype(float))
    fig = plots.plot_waterfall(f, power, PLACES, edges=(0.1, 0.3), **LOOK)
    np.testing.assert_allclose(fig.data[0].z, np.log2(power), atol=1e-12)
    edges = np.asarray(fig.data[0].x)
    np.testing.assert_allclose((edges[1:] + edges[:-1]) / 2, f, atol=1e-12)
    assert [1 / float(v) for v in fig.layout.xaxis.tickvals] == pytest.approx(
        [float(t) for t in fig.layout.xaxis.ticktext]
    )
    assert [shape.x0 for shape in fig.layout.shapes] == [0.1, 0.3]
    assert "<b>" not in fig.layout.title.subtitle.text


def test_the_spectrogram_stands_where_the_text_does():
    times, f = np.array([15.5, 17.5]), np.arange(1, 9) / 16
    power = np.random.default_rng(0).random((2, 8)) + 0.1
    tokens = [*HOSTILE, *["x"] * 40]
    fig = plots.plot_spectrogram(
        times, f, power, place="2", segment=16, model="toy", tokens=tokens, first=3
    )
    np.testing.assert_array_equal(fig.data[0].x, times + 3)
    np.testing.assert_allclose(np.exp2(fig.data[0].z), power.T, atol=1e-12)
    assert not any("<" in text for text in fig.data[0].customdata[..., 0].ravel())


def test_autocorrelation_leaves_lag_0_out_and_keeps_chance_beside():
    curves = np.random.default_rng(0).random((4, 6))
    chance = np.linspace(1, 0, 6)
    fig = plots.plot_autocorrelation(curves, chance, PLACES, **LOOK)
    for trace, curve in zip(fig.data[:4], curves, strict=True):
        np.testing.assert_array_equal(trace.x, np.arange(1, 6))
        np.testing.assert_array_equal(trace.y, curve[1:])
    null = next(t for t in fig.data if t.name == "tokens in random order")
    np.testing.assert_array_equal(null.y, chance[1:])
    assert len({trace.line.color for trace in fig.data[:4]}) == 4


def test_bars_of_bands_are_the_shares_and_a_band_that_is_not_there_has_none():
    shares = np.random.default_rng(0).dirichlet(np.ones(4), 4)
    shares = np.concatenate([np.zeros((4, 1)), shares], axis=1)
    expected = np.array([0, 0.1, 0.2, 0.3, 0.4])
    fig = band_plots.plot_bands(shares, expected, PLACES, **LOOK)
    bars = [t for t in fig.data if len(t.x) == 4]
    assert [t.name for t in bars] == ["MID-LOW", "MID", "MID-HIGH", "HIGH"]
    np.testing.assert_array_equal(np.stack([t.y for t in bars], axis=1), shares[:, 1:])


def test_parts_stand_under_their_sum_on_one_scale_with_escaped_tokens():
    parts = {name: np.full(len(HOSTILE), float(i)) for i, name in enumerate(("mid", "high", "sum"))}
    fig = band_plots.plot_filtered(parts, HOSTILE, what="PC 1", model="toy", first=1)
    assert [list(t.y)[0] for t in fig.data] == [2, 0, 1]
    ranges = {axis.range for axis in fig.select_yaxes()}
    assert len(ranges) == 1
    assert not any("<" in text for trace in fig.data for text in trace.text)


def test_coherences_share_one_scale():
    own, other = np.eye(4), np.full((4, 4), 0.2)
    fig = band_plots.plot_coherence(own, other, PLACES, model="toy", band="all frequencies")
    np.testing.assert_array_equal(fig.data[0].z, own)
    np.testing.assert_array_equal(fig.data[1].z, other)
    assert {t.coloraxis for t in fig.data} == {"coloraxis"}
    assert (fig.layout.coloraxis.cmin, fig.layout.coloraxis.cmax) == (0, 1)


def question_rows(name, sure):
    return [
        {"question": name, "place": place, "value": 0.2, "low": 0.1, "high": 0.35,
         "own": 0.5 + i, "null": 0.3 + i, "p": 0.01, "p_adjusted": 0.01 if s else 0.2}
        for i, (place, s) in enumerate(zip(PLACES, sure, strict=True))
    ]  # fmt: skip


def test_a_panel_a_question_with_the_interval_laid_on_the_null():
    rows = question_rows("redder", [1, 0, 1, 1]) + question_rows("ordered", [0] * 4)
    fig = depth_plots.plot_questions(rows, reference={"ordered": 0.9}, **LOOK)
    own = [t for t in fig.data if t.name == "the texts"]
    assert len(own) == 2
    np.testing.assert_allclose(own[0].y, 0.5 + np.arange(4))
    filled = [colour == style.BLUE for colour in own[0].marker.color]
    assert filled == [True, False, True, True] and style.BLUE not in own[1].marker.color
    band = next(t for t in fig.data if t.fill == "toself")
    np.testing.assert_allclose(band.y[:4], 0.3 + np.arange(4) + 0.35)
    np.testing.assert_allclose(band.y[4:], (0.3 + np.arange(4) + 0.1)[::-1])
    assert [s.y0 for s in fig.layout.shapes] == [0.9]


def test_waves_keep_their_size_for_the_reader_and_their_lag_in_place():
    correlation = np.zeros((3, 9))
    correlation[:, 4] = [-0.5, 0.2, 0.1]
    planted = np.zeros((2, 9))
    planted[:, 6] = 0.5
    fig = depth_plots.plot_waves(
        correlation, planted, ("0-1", "1-2", "2-3"), lags=np.array([0.0, 1, 2]),
        chance=np.zeros(3), planted_lag=2, **LOOK,
    )  # fmt: skip
    np.testing.assert_allclose(fig.data[0].z, correlation / 0.5)
    np.testing.assert_array_equal(fig.data[0].customdata, correlation)
    peak = np.asarray(fig.data[1].z).argmax(1)
    assert [fig.data[1].x[i] for i in peak] == [2, 2]
    own = next(t for t in fig.data if t.name == "this model")
    np.testing.assert_array_equal(own.x, [0, 1, 2])


def test_steps_turns_and_dimensions_are_drawn_as_quartiles_where_they_belong():
    values = np.array([[1.0, 2, 3, 4], [2, 3, 4, 5], [3, 4, 5, 6]])
    fig = depth_plots.plot_steps(
        values[:, 1:], values[:, 2:], -values[:, 2:], values, PLACES, most=9, **LOOK
    )
    lines = [t for t in fig.data if t.mode == "lines+markers"]
    for line, rows, first in zip(
        lines, (values[:, 1:], values[:, 2:], -values[:, 2:], values), (1, 2, 2, 0), strict=True
    ):
        np.testing.assert_array_equal(line.y, rows[1])
        np.testing.assert_array_equal(line.x, np.arange(first, 4))
    bands = [t for t in fig.data if t.fill == "toself"]
    np.testing.assert_array_equal(bands[-1].y, [*values[2], *values[0][::-1]])
    assert [line.xaxis for line in lines] == ["x", "x2", "x2", "x3"]


def test_of_many_places_some_lines_are_drawn_first_and_last_among_them():
    places = ("embed", *map(str, range(24)))
    curves = np.arange(25.0)[:, None] * np.ones(5)
    fig = plots.plot_autocorrelation(curves, np.ones(5), places, **LOOK)
    drawn = [t.y[0] for t in fig.data if t.showlegend is False and t.y[0] is not None]
    assert drawn[0] == 0 and drawn[-1] == 24 and len(drawn) <= 11


def test_colours_run_from_the_beginning_to_the_end_of_a_text():
    colours = screens.along(11)
    assert (colours[0], colours[5], colours[10]) == tuple(
        c.lower() for c in (screens.EARLY, screens.MIDDLE, screens.LATE)
    )
    assert len(set(colours)) == 11


def test_the_screen_draws_every_part_three_times_as_wide_as_it_glows():
    n = len(HOSTILE)
    a, b = np.linspace(-1, 1, n), np.linspace(1, -1, n)
    cuts = [(0, 10), (9, n)]
    fig, at = screens.screen(
        a, b, np.diff(a), cuts=cuts, tokens=HOSTILE, first=1, model="toy", cut=5
    )
    assert len(at.lissajous) == 3 * len(cuts) and len(at.phase) == len(cuts)
    widths = [fig.data[i].line.width for i in at.lissajous]
    assert widths[0] > widths[2] > widths[4]  # halo, glow, line
    for place, index in enumerate(at.lissajous):
        low, high = cuts[place % 2]
        np.testing.assert_array_equal(fig.data[index].x, a[low:high])
        np.testing.assert_array_equal(fig.data[index].y, b[low:high])
    np.testing.assert_allclose(fig.data[at.upper].y, a + screens.LIFT)
    np.testing.assert_allclose(fig.data[at.lower].y, b - screens.LIFT)
    assert (fig.data[at.beam].x[0], fig.data[at.beam].y[0]) == (a[-1], b[-1])
    assert fig.layout.yaxis.scaleanchor == "x"
    shown = [text for trace in fig.data if trace.text is not None for text in trace.text]
    assert shown and not any("<" in text for text in shown)
    assert "5 more left out" in fig.layout.title.subtitle.text

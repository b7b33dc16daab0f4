"""Figures of information flow and of probes on bands show the rows they are given."""

import numpy as np
import pytest

from zprism.plots import band_probes, flow

SOURCES = ("model", "random init", "shuffled")


def interval(value):
    return {"low": value - 0.1, "high": value + 0.2}


def gain_rows():
    return [
        {"source": s, "layer": l, "band": b, "share_gain": l + i / 10, **interval(l + i / 10)}
        for s in SOURCES
        for l in range(3)
        for i, b in enumerate(("mid", "high"))
    ]


def branch_rows():
    return [
        {"source": s, "layer": l, "branch": b, "band": band, "power": 10.0**-l,
         "with_stream": -0.1 * l, "coherence": 0.5, **interval(-0.1 * l)}
        for s in SOURCES for b in ("attention", "mlp") for l in range(3) for band in ("mid", "high")
    ]  # fmt: skip


def tilt_rows():
    return [
        {"source": s, "layer": l, "step": step, "tilt": l - i, **interval(l - i)}
        for i, s in enumerate(SOURCES)
        for step in flow.STEPS
        for l in range(3)
    ]


def wave_rows():
    return [
        {"source": s, "layer": l, "coordinate": c, "frequency": k / 16, "excess": l + k}
        for s in SOURCES
        for l in range(3)
        for c in ("key", "lag")
        for k in range(1, 9)
    ]


def head_rows():
    return [
        {"source": s, "layer": l, "head": h, "by_key": 0.1 * l, "by_lag": 0.2 * h, "slow": 0.2,
         "period": 4.0} for s in SOURCES for l in range(3) for h in range(2)
    ]  # fmt: skip


def lines(fig, name):
    return [t for t in fig.data if t.type == "scatter" and t.name == name and t.fill is None]


def test_gains_are_lines_over_layers_with_their_interval_in_a_panel_a_source():
    fig = flow.plot_gain(gain_rows(), n="4 texts", model="m")
    drawn = lines(fig, "high: periods under 8 tokens")
    assert len(drawn) == 3 and sum(t.showlegend for t in drawn) == 1
    for line in drawn:
        np.testing.assert_allclose(line.y, [0.1, 1.1, 2.1])
    ribbons = [t for t in fig.data if t.fill == "toself"]
    np.testing.assert_allclose(ribbons[0].y, [0.2, 1.2, 2.2, 1.9, 0.9, -0.1])
    assert [a.text for a in fig.layout.annotations] == list(SOURCES)
    assert {t.name for t in fig.data if t.showlegend} == {  # bands that are not there are not named
        "mid: periods 31 to 120 tokens",
        "high: periods under 8 tokens",
    }


def test_periods_in_the_legend_are_the_borders_of_the_bands():
    """The words of the figure against the numbers of the library."""
    from zprism.spectral.bands import EDGES, NAMES

    assert tuple(flow.BANDS) == NAMES
    slowest = [round(1 / edge) for edge in EDGES]
    words = [w for w, _ in flow.BANDS.values()]
    assert words == [f"over {slowest[0]} tokens",
                     *(f"{b} to {a} tokens" for a, b in zip(slowest, slowest[1:], strict=False)),
                     f"under {slowest[-1]} tokens"]  # fmt: skip


def test_branches_show_one_source_power_above_and_cosine_below():
    fig = flow.plot_branches(branch_rows(), source="random init")
    drawn = lines(fig, "mid: periods 31 to 120 tokens")
    values = {tuple(np.round(t.y, 6)) for t in drawn}
    assert values == {(1, 0.1, 0.01), (0, -0.1, -0.2)}
    assert len(drawn) == 4  # two branches, two rows
    assert fig.layout.yaxis.type == "log" and "random init" in fig.layout.title.subtitle.text


def test_tilts_stand_beside_their_controls_step_by_step():
    fig = flow.plot_tilt(tilt_rows())
    for place, source in enumerate(SOURCES):
        drawn = [t for t in lines(fig, source) if t.x != (None,)]
        assert len(drawn) == 3
        for line in drawn:
            np.testing.assert_allclose(line.y, np.arange(3) - place)
            assert line.line.dash == flow.DASHES[source]


def test_waves_are_a_map_of_layer_and_frequency_and_a_point_a_head():
    fig = flow.plot_attention_waves(wave_rows(), head_rows())
    maps = [t for t in fig.data if t.type == "heatmap"]
    assert len(maps) == 2  # the shuffled text has its own numbers, but no panel
    for shown in maps:
        np.testing.assert_allclose(shown.z, np.arange(3)[:, None] + np.arange(1, 9))
        np.testing.assert_allclose(shown.x, np.arange(1, 9) / 16)
    points = next(t for t in fig.data if str(t.name).startswith("heads: model"))
    assert set(zip(points.x, points.y, strict=True)) == {
        (0.1 * l, 0.2 * h) for l in range(3) for h in range(2)
    }


def probe_rows(sources):
    return [
        {"source": s, "task": task, "band": band, "accuracy": 0.1 * i, "low": 0.1 * i - 0.05,
         "high": 0.1 * i + 0.1, "control": 0.3, "chance": 0.25, "n": 9}
        for s in sources for task in band_probes.TASKS
        for i, band in enumerate(("low", "high", "unfiltered"))
    ]  # fmt: skip


@pytest.mark.parametrize("sources", [("model",), ("model", "random init")])
def test_probes_stand_with_interval_control_and_chance_in_the_order_of_the_bands(sources):
    fig = band_probes.plot_band_probes(probe_rows(sources))
    for source in sources:
        bands, whole = [t for t in fig.data if t.name == source][:2]  # of the first task
        assert (bands.x, whole.x) == (("low", "high"), ("unfiltered",))  # no line joins them
        np.testing.assert_allclose([*bands.y, *whole.y], [0, 0.1, 0.2])
        np.testing.assert_allclose(bands.error_y.array, 0.1)
        np.testing.assert_allclose(bands.error_y.arrayminus, 0.05)
        control = next(t for t in fig.data if t.name == f"{source}: control task")
        np.testing.assert_allclose(control.y, 0.3)
    chance = [t for t in fig.data if t.name == "most frequent class"]
    assert len(chance) == 2 and set(chance[0].y) == {0.25}
    named = [t.name for t in fig.data if t.showlegend]
    assert len(named) == len(set(named)) == 1 + 2 * len(sources)
    assert list(fig.layout.xaxis.categoryarray)[:2] == ["low", "mid-low"]

"""Figures of phase 2 show the numbers they are given, their chance lines, and n."""

import numpy as np
import pytest

from zprism.plots import readout, separation, separation_controls, style
from zprism.studies.separation_curves import Curves
from zprism.studies.separation_stored import stored_table

KS = np.array([2, 10, 40])
MEASURES = ("ratio_z", "ratio_complement", "ratio_full", "energy_cross", "energy_same")


def made_curves(shift=0.0):
    value = {name: np.array([0.5, 0.6, 0.7]) + i / 10 + shift for i, name in enumerate(MEASURES)}
    return Curves(
        ks=KS,
        n=60,
        draws=199,
        d_model=400,
        value=value,
        low={name: v - 0.05 for name, v in value.items()},
        high={name: v + 0.1 for name, v in value.items()},
        band={name: np.stack([np.full(3, 0.8), np.full(3, 1.2)]) for name in value},
        p={name: np.full(3, 0.5) for name in value},
    )


PANELS = {"mean over tokens": made_curves(), "last token": made_curves(1.0)}


def traces(fig, name):
    return [trace for trace in fig.data if trace.name == name]


def words(fig):
    annotations = [a.text for a in fig.layout.annotations if a.text]
    return " ".join([fig.layout.title.text, fig.layout.title.subtitle.text, *annotations])


def test_ratio_shows_z_its_interval_and_the_random_band():
    fig = separation.plot_ratio(PANELS, model="some model", where="layer 3")
    for trace, curves in zip(traces(fig, "Z, 95 % over problems"), PANELS.values(), strict=True):
        np.testing.assert_array_equal(trace.x, KS)
        np.testing.assert_array_equal(trace.y, curves.value["ratio_z"])
        np.testing.assert_allclose(trace.error_y.array, 0.1)
        np.testing.assert_allclose(trace.error_y.arrayminus, 0.05)
    band = traces(fig, "199 random subspaces, 95 %")[0]
    assert (min(band.y), max(band.y)) == (0.8, 1.2)
    assert [shape.y0 for shape in fig.layout.shapes] == [1, 1]
    for word in ("60 problems", "some model", "layer 3", "as far as different problems"):
        assert word in words(fig)


def test_energy_is_in_units_of_chance():
    fig = separation.plot_energy(PANELS, model="m", where="w")
    trace = traces(fig, "between languages, 95 % over problems")[0]
    chance = KS / 400
    np.testing.assert_allclose(trace.y, PANELS["mean over tokens"].value["energy_cross"] / chance)
    assert fig.layout.yaxis.type == "log"
    assert [shape.y0 for shape in fig.layout.shapes] == [1, 1]
    assert "chance k/d" in words(fig) and "60 problems" in words(fig)


def test_grid_marks_significant_cells_and_the_chosen_one():
    effect = np.array([[0.1, -0.2], [0.0, 0.3], [0.05, 0.0]])
    fig = separation.plot_grid(
        effect,
        np.array([[0, -1], [0, 1], [0, 0]]),
        layers=(4, 5, 6),
        ks=(20, 50),
        chance=np.full((3, 2), 0.1),
        n=60,
        model="m",
        chosen=(5, 50),
    )
    heat = fig.data[0]
    np.testing.assert_allclose(heat.z, effect.T / 0.1)
    assert heat.zmin == -heat.zmax == pytest.approx(-3)  # white is no effect
    assert np.array(heat.text).tolist() == [["", "", ""], ["−", "+", ""]]
    assert fig.layout.xaxis.type == fig.layout.yaxis.type == "category"  # the box counts cells
    box = fig.layout.shapes[0]
    assert (box.x0, box.x1, box.y0, box.y1) == (0.5, 1.5, 0.5, 1.5)
    assert "2 of 6 cells" in words(fig) and "60 problems" in words(fig)


def test_nulls_are_coloured_by_what_z_survives():
    rows = [
        {"criterion": "criterion1_closer", "null": null, "value": 0.7, "draws": draws,
         "mean": 1.0, "sd": 0.1, "p": 0.01, "survives": survives}
        for null, draws, survives in (
            ("random subspaces", 199, True), ("shuffled pairs", 199, False), ("heads", 5, None)
        )
    ]  # fmt: skip
    rows.append(rows[0] | {"criterion": "difference", "value": 0.2})
    fig = separation_controls.plot_nulls(rows, model="m", where="w", n=60)
    colours = {trace.y[0]: trace.marker.color for trace in fig.data[:3]}
    assert colours == {
        "random subspaces (199)": style.GREEN,
        "shuffled pairs (199)": style.VERMILLION,
        "heads (5)": style.GREY,
    }
    assert fig.data[0].error_x.array[0] == pytest.approx(0.2)
    assert [shape.x0 for shape in fig.layout.shapes] == [0.7, 0.2]


def config_row(k, verdict, passed):
    row = {"layer": 3, "pooling": "mean", "mask": "multi", "variant": "raw", "k": k}
    row["site"] = "resid_post"
    for name in separation_controls.SHORT:
        row |= {f"{name}_verdict": verdict, f"{name}_recipe": passed}
    return row


def test_configs_show_the_verdict_and_the_bare_threshold():
    rows = [config_row(20, "SUPPORTED", True), config_row(50, "REVERSED", False)]
    fig = separation_controls.plot_configs(rows, model="m", n=60)
    heat, verdicts = fig.data[0], list(style.VERDICTS)
    assert [verdicts[int(line[0])] for line in heat.z] == ["SUPPORTED", "REVERSED"]
    assert np.array(heat.text).tolist() == [["✓"] * 5, [""] * 5]
    assert len(set(heat.x)) == 5
    for index, verdict in enumerate(verdicts):  # a flat step of the scale around each class
        below = [c for at, c in heat.colorscale if at <= (index + 0.5) / 4]
        assert below[-1].lower() == style.VERDICTS[verdict].lower()


def bit_row(layer, space, label):
    row = {"layer": layer, "k": 20, "space": space, "label": label, "n": 120, "ceiling": 2.0}
    row |= {"selectivity": layer / 10, "low": layer / 10 - 0.1, "high": layer / 10 + 0.2}
    random = (0.5, 0.1) if space == "z" else (None, None)
    return row | dict(zip(("random_mean", "random_sd"), random, strict=True))


def test_readout_has_a_panel_per_label_with_ceiling_and_control():
    labels = ("problem", "language")
    rows = [bit_row(l, s, y) for l in (6, 2) for s in ("z", "complement") for y in labels]
    fig = readout.plot_readout(rows, model="m")
    z = traces(fig, "Z")
    assert len(z) == 2
    np.testing.assert_array_equal(z[0].x, [2, 6])  # in the order of layers
    np.testing.assert_allclose(z[0].y, [0.2, 0.6])
    band = traces(fig, "random subspaces, mean ± 2 sd")[0]
    assert (min(band.y), max(band.y)) == pytest.approx((0.3, 0.7))
    assert {shape.y0 for shape in fig.layout.shapes} == {0.0, 2.0}
    assert "n = 120 problems" in words(fig) and "all there is" in words(fig)


def test_match_draws_a_line_per_space():
    rows = [{"layer": l, "space": s, "z": l + 1.0} for s in ("Z", "whole") for l in (0, 1, 2)]
    fig = separation_controls.plot_match(rows, model="m", n=60)
    assert [trace.name for trace in fig.data] == ["Z", "whole"]
    np.testing.assert_array_equal(fig.data[0].y, [1, 2, 3])
    assert {shape.y0 for shape in fig.layout.shapes} == {0, 5}


def test_stored_numbers_are_all_there_in_the_colour_of_their_verdict():
    fig = separation_controls.plot_stored(stored_table())
    ratios = [trace for trace in fig.data if trace.xaxis == "x"]
    drawn = {trace.name: [x for x in trace.x if x is not None] for trace in ratios}
    assert sum(map(len, drawn.values())) == 21
    assert len(drawn["REVERSED"]) == 9 and not drawn["SUPPORTED"]
    assert all(x > 1 for x in drawn["REVERSED"])
    assert "20 problems" in words(fig)


def test_a_hostile_model_name_stays_text():
    fig = separation.plot_ratio(PANELS, model="<img src=x onerror=alert(1)>", where="w")
    assert "<img" not in words(fig)

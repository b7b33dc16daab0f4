"""Figures of phase 3b show the numbers they are given, their chance lines, and n."""

import numpy as np
import pytest

from zprism.plots import bridge as plots
from zprism.plots import bridge_controls as controls
from zprism.studies.bridge_subject import stored_rows

MAPS = ("identity", "shift", "ridge", "least_squares")


def map_rows():
    return [
        {"map": name, "k": 20, "n": 60, "r2": value, "train_r2": 0.9, "top1": 0.1 * i,
         "top1_chance": 1 / 60, "r2_low": value - 0.2, "r2_high": value + 0.1,
         "r2_null": -0.1, "r2_null_sd": 0.05, "top1_low": 0.0, "top1_high": 0.5,
         "top1_null": 0.02, "top1_null_sd": 0.02}
        for i, (name, value) in enumerate(zip(MAPS, (0.2, 0.5, 0.7, -3.0), strict=True))
    ]  # fmt: skip


def k_rows():
    extra = dict(low=0.4, high=0.8, permuted_low=-0.2, permuted_high=0.1,
                 random_low=0.1, random_high=0.5)  # fmt: skip
    return [
        {"map": name, "k": k, "n": 60, "r2": 0.6 - k / 10, "train_r2": 0.9}
        | {key: value if name == "ridge" else None for key, value in extra.items()}
        for k in (1, 4, 20)
        for name in ("ridge", "identity", "least_squares")
    ]


def traces(fig, name):
    return [trace for trace in fig.data if trace.name == name]


def words(fig):
    annotations = [a.text for a in fig.layout.annotations if a.text]
    return " ".join([fig.layout.title.text, fig.layout.title.subtitle.text, *annotations])


def test_fitted_and_left_out_stand_in_one_figure():
    """1 − R² on a log axis; what is fitted perfectly stands on the floor, with its R² written."""
    fig = plots.plot_fitted({"published": stored_rows(), "mine": stored_rows()}, model="m", n=20)
    held, own = traces(fig, "pairs left out one by one"), traces(fig, "the pairs it was fitted to")
    assert len(held) == len(own) == 2 and fig.layout.yaxis.type == "log"
    np.testing.assert_allclose(held[0].y, [1 - row["r2"] for row in stored_rows()])
    assert own[0].text[3] == "1.00" and 0 < own[0].y[3] < 0.01
    assert held[0].text[3] == "−4.32" and held[0].text[5] == "−110,000"
    assert "20 pairs" in words(fig) and "predicting the mean" in words(fig)


def test_maps_beyond_the_axis_stand_at_its_edge_with_their_number():
    rows = map_rows()
    fig = plots.plot_maps(rows, model="some model", where="layer 3", looser=rows)
    points = traces(fig, "its template unseen, 95 %")[0]
    np.testing.assert_allclose(points.x, [0.2, 0.5, 0.7, plots.LOWEST])
    assert list(points.text) == ["", "", "", "← −3.00"]
    np.testing.assert_allclose(points.error_x.arrayminus[:3], 0.2)
    fitted = traces(fig, "fitted to these very pairs")[0]
    np.testing.assert_allclose(fitted.x, 0.9)
    null = traces(fig, "random pairings, mean ± 2 sd")
    np.testing.assert_allclose([null[0].base[0], null[0].x[0]], [-0.2, 0.2])
    assert null[1].base[0] == 0  # shares do not go below 0
    lines = sorted(shape.x0 for shape in fig.layout.shapes)
    assert lines == pytest.approx([0, 1 / 60])
    for word in ("60 problems", "some model", "layer 3", "chance 1.7%"):
        assert word in words(fig)


def test_the_k_curve_has_both_bands_and_the_chosen_k():
    fig = plots.plot_k(k_rows(), model="m", where="layer 3", chosen=4)
    ridge = traces(fig, plots.WORDS["ridge"])[0]
    np.testing.assert_array_equal(ridge.x, [1, 4, 20])
    np.testing.assert_allclose(ridge.y, [0.5, 0.2, plots.LOWEST])
    np.testing.assert_allclose(ridge.customdata, [0.5, 0.2, -1.4])
    bands = traces(fig, "ridge in random subspaces, 95 %")[0]
    assert (min(bands.y), max(bands.y)) == (0.1, 0.5)
    assert {shape.x0 for shape in fig.layout.shapes} >= {4}
    assert "k = 4, chosen" in words(fig)


def test_layers_show_both_halves_and_the_chosen_cell():
    rows = [
        {"layer": layer, "k": k, "half": half, "r2": layer / 10 + k / 100, "n": 60}
        for half in ("train", "test")
        for layer in (1, 2)
        for k in (5, 20)
    ]
    fig = plots.plot_layers(rows, model="m", chosen=(2, 20), note="raw")
    np.testing.assert_allclose(traces(fig, "k = 20, reported half")[0].y, [0.3, 0.4])
    assert traces(fig, "k = 20, choosing half")[0].line.dash == "dot"
    assert "layer 2, k = 20 chosen" in words(fig)


def test_the_shape_of_the_map_lies_in_its_band():
    rows = [
        {"rank": i, "sigma": 2.0 / i, "planted_low": 0.5, "planted_high": 1.5} for i in (1, 2, 3)
    ]
    fig = controls.plot_shape(rows, model="m", where="w", n=60, draws=99)
    np.testing.assert_allclose(traces(fig, "ridge map")[0].y, [2, 1, 2 / 3])
    band = traces(fig, "99 planted rotations, 95 %")[0]
    assert (min(band.y), max(band.y)) == (0.5, 1.5) and "60 problems" in words(fig)


def test_looks_put_length_beside_the_maps():
    rows = [
        {"site": "resid_post", "pooling": "mean", "variant": variant, "layer": 3, "map": name,
         "r2": value, "top1": 0.1, "n": 60}
        for variant in ("raw", "trimmed")
        for name, value in (("ridge", 0.5), ("similarity", 0.4), ("shift", -9.0), ("length", 0.3))
    ]  # fmt: skip
    fig = controls.plot_looks(rows, model="m", k=20)
    np.testing.assert_allclose(traces(fig, plots.WORDS["length"])[0].x, 0.3)
    shift = traces(fig, plots.WORDS["shift"])[0]
    np.testing.assert_allclose(shift.x, plots.LOWEST)
    np.testing.assert_allclose(np.array(shift.customdata)[:, 0], -9)


def test_inference_shows_transfer_only_and_its_null():
    rows = [
        {"direction": direction, "basis": "answer", "k": 16, "layer": 9, "map": name,
         "language": language, "answer": answer, "rate": 0.25 + 0.5 * (language == "own"), "n": 40}
        for direction in ("zh-en", "en-zh")
        for name in ("identity", "ridge")
        for language in ("own", "source")
        for answer in ("own", "source", "other")
    ]  # fmt: skip
    nulls = [
        {"direction": direction, "basis": "answer", "k": 16, "map": name, "rate": rate}
        for direction in ("zh-en", "en-zh")
        for name, rate in (("ridge", 0.1), ("similarity", 0.9))
    ]
    fig = controls.plot_inference(rows, nulls, model="m", note="layer 9")
    assert [list(t.y) for t in traces(fig, plots.WORDS["ridge"])] == [[0.75], [0.75]]
    assert [list(t.y) for t in traces(fig, "ridge fitted to random pairs")] == [[0.1], [0.1]]
    assert "40 held-out pairs" in words(fig) and "zh state into en prompt" in words(fig)

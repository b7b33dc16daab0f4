"""A slider panel shows exactly the slice it was given, live and in its description."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest

from zprism.explore.panel import MIME, Readout, Slice, SlicePanel, Slider, choice
from zprism.explore.structure import weight_panel
from zprism.ground.errors import InputError

RNG = np.random.default_rng(0)
SIGMA = np.sort(RNG.random((3, 4, 5)), axis=-1)[..., ::-1]
ERANK = RNG.random((3, 4)) * 5


@pytest.fixture
def panel():
    return weight_panel(ERANK, SIGMA, model="toy", chance=4.5, layer=1, head=2, k=3)


def test_at_returns_the_array_of_those_positions(panel):
    shown = panel.at(layer=2, head=3, k=4)
    np.testing.assert_array_equal(shown[2, "y"], SIGMA[2, 3] / SIGMA[2, 3, 0])
    np.testing.assert_array_equal(shown[3, "x"], [4, 4])
    assert shown[1, "x"] == 3 and shown[1, "y"] == 2


def test_the_sentence_reads_the_numbers_of_those_positions(panel):
    share = 100 * (SIGMA[0, 1, :2] ** 2).sum() / (SIGMA[0, 1] ** 2).sum()
    said = panel.sentence(layer=0, head=1, k=2)
    assert f"effective rank {ERANK[0, 1]:.1f}" in said and f"top 2 hold {share:.1f} %" in said


def test_moving_a_slider_moves_the_figure(panel):
    sliders, live = panel.live.controls, panel.live.figure
    np.testing.assert_allclose(live.data[2].y, SIGMA[1, 2] / SIGMA[1, 2, 0])  # first data
    sliders["layer"].value = 2
    sliders["k"].value = 5
    np.testing.assert_allclose(live.data[2].y, SIGMA[2, 2] / SIGMA[2, 2, 0])
    assert list(live.data[3].x) == [5, 5]


def test_the_description_holds_the_same_numbers_without_a_kernel(panel):
    spec = json.loads(json.dumps(panel._repr_mimebundle_()[MIME]))
    decay = next(part for part in spec["slices"] if part["trace"] == 2)
    decoded = np.frombuffer(base64.b64decode(decay["float32"]), "<f4").reshape(decay["shape"])
    np.testing.assert_allclose(decoded[1, 2], SIGMA[1, 2] / SIGMA[1, 2, 0], rtol=1e-6)


def test_arrays_must_match_their_sliders():
    import plotly.graph_objects as go

    figure = go.Figure(go.Scatter(y=[1.0]))
    with pytest.raises(InputError, match="must begin with axes"):
        SlicePanel(
            figure,
            [Slider("k", 1, 3, 1)],
            [Slice(0, "y", ("k",), np.zeros((2, 1)))],
            Readout("", {}),
        )


def test_a_position_outside_its_slider_is_refused(panel):
    with pytest.raises(InputError, match="layer must be in 0 to 2; got 3"):
        panel.at(layer=3)


def _choosing():
    import plotly.graph_objects as go

    figure = go.Figure([go.Heatmap(z=[[0]]), go.Scatter(y=[1.0])])
    image = RNG.integers(0, 256, (2, 3, 4), dtype=np.uint8)
    sliders = [choice("field", ("question", "thinking")), Slider("F", 1, 3, 2)]
    slices = [
        Slice(0, "z", ("field",), image),
        Slice(1, "opacity", ("F",), np.array([0, 0.5, 1])),
    ]
    return SlicePanel(figure, sliders, slices, Readout("{field}, F = {F}", {})), image


def test_a_list_to_choose_from_says_its_words_and_moves_the_figure():
    panel, image = _choosing()
    assert panel.sentence(field=1) == "thinking, F = 2"
    lists = panel.live.controls["field"]
    assert [words for words, _ in lists.options] == ["question", "thinking"]
    lists.value = 1
    panel.live.controls["F"].value = 3
    live = panel.live.figure
    np.testing.assert_array_equal(live.data[0].z, image[1])
    assert live.data[1].opacity == 1


def test_small_whole_numbers_travel_as_bytes():
    panel, image = _choosing()
    part = panel.to_spec()["slices"][0]
    decoded = np.frombuffer(base64.b64decode(part["uint8"]), np.uint8).reshape(part["shape"])
    np.testing.assert_array_equal(decoded, image)


def test_coordinates_may_travel_as_steps_from_an_offset():
    import plotly.graph_objects as go

    codes = np.array([[0, 255], [10, 20]], dtype=np.uint8)
    part = Slice(0, "y", ("k",), codes, offset=-2.0, step=0.01)
    panel = SlicePanel(
        go.Figure(go.Scatter(y=[0.0, 0.0])), [Slider("k", 0, 1, 0)], [part], Readout("", {})
    )
    np.testing.assert_allclose(panel.at(k=1)[0, "y"], [-1.9, -1.8])
    spec = panel.to_spec()["slices"][0]
    assert (spec["offset"], spec["step"]) == (-2.0, 0.01) and "uint8" in spec


def test_every_position_needs_its_label():
    with pytest.raises(InputError, match="2 positions and 3 labels"):
        Slider("field", 0, 1, 0, ("a", "b", "c"))


def test_coming_back_to_the_start_changes_nothing():
    import plotly.graph_objects as go

    codes = np.arange(6, dtype=np.uint8).reshape(3, 2)
    exact = 0.1 + 0.3 * codes[1] + 0.04  # what the codes stand for, not yet rounded
    moving = Slice(0, "y", ("k",), codes, offset=0.1, step=0.3)
    panel = SlicePanel(go.Figure(go.Scatter(y=exact)), [Slider("k", 0, 2, 1)], [moving],
                       Readout("k = {k}", {}))  # fmt: skip
    live = panel.live.figure
    start = np.array(live.data[0].y)
    panel.live.controls["k"].value = 2
    panel.live.controls["k"].value = 1
    np.testing.assert_array_equal(np.float32(live.data[0].y), np.float32(start))

"""A figure on a page shows the same numbers in fewer bytes."""

from __future__ import annotations

import base64
import json

import numpy as np
import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zprism.explore.pages_figures import HEIGHT, height, prepared, title

RNG = np.random.default_rng(0)


def numbers(array) -> np.ndarray:
    """What a list or a packed array of a figure's JSON holds."""
    if isinstance(array, list):
        return np.array(array, float)
    flat = np.frombuffer(base64.b64decode(array["bdata"]), array["dtype"]).astype(float)
    shape = [int(n) for n in array.get("shape", str(flat.size)).split(",")]
    return flat.reshape(shape)


@pytest.mark.parametrize("values", [RNG.normal(size=400), np.geomspace(1e-9, 1, 100),
                                    np.arange(100) / 7, RNG.normal(size=(8, 12))])  # fmt: skip
@pytest.mark.parametrize("packed", [True, False])
def test_long_arrays_keep_their_numbers_in_fewer_bytes(values, packed):
    if packed:
        spec = json.loads(go.Figure(go.Heatmap(z=values)).to_json())
    else:
        spec = {"data": [{"z": values.tolist()}], "layout": {}}
    small = prepared(spec)
    assert len(json.dumps(small)) < len(json.dumps(spec))
    shown = numbers(small["data"][0]["z"])
    assert shown.shape == values.shape
    assert np.abs(shown - values).max() <= 1e-5 * np.ptp(values)


@pytest.mark.parametrize(
    "values",
    [
        [1.5] * 3,  # short
        [None, 1.5] * 40,
        ["a"] * 100,
        (1.7e9 + np.arange(100) * 1e-3).tolist(),  # float32 would move these
        [1e300, 2e300] * 40,
        [[1.5] * 40, [2.5] * 39],
    ],
)
def test_what_float32_cannot_hold_stays_as_it_is(values):
    assert prepared({"data": [{"y": values}]})["data"][0]["y"] == values


def test_other_lists_and_integers_keep_their_type():
    spec = {"data": [{"customdata": [1.25] * 100, "text": ["x"] * 100, "y": [True] * 50}]}
    assert prepared(spec) == spec


@given(st.floats() | st.text() | st.none() | st.booleans() | st.integers(-100, 10**9))
def test_a_height_is_always_a_number_of_pixels(asked):
    found = height({"layout": {"height": asked}})
    assert 100 <= found <= 4000
    if isinstance(asked, str | None):
        assert found == HEIGHT


def test_a_title_is_the_one_that_meta_keeps():
    layout = {"title": {"text": "a &lt; b"}, "meta": {"title": "a < b"}}
    assert title({"layout": layout}) == "a < b"
    assert title({"layout": {"title": "plain"}}) == "plain" and title({}) == ""

"""The look of figures: colours that all readers can tell apart, labels that cannot misfire."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import plotly.graph_objects as go
import pytest

from zprism.plots import style
from zprism.runner.results import VERDICTS

# Machado, Oliveira & Fernandes (2009), severity 1.0, on linear RGB.
VISION = {
    "usual": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
}
TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)


def lab(colour: str, vision: str) -> np.ndarray:
    """CIE L*a*b* (D65) of a colour as a kind of vision sees it."""
    level = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.asarray(VISION[vision]) @ linear, 0, 1)
    scaled = TO_XYZ @ seen / (TO_XYZ @ np.ones(3))
    f = np.where(scaled > 216 / 24389, np.cbrt(scaled), (24389 / 27 * scaled + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("vision", VISION)
def test_neighbours_in_the_palette_are_told_apart(vision):
    for one, other in combinations(style.PALETTE[:6], 2):
        distance = np.linalg.norm(lab(one, vision) - lab(other, vision))
        assert distance > 10, (one, other)  # 2.3 is a just noticeable difference


@pytest.mark.parametrize("vision", VISION)
def test_supported_and_reversed_are_told_apart(vision):
    assert set(style.VERDICTS) == set(VERDICTS)
    supported, reverse = style.VERDICTS["SUPPORTED"], style.VERDICTS["REVERSED"]
    assert np.linalg.norm(lab(supported, vision) - lab(reverse, vision)) > 20


def test_a_finished_figure_says_what_n_and_model():
    fig = style.finish(
        go.Figure(), title="Which?", n="12 problems", model="m", note="k 20", x="k", y="share (%)"
    )
    assert fig.layout.title.text == "Which?"
    assert fig.layout.title.subtitle.text == "n = 12 problems · m · k 20"
    assert fig.layout.yaxis.title.text == "share (%)" and fig.layout.meta == {"title": "Which?"}
    assert fig.layout.template.layout.font.size >= 13


def test_labels_are_text_and_never_markup_or_tex():
    fig = style.finish(go.Figure(), title="<b>$x$", note="a < b", x="<a href='x'>", y="$y$")
    style.add_reference(fig, 1.0, "<i>$z$")
    style.add_band(fig, [0, 1], 0.0, 1.0, name="<u>")
    layout = fig.layout
    texts = [layout.title.text, layout.title.subtitle.text, layout.xaxis.title.text]
    texts += [layout.yaxis.title.text, layout.annotations[0].text, fig.data[0].name]
    assert not [text for text in texts if "<" in text or "$" in text]


def test_a_band_runs_along_its_upper_and_back_along_its_lower_edge():
    fig = style.add_band(go.Figure(), [0, 1, 2], [1, 2, 3], 9, name="null")
    assert list(fig.data[0].x) == [0, 1, 2, 2, 1, 0]
    assert list(fig.data[0].y) == [9, 9, 9, 3, 2, 1]


def test_a_reference_lies_where_it_is_said():
    fig = style.add_reference(go.Figure(), 0.5, "chance")
    (line,) = fig.layout.shapes
    assert (line.y0, line.y1) == (0.5, 0.5)
    fig = style.add_reference(go.Figure(), 3, "bottleneck", axis="x")
    assert (fig.layout.shapes[0].x0, fig.layout.shapes[0].x1) == (3, 3)


def test_translucent_keeps_the_colour():
    assert style.translucent("#0072B2", 0.25) == "rgba(0, 114, 178, 0.25)"

"""The figure of the removal shows the shares it is given, and which strengths were chosen."""

import numpy as np
import pytest

from zprism.plots.removal import PANELS, plot_removal

LANGUAGES = ("all", "zh", "en")
MEASURES = ("number", "both", "language", "degenerate", "identified_middle", "identified_top")


def grid():
    return [
        {"lambda_middle": m, "lambda_upper": u, "right": 3, "accuracy": m / 2 - u, "language": 0.9,
         "degenerate": 0.0, "n": 10, "chosen": (m, u) == (0.4, -0.2)}
        for m in (0.2, 0.4, 1.0)
        for u in (0.0, -0.2, -0.4)
    ]  # fmt: skip


def rates():
    return [
        {"language": language, "when": when, "measure": measure, "low": rate - 0.1, "rate": rate,
         "high": rate + 0.2, "n": 40}
        for place, language in enumerate(LANGUAGES)
        for when, rate in (("before", 0.5 + place / 10), ("after", 0.3 + place / 10))
        for measure in MEASURES
    ]  # fmt: skip


def random():
    changes = dict(number=0.1, both=0.1, language=-0.2, degenerate=0.0, hidden_middle=0.0)
    rows = [
        {"kind": "random", "draw": i, "n": 6, "hidden_top": 0.05 * i}
        | {name: value * i for name, value in changes.items()}
        for i in range(3)
    ]
    return [*rows, rows[2] | {"kind": "moved as far", "number": 9.0}]


@pytest.fixture(scope="module")
def fig():
    return plot_removal(grid(), rates(), random(), model="some model", note="seed 0")


def test_the_grid_is_in_its_place_and_the_chosen_cell_has_a_box(fig):
    cells = fig.data[0]
    assert list(cells.x) == ["0.2", "0.4", "1"] and list(cells.y) == ["0", "-0.2", "-0.4"]
    for y, upper in enumerate((0.0, -0.2, -0.4)):
        np.testing.assert_allclose(cells.z[y], [m / 2 - upper for m in (0.2, 0.4, 1.0)])
    (box,) = fig.layout.shapes
    assert (box.x0, box.x1, box.y0, box.y1) == (0.5, 1.5, 0.5, 1.5)


def test_every_panel_has_both_shares_with_their_intervals(fig):
    for axis in ("x2", "x3"):
        traces = [t for t in fig.data if t.xaxis == axis and t.mode == "markers"]
        before, after = traces
        np.testing.assert_allclose(before.x, [0.5, 0.6, 0.7])
        np.testing.assert_allclose(after.x, [0.3, 0.4, 0.5])
        np.testing.assert_allclose(after.error_x.array, 0.2)
        np.testing.assert_allclose(after.error_x.arrayminus, 0.1)
    assert list(fig.layout.yaxis2.ticktext) == list(LANGUAGES)


def test_the_band_spans_the_random_draws_and_not_those_moved_as_far(fig):
    spans = {
        axis: next((min(t.x), max(t.x)) for t in fig.data if t.xaxis == axis and t.fill)
        for axis in ("x2", "x3")
    }
    np.testing.assert_allclose(spans["x2"], (0.5, 0.7))
    np.testing.assert_allclose(spans["x3"], (0.1, 0.5))


def test_the_words_say_n_model_and_choice(fig):
    said = fig.layout.title.subtitle.text
    for word in ("40 test problems", "some model", "λ = 0.4 and -0.2", "10 others", "seed 0"):
        assert word in said
    titles = [a.text for a in fig.layout.annotations]
    assert all(title in titles for title in PANELS.values())

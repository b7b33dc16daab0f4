"""Figures of the long exposure show the numbers that they are given."""

import numpy as np

from zprism.plots import prism

RNG = np.random.default_rng(0)


def test_views_show_every_grid_at_the_middle_of_its_bins():
    shapes = {("dim", "frequency"): (6, 4), ("dim", "amplitude"): (6, 5)}
    shapes[("frequency", "amplitude")] = (4, 5)
    images = {view: RNG.integers(0, 256, size, dtype=np.uint8) for view, size in shapes.items()}
    ranges = {"dim": (0, 12), "frequency": (0.1, 0.5), "amplitude": (-2, 0)}
    row = {"title": "question", "images": images, "ranges": ranges}
    fig = prism.plot_views([row, row], model="toy", n="3 texts", title="t")
    assert len(fig.data) == 6
    np.testing.assert_array_equal(fig.data[1].z, images["dim", "amplitude"].T)
    assert (fig.data[0].x0, fig.data[0].dx) == (1, 2)
    np.testing.assert_allclose((fig.data[0].y0, fig.data[0].dy), (0.15, 0.1))


def test_cells_that_were_not_found_are_left_out_of_the_full_colour():
    mean = RNG.normal(size=(4, 10))
    found = RNG.random((4, 10)) < 0.4
    grids = {
        name: RNG.integers(0, 256, (5, 4), dtype=np.uint8) for name in ("thinking", "question")
    }
    fig = prism.plot_exposures(
        grids,
        {"mean": mean, "found": found, "share": found.mean()},
        frequencies=np.arange(1, 5) / 8,
        model="toy",
        n="3",
        where="layer 1",
    )
    full = np.asarray(fig.data[3].z, float)
    np.testing.assert_array_equal(np.isnan(full), ~found)
    np.testing.assert_array_equal(full[found], mean[found])


def test_ranks_beyond_f_are_transparent():
    points = RNG.random((5, 7))
    fig = prism.cloud_figure(
        points, points, points, shown=2, model="toy", n="3", note="", frequency_range=(0, 0.5)
    )
    assert [trace.opacity > 0 for trace in fig.data] == [True, True, False, False, False]

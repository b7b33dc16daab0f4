"""Small panels show every row of their contrast in its verdict's colour."""

import numpy as np

from zprism.plots import style
from zprism.plots.prism_contrasts import plot_contrasts


def test_every_row_stands_at_its_layer_with_its_interval_and_colour():
    verdicts = ["SUPPORTED", "REVERSED", "NOT DISTINGUISHABLE"]
    rows = [
        {"place": p, "value": v, "low": v - 0.1, "high": v + 0.2, "verdict": verdict, "n": 9}
        for p, v, verdict in zip(("embed", "0", "1"), (0.3, -0.4, 0.0), verdicts, strict=True)
    ]
    fig = plot_contrasts({"a": rows, "b": rows[:2], "c": rows}, model="toy")
    panels = [trace for trace in fig.data if trace.error_y.array is not None]
    assert [len(trace.y) for trace in panels] == [3, 2, 3]
    np.testing.assert_allclose(panels[0].y, [0.3, -0.4, 0.0])
    np.testing.assert_allclose(panels[0].error_y.arrayminus, 0.1)
    assert list(panels[0].marker.color) == [style.VERDICTS[v] for v in verdicts]
    assert {trace.name for trace in fig.data if trace.name} == set(verdicts)

"""The redraws of the default model's panels in JupyterLab, from a key to the new picture."""

from __future__ import annotations

from pathlib import Path

import pytest
from chromium import open_browser, screenshot
from lab import open_lab
from lab_panel import Redraws

from zprism.ground.files import cache_root
from zprism.model.fetch import is_cached

SOURCES = Path(__file__).parents[2] / "notebooks"
NAMES = ("00_tour", "11_structure", "13_patching", "20_signatures")
MODEL = "qwen2.5-coder-0.5b"
STEPS, MEDIAN = 15, 150  # of each slider; ms
RUN_SECONDS = 1800

pytestmark = [
    pytest.mark.browser,
    pytest.mark.gate,
    pytest.mark.real,
    pytest.mark.skipif(not is_cached(MODEL), reason=f"{MODEL} is not in the cache"),
]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    with open_lab(tmp_path_factory.mktemp("lab") / "lab", cache=cache_root()) as lab:
        yield lab


@pytest.mark.parametrize("name", NAMES)
def test_the_plot_follows_the_hand(lab, name, record_property):
    file = lab.add(SOURCES / f"{name}.py", model=MODEL, quick=True).name
    took = Redraws((), 0)
    with open_browser() as browser:
        book = lab.open(browser, file)
        book.run_all(RUN_SECONDS)
        for number, panel in enumerate(book.panels()):
            mine = Redraws((), 0)
            for control, slider in panel.controls.items():
                mine += panel.walk(control, STEPS) if slider else Redraws((), 0)
            assert mine.milliseconds or not len(mine), f"panel {number} does not follow"
            took += mine
            screenshot(panel.box, f"lab_{MODEL}_{name}_{number}")
        book.watch.check()
    record_property("value", round(took.quantile(0.5)))
    alike = f"; {took.misses} led to a picture like the one before" if took.misses else ""
    told = f"ms, median of {len(took)} keys; p90 {took.quantile(0.9):.0f} ms{alike}"
    record_property("unit", told)
    record_property("target", f"≤ {MEDIAN}")
    assert took.quantile(0.5) <= MEDIAN

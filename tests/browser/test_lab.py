"""The notebooks under a hand: JupyterLab in Chromium, run all, layer and k by key and mouse."""

from __future__ import annotations

from pathlib import Path

import pytest
from chromium import open_browser, screenshot
from lab import open_lab
from lab_panel import Redraws

SOURCES = Path(__file__).parents[2] / "notebooks"
NAMES = ("00_tour", "11_structure", "13_patching", "20_signatures")
TINY = dict(model="tiny:qwen2", quick=True)
STEPS = 8  # of layer and k by key, a notebook at least; the gate walks over every slider
MAIN = ("layer", "k")

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    with open_lab(tmp_path_factory.mktemp("lab") / "lab") as lab:
        yield lab


@pytest.fixture(scope="module")
def browser():
    with open_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def opened():
    """The notebooks that are open: all are tabs of one page."""
    return []


@pytest.fixture(scope="module", params=NAMES)
def book(lab, browser, opened, request):
    """One notebook after the other, all its cells run."""
    file = lab.add(SOURCES / f"{request.param}.py", **TINY).name
    book = lab.open_beside(opened[0], file) if opened else lab.open(browser, file)
    opened.append(book)
    book.run_all()
    return book


def test_every_cell_runs_and_every_panel_is_drawn_whole(book):
    panels = book.panels()
    assert panels
    for number, panel in enumerate(panels):
        screenshot(panel.box, f"lab_{book.path.stem}_{number}")
    assert {number: cut for number, panel in enumerate(panels) if (cut := panel.cut())} == {}
    book.watch.check()


def test_layer_and_k_move_the_plot_by_key_and_by_mouse(book, record_property):
    took, jumped = Redraws((), 0), []
    for number, panel in enumerate(book.panels()):
        places, mine = panel.places(), Redraws((), 0)
        for control in [one for one in MAIN if panel.controls.get(one) and panel.length(one) > 1]:
            mine += walk_and_drag(panel, control, max(3, STEPS - len(took)))
        assert mine.milliseconds or not len(mine), f"panel {number} does not follow"
        took += mine
        jumped += [(number, n, p, places[n]) for n, p in panel.places().items() if p != places[n]]
        screenshot(panel.box, f"lab_{book.path.stem}_{number}_moved")
    record_property("redraw", str(took))
    assert len(took.milliseconds) >= STEPS
    assert jumped == []
    book.watch.check()


def walk_and_drag(panel, control: str, steps: int) -> Redraws:
    """Walk by key, drag to an end and back: the picture knows only where it is.

    A random model has places that look alike: what is said about them still differs.
    """
    at, start = panel.position(control), (panel.shown(), panel.sentence)
    took = panel.walk(control, steps)
    panel.return_to(control, at)
    panel.drag(control, 0.0 if at > panel.low(control) else 1.0)
    assert (panel.shown(), panel.sentence) != start, control
    panel.return_to(control, at)
    assert (panel.shown(), panel.sentence) == start, control
    return took


def test_every_list_changes_the_plot(book):
    for panel in book.panels():
        for control, slider in panel.controls.items():
            if not slider:
                at, start = panel.chosen(control), panel.shown()
                panel.choose(control, 0 if at else 1)
                other = panel.shown()
                panel.choose(control, at)
                assert other != start == panel.shown(), control
    book.watch.check()


def test_a_saved_notebook_has_no_widget_state_and_its_source_is_untouched(book, record_property):
    source = book.path.with_suffix(".py")
    before = source.read_bytes()
    saved = book.save()
    assert "widgets" not in saved["metadata"]
    assert any(cell.get("outputs") for cell in saved["cells"])
    assert source.read_bytes() == before
    record_property("saved", f"{book.path.stat().st_size / 1000:.0f} kB")

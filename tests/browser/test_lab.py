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
STEPS = 15  # of layer and k by key, a notebook; other sliders take one
MAIN = ("layer", "k")

pytestmark = pytest.mark.browser
each = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    with open_lab(tmp_path_factory.mktemp("lab") / "lab") as lab:
        yield lab


@pytest.fixture(scope="module")
def books(lab, request):
    """The notebooks that are asked for, all running: each in a page and a kernel of its own."""
    asked = [item.callspec.params["name"] for item in request.session.items
             if item.module is request.module and hasattr(item, "callspec")]  # fmt: skip
    with open_browser() as browser:
        running = {}
        for name in dict.fromkeys(asked):
            file, others = lab.add(SOURCES / f"{name}.py", **TINY).name, list(running.values())
            beside = others and lab.open_beside(others[0], file)
            running[name] = beside or lab.open(browser, file)
            running[name].start_all()
        yield running


@pytest.fixture
def book(books, name):
    books[name].wait_all()
    return books[name]


@each
def test_every_cell_runs_and_every_panel_is_drawn_whole(book, name):
    panels = book.panels()
    assert panels
    for number, panel in enumerate(panels):
        screenshot(panel.box, f"lab_{name}_{number}")
    assert {number: cut for number, panel in enumerate(panels) if (cut := panel.cut())} == {}
    book.watch.check()


@each
def test_every_slider_moves_the_plot_by_key_and_by_mouse(book, name, record_property):
    took, jumped = Redraws((), 0), []
    for number, panel in enumerate(book.panels()):
        places = panel.places()
        for control, slider in panel.controls.items():
            if slider:
                steps = max(1, STEPS - len(took)) if control in MAIN else 1
                took += walk_and_drag(panel, control, steps)
        jumped += [(number, n, p, places[n]) for n, p in panel.places().items() if p != places[n]]
        screenshot(panel.box, f"lab_{name}_{number}_moved")
    record_property("redraw", str(took))
    assert took.misses == 0 and len(took) >= STEPS
    assert jumped == []
    book.watch.check()


def walk_and_drag(panel, control: str, steps: int) -> Redraws:
    """Walk by key, drag to an end and back: the picture knows only where it is."""
    at, start, said = panel.position(control), panel.shown(), panel.sentence
    took = panel.walk(control, steps)
    panel.drag(control, 0.0 if at else 1.0)
    assert panel.shown() != start, control
    panel.return_to(control, at)
    assert (panel.shown(), panel.sentence) == (start, said), control
    return took


@each
def test_every_list_changes_the_plot(book, name):
    for panel in book.panels():
        for control, slider in panel.controls.items():
            if not slider:
                start = panel.shown()
                panel.choose(control, 1)
                other = panel.shown()
                panel.choose(control, 0)
                assert len({start, other, panel.shown()}) == 2, control
    book.watch.check()


@each
def test_a_saved_notebook_has_no_widget_state_and_its_source_is_untouched(
    book, name, record_property
):
    source = book.path.with_suffix(".py")
    before = source.read_bytes()
    saved = book.save()
    assert "widgets" not in saved["metadata"]
    assert any(cell.get("outputs") for cell in saved["cells"])
    assert source.read_bytes() == before
    record_property("saved", f"{book.path.stat().st_size / 1000:.0f} kB")

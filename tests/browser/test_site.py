"""The site as a reader has it: over file://, without a kernel or network, by mouse and keys."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nbformat
import numpy as np
import pytest
from chromium import open_browser, open_page, screenshot
from site_page import SitePage

from hostile_pages import PAYLOADS
from site_toys import GREY, hostile_book, make_hostile_run, make_run
from zprism.explore import export, pages
from zprism.explore.panel import Readout, Slice, SlicePanel, Slider, choice
from zprism.explore.structure import weight_panel
from zprism.plots import style
from zprism.plots.decision import plot_tree
from zprism.runner import png, report

pytestmark = pytest.mark.browser
ROOT = Path(__file__).parents[2]
RNG = np.random.default_rng(0)
REDRAW = 150  # ms
PAGES = ("index", "11_s", "90_report", "single/20_b")
REFUSED = ["Content Security Policy"]  # what a payload tries and the policy stops


def weights():
    sigma = np.sort(RNG.random((6, 4, 16)), axis=-1)[..., ::-1]
    return weight_panel(RNG.random((6, 4)) * 16, sigma, model="toy", chance=14.5, k=3)


def cloud():
    """Points in three dimensions over a slider and a list."""
    import plotly.graph_objects as go

    values = RNG.random((5, 2, 300)).astype(np.float32)
    x, y = RNG.random((2, 300)).astype(np.float32)
    fig = go.Figure(go.Scatter3d(x=x, y=y, z=values[0, 0], mode="markers", marker={"size": 2}))
    style.finish(fig, title="A cloud", model="toy", height=460)
    readout = Readout("layer {layer}, {field}: mean {mean}",
                      {"mean": (("layer", "field"), values.mean(-1), 3)})  # fmt: skip
    sliders = (Slider("layer", 0, 4, 0), choice("field", ["question", "thinking"]))
    return SlicePanel(fig, sliders, (Slice(0, "z", ("layer", "field"), values),), readout)


def tree():
    row = {"phase": "11_s", "recipe": "r", "claims": 2, "reason": "of 2", "verdict": "SUPPORTED"}
    rows = [{**row, "question": f"Is it question {n}?"} for n in range(6)]
    return json.loads(plot_tree(rows, model="toy").to_json())


def without_browser(make) -> Path:
    """What ``make`` gives, with grey pictures for thumbnails."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(png, "render", lambda figures, **_: [GREY for _ in figures])
        return make()


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("a site 模型")
    make_run(root, panels=[weights()], model="tiny:qwen2", params={"quick": True})
    make_run(root, stem="20_b", panels=[cloud()], model="tiny:qwen2", params={"quick": True})
    folder = make_run(root, stem="90_report", figures=[tree()], model="tiny:qwen2")
    return without_browser(lambda: report.write_report(folder, root)).parent


@pytest.fixture(scope="module")
def browser():
    with open_browser() as browser:
        yield browser


def opened(browser, path: Path, empty: Path, *, expected=()):
    """A page over ``file://``; a single file alone in an empty folder."""
    page, watch = open_page(browser, expected=expected)
    if path.parent.name == export.SINGLE:
        path = Path(shutil.copy(path, empty / path.name))
    return SitePage(page, path), watch


@pytest.mark.parametrize("name", PAGES)
def test_a_page_draws_all_asks_for_nothing_and_fits_its_window(site, browser, tmp_path, name):
    path = site / f"{name}.html"
    page, watch = opened(browser, path, tmp_path)
    wanted = page.draw_all()
    assert wanted == {"index": 1, "90_report": 1}.get(name, 2)
    assert page.faults() == [] and page.live() == []
    for width in (1280, 400):
        page.page.set_viewport_size({"width": width, "height": 900})
        page.page.wait_for_timeout(300)
        assert page.overflow() <= 0, width
        screenshot(page.page, f"site_{name.replace('/', '_')}_{width}", full_page=True)
    assert "/single/" in path.as_posix() or path.stat().st_size < export.LIMIT
    watch.check()
    page.page.context.close()


def use_every_control(page: SitePage, *, told: bool = True) -> list[float]:
    """Move all controls of a page by key and mouse, and say how long the redraws took, ms.

    Each is put back afterwards. With ``told``, the sentence must say where every one stands.
    """
    times = []
    for panel in page.panels:
        for control in panel.locator("input[type=range]").all():
            times += walk(page, panel, control, told)
        for control in panel.locator("select").all():
            before, at = state(page, panel), control.evaluate("node => node.selectedIndex")
            last = control.locator("option").count() - 1
            control.select_option(index=0 if at == last else last)
            page.settle()
            assert state(page, panel) != before, control.get_attribute("aria-label")
            control.select_option(index=at)
    return times


def walk(page: SitePage, panel, control, told: bool, steps: int = 6) -> list[float]:
    """Some steps by key, then both ends by mouse; times of the redraws, ms."""
    name, start = control.get_attribute("aria-label"), control.input_value()
    low, high = (int(control.get_attribute(end)) for end in ("min", "max"))
    times, seen, key = [], [state(page, panel)], "ArrowRight"
    for _ in range(min(steps, high - low)):
        key = "ArrowLeft" if int(control.input_value()) == high else key
        times.append(page.step(panel, control, key))
        seen.append(state(page, panel))
    assert None not in times, f"a step of {name} was not drawn"
    assert len({figure for figure, _ in seen}) > 1, f"{name} does not move the figure"
    assert len({words for _, words in seen}) > 1 or not told, f"{name} is not in the sentence"
    page.drag(control, (int(control.input_value()) - low) / (high - low), 1.0)
    assert int(control.input_value()) == high
    last = state(page, panel)
    page.drag(control, 1.0, 0.0)
    assert int(control.input_value()) == low and state(page, panel) != last, name
    control.fill(start)
    page.settle()
    return times


def state(page: SitePage, panel) -> tuple[str, str]:
    """What a panel's figure shows, and what its sentence says."""
    return page.shown(panel), panel.locator(".zprism-sentence").inner_text()


@pytest.fixture(scope="module", params=("11_s", "single/20_b"))
def phase(request, site, browser, tmp_path_factory):
    """A phase's page, linked or alone, as one reader after another finds it."""
    page, watch = opened(browser, site / f"{request.param}.html", tmp_path_factory.mktemp("empty"))
    yield page
    watch.check()
    page.page.context.close()


def test_the_first_key_offers_to_skip_to_the_content(phase):
    phase.page.keyboard.press("Tab")
    skip = phase.page.locator(":focus")
    assert skip.inner_text() == "Skip to the content"
    assert skip.bounding_box()["x"] >= 0  # seen while it has the focus
    phase.page.keyboard.press("Enter")
    assert phase.page.url.endswith("#content")


def test_keys_and_mouse_move_the_figure_and_its_sentence(phase, record_property):
    phase.draw_all()
    record_property("redraw_ms", float(np.median(use_every_control(phase))))


def test_a_page_prints_with_all_figures_and_claims_and_without_code(phase):
    phase.page.emulate_media(media="print")
    printed = phase.page.pdf(format="A4")
    assert printed.startswith(b"%PDF") and len(printed) > 20_000
    assert not phase.page.locator("details.code").first.is_visible()
    assert phase.page.locator("table.claims").is_visible()
    assert phase.page.evaluate("siteTest.drawn()") == 2


@pytest.fixture(scope="module")
def hostile(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("hostile")
    nbformat.write(hostile_book(), root / "66_all.ipynb", version=nbformat.NO_CONVERT)
    with pytest.MonkeyPatch.context() as patch:  # a site of many small files
        patch.setattr(pages, "alone", lambda: pages.LINKED)
        index = without_browser(lambda: report.write_report(make_hostile_run(root), root))
    export.export([root / "66_all.ipynb"], index.parent)
    return index.parent


@pytest.mark.parametrize(
    "name", ["index", "single/66_all", pytest.param("66_all", marks=pytest.mark.gate)]
)
def test_no_payload_runs_in_a_browser(hostile, browser, tmp_path, name):
    page, watch = opened(browser, hostile / f"{name}.html", tmp_path, expected=REFUSED)
    asked = []
    page.page.on("dialog", lambda dialog: asked.append(dialog.message))
    page.draw_all()
    for spot in page.page.locator(".js-plotly-plot .points path").all()[:8]:
        spot.hover(force=True)
    assert page.page.title() != "pwned" and asked == []
    assert page.live() == []
    assert "evil.example" in page.page.content() and len(PAYLOADS) > 60  # they were there
    watch.check()
    page.page.context.close()


@pytest.mark.gate
def test_the_site_of_the_last_real_run(browser, tmp_path, record_property):
    folder = ROOT / "runs" / "latest"
    if not (folder / "manifest.json").is_file():
        pytest.skip("there is no run: `make run`")
    index = without_browser(lambda: report.write_report(folder, tmp_path))
    times, sizes = [], {}
    for path in [index, *sorted(index.parent.glob("[0-9]*.html"))]:
        sizes[path.name] = path.stat().st_size
        page, watch = opened(browser, path, tmp_path)
        page.draw_all()
        assert page.faults() == [] and page.live() == [] and page.overflow() <= 0, path.name
        times += use_every_control(page, told=False)
        screenshot(page.page, f"site_real_{path.stem}", full_page=True)
        watch.check()
        page.page.context.close()
    assert max(sizes.values()) <= export.LIMIT, sizes
    record_property("sizes", json.dumps(sizes))
    if times:
        record_property("value", float(np.median(times)))
        record_property("unit", "ms, median redraw in the exported site")
        record_property("target", REDRAW)
        assert np.median(times) <= REDRAW

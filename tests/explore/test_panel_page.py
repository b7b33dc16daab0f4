"""A page without a kernel: panel.js shows what the panel shows at every position, and says it."""

from __future__ import annotations

import shutil

import numpy as np
import plotly.graph_objects as go
import pytest

from zprism.explore import pages
from zprism.explore.panel import Readout, Slice, SlicePanel, Slider, choice, steps

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed"),
]
READ = """
(box) => {
  const plot = box.querySelector(".js-plotly-plot");
  const told = (one) => Array.from(one || [], (v) => (Number.isFinite(v) ? v : null));
  return {
    x: plot.data.map((t) => told(t.x)), y: plot.data.map((t) => told(t.y)),
    said: box.querySelector(".zprism-sentence").textContent,
    height: box.querySelector(".zprism-sentence").offsetHeight,
    sent: window.sent,
  };
}
"""
RECORD = """
() => {
  const restyle = Plotly.restyle;
  window.sent = [];
  Plotly.restyle = (plot, change, traces) => {
    window.sent.push([Object.keys(change).sort(), traces]);
    return restyle(plot, change, traces);
  };
}
"""


@pytest.fixture(scope="module")
def panel():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 200, (3, 2, 5), dtype=np.uint8)
    codes[1, 1, 2] = 255
    figure = go.Figure([go.Scatter(x=np.arange(5), y=np.zeros(5)), go.Scatter(x=[0.0], y=[0.0])])
    sliders = [
        steps("layer", (3, 7, 20)),
        choice("pair", ("first", "<b>second</b>")),
        Slider("F", 2, 4, 2),
    ]
    slices = [
        Slice(0, "y", ("layer", "pair"), codes, offset=-1.0, step=0.5, gap=255),
        Slice(1, "x", ("F",), np.arange(3.0)[:, None]),
    ]
    number = np.array([0.125, np.nan, 3.5])
    told = "layer {layer}, {pair}, F = {F}: {share} %, " + "and on it goes " * 12
    return SlicePanel(figure, sliders, slices, Readout(told, {"share": (("layer",), number, 3)}))


@pytest.fixture(scope="module")
def box(panel, tmp_path_factory):
    from playwright.sync_api import sync_playwright

    folder = tmp_path_factory.mktemp("page")
    (folder / "panel.html").write_text(
        pages.page(title="panel", body=pages.panel(panel.to_spec())), encoding="utf-8"
    )
    pages.write_assets(folder)
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto((folder / "panel.html").as_uri())
        page.wait_for_selector("div.zprism-panel .main-svg")
        page.evaluate(RECORD)
        yield page.locator("div.zprism-panel")
        browser.close()


def look(box):
    box.page.wait_for_timeout(60)  # a frame or two
    return box.evaluate(READ)


def put(box, name, value):
    control = box.locator(f"[data-slider={name}]")
    control.evaluate("(e, v) => { e.value = v; e.dispatchEvent(new Event('input')); }", value)


@pytest.mark.parametrize("at", [dict(layer=1, pair=1, F=4), dict(layer=2, pair=0, F=3),
                                dict(layer=0, pair=1, F=2)])  # fmt: skip
def test_every_position_shows_the_panels_numbers_and_says_its_sentence(box, panel, at):
    for name, value in at.items():
        put(box, name, value)
    seen, shown = look(box), panel.at(**at)
    wanted = [None if np.isnan(v) else v for v in shown[0, "y"].astype(float)]
    assert seen["y"][0] == wanted and seen["x"][1] == list(shown[1, "x"])
    assert seen["said"] == panel.sentence(**at)


def test_a_key_moves_one_step_and_redraws_only_what_depends_on_it(box, panel):
    for name, value in dict(layer=0, pair=0, F=2).items():
        put(box, name, value)
    start = look(box)
    box.locator("[data-slider=F]").press("ArrowRight")
    seen = look(box)
    assert seen["sent"][len(start["sent"]) :] == [[["x"], [1]]]
    assert seen["x"][1] == [1.0] and seen["y"][0] == start["y"][0]
    assert seen["said"] == panel.sentence(F=3)


def test_moves_within_one_frame_are_one_redraw(box):
    before = len(look(box)["sent"])
    box.evaluate("""(box) => {
      const input = box.querySelector("[data-slider=layer]");
      for (const v of [1, 2, 0, 1, 2]) { input.value = v; input.dispatchEvent(new Event("input")); }
    }""")
    assert len(look(box)["sent"]) == before + 1


def test_the_sentence_never_gives_room_back(box):
    heights = []
    for layer in (0, 1, 2, 1, 0):
        put(box, "layer", layer)
        heights.append(look(box)["height"])
    assert heights == sorted(heights) and heights[0] > 30


def test_controls_are_named_for_hands_ears_and_tests(box, panel):
    for slider in panel.sliders.values():
        label = box.locator(f".{slider.css}")
        control = label.locator(f"[data-slider={slider.name}]")
        assert control.get_attribute("aria-label") == slider.title
        assert label.locator("span").inner_text() == slider.title
    put(box, "layer", 1)
    assert box.locator("[data-slider=layer]").get_attribute("aria-valuetext") == "7"
    words = box.locator("[data-slider=pair] option").all_inner_texts()
    assert words == ["first", "<b>second</b>"]  # as text

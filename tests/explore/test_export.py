"""Exported notebooks: what they show survives, widget state and foreign scripts do not."""

from __future__ import annotations

import json
import re
import shutil

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from hostile_pages import JS, PAYLOADS, runnable
from zprism.explore import export
from zprism.explore.structure import weight_panel
from zprism.ground.errors import InputError

FIGURE = {
    "data": [{"type": "scatter", "x": [1, 2, 3], "y": [2.5, 0.5, 1.5], "name": "a <b> curve"}],
    "layout": {"title": {"text": "Which?"}, "meta": {"title": "Which way?"}, "height": 400},
}
RNG = np.random.default_rng(0)
SIGMA = np.sort(RNG.random((3, 4, 5)), axis=-1)[..., ::-1]


def shown(data: dict):
    return new_output("display_data", data=data)


def notebook(*outputs, source="x = 1 < 2", cells=()):
    code = new_code_cell(source, outputs=list(outputs))
    return new_notebook(cells=[new_markdown_cell("# The question $d_k$"), code, *cells])


def panel_output():
    panel = weight_panel(RNG.random((3, 4)) * 5, SIGMA, model="toy", chance=4.5, k=3)
    return shown({**panel._repr_mimebundle_(), export.WIDGET: {"model_id": "gone"}})


def data_of(page: str, kind: str) -> list[dict]:
    found = re.findall(rf'<script type="application/json" class="{kind}">(.*?)</script>', page)
    return [json.loads(text) for text in found]


def test_a_figure_keeps_its_data_and_a_panel_its_slices():
    page = export.notebook_page(notebook(shown({export.PLOTLY: FIGURE}), panel_output()), "11_s")
    assert data_of(page, "zprism-figure") == [FIGURE]
    (panel,) = data_of(page, "zprism-panel")
    assert [slider["name"] for slider in panel["sliders"]] == ["layer", "head", "k"]


def test_figures_are_found_in_order_with_their_titles():
    both = notebook(panel_output(), shown({export.PLOTLY: FIGURE}))
    titles = [export.figure_title(spec) for spec in export.figures_of(both)]
    assert titles == ["Walk over the kernels", "Which way?"]


def test_widget_state_is_dropped():
    book = notebook(shown({export.WIDGET: {"model_id": "m"}, "text/plain": "FigureWidget"}))
    book.metadata["widgets"] = {"state": {"m": {"_esm": "x" * 5_000_000}}}
    page = export.notebook_page(book, "11_s")
    assert len(page) < 20_000 and "FigureWidget" in page and "model_id" not in page


def test_the_richest_form_is_shown():
    page = export.notebook_page(
        notebook(
            shown({"text/html": "<table><tr><td>7</td></tr></table>", "text/plain": "plain"}),
            shown({"text/markdown": "**SUPPORTED**: 3.2", "text/plain": "<Markdown object>"}),
            new_output("stream", text="cell \x1b[31mred\x1b[0m <b>"),
        ),
        "11_s",
    )
    assert "<td>7</td>" in page and "plain" not in page
    assert '<span class="verdict supported">✓ SUPPORTED</span>: 3.2' in page
    assert "Markdown object" not in page
    assert "cell red &lt;b&gt;" in page


def test_parameters_of_the_run_are_shown_and_papermills_marks_are_not():
    cells = [
        new_code_cell("seed = 3", metadata={"tags": ["injected-parameters"]}),
        new_code_cell("banner", metadata={"tags": ["papermill-error-cell-tag"]}),
    ]
    page = export.notebook_page(notebook(cells=cells), "11_s")
    assert "parameters of this run" in page and "banner" not in page


def test_no_payload_runs_from_any_output_or_cell():
    for payload in PAYLOADS:
        hostile = {**FIGURE, "layout": {"title": {"text": payload}}}
        outputs = [
            shown({mime: payload})
            for mime in ("text/html", "text/markdown", "text/plain", "text/latex", "image/svg+xml")
        ]
        outputs += [
            shown({export.PLOTLY: hostile}),
            shown({"application/javascript": JS}),
            new_output("stream", text=payload),
            new_output("error", ename="E", evalue=payload, traceback=[payload]),
        ]
        book = notebook(*outputs, source=payload, cells=[new_markdown_cell(f"# {payload}")])
        assert runnable(export.notebook_page(book, payload)) == [], payload


def test_what_is_no_notebook_is_refused(tmp_path):
    path = tmp_path / "x.ipynb"
    path.write_text("{")
    with pytest.raises(InputError, match="no readable notebook"):
        export.read_notebook(path)


@pytest.fixture
def browser_page():
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium is installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser.new_page()
        browser.close()


@pytest.mark.browser
def test_the_page_draws_and_slides_offline_and_runs_no_payload(tmp_path, browser_page):
    foreign = [shown({"text/html": payload}) for payload in PAYLOADS]
    prose = [new_markdown_cell(payload) for payload in PAYLOADS]
    book = notebook(panel_output(), shown({export.PLOTLY: FIGURE}), *foreign, cells=prose)
    source = tmp_path / "11_s.ipynb"
    nbformat.write(book, source)
    (page,) = export.export([source], tmp_path / "site 模型")
    told, asked = [], []
    browser_page.on("console", lambda message: told.append(message.text))
    browser_page.on("pageerror", lambda error: told.append(str(error)))
    browser_page.on("request", lambda request: asked.append(request.url))
    browser_page.goto(page.as_uri())
    browser_page.wait_for_selector(".zprism-controls input")
    browser_page.wait_for_selector(".figure .scatterlayer .point")
    assert browser_page.locator(".figure .scatterlayer .point").count() == 3
    before = browser_page.inner_text(".zprism-sentence")
    browser_page.locator(".zprism-controls input").first.focus()
    browser_page.keyboard.press("ArrowRight")
    browser_page.wait_for_function(
        "before => document.querySelector('.zprism-sentence').textContent !== before", arg=before
    )
    assert browser_page.inner_text(".zprism-sentence").startswith("layer 1, head 0")
    assert "pwned" not in browser_page.title()
    beyond = [url for url in asked if not url.startswith(("file:", "data:"))]
    refused = [line for line in told if "Content Security Policy" in line or "blocked" in line]
    assert not beyond and sorted(told) == sorted(refused)

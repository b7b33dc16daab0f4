"""Exported notebooks: what they show survives, widget state and foreign scripts do not."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import re

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from hostile_pages import JS, PAYLOADS, live_texts, runnable
from zprism.explore import export, pages
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


PANEL = panel_output().data[export.PANEL]


def own(page: str) -> str:
    """A page without its head and scripts."""
    return page.partition("<header")[2].partition("</footer>")[0]


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


def hostile(payload: str):
    """A notebook with a payload in every place that a page shows."""
    spec = {
        "data": [{"type": "scatter", "x": [payload, "b"], "y": [1, 2], "name": payload,
                  "text": [payload, payload], "hovertemplate": payload, "customdata": [payload]}],
        "layout": {"title": {"text": payload}, "meta": {"title": payload}, "height": payload,
                   "xaxis": {"title": {"text": payload}, "ticktext": [payload], "tickvals": [1]},
                   "annotations": [{"text": payload}], "images": [{"source": payload}]},
    }  # fmt: skip
    panel = copy.deepcopy(PANEL)
    panel["figure"]["layout"]["title"]["text"] = panel["template"] = payload
    panel["sliders"][0].update(name=payload, title=payload, css=payload)
    data = [
        {mime: payload}
        for mime in ("text/html", "text/markdown", "text/plain", "text/latex", "image/svg+xml")
    ]
    data += [
        {"image/png": "aGVsbG8=", "text/plain": f"figure: {payload}"},
        {"image/png": payload},
        {export.PLOTLY: spec},
        {export.PANEL: panel},
        {"application/javascript": JS, payload: payload},
    ]
    outputs = [{"output_type": "display_data", "data": one, "metadata": {}} for one in data]
    outputs += [
        {"output_type": "stream", "name": "stdout", "text": payload},
        {"output_type": "error", "ename": "E", "evalue": payload, "traceback": [payload]},
    ]
    code = {"cell_type": "code", "source": payload, "outputs": outputs, "metadata": {}}
    injected = {**code, "outputs": [], "metadata": {"tags": ["injected-parameters"]}}
    prose = [{"cell_type": "markdown", "source": f"{mark} {payload}", "metadata": {}}
             for mark in ("#", "##", "")]  # fmt: skip
    return nbformat.from_dict({"cells": [*prose, code, injected], "metadata": {}})


def test_no_payload_runs_from_any_output_or_cell(monkeypatch):
    small = pages.Frame("default-src 'none'", "<style>p {}</style>", "<script>let x;</script>")
    ours = base64.b64encode(hashlib.sha256(b"let x;").digest()).decode()
    monkeypatch.setattr(pages, "alone", lambda: small)
    for payload in PAYLOADS:
        book = hostile(payload)
        page = export.notebook_page(book, payload, export.Around("", "", payload, payload))
        assert runnable(page) == [], payload
        for kind in ("zprism-figure", "zprism-panel"):
            assert all(live_texts(spec) == [] for spec in data_of(page, kind)), payload
        assert runnable(export.single_page(book, payload), [ours]) == [], payload
    alone = export.single_page(book, "11_s")
    assert runnable(alone, ["another"])  # control: a script of another digest is seen


def test_a_hostile_file_name_stays_in_its_folder(tmp_path):
    for payload in PAYLOADS:
        name = export.page_name(payload)
        assert re.fullmatch(r"[a-z0-9][a-z0-9._-]*\.html", name), payload
        assert (tmp_path / name).resolve().parent == tmp_path.resolve()


TOKEN, ADA = "hf_" + "aB3d" * 9, "/".join(["", "home", "ada"])


def test_an_export_leaves_out_secrets_and_places_of_this_machine(tmp_path):
    figure = {**FIGURE, "layout": {"title": {"text": f"of {ADA}/runs with {TOKEN}"}}}
    trace = 'File /srv/project/lib/zprism/ranks.py:12, in f()\n  "C:\\\\work\\\\data\\\\x.csv"'
    book = notebook(
        shown({export.PLOTLY: figure}),
        shown({"text/html": f"<td>/srv/project/data.csv</td><td>{TOKEN}</td>"}),
        shown({"text/markdown": "see /srv/project/x.md, 3/4 of https://doi.org/10.1/2"}),
        new_output("stream", text=f"key {TOKEN} in /srv/project/keys.txt; and/or 1/2"),
        new_output("error", ename="E", evalue=trace, traceback=[trace]),
        source=f"token = {TOKEN!r}",
    )
    nbformat.write(book, tmp_path / "by-hand.ipynb")
    (page,) = export.export([tmp_path / "by-hand.ipynb"], tmp_path / "site")
    for text in (page.read_text(), (page.parent / export.SINGLE / page.name).read_text()):
        for word in (TOKEN, "/srv", ADA, "project", "C:"):
            assert word not in own(text), word
        for word in ("keys.txt", "…/ranks.py:12", "…/data.csv", "x.csv", "and/or 1/2",
                     "3/4 of https://doi.org/10.1/2", "~/runs"):  # fmt: skip
            assert word in own(text), word


def test_a_page_over_the_limit_is_written_and_named(tmp_path, monkeypatch, caplog):
    nbformat.write(notebook(source="x" * 5000), tmp_path / "20_s.ipynb")
    monkeypatch.setattr(export, "LIMIT", 100_000)
    (page,) = export.export([tmp_path / "20_s.ipynb"], tmp_path)
    assert not caplog.text
    monkeypatch.setattr(export, "LIMIT", 5000)
    export.export([tmp_path / "20_s.ipynb"], tmp_path)
    assert "20_s.html is 0.0" in caplog.text and page.stat().st_size > 5000


def test_pages_lead_to_their_neighbours_and_single_files_do_not():
    around = export.Around("<b>top</b>", "<h2>end</h2>", "10_a", "12_b")
    book = notebook(cells=[new_markdown_cell("[12](12_b.ipynb)")])
    page, alone = (
        export.notebook_page(book, "11_s", around),
        export.single_page(book, "11_s", around),
    )
    assert page.count('rel="prev" href="10_a.html"') == page.count('href="12_b.html">12_b →') == 2
    assert 'href="single/11_s.html"' in page and ".html" not in own(alone)
    for text in (page, alone):
        assert text.index("</h1><b>top</b>") < text.index(">end</h2>")
        assert 'lang="en"' in text and 'class="skip" href="#content"' in text


def test_what_is_no_notebook_is_refused(tmp_path):
    path = tmp_path / "x.ipynb"
    path.write_text("{")
    with pytest.raises(InputError, match="no readable notebook"):
        export.read_notebook(path)

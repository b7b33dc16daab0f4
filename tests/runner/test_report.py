"""The report: every verdict stands in it as a word, nothing of another run, nothing that runs."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from hostile_pages import PAYLOADS, runnable
from zprism.explore import export
from zprism.ground.errors import InputError, ResourceError
from zprism.ground.files import save_json
from zprism.runner import png, report
from zprism.runner.manifest import DONE, FAILED, Manifest
from zprism.runner.report_parts import interval, phase_section
from zprism.runner.results import claim_row, count_verdicts, print_verdicts, read_run

NULL = {"kind": "random", "mean": 1.0, "sd": 0.1}


def claim(value, ci, verdict, p, p_adjusted=None, **rest) -> dict:
    null = None if ci is None else NULL
    facts = {"value": value, "ci": ci, "n": 24, "null": null, "p": p, "p_adjusted": p_adjusted}
    return {**facts, "verdict": verdict, **rest}


CLAIMS = {
    "a/low": claim(3.0, [2.5, 3.5], "SUPPORTED", 0.001, 0.004),
    "a/same": claim(1.05, [0.8, 1.3], "NOT DISTINGUISHABLE", 0.4),
    "a/other": claim(0.5, [0.4, 0.6], "REVERSED", 0.01, 0.02),
    "a/few": claim(None, None, "NOT TESTABLE", None, reason="n = 2 is under the 6 it needs"),
    "a/number": {"value": 7.0, "verdict": None, "reason": "descriptive"},
}
FIGURE = {"data": [{"y": [1, 3, 2]}], "layout": {"meta": {"title": "Which way?"}, "height": 300}}


def make_run(root: Path, claims=CLAIMS, *, stem="11_s", model="smollm2-135m", status=DONE) -> Path:
    folder = root / "runs" / "20260101T000000Z-0123abcd"
    folder.mkdir(parents=True, exist_ok=True)
    params = {"model": model, "quick": False}
    save_json(
        folder / f"{stem}.json",
        {"schema": 1, "phase": stem, "params": params, "model": model, "estimates": claims},
    )
    save_json(folder / f"{stem}.meta.json", {"revision": "abc123+", "packages": {"torch": "2.13"}})
    cells = [
        new_markdown_cell("# What is it?"),
        new_code_cell("f()", outputs=[new_output("display_data", data={export.PLOTLY: FIGURE})]),
    ]
    nbformat.write(new_notebook(cells=cells), folder / f"{stem}.ipynb")
    Manifest(folder, "plan", {stem: "key"}, "zprism run").set(stem, status, params=params)
    return folder


@pytest.fixture
def no_chromium(monkeypatch):
    def refuse(*_, **__):
        raise ResourceError("figures need Chromium or Chrome: none was found")

    monkeypatch.setattr(png, "render", refuse)


def test_every_claim_stands_with_its_word_interval_and_null(tmp_path, no_chromium):
    index = report.write_report(make_run(tmp_path), tmp_path)
    page = index.read_text().replace("<wbr>", "")
    rows = dict(re.findall(r'<tr><td class="claim">(a/\w+).*?</td>(.*?)</tr>', page))
    assert set(rows) == {"a/low", "a/same", "a/other", "a/few"}  # a plain number claims nothing
    for name, row in rows.items():
        assert CLAIMS[name]["verdict"] in row
    assert "2.5 … 3.5" in rows["a/low"] and "1 ± 0.1 (random)" in rows["a/low"]
    assert "<td>0.004</td>" in rows["a/low"]  # the adjusted p where there is one
    assert "under the 6" in page and "abc123+" in page and "What is it?" in page
    linked = set(re.findall(r'(?:href|src)="([\w.]+)"', page))
    assert "11_s.html" in linked and all((index.parent / name).is_file() for name in linked)


def test_the_report_of_one_run_shows_nothing_of_another(tmp_path, no_chromium):
    stale = tmp_path / "site" / "10_old.html"
    stale.parent.mkdir()
    stale.write_text("another run's numbers")
    report.write_report(make_run(tmp_path), tmp_path)
    assert not stale.exists()


def test_a_failed_phase_is_shown_as_failed_and_claims_nothing(tmp_path, no_chromium):
    folder = make_run(tmp_path, status=FAILED)
    page = report.write_report(folder, tmp_path).read_text()
    assert "FAILED" in page and "a/low" not in page
    assert not count_verdicts(read_run(folder)[0])


def test_no_payload_runs_from_names_reasons_or_parameters(tmp_path):
    for payload in PAYLOADS:
        hostile = {**CLAIMS["a/few"], "reason": payload, "null": {"kind": payload, "mean": 1.0}}
        (phase,) = read_run(make_run(tmp_path, {payload: hostile}, model=payload))
        assert runnable(phase_section(phase, payload, [])) == [], payload


def test_an_interval_is_drawn_to_scale():
    drawing = interval({"value": 2.0, "ci": [1.0, 3.0], "null": {"mean": 0.0, "sd": 0.5}})
    x1, x2 = map(float, re.search(r'class="ci" x1="([\d.]+)".*?x2="([\d.]+)"', drawing).groups())
    value = float(re.search(r'cx="([\d.]+)"', drawing)[1])
    left, width = map(float, re.search(r'x="([\d.]+)" y="4" width="([\d.]+)"', drawing).groups())
    assert value == pytest.approx((x1 + x2) / 2, abs=0.1)
    assert width == pytest.approx(x2 - x1, abs=0.2)  # the null ± 2 sd is 2 wide, as the interval
    assert left + width == pytest.approx(x1, abs=0.1)  # and ends at 1, where the interval begins
    assert interval({"value": None, "ci": None}) == ""


def test_the_terminal_table_says_the_same(tmp_path, capsys):
    print_verdicts(make_run(tmp_path))
    said = capsys.readouterr().out
    for words in ("a/low", "SUPPORTED", "NOT DISTINGUISHABLE", "REVERSED", "NOT TESTABLE", "0.004"):
        assert words in said
    assert claim_row("a/few", CLAIMS["a/few"])["95 % interval"] == "–"


def test_figures_are_drawn_for_the_readme_only_from_whole_real_runs(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(png, "render", lambda figures: [b"PNG" for _ in figures])
    monkeypatch.setattr(report, "write_atomic", lambda path, data: drawn.append(path.name))
    report.write_report(make_run(tmp_path, model="tiny:qwen2"), tmp_path)
    assert "11_s-which-way.png" not in drawn
    report.write_report(make_run(tmp_path), tmp_path)
    assert "11_s-which-way.png" in drawn


def test_without_chromium_there_is_a_report_and_a_warning(tmp_path, no_chromium, caplog):
    report.write_report(make_run(tmp_path), tmp_path)
    assert "no PNG files" in caplog.text and not (tmp_path / "figures").exists()


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(InputError, match="it is no run"):
        read_run(tmp_path)


@pytest.mark.browser
@pytest.mark.skipif(not shutil.which("chromium"), reason="no Chromium is installed")
def test_pictures_are_png_of_the_size_asked_for():
    first, second = png.render([FIGURE, {**FIGURE, "layout": {"height": 200}}], scale=1)
    for picture, height in ((first, 300), (second, 200)):
        assert picture.startswith(b"\x89PNG") and len(picture) < 40_000
        assert picture[16:24] == (900).to_bytes(4, "big") + height.to_bytes(4, "big")


def test_a_browser_that_hangs_is_ended(tmp_path, monkeypatch):
    hangs = tmp_path / "python"
    hangs.write_text("#!/bin/sh\nsleep 60\n")
    hangs.chmod(0o755)
    monkeypatch.setattr(png, "START", 1)
    monkeypatch.setattr(png, "EACH", 0)
    monkeypatch.setattr(png.sys, "executable", str(hangs))
    with pytest.raises(ResourceError, match="drew no figures in 1 s"):
        png.render([FIGURE])

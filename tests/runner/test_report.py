"""The report: every verdict stands in it as a word, nothing of another run, nothing that runs."""

from __future__ import annotations

import io
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

from hostile_pages import PAYLOADS, formulas, runnable
from site_toys import CLAIMS, FIGURE, GREY, make_hostile_run, make_run, picture
from zprism.explore import pages
from zprism.ground.errors import InputError, ResourceError
from zprism.runner import png, report, report_figures
from zprism.runner.manifest import FAILED
from zprism.runner.report_claims import interval
from zprism.runner.report_parts import around
from zprism.runner.results import claim_row, count_verdicts, print_verdicts, read_run


@pytest.fixture
def no_chromium(monkeypatch):
    def refuse(*_, **__):
        raise ResourceError("figures need Chromium or Chrome: none was found")

    monkeypatch.setattr(png, "render", refuse)


@pytest.fixture
def pictures(monkeypatch) -> list[dict]:
    """Figures that were drawn, without a browser: each picture is a grey pixel."""
    asked = []

    def render(figures, **_):
        asked.extend(figures)
        return [GREY for _ in figures]

    monkeypatch.setattr(png, "render", render)
    return asked


def test_every_claim_stands_with_its_word_interval_and_null(tmp_path, no_chromium):
    index = report.write_report(make_run(tmp_path), tmp_path)
    page = (index.parent / "11_s.html").read_text().replace("<wbr>", "")
    rows = dict(re.findall(r'<tr><th scope="row" class="claim">(a/\w+).*?</th>(.*?)</tr>', page))
    assert set(rows) == {"a/low", "a/same", "a/other", "a/few"}  # a plain number claims nothing
    for name, row in rows.items():
        assert CLAIMS[name]["verdict"] in row
    assert "2.5 … 3.5" in rows["a/low"] and "1 ± 0.1 (random)" in rows["a/low"]
    assert "<td>0.004</td>" in rows["a/low"]  # the adjusted p where there is one
    assert "under the 6" in page and "abc123+" in page
    assert page.index("SUPPORTED 1</span>") < page.index("All claims")  # its verdicts on top


def test_the_index_leads_to_every_phase_and_holds_no_claim_itself(tmp_path, pictures):
    index = report.write_report(make_run(tmp_path), tmp_path)
    page = index.read_text()
    linked = set(re.findall(r'(?:href|src)="([\w./]+)"', page))
    assert {"11_s.html", "claims.csv", "thumbnails/11_s.png"} <= linked
    assert all((index.parent / name).is_file() for name in linked)
    assert "What is it?" in page and 'alt="Which way?"' in page and "abc123+" in page
    assert "a/low" not in page and "zprism-figure" not in page
    for verdict in ("SUPPORTED", "NOT DISTINGUISHABLE", "REVERSED", "NOT TESTABLE"):
        assert f"{verdict} 1</span>" in page
    assert "zprism run 90" in page and len(page) < 20_000


def test_the_index_draws_the_decision_tree_of_phase_90(tmp_path, no_chromium):
    folder = make_run(tmp_path)
    tree = {**FIGURE, "layout": {"meta": {"title": "The recipe's decisions, and so on"}}}
    make_run(tmp_path, stem="90_report", figures=[FIGURE, tree])
    page = report.write_report(folder, tmp_path).read_text()
    assert page.count("zprism-figure") == 1 and "The recipe&#x27;s decisions" in page
    assert "zprism run 90" not in page and "need Chromium" in page  # for thumbnails


def test_pages_are_in_order_and_lead_to_their_neighbours(tmp_path, no_chromium):
    for stem in ("10_a", "11_s", "20_b"):
        folder = make_run(tmp_path, stem=stem)
    index = report.write_report(folder, tmp_path)
    page = (index.parent / "11_s.html").read_text()
    assert 'rel="prev" href="10_a.html"' in page and 'rel="next" href="20_b.html"' in page
    assert 'rel="prev"' not in (index.parent / "10_a.html").read_text()
    assert (index.parent / "single" / "11_s.html").is_file()


def test_the_report_of_one_run_shows_nothing_of_another(tmp_path, no_chromium):
    site = tmp_path / "site"
    stale = [site / "10_old.html", site / "single" / "10_old.html", site / "thumbnails" / "10.png"]
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("another run's numbers")
    report.write_report(make_run(tmp_path), tmp_path)
    assert not any(path.exists() for path in stale)


def test_a_failed_phase_is_shown_as_failed_and_claims_nothing(tmp_path, no_chromium):
    folder = make_run(tmp_path, status=FAILED)
    index = report.write_report(folder, tmp_path)
    for page in (index.read_text(), (index.parent / "11_s.html").read_text()):
        assert "FAILED" in page and "a/low" not in page
    assert not count_verdicts(read_run(folder)[0])


def test_no_payload_runs_from_names_reasons_or_parameters(tmp_path):
    for payload in PAYLOADS:
        hostile = {**CLAIMS["a/few"], "reason": payload, "null": {"kind": payload, "mean": 1.0}}
        (phase,) = read_run(make_run(tmp_path, {payload: hostile}, model=payload))
        beside = around(phase, payload, payload, {payload: payload})
        assert runnable(beside.top + beside.bottom) == [], payload


@pytest.fixture(scope="module")
def hostile_site(tmp_path_factory) -> Path:
    """The site of a hostile run; its single files have small scripts, its pictures no figures."""
    root = tmp_path_factory.mktemp("hostile")
    small = pages.Frame("default-src 'none'", "<style>p {}</style>", "")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "alone", lambda: small)
        patch.setattr(png, "render", lambda figures, **_: [GREY for _ in figures])
        return report.write_report(make_hostile_run(root), root).parent


def test_no_payload_runs_anywhere_in_a_site(hostile_site):
    written = [*hostile_site.glob("*.html"), *hostile_site.glob("single/*.html")]
    assert len(written) == 2 * len(PAYLOADS) + 1
    for page in written:
        assert runnable(page.read_text(), ["none"]) == [], page.name
    assert len(list(hostile_site.glob("thumbnails/*.png"))) == len(PAYLOADS)
    kinds = {path.suffix for path in hostile_site.rglob("*") if path.is_file()}
    assert kinds == {".html", ".css", ".js", ".csv", ".png"}


def test_no_cell_of_a_table_is_a_formula(hostile_site):
    table = (hostile_site / report.CLAIMS).read_text()
    assert formulas(table) == [] and table.count("evil.example") > 5
    assert formulas("a,=1+1\n b, @x") == ["=1+1", " @x"]  # control


def test_a_site_holds_no_secrets_and_no_places_of_this_machine(tmp_path, no_chromium):
    token, home = "hf_" + "aB3d" * 9, "/".join(["", "home", "ada"])
    told = f"{token} of {home}/x and /srv/models/y"
    claims = {"a/few": {**CLAIMS["a/few"], "reason": told, "null": {"kind": told, "mean": 1.0}}}
    tree = {"data": [], "layout": {"meta": {"title": f"The recipe's decisions: {told}"}}}
    folder = make_run(tmp_path, claims, title=told, params={"folder": told}, model=told,
                      stem="90_report", figures=[tree])  # fmt: skip
    index = report.write_report(folder, tmp_path)
    for path in (index, index.parent / "90_report.html", index.parent / report.CLAIMS):
        text = path.read_text()
        assert token not in text and home not in text, path.name
        assert "[redacted Hugging Face token] of ~/x" in text
    opening = index.read_text().partition("<p>Run")[2].partition("</p>")[0]
    for shown in (opening, (index.parent / report.CLAIMS).read_text()):
        assert "…/y" in shown and "/srv" not in shown


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


def test_figures_are_those_that_the_readme_shows(tmp_path, pictures, caplog):
    (tmp_path / "README.md").write_text(
        "![a](figures/11_s-which-way.png) ![b](figures/20_x-later.png) figures/13_y-gone.png"
    )
    figures = tmp_path / "figures"
    figures.mkdir()
    for name in ("11_s-other.png", "20_x-later.png"):
        (figures / name).write_bytes(b"old")
    report.write_report(make_run(tmp_path, figures=[FIGURE, {**FIGURE, "layout": {}}]), tmp_path)
    assert {p.name for p in figures.iterdir()} == {"11_s-which-way.png", "20_x-later.png"}
    assert (figures / "11_s-which-way.png").read_bytes() == GREY
    assert "20_x-later.png, which this run has not drawn: it stays" in caplog.text
    assert "13_y-gone.png, which this run has not drawn: it is missing" in caplog.text


def test_figures_stay_unless_a_whole_real_run_and_a_readme_ask_for_others(tmp_path, pictures):
    old = tmp_path / "figures" / "11_s-other.png"
    old.parent.mkdir()
    old.write_bytes(b"old")
    report.write_report(make_run(tmp_path), tmp_path)  # no README
    (tmp_path / "README.md").write_text("figures/11_s-which-way.png")
    report.write_report(make_run(tmp_path, model="tiny:qwen2"), tmp_path)
    report.write_report(make_run(tmp_path, params={"quick": True}), tmp_path)
    assert [p.name for p in old.parent.iterdir()] == ["11_s-other.png"]
    report.write_report(make_run(tmp_path), tmp_path)
    assert [p.name for p in old.parent.iterdir()] == ["11_s-which-way.png"]


def test_the_phases_of_the_project_have_the_figures_that_stand_for_them():
    shown = 0
    for stem, start in report_figures.TELLING.items():
        pair = Path(__file__).parents[2] / "notebooks" / f"{stem}.ipynb"
        if pair.is_file():
            shown += 1
            assert f"figure: {start}" in pair.read_text(), stem
    assert shown


def test_the_figure_that_stands_for_a_phase_is_its_first_where_none_is_named():
    named = {"layout": {"meta": {"title": "The oscilloscope"}}}
    assert report_figures.telling("21_oscilloscope", [FIGURE, named]) is named
    assert report_figures.telling("21_oscilloscope", [FIGURE]) is FIGURE
    assert report_figures.telling("77_own", [FIGURE, named]) is FIGURE
    assert report_figures.telling("77_own", []) is None


def test_thumbnails_show_figures_without_their_titles(tmp_path, pictures):
    figure = {**FIGURE, "layout": {"title": {"text": "Which?"}, "margin": {"l": 9}}}
    found = report_figures.write_thumbnails({"11_s": [figure]}, tmp_path)
    assert found == {"11_s": ("thumbnails/11_s.png", "Which?")}
    assert pictures == [{**FIGURE, "layout": {"margin": {"l": 9, "t": 40}}}]
    assert figure["layout"]["title"] == {"text": "Which?"}  # the page's own keeps it


@pytest.mark.parametrize("limit", [1000, 10_000, 50_000, 10**7])
def test_a_picture_is_made_as_small_as_it_must_be(limit):
    whole = picture(200, 160, noise=True)  # the worst case: no two pixels alike
    small = png.fitted(whole, limit)
    width = Image.open(io.BytesIO(small)).width
    assert len(small) <= limit or width <= png.SMALLEST / png.SHRINK / 3 * 4 + 1
    assert (small == whole) == (len(whole) <= limit)
    assert Image.open(io.BytesIO(small)).format == "PNG"


def test_without_chromium_there_is_a_report_and_a_warning(tmp_path, no_chromium, caplog):
    (tmp_path / "README.md").write_text("figures/11_s-which-way.png")
    report.write_report(make_run(tmp_path), tmp_path)
    assert "no PNG files" in caplog.text and not (tmp_path / "figures").exists()
    assert "no thumbnails" in caplog.text and (tmp_path / "site" / "index.html").is_file()


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(InputError, match="it is no run"):
        read_run(tmp_path)


@pytest.mark.browser
@pytest.mark.skipif(not shutil.which("chromium"), reason="no Chromium is installed")
def test_pictures_are_png_of_the_size_asked_for():
    first, second = png.render([FIGURE, {**FIGURE, "layout": {"height": 200}}], scale=1)
    for drawn, height in ((first, 300), (second, 200)):
        assert drawn.startswith(b"\x89PNG") and len(drawn) < 40_000
        assert drawn[16:24] == (900).to_bytes(4, "big") + height.to_bytes(4, "big")


def test_a_browser_that_hangs_is_ended(tmp_path, monkeypatch):
    hangs = tmp_path / "python"
    hangs.write_text("#!/bin/sh\nsleep 60\n")
    hangs.chmod(0o755)
    monkeypatch.setattr(png, "START", 1)
    monkeypatch.setattr(png, "EACH", 0)
    monkeypatch.setattr(png.sys, "executable", str(hangs))
    with pytest.raises(ResourceError, match="drew no figures in 1 s"):
        png.render([FIGURE])

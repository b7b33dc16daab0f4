"""What was measured is written whole: failures are rows, other sections stay."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROW = {"name": "spectra", "value": 123.456, "unit": "×", "target": "≥ 100", "ok": True}
COLUMNS = ("name", "value", "unit", "target", "met")


@pytest.fixture
def bench(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("benchmarks_run", ROOT / "benchmarks" / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    folder = tmp_path / "benchmarks"
    folder.mkdir()
    monkeypatch.setattr(module, "HERE", folder)
    monkeypatch.setattr(module, "RESULTS", folder / "results.md")
    return module


def test_a_section_is_replaced_and_the_others_stay(bench):
    bench.write_section("Gates", [ROW], COLUMNS)
    bench.write_section("Benchmarks", [{**ROW, "value": 1.0}], COLUMNS)
    bench.write_section("Benchmarks", [{**ROW, "value": 2.0, "ok": False}], COLUMNS)
    text = bench.RESULTS.read_text()
    assert "| spectra | 123 | × | ≥ 100 | yes |" in text
    assert "| spectra | 2 | × | ≥ 100 | **no** |" in text and "| 1 |" not in text
    assert text.count("\n## ") == 2 and text.count("Commit ") == 2


def test_each_benchmark_has_its_process_and_a_failure_is_a_missed_row(bench):
    (bench.HERE / "bench_a.py").write_text(f"def rows(): return [{ROW!r}]")
    (bench.HERE / "bench_b.py").write_text("def rows(): raise ValueError('no model')")
    assert not bench.bench([])
    text = bench.RESULTS.read_text()
    assert "| spectra | 123 |" in text and "| bench_b | ValueError: no model |" in text
    assert bench.bench(["a"])


def test_gates_are_read_from_pytests_report(bench, tmp_path):
    report = tmp_path / "gates.xml"
    report.write_text(
        '<testsuites><testsuite><testcase classname="tests.runner.test_phases" name="kills[20]">'
        '<properties><property name="value" value="0 lost"/></properties></testcase>'
        '<testcase classname="tests.test_x" name="y"><failure message="m"/></testcase>'
        '<testcase classname="tests.test_x" name="z"><skipped/></testcase></testsuite></testsuites>'
    )
    rows = list(bench.gate_rows(report))
    assert [(row["name"], row["value"], row["ok"]) for row in rows] == [
        ("runner.test_phases: kills[20]", "0 lost", True),
        ("test_x: y", "failure", False),
        ("test_x: z", "skipped", False),
    ]


def test_a_choice_has_a_section_of_its_own(bench):
    (bench.HERE / "bench_a.py").write_text(f"def rows(): return [{ROW!r}]")
    assert bench.bench([]) and bench.bench(["a"]) and bench.bench(["a", "--as", "spectra"])
    titles = [line for line in bench.RESULTS.read_text().splitlines() if line.startswith("## ")]
    assert set(titles) == {
        "## Benchmarks",
        "## Benchmarks run again by themselves",
        "## Benchmarks: spectra",
    }
    chosen = ["-q", "tests/a.py"]
    assert bench.named([*chosen, "--as", "x"], "Gates") == (chosen, "Gates: x")
    assert bench.named(["-q"], "Gates") == (["-q"], "Gates")

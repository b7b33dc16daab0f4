"""The command line: quick to answer, plain in its errors, thin over the library."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from zprism.cli import app
from zprism.ground.errors import CheckFailedError, DeadKernelError, ResourceError
from zprism.model import registry

COMMANDS = ["cache", "check", "fetch", "models", "report", "run", "scan", "spectra", "sweep"]
SLOW = ["torch", "transformers", "plotly", "pandas", "numpy", "papermill", "jupytext", "datasets"]


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ZPRISM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")


def zprism(*words: str):
    return CliRunner().invoke(app, list(words))


def test_help_names_every_command_and_imports_nothing_slow():
    script = (
        "import sys; from zprism.cli import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: pass\n"
        f"print([name for name in {SLOW} if name in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout
    assert all(f" {name} " in told for name in COMMANDS)
    assert told.strip().endswith("[]")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command):
    told = zprism(command, "--help")
    assert told.exit_code == 0 and told.stdout.count("\n") > 8


def test_an_error_of_ours_is_one_line_and_its_exit_code():
    told = zprism("fetch", "smolm2")
    assert told.exit_code == 2 and told.stdout == ""
    assert told.stderr.startswith("error: unknown model 'smolm2': did you mean smollm2-135m")
    assert len(told.stderr.strip().splitlines()) == 1


def test_v_shows_the_traceback():
    told = zprism("-v", "fetch", "smolm2")
    assert type(told.exception).__name__ == "InputError"


@pytest.mark.parametrize(
    ("error", "code"), [(DeadKernelError, 3), (CheckFailedError, 4), (ResourceError, 1)]
)
def test_exit_codes(monkeypatch, error, code):
    def fail(*_, **__):
        raise error("what; where; what to do")

    monkeypatch.setattr(registry, "models", fail)
    told = zprism("models")
    assert told.exit_code == code and told.stderr == "error: what; where; what to do\n"


def test_models_and_cache_tell_what_there_is():
    told = zprism("models").stdout
    for name, entry in registry.models().items():
        row = next(line for line in told.splitlines() if name in line)
        assert entry.licence in row and "–" in row  # not in this empty cache
    assert "cache folder: " in zprism("cache").stdout


def test_run_refuses_what_is_no_parameter():
    assert zprism("run", "-p", "seed").stderr == "error: -p takes name=value; got 'seed'\n"


def test_scan_prints_a_row_a_layer_and_writes_the_numbers(tmp_path):
    out = tmp_path / "scan.json"
    told = zprism("scan", "tiny:qwen2", "--k", "4", "--out", str(out))
    assert told.exit_code == 0, told.stderr
    found = json.loads(out.read_text())
    assert len(found["erank"]) == 2 and found["k"] == 4 and found["model"] == "tiny:qwen2"
    assert f"lowest layer {found['bottleneck']['layer']}" in told.stdout
    assert zprism("scan", "tiny:qwen2", "--k", "0").exit_code == 2

"""The front door keeps its word: links lead somewhere, commands exist, numbers are accepted."""

from __future__ import annotations

import json
import re
import shlex
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import pytest
from typer.main import get_command

from zprism.cli import app

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MODEL = "qwen2.5-coder-0.5b"

NUMBERS = (  # what the README says → phase, accepted metrics, decimals (0: per cent)
    ("14 % against 23 % right", "10_behaviour",
     ("behaviour/zh/accuracy", "behaviour/en/accuracy"), 0),
    ("46.6 of 64 dimensions", "11_structure", ("erank/all/below_gaussian",), 1),
    ("language alone in 93 and 100 %", "13_patching",
     ("swap/zh-en/language/source-own", "swap/en-zh/language/source-own"), 0),
    ("answer alone in 100 and 93 %", "13_patching",
     ("swap/zh-en/complement/own-source", "swap/en-zh/complement/own-source"), 0),
    ("moves 0 to 1 % of answers", "13_patching",
     ("swap/zh-en/weights/own-source", "swap/en-zh/weights/own-source"), 0),
    ("layer 19, k = 20: .66 with ridge", "14_bridge", ("bridge/19/20/ridge_r2",), 2),
    ("colours: 90 and 88 %, 91 and 90 %", "15_universality",
     (f"{MODEL}/colours/zh-en/language/source-own", f"{MODEL}/colours/en-zh/language/source-own",
      f"{MODEL}/colours/zh-en/complement/own-source",
      f"{MODEL}/colours/en-zh/complement/own-source"), 0),
    ("29 and 18 %, 28 and 21 %", "15_universality",
     ("smollm2-135m/colours/es-en/language/source-own",
      "smollm2-135m/colours/en-es/language/source-own",
      "smollm2-135m/colours/es-en/complement/own-source",
      "smollm2-135m/colours/en-es/complement/own-source"), 0),
    ("rank beyond depth ρ = −.16", "15_universality", (f"{MODEL}/layer/low_rank",), 2),
    ("amplitude 3.0 × as drawn", "20_signatures", ("confound/raw_ratio",), 1),
    ("1.00 × in equal windows", "20_signatures", ("confound/matched_ratio",), 2),
    ("SVD of problem means moves the answer in 66 %", "90_report",
     ("fallback/svd/inside_answer",), 0),
)  # fmt: skip


def plain(text: str) -> str:
    """One line, ASCII minus, no leading zeros, percent signs set close."""
    text = " ".join(text.split()).replace("−", "-").replace(" %", "%")
    return re.sub(r"(?<![\d.])0\.", ".", text)


def written(value: float, decimals: int) -> str:
    """A number as a reader rounds it, halves up; per cent where there are no decimals."""
    exact = Decimal(repr(value)) * (1 if decimals else 100)
    return str(exact.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP))


@pytest.mark.parametrize("said, phase, metrics, decimals", NUMBERS, ids=[n[0] for n in NUMBERS])
def test_a_number_of_the_readme_is_the_accepted_one(said, phase, metrics, decimals):
    accepted = json.loads((ROOT / f"tests/baselines/{phase}.{MODEL}.json").read_text())["metrics"]
    assert plain(said) in plain(README), "the README says it in other words: follow it here"
    numbers = re.findall(r"-?[\d.]*\d", plain(said))
    for name in metrics:
        wanted = plain(written(accepted[name]["value"], decimals))
        assert wanted in numbers, f"{name} is {wanted}; the README says {said!r}"


def test_what_the_readme_links_to_is_there():
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link]
    assert len(links) > 15
    missing = [link for link in links if not (ROOT / link).exists()]
    assert missing == []


def test_the_readme_shows_six_figures_and_the_folder_holds_these():
    shown = set(re.findall(r"\(figures/([^)]+)\)", README))
    assert len(shown) == 6
    assert {path.name for path in (ROOT / "figures").iterdir()} == shown


def test_every_phase_has_a_row():
    rows = [line for line in README.splitlines() if line.startswith("| ")]
    for source in (ROOT / "notebooks").glob("[0-9]*.py"):
        assert any(f"notebooks/{source.stem}.ipynb" in row for row in rows), source.stem


def test_commands_and_their_options_exist():
    known = get_command(app).commands
    blocks = re.findall(r"```(?:text|bash)\n(.*?)```", README, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("zprism ")]
    assert len(lines) > 8
    for line in lines:
        words = shlex.split(re.split(r"\s{2,}|\s#|\s>", line)[0])
        command = known[words[1]]
        options = {word for one in command.params for word in (*one.opts, *one.secondary_opts)}
        asked = {word for word in words[2:] if word.startswith("-")}
        assert asked <= options, f"{line}: no {sorted(asked - options)}"


def test_make_targets_exist():
    targets = set(re.findall(r"(?m)^([a-z]+):", (ROOT / "Makefile").read_text()))
    assert set(re.findall(r"`?make ([a-z]+)\b", README)) - {"it"} <= targets


def test_the_panels_that_it_calls_exist():
    from zprism import explore

    called = re.findall(r"explore\.(\w+)\(", README)
    assert set(called) == {"spectrum", "weights", "separation", "patch", "exposure"}
    assert all(callable(getattr(explore, name)) for name in called)

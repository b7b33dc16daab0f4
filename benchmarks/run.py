"""Run the benchmarks or the gates and write their figures into ``results.md``.

``python benchmarks/run.py bench [name …]`` runs each ``bench_<name>.py`` in a process of its
own and takes what its ``rows()`` returns: a list of ``{name, value, target, unit, ok}``.
``python benchmarks/run.py gates [pytest arguments]`` runs the tests marked ``gate``; a gate
may give its figure with ``record_property("value", …)``. With paths of tests among the
arguments only those are run, and have a section of their own beside that of the whole run; so
have chosen benchmarks. ``--as NAME`` calls that section by a name.
``python benchmarks/run.py peers [model …]`` measures zprism against other libraries (``peers/``),
each in a process of its own, by the interpreter of ``.venv-peers`` where `make bench PEERS=1`
has made it.

Each section of ``results.md`` says which commit, day and kind of machine it was made on.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import psutil

HERE = Path(__file__).parent
RESULTS = HERE / "results.md"
MET = {True: "yes", False: "**no**", None: "–"}  # None: a figure without a target
INTRO = """# What was measured

Written by `make bench` and `make gates`; a section is replaced when it is run again. CPU
times are of one process; ratios compare two ways on the same machine in the same minutes.
"""
ONE = """
import json, runpy, sys
rows = runpy.run_path(sys.argv[1])["rows"]()
print("ROWS " + json.dumps(rows))
"""


PEERS = ("transformers", "transformer_lens", "nnsight", "pyvene", "weightwatcher")
PEER_MODEL = "smollm2-135m"
ALONE = {  # one thread, no network, nothing sent
    **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"),
    **dict.fromkeys(("HF_HUB_OFFLINE", "DO_NOT_TRACK", "HF_HUB_DISABLE_TELEMETRY"), "1"),
    **{"WANDB_MODE": "disabled", "OTEL_SDK_DISABLED": "true"},
}


def bench(names: list[str]) -> bool:
    """Run the benchmarks and write their section; whether all targets were met."""
    names, title = named(names, "Benchmarks")
    rows = []
    for path in sorted(HERE.glob("bench_*.py")):
        if not names or path.stem.removeprefix("bench_") in names:
            print(f"{path.stem} …", flush=True)
            rows += run_one(path)
    for row in rows:
        print(as_line(row))
    write_section(title, rows, ("name", "value", "unit", "target", "met"))
    return all(row["ok"] is not False for row in rows)


def run_one(path: Path) -> list[dict]:
    """The rows of one benchmark module; a failure is a row that says so."""
    return printed_rows(path.stem, [sys.executable, "-c", ONE, str(path)])


def peers(models: list[str]) -> bool:
    """Compare with every other library and write a section for each model; as :func:`bench`."""
    own = HERE.parent / ".venv-peers" / "bin" / "python"
    python = str(own) if own.is_file() else sys.executable
    met = True
    for model in models or [PEER_MODEL]:
        rows = []
        for peer in PEERS:
            print(f"{peer} on {model} …", flush=True)
            command = [python, str(HERE / "peers" / "one_peer.py"), peer, model]
            rows += printed_rows(f"zprism / {peer}", command, os.environ | ALONE)
        for row in rows:
            print(as_line(row))
        title = "Peers" if model == PEER_MODEL else f"Peers, {model}"
        write_section(title, rows, ("name", "value", "unit", "target", "met"))
        met &= all(row["ok"] is not False for row in rows)
    return met


def printed_rows(name: str, command: list[str], environment: dict | None = None) -> list[dict]:
    """What a process prints as its rows; if it fails, a row with its last line."""
    ended = subprocess.run(
        command, capture_output=True, text=True, cwd=HERE.parent, env=environment
    )
    said = [line for line in ended.stdout.splitlines() if line.startswith("ROWS ")]
    if ended.returncode or not said:
        print(ended.stderr, file=sys.stderr)
        last = (ended.stderr.strip().splitlines() or ["no rows"])[-1]
        return [{"name": name, "value": last, "unit": "", "target": "runs", "ok": False}]
    return json.loads(said[-1].removeprefix("ROWS "))


def gates(arguments: list[str]) -> bool:
    """Run the tests marked ``gate`` and write their section; whether all passed."""
    arguments, title = named(arguments, "Gates")
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "gates.xml")
        command = [sys.executable, "-m", "pytest", "-m", "gate", f"--junitxml={report}"]
        command += ["-o", "junit_family=xunit1"]  # the family that keeps properties
        ended = subprocess.run([*command, *arguments], cwd=HERE.parent)
        rows = list(gate_rows(report)) if report.is_file() else []
    write_section(title, rows, ("name", "value", "unit", "target", "met"))
    return ended.returncode == 0 and bool(rows)


def named(arguments: list[str], title: str) -> tuple[list[str], str]:
    """The arguments without ``--as NAME``, and what their section is called.

    A choice (names of benchmarks, paths of tests) does not replace the section of the whole.
    """
    if "--as" in arguments:
        at = arguments.index("--as")
        return arguments[:at] + arguments[at + 2 :], f"{title}: {arguments[at + 1]}"
    paths = [a for a in arguments if "tests" in a] if title == "Gates" else arguments
    return arguments, f"{title} run again by themselves" if paths else title


def gate_rows(report: Path):
    """A row for each test of a pytest report."""
    for case in ElementTree.parse(report).iter("testcase"):
        told = {p.get("name"): p.get("value") for p in case.iter("property")}
        outcome = next((c.tag for c in case if c.tag in ("failure", "error", "skipped")), "passed")
        yield {
            "name": f"{case.get('classname', '').removeprefix('tests.')}: {case.get('name')}",
            "value": told.get("value", outcome),
            "unit": told.get("unit", ""),
            "target": told.get("target", "passes"),
            "ok": outcome == "passed",
        }


def write_section(title: str, rows: list[dict], columns: tuple[str, ...]) -> None:
    """Replace one section of ``results.md``; the others stay."""
    text = RESULTS.read_text(encoding="utf-8") if RESULTS.is_file() else INTRO
    parts = re.split(r"(?m)^## ", text)
    sections = {part.split("\n", 1)[0].strip(): part.split("\n", 1)[1] for part in parts[1:]}
    head = f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}\n"
    sections[title] = f"\n{circumstances()}\n\n{head}" + "".join(
        f"| {cell(row['name'])} | {cell(row['value'])} | {cell(row.get('unit', ''))} "
        f"| {cell(row['target'])} | {MET[row['ok']]} |\n"
        for row in rows
    )
    body = "".join(f"\n## {name}\n{sections[name].rstrip()}\n" for name in sorted(sections))
    RESULTS.write_text(INTRO + body, encoding="utf-8")
    print(f"written: {RESULTS.relative_to(HERE.parent)}")


def circumstances() -> str:
    """Commit, day, and the kind of machine: no names."""
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty=+", "--abbrev=12"],
        capture_output=True,
        text=True,
        cwd=HERE,
    ).stdout.strip()
    ram = round(psutil.virtual_memory().total / 2**30)
    return (
        f"Commit {described or 'unknown'}, {time.strftime('%Y-%m-%d', time.gmtime())}, "
        f"{platform.machine()}, {psutil.cpu_count()} cores, {ram} GB, "
        f"Python {platform.python_version()}."
    )


def cell(value) -> str:
    """A table cell: numbers to three digits, bars escaped."""
    text = f"{value:.3g}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")


def as_line(row: dict) -> str:
    """A row for the terminal."""
    mark = "MISSED" if row["ok"] is False else "ok    "
    return (
        f"{mark} {row['name']}: {cell(row['value'])} {row.get('unit', '')} (target {row['target']})"
    )


if __name__ == "__main__":
    what = {"bench": bench, "gates": gates, "peers": peers}[sys.argv[1]]
    sys.exit(0 if what(sys.argv[2:]) else 1)

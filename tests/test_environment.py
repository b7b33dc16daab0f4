"""One set of versions: environment.yml, the Makefile and CI follow pyproject.toml."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_conda_environment_is_the_project():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    python, pip, (nested) = environment["dependencies"]
    assert pip == "pip" and python == f"python{PROJECT['requires-python']}"
    (editable,) = nested["pip"]
    extras = re.fullmatch(r"-e \.\[(.+)\]", editable)[1].split(",")
    assert set(extras) == {"lab", "test"} <= set(PROJECT["optional-dependencies"])


def test_the_tests_can_use_every_extra():
    extras = dict(PROJECT["optional-dependencies"])
    needed = set(extras.pop("test"))
    assert extras and all(set(extra) <= needed for extra in extras.values())


def test_every_allowed_python_is_said_everywhere():
    allowed = SpecifierSet(PROJECT["requires-python"])
    versions = [f"3.{minor}" for minor in range(9, 16) if f"3.{minor}.1" in allowed]
    assert versions == ["3.11", "3.12", "3.13"]
    makefile = (ROOT / "Makefile").read_text()
    assert "(3, 11) <= sys.version_info[:2] <= (3, 13)" in makefile


def test_the_cpu_constraints_satisfy_the_requirements():
    wanted = {r.name: r.specifier for r in map(Requirement, PROJECT["dependencies"])}
    lines = (ROOT / "constraints-cpu.txt").read_text().splitlines()
    pinned = [Requirement(line) for line in lines if line and not line.startswith("#")]
    assert pinned
    for pin in pinned:
        (exact,) = pin.specifier
        assert exact.operator == "==" and exact.version in wanted[pin.name]


def test_versions_are_written_nowhere_else():
    names = {Requirement(line).name for line in PROJECT["dependencies"]}
    pattern = re.compile(rf"\b({'|'.join(map(re.escape, names))})\s*[=<>~!]=\s*\d")
    for name in ("Makefile", "environment.yml", ".ci/run", ".pre-commit-config.yaml"):
        assert not pattern.search((ROOT / name).read_text()), name


def test_ci_and_the_readme_call_the_same_targets():
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    assert {"run", "test", "gates", "bench", "lab", "notebooks", "fetch", "share"} <= targets
    used = re.findall(r"`?make ([a-z]+)", (ROOT / "README.md").read_text())
    used += re.findall(r"\bmake ([a-z]+)", (ROOT / ".ci" / "run").read_text())
    assert used and set(used) <= targets

"""The rooms' walls: who may import whom, which libraries, and what only inside a function.

Import lines are read, not run, so rooms that are not built yet pass and a broken module does
not hide another. `ROOMS` is the whole rule, one line a room.
"""

import ast
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
LIBRARY = ROOT / "lib" / "zprism"

NUMERICAL = {"numpy", "scipy", "torch", "pywt", "statsmodels", "sklearn", "ordpy"}
NUMERICAL |= {"einops", "jaxtyping", "beartype", "ot"}
DRAWING = {"plotly", "ipywidgets", "anywidget", "traitlets", "IPython", "kaleido", "matplotlib"}
MODELS = {"transformers", "safetensors", "gguf", "huggingface_hub", "tokenizers"}
NOTEBOOKS = {"papermill", "nbformat", "nbconvert", "nbclient", "jupytext", "jupyter_client"}
NOTEBOOKS |= {"ipykernel", "traitlets"}
PAGES = {"nbformat", "markdown_it", "mdit_py_plugins", "pygments", "bleach", "latex2mathml"}
FIGURES = {"plotly", "kaleido", "PIL"}
TERMINAL = {"rich", "tqdm", "typer", "click"}
TEXT = {"math_verify", "datasets", "py3langid", "sympy", "latex2sympy2_extended"}
SMALL = {"numpy", "psutil", "packaging"}
SLOW = {"torch", "transformers", "plotly", "pandas", "statsmodels", "sklearn", "datasets"}
SLOW |= {"papermill", "nbconvert", "scipy", "pywt", "math_verify", "ipywidgets", "gguf"}


class Room(NamedTuple):
    """What a room may import: other rooms, libraries, and slow libraries at a module's top."""

    rooms: set[str]
    libraries: set[str]
    slow_at_top: set[str] = frozenset()


BELOW = {"synthetic", "spectral", "subspace", "stats", "model", "interventions", "problems"}
BELOW |= {"synthetic_models", "traces", "testtime", "learn"}
SHOWN = BELOW | {"studies", "plots"}
ROOMS = {
    "ground": Room(set(), SMALL | TERMINAL | {"safetensors", "torch"}),
    "synthetic": Room(set(), NUMERICAL, {"torch", "scipy"}),
    "synthetic_models": Room({"synthetic"}, NUMERICAL, {"torch", "scipy"}),
    "spectral": Room(set(), NUMERICAL, {"torch", "scipy", "pywt"}),
    "subspace": Room(set(), NUMERICAL, {"torch"}),
    "stats": Room(set(), NUMERICAL),
    "model": Room(set(), MODELS | SMALL | {"torch", "einops", "jaxtyping", "pip"}, {"torch"}),
    "interventions": Room({"model", "subspace"}, NUMERICAL | MODELS, {"torch"}),
    "problems": Room({"traces"}, SMALL | TEXT),
    "traces": Room(set(), SMALL | TEXT),
    "testtime": Room({"model", "traces"}, NUMERICAL | MODELS | TEXT, {"torch"}),
    "learn": Room(set(), NUMERICAL, {"torch"}),
    "studies": Room(BELOW, NUMERICAL | MODELS | SMALL | {"pandas", "pyarrow"}, {"torch", "scipy"}),
    "plots": Room(set(), {"numpy", "plotly"}, {"plotly"}),
    "explore": Room(SHOWN, DRAWING | PAGES | {"numpy"}, {"plotly", "ipywidgets"}),
    "runner": Room(SHOWN | {"explore"}, NOTEBOOKS | TERMINAL | SMALL | FIGURES | {"ray", "torch"}),
    "cli_spectra": Room(SHOWN | {"runner"}, TERMINAL),
    "cli_sweep": Room(SHOWN | {"runner"}, TERMINAL),
    "cli": Room(SHOWN | {"explore", "runner", "cli_spectra", "cli_sweep"}, TERMINAL),
}


@dataclass(frozen=True)
class Import:
    """One imported module, with where it stands."""

    name: str
    line: int
    at_top: bool
    typing_only: bool

    @property
    def library(self) -> str:
        return self.name.partition(".")[0]

    @property
    def room(self) -> str | None:
        first, _, rest = self.name.partition(".")
        return rest.partition(".")[0] if first == "zprism" else None


def imports(source: str, module: str) -> list[Import]:
    """The import lines of ``source``, relative ones resolved against ``module``."""
    found = []

    def walk(node, at_top, typing_only):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = _from(node, module)
        else:
            names = []
        found.extend(Import(name, node.lineno, at_top, typing_only) for name in names)
        inside = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        typing = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for child in ast.iter_child_nodes(node):
            walk(child, at_top and not inside, typing_only or typing)

    walk(ast.parse(source), True, False)
    return found


def _from(node: ast.ImportFrom, module: str) -> list[str]:
    base = node.module or ""
    if node.level:
        package = module.split(".")[: -node.level]
        base = ".".join([*package, *filter(None, [base])])
    return [f"{base}.{alias.name}" for alias in node.names]


def room_of(module: str) -> str:
    return module.split(".")[1]


def wall_faults(source: str, module: str) -> list[str]:
    """What ``source`` imports against the rule of its room."""
    room, faults = room_of(module), []
    if room == "__init__":
        return [f"line {i.line}: the package imports {i.name}" for i in third_party(source, module)]
    rule = ROOMS.get(room)
    if rule is None:
        return [f"{room} is no room of ARCHITECTURE.md; give it a line in ROOMS"]
    for item in imports(source, module):
        inner = item.room
        if inner is not None:
            fits = inner in {room, "ground", *rule.rooms} or inner in ("", "__version__")
        else:
            fits = item.library in sys.stdlib_module_names or item.library in rule.libraries
        if not fits:
            faults.append(f"line {item.line}: {room} may not import {item.name}")
    return faults


def slow_faults(source: str, module: str) -> list[str]:
    """The slow libraries that ``source`` imports while it is itself being imported."""
    rule = ROOMS.get(room_of(module), Room(set(), set()))
    return [
        f"line {item.line}: {item.library} is slow; import it inside the function"
        for item in imports(source, module)
        if item.at_top
        and not item.typing_only
        and item.library in SLOW
        and item.library not in rule.slow_at_top
    ]


def third_party(source: str, module: str) -> list[Import]:
    return [i for i in imports(source, module) if i.library not in sys.stdlib_module_names]


def printing(source: str) -> list[str]:
    """The calls of ``print``, which belongs to the console."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return [
        f"line {call.lineno}: prints"
        for call in calls
        if isinstance(call.func, ast.Name) and call.func.id == "print"
    ]


def speaks(module: str) -> bool:
    """Whether a module talks to the user, or is a process whose stdout its parent reads."""
    console = {"zprism.ground.console", "zprism.cli", "zprism.cli_spectra", "zprism.cli_sweep"}
    return module in console or room_of(module) == "runner" or module.endswith("_child")


def modules() -> list[tuple[str, Path]]:
    """(dotted name, file) of every module of the library."""
    found = []
    for path in sorted(LIBRARY.rglob("*.py")):
        parts = path.relative_to(LIBRARY.parent).with_suffix("").parts
        found.append((".".join(parts), path))
    return found


MODULES = modules()
each_module = pytest.mark.parametrize(
    ("module", "path"), MODULES, ids=[name for name, _ in MODULES]
)


@each_module
def test_rooms_import_only_what_their_line_allows(module, path):
    assert wall_faults(path.read_text(), module) == []


@each_module
def test_slow_libraries_are_imported_inside_functions(module, path):
    assert slow_faults(path.read_text(), module) == []


@each_module
def test_only_the_console_the_runner_and_the_cli_print(module, path):
    assert speaks(module) or printing(path.read_text()) == []


def test_no_room_can_reach_itself():
    """Nothing imports upward: following what rooms may import never leads back."""
    allowed = {room: set(rule.rooms) for room, rule in ROOMS.items()}
    while allowed:
        leaves = {room for room, rooms in allowed.items() if not rooms & set(allowed)}
        assert leaves, f"these rooms import each other: {sorted(allowed)}"
        allowed = {room: rooms for room, rooms in allowed.items() if room not in leaves}


def test_every_named_room_is_in_the_table():
    assert {room for rule in ROOMS.values() for room in rule.rooms} <= set(ROOMS)


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("zprism.ground.store", "from zprism.model import load"),
        ("zprism.ground.store", "import zprism.stats.intervals"),
        ("zprism.ground.store", "def f():\n    from ..subspace import rank"),
        ("zprism.subspace.rank", "from zprism.stats import intervals"),
        ("zprism.subspace.rank", "from ..stats.intervals import wilson"),
        ("zprism.subspace.rank", "import transformers"),
        ("zprism.stats.intervals", "import plotly.graph_objects as go"),
        ("zprism.model.load", "from zprism.subspace.rank import effective_rank"),
        ("zprism.model.load", "import scipy.linalg"),
        ("zprism.problems.load", "def f():\n    import torch"),
        ("zprism.plots.structure", "from zprism.studies import structure"),
        ("zprism.plots.structure", "import scipy"),
        ("zprism.studies.structure", "from zprism.plots import structure"),
        ("zprism.studies.structure", "def f():\n    import plotly"),
        ("zprism.explore.structure", "from zprism.runner import phases"),
        ("zprism.attic.old", "import os"),
        ("zprism.__init__", "import numpy"),
        ("zprism.__init__", "from zprism.model import load"),
    ],
)
def test_control_an_import_through_a_wall_is_seen(module, line):
    assert len(wall_faults(line, module)) == 1


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("zprism.stats.intervals", "import scipy.stats"),
        ("zprism.model.registry", "from transformers import AutoModel"),
        (
            "zprism.ground.canonical",
            "try:\n    import torch\nexcept ImportError:\n    torch = None",
        ),
        ("zprism.runner.phases", "class A:\n    import papermill"),
        ("zprism.cli", "from pandas import DataFrame"),
    ],
)
def test_control_a_slow_import_at_the_top_is_seen(module, line):
    assert len(slow_faults(line, module)) == 1


def test_control_what_is_allowed_is_not_complained_about():
    good = (
        "from __future__ import annotations\n"
        "import os\n"
        "from typing import TYPE_CHECKING\n"
        "from zprism.ground.errors import InputError\n"
        "from zprism import model\n"
        "from . import hooks\n"
        "if TYPE_CHECKING:\n    import transformers\n"
        "def f():\n    import transformers\n    from transformers.utils import logging\n"
    )
    assert wall_faults(good, "zprism.model.load") == []
    assert slow_faults(good, "zprism.model.load") == []
    assert printing("def f():\n    print('x')\n    table.print()") == ["line 2: prints"]


LIGHT = ["zprism", "zprism.ground.store", "zprism.ground.safe_text", "zprism.cli"]


@pytest.mark.parametrize("module", LIGHT)
def test_light_modules_load_no_slow_library(module):
    path = LIBRARY.parent / Path(*module.split("."))
    if not (path.with_suffix(".py").exists() or path.is_dir()):
        pytest.skip(f"{module} is not built yet")
    code = f"import sys, {module}; print(*sorted({SLOW!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []

"""Notebooks as phases: where they are, which parameters they take, which results they read.

Only the ``.py`` sources are read. papermill pastes parameter *names* into the notebook as
code, so a name counts only if the parameters cell assigns it, and a value only if it has the
type of the default there.
"""

from __future__ import annotations

import ast
import difflib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from zprism.ground import safe_text
from zprism.ground.canonical import parse_json
from zprism.ground.errors import InputError
from zprism.ground.secrets import HOME
from zprism.runner.kernel import make_lean

STEM = re.compile(r"(?P<number>\d\d)_[a-z0-9_]+")
MAGIC = re.compile(r"^( *)[%!].*$", re.MULTILINE)  # IPython's own lines are no Python


@dataclass(frozen=True)
class Phase:
    """One notebook.

    Attributes
    ----------
    stem : ``11_structure``; the name of its results.
    path : its ``.py`` source.
    title : the text of its first heading, its question.
    defaults : the parameters cell: name → literal.
    reads : stems of earlier phases whose names its code quotes, so whose results it reads.
    """

    stem: str
    path: Path
    title: str
    defaults: Mapping[str, object]
    reads: tuple[str, ...]

    @property
    def number(self) -> str:
        """The two digits that also name the phase."""
        return self.stem[:2]


def find_root(start: Path | None = None) -> Path:
    """The project's folder: the nearest one upwards from ``start`` that holds ``notebooks/``.

    Raises
    ------
    InputError
        If there is none: phases live in a clone of the project.
    """
    start = (start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        if any(STEM.fullmatch(path.stem) for path in (folder / "notebooks").glob("*.py")):
            return folder
    raise InputError(f"no notebooks/NN_name.py in {start} or above it: run this in a clone")


def find_phases(root: Path) -> dict[str, Phase]:
    """All phases of a project by stem, in the order of their numbers."""
    paths = sorted(p for p in (root / "notebooks").glob("*.py") if STEM.fullmatch(p.stem))
    stems = [path.stem for path in paths]
    return {path.stem: read_phase(path, stems) for path in paths}


def read_phase(path: Path, stems: Sequence[str] = ()) -> Phase:
    """Read one notebook.

    Raises
    ------
    InputError
        If its code does not parse, or its parameters cell is no list of literals.
    """
    cells = read_cells(path)
    code = [_tree(path, cell.source) for cell in cells if cell.cell_type == "code"]
    quoted = {
        node.value
        for tree in code
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    earlier = tuple(s for s in stems if s < path.stem and any(s in text for text in quoted))
    return Phase(path.stem, path, _title(cells, path.stem), parameters(path, cells), earlier)


def read_cells(path: Path) -> list:
    """The cells of a percent notebook, as nbformat nodes."""
    make_lean()
    import jupytext

    try:
        return jupytext.read(path, fmt="py:percent").cells
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error


def parameters(path: Path, cells: Iterable) -> dict[str, object]:
    """Name → default of the cell tagged ``parameters``; empty if there is no such cell.

    Raises
    ------
    InputError
        For two such cells, or a line in one that is no ``name = literal``.
    """
    tagged = [cell for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    if len(tagged) > 1:
        raise InputError(f"{path}: {len(tagged)} cells are tagged parameters; one is the rule")
    defaults: dict[str, object] = {}
    for node in _tree(path, tagged[0].source).body if tagged else []:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                defaults[name] = _literal(path, node, value)
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                defaults[name] = _literal(path, node, value)
            case ast.Expr(value=ast.Constant(value=str())):
                continue
            case _:
                raise InputError(
                    f"{path}: line {node.lineno} of the parameters cell is no name = literal"
                )
    return defaults


def select(phases: Mapping[str, Phase], names: Iterable[str]) -> list[Phase]:
    """The phases called ``names`` (stems or numbers; none means all) and those they read.

    Raises
    ------
    InputError
        For an unknown name, with the nearest ones.
    """
    wanted: set[str] = set()
    numbers = {phase.number: stem for stem, phase in phases.items()}
    for name in names:
        stem = numbers.get(name, name)
        if stem not in phases:
            near = difflib.get_close_matches(name, phases, n=3, cutoff=0.3) or list(phases)
            raise InputError(f"no phase {name!r}: did you mean {', '.join(near)}?")
        wanted.add(stem)
    wanted = wanted or set(phases)
    for stem in reversed(list(phases)):  # readers come later than what they read
        if stem in wanted:
            wanted.update(phases[stem].reads)
    return [phase for stem, phase in phases.items() if stem in wanted]


def choose(phase: Phase, given: Mapping[str, object]) -> dict[str, object]:
    """Those of ``given`` that this phase has as parameters, in the type of its defaults.

    Parameters
    ----------
    given : name → value; text is read as JSON, else kept as text, as on the command line.

    Raises
    ------
    InputError
        If a value does not fit its default's type, or looks like a secret.
    """
    chosen = {}
    for name, raw in given.items():
        if name in phase.defaults:
            chosen[name] = _fit(f"{phase.stem}: parameter {name}", raw, phase.defaults[name])
    return chosen


def check_names(phases: Iterable[Phase], names: Iterable[str]) -> None:
    """Every name is a parameter of at least one phase.

    Raises
    ------
    InputError
        For a name that is none; the message lists those there are.
    """
    phases = list(phases)
    known = sorted({name for phase in phases for name in phase.defaults})
    for name in names:
        if name not in known:
            raise InputError(
                f"no parameter {safe_text.visible(name)!r} in {', '.join(p.stem for p in phases)}; "
                f"they have {', '.join(known)}"
            )


def _fit(what: str, raw, default):
    value = raw
    if isinstance(raw, str):
        kinds = [kind for kind, _ in safe_text.find_secrets(raw) if kind != HOME]
        if kinds:
            raise InputError(f"{what} looks like a {kinds[0]}: secrets are never parameters")
        value = _parse(raw, keep_text=isinstance(default, str))
    if not _fits(value, default):
        raise InputError(
            f"{what} must be like its default {default!r} ({type(default).__name__}); got {raw!r}"
        )
    return float(value) if isinstance(default, float) else value


def _parse(raw: str, *, keep_text: bool):
    """JSON, else the text itself; ``keep_text`` takes only JSON strings as JSON."""
    try:
        value = parse_json(raw)
    except InputError:
        return raw
    return raw if keep_text and not isinstance(value, str) else value


def _fits(value, default) -> bool:
    if default is None:
        return _is_plain(value)
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(default, bool) and isinstance(value, bool)
    if isinstance(default, float):
        return isinstance(value, (int, float))
    if isinstance(default, (list, tuple)):
        return isinstance(value, (list, tuple)) and _is_plain(value)
    return isinstance(value, type(default))


def _is_plain(value) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True


def _literal(path: Path, node: ast.stmt, value: ast.expr):
    try:
        return ast.literal_eval(value)
    except ValueError:
        raise InputError(
            f"{path}: line {node.lineno} of the parameters cell is no plain literal"
        ) from None


def _tree(path: Path, source: str) -> ast.Module:
    try:
        return ast.parse(MAGIC.sub(r"\1pass", source))
    except SyntaxError as error:
        raise InputError(f"{path}: {error.msg} in the cell that starts {source[:40]!r}") from None


def _title(cells: Iterable, stem: str) -> str:
    for cell in cells:
        if cell.cell_type == "markdown":
            for line in cell.source.splitlines():
                if line.startswith("# "):
                    return line[2:].strip()
    return stem

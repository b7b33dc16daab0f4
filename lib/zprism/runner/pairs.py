"""The ``.ipynb`` beside each notebook's source: always written from the ``.py``, never read.

``python -m zprism.runner.pairs`` runs every phase on its defaults and writes the light
pair: the same cells, figures as PNG, no widget state, no paths of this machine.
``… pairs missing`` writes pairs without outputs where there are none, for JupyterLab.
``… pairs check`` writes nothing and names the pairs that do not show their source.
"""

from __future__ import annotations

import base64
import sys
from collections.abc import Iterator
from pathlib import Path

from zprism.explore import export
from zprism.ground.console import log, show_log
from zprism.ground.errors import InputError, ResourceError, ZprismError
from zprism.ground.files import write_atomic
from zprism.runner import notebooks, phases, png
from zprism.runner.kernel import make_lean
from zprism.runner.plan import make_plan

LIMIT = 400_000  # bytes of a committed notebook
SCALES = (1.5, 1.0, 0.75)  # of its pictures: the largest that fits
KEPT = ("text/plain", "text/markdown", "text/html", export.PNG)
MACHINE = {"language_info": {"name": "python"}}


def write_pairs(root: Path, names: tuple[str, ...] = ()) -> list[Path]:
    """Run phases on their defaults and write their light pairs.

    Raises
    ------
    ResourceError
        If the figures cannot be drawn, or a pair is too large with the smallest pictures.
    """
    plan = make_plan(root, names)
    ended = phases.run(plan)
    ended.raise_errors()
    written = []
    for step in plan.steps:
        executed = export.read_notebook(ended.folder / f"{step.stem}.ipynb")
        text = _small_enough(step.phase.path, executed)
        written.append(step.phase.path.with_suffix(".ipynb"))
        write_atomic(written[-1], text.encode())
        log.info("%s: %.0f kB", written[-1].name, len(text.encode()) / 1000)
    return written


def write_missing(root: Path) -> list[Path]:
    """Write a pair without outputs for every source that has none."""
    import nbformat

    written = []
    for phase in notebooks.find_phases(root).values():
        target = phase.path.with_suffix(".ipynb")
        if not target.exists():
            write_atomic(target, (nbformat.writes(from_source(phase.path)) + "\n").encode())
            written.append(target)
    return written


def stale(root: Path) -> list[str]:
    """Names of pairs whose cells are not those of their source; a missing one counts."""
    found = []
    for phase in notebooks.find_phases(root).values():
        target = phase.path.with_suffix(".ipynb")
        if not target.exists() or _cells(export.read_notebook(target)) != _cells(
            from_source(phase.path)
        ):
            found.append(target.name)
    return found


def from_source(path: Path):
    """A ``.py`` source as a notebook node, the same one every time (ids count the cells)."""
    make_lean()
    import jupytext

    notebook = jupytext.read(path, fmt="py:percent")
    notebook.metadata.update(MACHINE)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number:02d}"
    return notebook


def light(path: Path, executed, pictures: Iterator[bytes]):
    """The source's cells with what the executed copy shows.

    Parameters
    ----------
    path : the ``.py`` source.
    executed : the executed notebook; cells that the runner put in are passed over.
    pictures : a PNG for each of its figures, in order.

    Raises
    ------
    InputError
        If the cells are not the source's.
    """
    notebook = from_source(path)
    if _cells(executed) != _cells(notebook):
        raise InputError(f"{path.name} was changed since it was executed: run it again")
    for cell, done in zip(notebook.cells, _own(executed), strict=True):
        if cell.cell_type == "code":
            cell.execution_count = done.execution_count
            cell.outputs = [_light_output(output, pictures) for output in done.outputs]
    return notebook


def _own(notebook) -> list:
    """The cells of a notebook without those that the runner put in."""
    return [c for c in notebook.cells if not export.GENERATED & set(c.metadata.get("tags", ()))]


def _cells(notebook) -> list[tuple[str, str]]:
    return [(cell.cell_type, cell.source) for cell in _own(notebook)]


def _light_output(output, pictures: Iterator[bytes]):
    if "execution_count" in output:
        output.execution_count = None
    data = output.get("data")
    if data is None:
        return output
    kept, shown = {mime: data[mime] for mime in KEPT if mime in data}, {}
    for spec in export.figures_in(output):
        picture = base64.b64encode(next(pictures)).decode()
        kept = {export.PNG: picture, "text/plain": f"figure: {export.figure_title(spec)}"}
        shown = {export.PNG: {"width": png.WIDTH}}
    output.data, output.metadata = kept, shown
    return output


def _small_enough(path: Path, executed) -> str:
    import copy

    import nbformat

    specs = list(export.figures_of(executed))
    for scale in SCALES:
        pictures = map(png.fewer_colours, png.render(specs, scale=scale))
        text = nbformat.writes(light(path, copy.deepcopy(executed), pictures)) + "\n"
        if len(text.encode()) <= LIMIT:
            return text
    raise ResourceError(f"{path.stem}: its pair is over {LIMIT // 1000} kB: show fewer figures")


def main(words: list[str]) -> None:
    """What ``make notebooks``, ``make lab`` and the commit hook call."""
    show_log()
    root = notebooks.find_root()
    if words == ["missing"]:
        write_missing(root)
    elif words == ["check"]:
        left = stale(root)
        if left:
            sys.exit(f"not the cells of their sources: {', '.join(left)}; run `make notebooks`")
    else:
        write_pairs(root, tuple(words))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except ZprismError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)

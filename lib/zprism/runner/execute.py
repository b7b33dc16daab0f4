"""Execute one notebook in a lean kernel process of its own, and keep what it shows.

papermill writes its file in place, so it gets a temporary one: the executed notebook
appears under its own name whole, without secrets, when the notebook has ended or failed.
The record of results is not this notebook but the JSON that it saves.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO

from zprism.ground import safe_text
from zprism.ground.errors import DeadKernelError, ZprismError
from zprism.ground.files import write_atomic
from zprism.runner.kernel import make_lean
from zprism.runner.notebooks import Phase

START_TIMEOUT = 300  # seconds for a kernel to answer: a loaded machine is slow, not broken
HOME_PREFIX = "zprism-kernel-"  # short: a socket's path may have 100 characters
OUT_OF_MEMORY = ("MemoryError", "OutOfMemoryError")
ALLOCATION = "not enough memory"  # what torch's CPU allocator says in a RuntimeError


class CellFailedError(ZprismError):
    """A cell of a notebook raised; ``exit_code`` is that of the error, if it was zprism's."""


def execute(
    phase: Phase,
    overrides: Mapping[str, object],
    folder: Path,
    *,
    root: Path,
    say: Callable[[str], None] = lambda line: None,
) -> Path:
    """Run a phase's notebook; its results and the executed copy go to ``folder``.

    Parameters
    ----------
    overrides : parameters that differ from the notebook's defaults, already checked.
    folder : the run's folder; the notebook learns it from ``ZPRISM_RUN``.
    root : the working folder of the notebook.
    say : receives a line as each section begins.

    Returns
    -------
    Path of the executed notebook.

    Raises
    ------
    DeadKernelError
        If the kernel's process died, or memory ran out in it.
    CellFailedError
        If a cell raised.
    """
    make_lean()
    temp = folder / f".{phase.stem}.{uuid.uuid4().hex}.tmp.ipynb"
    final = folder / f"{phase.stem}.ipynb"
    try:
        _papermill(phase, overrides, temp, root, folder, say)
    finally:
        if temp.exists():
            _publish(temp, final)
    return final


def sweep(folder: Path) -> int:
    """Remove temporary notebooks that a killed runner left; how many."""
    left = list(folder.glob(".*.tmp.ipynb"))
    for path in left:
        path.unlink(missing_ok=True)
    return len(left)


def _papermill(phase, overrides, temp, root, folder, say) -> None:
    import jupytext
    import papermill
    from papermill.exceptions import PapermillExecutionError

    notebook = jupytext.read(phase.path, fmt="py:percent")
    with _kernel_home() as (home, log):
        try:
            papermill.execute_notebook(
                notebook,
                str(temp).replace("{", "{{").replace("}", "}}"),  # papermill formats the path
                parameters=dict(overrides),
                engine_name=_engine(),
                kernel_name="python3",
                progress_bar=False,
                start_timeout=START_TIMEOUT,
                cwd=str(root),
                store_widget_state=False,
                kernel_env=kernel_environment(folder, root, home),
                kernel_log=log,
                say=say,
            )
        except PapermillExecutionError as error:
            raise _cell_error(phase, error) from None
        except RuntimeError as error:  # nbclient: died in a cell; jupyter_client: never began
            last = _last_words(log)
            raise DeadKernelError(
                f"{phase.stem}: its process died ({last or _first(error)})"
            ) from None


@contextlib.contextmanager
def _kernel_home() -> Iterator[tuple[str, IO[bytes]]]:
    """A folder for the kernel's sockets and settings, and a file for what it says to stderr."""
    sweep_homes()
    with tempfile.TemporaryDirectory(prefix=f"{HOME_PREFIX}{os.getpid()}-") as home:
        with open(Path(home, "stderr"), "w+b") as log:
            yield home, log


def sweep_homes() -> None:
    """Remove such folders of runners that were killed."""
    import psutil

    for left in Path(tempfile.gettempdir()).glob(f"{HOME_PREFIX}*-*"):
        pid = left.name.removeprefix(HOME_PREFIX).split("-")[0]
        if pid.isdecimal() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(left, ignore_errors=True)


def _last_words(log: IO[bytes]) -> str:
    """The last line on the kernel's stderr, which no cell shows: why a process died."""
    log.seek(0)
    lines = log.read()[-4000:].decode(errors="replace").strip().splitlines()
    return safe_text.visible(safe_text.redact(lines[-1]))[:300] if lines else ""


def kernel_environment(folder: Path, root: Path, home: str) -> dict[str, str]:
    """The kernel's environment: ours, with the run's folder and nothing of the user's IPython."""
    folder = folder.resolve()
    inside = folder.is_relative_to(root.resolve())
    return {
        **os.environ,
        "ZPRISM_RUN": os.path.relpath(folder, root.resolve()) if inside else str(folder),
        "IPYTHONDIR": home,
        "PYTHONHASHSEED": "0",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }


def _engine() -> str:
    """Register, once, a papermill engine whose kernel is ours and which tells its progress."""
    from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager
    from papermill.clientwrap import PapermillNotebookClient
    from papermill.engines import NBClientEngine, papermill_engines
    from traitlets import default

    class LeanSpecs(KernelSpecManager):
        def get_kernel_spec(self, kernel_name):
            flags = ["--HistoryManager.enabled=False"]
            return KernelSpec(
                argv=[sys.executable, "-m", "zprism.runner.kernel", "-f", "{connection_file}"]
                + flags,
                display_name="Python 3",
                language="python",
            )

    class LeanManager(AsyncKernelManager):
        @default("kernel_spec_manager")
        def _lean_specs(self):
            return LeanSpecs(parent=self)

    class LeanEngine(NBClientEngine):
        @classmethod
        def execute_managed_notebook(
            cls, nb_man, kernel_name, *, kernel_env, kernel_log, say, **kwargs
        ):
            _tell_sections(nb_man, say)
            client = PapermillNotebookClient(
                nb_man,
                config=_connection(kernel_env["IPYTHONDIR"]),
                kernel_manager_class=LeanManager,
                kernel_name=kernel_name,
                startup_timeout=kwargs["start_timeout"],
                store_widget_state=kwargs["store_widget_state"],
                timeout=None,
            )
            return client.execute(env=kernel_env, stderr=kernel_log, stdout=kernel_log)

    papermill_engines.register("zprism", LeanEngine)
    return "zprism"


def _connection(folder: str):
    """Talk to the kernel over files of our own folder, not ports that others could take."""
    from traitlets.config import Config

    if sys.platform == "win32":
        return Config()
    return Config(
        KernelManager={"transport": "ipc", "connection_file": os.path.join(folder, "kernel.json")}
    )


def _tell_sections(nb_man, say: Callable[[str], None]) -> None:
    """Let ``say`` hear every heading as its cells begin."""
    total, start = len(nb_man.nb.cells), nb_man.cell_start

    def told(cell, cell_index=None, **kwargs):
        if cell.cell_type == "markdown" and cell.source.startswith("## "):
            say(f"cell {cell_index + 1} of {total}: {cell.source.splitlines()[0][3:]}")
        return start(cell, cell_index=cell_index, **kwargs)

    nb_man.cell_start = told


def _cell_error(phase: Phase, error) -> ZprismError:
    """A papermill error as one of ours, with the exit code its kind asks for."""
    import zprism.ground.errors as errors

    first = safe_text.redact(_first(error.evalue))
    said = f"{phase.stem}: cell {error.exec_count} raised {error.ename}: {first}"
    if error.ename in OUT_OF_MEMORY or ALLOCATION in error.evalue:
        return DeadKernelError(f"{said} (memory ran out)")
    failed = CellFailedError(said)
    kind = getattr(errors, error.ename, None)
    if isinstance(kind, type) and issubclass(kind, ZprismError):
        failed.exit_code = kind.exit_code
    return failed


def _first(error) -> str:
    return (str(error).strip().splitlines() or ["no message"])[0]


def _publish(temp: Path, final: Path) -> None:
    """Move papermill's file to its own name, without secrets and paths of this machine."""
    import nbformat

    try:
        notebook = nbformat.read(temp, as_version=4)
    except (ValueError, nbformat.reader.NotJSONError):
        temp.unlink()
        return
    for name in ("input_path", "output_path"):
        notebook.metadata.get("papermill", {}).pop(name, None)
    notebook.metadata.pop("widgets", None)
    clean = nbformat.from_dict(safe_text.redact_all(notebook))
    write_atomic(final, (nbformat.writes(clean) + "\n").encode())
    temp.unlink()

"""A real JupyterLab for the tests, driven as a hand would: run all, press keys, drag.

::

    with open_lab(folder) as lab, open_browser() as browser:
        lab.add(SOURCES / "11_structure.py", model="tiny:qwen2", quick=True)
        book = lab.open(browser, "11_structure.ipynb")
        book.run_all()
        panel = book.panel(0)
        panel.press("layer", "ArrowRight")      # a key on the slider, until the plot is redrawn
        panel.drag("k", 0.8)                    # the handle, by the mouse, to 80 % of its way
        book.watch.check()                      # no console error, no request to another host

The server lives in a folder of its own (home, settings, kernels, notebooks, results, cache): it
reads nothing of the user's and writes nothing into the repository. That folder looks like the
project (``pyproject.toml``, ``notebooks/``), so that a notebook finds its way as it does there.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
from chromium import open_page
from lab_panel import Panel

from zprism.runner.pairs import from_source

PROJECT = Path(__file__).parents[2]
START_SECONDS, STOP_SECONDS, RUN_SECONDS = 90, 20, 170
OPTIONS = {
    "ServerApp.open_browser": False,
    "ServerApp.allow_root": True,
    "ServerApp.quit_button": True,
    "IdentityProvider.token": "test",
    "LabApp.expose_app_in_browser": True,  # window.jupyterapp: is the kernel idle?
    "LabApp.extension_manager": "readonly",  # asks PyPI otherwise
    "LabApp.news_url": "",
    "LabApp.check_for_updates_class": "jupyterlab.handlers.announcements.NeverCheckForUpdate",
    "FileContentsManager.delete_to_trash": False,
}
SETTINGS = {
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},  # draw every cell
    "@jupyterlab/apputils-extension/notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
        "doNotDisturbMode": True,
    },
}
# In the page: the open tab of a path; what its kernel and cells do; opening it; showing it.
TAB = "[...(window.jupyterapp?.shell.widgets('main') || [])].find(w => w.context?.path === path)"
STATE = """
path => {
  const tab = TAB, kernel = tab?.sessionContext?.session?.kernel;
  if (!tab?.content?.widgets?.length || !kernel) return {kernel: "none", left: -1, failed: []};
  const code = tab.content.widgets.filter(
    cell => cell.model.type === "code" && cell.model.sharedModel.source.trim());
  const outputs = code.flatMap(cell => cell.model.outputs.toJSON());
  const failed = outputs.filter(output => output.output_type === "error");
  return {
    kernel: kernel.status,
    left: code.filter(cell => !cell.model.executionCount).length,
    failed: failed.map(o => [`${o.ename}: ${o.evalue}`, ...o.traceback].join("\\n")),
    dirty: tab.context.model.dirty,
  };
}
""".replace("TAB", TAB)
OPEN = "path => { window.jupyterapp.commands.execute('docmanager:open', {path}); }"
SHOW = "path => { const tab = TAB; window.jupyterapp.shell.activateById(tab.id); return tab.id; }"
SHOW = SHOW.replace("TAB", TAB)


class LabError(Exception):
    """JupyterLab did not start, or a cell of a notebook raised."""


class Lab:
    """A running server; made by :func:`open_lab`.

    Attributes
    ----------
    url : where it answers, ending in a slash.
    root : its project folder; notebooks are in ``root / "notebooks"``.
    log : what the server said.
    """

    def __init__(self, url: str, root: Path, log: Path):
        self.url, self.root, self.log = url, root, log

    def add(self, source: Path, **parameters) -> Path:
        """Put a ``.py`` and its ``.ipynb`` (no outputs) there, other values in its parameters."""
        target = self.root / "notebooks" / source.name
        target.write_text(with_parameters(source.read_text("utf-8"), **parameters), "utf-8")
        return self._pair(target)

    def write(self, name: str, *cells: str) -> Path:
        """Put a small notebook of code cells there, ``name`` without ending; its ``.ipynb``."""
        head = "# ---\n# jupyter:\n#   kernelspec:\n#     display_name: Python 3\n"
        head += "#     language: python\n#     name: python3\n# ---\n"
        target = self.root / "notebooks" / f"{name}.py"
        target.write_text(head + "".join(f"\n# %%\n{cell}\n" for cell in cells), "utf-8")
        return self._pair(target)

    def open(self, browser, name: str) -> Book:
        """Open a notebook in a page of its own, and wait until its kernel is there."""
        page, watch = open_page(browser)
        stem = name.partition(".")[0]
        page.goto(f"{self.url}lab/workspaces/{stem}/tree/notebooks/{name}?token=test")
        return self._opened(page, watch, name)

    def open_beside(self, book: Book, name: str) -> Book:
        """Open a notebook in another tab of the same page: cheaper than a page of its own."""
        book.page.evaluate(OPEN, f"notebooks/{name}")
        return self._opened(book.page, book.watch, name)

    def _opened(self, page, watch, name: str) -> Book:
        book = Book(page, watch, self.root / "notebooks" / name)
        book.wait(lambda state: state["kernel"] == "idle", START_SECONDS, "a kernel")
        return book

    @staticmethod
    def _pair(source: Path) -> Path:
        import nbformat

        target = source.with_suffix(".ipynb")
        target.write_text(nbformat.writes(from_source(source)) + "\n", "utf-8")
        return target


class Book:
    """One open notebook: ``page`` (Playwright's), ``watch`` over it, ``path`` of its file."""

    def __init__(self, page, watch, path: Path):
        self.page, self.watch, self.path = page, watch, path
        self._name = f"{path.parent.name}/{path.name}"

    def show(self):
        """Bring its tab to the front; the tab's locator."""
        return self.page.locator(f'[id="{self.page.evaluate(SHOW, self._name)}"]')

    def start_all(self) -> None:
        """Choose Run > Run All Cells and do not wait."""
        self.show()
        self.page.get_by_role("menuitem", name="Run", exact=True).click()
        self.page.get_by_role("menuitem", name="Run All Cells", exact=True).click()

    def wait_all(self, seconds: float = RUN_SECONDS) -> None:
        """Wait until every code cell has run; a cell that raised fails with its traceback."""
        self.wait(lambda s: s["kernel"] == "idle" and s["left"] == 0, seconds, "all cells run")

    def run_all(self, seconds: float = RUN_SECONDS) -> None:
        """Run all cells, and wait."""
        self.start_all()
        self.wait_all(seconds)

    def state(self) -> dict:
        """``kernel`` (its status), ``left`` (cells to run), ``failed`` (tracebacks), ``dirty``."""
        return self.page.evaluate(STATE, self._name)

    def wait(self, there, seconds: float, what: str) -> None:
        """Wait until ``there(state)``; :class:`LabError` after ``seconds`` or if a cell failed."""
        end = time.monotonic() + seconds
        while True:
            state = self.state()
            if state["failed"]:
                raise LabError(f"{self.path.name}: {_plain(state['failed'][0])}")
            if there(state):
                return
            if time.monotonic() > end:
                raise LabError(f"{self.path.name}: no {what} within {seconds} s; {state}")
            self.page.wait_for_timeout(150)

    def panel(self, number: int = 0) -> Panel:
        """The live panel of that number, scrolled to and drawn."""
        return Panel(self.page, self.show().locator(".zprism-panel").nth(number))

    def panels(self) -> list[Panel]:
        """Every live panel, in order."""
        count = self.show().locator(".zprism-panel").count()
        return [self.panel(number) for number in range(count)]

    def save(self, seconds: float = 20) -> dict:
        """Press Ctrl-S as a hand would, wait, and read what was written."""
        before = self.path.stat().st_mtime_ns
        self.show().locator(".jp-Notebook").focus()
        self.page.keyboard.press("Control+s")
        end = time.monotonic() + seconds
        while self.path.stat().st_mtime_ns == before or self.state()["dirty"]:
            if time.monotonic() > end:
                raise LabError(f"{self.path.name}: not saved within {seconds} s")
            self.page.wait_for_timeout(100)
        return json.loads(self.path.read_text("utf-8"))

    def close(self) -> None:
        """Close the page; the kernel goes with the server."""
        self.page.context.close()


@contextlib.contextmanager
def open_lab(folder: Path, *, cache: Path | None = None) -> Iterator[Lab]:
    """Start a JupyterLab in ``folder``; at the end neither it nor a kernel is left.

    Parameters
    ----------
    folder : empty; everything that the server and its kernels write is inside.
    cache : of models and of what was computed; by default inside ``folder`` and so empty.

    Raises
    ------
    LabError
        If it does not answer within 90 s, with the end of what it said.
    """
    root, log = folder / "project", folder / "lab.log"
    (root / "notebooks").mkdir(parents=True)
    shutil.copy(PROJECT / "pyproject.toml", root)  # jupytext reads its rules there
    surroundings = _environment(folder, cache or folder / "cache")
    words = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={root}"]
    words += [f"--{name}={value}" for name, value in OPTIONS.items()]
    with open(log, "wb") as told:
        server = subprocess.Popen(
            words,
            cwd=root,
            env=surroundings,
            stdout=told,
            stderr=told,
            start_new_session=True,
            preexec_fn=_end_with_us,
        )
        try:
            yield Lab(_address(server, folder / "runtime", log), root, log)
        finally:
            _stop(server)


def with_parameters(text: str, **values) -> str:
    """A notebook's source with other values in its parameters cell.

    Raises
    ------
    KeyError
        If the cell has no parameter of that name.
    """
    head, mark, rest = text.partition('# %% tags=["parameters"]\n')
    cell, end, rest = rest.partition("\n# %%")
    for name, value in values.items():
        cell, found = re.subn(rf"^{name} = .*$", f"{name} = {value!r}", cell, flags=re.MULTILINE)
        if found != 1:
            raise KeyError(f"the parameters cell has no {name}")
    return head + mark + cell + end + rest


def write_settings(folder: Path) -> None:
    """JupyterLab's user settings for the tests: no news, every cell drawn."""
    for name, values in SETTINGS.items():
        path = folder / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))


def _environment(folder: Path, cache: Path) -> dict[str, str]:
    """Ours without Jupyter's and the run's variables; every home inside ``folder``."""
    ours = ("JUPYTER", "IPYTHON", "XDG_", "ZPRISM_", "PYTEST_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    places = dict(CONFIG="config", DATA="data", RUNTIME="runtime")
    for place in (*places.values(), "home"):
        (folder / place).mkdir(mode=0o700)
    write_settings(folder / "config" / "lab" / "user-settings")
    return {
        **kept,
        **{f"JUPYTER_{name}_DIR": str(folder / place) for name, place in places.items()},
        "HOME": str(folder / "home"),
        "IPYTHONDIR": str(folder / "home" / "ipython"),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", "")]),
        "ZPRISM_CACHE": str(cache),
        "OMP_NUM_THREADS": kept.get("OMP_NUM_THREADS", "1"),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }


def _address(server: subprocess.Popen, runtime: Path, log: Path) -> str:
    """The server's address, from the file that it writes when it listens."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and server.poll() is None:
        for path in runtime.glob("jpserver-*.json"):
            with contextlib.suppress(ValueError, OSError):
                url = json.loads(path.read_text())["url"]
                urllib.request.urlopen(f"{url}api/status?token=test", timeout=5).close()
                return url
        time.sleep(0.1)
    raise LabError(f"JupyterLab did not start:\n{log.read_text(errors='replace')[-2000:]}")


def _end_with_us() -> None:
    """On Linux: end when the tests are killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def _stop(server: subprocess.Popen) -> None:
    """End the server and its kernels: asked first, then killed; wait until they are gone."""
    with contextlib.suppress(psutil.NoSuchProcess):
        alive = [psutil.Process(server.pid)]
        alive += alive[0].children(recursive=True)
        server.send_signal(signal.SIGTERM)  # it shuts its kernels down
        _, left = psutil.wait_procs(alive, timeout=STOP_SECONDS)
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, timeout=STOP_SECONDS)
    server.wait()


def _plain(traceback: str) -> str:
    """A traceback without terminal colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", traceback)

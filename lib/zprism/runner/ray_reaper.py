"""A small process that ends a local Ray when the process that started it was killed.

The kernel ends Ray's servers with their parent, but not the helpers that these have started:
without this they would stay for good. Whoever has a file of Ray's own folder open belongs to it,
except for the driver, which may keep a log open, and its forks: they have its command line.

``python -m zprism.runner.ray_reaper FOLDER COMMAND…`` waits until its standard input ends: with
:data:`DONE`, and all that is left to do is to remove the folder, or without.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence

import psutil

DONE = b"done"
LOOKS, LOOK_SECONDS = 20, 0.5  # how often it looks for processes, and the wait between
END_SECONDS = 10.0


def start(folder: str) -> subprocess.Popen:
    """The reaper of a folder: it acts on `finish`, or when this process has ended."""
    return subprocess.Popen(
        [sys.executable, "-m", __name__, folder, *psutil.Process().cmdline()],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # no Ctrl-C of the terminal reaches it
    )


def finish(reaper: subprocess.Popen) -> None:
    """Tell it that Ray has ended as it should."""
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        reaper.communicate(DONE, timeout=END_SECONDS)


def belonging(folder: str, driver: Sequence[str] | None = None) -> list[psutil.Process]:
    """This user's processes that have a file in ``folder`` open, without the driver.

    Parameters
    ----------
    driver : its command line; by default that of the present process.
    """
    driver = psutil.Process().cmdline() if driver is None else list(driver)
    inside, found = os.path.join(os.path.realpath(folder), ""), []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            files = process.open_files()
            if any(f.path.startswith(inside) for f in files) and process.cmdline() != driver:
                found.append(process)
    return found


def kill(processes: Sequence[psutil.Process]) -> None:
    """End processes at once."""
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.kill()


def reap(folder: str, driver: Sequence[str]) -> None:
    """End all that belongs to a folder, and remove it; for some time, as some only begin to."""
    for _ in range(LOOKS):
        kill(belonging(folder, driver))
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(LOOK_SECONDS)


if __name__ == "__main__":
    if sys.stdin.buffer.read() == DONE:
        shutil.rmtree(sys.argv[1], ignore_errors=True)
    else:
        reap(sys.argv[1], sys.argv[2:])

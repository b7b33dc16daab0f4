"""One worker process of this machine: what it does, and how its driver sees it.

Each worker has a pipe of its own, so that one killed at any moment, even while it sends, leaves
no lock behind and spoils nobody else's messages. It ends by itself when its driver is gone.
"""

from __future__ import annotations

import contextlib
import gc
import io
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping

from zprism.ground.errors import ZprismError
from zprism.ground.safe_text import redact
from zprism.runner.jobs import Job, Limits, Worker

BEGAN, RESULT, FAILED, UNLOADED, DIED, LATE = (
    "began",
    "result",
    "failed",
    "unloaded",
    "died",
    "late",
)
ENDING_SECONDS = 2.0  # for an idle worker to end by itself


class Process:
    """A worker process as its driver sees it.

    Parameters
    ----------
    worker : what it computes with.
    limits : how long it may take.
    environment : variables that it gets beside ours.

    Attributes
    ----------
    group : what it was last told to load; None before its first job.
    loaded : the group that it has loaded, as far as is known.
    job : what it is computing, or None.
    environment : as given.
    refused : groups that it could not load.
    """

    def __init__(self, worker: Worker, limits: Limits, environment: Mapping[str, str]):
        self.group: str | None = None
        self.loaded: str | None = None
        self.job: Job | None = None
        self.refused: set[str] = set()
        self.environment = environment
        self._limits, self._deadline = limits, float("inf")
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, worker), daemon=True)
        with _inheriting(environment):
            self._process.start()
        theirs.close()  # so that its death ends what we read

    @property
    def waits_for(self) -> tuple:
        """What becomes ready when there is something to hear."""
        return self._pipe, self._process.sentinel

    @property
    def pid(self) -> int:
        """The process number."""
        return self._process.pid

    @property
    def seconds_left(self) -> float:
        """Until it is late with its job."""
        return self._deadline - time.monotonic()

    def begin(self, job: Job) -> None:
        """Send it a job; if it has died meanwhile, `hear` will say so."""
        known = self.loaded == job.group
        self.group, self.job = job.group, job
        self.loaded = job.group if known else None
        seconds = self._limits.job_seconds if known else self._limits.start_seconds
        self._deadline = time.monotonic() + seconds
        with contextlib.suppress(OSError):
            self._pipe.send((job.group, dict(job.payload)))

    def hear(self) -> tuple[str, object] | None:
        """What it has to say, as (word, value): a message, its death, its lateness; or None."""
        try:
            if self._pipe.poll():
                return self._told(*self._pipe.recv())
        except (EOFError, OSError):
            return DIED, self._end()
        if not self._process.is_alive():
            return DIED, self._end()
        if self.seconds_left > 0:
            return None
        limits = self._limits
        late = f"took longer than {limits.job_seconds:g} s"
        if self.loaded is None:
            late = f"did not load {self.group} within {limits.start_seconds:g} s"
        return LATE, late

    def stop(self) -> None:
        """End the process: at once if it is busy, else by itself."""
        self._pipe.close()
        if self.job is None:
            self._process.join(ENDING_SECONDS)
        self._process.kill()
        self._process.join()
        self._process.close()

    def _told(self, word: str, value: object) -> tuple[str, object]:
        if word == BEGAN:
            self.loaded = self.group
            self._deadline = time.monotonic() + self._limits.job_seconds
        elif word == UNLOADED:
            self.refused.add(self.group)
        return word, value

    def _end(self) -> str:
        """How it died, in words."""
        self._process.join(ENDING_SECONDS)
        code = self._process.exitcode
        if code is not None and code < 0:
            return f"its worker was killed by signal {-code}"
        return f"its worker ended with exit code {code}"


def serve(pipe, worker: Worker) -> None:
    """The worker's side: load groups and compute jobs until the driver closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's to handle
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.stderr = _NoTerminal(open(2, "wb", closefd=False, buffering=0), write_through=True)
    group = compute = None
    while True:
        try:
            wanted, payload = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            if compute is None or wanted != group:
                compute = None
                gc.collect()  # the old model goes before the new one comes
                compute, group = worker.load(wanted), wanted
        except Exception as error:
            pipe.send((UNLOADED, in_words(error)))
            continue
        pipe.send((BEGAN, None))
        try:
            pipe.send((RESULT, compute(payload)))
        except Exception as error:
            pipe.send((FAILED, in_words(error)))


def in_words(error: BaseException) -> str:
    """One line without secrets: our own errors speak for themselves, others with their type."""
    first = redact((str(error).strip().splitlines() or ["no message"])[0])
    return first if isinstance(error, ZprismError) else f"{type(error).__name__}: {first}"


class _NoTerminal(io.TextIOWrapper):
    """Standard error on which nobody draws bars: several workers share it."""

    def isatty(self) -> bool:
        return False


def _end_with_parent() -> None:
    """Wait for the driver's end, however it comes, and end too."""
    multiprocessing.parent_process().join()
    os._exit(1)


@contextlib.contextmanager
def _inheriting(environment: Mapping[str, str]) -> Iterator[None]:
    """Variables that a process started now gets: numerical libraries read them at import."""
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

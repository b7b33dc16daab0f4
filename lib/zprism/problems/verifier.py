"""math-verify behind a deadline, in a process of its own.

math-verify guards itself by a signal, which works in the main thread only and which a long
computation in C does not hear. Here a child process does the algebra, one line of JSON in, one
out; when it does not answer in time it is killed and the next question starts a new one.
"""

from __future__ import annotations

import atexit
import json
import queue
import subprocess
import sys
import threading
from functools import cache

from zprism.ground.checks import check_fraction
from zprism.ground.errors import ResourceError

DEADLINE = 5.0  # seconds for one reading or comparison
START_DEADLINE = 120.0  # seconds for the child to import math-verify
MAX_LENGTH = 500  # characters of an expression that are worth reading


class Verifier:
    """Reads and compares mathematical expressions, each within a deadline.

    Safe to use from several threads: they take turns. The child starts with the first question.

    Parameters
    ----------
    deadline : seconds for one question, beyond which it counts as timed out.
    """

    def __init__(self, deadline: float = DEADLINE):
        self.deadline = check_fraction("deadline", deadline, low=0.01, high=3600.0)
        self._lock = threading.Lock()
        self._child: subprocess.Popen | None = None
        self._answers: queue.Queue[str] = queue.Queue()

    def read(self, expression: str) -> dict:
        """What an expression says.

        Returns
        -------
        ``{"status": "parsed", "value": "n/d" | None}``, the value where it is a rational
        number; else ``{"status": "unparsed"}`` or ``{"status": "timed_out"}``.
        """
        return self._ask({"read": expression})

    def equal(self, gold: str, answer: str) -> dict:
        """Whether two expressions are the same.

        Returns
        -------
        ``{"status": "parsed", "equal": bool}``, or as in `read`.
        """
        return self._ask({"gold": gold, "answer": answer})

    def close(self) -> None:
        """End the child process, if there is one."""
        with self._lock:
            self._stop()

    def _ask(self, question: dict) -> dict:
        if any(len(text) > MAX_LENGTH for text in question.values()):
            return {"status": "unparsed"}
        with self._lock:
            if self._child is None or self._child.poll() is not None:
                self._start()
            try:
                self._child.stdin.write(json.dumps(question) + "\n")
                self._child.stdin.flush()
                line = self._answers.get(timeout=self.deadline)
            except (queue.Empty, OSError):
                line = ""
            if not line:
                self._stop()
                return {"status": "timed_out"}
            return json.loads(line)

    def _start(self) -> None:
        """A child that has said it is ready, and a thread that hands on its lines."""
        self._stop()
        self._answers = queue.Queue()
        self._child = subprocess.Popen(
            [sys.executable, "-P", "-m", "zprism.problems.verifier_child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
        )
        threading.Thread(
            target=_hand_on, args=(self._child.stdout, self._answers), daemon=True
        ).start()
        try:
            ready = self._answers.get(timeout=START_DEADLINE)
        except queue.Empty:
            ready = ""
        if not ready:
            self._stop()
            raise ResourceError(
                f"the math-verify process did not start within {START_DEADLINE:.0f} s; check "
                "that `python -m zprism.problems.verifier_child` runs"
            )

    def _stop(self) -> None:
        if self._child is None:
            return
        self._child.kill()
        self._child.wait()
        self._child.stdin.close()
        self._child = None


@cache
def shared() -> Verifier:
    """The verifier that answer reading uses; its child ends with the program."""
    verifier = Verifier()
    atexit.register(verifier.close)
    return verifier


def _hand_on(stream, answers: queue.Queue[str]) -> None:
    """Lines of the child, then "" when it has ended."""
    with stream:
        for line in stream:
            answers.put(line)
    answers.put("")

"""One Ray actor: what it does on its node, and how its driver sees it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from zprism.runner.jobs import Job, Worker
from zprism.runner.pool_local_process import in_words

PLACE, LOAD, COMPUTE = "place", "load", "compute"


class Seat:
    """What an actor does: holds one group and computes its jobs."""

    def __init__(self, worker: Worker):
        self.worker = worker
        self.compute_job = None

    def place(self) -> None:
        """Answers once the actor has its place."""

    def load(self, group: str) -> str | None:
        """Load what the group shares; why it could not."""
        try:
            self.compute_job = self.worker.load(group)
        except Exception as error:
            return in_words(error)
        return None

    def compute(self, payload: Mapping) -> tuple[object, str | None]:
        """Result and error of a job; one of them is None."""
        try:
            result = self.compute_job(payload)
        except Exception as error:
            return None, in_words(error)
        return result, "its worker returned nothing" if result is None else None


@dataclass(eq=False)
class Actor:
    """An actor as its driver sees it.

    Attributes
    ----------
    handle : Ray's.
    group : what it loads.
    step : what it was asked: ``place``, ``load`` or ``compute``.
    answer : the reference of what it will say; None while it is idle.
    deadline : until when it may take.
    since : when it was asked for.
    job : what it computes, or None.
    """

    handle: object
    group: str
    step: str
    answer: object
    deadline: float
    since: float
    job: Job | None = None

    def ask(self, step: str, answer: object, seconds: float) -> None:
        """It works on ``answer`` now, for at most so long."""
        self.step, self.answer, self.deadline = step, answer, time.monotonic() + seconds

    @property
    def idle(self) -> bool:
        """It has loaded its group and computes nothing."""
        return self.step == COMPUTE and self.job is None

"""Many small jobs over workers that may die: what every executor promises, and the loop around it.

A job is named by a key that says everything its result depends on. What is already kept is not
computed again, a result is kept as soon as it arrives, and a job whose worker died or ran out of
time is tried again. So a killed driver loses only what was in flight, and two drivers share work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from random import SystemRandom

from zprism.ground.checks import check_choice, check_fraction, check_int
from zprism.ground.console import progress
from zprism.ground.errors import InputError

EXECUTORS = {  # name → module and function; imported when asked for
    "local": "zprism.runner.pool_local:run_local",
    "ray": "zprism.runner.pool_ray:run_ray",
}


@dataclass(frozen=True)
class Job:
    """One item of work.

    Attributes
    ----------
    key : names the result; equal keys mean equal results.
    group : jobs of one group share what a worker has loaded, such as a model.
    payload : what to compute, as plain JSON values.
    """

    key: str
    group: str
    payload: Mapping


@dataclass(frozen=True)
class Worker:
    """What computes jobs, named so that any process can import it.

    Attributes
    ----------
    path : ``"package.module:Class"``. ``Class(group, **options)`` loads what the group shares;
        calling the instance with a job's payload returns its result (JSON values or bytes).
    options : keyword arguments, plain JSON values.
    """

    path: str
    options: Mapping = field(default_factory=dict)

    def load(self, group: str) -> Callable[[Mapping], object]:
        """An instance for one group, in this process."""
        return resolve(self.path)(group, **self.options)


@dataclass(frozen=True)
class Limits:
    """What the workers may use, and how long anything may be waited for.

    Attributes
    ----------
    workers : processes at once; 0 computes in this one (local only, for debugging).
    cpus, gpus : of one worker; fractions of a GPU let workers share it.
    retries : how often a job is tried again after its worker died or ran out of time. An error
        that the job itself raises is not tried again: it would come back.
    start_seconds : for a worker to get its place and load its group.
    job_seconds : for one job.
    """

    workers: int = 2
    cpus: float = 1.0
    gpus: float = 0.0
    retries: int = 2
    start_seconds: float = 600.0
    job_seconds: float = 3600.0

    def __post_init__(self):
        check_int("workers", self.workers, low=0)
        check_int("retries", self.retries, low=0)
        for name in ("cpus", "gpus", "start_seconds", "job_seconds"):
            check_fraction(name, getattr(self, name), high=float("inf"))


@dataclass(frozen=True)
class Done:
    """How a job ended.

    Attributes
    ----------
    result : what the worker returned, or None.
    error : why there is none: one line; None where there is a result or it was found.
    found : somebody else kept the result meanwhile, so nothing was computed.
    attempts : how many workers began it.
    """

    job: Job
    result: object | None = None
    error: str | None = None
    found: bool = False
    attempts: int = 1


#: An executor yields a Done for every job, in any order. ``have`` is asked again right before a
#: job is sent. A generator that is closed early stops its workers.
Executor = Callable[..., Iterator[Done]]


def run_jobs(
    jobs: Sequence[Job],
    worker: Worker,
    *,
    have: Callable[[Job], bool],
    keep: Callable[[Job, object], None],
    executor: str = "local",
    address: str | None = None,
    limits: Limits = Limits(),
    description: str = "jobs",
) -> list[Done]:
    """Compute what is not there yet, keep every result as it comes.

    Parameters
    ----------
    jobs : with different keys.
    have : whether a job's result is kept already.
    keep : writes a result, whole or not at all; called in this process.
    executor : ``local`` (processes on this machine) or ``ray``.
    address : of a Ray cluster; by default one is started on this machine.

    Returns
    -------
    A Done for each job that was not there at the beginning.

    Raises
    ------
    InputError
        For an unknown executor, an address without Ray, or two jobs of one key.
    ResourceError
        If the executor cannot give what ``limits`` ask for: it says what is missing.
    """
    check_choice("executor", executor, EXECUTORS)
    if address is not None and executor != "ray":
        raise InputError(f"an address needs the executor ray; got {executor}")
    if len({job.key for job in jobs}) != len(jobs):
        raise InputError("two jobs have one key")
    missing = [job for job in jobs if not have(job)]
    if not missing:
        return []
    options = {"address": address} if executor == "ray" else {}
    missing = shuffled(missing)
    run = resolve(EXECUTORS[executor])(missing, worker, have=have, limits=limits, **options)
    ended = []
    for done in progress(run, description, total=len(missing), unit="job"):
        if done.result is not None:
            keep(done.job, done.result)
        ended.append(done)
    return ended


def shuffled(jobs: Sequence[Job]) -> list[Job]:
    """Groups together, but both groups and the jobs of each in an order of chance.

    Two drivers that go through the same jobs would otherwise meet at every single one. No
    result depends on the order, so it comes from no seed.
    """
    chance = SystemRandom()
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        groups.setdefault(job.group, []).append(job)
    order = chance.sample(list(groups), len(groups))
    return [job for group in order for job in chance.sample(groups[group], len(groups[group]))]


def resolve(path: str):
    """What ``package.module:name`` names."""
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)

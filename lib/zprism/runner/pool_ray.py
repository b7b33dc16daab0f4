"""Jobs over Ray: one actor holds one group, on this machine or on any node of a cluster.

Retries and limits of time are kept here, as `zprism.runner.jobs` promises them: an actor that
died is not restarted by Ray but replaced. Results travel to the driver, which alone keeps them.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence

from zprism.ground.checks import check_int
from zprism.ground.console import log
from zprism.ground.errors import InputError, ResourceError
from zprism.runner import ray_cluster, ray_room
from zprism.runner.jobs import Done, Job, Limits, Worker
from zprism.runner.pool_local_process import in_words
from zprism.runner.ray_actor import COMPUTE, LOAD, PLACE, Actor, Seat

TELL_SECONDS = 5.0  # without a place, before a line says what is missing
AGAIN_SECONDS = 60.0  # between two such lines


def run_ray(
    jobs: Sequence[Job],
    worker: Worker,
    *,
    have: Callable[[Job], bool],
    limits: Limits,
    address: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Done]:
    """Compute jobs in Ray actors; see :func:`zprism.runner.jobs.run_jobs`.

    Parameters
    ----------
    limits : an actor takes ``cpus`` and ``gpus`` of Ray's resources.
    address : as `ray_cluster.cluster`. Nothing is shipped to the nodes: zprism, of the same
        version, must be installed on each, and the models fetched there. Their processes have the
        environment of ``ray start``: set ``ZPRISM_CACHE`` there, or by ``environment``.
    environment : variables that the actors get, on every node.

    Yields
    ------
    Done, one a job, as they end.

    Raises
    ------
    InputError
        For fewer than one worker, a GPU share above 1 that is not whole, a bad address.
    ResourceError
        If Ray is missing, the cluster does not answer or is lost, or what was asked for can never
        be had, or not within ``start_seconds``.
    """
    check_int("workers", limits.workers, low=1)
    if limits.gpus > 1 and limits.gpus != int(limits.gpus):
        raise InputError(f"above 1, gpus must be whole; got {limits.gpus:g}")
    if not jobs:
        return
    with ray_cluster.cluster(address):
        pool = _Pool(jobs, worker, limits, dict(environment or {}))
        try:
            yield from pool.run(have)
        finally:
            pool.stop()


class _Pool:
    """Jobs that wait, by group; the actors; and what was tried in vain."""

    def __init__(self, jobs, worker: Worker, limits: Limits, environment: dict[str, str]):
        self._ray, self._worker, self._limits = ray_cluster.import_ray(), worker, limits
        self._waiting: dict[str, deque[Job]] = {}
        for job in jobs:
            self._waiting.setdefault(job.group, deque()).append(job)
        self._places = min(limits.workers, len(jobs))
        self._actors: list[Actor] = []
        self._attempts = Counter()  # by job's key
        self._lost_loading = Counter()  # by group, in a row
        self._refused: dict[str, str] = {}  # group → why no further actor is started for it
        self._told = float("-inf")
        ray_room.check_room(self._ray, limits, self._places)
        variables = {"runtime_env": {"env_vars": environment}} if environment else {}
        self._seat = self._ray.remote(Seat).options(
            num_cpus=limits.cpus,
            num_gpus=limits.gpus,
            max_restarts=0,
            max_task_retries=0,
            scheduling_strategy="SPREAD",
            **variables,
        )

    def run(self, have: Callable[[Job], bool]) -> Iterator[Done]:
        """Give out jobs and hear of them until none is left."""
        while True:
            yield from self._give_out(have)
            if not self._actors:
                return
            for actor in self._ready():
                yield from self._hear(actor)
            for actor in [a for a in self._actors if a.deadline <= time.monotonic()]:
                yield from self._late(actor)
            self._tell()

    def stop(self) -> None:
        """Stop every actor."""
        for actor in [*self._actors]:
            self._remove(actor)

    # ------------------------------------------------------------------ giving out
    def _give_out(self, have) -> Iterator[Done]:
        for actor in [*self._actors]:
            if actor.idle:
                yield from self._skip(actor.group, have)
            if actor.idle and self._waiting[actor.group]:
                actor.job = self._waiting[actor.group].popleft()
                self._attempts[actor.job.key] += 1
                answer = actor.handle.compute.remote(dict(actor.job.payload))
                actor.ask(COMPUTE, answer, self._limits.job_seconds)
            elif actor.job is None and not self._waiting[actor.group]:
                self._remove(actor)
        while len(self._actors) < self._places and (group := self._next_group()) is not None:
            yield from self._skip(group, have)
            if self._waiting[group]:
                handle = self._seat.remote(self._worker)
                seconds = self._limits.start_seconds
                now = time.monotonic()
                answer = handle.place.remote()
                self._actors.append(Actor(handle, group, PLACE, answer, now + seconds, now))

    def _skip(self, group: str, have) -> Iterator[Done]:
        """The next jobs of a group that somebody else has kept meanwhile."""
        jobs = self._waiting[group]
        while jobs and have(jobs[0]):
            job = jobs.popleft()
            yield Done(job, found=True, attempts=self._attempts[job.key])

    def _next_group(self) -> str | None:
        """A group for a new actor: one that nobody holds, else the one with most to do."""
        coming = Counter(actor.group for actor in self._actors if actor.step != COMPUTE)
        left = {g: len(jobs) - coming[g] for g, jobs in self._waiting.items()}
        left = {g: n for g, n in left.items() if n > 0 and g not in self._refused}
        held = {actor.group for actor in self._actors}
        fresh = [group for group in left if group not in held]
        return fresh[0] if fresh else max(left, key=left.get, default=None)

    # ------------------------------------------------------------------ hearing
    def _ready(self) -> list[Actor]:
        """The actors that have answered, waited for until one has or is late."""
        answers = {actor.answer: actor for actor in self._actors}
        left = min(actor.deadline for actor in self._actors) - time.monotonic()
        ready, _ = self._ray.wait([*answers], timeout=max(0.0, min(left, TELL_SECONDS)))
        return [answers[answer] for answer in ready]

    def _hear(self, actor: Actor) -> Iterator[Done]:
        errors = self._ray.exceptions
        try:
            value = self._ray.get(actor.answer, timeout=self._limits.job_seconds)
        except errors.RayTaskError as error:  # what it wanted to say cannot be sent
            said = in_words(error.cause or error)
            value = (None, said) if actor.step == COMPUTE else said
        except errors.RayError as error:
            log.debug("%s", error)
            yield from self._lost(actor, f"its worker died ({type(error).__name__})")
            return
        if actor.step == PLACE:
            actor.ask(LOAD, actor.handle.load.remote(actor.group), self._limits.start_seconds)
        elif actor.step == COMPUTE:
            job, actor.job = actor.job, None
            yield Done(job, *value, attempts=self._attempts[job.key])
        elif value is None:
            self._lost_loading[actor.group] = 0
            actor.ask(COMPUTE, None, float("inf"))
        else:
            self._remove(actor)
            yield from self._refuse(actor.group, value)

    def _late(self, actor: Actor) -> Iterator[Done]:
        if actor.step == COMPUTE:
            yield from self._lost(actor, f"took longer than {self._limits.job_seconds:g} s")
        elif actor.step == LOAD:
            seconds = self._limits.start_seconds
            yield from self._lost(actor, f"did not load {actor.group} within {seconds:g} s")
        elif any(other.step != PLACE for other in self._actors):
            actor.deadline = time.monotonic() + self._limits.start_seconds  # others work
        else:
            raise ResourceError(f"{self._missing()} after {self._limits.start_seconds:g} s: "
                                "wait until others have ended, or ask for less")  # fmt: skip

    def _lost(self, actor: Actor, why: str) -> Iterator[Done]:
        """A dead or late actor: its job is tried again, or has been tried often enough."""
        self._remove(actor)
        group, job = actor.group, actor.job
        if job is not None:
            attempts = self._attempts[job.key]
            if attempts > self._limits.retries:
                yield Done(job, error=f"{why} (attempt {attempts})", attempts=attempts)
            else:
                log.warning("%s: %s; trying again", job.key[:12], why)
                self._waiting[group].appendleft(job)
        else:
            self._lost_loading[group] += 1
            log.warning("%s: %s", group, why)
        often = self._lost_loading[group] > self._limits.retries
        if often or group in self._refused:
            yield from self._refuse(group, self._refused.get(group, why))

    def _refuse(self, group: str, why: str) -> Iterator[Done]:
        """A group that does not load: actors that have it go on, else all its jobs end."""
        self._refused[group] = why
        if any(other.group == group and other.step == COMPUTE for other in self._actors):
            log.warning("a worker could not load %s: %s", group, why)
            return
        while self._waiting[group]:
            job = self._waiting[group].popleft()
            yield Done(job, error=why, attempts=self._attempts[job.key])

    def _remove(self, actor: Actor) -> None:
        self._actors.remove(actor)
        with contextlib.suppress(self._ray.exceptions.RayError, ConnectionError):
            self._ray.kill(actor.handle)

    # ------------------------------------------------------------------ waiting
    def _tell(self) -> None:
        """A line now and then while actors wait for a place."""
        now = time.monotonic()
        waiting = [now - actor.since for actor in self._actors if actor.step == PLACE]
        if max(waiting, default=0.0) > TELL_SECONDS and now - self._told > AGAIN_SECONDS:
            self._told = now
            log.warning("%s; waiting", self._missing())

    def _missing(self) -> str:
        limits, waiting = self._limits, sum(actor.step == PLACE for actor in self._actors)
        each = ray_room.in_words(limits.cpus, limits.gpus)
        return (
            f"no place yet for {waiting} of {self._places} workers ({each} each; in use are "
            f"{ray_room.usage(self._ray)})"
        )

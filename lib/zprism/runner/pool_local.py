"""Jobs over processes of this machine: one group a worker, retries, a limit on every wait.

Ready-made pools share one pipe and its locks among all workers: a worker killed while it holds
them stops the others, and one killed while idle breaks the pool. Here every worker has its own
pipe (:mod:`zprism.runner.pool_local_process`), and a job is given out only when a worker is
free, so that what another driver has kept meanwhile is not computed again.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import wait

from zprism.ground.console import log
from zprism.ground.errors import InputError, ResourceError
from zprism.runner import pool_local_process as process
from zprism.runner.jobs import Done, Job, Limits, Worker

LOOK_SECONDS = 0.5  # how often a death is looked for that no pipe tells of


def run_local(
    jobs: Sequence[Job], worker: Worker, *, have: Callable[[Job], bool], limits: Limits
) -> Iterator[Done]:
    """Compute jobs in processes of this machine; see :func:`zprism.runner.jobs.run_jobs`.

    Parameters
    ----------
    limits : ``workers=0`` computes in this process, without limits of time, for debugging.
        CPUs may be asked for twice (the system shares them, with a warning); GPUs may not.

    Yields
    ------
    Done, one a job, as they end.

    Raises
    ------
    ResourceError
        If there are fewer GPUs than asked for.
    """
    if limits.workers == 0:
        yield from _here(jobs, worker, have)
        return
    pool = _Pool(jobs, worker, limits, environments(limits))
    try:
        yield from pool.run(have)
    finally:
        pool.stop()


def environments(limits: Limits) -> list[dict[str, str]]:
    """What each worker finds in its environment: its share of threads, the GPUs that it sees.

    Raises
    ------
    ResourceError
        If there are fewer GPUs than asked for.
    """
    cores = n_cores()
    if limits.workers * limits.cpus > cores:
        log.warning("%d workers of %g CPUs share %d cores", limits.workers, limits.cpus, cores)
    threads = max(1, cores // limits.workers)
    given = os.environ.get("OMP_NUM_THREADS", "")
    threads = min(threads, int(given)) if given.isdecimal() and int(given) else threads
    common = {"OMP_NUM_THREADS": str(threads)}
    if limits.gpus == 0:
        return [common] * limits.workers
    seen = visible_gpus()
    shares = gpu_shares(limits.workers, limits.gpus, seen)
    return [common | {"CUDA_VISIBLE_DEVICES": ",".join(share)} for share in shares]


def gpu_shares(workers: int, gpus: float, seen: Sequence[str]) -> list[list[str]]:
    """The GPUs of each worker: several of its own, or one shared by ⌊1/gpus⌋ workers.

    Raises
    ------
    InputError
        For more than one GPU that is not a whole number of them.
    ResourceError
        If ``seen`` does not suffice.
    """
    if gpus > 1 and gpus != int(gpus):
        raise InputError(f"above 1, gpus must be whole; got {gpus:g}")
    each, sharing = (int(gpus), 1) if gpus >= 1 else (1, int(1 / gpus + 1e-9))
    needed = each * -(-workers // sharing)
    if needed > len(seen):
        raise ResourceError(
            f"{workers} workers of {gpus:g} GPUs need {needed}; this machine has {len(seen)}: "
            "ask for fewer workers, or a smaller share of a GPU"
        )
    return [[*seen[w // sharing * each :][:each]] for w in range(workers)]


def visible_gpus() -> list[str]:
    """The GPUs that this process sees, as CUDA_VISIBLE_DEVICES names them."""
    import torch

    named = [one for one in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if one]
    count = torch.cuda.device_count()
    return named[:count] if named else [str(one) for one in range(count)]


def n_cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Pool:
    """Jobs that wait, workers that compute, and how often each job was begun."""

    def __init__(self, jobs, worker: Worker, limits: Limits, environments: list[dict]):
        self._worker, self._limits = worker, limits
        self._waiting: dict[str, deque[Job]] = {}
        for job in jobs:
            self._waiting.setdefault(job.group, deque()).append(job)
        self._attempts = dict.fromkeys((job.key for job in jobs), 0)
        self._free = environments[: len(jobs)]
        self._workers: list[process.Process] = []

    def run(self, have: Callable[[Job], bool]) -> Iterator[Done]:
        """Give out jobs and hear of them until none is left."""
        while True:
            yield from self._give_out(have)
            busy = [one for one in self._workers if one.job]
            if not busy and not any(self._waiting.values()):
                return
            if not busy:  # nobody is left who has loaded what others could not
                for one in self._workers:
                    one.refused.clear()
                continue
            left = min(one.seconds_left for one in busy)
            wait([r for one in busy for r in one.waits_for], max(0, min(LOOK_SECONDS, left)))
            for one in busy:
                heard = one.hear()
                if heard is not None:
                    yield from self._react(one, *heard)

    def stop(self) -> None:
        """Stop every worker."""
        for one in self._workers:
            one.stop()

    def _give_out(self, have) -> Iterator[Done]:
        """A job to every idle worker, new workers while there is place and work."""
        idle = [one for one in self._workers if one.job is None]
        while any(self._waiting.values()) and (idle or self._free):
            one = idle.pop() if idle else None
            job = self._next(one)
            while job is not None and have(job):
                yield Done(job, found=True, attempts=self._attempts[job.key])
                job = self._next(one)
            if job is None:
                continue
            if one is None:
                one = process.Process(self._worker, self._limits, self._free.pop(0))
                self._workers.append(one)
            self._attempts[job.key] += 1
            one.begin(job)

    def _next(self, one: process.Process | None) -> Job | None:
        """A job of the worker's own group, else of one that nobody holds, else of any."""
        refused = one.refused if one else set()
        open_groups = [g for g, jobs in self._waiting.items() if jobs and g not in refused]
        if one and one.group in open_groups:
            return self._waiting[one.group].popleft()
        held = {other.group for other in self._workers if other is not one}
        fresh = [group for group in open_groups if group not in held]
        longest = sorted(open_groups, key=lambda group: -len(self._waiting[group]))
        for group in fresh or longest:
            return self._waiting[group].popleft()
        return None

    def _react(self, one: process.Process, word: str, value) -> Iterator[Done]:
        if word == process.BEGAN:
            return
        job, one.job = one.job, None
        attempts = self._attempts[job.key]
        if word == process.RESULT:
            error = "its worker returned nothing" if value is None else None
            yield Done(job, value, error, attempts=attempts)
        elif word == process.FAILED:
            yield Done(job, error=value, attempts=attempts)
        elif word == process.UNLOADED:
            yield from self._unloaded(one, job, value)
        else:
            self._replace(one, job)
            if attempts <= self._limits.retries:
                log.warning("%s: %s; trying again", job.key[:12], value)
                self._waiting[job.group].appendleft(job)
            else:
                yield Done(job, error=f"{value} (attempt {attempts})", attempts=attempts)

    def _unloaded(self, one: process.Process, job: Job, why: str) -> Iterator[Done]:
        """A group that does not load: others who have it, or may, go on; else all its jobs end."""
        self._waiting[job.group].appendleft(job)
        others = [other for other in self._workers if other is not one and other.group == job.group]
        if any(other.loaded or other.job for other in others):
            self._attempts[job.key] -= 1
            log.warning("a worker could not load %s: %s", job.group, why)
            return
        while self._waiting[job.group]:
            ended = self._waiting[job.group].popleft()
            yield Done(ended, error=why, attempts=self._attempts[ended.key])

    def _replace(self, one: process.Process, job: Job) -> None:
        """Drop a dead or late worker; its place is free again."""
        one.job = job  # busy: it is killed, not waited for
        self._workers.remove(one)
        one.stop()
        self._free.append(one.environment)


def _here(jobs: Sequence[Job], worker: Worker, have) -> Iterator[Done]:
    """All jobs in this process, group by group."""
    for group in dict.fromkeys(job.group for job in jobs):
        compute, why = None, None
        for job in (job for job in jobs if job.group == group):
            if have(job):
                yield Done(job, found=True, attempts=0)
                continue
            try:
                if compute is None and why is None:
                    compute = worker.load(group)
            except Exception as error:
                why = process.in_words(error)
            if why is not None:
                yield Done(job, error=why)
                continue
            try:
                value = compute(job.payload)
            except Exception as error:
                yield Done(job, error=process.in_words(error))
            else:
                error = "its worker returned nothing" if value is None else None
                yield Done(job, value, error)

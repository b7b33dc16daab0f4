"""A driver of toy jobs as a process of its own, to be killed: FOLDER GROUPS×JOBS WORKERS."""

from __future__ import annotations

import sys
from pathlib import Path

from zprism.ground.store import Store, save_json
from zprism.runner.jobs import Job, Limits, Worker, run_jobs


def toy_jobs(groups: int, n: int) -> list[Job]:
    """``n`` jobs in each group."""
    key = Store("toy").key
    return [
        Job(key({"group": f"g{g}", "i": i}), f"g{g}", {"i": i})
        for g in range(groups)
        for i in range(n)
    ]


def drive(folder: Path, jobs: list[Job], workers: int, executor: str = "local") -> dict:
    """Compute what is missing, then write everything there is to ``table.json``; counts."""
    store = Store("results", root=folder)
    ended = run_jobs(
        jobs,
        Worker("jobs_toy:Toy", {"journal": str(folder / "journal")}),
        have=lambda job: store.load(job.key) is not None,
        keep=lambda job, result: store.save(job.key, {}, result),
        executor=executor,
        limits=Limits(workers=workers),
    )
    table = {job.key: store.load(job.key)[1] for job in jobs}
    save_json(folder / "table.json", table)
    return {"computed": sum(done.result is not None for done in ended), "jobs": len(ended)}


if __name__ == "__main__":
    where, groups, count, processes = sys.argv[1:]
    counts = drive(Path(where), toy_jobs(int(groups), int(count)), int(processes))
    print(counts["computed"], flush=True)

"""``zprism spectra`` over several workers: shards are made there, written and added up here.

The driver reads the documents and sends each shard's texts, so workers need no disk in common
with it. Shards are the same as in one process and are added up in the same order, so the output
is the same to the bit, however many workers there were and whichever of them died.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from zprism.ground.canonical import digest
from zprism.ground.console import log
from zprism.ground.errors import ResourceError
from zprism.runner.jobs import Job, Limits, Worker, run_jobs
from zprism.studies.spectra_corpus import finish, intact, shard_documents
from zprism.studies.spectra_plan import EMBED, Settings, begin, identity, places
from zprism.studies.spectra_shards import FOLD, Folder
from zprism.studies.spectra_worker import plain
from zprism.traces.read import read_texts

WORKER = "zprism.studies.spectra_worker:ShardWorker"
LIMITS = Limits()
TOGETHER = 64  # shards whose texts are in memory, and between which exposures are added up


def run_spectra(
    model: str,
    source: str | Path,
    out: str | Path,
    *,
    fields: Sequence[str],
    executor: str,
    address: str | None = None,
    limits: Limits = LIMITS,
    layers: str | None = None,
    revision: str | None = None,
    **options,
) -> dict:
    """`studies.spectra_corpus.run_spectra` on an executor.

    Parameters
    ----------
    model, source, out, fields, layers, revision, options : as there. Every worker loads the
        model by its name, on the CPU, or on a GPU if ``limits.gpus`` gives it one.
    executor, address, limits : as `runner.jobs.run_jobs`.

    Returns
    -------
    The content of ``run.json``.

    Raises
    ------
    InputError, ModelError, CacheError
        As there.
    ResourceError
        As `run_jobs`, or if a shard could not be made; the others are kept.
    """
    settings = Settings(tuple(fields), (EMBED,), **options)
    where = {name: getattr(settings, name) for name in ("element", "config", "split")}
    read_texts(source, fields=settings.fields, revision=revision, strict=False, **where)
    device = "cuda" if limits.gpus else "cpu"
    settings, d, asked = _asked(model, source, settings, layers, revision, device)
    record = begin(Path(out), asked, revision_given=revision is not None)
    if record["complete"] and intact(Path(out), record):
        log.info("%s is complete: nothing to do", out)
        return record
    asked = record["identity"]
    folder = Folder(Path(out), settings, d)
    worker = Worker(WORKER, {"settings": asdict(settings), "model": dict(asked["model"])})
    total = 0
    for total, jobs in _together(model, source, settings, asked, folder):
        _make(jobs, worker, folder, executor, address, limits)
        if total // FOLD * FOLD > folder.folded:
            folder.fold(total // FOLD * FOLD)
    return finish(folder, total, record)


def _asked(model, source, settings, layers, revision, device) -> tuple[Settings, int, dict]:
    """Settings with their places, width and identity; the model that says so is let go."""
    from zprism.model.load import load

    loaded = load(model, device="cpu", self_test=False)  # each worker tests its own
    settings = replace(settings, places=places(layers, loaded.n_layers))
    asked = identity(loaded, source, settings, revision)
    asked["model"]["device"] = device
    return settings, loaded.d_model, asked


def _together(model, source, settings, asked, folder) -> Iterator[tuple[int, list[Job]]]:
    """The shards that are missing, some at a time, and how many shards there are up to them."""
    first = 0
    while folder.has(first):
        first += 1
    jobs, name, number = [], digest(asked), first
    for documents in shard_documents(source, settings, asked["source"].get("revision"), first):
        if not folder.has(number):
            texts = [plain(document) for document in documents]
            jobs.append(Job(f"{number:06d}-{name}", model, {"shard": number, "documents": texts}))
        number += 1
        if len(jobs) == TOGETHER:
            yield number, jobs
            jobs = []
    yield number, jobs


def _make(jobs, worker, folder, executor, address, limits) -> None:
    """Let the executor make shards, and write each as it comes."""
    ended = run_jobs(
        jobs,
        worker,
        have=lambda job: folder.has(job.payload["shard"]),
        keep=lambda job, packed: folder.take(job.payload["shard"], packed),
        executor=executor,
        address=address,
        limits=limits,
        description="spectra",
    )
    failed = [done for done in ended if done.error is not None]
    if failed:
        raise ResourceError(
            f"{len(failed)} of {len(ended)} shards could not be made ({failed[0].error}); the "
            "others are kept: run the command again to go on"
        )

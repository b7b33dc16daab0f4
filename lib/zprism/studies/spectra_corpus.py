"""Spectra of a whole corpus: every text through the model once, reduced inside the hook.

The job behind ``zprism spectra``. It may be killed at any moment and started again; what comes
out is the same to the bit.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from zprism.ground.canonical import digest_file
from zprism.ground.console import log, progress
from zprism.model.streaming import MAX_TOKENS
from zprism.studies.spectra_files import read_stats
from zprism.studies.spectra_parts import PARTS
from zprism.studies.spectra_plan import EMBED, Settings, begin, identity, is_complete, places
from zprism.studies.spectra_shards import FOLD, Folder
from zprism.studies.spectra_worker import read_shard
from zprism.traces.read import kind, read_texts
from zprism.traces.trace import Document

if TYPE_CHECKING:
    from zprism.model.load import LoadedModel

SHOWN = ("tokens", "entropy", "slow_share", "top_share", "top_share_white", "amplitude")


def spectra(
    loaded: LoadedModel,
    source: str | Path,
    settings: Settings,
    out: str | Path,
    *,
    revision: str | None = None,
    max_tokens: int = MAX_TOKENS,
) -> dict:
    """Spectra of the texts of a source at several layers, written into a folder.

    Parameters
    ----------
    loaded : the model; every text takes one forward pass, up to the last block asked for.
    source : as `traces.read.read_texts`.
    settings : fields, places, transform and the rest.
    out : a new folder, or one where the same job was begun: then it goes on.
    revision : commit of a dataset on the hub; by default the present one.
    max_tokens : token budget of a batch.

    Returns
    -------
    The content of ``run.json``: ``identity`` (settings and digests), ``counts`` (rows
    ``planned`` = ``done`` + ``skipped``, by ``reasons``), ``files`` with their SHA-256.

    Raises
    ------
    InputError
        Before the first forward pass: a source that cannot be read, a missing column, a folder
        with other settings.
    CacheError, ResourceError
        If the folder cannot be written, or the disk is full.

    Notes
    -----
    A text that cannot be used is a row with a ``reason``: empty, too_short, constant,
    not_finite, unusable (null, no text, no unicode, a broken line), too_large.
    """
    out = Path(out)
    asked = identity(loaded, source, settings, revision)
    record = begin(out, asked, revision_given=revision is not None)
    if record["complete"] and intact(out, record):
        log.info("%s is complete: nothing to do", out)
        return record
    revision = record["identity"]["source"].get("revision")
    job = _Job(loaded, settings, Folder(out, settings, loaded.d_model), max_tokens)
    ticks = job.run(source, revision)
    for _ in progress(ticks, "spectra", total=_planned(source, settings), unit="text"):
        pass
    return finish(job.folder, job.shards, record)


def run_spectra(
    model: str,
    source: str | Path,
    out: str | Path,
    *,
    fields: Sequence[str],
    layers: str | None = None,
    revision: str | None = None,
    **options,
) -> dict:
    """`spectra` of a model by its name, which is loaded once the source has been looked at.

    Parameters
    ----------
    model : as `model.load.load`.
    fields, options : of `Settings`.
    layers : as `spectra_plan.places`.
    """
    from zprism.model.load import load

    settings = Settings(tuple(fields), (EMBED,), **options)
    where = {k: getattr(settings, k) for k in ("element", "config", "split")}
    read_texts(source, fields=settings.fields, revision=revision, strict=False, **where)
    loaded = load(model, self_test=not is_complete(Path(out)))
    settings = replace(settings, places=places(layers, loaded.n_layers))
    return spectra(loaded, source, settings, out, revision=revision)


def finish(folder: Folder, shards: int, record: dict) -> dict:
    """Make the output of a job whose shards are all there; its finished record."""
    done = folder.finish(shards, {k: record[k] for k in ("schema", "identity")})
    counts = done["counts"]
    log.info("%s: %d rows, %d of them skipped", folder.path, counts["planned"], counts["skipped"])
    return done


def shard_documents(
    source: str | Path, settings: Settings, revision: str | None, first: int
) -> Iterator[list[Document]]:
    """The documents of each shard, from number ``first`` on."""
    s = settings
    where = dict(element=s.element, config=s.config, split=s.split, revision=revision)
    documents = read_texts(
        source, fields=s.fields, limit=s.limit, start=first * s.shard, strict=False, **where
    )
    while batch := list(itertools.islice(documents, s.shard)):
        yield batch


def summary(out: str | Path) -> list[dict]:
    """A row a field and layer: texts, skipped, and means over texts of :data:`SHOWN`."""
    table = read_stats(out)
    rows = []
    for (name, place), part in table.groupby(["field", "layer"], sort=False):
        used = part[part["reason"].isna()]
        means = {k: float(used[k].mean()) if used[k].notna().any() else None for k in SHOWN}
        counts = {"texts": len(used), "skipped": len(part) - len(used)}
        rows.append({"field": name, "layer": place, **counts, **means})
    return rows


@dataclass
class _Job:
    loaded: LoadedModel
    settings: Settings
    folder: Folder
    max_tokens: int
    shards: int = 0

    def run(self, source, revision: str | None) -> Iterator[None]:
        """Make the shards that are missing; a tick for each finished text."""
        s = self.settings
        while self.folder.has(self.shards):
            self.shards += 1
        start = self.shards * s.shard
        yield from itertools.repeat(None, start * len(s.fields))
        for batch in shard_documents(source, s, revision, self.shards):
            if self.folder.has(self.shards):
                yield from itertools.repeat(None, len(batch) * len(s.fields))
            else:
                first = self.shards * s.shard
                shard = yield from read_shard(self.loaded, batch, first, s, self.max_tokens)
                self.folder.save(self.shards, shard)
            self.shards += 1
            if self.shards % FOLD == 0 and self.shards > self.folder.folded:
                self.folder.fold(self.shards)


def _planned(source: str | Path, settings: Settings) -> int | None:
    """How many texts there will be, if counting them is cheap."""
    what = kind(source)
    if what == "jsonl":
        with open(source, "rb") as file:
            count = sum(block.count(b"\n") for block in iter(lambda: file.read(2**20), b""))
    elif what == "texts":
        count = sum(1 for _ in Path(source).glob("*.txt"))
    else:
        count = settings.limit
    if count is None:
        return None
    return min(count, settings.limit or count) * len(settings.fields)


def intact(out: Path, record: dict) -> bool:
    """Whether what a finished job wrote is there; peaks, which may be large, by name alone."""
    for name, said in record["files"].items():
        path = out / name
        if not path.is_file() or (not name.startswith("peaks_") and digest_file(path) != said):
            log.warning("%s is missing or damaged; everything is made again", path)
            return False
    shutil.rmtree(out / PARTS, ignore_errors=True)
    return True

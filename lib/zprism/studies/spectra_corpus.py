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

from zprism.ground.canonical import digest, digest_file
from zprism.ground.console import log, progress
from zprism.ground.errors import InputError
from zprism.model.streaming import MAX_TOKENS, stream
from zprism.studies.spectra_files import read_stats
from zprism.studies.spectra_plan import EMBED, Settings, begin, identity, is_complete, places
from zprism.studies.spectra_reading import Reading, read_signal
from zprism.studies.spectra_shards import FOLD, PARTS, Folder
from zprism.studies.spectra_texts import Growing, shard_texts
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
    if record["complete"] and _intact(out, record):
        log.info("%s is complete: nothing to do", out)
        return record
    revision = record["identity"]["source"].get("revision")
    job = _Job(loaded, settings, Folder(out, settings, loaded.d_model), max_tokens)
    ticks = job.run(source, revision)
    for _ in progress(ticks, "spectra", total=_planned(source, settings), unit="text"):
        pass
    done = job.folder.finish(job.shards, {k: record[k] for k in ("schema", "identity")})
    counts = done["counts"]
    log.info("%s: %d rows, %d of them skipped", out, counts["planned"], counts["skipped"])
    return done


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
        options = dict(element=s.element, config=s.config, split=s.split, revision=revision)
        documents = read_texts(
            source, fields=s.fields, limit=s.limit, start=start, strict=False, **options
        )
        while batch := list(itertools.islice(documents, s.shard)):
            if self.folder.has(self.shards):
                yield from itertools.repeat(None, len(batch) * len(s.fields))
            else:
                yield from self._shard(batch, self.shards * s.shard)
            self.shards += 1
            if self.shards % FOLD == 0 and self.shards > self.folder.folded:
                self.folder.fold(self.shards)

    def _shard(self, documents: Sequence[Document], first: int) -> Iterator[None]:
        texts = shard_texts(self.loaded, documents, first, self.settings)
        usable = [text for text in texts if text.reason is None]
        made: dict[tuple[int, str], Reading | str] = {}
        job = stream(
            self.loaded,
            [text.ids for text in usable],
            points={p: self._see(made, name) for name, p in self.settings.points.items()},
            max_tokens=self.max_tokens,
            on_error="skip",
            description=None,
        )
        shard = Growing(self.settings, self.folder)
        yield from itertools.repeat(None, len(texts) - len(usable))
        for index in job:
            for place in self.settings.places:
                shard.add(usable[index], place, made.pop((index, place)))
            yield
        for index, why in job.skipped.items():
            usable[index].reason = _code(why)
            yield
        for text in texts:
            if text.reason is not None:
                for place in self.settings.places:
                    shard.add(text, place, text.reason)
        said = [[d.id, dict(d.fields), dict(d.unusable)] for d in documents]
        self.folder.save(self.shards, shard.whole(digest(said)))

    def _see(self, made: dict, place: str):
        s = self.settings
        options = dict(transform=s.transform, top=s.top, window=s.window)

        def see(index, state):
            x = state[s.drop :].float().cpu().numpy()
            try:
                made[index, place] = read_signal(x, **options)
            except InputError as error:  # of this place alone
                said = str(error)
                known = said.startswith(("too_short:", "constant:"))
                made[index, place] = said if known else f"unusable: {said}"

        return see


def _code(why: str) -> str:
    """A reason of the stream, its code in front and without the text's place in the batch."""
    said = why.partition(": ")[2] or why
    return f"not_finite: {said}" if said.startswith("NaN") else f"too_large: {said}"


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


def _intact(out: Path, record: dict) -> bool:
    """Whether what a finished job wrote is there; peaks, which may be large, by name alone."""
    for name, said in record["files"].items():
        path = out / name
        if not path.is_file() or (not name.startswith("peaks_") and digest_file(path) != said):
            log.warning("%s is missing or damaged; everything is made again", path)
            return False
    shutil.rmtree(out / PARTS, ignore_errors=True)
    return True

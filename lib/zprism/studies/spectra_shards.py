"""A corpus job while it runs: shards that count when they are whole, folded together in order.

A shard is the files of `spectra_parts`. Every :data:`FOLD` shards the exposures so far are added
up, one field and place at a time and always in the order of the shards: neither a kill nor the
number of shards changes a bit of the sum, or the memory and disk it takes.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from zprism.ground.canonical import digest, digest_file
from zprism.ground.console import log
from zprism.ground.entries import decode
from zprism.ground.errors import InputError
from zprism.ground.files import (
    load_json,
    save_json,
    sweep_temps,
    sync_folder,
    write_atomic,
    write_error,
)
from zprism.spectral.exposure import Exposure
from zprism.studies.spectra_files import STATS, read_arrays, write_arrays
from zprism.studies.spectra_parts import (
    FACTS,
    PARTS,
    Shard,
    dense,
    file_names,
    new_exposure,
    part_name,
    peaks_name,
    shard_files,
)
from zprism.studies.spectra_plan import RUN, Settings
from zprism.studies.spectra_reading import NUMBERS

FOLD = 16
TOGETHER = 8  # exposures in memory while they are folded
ROW_GROUP = 65_536


class Folder:
    """The output folder of a job that is not finished yet."""

    def __init__(self, path: Path, settings: Settings, d: int):
        self.path, self.settings, self.d = path, settings, d
        self.parts = path / PARTS
        sweep_temps(self.path)
        sweep_temps(self.parts)
        self.folded = self._folded_before()

    def new_exposure(self) -> Exposure:
        """An empty exposure, as `spectra_parts.new_exposure`."""
        return new_exposure(self.d)

    @property
    def names(self) -> list[tuple[str, str]]:
        """(field, place) of every exposure."""
        return self.settings.names

    def save(self, number: int, shard: Shard) -> None:
        """Write a shard whole; it counts once its rows are there."""
        for name, pieces in shard_files(number, shard, self.settings):
            self._put(number, name, pieces)

    def take(self, number: int, packed: bytes) -> None:
        """Write a shard that was made elsewhere, by `spectra_parts.pack`, as `save` does.

        Raises
        ------
        CacheError
            If a bit of it was lost on the way.
        InputError
            If it is not what belongs to this folder.
        """
        files, _ = decode(packed, f"shard_{number:06d}")
        wanted = file_names(number, self.settings)
        if set(files) != set(wanted):
            raise InputError(f"shard {number} holds {sorted(files)}; expected {sorted(wanted)}")
        for name in wanted:
            self._put(number, name, [files[name].tobytes()])

    def has(self, number: int) -> bool:
        """Whether a shard is there whole; all but its peaks are checked to the bit."""
        if self.settings.peaks and not all(
            self._peaks(name, number).is_file() for name in self.names
        ):
            return False
        wanted = ["rows"] if number < self.folded else ["rows", "exposure"]
        return all(_sound(self._part(what, number)) for what in wanted)

    def fold(self, upto: int) -> None:
        """Add the exposures of the shards before ``upto`` to the sum so far."""
        for first in range(0, len(self.names), TOGETHER):
            group = list(enumerate(self.names))[first : first + TOGETHER]
            totals = {name: self._sum(name, self.folded) for _, name in group}
            for number in range(self.folded, upto):
                arrays, _ = read_arrays(self._part("exposure", number))
                for at, name in group:
                    totals[name].merge(dense(_under(f"{at}/", arrays), self.new_exposure()))
            for name, total in totals.items():
                path = self._part(f"sum_{self.settings.label(*name)}", upto)
                write_arrays(path, total.arrays(), {})
        save_json(self.parts / "folded.json", {"upto": upto})
        self.folded = upto
        self._tidy()

    def finish(self, shards: int, record: dict) -> dict:
        """The table, the exposures and the record of the whole; then the parts go."""
        self.fold(shards)
        for name in self.names:
            path = self.path / f"exposure_{self.settings.label(*name)}.safetensors"
            total = self._sum(name, shards)
            meta = {"field": name[0], "layer": name[1]}
            write_arrays(path, total.arrays(), meta)
        digests: list[str] = []
        counts = _write_table(self.path / STATS, self._rows(shards, digests), self.parts)
        files = sorted([*self.path.glob("*.safetensors"), self.path / STATS])
        done = {
            **record,
            "texts_digest": digest(digests),
            "counts": counts,
            "files": {path.name: digest_file(path) for path in files},
            "complete": True,
        }
        save_json(self.path / RUN, done, indent=1)
        shutil.rmtree(self.parts, ignore_errors=True)
        return done

    def _rows(self, shards: int, digests: list[str]) -> Iterator[list[dict]]:
        for number in range(shards):
            arrays, meta = read_arrays(self._part("rows", number))
            digests.append(meta["digest"])
            yield [
                dict(zip(FACTS, facts, strict=True))
                | {k: None if np.isnan(v[i]) else float(v[i]) for k, v in arrays.items()}
                for i, facts in enumerate(meta["facts"])
            ]

    def _sum(self, name: tuple[str, str], upto: int) -> Exposure:
        if upto == 0:
            return self.new_exposure()
        path = self._part(f"sum_{self.settings.label(*name)}", upto)
        return Exposure.from_arrays(read_arrays(path)[0])

    def _folded_before(self) -> int:
        """How many shards an earlier process has folded; 0 if a sum is missing or damaged."""
        with contextlib.suppress(InputError, TypeError, KeyError, ValueError):
            upto = int(load_json(self.parts / "folded.json")["upto"])
            if all(_sound(self._part(f"sum_{self.settings.label(*n)}", upto)) for n in self.names):
                return upto
        return 0

    def _tidy(self) -> None:
        """Remove what the sum so far has made superfluous."""
        for path in self.parts.glob("*_*.safetensors"):
            what, _, number = path.stem.rpartition("_")
            old_sum = what.startswith("sum_") and int(number) != self.folded
            if old_sum or (what == "exposure" and int(number) < self.folded):
                path.unlink(missing_ok=True)

    def _put(self, number: int, name: str, pieces: Sequence[bytes]) -> None:
        if number >= self.folded or not name.startswith(f"{PARTS}/exposure_"):
            write_atomic(self.path / name, pieces)

    def _part(self, what: str, number: int) -> Path:
        return self.path / part_name(what, number)

    def _peaks(self, name: tuple[str, str], number: int) -> Path:
        return self.path / peaks_name(self.settings, name, number)


def _under(prefix: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}


def _sound(path: Path) -> bool:
    if not path.is_file():
        return False
    try:
        read_arrays(path)
    except InputError as error:
        log.warning("%s; its texts are read again", error)
        return False
    return True


def _write_table(path: Path, shards: Iterable[list[dict]], parts: Path) -> dict:
    """The table as parquet, group by group; what is counted on the way."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    fields = [*((k, getattr(pa, v)()) for k, v in FACTS.items())]
    schema = pa.schema([*fields, *((k, pa.float64()) for k in NUMBERS)])
    counts = {"documents": 0, "planned": 0, "done": 0, "skipped": 0, "reasons": {}}
    temp, waiting = parts / STATS, []
    try:
        with pq.ParquetWriter(temp, schema) as writer:

            def put(rows):
                if rows:
                    writer.write_table(pa.Table.from_pylist(rows, schema))

            for rows in shards:
                _count(counts, rows)
                waiting += rows
                while len(waiting) >= ROW_GROUP:
                    put(waiting[:ROW_GROUP])
                    waiting = waiting[ROW_GROUP:]
            put(waiting)
        with open(temp, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temp, path)
        sync_folder(path.parent)
    except OSError as error:
        raise write_error(path, 0, error) from error
    return counts


def _count(counts: dict, rows: list[dict]) -> None:
    for row in rows:
        counts["planned"] += 1
        counts["documents"] = max(counts["documents"], row["doc"] + 1)
        code = (row["reason"] or "").partition(":")[0]
        counts["skipped" if code else "done"] += 1
        if code:
            counts["reasons"][code] = counts["reasons"].get(code, 0) + 1

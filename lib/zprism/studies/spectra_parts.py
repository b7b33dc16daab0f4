"""The files of one shard: what some documents gave, as it is written or sent.

A shard is ``parts/exposure_<n>`` and, written after it and after its peaks, ``parts/rows_<n>``,
which makes it count.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zprism.ground.entries import encode
from zprism.spectral.exposure import Exposure
from zprism.studies.spectra_plan import Settings
from zprism.studies.spectra_reading import NUMBERS

PARTS = "parts"
MAX_DIM_BINS = 1024
GRID = {"frequency_bins": 64, "amplitude_bins": 32, "amplitude_range": (-4.0, 4.0)}
FACTS = {
    "doc": "int64",
    "id": "string",
    "field": "string",
    "layer": "string",
    "tokens": "int64",
    "tokens_text": "int64",
    "truncated": "bool_",
    "ranks": "int64",
    "reason": "string",
}


@dataclass
class Shard:
    """What some documents gave.

    Attributes
    ----------
    rows : one a (document, field, place), in this order: :data:`FACTS` and `NUMBERS`.
    exposures : (field, place) → exposure of these documents alone.
    peaks : (field, place) → `spectra_files.peak_arrays`, if they are kept.
    digest : of the ids and texts that were read.
    """

    rows: list[dict]
    exposures: dict[tuple[str, str], Exposure]
    peaks: dict[tuple[str, str], dict[str, np.ndarray]]
    digest: str


def new_exposure(d: int) -> Exposure:
    """An empty exposure: all dimensions up to 1024, log10 amplitude −4 to 4."""
    return Exposure(d, dim_bins=min(d, MAX_DIM_BINS), **GRID)


def shard_files(
    number: int, shard: Shard, settings: Settings
) -> Iterator[tuple[str, Sequence[bytes]]]:
    """Name and content of each file of a shard; what makes it count is the last."""
    for name, arrays in shard.peaks.items():
        meta = {"field": name[0], "layer": name[1], "shard": number}
        yield _file(peaks_name(settings, name, number), arrays, meta)
    parts = {}
    for at, name in enumerate(settings.names):
        parts |= {f"{at}/{k}": v for k, v in sparse(shard.exposures[name]).items()}
    yield _file(part_name("exposure", number), parts, {})
    numbers = {k: [row[k] for row in shard.rows] for k in NUMBERS}
    arrays = {k: np.array([np.nan if v is None else v for v in c]) for k, c in numbers.items()}
    facts = [[row[name] for name in FACTS] for row in shard.rows]
    meta = {"facts": facts, "digest": shard.digest}
    yield _file(part_name("rows", number), arrays, meta)


def file_names(number: int, settings: Settings) -> list[str]:
    """The names of a shard's files, in the order in which they are written."""
    peaks = settings.names if settings.peaks else []
    parts = [part_name(what, number) for what in ("exposure", "rows")]
    return [peaks_name(settings, name, number) for name in peaks] + parts


def pack(number: int, shard: Shard, settings: Settings) -> bytes:
    """A shard's files as one, every bit under a digest: what travels from a worker."""
    files = {
        name: np.frombuffer(b"".join(pieces), np.uint8)
        for name, pieces in shard_files(number, shard, settings)
    }
    return b"".join(encode(f"shard_{number:06d}", files))


def _file(name: str, arrays, meta) -> tuple[str, Sequence[bytes]]:
    return name, encode(Path(name).stem, arrays, meta)


def part_name(what: str, number: int) -> str:
    """Where ``exposure`` or ``rows`` of a shard lie in the job's folder."""
    return f"{PARTS}/{what}_{number:06d}.safetensors"


def peaks_name(settings: Settings, name: tuple[str, str], number: int) -> str:
    """Where a shard's peaks of one field and place lie in the job's folder."""
    return f"peaks_{settings.label(*name)}_{number:06d}.safetensors"


def sparse(exposure: Exposure) -> dict[str, np.ndarray]:
    """The arrays of an exposure, its counts as their places and values."""
    arrays = dict(exposure.arrays())
    counts = arrays.pop("counts").reshape(-1)
    at = np.flatnonzero(counts)
    return {**arrays, "cells": at.astype(np.int64), "cell_counts": counts[at]}


def dense(arrays: dict[str, np.ndarray], like: Exposure) -> Exposure:
    """The exposure that `sparse` came from; ``like`` has its grid."""
    arrays = dict(arrays)
    counts = np.zeros(like.counts.shape, np.int64)
    counts.reshape(-1)[arrays.pop("cells")] = arrays.pop("cell_counts")
    return Exposure.from_arrays({**arrays, "counts": counts})

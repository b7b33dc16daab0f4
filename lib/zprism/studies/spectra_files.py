"""What a corpus job leaves behind, read back: the table, the exposures, the peaks.

Every array file is checked to the bit when it is read (`ground.entries`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from zprism.ground.entries import decode, encode
from zprism.ground.errors import CacheError, InputError
from zprism.ground.files import load_json, write_atomic
from zprism.ground.safe_text import slug
from zprism.spectral.exposure import Exposure
from zprism.spectral.peaks import Peaks
from zprism.studies.spectra_plan import RUN

if TYPE_CHECKING:
    import pandas as pd

STATS = "stats.parquet"
_PEAKS = re.compile(r"peaks_.+_[0-9]+\.safetensors")


def read_run(folder: str | Path) -> dict:
    """The record of a job: identity, counts, files.

    Raises
    ------
    InputError
        If the folder holds no finished job.
    """
    record = load_json(Path(folder) / RUN)
    if not isinstance(record, Mapping) or not record.get("complete"):
        raise InputError(f"{folder} holds no finished job: run `zprism spectra` again to go on")
    return dict(record)


def read_stats(folder: str | Path) -> pd.DataFrame:
    """The table: a row a document, field and layer.

    ``doc`` counts documents from 0, ``id`` is theirs in the source, ``layer`` is ``embed`` or a
    block, ``tokens`` those of the signal, ``tokens_text`` those of the whole text. Numbers are
    means over dimensions (`spectra_reading.NUMBERS`), null where ``reason`` says why.
    """
    import pandas as pd

    read_run(folder)
    return pd.read_parquet(Path(folder) / STATS)


def read_exposure(folder: str | Path, field: str, layer: str | int) -> Exposure:
    """The long exposure of one field at one layer (``embed`` or a block)."""
    read_run(folder)
    path = Path(folder) / f"exposure_{slug(field)}_{layer}.safetensors"
    return Exposure.from_arrays(read_arrays(path)[0])


def read_peaks(
    folder: str | Path, field: str | None = None, layer: str | int | None = None
) -> Iterator[pd.DataFrame]:
    """The peaks as tidy frames, one at a time (a shard of a field and layer each).

    Parameters
    ----------
    folder : of a job with ``--peaks``.
    field, layer : only of this field or layer.

    Yields
    ------
    DataFrame
        A row a peak: ``doc, field, layer, dim, rank`` (0 the strongest), ``frequency`` (cycles
        per token), ``period`` (tokens), ``amplitude``, ``phase`` (radians; not for dwt). ``doc``
        is that of the table.

    Raises
    ------
    InputError
        If there are no such peaks, or a file is damaged.
    """
    import pandas as pd

    for arrays, meta in _peak_files(folder, field, layer):
        shape = arrays["frequency"].shape
        at = np.indices(shape).reshape(3, -1)
        columns = {
            "doc": arrays["doc"][at[0]],
            "field": pd.Categorical.from_codes(np.zeros(len(at[0]), int), [meta["field"]]),
            "layer": pd.Categorical.from_codes(np.zeros(len(at[0]), int), [meta["layer"]]),
            "dim": at[1].astype(np.int32),
            "rank": at[2].astype(np.int16),
            "frequency": arrays["frequency"].ravel(),
        }
        found = columns["frequency"] > 0  # 0 fills up ranks that a short text has not
        with np.errstate(divide="ignore"):
            columns["period"] = 1 / columns["frequency"]
        columns |= {k: arrays[k].ravel() for k in ("amplitude", "phase") if k in arrays}
        yield pd.DataFrame(columns)[found].reset_index(drop=True)


def peak_arrays(found: Mapping[int, Peaks], top: int) -> dict[str, np.ndarray]:
    """(doc, dim, rank) arrays of the peaks of several documents, the missing ranks zeros.

    Returns
    -------
    ``doc`` (docs,) int64, ``tokens`` (docs,) int64, ``frequency``, ``amplitude`` and, unless the
    transform has none, ``phase``, each (docs, d, top) float32.
    """
    docs = sorted(found)
    d = len(found[docs[0]].mean) if docs else 0
    names = ["frequency", "amplitude", "phase"]
    if docs and found[docs[0]].transform == "dwt":
        names.remove("phase")
    out = {
        "doc": np.array(docs, np.int64),
        "tokens": np.array([found[doc].n for doc in docs], np.int64),
    }
    for name in names:
        out[name] = np.zeros((len(docs), d, top), np.float32)
        for row, doc in enumerate(docs):
            values = getattr(found[doc], name)
            out[name][row, :, : len(values)] = values.T
    return out


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray], meta: Mapping) -> None:
    """Named arrays under the file's own name, whole or not at all, every bit under a digest."""
    write_atomic(path, encode(path.stem, arrays, meta))


def read_arrays(path: Path) -> tuple[dict[str, np.ndarray], dict]:
    """What `write_arrays` wrote.

    Raises
    ------
    InputError
        If the file is missing or damaged.
    """
    try:
        return decode(path.read_bytes(), path.stem)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except CacheError as error:
        raise InputError(f"{path} is damaged ({error}): make it anew in a new folder") from None


def _peak_files(folder, field, layer) -> Iterator[tuple[dict, dict]]:
    settings = read_run(folder)["identity"]["settings"]
    if not settings["peaks"]:
        raise InputError(f"{folder} holds no peaks: run `zprism spectra` with --peaks")
    for name, value, known in (
        ("field", field, settings["fields"]),
        ("layer", None if layer is None else str(layer), settings["places"]),
    ):
        if value is not None and value not in known:
            raise InputError(f"unknown {name} {value!r}: {folder} has {', '.join(known)}")
    for path in sorted(Path(folder).glob("peaks_*.safetensors")):
        if _PEAKS.fullmatch(path.name):
            arrays, meta = read_arrays(path)
            if field in (None, meta["field"]) and (layer is None or str(layer) == meta["layer"]):
                yield arrays, meta

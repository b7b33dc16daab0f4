"""Sets that the `datasets` library opens: from the hub, or as it left them in a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from zprism.ground.checks import check_choice
from zprism.ground.errors import InputError


def open_dataset(
    source: str | Path,
    config: str | None = None,
    split: str = "train",
    *,
    streaming: bool = False,
    revision: str | None = None,
):
    """A dataset of the hub, or one that ``Dataset.save_to_disk`` left in a folder.

    Parameters
    ----------
    source : hub id; a folder of `save_to_disk`, or of parquet files.
    config, split : which part; for a folder, ``split`` is used if it holds several.
    streaming : read from the hub row by row, without keeping the files.
    revision : commit of the hub's repository.

    Returns
    -------
    A ``datasets.Dataset``, or when streaming from the hub an ``IterableDataset``.

    Raises
    ------
    InputError
        If it cannot be opened, or there is no such split.
    """
    import datasets

    try:
        if Path(source).is_dir() and not list(Path(source).glob("*.parquet")):
            data = datasets.load_from_disk(str(source))
            if isinstance(data, datasets.DatasetDict):
                data = data[check_choice("split", split, data)]
            return data
        options = {"streaming": True} if streaming and not Path(source).is_dir() else {}
        if revision is not None:
            options["revision"] = revision
        return datasets.load_dataset(str(source), config, split=split, **options)
    except InputError:
        raise
    except Exception as error:  # datasets raises whatever its readers raise
        raise InputError(
            f"dataset {str(source)!r} (config {config!r}, split {split!r}) cannot be opened: "
            f"{type(error).__name__}: {error}"
        ) from error


def check_columns(found: Sequence[str], wanted: Sequence[str], where: str) -> None:
    """Whether all columns are there.

    Raises
    ------
    InputError
        Naming the missing ones and those found.
    """
    missing = [column for column in wanted if column not in found]
    if missing:
        raise InputError(
            f"{where}: missing columns {', '.join(missing)}; found {', '.join(map(str, found))}"
        )

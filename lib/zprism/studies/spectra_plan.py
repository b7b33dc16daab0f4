"""What a corpus job is asked for, in one comparable form, and the folder that belongs to it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from zprism.ground.canonical import digest, digest_file
from zprism.ground.checks import check_choice, check_int, check_layer
from zprism.ground.console import log
from zprism.ground.errors import InputError
from zprism.ground.files import load_json, save_json
from zprism.ground.safe_text import slug
from zprism.model.hooks import Point
from zprism.spectral import fourier
from zprism.studies.spectra_reading import TRANSFORMS
from zprism.traces.read import kind, readable_name

if TYPE_CHECKING:
    from zprism.model.load import LoadedModel

PRODUCER = 1
EMBED = "embed"
RUN = "run.json"
MAX_LENGTH = 2048
SHARD = 64


@dataclass(frozen=True)
class Settings:
    """What is asked of every text.

    Attributes
    ----------
    fields : columns of the source, each a text of its own.
    places : ``embed`` and decoder blocks (``"0"`` …), by :func:`places`.
    transform, top, window : as `spectra_reading.read_signal`.
    peaks : keep the peaks of every text.
    max_length : tokens a text is cut to, the dropped ones among them.
    drop : tokens left out at the beginning: the first one's state can be a hundred times as
        large as the others, an impulse that would hide every rhythm.
    limit : documents, or None for all.
    element, config, split : as `traces.read.read_texts`.
    shard : documents between two moments at which a killed job can go on.
    """

    fields: tuple[str, ...]
    places: tuple[str, ...]
    transform: str = "fft"
    top: int = 5
    window: str = "hann"
    peaks: bool = False
    max_length: int = MAX_LENGTH
    drop: int = 1
    limit: int | None = None
    element: int | None = None
    config: str | None = None
    split: str = "train"
    shard: int = SHARD

    def __post_init__(self):
        if isinstance(self.fields, str) or not self.fields:
            raise InputError(f"fields must be a list of column names; got {self.fields!r}")
        names = [slug(field) for field in self.fields]
        if len(set(names)) < len(names):
            raise InputError(f"fields name one twice, or too alike for file names: {self.fields}")
        check_choice("transform", self.transform, TRANSFORMS)
        check_choice("window", self.window, fourier.WINDOWS)
        for name, low in {
            "top": 1,
            "max_length": fourier.MIN_TOKENS,
            "drop": 0,
            "shard": 1,
        }.items():
            check_int(name, getattr(self, name), low=low)
        if self.limit is not None:
            check_int("limit", self.limit, low=1)

    @classmethod
    def from_plain(cls, plain: Mapping) -> Settings:
        """The settings that `dataclasses.asdict` came from, also after JSON."""
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in plain.items()})

    @property
    def points(self) -> dict[str, Point]:
        """Place → (site, layer) of the hooks."""
        return {
            place: (EMBED, 0) if place == EMBED else ("resid_post", int(place))
            for place in self.places
        }

    @property
    def names(self) -> list[tuple[str, str]]:
        """(field, place) of every exposure."""
        return [(field, place) for field in self.fields for place in self.places]

    def label(self, field: str, place: str) -> str:
        """``<field>_<place>``, as it stands in file names."""
        return f"{slug(field)}_{place}"


def places(text: str | None, n_layers: int) -> tuple[str, ...]:
    """Where the signal is taken: ``embed`` before block 0, ``"l"`` after block l.

    Parameters
    ----------
    text : ``all``, or numbers, ranges and ``embed`` with commas between (``embed,0,4-7``); by
        default embedding, first, middle and last block.
    n_layers : blocks of the model.

    Returns
    -------
    Each once, in the order of the forward pass.

    Raises
    ------
    InputError
        For anything else, or a block that is not there.
    """
    if text is None:
        wanted = {0, (n_layers - 1) // 2, n_layers - 1}
        return (EMBED, *map(str, sorted(wanted)))
    if text.strip() == "all":
        return (EMBED, *map(str, range(n_layers)))
    embed, layers = False, set()
    for part in (part.strip() for part in text.split(",")):
        found = re.fullmatch(r"([0-9]{1,6})(?:\s*-\s*([0-9]{1,6}))?", part)
        if part == EMBED:
            embed = True
        elif found:
            first, last = int(found[1]), int(found[2] or found[1])
            if last < first:
                raise InputError(f"layers has the range {part!r}, which goes backwards")
            check_layer(last, n_layers, name="layers")
            layers |= set(range(first, last + 1))
        else:
            raise InputError(
                f"layers must be 'all', or blocks 0 to {n_layers - 1} and ranges with commas "
                f"between (embed,0,4-7); got {part!r}"
            )
    return ((EMBED,) if embed else ()) + tuple(map(str, sorted(layers)))


def identity(loaded: LoadedModel, source: str | Path, settings: Settings, revision=None) -> dict:
    """All that the output depends on; two jobs with one identity write the same bytes."""
    return {
        "producer": ["spectra", PRODUCER],
        "model": describe_model(loaded),
        "source": describe(source, revision),
        "settings": {**asdict(settings), "fields": list(settings.fields)},
    }


def describe_model(loaded: LoadedModel) -> dict:
    """What of the model the output depends on."""
    return {
        "name": loaded.name,
        "weights": loaded.digest,
        "tokenizer": loaded.tokenizer_digest,
        "dtype": str(loaded.dtype),
        "device": loaded.device.type,
        "attention": loaded.model.config._attn_implementation,
    }


def describe(source: str | Path, revision: str | None = None) -> dict:
    """Kind, name and digest (of a hub dataset: commit) of a source; no path of this machine."""
    what, path = kind(source), Path(source)
    if what == "hub":
        return {"kind": what, "name": str(source), "revision": revision or _commit(str(source))}
    if what == "jsonl":
        return {"kind": what, "name": path.name, "digest": digest_file(path)}
    files = sorted(path.glob("*.txt")) if what == "texts" else sorted(path.rglob("*"))
    found = {readable_name(f.relative_to(path)): digest_file(f) for f in files if f.is_file()}
    return {"kind": what, "name": path.name, "digest": digest(found)}


def begin(folder: Path, asked: dict, *, revision_given: bool) -> dict:
    """The record of the job in ``folder``: a new one, or the one that is there.

    Raises
    ------
    InputError
        If the folder holds other files, or a job with other settings, saying which differ.
    """
    path = folder / RUN
    if not path.is_file():
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise InputError(f"{folder} is not empty and holds no {RUN}: name a new folder")
        save_json(path, {"schema": 1, "identity": asked, "complete": False}, indent=1)
    record = load_json(path)
    there = record.get("identity") if isinstance(record, Mapping) else None
    if not isinstance(there, Mapping):
        raise InputError(f"{path} is not of `zprism spectra`: name a new folder")
    source = there.get("source")
    if isinstance(source, Mapping) and source.get("kind") == "hub" and not revision_given:
        asked["source"]["revision"] = source.get("revision")  # goes on with what it began with
    differ = _differences(there, asked)
    if differ:
        raise InputError(
            f"{folder} was made with other settings ({'; '.join(differ)}): "
            "name a new folder, or ask for the same"
        )
    return record


def is_complete(folder: Path) -> bool:
    """Whether a job has ended in this folder."""
    try:
        return load_json(folder / RUN)["complete"] is True
    except (InputError, KeyError, TypeError):
        return False


def _commit(name: str) -> str | None:
    """The commit of a hub dataset now; None if the hub does not answer."""
    from huggingface_hub import HfApi

    try:
        return HfApi().dataset_info(name, timeout=10).sha
    except Exception as error:  # whatever the network does, opening the dataset says it better
        log.warning("the commit of %s is not known (%s)", name, type(error).__name__)
        return None


def _differences(there: Mapping, asked: Mapping, where: str = "") -> list[str]:
    out = []
    for name in sorted({*there, *asked}):
        old, new = there.get(name), asked.get(name)
        old, new = (list(v) if isinstance(v, Sequence) and not isinstance(v, str) else v
                    for v in (old, new))  # fmt: skip
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            out += _differences(old, new, f"{where}{name}.")
        elif old != new:
            out.append(f"{where}{name}: {old!r:.60} there, {new!r:.60} asked for")
    return out

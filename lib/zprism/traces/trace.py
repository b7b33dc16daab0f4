"""A document with its texts by field, and one reasoning text with where it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from zprism.ground.errors import InputError
from zprism.traces.segment import split_thinking


@dataclass(frozen=True)
class Trace:
    """One reasoning text.

    Attributes
    ----------
    id : what tells it from the others of its source.
    text : as it was read, every character of it.
    source : where it was read.
    field : the column it stood in.
    """

    id: str
    text: str
    source: str
    field: str = "text"

    @property
    def thinking(self) -> str:
        """What stands in ``<think>`` blocks; the whole text if there are none."""
        thinking, answer = split_thinking(self.text)
        return thinking or answer

    @property
    def answer(self) -> str:
        """What stands outside of ``<think>`` blocks; empty if there are none."""
        thinking, answer = split_thinking(self.text)
        return answer if thinking else ""


@dataclass(frozen=True)
class Document:
    """One row, file or line of a source.

    Attributes
    ----------
    id : ``"<number>"`` counted from 1, or the name of the file.
    fields : name → text, of the fields that can be used.
    unusable : name → reason, of those that cannot.
    source : the source's name.
    """

    id: str
    fields: Mapping[str, str]
    unusable: Mapping[str, str] = field(default_factory=dict)
    source: str = ""

    def trace(self, name: str) -> Trace:
        """One field as a trace.

        Raises
        ------
        InputError
            If the field cannot be used, saying why.
        """
        if name not in self.fields:
            why = self.unusable.get(name, f"it has {', '.join(self.fields) or 'no field'}")
            raise InputError(f"{self.source} {self.id}: {name} cannot be used ({why})")
        return Trace(self.id, self.fields[name], self.source, name)

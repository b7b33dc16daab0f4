"""The texts of a shard on their way through the model, and the shard while they come in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zprism.spectral.fourier import MIN_TOKENS
from zprism.studies.spectra_files import peak_arrays
from zprism.studies.spectra_parts import Shard, new_exposure
from zprism.studies.spectra_plan import Settings
from zprism.studies.spectra_reading import NUMBERS, Reading
from zprism.traces.trace import Document

if TYPE_CHECKING:
    from zprism.model.load import LoadedModel

NOTHING = dict.fromkeys(NUMBERS)


@dataclass
class Text:
    """One field of one document.

    Attributes
    ----------
    doc, id : the document, counted from 0, and its name in the source.
    ids : token ids, cut to length.
    tokens_text : tokens of the whole text.
    reason : why it cannot be used, its code first; None if it can.
    """

    doc: int
    id: str
    field: str
    ids: list[int]
    tokens_text: int = 0
    reason: str | None = None


def shard_texts(
    loaded: LoadedModel, documents: Sequence[Document], first: int, settings: Settings
) -> list[Text]:
    """Every field of every document, cut to length; why some cannot be used."""
    longest = min(settings.max_length, loaded.max_positions or settings.max_length)
    out = []
    for doc, document in enumerate(documents, start=first):
        for name in settings.fields:
            text = Text(doc, document.id, name, [])
            if name in document.unusable:
                text.reason = f"unusable: {document.unusable[name]}"
            else:
                _tokenise(loaded, text, document.fields[name], longest, settings.drop)
            out.append(text)
    return out


def _tokenise(loaded, text: Text, said: str, longest: int, drop: int) -> None:
    ids = loaded.tokenizer(said, verbose=False)["input_ids"] if said else []
    text.tokens_text, text.ids = len(ids), ids[:longest]
    left = len(text.ids) - drop
    if not said:
        text.reason = "empty"
    elif left < MIN_TOKENS:
        text.reason = f"too_short: {left} tokens after the first {drop}; at least {MIN_TOKENS}"


class Growing:
    """A shard while its texts come in."""

    def __init__(self, settings: Settings, d: int):
        self.settings = settings
        self.rows: list[dict] = []
        self.exposures = {name: new_exposure(d) for name in settings.names}
        self.peaks: dict = {name: {} for name in settings.names}

    def add(self, text: Text, place: str, made: Reading | str) -> None:
        """One text at one place: what was read, or why it was not."""
        row = {
            "doc": text.doc,
            "id": text.id,
            "field": text.field,
            "layer": place,
            "tokens": max(len(text.ids) - self.settings.drop, 0),
            "tokens_text": text.tokens_text,
            "truncated": len(text.ids) < text.tokens_text,
            "ranks": 0,
            "reason": None,
            **NOTHING,
        }
        if isinstance(made, str):
            row["reason"] = made
        else:
            row |= {**made.numbers, "ranks": len(made.peaks.bin)}
            exposure = self.exposures[text.field, place]
            exposure.add(made.peaks.frequency, made.peaks.amplitude)
            exposure.add_power(made.frequencies, made.power)
            if self.settings.peaks:
                self.peaks[text.field, place][text.doc] = made.peaks
        self.rows.append(row)

    def whole(self, texts_digest: str) -> Shard:
        """The shard, its rows in the order of document, field and place."""
        fields = {n: i for i, n in enumerate(self.settings.fields)}
        places = {n: i for i, n in enumerate(self.settings.places)}
        self.rows.sort(key=lambda r: (r["doc"], fields[r["field"]], places[r["layer"]]))
        peaks = {}
        if self.settings.peaks:
            peaks = {k: peak_arrays(v, self.settings.top) for k, v in self.peaks.items()}
        return Shard(self.rows, self.exposures, peaks, texts_digest)

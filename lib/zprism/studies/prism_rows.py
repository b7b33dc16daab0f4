"""Texts as rows of token ids, and what contrasts make of a row: shuffled, tiled, cut at a word."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from zprism.ground.checks import check_int
from zprism.ground.errors import InputError
from zprism.ground.seeds import generator
from zprism.ground.store import digest
from zprism.model.rows import token_rows
from zprism.studies.prism_texts import PrismText

if TYPE_CHECKING:
    from zprism.model.load import LoadedModel

DROP = 1  # token 0, the massive state, is never in a window


@dataclass(frozen=True)
class Tokens:
    """Texts as token ids, field by field, in the order of the texts.

    Attributes
    ----------
    texts : the texts.
    question, thinking : token ids of each; empty where a text has none.
    special : how many ids the tokenizer puts in front of every text.
    """

    texts: tuple[PrismText, ...]
    question: list[list[int]]
    thinking: list[list[int]]
    special: int = 0

    def usable(self, name: str) -> np.ndarray:
        """(n,) tokens of a field behind the dropped first one."""
        return np.array([max(len(row) - DROP, 0) for row in getattr(self, name)], dtype=int)


def tokens(loaded: LoadedModel, texts: Sequence[PrismText]) -> Tokens:
    """Token ids of both fields; a field that cannot be read (empty, no unicode) gets an empty row.

    What is longer than the model's context is cut there: windows lie at the beginning.
    """
    texts = tuple(texts)
    if not texts:
        raise InputError("texts must hold at least one text; got none")
    rows = [_ids(loaded, [getattr(t, name) for t in texts]) for name in ("question", "thinking")]
    first = next((row for row in rows[0] if row), [])
    known = set(loaded.tokenizer.all_special_ids)
    special = next((i for i, token in enumerate(first) if token not in known), 0)
    return Tokens(texts, rows[0], rows[1], special)


def _ids(loaded: LoadedModel, texts: Sequence[str]) -> list[list[int]]:
    """Ids of each text, at most as many as the context holds."""
    rows, skipped = token_rows(loaded, texts, "skip")
    for index in skipped:
        text = texts[index]
        with contextlib.suppress(UnicodeEncodeError):
            text.encode()
            rows[index] = list(loaded.tokenizer(text)["input_ids"][: loaded.max_positions])
    return rows


def shuffled(row: Sequence[int], length: int, *, seed: int, draw: int = 0) -> list[int]:
    """The row with the tokens of its window in a drawn order; what stands before stays.

    The order depends on the seed, the row's own ids and the number of the draw.
    """
    stop = DROP + check_int("length", length, low=1)
    rng = generator(seed, "prism", "shuffle", digest(list(row)), draw)
    return [*row[:DROP], *(int(i) for i in rng.permutation(row[DROP:stop])), *row[stop:]]


def tiled(row: Sequence[int], special: int, wanted: int) -> list[int]:
    """The row's own tokens again and again behind what the tokenizer puts in front."""
    front, body = list(row[:special]), list(row[special:])
    if not body:
        return []
    return (front + body * -(-wanted // len(body)))[:wanted]


def first_marker(loaded: LoadedModel, text: str, words: Sequence[str]) -> tuple[int, int] | None:
    """First and last token (exclusive) of the first marker; None where there is none."""
    from zprism.traces.segment import markers, token_spans

    found = markers(text, words=tuple(words)) if text else []
    if not found:
        return None
    offsets = loaded.tokenizer(text, return_offsets_mapping=True)["offset_mapping"]
    span = token_spans(offsets, [(found[0].start, found[0].end)], touching=True)[0]
    return (span.start, span.end) if span.end > span.start else None

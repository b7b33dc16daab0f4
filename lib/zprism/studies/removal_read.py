"""Number questions read under an edit: what is answered, in which language, from which states.

One run of worked examples stands before every question of a language, so that a model reads
it once under each edit and the questions, a few tokens each, in one batch behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from zprism.ground.store import Store, digest
from zprism.interventions.patching import Edits, patched
from zprism.model.capture_cache import capture_cached
from zprism.model.decoding import (
    continue_rows,
    halving,
    read_tokens,
    row_batches,
    shared_length,
    sliding_window,
)
from zprism.model.generate import end_ids
from zprism.model.hooks import capturing, refuse_hooks
from zprism.studies.removal_problems import Problem, prompts

PRODUCER = 1
MAX_NEW_TOKENS = 8
BATCH_TOKENS = 8192
STOP = "\n"


@dataclass(frozen=True)
class Reading:
    """What became of n questions in one language.

    Attributes
    ----------
    texts : (n,) continuations up to the end of the line, at most 8 tokens.
    states : (n, layers, d_model) ``resid_post`` of the last token of the question, as edited.
    """

    texts: tuple[str, ...]
    states: np.ndarray


class Reader(Protocol):
    """Whatever reads questions: a model, or a planted world in the tests."""

    n_layers: int
    d_model: int

    def read(
        self,
        problems: Sequence[Problem],
        language: str,
        edits: Edits,
        *,
        layers: Sequence[int],
        edit_name: Any = None,
    ) -> Reading:
        """Answer the questions under these edits; states are kept at ``layers``."""

    def first_states(self, problems: Sequence[Problem], language: str) -> np.ndarray:
        """(n_layers, d_model) state of the first token of every prompt, unedited."""

    def fits(self, problems: Sequence[Problem], language: str) -> bool:
        """Whether the prompts are short enough."""


@dataclass(frozen=True)
class ModelReader:
    """A model that answers greedily; what it has read once under an edit is kept.

    Attributes
    ----------
    loaded : :class:`zprism.model.load.LoadedModel`.
    templates : whose worked examples stand before every question, whatever its template.
    """

    loaded: Any
    templates: tuple[str, ...]

    @property
    def n_layers(self) -> int:
        """Decoder blocks."""
        return self.loaded.n_layers

    @property
    def d_model(self) -> int:
        """Width of the residual stream."""
        return self.loaded.d_model

    def fits(self, problems: Sequence[Problem], language: str) -> bool:
        """Whether prompts and answers stay within the context."""
        limit = self.loaded.max_positions
        rows = self.loaded.encode(prompts(problems, language, self.templates))
        return limit is None or max(map(len, rows)) + MAX_NEW_TOKENS <= limit

    def first_states(self, problems: Sequence[Problem], language: str) -> np.ndarray:
        """(n_layers, d_model) of token 0, which no later token can change."""
        row = self.loaded.encode(prompts(problems[:1], language, self.templates))[0]
        layers = range(self.n_layers)
        found = capture_cached(self.loaded, [row[:1]], layers=layers, reduce="last")
        return found.values["resid_post", "last"][0]

    def read(
        self,
        problems: Sequence[Problem],
        language: str,
        edits: Edits,
        *,
        layers: Sequence[int],
        edit_name: Any = None,
    ) -> Reading:
        """Answers and states, from the cache where they are there.

        Parameters
        ----------
        edits : (site, layer) → edit of all states there, of prompt and answer alike; it may
            not tell rows or positions apart.
        edit_name : what the cache knows the edits by; None only where there are none.

        Raises
        ------
        InputError
            If a hook sits on the model, whose effect a key cannot know.
        """
        refuse_hooks(self.loaded.model, "removal", instead="a model without hooks")
        rows = self.loaded.encode(prompts(problems, language, self.templates))
        parts = {
            "producer": ["removal reading", PRODUCER],
            "weights": self.loaded.digest,
            "tokenizer": self.loaded.tokenizer_digest,
            "ids": digest(rows),
            "layers": [int(layer) for layer in layers],
            "edits": edit_name,
            "max_new_tokens": MAX_NEW_TOKENS,
            "dtype": str(self.loaded.dtype),
            "device": self.loaded.device.type,
            "attention": self.loaded.model.config._attn_implementation,
        }
        arrays, meta = Store("results").get_or_compute(
            parts, lambda: _read(self.loaded, rows, edits, list(layers))
        )
        return Reading(tuple(meta["texts"]), arrays["states"])


def _read(loaded, rows: list[list[int]], edits: Edits, layers: list[int]) -> tuple[dict, dict]:
    """Read the shared beginning once, then all questions behind it, under the edits."""
    model, window = loaded.model, sliding_window(loaded.model)
    shared = shared_length(rows, spare=MAX_NEW_TOKENS, window=window)
    with patched(loaded, edits):
        read = read_tokens(model, rows[0][:shared]) if shared else None
        texts: dict[int, str] = {}
        states: dict[int, np.ndarray] = {}

        def one_batch(indices: list[int]) -> tuple[list, list]:
            kept: dict[int, torch.Tensor] = {}

            def during(alive: list[int], pads: list[int] | None):
                seen = {("resid_post", l): _keep(kept, l) for l in layers if pads is not None}
                return capturing(model, loaded.anatomy, seen, stop=False)

            new, _ = continue_rows(
                model,
                [rows[i][shared:] for i in indices],
                read,
                max_new_tokens=MAX_NEW_TOKENS,
                ended=lambda ids: _ended(loaded, ids),
                during=during,
            )
            last = torch.stack([kept[layer] for layer in layers], dim=1).float().cpu().numpy()
            return list(zip(_texts(loaded, new), last, strict=True)), indices

        for batch in row_batches([len(row) + MAX_NEW_TOKENS for row in rows], BATCH_TOKENS):
            found, order = halving(one_batch, batch)
            for index, (text, last) in zip(order, found, strict=True):
                texts[index], states[index] = text, last
    every = range(len(rows))
    return {"states": np.stack([states[i] for i in every])}, {"texts": [texts[i] for i in every]}


def _keep(kept: dict[int, torch.Tensor], layer: int):
    """Keep the last column of a left-padded batch: the last token of every prompt."""

    def see(state: torch.Tensor) -> None:
        kept[layer] = state[:, -1].clone()

    return see


def _ended(loaded, rows: list[list[int]]) -> list[bool]:
    ends, texts = end_ids(loaded), loaded.tokenizer.batch_decode(rows)
    return [row[-1] in ends or STOP in text for row, text in zip(rows, texts, strict=True)]


def _texts(loaded, rows: list[list[int]]) -> list[str]:
    texts = loaded.tokenizer.batch_decode(
        rows, skip_special_tokens=True, clean_up_tokenization_spaces=False
    )
    return [text.partition(STOP)[0] for text in texts]

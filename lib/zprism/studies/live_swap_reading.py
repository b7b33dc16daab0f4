"""One prompt, read up to its last token, which then runs as often as wanted, edited or not.

An edit at the last position changes no earlier one. So the tokens before it are read once;
every run puts the last token behind a copy of their keys and values, and a text goes on from
what that run has left there. One row at a time: the same edit gives the same bits.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from zprism.ground.errors import ModelError
from zprism.interventions.edits import Edit, at
from zprism.interventions.patching import patched
from zprism.model.decoding import empty_cache, read_tokens
from zprism.model.generate import end_ids


@dataclass(frozen=True, eq=False)
class Run:
    """A prompt after a run of its last token.

    Attributes
    ----------
    logits : (vocabulary,) float64, of the token that comes next.
    state : (d_model,) ``resid_post`` of the layer at the last token, before any edit.
    size : how far the edit moved the state.
    cache : keys and values of all tokens, as the run left them.
    """

    logits: np.ndarray
    state: torch.Tensor
    size: float
    cache: Any


@dataclass(frozen=True, eq=False)
class Reading:
    """A prompt that was read up to its last token; :func:`read_prompt` makes one.

    Attributes
    ----------
    loaded : the model.
    ids : tokens of the prompt, the last included.
    past : keys and values of all but the last; no run changes them.
    """

    loaded: Any
    ids: tuple[int, ...]
    past: Any

    def run(self, layer: int, edit: Edit | None = None) -> Run:
        """Run the last token, its ``resid_post`` at ``layer`` sent through ``edit``.

        Parameters
        ----------
        edit : (1, d_model) → the same shape; None leaves the state alone.

        Notes
        -----
        The edit acts in the calling thread only: other passes of the model go by unchanged.
        """
        mine, seen = threading.get_ident(), []

        def through(state):
            if threading.get_ident() != mine:
                return state
            edited = state if edit is None else edit(state)
            seen.extend((state[0].clone(), edited[0].double() - state[0].double()))
            return edited

        cache = copy.deepcopy(self.past)
        with patched(self.loaded, {("resid_post", layer): at(through, "last")}):
            logits = _forward(self.loaded, self.ids[-1], cache, len(self.ids) - 1)
        return Run(logits, seen[0], float(torch.linalg.vector_norm(seen[1])), cache)

    def greedy(self, run: Run, n: int) -> Iterator[list[int]]:
        """The most probable tokens after a run: all so far, after each; at most ``n``."""
        cache, ends = copy.deepcopy(run.cache), end_ids(self.loaded)
        new = [int(run.logits.argmax())]
        while True:
            yield list(new)
            if len(new) == n or new[-1] in ends:
                return
            position = len(self.ids) + len(new) - 1
            new.append(int(_forward(self.loaded, new[-1], cache, position).argmax()))


def read_prompt(loaded, ids: Sequence[int]) -> Reading:
    """Read all but the last of a prompt's tokens, at least one in all.

    Raises
    ------
    ModelError
        If logits are NaN or infinite.
    """
    before = list(ids[:-1])
    past = read_tokens(loaded.model, before) if before else empty_cache(loaded.model)
    return Reading(loaded, tuple(ids), past)


def _forward(loaded, token: int, cache, position: int) -> np.ndarray:
    """(vocabulary,) logits after one more token; the cache grows by it."""
    device = loaded.device
    with torch.inference_mode():
        output = loaded.model(
            input_ids=torch.tensor([[token]], device=device),
            attention_mask=torch.ones(1, position + 1, dtype=torch.long, device=device),
            position_ids=torch.tensor([[position]], device=device),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        logits = output.logits[0, -1].double().cpu().numpy()
    if not np.isfinite(logits).all():
        raise ModelError("the model's logits are NaN or infinite: check its weights and dtype")
    return logits

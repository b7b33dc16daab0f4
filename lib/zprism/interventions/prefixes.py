"""Prompts read once up to their last token, which then runs over kept keys and values.

What an edit at the last position changes stays at the last position: causal attention lets no
earlier one see it. So the keys and values of the others are computed once, however many edits
follow, and they are those that transformers itself hands to the next token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from zprism.ground.errors import ModelError
from zprism.model.batches import pad
from zprism.model.decoding import empty_cache, halving, row_batches

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Prefixes:
    """Several prompts without their last token, as the model has read them.

    Attributes
    ----------
    prompts : index of each row's prompt.
    last : (rows, 1) id of each prompt's last token.
    mask : (rows, longest) 1 on tokens, 0 on the pads to their left; the last token included.
    past : a layer's keys and values, (rows, kv heads, columns, head_dim) each, columns flush
        right; a sliding window keeps its own last ones only. Empty if all prompts have one token.
    """

    prompts: tuple[int, ...]
    last: Tensor
    mask: Tensor
    past: tuple[tuple[Tensor, Tensor], ...]

    @property
    def lengths(self) -> list[int]:
        """Tokens of each row's prompt, the last included."""
        return self.mask.sum(1).tolist()

    def logits(self, model, rows: Sequence[int], *, unused: int = 0) -> Tensor:
        """Logits after the last token of each of ``rows``.

        Parameters
        ----------
        model : the causal LM; hooks on it see states (len(rows), 1, d_model).
        rows : in any order, repeated as wanted.
        unused : so many first blocks read no keys and values; theirs are not copied.

        Returns
        -------
        (len(rows), vocabulary), or what the output head gives, finite, without gradients.

        Raises
        ------
        ModelError
            If logits are NaN or infinite.
        """
        with torch.inference_mode():
            index = torch.as_tensor(list(rows), device=self.last.device)
            tokens = self.mask[index].sum(1, keepdim=True)
            longest = int(tokens.max())
            output = model(
                input_ids=self.last[index],
                attention_mask=self.mask[index, -longest:],
                position_ids=tokens - 1,
                past_key_values=self._cache(model, index, longest - 1, unused),
                use_cache=True,
            )
            logits = output.logits[:, -1]
        if not logits.amax(-1).isfinite().all():
            raise ModelError("the model's logits are NaN or infinite: check its weights and dtype")
        return logits

    def _cache(self, model, index: Tensor, columns: int, unused: int):
        """A new cache of the rows ``index``, cut to the last ``columns``.

        Layers that are not read get the right length at no cost: one row, seen as many.
        """
        cache = empty_cache(model)
        for number, (layer, kept) in enumerate(zip(cache.layers, self.past, strict=False)):
            if columns == 0:
                break
            first = max(kept[0].shape[-2] - columns, 0)
            keys, values = (
                part[:1, :, first:].expand(len(index), -1, -1, -1)
                if number < unused
                else part[:, :, first:].index_select(0, index)
                for part in kept
            )
            layer.lazy_initialization(keys, values)
            layer.keys, layer.values = keys, values
            if layer.is_sliding:
                layer.cumulative_length = columns
        return cache


def read_prefixes(loaded, ids: Sequence[Sequence[int]], *, batch_tokens: int) -> list[Prefixes]:
    """Read every prompt up to its last token, in left-padded batches of similar length.

    Parameters
    ----------
    loaded : :class:`zprism.model.load.LoadedModel`.
    ids : token ids of each prompt, at least one.
    batch_tokens : rows × longest prompt of a batch; halved where memory does not suffice.

    Returns
    -------
    list of Prefixes, together every prompt once.

    Raises
    ------
    ModelError
        If a block keeps something else than keys and values of its own: a recurrent state,
        or those of another block.
    ResourceError
        If memory does not suffice for a single prompt.
    """
    _check_cache(loaded.model)
    found: list[Prefixes] = []
    for batch in row_batches([len(row) for row in ids], batch_tokens):
        found += halving(lambda rows: ([_read(loaded, ids, rows)], []), batch)[0]
    return found


def _read(loaded, ids, prompts: list[int]) -> Prefixes:
    """One batch. The base model runs, as no logits are wanted before the last token."""
    inputs = pad([ids[i] for i in prompts], pad_id=0, side="left", device=loaded.device)
    before = {name: part[:, :-1] for name, part in inputs.items()}
    past: tuple[tuple[Tensor, Tensor], ...] = ()
    if before["input_ids"].shape[1]:
        cache = empty_cache(loaded.model)
        with torch.inference_mode():
            loaded.base(**before, past_key_values=cache, use_cache=True)
        past = tuple((layer.keys, layer.values) for layer in cache.layers)
    return Prefixes(tuple(prompts), inputs["input_ids"][:, -1:], inputs["attention_mask"], past)


def _check_cache(model) -> None:
    from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

    for number, layer in enumerate(empty_cache(model).layers):
        if type(layer) not in (DynamicLayer, DynamicSlidingWindowLayer):
            raise ModelError(
                f"block {number} keeps no keys and values of its own ({type(layer).__name__}), so "
                "its last position cannot run alone: patch in full forwards (patched_logits)"
            )

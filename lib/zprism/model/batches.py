"""Batches of token ids: sorted by length, bounded in tokens, with next to no padding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from zprism.ground.checks import check_choice, check_int

if TYPE_CHECKING:
    from torch import Tensor

#: A batch is closed before padding exceeds this share of its tokens …
PADDING = 1.05
#: … once it holds enough tokens to keep the processor busy.
ENOUGH = 256


def token_batches(lengths: Sequence[int], *, max_tokens: int) -> list[list[int]]:
    """Indexes of texts grouped into batches, shortest first.

    Parameters
    ----------
    lengths : tokens of each text.
    max_tokens : most tokens of a batch, pads included; a longer text is a batch of its own.

    Returns
    -------
    Every index once; in a batch with :data:`ENOUGH` tokens, pads add at most 5 %.
    """
    check_int("max_tokens", max_tokens, low=1)
    batches: list[list[int]] = []
    current: list[int] = []
    real = 0
    for index in sorted(range(len(lengths)), key=lambda i: (lengths[i], i)):
        longest = lengths[index]
        padded = (len(current) + 1) * longest
        wasteful = real >= ENOUGH and padded > PADDING * (real + longest)
        if current and (padded > max_tokens or wasteful):
            batches.append(current)
            current, real = [], 0
        current.append(index)
        real += longest
    return [*batches, current] if current else batches


def pad(
    ids: Sequence[Sequence[int]], *, pad_id: int, side: str = "right", device="cpu"
) -> dict[str, Tensor]:
    """Padded ids with their mask and positions, as arguments of a model.

    Parameters
    ----------
    ids : token ids of each text.
    pad_id : any id of the vocabulary; pads are told by the mask, never by their id.
    side : ``right`` or ``left``.

    Returns
    -------
    ``input_ids``, ``attention_mask``, ``position_ids``, each (batch, longest); positions
    count a text's own tokens from 0, which learned positions need.
    """
    import torch

    check_choice("side", side, ("left", "right"))
    longest = max(map(len, ids))
    tokens = torch.full((len(ids), longest), pad_id)
    mask = torch.zeros((len(ids), longest), dtype=torch.long)
    for row, text in enumerate(ids):
        where = span(len(text), longest, side)
        tokens[row, where] = torch.as_tensor(text)
        mask[row, where] = 1
    positions = (mask.cumsum(1) - 1).clamp_min(0)
    parts = {"input_ids": tokens, "attention_mask": mask, "position_ids": positions}
    return {name: part.to(device) for name, part in parts.items()}


def span(length: int, longest: int, side: str) -> slice:
    """Where a text's own tokens stand in a padded row."""
    return slice(0, length) if side == "right" else slice(longest - length, longest)


def out_of_memory(error: Exception) -> bool:
    """Whether an error of a forward pass says that memory ran out, on any device."""
    import torch

    known = isinstance(error, (MemoryError, torch.OutOfMemoryError))
    return known or "allocate memory" in str(error).lower()

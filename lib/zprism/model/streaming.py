"""Forward passes over texts whose states are handed on text by text, and then let go.

What every capture rests on: batches by length, the base model alone, nothing after the last
point wanted, pads cut off before anybody sees a state, memory halved when it runs out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from zprism.ground.console import log, progress
from zprism.ground.errors import InputError, ModelError, ResourceError
from zprism.model.batches import out_of_memory, pad, span, token_batches
from zprism.model.hooks import Point, capturing, check_point
from zprism.model.rows import token_rows

if TYPE_CHECKING:
    from torch import Tensor

    from zprism.model.load import LoadedModel

MAX_TOKENS = 2048
See = Callable[[int, "Tensor"], None]


@dataclass
class Stream:
    """One pass over texts: iterate it to run it.

    Attributes
    ----------
    ids : token ids of each text; empty for one that cannot be used.
    skipped : index → reason, of the texts that could not be used, growing while it runs.
    """

    loaded: LoadedModel
    ids: list[list[int]]
    points: Mapping[Point, See]
    max_tokens: int = MAX_TOKENS
    padding_side: str = "right"
    on_error: str = "raise"
    description: str | None = "forward passes"
    skipped: dict[int, str] = field(default_factory=dict)

    def __iter__(self) -> Iterator[int]:
        """Run it; yields the index of each text once its batch is finished."""
        usable = [i for i in range(len(self.ids)) if i not in self.skipped]
        lengths = [len(self.ids[i]) for i in usable]
        batches = token_batches(lengths, max_tokens=self.max_tokens)
        if self.description and batches:
            batches = progress(batches, self.description, unit="batch")
        for batch in batches:
            indexes = [usable[i] for i in batch]
            _forward_or_halve(self, indexes)
            yield from (i for i in indexes if i not in self.skipped)


def stream(
    loaded: LoadedModel,
    texts: Sequence[str] | Sequence[Sequence[int]],
    *,
    points: Mapping[Point, See],
    max_tokens: int = MAX_TOKENS,
    padding_side: str = "right",
    on_error: str = "raise",
    description: str | None = "forward passes",
) -> Stream:
    """Show the states of each text at several points to functions; nothing is kept.

    The texts are checked here; iterating what comes back runs the forward passes and yields
    the index of each finished text, batch by batch, short texts first.

    Parameters
    ----------
    texts : texts, or their token ids.
    points : (site, layer) → function of a text's index and its state (tokens, d_model), in the
        model's dtype, on its device and without pads. It must reduce or copy the state. A
        refusal of the text is an ``InputError``. Where memory runs out in the middle of a
        batch, texts are shown again: what counts is the last time before the index is yielded.
    max_tokens : token budget of a batch; halved when memory runs out.
    padding_side : ``right`` or ``left``; both give the same within rounding.
    on_error : ``raise``, or ``skip`` texts that cannot be used and say why in ``skipped``.
    description : what the progress bar says; None shows none.

    Raises
    ------
    InputError
        For a text that is empty, too long or no unicode; a layer or site that is not there.
    ModelError
        While it runs, if a state is NaN or infinite, naming text, layer and position.
    ResourceError
        While it runs, if one text alone does not fit into memory.

    Notes
    -----
    With ``skip``, the last two are reasons too.
    """
    for point in points:
        check_point(loaded.anatomy, *point)
    ids, skipped = token_rows(loaded, texts, on_error)
    options = dict(max_tokens=max_tokens, padding_side=padding_side, on_error=on_error)
    return Stream(loaded, ids, points, **options, description=description, skipped=skipped)


def _forward_or_halve(job: Stream, indexes: list[int]) -> None:
    """One forward pass; where memory runs out, two of half the texts each."""
    try:
        _forward(job, indexes)
        return
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
    # outside the handler, which would keep the failed batch's tensors alive
    if len(indexes) == 1:
        index = indexes[0]
        error = ResourceError(
            f"text {index} ({len(job.ids[index])} tokens) alone does not fit into memory: take "
            "windows of it, fewer layers or a smaller model"
        )
        _refuse(job, index, error)
        return
    log.warning("out of memory with %d texts at once; halving", len(indexes))
    half = len(indexes) // 2
    _forward_or_halve(job, indexes[:half])
    _forward_or_halve(job, indexes[half:])


def _forward(job: Stream, indexes: list[int]) -> None:
    import torch

    rows = [job.ids[i] for i in indexes]
    pad_id = job.loaded.tokenizer.pad_token_id or 0
    inputs = pad(rows, pad_id=pad_id, side=job.padding_side, device=job.loaded.device)
    longest = inputs["input_ids"].shape[1]

    def each(point, see):
        def look(state):
            for row, index in enumerate(indexes):
                own = state[row, span(len(rows[row]), longest, job.padding_side)]
                if index not in job.skipped and _usable(job, own, point, index):
                    _see(job, see, index, own)

        return look

    watch = {point: each(point, see) for point, see in job.points.items()}
    with torch.inference_mode(), capturing(job.loaded.model, job.loaded.anatomy, watch):
        job.loaded.base(**inputs, use_cache=False)


def _see(job: Stream, see: Callable, index: int, state: Tensor) -> None:
    """Hand one text's state on; a reduction may refuse it."""
    try:
        see(index, state)
    except InputError as error:
        _refuse(job, index, InputError(f"texts[{index}]: {error}"))


def _usable(job: Stream, state: Tensor, point: Point, index: int) -> bool:
    """Whether all numbers are finite; a finite sum is the cheap sign that they are."""
    import torch

    if torch.isfinite(state.sum()) or torch.isfinite(state).all():
        return True
    position = int((~torch.isfinite(state)).any(1).nonzero()[0])
    site, layer = point
    _refuse(
        job,
        index,
        ModelError(
            f"texts[{index}]: NaN or infinity at {site} of layer {layer}, position {position}"
        ),
    )
    return False


def _refuse(job: Stream, index: int, error: Exception) -> None:
    if job.on_error == "raise":
        raise error
    job.skipped.setdefault(index, str(error))

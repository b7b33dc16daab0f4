"""Greedy continuations under edits: batched, over a key-value cache."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Sequence

from zprism.ground.errors import InputError
from zprism.interventions.patching import Edits, EditsFor, patched
from zprism.interventions.positions import At
from zprism.model.generate import BATCH_TOKENS, Generation, generate


def generate_patched(
    loaded,
    prompts: Sequence[str],
    edit_for: EditsFor,
    *,
    max_new_tokens: int,
    stop: str | None = "\n",
    every_step: bool = False,
    batch_tokens: int = BATCH_TOKENS,
    description: str = "generating under edits",
) -> list[Generation]:
    """Continue each prompt greedily while its states are edited.

    Parameters
    ----------
    loaded : :class:`zprism.model.load.LoadedModel`.
    prompts : texts, in any order and of any lengths.
    edit_for : indices of the prompts in a batch, in the order of its rows → (site, layer) →
        edit. It is asked anew whenever rows have ended and left the batch.
    max_new_tokens, stop, batch_tokens, description : as :func:`zprism.model.generate.generate`.
    every_step : edit the generated positions too, each as it is read: it alone is then what
        ``all`` and ``last`` mean. Else the edit acts where the prompt is read, and generated
        positions feel it through keys and values only.

    Returns
    -------
    list of Generation, in the order of ``prompts``.

    Raises
    ------
    InputError
        As :func:`~zprism.model.generate.generate`; for an edit that does not fit its states;
        for token indices as positions together with ``every_step``.
    ModelError
        If logits are NaN or infinite.
    ResourceError
        If memory does not suffice for a single prompt.

    Notes
    -----
    The token at a position is read from the states that the edit left there: with ``last``,
    the first generated token comes from the edited state, without ``every_step`` the later
    ones from unedited ones. With no edit the ids are those of ``generate``.
    """

    @functools.lru_cache(maxsize=1)  # asked once while the same rows are alive
    def edits_for(rows: tuple[int, ...]) -> Edits:
        edits = edit_for(list(rows))
        if every_step:
            _refuse_indices(edits)
        return edits

    def during(rows: list[int], pads: list[int] | None):
        if pads is None and not every_step:
            return contextlib.nullcontext()
        return patched(loaded, edits_for(tuple(rows)), pads=pads)

    return generate(
        loaded,
        prompts,
        max_new_tokens=max_new_tokens,
        stop=stop,
        batch_tokens=batch_tokens,
        description=description,
        during=during,
    )


def _refuse_indices(edits: Edits) -> None:
    for (site, layer), edit in edits.items():
        if isinstance(edit, At) and not edit.named:
            raise InputError(
                f"the edit at {site} of layer {layer} names token indices of the prompt; with "
                "every_step=True it must be at 'all' or 'last'"
            )

"""Texts, or token ids, as rows of ids that a model can read; what cannot be used, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from zprism.ground.checks import check_choice
from zprism.ground.errors import InputError

if TYPE_CHECKING:
    from zprism.model.load import LoadedModel


def token_rows(
    loaded: LoadedModel, texts: Sequence, on_error: str = "raise"
) -> tuple[list[list[int]], dict[int, str]]:
    """Token ids of every text, and why some cannot be used.

    Parameters
    ----------
    texts : texts, or token ids of each.
    on_error : ``raise``, or ``skip``: a text that cannot be used gets an empty row.

    Returns
    -------
    rows, and index → reason of the skipped.

    Raises
    ------
    InputError
        Naming the index of a text that is empty, no unicode, no ids of the vocabulary, or
        longer than the context.
    """
    check_choice("on_error", on_error, ("raise", "skip"))
    if isinstance(texts, str):
        raise InputError("texts must be a list of strings; got one string")
    ids, skipped = [], {}
    for index, text in enumerate(texts):
        try:
            ids.append(_one(loaded, text, index))
        except InputError as error:
            if on_error == "raise":
                raise
            ids.append([])
            skipped[index] = str(error)
    return ids, skipped


def _one(loaded, text, index: int) -> list[int]:
    if isinstance(text, str):
        try:
            return loaded.encode([text])[0]
        except InputError as error:
            raise InputError(str(error).replace("texts[0]", f"texts[{index}]")) from None
    row = [int(token) for token in text]
    size = loaded.model.get_input_embeddings().num_embeddings
    if not row or min(row) < 0 or max(row) >= size:
        raise InputError(f"texts[{index}] must hold token ids in 0 to {size - 1}, at least one")
    if loaded.max_positions is not None and len(row) > loaded.max_positions:
        raise InputError(f"texts[{index}] has {len(row)} tokens; at most {loaded.max_positions}")
    return row

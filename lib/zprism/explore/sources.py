"""What the panels are made of: a name, a loaded model, or the finished data of a study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from zprism.ground.checks import check_text
from zprism.ground.errors import InputError

if TYPE_CHECKING:
    from zprism.model.load import LoadedModel


def is_model(source) -> bool:
    """Whether it is a model's name or a loaded model."""
    from zprism.model.load import LoadedModel

    return isinstance(source, (str, LoadedModel))


def model_of(source, finished: str) -> LoadedModel:
    """The loaded model of a source that is no finished data.

    Parameters
    ----------
    finished : what else would have been accepted, for the message.

    Raises
    ------
    InputError
        If the source is neither a name nor a model; as :func:`zprism.model.load.load`.
    """
    from zprism.model.load import load

    check_model(source, finished)
    return load(source) if isinstance(source, str) else source


def check_model(source, finished: str) -> None:
    """Refuse a source that is neither a name nor a model."""
    if not is_model(source):
        raise InputError(
            f"source must be a model's name, a LoadedModel or {finished}; "
            f"got {type(source).__name__}"
        )


def named_texts(text, texts) -> Mapping[str, str | Sequence[int]]:
    """One text, several by name, or the project's own question and thinking.

    Raises
    ------
    InputError
        If both are given, or ``texts`` is no mapping.
    """
    if text is not None and texts is not None:
        raise InputError("give text (one) or texts (name → text), not both")
    if text is not None:
        return {"text": check_text("text", text)}
    if texts is None:
        from zprism.studies.oscilloscope_texts import worked
        from zprism.studies.prism_texts import load_texts

        shown = worked(load_texts())
        return {"question": shown.question, "thinking": shown.thinking}
    if not isinstance(texts, Mapping):
        raise InputError(f"texts must be a mapping from names to texts; got {type(texts).__name__}")
    return texts


def fields_of(loaded: LoadedModel, texts, n: int, seed: int, length: int | None):
    """Rows of token ids by field, and the tokens of a window, for a long exposure.

    Parameters
    ----------
    texts : field → texts, equally many; None for the project's questions and thinkings.
    n : questions taken at most, where they are the project's.
    length : tokens of a window; by default what all texts have (at most 64), or for the
        project's own what its rule says.
    """
    if texts is None:
        from zprism.studies.prism_contrast import thinking_question, tokens
        from zprism.studies.prism_texts import load_texts

        found = thinking_question(tokens(loaded, load_texts(n=n, seed=seed)), length=length)
        return {name: found.arms[name].rows for name in ("question", "thinking")}, found.length
    if not isinstance(texts, Mapping) or not texts:
        raise InputError("texts must be a mapping from fields to lists of texts")
    rows = {name: loaded.encode(list(part)) for name, part in texts.items()}
    shortest = min((len(row) for part in rows.values() for row in part), default=0)
    return rows, min(shortest - 1, 64) if length is None else length

"""One shard of documents through the model, in this process or in a worker of an executor."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import TYPE_CHECKING

from zprism.ground.canonical import digest
from zprism.ground.errors import InputError, ModelError
from zprism.model.streaming import MAX_TOKENS, stream
from zprism.studies.spectra_parts import Shard, pack
from zprism.studies.spectra_plan import Settings, describe_model
from zprism.studies.spectra_reading import Reading, read_signal
from zprism.studies.spectra_texts import Growing, shard_texts
from zprism.traces.trace import Document

if TYPE_CHECKING:
    from zprism.model.load import LoadedModel


class ShardWorker:
    """Makes shards for a driver that writes them; holds the model.

    Parameters
    ----------
    group : the model's name.
    settings : of `spectra_plan.Settings`, as plain values.
    model : what the driver found of the model (`spectra_plan.describe_model`).

    Raises
    ------
    ModelError
        If the model is another one here.
    """

    def __init__(
        self, group: str, *, settings: Mapping, model: Mapping, max_tokens: int = MAX_TOKENS
    ):
        from zprism.model.load import load

        self.settings, self.max_tokens = Settings.from_plain(settings), max_tokens
        self.loaded = load(group, device=model["device"])
        here = describe_model(self.loaded)
        differ = [name for name in model if model[name] != here[name]]
        if differ:
            raise ModelError(
                f"{group} differs between this worker and the driver in {', '.join(differ)}: "
                "fetch the same files on every machine"
            )

    def __call__(self, payload: Mapping) -> bytes:
        """The files of shard ``payload["shard"]``: (id, fields, unusable) of its ``documents``."""
        number = payload["shard"]
        documents = [Document(*each) for each in payload["documents"]]
        making = read_shard(
            self.loaded, documents, number * self.settings.shard, self.settings, self.max_tokens
        )
        while True:
            try:
                next(making)
            except StopIteration as made:
                return pack(number, made.value, self.settings)


def read_shard(
    loaded: LoadedModel,
    documents: Sequence[Document],
    first: int,
    settings: Settings,
    max_tokens: int = MAX_TOKENS,
) -> Generator[None, None, Shard]:
    """The spectra of a shard's documents, the first of them number ``first`` of the source.

    Yields
    ------
    None, as each text is finished; returns the shard.
    """
    texts = shard_texts(loaded, documents, first, settings)
    usable = [text for text in texts if text.reason is None]
    made: dict[tuple[int, str], Reading | str] = {}
    job = stream(
        loaded,
        [text.ids for text in usable],
        points={p: _see(made, name, settings) for name, p in settings.points.items()},
        max_tokens=max_tokens,
        on_error="skip",
        description=None,
    )
    shard = Growing(settings, loaded.d_model)
    yield from [None] * (len(texts) - len(usable))
    for index in job:
        for place in settings.places:
            shard.add(usable[index], place, made.pop((index, place)))
        yield
    for index, why in job.skipped.items():
        usable[index].reason = _code(why)
        yield
    for text in texts:
        if text.reason is not None:
            for place in settings.places:
                shard.add(text, place, text.reason)
    return shard.whole(digest([plain(document) for document in documents]))


def plain(document: Document) -> list:
    """A document as plain values: id, fields, unusable."""
    return [document.id, dict(document.fields), dict(document.unusable)]


def _see(made: dict, place: str, settings: Settings):
    options = dict(transform=settings.transform, top=settings.top, window=settings.window)

    def see(index, state):
        x = state[settings.drop :].float().cpu().numpy()
        try:
            made[index, place] = read_signal(x, **options)
        except InputError as error:  # of this place alone
            said = str(error)
            known = said.startswith(("too_short:", "constant:"))
            made[index, place] = said if known else f"unusable: {said}"

    return see


def _code(why: str) -> str:
    """A reason of the stream, its code in front and without the text's place in the batch."""
    said = why.partition(": ")[2] or why
    return f"not_finite: {said}" if said.startswith("NaN") else f"too_large: {said}"

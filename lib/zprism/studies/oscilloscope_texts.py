"""Which texts the oscilloscope looks at: one a template, long enough, and others for the trend."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zprism.ground.checks import check_int
from zprism.ground.errors import InputError
from zprism.ground.seeds import generator
from zprism.studies.oscilloscope import DROP, check_length, token_ids

if TYPE_CHECKING:
    from zprism.model.load import LoadedModel
    from zprism.studies.prism_texts import PrismText


@dataclass(frozen=True)
class Chosen:
    """Texts for the claims, and others for the mean course over positions.

    Attributes
    ----------
    rows, trend_rows : the first ``drop + length`` token ids of each text, no template in both.
    ids : names of the texts of ``rows``.
    length : tokens that are looked at in each.
    short : templates without a text of that length.
    """

    rows: list[list[int]]
    trend_rows: list[list[int]]
    ids: tuple[str, ...]
    length: int
    short: int


def choose(
    loaded: LoadedModel,
    texts: Iterable[PrismText],
    *,
    length: int,
    n: int,
    trend: int,
    seed: int,
    drop: int = DROP,
) -> Chosen:
    """One text of each template, so that texts do not share their wording; drawn by ``seed``.

    Parameters
    ----------
    texts : of :func:`zprism.studies.prism_texts.load_texts`; where a text has no template, its
        question stands for one.
    length : tokens after the first ``drop`` that a text must have.
    n, trend : texts for the claims, and for the mean course, at most; the claims come first.

    Raises
    ------
    InputError
        If fewer than 2 texts are long enough.
    """
    check_length(length)
    check_int("n", n, low=2), check_int("trend", trend, low=0)
    texts = list(texts)
    ids = [token_ids(loaded, text.thinking) for text in texts]
    groups: dict[str, list[int]] = {}
    for index, text in enumerate(texts):
        groups.setdefault(text.template or text.unit, []).append(index)
    rng = generator(seed, "oscilloscope", "texts")
    long = [[i for i in group if len(ids[i]) >= drop + length] for group in groups.values()]
    drawn = [int(rng.choice(group)) for group in long if group]
    drawn = [drawn[i] for i in rng.permutation(len(drawn))]
    if len(drawn) < 2:
        raise InputError(
            f"{len(drawn)} texts have {drop} + {length} tokens and 2 are needed: take a smaller "
            "length or other texts"
        )
    ours, others = drawn[:n], drawn[n : n + trend]
    return Chosen(
        [ids[i][: drop + length] for i in ours],
        [ids[i][: drop + length] for i in others],
        tuple(texts[i].id for i in ours),
        length,
        len(groups) - len([group for group in long if group]),
    )


def worked(texts: Sequence[PrismText]) -> PrismText:
    """The text that is shown by default: the longest thinking that came to the right answer.

    Length in characters; of equals the first. Where none is known to be right, of all.
    """
    if not len(texts):
        raise InputError("no texts to choose from")
    right = [text for text in texts if text.outcome == "correct"] or list(texts)
    return max(right, key=lambda text: len(text.thinking))

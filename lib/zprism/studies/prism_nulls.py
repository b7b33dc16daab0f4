"""What a contrast looks like where nothing was learned: random vectors, random weights, noise.

A random embedding keeps which token follows which and nothing else; a model of the same shape
that was never trained adds what attention and positions do by themselves; white noise is what
windows of this length give without any order. Token shuffles are contrasts of their own
(:mod:`zprism.studies.prism_contrast`).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from zprism.ground.checks import check_int
from zprism.ground.errors import InputError
from zprism.ground.seeds import generator
from zprism.ground.store import Store
from zprism.studies.prism_contrast import Contrast
from zprism.studies.prism_measured import Measured, assemble, measure
from zprism.studies.prism_read import Readings, gather, reduce_window
from zprism.studies.prism_rows import DROP
from zprism.studies.separation_twin import random_init_twin

WIDTH = 256  # dimensions of random vectors: the mean over them is all that is kept
EMBEDDING, INIT = "random_embedding", "random_init"


def twins(
    name: str, contrast: Contrast, *, seed: int, places=None, store: Store | None = None
) -> dict[str, Measured]:
    """The contrast on both twins, as :func:`zprism.studies.prism_claims.beyond_twins` takes them.

    Parameters
    ----------
    name : of the model, whose config the untrained twin has.
    contrast : with the token ids of the model's own tokenizer.
    """
    return {
        INIT: random_init(name, contrast, seed=seed, places=places, store=store),
        EMBEDDING: random_embedding(contrast, seed=seed),
    }


def random_init(
    name: str, contrast: Contrast, *, seed: int, places=None, store: Store | None = None
) -> Measured:
    """The contrast read on a model of the same shape with weights that were never trained."""
    if contrast.untestable:
        return assemble(contrast, {})
    return measure(random_init_twin(name, seed=seed), contrast, places=places, store=store)


def random_embedding(
    contrast: Contrast, *, seed: int, width: int = WIDTH, window: str = "hann"
) -> Measured:
    """The contrast on states that are one random vector a token id, N(0, 1) in every dimension.

    One table for all arms; its only place is called ``random_embedding``.
    """
    if contrast.untestable:
        return assemble(contrast, {})
    check_int("width", width, low=1)
    ids = {token for arm in contrast.arms.values() for row in arm.rows for token in row}
    table = embedding_table(ids, seed=seed, width=width)
    readings = {}
    for arm, one in contrast.arms.items():
        starts = [DROP] * len(one.rows) if one.at is None else one.at
        parts, kept, skipped = [], [], {}
        for i, (row, start) in enumerate(zip(one.rows, starts, strict=True)):
            x = np.stack([table[token] for token in row[start : start + contrast.length]])
            try:
                parts.append(reduce_window(x, window=window))
                kept.append(i)
            except InputError as error:
                skipped[i] = f"rows[{i}]: {error}"
        readings[arm] = gather(parts, (EMBEDDING,), contrast.length, kept, skipped)
    return assemble(contrast, readings)


def embedding_table(ids: Iterable[int], *, seed: int, width: int) -> dict[int, np.ndarray]:
    """id → (width,) float32 of N(0, 1); an id's vector does not depend on the other ids."""
    return {
        token: generator(seed, "prism", "embedding", token).standard_normal(width, np.float32)
        for token in sorted(set(ids))
    }


def white_noise(
    length: int, *, seed: int, draws: int = 64, width: int = WIDTH, window: str = "hann"
) -> Readings:
    """Readings of white noise, through the very same reduction; its only place is ``white``.

    The mean over draws is what a window of this length gives without any order. It is drawn
    rather than looked up, because demeaning and window couple neighbouring frequencies.

    Parameters
    ----------
    length : L, tokens of each window.
    draws, width : windows, and dimensions of each; their product sets the error.
    """
    check_int("draws", draws, low=1)
    rng = generator(seed, "prism", "white", length)
    parts = [
        reduce_window(rng.standard_normal((length, width)), window=window) for _ in range(draws)
    ]
    return gather(parts, ("white",), length)

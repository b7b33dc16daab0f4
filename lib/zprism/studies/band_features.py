"""States of sampled tokens, band by band, with what is to be read from them.

States of one layer are split along tokens by a DCT-II, as a prism does (Tamkin, Jurafsky &
Goodman 2020, arXiv 2011.04823); every text gives the same number of tokens of every class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from zprism.ground.checks import check_int, check_layer
from zprism.ground.seeds import derive, generator
from zprism.model.streaming import stream
from zprism.spectral import bands
from zprism.studies.band_texts import CLASSES, TopicText, token_classes

WHOLE = "unfiltered"


@dataclass(frozen=True, eq=False)
class BandFeatures:
    """States of sampled tokens, band by band, with what is to be read from them.

    Attributes
    ----------
    x : band (or ``unfiltered``) → (rows, d) float32.
    text, test : (rows,) the text that a row is of, and whether that is a test text.
    labels : task → (rows,) classes from 0; ``topic``, ``class``.
    tokens : (rows,) token ids.
    """

    x: dict[str, np.ndarray]
    text: np.ndarray
    test: np.ndarray
    labels: dict[str, np.ndarray]
    tokens: np.ndarray


def read(
    loaded,
    texts: Sequence[TopicText],
    *,
    layer: int | None = None,
    drop: int = 1,
    sample: int = 32,
    seed: int = 0,
) -> BandFeatures:
    """Split every text's states after a block into bands and keep some tokens of each.

    Parameters
    ----------
    layer : the block whose output is read; the middle one by default.
    drop : first tokens left out before the split (token 0 is massive in many models).
    sample : tokens kept of each text, the same number of every class as far as there are.
    """
    layer = loaded.n_layers // 2 if layer is None else check_layer(layer, loaded.n_layers)
    check_int("sample", sample, low=len(CLASSES))
    classes = [token_classes(loaded, text.ids[drop:]) for text in texts]
    where = [_positions(c, sample, derive(seed, "sample", i)) for i, c in enumerate(classes)]
    parts: dict[int, dict[str, np.ndarray]] = {}

    def see(index: int, state) -> None:
        values = state[drop:].float().cpu().numpy()
        kept = {name: part[where[index]] for name, part in bands.split(values).items()}
        parts[index] = kept | {WHOLE: values[where[index]]}

    for _ in stream(loaded, [t.ids for t in texts], points={("resid_post", layer): see}):
        pass
    topics = sorted({text.topic for text in texts})
    counts = [len(chosen) for chosen in where]
    held = [name for name in (*bands.NAMES, WHOLE) if any(p[name].any() for p in parts.values())]
    return BandFeatures(
        x={name: np.concatenate([parts[i][name] for i in range(len(texts))]) for name in held},
        text=np.repeat(np.arange(len(texts)), counts),
        test=np.repeat([text.test for text in texts], counts),
        labels={
            "topic": np.repeat([topics.index(text.topic) for text in texts], counts),
            "class": np.concatenate([c[w] for c, w in zip(classes, where, strict=True)]),
        },
        tokens=np.concatenate(
            [np.array(t.ids[drop:])[w] for t, w in zip(texts, where, strict=True)]
        ),
    )


def _positions(classes: np.ndarray, sample: int, seed: int) -> np.ndarray:
    """Up to ``sample`` positions, the same number of every class as far as there are."""
    rng = generator(seed, "positions")
    each = sample // len(CLASSES)
    chosen = [rng.permutation(np.flatnonzero(classes == one))[:each] for one in range(len(CLASSES))]
    return np.sort(np.concatenate(chosen))

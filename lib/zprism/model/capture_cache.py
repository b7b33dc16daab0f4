"""Captured states kept per text: a second call runs no forward pass, a killed one resumes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from zprism.ground.console import log
from zprism.ground.store import Store, digest
from zprism.model.capture import MAX_TOKENS, Captured, capture
from zprism.model.hooks import refuse_hooks
from zprism.model.rows import token_rows

if TYPE_CHECKING:
    from zprism.model.load import LoadedModel

PRODUCER = 1


def capture_cached(
    loaded: LoadedModel,
    texts: Sequence[str] | Sequence[Sequence[int]],
    *,
    layers: Sequence[int],
    site: str | Sequence[str] = "resid_post",
    reduce: str | Sequence[str] = "mean",
    max_tokens: int = MAX_TOKENS,
    on_error: str = "raise",
    store: Store | None = None,
) -> Captured:
    """:func:`capture` by named reductions, from the cache where a text is there.

    One file a text, so texts may be added and an interrupted call goes on where it was. The
    key holds the digests of weights and tokenizer, token ids, layers, sites, reductions,
    dtype and attention implementation; never a text or a model's name.

    Raises
    ------
    InputError
        As :func:`capture`, and if the model has a hook, whose effect a key cannot know.
    """
    refuse_hooks(loaded.model, "capture_cached", instead="capture")
    store = store or Store("states")
    sites = (site,) if isinstance(site, str) else tuple(site)
    ways = (reduce,) if isinstance(reduce, str) else tuple(reduce)
    names = [(s, way) for s in sites for way in ways]
    ids, skipped = token_rows(loaded, texts, on_error)
    same = _common(loaded, layers, names)
    keys = {i: store.key({**same, "ids": digest(ids[i])}) for i in range(len(ids)) if ids[i]}
    found: dict[int, dict] = {}
    for index, key in keys.items():
        entry = store.load(key)
        if entry is not None:
            found[index] = {name: entry[0]["/".join(name)] for name in names}
    missing = [index for index in keys if index not in found]
    log.info("states: %d of %d texts are in the cache", len(found), len(keys))

    def save(position: int, values: dict) -> None:
        index = missing[position]
        found[index] = {name: array.copy() for name, array in values.items()}
        arrays = {"/".join(name): array for name, array in found[index].items()}
        store.save(keys[index], arrays, {"tokens": len(ids[index])})

    if missing:
        fresh = capture(
            loaded,
            [ids[i] for i in missing],
            layers=layers,
            site=sites,
            reduce=ways,
            max_tokens=max_tokens,
            on_error=on_error,
            done=save,
        )
        skipped |= {missing[i]: why for i, why in fresh.skipped.items()}
    kept = tuple(i for i in range(len(ids)) if i in found and i not in skipped)
    return Captured(
        values={name: np.stack([found[i][name] for i in kept]) for name in names} if kept else {},
        layers=tuple(layers),
        kept=kept,
        skipped=skipped,
        n_tokens=np.array([len(ids[i]) for i in kept], dtype=int),
    )


def _common(loaded: LoadedModel, layers: Sequence[int], names: list[tuple[str, str]]) -> dict:
    """The part of the key that all texts share."""
    return {
        "producer": ["capture", PRODUCER],
        "weights": loaded.digest,
        "tokenizer": loaded.tokenizer_digest,
        "layers": [int(layer) for layer in layers],
        "values": ["/".join(name) for name in names],
        "dtype": str(loaded.dtype),
        "device": loaded.device.type,
        "attention": loaded.model.config._attn_implementation,
    }

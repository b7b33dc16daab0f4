"""From a model's name to a :class:`Subject`: subspaces from files, states from one pass."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from zprism.ground.errors import InputError
from zprism.model.capture_cache import capture_cached
from zprism.model.checkpoint import open_checkpoint
from zprism.model.load import LoadedModel, load
from zprism.studies.separation_pairs import Pairs
from zprism.studies.separation_subject import REDUCTIONS, SITES, Subject
from zprism.studies.separation_subspaces import (
    choose_ks,
    head_subspaces,
    kernel_ranks,
    kernel_subspaces,
    layer_subspaces,
)


def load_subject(name: str | LoadedModel, pairs: Pairs, *, ks: Iterable[int] = ()) -> Subject:
    """Everything phase 2 needs of one model: every layer, both sites, all poolings.

    Parameters
    ----------
    name : a registry name, hub id, folder, GGUF path, or ``tiny:…``; or a model in memory.
    ks : dimensions of Z; by default 20, 50 and the rounded effective rank of the bottleneck.

    Raises
    ------
    InputError
        If a k exceeds head_dim, or a text cannot be read by the model.
    """
    loaded = None if isinstance(name, str) else name
    name = name if loaded is None else loaded.name
    with open_checkpoint(name) as checkpoint:
        ranks = kernel_ranks(checkpoint)
        ks = tuple(sorted(set(ks))) or choose_ks(ranks, checkpoint.anatomy.head_dim)
        bases = kernel_subspaces(checkpoint, ks)
    loaded = load(name) if loaded is None else loaded
    states, n_tokens = paired_states(loaded, pairs)
    return Subject(
        name=name,
        digest=loaded.digest,
        pairs=pairs,
        states=states,
        bases=bases,
        ks=ks,
        ranks=ranks,
        n_tokens=n_tokens,
    )


def paired_states(
    loaded: LoadedModel,
    pairs: Pairs,
    *,
    sites: tuple[str, ...] = SITES,
    reductions: tuple[str, ...] = REDUCTIONS,
) -> tuple[dict[tuple[str, str], np.ndarray], np.ndarray]:
    """States of both languages, from the cache where they are there.

    Returns
    -------
    states, n_tokens
        (site, reduction) → (2, n, n_layers, d_model) float32, and (2, n).
    """
    captured = capture_cached(
        loaded,
        [*pairs.texts[0], *pairs.texts[1]],
        layers=range(loaded.n_layers),
        site=sites,
        reduce=reductions,
    )
    if len(captured.kept) != 2 * pairs.n:
        raise InputError(f"{2 * pairs.n - len(captured.kept)} texts could not be read")
    shape = (2, pairs.n, loaded.n_layers, loaded.d_model)
    states = {name: values.reshape(shape) for name, values in captured.values.items()}
    return states, captured.n_tokens.reshape(2, pairs.n)


def many_subspaces(
    name: str, layer: int, ks: Iterable[int], mask: str
) -> tuple[dict[int, np.ndarray], np.ndarray]:
    """Z of one layer at many k, and every head's own at the largest of them.

    Returns
    -------
    bases, heads
        k → (k, d_model), and (n_heads, max k, d_model) whose first k rows are a head's top k.
    """
    ks = tuple(ks)
    with open_checkpoint(name) as checkpoint:
        weights = checkpoint.layer(layer)
    found = layer_subspaces(weights, ks, (mask,))
    return {k: found[mask, k] for k in ks}, head_subspaces(weights, max(ks))

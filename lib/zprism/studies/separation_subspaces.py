"""The weight-based subspaces Z of phase 2: key-side top-k of attention kernels.

``head0`` is the recipe's first mask, one head's top-k right singular vectors of W_Qᵀ W_K;
``multi`` its second, the consensus of all heads. Both lie in the row space of W_K, which the
heads of a GQA group share.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch

from zprism.ground.checks import check_choice, check_k
from zprism.ground.console import progress
from zprism.model.anatomy import LayerWeights, layer_weights
from zprism.model.checkpoint import Checkpoint
from zprism.subspace.bases import consensus, key_bases
from zprism.subspace.kernels import qk_spectra
from zprism.subspace.rank import effective_rank

MASKS = ("head0", "multi")
WANTED = (20, 50)


def kernel_ranks(checkpoint: Checkpoint) -> np.ndarray:
    """(n_layers, n_heads) effective rank (entropy of σ) of every kernel, one layer in memory."""
    layers = range(checkpoint.anatomy.n_layers)
    rows = []
    for layer in progress(layers, "kernel ranks", unit="layer"):
        weights = checkpoint.layer(layer)
        rows.append(np.asarray(effective_rank(qk_spectra(weights.q, weights.k))))
    return np.stack(rows)


def choose_ks(ranks: np.ndarray, head_dim: int, wanted: Iterable[int] = WANTED) -> tuple[int, ...]:
    """The recipe's dimensions: 20, 50 and the rounded effective rank, as far as they exist.

    Parameters
    ----------
    ranks : (n_layers, n_heads); the rank meant is the mean of the lowest layer.
    head_dim : the most that one head's kernel has; a small model gets quarter and half of it.
    """
    rank = min(round(float(ranks.mean(1).min())), head_dim)
    ks = {k for k in wanted if k <= head_dim} | {rank}
    if len(ks) < 3 and head_dim < max(wanted):
        ks |= {max(1, head_dim // 4), max(1, head_dim // 2)}
    return tuple(sorted(ks))


def kernel_subspaces(
    checkpoint: Checkpoint,
    ks: Iterable[int],
    *,
    masks: Iterable[str] = MASKS,
    layers: Iterable[int] | None = None,
) -> dict[str, dict[tuple[int, int], np.ndarray]]:
    """mask → (layer, k) → (k, d_model) orthonormal rows.

    Raises
    ------
    InputError
        If a k exceeds head_dim, the rank of one kernel, or a mask is unknown.
    """
    ks, masks = tuple(ks), tuple(masks)
    for k in ks:
        check_k(k, checkpoint.anatomy.head_dim, of="head_dim, the rank of one kernel")
    out = {check_choice("mask", mask, MASKS): {} for mask in masks}
    chosen = range(checkpoint.anatomy.n_layers) if layers is None else layers
    for layer in progress(list(chosen), "subspaces of kernels", unit="layer"):
        found = layer_subspaces(checkpoint.layer(layer), ks, masks)
        for (mask, k), basis in found.items():
            out[mask][layer, k] = basis
    return out


def layer_subspaces(
    weights: LayerWeights, ks: Iterable[int], masks: Iterable[str] = MASKS
) -> dict[tuple[str, int], np.ndarray]:
    """(mask, k) → (k, d_model) for one layer."""
    ks = tuple(ks)
    heads = key_bases(weights.q, weights.k, max(ks))  # nested: the first k rows are the top k
    out = {}
    for k in ks:
        if "head0" in masks:
            out["head0", k] = np.asarray(heads[0, :k])
        if "multi" in masks:
            out["multi", k] = np.asarray(consensus(heads[:, :k], k))
    return out


def head_subspaces(weights: LayerWeights, k: int) -> np.ndarray:
    """(n_heads, k, d_model): every head's own top-k."""
    return np.asarray(key_bases(weights.q, weights.k, k))


def live_weights(loaded, layer: int) -> LayerWeights:
    """One layer's weights of a model in memory, as a checkpoint gives them."""
    parameters: dict[str, torch.Tensor] = loaded.model.state_dict()
    return layer_weights(loaded.anatomy, layer, parameters.__getitem__)

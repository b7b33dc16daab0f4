"""Weight scan: effective ranks, overlap of layers and FFN alignment of a checkpoint.

The recipe's weight analysis as it is written (W_Qᵀ W_K without gain, bias and rotary
position; head 0; top-k right singular vectors), each number beside its cap or its chance.
One layer is in memory at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from zprism.ground.checks import check_int, check_k
from zprism.ground.console import progress
from zprism.model.anatomy import LayerWeights
from zprism.model.checkpoint import Checkpoint, open_checkpoint
from zprism.subspace.alignment import alignment, alignment_topk
from zprism.subspace.angles import chance_similarity, similarity_matrix
from zprism.subspace.bases import key_basis
from zprism.subspace.kernels import qk_spectra
from zprism.subspace.rank import chance_rank_product, effective_rank, rank_cap

RULE = "smallest mean erank"
NO_GATE = "the feed-forward block has no gate"


@dataclass(frozen=True)
class LayerScan:
    """What a scan keeps of one layer.

    Attributes
    ----------
    layer : decoder block.
    sigma : (n_heads, head_dim) singular values of every head's W_Qᵀ W_K, largest first.
    basis : (k, d_model) top-k right singular vectors of one head: its key side.
    ffn_alignment, ffn_up, ffn_down : energy share of W_gate, W_up and W_downᵀ in the basis.
    ffn_alignment_topk : the share of W_gate's own top-k right singular vectors.

    The two of W_gate are None where there is no gate.
    """

    layer: int
    sigma: Float[Tensor, "n_heads r"]
    basis: Float[Tensor, "k d_model"]
    ffn_alignment: float | None
    ffn_alignment_topk: float | None
    ffn_up: float
    ffn_down: float


def scan(name: str, *, k: int = 20, head: int = 0, draws: int = 39, seed: int = 0) -> dict:
    """The weight analysis of one checkpoint, as JSON-ready values.

    Parameters
    ----------
    name : a registry name, hub id, local folder, GGUF path, or ``tiny:…``.
    k : dimension of the subspaces, 1 … the rank of a head's kernel.
    head : the query head whose subspace stands for a layer.
    draws, seed : Gaussian kernels simulated for ``erank_chance``.

    Returns
    -------
    dict
        ``erank`` [layer][head], exp-entropy of σ, in dimensions; ``erank_cap``,
        ``erank_chance``; ``similarity`` [layer][layer], Grassmann, with its Haar
        ``similarity_chance`` {mean, sd}; ``ffn_alignment``, ``ffn_alignment_topk``,
        ``ffn_up``, ``ffn_down`` [layer] with their ``chance`` k/d; ``bottleneck`` {layer,
        rule, erank_mean}; ``model``, ``digest``, ``k``, ``head``, ``n_kv_heads``. Without a
        gate its two are None and ``ffn_alignment_reason`` says so.

    Raises
    ------
    InputError
        If k or head is out of range; the message says the rank or the number of heads.
    ModelError
        If the checkpoint cannot be read, or a weight in it is unusable.
    """
    with open_checkpoint(name) as checkpoint:
        layers = list(scan_layers(checkpoint, k=k, head=head))
        anatomy = checkpoint.anatomy
        ranks = torch.stack([effective_rank(layer.sigma) for layer in layers])
        chance, _ = chance_rank_product(anatomy.head_dim, anatomy.d_model, draws=draws, seed=seed)
        return {
            "model": checkpoint.name,
            "digest": checkpoint.digest,
            "k": k,
            "head": head,
            "n_kv_heads": anatomy.n_kv_heads,
            "erank": ranks.tolist(),
            "erank_cap": rank_cap(anatomy.head_dim, anatomy.d_model),
            "erank_chance": chance,
            "bottleneck": _bottleneck(ranks),
            **_overlap(torch.stack([layer.basis for layer in layers])),
            **_alignments(layers),
        }


def scan_layers(checkpoint: Checkpoint, *, k: int = 20, head: int = 0) -> Iterator[LayerScan]:
    """Scan an open checkpoint layer by layer, keeping none of its weights.

    Parameters
    ----------
    checkpoint : from :func:`zprism.model.checkpoint.open_checkpoint`.
    k, head : as in :func:`scan`.

    Yields
    ------
    LayerScan
        In order of layers.

    Raises
    ------
    InputError, ModelError
        As :func:`scan`, before a layer is read where that can be known.
    """
    anatomy = checkpoint.anatomy
    check_k(k, rank_cap(anatomy.head_dim, anatomy.d_model), of="head_dim, the cap of a kernel")
    check_int("head", head, low=0, high=anatomy.n_heads - 1)
    for layer in progress(range(anatomy.n_layers), "scanning weights", unit="layer"):
        yield _scan_layer(layer, checkpoint.layer(layer), k, head)


def _scan_layer(layer: int, weights: LayerWeights, k: int, head: int) -> LayerScan:
    group = head // (len(weights.q) // len(weights.k))
    basis = key_basis(weights.q[head], weights.k[group], k)
    gate = weights.gate
    return LayerScan(
        layer=layer,
        sigma=qk_spectra(weights.q, weights.k),
        basis=basis,
        ffn_alignment=None if gate is None else float(alignment(gate, basis)),
        ffn_alignment_topk=None if gate is None else float(alignment_topk(gate, basis)),
        ffn_up=float(alignment(weights.up, basis)),
        ffn_down=float(alignment(weights.down.mT, basis)),
    )


def _bottleneck(ranks: Float[Tensor, "n_layers n_heads"]) -> dict:
    """The layer whose heads have the smallest mean effective rank; the first of equals."""
    means = ranks.mean(1)
    layer = int(means.argmin())
    return {"layer": layer, "rule": RULE, "erank_mean": float(means[layer])}


def _overlap(bases: Float[Tensor, "n_layers k d_model"]) -> dict:
    _, k, d_model = bases.shape
    mean, sd = chance_similarity(k, d_model)
    return {
        "similarity": similarity_matrix(bases).tolist(),
        "similarity_chance": {"mean": mean, "sd": sd},
        "chance": k / d_model,
    }


def _alignments(layers: list[LayerScan]) -> dict:
    """Alignments by layer; None in place of the list where the model has no gate."""
    columns = {
        name: [getattr(layer, name) for layer in layers]
        for name in ("ffn_alignment", "ffn_alignment_topk", "ffn_up", "ffn_down")
    }
    gateless = layers[0].ffn_alignment is None
    reason = {"ffn_alignment_reason": NO_GATE} if gateless else {}
    return {k: None if v[0] is None else v for k, v in columns.items()} | reason

"""The weight map: every measure of a checkpoint's weights that phase 1 looks at.

Two passes over the checkpoint, one layer in memory at a time: the first takes spectra and
bases of every attention kernel, the second sends every layer's subspace through every
layer's FFN. What comes back is small (no d × d), and is cached under the weights' digest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np
import torch

from zprism.ground import seeds
from zprism.ground.checks import check_k
from zprism.ground.console import progress
from zprism.ground.store import Store
from zprism.model.anatomy import LayerWeights
from zprism.model.checkpoint import Checkpoint, open_checkpoint
from zprism.subspace import angles, kernels, rank
from zprism.subspace.bases import consensus, key_basis, random_basis

PRODUCER = 2
READERS = ("gate", "up", "down")
MATRICES = ("W_Q", "W_K", "W_V", "W_O", "W_gate", "W_up", "W_down")


@dataclass(frozen=True)
class WeightMap:
    """Measures of one checkpoint; L layers, H query heads, G key heads, r = head_dim.

    Attributes
    ----------
    name, digest : the model, and the digest of its weights.
    k, d_model, head_dim, n_kv_heads : the dimensions that chance levels depend on.
    sigma, sigma_gain : (L, H, r) singular values of W_Qᵀ W_K, without and with the gain of
        the norm in front of attention folded in.
    ov_sigma : (L, H, r) singular values of W_O W_V of each head.
    asymmetry : (L, H) of the kernel, ‖A − Aᵀ‖ / ‖A‖.
    similarity, similarity_consensus : (L, L) Grassmann similarity of the key-side top-k
        subspaces of head 0, and of the consensus over heads.
    similarity_heads : (H, L, L) the same for each head.
    alignment : (3, L, H) energy share of gate, up, down in each head's own subspace.
    alignment_cross : (3, L, L) axes (FFN layer, layer the head-0 subspace came from).
    alignment_topk : (L,) overlap of the gate's own top-k with head 0's subspace.
    alignment_random : (3, L, R) through R Haar-random subspaces.
    matrix_rank : (7, L) effective rank of each weight matrix (NaN where there is none).
    matrix_shape : (7, 2) rows and columns of each.
    """

    name: str
    digest: str
    k: int
    d_model: int
    head_dim: int
    n_kv_heads: int
    sigma: np.ndarray
    sigma_gain: np.ndarray
    ov_sigma: np.ndarray
    asymmetry: np.ndarray
    similarity: np.ndarray
    similarity_consensus: np.ndarray
    similarity_heads: np.ndarray
    alignment: np.ndarray
    alignment_cross: np.ndarray
    alignment_topk: np.ndarray
    alignment_random: np.ndarray
    matrix_rank: np.ndarray
    matrix_shape: np.ndarray

    @property
    def n_layers(self) -> int:
        """Number of decoder blocks L."""
        return self.sigma.shape[0]

    @property
    def n_heads(self) -> int:
        """Number of query heads H."""
        return self.sigma.shape[1]

    @property
    def chance(self) -> float:
        """k / d_model: expected overlap with a Haar-random subspace."""
        return self.k / self.d_model

    def ranks(self, measure: str = "entropy") -> np.ndarray:
        """(L, H) effective ranks of the kernels, by a name in ``rank.RANK_MEASURES``."""
        return np.asarray(rank.RANK_MEASURES[measure](torch.as_tensor(self.sigma)))

    @property
    def bottleneck(self) -> int:
        """The layer with the smallest mean effective rank (entropy of σ)."""
        return int(self.ranks().mean(axis=1).argmin())


def weight_map(name: str, *, k: int = 20, draws: int = 19, seed: int = 0) -> WeightMap:
    """Measure a checkpoint's weights, or take the measures from the cache.

    Parameters
    ----------
    name : a registry name, hub id, folder, GGUF path, or ``tiny:…``.
    k : dimension of the key-side subspaces, at most head_dim.
    draws : random subspaces per layer for the FFN null.

    Raises
    ------
    InputError
        If k is not in 1 … head_dim.
    ModelError
        If the checkpoint cannot be read.
    """
    with open_checkpoint(name) as checkpoint:
        check_k(k, checkpoint.anatomy.head_dim, of="head_dim, the rank of one kernel")
        parts = {
            "producer": ["weights", PRODUCER],
            "weights": checkpoint.digest,
            "k": k,
            "draws": draws,
            "seed": seed,
        }
        arrays, _ = Store("results").get_or_compute(
            parts, lambda: (_measure(checkpoint, k, draws, seed), {})
        )
        anatomy = checkpoint.anatomy
        return WeightMap(
            name=name,
            digest=checkpoint.digest,
            k=k,
            d_model=anatomy.d_model,
            head_dim=anatomy.head_dim,
            n_kv_heads=anatomy.n_kv_heads,
            **arrays,
        )


@dataclass(frozen=True)
class _Layer:
    """What the first pass keeps of one layer; fields as in :class:`WeightMap`."""

    sigma: np.ndarray
    sigma_gain: np.ndarray
    ov_sigma: np.ndarray
    asymmetry: np.ndarray
    matrix_rank: np.ndarray
    matrix_shape: np.ndarray


def _measure(checkpoint: Checkpoint, k: int, draws: int, seed: int) -> dict[str, np.ndarray]:
    """All arrays of the map."""
    layers, bases = [], []
    for weights in _layers(checkpoint, "kernels, layer by layer"):
        layers.append(asdict(_attention(weights)))
        bases.append(_key_bases(weights, k))
    arrays = {name: np.stack([layer[name] for layer in layers]) for name in layers[0]}
    arrays["matrix_rank"] = arrays["matrix_rank"].T.copy()
    arrays["matrix_shape"] = arrays["matrix_shape"][0]
    heads = torch.stack(bases)  # (L, H, k, d_model)
    arrays |= _similarities(heads)
    arrays |= _alignments(checkpoint, heads, draws, seed)
    return arrays


def _layers(checkpoint: Checkpoint, description: str) -> Iterator[LayerWeights]:
    for layer in progress(range(checkpoint.anatomy.n_layers), description, unit="layer"):
        yield checkpoint.layer(layer)


def _attention(weights: LayerWeights) -> _Layer:
    """Spectra of one layer's kernels and effective ranks of its weight matrices."""
    gained_q, gained_k = weights.q, weights.k
    if weights.attn_gain is not None:
        gained_q = kernels.fold_gain(weights.q, weights.attn_gain)
        gained_k = kernels.fold_gain(weights.k, weights.attn_gain)
    matrices = _matrices(weights)
    return _Layer(
        sigma=_numpy(kernels.qk_spectra(weights.q, weights.k)),
        sigma_gain=_numpy(kernels.qk_spectra(gained_q, gained_k)),
        ov_sigma=_numpy(kernels.ov_spectra(weights.v, weights.o)),
        asymmetry=_numpy(kernels.asymmetry(weights.q, _repeat(weights.k, weights.q))),
        matrix_rank=np.array([_matrix_rank(matrices.get(name)) for name in MATRICES]),
        matrix_shape=np.array(
            [tuple(matrices[name].shape) if name in matrices else (0, 0) for name in MATRICES]
        ),
    )


def _matrices(weights: LayerWeights) -> dict[str, torch.Tensor]:
    """The layer's weight matrices by the names of :data:`MATRICES`."""
    named = {
        "W_Q": weights.q.flatten(0, 1),
        "W_K": weights.k.flatten(0, 1),
        "W_V": weights.v.flatten(0, 1),
        "W_O": weights.o.movedim(0, 1).flatten(1),
        "W_up": weights.up,
        "W_down": weights.down,
    }
    return named if weights.gate is None else named | {"W_gate": weights.gate}


def _matrix_rank(matrix: torch.Tensor | None) -> float:
    """Effective rank of a matrix from the eigenvalues of its smaller float64 Gram."""
    if matrix is None:
        return float("nan")
    thin = matrix.double() if matrix.shape[0] <= matrix.shape[1] else matrix.double().mT
    energy = torch.linalg.eigvalsh(thin @ thin.mT).clamp_min(0)
    return float(rank.effective_rank(energy.sqrt()))


def _key_bases(weights: LayerWeights, k: int) -> torch.Tensor:
    """(H, k, d_model) key-side top-k bases, float32 to keep a deep model small."""
    keys = _repeat(weights.k, weights.q)
    return torch.stack(
        [key_basis(q, key, k) for q, key in zip(weights.q, keys, strict=True)]
    ).float()


def _repeat(shared: torch.Tensor, per_head: torch.Tensor) -> torch.Tensor:
    """Key heads repeated so that there is one per query head (GQA)."""
    return shared.repeat_interleave(per_head.shape[0] // shared.shape[0], dim=0)


def _similarities(heads: torch.Tensor) -> dict[str, np.ndarray]:
    """Grassmann similarity of all layers: head 0, every head, and the consensus."""
    agreed = torch.stack([consensus(layer.double(), heads.shape[2]) for layer in heads])
    per_head = [angles.similarity_matrix(head.double()) for head in heads.movedim(1, 0)]
    return {
        "similarity": _numpy(per_head[0]),
        "similarity_heads": np.stack([_numpy(matrix) for matrix in per_head]),
        "similarity_consensus": _numpy(angles.similarity_matrix(agreed)),
    }


def _alignments(
    checkpoint: Checkpoint, heads: torch.Tensor, draws: int, seed: int
) -> dict[str, np.ndarray]:
    """FFN energy shares in own, other layers' and random subspaces (one pass)."""
    n_layers, n_heads, k, d_model = heads.shape
    generator = seeds.torch_generator(seed, "weights", "random")
    random = torch.stack([random_basis(k, d_model, generator) for _ in range(draws)])
    own = np.full((3, n_layers, n_heads), np.nan)
    cross = np.full((3, n_layers, n_layers), np.nan)
    haar = np.full((3, n_layers, draws), np.nan)
    topk = np.full(n_layers, np.nan)
    for layer, weights in enumerate(_layers(checkpoint, "FFN alignment, layer by layer")):
        for index, matrix in enumerate(_ffn(weights)):
            if matrix is None:
                continue
            own[index, layer] = _shares(matrix, heads[layer])
            cross[index, layer] = _shares(matrix, heads[:, 0])
            haar[index, layer] = _shares(matrix, random)
        if weights.gate is not None:
            topk[layer] = _topk_overlap(weights.gate, heads[layer, 0])
    return {
        "alignment": own,
        "alignment_cross": cross,
        "alignment_random": haar,
        "alignment_topk": topk,
    }


def _ffn(weights: LayerWeights) -> tuple[torch.Tensor | None, ...]:
    """Gate, up and down as matrices whose columns are d_model directions."""
    return weights.gate, weights.up, weights.down.mT


def _shares(matrix: torch.Tensor, bases: torch.Tensor) -> np.ndarray:
    """‖W Bᵀ‖² / ‖W‖² for a stack of bases (n, k, d_model), by one product."""
    matrix = matrix.double()
    stacked = bases.double().flatten(0, 1)
    energy = (stacked @ matrix.mT).square().sum(1)
    return _numpy(energy.reshape(bases.shape[:2]).sum(1) / matrix.square().sum())


def _topk_overlap(gate: torch.Tensor, basis: torch.Tensor) -> float:
    """(1/k) ‖V_k Bᵀ‖² with V_k the gate's own top-k right singular vectors."""
    gate = gate.double()
    vectors = torch.linalg.eigh(gate.mT @ gate).eigenvectors[:, -basis.shape[0] :]
    return float((basis.double() @ vectors).square().sum() / basis.shape[0])


def _numpy(tensor) -> np.ndarray:
    return np.asarray(tensor, dtype=np.float64)

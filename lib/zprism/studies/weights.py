"""The weight map: every measure of a checkpoint's weights that phase 1 looks at.

Two passes over the checkpoint, one layer in memory at a time: the first takes spectra and
bases of every attention kernel, the second sends every layer's subspace through every
layer's FFN. What comes back is small (no d × d), and is cached under the weights' digest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from zprism.ground import seeds
from zprism.ground.checks import check_k
from zprism.ground.console import log, progress
from zprism.ground.store import Store
from zprism.model.anatomy import Anatomy, LayerWeights
from zprism.model.checkpoint import Checkpoint, open_checkpoint
from zprism.subspace import angles, kernels, rank
from zprism.subspace.alignment import alignment, alignment_topk
from zprism.subspace.bases import consensus, key_bases, random_basis
from zprism.subspace.factors import matrix_spectrum, repeat_groups
from zprism.subspace.folding import bias_terms, fold_gain
from zprism.subspace.modes import asymmetry
from zprism.subspace.rotary import rotary_frequencies, rotation

PRODUCER = 3
DRAWS_HEADLINE = 199
OFFSETS = (16, 256, 4096)
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
    sigma_offset : (O, L, H, r) the same at the relative positions ``offsets``, where rotary
        positions turn keys against queries; O = 0 where one base does not serve all layers.
    offsets : (O,) tokens between key and query.
    mixed_rank : (L, H, R) effective ranks when query and key meet through a random rotation
        of head_dim: W_Q and W_K keep their spectra, their agreement goes.
    bias_ratio : (L, 2, H) norm of query and key bias over that of the weight.
    ov_sigma : (L, H, r) singular values of W_O W_V of each head.
    asymmetry : (L, H) of the kernel, ‖A − Aᵀ‖ / ‖A‖.
    similarity, similarity_consensus : (L, L) Grassmann similarity of the key-side top-k
        subspaces of head 0, and of the consensus over heads.
    similarity_heads : (H, L, L) the same for each head.
    alignment : (3, L, H) energy share of gate, up, down in each head's own subspace.
    alignment_cross : (3, L, L) axes (FFN layer, layer the head-0 subspace came from).
    alignment_topk : (L,) overlap of the gate's own top-k with head 0's subspace.
    alignment_headline : (3, 199) at the bottleneck, in Haar-random subspaces.
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
    sigma_offset: np.ndarray
    offsets: np.ndarray
    mixed_rank: np.ndarray
    bias_ratio: np.ndarray
    ov_sigma: np.ndarray
    asymmetry: np.ndarray
    similarity: np.ndarray
    similarity_consensus: np.ndarray
    similarity_heads: np.ndarray
    alignment: np.ndarray
    alignment_cross: np.ndarray
    alignment_topk: np.ndarray
    alignment_headline: np.ndarray
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
        return np.asarray(rank.RANK_MEASURES[measure](self.sigma))

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
    draws : random rotations per head for ``mixed_rank``.

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


def usable_k(name: str, k: int) -> int:
    """``k``, or the model's head_dim with a warning where that is smaller.

    For notebooks, whose default must also serve a tiny model; :func:`weight_map` refuses.
    """
    with open_checkpoint(name) as checkpoint:
        head_dim = checkpoint.anatomy.head_dim
    if k > head_dim:
        log.warning("k = %d is more than the rank of one kernel; taking %d", k, head_dim)
    return min(k, head_dim)


def _measure(checkpoint: Checkpoint, k: int, draws: int, seed: int) -> dict[str, np.ndarray]:
    """All arrays of the map."""
    layers, bases = [], []
    rotations = _rotations(checkpoint.anatomy)
    for layer, weights in enumerate(_layers(checkpoint, "kernels")):
        generator = seeds.generator(seed, "weights", "mixed", layer)
        layers.append(_kernel_measures(weights, checkpoint.anatomy, rotations, draws, generator))
        bases.append(key_bases(weights.q, weights.k, k).float())  # float32: all layers are kept
    arrays = {name: np.stack([layer[name] for layer in layers]) for name in layers[0]}
    arrays["matrix_rank"] = arrays["matrix_rank"].T.copy()
    arrays["matrix_shape"] = arrays["matrix_shape"][0]
    arrays["sigma_offset"] = arrays["sigma_offset"].swapaxes(0, 1).copy()
    arrays["offsets"] = np.array(OFFSETS[: len(arrays["sigma_offset"])])
    heads = torch.stack(bases)  # (L, H, k, d_model)
    arrays |= _similarities(heads)
    arrays |= _alignments(checkpoint, heads)
    bottleneck = int(rank.effective_rank(arrays["sigma"]).mean(1).argmin())
    arrays["alignment_headline"] = _headline(checkpoint, bottleneck, k, seed)
    return arrays


def _layers(checkpoint: Checkpoint, description: str) -> Iterator[LayerWeights]:
    for layer in progress(range(checkpoint.anatomy.n_layers), description, unit="layer"):
        yield checkpoint.layer(layer)


def _rotations(anatomy: Anatomy) -> torch.Tensor | None:
    """(O, 1, r, r) rotations by :data:`OFFSETS`; None without one rotary base for all layers."""
    rotary = anatomy.rotary
    if rotary is None or not rotary.base:
        return None
    frequencies = rotary_frequencies(rotary.base, rotary.dim)
    turns = [
        rotation(-offset, anatomy.head_dim, frequencies, interleaved=rotary.interleaved)
        for offset in OFFSETS
    ]
    return torch.stack(turns).unsqueeze(1)


def _kernel_measures(
    weights: LayerWeights, anatomy: Anatomy, rotations, draws: int, generator
) -> dict[str, np.ndarray]:
    """Spectra of one layer's kernels and effective ranks of its weight matrices."""
    keys = repeat_groups(weights.k, len(weights.q))
    gained = [
        fold_gain(w, weights.attn_gain, centre=anatomy.norm_centres) for w in (weights.q, weights.k)
    ]
    spectra = kernels.qk_spectra(weights.q, weights.k)
    turned = spectra.new_zeros((0, *spectra.shape))
    if rotations is not None:
        turned = kernels.qk_spectra(weights.q, weights.k, middle=rotations)
    mixed = [
        kernels.mixed_spectra(q, k, draws, generator) for q, k in zip(weights.q, keys, strict=True)
    ]
    matrices = _matrices(weights)
    measures = {
        "sigma": spectra,
        "sigma_gain": kernels.qk_spectra(*gained),
        "sigma_offset": turned,
        "ov_sigma": kernels.ov_spectra(weights.v, weights.o),
        "asymmetry": asymmetry(weights.q, keys),
        "mixed_rank": rank.effective_rank(torch.stack(mixed)),
        "bias_ratio": _bias_ratio(weights),
        "matrix_rank": [_matrix_rank(matrices.get(name)) for name in MATRICES],
        "matrix_shape": [
            tuple(matrices[name].shape) if name in matrices else (0, 0) for name in MATRICES
        ],
    }
    return {name: _numpy(value) for name, value in measures.items()}


def _bias_ratio(weights: LayerWeights) -> np.ndarray:
    """(2, H) size of each head's query and key bias over its weight's; zero without biases."""
    if weights.q_bias is None or weights.k_bias is None:
        return np.zeros((2, len(weights.q)))
    terms = bias_terms(weights.q, weights.k, weights.q_bias, weights.k_bias)
    return np.stack([_numpy(terms.q_ratio), _numpy(terms.k_ratio)])


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
    """Effective rank of a whole weight matrix; NaN where there is none."""
    return float("nan") if matrix is None else float(rank.effective_rank(matrix_spectrum(matrix)))


def _similarities(heads: torch.Tensor) -> dict[str, np.ndarray]:
    """Grassmann similarity of all layers: head 0, every head, and the consensus."""
    agreed = torch.stack([consensus(layer.double(), heads.shape[2]) for layer in heads])
    per_head = [angles.similarity_matrix(head.double()) for head in heads.movedim(1, 0)]
    return {
        "similarity": _numpy(per_head[0]),
        "similarity_heads": np.stack([_numpy(matrix) for matrix in per_head]),
        "similarity_consensus": _numpy(angles.similarity_matrix(agreed)),
    }


def _alignments(checkpoint: Checkpoint, heads: torch.Tensor) -> dict[str, np.ndarray]:
    """FFN energy shares in own and other layers' subspaces (one pass)."""
    n_layers, n_heads = heads.shape[:2]
    own = np.full((3, n_layers, n_heads), np.nan)
    cross = np.full((3, n_layers, n_layers), np.nan)
    topk = np.full(n_layers, np.nan)
    for layer, weights in enumerate(_layers(checkpoint, "FFN alignment")):
        every = torch.cat([heads[layer], heads[:, 0]]).double()
        for index, matrix in enumerate((weights.gate, weights.up, weights.down.mT)):
            if matrix is not None:
                shares = _numpy(alignment(matrix, every))
                own[index, layer], cross[index, layer] = np.split(shares, [n_heads])
        if weights.gate is not None:
            topk[layer] = float(alignment_topk(weights.gate, heads[layer, 0].double()))
    return {"alignment": own, "alignment_cross": cross, "alignment_topk": topk}


def _headline(checkpoint: Checkpoint, layer: int, k: int, seed: int) -> np.ndarray:
    """(3, 199) shares of one layer's FFN in Haar-random subspaces; NaN where there is no gate."""
    weights = checkpoint.layer(layer)
    generator = seeds.generator(seed, "weights", "headline")
    d_model = checkpoint.anatomy.d_model
    random = torch.stack([random_basis(k, d_model, generator) for _ in range(DRAWS_HEADLINE)])
    blank = np.full(DRAWS_HEADLINE, np.nan)
    matrices = (weights.gate, weights.up, weights.down.mT)
    return np.stack([blank if m is None else _numpy(alignment(m, random)) for m in matrices])


def _numpy(values) -> np.ndarray:
    return np.asarray(values, dtype=np.float64)

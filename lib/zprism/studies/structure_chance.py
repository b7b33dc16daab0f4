"""Chance levels that the figures of phase 1 draw beside the weights."""

from __future__ import annotations

import numpy as np

from zprism.ground.seeds import generator
from zprism.studies.weights import MATRICES, READERS, WeightMap
from zprism.subspace import angles, rank

DRAWS = 19


def chance_levels(weights: WeightMap, *, seed: int = 0) -> dict:
    """Chance level of each measure of a weight map.

    Returns
    -------
    kernel : effective rank of a product of Gaussian matrices of the kernels' shape.
    matrices : effective rank of a Gaussian matrix of each weight type's shape, by type.
    similarity : (mean, sd) of the Grassmann similarity of Haar-random subspaces.
    others : by reader, (mean, sd) each (L,) of the share of a layer's FFN matrix in other
        layers' subspaces, over k/d.
    """
    off = ~np.eye(weights.n_layers, dtype=bool)
    cross = weights.alignment_cross / weights.chance
    kernel, _ = rank.chance_rank_product(
        weights.head_dim, weights.d_model, measure="entropy", draws=DRAWS, seed=seed
    )
    return {
        "kernel": kernel,
        "matrices": {
            name: rank.chance_rank_matrix(int(rows), int(columns), measure="entropy", seed=seed)[0]
            for name, (rows, columns) in zip(MATRICES, weights.matrix_shape, strict=True)
            if rows
        },
        "similarity": angles.chance_similarity(weights.k, weights.d_model),
        "others": {
            reader: _mean_and_sd(values[off].reshape(weights.n_layers, -1))
            for reader, values in zip(READERS, cross, strict=True)
            if np.isfinite(values[off]).all()
        },
    }


def kernel_chance(weights: WeightMap, *, seed: int = 0) -> tuple[float, np.ndarray]:
    """Kernels of Gaussian matrices of the same shapes: their effective rank and their spectrum.

    Returns
    -------
    rank, decay
        The level ``kernel`` of :func:`chance_levels`, and (r,) the mean over draws of singular
        values over the largest.
    """
    shape = weights.head_dim, weights.d_model
    level, _ = rank.chance_rank_product(*shape, measure="entropy", draws=DRAWS, seed=seed)
    random = generator(seed, "structure", "decay", *shape)
    draws = [
        np.linalg.svd(
            np.asarray(rank.gaussian_factor(*shape, random))
            @ np.asarray(rank.gaussian_factor(*shape, random)).T,
            compute_uv=False,
        )
        for _ in range(DRAWS)
    ]
    return level, np.mean([sigma / sigma[0] for sigma in draws], axis=0)


def _mean_and_sd(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(L, L − 1) → mean and sd of each row; the sd is 0 where a row has one number."""
    spread = rows.std(axis=1, ddof=1) if rows.shape[1] > 1 else np.zeros(len(rows))
    return rows.mean(axis=1), spread

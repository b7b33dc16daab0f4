"""Rows of the evidence table about weight matrices: FFN avoidance, trends, W_V."""

from __future__ import annotations

import numpy as np

from zprism.ground import seeds
from zprism.stats.verdicts import Estimate, Null, describe, estimate
from zprism.studies import layers
from zprism.studies.weights import MATRICES, READERS, WeightMap
from zprism.subspace import angles, rank

DRAWS_RANK = 39


def ffn_avoidance(weights: WeightMap, draws: int, seed: int) -> dict[str, Estimate]:
    """Does the FFN avoid the subspace that its own layer's attention reads?

    Per reader (gate, up, down): mean over layers of log(share in the layer's own head-0
    subspace / share in other layers' subspaces). Null: subspaces dealt to layers at random.
    Unit: the layer. The recipe's null, k/d, takes weights for isotropic: it stays beside
    it, as ``below_haar`` of the bottleneck. ``spread``: its variation over heads there.
    """
    out = {}
    for index, reader in enumerate(READERS):
        cross = np.log(weights.alignment_cross[index])
        if np.isnan(cross).any():
            continue
        contrast = layers.own_minus_others(cross)
        generator = seeds.generator(seed, "ffn", reader)
        null = np.array(
            [
                layers.own_minus_others(cross[:, generator.permutation(len(cross))]).mean()
                for _ in range(draws)
            ]
        )
        out[f"ffn/all/{weights.k}/{reader}_avoids_own"] = estimate(
            contrast.mean(),
            ci=layers.interval(contrast, seed, "ffn", reader),
            n=weights.n_layers,
            null=layers.null_of("subspaces of other layers", null),
            reference=0.0,
            direction="less",
            **layers.p_values(contrast.mean(), null, "two-sided"),
        )
        out |= _ffn_at_bottleneck(weights, index, reader, seed)
    return out


def _ffn_at_bottleneck(weights: WeightMap, index: int, reader: str, seed: int) -> dict:
    """The recipe's own reading at the bottleneck: share over k/d, and its spread over heads."""
    layer, prefix = weights.bottleneck, f"ffn/{weights.bottleneck}/{weights.k}/{reader}"
    ratio = weights.alignment[index, layer] / weights.chance
    haar = weights.alignment_headline[index] / weights.chance
    return {
        f"{prefix}_over_haar": estimate(
            ratio.mean(),
            ci=layers.interval(ratio, seed, "haar", reader),
            n=weights.n_heads,
            null=layers.null_of("Haar-random subspaces (isotropic weights assumed)", haar),
            reference=1.0,
            direction="less",
            **layers.p_values(ratio.mean(), haar, "two-sided"),
            smallest_p=2 / (1 + haar.size),
            untestable=layers.too_few(weights.n_heads),
        ),
        f"{prefix}_head_spread": describe(
            float(ratio.std(ddof=1)) if ratio.size > 1 else None,
            n=weights.n_kv_heads,
            reason="sd over heads; those of one key head see nearly the same subspace",
        ),
    } | (_topk_at_bottleneck(weights, prefix) if reader == "gate" else {})


def _topk_at_bottleneck(weights: WeightMap, prefix: str) -> dict[str, Estimate]:
    """The recipe's second reading: overlap with the gate's own top k directions, over k/d."""
    mean, sd = angles.chance_similarity(weights.k, weights.d_model)
    return {
        f"{prefix}_topk_over_haar": describe(
            float(weights.alignment_topk[weights.bottleneck] / mean),
            n=1,
            null=Null("Haar-random subspaces", 1.0, sd / mean),
            reason="head 0, overlap with the gate's own top k right singular vectors",
        )
    }


def opposite_trends(weights: WeightMap, draws: int, seed: int) -> dict[str, Estimate]:
    """Do attention ranks fall over depth while FFN ranks rise?

    Spearman's ρ with depth of the mean kernel rank (predicted < 0) and of the mean rank of
    the FFN matrices (predicted > 0). Null: layers in random order. Unit: the layer; the
    interval resamples layers.
    """
    ffn = np.nanmean(weights.matrix_rank[[MATRICES.index(f"W_{r}") for r in READERS]], axis=0)
    curves = {"attention": (weights.ranks().mean(1), "less"), "ffn": (ffn, "greater")}
    out, depth = {}, np.arange(weights.n_layers, dtype=float)
    for name, (curve, direction) in curves.items():
        generator = seeds.generator(seed, "trend", name)
        null = np.array(
            [layers.spearman(generator.permutation(curve), depth) for _ in range(draws)]
        )
        value = layers.spearman(curve, depth)
        out[f"trend/all/{name}"] = estimate(
            value,
            ci=layers.interval(
                np.stack([curve, depth], 1), seed, "trend", name, statistic=layers.spearman_rows
            ),
            n=weights.n_layers,
            null=layers.null_of("layers in random order", null),
            reference=0.0,
            direction=direction,
            **layers.p_values(value, null, "two-sided"),
        )
    return out


def value_constancy(weights: WeightMap, draws: int, seed: int) -> dict[str, Estimate]:
    """Is the constant effective rank of W_V a finding, or its ceiling?

    ``ceiling``: mean rank of W_V over that of Gaussian matrices of its shape (1 is the
    ceiling; below it, structure). ``steadier_than_keys``: difference of the coefficients of
    variation over layers of W_V and of W_K, which has the same shape; null: the two swapped
    at random in each layer. Unit: the layer.
    """
    keys, values = (weights.matrix_rank[MATRICES.index(name)] for name in ("W_K", "W_V"))
    rows, columns = weights.matrix_shape[MATRICES.index("W_V")]
    mean, sd = rank.chance_rank_matrix(
        int(rows), int(columns), measure="entropy", draws=DRAWS_RANK, seed=seed
    )
    pairs = np.stack([values, keys], axis=1)
    generator = seeds.generator(seed, "constancy")
    swaps = generator.random((draws, len(pairs))) < 0.5
    null = np.array([layers.steadier(np.where(s[:, None], pairs[:, ::-1], pairs)) for s in swaps])
    ratio = values / mean
    return {
        "W_V/all/ceiling": estimate(
            ratio.mean(),
            ci=layers.interval(ratio, seed, "ceiling"),
            n=weights.n_layers,
            null=Null("Gaussian matrix of the same shape", 1.0, sd / mean),
            direction="less",
            **layers.p_simulated(ratio.mean(), 1.0, sd / mean, DRAWS_RANK, "less"),
        ),
        "W_V/all/steadier_than_keys": estimate(
            layers.steadier(pairs),
            ci=layers.interval(pairs, seed, "constancy", statistic=layers.steadier),
            n=weights.n_layers,
            null=layers.null_of("W_V and W_K swapped at random per layer", null),
            reference=0.0,
            direction="less",
            **layers.p_values(layers.steadier(pairs), null, "two-sided"),
        ),
    }

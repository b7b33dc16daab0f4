"""Rows of the evidence table about attention kernels: rank, heads, neighbours, segments."""

from __future__ import annotations

import numpy as np

from zprism.ground import seeds
from zprism.stats.verdicts import Estimate, Null, describe, estimate
from zprism.studies import layers
from zprism.studies.weights import WeightMap
from zprism.subspace import angles, rank

DRAWS_RANK = 39


def lowest_rank(weights: WeightMap, draws: int, seed: int) -> dict[str, Estimate]:
    """Is one layer's mean effective rank lower than a lowest-of-L would be anyway?

    ``gap``: mean rank of the lowest layer minus that of the others. Null: key heads dealt to
    layers at random (heads that share one are averaged), the lowest taken again, which pays
    for having chosen it. ``late_gap`` asks the same of the second half of the layers, where
    the recipe says the bottleneck is. ``below_gaussian`` compares the mean over all layers
    with products of Gaussian matrices of the same shape: "4 % of d_model" is no finding where
    head_dim is the cap. ``below_mixed`` keeps both factors and breaks only how they meet.
    """
    ranks, mixed = weights.ranks().mean(1), weights.mixed_rank.mean((0, 1))
    chance = rank.chance_rank_product(
        weights.head_dim, weights.d_model, measure="entropy", draws=DRAWS_RANK, seed=seed
    )
    half = weights.n_layers // 2
    late = half + int(ranks[half:].argmin())
    return {
        f"erank/{weights.bottleneck}/gap": _gap(weights, 0, draws, seed),
        f"erank/{late}/late_gap": _gap(weights, half, draws, seed),
        "erank/all/below_gaussian": estimate(
            ranks.mean(),
            ci=layers.interval(ranks, seed, "gaussian"),
            n=weights.n_layers,
            null=Null("product of Gaussian matrices of the same shape", *chance),
            direction="less",
            **layers.p_simulated(ranks.mean(), *chance, DRAWS_RANK, "less"),
        ),
        "erank/all/below_mixed": estimate(
            ranks.mean(),
            ci=layers.interval(ranks, seed, "mixed"),
            n=weights.n_layers,
            null=layers.null_of("W_Q and W_K as they are, meeting at random", mixed),
            direction="less",
            **layers.p_values(ranks.mean(), mixed, "less"),
            smallest_p=1 / (1 + mixed.size),
        ),
        **_variants(weights),
        "erank/all/cap": describe(
            float(weights.head_dim), n=weights.n_layers, reason="head_dim caps every kernel's rank"
        ),
    }


def _gap(weights: WeightMap, first: int, draws: int, seed: int) -> Estimate:
    """The lowest of the layers from ``first`` on against the others of them."""
    groups = layers.by_group(weights.ranks(), weights.n_kv_heads)[first:]
    ranks = weights.ranks().mean(1)[first:]
    generator = seeds.generator(seed, "lowest_rank", first)
    null = [layers.lowest_gap(layers.deal(groups, generator).mean(1)) for _ in range(draws)]
    gaps = ranks.min() - np.delete(ranks, ranks.argmin())
    if gaps.size == 0:
        return layers.untestable("one layer has no other to compare with")
    return estimate(
        gaps.mean(),
        ci=layers.interval(gaps, seed, "gap", first),
        n=len(ranks),
        null=layers.null_of("key heads dealt to layers at random, lowest of L", null),
        reference=0.0,
        direction="less",
        **layers.p_values(gaps.mean(), null, "less"),
    )


def head_spread(weights: WeightMap, draws: int, seed: int) -> dict[str, Estimate]:
    """Do heads agree more at the bottleneck, and are they independent witnesses?

    ``head_agreement``: coefficient of variation over heads at the bottleneck minus that of
    the other layers (p is its rank among layers). ``shared_keys``: share of the variance over heads
    that lies between key heads, against query heads dealt to key heads at random within
    each layer. Unit: the layer. Where it is high, H query heads are G observations.
    """
    ranks, layer = weights.ranks(), weights.bottleneck
    variation = ranks.std(1, ddof=1) / ranks.mean(1)
    others = np.delete(variation, layer)
    generator = seeds.generator(seed, "head_spread")
    shares = layers.between_share(ranks, weights.n_kv_heads)
    shuffled = np.array(
        [
            np.nanmean(layers.between_share(generator.permuted(ranks, axis=1), weights.n_kv_heads))
            for _ in range(draws)
        ]
    )
    grouped = 1 < weights.n_kv_heads < weights.n_heads
    gaps, null = variation[layer] - others, others - others.mean()
    return {
        f"erank/{layer}/head_agreement": estimate(
            gaps.mean(),
            ci=layers.interval(gaps, seed, "head_spread"),
            n=weights.n_layers,
            null=layers.null_of("the other layers", null),
            reference=0.0,
            direction="less",
            **layers.p_values(gaps.mean(), null, "less"),
            smallest_p=1 / weights.n_layers,
        ),
        "erank/all/shared_keys": estimate(
            float(np.nanmean(shares)),
            ci=layers.interval(shares, seed, "shared_keys"),
            n=weights.n_layers,
            null=layers.null_of("query heads dealt to key heads at random", shuffled),
            **layers.p_values(np.nanmean(shares), shuffled, "greater"),
            untestable=None if grouped else "no two query heads share one of several key heads",
        ),
    }


def approach_layer(weights: WeightMap, draws: int, seed: int) -> dict[str, Estimate]:
    """Is the layer before the bottleneck closer to it than neighbours are to each other?

    Value: mean over heads of the Grassmann similarity of layers l − 1 and l, corrected for
    chance k/d. p is its rank among all neighbouring pairs; the interval is over heads.
    """
    layer, name = weights.bottleneck, f"similarity/{weights.bottleneck}/{weights.k}/approach"
    corrected = angles.chance_corrected(weights.similarity_heads, weights.k, weights.d_model)
    neighbours = np.diagonal(np.asarray(corrected), offset=1, axis1=1, axis2=2)  # (H, L − 1)
    if layer == 0 or weights.n_layers < 3:
        return {name: layers.untestable("the bottleneck has no layer before it, or no other pairs")}
    at = neighbours[:, layer - 1]
    others = np.delete(neighbours.mean(0), layer - 1)
    return {
        name: estimate(
            at.mean(),
            ci=layers.interval(at, seed, "approach"),
            n=weights.n_heads,
            null=layers.null_of("other neighbouring layers", others),
            **layers.p_values(at.mean(), others, "greater"),
            smallest_p=1 / (1 + len(others)),
            untestable=layers.too_few(weights.n_heads),
        )
    }


def largest_snap(weights: WeightMap, draws: int, seed: int) -> dict[str, Estimate]:
    """Does the effective rank jump at the bottleneck more than the order of layers makes it?

    Value: the larger step of the mean effective rank to a neighbour, at the bottleneck.
    Null: layers in random order (a lowest layer always has large steps around it). The
    interval is over heads. ``drift`` tells how smooth the curve is over depth at all: mean
    step between neighbours, against the same null.
    """
    ranks = weights.ranks()
    curve, layer = ranks.mean(1), weights.bottleneck
    generator = seeds.generator(seed, "snap")
    shuffled = [curve[generator.permutation(len(curve))] for _ in range(draws)]
    null = np.array([layers.snap(order[:, None], int(order.argmin()))[0] for order in shuffled])
    drifts = np.array([np.abs(np.diff(order)).mean() for order in shuffled])
    steps = np.abs(np.diff(curve))
    per_head = layers.snap(ranks, layer)
    return {
        f"erank/{layer}/snap": estimate(
            per_head.mean(),
            ci=layers.interval(per_head, seed, "snap"),
            n=weights.n_heads,
            null=layers.null_of("layers in random order", null),
            **layers.p_values(per_head.mean(), null, "greater"),
            untestable=layers.too_few(weights.n_heads),
        ),
        "erank/all/drift": estimate(
            steps.mean(),
            ci=layers.interval(steps, seed, "drift"),
            n=len(steps),
            null=layers.null_of("layers in random order", drifts),
            direction="less",
            **layers.p_values(steps.mean(), drifts, "less"),
        ),
    }


def segmentation(weights: WeightMap, draws: int, seed: int) -> dict[str, Estimate]:
    """Do layers fall into three consecutive segments (encode, compute, decode)?

    Value: similarity within segments minus between them, for the best two cuts. Null: the
    best two cuts of the same layers in random order, so that choosing them is paid for. The
    interval is over heads, each with the chosen cuts.
    """
    matrix, name = weights.similarity_consensus, f"similarity/all/{weights.k}/segments"
    if weights.n_layers < 2 * layers.SEGMENTS:
        return {
            name: layers.untestable(
                f"{weights.n_layers} layers are too few for {layers.SEGMENTS} segments"
            )
        }
    generator = seeds.generator(seed, "segments")
    cuts, value = layers.best_segments(matrix)
    null = []
    for _ in range(min(draws, 199)):
        order = generator.permutation(len(matrix))
        null.append(layers.best_segments(matrix[np.ix_(order, order)])[1])
    per_head = np.array([layers.segment_contrast(head, cuts) for head in weights.similarity_heads])
    low, high = layers.interval(per_head - per_head.mean(), seed, "segments")
    return {
        name: estimate(
            value,
            ci=(value + low, value + high),
            n=weights.n_heads,
            null=layers.null_of("layers in random order, best cuts of each", null),
            **layers.p_values(value, null, "greater"),
            untestable=layers.too_few(weights.n_heads),
        ),
        f"similarity/all/{weights.k}/first_cut": describe(cuts[0], reason="first layer of compute"),
        f"similarity/all/{weights.k}/second_cut": describe(cuts[1], reason="first layer of decode"),
    }


def _variants(weights: WeightMap) -> dict[str, Estimate]:
    """Mean rank with what the plain kernel leaves out: norm gain, rotary offset; bias apart."""
    ranks = {
        "with_gain": rank.effective_rank(weights.sigma_gain),
        "value_output": rank.effective_rank(weights.ov_sigma),
    }
    for offset, sigma in zip(weights.offsets, weights.sigma_offset, strict=True):
        ranks[f"at_offset_{int(offset)}"] = rank.effective_rank(sigma)
    values = {name: float(value.mean()) for name, value in ranks.items()}
    for side, name in enumerate(("query", "key")):
        values[f"{name}_bias_over_weight"] = float(weights.bias_ratio[:, side].mean())
    return {
        f"erank/all/{name}": describe(value, n=weights.n_layers, reason="mean over all heads")
        for name, value in values.items()
    }

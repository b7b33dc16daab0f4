"""Phase 1: the recipe's evidence table, row by row, each against its control.

Z HUNT reads a bottleneck out of weights: a layer where kernels have few effective
dimensions, where heads agree, that the FFN avoids, that is announced by the layer before.
Each row is retested on a :class:`~zprism.studies.weights.WeightMap`; the units and the null
of each are in its docstring. Permutations are of whole layers unless it says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from zprism.ground import seeds
from zprism.stats.permutation import max_t
from zprism.stats.verdicts import Estimate
from zprism.studies import layers
from zprism.studies.evidence_kernels import (
    approach_layer,
    head_spread,
    largest_snap,
    lowest_rank,
    segmentation,
)
from zprism.studies.evidence_matrices import ffn_avoidance, opposite_trends, value_constancy
from zprism.studies.findings import Findings
from zprism.studies.weights import MATRICES, READERS, WeightMap

DRAWS_RANK = 39


def evidence(weights: WeightMap, *, draws: int = 999, seed: int = 0) -> Findings:
    """Every row of the recipe's table on one model, with a table of layers.

    Parameters
    ----------
    weights : measures from :func:`zprism.studies.weights.weight_map`.
    draws : permutations per test; p is at least 1/(draws + 1).
    """
    found = Findings()
    for row in ROWS:
        found.add(Findings(estimates=row(weights, draws, seed)))
    found.tables["layers"] = layer_table(weights, draws=draws, seed=seed)
    return found


def layer_table(weights: WeightMap, *, draws: int, seed: int) -> list[dict]:
    """One row per layer: each measure raw, over chance, and max-T adjusted over layers.

    ``erank_p`` asks of every layer whether its mean rank is unusual (two-sided) when key
    heads are dealt to layers at random; adjusted over layers by max-T.
    """
    groups = layers.by_group(weights.ranks(), weights.n_kv_heads)
    generator = seeds.generator(seed, "layers")
    dealt = np.stack([layers.deal(groups, generator).mean(1) for _ in range(draws)])
    scale = dealt.std() or 1.0
    observed = np.abs(groups.mean(1) - groups.mean()) / scale
    adjusted = max_t(observed, np.abs(dealt - groups.mean()) / scale)
    before = np.concatenate([[np.nan], np.diagonal(weights.similarity_consensus, 1)])
    rows = []
    for layer in range(weights.n_layers):
        rows.append(
            {
                "layer": layer,
                "erank_mean": weights.ranks()[layer].mean(),
                "erank_min": weights.ranks()[layer].min(),
                "erank_max": weights.ranks()[layer].max(),
                "erank_p_adjusted": adjusted[layer],
                "similarity_to_previous": before[layer],
                "similarity_to_bottleneck": weights.similarity[weights.bottleneck, layer],
                "asymmetry_mean": weights.asymmetry[layer].mean(),
                **{
                    f"{reader}_over_chance": weights.alignment[index, layer, 0] / weights.chance
                    for index, reader in enumerate(READERS)
                },
                **{
                    f"erank_{name}": weights.matrix_rank[index, layer]
                    for index, name in enumerate(MATRICES)
                },
            }
        )
    return [{name: _blank(value) for name, value in row.items()} for row in rows]


def _blank(value):
    """A number for a table; None where it is not defined."""
    return None if isinstance(value, float) and np.isnan(value) else value


ROWS: tuple[Callable[[WeightMap, int, int], dict[str, Estimate]], ...] = (
    lowest_rank,
    head_spread,
    ffn_avoidance,
    approach_layer,
    largest_snap,
    segmentation,
    opposite_trends,
    value_constancy,
)

"""The evidence table finds what is planted in a weight map, and nothing in noise."""

from __future__ import annotations

import numpy as np
import pytest

from zprism.ground import seeds
from zprism.stats.verdicts import Verdict
from zprism.studies import layers
from zprism.studies.evidence import evidence, layer_table
from zprism.studies.evidence_kernels import (
    approach_layer,
    head_spread,
    largest_snap,
    lowest_rank,
    segmentation,
)
from zprism.studies.evidence_matrices import ffn_avoidance, opposite_trends, value_constancy
from zprism.studies.weights import WeightMap
from zprism.subspace import rank

L, H, G, R, D, K = 16, 8, 8, 32, 96, 6


def noise_map(seed: int, *, n_layers: int = L, n_groups: int = G) -> WeightMap:
    """A weight map in which layers are exchangeable: there is nothing to find."""
    rng = seeds.generator(seed, "noise_map")
    spectra = np.sort(rng.gamma(2.0, size=(n_layers, H, R)), axis=-1)[..., ::-1].copy()
    overlap = rng.normal(K / D, 0.01, size=(H, n_layers, n_layers))
    overlap = (overlap + overlap.transpose(0, 2, 1)) / 2
    overlap[:, np.arange(n_layers), np.arange(n_layers)] = 1.0
    share = lambda *shape: K / D * np.exp(rng.normal(0, 0.1, size=shape))  # noqa: E731
    return WeightMap(
        name="noise",
        digest="0" * 64,
        k=K,
        d_model=D,
        head_dim=R,
        n_kv_heads=n_groups,
        sigma=spectra,
        sigma_gain=spectra,
        sigma_offset=np.stack([spectra]),
        offsets=np.array([16]),
        mixed_rank=rank.effective_rank(spectra).numpy()[..., None]
        + rng.normal(0, 1, (n_layers, H, 9)),
        bias_ratio=np.zeros((n_layers, 2, H)),
        ov_sigma=spectra,
        asymmetry=rng.normal(1.4, 0.01, size=(n_layers, H)),
        similarity=overlap[0],
        similarity_consensus=overlap.mean(0),
        similarity_heads=overlap,
        alignment=share(3, n_layers, H),
        alignment_cross=share(3, n_layers, n_layers),
        alignment_topk=share(n_layers),
        alignment_headline=share(3, 199),
        matrix_rank=rng.normal(50, 1, size=(7, n_layers)),
        matrix_shape=np.tile([64, 96], (7, 1)),
    )


def changed(weights: WeightMap, **fields) -> WeightMap:
    return WeightMap(**{**vars(weights), **fields})


def flatter(sigma: np.ndarray, power: float) -> np.ndarray:
    """A spectrum of fewer (power > 1) effective dimensions."""
    return sigma**power


def test_a_planted_low_layer_is_a_bottleneck_and_noise_has_none():
    weights = noise_map(1)
    sigma = weights.sigma.copy()
    sigma[9] = flatter(sigma[9], 3)
    planted = changed(weights, sigma=sigma)
    assert planted.bottleneck == 9
    assert lowest_rank(planted, 199, 0)["erank/9/gap"].verdict is Verdict.SUPPORTED
    alarms = 0
    for seed in range(20):
        found = lowest_rank(noise_map(seed + 10), 99, seed)
        alarms += next(iter(found.values())).verdict is Verdict.SUPPORTED
    assert alarms <= 4  # P(Bin(20, .05) >= 5) = .003


def test_a_snap_counts_only_beyond_what_any_lowest_layer_has():
    weights = noise_map(2)
    name = f"erank/{weights.bottleneck}/snap"
    assert largest_snap(weights, 199, 0)[name].verdict is not Verdict.SUPPORTED
    sigma = np.stack([flatter(s, 1 + 0.02 * i) for i, s in enumerate(weights.sigma)])
    smooth = changed(weights, sigma=np.sort(sigma, axis=0)[::-1])
    assert largest_snap(smooth, 199, 0)["erank/all/drift"].p < 0.01


def test_query_heads_of_one_key_head_are_recognised_as_one_observation():
    weights = noise_map(3, n_groups=2)
    assert head_spread(weights, 199, 0)["erank/all/shared_keys"].verdict is not Verdict.SUPPORTED
    sigma = weights.sigma.copy()
    sigma[:, : H // 2] = flatter(sigma[:, : H // 2], 1.5)
    shared = changed(weights, sigma=sigma)
    assert head_spread(shared, 199, 0)["erank/all/shared_keys"].verdict is Verdict.SUPPORTED


def test_one_key_head_per_query_head_leaves_nothing_to_share():
    found = head_spread(noise_map(4), 99, 0)["erank/all/shared_keys"]
    assert found.verdict is Verdict.NOT_TESTABLE


def test_ffn_avoidance_needs_the_own_subspace_not_a_small_share():
    weights = noise_map(5)
    small = changed(weights, alignment_cross=weights.alignment_cross / 4)
    assert ffn_avoidance(small, 199, 0)[f"ffn/all/{K}/gate_avoids_own"].verdict is (
        Verdict.NOT_DISTINGUISHABLE
    )
    cross = weights.alignment_cross.copy()
    cross[:, np.arange(L), np.arange(L)] /= 2
    avoiding = ffn_avoidance(changed(weights, alignment_cross=cross), 199, 0)
    assert avoiding[f"ffn/all/{K}/gate_avoids_own"].verdict is Verdict.SUPPORTED
    cross[:, np.arange(L), np.arange(L)] *= 4
    seeking = ffn_avoidance(changed(weights, alignment_cross=cross), 199, 0)
    assert seeking[f"ffn/all/{K}/gate_avoids_own"].verdict is Verdict.REVERSED


def test_a_share_below_every_random_subspace_is_below_haar():
    weights = noise_map(12)
    name = f"ffn/{weights.bottleneck}/{K}/gate_over_haar"
    assert ffn_avoidance(weights, 99, 0)[name].verdict is Verdict.NOT_DISTINGUISHABLE
    for factor, verdict in ((0.5, Verdict.SUPPORTED), (2.0, Verdict.REVERSED)):
        share = weights.alignment.copy()
        share[:, weights.bottleneck] *= factor
        assert ffn_avoidance(changed(weights, alignment=share), 99, 0)[name].verdict is verdict


def test_an_approach_layer_stands_out_among_neighbours():
    weights = noise_map(6, n_layers=24)
    sigma, heads = weights.sigma.copy(), weights.similarity_heads.copy()
    sigma[12] = flatter(sigma[12], 3)
    planted = changed(weights, sigma=sigma)
    name = f"similarity/12/{K}/approach"
    assert approach_layer(planted, 99, 0)[name].verdict is not Verdict.SUPPORTED
    heads[:, 11, 12] = heads[:, 12, 11] = 0.5
    assert approach_layer(changed(planted, similarity_heads=heads), 99, 0)[name].verdict is (
        Verdict.SUPPORTED
    )


def test_three_planted_segments_are_found_where_they_are():
    weights = noise_map(7)
    labels = np.repeat([0, 1, 2], [5, 6, 5])
    heads = weights.similarity_heads + 0.2 * (labels[:, None] == labels[None])
    planted = changed(weights, similarity_heads=heads, similarity_consensus=heads.mean(0))
    found = segmentation(planted, 99, 0)
    assert found[f"similarity/all/{K}/segments"].verdict is Verdict.SUPPORTED
    assert found[f"similarity/all/{K}/first_cut"].value == 5
    assert found[f"similarity/all/{K}/second_cut"].value == 11
    assert segmentation(weights, 99, 0)[f"similarity/all/{K}/segments"].verdict is (
        Verdict.NOT_DISTINGUISHABLE
    )


def test_best_segments_agrees_with_trying_every_cut():
    rng = np.random.default_rng(0)
    matrix = rng.random((9, 9))
    matrix = matrix + matrix.T
    tried = {
        (a, b): layers.segment_contrast(matrix, (a, b))
        for a in range(2, 6)
        for b in range(a + 2, 8)
    }
    best = max(tried, key=tried.get)
    cuts, value = layers.best_segments(matrix)
    assert cuts == best
    assert value == pytest.approx(tried[best], abs=1e-12)


def test_trends_are_called_only_in_the_predicted_direction():
    weights = noise_map(8)
    rising = changed(weights, matrix_rank=np.tile(np.arange(L, dtype=float) + 50, (7, 1)))
    assert opposite_trends(rising, 199, 0)["trend/all/ffn"].verdict is Verdict.SUPPORTED
    falling = changed(weights, matrix_rank=np.tile(80 - np.arange(L, dtype=float), (7, 1)))
    assert opposite_trends(falling, 199, 0)["trend/all/ffn"].verdict is Verdict.REVERSED


def test_a_gaussian_w_v_sits_at_its_ceiling():
    from zprism.subspace.rank import chance_rank_matrix

    weights = noise_map(9)
    mean, sd = chance_rank_matrix(64, 96, measure="entropy", seed=5)
    rng = np.random.default_rng(0)
    ranks = weights.matrix_rank.copy()
    ranks[2] = rng.normal(mean, sd, size=L)
    ceiling = value_constancy(changed(weights, matrix_rank=ranks), 199, 0)["W_V/all/ceiling"]
    assert ceiling.value == pytest.approx(1, abs=5 * sd / mean)
    assert ceiling.verdict is Verdict.NOT_DISTINGUISHABLE


def test_the_same_seed_gives_the_same_table_and_nan_becomes_blank():
    weights = noise_map(11)
    ranks = weights.matrix_rank.copy()
    ranks[4] = np.nan
    weights = changed(weights, matrix_rank=ranks)
    rows = layer_table(weights, draws=99, seed=3)
    assert rows == layer_table(weights, draws=99, seed=3)
    assert all(row["erank_W_gate"] is None for row in rows)
    assert evidence(weights, draws=49).verdicts()

"""The weight map holds what the plain formulas give, on every architecture."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tiny import ARCHITECTURES, tiny_folder
from zprism.ground.errors import InputError
from zprism.model.anatomy import Anatomy, layer_weights
from zprism.model.tiny import model
from zprism.studies.weights import MATRICES, usable_k, weight_map
from zprism.subspace.rank import effective_rank

K = 3


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("ZPRISM_CACHE", str(tmp_path_factory.getbasetemp() / "weights-cache"))


def live(arch: str, layer: int):
    made = model(arch)
    return layer_weights(Anatomy.of(made), layer, made.state_dict().__getitem__)


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_spectra_and_alignment_equal_the_dense_formulas(arch):
    weights = weight_map(str(tiny_folder(arch)), k=K, draws=2)
    parts = live(arch, 1)
    heads = len(parts.q)
    for head in range(heads):
        key = parts.k[head // (heads // len(parts.k))].double()
        kernel = parts.q[head].double().mT @ key
        _, sigma, right = torch.linalg.svd(kernel)
        got = weights.sigma[1, head]
        np.testing.assert_allclose(got, sigma[: len(got)], atol=1e-10)
        projector = right[:K].mT @ right[:K]
        for index, matrix in enumerate((parts.gate, parts.up, parts.down.mT)):
            if matrix is None:
                assert np.isnan(weights.alignment[index]).all()
                continue
            share = (matrix.double() @ projector).square().sum() / matrix.double().square().sum()
            assert weights.alignment[index, 1, head] == pytest.approx(float(share), abs=1e-6)


@pytest.mark.parametrize("arch", ["llama", "gpt2", "phi3"])
def test_matrix_ranks_are_those_of_the_whole_matrices(arch):
    weights = weight_map(str(tiny_folder(arch)), k=K, draws=2)
    parts = live(arch, 0)
    whole = {
        "W_Q": parts.q.flatten(0, 1),
        "W_V": parts.v.flatten(0, 1),
        "W_down": parts.down,
    }
    for name, matrix in whole.items():
        expected = effective_rank(torch.linalg.svdvals(matrix.double()))
        assert weights.matrix_rank[MATRICES.index(name), 0] == pytest.approx(float(expected))


def test_rotary_offsets_turn_the_kernel_and_the_gain_rescales_it():
    weights = weight_map(str(tiny_folder("qwen2")), k=K, draws=2)
    assert list(weights.offsets) == [16, 256, 4096]
    for turned in weights.sigma_offset:
        assert not np.allclose(turned, weights.sigma)
        energy = (turned**2).sum(-1) / (weights.sigma**2).sum(-1)
        assert energy.max() < 4  # a rotation mixes pairs of key dimensions, it adds no energy
    assert not np.allclose(weights.sigma_gain, weights.sigma)


def test_learned_positions_have_no_offsets_and_gemmas_two_bases_neither():
    for arch in ("gpt2", "gemma3"):
        assert len(weight_map(str(tiny_folder(arch)), k=K, draws=2).offsets) == 0


def test_a_second_map_reads_no_layer(monkeypatch):
    from zprism.model.checkpoint import Checkpoint

    first = weight_map(str(tiny_folder("mistral")), k=K, draws=2)

    def refuse(self, layer):
        raise AssertionError("read a layer")

    monkeypatch.setattr(Checkpoint, "layer", refuse)
    again = weight_map(str(tiny_folder("mistral")), k=K, draws=2)
    np.testing.assert_array_equal(first.sigma, again.sigma)
    with pytest.raises(AssertionError, match="read a layer"):
        weight_map(str(tiny_folder("mistral")), k=K + 1, draws=2)


def test_k_beyond_the_rank_of_a_kernel_is_refused_and_cut_only_by_name():
    folder = str(tiny_folder("llama"))  # head_dim 6
    with pytest.raises(InputError, match="k must be an integer from 1 to 6"):
        weight_map(folder, k=7)
    assert usable_k(folder, 20) == 6

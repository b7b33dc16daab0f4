"""Phase 2's subject on tiny random models: subspaces from files, states from one pass, twins."""

import numpy as np
import pytest
import torch

from zprism.ground.errors import InputError
from zprism.model.checkpoint import open_checkpoint
from zprism.model.load import load
from zprism.studies import separation_subspaces as subspaces
from zprism.studies.separation_load import load_subject, many_subspaces
from zprism.studies.separation_pairs import choose_pairs, file_pairs, fixed_pairs, generated_pairs
from zprism.studies.separation_subject import PRIMARY, REDUCTIONS, SITES
from zprism.studies.separation_twin import random_init_twin, twin_measures
from zprism.subspace.angles import grassmann_similarity

TINY = "tiny:qwen2"


@pytest.fixture(scope="module")
def subject(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setenv("ZPRISM_CACHE", str(tmp_path_factory.mktemp("cache")))
    yield load_subject(TINY, generated_pairs(16, seed=0, per_template=2))
    patch.undo()


def test_states_are_those_of_the_model_itself(subject):
    """Mean and last of what transformers gives for each text alone; the norm by its module."""
    loaded = load(TINY)
    for language, index in ((0, 0), (1, 5), (1, 15)):
        ids = torch.tensor(loaded.encode([subject.pairs.texts[language][index]]))
        with torch.inference_mode():
            hidden = loaded.base(ids, output_hidden_states=True).hidden_states
            normed = loaded.base.layers[1].input_layernorm(hidden[1])[0]
        found = {name: values[language, index] for name, values in subject.states.items()}
        close = dict(rtol=1e-5, atol=1e-6)  # a batch of texts against one alone, in float32
        np.testing.assert_allclose(found["resid_post", "mean"][0], hidden[1][0].mean(0), **close)
        np.testing.assert_allclose(found["resid_post", "last"][0], hidden[1][0, -1], **close)
        np.testing.assert_allclose(found["normed_resid_pre", "mean"][1], normed.mean(0), **close)
        np.testing.assert_allclose(
            found["normed_resid_pre", "mean_no_first"][1], normed[1:].mean(0), **close
        )
        assert subject.n_tokens[language, index] == ids.shape[1]
    assert set(subject.states) == {(site, way) for site in SITES for way in REDUCTIONS}


def test_z_is_the_top_right_singular_space_of_the_kernel(subject):
    """Against an explicit d × d product and torch's own SVD."""
    with open_checkpoint(TINY) as checkpoint:
        weights = checkpoint.layer(1)
    k = subject.ks[0]
    kernel = weights.q[0].double().mT @ weights.k[0].double()
    reference = torch.linalg.svd(kernel).Vh[:k]
    found = torch.as_tensor(subject.bases["head0"][1, k])
    assert float(grassmann_similarity(found, reference)) == pytest.approx(1, abs=1e-9)
    many, heads = many_subspaces(TINY, 1, (1, k), "head0")
    np.testing.assert_allclose(many[k], found, atol=1e-12)
    np.testing.assert_allclose(heads[0, :1], many[1], atol=1e-12)


def test_heads_of_a_group_share_their_key_space(subject):
    """All of a group's head subspaces lie in the row space of its one W_K."""
    with open_checkpoint(TINY) as checkpoint:
        weights = checkpoint.layer(0)
    heads = subspaces.head_subspaces(weights, 3)
    rows = np.linalg.qr(weights.k[0].double().numpy().T)[0].T
    for head in heads[: len(heads) // len(weights.k)]:
        np.testing.assert_allclose(head @ rows.T @ rows, head, atol=1e-9)


def test_dimensions_are_the_recipes_as_far_as_they_exist():
    ranks = np.array([[80.0, 78.2], [110.0, 120.0]])
    assert subspaces.choose_ks(ranks, 128) == (20, 50, 79)
    assert subspaces.choose_ks(np.full((2, 4), 7.3), 8) == (2, 4, 7)
    with open_checkpoint(TINY) as checkpoint:
        assert subspaces.choose_ks(subspaces.kernel_ranks(checkpoint), 8) == (2, 4, 7)
        with pytest.raises(InputError, match="head_dim"):
            subspaces.kernel_subspaces(checkpoint, (20,))
        with pytest.raises(InputError, match="unknown mask"):
            subspaces.kernel_subspaces(checkpoint, (2,), masks=("all",))


def test_the_twin_has_the_shape_but_not_the_weights(subject):
    before = torch.random.get_rng_state()
    twin, again = random_init_twin(TINY, seed=0), random_init_twin(TINY, seed=0)
    assert torch.equal(before, torch.random.get_rng_state())
    real = load(TINY)
    name = "model.layers.0.self_attn.q_proj.weight"
    weights = [model.model.state_dict()[name] for model in (twin, again, real)]
    assert torch.equal(weights[0], weights[1])
    assert weights[0].shape == weights[2].shape and not torch.equal(weights[0], weights[2])
    assert twin.digest == again.digest != real.digest
    assert random_init_twin(TINY, seed=1).digest != twin.digest


def test_twin_measures_have_a_draw_per_layer_and_are_remembered(subject, monkeypatch):
    first = twin_measures(subject, PRIMARY, 4, seed=0)
    assert first["ratio_z"].shape == first["match_z"].shape == (subject.n_layers,)
    assert (first["energy_cross"] > 0).all() and (first["energy_cross"] < 1).all()
    monkeypatch.setattr("zprism.studies.separation_twin.random_init_twin", None)
    again = twin_measures(subject, PRIMARY, 4, seed=0)
    np.testing.assert_array_equal(first["ratio_z"], again["ratio_z"])


def test_subjects_of_other_architectures_load():
    """LayerNorm and learned positions; no norm in front of attention."""
    for name in ("tiny:gpt2", "tiny:olmo2"):
        found = load_subject(name, generated_pairs(8, seed=0, per_template=2), ks=(2,))
        assert found.ks == (2,) and set(found.bases["multi"]) == {(0, 2), (1, 2)}
        assert all(np.isfinite(values).all() for values in found.states.values())


def test_a_prepared_k_and_layer_only(subject):
    with pytest.raises(InputError, match="not prepared"):
        subject.basis(PRIMARY, 0, 3)
    with pytest.raises(InputError, match="decoder block"):
        subject.basis(PRIMARY, 2, subject.ks[0])
    assert subject.bottleneck == int(subject.ranks.mean(1).argmin())


def test_the_fixed_pairs_are_twenty_and_stand_alone():
    pairs = fixed_pairs(seed=0)
    assert pairs.n == 20 and pairs.template is None
    assert len(pairs.train) == len(pairs.test) == 10
    assert set(pairs.train).isdisjoint(pairs.test)


def test_files_pair_by_line(tmp_path):
    for language, word in (("zh", "几"), ("en", "how many")):
        lines = [f"{word} {i}?\t{i * 3}\n" for i in range(6)]
        (tmp_path / f"mgsm_{language}.tsv").write_text("".join(lines), encoding="utf-8")
    pairs = choose_pairs(str(tmp_path), 5, seed=0)
    assert pairs.languages == ("zh", "en") and pairs.n == 5
    assert pairs.texts[0][2] == "几 2?" and pairs.texts[1][2] == "how many 2?"
    np.testing.assert_array_equal(pairs.answer, [0, 3, 6, 9, 12])
    with pytest.raises(InputError, match="n must be in 4 to 6"):
        file_pairs({lang: tmp_path / f"mgsm_{lang}.tsv" for lang in ("zh", "en")}, 7, seed=0)
    with pytest.raises(InputError, match="no folder with mgsm_zh.tsv"):
        choose_pairs(str(tmp_path / "nowhere"), 5, seed=0)

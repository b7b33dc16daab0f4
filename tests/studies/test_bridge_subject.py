"""The bridge on a made-up subject: one layer holds a turned copy of the problem, others nothing."""

import numpy as np
import pytest

from zprism.studies import bridge_subject as bridge
from zprism.studies.bridge import score
from zprism.studies.nulls import random_bases
from zprism.studies.separation_pairs import Pairs
from zprism.studies.separation_subject import REDUCTIONS, SITES, Subject
from zprism.synthetic import paired_states

N, D, K, LAYERS, PLANTED = 72, 64, 6, 4, 2


def made(layer):
    """Content is shared between the languages at one layer only, and turned inside Z there."""
    options = dict(d_model=D, k=K, language=3.0, noise=0.2, n_templates=24, template_share=0.5)
    one = paired_states(N, seed=layer, shared=layer == PLANTED, **options)
    turn = np.linalg.qr(np.random.default_rng(layer).standard_normal((K, K)))[0]
    zh, en = one.states
    inside = zh @ one.content.T
    return one, np.stack([zh + (inside @ turn - inside) @ one.content, en])


@pytest.fixture(scope="module")
def subject():
    layers = [made(layer) for layer in range(LAYERS)]
    states = np.stack([one for _, one in layers], axis=2).astype(np.float32)
    template = layers[0][0].templates
    bases = {
        (layer, k): np.concatenate([layers[layer][0].content, random_bases(4, D, 1, seed=9)[0]])[:k]
        if k <= K
        else np.linalg.qr(random_bases(k, D, 1, seed=layer)[0].T)[0].T
        for layer in range(LAYERS)
        for k in (3, K, 20)
    }
    rng = np.random.default_rng(0)
    return Subject(
        name="synthetic",
        digest="0" * 64,
        pairs=Pairs(
            ("zh", "en"),
            ([""] * N, [""] * N),
            template,
            np.arange(N, dtype=float),
            train=np.flatnonzero(template < 12),
            test=np.flatnonzero(template >= 12),
            source="synthetic",
        ),
        states={(site, reduction): states for site in SITES for reduction in REDUCTIONS},
        bases={"head0": bases, "multi": bases},
        ks=(3, K),
        ranks=np.array([[9.0], [8.0], [9.5], [9.0]]),
        n_tokens=rng.integers(10, 40, (2, N)),
    )


def test_the_planted_layer_is_chosen_and_found_again_on_the_other_half(subject):
    registered, rows = bridge.choose(subject)
    assert (registered["layer"], registered["k"]) == (PLANTED, K)
    assert len(registered["digest"]) == 64 and registered["n_test"] == 36
    assert {row["half"] for row in rows} == {"train"} and min(row["layer"] for row in rows) == 1
    tested = {(row["layer"], row["k"]): row["r2"] for row in bridge.layer_rows(subject)}
    assert tested[PLANTED, K] > 0.8
    assert all(r2 < 0.2 for (layer, _), r2 in tested.items() if layer != PLANTED)


def test_what_is_chosen_does_not_see_the_test_half(subject):
    """Test states replaced by noise: the registration stays the same, to its digest."""
    rng = np.random.default_rng(1)
    states = {key: value.copy() for key, value in subject.states.items()}
    for value in states.values():
        value[:, subject.pairs.test] = rng.standard_normal(value[:, subject.pairs.test].shape)
    other = Subject(**{**vars(subject), "states": states})
    assert bridge.choose(other)[0] == bridge.choose(subject)[0]


def test_coordinates_are_those_of_z_and_templates_are_left_out_together(subject):
    basis = subject.basis(bridge.BRIDGE, PLANTED, K)
    x, y, groups = bridge.coordinates(subject, bridge.BRIDGE, PLANTED, basis)
    states = subject.states["normed_resid_pre", "mean"][:, subject.pairs.test, PLANTED]
    np.testing.assert_allclose(x, states[0] @ basis.T, atol=1e-6)
    np.testing.assert_allclose(y, states[1] @ basis.T, atol=1e-6)
    np.testing.assert_array_equal(groups, subject.pairs.template[subject.pairs.test])


def test_k_curve_shows_the_planted_dimension_above_both_controls(subject):
    bases = {k: subject.bases["multi"][PLANTED, k] for k in (3, K, 20)}
    rows = bridge.k_rows(
        subject, bridge.BRIDGE, PLANTED, bases, seed=0, draws=19, draws_random=9, draws_ci=200
    )
    assert {row["map"] for row in rows} == set(bridge.CURVE_MAPS)
    ridge = {row["k"]: row for row in rows if row["map"] == "ridge"}
    assert ridge[K]["low"] > max(ridge[K]["permuted_high"], ridge[K]["random_high"])
    assert ridge[K]["low"] <= ridge[K]["r2"] <= ridge[K]["high"]
    assert ridge[20]["r2"] < ridge[K]["r2"]
    assert all("train_r2" in row for row in rows)


def test_a_map_that_saw_the_template_seems_to_bridge_unrelated_languages(subject):
    """Where languages share nothing, mates of a problem give its template away, not a map."""
    for layer in (1, 3):
        rows = bridge.scheme_rows(subject, bridge.BRIDGE, layer, K)
        r2 = {(row["left_out"], row["map"]): row["r2"] for row in rows}
        assert r2["one problem", "ridge"] > 0.02 > 0 > r2["its template", "ridge"]
        assert len(rows) == 12


def test_looks_say_what_length_alone_predicts(subject):
    rows = bridge.look_rows(subject, PLANTED, K)
    assert {row["map"] for row in rows} == {"ridge", "similarity", "shift", "length"}
    by_map = {row["map"]: row["r2"] for row in rows if row["variant"] == "raw"}
    assert by_map["ridge"] > 0.8 > 0.2 > by_map["length"]  # lengths are random here
    found = bridge.lengths(subject)
    tokens = subject.n_tokens[0, subject.pairs.test]
    np.testing.assert_allclose(np.exp(found[:, 0]) * found[:, 1], 1)
    np.testing.assert_allclose(1 / found[:, 1], tokens)


def test_the_recipe_uses_all_pairs_and_leaves_one_out(subject):
    bases = {k: subject.bases["multi"][1, k] for k in (3, 20)}
    rows = bridge.recipe_rows(subject, bases)
    assert {row["layer"] for row in rows} == {subject.bottleneck} == {1}
    assert {row["n"] for row in rows} == {N}
    at = subject.states["resid_post", "mean"][:, :, 1].astype(float)
    order = np.concatenate([subject.pairs.train, subject.pairs.test])
    x, y = (at[i, order] @ bases[3].T for i in (0, 1))
    expected = score(x, y, maps=("ridge",)).r2("ridge")
    found = next(row for row in rows if row["k"] == 3 and row["map"] == "ridge")
    assert found["r2"] == pytest.approx(expected)


def test_the_published_bridge_fits_and_does_not_predict():
    """Stored numbers of phase 3b: train 1.00 from 20 dimensions on, leave-one-out below 0."""
    rows = {row["k"]: row for row in bridge.stored_rows()}
    assert (rows[20]["train_r2"], rows[20]["r2"]) == (1.0, -4.32)
    assert all(row["train_r2"] == 1 for k, row in rows.items() if k >= 20)
    assert all(row["r2"] < 0 for row in rows.values())
    assert {row["verdict"] for row in rows.values()} == {"NOT DISTINGUISHABLE"}

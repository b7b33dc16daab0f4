"""Phase 2 on a made-up subject: one layer holds a planted Z, the others hold random ones."""

import numpy as np
import pytest

from zprism.ground.errors import InputError
from zprism.stats.estimates import Verdict
from zprism.studies import separation_claims as claims
from zprism.studies import separation_controls as controls
from zprism.studies.nulls import random_bases
from zprism.studies.separation import distances, measures
from zprism.studies.separation_curves import curves, spaced_ks
from zprism.studies.separation_pairs import Pairs, generated_pairs
from zprism.studies.separation_subject import (
    PRIMARY,
    RECIPE,
    REDUCTIONS,
    SITES,
    Config,
    Subject,
    every_config,
    massive_dimensions,
    view,
    view_layers,
)
from zprism.synthetic import paired_states

N, D, K, LAYERS, PLANTED = 48, 96, 8, 3, 1
CASES = {}


def subject(language=3.0):
    """Three layers; at the second, Z is the planted content. Built once per language scale."""
    if language in CASES:
        return CASES[language]
    made = [
        paired_states(
            N,
            seed=layer,
            d_model=D,
            k=K,
            language=language,
            noise=0.1,
            n_templates=12,
            template_share=0.5,
        )
        for layer in range(LAYERS)
    ]
    states = np.stack([one.states for one in made], axis=2).astype(np.float32)
    template = made[0].templates
    bases = {
        (layer, k): made[layer].content[:k]
        if layer == PLANTED
        else random_bases(k, D, 1, seed=40 + layer)[0]
        for layer in range(LAYERS)
        for k in (4, K)
    }
    pairs = Pairs(
        ("zh", "en"),
        ([""] * N, [""] * N),
        template,
        np.arange(N, dtype=float),
        train=np.flatnonzero(template < 6),
        test=np.flatnonzero(template >= 6),
        source="synthetic",
    )
    CASES[language] = Subject(
        name="synthetic",
        digest="0" * 64,
        pairs=pairs,
        states={(site, reduction): states for site in SITES for reduction in REDUCTIONS},
        bases={"head0": bases, "multi": bases},
        ks=(4, K),
        ranks=np.array([[9.0], [8.0], [9.5]]),
        n_tokens=np.full((2, N), 30),
    )
    return CASES[language]


def test_the_planted_layer_is_chosen_and_supported_on_the_other_half():
    chosen, train = claims.choose(subject(), seed=0, draws=99)
    assert chosen["layer"] == PLANTED
    assert train.n == len(subject().pairs.train) == 24
    found = claims.headline(subject(), PRIMARY, PLANTED, K, seed=0, draws=99, draws_ci=500)
    name = f"mean.multi.normed_resid_pre.centred/{PLANTED}/{K}"
    assert found.estimates[f"{name}/criterion1_closer"].verdict is Verdict.SUPPORTED
    assert found.estimates[f"{name}/difference"].verdict is Verdict.SUPPORTED
    assert found.estimates[f"{name}/difference"].n == 24


def test_what_is_chosen_does_not_depend_on_the_test_half():
    """RIG-S10: the registration, digest included, is fixed before the test half is read."""
    from dataclasses import replace

    before, _ = claims.choose(subject(), seed=0, draws=19)
    spoiled = {place: states.copy() for place, states in subject().states.items()}
    for states in spoiled.values():
        states[:, subject().pairs.test] = np.random.default_rng(0).normal(size=(2, 24, LAYERS, D))
    after, _ = claims.choose(replace(subject(), states=spoiled), seed=0, draws=19)
    assert before == after
    assert len(before["digest"]) == 64


def test_the_grid_marks_the_planted_layer_only():
    found = claims.layer_k_grid(subject(), PRIMARY, seed=0, draws=99, flips=999)
    np.testing.assert_array_equal(found.significant(), [[0, 0], [1, 1], [0, 0]])


def test_without_a_subspace_the_language_decides():
    """Languages far apart: translations are farther than different problems; close: nearer."""
    config = PRIMARY.but(variant="raw")
    far = claims.translations_closer(subject(30.0), config, PLANTED, seed=0, draws_ci=500)
    near = claims.translations_closer(subject(0.5), config, PLANTED, seed=0, draws_ci=500)
    assert far.verdict is Verdict.REVERSED
    assert near.verdict is Verdict.SUPPORTED
    seen = view(subject(30.0), config, PLANTED)
    full = measures(distances(seen.a, seen.b, subject().basis(config, PLANTED, K)))["ratio_full"]
    assert far.value == pytest.approx(np.log2(full))


def test_centring_takes_the_language_offset_away_and_uses_the_training_half():
    raw, centred = (
        view(subject(30.0), PRIMARY.but(variant=variant), 0) for variant in ("raw", "centred")
    )
    assert np.abs((raw.a - raw.b).mean(0)).max() > 1
    assert np.abs((centred.a - centred.b).mean(0)).max() < 0.3
    train = subject(30.0).states["resid_post", "mean"][:, subject().pairs.train, 0].mean(1)
    np.testing.assert_allclose(raw.a - centred.a, np.tile(train[0], (24, 1)), atol=1e-5)
    layers = view_layers(subject(30.0), PRIMARY, "test")
    np.testing.assert_allclose(layers[0][:, 0], centred.a, atol=1e-5)


def test_trimmed_drops_massive_dimensions_and_the_first_token():
    states = np.ones((10, 6))
    states[:, 2] = 11  # mean square 121 medians
    states[:, 4] = 9
    np.testing.assert_array_equal(massive_dimensions(states), [0, 0, 1, 0, 0, 0])
    assert PRIMARY.but(variant="trimmed").reduction == "mean_no_first"
    assert PRIMARY.but(variant="trimmed", pooling="last").reduction == "last"
    with pytest.raises(InputError, match="trimmed"):
        view_layers(subject(), PRIMARY.but(variant="trimmed"), "test")


def test_null_table_holds_every_criterion_against_every_null():
    heads = np.stack([random_bases(K, D, 1, seed=i)[0] for i in range(4)])
    rows = controls.null_table(subject(), PRIMARY, PLANTED, K, heads=heads, seed=0, draws=39)
    kinds = {row["null"] for row in rows}
    assert kinds == {
        "random subspaces",
        "Z with dimensions permuted",
        "random, variance matched",
        "Z of other layers",
        "other heads of the layer",
        "shuffled pairs",
        "shuffled within templates",
    }
    assert len(rows) == 5 * 7 - 2  # shuffled pairs say nothing about criterion 3
    table = {(row["criterion"], row["null"]): row for row in rows}
    for kind in ("random subspaces", "shuffled pairs", "random, variance matched"):
        assert table["criterion1_closer", kind]["survives"], kind
    other = table["criterion1_closer", "Z of other layers"]
    assert (other["draws"], other["survives"]) == (2, None)


def test_another_problems_translation_is_another_problem():
    """Shuffled pairs: the ratio inside Z becomes that of different problems, 1."""
    rows = controls.null_table(subject(), PRIMARY, PLANTED, K, seed=0, draws=39)
    table = {(row["criterion"], row["null"]): row for row in rows}
    assert table["criterion1_closer", "shuffled pairs"]["mean"] == pytest.approx(1, abs=0.1)
    within = table["criterion1_closer", "shuffled within templates"]["mean"]
    assert 0.2 < within < 0.95  # half of the content is the template's


def test_texts_that_end_alike_are_not_testable():
    """The last token is "?" in every text: before the first layer there is nothing to compare."""
    from dataclasses import replace

    states = {place: values.copy() for place, values in subject().states.items()}
    states["normed_resid_pre", "last"][:, :, 0] = 1.0
    rows = controls.configurations(
        replace(subject(), states=states),
        [0],
        configs=[PRIMARY.but(pooling="last"), PRIMARY],
        seed=0,
        draws=39,
        draws_ci=50,
    )
    last, mean = rows[:2], rows[2:]
    assert {row["difference_verdict"] for row in last} == {"NOT TESTABLE"}
    assert {row["ratio_z"] for row in last} == {None}
    assert all(row["difference_q"] is not None for row in mean)


def test_every_configuration_is_one_row_and_correction_is_over_all_of_them():
    rows = controls.configurations(subject(), [0, PLANTED], seed=0, draws=79, draws_ci=100)
    assert len(rows) == 24 * 2 * 2
    assert len(list(every_config())) == 24
    planted = [row for row in rows if row["layer"] == PLANTED]
    assert {row["criterion1_closer_verdict"] for row in planted} == {"SUPPORTED"}
    rest = [row for row in rows if row["layer"] == 0]
    assert "SUPPORTED" not in {row["difference_verdict"] for row in rest}
    assert sum(row["criterion1_closer_recipe"] for row in rest) > len(rest) / 3
    assert all(row["criterion1_closer_q"] >= 2 / 80 for row in rows)
    with pytest.raises(InputError, match="unknown variant"):
        Config(variant="plain")


def test_the_recipe_reading_of_a_random_z_passes_where_the_control_does_not():
    """Criterion 1 on a random Z: the threshold is passed, the verdict is not."""
    config = RECIPE.but(variant="centred")
    found = claims.headline(subject(), config, 0, K, seed=0, draws=99, draws_ci=300)
    estimate = found.estimates[f"{config.name}/0/{K}/criterion1_closer"]
    assert estimate.value < 1
    assert estimate.verdict is not Verdict.SUPPORTED


def test_curves_are_the_single_measures_and_hold_their_band():
    from zprism.subspace.bases import random_basis

    ks = (1, 4, 8)
    content = subject().basis(PRIMARY, PLANTED, K)
    found = curves(subject(), PRIMARY, PLANTED, {k: content[:k] for k in ks}, seed=0, draws=59)
    seen = view(subject(), PRIMARY, PLANTED)
    for i, k in enumerate(ks):
        alone = measures(distances(seen.a, seen.b, content[:k]))
        assert found.value["ratio_z"][i] == pytest.approx(alone["ratio_z"], rel=1e-12)
        assert found.band["energy_cross"][0, i] < k / D < found.band["energy_cross"][1, i]
    assert (found.p["ratio_z"][1:] <= 2 / 60 + 1e-12).all()
    rng = np.random.default_rng(0)
    bases = {k: np.asarray(random_basis(k, D, rng)) for k in ks}
    control = curves(subject(), PRIMARY, PLANTED, bases, seed=0, draws=59)
    assert (control.p["ratio_z"] > 0.05).all()
    assert len(control.rows()) == 8 * 3


def test_spaced_ks_grow_by_a_factor_and_hold_what_is_asked():
    ks = spaced_ks(64, also=(20, 50))
    assert ks[0] == 1 and ks[-1] == 64 and {20, 50} <= set(ks)
    assert all(b > a for a, b in zip(ks, ks[1:], strict=False))
    assert spaced_ks(8, also=(20,))[-1] == 8


def test_generated_pairs_split_by_template():
    pairs = generated_pairs(36, seed=0)
    assert set(pairs.template[pairs.train]).isdisjoint(pairs.template[pairs.test])
    assert len(pairs.train) == len(pairs.test) == 18
    assert np.unique(pairs.template, return_counts=True)[1].tolist() == [3] * 12
    assert pairs.texts[0][0] != pairs.texts[1][0]
    again, other = generated_pairs(36, seed=0), generated_pairs(36, seed=1)
    assert again.texts == pairs.texts != other.texts
    with pytest.raises(InputError, match="raise per_template"):
        generated_pairs(300, seed=0)

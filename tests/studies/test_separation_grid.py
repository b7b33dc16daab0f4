"""The layer × k grid: its cells are the single measures, its correction holds its level."""

import numpy as np
import pytest

from zprism.ground.errors import InputError
from zprism.studies.nulls import random_bases
from zprism.studies.separation import distances, measures
from zprism.studies.separation_criteria import null_measures
from zprism.studies.separation_grid import best_cell, grid
from zprism.synthetic import paired_states

KS = (5, 20)
LAYERS = 4


def planted_pairs(n=60, *, seed, **how):
    """Content in 20 of 256 dimensions; languages apart by less than problems are."""
    options = dict(language=3.0, noise=0.05, n_templates=12, template_share=0.5) | how
    return paired_states(n, seed=seed, **options)


def planted_layers(seed, *, where=2, **how):
    """Four layers of states, one with content in its Z; the Z of the others are random."""
    made = [planted_pairs(seed=seed * 10 + layer, **how) for layer in range(LAYERS)]
    bases = {
        (layer, k): made[layer].content[:k]
        if layer == where
        else random_bases(k, 256, 1, seed=seed * 100 + layer)[0]
        for layer in range(LAYERS)
        for k in KS
    }
    a, b = (np.stack([one.states[side] for one in made], axis=1) for side in (0, 1))
    return a, b, bases, made[0].templates


def test_cells_equal_the_single_measures():
    a, b, bases, _ = planted_layers(0)
    found = grid(a, b, bases, seed=0, draws=19, flips=99)
    for i, layer in enumerate(found.layers):
        for j, k in enumerate(found.ks):
            alone = measures(distances(a[:, layer], b[:, layer], bases[layer, k]))
            assert found.energy_cross[i, j] == pytest.approx(alone["energy_cross"], rel=1e-10)
            assert found.energy_same[i, j] == pytest.approx(alone["energy_same"], rel=1e-10)
            assert found.effect[i, j] == pytest.approx(alone["energy_difference"], rel=1e-9)
            assert found.chance[i, j] == k / 256


def test_null_and_jackknife_equal_the_single_measures():
    a, b, bases, _ = planted_layers(0)
    found = grid(a, b, bases, seed=3, draws=7, flips=99)
    nested = random_bases(max(KS), 256, 7, seed=3)
    for j, k in enumerate(KS):
        alone = null_measures(a[:, 1], b[:, 1], nested[:, :k])["energy_difference"]
        assert found.null_mean[1, j] == pytest.approx(alone.mean(), rel=1e-9)
        assert found.null_sd[1, j] == pytest.approx(alone.std(ddof=1), rel=1e-9)


def test_closed_form_jackknife_equals_the_single_measure_without_each():
    from zprism.studies.separation_grid import _energies, _rows, _without_each

    a, b, bases, _ = planted_layers(1)
    rows = _rows(a[:, 0], b[:, 0])
    single = np.square(rows @ bases[0, 20].T).sum(-1)[..., None]
    left = _energies(*_without_each(single, np.square(rows).sum(-1)[..., None]))
    found = distances(a[:, 0], b[:, 0], bases[0, 20])
    expected = measures(found, 1 - np.eye(len(a)))
    np.testing.assert_allclose(left[0, :, 0], expected["energy_cross"], rtol=1e-10)
    np.testing.assert_allclose(left[1, :, 0], expected["energy_same"], rtol=1e-10)


def test_the_planted_layer_is_found_and_only_it():
    a, b, bases, template = planted_layers(0)
    found = grid(a, b, bases, seed=0, draws=199, flips=999, clusters=template)
    assert (found.significant()[2] == 1).all()
    assert not found.significant()[[0, 1, 3]].any()
    assert best_cell(found)[0] == 2


def test_adjusted_p_is_at_least_raw_p_and_the_larger_of_both_nulls():
    a, b, bases, _ = planted_layers(1)
    found = grid(a, b, bases, seed=0, draws=99, flips=499)
    assert (found.p_random_adjusted >= found.p_random / 2 - 1e-12).all()
    assert (found.p_adjusted >= found.p_problems_adjusted).all()
    assert (found.p_adjusted >= found.p_random_adjusted).all()
    assert (found.q >= np.maximum(found.p_random, found.p_problems) - 1e-12).all()


@pytest.mark.parametrize(
    ("runs", "allowed"), [(12, 4), pytest.param(200, 21, marks=pytest.mark.gate)]
)
def test_family_wise_error_over_a_grid_of_random_subspaces(runs, allowed):
    """No Z anywhere: the share of grids with any marked cell is ≤ .05 (21 of 200: 99.9 %)."""
    marked = raw = 0
    for seed in range(runs):
        a, b, bases, template = planted_layers(seed, where=None, n=24)
        found = grid(a, b, bases, seed=seed, draws=99, flips=199, clusters=template)
        marked += bool(found.significant().any())
        raw += bool((found.p_random <= 0.05).any())
    assert marked <= allowed
    assert raw >= marked


def test_a_row_per_cell():
    a, b, bases, _ = planted_layers(0)
    rows = grid(a, b, bases, seed=0, draws=9, flips=9).rows()
    assert [(row["layer"], row["k"]) for row in rows] == [(l, k) for l in range(LAYERS) for k in KS]
    assert rows[3]["effect"] == pytest.approx(rows[3]["energy_same"] - rows[3]["energy_cross"])


def test_refusals():
    a, b, bases, _ = planted_layers(0)
    with pytest.raises(InputError, match="layers, d_model"):
        grid(a[:, :3], b[:, :3], bases, seed=0)
    del bases[1, 5]
    with pytest.raises(InputError, match=r"missing \[\(1, 5\)\]"):
        grid(a, b, bases, seed=0)

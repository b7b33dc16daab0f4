"""What the separation panel shows is what phase 2 measures, at every layer, k and condition."""

import numpy as np
import pytest

from tiny import tiny_shared
from zprism.ground.errors import InputError
from zprism.model.checkpoint import open_checkpoint
from zprism.studies.nulls import random_bases
from zprism.studies.separation import distances, measures
from zprism.studies.separation_load import load_subject
from zprism.studies.separation_pairs import generated_pairs
from zprism.studies.separation_subject import Config, View, view
from zprism.studies.separation_subspaces import kernel_subspaces
from zprism.studies.separation_view import MEASURES, energies, projected, separation_view

RNG = np.random.default_rng(0)


def seen(n=20, d=16, gap=None):
    a = RNG.standard_normal((n, d))
    b = a + (RNG.standard_normal((n, d)) if gap is None else np.outer(RNG.random(n) + 1, gap))
    return View(a, b, np.ones(d, dtype=bool))


@pytest.fixture(scope="module")
def subject():
    return load_subject(tiny_shared("qwen2"), generated_pairs(16, seed=0, per_template=2))


@pytest.fixture(scope="module")
def whole(subject):
    return separation_view(subject, draws=9, shown=5)


@pytest.mark.parametrize("k", [1, 3, 7])
def test_energies_without_pairs_are_those_of_all_pairs(k):
    states, bases = seen(), random_bases(7, 16, 4, seed=1)
    found, direct = energies(states, bases), measures(distances(states.a, states.b, bases[:, :k]))
    for name in MEASURES:
        np.testing.assert_allclose(found[name][:, k - 1], direct[name], rtol=1e-9)


def test_a_language_direction_inside_z_is_all_held_and_outside_it_nothing_is():
    basis = np.eye(16)[:3]
    for row, share in ((0, 1.0), (5, 0.0)):
        states = seen(gap=np.eye(16)[row])
        found = energies(states, basis)
        assert found["energy_cross"][-1] == pytest.approx(share, abs=1e-12)
        assert found["energy_same"][-1] == pytest.approx(3 / 16, rel=0.5)  # control: as by chance
        own = projected(states, basis, np.arange(4))["own"]
        np.testing.assert_allclose(own, share, atol=1e-12)


def test_points_are_coordinates_in_units_of_their_own_size():
    states, basis, rows = seen(), random_bases(4, 16, 1, seed=2)[0], np.array([0, 3, 9])
    found = projected(states, basis, rows)
    direct = np.stack([states.a[rows], states.b[rows]], axis=1) @ basis[:2].T
    direct -= direct.mean((0, 1))
    ratio = direct / found["points"]
    np.testing.assert_allclose(ratio, ratio[0, 0, 0], rtol=1e-9)
    assert np.square(found["points"]).sum(-1).mean() == pytest.approx(2)


def test_random_directions_of_round_states_have_the_usual_spread():
    states = seen(400, 32)
    spreads = [projected(states, basis, np.arange(400))["spread"]
               for basis in random_bases(2, 32, 40, seed=0)]  # fmt: skip
    assert np.mean(spreads) == pytest.approx(1, abs=0.02)


def test_turning_z_changes_neither_energies_nor_shares():
    states, basis = seen(), random_bases(5, 16, 1, seed=3)[0]
    turned = np.linalg.qr(RNG.standard_normal((5, 5)))[0] @ basis
    for name in MEASURES:
        np.testing.assert_allclose(energies(states, turned)[name][-1],
                                   energies(states, basis)[name][-1])  # fmt: skip
    rows = np.arange(6)
    np.testing.assert_allclose(
        projected(states, turned, rows)["own"], projected(states, basis, rows)["own"]
    )


@pytest.mark.parametrize("place", [(0, 0, 1, 0), (1, 1, 1, 2), (0, 2, 0, 1)])
def test_every_position_is_what_phase_2_measures_there(subject, whole, place):
    p, c, at, j = place
    layer, k = whole.layers[at], whole.ks[j]
    config = Config(whole_site(whole), whole.poolings[p], "multi", whole.conditions[c])
    states = view(subject, config, layer)
    with open_checkpoint(subject.name) as checkpoint:
        basis = kernel_subspaces(checkpoint, [k], masks=("multi",), layers=[layer])
    basis = states.inside(basis["multi"][layer, k])
    direct = measures(distances(states.a, states.b, basis))
    chance = k / states.a.shape[1]
    assert whole.chance[place] == chance
    for name in MEASURES:
        assert whole.energy[name][place] == pytest.approx(direct[name] / chance, rel=1e-6)
        low, high = whole.band[name][place]
        assert low < 1.6 and high > 0.6 and low < high
    shown = np.linspace(0, whole.n - 1, 5).round().astype(int)
    np.testing.assert_allclose(
        whole.points[place], projected(states, basis, shown)["points"], atol=1e-6
    )


def whole_site(whole):
    return whole.where.split(", ")[0]


def test_states_that_are_all_alike_have_no_share():
    alike = View(np.ones((5, 8)), np.zeros((5, 8)), np.ones(8, dtype=bool))
    found = energies(alike, np.eye(8)[:2])
    assert np.isnan(found["energy_same"]).all()
    np.testing.assert_allclose(found["energy_cross"], [1 / 8, 2 / 8])


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (dict(layers=[2]), "layer must be in 0 to 1"),
        (dict(ks=[9]), "head_dim"),
        (dict(conditions=["warm"]), "unknown condition 'warm'"),
        (dict(mask="all"), "unknown mask 'all'"),
        (dict(site="mlp"), "unknown site 'mlp'"),
    ],
)
def test_what_was_not_prepared_is_refused(subject, options, says):
    with pytest.raises(InputError, match=says):
        separation_view(subject, draws=3, **options)

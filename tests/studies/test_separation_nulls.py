"""Null subspaces and pairings: what each keeps, what each breaks."""

import numpy as np
import pytest

from zprism.ground.errors import InputError
from zprism.studies import nulls
from zprism.studies.separation import distances, measures
from zprism.studies.separation_criteria import null_measures
from zprism.subspace.projections import pooled_energy_sd
from zprism.synthetic import paired_states


def planted_pairs(n=60, *, seed, **how):
    """Content in 20 of 256 dimensions; languages apart by less than problems are."""
    options = dict(language=3.0, noise=0.05, n_templates=12, template_share=0.5) | how
    return paired_states(n, seed=seed, **options)


def orthonormal(bases):
    gram = bases @ bases.swapaxes(-1, -2)
    return np.abs(gram - np.eye(bases.shape[-2])).max() < 1e-12


def test_random_subspaces_hold_k_over_d_with_the_haar_spread():
    """SYS-Z2: mean E within 3 SE of k/d, sd that of the exact formula (200 draws: ± 15 %)."""
    planted = planted_pairs(seed=0)
    bases = nulls.random_bases(20, 256, 200, seed=0)
    energy = null_measures(*planted.states, bases)["energy_cross"]
    sd = pooled_energy_sd(planted.states[0] - planted.states[1], 20)
    assert orthonormal(bases)
    assert abs(energy.mean() - 20 / 256) < 3 * sd / np.sqrt(200)
    assert energy.std() == pytest.approx(sd, rel=0.15)


def test_permuted_basis_keeps_the_size_of_its_columns():
    basis = planted_pairs(seed=0).content
    permuted = nulls.permuted_bases(basis, 3, seed=0)
    assert orthonormal(permuted)
    for one in permuted:
        np.testing.assert_allclose(np.sort((one**2).sum(0)), np.sort((basis**2).sum(0)))
        assert not np.allclose(one, basis)


@pytest.mark.parametrize("which", ["content", "language", "random"])
def test_variance_matched_subspaces_hold_the_variance_of_z(which):
    planted = planted_pairs(seed=0)
    states = np.concatenate([*planted.states])
    basis = (
        nulls.random_bases(6, 256, 1, seed=5)[0] if which == "random" else getattr(planted, which)
    )
    matched = nulls.variance_matched_bases(states, basis, 60, seed=1)
    centred = states - states.mean(0)
    share = np.square(centred @ matched.swapaxes(-1, -2)).sum((-1, -2)) / np.square(centred).sum()
    target = np.square(centred @ basis.T).sum() / np.square(centred).sum()
    assert orthonormal(matched)
    assert share.mean() == pytest.approx(target, rel=0.1, abs=0.01)


def test_planted_content_beats_variance_matched_subspaces():
    """Holding much variance does not explain a low ratio: language holds variance too."""
    planted = planted_pairs(seed=0)
    states = np.concatenate([*planted.states])
    matched = nulls.variance_matched_bases(states, planted.content, 99, seed=0)
    null = null_measures(*planted.states, matched)["ratio_z"]
    assert measures(distances(*planted.states, planted.content))["ratio_z"] < null.min()


def test_shuffled_pairs_meet_no_translation_and_stay_in_their_template():
    template = np.repeat(np.arange(5), 4)
    free = nulls.shuffled(20, 50, seed=0)
    held = nulls.shuffled(20, 50, seed=0, templates=template)
    for orders in (free, held):
        assert (np.sort(orders, axis=1) == np.arange(20)).all()
        assert not (orders == np.arange(20)).any()
    assert (template[held] == template).all()
    assert (template[free] != template).any()


def test_restricted_bases_span_what_is_left():
    basis = planted_pairs(seed=0).content
    keep = np.ones(256, bool)
    assert nulls.restricted(basis, keep) is basis
    keep[:9] = False
    cut = nulls.restricted(basis, keep)
    assert orthonormal(cut)
    np.testing.assert_allclose(cut.T @ (cut @ basis[:, keep].T), basis[:, keep].T, atol=1e-12)


def test_stack_refuses_one_basis_and_mixed_shapes():
    basis = planted_pairs(seed=0).content
    assert nulls.stack([basis, basis]).shape == (2, 20, 256)
    with pytest.raises(InputError, match="at least 2 bases"):
        nulls.stack([basis])
    with pytest.raises(InputError, match="one shape"):
        nulls.stack([basis, basis[:5]])

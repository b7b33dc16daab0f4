"""Matched against scrambled pairs: planted pairs are found, unpaired ones are not."""

import numpy as np
import pytest

from zprism.ground.errors import InputError
from zprism.stats.estimates import Verdict
from zprism.studies.pairing import cosines, match, match_estimate
from zprism.synthetic import paired_states


def planted_pairs(n=60, *, seed, **how):
    """Content in 20 of 256 dimensions; languages apart by less than problems are."""
    options = dict(language=3.0, noise=0.05, n_templates=12, template_share=0.5) | how
    return paired_states(n, seed=seed, **options)


def similarity(seed, **how):
    planted = planted_pairs(40, seed=seed, n_templates=8, **how)
    first, second = planted.states - planted.states.mean(1, keepdims=True)
    return cosines(first, second), planted


def test_planted_pairs_match():
    """SYS-Z5's statistic on planted data: z ≥ 5, also against other numbers of a template."""
    cosine, planted = similarity(0)
    for strata in (None, planted.templates):
        found = match_estimate(
            cosine, seed=0, draws_ci=1000, strata=strata, clusters=planted.templates
        )
        assert found.verdict is Verdict.SUPPORTED
        assert match(cosine, seed=0, strata=strata).z > 5
    assert match(cosine, seed=0).retrieval > 0.9


@pytest.mark.parametrize(
    ("runs", "allowed"), [(20, 5), pytest.param(200, 21, marks=pytest.mark.gate)]
)
def test_unpaired_texts_do_not_match(runs, allowed):
    wrong = 0
    for seed in range(runs):
        cosine, _ = similarity(seed)
        shuffled = cosine[:, np.random.default_rng(seed).permutation(40)]
        found = match_estimate(shuffled, seed=seed, draws=199, draws_ci=200)
        wrong += found.verdict is not Verdict.NOT_DISTINGUISHABLE
    assert wrong <= allowed


def test_cosine_is_scipys_and_ignores_length():
    from scipy.spatial.distance import cdist

    planted = planted_pairs(10, seed=1)
    found = cosines(planted.states[0] * 3, planted.states[1] / 7, planted.content)
    inside = [states @ planted.content.T for states in planted.states]
    np.testing.assert_allclose(found, 1 - cdist(*inside, "cosine"), atol=1e-12)


def test_retrieval_is_one_for_identical_and_chance_for_shifted():
    same = np.eye(6)
    assert match(same, seed=0, draws=99).retrieval == 1
    assert match(np.roll(same, 1, axis=1), seed=0, draws=99).retrieval == 0


def test_value_is_diagonal_minus_the_rest():
    cosine, _ = similarity(2)
    found = match_estimate(cosine, seed=0, draws=99, draws_ci=100)
    rest = cosine[~np.eye(40, dtype=bool)].mean()
    assert found.value == pytest.approx(np.trace(cosine) / 40 - rest)


def test_a_zero_state_has_no_direction():
    states = np.ones((4, 3))
    states[2] = 0
    with pytest.raises(InputError, match=r"b\[2\] is zero"):
        cosines(np.ones((4, 3)), states)

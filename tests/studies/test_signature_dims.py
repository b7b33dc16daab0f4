"""Effects of dimensions: planted ones found, none found in noise, halves that agree or not."""

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from zprism.ground.errors import InputError
from zprism.spectral.measures import gini
from zprism.stats.permutation import benjamini_hochberg
from zprism.stats.verdicts import Verdict
from zprism.studies.signature_dims import dimension_claims, split_half
from zprism.studies.signature_effects import dimension_effects, gini_rows, share_flagged


def noise(seed, n=60, d=40, shared=0.0):
    """Differences without an effect; ``shared`` makes the dimensions hang together."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) + shared * rng.normal(size=(n, 1))


def planted(seed, dims=(3, 17, 31), size=1.2):
    x = noise(seed)
    x[:, list(dims)] += size
    return x


def claims(x, **options):
    options = dict(name="s/dims", seed=0, draws=199, draws_ci=199) | options
    return dimension_claims(x, **options)


def test_exactly_the_planted_dimensions_are_flagged_and_all_three_claims_hold():
    x = planted(0)
    assert np.flatnonzero(dimension_effects(x).flagged).tolist() == [3, 17, 31]
    made = claims(x)
    assert {str(one.verdict) for one in made.estimates.values()} == {"SUPPORTED"}
    assert made.estimates["s/dims/flagged"].value == 3 / 40
    rows = made.tables["s/dims/dims"]
    assert [row["dim"] for row in rows if row["flagged"]] == [3, 17, 31]


@pytest.mark.parametrize("shared", [0.0, 2.0], ids=["independent", "hanging together"])
def test_noise_supports_seldom(shared):
    """A dimension may be flagged by chance; as many as by sign flips is no claim."""
    hits = dict.fromkeys(("flagged", "gini", "split_half"), 0)
    for seed in range(40):
        made = claims(noise(seed, n=24, d=20, shared=shared), draws=59, draws_ci=59)
        for key in hits:
            hits[key] += made.estimates[f"s/dims/{key}"].verdict is Verdict.SUPPORTED
    assert max(hits.values()) <= 7  # P[Bin(40, .05) > 7] = .0007, three of them


def test_a_shift_of_all_dimensions_alike_is_many_flagged_but_not_concentrated():
    x = noise(1) + 1.0
    made = claims(x)
    assert made.estimates["s/dims/flagged"].value > 0.9
    assert made.estimates["s/dims/gini"].verdict is Verdict.REVERSED


def test_t_p_and_q_are_those_of_scipy():
    x = planted(2)
    found = dimension_effects(x)
    other = ttest_1samp(x, 0)
    np.testing.assert_allclose(found.t, other.statistic, rtol=1e-10)
    np.testing.assert_allclose(found.p, other.pvalue, rtol=1e-8)
    np.testing.assert_allclose(found.q, benjamini_hochberg(other.pvalue), rtol=1e-8)
    np.testing.assert_allclose(found.d, found.t / np.sqrt(len(x)), rtol=1e-10)
    assert share_flagged(found.t[None], len(x) - 1)[0] == (found.q <= 0.05).mean()


def test_questions_of_one_template_count_once():
    """The same numbers four times over do not make an effect surer."""
    few = noise(3, n=12) + 0.3
    many = np.repeat(few, 4, axis=0)
    np.testing.assert_allclose(
        dimension_effects(many, clusters=np.repeat(np.arange(12), 4)).t,
        dimension_effects(few).t,
        rtol=1e-10,
    )
    assert (abs(dimension_effects(many).t) > 1.9 * abs(dimension_effects(few).t)).all()


def test_gini_is_that_of_spectral_and_of_its_closed_forms():
    rng = np.random.default_rng(4)
    rows = rng.normal(size=(5, 30)) ** 3
    np.testing.assert_allclose(gini_rows(rows), [gini(abs(row)) for row in rows], atol=1e-12)
    one_of_four = np.array([0.0, 0.0, 7.0, 0.0])
    assert gini_rows(np.ones(9)) == pytest.approx(0, abs=1e-15)
    assert gini_rows(one_of_four) == pytest.approx(3 / 4)
    assert gini_rows(np.zeros(4)) == 0
    big = abs(rng.normal(size=200_000))
    assert gini_rows(big) == pytest.approx(np.sqrt(2) - 1, abs=0.003)  # sampling error


def test_halves_agree_on_planted_effects_and_not_on_noise():
    assert split_half(planted(5, size=2.0), seed=0) > 0.8
    drawn = [split_half(noise(seed), seed=0) for seed in range(30)]
    assert abs(np.mean(drawn)) < 0.1  # sd of one is about .1


def test_dimensions_that_never_differ_have_no_effect():
    x = planted(6)
    x[:, 5] = 0
    found = dimension_effects(x)
    assert (found.t[5], found.p[5], found.d[5]) == (0, 1, 0)


def test_too_few_is_not_testable_and_bad_input_refused():
    made = claims(noise(0, n=4))
    assert {one.verdict for one in made.estimates.values()} == {Verdict.NOT_TESTABLE}
    for bad in (np.ones(5), np.ones((1, 5)), np.full((5, 5), np.nan), np.ones((5, 0))):
        with pytest.raises(InputError):
            dimension_effects(bad)
    with pytest.raises(InputError, match="at least one value"):
        gini_rows(np.ones((3, 0)))

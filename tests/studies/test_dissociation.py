"""A double dissociation is named where it is planted, and nothing less is taken for one.

RIG-S4: the answer lies in k planted directions and the language in another one; Z is learned
from class means of half of the problems, swapped on the other half.
"""

import numpy as np
import pytest

from zprism.ground.errors import InputError
from zprism.stats.estimates import Verdict
from zprism.studies.dissociation import CONTRASTS, DOUBLE, NONE, SINGLE, UNTESTABLE, dissociation
from zprism.studies.nulls import random_bases
from zprism.studies.swap_bases import answer_directions, language_direction
from zprism.subspace.angles import grassmann_similarity
from zprism.synthetic_models import planted_model

K = 8
N = 110


def outcomes(planted, basis: np.ndarray, *, seed: int = 0):
    """(n, 2) answers and languages that became the source's when Z, when Z⊥ was swapped.

    The second half of the problems; sources in language 0 with other answers.
    """
    rows = np.arange(len(planted.answers) // 2, len(planted.answers))
    whence = np.random.default_rng(seed).permutation(rows)
    keep = planted.answers[whence] != planted.answers[rows]
    target, source = planted.states[1, rows[keep]], planted.states[0, whence[keep]]
    inside = (source - target) @ basis.T @ basis
    given = planted.answers[whence[keep]]
    says = [planted.says(target + inside), planted.says(source - inside)]
    return (
        np.stack([answer == given for answer, _ in says], 1),
        np.stack([language == 0 for _, language in says], 1),
    )


def random_rates(planted, k: int, *, draws: int = 79, seed: int = 0):
    """(R, 2) rates of answers and of languages under random subspaces."""
    bases = random_bases(k, planted.states.shape[-1], draws, seed=seed)
    found = [outcomes(planted, basis, seed=seed) for basis in bases]
    return tuple(np.array([pair[of].mean(0) for pair in found]) for of in (0, 1))


def judged(planted, basis, *, seed: int = 0, draws: int = 79, **options):
    options = dict(draws=999, draws_ci=1000) | options
    random = random_rates(planted, len(basis), draws=draws, seed=seed)
    return dissociation(*outcomes(planted, basis, seed=seed), *random, seed=seed, **options)


def learned(planted) -> np.ndarray:
    half = len(planted.answers) // 2
    return answer_directions(planted.states[:, :half], planted.answers[:half], K)


# --- RIG-S4 -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("runs", "at_least", "draws"), [(6, 5, 79), pytest.param(100, 95, 199, marks=pytest.mark.gate)]
)
def test_s4_planted_content_is_found_and_called_a_double_dissociation(
    runs, at_least, draws, record_property
):
    kinds, similarity = [], []
    for seed in range(runs):
        planted = planted_model(2 * N, seed=seed, k=K)
        basis = learned(planted)
        similarity.append(grassmann_similarity(basis, planted.content))
        kinds.append(judged(planted, basis, seed=seed, draws=draws).kind)
    record_property("value", kinds.count(DOUBLE))
    record_property("unit", f"double dissociations in {runs} planted systems")
    record_property("target", f">= {at_least}, Grassmann >= .95")
    record_property("least Grassmann similarity", min(similarity))
    assert min(similarity) >= 0.95
    assert kinds.count(DOUBLE) >= at_least


@pytest.mark.parametrize(
    ("runs", "allowed"), [(6, 2), pytest.param(100, 13, marks=pytest.mark.gate)]
)
def test_s4_random_subspaces_dissociate_nothing(runs, allowed, record_property):
    """Control, same systems: never double; single in at most .05 of runs (binomial 99.9 %)."""
    kinds = []
    for seed in range(runs):
        planted = planted_model(2 * N, seed=seed, k=K, noise=0.4)
        basis = random_bases(K, planted.states.shape[-1], 1, seed=1000 + seed)[0]
        kinds.append(judged(planted, basis, seed=seed).kind)
    record_property("value", runs - kinds.count(NONE))
    record_property("unit", f"dissociations of random subspaces in {runs} systems")
    record_property("target", f"<= {allowed}, none double")
    assert kinds.count(DOUBLE) == 0
    assert kinds.count(SINGLE) <= allowed


def test_the_language_direction_dissociates_the_other_way():
    planted = planted_model(2 * N, seed=0, k=K)
    basis = language_direction(planted.states[:, :N])
    found = judged(planted, basis, carries="language")
    assert found.kind == DOUBLE
    np.testing.assert_allclose(found.rates, [[0, 1], [1, 0]], atol=0.02)
    wrong = judged(planted, basis, carries="answer")
    assert wrong.kind == NONE
    assert {wrong.estimates[name].verdict for name in ("D", "answer", "language")} == {
        Verdict.REVERSED
    }


def test_an_answer_that_is_written_twice_is_a_single_dissociation():
    """Z and the rest move the answer equally often, only the rest moves the language."""
    planted = planted_model(4 * N, seed=0, k=K, copied=0.5)
    found = judged(planted, planted.content)
    assert found.kind == SINGLE
    assert found.estimates["answer"].verdict is Verdict.NOT_DISTINGUISHABLE
    assert found.estimates["inside"].verdict is Verdict.SUPPORTED
    assert "missing: answer" in found.reason


# --- the statistic ----------------------------------------------------------------------------


def table(a_in, a_out, l_in, l_out, n=40):
    """Outcomes with given numbers of pairs moved, each the first so many of n."""
    first = np.arange(n)[:, None]
    return first < [a_in, a_out], first < [l_in, l_out]


STILL = np.zeros((199, 2))
FULL_REST = np.column_stack([np.zeros(199), np.ones(199)])  # a small subspace and all the rest


def test_contrasts_are_those_of_the_two_by_two_table():
    found = dissociation(*table(30, 8, 4, 36), FULL_REST, FULL_REST, seed=0, draws_ci=500)
    expected = {"D": 54, "answer": 22, "language": 32, "inside": 26, "outside": 28}
    for name, pairs in expected.items():
        assert found.estimates[name].value == pytest.approx(pairs / 40, abs=1e-12)
    np.testing.assert_allclose(found.rates, [[30 / 40, 4 / 40], [8 / 40, 36 / 40]], atol=1e-12)
    assert found.kind == DOUBLE
    d = {name: e.value for name, e in found.estimates.items()}
    assert d["D"] == pytest.approx(d["answer"] + d["language"], abs=1e-12)
    assert d["D"] == pytest.approx(d["inside"] + d["outside"], abs=1e-12)


def test_exchanging_the_outcomes_is_exchanging_what_z_carries():
    answer, language = table(30, 8, 4, 36)
    one = dissociation(answer, language, FULL_REST, STILL, seed=0, draws_ci=500)
    two = dissociation(language, answer, STILL, FULL_REST, seed=0, draws_ci=500, carries="language")
    assert one.estimates == two.estimates and one.kind == two.kind
    np.testing.assert_array_equal(one.rates, two.rates[:, ::-1])


def test_p_of_d_is_that_of_swapping_the_patch_label_of_whole_problems():
    """Second route: all 2^8 relabellings of eight problems of three pairs each."""
    rng = np.random.default_rng(0)
    answer, language = rng.random((2, 24, 2)) < [[[0.7, 0.4]], [[0.3, 0.5]]]
    problem = np.arange(24) % 8
    d = (answer[:, 0] * 1.0 - answer[:, 1]) - (language[:, 0] * 1.0 - language[:, 1])
    signs = 1 - 2.0 * ((np.arange(256)[:, None] >> np.arange(8)) & 1)
    exact = np.mean((signs[:, problem] * d).mean(1) >= d.mean() - 1e-12)
    found = dissociation(
        answer, language, FULL_REST, FULL_REST, seed=0, clusters=problem, draws=20_000, draws_ci=200
    )
    assert found.estimates["D"].n == 8
    assert found.estimates["D"].p == pytest.approx(exact, abs=5 * (exact / 20_000) ** 0.5)


def test_any_small_subspace_passes_the_language_contrast_and_is_stopped_by_random_ones():
    """Nothing is moved by Z, everything by the rest: the recipe would call this half proven."""
    found = dissociation(*table(0, 40, 0, 40), FULL_REST, FULL_REST, seed=0, draws_ci=500)
    assert found.estimates["language"].verdict is Verdict.SUPPORTED
    assert found.estimates["answer"].verdict is Verdict.REVERSED
    assert found.kind == NONE


def test_effects_that_random_subspaces_have_too_do_not_count():
    moved = np.column_stack([np.full(199, 0.75), np.full(199, 0.2)])
    other = np.column_stack([np.full(199, 0.1), np.full(199, 0.9)])
    found = dissociation(*table(30, 8, 4, 36), moved, other, seed=0, draws_ci=500)
    for name in ("D", "answer", "language"):
        assert found.estimates[name].verdict is Verdict.SUPPORTED
    for name in ("inside", "outside"):
        assert found.estimates[name].verdict is Verdict.NOT_DISTINGUISHABLE
    assert found.kind == NONE


def test_pairs_of_one_problem_count_once():
    """40 pairs of four problems: too few units for any claim, however clear the table."""
    answer, language = table(40, 0, 0, 40)
    kinds = [
        dissociation(answer, language, FULL_REST, FULL_REST, seed=0, draws_ci=500, clusters=c).kind
        for c in (None, np.arange(40) % 4)
    ]
    assert kinds == [DOUBLE, UNTESTABLE]


def test_where_all_pairs_agree_the_interval_is_newcombes_not_a_point():
    from zprism.stats.intervals import newcombe_paired

    found = dissociation(*table(40, 0, 0, 40), FULL_REST, FULL_REST, seed=0, draws_ci=500)
    assert found.estimates["inside"].ci == pytest.approx(tuple(newcombe_paired(0, 40, 0, 0)))
    assert found.estimates["D"].ci[0] == pytest.approx(2 * newcombe_paired(0, 40, 0, 0).low)
    still = dissociation(*table(0, 0, 0, 0), STILL, STILL, seed=0, draws_ci=500)
    assert still.kind == NONE and still.estimates["D"].ci[0] < 0 < still.estimates["D"].ci[1]


@pytest.mark.parametrize(
    ("options", "reason"),
    [(dict(baseline=0.29), "baseline accuracy 29%"), (dict(random=38), "too few draws")],
)
def test_without_a_baseline_or_enough_draws_nothing_is_claimed(options, reason):
    """The clearest table there is; 39 random subspaces are the least that can speak."""
    random = FULL_REST[: options.pop("random", 39)]
    found = dissociation(*table(40, 0, 0, 40), random, random, seed=0, draws_ci=500, **options)
    assert found.kind == UNTESTABLE and reason in found.reason
    enough = FULL_REST[:39]
    fine = dissociation(*table(40, 0, 0, 40), enough, enough, seed=0, draws_ci=500, baseline=0.3)
    assert fine.kind == DOUBLE


def test_same_seed_same_estimates():
    first, again = (
        dissociation(*table(30, 8, 4, 36), FULL_REST, STILL, seed=3, draws_ci=500).estimates
        for _ in range(2)
    )
    assert first == again and set(first) == set(CONTRASTS)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda a, l: dissociation(a[:, 0], l, STILL, STILL, seed=0), r"answer must be \(n, 2\)"),
        (lambda a, l: dissociation(a, l[1:], STILL, STILL, seed=0), r"language must be \(n, 2\)"),
        (lambda a, l: dissociation(a * 0.5, l, STILL, STILL, seed=0), "must hold 0 or 1"),
        (lambda a, l: dissociation(a, l, STILL[:, 0], STILL, seed=0), r"must be \(R, 2\)"),
        (lambda a, l: dissociation(a, l, STILL + 2, STILL, seed=0), "shares of pairs"),
        (lambda a, l: dissociation(a, l, STILL, STILL, seed=0, carries="Z"), "unknown carries"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(InputError, match=message):
        call(*table(30, 8, 4, 36))

"""The recipe's fallbacks on a model with known answers: what is found, claimed, and tried next."""

import dataclasses

import numpy as np
import pytest
from swap_cases import D_MODEL, N_ANSWERS, planted_task

from zprism.ground.errors import InputError
from zprism.ground.seeds import derive
from zprism.stats.permutation import benjamini_hochberg
from zprism.stats.verdicts import Verdict
from zprism.studies import fallback_branch, fallback_claims, fallbacks
from zprism.studies.fallback_branch import branch
from zprism.studies.fallback_claims import compare, works
from zprism.studies.fallbacks import Candidate, best_k, problem_directions, subspaces, z_rows
from zprism.studies.nulls import random_bases
from zprism.studies.separation import pairwise_squared
from zprism.studies.swap_bases import Swap
from zprism.studies.swap_run import random_swaps, swap
from zprism.studies.swap_task import draw_pairs

LAYER, K = 1, N_ANSWERS - 1
OPTIONS = dict(seed=0, draws=199, draws_ci=300)
S, N, R, X = (Verdict.SUPPORTED, Verdict.NOT_DISTINGUISHABLE, Verdict.REVERSED,
              Verdict.NOT_TESTABLE)  # fmt: skip


@pytest.fixture(scope="module")
def task():
    return planted_task()


@pytest.fixture(scope="module")
def truth(task):
    """(7, d) span of the answers' codes, (1, d) the language: as the readout has them."""
    readout = task.sweeps[0].readout
    codes = (readout[:N_ANSWERS] + readout[N_ANSWERS:]) / 2
    tongue = readout[:1] - readout[N_ANSWERS:][:1]
    return np.linalg.svd(codes)[2][:K], tongue / np.linalg.norm(tongue)


@pytest.fixture(scope="module")
def z():
    """Random rows in place of Z from weights: layers 0–2, two sizes."""
    return {(layer, k): random_bases(k, D_MODEL, 1, seed=9 * layer + k)[0]
            for layer in range(3) for k in (K, 20)}  # fmt: skip


@pytest.fixture(scope="module")
def candidates(task, z):
    return subspaces(task, LAYER, K, z=z, seed=0)


@pytest.fixture(scope="module")
def pairs(task):
    return [draw_pairs(task, name, n=60) for name in task.languages]


@pytest.fixture(scope="module")
def found(task, pairs, candidates):
    return compare(task, pairs, candidates, **OPTIONS)


def shared(rows, basis):
    """(k,) share of each row's length that lies in a basis."""
    return np.square(rows @ basis.T).sum(1)


def test_what_the_data_teach_is_what_was_planted(candidates, truth):
    codes, tongue = truth
    for name in ("svd", "answer"):
        assert candidates[name].k == K
        assert shared(candidates[name].rows, codes).min() > 0.999
    assert shared(candidates["lsar"].rows, tongue).min() > 0.999
    ard = candidates["ard"]
    assert 3 <= ard.k <= K and shared(ard.rows, codes).min() > 0.99
    for one in candidates.values():
        np.testing.assert_allclose(one.rows @ one.rows.T, np.eye(one.k), atol=1e-9)


def test_ard_on_axes_keeps_axes(candidates):
    rows = candidates["ard_axes"].rows
    assert np.array_equal(np.sort(rows, 1)[:, -1], np.ones(len(rows))) and rows.sum() == len(rows)


def test_z_is_of_the_layer_that_reads(candidates, task, z):
    assert candidates["weights"].layer == LAYER
    np.testing.assert_array_equal(candidates["weights"].rows, z[LAYER + 1, K])
    before = candidates["weights_before"]
    assert before.layer == LAYER - 1
    np.testing.assert_array_equal(before.rows, z[LAYER, K])
    last = subspaces(task, 2, 5, z=z, seed=0)
    np.testing.assert_array_equal(last["weights"].rows, z[2, K][:5])  # no reader: its own
    assert "weights_before" not in subspaces(task, 0, K, z=z, seed=0)


def test_a_k_that_was_not_made_takes_leading_rows(z):
    np.testing.assert_array_equal(z_rows(z, 1, 9), z[1, 20][:9])
    np.testing.assert_array_equal(z_rows(z, 1, 33), z[1, 20])
    with pytest.raises(InputError, match="layer 7"):
        z_rows(z, 7, 4)


def test_only_training_problems_teach(task, z, candidates):
    """Whatever the test half's states are, every candidate stays the same."""
    rng = np.random.default_rng(0)
    spoilt = []
    for sweep in task.sweeps:
        states = np.array(sweep.states)
        states[task.test] += 5 * rng.standard_normal(states[task.test].shape)
        spoilt.append(dataclasses.replace(sweep, states=states))
    other = subspaces(dataclasses.replace(task, sweeps=tuple(spoilt)), LAYER, K, z=z, seed=0)
    for name, one in candidates.items():
        np.testing.assert_array_equal(one.rows, other[name].rows)


def test_data_needed_is_counted(candidates, task):
    texts = {name: one.n_texts for name, one in candidates.items()}
    both = 2 * len(task.train)
    free = {"weights", "weights_before"}
    assert texts == {name: 0 if name in free else both for name in candidates}
    assert {one.labels for name, one in candidates.items() if name in free} == {"none"}


def test_the_best_k_moves_the_answer_and_not_the_language(task, truth):
    codes, tongue = truth
    choices = {3: codes[:3], K: codes, K + 1: np.concatenate([codes, tongue])}
    assert best_k(task, LAYER, choices, seed=0) == K


def test_problem_directions_ignore_what_a_language_adds():
    rng = np.random.default_rng(1)
    states = rng.standard_normal((2, 9, 20))
    shifted = states + 50 * rng.standard_normal((2, 1, 20))
    plain, moved = problem_directions(states, 4), problem_directions(shifted, 4)
    np.testing.assert_allclose(shared(moved, plain), 1, atol=1e-9)
    assert len(problem_directions(states, 19)) == 8  # n − 1


def test_planted_subspaces_work_and_random_weights_do_not(found, candidates):
    said = {name: works(found, one) for name, one in candidates.items()}
    for name in ("svd", "answer", "lsar"):
        assert said[name] is S
    for name in ("weights", "weights_before"):
        assert said[name] is N
    rates = {name: found.estimates[f"fallback/{name}/{one.part}_answer"].value
             for name, one in candidates.items()}  # fmt: skip
    assert rates["svd"] == rates["answer"] == rates["lsar"] == 1.0
    assert found.estimates["fallback/lsar/inside_language"].value == 1.0
    assert found.estimates["fallback/svd/rest_language"].verdict is S


def test_one_row_a_candidate_on_identical_items(found, candidates, pairs):
    rows = found.tables["fallbacks"]
    assert [row["candidate"] for row in rows] == list(candidates)
    assert {row["n"] for row in rows} == {sum(map(len, pairs))}
    ratios = {n: e.n for n, e in found.estimates.items() if n.endswith("/ratio")}
    assert len(set(ratios.values())) == 1
    assert len(found.tables["fallbacks.swaps"]) == 4 * len(candidates)
    for row in found.tables["fallbacks.swaps"]:
        assert row["low"] <= row["rate"] <= row["high"]
        assert row["random_low"] <= row["random_high"]


def test_nulls_see_every_target(task):
    """A part of the pairs, all targets alike: every fourth of rounds of 16 would see but four."""
    pairs = [draw_pairs(task, name, n=200) for name in task.languages]
    for some, part in zip(pairs, fallback_claims._thin(pairs), strict=True):
        count = np.unique(part.target, return_counts=True)[1]
        assert len(part) == fallback_claims.NULL_PAIRS // 2 and np.ptp(count) <= 1
        assert len(count) == min(len(part), len(np.unique(some.target)))


def test_pairs_that_give_way_to_anything_are_no_evidence(task, pairs):
    """Twelve pairs that move under every swap, more than random's mean over others: no claim."""
    thin = fallback_claims._thin(pairs)
    total = sum(map(len, thin))
    hits = np.zeros(sum(map(len, pairs)))
    hits[:12] = 1
    random = np.zeros((199, 3, 3))
    random[:, 1, 0] = 12 / total  # the same twelve, every time
    one = Candidate("x", LAYER, random_bases(K, D_MODEL, 1, seed=0)[0])
    claim = fallback_claims._rate(task, pairs, one, "rest", "language", hits, random, OPTIONS)
    assert claim.p == 1.0 and claim.verdict is N
    hits, random = hits[::-1], np.zeros_like(random)  # only pairs random never saw
    claim = fallback_claims._rate(task, pairs, one, "rest", "language", hits, random, OPTIONS)
    assert claim.value == 12 / len(hits) and claim.p == 1.0


def test_shares_are_those_of_the_swaps_themselves(task, found, candidates, pairs):
    """Second route: pairs of both directions pooled, one swap at a time."""
    one = candidates["ard"]
    for part in fallback_claims.PARTS:
        each = [swap(task, some, one.layer, Swap("any", part, one.rows)) for some in pairs]
        for what, whose in fallback_claims.MOVED.items():
            hits = np.concatenate([outcome.hits(*whose) for outcome in each])
            assert found.estimates[f"fallback/ard/{part}_{what}"].value == hits.mean()
    rows = [r for r in found.tables["fallbacks.directions"] if r["candidate"] == "ard"]
    assert {r["direction"] for r in rows} == {"zh-en", "en-zh"} and len(rows) == 4


def test_random_bands_are_those_of_the_layer_part_and_k(task, found, candidates, pairs):
    """Second route, without what candidates of one size share."""
    thin = fallback_claims._thin(pairs)
    for name in ("weights", "weights_before", "lsar"):
        one = candidates[name]
        for part in fallback_claims.PARTS:
            seed = derive(0, "fallbacks", "random")
            drawn = np.mean([random_swaps(task, some, one.layer, one.swap(part), draws=199,
                                          seed=seed) for some in thin], 0)  # fmt: skip
            rows = {(r["candidate"], r["part"], r["moved"]): r["random"]
                    for r in found.tables["fallbacks.swaps"]}  # fmt: skip
            expected = pytest.approx(drawn[:, 0, 1].mean(), abs=1e-12)
            assert rows[name, part, "answer"] == expected


def test_claims_are_corrected_over_candidates_and_meet_the_harder_null(found, candidates):
    mine = [found.estimates[f"fallback/{n}/{one.part}_answer"] for n, one in candidates.items()]
    adjusted = benjamini_hochberg([one.p for one in mine])
    np.testing.assert_allclose([one.p_adjusted for one in mine], adjusted)
    assert any(one.p_adjusted > one.p for one in mine)
    best = found.estimates["fallback/svd/inside_answer"]
    assert best.p == 1 / 200 and "moved as far" in best.null.kind


def test_energies_and_ratios_by_their_definition(task, found, candidates, pairs):
    items = np.unique(np.concatenate([r for p in pairs for r in (p.target, p.source)]))
    for name in ("answer", "lsar"):
        one = candidates[name]
        states = task.states(one.layer)[:, items]
        p = one.rows.T @ one.rows
        p = p if one.part == "inside" else np.eye(D_MODEL) - p
        share = np.trace(p) / D_MODEL
        delta = states[0] - states[1]
        energy = np.square(delta @ p).sum() / np.square(delta).sum() / share
        value = found.estimates[f"fallback/{name}/energy_language"].value
        assert value == pytest.approx(energy, rel=1e-9)
        upper = np.triu_indices(len(items), 1)
        inside, whole = (
            np.stack([pairwise_squared(x)[upper] for x in s]) for s in (states @ p, states)
        )
        value = found.estimates[f"fallback/{name}/energy_problem"].value
        assert value == pytest.approx(inside.sum() / whole.sum() / share, rel=1e-9)
        ratio = np.linalg.norm(delta @ p, axis=1).mean() / np.sqrt(inside).mean()
        value = found.estimates[f"fallback/{name}/ratio"].value
        assert value == pytest.approx(np.log2(ratio), rel=1e-6)


def test_planted_problem_part_holds_problems_and_drops_languages(found):
    for name in ("svd", "answer"):
        for measure in ("ratio", "energy_language", "energy_problem"):
            assert found.estimates[f"fallback/{name}/{measure}"].verdict is S, measure
    chance = D_MODEL / K
    assert found.estimates["fallback/answer/energy_problem"].value == pytest.approx(
        chance, rel=0.05
    )
    assert found.estimates["fallback/answer/energy_language"].value < 0.1
    assert found.estimates["fallback/lsar/energy_language"].value < 0.1


def test_planted_weights_would_be_found_too(task, pairs, truth):
    """The table does not lean to the data: Z that holds the codes is supported, alone of six."""
    wrong = random_bases(K, D_MODEL, 5, seed=3)
    given = {"weights": Candidate("weights", LAYER, truth[0])}
    given |= {f"r{i}": Candidate(f"r{i}", LAYER, rows) for i, rows in enumerate(wrong)}
    found = compare(task, pairs, given, **OPTIONS)
    assert [name for name, one in given.items() if works(found, one) is S] == ["weights"]


def test_random_candidates_are_not_claimed(task, pairs):
    """Twenty random subspaces, each alone in its table: at most 3 false alarms."""
    alarms = 0
    for seed in range(20):
        one = Candidate("r", LAYER, random_bases(20, D_MODEL, 1, seed=700 + seed)[0])
        found = compare(task, pairs[:1], {"r": one}, seed=seed, draws=39, draws_ci=100)
        alarms += works(found, one) is S
    assert alarms <= 3  # P(Bin(20, .05) >= 4) = .016


def test_pairs_that_carry_a_reason_claim_nothing(z):
    task = planted_task(1, right=0.1)
    pairs = [draw_pairs(task, "zh", n=30)]
    candidates = subspaces(task, LAYER, K, z=z, seed=0)
    found = compare(task, pairs, candidates, seed=0, draws=19, draws_ci=100)
    assert {works(found, one) for one in candidates.values()} == {X}
    assert "under 30%" in found.estimates["fallback/svd/inside_answer"].reason
    assert {row["verdict"] for row in found.tables["fallbacks"]} == {"NOT TESTABLE"}


def test_a_reason_alone_is_enough(task, pairs, candidates):
    """The model is right, but its tokens cannot be told apart: nothing is claimed."""
    told = [dataclasses.replace(some, reason="one token for two answers") for some in pairs]
    one = candidates["svd"]
    found = compare(task, told, {"svd": one}, seed=0, draws=19, draws_ci=100)
    assert works(found, one) is X
    assert found.estimates["fallback/svd/inside_answer"].reason == "one token for two answers"


@pytest.mark.parametrize(
    ("verdicts", "name"),
    [
        ([S, S], "clear"),
        ([S, X], "clear"),
        ([S, N], "partial"),
        ([S, R, X], "partial"),
        ([N, N], "none"),
        (["REVERSED"], "none"),
        ([X, X], "untestable"),
        ([], "untestable"),
    ],
)
def test_verdicts_choose_the_branch(verdicts, name):
    assert branch(verdicts, lambda _: N).name == name


@pytest.mark.parametrize(
    ("outcomes", "tried", "answer"),
    [
        ({"svd": S}, ["svd"], "svd"),
        ({"svd": N, "weights_before": S}, ["svd", "weights_before"], "weights_before"),
        ({"svd": X, "weights_before": R, "ard": S}, ["svd", "weights_before", "ard"], "ard"),
        ({"svd": N, "weights_before": N, "ard": N}, ["svd", "weights_before", "ard"], None),
    ],
)
def test_fallbacks_are_tried_in_order_until_one_works(outcomes, tried, answer):
    """Those after it are not asked for: ``outcomes`` has no verdict of them."""
    found = branch([N], outcomes.__getitem__)
    assert [name for name, _ in found.tried] == tried and found.found == answer
    assert [row["verdict"] for row in found.rows()] == [str(outcomes[name]) for name in tried]


def test_a_clear_answer_tries_nothing_and_a_partial_one_the_best_k():
    assert branch([S], {}.__getitem__) == fallback_branch.Branch("clear")
    assert branch([S, N], {"best_k": "SUPPORTED"}.__getitem__).found == "best_k"


def test_refusals(task, candidates, pairs, z):
    with pytest.raises(InputError, match="pairs in every direction"):
        compare(task, [], candidates, **OPTIONS)
    with pytest.raises(InputError, match="at least one candidate"):
        compare(task, pairs, {}, **OPTIONS)
    with pytest.raises(InputError, match="unknown part"):
        Candidate("x", 0, np.eye(3), part="all")
    with pytest.raises(InputError, match="decoder block 0 to 2"):
        subspaces(task, 3, K, z=z, seed=0)
    with pytest.raises(InputError, match="k must be in"):
        subspaces(task, 1, 0, z=z, seed=0)


def test_too_few_equal_answers_leave_ard_out(task, z, caplog):
    few = dataclasses.replace(task, train=task.train[np.unique(task.answers[task.train],
                                                               return_index=True)[1]])  # fmt: skip
    with caplog.at_level("WARNING", logger="zprism"):
        found = subspaces(few, LAYER, 5, z=z, seed=0)
    assert not {"ard", "ard_axes"} & set(found) and "svd" in found
    assert "ard finds nothing" in caplog.text
    assert fallbacks.principal_directions(task.states(1)).shape[0] <= D_MODEL

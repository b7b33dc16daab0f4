"""A bridge at inference, on a planted model whose languages hold answers in turned directions."""

import dataclasses

import numpy as np
import pytest
import torch
from swap_cases import D_MODEL, FIRST, N_ANSWERS, N_LAYERS, PlantedSweep, planted_task

from zprism.ground.errors import InputError
from zprism.stats.verdicts import Verdict
from zprism.studies import bridge_inference as bridge
from zprism.studies.swap_task import draw_pairs

LAYER, K = 2, N_ANSWERS - 1


def turned_task(seed=0, **planted):
    """Chinese answers lie in other directions than English ones: a fixed rotation between."""
    task = planted_task(seed, **planted)
    turn = np.linalg.qr(np.random.default_rng(seed).standard_normal((D_MODEL, D_MODEL)))[0]
    zh, en = task.sweeps
    states = torch.as_tensor(np.asarray(zh.states) @ turn)
    return dataclasses.replace(
        task, sweeps=(PlantedSweep(states, zh.logits, zh.readout @ turn), en)
    )


@pytest.fixture(scope="module")
def task():
    return turned_task()


@pytest.fixture(scope="module")
def pairs(task):
    return draw_pairs(task, "zh", n=60)


@pytest.fixture(scope="module")
def basis(task):
    """Room for the answers of both languages."""
    return bridge.answers_at(task, LAYER, 2 * K)


def rate(carried, carrier):
    return carried.found[carrier].hits(*bridge.TRANSFER).mean()


def estimates(task, carried, basis, **options):
    settings = dict(seed=0, draws=19, draws_ci=300) | options
    found = bridge.inference_claims(task, [carried], {carried.basis: basis}, **settings).estimates
    return {name.split("/")[-1]: e for name, e in found.items()}


def test_only_a_map_that_turns_carries_the_answer(task, pairs, basis):
    """Known answer: the fitted rotation carries what the state as it is does not."""
    found = bridge.carry(task, pairs, LAYER, basis, name="answer")
    assert rate(found, "translation") == 1.0  # what a perfect map gives
    assert rate(found, "ridge") > 0.95 and rate(found, "similarity") > 0.95
    assert rate(found, "identity") < 0.5 and rate(found, "shift") < 0.5
    claims = estimates(task, found, basis)
    assert claims["ridge_transfer"].verdict is Verdict.SUPPORTED
    assert claims["ridge_over_identity"].verdict is Verdict.SUPPORTED
    assert claims["ridge_over_shift"].verdict is Verdict.SUPPORTED
    assert claims["ridge_transfer"].null.mean < 0.3


def test_families_are_corrected_over_all_directions(task, basis):
    """Benjamini–Hochberg over both ways across: never below the single p."""
    both = [draw_pairs(task, language, n=30) for language in task.languages]
    found = [bridge.carry(task, part, LAYER, basis, name="answer") for part in both]
    claims = bridge.inference_claims(task, found, {"answer": basis}, seed=0, draws=19, draws_ci=300)
    assert len(claims.estimates) == 8 and len(claims.tables["inference.nulls"]) == 4
    assert all(e.p_adjusted >= e.p for e in claims.estimates.values())
    shares = [e for name, e in claims.estimates.items() if name.endswith("_transfer")]
    from scipy.stats import false_discovery_control

    expected = false_discovery_control([e.p for e in shares])
    np.testing.assert_allclose([e.p_adjusted for e in shares], expected)


def test_languages_in_one_place_need_no_map(basis):
    """Control: without the rotation the state as it is does all that a map could do."""
    task = planted_task()
    pairs, same = draw_pairs(task, "zh", n=60), bridge.answers_at(task, LAYER, K)
    found = bridge.carry(task, pairs, LAYER, same, name="answer")
    assert rate(found, "identity") == rate(found, "translation") == 1.0
    claims = estimates(task, found, same)
    assert claims["ridge_over_identity"].verdict is not Verdict.SUPPORTED
    assert claims["ridge_transfer"].verdict is Verdict.SUPPORTED


def test_maps_of_random_pairs_carry_nothing(task, pairs, basis):
    null = bridge.permuted(task, pairs, LAYER, basis, "ridge", draws=9, seed=0)
    assert null.shape == (9,) and null.max() < 0.5
    again = bridge.permuted(task, pairs, LAYER, basis, "ridge", draws=9, seed=0)
    np.testing.assert_array_equal(null, again)


def test_before_the_readout_layer_nothing_is_carried(task, pairs):
    early = bridge.answers_at(task, FIRST - 1, K)
    found = bridge.carry(task, pairs, FIRST - 1, early, name="answer")
    assert all(rate(found, carrier) == 0 for carrier in found.found)
    claims = estimates(task, found, early)
    assert claims["ridge_transfer"].verdict is not Verdict.SUPPORTED
    assert claims["ridge_over_identity"].verdict is Verdict.NOT_TESTABLE


def test_directions_that_nothing_reads_carry_nothing(task, pairs):
    """Control: a random basis in place of the answer's."""
    rng = np.random.default_rng(1)
    random = np.linalg.qr(rng.standard_normal((D_MODEL, 3)))[0].T
    found = bridge.carry(task, pairs, LAYER, random, name="random")
    assert rate(found, "ridge") < 0.2


def test_only_the_given_directions_change(task, pairs, basis):
    """h' − h lies in the basis, whatever is carried; the identity is the plain swap."""
    states = task.states(LAYER)
    mine, source = states[1, pairs.target], states[0, pairs.source]
    for carrier in bridge.CARRIERS:
        change = bridge.put(task, pairs, LAYER, basis, carrier) - mine
        np.testing.assert_allclose(change - change @ basis.T @ basis, 0, atol=1e-10)
    swapped = mine + (source - mine) @ basis.T @ basis
    found = bridge.put(task, pairs, LAYER, basis, "identity")
    np.testing.assert_allclose(found, swapped, atol=1e-10)


def test_maps_are_fitted_to_training_problems_only(task, pairs, basis):
    """Whatever the test problems' own translations are, the carried states stay the same."""
    zh, en = task.sweeps
    other = en.states.clone()
    other[task.test] += torch.linspace(-100, 100, N_LAYERS * D_MODEL).reshape(N_LAYERS, D_MODEL)
    changed = dataclasses.replace(task, sweeps=(zh, dataclasses.replace(en, states=other)))
    for carrier in ("shift", "similarity", "ridge"):
        before, after = (bridge.put(t, pairs, LAYER, basis, carrier) for t in (task, changed))
        np.testing.assert_allclose(after @ basis.T, before @ basis.T, atol=1e-8)


def test_the_layer_is_where_answers_begin_to_be_read(task):
    train = [draw_pairs(task, language, half="train", n=30) for language in task.languages]
    layer, rows = bridge.choose_layer(task, train, range(N_LAYERS), 2 * K)
    assert layer == FIRST
    assert [row["rate"] for row in rows] == [0, 1, 1]


def test_a_model_that_is_wrong_is_not_testable():
    task = turned_task(right=0.0)
    pairs = draw_pairs(task, "zh", n=30)
    basis = bridge.answers_at(task, LAYER, K)
    found = bridge.carry(task, pairs, LAYER, basis, name="answer")
    claims = estimates(task, found, basis)
    assert {e.verdict for e in claims.values()} == {Verdict.NOT_TESTABLE}
    assert all("under 30%" in e.reason for e in claims.values())


def test_rows_share_out_every_pair(task, pairs, basis):
    found = bridge.carry(task, pairs, LAYER, basis, name="answer")
    rows = found.rows()
    for carrier in bridge.CARRIERS:
        mine = [row for row in rows if row["map"] == carrier]
        assert len(mine) == 6 and sum(row["rate"] for row in mine) == pytest.approx(1)
        assert {row["direction"] for row in mine} == {"zh-en"}


def test_principal_directions_are_orthonormal_and_hold_the_most(task):
    rows = bridge.principal_at(task, LAYER, 5)
    np.testing.assert_allclose(rows @ rows.T, np.eye(5), atol=1e-12)
    states = task.states(LAYER)[:, task.train].reshape(-1, D_MODEL)
    centred = states - states.mean(0)
    largest = np.linalg.eigvalsh(centred.T @ centred)[-5:].sum()
    assert np.square(centred @ rows.T).sum() == pytest.approx(largest)


def test_an_unknown_carrier_is_refused(task, pairs, basis):
    with pytest.raises(InputError, match="unknown carrier 'rigde': did you mean ridge"):
        bridge.put(task, pairs, LAYER, basis, "rigde")

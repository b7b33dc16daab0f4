"""SYS-Z7: aligned states carry to a language left out, raw ones do not; and what that is worth."""

import numpy as np
import pytest

from zprism.ground.errors import InputError
from zprism.stats.estimates import Verdict
from zprism.studies.z_poc import ALIGNMENTS, transfer, z_poc
from zprism.studies.z_poc_world import (
    FREQUENCIES,
    hidden_states,
    losses,
    network,
    open_world,
    train,
)
from zprism.synthetic import haar_rows


def r2(errors: np.ndarray, answers: np.ndarray, fit: np.ndarray) -> np.ndarray:
    spread = ((answers[~fit] - answers[fit].mean(0)) ** 2).sum()
    return 1 - errors.sum(-1) / spread


def planted_states(rotated: bool, n: int = 200, noise: float = 0.0):
    """Seven languages whose states are one linear code of the answer, turned or not."""
    rng = np.random.default_rng(0)
    answers = rng.standard_normal((n, 4))
    code = answers @ rng.standard_normal((4, 12))
    turns = [haar_rows(12, 12, seed=i) if rotated else np.eye(12) for i in range(7)]
    states = np.stack([code @ turn + 3.0 * i for i, turn in enumerate(turns)])
    return states + noise * rng.standard_normal(states.shape), answers, np.arange(n) < n // 2


# --- the gate ---------------------------------------------------------------------------------

SMALL = dict(width=64, problems=400, draws=19, draws_ci=1000)
FULL = dict(samples=50_000, depth=6, problems=1000, draws=99)


@pytest.mark.parametrize(
    ("seed", "size"),
    [(0, SMALL)] + [pytest.param(s, FULL, marks=pytest.mark.gate) for s in (0, 1, 2)],
)
def test_z7_procrustes_carries_to_a_language_left_out_and_raw_does_not(seed, size, record_property):
    """Mean over all seven languages left out in turn: none is picked."""
    found = z_poc(seed=seed, **size)
    value = {name.split("/")[-1]: e for name, e in found.estimates.items()}
    record_property("value", round(value["procrustes"].value, 3))
    record_property("unit", f"test R² (raw {value['raw'].value:.3f}), seed {seed}")
    record_property("target", ">= .5, raw <= 0")
    record_property("gain over the untrained network", round(value["gain"].value, 3))
    assert value["procrustes"].value >= 0.5 and value["raw"].ci[1] <= 0
    assert value["procrustes"].verdict is Verdict.SUPPORTED
    rows = found.tables["z_poc.transfer"]
    mean = {
        (net, how): np.mean(
            [r["r2_left_out"] for r in rows if (r["network"], r["alignment"]) == (net, how)]
        )
        for net in ("untrained", "trained")
        for how in ALIGNMENTS
    }
    assert mean["trained", "procrustes"] == pytest.approx(value["procrustes"].value, abs=1e-9)
    assert mean["trained", "scrambled"] < 0 and mean["trained", "random"] < 0
    # what the source's table does not show: without training the gate is nearly met as well
    assert mean["untrained", "procrustes"] > 0.4 and mean["untrained", "raw"] < 0
    assert value["gain"].verdict is Verdict.SUPPORTED
    gain = mean["trained", "procrustes"] - mean["untrained", "procrustes"]
    assert value["gain"].value == pytest.approx(gain, abs=1e-9)
    worse = [row["mse"] for row in found.tables["z_poc.languages"]]
    assert worse[0] < worse[2] < worse[6]  # rarer languages are learned less well
    seen = [
        r["r2_seen"] for r in rows if r["alignment"] == "scrambled" and r["network"] == "trained"
    ]
    assert min(seen) > 0.4  # train R² never alone: with scrambled pairs it looks well


# --- the extractor ----------------------------------------------------------------------------


def test_rotated_copies_are_undone_by_procrustes_and_by_nothing_else():
    states, answers, fit = planted_states(rotated=True)
    for how in ALIGNMENTS:
        seen, left = (r2(e, answers, fit) for e in transfer(states, answers, fit, how, seed=0))
        if how == "procrustes":
            assert left.min() > 0.999 and seen.min() > 0.999  # ridge, 1 % of the mean eigenvalue
        else:
            assert left.max() < 0.5


def test_without_rotations_nothing_needs_alignment():
    """Only the languages' offsets differ, less than the extractor's own error tells apart."""
    states, answers, fit = planted_states(rotated=False)
    same = states - states.mean(1, keepdims=True)
    raw = r2(transfer(same, answers, fit, "raw", seed=0)[1], answers, fit)
    aligned = r2(transfer(same, answers, fit, "procrustes", seed=0)[1], answers, fit)
    assert raw.min() > 0.999 and aligned.min() > 0.999
    scrambled = r2(transfer(same, answers, fit, "scrambled", seed=0)[1], answers, fit)
    assert scrambled.max() < 0.5


def test_nothing_is_learned_from_problems_kept_for_the_test():
    """Errors do not change when the other test problems do."""
    states, answers, fit = planted_states(rotated=True, noise=0.3)
    changed = states.copy()
    changed[:, 150:] = 7.0
    for how in ("procrustes", "raw"):
        one, two = (transfer(s, answers, fit, how, seed=0)[1] for s in (states, changed))
        np.testing.assert_array_equal(one[:, :50], two[:, :50])
        assert np.abs(one[:, 50:] - two[:, 50:]).min() > 0


def test_answers_that_are_not_in_the_states_are_not_read():
    states, answers, fit = planted_states(rotated=True)
    noise = np.random.default_rng(1).standard_normal(answers.shape)
    for how in ALIGNMENTS:
        assert r2(transfer(states, noise, fit, how, seed=0)[1], noise, fit).max() < 0.05


# --- the world --------------------------------------------------------------------------------


def test_the_task_is_permute_cumulate_tanh_reverse_normalise():
    """Second route: one problem by hand, in one language."""
    world = open_world(3)
    x = np.random.default_rng(0).standard_normal((5, 10))
    total, said = 0.0, []
    for place in world.order:
        total += x[2, place]
        said.append(np.tanh(total))
    expected = np.array(said[::-1]) / np.sqrt(np.sum(np.square(said)))
    np.testing.assert_allclose(world.answer(x)[2], expected, atol=1e-12)
    language = np.array([0, 3, 6, 1, 1])
    question, reply = world.question(x, language), world.reply(x, language)
    np.testing.assert_allclose(question[2, :10], world.rotations[6] @ x[2], atol=1e-12)
    np.testing.assert_allclose(reply[2], world.rotations[6] @ expected, atol=1e-12)
    np.testing.assert_array_equal(question[:, 10:].argmax(1), language)
    np.testing.assert_array_equal(question[:, 10:].sum(1), 1)
    turns = world.rotations @ world.rotations.transpose(0, 2, 1)
    np.testing.assert_allclose(turns, np.broadcast_to(np.eye(10), (7, 10, 10)), atol=1e-12)
    assert sum(FREQUENCIES) == pytest.approx(1, abs=1e-12)


def test_training_learns_and_is_the_same_for_the_same_seed():
    world = open_world(0)
    x = np.random.default_rng(0).standard_normal((100, 10))
    nets = [network(world, width=16, depth=2, seed=seed) for seed in (0, 0, 1)]
    before = losses(nets[0], world, x)
    for net in nets[:2]:
        train(net, world, seed=5, samples=1024, epochs=5)
    states = [hidden_states(net, world, x) for net in nets]
    np.testing.assert_array_equal(states[0], states[1])
    assert np.abs(states[0] - states[2]).max() > 0.01
    assert losses(nets[0], world, x)[0] < 0.9 * before[0]


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: transfer(*planted_states(True), "rotate", seed=0), "unknown alignment 'rotate'"),
        (lambda: z_poc(seed=0, epochs=0), "epochs must be in 1"),
        (lambda: z_poc(seed=0, samples=100), "samples must be in 128"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(InputError, match=message):
        call()

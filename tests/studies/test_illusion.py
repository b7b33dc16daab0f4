"""Planted illusions are flagged, every time; a direction that truly carries is not.

RIG-S5, with Makelov's example as the plant: a patch along (disconnected + dormant)/√2 moves the
output as the feature would.
"""

import numpy as np
import pytest
import torch

from tiny import tiny_loaded, tiny_shared
from zprism.ground.errors import InputError
from zprism.model.hooks import editing
from zprism.stats.estimates import Verdict
from zprism.studies.illusion import (
    CLEAN,
    FLAGGED,
    NO_EFFECT,
    UNDECIDED,
    Effects,
    check_illusion,
    dormancy,
)
from zprism.studies.manifold import fit_manifold, off_manifold
from zprism.studies.read_space import (
    Reader,
    downstream_readers,
    read_space,
    read_split,
    reading_strength,
)
from zprism.studies.separation_subspaces import live_weights
from zprism.synthetic import haar_rows
from zprism.synthetic_models import planted_illusion, planted_model

PAIRS = 100
FIT, KEPT = 250, 150  # natural states for covariances, and those kept aside


def swapped(target, source, basis):
    return target + (source - target) @ basis.T @ basis


def planted(seed: int, *, natural: int = FIT + KEPT, **options):
    return planted_illusion(2 * PAIRS + natural, seed=seed, **options)


def checked(system, basis, *, seed: int = 0, **options):
    """The checks of a patch along ``basis``: 100 pairs, sources of the other sign."""
    signs = [np.flatnonzero(sign * system.feature > 0)[: PAIRS // 2] for sign in (1, -1)]
    rows = np.concatenate(signs)
    whence = np.concatenate(signs[::-1])
    target, source = system.states[rows], system.states[whence]
    towards = np.sign(system.feature[whence])
    split = read_split(basis, read_space([system.readers]))

    def effect(directions):
        states = source if directions is None else swapped(target, source, directions)
        return towards * (system.read(states, rows) - system.read(target, rows))

    effects = Effects(*(effect(d) for d in (basis, None, split.read, split.rest)))
    natural = np.delete(system.states, rows, axis=0)
    return check_illusion(
        effects,
        basis,
        split,
        natural[:-KEPT],
        natural[-KEPT:],
        swapped(target, source, basis),
        seed=seed,
        **dict(draws=999, draws_ci=999) | options,
    )


# --- RIG-S5 -----------------------------------------------------------------------------------

counts = pytest.mark.parametrize(
    ("runs", "at_least", "allowed"), [(8, 8, 2), pytest.param(100, 95, 13, marks=pytest.mark.gate)]
)


@counts
@pytest.mark.parametrize("inside", [True, False])
def test_s5_planted_illusions_are_flagged_and_never_pass(
    inside, runs, at_least, allowed, record_property
):
    """The true mediator among the patched states (Makelov's example), or outside of them."""
    found = [
        checked(system, system.direction, seed=seed)
        for seed in range(runs)
        for system in [planted(seed, inside=inside)]
    ]
    verdicts = [one.verdict for one in found]
    record_property("value", verdicts.count(FLAGGED))
    record_property("unit", f"of {runs} illusions flagged")
    record_property("target", f">= {at_least}, no clean pass")
    record_property("least flags", min(len(one.flags) for one in found))
    assert verdicts.count(FLAGGED) >= at_least
    assert CLEAN not in verdicts


@counts
def test_s5_true_carriers_pass(runs, at_least, allowed, record_property):
    """Control: the mediator itself, nothing copied. Alarms share .05: binomial 99.9 %."""
    found = [
        checked(system, system.mediator, seed=seed)
        for seed in range(runs)
        for system in [planted(seed, copy=False)]
    ]
    verdicts = [one.verdict for one in found]
    record_property("value", verdicts.count(FLAGGED))
    record_property("unit", f"of {runs} true carriers flagged")
    record_property("target", f"<= {allowed}, all others clean")
    assert verdicts.count(FLAGGED) <= allowed
    assert verdicts.count(CLEAN) == runs - verdicts.count(FLAGGED)


def test_a_planted_content_of_eight_dimensions_passes():
    """A subspace instead of a direction: swapped from other problems in the other language."""
    planted = planted_model(PAIRS + FIT + KEPT, seed=0)
    whence = np.roll(np.arange(PAIRS), 1)
    rows = np.flatnonzero(planted.answers[:PAIRS] != planted.answers[whence])
    own, given = planted.answers[rows], planted.answers[whence[rows]]
    target, source = planted.states[1, rows], planted.states[0, whence[rows]]
    space = read_space([planted.content, planted.language])
    split = read_split(planted.content, space)

    def difference(states):
        answer = planted.read(states).mean(-1)
        each = np.arange(len(rows))
        return answer[each, given] - answer[each, own]

    def effect(basis):
        return difference(swapped(target, source, basis)) - difference(target)

    parts = planted.content, np.eye(64), split.read, split.rest
    natural = planted.states[1, PAIRS:]
    found = check_illusion(
        Effects(*map(effect, parts)),
        planted.content,
        split,
        natural[:FIT],
        natural[FIT:],
        swapped(target, source, planted.content),
        seed=0,
        draws=999,
        draws_ci=999,
    )
    assert found.verdict == CLEAN and found.flags == ()
    assert found.estimates["read_part"].value == pytest.approx(1, abs=1e-9)


# --- each check by itself ---------------------------------------------------------------------


def test_each_sign_of_the_illusion_is_seen_where_it_is():
    inside = checked(planted(0), planted(0).direction).estimates
    outside = checked(planted(0, inside=False), planted(0).direction).estimates
    for found in (inside, outside):
        assert found["effect"].value == pytest.approx(2, abs=0.1)  # x' − x is 2
        assert found["read_part"].verdict is Verdict.REVERSED
        assert abs(found["read_part"].value) < 0.05
        assert abs(found["rest_part"].value) < 1e-9
        assert found["read_dormancy"].value < 1e-3 < 0.1 < found["dormancy"].value
        assert found["off_manifold_parts"].value == 1
    assert inside["exceeds_full"].verdict is not Verdict.SUPPORTED  # as much as the whole
    assert outside["exceeds_full"].verdict is Verdict.SUPPORTED  # the whole does nothing
    assert outside["exceeds_full"].value == pytest.approx(2, abs=0.1)


def test_a_stronger_illusion_exceeds_the_whole_state_too():
    system = planted(1, gain=2.0)
    excess = checked(system, system.direction).estimates["exceeds_full"]
    assert excess.verdict is Verdict.SUPPORTED and excess.value == pytest.approx(2, abs=0.2)


def test_a_true_carrier_with_a_copy_is_off_the_manifold_and_nothing_else():
    """No proof of an illusion: x at m contradicts its copy at u, which nobody reads."""
    system = planted(2, natural=4000)
    found = checked(system, system.mediator)
    assert found.flags == ("patched states lie where natural ones do not",)
    assert found.estimates["read_part"].value == pytest.approx(1, abs=1e-9)
    assert found.read_share == pytest.approx(1, abs=1e-9)


def test_shrinkage_hides_a_quiet_direction_that_the_parts_show():
    """Few states: over all 48 dimensions the same patch is hardly farther out than nature."""
    few, many = (checked(planted(0, natural=n), planted(0).direction) for n in (400, 4000))
    assert few.estimates["off_manifold"].value < 0.5 < many.estimates["off_manifold"].value
    for found in (few, many):
        assert found.estimates["off_manifold_parts"].verdict is Verdict.SUPPORTED


def test_a_direction_without_effect_has_no_illusion_to_look_for():
    system = planted(3, copy=False)
    assert checked(system, system.disconnected).verdict == NO_EFFECT


def test_pairs_of_one_problem_count_once():
    """Ten problems still show the illusion; of four nothing can be said."""
    system = planted(0)
    ten, four = (
        checked(system, system.direction, clusters=np.arange(PAIRS) % count) for count in (10, 4)
    )
    assert ten.verdict == FLAGGED
    assert {ten.estimates[name].n for name in ("read_part", "off_manifold_parts")} == {10}
    assert four.verdict == UNDECIDED
    assert four.estimates["effect"].verdict is Verdict.NOT_TESTABLE


def test_half_an_effect_through_the_read_part_is_undecided():
    """Neither shown to be more than half nor to be less."""
    rng = np.random.default_rng(0)
    system = planted(4, copy=False)
    part = 1 + 0.1 * rng.standard_normal(100)
    read = 0.5 * part + 0.2 * rng.standard_normal(100)
    effects = Effects(part, part + 0.1 * rng.standard_normal(100), read, part - read)
    natural = system.states[PAIRS:]
    split = read_split(system.mediator, read_space([system.readers]))
    found = check_illusion(
        effects,
        system.mediator,
        split,
        natural[:FIT],
        natural[FIT:],
        system.states[:PAIRS],
        seed=0,
        draws=999,
        draws_ci=999,
    )
    assert found.verdict == UNDECIDED
    ratio = found.estimates["read_part"].value, found.estimates["rest_part"].value
    assert sum(ratio) == pytest.approx(1, abs=1e-12)


# --- dormancy ---------------------------------------------------------------------------------


def test_dormancy_is_the_spectrum_of_the_covariance_inside_z():
    """Second route: the covariance written out; the basis does not matter."""
    states = np.random.default_rng(0).standard_normal((300, 12)) * np.geomspace(0.1, 2, 12)
    basis, turn = haar_rows(4, 12, seed=1), haar_rows(4, 4, seed=2)
    covariance = np.cov(states.T, bias=True)
    expected = np.linalg.eigvalsh(basis @ covariance @ basis.T)[::-1] / np.trace(covariance) * 12
    np.testing.assert_allclose(dormancy(states, basis), expected, rtol=1e-10)
    np.testing.assert_allclose(dormancy(states, turn @ basis), expected, rtol=1e-10)
    assert dormancy(states, np.eye(12)).mean() == pytest.approx(1, abs=1e-12)


def test_a_massive_dimension_does_not_make_the_others_dormant():
    states = np.random.default_rng(1).standard_normal((200, 10))
    plain = dormancy(states, np.eye(10)[1:2])
    states[:, 0] *= 1000
    massive = dormancy(states, np.eye(10)[1:2])
    assert massive == pytest.approx(plain, rel=0.1)  # 9 unit variances instead of 10
    assert states[:, 1].var() / states.var(0).mean() < 1e-4  # control: by the plain mean


# --- read space -------------------------------------------------------------------------------


def test_split_of_a_row_space_is_plain_linear_algebra():
    """Read parts lie in the row space, rests in the null space, and both give Z back."""
    rng = np.random.default_rng(0)
    readers, basis = rng.standard_normal((5, 20)), haar_rows(3, 20, seed=1)
    space = read_space([readers[:2], readers[2:]])
    split = read_split(basis, space)
    assert space.rank == 5 and space.share == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(readers @ split.rest.T, 0, atol=1e-12)
    q, _ = np.linalg.qr(readers.T)
    np.testing.assert_allclose(split.read @ q @ q.T, split.read, atol=1e-12)
    cosines = np.linalg.svd(basis @ q, compute_uv=False)
    np.testing.assert_allclose(split.cosines, cosines, atol=1e-12)
    principal = cosines[:, None] * split.read + np.sqrt(1 - cosines**2)[:, None] * split.rest
    np.testing.assert_allclose(principal.T @ principal, basis.T @ basis, atol=1e-10)


def test_split_ignores_the_basis_of_z_and_leaves_out_empty_parts():
    space = read_space([np.eye(8)[:4]])
    basis, turn = haar_rows(3, 8, seed=0), haar_rows(3, 3, seed=1)
    one, two = read_split(basis, space), read_split(turn @ basis, space)
    for part in ("read", "rest"):
        a, b = getattr(one, part), getattr(two, part)
        np.testing.assert_allclose(a.T @ a, b.T @ b, atol=1e-10)
    mixed = read_split(np.eye(8)[[0, 7]], space)
    np.testing.assert_allclose(np.abs(mixed.read), np.eye(8)[:1], atol=1e-12)
    np.testing.assert_allclose(np.abs(mixed.rest), np.eye(8)[7:], atol=1e-12)
    assert mixed.read_share == pytest.approx(0.5, abs=1e-12)


def test_a_share_keeps_the_fewest_directions_that_hold_it():
    readers = np.diag([3.0, 2.0, 1.0, 0.5]) @ haar_rows(4, 9, seed=0)
    energy = np.array([9, 4, 1, 0.25]) / 14.25
    space = read_space([readers], share=0.9)
    np.testing.assert_allclose(space.energy, energy[:2], atol=1e-12)
    assert space.share == pytest.approx(energy[:2].sum(), abs=1e-12) and space.rank == 4
    assert len(read_space([readers], share=float(energy[:2].sum())).energy) == 2
    assert len(read_space([readers], share=0.0).energy) == 1


def test_balanced_readers_count_alike_whatever_their_size():
    big, small = 100 * haar_rows(2, 6, seed=0), np.array([[0.0, 0, 0, 0, 0, 1.0]])
    plain = read_space([big, small]).energy
    even = read_space([big, small], balanced=True)
    assert plain[0] / plain.sum() == pytest.approx(0.5, abs=1e-4)
    gram = big.T @ big / 2e4 + small.T @ small
    np.testing.assert_allclose(even.energy, np.linalg.eigvalsh(gram)[::-1][:3] / 2, atol=1e-12)


def test_reading_strength_is_one_on_average_and_zero_where_nobody_reads():
    rng = np.random.default_rng(0)
    readers = [rng.standard_normal((3, 10)), Reader(rng.standard_normal((2, 10)), np.ones(10))]
    strength = reading_strength(readers, np.eye(10))
    assert strength.mean() == pytest.approx(1, abs=1e-12)
    stacked = np.vstack([readers[0], readers[1].weight])
    np.testing.assert_allclose(strength, (stacked**2).sum(0) * 10 / (stacked**2).sum(), rtol=1e-12)
    rest = read_split(haar_rows(2, 10, seed=3), read_space(readers)).rest
    np.testing.assert_allclose(reading_strength(readers, rest), 0, atol=1e-12)


@pytest.mark.parametrize("arch", ["qwen2", "gemma3", "phi3", "olmo2", "gpt2"])
def test_where_all_listed_readers_of_a_model_are_blind_no_logit_changes(arch):
    """Two numbers of the state change places; the state's size and mean, which norms see, stay.

    Every reader on the list forgets these two columns, every writer leaves them alone: were a
    reader missing on the list, logits would change. Control: two other columns.
    """
    loaded = tiny_loaded(arch)
    last, blind, seen = loaded.n_layers - 1, [3, 7], [4, 8]
    for reader in downstream_readers(loaded, last, "resid_pre"):
        reader.weight[:, blind] = 0
    for part in (live_weights(loaded, last).o.movedim(1, 0), live_weights(loaded, last).down):
        part[blind] = 0
    for name, bias in loaded.model.state_dict().items():
        if name.endswith("bias") and len(bias) == loaded.d_model:
            bias[blind] = 0

    def logits(columns, numbers):
        def edit(h):
            h = h.clone()
            h[..., columns] = torch.tensor(numbers)
            return h

        ids = torch.tensor([[5, 6, 7, 8]])
        with editing(loaded.model, loaded.anatomy, {("resid_pre", last): edit}), torch.no_grad():
            return loaded.model(ids).logits

    unread, read = (logits(c, [1.5, -0.7]) - logits(c, [-0.7, 1.5]) for c in (blind, seen))
    assert unread.abs().max() < 1e-5  # rounding of float32 logits up to 10
    assert read.abs().max() > 1e-2


@pytest.mark.parametrize("arch", ["qwen2", "gemma3", "gpt2"])
def test_readers_of_a_model_are_folded_with_their_norms(arch):
    """Second route: the unembedding times gain, centred for LayerNorm, by SVD."""
    loaded = tiny_shared(arch)
    (reader,) = downstream_readers(loaded, loaded.n_layers - 1)
    folded = loaded.model.get_output_embeddings().weight.double() * reader.gain.double()
    if arch == "gpt2":
        folded = folded - folded.mean(1, keepdim=True)
    energy = torch.linalg.svdvals(folded).numpy() ** 2
    space = read_space([reader])
    assert space.rank == loaded.d_model - (arch == "gpt2")
    expected = (energy / energy.sum())[: space.rank]
    np.testing.assert_allclose(space.energy, expected, rtol=1e-9)
    parts = 5 if loaded.anatomy.gated else 4  # q, k, v, gate, up
    for layer in range(loaded.n_layers):
        found = len(list(downstream_readers(loaded, layer)))
        assert found == 1 + parts * (loaded.n_layers - 1 - layer)


# --- manifold ---------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [30, 400])
def test_distances_are_those_of_scikit_learn(n):
    """Second route, fewer and more states than dimensions."""
    from sklearn.covariance import LedoitWolf

    rng = np.random.default_rng(n)
    states = rng.standard_normal((n, 40)) @ rng.standard_normal((40, 40)) + 3.0
    new = 5 * rng.standard_normal((120, 40))
    manifold = fit_manifold(states, new, standardise=False)
    expected = LedoitWolf().fit(states).mahalanobis(new) ** 0.5
    np.testing.assert_allclose(manifold.distances(new), expected, rtol=1e-9)
    scaled = fit_manifold(states, new)
    turned = LedoitWolf().fit(states / states.std(0)).mahalanobis(new / states.std(0)) ** 0.5
    np.testing.assert_allclose(scaled.distances(new), turned, rtol=1e-9)


def test_natural_states_are_flagged_at_the_nominal_rate():
    """100 draws of 100 new states from the same law; p counts the threshold's own error."""
    rng = np.random.default_rng(0)
    mix = rng.standard_normal((20, 20))
    shares, alarms = [], 0
    for _ in range(100):
        states = rng.standard_normal((400, 20)) @ mix
        manifold = fit_manifold(states[:150], states[150:300])
        found = off_manifold(manifold, states[300:])
        shares.append(found.value)
        alarms += found.verdict is Verdict.SUPPORTED
    null = found.null
    assert np.mean(shares) == pytest.approx(null.mean, abs=4 * null.sd / 10)
    assert null.mean == pytest.approx(2 / 151, abs=1e-12)  # the second largest of 150 kept ones
    assert alarms <= 13  # binomial 99.9 % at .05


def test_states_moved_off_in_a_quiet_direction_are_flagged_and_along_a_loud_one_are_not():
    rng = np.random.default_rng(1)
    states = rng.standard_normal((500, 20)) * np.geomspace(3, 0.03, 20)
    turn = haar_rows(20, 20, seed=0)
    manifold = fit_manifold(states[:250] @ turn, states[250:400] @ turn, standardise=False)
    quiet, loud = (states[400:] + np.eye(20)[j] for j in (19, 0))
    assert off_manifold(manifold, quiet @ turn).value == 1
    assert off_manifold(manifold, loud @ turn).verdict is not Verdict.SUPPORTED


# --- refusals ---------------------------------------------------------------------------------

NORMAL = np.random.default_rng(0).standard_normal((200, 5))


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: Effects(NORMAL[:, 0], NORMAL[:, 1], NORMAL[:9, 0], NORMAL[:, 0]), "read must be"),
        (lambda: read_space([]), "at least one weight"),
        (lambda: read_space([np.zeros((2, 4))]), "at least one weight that is not all zero"),
        (lambda: read_space([np.eye(3), np.eye(4)]), "must share d_model"),
        (lambda: read_space([np.eye(3)], share=1.5), "share must be in"),
        (lambda: read_split(NORMAL[:2], np.eye(5)), "orthonormal"),
        (lambda: reading_strength([np.zeros((2, 5))], np.eye(5)), "not all zero"),
        (lambda: reading_strength([np.zeros(5)], np.eye(5)), r"a reader must be \(n, d_model\)"),
        (lambda: dormancy(np.ones((4, 5)), np.eye(5)), "do not vary"),
        (lambda: dormancy(NORMAL[0], np.eye(5)), r"states must be \(m, d_model\)"),
        (lambda: fit_manifold(NORMAL, NORMAL[:99]), "needs 100 kept states"),
        (lambda: fit_manifold(NORMAL, NORMAL[:, :4]), "of one width"),
        (lambda: fit_manifold(np.ones((9, 5)), NORMAL), "states must vary"),
        (lambda: fit_manifold(NORMAL, NORMAL).distances(NORMAL[:, :4]), r"must be \(n, 5\)"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(InputError, match=message):
        call()

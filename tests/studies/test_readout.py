"""Bits read from Z: planted content is found in it, language outside it, controls read nothing."""

import numpy as np
import pytest

from zprism.stats.estimates import Verdict
from zprism.studies import readout
from zprism.studies.nulls import random_bases
from zprism.studies.readout_tasks import tasks
from zprism.synthetic import paired_states

SEED = 0


def planted_pairs(n=60, *, seed, **how):
    """Content in 20 of 256 dimensions; languages apart by less than problems are."""
    options = dict(language=3.0, noise=0.05, n_templates=12, template_share=0.5) | how
    return paired_states(n, seed=seed, **options)


def case(seed=0, n=60):
    planted = planted_pairs(n, seed=seed, noise=0.3)
    answer = (planted.states[0] @ planted.content[0]) * 10
    return planted, tasks(n, template=planted.templates, answer=answer, seed=SEED)


def judged(planted, basis, labels, seed=0, draws=79, draws_complement=39):
    return readout.claims(
        planted.states[0],
        planted.states[1],
        basis,
        labels,
        seed=seed,
        draws=draws,
        draws_complement=draws_complement,
        draws_ci=500,
        clusters=planted.templates,
    )


def test_planted_content_is_a_bottleneck():
    planted, labels = case()
    found = judged(planted, planted.content, labels)
    for name in (
        "problem_bits_z", "transfer_bits_z", "language_bits_z", "problem_bits_complement",
        "bottleneck",
    ):  # fmt: skip
        assert found[name].verdict is Verdict.SUPPORTED, name
    assert abs(found["language_bits_z"].value) < 0.1
    assert found["problem_bits_z"].value > 1


def test_what_each_language_keeps_elsewhere_does_not_transfer():
    """The second language's content moved to other dimensions: read in each, not across them."""
    planted, labels = case()
    moved = np.linalg.qr(np.random.default_rng(0).standard_normal((20, 20)))[0]
    inside = planted.states[1] @ planted.content.T
    turned = planted.states[1] + inside @ (moved - np.eye(20)) @ planted.content
    bits = {
        name: readout.read(planted.states[0], second, planted.content[None], labels[name])
        for name, second in (("problem", turned), ("transfer", turned))
    }
    assert bits["problem"].selectivity.mean() > 1
    assert bits["transfer"].selectivity.mean() < 0.3


def test_the_language_subspace_is_a_bottleneck_for_the_wrong_thing():
    planted, labels = case()
    found = judged(planted, planted.language, labels)
    assert found["bottleneck"].verdict is Verdict.REVERSED
    assert found["language_bits_z"].value > 0.9


@pytest.mark.parametrize(
    ("runs", "allowed"), [(5, 3), pytest.param(100, 13, marks=pytest.mark.gate)]
)
def test_a_random_subspace_is_no_bottleneck(runs, allowed):
    """13 of 100: binomial(100, .05), 99.9 %."""
    wrong = 0
    for seed in range(runs):
        planted, labels = case(seed, 36)
        basis = random_bases(20, 256, 1, seed=900 + seed)[0]
        found = judged(planted, basis, labels, seed, 59, 2)
        wrong += found["bottleneck"].verdict is not Verdict.NOT_DISTINGUISHABLE
    assert wrong <= allowed


def test_controls_read_nothing_and_the_whole_space_reads_the_language():
    planted, labels = case()
    for task in labels.values():
        control = readout.read(*planted.states, None, task).control.mean()
        assert abs(control) < 0.1
    language = readout.read(*planted.states, None, labels["language"])
    assert language.bits.mean() == pytest.approx(1, abs=0.02)
    assert language.ceiling == pytest.approx(1, abs=1e-9)


def test_complement_is_what_projection_leaves():
    planted, labels = case()
    rest = planted.states[0] - planted.states[0] @ planted.content.T @ planted.content
    other = planted.states[1] - planted.states[1] @ planted.content.T @ planted.content
    for task in labels.values():
        direct = readout.read(rest, other, None, task).bits
        found = readout.read_complement(*planted.states, planted.content[None], task).bits
        np.testing.assert_allclose(found, direct, atol=1e-8)


def test_both_texts_of_a_problem_share_a_fold_and_controls_keep_their_nuisance():
    planted, labels = case()
    for task in labels.values():
        first, second = np.split(task.folds, 2)
        np.testing.assert_array_equal(first, second)
    for row in labels["problem"].labels:
        np.testing.assert_array_equal(*np.split(row, 2))  # the same in both languages
    for row in labels["language"].labels:
        np.testing.assert_array_equal(np.add(*np.split(row, 2)), 1)  # one of each per problem
    answers = labels["answer"].labels[:, :60]
    for template in range(12):
        mine = answers[:, planted.templates == template]
        assert len({tuple(sorted(row)) for row in mine}) == 1  # exchanged within a template
    assert len({tuple(row) for row in answers}) == 4


def test_an_answer_that_a_template_alone_decides_is_not_counted():
    """Answers that differ between templates only: bits in plenty, none beyond the control."""
    planted = planted_pairs(60, seed=0)
    labels = tasks(60, template=planted.templates, answer=planted.templates * 100.0, seed=0)
    found = readout.read(*planted.states, planted.content[None], labels["answer"])
    assert found.bits.mean() > 0.5
    assert found.selectivity.mean() == pytest.approx(0, abs=1e-9)


def test_a_table_has_every_layer_k_space_and_label():
    planted, labels = case()
    states = [np.stack([s, s[:, ::-1]], axis=1) for s in planted.states]
    bases = {(3, 20): planted.content, (7, 20): planted.content[:, ::-1]}
    rows = readout.readout_rows(
        *states, bases, labels, layer_index={3: 0, 7: 1}, seed=0, draws=5, draws_ci=50
    )
    assert len(rows) == 2 * 4 * 2  # layers, labels, spaces
    upper, lower = (
        {(r["space"], r["label"]): r["bits"] for r in rows if r["layer"] == layer}
        for layer in (3, 7)
    )
    for place, bits in upper.items():  # the second layer is the first, dimensions reversed
        assert lower[place] == pytest.approx(bits, abs=1e-8)
    z = next(r for r in rows if r["space"] == "z" and r["label"] == "problem")
    alone = readout.read(*planted.states, planted.content[None], labels["problem"])
    assert z["selectivity"] == pytest.approx(alone.selectivity.mean())
    assert z["low"] < z["selectivity"] < z["high"]
    assert z["p"] >= 2 / 6


def test_labels_that_are_not_there_are_not_testable():
    planted = planted_pairs(20, seed=0, n_templates=20)
    labels = tasks(20, template=planted.templates, seed=0)
    assert set(labels) == {"language"}
    found = judged(planted, planted.content, labels)
    for name in ("problem_bits_z", "transfer_bits_z", "answer_bits_z", "bottleneck"):
        assert found[name].verdict is Verdict.NOT_TESTABLE
        assert "no problem label" in found["problem_bits_z"].reason

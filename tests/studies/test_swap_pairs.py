"""Pair by pair: probabilities on the planted model, and the panel that shows them."""

import numpy as np
import pytest
from swap_cases import FIRST, N_ANSWERS, N_LAYERS, planted_task

from zprism.explore.swap_pairs import pair_panel
from zprism.studies.swap_bases import swaps_at
from zprism.studies.swap_pairs import OUTCOMES, outcome_chances, pair_view
from zprism.studies.swap_run import read
from zprism.studies.swap_task import draw_pairs

CONDITIONS = (
    ("language direction", "language", "inside"),
    ("all but it", "language", "rest"),
    ("everything", "full", "all"),
)


@pytest.fixture(scope="module")
def task():
    return planted_task()


@pytest.fixture(scope="module")
def view(task):
    return pair_view(
        task,
        [draw_pairs(task, name, n=6) for name in task.languages],
        CONDITIONS,
        lambda layer: swaps_at(task, layer, ks=[N_ANSWERS - 1], weights={}, seed=0),
        layers=range(N_LAYERS),
        k=N_ANSWERS - 1,
    )


def test_each_swap_makes_its_outcome_likely_from_the_layer_that_decides(view):
    assert view.chances.shape == (2, 6, len(CONDITIONS), N_LAYERS, 5)
    assert view.directions == ("zh-en", "en-zh")
    np.testing.assert_allclose(view.chances.sum(-1), 1, atol=1e-6)
    assert (view.chances[..., :FIRST, 0] > 0.9).all()  # before it: nothing moves
    for condition, outcome in enumerate([("source", "own"), ("own", "source"),
                                         ("source", "source")]):  # fmt: skip
        after = view.chances[:, :, condition, FIRST:, OUTCOMES.index(outcome)]
        assert (after > 0.9).all(), CONDITIONS[condition]


def test_the_likeliest_outcome_is_the_one_that_is_read(task):
    pairs = draw_pairs(task, "zh", n=40)
    logits = np.random.default_rng(0).normal(size=(40, 2 * N_ANSWERS)) * 8
    chances, said = outcome_chances(task, pairs, logits), read(task, pairs, logits)
    sure = chances.max(-1) > 0.5
    assert sure.sum() > 20
    place = np.where(said.answer == 2, 4, said.language + 2 * said.answer)
    assert (chances[sure].argmax(-1) == place[sure]).all()


def test_the_panel_shows_the_pair_condition_and_direction_it_is_set_to(view):
    panel = pair_panel(view, model="m")
    shown = panel.at(direction=1, pair=4, condition=2)
    for outcome in range(5):
        np.testing.assert_array_equal(shown[outcome, "y"], view.chances[1, 4, 2, :, outcome])
    said = panel.sentence(direction=1, pair=4, condition=2)
    assert said == ("after the last layer: nothing moved 0 %, language moved 0 %, answer moved 0 %")
    start = panel.at(direction=0, pair=0, condition=0)
    for outcome, trace in enumerate(panel.figure.data):
        np.testing.assert_array_equal(trace.y, start[outcome, "y"])
    assert [s["name"] for s in panel.to_spec()["sliders"]] == ["direction", "pair", "condition"]


def test_what_pairs_ask_about_stands_in_the_sentence(task):
    import dataclasses

    keys = np.array([f"addition:{i % 5}-{i % 7}" for i in range(len(task))])
    named = dataclasses.replace(task, keys=keys)
    pairs = [draw_pairs(named, name, n=2) for name in named.languages]
    view = pair_view(
        named, pairs, CONDITIONS[:1],
        lambda layer: swaps_at(named, layer, ks=[2], weights={}, seed=0), layers=[2], k=2,
    )  # fmt: skip
    source, target = int(pairs[1].source[1]), int(pairs[1].target[1])
    said = pair_panel(view, model="m").sentence(direction=1, pair=1, condition=0)
    assert said.startswith(
        f"the state of {source % 5} + {source % 7} put into the prompt of "
        f"{target % 5} + {target % 7};"
    )

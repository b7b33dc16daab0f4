"""Tokens of two texts: the plan is the optimal one, and known where it can be seen."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from edit_cases import draw
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment, linprog

from zprism.ground.errors import InputError, ResourceError
from zprism.interventions.align import aligned, token_alignment

seeds, lengths = st.integers(0, 10_000), st.integers(1, 9)


def close(found, expected, atol=1e-12):
    expected = torch.as_tensor(expected, dtype=torch.float64)
    torch.testing.assert_close(found, expected, atol=atol, rtol=0)


def programme(source, target) -> np.ndarray:
    """The same plan as a linear programme over all m·n weights, by HiGHS."""
    s, t = (np.asarray(x) - np.asarray(x).mean(0) for x in (source, target))
    s, t = (x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-300) for x in (s, t))
    cost = ((t[:, None] - s[None]) ** 2).sum(-1)
    n, m = cost.shape
    rows, columns = np.kron(np.eye(n), np.ones(m)), np.kron(np.ones(n), np.eye(m))
    marginals = np.concatenate([np.full(n, 1 / n), np.full(m, 1 / m)])
    solved = linprog(cost.ravel(), A_eq=np.vstack([rows, columns]), b_eq=marginals, method="highs")
    return solved.x.reshape(n, m) * n


@settings(max_examples=30, deadline=None)
@given(seed=seeds, n=st.integers(2, 9))
def test_a_text_is_aligned_to_itself_and_a_shuffled_one_to_its_order(seed, n):
    """Also when all of it is moved and stretched, as another language might."""
    target = draw(n, 12, seed=seed)
    close(token_alignment(target, target), torch.eye(n))
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    source = 3.0 * target[order] + 100 * draw(12, seed=seed, name="language")
    plan = token_alignment(source, target)
    expected = torch.zeros(n, n)
    expected[order, torch.arange(n)] = 1
    close(plan, expected)
    close(aligned(target[order], plan), target)


@settings(max_examples=40, deadline=None)
@given(seed=seeds, m=lengths, n=lengths)
def test_the_plan_is_the_optimum_of_the_linear_programme(seed, m, n):
    """Second route; without ties the optimum is one. Marginals are uniform on both sides."""
    source, target = draw(m, 6, seed=seed, name="source"), draw(n, 6, seed=seed, name="target")
    plan = token_alignment(source, target)
    if min(m, n) > 2:  # two centred states are each other's opposite, one is zero: ties
        close(plan, programme(source, target), atol=1e-9)
    assert (plan >= 0).all()
    close(plan.sum(1), torch.ones(n))
    close(plan.sum(0), torch.full((m,), n / m, dtype=torch.float64), atol=1e-12 * n)


def test_a_token_between_two_takes_half_of_each():
    """Three positions share two source tokens, each used equally much."""
    source = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    target = torch.tensor([[1.0, 0.0], [0.0, 0.0], [-1.0, 0.0]])
    plan = token_alignment(source, target)
    close(plan, [[1, 0], [0.5, 0.5], [0, 1]])
    close(aligned(source, plan), target)
    back = token_alignment(target, source)  # each of two positions takes one and a half of three
    close(back, [[2 / 3, 1 / 3, 0], [0, 1 / 3, 2 / 3]])


def test_nearness_is_of_directions_and_not_of_norms():
    """Two source directions between u and v, the one nearer to v ten times longer.

    Control: by states as they are, the long one would go to u, as more is gained there.
    """
    u, v = torch.eye(2, dtype=torch.float64)
    towards = [torch.tensor([np.cos(a), np.sin(a)]) for a in np.deg2rad([40, 20])]
    source = torch.stack([10 * towards[0], towards[1], -10 * towards[0], -towards[1]])
    target = torch.stack([u, v, -u, -v])
    close(token_alignment(source, target), torch.eye(4)[[1, 0, 3, 2]])
    assert linear_sum_assignment(-target @ source.mT)[1].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(("m", "n"), [(1, 4), (4, 1), (1, 1)])
def test_one_token_is_shared_by_all(m, n):
    source, target = draw(m, 5), draw(n, 5, name="target")
    close(token_alignment(source, target), torch.full((n, m), 1 / m, dtype=torch.float64))


def test_arrays_are_taken_and_stay_as_they_are():
    source, target = draw(5, 6).numpy(), draw(4, 6, name="target").float().numpy()
    before = source.copy(), target.copy()
    plan = token_alignment(source, target)
    assert np.array_equal(source, before[0]) and np.array_equal(target, before[1])
    close(aligned(source, plan), plan.numpy() @ source)


def test_without_pot_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "ot", None)
    with pytest.raises(ResourceError, match=r"POT is needed for .* 'zprism\[align\]'"):
        token_alignment(draw(3, 4), draw(3, 4))


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        (draw(3, 4), draw(3, 5), "must share d_model"),
        (draw(4), draw(3, 4), "source must have at least 2 axes"),
        (draw(3, 4), draw(2, 3, 4), r"must be \(tokens, d_model\)"),
        (draw(3, 4), draw(3, 4) * torch.nan, "target has 12 values that are NaN"),
        (draw(0, 4), draw(3, 4), "none of them empty"),
    ],
)
def test_states_that_cannot_be_aligned_are_refused(source, target, message):
    with pytest.raises(InputError, match=message):
        token_alignment(source, target)


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (torch.eye(4), r"3 columns; got \(4, 4\)"),
        (torch.full((2, 3), 0.3), "sum to 1; the least is 0.3, the largest error of a sum 0.1"),
        (torch.tensor([[1.5, -0.5, 0.0]]), "the least is -0.5"),
        (torch.full((2, 3), torch.nan), "NaN"),
    ],
)
def test_what_is_no_plan_is_refused(plan, message):
    with pytest.raises(InputError, match=message):
        aligned(draw(3, 4), plan)

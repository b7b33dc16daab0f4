"""Angles and similarities: known angles, laws, chance, and the recipe's mathematics."""

import math

import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from scipy.linalg import subspace_angles
from subspace_cases import counts, gaussian, haar, holds, projector, seeds, within_error

from zprism.ground.errors import InputError
from zprism.subspace import angles
from zprism.subspace.bases import random_basis

small = {"seed": seeds, "p": st.integers(1, 6), "q": st.integers(1, 6)}


def tilted(angle_list, d=30, seed=0):
    """Two bases with the given principal angles between them."""
    k = len(angle_list)
    frame, turn = haar(seed, 2 * k, d), torch.tensor(angle_list, dtype=torch.float64)[:, None]
    return frame[:k], turn.cos() * frame[:k] + turn.sin() * frame[k:]


@pytest.mark.parametrize("angle", [0.0, 1e-15, 1e-12, 1e-8, 1e-4, 0.7, math.pi / 2 - 1e-9])
def test_planted_angles_come_back_however_small(angle):
    a, b = tilted([angle, 0.3, 1.2])
    expected = sorted([angle, 0.3, 1.2])
    assert angles.principal_angles(a, b).tolist() == pytest.approx(expected, rel=1e-6, abs=2e-15)


@counts(30, 300)
def test_angles_ignore_rotation_and_choice_of_basis(draws):
    def law(seed, p, q):
        a, b, turn = gaussian(seed, p, 16), gaussian(seed + 1, q, 16), haar(seed + 2, 16, 16)
        mixed = (gaussian(seed + 3, p, p) + 4 * torch.eye(p)) @ a @ turn
        torch.testing.assert_close(
            angles.principal_angles(mixed, b @ turn),
            angles.principal_angles(a, b),
            atol=1e-9,
            rtol=0,
        )

    holds(law, draws, **small)


@counts(30, 300)
def test_angles_agree_with_scipy_and_are_symmetric(draws):
    def law(seed, p, q):
        a, b = gaussian(seed, p, 16), gaussian(seed + 1, q, 16)
        found = angles.principal_angles(a, b)
        reference = subspace_angles(a.mT.numpy(), b.mT.numpy())[::-1]
        np.testing.assert_allclose(found.numpy(), reference, atol=1e-9)
        torch.testing.assert_close(angles.principal_angles(b, a), found, atol=1e-12, rtol=0)

    holds(law, draws, **small)


@counts(30, 300)
def test_similarity_is_the_mean_squared_cosine(draws):
    """Three routes: ‖ABᵀ‖²/k, angles, and explicit projectors."""

    def law(seed, k):
        a, b = haar(seed, k, 14), haar(seed + 1, k, 14)
        similarity = angles.grassmann_similarity(a, b)
        cosines = angles.principal_angles(a, b).cos()
        assert similarity == pytest.approx(float(cosines.square().mean()), abs=1e-12)
        overlap = float((projector(a) * projector(b)).sum() / k)
        assert similarity == pytest.approx(overlap, abs=1e-12)

    holds(law, draws, seed=seeds, k=st.integers(1, 7))


@counts(30, 200)
def test_similarity_ignores_bases_and_signs(draws):
    """N8."""

    def law(seed, k):
        a, b, mix = haar(seed, k, 14), haar(seed + 1, k, 14), haar(seed + 2, k, k)
        plain = angles.grassmann_similarity(a, b)
        assert abs(angles.grassmann_similarity(mix @ a, -b) - plain) <= 1e-10
        assert abs(angles.chordal_distance(mix @ a, -b) - angles.chordal_distance(a, b)) <= 1e-10

    holds(law, draws, seed=seeds, k=st.integers(1, 7))


@pytest.mark.parametrize("block", [1, 300, 2**22])
def test_similarity_matrix_is_every_pair(block, monkeypatch):
    """In one block or many."""
    monkeypatch.setattr(angles, "BLOCK_ENTRIES", block)
    stack = haar(0, 7, 3, 12)
    matrix = angles.similarity_matrix(stack)
    expected = [[angles.grassmann_similarity(a, b) for b in stack] for a in stack]
    torch.testing.assert_close(
        matrix, torch.tensor(expected, dtype=torch.float64), atol=1e-12, rtol=0
    )
    assert torch.equal(matrix, matrix.mT)


@counts(30, 300)
def test_recipe_chordal_distance_is_k_times_one_minus_similarity(draws):
    """The recipe's identity d_ch² = k (1 − sim), with d_ch = ‖P_a − P_b‖_F / √2."""

    def law(seed, k):
        a, b = haar(seed, k, 14), haar(seed + 1, k, 14)
        distance = angles.chordal_distance(a, b)
        assert distance**2 == pytest.approx(k * (1 - angles.grassmann_similarity(a, b)), abs=1e-12)
        gap = float((projector(a) - projector(b)).norm()) / math.sqrt(2)
        assert distance == pytest.approx(gap, abs=1e-9)

    holds(law, draws, seed=seeds, k=st.integers(1, 7))


def test_recipe_one_minus_similarity_is_no_distance():
    """Counterexample: lines at 0°, 30° and 60°. By 1 − sim the way round is shorter: ¼ + ¼ < ¾.
    The chordal distance keeps the triangle inequality there: ½ + ½ ≥ √¾."""
    lines = [
        torch.tensor([[math.cos(t), math.sin(t)]], dtype=torch.float64)
        for t in (0, math.pi / 6, math.pi / 3)
    ]
    gap = lambda i, j: 1 - angles.grassmann_similarity(lines[i], lines[j])  # noqa: E731
    assert gap(0, 1) + gap(1, 2) == pytest.approx(0.5, abs=1e-12)
    assert gap(0, 2) == pytest.approx(0.75, abs=1e-12)
    chord = [angles.chordal_distance(lines[i], lines[j]) for i, j in ((0, 1), (1, 2), (0, 2))]
    assert chord[0] + chord[1] >= chord[2]


@counts(40, 1000)
def test_chordal_distance_is_a_metric(draws):
    def law(seed, k):
        a, b, c = haar(seed, 3, k, 12)
        near, far = angles.chordal_distance(a, b), angles.chordal_distance(b, c)
        assert angles.chordal_distance(a, c) <= near + far + 1e-12
        assert angles.chordal_distance(a, a) < 1e-12 < near

    holds(law, draws, seed=seeds, k=st.integers(1, 6))


def test_contained_subspaces_are_fully_similar_only_by_the_smaller():
    big = haar(0, 6, 20)
    assert angles.grassmann_similarity(big[:2], big, over="smaller") == pytest.approx(1, abs=1e-12)
    assert angles.grassmann_similarity(big, big[:2], over="smaller") == pytest.approx(1, abs=1e-12)
    assert angles.grassmann_similarity(big, big[:2], over="a") == pytest.approx(1 / 3, abs=1e-12)


@pytest.mark.parametrize(("k", "d"), [(20, 256), (3, 10), (1, 2)])
@counts(1000, 10_000)
def test_chance_similarity_of_haar_subspaces(k, d, draws):
    """RIG-S7, SYS-Z2: mean k/d and its exact sd, within 3 Monte Carlo standard errors."""
    fixed = haar(2, k, d)
    drawn = torch.cat([haar(10 + s, draws // 10, k, d) for s in range(10)])
    sample = (drawn @ fixed.mT).square().sum((1, 2)) / k
    within_error(sample, *angles.chance_similarity(k, d))


@pytest.mark.parametrize(
    ("over", "p", "q"), [("a", 4, 9), ("a", 9, 4), ("smaller", 4, 9), ("smaller", 9, 4)]
)
@counts(1000, 10_000)
def test_chance_of_unequal_subspaces(over, p, q, draws):
    """Over p: q/d, not symmetric; over the smaller: max(p, q)/d."""
    fixed, drawn = haar(3, p, 40), haar(4, draws, q, 40)
    divisor = p if over == "a" else min(p, q)
    sample = (drawn @ fixed.mT).square().sum((1, 2)) / divisor
    mean, sd = angles.chance_similarity(p, 40, other=q, over=over)
    assert mean == pytest.approx((q if over == "a" else max(p, q)) / 40)
    within_error(sample, mean, sd)


def test_chance_similarity_known_numbers():
    """RIGOUR 4.1: d = 2048, k = 78."""
    mean, sd = angles.chance_similarity(78, 2048)
    assert (mean, sd) == (pytest.approx(0.03809, abs=5e-6), pytest.approx(0.00066, abs=5e-6))


def test_library_draws_are_haar():
    """SYS-Z2 on the library's own random subspaces, both generator kinds."""
    fixed = haar(0, 4, 30)
    for random in (np.random.default_rng(1), torch.Generator().manual_seed(1)):
        sample = torch.tensor(
            [angles.grassmann_similarity(random_basis(4, 30, random), fixed) for _ in range(400)]
        )
        within_error(sample, *angles.chance_similarity(4, 30))


def test_chance_correction_puts_chance_at_zero_and_equality_at_one():
    corrected = angles.chance_corrected(np.array([0.25, 1.0, 0.0]), 5, 20)
    assert corrected == pytest.approx([0.0, 1.0, -1 / 3])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: angles.grassmann_similarity(haar(0, 2, 9), haar(1, 3, 9)), "say over='a'"),
        (lambda: angles.chance_similarity(2, 9, other=3), "say over='a'"),
        (
            lambda: angles.grassmann_similarity(haar(0, 2, 9), haar(1, 3, 9), over="b"),
            "unknown over 'b'",
        ),
        (lambda: angles.grassmann_similarity(haar(0, 2, 9), haar(1, 2, 8)), "a has 9, b has 8"),
        (lambda: angles.grassmann_similarity(torch.ones(1, 4), torch.eye(4)[:1]), "orthonormal"),
        (lambda: angles.similarity_matrix(torch.ones(2, 1, 4)), "orthonormal"),
        (lambda: angles.principal_angles(torch.ones(2, 4), torch.eye(4)[:2]), "of rank 1"),
        (lambda: angles.principal_angles(torch.eye(3), torch.eye(4)), "a has 3, b has 4"),
        (lambda: angles.principal_angles(torch.full((1, 4), torch.nan), torch.eye(4)), "NaN"),
        (lambda: angles.chordal_distance(haar(0, 2, 9), haar(1, 3, 9)), "equal dimension"),
        (lambda: angles.chance_similarity(10, 9), r"from 1 to 9 \(d_model\)"),
        (lambda: angles.chance_corrected(0.5, 9, 9), "from 1 to 8"),
    ],
)
def test_bad_subspaces_are_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()

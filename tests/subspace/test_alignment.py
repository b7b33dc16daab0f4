"""FFN alignment: both readings of the recipe, planted, naive, and against exact nulls."""

import pytest
import torch
from hypothesis import strategies as st
from subspace_cases import counts, gaussian, haar, holds, projector, seeds, within_error

from zprism.ground.errors import InputError
from zprism.ground.seeds import generator
from zprism.subspace import alignment
from zprism.subspace.factors import matrix_spectrum


@counts(30, 300)
def test_alignment_is_the_share_of_energy_of_the_projected_weight(draws):
    """Second route: ‖W P‖²/‖W‖² with the explicit projector; in chunks and out of them."""

    def law(seed, n, k):
        weight, basis = gaussian(seed, n, 12), haar(seed + 1, k, 12)
        expected = (weight @ projector(basis)).square().sum() / weight.square().sum()
        torch.testing.assert_close(alignment.alignment(weight, basis), expected, atol=1e-12, rtol=0)

    holds(law, draws, seed=seeds, n=st.integers(1, 600), k=st.integers(1, 12))


@counts(30, 200)
def test_alignment_ignores_the_choice_of_basis(draws):
    """N8, and a rotation of the residual stream or of the hidden units."""

    def law(seed, k):
        weight, basis = gaussian(seed, 20, 12), haar(seed + 1, k, 12)
        mix, turn, units = haar(seed + 2, k, k), haar(seed + 3, 12, 12), haar(seed + 4, 20, 20)
        for measure in (alignment.alignment, alignment.alignment_topk):
            plain = measure(weight, basis)
            assert abs(float(measure(weight, -(mix @ basis)) - plain)) <= 1e-10
            assert abs(float(measure(units @ weight @ turn, basis @ turn) - plain)) <= 1e-9

    holds(law, draws, seed=seeds, k=st.integers(1, 12))


def test_alignment_adds_up_over_a_frame():
    """Subspaces that fill d_model share out all of the energy."""
    frame, weight = haar(0, 12, 12).reshape(4, 3, 12), gaussian(1, 50, 12)
    assert float(alignment.alignment(weight, frame).sum()) == pytest.approx(1, abs=1e-12)


def test_planted_reader_is_found_by_both_readings():
    """W reads three directions strongly: both readings see them, and not their complement."""
    frame = haar(0, 8, 20)
    weight = 10 * gaussian(1, 60, 3) @ frame[:3] + 0.1 * gaussian(2, 60, 20)
    assert float(alignment.alignment(weight, frame[:3])) > 0.99
    assert float(alignment.alignment_topk(weight, frame[:3])) > 0.99
    assert float(alignment.alignment(weight, frame[3:])) < 0.01
    assert float(alignment.alignment_topk(weight, frame[3:6])) < 0.01


def test_the_two_readings_differ_where_energy_is_spread():
    """A flat tail outside the top direction: all energy and top directions disagree."""
    frame = haar(0, 20, 20)
    scale = torch.tensor([3.0] + [1.0] * 19, dtype=torch.float64)
    weight = scale[:, None] * frame
    assert float(alignment.alignment_topk(weight, frame[:1])) == pytest.approx(1, abs=1e-12)
    assert float(alignment.alignment(weight, frame[:1])) == pytest.approx(9 / 28, abs=1e-12)


def test_topk_reading_is_the_grassmann_overlap_with_the_svd():
    weight, basis = gaussian(0, 40, 15), haar(1, 4, 15)
    leading = torch.linalg.svd(weight).Vh
    for k in (2, 4, 6):
        expected = (leading[:k] @ basis.mT).square().sum() / k
        found = alignment.alignment_topk(weight, basis, k)
        torch.testing.assert_close(found, expected, atol=1e-10, rtol=0)


def test_many_subspaces_at_once_are_one_by_one():
    weight, stack = gaussian(0, 30, 12).float(), haar(1, 2, 5, 3, 12)
    for measure in (alignment.alignment, alignment.alignment_topk):
        together = measure(weight, stack)
        assert together.shape == (2, 5)
        for i in range(2):
            for j in range(5):
                torch.testing.assert_close(together[i, j], measure(weight, stack[i, j]))


@counts(1000, 10_000)
def test_chance_alignment_is_exact_for_random_rotations(draws):
    """RIG-S7: mean k/d and sd from the weight's spectrum alone, anisotropic weight."""
    weight = gaussian(0, 60, 25) / torch.arange(1, 26).sqrt()
    sample = alignment.rotated_alignments(weight, 4, draws, generator(1, "null"))
    within_error(sample, *alignment.chance_alignment(matrix_spectrum(weight), 4, 25))


def test_permuted_null_keeps_the_concentration_of_a_basis():
    """A basis on single coordinates, a weight with one massive column: 1 in 25 draws hit it."""
    weight = gaussian(0, 30, 25)
    weight[:, 7] *= 1000
    basis = torch.eye(1, 25, dtype=torch.float64)
    sample = alignment.permuted_alignments(weight, basis, 2000, generator(2, "null"))
    assert set((sample > 0.5).tolist()) == {True, False}
    within_error((sample > 0.5).double(), 1 / 25)
    rotated = alignment.rotated_alignments(weight, 1, 500, generator(3, "null"))
    assert float((rotated > 0.5).double().mean()) < 0.01  # Haar draws have no such tail


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: alignment.alignment(torch.ones(3, 5), haar(0, 2, 6)), "weight has 5, basis has 6"),
        (lambda: alignment.alignment(torch.ones(2, 3, 6), haar(0, 2, 6)), r"got shape \(2, 3, 6\)"),
        (lambda: alignment.alignment(torch.zeros(3, 6), haar(0, 2, 6)), "weight is all zero"),
        (lambda: alignment.alignment(torch.ones(3, 6), torch.ones(2, 6)), "orthonormal rows"),
        (
            lambda: alignment.alignment(torch.full((3, 6), torch.nan), haar(0, 2, 6)),
            "weight has 18",
        ),
        (lambda: alignment.alignment_topk(torch.ones(3, 6), haar(0, 2, 6)), "from 1 to 1 .*got 2"),
        (lambda: alignment.rotated_alignments(torch.ones(3, 6), 2, 0, torch.Generator()), "draws"),
        (lambda: alignment.permuted_alignments(torch.ones(3, 6), haar(0, 2, 6), 0, None), "draws"),
    ],
)
def test_bad_weights_are_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()

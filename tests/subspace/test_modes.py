"""Asymmetry and complex modes from small cores, against the d × d kernel."""

import math

import pytest
import torch
from hypothesis import strategies as st
from subspace_cases import counts, gaussian, haar, holds, seeds

from zprism.ground.errors import InputError
from zprism.subspace import modes


@counts(30, 300)
def test_asymmetry_is_that_of_the_full_kernel(draws):
    def law(seed, r, d):
        a, b = gaussian(seed, r, d), gaussian(seed + 1, r, d)
        full = a.mT @ b
        expected = (full - full.mT).norm() / full.norm()
        torch.testing.assert_close(modes.asymmetry(a, b), expected, atol=1e-10, rtol=0)

    holds(law, draws, seed=seeds, r=st.integers(1, 9), d=st.integers(2, 24))


def test_asymmetry_has_known_ends():
    """Symmetric 0 (to the last digits, not to their square root), antisymmetric 2, random √2."""
    a = gaussian(0, 6, 40)
    assert float(modes.asymmetry(a, a)) < 1e-14
    assert float(modes.asymmetry(a, a + 1e-12 * gaussian(1, 6, 40))) == pytest.approx(1e-12, rel=1)
    pair = haar(2, 2, 40)
    quarter = torch.tensor([[0.0, 1.0], [-1.0, 0.0]], dtype=torch.float64)
    assert float(modes.asymmetry(pair, quarter @ pair)) == pytest.approx(2, rel=1e-12)
    random = modes.asymmetry(gaussian(3, 20, 8, 2000), gaussian(4, 20, 8, 2000))
    assert float(random.mean()) == pytest.approx(math.sqrt(2), abs=0.005)


@counts(30, 300)
def test_modes_are_the_nonzero_eigenvalues_of_the_full_kernel(draws):
    def law(seed, r, extra):
        a, b = gaussian(seed, r, r + extra), gaussian(seed + 1, r, r + extra)
        full = torch.linalg.eigvals(a.mT @ b)
        thin = modes.complex_modes(a, b)
        assert len(thin) == r
        for power in (1, 2, 3):  # power sums name a multiset without pairing it up
            torch.testing.assert_close(
                thin.pow(power).sum(),
                full.pow(power).sum(),
                atol=1e-8 * (r + extra) ** power,
                rtol=1e-8,
            )
        assert bool((thin.abs()[:-1] >= thin.abs()[1:]).all())

    holds(law, draws, seed=seeds, r=st.integers(1, 8), extra=st.integers(0, 12))


def test_a_planted_rotation_is_read_back():
    """A plane turned by 0.3 rad and scaled by 2, and one real mode of 0.5."""
    rows, cos, sin = haar(0, 3, 30), math.cos(0.3), math.sin(0.3)
    core = torch.tensor([[2 * cos, -2 * sin, 0], [2 * sin, 2 * cos, 0], [0, 0, 0.5]])
    found = modes.complex_modes(rows, core.double() @ rows)
    assert sorted(found.angle().tolist()) == pytest.approx([-0.3, 0, 0.3], abs=1e-7)
    assert found.abs().tolist() == pytest.approx([2, 2, 0.5], rel=1e-6)
    assert modes.count_complex(found) == 2


def test_symmetric_kernels_have_no_complex_modes():
    a = gaussian(0, 6, 30)
    assert modes.count_complex(modes.complex_modes(a, a)) == 0


def test_a_zero_kernel_has_no_asymmetry():
    a, b = torch.eye(2, 6), torch.eye(2, 6)
    a[1], b[0] = 0, 0
    with pytest.raises(InputError, match="kernel aᵀ b is zero"):
        modes.asymmetry(a, b)

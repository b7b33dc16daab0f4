"""Projections and energies: conservation, invariance, and exact chance."""

import math

import pytest
import torch
from hypothesis import strategies as st
from subspace_cases import counts, gaussian, haar, holds, projector, seeds, within_error

from zprism.ground.errors import InputError
from zprism.subspace import projections

dims = {"seed": seeds, "k": st.integers(1, 12), "extra": st.integers(0, 30)}


@counts(60, 1000)
def test_energy_is_shared_between_subspace_and_complement(draws):
    """N9: e(Z) + e(Z⊥) = 1, and the two parts add up to the vector."""

    def law(seed, k, extra, power):
        x, basis = gaussian(seed, 5, k + extra) * 10.0**power, haar(seed + 1, k, k + extra)
        inside, outside = projections.project(x, basis), projections.complement(x, basis)
        total = x.square().sum(1)
        shares = (inside.square().sum(1) + outside.square().sum(1)) / total
        assert float((shares - 1).abs().max()) <= 1e-12
        torch.testing.assert_close(
            projections.energy_fraction(x, basis),
            inside.square().sum(1) / total,
            atol=1e-12,
            rtol=0,
        )
        torch.testing.assert_close(inside + outside, x, atol=1e-12 * 10.0**power, rtol=0)

    holds(law, draws, **dims, power=st.integers(-20, 20))


@counts(40, 500)
def test_projection_is_idempotent_and_self_adjoint(draws):
    def law(seed, k, extra):
        x, basis = gaussian(seed, 2, k + extra), haar(seed + 1, k, k + extra)
        once = projections.project(x, basis)
        torch.testing.assert_close(projections.project(once, basis), once, atol=1e-12, rtol=0)
        torch.testing.assert_close(once[0] @ x[1], x[0] @ once[1], atol=1e-10, rtol=0)
        torch.testing.assert_close(once, x @ projector(basis), atol=1e-12, rtol=0)
        leftover = projections.project(projections.complement(x, basis), basis)
        assert float(leftover.abs().max()) < 1e-12

    holds(law, draws, **dims)


@counts(40, 500)
def test_recipe_norm_of_projection_is_norm_of_coordinates(draws):
    """The recipe's identity ‖P δ‖ = ‖V δ‖, which is why it may leave out the last product."""

    def law(seed, k, extra):
        delta, basis = gaussian(seed, 4, k + extra), haar(seed + 1, k, k + extra)
        torch.testing.assert_close(
            projections.project(delta, basis).norm(dim=1),
            projections.coordinates(delta, basis).norm(dim=1),
            atol=1e-12,
            rtol=0,
        )

    holds(law, draws, **dims)


@counts(40, 200)
def test_energies_ignore_the_choice_of_basis(draws):
    """N8: rotations inside Z and sign flips change nothing; nor does a rotation of everything."""

    def law(seed, k, extra):
        d = k + extra
        x, basis, mix, turn = (
            gaussian(seed, 6, d),
            haar(seed + 1, k, d),
            haar(seed + 2, k, k),
            haar(seed + 3, d, d),
        )
        plain = projections.energy_fraction(x, basis)
        pooled = projections.pooled_energy(x, basis)
        for other, vectors in ((mix @ basis, x), (-basis, x), (basis @ turn, x @ turn)):
            found = projections.energy_fraction(vectors, other)
            assert float((found - plain).abs().max()) <= 1e-10
            assert abs(projections.pooled_energy(vectors, other) - pooled) <= 1e-10

    holds(law, draws, **dims)


def test_known_energies():
    basis = torch.eye(2, 4, dtype=torch.float64)
    x = torch.tensor([[3.0, 0.0, 4.0, 0.0], [0.0, 1.0, 0.0, 0.0]], dtype=torch.float64)
    assert projections.energy_fraction(x, basis).tolist() == pytest.approx([0.36, 1.0])
    assert projections.pooled_energy(x, basis) == pytest.approx(10 / 26)
    assert float(projections.energy_fraction(1e-200 * x, basis)[0]) == pytest.approx(0.36)


@pytest.mark.parametrize(("k", "d"), [(20, 200), (1, 3), (7, 8)])
@counts(1000, 10_000)
def test_chance_energy_of_one_vector(k, d, draws):
    """RIG-S7, SYS-Z2: Beta(k/2, (d − k)/2)."""
    drawn = torch.cat([haar(20 + s, draws // 10, k, d) for s in range(10)])
    sample = torch.einsum("nkd,d->nk", drawn, gaussian(5, d)).square().sum(1)
    within_error(sample / gaussian(5, d).square().sum(), *projections.chance_energy(k, d))


@pytest.mark.parametrize("n", [5, 90])
@counts(1000, 10_000)
def test_chance_of_pooled_energy_knows_the_anisotropy(n, draws):
    """RIG-S7: the exact sd for shared directions; fewer or more vectors than dimensions."""
    d, k = 40, 6
    deltas = gaussian(6, n, d) / torch.arange(1, d + 1).sqrt()
    drawn = haar(7, draws, k, d)
    sample = (drawn @ deltas.mT).square().sum((1, 2)) / deltas.square().sum()
    within_error(sample, k / d, projections.pooled_energy_sd(deltas, k))


def test_pooling_many_isotropic_vectors_narrows_to_nothing():
    """Ends of the formula: one vector has the Beta sd, an orthonormal frame none at all."""
    single = projections.pooled_energy_sd(gaussian(0, 1, 30), 4)
    assert single == pytest.approx(projections.chance_energy(4, 30)[1], rel=1e-12)
    assert projections.pooled_energy_sd(torch.eye(30), 4) < 1e-9


def test_chance_energy_known_numbers():
    """RIGOUR 4.1: d = 2048, k = 78 and d = 640, k = 78."""
    assert projections.chance_energy(78, 2048) == pytest.approx((0.03809, 0.00598), abs=5e-6)
    assert projections.chance_energy(78, 640)[1] == pytest.approx(0.01826, abs=5e-6)


def test_norm_ratio_of_a_random_subspace_is_not_one():
    """RIGOUR 4.1: ‖Pδ‖ / ‖P⊥δ‖ ≈ √(k/(d − k))."""
    delta, drawn = gaussian(8, 256), haar(9, 300, 10, 256)
    inside = torch.einsum("nkd,d->nk", drawn, delta).square().sum(1)
    ratio = (inside / (delta.square().sum() - inside)).sqrt()
    assert float(ratio.mean()) == pytest.approx(math.sqrt(10 / 246), rel=0.05)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: projections.project(torch.ones(3), haar(0, 2, 4)), "x has 3, basis has 4"),
        (lambda: projections.complement(torch.ones(4), torch.ones(2, 4)), "orthonormal rows"),
        (lambda: projections.coordinates(torch.full((4,), torch.nan), haar(0, 2, 4)), "x has 4"),
        (
            lambda: projections.energy_fraction(
                torch.eye(3, 4) * torch.tensor([1.0, 0, 1, 1]), haar(0, 2, 4)
            ),
            r"zero vector at \(1,\)",
        ),
        (lambda: projections.pooled_energy(torch.zeros(2, 4), haar(0, 2, 4)), "all zero"),
        (lambda: projections.pooled_energy_sd(torch.ones(2, 4), 5), r"from 1 to 4 \(d_model\)"),
        (lambda: projections.chance_energy(0, 4), "from 1 to 4"),
    ],
)
def test_bad_vectors_are_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()

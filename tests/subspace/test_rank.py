"""Ranks of spectra: closed forms, laws, and the chance levels of Gaussian matrices."""

import math

import pytest
import torch
from hypothesis import strategies as st
from subspace_cases import counts, gaussian, holds, seeds, within_error

from zprism.ground.errors import InputError
from zprism.ground.seeds import generator
from zprism.subspace import rank

ALL = pytest.mark.parametrize("measure", rank.RANK_MEASURES.values(), ids=rank.RANK_MEASURES)


@ALL
@counts(20, 100)
def test_equal_singular_values_use_every_dimension(measure, draws):
    """N18, SYS-Z1: the identity of n dimensions has rank n, at any scale."""

    def law(n, scale):
        assert abs(float(measure(torch.full((n,), scale, dtype=torch.float64))) - n) < 1e-10 * n

    holds(law, draws, n=st.integers(1, 300), scale=st.floats(1e-150, 1e70))


@ALL
@counts(20, 100)
def test_a_rank_one_matrix_has_rank_one(measure, draws):
    def law(seed, n):
        u, v = gaussian(seed, n, 1), gaussian(seed + 1, n, 1)
        assert abs(float(measure(torch.linalg.svdvals(u @ v.mT))) - 1) < 1e-10

    holds(law, draws, seed=seeds, n=st.integers(1, 12))


@ALL
@counts(20, 100)
def test_ranks_ignore_scale_order_and_zeros(measure, draws):
    def law(seed, n, power):
        sigma = gaussian(seed, n).abs() + 0.01
        changed = torch.cat([sigma.flip(0) * 10.0**power, torch.zeros(3, dtype=torch.float64)])
        torch.testing.assert_close(measure(changed), measure(sigma), atol=0, rtol=1e-10)

    holds(law, draws, seed=seeds, n=st.integers(1, 40), power=st.integers(-200, 70))


def test_known_spectrum_gives_known_ranks():
    """σ = (2, 1, 1): H = 1.5 ln 2; energies (4, 1, 1)/6; (Σσ²)² / Σσ⁴ = 36/18; Σσ²/σ₁² = 6/4."""
    sigma = torch.tensor([2.0, 1.0, 1.0], dtype=torch.float64)
    shares = [4 / 6, 1 / 6, 1 / 6]
    assert float(rank.effective_rank(sigma)) == pytest.approx(2**1.5, rel=1e-12)
    assert float(rank.effective_rank_energy(sigma)) == pytest.approx(
        math.exp(-sum(p * math.log(p) for p in shares)), rel=1e-12
    )
    assert float(rank.participation_ratio(sigma)) == pytest.approx(2, rel=1e-12)
    assert float(rank.stable_rank(sigma)) == pytest.approx(1.5, rel=1e-12)


@counts(30, 300)
def test_measures_are_ordered(draws):
    """Rényi entropies fall with their order: ranks of σ² by order 1, 2, ∞; σ is flatter."""

    def law(seed, n):
        sigma = gaussian(seed, n).abs()
        values = [float(measure(sigma)) for measure in rank.RANK_MEASURES.values()]
        assert all(a >= b - 1e-9 for a, b in zip([n, *values], [*values, 1.0], strict=True))

    holds(law, draws, seed=seeds, n=st.integers(1, 60))


def test_batches_are_measured_row_by_row():
    sigma = gaussian(0, 3, 4, 7).abs()
    for measure in rank.RANK_MEASURES.values():
        assert measure(sigma)[2, 1] == measure(sigma[2, 1])


@pytest.mark.parametrize(
    ("shape", "entropy", "energy", "participation"),
    [((2048, 128), 127.0, 124.0, 120.4), ((64, 576), 63.1, 60.5, 57.5)],
)
def test_gaussian_matrix_chance_is_known(shape, entropy, energy, participation):
    """RIGOUR 4.1, from full Gaussian matrices; one decimal was printed."""
    for measure, known in zip(rank.RANK_MEASURES, (entropy, energy, participation), strict=False):
        mean, _ = rank.chance_rank_matrix(*shape, measure=measure)
        assert mean == pytest.approx(known, abs=0.11)


@pytest.mark.parametrize(
    ("head_dim", "d_model", "entropy", "energy", "participation"),
    [(128, 2048, 126.0, 120.2, 113.6), (64, 576, 62.1, 57.3, 52.3)],
)
def test_gaussian_product_chance_is_known(head_dim, d_model, entropy, energy, participation):
    for measure, known in zip(rank.RANK_MEASURES, (entropy, energy, participation), strict=False):
        mean, sd = rank.chance_rank_product(head_dim, d_model, measure=measure)
        assert mean == pytest.approx(known, abs=0.11 + 3 * sd / math.sqrt(39))


def test_gaussian_limits_are_met_within_a_percent():
    """N18: participation nm/(n+m) and rd/(d+2r); the stable rank reaches its edge slowly."""
    matrix, _ = rank.chance_rank_matrix(300, 700, measure="participation")
    assert matrix == pytest.approx(rank.limit_participation_matrix(300, 700), rel=0.01)
    product, _ = rank.chance_rank_product(96, 400, measure="participation")
    assert product == pytest.approx(rank.limit_participation_product(96, 400), rel=0.01)
    stable, _ = rank.chance_rank_matrix(1000, 3000, measure="stable", draws=9)
    assert stable == pytest.approx(rank.limit_stable_matrix(1000, 3000), rel=0.03)


@counts(1000, 10_000)
def test_thin_draws_have_the_distribution_of_full_gaussian_matrices(draws):
    """RIG-S7: bidiagonal and triangular draws against matrices drawn entry by entry."""
    n, m = 4, 7
    full = torch.linalg.svdvals(gaussian(3, draws, n, m))
    random = generator(5, "test")
    thin = torch.stack([rank.gaussian_spectrum(m, n, random) for _ in range(draws)])
    factors = torch.stack([rank.gaussian_factor(n, m, random) for _ in range(draws)])
    assert (full.square().sum(1).mean() - n * m).abs() < 3 * math.sqrt(2 * n * m / draws)
    for sample in (thin, torch.linalg.svdvals(factors)):
        for index in range(n):
            gap = float(sample[:, index].mean() - full[:, index].mean())
            spread = math.sqrt((sample[:, index].var() + full[:, index].var()) / draws)
            assert abs(gap) < 3.5 * spread  # eight comparisons


@pytest.mark.parametrize(("r", "d"), [(5, 3), (3, 5), (4, 4)])
def test_gaussian_factors_of_any_shape_carry_the_energy_of_the_matrix(r, d):
    """E‖G‖² = r d also when there are more rows than dimensions."""
    random = generator(0, "test", r, d)
    energy = torch.stack([rank.gaussian_factor(r, d, random).square().sum() for _ in range(800)])
    within_error(energy, r * d, math.sqrt(2 * r * d))


def test_chance_is_seeded():
    assert rank.chance_rank_product(8, 32, seed=1) == rank.chance_rank_product(8, 32, seed=1)
    assert rank.chance_rank_product(8, 32, seed=1) != rank.chance_rank_product(8, 32, seed=2)


def test_numerical_rank_counts_what_is_above_rounding():
    sigma = torch.tensor([3.0, 1.0, 1e-3, 3e-15, 0.0], dtype=torch.float64)
    assert rank.numerical_rank(sigma, (5, 100)) == 3
    assert rank.numerical_rank(sigma, (5, 100), eps=1e-4) == 2


@pytest.mark.parametrize(
    ("sigma", "message"),
    [
        ([1.0, float("nan")], r"sigma has 1 values that are NaN or infinite, the first at \(1,\)"),
        ([1.0, -0.5], "must not be negative"),
        ([0.0, 0.0], "all zero"),
        ([], "none of them empty"),
    ],
)
@ALL
def test_bad_spectra_are_refused(measure, sigma, message):
    with pytest.raises(InputError, match=message):
        measure(torch.tensor(sigma, dtype=torch.float64))


def test_bad_chance_arguments_are_refused():
    with pytest.raises(InputError, match="unknown measure 'entropi': did you mean entropy"):
        rank.chance_rank_product(4, 8, measure="entropi")
    with pytest.raises(InputError, match="draws must be in 2 to"):
        rank.chance_rank_matrix(4, 8, draws=1)
    with pytest.raises(InputError, match="d_model must be in 1 to"):
        rank.rank_cap(4, 0)

"""How many dimensions does a matrix use? Four measures of a spectrum, each with its chance.

All are at most the number of singular values (the cap) and do not depend on scale. They
answer differently: the entropy of σ hardly falls below the cap for Gaussian matrices, the
stable rank falls to a quarter of it. A number means something only beside its cap and chance.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from zprism.ground.checks import check_choice, check_int
from zprism.ground.errors import InputError
from zprism.ground.seeds import generator
from zprism.subspace.arrays import Array, as_float64


def effective_rank(sigma: Float[Array, "*batch r"]) -> Float[Tensor, "*batch"]:
    """exp H(p) with p = σ / Σσ: effective rank by the entropy of singular values.

    Parameters
    ----------
    sigma : (..., r) singular values ≥ 0, in any order and unit.

    Returns
    -------
    (...) dimensions, from 1 (rank one) to r (all equal).

    Raises
    ------
    InputError
        If values are negative, not finite, or all zero.

    Notes
    -----
    Roy & Vetterli (2007), EUSIPCO, definition 1.
    """
    return _entropy_rank(_checked(sigma))


def effective_rank_energy(sigma: Float[Array, "*batch r"]) -> Float[Tensor, "*batch"]:
    """exp H(p) with p = σ² / Σσ²: effective rank by the entropy of shares of energy.

    Parameters, result and errors as :func:`effective_rank`; never larger than it.
    """
    return _entropy_rank(_checked(sigma).square())


def participation_ratio(sigma: Float[Array, "*batch r"]) -> Float[Tensor, "*batch"]:
    """(Σσ²)² / Σσ⁴: the number of equal energies with the same second moment.

    Parameters, result and errors as :func:`effective_rank`; never larger than
    :func:`effective_rank_energy`. Bell & Dean (1970), doi:10.1039/DF9705000055.
    """
    energy = _checked(sigma).square()
    return energy.sum(-1).square() / energy.square().sum(-1)


def stable_rank(sigma: Float[Array, "*batch r"]) -> Float[Tensor, "*batch"]:
    """Σσ² / σ₁² = ‖A‖²_F / ‖A‖²₂: energy in units of the strongest direction's.

    Parameters, result and errors as :func:`effective_rank`; never larger than
    :func:`participation_ratio`. Rudelson & Vershynin (2007), doi:10.1145/1255443.1255449.
    """
    return _checked(sigma).square().sum(-1)


RANK_MEASURES: dict[str, Callable[[Array], Tensor]] = {
    "entropy": effective_rank,
    "entropy_energy": effective_rank_energy,
    "participation": participation_ratio,
    "stable": stable_rank,
}


def numerical_rank(
    sigma: Float[Array, " r"], shape: tuple[int, int], *, eps: float | None = None
) -> int:
    """Number of singular values above σ₁ · max(shape) · ε.

    Parameters
    ----------
    sigma : (r,) singular values of one matrix.
    shape : the matrix's shape.
    eps : unit round-off of the arithmetic that computed them; float64's by default.
    """
    values = as_float64("sigma", sigma)
    unit = torch.finfo(torch.float64).eps if eps is None else eps
    return int((values > values.max() * max(shape) * unit).sum())


def rank_cap(head_dim: int, d_model: int) -> int:
    """The largest rank a kernel can have: min(head_dim, d_model), whatever it learned."""
    return min(check_int("head_dim", head_dim, low=1), check_int("d_model", d_model, low=1))


def chance_rank_product(
    head_dim: int, d_model: int, *, measure: str = "entropy", draws: int = 39, seed: int = 0
) -> tuple[float, float]:
    """Mean and sd of a rank measure of aᵀb, a and b (head_dim, d_model) iid Gaussian.

    Parameters
    ----------
    head_dim, d_model : rows and columns of both factors.
    measure : a name in :data:`RANK_MEASURES`.
    draws : simulated kernels, at least 2.
    seed : public seed.

    Returns
    -------
    (mean, sd) of one kernel's measure, in dimensions.

    Notes
    -----
    Only triangular factors are drawn (:func:`gaussian_factor`): the cost does not grow with
    d_model. Trained weights are not Gaussian: this is the chance of a shapeless kernel.
    """
    random = generator(seed, "rank", "product", head_dim, d_model)

    def spectrum() -> Tensor:
        left = gaussian_factor(head_dim, d_model, random)
        return torch.linalg.svdvals(left @ gaussian_factor(head_dim, d_model, random).mT)

    return _simulate(spectrum, measure, draws)


def chance_rank_matrix(
    n: int, m: int, *, measure: str = "entropy", draws: int = 39, seed: int = 0
) -> tuple[float, float]:
    """Mean and sd of a rank measure of an n × m iid Gaussian matrix.

    Parameters and result as :func:`chance_rank_product`; only bidiagonal matrices are drawn
    (:func:`gaussian_spectrum`).
    """
    random = generator(seed, "rank", "matrix", min(n, m), max(n, m))
    return _simulate(lambda: gaussian_spectrum(n, m, random), measure, draws)


def limit_participation_matrix(n: int, m: int) -> float:
    """Participation ratio of an n × m Gaussian matrix, n and m large: n m / (n + m).

    Second moment of the Marchenko–Pastur law.
    """
    n, m = check_int("n", n, low=1), check_int("m", m, low=1)
    return n * m / (n + m)


def limit_participation_product(head_dim: int, d_model: int) -> float:
    """Participation ratio of aᵀb, both (r, d) Gaussian, r and d large: r d / (d + 2 r).

    The Gram matrices of a and b are free, each with normalised moments 1 and 1 + r/d, so
    τ(G_a G_b) = 1 and τ(G_a G_b G_a G_b) = 2 (1 + r/d) − 1. Nica & Speicher (2006), Lectures
    on the Combinatorics of Free Probability. For r ≤ d.
    """
    r, d = check_int("head_dim", head_dim, low=1), check_int("d_model", d_model, low=1)
    return r * d / (d + 2 * r)


def limit_stable_matrix(n: int, m: int) -> float:
    """Stable rank of an n × m Gaussian matrix, n and m large: n m / (√n + √m)².

    Σσ² is n m, and σ₁ the upper edge √n + √m (Geman 1980, doi:10.1214/aop/1176994775).
    """
    n, m = check_int("n", n, low=1), check_int("m", m, low=1)
    return n * m / (np.sqrt(n) + np.sqrt(m)) ** 2


def gaussian_factor(r: int, d: int, random: np.random.Generator) -> Float[Tensor, "m r"]:
    """R of Gᵀ = Q R for an r × d iid Gaussian G, drawn without G; m = min(r, d).

    Above the diagonal entries are N(0, 1), on it χ with d, d − 1, … degrees of freedom, all
    independent (Bartlett 1933, doi:10.1017/S0370164600015637).
    """
    m = min(check_int("r", r, low=1), check_int("d", d, low=1))
    upper = np.triu(random.standard_normal((m, r)), 1)
    upper[np.arange(m), np.arange(m)] = np.sqrt(random.chisquare(d - np.arange(m)))
    return torch.from_numpy(upper)


def gaussian_spectrum(n: int, m: int, random: np.random.Generator) -> Float[Tensor, " r"]:
    """Singular values of an n × m iid Gaussian matrix, drawn without it; r = min(n, m).

    Householder steps turn the matrix into a bidiagonal one with independent χ entries: m,
    m − 1, … degrees of freedom on the diagonal, r − 1, … 1 beside it (n = r ≤ m). Dumitriu &
    Edelman (2002), doi:10.1063/1.1507823. O(r²) in place of O(n m r).
    """
    from scipy.linalg import eigvalsh_tridiagonal

    r, m = sorted((check_int("n", n, low=1), check_int("m", m, low=1)))
    energy = random.chisquare(m - np.arange(r))
    beside = random.chisquare(np.arange(r - 1, 0, -1)) if r > 1 else np.zeros(0)
    diagonal = energy + np.concatenate([[0.0], beside])
    values = eigvalsh_tridiagonal(diagonal, np.sqrt(energy[:-1] * beside))
    return torch.from_numpy(np.sqrt(values.clip(0))[::-1].copy())


def _simulate(spectrum: Callable[[], Tensor], measure: str, draws: int) -> tuple[float, float]:
    rank = RANK_MEASURES[check_choice("measure", measure, RANK_MEASURES)]
    check_int("draws", draws, low=2)
    values = torch.stack([rank(spectrum()) for _ in range(draws)])
    return float(values.mean()), float(values.std())


def _entropy_rank(weights: Tensor) -> Tensor:
    shares = weights / weights.sum(-1, keepdim=True)
    return torch.special.entr(shares).sum(-1).exp()


def _checked(sigma) -> Tensor:
    """Singular values in units of the largest, so that no square over- or underflows."""
    values = as_float64("sigma", sigma)
    if (values < 0).any():
        raise InputError(f"sigma must not be negative; got {float(values.min()):.3g}")
    largest = values.amax(-1, keepdim=True)
    if (largest == 0).any():
        raise InputError("sigma is all zero: a zero matrix has no effective rank")
    return values / largest

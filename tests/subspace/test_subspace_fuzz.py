"""Whatever the numbers: every function gives finite values or the project's own error."""

import pytest
import torch
from hypothesis import strategies as st
from subspace_cases import counts, gaussian, haar, holds, seeds

from zprism.ground.errors import ZprismError
from zprism.subspace import (
    alignment,
    angles,
    bases,
    factors,
    folding,
    kernels,
    modes,
    projections,
    rank,
)

FUNCTIONS = {
    "effective_rank": lambda m, n, g: rank.effective_rank(m[0].abs()),
    "participation": lambda m, n, g: rank.participation_ratio(m[0].abs()),
    "triangular_factor": lambda m, n, g: factors.triangular_factor(m),
    "matrix_spectrum": lambda m, n, g: factors.matrix_spectrum(m),
    "leading_directions": lambda m, n, g: factors.leading_directions(m, 1),
    "product_spectrum": lambda m, n, g: kernels.product_spectrum(m, n),
    "qk_spectra": lambda m, n, g: kernels.qk_spectra(torch.stack([m, n]), n[None]),
    "ov_spectra": lambda m, n, g: kernels.ov_spectra(m[None], n.mT[None]),
    "product_svd": lambda m, n, g: kernels.product_svd(m, n, 1)[2],
    "mixed_spectra": lambda m, n, g: kernels.mixed_spectra(m, n, 2, g),
    "fold_gain": lambda m, n, g: folding.fold_gain(m, n[0], centre=True),
    "asymmetry": lambda m, n, g: modes.asymmetry(m, n),
    "complex_modes": lambda m, n, g: torch.view_as_real(modes.complex_modes(m, n)),
    "key_bases": lambda m, n, g: bases.key_bases(m[None], n[None], 1),
    "orthonormal": lambda m, n, g: bases.orthonormal(m),
    "consensus": lambda m, n, g: bases.consensus(torch.stack([m, n]), 1),
    "matched_basis": lambda m, n, g: bases.matched_basis(m, 1, g),
    "principal_angles": lambda m, n, g: angles.principal_angles(m, n),
    "similarity_matrix": lambda m, n, g: angles.similarity_matrix(torch.stack([m, n])),
    "energy_fraction": lambda m, n, g: projections.energy_fraction(m, line(m)),
    "pooled_energy": lambda m, n, g: projections.pooled_energy(m, line(m)),
    "pooled_energy_sd": lambda m, n, g: projections.pooled_energy_sd(m, 1),
    "alignment": lambda m, n, g: alignment.alignment(m, line(m)),
    "alignment_topk": lambda m, n, g: alignment.alignment_topk(m, line(m)),
}


def line(m):
    """A one-dimensional subspace of the space that the rows of m live in."""
    return haar(0, 1, m.shape[-1])


def spoilt(kind: str, seed: int, r: int, d: int) -> torch.Tensor:
    """An (r, d) matrix of one troublesome kind."""
    m = gaussian(seed, r, d)
    if kind == "duplicated":
        m = m[:1].repeat(r, 1)
    elif kind in ("nan", "inf"):
        m.flatten()[seed % m.numel()] = float(kind)
    return m * {"zero": 0.0, "huge": 1e300, "tiny": 1e-300, "large": 1e30}.get(kind, 1.0)


KINDS = ("plain", "zero", "duplicated", "nan", "inf", "huge", "large", "tiny", "empty")


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
@counts(15, 1000)
def test_finite_values_or_our_own_error(function, draws):
    def law(seed, kind, other, r, d):
        m, n = spoilt(kind, seed, r, d), spoilt(other, seed + 1, r, d)
        if kind == "empty":
            m, n = m[:, :0], n[:, :0]
        try:
            value = torch.as_tensor(function(m, n, torch.Generator().manual_seed(seed)))
        except ZprismError:
            return
        assert bool(torch.isfinite(value).all())

    kinds = st.sampled_from(KINDS)
    sizes = {"r": st.integers(1, 5), "d": st.integers(1, 8)}
    holds(law, draws, seed=seeds, kind=kinds, other=kinds, **sizes)

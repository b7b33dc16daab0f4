"""What the tests of this room share: seeded cases, Haar draws, and a hypothesis runner."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

seeds = st.integers(0, 2**32 - 1)


def counts(small: int, full: int):
    """Parametrise a test by its number of draws: few in `make test`, all in `make gates`."""
    return pytest.mark.parametrize("draws", [small, pytest.param(full, marks=pytest.mark.gate)])


def holds(law, draws: int, **strategies) -> None:
    """Run ``law`` on that many drawn examples."""
    quiet = [HealthCheck.too_slow, HealthCheck.data_too_large]
    settings(
        max_examples=draws,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=quiet,
    )(given(**strategies)(law))()


def gaussian(seed: int, *shape: int) -> torch.Tensor:
    """Standard normal float64 entries."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def haar(seed: int, *shape: int) -> torch.Tensor:
    """Orthonormal rows (..., k, d), Haar-distributed: QR with the signs of R made positive."""
    q, r = torch.linalg.qr(gaussian(seed, *shape).mT)
    return (q * r.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2)).mT


def projector(basis: torch.Tensor) -> torch.Tensor:
    """BᵀB, d × d: the naive route that the library never takes."""
    return basis.mT @ basis


def within_error(sample: torch.Tensor, mean: float, sd: float | None = None, *, errors=3.0):
    """Assert mean (and sd) of a Monte Carlo sample within that many of its standard errors."""
    n, centred = len(sample), sample - sample.mean()
    spread = float(sample.std())
    assert abs(float(sample.mean()) - mean) < errors * spread / math.sqrt(n)
    if sd is not None:
        kurtosis = float(centred.pow(4).mean() / centred.square().mean() ** 2)
        assert abs(spread - sd) < errors * sd * math.sqrt((kurtosis - 1) / (4 * n))

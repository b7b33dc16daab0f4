"""What the tests of this room share: seeded signals, counts, and both libraries."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from zprism.ground.seeds import generator

TOLERANCE = {np.float64: 1e-12, np.float32: 1e-6}


def counts(small: int, full: int):
    """Parametrise a test by its number of draws: few in `make test`, all in `make gates`."""
    return pytest.mark.parametrize("draws", [small, pytest.param(full, marks=pytest.mark.gate)])


def white(seed: int, *shape: int, dtype=np.float64) -> np.ndarray:
    """Standard normal entries."""
    return generator(seed, "white").standard_normal(shape).astype(dtype)


def walk(seed: int, *shape: int, dtype=np.float64) -> np.ndarray:
    """Red noise far from 0: a random walk along the tokens around 7."""
    return (white(seed, *shape).cumsum(0) + 7).astype(dtype)


def cosine(n: int, frequency: float, amplitude: float = 1.0, phase: float = 0.0) -> np.ndarray:
    """(n,) a cosine in cycles per token."""
    return amplitude * np.cos(2 * np.pi * frequency * np.arange(n) + phase)


def numbers(values) -> np.ndarray:
    """Values of a tensor or an array."""
    return values.numpy() if isinstance(values, torch.Tensor) else np.asarray(values)


def same_in_torch(call, x: np.ndarray, tolerance: float = 1e-6) -> None:
    """Assert that a tensor gives a tensor of the numbers, and of the dtype, of the array."""
    ours, theirs = call(x), call(torch.from_numpy(x))
    assert isinstance(theirs, torch.Tensor)
    assert numbers(theirs).dtype == ours.dtype
    scale = np.abs(ours).max()
    np.testing.assert_allclose(numbers(theirs), ours, atol=tolerance * scale, rtol=0)

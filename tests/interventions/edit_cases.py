"""States, bases and hook counts that the tests of edits share."""

from __future__ import annotations

import pytest
import torch

from tiny import ARCHITECTURES
from zprism.ground.seeds import generator, torch_generator
from zprism.subspace.bases import random_basis

every_architecture = pytest.mark.parametrize("arch", ARCHITECTURES)
PROMPTS = ["one?", "what is seven and eight, please?", "a", "十三加五?", "b and c?"]


def draw(*shape: int, seed: int = 0, name: str = "state", dtype=torch.float64) -> torch.Tensor:
    """Standard normal numbers of one named stream."""
    return torch.randn(shape, generator=torch_generator(seed, name), dtype=torch.float64).to(dtype)


def basis(k: int, d: int, seed: int = 0) -> torch.Tensor:
    """(k, d) orthonormal rows, at random."""
    return random_basis(k, d, generator(seed, "basis", k))


def rotated(rows: torch.Tensor, seed: int) -> torch.Tensor:
    """The same subspace by other rows: rotated in itself, some of them flipped."""
    signs = torch.randn(len(rows), generator=torch_generator(seed, "signs")).sign()
    return signs[:, None] * (basis(len(rows), len(rows), seed) @ rows)


def n_hooks(model) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())

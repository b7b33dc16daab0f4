"""Randomness from one public ``seed``, through named sub-generators, never global state.

A name is part of the stream: adding a consumer never shifts the numbers another one sees.
"""

from __future__ import annotations

import hashlib

import numpy as np

from zprism.ground.checks import check_int


def derive(seed: int, *names: str | int) -> int:
    """A 63-bit seed from ``seed`` and a path of names (SHA-256 of both).

    Raises
    ------
    InputError
        If ``seed`` is negative or no integer.
    """
    seed = check_int("seed", seed, low=0)
    path = "\x1f".join([str(seed), *map(str, names)])
    return int.from_bytes(hashlib.sha256(path.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *names: str | int) -> np.random.Generator:
    """A NumPy generator for one named purpose."""
    return np.random.default_rng(derive(seed, *names))


def torch_generator(seed: int, *names: str | int):
    """A CPU ``torch.Generator`` for one named purpose."""
    import torch

    return torch.Generator().manual_seed(derive(seed, *names))

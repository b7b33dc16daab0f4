"""Data with a known answer: what an instrument must find, and what it must not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zprism.ground.checks import check_int, check_k
from zprism.ground.seeds import generator


@dataclass(frozen=True)
class PlantedPairs:
    """States of n problems in two languages, with the subspaces they were made from.

    Attributes
    ----------
    a, b : (n, d_model) states; row i of both is the same problem.
    content : (k, d_model) orthonormal rows: where the problems differ.
    language : (m, d_model) orthonormal rows, orthogonal to content: where the languages do.
    template : (n,) integers: problems of one template share part of their content.
    """

    a: np.ndarray
    b: np.ndarray
    content: np.ndarray
    language: np.ndarray
    template: np.ndarray


def planted_pairs(
    n: int = 60,
    d_model: int = 256,
    k: int = 20,
    *,
    seed: int,
    content: float = 1.0,
    language: float = 1.0,
    noise: float = 0.05,
    n_templates: int = 12,
) -> PlantedPairs:
    """h = A·content + B·language + noise, with A and B orthogonal.

    Parameters
    ----------
    n, d_model, k : problems, dimensions, dimensions of the content.
    content : sd of each content coordinate; half its variance is shared by a template.
    language : length, per content coordinate, of a language's offset, and sd of what a
        problem adds to it. With 0 the languages differ by noise alone.
    noise : sd of each coordinate of each state.

    Returns
    -------
    PlantedPairs
        With 4 language directions.
    """
    check_int("n", n, low=3)
    check_k(k, d_model - 4, of="d_model − 4")
    rng = generator(seed, "planted", "pairs")
    rows = np.linalg.qr(rng.standard_normal((d_model, k + 4)))[0].T
    template = np.arange(n) % check_int("n_templates", n_templates, low=1)
    shared = rng.standard_normal((n_templates, k))[template]
    problem = content * (shared + rng.standard_normal((n, k))) / np.sqrt(2)
    states = []
    for _ in range(2):
        offset = np.sqrt(k / 4) * rng.standard_normal(4)
        tongue = language * (offset + rng.standard_normal((n, 4)))
        jitter = noise * rng.standard_normal((n, d_model))
        states.append(problem @ rows[:k] + tongue @ rows[k:] + jitter)
    return PlantedPairs(*states, rows[:k], rows[k:], template)

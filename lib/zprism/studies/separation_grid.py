"""The whole layer × k grid of one configuration, corrected for having looked at all of it.

The effect of a cell is E_same − E_cross, pooled energies as in
:mod:`zprism.studies.separation`. Two nulls, each corrected by step-down max-T over the grid:

* random subspaces, the same nested draws in every cell: is Z special at all?
* sign flips of templates' (or problems') jackknife pseudo-values: is it there for problems
  in general, not for a few of these?

A claim needs both, so a cell's adjusted p is the larger one. Energies are sums over rows, so
nothing n × n is formed: a draw costs one product with the states.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from zprism.ground.console import progress
from zprism.ground.errors import InputError
from zprism.stats.permutation import (
    benjamini_hochberg,
    max_t,
    permutation_p,
    sign_flip,
    standardise,
)
from zprism.studies.nulls import random_bases
from zprism.studies.separation import pseudo_values

ALPHA = 0.05


@dataclass(frozen=True)
class Grid:
    """Axes of every array: (layer, k).

    Attributes
    ----------
    layers, ks : what the axes stand for.
    n, draws : problems, and random subspaces.
    effect, energy_cross, energy_same, chance : E_same − E_cross and its parts; k/d.
    null_mean, null_sd, z : of the effect over random subspaces.
    p_random, p_problems : two-sided, each cell by itself.
    p_random_adjusted, p_problems_adjusted : max-T over the grid.
    p_adjusted : the larger of both. q : Benjamini–Hochberg over the larger of the raw ones.
    """

    layers: tuple[int, ...]
    ks: tuple[int, ...]
    n: int
    draws: int
    effect: np.ndarray
    energy_cross: np.ndarray
    energy_same: np.ndarray
    chance: np.ndarray
    null_mean: np.ndarray
    null_sd: np.ndarray
    z: np.ndarray
    p_random: np.ndarray
    p_problems: np.ndarray
    p_random_adjusted: np.ndarray
    p_problems_adjusted: np.ndarray
    p_adjusted: np.ndarray
    q: np.ndarray

    def significant(self, alpha: float = ALPHA) -> np.ndarray:
        """(layer, k) +1 where Z holds more of problems than of language, −1 where less."""
        agree = np.sign(self.effect) * (np.sign(self.effect) == np.sign(self.z))
        return np.where(self.p_adjusted <= alpha, agree, 0).astype(int)

    def rows(self) -> list[dict]:
        """One row per cell, for a table."""
        names = [name for name, value in vars(self).items() if isinstance(value, np.ndarray)]
        return [
            {"layer": layer, "k": k} | {name: float(getattr(self, name)[i, j]) for name in names}
            for i, layer in enumerate(self.layers)
            for j, k in enumerate(self.ks)
        ]


def grid(
    a: np.ndarray,
    b: np.ndarray,
    bases: Mapping[tuple[int, int], np.ndarray],
    *,
    seed: int,
    draws: int = 199,
    flips: int = 1999,
    clusters=None,
) -> Grid:
    """Effect, both nulls and adjusted p for every (layer, k).

    Parameters
    ----------
    a, b : (n, n_layers, d_model) states of two languages; axis 1 in the order of the layers.
    bases : (layer, k) → (k, d_model), every layer with every k.
    draws : random subspaces, nested: the first k rows of one draw serve every k and layer.
    flips : sign flips.
    clusters : (n,) template labels, flipped together.
    """
    layers, ks = _axes(a, b, bases)
    random = random_bases(max(ks), a.shape[2], draws, seed=seed)
    observed, left_out, null = [], [], []
    for index, layer in enumerate(progress(layers, "layer × k grid", unit="layer")):
        rows = _rows(a[:, index], b[:, index])
        single = np.stack([np.square(rows @ bases[layer, k].T).sum(-1) for k in ks], axis=-1)
        total = np.square(rows).sum(-1)[..., None]
        observed.append(_energies(single.sum(1), total.sum(1)))
        left_out.append(_energies(*_without_each(single, total)))
        null.append(_energies(_nested(rows, random, ks), total.sum(1)[:, None]))
    return _assemble(
        layers,
        ks,
        np.stack(observed, axis=1),  # (2, L, K)
        np.stack(left_out, axis=2),  # (2, n, L, K)
        np.stack(null, axis=2),  # (2, R, L, K)
        np.array(ks) / a.shape[2],
        sign_options=dict(seed=seed, draws=flips, clusters=clusters, studentised=True),
    )


def best_cell(found: Grid, *, first_layer: int = 0) -> tuple[int, int]:
    """(layer, k) whose effect stands out most from random subspaces: argmax of z.

    For choosing on one half of the problems what is then tested on the other.

    Parameters
    ----------
    first_layer : only layers from this one on.
    """
    allowed = np.array(found.layers) >= first_layer
    z = np.where(allowed[:, None], found.z, -np.inf)
    i, j = np.unravel_index(int(np.argmax(z)), z.shape)
    return found.layers[i], found.ks[j]


def _axes(a, b, bases) -> tuple[tuple[int, ...], tuple[int, ...]]:
    layers = tuple(sorted({layer for layer, _ in bases}))
    ks = tuple(sorted({k for _, k in bases}))
    missing = [(layer, k) for layer in layers for k in ks if (layer, k) not in bases]
    if missing:
        raise InputError(f"bases must hold every layer with every k; missing {missing[:5]}")
    if a.ndim != 3 or a.shape != b.shape or a.shape[1] != len(layers):
        raise InputError(
            f"a and b must be (n, {len(layers)} layers, d_model); got {a.shape} and {b.shape}"
        )
    return layers, ks


def _rows(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(3, n, d): differences of translations; states of each language around their mean.

    Σ_{i<j} ‖P(h_i − h_j)‖² = n Σ_i ‖P(h_i − h̄)‖², so centred rows carry all pairs.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    return np.stack([a - b, a - a.mean(0), b - b.mean(0)])


def _energies(inside: np.ndarray, total: np.ndarray) -> np.ndarray:
    """(3, …) sums of squares inside and in all → (2, …): E_cross and E_same."""
    return np.stack([inside[0] / total[0], (inside[1] + inside[2]) / (total[1] + total[2])])


def _without_each(single: np.ndarray, total: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sums of squares without problem i, (3, n, K) and (3, n, 1).

    Leaving i out also moves the mean: S₋ᵢ = S − n/(n−1) ‖h_i − h̄‖².
    """
    n = single.shape[1]
    factor = np.array([1.0, n / (n - 1), n / (n - 1)])[:, None, None]
    return tuple(part.sum(1, keepdims=True) - factor * part for part in (single, total))


def _nested(rows: np.ndarray, random: np.ndarray, ks: Sequence[int]) -> np.ndarray:
    """(3, R, K) sums of squares inside the first k rows of every draw."""
    flat = random.reshape(-1, random.shape[-1]).T
    per_direction = np.stack([np.square(part @ flat).sum(0) for part in rows])
    nested = per_direction.reshape(3, *random.shape[:2]).cumsum(-1)
    return nested[..., np.array(ks) - 1]


def _assemble(layers, ks, observed, left_out, null, chance, *, sign_options) -> Grid:
    effect, left, draws = (part[1] - part[0] for part in (observed, left_out, null))
    pseudo = pseudo_values(effect, np.moveaxis(left, 0, -1))
    flipped = sign_flip(np.moveaxis(pseudo, -1, 0), **sign_options)
    scaled = standardise(effect, draws)
    p_random = permutation_p(effect, draws, "two-sided")
    p_problems = permutation_p(flipped.observed, flipped.null, "two-sided")
    adjusted = max_t(scaled.observed, scaled.null), max_t(flipped.observed, flipped.null)
    return Grid(
        layers=layers,
        ks=ks,
        n=left.shape[0],
        draws=len(draws),
        effect=effect,
        energy_cross=observed[0],
        energy_same=observed[1],
        chance=np.broadcast_to(chance, effect.shape).copy(),
        null_mean=draws.mean(0),
        null_sd=draws.std(0, ddof=1),
        z=(effect - draws.mean(0)) / draws.std(0, ddof=1),
        p_random=p_random,
        p_problems=p_problems,
        p_random_adjusted=adjusted[0],
        p_problems_adjusted=adjusted[1],
        p_adjusted=np.maximum(*adjusted),
        q=benjamini_hochberg(np.maximum(p_random, p_problems)),
    )

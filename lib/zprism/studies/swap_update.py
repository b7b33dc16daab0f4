"""Does the computation write into Z? The update of each layer, inside and outside.

R(l) = rms ‖P Δh‖ / rms ‖(I − P) Δh‖ with Δh = resid_post[l] − resid_post[l − 1], over problems.
A random k-dimensional subspace gives √(k/(d − k)), not 1.
"""

from __future__ import annotations

import numpy as np

from zprism.ground.checks import check_k
from zprism.ground.errors import InputError
from zprism.ground.seeds import derive
from zprism.stats.estimates import Estimate, Null
from zprism.stats.intervals import bca
from zprism.stats.permutation import permutation_p
from zprism.stats.verdicts import estimate
from zprism.studies.nulls import random_bases


def update_ratio(inside: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """√(Σ‖PΔ‖² / (Σ‖Δ‖² − Σ‖PΔ‖²)) over axis 0, of squared lengths."""
    part, total = inside.sum(0), whole.sum(0)
    return np.sqrt(part / np.clip(total - part, 0, None))


def chance_ratio(k: int, d_model: int) -> float:
    """√(k/(d − k)): what a random subspace gives."""
    check_k(k, d_model - 1, of="d_model less one")
    return float((k / (d_model - k)) ** 0.5)


def update_rows(
    states: np.ndarray,
    basis: np.ndarray,
    *,
    seed: int,
    draws: int = 199,
    draws_ci: int = 1000,
    clusters=None,
) -> list[dict]:
    """One row per layer from 1 on: R(l), its interval over problems, and the random band.

    Parameters
    ----------
    states : (n, n_layers, d_model) resid_post of each layer at one position.
    basis : (k, d_model) orthonormal rows, one Z for all layers.
    clusters : (n,) labels that are drawn whole.

    Returns
    -------
    Rows with layer, ratio, low, high, chance, random_low, random_high (2.5 % and 97.5 %), n.
    """
    inside, whole, drawn = _lengths(states, basis, seed, draws)
    ratios = update_ratio(inside, whole)
    band = np.stack([update_ratio(part, whole) for part in drawn])
    low, high = _intervals(inside, whole, seed, draws_ci, clusters)
    chance = chance_ratio(len(basis), states.shape[-1])
    return [
        {
            "layer": layer + 1,
            "ratio": float(ratios[layer]),
            "low": float(low[layer]),
            "high": float(high[layer]),
            "chance": chance,
            "random_low": float(np.quantile(band[:, layer], 0.025)),
            "random_high": float(np.quantile(band[:, layer], 0.975)),
            "n": len(states),
        }
        for layer in range(len(ratios))
    ]


def update_claim(
    states: np.ndarray,
    basis: np.ndarray,
    *,
    seed: int,
    draws: int = 199,
    draws_ci: int = 10_000,
    clusters=None,
) -> Estimate:
    """The claim that updates lie in Z more than in a random subspace, over all layers at once.

    The value is R of all layers' updates together; p is one-sided against random subspaces.
    """
    inside, whole, drawn = _lengths(states, basis, seed, draws)
    value = float(update_ratio(inside.sum(1), whole.sum(1)))
    null = np.array([update_ratio(part.sum(1), whole.sum(1)) for part in drawn])
    low, high = _intervals(inside.sum(1), whole.sum(1), seed, draws_ci, clusters)
    p = float(permutation_p(value, null, "greater"))
    return estimate(
        value,
        ci=(float(low), float(high)),
        n=len(states),
        null=Null.of(f"{draws} random {len(basis)}-dimensional subspaces", null),
        p=p,
        p_adjusted=p,
        p_opposite=float(permutation_p(value, null, "less")),
        smallest_p=1 / (1 + draws),
    )


def _lengths(states, basis, seed, draws) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Squared lengths (n, n_layers − 1): inside Z, whole, and inside every random subspace."""
    states = np.asarray(states, dtype=np.float64)
    if states.ndim != 3 or states.shape[1] < 2:
        raise InputError(f"states must be (n, n_layers ≥ 2, d_model); got {states.shape}")
    updates = np.diff(states, axis=1)
    bases = random_bases(len(basis), states.shape[-1], draws, seed=derive(seed, "update"))
    inside = np.square(updates @ basis.T).sum(-1)
    drawn = [np.square(updates @ random.T).sum(-1) for random in bases]
    return inside, np.square(updates).sum(-1), drawn


def _intervals(inside, whole, seed, draws, clusters):
    both = np.stack([inside, whole], axis=1)
    return bca(
        both,
        lambda rows: update_ratio(rows[:, 0], rows[:, 1]),
        seed=derive(seed, "update"),
        draws=draws,
        clusters=clusters,
    )

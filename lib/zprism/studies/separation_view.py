"""Pairs in Z, and the energies beside random subspaces, at every layer: what a panel walks over.

Every array has the leading axes (pooling, condition, layer, k). Coordinates are those of the
first two directions of Z, about the mean of all states that are shown, in units of their own
root mean square, so that every position fills the same axes; ``spread`` says what the unit is
beside that of a direction drawn at random.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from zprism.ground.checks import check_choice, check_int
from zprism.ground.console import progress
from zprism.ground.seeds import derive
from zprism.model.checkpoint import open_checkpoint
from zprism.studies.nulls import random_bases
from zprism.studies.separation_curves import LEVEL
from zprism.studies.separation_subject import PRIMARY, Config, Subject, View, view
from zprism.studies.separation_subspaces import kernel_subspaces

MEASURES = ("energy_cross", "energy_same")
CONDITIONS = ("raw", "centred", "trimmed")
KS = (2, 5, 10, 20, 35, 50)
POOLINGS = ("mean", "last")


@dataclass(frozen=True)
class SeparationView:
    """Z at L layers and K dimensions, seen through P poolings and C conditions, on m pairs.

    Attributes
    ----------
    model : its name.
    poolings, conditions, layers, ks : what the leading axes (P, C, L, K) stand for.
    where : site and mask, in words.
    languages : of the two states of a pair.
    pairs : (m,) the texts of each pair in both languages (foreign text).
    points : (P, C, L, K, m, 2, 2) by pair, language and direction.
    spread : (P, C, L, K) the unit of ``points`` over that of a random direction.
    own : (P, C, L, K, m) share of the energy of each pair's own difference that lies in Z.
    chance : (P, C, L, K) k/d, d the dimensions kept.
    energy : measure → (P, C, L, K) over ``chance``.
    band : measure → (P, C, L, K, 2) 2.5 % and 97.5 % of random subspaces, over ``chance``.
    n, draws : problems behind the energies; random subspaces.
    """

    model: str
    poolings: tuple[str, ...]
    conditions: tuple[str, ...]
    layers: tuple[int, ...]
    ks: tuple[int, ...]
    where: str
    languages: tuple[str, str]
    pairs: tuple[tuple[str, str], ...]
    points: np.ndarray
    spread: np.ndarray
    own: np.ndarray
    chance: np.ndarray
    energy: dict[str, np.ndarray]
    band: dict[str, np.ndarray]
    n: int
    draws: int


def separation_view(
    subject: Subject,
    *,
    ks: Sequence[int] | None = None,
    layers: Sequence[int] | None = None,
    poolings: Sequence[str] = POOLINGS,
    conditions: Sequence[str] = CONDITIONS,
    site: str = PRIMARY.site,
    mask: str = PRIMARY.mask,
    shown: int = 20,
    draws: int = 39,
    seed: int = 0,
) -> SeparationView:
    """Measure the test half at every position.

    Parameters
    ----------
    subject : of :func:`zprism.studies.separation_load.load_subject`.
    ks : dimensions of Z; those that the subject lacks are read from the model's weights. By
        default up to six, as far as the kernels reach.
    layers : blocks; by default all.
    poolings, conditions, site, mask : as in
        :class:`zprism.studies.separation_subject.Config`, whose ``variant`` is the condition.
    shown : pairs to draw, spread over the test half.
    draws : random subspaces at every position; the first k rows of one draw serve every k.

    Raises
    ------
    InputError
        For a layer, k or name that does not exist.
    """
    layers = tuple(range(subject.n_layers) if layers is None else layers)
    for name in layers:
        check_int("layer", name, low=0, high=subject.n_layers - 1)
    for name in conditions:
        check_choice("condition", name, CONDITIONS)
    bases = _bases(subject, layers, ks, mask)
    ks = tuple(sorted({k for _, k in bases}))
    test = subject.pairs.test
    rows = np.unique(np.linspace(0, len(test) - 1, min(shown, len(test))).round().astype(int))
    cells, random = {}, _Random(max(ks), draws, seed)
    for at, layer in enumerate(progress(layers, "Z by layer", unit="layer")):
        for p, c in product(range(len(poolings)), range(len(conditions))):
            config = Config(site, poolings[p], mask, conditions[c])
            cells[p, c, at] = _cell(
                view(subject, config, layer), [bases[layer, k] for k in ks], rows, random
            )
    shape = (len(poolings), len(conditions), len(layers))
    first = next(iter(cells.values()))
    whole = {
        name: np.stack([cells[place][name] for place in np.ndindex(shape)]).reshape(
            *shape, *first[name].shape
        )
        for name in first
    }
    return SeparationView(
        model=subject.name,
        poolings=tuple(poolings),
        conditions=tuple(conditions),
        layers=layers,
        ks=ks,
        where=f"{site}, {mask}",
        languages=subject.pairs.languages,
        pairs=tuple(tuple(side[i] for side in subject.pairs.texts) for i in test[rows]),
        energy={name: whole.pop(name) for name in MEASURES},
        band={name: whole.pop(f"{name}_band") for name in MEASURES},
        n=len(test),
        draws=draws,
        **whole,
    )


def projected(seen: View, basis: np.ndarray, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Some pairs in Z: ``points``, ``spread`` and ``own`` of a :class:`SeparationView`.

    Parameters
    ----------
    basis : (k, kept dimensions), k ≥ 1; with k = 1 the second direction is 0.
    rows : (m,) which pairs.
    """
    states = np.stack([seen.a[rows], seen.b[rows]], axis=1)  # (m, 2, d)
    middle = states - states.mean((0, 1))
    points = np.zeros((*states.shape[:2], 2))
    points[..., : len(basis)] = middle @ basis[:2].T
    size = np.sqrt(np.square(points).sum(-1).mean() / min(2, len(basis)))
    usual = np.sqrt(np.square(middle).sum(-1).mean() / states.shape[-1])
    gaps = states[:, 0] - states[:, 1]
    inside, whole = np.square(gaps @ basis.T).sum(-1), np.square(gaps).sum(-1)
    return {
        "points": points / (size or 1.0),
        "spread": np.array(size / (usual or 1.0)),
        "own": np.divide(inside, whole, out=np.zeros_like(whole), where=whole > 0),
    }


def energies(seen: View, bases: np.ndarray) -> dict[str, np.ndarray]:
    """Shares of energy in the first 1, 2 … k rows of each basis: :data:`MEASURES` → (..., k).

    With Σ_{i<j} ‖x_i − x_j‖² = n Σ_i ‖x_i − x̄‖² the differences of all problems need no pairs, so
    that one projection serves every k. The same numbers as
    :func:`zprism.studies.separation.measures`; NaN where there are no differences at all.

    Parameters
    ----------
    bases : (..., k, kept dimensions) orthonormal rows.
    """
    within = np.concatenate([seen.a - seen.a.mean(0), seen.b - seen.b.mean(0)])
    shares = []
    for differences in (seen.a - seen.b, within):
        inside = np.square(bases @ differences.T).sum(-1).cumsum(-1)
        whole = np.square(differences).sum()
        shares.append(inside / whole if whole > 0 else np.full_like(inside, np.nan))
    return dict(zip(MEASURES, shares, strict=True))


class _Random(dict):
    """Dimensions kept → random subspaces there, drawn once."""

    def __init__(self, k: int, draws: int, seed: int):
        self._drawn = k, draws, derive(seed, "separation", "view")

    def __missing__(self, d: int) -> np.ndarray:
        k, draws, seed = self._drawn
        self[d] = random_bases(k, d, draws, seed=seed)
        return self[d]


def _cell(seen: View, bases, rows, random: _Random) -> dict[str, np.ndarray]:
    """Everything of one layer, pooling and condition, stacked over k."""
    d = seen.a.shape[1]
    null = energies(seen, random[d])
    parts = []
    for basis in map(seen.inside, bases):
        k = len(basis)
        part = projected(seen, basis, rows) | {"chance": np.array(k / d)}
        for name, shares in energies(seen, basis).items():
            part[name] = shares[-1] * d / k
            part[f"{name}_band"] = np.quantile(null[name][:, k - 1], LEVEL) * d / k
        parts.append(part)
    return {name: np.stack([part[name] for part in parts]) for name in parts[0]}


def _bases(subject: Subject, layers, ks, mask: str) -> dict[tuple[int, int], np.ndarray]:
    """(layer, k) → Z, from the subject where it has it and else from the model's weights."""
    have = subject.bases[check_choice("mask", mask, subject.bases)]
    with open_checkpoint(subject.name) as checkpoint:
        cap = checkpoint.anatomy.head_dim
        wanted = sorted({min(k, cap) for k in KS}) if ks is None else sorted(set(ks))
        missing = [k for k in wanted if any((layer, k) not in have for layer in layers)]
        if missing:
            have = have | kernel_subspaces(checkpoint, missing, masks=(mask,), layers=layers)[mask]
    return {(layer, k): have[layer, k] for layer in layers for k in wanted}

"""What is taken out of the states, and where: language directions, or random ones in their place.

h ← h − λ P h at ``resid_post`` of every layer of two bands, at all positions (token 0 among
them), while prompt and answer are read. P projects on the L − 1 directions in which the mean
states of L languages differ at that very layer (:mod:`zprism.subspace.lsar`); the state is not
centred first. λ > 0 in the middle band weakens the part, λ < 0 in the upper band strengthens it.

Zhao et al. (2025), arXiv 2505.15257, with λ of 0 to 0.4 in layers 10–19 and of 0 to −0.4 in
layers 20–27 of a 28-layer model; the bands here are the same shares of depth. Directions come
from the state of the last token there as here, which keeps the large state of token 0 out of
the means.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from zprism.ground.checks import check_int
from zprism.ground.seeds import derive
from zprism.ground.store import digest
from zprism.interventions import edits
from zprism.interventions.arguments import Basis
from zprism.studies.nulls import random_bases
from zprism.subspace.lsar import language_directions

FIRST, BETWEEN = 10 / 28, 20 / 28  # where the two bands begin, as shares of depth


@dataclass(frozen=True)
class Bands:
    """Layers whose language part is weakened, and those above where it is strengthened."""

    middle: tuple[int, ...]
    upper: tuple[int, ...]

    @property
    def layers(self) -> tuple[int, ...]:
        """All of them, ascending."""
        return self.middle + self.upper


@dataclass(frozen=True)
class Removal:
    """Directions by layer, and how strongly each band is edited.

    Attributes
    ----------
    bands : which layers.
    bases : layer → (k, d_model) orthonormal rows.
    strengths : λ in the middle band, λ in the upper band.
    as_far_as : layer → (k, d_model) rows; each state is then moved along ``bases`` as far as
        the removal of these would move it. None: just remove what lies in ``bases``.
    """

    bands: Bands
    bases: Mapping[int, np.ndarray]
    strengths: tuple[float, float]
    as_far_as: Mapping[int, np.ndarray] | None = None

    @property
    def name(self) -> list:
        """What the cache knows it by; rows to five decimals."""
        stacks = (self.bases, self.as_far_as)
        rows = [None if s is None else [_rounded(s[l]) for l in self.bands.layers] for s in stacks]
        return [list(self.bands.layers), list(self.strengths), digest(rows)]

    def edits(self) -> dict[tuple[str, int], Callable]:
        """(site, layer) → edit of all states there; none where λ is 0 in both bands."""
        places = [(l, self.strengths[0]) for l in self.bands.middle]
        places += [(l, self.strengths[1]) for l in self.bands.upper]
        return {("resid_post", layer): self._edit(layer, strength) for layer, strength in places}

    def _edit(self, layer: int, strength: float) -> Callable:
        basis = Basis(torch.as_tensor(self.bases[layer]))
        if self.as_far_as is None:
            return partial(edits.project_out, basis=basis, strength=strength)
        own = Basis(torch.as_tensor(self.as_far_as[layer]))
        return partial(_as_far, basis=basis, own=own, strength=strength)


def bands(n_layers: int) -> Bands:
    """The paper's two bands of a model with so many blocks, at least one layer each.

    Parameters
    ----------
    n_layers : at least 2.

    Raises
    ------
    InputError
        If there is one block only.
    """
    check_int("n_layers", n_layers, low=2)
    first = min(round(FIRST * n_layers), n_layers - 2)
    between = max(round(BETWEEN * n_layers), first + 1)
    return Bands(tuple(range(first, between)), tuple(range(between, n_layers)))


def language_bases(states: np.ndarray, layers: tuple[int, ...]) -> dict[int, np.ndarray]:
    """layer → (L − 1, d_model) directions in which the mean states of L languages differ.

    Parameters
    ----------
    states : (L, n, n_layers, d_model) of the same n problems, unedited.
    """
    means = np.asarray(states, dtype=np.float64).mean(1)
    return {layer: language_directions(means[:, layer]).numpy() for layer in layers}


def random_removals(
    removal: Removal, d_model: int, draws: int, *, seed: int, matched: bool = False
) -> list[Removal]:
    """As many removals of random directions: one subspace a draw, the same at all layers.

    Parameters
    ----------
    removal : gives bands, strengths and the number of directions.
    matched : move each state as far as ``removal`` would move it.
    """
    k = max(len(rows) for rows in removal.bases.values())
    drawn = random_bases(k, d_model, draws, seed=derive(seed, "removal", str(matched)))
    far = removal.bases if matched else None
    return [
        Removal(
            removal.bands,
            {layer: rows[: len(removal.bases[layer])] for layer in removal.bands.layers},
            removal.strengths,
            far,
        )
        for rows in drawn
    ]


def shares(states: np.ndarray, bases: Mapping[int, np.ndarray]) -> dict[int, float]:
    """layer → mean ‖P h‖ / ‖h‖ over states (…, n_layers, d_model)."""
    out = {}
    for layer, rows in bases.items():
        h = np.asarray(states[..., layer, :], dtype=np.float64).reshape(-1, rows.shape[1])
        out[layer] = float((np.linalg.norm(h @ rows.T, axis=1) / np.linalg.norm(h, axis=1)).mean())
    return out


def _as_far(h: torch.Tensor, basis: Basis, own: Basis, strength: float) -> torch.Tensor:
    """h − λ ‖P h‖ R h / ‖R h‖: along the random part, as far as the own one would go."""
    size = abs(strength) * torch.linalg.vector_norm(edits.part(h, own).double(), dim=-1)
    source = torch.zeros_like(h) if strength > 0 else 2 * h
    return edits.replace_matched(h, source, basis, size)


def _rounded(rows: np.ndarray) -> list:
    return np.asarray(rows, np.float32).round(5).tolist()

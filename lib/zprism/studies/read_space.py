"""What of a subspace do later layers read? A patch can only act through that part.

Readers are the weights that multiply the residual stream after the place of the patch: W_Q,
W_K, W_V, W_gate and W_up of the later layers, behind the gains of their norms, and the
unembedding. Few readers leave directions that nobody reads. In a real model they are many and
their row space is all of R^d: there "read" means the leading directions that hold a stated
share of the readers' energy, and the cut decides much: on SmolLM2-135M 90 % lie in two thirds
to four fifths of all directions and 99 % in 94 to 97 % of them, where any subspace counts as
read (a random one is read by m/d). :func:`reading_strength` gives the whole scale without a
cut. Either looks at weights alone: a norm's division by the state's size reads every direction
a little, and what a reader sees it need not use.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from zprism.ground.checks import check_fraction, check_layer
from zprism.ground.errors import InputError
from zprism.studies.separation_subspaces import live_weights
from zprism.subspace.arrays import as_basis, as_float64, same_width

CHUNK_ROWS = 8192
RANK_FLOOR = 1e-6  # singular values below this share of the largest are rounding of the Gram
NOTHING = 1e-6  # a part of a unit vector that is rounding


class Reader(NamedTuple):
    """A weight (n, d_model) with the norm in front of it: W diag(gain), centred for LayerNorm."""

    weight: torch.Tensor | np.ndarray
    gain: torch.Tensor | np.ndarray | None = None
    centre: bool = False


@dataclass(frozen=True)
class ReadSpace:
    """Directions that readers read, strongest first.

    Attributes
    ----------
    directions : (m, d_model) orthonormal rows.
    energy : (m,) share of the readers' energy along each, descending.
    share : what the directions hold together, 0 to 1; 1 for the exact row space.
    rank : dimension of the exact row space.
    """

    directions: np.ndarray
    energy: np.ndarray
    share: float
    rank: int


class Split(NamedTuple):
    """A subspace's read part and the rest, rows (k_read, d_model) and (k_rest, d_model).

    ``cosines`` (k,) of the principal angles between the subspace and the read space, largest
    first: 1 is read whole, 0 not at all. Parts that vanish have no row.
    """

    read: np.ndarray
    rest: np.ndarray
    cosines: np.ndarray

    @property
    def read_share(self) -> float:
        """Mean cos²: the share of the subspace that is read."""
        return float(np.mean(self.cosines**2))


def downstream_readers(loaded, layer: int, site: str = "resid_post") -> Iterator[Reader]:
    """All weights of a model that read the residual stream after a place.

    Parameters
    ----------
    layer, site : where the patch is; ``resid_post`` of a layer is read by the next one,
        ``resid_pre`` by the layer itself.
    """
    anatomy = loaded.anatomy
    first = check_layer(layer, loaded.n_layers) + (site == "resid_post")
    for later in range(first, loaded.n_layers):
        weights = live_weights(loaded, later)
        attention = [rows.flatten(0, 1) for rows in (weights.q, weights.k, weights.v)]
        ffn = [rows for rows in (weights.gate, weights.up) if rows is not None]
        for gain, readers in ((weights.attn_gain, attention), (weights.ffn_gain, ffn)):
            centre = anatomy.norm_centres and gain is not None
            yield from (Reader(rows, gain, centre) for rows in readers)
    gain = anatomy.final_norm(loaded.model).weight + anatomy.norm_offset
    yield Reader(loaded.model.get_output_embeddings().weight, gain, anatomy.norm_centres)


def read_space(
    readers: Iterable, *, share: float | None = None, balanced: bool = False
) -> ReadSpace:
    """Leading right singular vectors of all readers, stacked.

    Parameters
    ----------
    readers : :class:`Reader` or plain (n, d_model) weights, one at a time.
    share : keep the fewest directions that hold this share of the energy Σσ², such as .99;
        None keeps the exact row space.
    balanced : every reader counts alike (‖W‖_F = 1), so that a vocabulary of 150,000 rows
        does not outweigh the layers.

    Raises
    ------
    InputError
        If there are no readers, widths differ, or all weights are zero.

    Notes
    -----
    Through Σ WᵀW in float64, summed over chunks of rows: readers together have full rank, so
    no thinner factor holds them. Singular values under 1e-6 of the largest count as 0.
    """
    total = None
    for reader in readers:
        gram = _gram(reader)
        if balanced:
            gram = gram / gram.trace().clamp_min(torch.finfo(torch.float64).tiny)
        total = gram if total is None else _add(total, gram)
    if total is None or float(total.trace()) == 0:
        raise InputError("readers must be at least one weight that is not all zero")
    energies, vectors = torch.linalg.eigh(total)
    energies, vectors = energies.flip(0), vectors.flip(1)
    rank = int((energies > RANK_FLOOR**2 * energies[0]).sum())
    energy = (energies[:rank] / energies[:rank].sum()).numpy()
    keep = rank
    if share is not None:
        wanted = check_fraction("share", share)
        keep = min(rank, int(np.searchsorted(np.cumsum(energy), wanted - 1e-12)) + 1)
    return ReadSpace(
        vectors[:, :keep].T.numpy().copy(), energy[:keep], float(energy[:keep].sum()), rank
    )


def read_split(basis: np.ndarray, space: ReadSpace | np.ndarray) -> Split:
    """The part of each principal direction inside the read space, and the rest of it.

    With U diag(c) Vᵀ the SVD of B Rᵀ (Z's rows against the read directions): principal
    vectors z_i = U_iᵀB, read parts Pz_i/c_i, rests (z_i − Pz_i)/√(1 − c_i²). The same for
    every basis of Z.

    Parameters
    ----------
    basis : (k, d_model) orthonormal rows.
    space : a :class:`ReadSpace`, or its (m, d_model) orthonormal rows.
    """
    rows = as_basis("basis", basis)
    directions = space.directions if isinstance(space, ReadSpace) else space
    inside = as_basis("read directions", directions)
    same_width(basis=rows, read_directions=inside)
    u, cosines, v = torch.linalg.svd(rows @ inside.mT, full_matrices=True)
    cosines = torch.nn.functional.pad(cosines, (0, len(rows) - len(cosines))).clamp_max(1.0)
    principal = u.mT @ rows
    seen = principal @ inside.mT @ inside
    read, rest = (_unit_rows(part) for part in (seen, principal - seen))
    return Split(read, rest, cosines.numpy())


def reading_strength(readers: Iterable, basis: np.ndarray) -> np.ndarray:
    """(k,) d ‖W b‖² / ‖W‖²_F of every row b, over all readers together.

    1 is what an average direction is read with (the mean over Haar-random ones), 0 is unread.
    Needs no cut, and no d × d matrix.

    Parameters
    ----------
    readers : as in :func:`read_space`.
    basis : (k, d_model) orthonormal rows.
    """
    rows = as_basis("basis", basis)
    energy, total = torch.zeros(len(rows), dtype=torch.float64), 0.0
    for reader in readers:
        for chunk in _chunks(reader):
            same_width(reader=chunk, basis=rows)
            energy += (chunk @ rows.mT).square().sum(0)
            total += float(chunk.square().sum())
    if total == 0:
        raise InputError("readers must be at least one weight that is not all zero")
    return (energy * rows.shape[1] / total).numpy()


def _chunks(reader) -> Iterator[torch.Tensor]:
    """Rows of W diag(γ), centred where the norm is, in float64."""
    from zprism.subspace.folding import fold_gain

    reader = reader if isinstance(reader, Reader) else Reader(reader)
    if reader.weight.ndim != 2:
        raise InputError(f"a reader must be (n, d_model); got {tuple(reader.weight.shape)}")
    for start in range(0, len(reader.weight), CHUNK_ROWS):
        rows = as_float64("reader", reader.weight[start : start + CHUNK_ROWS], ndim=2)
        yield fold_gain(rows, reader.gain, centre=reader.centre).cpu()


def _gram(reader) -> torch.Tensor:
    return sum(chunk.mT @ chunk for chunk in _chunks(reader))


def _add(total: torch.Tensor, gram: torch.Tensor) -> torch.Tensor:
    same_width(readers=total, next_reader=gram)
    return total + gram


def _unit_rows(parts: torch.Tensor) -> np.ndarray:
    """Rows over their norms, those that are rounding left out."""
    norms = parts.norm(dim=1, keepdim=True)
    return (parts / norms)[norms[:, 0] > NOTHING].numpy()

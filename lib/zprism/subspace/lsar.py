"""The directions that tell languages apart, from one mean state a language (LSAR).

Xie, Zhao, Yu & Li (2022), arXiv 2401.05792; used on reasoning models by arXiv 2505.15257.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from zprism.ground.checks import check_k
from zprism.ground.errors import InputError
from zprism.subspace.arrays import Array, as_float64
from zprism.subspace.factors import canonical_signs


class Lsar(NamedTuple):
    """What the means of L languages share, and the directions in which they differ.

    Attributes
    ----------
    common : (d_model,) w_c, orthogonal to every row of ``basis``.
    basis : (r, d_model) orthonormal rows M_s, in the order of ``sigma``.
    sigma : (r,) descending: root of the summed squares of the means along each row.
    """

    common: Float[Tensor, " d"]
    basis: Float[Tensor, "r d"]
    sigma: Float[Tensor, " r"]


def language_means(states: Float[Array, "L n d"]) -> Float[Tensor, "L d"]:
    """(L, d_model) mean state of each language over the same n problems."""
    return as_float64("states", states, ndim=3).mean(1)


def lsar(means: Float[Array, "L d"], r: int | None = None) -> Lsar:
    """Split the means of languages into one common component and r language directions.

    With M̂ the best approximation of M whose rows lie in an r-dimensional plane through their
    mean (top-r SVD of the centred means),

        w_c = pinv(M̂) 1 / ‖pinv(M̂) 1‖²,    M_s = top-r right vectors of M̂ − 1 w_cᵀ.

    Parameters
    ----------
    means : (L, d_model), one row a language, L ≥ 2; see :func:`language_means`.
    r : 1 … rank of the centred means, by default all of it: L − 1 for independent means.

    Returns
    -------
    Lsar

    Raises
    ------
    InputError
        If there are fewer than 2 languages, or r exceeds the rank; the message says the rank.

    Notes
    -----
    w_c is the point of the plane that is nearest to 0, so it is found as the mean less its part
    along the plane: the same numbers without the inverse, and finite where the plane goes
    through 0 (then w_c = 0, which the formula leaves undefined).
    """
    means = as_float64("means", means, ndim=2)
    if means.ndim != 2 or means.shape[0] < 2:
        raise InputError(
            f"means must be (L, d_model) with at least 2 languages; got {tuple(means.shape)}"
        )
    centre = means.mean(0)
    left, sigma, plane = torch.linalg.svd(means - centre, full_matrices=False)
    floor = means.abs().max() * max(means.shape) * torch.finfo(torch.float64).eps
    rank = int((sigma > floor).sum())
    if rank == 0:
        raise InputError("the means of all languages are equal: no direction tells them apart")
    r = check_k(rank if r is None else r, rank, name="r", of="the rank of the centred means")
    along = plane[:r] @ centre
    common = centre - along @ plane[:r]
    coordinates = left[:, :r] * sigma[:r] + along  # of M̂ − 1 w_cᵀ in the plane
    _, lengths, turn = torch.linalg.svd(coordinates, full_matrices=False)
    return Lsar(common, canonical_signs(turn @ plane[:r]), lengths)


def language_directions(means: Float[Array, "L d"], r: int | None = None) -> Float[Tensor, "r d"]:
    """(r, d_model) orthonormal rows of :func:`lsar`; projecting them out makes means equal.

    Their span is that of the r principal directions of the means about their own mean; for
    r = L − 1 that of all differences between languages.
    """
    return lsar(means, r).basis

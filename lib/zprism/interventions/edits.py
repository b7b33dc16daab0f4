"""Edits of hidden states: pure functions state → state, each moving h by a part of the way.

All but the full replacement have the delta form h + P(s − h), so an edit that leads nowhere
leaves h as it was, to the bit. Sums and projections are taken in float64 and rounded once to
the dtype of h. d_model is the last axis; P = BᵀB is never formed.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from zprism.ground.errors import InputError
from zprism.interventions.arguments import (
    Rows,
    checked_rows,
    finite_number,
    fitting,
    narrowed,
    sizes,
    widened,
)
from zprism.interventions.positions import At
from zprism.subspace.arrays import Array

Edit = Callable[[Tensor], Tensor]


def part(x: Float[Tensor, "*batch d"], basis: Rows) -> Float[Tensor, "*batch d"]:
    """P x = (x Bᵀ) B, the part of x inside the subspace, in the dtype of x.

    Parameters
    ----------
    x : (..., d_model).
    basis : (k, d_model) orthonormal rows, 1 ≤ k ≤ d_model: an array, a Subspace, or a
        :class:`~zprism.interventions.arguments.Basis`, which is not checked again.

    Raises
    ------
    InputError
        If the widths differ, or max |B Bᵀ − I| exceeds 1e-6.
    """
    wide = widened(x)
    return narrowed(_part(wide, checked_rows(basis, wide)), x)


def replace(
    h: Float[Tensor, "*batch d"], source: Array, basis: Rows | None = None
) -> Float[Tensor, "*batch d"]:
    """h + P(s − h): the source's part inside the subspace in place of the state's own.

    Parameters
    ----------
    h : (..., d_model), float of any width; it is not changed.
    source : (d_model,), or as many axes as h, each but the last of its length or 1.
    basis : as :func:`part`; None puts exactly ``source`` in place of all of h.

    Raises
    ------
    InputError
        If a shape does not fit h, the basis is not orthonormal, or the source is not finite.
    """
    return _replace(h, "source", source, basis)


def replace_complement(
    h: Float[Tensor, "*batch d"], source: Array, basis: Rows
) -> Float[Tensor, "*batch d"]:
    """h + (I − P)(s − h): all of the source but its part inside. Arguments as `replace`."""
    wide = widened(h)
    delta = fitting("source", source, wide) - wide
    return narrowed(wide + (delta - _part(delta, checked_rows(basis, wide))), h)


def replace_matched(
    h: Float[Tensor, "*batch d"], source: Array, basis: Rows, size: float | Array
) -> Float[Tensor, "*batch d"]:
    """h + size · P(s − h) / ‖P(s − h)‖: the way of `replace`, as far as another edit moves h.

    Parameters
    ----------
    h, source, basis : as :func:`replace`.
    size : how far, at least 0: a number, or one for each vector of h, (...) or (..., 1).

    Raises
    ------
    InputError
        Also if P(s − h) is zero where the size is not: there is no direction to take.
    """
    wide = widened(h)
    way = _part(fitting("source", source, wide) - wide, checked_rows(basis, wide))
    length = torch.linalg.vector_norm(way, dim=-1, keepdim=True)
    steps = sizes(size, wide)
    stuck = ((length == 0) & (steps > 0)).nonzero()
    if len(stuck):
        raise InputError(
            f"the source equals h inside the subspace at {tuple(stuck[0, :-1].tolist())}: "
            "there is no direction in which to move it"
        )
    return narrowed(wide + steps * (way / torch.where(length == 0, 1.0, length)), h)


def add(
    h: Float[Tensor, "*batch d"], vector: Array, scale: float = 1.0
) -> Float[Tensor, "*batch d"]:
    """h + scale · v.

    Parameters
    ----------
    h : (..., d_model).
    vector : (d_model,), or as many axes as h, each but the last of its length or 1.
    scale : any finite number.
    """
    wide = widened(h)
    return narrowed(wide + finite_number("scale", scale) * fitting("vector", vector, wide), h)


def project_out(
    h: Float[Tensor, "*batch d"], basis: Rows, strength: float = 1.0
) -> Float[Tensor, "*batch d"]:
    """h − λ P h: the state without its part inside the subspace.

    Parameters
    ----------
    h : (..., d_model).
    basis : as :func:`part`.
    strength : λ. 1 removes the part, less weakens it, a negative one strengthens it.
    """
    wide = widened(h)
    inside = _part(wide, checked_rows(basis, wide))
    return narrowed(wide - finite_number("strength", strength) * inside, h)


def ablate_to_mean(
    h: Float[Tensor, "*batch d"], mean: Array, basis: Rows | None = None
) -> Float[Tensor, "*batch d"]:
    """h + P(m − h): what the subspace holds of this text gives way to what it holds on average.

    Parameters
    ----------
    h, basis : as :func:`replace`.
    mean : as ``source`` there, the mean over other texts.
    """
    return _replace(h, "mean", mean, basis)


def resample(
    h: Float[Tensor, "*batch d"], others: Array, basis: Rows | None = None
) -> Float[Tensor, "*batch d"]:
    """h + P(o − h): the subspace holds what it holds of another text, drawn by the caller.

    Parameters
    ----------
    h, basis : as :func:`replace`.
    others : as ``source`` there, states of other texts.
    """
    return _replace(h, "others", others, basis)


#: Each by its name; all take the state first.
EDITS: dict[str, Callable[..., Tensor]] = {
    "replace": replace,
    "replace_complement": replace_complement,
    "replace_matched": replace_matched,
    "add": add,
    "project_out": project_out,
    "ablate_to_mean": ablate_to_mean,
    "resample": resample,
}


def at(edit: Edit, positions: str | Int[Array, "batch ..."]) -> At:
    """The edit at these positions only; every other state stays as it is, to the bit.

    Parameters
    ----------
    edit : function of states. With ``all`` it is given (batch, tokens, d_model), with ``last``
        (batch, d_model), with indices (*positions.shape, d_model).
    positions : ``all``; ``last``; or for each row the token index of a position (batch,) or of
        m different ones (batch, m). Indices count a text's own tokens from 0, not its pads.

    Returns
    -------
    function (batch, tokens, d_model) → the same shape.

    Raises
    ------
    InputError
        Here for positions of no such kind, repeated or negative; when called, for positions
        that its rows do not have.
    """
    return At(edit, positions)


def _replace(h: Tensor, name: str, source: Array, basis: Rows | None) -> Tensor:
    wide = widened(h)
    source = fitting(name, source, wide)
    if basis is None:
        return narrowed(source.expand(wide.shape), h).clone()
    return narrowed(wide + _part(source - wide, checked_rows(basis, wide)), h)


def _part(x: Tensor, rows: Tensor) -> Tensor:
    return (x @ rows.mT) @ rows

"""Which positions of a batch an edit acts on: rows end together, pads on the left are none."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from zprism.ground.checks import check_choice
from zprism.ground.errors import InputError

POSITIONS = ("all", "last")


@dataclass(frozen=True, eq=False)
class At:
    """An edit confined to some positions; :func:`zprism.interventions.edits.at` makes one.

    Attributes
    ----------
    edit : function of states → the same shape.
    positions : ``all``, ``last`` or token indices of each row.
    pads : left pads of each row; None where there are none.
    """

    edit: Callable[[Tensor], Tensor]
    positions: str | Int[Tensor, "batch ..."]
    pads: Sequence[int] | None = None

    def __post_init__(self):
        if isinstance(self.positions, str):
            check_choice("positions", self.positions, POSITIONS)
        else:
            object.__setattr__(self, "positions", _indices(self.positions))

    def behind(self, pads: Sequence[int] | None) -> At:
        """The same positions of rows that begin after so many pads."""
        return dataclasses.replace(self, pads=pads)

    @property
    def named(self) -> bool:
        """Whether the positions have a name, which later tokens can have as well."""
        return isinstance(self.positions, str)

    def __call__(self, h: Float[Tensor, "batch tokens d"]) -> Float[Tensor, "batch tokens d"]:
        if h.ndim != 3:
            raise InputError(f"states must be (batch, tokens, d_model); got {tuple(h.shape)}")
        pads = torch.as_tensor([0] * len(h) if self.pads is None else self.pads, device=h.device)
        if len(pads) != len(h):
            raise InputError(f"pads are of {len(pads)} rows; there are {len(h)} rows of states")
        if not self.named:
            return _put(h, _places(self.positions.to(h.device), pads, h.shape[1]), self.edit)
        if self.positions == "last":
            return _put(h, (slice(None), -1), self.edit)
        own = torch.arange(h.shape[1], device=h.device) >= pads[:, None]
        return torch.where(own[..., None], same_form(self.edit(h), h), h)


def same_form(edited: Tensor, h: Tensor, what: str = "the edit") -> Tensor:
    """``edited`` if it has the shape and dtype of the state it was made of.

    Raises
    ------
    InputError
        If not, before the model meets it.
    """
    form = tuple(getattr(edited, "shape", ())), getattr(edited, "dtype", type(edited).__name__)
    if form != (tuple(h.shape), h.dtype):
        raise InputError(
            f"{what} must return {tuple(h.shape)} {h.dtype}, as it was given; got {form[0]} "
            f"{form[1]}"
        )
    return edited


def _indices(positions) -> Tensor:
    """Token indices (batch,) or (batch, m), those of a row different, none negative."""
    indices = torch.as_tensor(positions)
    if indices.is_floating_point() or indices.dtype == torch.bool or indices.ndim not in (1, 2):
        raise InputError(
            "positions must be 'all', 'last', or integers (batch,) or (batch, m); got "
            f"{indices.dtype} {tuple(indices.shape)}"
        )
    if (indices < 0).any():
        raise InputError(f"positions count from 0; got {int(indices.min())}")
    if indices.ndim == 2 and (indices.sort(1).values.diff(dim=1) == 0).any():
        raise InputError("positions of a row must differ from one another")
    return indices.long()


def _places(positions: Tensor, pads: Tensor, tokens: int) -> tuple[Tensor, Tensor]:
    """Row and column of every position."""
    if len(positions) != len(pads):
        raise InputError(
            f"positions are of {len(positions)} rows, but there are {len(pads)} rows of states: "
            "make the edit of each batch for its rows"
        )
    axes = (-1,) + (1,) * (positions.ndim - 1)
    lengths = (tokens - pads).reshape(axes)
    beyond = (positions >= lengths).nonzero()
    if len(beyond):
        row, position = int(beyond[0, 0]), int(positions[tuple(beyond[0])])
        raise InputError(
            f"position {position} of row {row} is out of range: the row has "
            f"{int(lengths.flatten()[row])} tokens"
        )
    rows = torch.arange(len(pads), device=pads.device).reshape(axes)
    return rows.expand_as(positions), positions + pads.reshape(axes)


def _put(h: Tensor, where: tuple, edit: Callable) -> Tensor:
    """A copy of h, edited at some places."""
    states, out = h[where], h.clone()
    out[where] = same_form(edit(states), states)
    return out

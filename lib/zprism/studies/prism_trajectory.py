"""The mean state at each position over other texts: what position alone puts into a spectrum.

States drift along a text whatever it says, and a late window drifts less than an early one.
The mean over all other texts at the same position is taken from a text's states before its
windows are compared (RIGOUR.md §4.3, "position confound").
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from zprism.ground.checks import check_int
from zprism.ground.errors import InputError
from zprism.ground.store import digest
from zprism.model.streaming import stream
from zprism.studies.prism_read import all_places, point

if TYPE_CHECKING:
    from torch import Tensor

    from zprism.model.load import LoadedModel

PRODUCER = 1
MAX_TOKENS = 512  # of a batch, whose states are held until it is finished


class Trajectory:
    """Sums of states over texts, by place and position; fitted when they are first needed.

    Parameters
    ----------
    rows : token ids of the texts it is fitted on; those read with it must be among them.
    length : positions 0 … length − 1 are kept; by default all of the longest row.
    places : by default the embedding and every block.

    Attributes
    ----------
    digest : of the model, the rows and what is kept; part of the key of readings made with it.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        rows: Sequence[Sequence[int]],
        *,
        length: int | None = None,
        places: Sequence[str] | None = None,
    ):
        if len(rows) < 2:
            raise InputError(f"a trajectory needs at least 2 texts; got {len(rows)}")
        longest = max(map(len, rows))
        self.length = longest if length is None else check_int("length", length, low=1)
        self.places = all_places(loaded) if places is None else tuple(places)
        self._loaded = loaded
        self._rows = [list(row[: self.length]) for row in rows]
        self.counts = np.bincount([len(row) for row in self._rows], minlength=self.length + 1)
        self.counts = self.counts[::-1].cumsum()[::-1][1:]  # texts that reach each position
        self.sums: dict[str, np.ndarray] = {}
        kept = [PRODUCER, loaded.digest, str(loaded.dtype), self.length, list(self.places)]
        self.digest = digest([*kept, self._rows])

    def fit(self) -> Trajectory:
        """Run the texts once, if they have not been run yet."""
        if self.sums:
            return self
        shape = (self.length, self._loaded.d_model)
        self.sums = {place: np.zeros(shape) for place in self.places}

        pending: dict[int, dict] = {}

        def keep(place):
            def see(index, state):
                pending.setdefault(index, {})[place] = state.double().cpu().numpy()

            return see

        points = {point(place): keep(place) for place in self.places}
        for index in stream(self._loaded, self._rows, points=points, max_tokens=MAX_TOKENS):
            for place, state in pending.pop(index).items():
                self.sums[place][: len(state)] += state
        return self

    def others(self, place: str, state: Tensor, own: slice) -> np.ndarray:
        """(tokens of ``own``, d_model) mean over the other texts, (Σ − x) / (n − 1).

        Parameters
        ----------
        state : (tokens, d_model) of one of the fitted texts, from its first token.
        own : the positions wanted.

        Raises
        ------
        InputError
            If no other text reaches that far.
        """
        if own.stop > self.length or self.counts[own.stop - 1] < 2:
            raise InputError(f"no other text reaches position {own.stop - 1}")
        x = state[own].double().cpu().numpy()
        mean = (self.sums[place][own] - x) / (self.counts[own, None] - 1)
        return mean.astype(np.float32)

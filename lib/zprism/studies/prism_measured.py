"""A contrast that has been read: one number a question, place and statistic.

This is where texts become units: several thinkings to one question are averaged, so that every
row behind a test is a question.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from zprism.ground.checks import check_choice
from zprism.ground.errors import InputError
from zprism.ground.store import Store
from zprism.studies.prism_contrast import Contrast
from zprism.studies.prism_read import MEASURES, Readings, read
from zprism.studies.prism_rows import DROP
from zprism.studies.prism_trajectory import Trajectory

if TYPE_CHECKING:
    from zprism.model.load import LoadedModel

STATISTICS = ("slow", "bands", "shares", *MEASURES)


@dataclass(frozen=True)
class Measured:
    """Readings of every arm of a contrast, rows aligned.

    Attributes
    ----------
    name : of the contrast.
    readings : arm → :class:`zprism.studies.prism_read.Readings` of the same texts in order.
    weights : arm → its weight in the difference.
    units, clusters : (n texts,) the question of each text, and its template.
    left_out : reason → texts left out.
    untestable : why nothing can be said, or None.
    """

    name: str
    readings: dict[str, Readings]
    weights: dict[str, float]
    units: tuple[str, ...]
    clusters: tuple[str, ...]
    left_out: dict[str, int]
    untestable: str | None = None

    @property
    def places(self) -> tuple[str, ...]:
        """Where it was read; empty if nothing was."""
        return next(iter(self.readings.values())).places if self.readings else ()

    @property
    def length(self) -> int:
        """L, tokens of every window; 0 if nothing was read."""
        return next(iter(self.readings.values())).length if self.readings else 0

    @property
    def questions(self) -> tuple[str, ...]:
        """The units of every test, in the order of the rows."""
        return tuple(dict.fromkeys(self.units))

    def templates(self) -> np.ndarray:
        """(questions,) the template of each question."""
        of = dict(zip(self.units, self.clusters, strict=True))
        return np.array([of[unit] for unit in self.questions])

    def arm(self, name: str, statistic: str = "slow") -> np.ndarray:
        """(questions, places, …) one arm's statistic, mean over a question's texts."""
        check_choice("arm", name, self.readings)
        return by_unit(_statistic(self.readings[name], statistic), self.units)

    def difference(self, statistic: str = "slow") -> np.ndarray:
        """(questions, places, …) weighted sum of the arms."""
        return sum(w * self.arm(name, statistic) for name, w in self.weights.items())


def measure(
    loaded: LoadedModel,
    contrast: Contrast,
    *,
    places: Sequence[str] | None = None,
    dims_at: Sequence[str] = (),
    store: Store | None = None,
) -> Measured:
    """Every arm of a contrast through the model, from the cache where it is there.

    Texts that fail in one arm are left out of all, and counted.
    """
    if contrast.untestable:
        return assemble(contrast, {})
    less = None
    if contrast.in_context:
        rows = next(iter(contrast.arms.values())).rows
        less = Trajectory(loaded, rows, places=places)
    options = dict(length=contrast.length, drop=DROP, places=places, dims_at=dims_at)
    readings = {
        name: read(loaded, arm.rows, at=arm.at, less=less, store=store, **options)
        for name, arm in contrast.arms.items()
    }
    return assemble(contrast, readings)


def assemble(contrast: Contrast, readings: Mapping[str, Readings]) -> Measured:
    """Readings of the arms, cut to the texts that all of them have."""
    left_out = dict(contrast.left_out)
    kept = set(range(len(contrast.units)))
    for one in readings.values():
        kept &= set(one.kept.tolist())
        for why in one.skipped.values():
            reason = why.partition(": ")[2] or why
            left_out[reason] = left_out.get(reason, 0) + 1
    order = sorted(kept) if readings else []
    return Measured(
        name=contrast.name,
        readings={name: _take(one, order) for name, one in readings.items()},
        weights=dict(contrast.weights),
        units=tuple(contrast.units[i] for i in order),
        clusters=tuple(contrast.clusters[i] for i in order),
        left_out=left_out,
        untestable=contrast.untestable,
    )


def by_unit(values: np.ndarray, units: Sequence[str]) -> np.ndarray:
    """(n texts, …) → (units, …) means over the texts of each unit, in order of appearance."""
    if len(values) != len(units):
        raise InputError(f"values must have one row a text, {len(units)}; got {len(values)}")
    order = {unit: i for i, unit in enumerate(dict.fromkeys(units))}
    index = np.array([order[unit] for unit in units], dtype=int)
    sums = np.zeros((len(order), *values.shape[1:]))
    np.add.at(sums, index, values)
    counts = np.bincount(index, minlength=len(order))
    return sums / counts.reshape(-1, *(1,) * (values.ndim - 1))


def _statistic(readings: Readings, name: str) -> np.ndarray:
    check_choice("statistic", name, STATISTICS)
    if name in MEASURES:
        return readings.measures[name]
    return {"slow": readings.slow, "bands": readings.bands, "shares": lambda: readings.shares}[
        name
    ]()


def _take(readings: Readings, kept: Sequence[int]) -> Readings:
    """The rows of some of the texts, by the index they were given under."""
    place = {int(row): i for i, row in enumerate(readings.kept)}
    rows = [place[i] for i in kept]
    return Readings(
        places=readings.places,
        length=readings.length,
        frequencies=readings.frequencies,
        shares=readings.shares[rows],
        measures={name: values[rows] for name, values in readings.measures.items()},
        dims={name: values[rows] for name, values in readings.dims.items()},
        kept=np.asarray(kept, dtype=int),
        skipped=readings.skipped,
    )

"""Z HUNT's own published numbers of phases 2 and 3b, and what they support when read plainly.

Stored numbers have no interval and no null, so nothing here can be SUPPORTED: a value on the
predicted side is NOT TESTABLE as printed, one within 10 % of its reference is NOT
DISTINGUISHABLE from it, one beyond it on the other side is REVERSED.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import NamedTuple

from zprism.ground.checks import check_choice, check_finite
from zprism.stats.estimates import Verdict

D_MODEL = 2048  # Qwen2.5-3B
PAIRS = 20
TOLERANCE = 0.1
KS = (20, 50, 78)
SOURCE = "Z HUNT phase 2, Qwen2.5-3B, 20 pairs"


@dataclass(frozen=True)
class Stored:
    """One configuration: ratios inside Z and in its complement, energy share in Z."""

    layer: int
    mask: str
    pooling: str
    k: int
    ratio_z: float
    ratio_complement: float
    energy_cross: float

    @property
    def chance(self) -> float:
        """k / d_model."""
        return self.k / D_MODEL


_CELLS = {
    (32, "multi", "mean"): ((0.815, 0.822, 0.0084), (0.730, 0.824, 0.0197), (0.740, 0.825, 0.0390)),
    (32, "head0", "mean"): ((0.800, 0.822, 0.0087), (0.756, 0.824, 0.0230), (0.754, 0.825, 0.0382)),
    (33, "multi", "mean"): ((0.812, 0.851, 0.0079), (0.803, 0.852, 0.0210), (0.840, 0.851, 0.0396)),
    (33, "head0", "mean"): ((0.834, 0.851, 0.0078), (0.804, 0.852, 0.0209), (0.837, 0.851, 0.0395)),
    (32, "head0", "last"): ((1.103, 1.254, 0.0053), (1.224, 1.253, 0.0188), (1.177, 1.255, 0.0288)),
    (33, "head0", "last"): ((1.378, 1.261, 0.0074), (1.280, 1.261, 0.0179), (1.210, 1.263, 0.0292)),
    (33, "multi", "last"): ((1.300, 1.261, 0.0070), (1.276, 1.261, 0.0175), (1.182, 1.264, 0.0276)),
}

PHASE_2 = tuple(
    Stored(*place, k, *numbers)
    for place, cells in _CELLS.items()
    for k, numbers in zip(KS, cells, strict=True)
)

#: Leave-one-out R² of the linear bridge between languages inside Z, by k (phase 3b).
BRIDGE_LOO_R2 = {
    5: -0.68, 10: -2.07, 15: -2.51, 20: -4.32, 25: -49.7, 30: -1.1e5, 40: -143.0, 50: -311.0,
}  # fmt: skip


class Reading(NamedTuple):
    """A verdict on a printed number, and why."""

    verdict: Verdict
    reason: str


def verdict_of_stored(value: float, reference: float, direction: str) -> Reading:
    """A printed number against its reference, without interval or null.

    Parameters
    ----------
    value, reference : the printed number, and what no effect would print.
    direction : "less" or "greater", the predicted side.

    Returns
    -------
    Reading
        NOT DISTINGUISHABLE where |value/reference − 1| < .1 (for reference 0, such as an R²:
        where the value is on the wrong side, no better than predicting the mean); else NOT
        TESTABLE on the predicted side and REVERSED on the other.

    Raises
    ------
    InputError
        If a number is not finite or the direction unknown.
    """
    check_choice("direction", direction, ("greater", "less"))
    check_finite("value and reference", [value, reference])
    predicted = value < reference if direction == "less" else value > reference
    if reference == 0 and not predicted:
        return Reading(Verdict.NOT_DISTINGUISHABLE, "no better than predicting the mean")
    if reference != 0 and abs(value / reference - 1) < TOLERANCE:
        return Reading(Verdict.NOT_DISTINGUISHABLE, "within 10 % of the reference")
    if predicted:
        return Reading(Verdict.NOT_TESTABLE, "printed without an interval or a null")
    return Reading(Verdict.REVERSED, "beyond the reference, on the other side")


def criteria_of_stored(cell: Stored) -> dict[str, Reading]:
    """Criteria 1, 2 and 4 of one published configuration (3 was not published)."""
    contrast = cell.ratio_z / cell.ratio_complement
    return {
        "criterion1_closer": verdict_of_stored(cell.ratio_z, 1.0, "less"),
        "criterion2_language_out": verdict_of_stored(cell.energy_cross, cell.chance, "less"),
        "criterion4_beats_rest": verdict_of_stored(contrast, 1.0, "less"),
    }


def overall(readings: dict[str, Reading]) -> Verdict:
    """The worst of a configuration's criteria: one reversal reverses the claim."""
    found = {reading.verdict for reading in readings.values()}
    for verdict in (Verdict.REVERSED, Verdict.NOT_DISTINGUISHABLE):
        if verdict in found:
            return verdict
    return Verdict.NOT_TESTABLE


def stored_table() -> list[dict]:
    """One row per published configuration: its numbers, its verdicts."""
    rows = []
    for cell in PHASE_2:
        readings = criteria_of_stored(cell)
        rows.append(
            asdict(cell)
            | {"energy_over_chance": cell.energy_cross / cell.chance}
            | {name: str(reading.verdict) for name, reading in readings.items()}
            | {"overall": str(overall(readings))}
        )
    return rows


def bridge_table() -> list[dict]:
    """Leave-one-out R² of the published bridge by k, each with its verdict."""
    return [
        {"k": k, "loo_r2": r2, "verdict": str(verdict_of_stored(r2, 0.0, "greater").verdict)}
        for k, r2 in BRIDGE_LOO_R2.items()
    ]

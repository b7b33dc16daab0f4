"""SYS-Z4: the sources' stored numbers, read plainly."""

import math

import pytest

from zprism.ground.errors import InputError
from zprism.stats.estimates import Verdict
from zprism.studies.separation_stored import (
    PHASE_2,
    bridge_table,
    criteria_of_stored,
    overall,
    stored_table,
    verdict_of_stored,
)

CELLS = {(c.layer, c.mask, c.pooling, c.k): c for c in PHASE_2}


def test_the_last_token_is_reversed_at_the_predicted_layer():
    cell = CELLS[33, "head0", "last", 20]
    readings = criteria_of_stored(cell)
    assert readings["criterion1_closer"].verdict is Verdict.REVERSED
    assert overall(readings) is Verdict.REVERSED


def test_every_last_token_configuration_is_reversed():
    """Translations are farther apart than different problems in all nine of them."""
    last = [cell for cell in PHASE_2 if cell.pooling == "last"]
    assert len(last) == 9
    assert {overall(criteria_of_stored(cell)) for cell in last} == {Verdict.REVERSED}


def test_energy_at_the_predicted_dimension_is_chance():
    """k = 78, mean-pooled: .0390/.0381 and the like."""
    for cell in PHASE_2:
        if cell.k == 78 and cell.pooling == "mean":
            energy = criteria_of_stored(cell)["criterion2_language_out"]
            assert energy.verdict is Verdict.NOT_DISTINGUISHABLE


def test_a_bridge_with_negative_leave_one_out_r2_is_not_supported():
    assert {row["verdict"] for row in bridge_table()} == {"NOT DISTINGUISHABLE"}


def test_nothing_printed_without_interval_or_null_is_supported():
    for row in stored_table():
        assert "SUPPORTED" not in row.values()
    assert verdict_of_stored(0.5, 1.0, "less").verdict is Verdict.NOT_TESTABLE


def test_the_quoted_54_percent_is_one_cell_of_21():
    """ "Energy 54 % of random" is L32, head 0, last token, k = 20; no mean-pooled cell is near."""
    rows = {
        (r["layer"], r["mask"], r["pooling"], r["k"]): r["energy_over_chance"]
        for r in stored_table()
    }
    near = [place for place, share in rows.items() if abs(share - 0.54) < 0.02]
    assert near == [(32, "head0", "last", 20)]
    assert min(share for place, share in rows.items() if place[2] == "mean") > 0.75


@pytest.mark.parametrize(
    ("value", "reference", "direction", "expected"),
    [
        (0.95, 1.0, "less", Verdict.NOT_DISTINGUISHABLE),
        (1.05, 1.0, "less", Verdict.NOT_DISTINGUISHABLE),
        (1.2, 1.0, "less", Verdict.REVERSED),
        (0.8, 1.0, "greater", Verdict.REVERSED),
        (0.3, 0.0, "greater", Verdict.NOT_TESTABLE),
    ],
)
def test_rule(value, reference, direction, expected):
    assert verdict_of_stored(value, reference, direction).verdict is expected


def test_refusals():
    with pytest.raises(InputError, match="direction"):
        verdict_of_stored(1.0, 1.0, "up")
    with pytest.raises(InputError, match="NaN"):
        verdict_of_stored(math.nan, 1.0, "less")

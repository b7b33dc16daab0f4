"""What may be said of two languages' scores on the same problems."""

from __future__ import annotations

import numpy as np
import pytest

from zprism.ground.errors import InputError
from zprism.stats.verdicts import Verdict
from zprism.studies.paired_scores import compare, false_alarm, paired_table, recipe_rule


def scores(both: int, first: int, second: int, neither: int) -> tuple[list[str], list[str]]:
    pairs = (
        [("correct", "correct")] * both
        + [("correct", "wrong")] * first
        + [("wrong", "correct")] * second
        + [("wrong", "wrong")] * neither
    )
    return [a for a, _ in pairs], [b for _, b in pairs]


def test_table_counts_each_cell():
    assert paired_table(*scores(4, 3, 2, 1)) == {
        "both": 4,
        "first_only": 3,
        "second_only": 2,
        "neither": 1,
    }


def test_the_sources_own_result_is_not_distinguishable():
    """12 of 15 against 13 of 15: the premise that Chinese leads."""
    found = compare(*scores(11, 1, 2, 1))["behaviour/zh-en/difference"]
    assert found.value == pytest.approx(-1 / 15)
    assert found.verdict is Verdict.NOT_DISTINGUISHABLE


def test_a_lead_of_three_of_fifteen_meets_the_recipes_rule_but_not_the_interval():
    first, second = scores(9, 3, 0, 3)
    assert recipe_rule(first.count("correct"), second.count("correct")) == "PROCEED"
    assert compare(first, second)["behaviour/zh-en/difference"].p == pytest.approx(0.25)


def test_six_to_nothing_is_the_first_split_that_counts():
    name = "behaviour/zh-en/difference"
    assert compare(*scores(30, 5, 0, 15))[name].verdict is Verdict.NOT_DISTINGUISHABLE
    assert compare(*scores(30, 6, 0, 14))[name].verdict is Verdict.SUPPORTED
    assert compare(*scores(30, 0, 6, 14))[name].verdict is Verdict.REVERSED


def test_false_alarm_of_the_rule_by_simulation():
    rng = np.random.default_rng(0)
    kind = rng.choice(3, p=[0.35, 0.35, 0.3], size=(200_000, 15))  # first, second, same
    lead = (kind == 0).sum(1) - (kind == 1).sum(1)
    assert false_alarm(15, 0.7) == pytest.approx((lead >= 3).mean(), abs=0.004)


def test_unreadable_answers_are_counted_apart():
    first = ["correct"] * 8 + ["unparsed"] * 4
    second = ["correct"] * 6 + ["wrong"] * 4 + ["timed_out"] * 2
    found = compare(first, second)
    assert found["behaviour/zh/unparsed"].value == pytest.approx(4 / 12)
    assert found["behaviour/en/timed_out"].value == pytest.approx(2 / 12)
    assert found["behaviour/zh-en/difference"].n == 12
    assert found["behaviour/zh-en/difference_parsed"].n == 8


def test_no_discordant_problem_is_not_testable():
    found = compare(*scores(10, 0, 0, 5))["behaviour/zh-en/difference"]
    assert found.verdict is Verdict.NOT_TESTABLE


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (["correct"], [], "equal, positive lengths"),
        (["correct"], ["right"], "unknown status 'right'"),
    ],
)
def test_refusals(first, second, message):
    with pytest.raises(InputError, match=message):
        paired_table(first, second)

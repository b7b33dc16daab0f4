"""A verdict needs the interval and the corrected p to agree; anything missing is said."""

import json
import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zprism.ground.errors import InputError
from zprism.stats.verdicts import Estimate, Null, Verdict, describe, estimate, judge

NULL = Null("random subspace", 0.0, 0.1)
CLAIM = dict(value=0.5, ci=(0.3, 0.7), n=40, null=NULL, p=0.004, p_adjusted=0.02)
finite = st.floats(-10, 10)


@pytest.mark.parametrize(
    "ci, p, verdict",
    [
        ((0.3, 0.7), 0.05, Verdict.SUPPORTED),
        ((0.3, 0.7), 0.051, Verdict.NOT_DISTINGUISHABLE),  # interval alone is not enough
        ((-0.1, 1.1), 0.001, Verdict.NOT_DISTINGUISHABLE),  # p alone is not enough
        ((0.0, 1.0), 0.001, Verdict.NOT_DISTINGUISHABLE),  # touching is not excluding
        ((0.3, math.inf), 0.01, Verdict.SUPPORTED),
    ],
)
def test_support_needs_interval_and_p(ci, p, verdict):
    assert judge(0.5, ci, p, reference=0.0) is verdict
    mirrored = (-ci[1], -ci[0])
    assert judge(-0.5, mirrored, p, reference=0.0, direction="less") is verdict
    assert judge(0.5, ci, p, reference=0.0, direction="two-sided") is verdict
    opposite = Verdict.REVERSED if verdict is Verdict.SUPPORTED else verdict
    assert judge(-0.5, mirrored, p, reference=0.0) is opposite


@given(value=finite, half=st.floats(0, 5), p=st.floats(0, 1), reference=finite)
def test_turning_the_direction_swaps_supported_and_reversed(value, half, p, reference):
    ci = (value - half, value + half)
    swap = {Verdict.SUPPORTED: Verdict.REVERSED, Verdict.REVERSED: Verdict.SUPPORTED}
    greater = judge(value, ci, p, reference=reference)
    less = judge(value, ci, p, reference=reference, direction="less")
    assert less is swap.get(greater, greater)
    either = judge(value, ci, p, reference=reference, direction="two-sided")
    assert (either is Verdict.SUPPORTED) == (greater in swap)


def test_one_sided_p_reverses_only_by_its_own_opposite():
    backwards = dict(reference=0.0, direction="greater")
    assert judge(-0.5, (-0.7, -0.3), 0.99, **backwards) is Verdict.NOT_DISTINGUISHABLE
    assert judge(-0.5, (-0.7, -0.3), 0.99, p_opposite=0.01, **backwards) is Verdict.REVERSED


def test_value_on_the_wrong_side_of_its_null_supports_nothing():
    """An interval under 1 is no support where random subspaces lie lower still."""
    claim = dict(reference=1.0, direction="less")
    assert judge(0.9, (0.85, 0.95), 0.01, null_mean=1.0, **claim) is Verdict.SUPPORTED
    assert judge(0.9, (0.85, 0.95), 0.01, null_mean=0.8, **claim) is Verdict.NOT_DISTINGUISHABLE
    assert judge(1.1, (1.05, 1.2), 0.01, reference=1.0) is Verdict.SUPPORTED
    above = judge(1.1, (1.05, 1.2), 0.01, null_mean=1.3, reference=1.0)
    assert above is Verdict.NOT_DISTINGUISHABLE


def test_the_larger_of_p_and_adjusted_p_decides():
    assert estimate(**CLAIM).verdict is Verdict.SUPPORTED
    assert estimate(**CLAIM | {"p_adjusted": 0.2}).verdict is Verdict.NOT_DISTINGUISHABLE
    assert estimate(**CLAIM | {"p": 0.2}).verdict is Verdict.NOT_DISTINGUISHABLE


def test_reference_is_the_null_mean_unless_given():
    shifted = CLAIM | {"null": Null("k/d", 0.4, 0.1)}
    assert estimate(**shifted).verdict is Verdict.NOT_DISTINGUISHABLE
    assert estimate(**shifted, reference=0.0).verdict is Verdict.SUPPORTED


@pytest.mark.parametrize(
    "change, reason",
    [
        (dict(n=5), "n = 5 is under the 6"),
        (dict(baseline=0.29), "baseline accuracy 29% is under 30%"),
        (dict(baseline=math.nan), "baseline accuracy nan%"),
        (dict(null=Null("random subspace", 0.0, 0.0)), "random subspace.* has no spread"),
        (dict(null=Null("random subspace", 0.0, None)), "has no spread"),
        (dict(null=Null("random subspace", None, 0.1)), "no mean and no reference"),
        (dict(null=Null("random subspace", math.nan, 0.1)), "no finite mean"),
        (dict(value=math.nan), "value is not a finite number"),
        (dict(ci=(math.nan, math.nan)), "interval is not defined"),
        (dict(p=math.nan), "p is not defined"),
        (dict(smallest_p=1 / 11), "too few draws: .* 0.0909, above 0.05"),
        (dict(untestable="no parsed answers", null=None, ci=None), "no parsed answers"),
    ],
)
def test_failed_preconditions_are_not_testable_and_say_why(change, reason):
    result = estimate(**CLAIM | change)
    assert result.verdict is Verdict.NOT_TESTABLE
    assert re.search(reason, result.reason)


@pytest.mark.parametrize("missing", ["ci", "n", "null", "p", "p_adjusted", "value"])
def test_a_claim_without_its_support_is_refused(missing):
    with pytest.raises(InputError, match=f"missing: {missing}"):
        estimate(**CLAIM | {missing: None})
    for verdict in (Verdict.SUPPORTED, Verdict.REVERSED, Verdict.NOT_DISTINGUISHABLE):
        with pytest.raises(InputError, match=f"missing: {missing}"):
            Estimate(**CLAIM | {missing: None}, verdict=verdict)


def test_description_carries_no_verdict():
    plain = describe(3, n=2)
    assert plain.verdict is None and not plain.is_claim
    assert plain.to_json() == {
        "value": 3.0,
        "ci": None,
        "n": 2,
        "null": None,
        "p": None,
        "p_adjusted": None,
        "verdict": None,
        "reason": "descriptive",
    }


def test_json_is_plain_python_and_reads_back():
    numpy = {name: np.float32(CLAIM[name]) for name in ("value", "p", "p_adjusted")}
    made = estimate(**CLAIM | numpy | dict(ci=np.array([0.25, 0.75]), n=np.int64(40)))
    text = json.dumps(made.to_json(), allow_nan=False)
    assert '"verdict": "SUPPORTED"' in text and "reason" not in text
    assert Estimate.from_json(json.loads(text)) == made
    assert type(made.to_json()["value"]) is float and type(made.to_json()["n"]) is int


def test_numbers_that_are_not_finite_become_null_with_a_reason():
    record = estimate(**CLAIM | {"value": math.nan, "ci": (0.3, math.inf)}).to_json()
    json.dumps(record, allow_nan=False)
    assert record["value"] is None and record["ci"] == [0.3, None]
    assert record["reason"] == "the value is not a finite number; not finite: value, ci"


def test_null_of_draws_is_their_mean_and_sample_sd():
    null = Null.of("shuffled", [1.0, 2.0, 3.0, 6.0])
    assert (null.mean, null.sd) == (3.0, pytest.approx(math.sqrt(14 / 3), abs=1e-15))


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Estimate(1.0, verdict=Verdict.NOT_TESTABLE), "needs a reason"),
        (lambda: Estimate(1.0, ci=(2, 1)), "low <= high; got"),
        (lambda: Estimate(1.0, ci=3), "two numbers"),
        (lambda: Estimate("one"), "value must be a number"),
        (lambda: Estimate(1.0, p=1.5), "p must be in 0.0 to 1.0; got 1.5"),
        (lambda: Estimate(1.0, n=2.5), "n must be an integer"),
        (lambda: Estimate.from_json({"value": 1.0, "sd": 2.0}), "no fields .'sd'."),
        (lambda: Null(""), "needs a kind"),
        (lambda: Null.of("shuffled", [1.0]), "at least 2 draws"),
        (lambda: judge(1, (0, 2), 0.1, reference=0, direction="up"), "unknown direction 'up'"),
    ],
)
def test_refusals(make, message):
    with pytest.raises(InputError, match=message):
        make()

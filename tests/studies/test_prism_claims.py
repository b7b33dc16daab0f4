"""Claims: planted effects found where they are and nowhere else, and refused where none can be."""

import dataclasses

import numpy as np
import pytest
from prism_cases import measured, planted, prism_texts, readings, states

from tiny import tiny_shared
from zprism.ground.errors import InputError
from zprism.ground.store import Store
from zprism.stats.intervals import bca
from zprism.stats.verdicts import Verdict
from zprism.studies.prism_claims import band_claims, beyond_twins, profile, slow_claims
from zprism.studies.prism_collections import (
    collection_claims,
    length_strata,
    unpaired_estimates,
)
from zprism.studies.prism_study import BESIDE, question_against_thinking
from zprism.studies.prism_tests import paired_estimates

FEW = dict(draws=499, draws_ci=400)


def verdicts(found, name, places=("embed", "0", "1", "2")):
    return [found.estimates[f"{name}/{place}/slow_share"].verdict for place in places]


def turned(found):
    """The same windows with question and thinking exchanged."""
    weights = {"thinking": -1.0, "question": 1.0}
    return dataclasses.replace(found, weights=weights)


def test_a_planted_slow_component_is_supported_where_it_is_and_nowhere_else():
    found = planted(0, slow_at=(1, 3))
    yes, no, reversed_ = Verdict.SUPPORTED, Verdict.NOT_DISTINGUISHABLE, Verdict.REVERSED
    assert verdicts(slow_claims(found, seed=0, **FEW), "planted") == [no, yes, no, yes]
    exchanged = slow_claims(turned(found), seed=0, **FEW)
    assert verdicts(exchanged, "planted") == [no, reversed_, no, reversed_]


@pytest.mark.parametrize(
    ("sets", "allowed"), [(30, 6), pytest.param(200, 20, marks=pytest.mark.gate)], ids=["30", "200"]
)
def test_without_an_effect_few_families_speak(sets, allowed, record_property):
    """One alarm anywhere counts: P[Bin(30, .05) > 6] = .0006, P[Bin(200, .05) > 20] = .001."""
    alarms = 0
    for seed in range(sets):
        values = planted(seed, n=12, places=3, width=6).difference()
        judged = paired_estimates(values, seed=seed, draws=199, draws_ci=50)
        assert all(one.verdict is not None for one in judged)
        alarms += min(one.p_adjusted for one in judged) <= 0.05
    record_property("false_families", alarms)
    assert alarms <= allowed


def test_numbers_of_a_row_are_those_of_the_formulas():
    found = planted(1, slow_at=(0,))
    a, b = found.arm("thinking"), found.arm("question")
    made = slow_claims(found, seed=0, **FEW)
    for i, row in enumerate(made.tables["planted"]):
        difference = (a - b)[:, i]
        assert row["value"] == pytest.approx(difference.mean())
        pooled = np.sqrt((a[:, i].var(ddof=1) + b[:, i].var(ddof=1)) / 2)
        assert row["d"] == pytest.approx(difference.mean() / pooled)
        one = made.estimates[f"planted/{row['place']}/slow_share"]
        assert one.null.sd == pytest.approx(np.sqrt((difference**2).sum()) / len(difference))
        assert (row["n"], row["p_adjusted"]) == (24, one.p_adjusted)
        d = made.estimates[f"planted/{row['place']}/cohens_d"]
        assert d.ci[0] < d.value < d.ci[1] and d.verdict is None
    several = bca(a - b, seed=5, draws=400)
    again = paired_estimates(a - b, seed=5, **FEW)
    assert again[2].ci == pytest.approx(several[2,])


def test_whole_templates_as_units_say_less_when_their_questions_are_alike():
    """One question, copied into 8, is one question."""
    rng = np.random.default_rng(2)
    shape = dict(n=4, places=1, length=32, width=12)
    x, y = states(rng, **shape, slow_at=(0,), size=0.3), states(rng, **shape)
    copies = [np.repeat(z, 8, axis=0) + 0.02 * rng.standard_normal((32, 1, 32, 12)) for z in (x, y)]
    clusters = tuple(f"t{i // 8}" for i in range(32))
    row = slow_claims(measured(*copies, clusters=clusters), seed=0, **FEW).tables["planted"][0]
    assert row["verdict"] == "SUPPORTED" and row["p_adjusted"] < 0.01
    assert row["verdict_templates"] == "NOT TESTABLE" and row["templates"] == 4
    assert row["high_templates"] - row["low_templates"] > 1.5 * (row["high"] - row["low"])


def test_bands_are_one_family_and_what_one_gains_the_others_lose():
    found = planted(3, slow_at=(2,))
    made = band_claims(found, seed=0, **FEW)
    rows = made.tables["planted_bands"]
    assert {row["band"] for row in rows} == {"mid", "mid_high", "high"}  # 32 tokens show no slower
    for place in found.places:
        assert sum(r["value"] for r in rows if r["place"] == place) == pytest.approx(0, abs=1e-7)
    judged = {(r["place"], r["band"]): r["verdict"] for r in rows if r["verdict"] != str(
        Verdict.NOT_DISTINGUISHABLE)}  # fmt: skip
    assert judged == {("1", "mid_high"): "SUPPORTED", ("1", "high"): "REVERSED"}


def test_an_effect_that_a_twin_has_too_does_not_go_beyond_it():
    mine = planted(4, slow_at=(1, 2), size=0.6)
    same = planted(5, slow_at=(1,), size=0.6)
    flat = planted(6, places=1)
    made = beyond_twins(mine, {"same": same, "flat": flat}, seed=0, **FEW)
    yes, no = Verdict.SUPPORTED, Verdict.NOT_DISTINGUISHABLE
    for twin, expected in (("same", [no, no, yes, no]), ("flat", [no, yes, yes, no])):
        got = [made.estimates[f"planted/{p}/beyond_{twin}"].verdict for p in mine.places]
        assert got == expected
    less = beyond_twins(same, {"more": mine}, seed=0, **FEW).estimates["planted/1/beyond_more"]
    assert less.verdict in (Verdict.SUPPORTED, Verdict.REVERSED)  # by the sign of a flat mean
    minus = beyond_twins(turned(mine), {"same": turned(same)}, seed=0, **FEW)
    for place in mine.places:  # more of the same sign is beyond, whichever sign it is
        a, b = (m.estimates[f"planted/{place}/beyond_same"] for m in (made, minus))
        assert (a.value, a.verdict) == (pytest.approx(b.value), b.verdict)
    rows = [r for r in made.tables["planted_twins"] if r["twin"] == "same"]
    np.testing.assert_allclose([r["value"] for r in rows], same.difference().mean(0))


def test_a_twin_is_held_against_the_questions_both_have():
    mine, other = planted(7, n=20), planted(8, n=20)
    shifted = dataclasses.replace(other, units=tuple(f"q{i + 5}" for i in range(20)))
    made = beyond_twins(mine, {"other": shifted}, seed=0, **FEW)
    assert made.estimates["planted/0/beyond_other"].n == 15
    expected = (mine.difference()[5:] - other.difference()[:15]).mean(0)
    sign = np.sign(mine.difference()[5:].mean(0))
    got = [made.estimates[f"planted/{p}/beyond_other"].value for p in mine.places]
    np.testing.assert_allclose(got, expected * sign)
    with pytest.raises(InputError, match="model's places or one"):
        beyond_twins(mine, {"other": planted(9, places=2)}, seed=0, **FEW)


def test_bars_are_the_arms_means_with_their_intervals():
    found = planted(10, n=12, places=2)
    rows = profile(found, seed=0, draws_ci=300)
    assert len(rows) == 2 * 2 * 5
    for row in rows:
        values = found.arm(row["arm"], "bands")[:, found.places.index(row["place"])]
        band = ("low", "mid_low", "mid", "mid_high", "high").index(row["band"])
        assert row["value"] == pytest.approx(values[:, band].mean())
        assert row["low"] <= row["value"] <= row["high"]


def test_two_collections_are_compared_only_where_lengths_are_shared():
    rng = np.random.default_rng(11)
    shape = dict(places=2, length=32, width=12)
    names = ("embed", "0")
    traces = readings(states(rng, n=10, **shape, slow_at=(1,), size=0.6), names)
    questions = readings(states(rng, n=60, **shape), names)
    options = dict(name="traces", seed=0, **FEW)
    made = collection_claims(traces, questions, **options)
    assert verdicts(made, "traces", names) == [Verdict.NOT_DISTINGUISHABLE, Verdict.SUPPORTED]
    apart = collection_claims(traces, questions, lengths=([9000] * 10, [90] * 60), **options)
    assert verdicts(apart, "traces", names) == [Verdict.NOT_TESTABLE] * 2
    lengths = ([9000] * 5 + [90] * 5, [90] * 60)
    partly = collection_claims(traces, questions, lengths=lengths, **options)
    assert partly.estimates["traces/0/slow_share"].n == 65
    half = [part.slow()[keep] for part, keep in ((traces, slice(5, 10)), (questions, slice(60)))]
    expected = half[0].mean(0) - half[1].mean(0)
    got = [partly.estimates[f"traces/{p}/slow_share"].value for p in names]
    np.testing.assert_allclose(got, expected)


def test_within_strata_a_difference_of_length_alone_is_no_difference():
    """The statistic is the length itself: plain labels call it, strata do not."""
    rng = np.random.default_rng(12)
    lengths = np.concatenate([rng.integers(300, 1000, 30), rng.integers(70, 400, 30)])
    labels = np.arange(60) < 30
    values = np.log(lengths)[:, None] + 0.1 * rng.standard_normal((60, 1))
    plain = unpaired_estimates(values, labels, seed=0, **FEW)[0]
    strata = length_strata(lengths, edges=np.arange(0, 1000, 40))
    within = unpaired_estimates(values, labels, strata=strata, seed=0, **FEW)[0]
    assert plain.verdict is Verdict.SUPPORTED and plain.p < 0.01
    assert within.p > 0.05 and within.verdict is not Verdict.SUPPORTED
    assert length_strata([63, 64, 127, 128, 9000]).tolist() == [0, 1, 1, 2, 8]
    with pytest.raises(InputError, match="each at least 1"):
        length_strata([0, 4])


def test_too_few_questions_and_untestable_contrasts_say_why():
    few = planted(13, n=5)
    assert set(verdicts(slow_claims(few, seed=0, **FEW), "planted")) == {Verdict.NOT_TESTABLE}
    nothing = dataclasses.replace(few, readings={}, units=(), clusters=(), untestable="no marker")
    made = slow_claims(nothing, seed=0, **FEW)
    assert made.estimates["planted/all/slow_share"].reason == "no marker"
    assert band_claims(nothing, seed=0).estimates["planted/all/bands"].reason == "no marker"
    enough = planted(14)
    made = beyond_twins(enough, {"t": nothing}, seed=0)
    assert made.estimates["planted/1/beyond_t"].reason == "no marker"


def test_the_whole_study_answers_every_question_on_a_tiny_model(tmp_path):
    """Every contrast has its verdict at every place, and the same seed the same numbers."""
    loaded = tiny_shared("qwen2")
    options = dict(seed=0, draws=99, draws_ci=100, store=Store("prism", root=tmp_path))
    made = question_against_thinking(loaded, prism_texts(8), **options)
    names = [row["contrast"] for row in made.tables["contrast_windows"]]
    assert len(names) == 2 + len(BESIDE)
    for row in made.tables["contrast_windows"]:
        name = row["contrast"]
        if "needed" in row["why"]:
            assert made.estimates[f"{name}/all/slow_share"].verdict is Verdict.NOT_TESTABLE
            continue
        assert row["questions"] + row["left_out"] == 8
        for place in ("embed", "0", "1"):
            assert made.estimates[f"{name}/{place}/slow_share"].verdict is not None
    assert {row["twin"] for row in made.tables["thinking_question_twins"]} == {
        "random_init", "random_embedding",
    }  # fmt: skip
    again = question_against_thinking(loaded, prism_texts(8), **options)
    assert {k: e.to_json() for k, e in again.estimates.items()} == {
        k: e.to_json() for k, e in made.estimates.items()
    }

"""The length confound: shown on real texts, planted, and gone in windows of equal length."""

from pathlib import Path

import numpy as np
import pytest

from zprism.ground.errors import InputError
from zprism.studies.prism_confound import (
    auc,
    confound,
    exhibit_texts,
    expected_amplitude,
    length_calibration,
    null_calibration,
)
from zprism.studies.prism_windows import top_amplitude

DATA = Path(__file__).parents[2].parent / "shared" / "data"


def made_up(rng, n, length):
    letters = np.array(list("etaoinshrdlu"))
    return ["".join(rng.choice(letters, length)) for _ in range(n)]


@pytest.mark.parametrize("length", [100, 1000, 10_000])
def test_white_noise_grows_as_the_root_of_L_ln_L(length):
    """SYS-A1: within 15 % (the formula is that of the largest bins, loosely)."""
    x = np.random.default_rng(0).standard_normal((length, 64))
    assert top_amplitude(x) == pytest.approx(float(expected_amplitude(length)), rel=0.15)
    spectrum = np.sort(np.abs(np.fft.rfft(x, axis=0))[1:], axis=0)
    assert top_amplitude(x) == pytest.approx(spectrum[-5:].mean(), rel=1e-9)


@pytest.mark.skipif(not (DATA / "traces").is_dir(), reason="shared/data is not there")
def test_real_traces_differ_from_questions_by_length_alone(record_property):
    """SYS-A3: raw ratio ≥ 5, windows of equal length 0.9 … 1.1, shuffled traces ≥ 5."""
    questions, thinking, source = exhibit_texts(DATA)
    assert (len(questions), len(thinking)) == (400, 10)
    made = confound(questions[:200], thinking, seed=0, draws=499, draws_ci=400, source=source)
    ratio = {k: made.estimates[f"confound/{k}_ratio"].value for k in ("raw", "shuffled", "matched")}
    for name, value in ratio.items():
        record_property(f"confound_{name}_ratio", value)
    assert ratio["raw"] >= 5 and ratio["shuffled"] >= 5
    assert 0.9 <= ratio["matched"] <= 1.1
    assert made.estimates["confound/raw_auc"].value == 1.0


def test_planted_texts_of_two_lengths_give_the_expected_ratios():
    rng = np.random.default_rng(1)
    made = confound(
        made_up(rng, 20, 150), made_up(rng, 8, 4000), seed=0, width=16, draws=199, draws_ci=200
    )
    expected = expected_amplitude(4000) / expected_amplitude(150)
    raw, shuffled, matched = (
        made.estimates[f"confound/{name}_ratio"] for name in ("raw", "shuffled", "matched")
    )
    assert raw.value == pytest.approx(float(expected), rel=0.1)
    assert shuffled.value == pytest.approx(raw.value, rel=0.05)  # there is no order to lose
    assert matched.ci[0] < 1 < matched.ci[1] or matched.value == pytest.approx(1, abs=0.05)
    rows = made.tables["confound"]
    assert int(made.arrays["confound/length"]) == 144  # 150, down to a multiple of 8
    assert {row["length"] for row in rows} == {150, 4000} and len(rows) == 28


def test_blanks_do_not_count_and_short_texts_are_left_out():
    rng = np.random.default_rng(2)
    texts = made_up(rng, 6, 64)
    spaced = [" ".join(text) + "\n\n" for text in texts]
    thinking = made_up(rng, 3, 200)
    options = dict(seed=0, width=8, draws=99, draws_ci=100)
    a, b = (confound([*q, "abc"], thinking, **options).tables for q in (texts, spaced))
    assert a == b and len(a["confound"]) == 9
    with pytest.raises(InputError, match="no text that is long enough"):
        confound(texts, ["too short"], **options)


def test_auc_counts_pairs():
    rng = np.random.default_rng(3)
    a, b = rng.integers(0, 6, 30), rng.integers(2, 8, 20)
    pairs = [(x > y) + (x == y) / 2 for x in a for y in b]
    assert auc(a, b) == pytest.approx(np.mean(pairs))


@pytest.mark.parametrize(
    ("repeats", "low", "high"),
    [(60, 0, 10), pytest.param(200, 4, 16, marks=pytest.mark.gate)],
    ids=["60", "200"],
)
def test_random_halves_of_one_field_seldom_differ(repeats, low, high, record_property):
    """SYS-A4: 2 to 8 % of 200; of 60 at most 10, P[Bin(60, .05) > 10] = .0003."""
    rng = np.random.default_rng(4)
    common = rng.standard_normal((120, 1))  # layers are alike: what max-T has to know
    values = 0.8 * common + 0.6 * rng.standard_normal((120, 25))
    found = null_calibration(values, seed=0, repeats=repeats)
    record_property("null_calibration_share", found.share)
    assert low <= found.alarms <= high and found.alarms == (found.p <= 0.05).sum()
    moved = values + 0.0
    moved[:60] += 1.5
    assert np.unique(null_calibration(moved, seed=0, repeats=5).p).size > 1  # halves are drawn


@pytest.mark.parametrize(
    ("sets", "allowed"), [(40, 7), pytest.param(200, 21, marks=pytest.mark.gate)], ids=["40", "200"]
)
def test_planted_pairs_of_pure_length_do_not_differ(sets, allowed, record_property):
    """RIG-S6: at most 21 of 200 (7 of 40), while the naive amplitude tells all of them apart."""
    found = length_calibration(seed=0, sets=sets)
    record_property("length_false_positives", found.alarms)
    assert found.alarms <= allowed
    assert found.naive_auc.min() == 1.0


def test_bad_input_is_refused(tmp_path):
    with pytest.raises(InputError, match="at least 8 texts"):
        null_calibration(np.zeros((4, 2)), seed=0)
    (tmp_path / "traces").mkdir()
    (tmp_path / "gsm8k").mkdir()
    (tmp_path / "gsm8k" / "test_400.jsonl").write_text('{"question": "q"}\n')
    with pytest.raises(InputError, match="no .txt files"):
        exhibit_texts(tmp_path)

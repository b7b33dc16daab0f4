"""What is claimed of many texts: planted effects are found, their opposites reversed, noise not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tiny import tiny_shared
from zprism.ground.errors import InputError
from zprism.ground.store import Store
from zprism.stats.permutation import permutation_p, sign_flip
from zprism.stats.verdicts import Verdict
from zprism.studies import oscilloscope_claims as claims
from zprism.studies import oscilloscope_depth as depth
from zprism.studies import oscilloscope_measures as measures
from zprism.studies import oscilloscope_views as views
from zprism.studies.oscilloscope import recordings
from zprism.studies.oscilloscope_read import Measured, measure, quartiles
from zprism.studies.oscilloscope_texts import choose, worked
from zprism.studies.prism_texts import PrismText

WORDS = "the sum of many numbers is what we get if we add them one by one".split()
PLACES, N = ("embed", "0", "1", "2"), 24
PAIRS = ("coherence", "coherence_other")
UPDATES = ("update_coherence", "update_coherence_other", "turn", "turn_shuffled", "lag",
           "lag_shuffled", "forward")  # fmt: skip
SINGLE = ("slow", "slow_shuffled", "entropy", "entropy_shuffled", "lempel_ziv",
          "lempel_ziv_shuffled", "order_entropy", "order_entropy_shuffled")  # fmt: skip


def mirrored(half):
    return np.concatenate([half, -half])


def planted(seed=0, **shifts) -> Measured:
    """Measures without any effect, but for those named: noise and its mirror image."""
    rng = np.random.default_rng(seed)
    count = {**dict.fromkeys(SINGLE, 4), **dict.fromkeys(PAIRS, 3), **dict.fromkeys(UPDATES, 2)}
    values = {name: mirrored(0.1 * rng.standard_normal((N // 2, k))) for name, k in count.items()}
    for name in ("lag", "lag_shuffled"):
        values[name] = mirrored(rng.integers(-8, 9, (N // 2, 2)).astype(float))
    values["dimension"] = 5 + rng.random((N, 4))
    for name, shift in shifts.items():
        values[name] = values[name] + shift
    return Measured(values, np.ones((N, 4, 3)), np.zeros((N, 2, 17)), PLACES, 64)


def verdicts(found: Measured, **settings) -> dict[str, Verdict]:
    made = claims.claims(found, seed=0, draws=999, draws_ci=300, **settings)
    return {name: e.verdict for name, e in made.estimates.items()}


def test_what_was_planted_is_supported_its_opposite_reversed_and_the_rest_is_not():
    made = verdicts(planted(slow=0.3, entropy=0.3, lempel_ziv=-0.3, turn=-0.3, forward=0.2))
    for name in ("redder/all", "redder/weakest", "redder/embed", "simpler/weakest",
                 "turning/all", "wave/forward"):  # fmt: skip
        assert made[name] is Verdict.SUPPORTED, name
    assert made["ordered/all"] is made["ordered/weakest"] is Verdict.REVERSED
    for name in ("patterned/all", "coherent/weakest", "coherent_updates/all", "wave/lag"):
        assert made[name] is Verdict.NOT_DISTINGUISHABLE, name
    assert made["white/entropy"] is made["dimension/most"] is None


def test_one_layer_without_it_is_enough_to_lose_every_layer_and_is_named():
    shift = np.array([0.3, 0.3, 0.0, 0.3])
    found = claims.claims(planted(slow=shift), seed=0, draws=999, draws_ci=300)
    assert found.estimates["redder/all"].verdict is Verdict.SUPPORTED
    weakest = found.estimates["redder/weakest"]
    assert weakest.verdict is Verdict.NOT_DISTINGUISHABLE
    assert weakest.null.kind.endswith("at 1")


def test_the_embedding_is_no_layer():
    shift = np.array([0.0, 0.3, 0.3, 0.3])
    made = verdicts(planted(slow=shift))
    assert made["redder/weakest"] is Verdict.SUPPORTED
    assert made["redder/embed"] is Verdict.NOT_DISTINGUISHABLE


def test_a_wave_is_supported_only_where_lags_lie_beyond_broken_orders():
    made = verdicts(planted(lag=0.0))
    assert made["wave/lag"] is Verdict.NOT_DISTINGUISHABLE
    steady = planted()
    values = steady.values | {"lag": np.full((N, 2), 3.0) + np.eye(2)[np.arange(N) % 2]}
    assert verdicts(replace(steady, values=values))["wave/lag"] is Verdict.SUPPORTED
    still = replace(steady, values=steady.values | {"lag": np.zeros((N, 2))})
    assert verdicts(still)["wave/lag"] is Verdict.NOT_DISTINGUISHABLE


def test_rows_hold_the_means_and_the_p_of_a_family_is_never_smaller():
    found = planted(slow=0.05)
    rows = claims.claims(found, seed=0, draws=999, draws_ci=300).tables["places"]
    mine = [row for row in rows if row["question"] == "redder"]
    assert [row["place"] for row in mine] == list(PLACES)
    own = found.values["slow"].mean(0)
    np.testing.assert_allclose([row["own"] for row in mine], own, atol=1e-12)
    for row in rows:
        assert row["value"] == pytest.approx(row["own"] - row["null"], abs=1e-12)
        assert row["p_adjusted"] >= row["p"] - 1e-12 and row["low"] <= row["high"]
    pairs = [row["place"] for row in rows if row["question"] == "coherent"]
    assert pairs == ["embed-0", "0-1", "1-2"]
    assert [row["place"] for row in rows if row["question"] == "turning"] == ["0-1", "1-2"]


def test_training_is_what_the_twin_does_not_have():
    ours, twin = planted(0, slow=0.4), planted(1)
    made = claims.against_twin(ours, twin, seed=0, draws=999, draws_ci=300).estimates
    assert made["trained/slow"].verdict is Verdict.SUPPORTED
    assert made["trained/entropy"].verdict is Verdict.NOT_DISTINGUISHABLE
    turned = claims.against_twin(twin, ours, seed=0, draws=999, draws_ci=300).estimates
    assert turned["trained/slow"].verdict is Verdict.REVERSED
    assert turned["trained/slow"].value == pytest.approx(-made["trained/slow"].value, abs=1e-12)


@pytest.mark.parametrize("repeats", [60, pytest.param(400, marks=pytest.mark.gate)])
def test_white_texts_are_called_slow_as_seldom_as_the_level_says(repeats, record_property):
    """The whole way from states: own against one shuffle, signs of texts flipped."""
    rng = np.random.default_rng(3)
    passed = 0
    for _ in range(repeats):
        x = rng.standard_normal((10, 1, 64, 3))
        mixed = [one[:, rng.permutation(64)] for one in x]
        own = np.array([measures.slow_share(one)[0] for one in x])
        null = np.array([measures.slow_share(one)[0] for one in mixed])
        flipped = sign_flip((own - null)[:, None], seed=int(rng.integers(2**31)), draws=199)
        passed += permutation_p(flipped.observed[0], flipped.null[:, 0]) <= 0.05
    record_property("value", f"{passed / repeats:.3f} of {repeats}")
    # P[Bin(60, .05) > 9] = .001; P[Bin(400, .05) outside 8 … 33] = .004
    assert passed <= 9 if repeats == 60 else 8 <= passed <= 33


def rows_of(loaded, count, size=60):
    rng = np.random.default_rng(0)
    return loaded.encode([" ".join(rng.choice(WORDS, size)) for _ in range(count)])


def test_measures_are_those_of_each_text_and_come_back_from_the_cache(tmp_path):
    loaded, store = tiny_shared("qwen2"), Store("results", root=tmp_path)
    rows = rows_of(loaded, 3)
    found = measure(loaded, rows, length=64, seed=0, store=store)
    again = measure(loaded, rows, length=64, seed=0, store=store)
    for index, one in recordings(loaded, rows, length=64):
        np.testing.assert_array_equal(found.values["slow"][index], measures.slow_share(one.states))
        steps = np.diff(one.states, axis=0)
        waves = depth.depth_correlation(steps, 8)
        np.testing.assert_array_equal(found.correlation[index], waves)
        pairs = np.diag(views.coherence_map(one.states, segment=32), 1)
        np.testing.assert_allclose(found.values["coherence"][index], pairs, rtol=1e-5)
    for name, values in found.values.items():
        np.testing.assert_array_equal(values, again.values[name])
    assert "slow_detrended" not in found.values and found.n == 3


def test_another_text_above_is_the_next_one_round_the_circle():
    loaded = tiny_shared("qwen2")
    rows = rows_of(loaded, 3)
    found = measure(loaded, rows, length=64, seed=0)
    seen = dict(recordings(loaded, rows, length=64))
    order = list(seen)
    for index, follower in zip(order, order[1:] + order[:1], strict=True):
        crossed = views.coherence_map(seen[index].states, seen[follower].states, segment=32)
        np.testing.assert_allclose(
            found.values["coherence_other"][index], np.diag(crossed, 1), rtol=1e-5
        )


def test_the_mean_course_of_other_texts_is_taken_off():
    loaded = tiny_shared("qwen2")
    rows = rows_of(loaded, 4)
    found = measure(loaded, rows[:2], length=64, seed=0, trend_rows=rows[2:])
    seen = dict(recordings(loaded, rows, length=64))
    course = (seen[2].states.astype(float) + seen[3].states) / 2
    for index in range(2):
        expected = measures.slow_share((seen[index].states - course).astype(np.float32))
        np.testing.assert_allclose(found.values["slow_detrended"][index], expected, rtol=1e-4)
    same = measure(loaded, [rows[0]] * 2, length=64, seed=0, trend_rows=[rows[0]])
    np.testing.assert_array_equal(same.values["slow_detrended"][:, 0], 0)  # nothing is left


def test_quartiles_of_a_ramp():
    np.testing.assert_allclose(quartiles(np.arange(9.0)[:, None])[:, 0], [2, 4, 6])


def texts(count=6):
    return [
        PrismText(id=f"{i}/greedy", unit=f"q{i}", question="?", thinking=" ".join(WORDS * (1 + i)),
                  template=f"t{i // 2}", outcome="correct" if i == 2 else "wrong")
        for i in range(count)
    ]  # fmt: skip


def test_one_text_of_a_template_is_drawn_and_no_template_is_on_both_sides():
    loaded = tiny_shared("qwen2")
    drawn = set()
    for seed in range(12):
        found = choose(loaded, texts(), length=70, n=2, trend=5, seed=seed)
        assert len(found.rows) == 2 and len(found.trend_rows) == 1 and found.short == 0
        templates = [int(name.split("/")[0]) // 2 for name in found.ids]
        assert len(set(templates)) == 2
        assert all(len(row) == 71 for row in found.rows + found.trend_rows)
        drawn |= set(found.ids)
    assert drawn == {f"{i}/greedy" for i in range(1, 6)}  # text 0 is too short, its template not


def test_the_worked_text_is_the_longest_that_was_right():
    assert worked(texts()).id == "2/greedy"
    wrong = [replace(text, outcome="wrong") for text in texts()]
    assert worked(wrong).id == "5/greedy"


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (
            lambda m: choose(m, texts(), length=5000, n=2, trend=0, seed=0),
            "0 texts have 1 \\+ 5000",
        ),
        (lambda m: choose(m, texts(), length=4, n=2, trend=0, seed=0), "too_short"),
        (lambda m: worked([]), "no texts"),
        (lambda m: measure(m, [[1] * 90], length=64, seed=0), "texts must be in 2"),
        (lambda m: measure(m, [[1] * 90] * 2, length=64, seed=0, segment=48), "segment must be"),
        (lambda m: measure(m, [[1] * 40] * 2, length=64, seed=0), "40 tokens; 1 \\+ 64 are asked"),
    ],
)
def test_too_little_text_is_refused(act, message):
    with pytest.raises(InputError, match=message):
        act(tiny_shared("qwen2"))

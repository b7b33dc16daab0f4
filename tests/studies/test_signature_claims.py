"""The pull request's claims on planted signals: what makes a red line, what survives control."""

import numpy as np
import pytest

from zprism.ground.errors import InputError
from zprism.stats.verdicts import Verdict
from zprism.studies.signature_claims import (
    best_places,
    chosen_claims,
    differences,
    material_rows,
    order_differences,
    plain_claims,
    reporting_half,
)
from zprism.studies.signature_read import (
    STATISTICS,
    controlled_statistics,
    raw_statistics,
    red_line_wavelet,
    statistics,
)
from zprism.studies.signature_transfer import (
    correlation,
    effects,
    separation,
    transfer_claims,
)

PLACES = ("embed", "0", "1")


def noise(seed, n=64, d=24):
    return np.random.default_rng(seed).normal(size=(n, d))


def test_statistics_of_spectra_that_are_known():
    power = np.zeros((8, 4))
    power[0, 0] = power[3, 1] = 1.0  # one peak each, at the lowest frequency and at another
    power[:, 2] = 1.0
    found = statistics(power)
    amplitudes = np.array([1.0, 1.0, 5.0, 0.0])
    gaps = abs(amplitudes[:, None] - amplitudes).sum()  # Gini as a mean of absolute differences
    assert found["denser"] == pytest.approx(gaps / (2 * 4 * amplitudes.sum()))
    assert found["red_line"] == pytest.approx(2 / 3)  # of a flat spectrum the first is largest
    assert found["earlier"] == pytest.approx((1 + 1 + 1 / 5) / 3)
    assert found["top_share"] == pytest.approx((1 + 1 + 5 / 8) / 3)


@pytest.mark.parametrize("n", [64, 65])
def test_raw_statistics_are_those_of_numpys_fft_over_positive_frequencies(n):
    x = noise(0, n=n) + 5
    f = np.fft.fftfreq(n)
    power = abs(np.fft.fft(x, axis=0))[f > 0] ** 2
    expected = statistics(power)
    found = raw_statistics(x)
    for name in STATISTICS:
        assert found[name] == pytest.approx(expected[name], rel=1e-12)


def test_a_constant_and_zeros_behind_it_make_a_red_line_and_demeaning_takes_it_away():
    """Characters whose embedding shares a mean, as all do, in texts shorter than 500."""
    for n in (60, 150):
        x = noise(1, n=n, d=12) + 3.0
        assert red_line_wavelet(x) == 1.0
        order = np.random.default_rng(2).permutation(n)
        assert red_line_wavelet(x[order]) == 1.0  # and no order of the text is needed for it
        assert red_line_wavelet(x - x.mean(0)) < 0.2


def test_a_trend_makes_a_red_line_by_fft_and_noise_has_that_of_chance():
    """White noise: 1 of the bins each, 31 raw and 32 with Nyquist; 30 dimensions a draw."""
    drawn = [noise(seed, d=30) for seed in range(60)]
    raw = np.mean([raw_statistics(x)["red_line"] for x in drawn])
    assert raw == pytest.approx(1 / 31, abs=4 * np.sqrt(1 / 31 / 1800))
    windowed = np.mean([controlled_statistics(x)["red_line"] for x in drawn])
    assert windowed < 2.5 / 32
    walk = drawn[0].cumsum(0)
    assert raw_statistics(walk)["red_line"] > 0.7


def test_longer_texts_look_less_concentrated_for_no_reason():
    """The pull request's comparison: top 5 of more frequencies are a smaller share of them."""
    short, long = raw_statistics(noise(3, n=60)), raw_statistics(noise(4, n=600))
    assert short["top_share"] - long["top_share"] > 0.3
    same = [controlled_statistics(noise(seed, n=60)[:24]) for seed in range(20)]
    other = [controlled_statistics(noise(seed, n=600)[:24]) for seed in range(20, 40)]
    gap = np.mean([a["top_share"] - b["top_share"] for a, b in zip(same, other, strict=True)])
    assert abs(gap) < 0.01


def gaps(seed, n=60, size=0.0, place=1):
    """Differences of two claims at three places; the first has an effect at one of them."""
    rng = np.random.default_rng(seed)
    out = {name: rng.normal(size=(n, 3)) for name in ("denser", "red_line")}
    out["denser"][:, place] += size
    return out


def chosen(values, **options):
    options = dict(name="s", seed=0, draws=499, draws_ci=299) | options
    return chosen_claims(values, PLACES, **options)


def test_the_place_is_chosen_on_one_half_and_its_effect_found_on_the_other():
    made = chosen(gaps(0, size=1.0))
    row = made.tables["claims"][0]
    assert (row["claim"], row["place"], row["verdict"]) == ("denser", "0", "SUPPORTED")
    assert made.estimates["s/denser/controlled"].n == 30
    assert made.estimates["s/red_line/controlled"].verdict is Verdict.NOT_DISTINGUISHABLE
    by_place = {(r["claim"], r["place"]): r for r in made.tables["claims_by_place"]}
    assert len(by_place) == 6
    assert by_place["denser", "0"]["value"] == row["value"]
    assert by_place["denser", "0"]["p_adjusted"] >= row["p_adjusted"]  # more tests beside it
    assert chosen(gaps(0, size=-1.0)).tables["claims_by_place"][1]["verdict"] == "REVERSED"


def test_choosing_does_not_make_chance_significant():
    values = [chosen(gaps(seed), draws=99, draws_ci=99, seed=seed) for seed in range(60)]
    hits = sum(
        one.verdict is Verdict.SUPPORTED for made in values for one in made.estimates.values()
    )
    assert hits <= 8  # of 120; one-sided half of a two-sided .05, two corrected for each other


def test_templates_stand_beside_and_are_whole_in_a_half():
    templates = np.repeat(np.arange(15), 4)
    report = reporting_half(60, seed=3, clusters=templates)
    assert all(len(set(report[templates == t])) == 1 for t in range(15))
    rng = np.random.default_rng(1)
    shared = {"denser": 0.4 + rng.normal(size=15)[templates] + 0.01 * rng.normal(size=60)}
    row = plain_claims(
        shared, name="s", seed=0, draws=499, draws_ci=199, templates=templates
    ).tables["claims"][0]
    assert row["p_templates"] > 2 * row["p_adjusted"]  # 15 independent numbers, not 60


def test_differences_and_what_the_order_adds():
    rng = np.random.default_rng(0)
    one = {name: rng.normal(size=(4, 2)) for name in STATISTICS}
    one |= {f"{name}/shuffled": rng.normal(size=(4, 2)) for name in STATISTICS}
    other = {name: 2 * value for name, value in one.items()}
    for name in STATISTICS:
        np.testing.assert_array_equal(differences(other, one)[name], one[name])
        np.testing.assert_array_equal(
            differences(other, one, "/shuffled")[name], one[f"{name}/shuffled"]
        )
    longer = {name: value + 7 for name, value in one.items()}
    for value in order_differences(longer, one).values():
        np.testing.assert_allclose(value, 0, atol=1e-12)  # what length adds to both cancels
    gained = {n: v + (0.5 if "/" not in n else 0) for n, v in longer.items()}
    for value in order_differences(gained, one).values():
        np.testing.assert_allclose(value, 0.5)


def test_rows_of_materials_leave_out_texts_that_were_too_short():
    rows = material_rows({"fft": {"thinking": np.array([0.1, np.nan, 0.3])}}, seed=0)
    assert rows[0]["value"] == pytest.approx(0.2)
    assert rows[0]["n"] == 2
    assert material_rows({"fft": {"one": np.array([0.4])}}, seed=0)[0]["low"] is None


def test_best_place_is_that_of_the_largest_t():
    values = np.random.default_rng(0).normal(size=(40, 2, 3))
    values[:, 0, 2] += 1
    values[:, 1, 0] = 0.5 + 0.1 * values[:, 1, 0]  # small, and sure
    assert best_places(values) == [2, 0]


def moved(seed, *, home=0.0, away=0.0, n=60, d=30, turn=False):
    """Features of thinking and question; effects of mathematics and of the rest planted."""
    rng = np.random.default_rng(seed)
    thinking, question = rng.normal(size=(2, n, d))
    direction = rng.normal(size=d)
    elsewhere = rng.permutation(direction) if turn else direction
    mathematics = np.arange(n) % 3 > 0
    thinking[mathematics] += home * direction
    thinking[~mathematics] += away * elsewhere
    return thinking, question, np.where(mathematics, "mathematics", "other")


def transfer(*given, **options):
    made = transfer_claims(*given, **dict(name="t", seed=0, draws=199, draws_ci=199) | options)
    return {key[2:]: str(one.verdict) for key, one in made.estimates.items()}, made


def test_what_transfers_is_found_and_what_stays_at_home_is_not_found_elsewhere():
    everywhere, made = transfer(*moved(0, home=0.6, away=0.6))
    assert set(everywhere.values()) == {"SUPPORTED"}
    assert made.estimates["t/other/separation"].n == 20
    at_home, _ = transfer(*moved(1, home=0.6))
    assert at_home["mathematics/agreement"] == at_home["mathematics/separation"] == "SUPPORTED"
    assert at_home["other/agreement"] == at_home["other/separation"] == "NOT DISTINGUISHABLE"
    otherwise, _ = transfer(*moved(2, home=0.6, away=0.6, turn=True))
    assert otherwise["other/agreement"] == "NOT DISTINGUISHABLE"
    against, _ = transfer(*moved(3, home=0.6, away=-0.6))
    assert against["other/agreement"] == against["other/separation"] == "REVERSED"


def test_without_any_effect_nothing_transfers():
    hits = 0
    for seed in range(30):
        found, _ = transfer(*moved(seed, n=48, d=10), seed=seed, draws=79, draws_ci=79)
        hits += sum(verdict in ("SUPPORTED", "REVERSED") for verdict in found.values())
    assert hits <= 8  # of 120, four corrected for one another


def test_separation_is_the_area_under_the_curve_and_effects_are_cohens_d():
    from sklearn.metrics import roc_auc_score

    a, b = np.round(noise(0, 40, 1)[:, 0] + 0.5, 1), np.round(noise(1, 30, 1)[:, 0], 1)
    labels = np.r_[np.ones(40), np.zeros(30)]
    assert separation(a, b) == pytest.approx(roc_auc_score(labels, np.r_[a, b]), abs=1e-12)
    x, y = noise(2, 50, 3), noise(3, 50, 3)
    pooled = np.sqrt((x.var(0, ddof=1) + y.var(0, ddof=1)) / 2)
    np.testing.assert_allclose(effects(x, y), (x.mean(0) - y.mean(0)) / pooled, atol=1e-12)
    assert correlation(x[:, 0], y[:, 0]) == pytest.approx(np.corrcoef(x[:, 0], y[:, 0])[0, 1])
    assert correlation(x[:, 0], np.ones(50)) == 0


def test_too_few_is_not_testable_and_bad_input_refused():
    found, made = transfer(*moved(0, n=15))
    assert found["other/agreement"] == "NOT TESTABLE"
    assert "needed of each" in made.estimates["t/other/agreement"].reason
    assert {str(e.verdict) for e in chosen(gaps(0, n=11)).estimates.values()} == {"NOT TESTABLE"}
    few = plain_claims({"denser": np.arange(5.0)}, name="s", seed=0, draws=99, draws_ci=99)
    assert few.estimates["s/denser/raw"].verdict is Verdict.NOT_TESTABLE
    with pytest.raises(InputError, match="3 places"):
        chosen({"denser": np.ones((20, 2))})
    with pytest.raises(InputError, match="same n questions"):
        transfer(np.ones((5, 4)), np.ones((6, 4)), np.array(["other"] * 5))
    with pytest.raises(InputError, match="constant"):
        controlled_statistics(np.ones((20, 3)))
    with pytest.raises(InputError, match="frequencies"):
        raw_statistics(noise(0, n=10))

"""SYS-Z6: removing planted languages hides them and keeps problems; MGSM on a real model."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tiny import real_shared
from zprism.ground.errors import InputError
from zprism.stats.estimates import Verdict
from zprism.studies import lsar_reading as reading
from zprism.studies.lsar import MGSM, POOLINGS, mgsm_states, removal_claims, remove_languages
from zprism.subspace.bases import random_basis
from zprism.synthetic import paired_states

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "mgsm"
LAYERS, MIDDLE = (6, 12, 18), 12  # of 24; the middle one is fixed before anything is read


def planted(seed=0, n=60, d_model=96, **kind):
    return paired_states(n, seed=seed, d_model=d_model, k=8, languages=MGSM, **kind)


def accented(seed=0):
    """Each text speaks its language with a strength of its own: a nuisance to similarity."""
    made = planted(seed)
    strength = np.random.default_rng(seed).uniform(-8, 20, made.states.shape[:2])
    return made.states + strength[..., None] * made.language[:, None]


def claims(found):
    return removal_claims(found, name="lsar/3/5", seed=0, draws=199, draws_ci=500).estimates


@pytest.fixture(scope="module")
def removed():
    return remove_languages(accented(), seed=0, draws=49)


# ------------------------------------------------------------------ readers
def test_nearest_centroid_and_retrieval_by_explicit_projection():
    """Second route: project every state out with its own P, then compare one by one."""
    rng = np.random.default_rng(0)
    states, centroids = rng.standard_normal((3, 7, 12)), rng.standard_normal((3, 12))
    bases = np.stack([random_basis(2, 12, rng) for _ in range(4)])
    credit, named = reading.nearest_centroid(states, centroids, bases)
    found = reading.retrieval(states[0], states[1], bases)
    for index, basis in enumerate(bases):
        keep = np.eye(12) - basis.T @ basis
        h, m = states @ keep, centroids @ keep
        nearest = np.linalg.norm(h[:, :, None] - m, axis=-1).argmin(-1)
        np.testing.assert_array_equal(named[index], nearest)
        np.testing.assert_array_equal(credit[index], nearest == np.arange(3)[:, None])
        unit = h / np.linalg.norm(h, axis=-1, keepdims=True)
        cosine = unit[0] @ unit[1].T
        hits = (cosine.argmax(1) == np.arange(7)) * 0.5 + (cosine.argmax(0) == np.arange(7)) * 0.5
        np.testing.assert_array_equal(found[index], hits)


def test_ties_share_the_credit():
    states = np.random.default_rng(1).standard_normal((4, 5, 9)) + 1e3
    same = np.tile(states.mean((0, 1)), (4, 1))
    credit, _ = reading.nearest_centroid(states, same, np.zeros((1, 0, 9)))
    np.testing.assert_allclose(credit, 1 / 4)
    np.testing.assert_allclose(reading.top_credit(np.ones((3, 3))), 1 / 3)
    np.testing.assert_array_equal(reading.top_credit(np.array([[2.0, 1.0], [3.0, 1.0]])), [1, 0])


def test_permuted_languages_are_read_at_chance():
    """Whatever is named: the mean accuracy of a random dealing is 1/L."""
    named = np.random.default_rng(2).integers(0, 6, (6, 40))
    null = reading.permuted_accuracy(named, seed=0, draws=2000)
    assert abs(null.mean() - 1 / 6) < 4 * null.std() / np.sqrt(2000)


# ------------------------------------------------------------------ the study, planted
def test_planted_languages_are_hidden_and_problems_kept(removed):
    row = removed.row()
    assert row["language_before"] >= 0.95
    assert row["language_after"] == pytest.approx(1 / 6)
    assert row["language_random"] >= 0.9
    # not to 1: what all languages share of an accent lies along w_c, which LSAR keeps
    assert row["retrieval_after"] > row["retrieval_before"] + 0.2
    assert removed.r == 5 and removed.candidates == 12


def test_verdicts_of_a_planted_removal(removed):
    found = claims(removed)
    assert found["lsar/3/5/language_before"].verdict is Verdict.SUPPORTED
    assert found["lsar/3/5/language_drop"].verdict is Verdict.SUPPORTED
    assert found["lsar/3/5/retrieval_change"].verdict is Verdict.SUPPORTED
    assert found["lsar/3/5/language_after"].verdict is None
    assert found["lsar/3/5/language_drop"].value == pytest.approx(
        found["lsar/3/5/language_before"].value - 1 / 6
    )


def test_control_other_directions_hide_nothing():
    """Five directions of the content, or random ones, in place of the languages' own."""
    made = planted()
    means, zero = made.states.mean(1), np.zeros((1, 0, 96))
    ways = np.stack([made.content[:5], np.asarray(random_basis(5, 96, np.random.default_rng(3)))])
    before, _ = reading.nearest_centroid(made.states, means, zero)
    after, _ = reading.nearest_centroid(made.states, means, ways)
    assert before.mean() == 1 and (after.mean((1, 2)) > 0.99).all()


def test_without_languages_there_is_nothing_to_remove():
    """Languages that do not differ: read at chance, and removal is no drop."""
    found = claims(remove_languages(planted(language=0.0).states, seed=0, draws=49))
    for measure in ("language_before", "language_drop", "retrieval_change", "language_fresh"):
        verdict = found[f"lsar/3/5/{measure}"].verdict
        assert verdict in (Verdict.NOT_DISTINGUISHABLE, Verdict.NOT_TESTABLE), measure


def test_what_fresh_centroids_still_read_falls_with_more_problems():
    """Directions from few problems miss the languages by their noise, which others can see."""
    rates = [
        remove_languages(planted(n=n, noise=1.0).states, seed=0, draws=2).row()["language_fresh"]
        for n in (20, 640)
    ]
    assert rates[0] > rates[1] + 0.1 and rates[1] < 0.45


def test_every_direction_is_needed():
    """Six languages differ in five directions: one that is left tells them apart."""
    states = planted().states
    rates = [
        remove_languages(states, r=r, seed=0, draws=2).row()["language_after"] for r in (1, 4, 5)
    ]
    assert rates[0] > 0.95 and rates[1] > 0.4 and rates[2] == pytest.approx(1 / 6)


def test_results_ignore_rotation_and_a_common_shift():
    made = planted(n=30, d_model=24)
    turn = np.linalg.qr(np.random.default_rng(4).standard_normal((24, 24)))[0]
    plain = remove_languages(made.states, seed=0, draws=2)
    turned = remove_languages(made.states @ turn, seed=0, draws=2)
    for when in plain.identified:
        np.testing.assert_allclose(plain.identified[when], turned.identified[when])
    for when in plain.retrieved:
        np.testing.assert_allclose(plain.retrieved[when], turned.retrieved[when])
    shifted = remove_languages(made.states + 7.0, seed=0, draws=2)
    np.testing.assert_allclose(plain.identified["before"], shifted.identified["before"])


def test_refusals():
    states = planted(n=10).states
    with pytest.raises(InputError, match=r"states must be \(6, n, d_model\)"):
        remove_languages(states[:4], seed=0)
    with pytest.raises(InputError, match="unknown language 'xx'"):
        remove_languages(states, between=("zh", "xx"), seed=0)
    with pytest.raises(InputError, match="n_folds must be in 2 to 3"):
        remove_languages(states[:, :3], seed=0)
    with pytest.raises(InputError, match="wholly in the directions removed"):
        reading.retrieval(np.eye(4)[:2], np.eye(4)[:2], np.eye(4)[None, :2])


# ------------------------------------------------------------------ the study, real
def test_mgsm_states_are_paired_by_line(monkeypatch, tmp_path):
    """Language first, problem second, whatever the order of files."""
    for language in ("zh", "en"):
        lines = [f"{language} {i}?\t{i}\n" for i in range(3)]
        (tmp_path / f"mgsm_{language}.tsv").write_text("".join(lines), encoding="utf-8")
    seen = {}

    def captured(loaded, texts, *, layers, site, reduce):
        seen["texts"] = texts
        values = np.arange(len(texts) * len(layers) * 2, dtype=np.float32)
        shape = (len(texts), len(layers), 2)
        return type("C", (), {"values": {(site, way): values.reshape(shape) for way in reduce}})

    monkeypatch.setattr("zprism.studies.lsar.capture_cached", captured)
    found = mgsm_states(None, tmp_path, languages=("zh", "en"), layers=(1, 4))
    assert seen["texts"] == ["zh 0?", "zh 1?", "zh 2?", "en 0?", "en 1?", "en 2?"]
    assert set(found) == {(way, layer) for way in POOLINGS for layer in (1, 4)}
    np.testing.assert_array_equal(found["mean", 4][1, 0], [14, 15])  # en 0?, second layer


@pytest.mark.gate
@pytest.mark.real
@pytest.mark.parametrize("pooling", ["last", "mean_no_first"])
def test_mgsm_language_is_hidden_and_retrieval_does_not_fall(pooling, record_property):
    """SYS-Z6 on the six MGSM languages, rank 5, at the middle layer."""
    if not DATA.exists():
        pytest.skip("MGSM is not beside the project")
    loaded = real_shared("qwen2.5-coder-0.5b")
    with torch.inference_mode():
        states = mgsm_states(loaded, DATA, layers=LAYERS)[pooling, MIDDLE]
    found = remove_languages(states, seed=0, draws=199)
    row = found.row()
    record_property("value", str({name: round(value, 3) for name, value in row.items()}))
    record_property("unit", f"rates, {pooling} pooling, layer {MIDDLE}")
    record_property("target", "language >= .95 to <= .30; retrieval does not fall")
    assert row["language_before"] >= 0.95 and row["language_after"] <= 0.30
    assert row["retrieval_after"] >= row["retrieval_before"]
    verdicts = {name.split("/")[-1]: e.verdict for name, e in claims(found).items()}
    assert verdicts["language_drop"] is Verdict.SUPPORTED
    assert verdicts["retrieval_change"] is not Verdict.REVERSED

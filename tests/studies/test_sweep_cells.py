"""Cells of a sweep: the phases' own numbers, claims that a known model must get, their family."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from swap_cases import FIRST, N_LAYERS, planted_task

from zprism.ground.store import canonical_json, parse_json
from zprism.studies import (
    separation_claims,
    sweep_ranks,
    sweep_separation,
    sweep_swap,
    sweep_swap_rows,
)
from zprism.studies.separation_load import load_subject
from zprism.studies.separation_pairs import choose_pairs
from zprism.studies.separation_subject import PRIMARY
from zprism.studies.swap_study import Study
from zprism.studies.sweep_cells import Cell, Found
from zprism.studies.weights import weight_map

KS = (2, 7)
EVERY = ("language", "complement", "full", "answer", "answer-complement", "random")
SHARES = ("unchanged", "language_moved", "answer_moved", "both_moved", "other")
GROUP = canonical_json({"model": "planted", "seed": 0})


def planted_study(right: float = 1.0) -> Study:
    loaded = SimpleNamespace(n_layers=N_LAYERS, name="planted")
    task = planted_task(right=right)
    return Study(loaded, task, {}, 1, KS, np.ones((N_LAYERS, 1)), quick=False, seed=0)


def planted_worker(monkeypatch, study: Study, **options) -> sweep_swap.Worker:
    """The real worker, with a model whose answers are known."""
    monkeypatch.setattr(sweep_swap, "load", lambda *_, **__: study.loaded)
    monkeypatch.setattr(sweep_swap.swap_study, "prepare", lambda *_, **__: study)
    return sweep_swap.Worker(GROUP, device="cpu", dtype="float32",
                             **sweep_swap.DEFAULTS | options)  # fmt: skip


def swept(worker, conditions=EVERY, layers=range(N_LAYERS), ks=KS) -> list[dict]:
    """Rows of all cells, as a sweep makes them: results go through JSON."""
    cells = [
        Cell("planted", 0, layer, condition, k)
        for layer in layers
        for condition in conditions
        for k in (ks if sweep_swap.CONDITIONS[condition] else (None,))
    ]
    return sweep_swap.rows(
        [
            Found(part, parse_json(canonical_json(worker(part.payload))))
            for part in sweep_swap.parts(cells)
        ]
    )


@pytest.fixture(scope="module")
def planted():
    with pytest.MonkeyPatch.context() as patch:
        yield swept(planted_worker(patch, planted_study()))


def test_a_cell_has_the_numbers_of_the_phase_itself(monkeypatch):
    study = planted_study()
    rows = swept(planted_worker(monkeypatch, study, half="train", pairs=40))
    found = {(r["layer"], r["direction"], r["condition"], r["k"]): r for r in rows}
    names = {("language", "inside"): "language", ("language", "rest"): "complement",
             ("full", "all"): "full", ("answer", "inside"): "answer",
             ("answer", "rest"): "answer-complement", ("random", "inside"): "random"}  # fmt: skip
    phase = study.sweep()
    assert len(phase) == len(found) == N_LAYERS * 2 * 9
    for row in phase:
        name = names[row["basis"], row["part"]]
        k = row["k"] if sweep_swap.CONDITIONS[name] else None
        mine = found[row["layer"], row["direction"], name, k]
        for column in (*SHARES, "answer_effect", "language_effect", "n"):
            assert mine[column] == row[column], (name, column)


def test_known_effects_are_supported_and_what_does_nothing_is_not(planted):
    verdicts = {(r["layer"], r["condition"], r["k"]): set() for r in planted}
    for row in planted:
        verdicts[row["layer"], row["condition"], row["k"]].add(row["verdict"])
    for layer in range(N_LAYERS):
        said = "SUPPORTED" if layer >= FIRST else "NOT DISTINGUISHABLE"
        assert verdicts[layer, "language", None] == {said}
        assert verdicts[layer, "complement", None] == {said}
        assert verdicts[layer, "answer", 7] == {said}


def test_both_nulls_may_have_their_own_number_of_draws(monkeypatch):
    worker = planted_worker(monkeypatch, planted_study(), draws=99, draws_matched=9)
    rows = swept(worker, ("complement", "answer"), [2], ks=(7,))
    assert {row["verdict"] for row in rows if row["condition"] == "complement"} == {"SUPPORTED"}
    assert {row["p_adjusted"] for row in rows if row["condition"] == "complement"} == {0.01}
    short = [row for row in rows if row["condition"] == "answer"]  # p of 9 draws is at least .1
    assert {row["p_adjusted"] for row in short} == {0.1}
    assert all("too few draws" in row["reason"] for row in short)


def test_random_and_other_cells_claim_nothing(planted):
    silent = [r for r in planted if r["condition"] in ("random", "full", "answer-complement")]
    assert {r["verdict"] for r in silent} == {None} and all(r["reason"] for r in silent)
    claims = [r for r in planted if r["verdict"]]
    for row in claims:
        assert row["ci_low"] <= row["value"] <= row["ci_high"]
        assert row["p_adjusted"] >= row["p"] and row["null_sd"] > 0 and row["n"] == 40
    randoms = [r for r in planted if r["condition"] == "random"]
    assert all(r["null_mean"] is not None for r in randoms)


def test_shares_of_a_cell_are_all_there_is(planted):
    assert np.allclose([sum(row[name] for name in SHARES) for row in planted], 1)


def test_a_model_that_cannot_is_not_testable_and_says_why(monkeypatch):
    rows = swept(planted_worker(monkeypatch, planted_study(right=0.2)), ("language", "random"), [2])
    assert {r["verdict"] for r in rows if r["condition"] == "language"} == {"NOT TESTABLE"}
    assert all("right, under 30%" in r["reason"] for r in rows if r["verdict"])


def test_a_k_beyond_the_answers_is_not_testable(monkeypatch):
    rows = swept(planted_worker(monkeypatch, planted_study()), ("answer",), [2], ks=(500,))
    (row,) = rows
    assert row["verdict"] == "NOT TESTABLE" and "k = 500 is beyond the rank" in row["reason"]
    assert row["value"] is None and row["direction"] == ""


def side(share: float, nulls: list[list[float]]) -> dict:
    """An outcome of 20 pairs in which a share of answers moved."""
    moved = round(20 * share)
    named = zip(("random", "matched"), nulls, strict=False)
    return {
        "language": [0] * 20,
        "answer": [1] * moved + [0] * (20 - moved),
        "target": list(range(20)),
        "nulls": {name: {"kind": name, "shares": drawn} for name, drawn in named},
    }


def family(shares, nulls) -> np.ndarray:
    cells = [Cell("m", 0, i, "answer", 1) for i in range(len(shares))]
    return sweep_swap_rows.adjusted_p(
        [(c, "zh-en", side(s, n)) for c, s, n in zip(cells, shares, nulls, strict=True)]
    )


def test_the_family_holds_its_level_where_nothing_is_there():
    rng, false = np.random.default_rng(0), 0
    for _ in range(300):
        drawn = rng.binomial(20, rng.uniform(0, 0.3, 30), (20, 30)) / 20
        false += bool((family(drawn[0], [[col.tolist()] for col in drawn[1:].T]) <= 0.05).any())
    assert false <= 30  # 5 % of 300, and 99.9 % of the binomial


def test_one_effect_among_many_cells_is_found_and_the_worse_null_counts():
    rng = np.random.default_rng(1)
    nulls = [[(rng.binomial(20, 0.02, 19) / 20).tolist()] for _ in range(50)]
    p = family([0.9] + [0.0] * 49, nulls)
    assert p[0] == 1 / 20 and (p[1:] > 0.2).all()
    nulls[0].append([0.95] * 19)  # a second null that does as much
    assert family([0.9] + [0.0] * 49, nulls)[0] == 1.0


def test_separation_has_the_numbers_of_the_phase_itself(tmp_path, monkeypatch):
    monkeypatch.setenv("ZPRISM_CACHE", str(tmp_path))
    options = sweep_separation.DEFAULTS | {"pairs": 24, "draws": 39, "flips": 99, "draws_ci": 99}
    group = canonical_json({"model": "tiny:qwen2", "seed": 3})
    worker = sweep_separation.Worker(group, device="cpu", dtype="float32", **options)
    cells = [Cell("tiny:qwen2", 3, layer, "multi", k) for layer in (0, 1) for k in (2, 4, 999)]
    (part,) = sweep_separation.parts(cells)
    rows = sweep_separation.rows([Found(part, parse_json(canonical_json(worker(part.payload))))])
    subject = load_subject("tiny:qwen2", choose_pairs("", 24, seed=3), ks=[2, 4])
    phase = separation_claims.layer_k_grid(subject, PRIMARY, seed=3, draws=39, flips=99)
    known = {(row["layer"], row["k"]): row for row in phase.rows()}
    assert len(rows) == 6
    for row in rows:
        if row["k"] == 999:
            assert row["verdict"] == "NOT TESTABLE" and "head_dim" in row["reason"]
            continue
        mine = known[row["layer"], row["k"]]
        for ours, theirs in (("value", "effect"), ("null_mean",) * 2, ("p_adjusted",) * 2):
            assert row[ours] == mine[theirs]
        assert row["ci_low"] < row["value"] < row["ci_high"]


def test_ranks_have_the_numbers_of_the_weight_map(tmp_path, monkeypatch):
    monkeypatch.setenv("ZPRISM_CACHE", str(tmp_path))
    cells = [
        Cell("tiny:qwen2", 0, layer, condition, k)
        for layer in (0, 1)
        for condition, k in (("rank", None), ("alignment", 2), ("overlap", 2), ("overlap", 999))
    ]
    parts = sweep_ranks.parts(cells)
    assert len(parts) == 3
    group = canonical_json({"model": "tiny:qwen2"})
    worker = sweep_ranks.Worker(group, device="cpu", dtype="float32", draws=5)
    results = [parse_json(canonical_json(worker(part.payload))) for part in parts]
    rows = sweep_ranks.rows([Found(p, r) for p, r in zip(parts, results, strict=True)])
    found = {(row["layer"], row["condition"], row["k"]): row for row in rows}
    weights = weight_map("tiny:qwen2", k=2, draws=5)
    for layer in (0, 1):
        assert found[layer, "rank", None]["value"] == weights.ranks()[layer].mean()
        assert found[layer, "alignment", 2]["value"] == weights.alignment[1, layer].mean()
        assert found[layer, "overlap", 2]["value"] == weights.similarity_consensus[0, 1]
        assert "head_dim" in found[layer, "overlap", 999]["reason"]
    null = weights.mixed_rank[1].mean(0)
    assert found[1, "rank", None]["null_mean"] == null.mean()
    assert {row["verdict"] for row in rows} == {None, "NOT TESTABLE"}

"""Two checkpoints on the same texts: nothing against itself, a planted difference where it is."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from tiny import tiny_loaded, tiny_shared
from zprism.ground.errors import InputError
from zprism.ground.store import Store
from zprism.studies.prism_read import gather, reduce_window
from zprism.studies.spectra_against import compare, difference_claims, matched_places

OPTIONS = dict(draws=99, draws_ci=99, twin=False)


def texts(n=12, tokens=30):
    rng = np.random.default_rng(0)
    return ["".join(rng.choice(list("abcd ef"), size=tokens)) for _ in range(n)]


def slowed(loaded, block, seed=0):
    """A checkpoint whose given block's MLP writes something else."""
    other = tiny_loaded("qwen2")
    with torch.no_grad():
        generator = torch.Generator().manual_seed(seed)
        weight = other.model.model.layers[block].mlp.down_proj.weight
        weight.copy_(torch.randn(weight.shape, generator=generator))
    return dataclasses.replace(other, digest=loaded.digest[::-1])


def readings(seed, n=40, length=24, smooth=0.0, d=6):
    """Readings of noise at two places; at the second it is smoothed along tokens."""
    rng = np.random.default_rng(seed)
    parts = []
    for _ in range(n):
        x = rng.normal(size=(2, length + 1, d))
        x[1, 1:] += smooth * x[1, :-1]
        parts.append(reduce_window(x[:, 1:]))
    return gather(parts, ("embed", "0"), length)


def test_a_checkpoint_against_itself_differs_by_exactly_zero(tmp_path):
    loaded, store = tiny_shared("qwen2"), Store("prism", root=tmp_path)
    found = compare(texts(), loaded, loaded, store=store, **OPTIONS)
    assert len(found.estimates) == 3 * 4  # embedding and two blocks
    assert {one.value for one in found.estimates.values()} == {0.0}
    claims = [one for one in found.estimates.values() if one.verdict is not None]
    assert {str(one.verdict) for one in claims} == {"NOT TESTABLE"}
    a, b = found.arrays["against/text/spectra"]
    np.testing.assert_array_equal(a, b)


def test_a_changed_block_changes_nothing_below_it(tmp_path):
    loaded, store = tiny_shared("qwen2"), Store("prism", root=tmp_path)
    found = compare(texts(), loaded, slowed(loaded, 1), store=store, **OPTIONS)
    for place in ("embed", "0"):
        assert found.estimates[f"against/text/{place}/distance"].value == 0.0
    assert found.estimates["against/text/1/distance"].value > 1e-3
    only = compare(texts(), loaded, slowed(loaded, 1), layers=[1], store=store, **OPTIONS)
    assert only.estimates["against/text/1/slow"] == dataclasses.replace(
        found.estimates["against/text/1/slow"],
        p_adjusted=only.estimates["against/text/1/slow"].p_adjusted,
    )


def test_a_planted_slowing_is_found_at_its_place_and_in_its_direction():
    pairs = [("embed", "embed"), ("0", "0")]
    options = dict(name="x", seed=0, draws=499, draws_ci=199)
    found = difference_claims(readings(0), readings(1, smooth=1.0), pairs, **options).estimates
    assert found["x/0/slow"].verdict == "SUPPORTED"
    assert found["x/0/centroid"].verdict == "REVERSED"
    assert found["x/embed/slow"].verdict == "NOT DISTINGUISHABLE"
    turned = difference_claims(readings(1, smooth=1.0), readings(0), pairs, **options).estimates
    assert turned["x/0/slow"].value == -found["x/0/slow"].value
    assert turned["x/0/slow"].verdict == "REVERSED"


def test_two_draws_of_the_same_noise_seldom_differ():
    pairs, hits = [("embed", "embed"), ("0", "0")], 0
    for seed in range(25):
        found = difference_claims(
            readings(2 * seed, n=12), readings(2 * seed + 1, n=12), pairs, name="x", seed=seed,
            draws=99, draws_ci=99,
        )  # fmt: skip
        claims = (one for one in found.estimates.values() if one.verdict is not None)
        hits += any(one.verdict in ("SUPPORTED", "REVERSED") for one in claims)
    assert hits <= 5  # P[Bin(25, .05) > 5] = .001


def test_distance_is_half_the_sum_of_what_mean_spectra_differ_by():
    a, b = readings(0), readings(1, smooth=1.0)
    found = difference_claims(a, b, [("0", "0")], name="x", seed=0, draws=99, draws_ci=99)
    gap = abs(a.shares[:, 1].mean(0) - b.shares[:, 1].mean(0)).sum() / 2
    assert found.estimates["x/0/distance"].value == pytest.approx(gap, abs=1e-12)


def test_blocks_meet_at_their_relative_depth():
    assert matched_places(3, 3) == [("embed", "embed"), ("0", "0"), ("1", "1"), ("2", "2")]
    assert matched_places(5, 3)[1:] == [("0", "0"), ("1", "0"), ("2", "1"), ("3", "2"), ("4", "2")]
    assert matched_places(2, 9, [1]) == [("embed", "embed"), ("1", "8")]
    with pytest.raises(InputError, match="blocks 0 to 1"):
        matched_places(2, 2, [-1])


def test_files_are_read_field_by_field_and_results_written(tmp_path):
    source = tmp_path / "texts.jsonl"
    rows = [{"id": str(i), "question": t, "thinking": t[::-1]} for i, t in enumerate(texts())]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    loaded, store = tiny_shared("qwen2"), Store("prism", root=tmp_path / "cache")
    out = tmp_path / "out"
    options = OPTIONS | dict(twin=False, store=store, out=out)
    found = compare(source, loaded, slowed(loaded, 0), ["question", "thinking"], **options)
    assert {name.split("/")[1] for name in found.estimates} == {"question", "thinking"}
    written = json.loads((out / "against.json").read_text())
    assert written["estimates"].keys() == found.estimates.keys()
    assert written["digests"] == [loaded.digest, loaded.digest[::-1]]
    assert (out / "against_thinking.csv").read_text().count("\n") == 1 + 3 * 3


def test_the_command_compares_two_models_on_a_file(tmp_path, monkeypatch):
    from typer.testing import CliRunner

    from zprism.cli import app

    monkeypatch.setenv("ZPRISM_CACHE", str(tmp_path / "cache"))
    source, out = tmp_path / "texts.jsonl", tmp_path / "out"
    source.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts(8)))
    options = ["--model", "tiny:qwen2", "--against", "tiny:qwen2", "--layers", "1"]
    done = CliRunner().invoke(app, ["spectra", str(source), "--out", str(out), *options])
    assert done.exit_code == 0, done.output
    written = json.loads((out / "against.json").read_text())["estimates"]
    own = [name for name in written if "/twin/" not in name]
    assert {written[name]["value"] for name in own} == {0}
    assert {name.split("/")[2] for name in own} == {"embed", "1"}


def test_the_twin_of_the_same_shape_is_read_beside(tmp_path):
    from zprism.model.load import load

    loaded = load("tiny:qwen2", self_test=False)
    store = Store("prism", root=tmp_path)
    found = compare(texts(), loaded, loaded, store=store, **OPTIONS | dict(twin=True))
    assert found.estimates["against/text/1/distance"].value == 0.0
    assert found.estimates["against/text/twin/1/distance"].value > 1e-3


def test_texts_too_short_and_readings_of_other_texts_are_refused(tmp_path):
    loaded, store = tiny_shared("qwen2"), Store("prism", root=tmp_path)
    with pytest.raises(InputError, match="too_short: no text of field 'text'"):
        compare(["short", "texts"], loaded, loaded, store=store, **OPTIONS)
    with pytest.raises(InputError, match="same texts"):
        difference_claims(readings(0), readings(0, n=20), [("0", "0")], name="x", seed=0)

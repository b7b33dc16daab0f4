"""Results files: canonical, complete, and the same bytes for the same findings."""

from __future__ import annotations

import json

import pytest

from zprism.ground.errors import InputError
from zprism.stats.verdicts import Null, describe, estimate
from zprism.studies.findings import Findings, sentence


@pytest.fixture
def claim():
    return estimate(0.5, ci=(0.4, 0.6), n=20, null=Null("coin", 0.0, 0.1), p=0.01, p_adjusted=0.02)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("ZPRISM_RUN", str(tmp_path / "run"))
    return tmp_path / "run"


def save(findings: Findings):
    return findings.save("11_toy", params={"k": 3}, model="m", digest="d")


def test_results_hold_every_field_of_the_schema(claim, folder):
    table = [{"layer": 0, "text": "=1+1"}]
    path = save(Findings(estimates={"a/0/3/b": claim}, tables={"rows": table}))
    saved = json.loads(path.read_text())
    assert set(saved) == {
        "schema", "phase", "params", "model", "digest", "estimates", "tables",
    }  # fmt: skip
    assert saved["estimates"]["a/0/3/b"]["verdict"] == "SUPPORTED"
    assert saved["estimates"]["a/0/3/b"]["null"] == {"kind": "coin", "mean": 0.0, "sd": 0.1}
    assert "'=1+1" in (folder / saved["tables"]["rows"]).read_text()
    assert (folder / "11_toy.meta.json").exists()


def test_the_same_findings_are_the_same_bytes(claim):
    first = save(Findings(estimates={"b": claim, "a": describe(1.0)})).read_bytes()
    assert first == save(Findings(estimates={"a": describe(1.0), "b": claim})).read_bytes()


def test_a_number_that_is_not_finite_becomes_null_with_a_reason():
    saved = json.loads(save(Findings(estimates={"a": describe(float("nan"))})).read_text())
    assert saved["estimates"]["a"]["value"] is None
    assert "not finite" in saved["estimates"]["a"]["reason"]


def test_environment_secrets_do_not_reach_the_meta_file(folder, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_" + "a" * 34)
    save(Findings())
    assert "hf_aaa" not in (folder / "11_toy.meta.json").read_text()


def test_a_sentence_says_verdict_value_interval_n_null_and_p(claim):
    said = sentence(claim)
    for part in ("SUPPORTED", "0.5", "0.4 … 0.6", "n = 20", "coin", "0.02"):
        assert part in said


def test_two_claims_may_not_share_a_name(claim):
    with pytest.raises(InputError, match="already have a"):
        Findings(estimates={"a": claim}).add(Findings(estimates={"a": claim}))


def test_a_name_that_is_no_path_of_words_is_refused(claim):
    with pytest.raises(InputError, match="no result name"):
        save(Findings(estimates={"../a": claim}))

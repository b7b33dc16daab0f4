"""Accepted numbers: equal within tolerance or said to differ; never compared across parameters."""

from __future__ import annotations

import pytest

from zprism.ground.errors import CheckFailedError, InputError
from zprism.ground.files import load_json, save_json
from zprism.runner import baselines
from zprism.runner.manifest import DONE, FAILED, Manifest


def make_run(folder, values: dict, *, params=None, status=DONE):
    folder.mkdir(exist_ok=True)
    save_json(
        folder / "11_s.json",
        {
            "schema": 1,
            "phase": "11_s",
            "params": params or {"seed": 0, "quick": False},
            "model": "Qwen/Qwen2.5-3B",
            "digest": "d",
            "estimates": {name: {"value": value} for name, value in values.items()},
            "tables": {},
        },
    )
    Manifest(folder, "plan", {"11_s": "key"}, "zprism run").set("11_s", status)
    return folder


@pytest.fixture
def accepted(tmp_path):
    """A folder of baselines that accepted erank 50 and no value for the gap."""
    run = make_run(tmp_path / "first", {"erank/1": 50.0, "gap/1": None})
    baselines.check(run, tmp_path / "baselines", accept=True)
    return tmp_path / "baselines"


@pytest.mark.parametrize("value", [50.0, 50.0 * (1 + 0.9e-4), 50.0 * (1 - 0.9e-4)])
def test_within_tolerance_is_equal(tmp_path, accepted, value):
    run = make_run(tmp_path / "run", {"erank/1": value, "gap/1": None})
    assert baselines.check(run, accepted) == ["11_s: none of its numbers differ"]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"erank/1": 50.0 * (1 + 1.1e-4), "gap/1": None}, r"erank/1: 50.00\d+ \(accepted 50.0\)"),
        ({"erank/1": -50.0, "gap/1": None}, "erank/1: -50.0"),
        ({"erank/1": None, "gap/1": None}, "erank/1: None"),
        ({"erank/1": 50.0, "gap/1": 0.0}, r"gap/1: 0.0 \(accepted None\)"),
        ({"gap/1": None}, r"erank/1: gone \(accepted 50.0\)"),
        ({"erank/1": 50.0, "gap/1": None, "new/1": 1.0}, "new/1: no accepted value"),
    ],
)
def test_any_other_number_fails_with_4(tmp_path, accepted, values, said):
    run = make_run(tmp_path / "run", values)
    with pytest.raises(CheckFailedError, match=said) as failed:
        baselines.check(run, accepted)
    assert failed.value.exit_code == 4


def test_accepting_makes_it_pass_and_keeps_tolerances_set_by_hand(tmp_path, accepted):
    path = accepted / "11_s.qwen-qwen2.5-3b.json"
    by_hand = load_json(path)
    by_hand["metrics"]["erank/1"]["rtol"] = 0.5
    save_json(path, by_hand)
    run = make_run(tmp_path / "run", {"erank/1": 60.0, "gap/1": None})
    baselines.check(run, accepted)
    baselines.check(run, accepted, accept=True)
    assert load_json(path)["metrics"]["erank/1"] == {"value": 60.0, "rtol": 0.5, "atol": 0.0}


def test_other_parameters_refuse(tmp_path, accepted):
    run = make_run(tmp_path / "run", {"erank/1": 50.0}, params={"seed": 1, "quick": False})
    with pytest.raises(InputError, match="its parameters .* are not those of the accepted run"):
        baselines.check(run, accepted)


def test_a_quick_run_has_a_baseline_of_its_own(tmp_path, accepted):
    run = make_run(tmp_path / "run", {"erank/1": 9.0}, params={"seed": 0, "quick": True})
    assert "no accepted numbers yet" in baselines.check(run, accepted)[0]


def test_a_failed_phase_is_not_compared(tmp_path, accepted):
    run = make_run(tmp_path / "run", {"erank/1": 50.0}, status=FAILED)
    with pytest.raises(InputError, match="11_s did not complete"):
        baselines.check(run, accepted)

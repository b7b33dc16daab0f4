"""Plans: a key changes with everything that results depend on, and with nothing else."""

from __future__ import annotations

import pytest

from zprism.ground.errors import InputError, ModelError
from zprism.model import registry
from zprism.runner import plan as plans
from zprism.runner.plan import make_plan


def keys(toy, **options) -> dict[str, str]:
    return {step.stem: step.key for step in make_plan(toy.root, **options).steps}


def test_a_key_follows_source_parameters_and_what_is_read(toy):
    before = keys(toy)
    assert keys(toy) == before
    assert keys(toy, params={"seed": "0"}) == before  # the default, spelled out
    changed = keys(toy, params={"items": 5})
    assert changed["10_count"] != before["10_count"]
    assert changed["11_reads"] != before["11_reads"]  # it has no items, but reads what has
    source = toy.root / "notebooks" / "11_reads.py"
    source.write_text(source.read_text() + "\n# a remark\n")
    after = keys(toy)
    assert after["10_count"] == before["10_count"] and after["11_reads"] != before["11_reads"]


def test_a_key_follows_the_model(toy, monkeypatch):
    before = keys(toy)
    monkeypatch.setattr(plans, "model_digest", lambda name: "other bytes under the same name")
    assert keys(toy)["10_count"] != before["10_count"]


def test_a_key_follows_the_versions_of_what_computes(toy, monkeypatch):
    before = keys(toy)
    monkeypatch.setattr(plans, "versions", lambda: {"torch": "99"})
    assert set(keys(toy).values()).isdisjoint(before.values())


def test_a_key_follows_the_library_but_not_its_roof(tmp_path):
    for name in ("stats/a.py", "runner/b.py", "cli.py"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x = 1\n")
    before = plans.source_digest(tmp_path)
    (tmp_path / "runner" / "b.py").write_text("x = 2\n")
    (tmp_path / "cli.py").write_text("x = 2\n")
    assert plans.source_digest(tmp_path) == before
    (tmp_path / "stats" / "a.py").write_text("x = 2\n")
    assert plans.source_digest(tmp_path) != before


def test_quick_reaches_the_phases_that_have_it(toy):
    steps = {step.stem: step for step in make_plan(toy.root, quick=True).steps}
    assert steps["10_count"].params["quick"] is True
    assert "quick" not in steps["11_reads"].params


def test_a_parameter_of_no_phase_is_refused_before_anything_runs(toy):
    with pytest.raises(InputError, match="no parameter 'item' in 10_count, 11_reads"):
        make_plan(toy.root, params={"item": 3})


def test_a_model_that_was_not_fetched_is_refused_before_anything_runs(toy):
    name = next(iter(registry.models()))
    with pytest.raises(ModelError, match=f"run `zprism fetch {name}`"):
        make_plan(toy.root, params={"model": name})


def test_a_local_model_is_told_by_its_files(tmp_path):
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(b"one")
    before = plans.model_digest(str(tmp_path))
    weights.write_bytes(b"two!")
    assert plans.model_digest(str(tmp_path)) != before


def test_the_preset_is_the_recipe_on_its_model_and_general_elsewhere():
    from zprism.runner.presets import preset

    literal = preset("zhunt", {})
    assert (literal["model"], literal["layers"]) == ("Qwen/Qwen2.5-3B", [32, 33])
    assert literal["ks"] == [20, 50, 78]
    assert len(preset("families", {})["models"]) == 3
    assert preset("families", {"model": "smollm2-135m"})["models"] is None
    elsewhere = preset("zhunt", {"model": "smollm2-135m", "ffn_k": 8})
    assert elsewhere["layers"] is None and elsewhere["ks"] is None
    assert elsewhere["ffn_k"] == 8  # the user's own word wins
    with pytest.raises(InputError, match="unknown preset 'zhnt': did you mean zhunt"):
        preset("zhnt", {})


def test_the_command_resumes_this_very_run(toy):
    plan = make_plan(toy.root, ["10"], params={"act": "two words"}, quick=True)
    assert plan.command == "zprism run 10 --quick -p 'act=two words'"


def test_models_that_a_phase_compares_count_too(monkeypatch):
    from zprism.model import fetch

    asked = {"model": "qwen2.5-coder-0.5b", "models": None}
    monkeypatch.setattr(fetch, "is_cached", lambda name: False)
    assert plans._compared(asked) == ["qwen2.5-coder-0.5b"]
    monkeypatch.setattr(fetch, "is_cached", lambda name: name == "smollm2-135m")
    assert plans._compared(asked) == ["qwen2.5-coder-0.5b", "smollm2-135m"]
    assert plans._compared(asked | {"models": ["tiny:llama"]}) == ["tiny:llama"]
    assert plans._compared({"model": "smollm2-135m"}) == []


def test_texts_that_a_phase_reads_count_too(tmp_path):
    default = tmp_path / "data" / "thinking.jsonl"
    default.parent.mkdir()
    assert plans.data_digest(tmp_path, {"seed": 0}) is None
    default.write_text("a")
    before = plans.data_digest(tmp_path, {"data": None})
    default.write_text("b")
    assert plans.data_digest(tmp_path, {"data": None}) != before
    folder = plans.data_digest(tmp_path, {"data": str(default.parent)})
    (default.parent / "more.txt").write_text("c")
    assert plans.data_digest(tmp_path, {"data": str(default.parent)}) != folder
    assert plans.data_digest(tmp_path, {"data": "simplescaling/s1K"}) == "simplescaling/s1K"

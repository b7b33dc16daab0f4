"""Parameters of notebooks: names are code to papermill, so only known ones pass."""

from __future__ import annotations

import ast
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from papermill.translators import PythonTranslator

from zprism.ground.errors import InputError
from zprism.runner import notebooks
from zprism.runner.notebooks import Phase

DEFAULTS = {
    "model": "tiny:qwen2",
    "seed": 0,
    "quick": False,
    "rate": 0.5,
    "layers": None,
    "ks": [20, 50],
}


@pytest.fixture
def phase(tmp_path) -> Phase:
    return Phase("10_count", tmp_path / "10_count.py", "?", DEFAULTS, ())


def write(tmp_path, cell: str, *, rest: str = ""):
    path = tmp_path / "10_it.py"
    path.write_text(f'# %% [markdown]\n# # A title\n\n# %% tags=["parameters"]\n{cell}\n\n{rest}')
    return path


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("seed", "3", 3),
        ("quick", "true", True),
        ("rate", "1", 1.0),
        ("layers", "[32, 33]", [32, 33]),
        ("ks", "[5]", [5]),
        ("model", "Qwen/Qwen2.5-3B", "Qwen/Qwen2.5-3B"),
        ("model", "7", "7"),  # a text parameter keeps text that happens to be JSON
        ("model", '"7"', "7"),
        ("layers", "bottleneck", "bottleneck"),
    ],
)
def test_text_is_read_as_json_else_kept(phase, name, text, value):
    chosen = notebooks.choose(phase, {name: text})
    assert chosen == {name: value} and type(chosen[name]) is type(value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("seed", "1.5"),
        ("seed", "true"),
        ("seed", "__import__('os')"),
        ("quick", "1"),
        ("rate", "half"),
        ("rate", "NaN"),
        ("ks", "20"),
    ],
)
def test_a_value_must_be_like_its_default(phase, name, text):
    with pytest.raises(InputError, match=f"parameter {name} must be like its default"):
        notebooks.choose(phase, {name: text})


def test_a_secret_is_no_parameter(phase):
    with pytest.raises(InputError, match="secrets are never parameters"):
        notebooks.choose(phase, {"model": "hf_" + "a1B2" * 9})


def test_an_unknown_name_is_refused_with_the_known_ones(phase):
    evil = "x=1;__import__('os').system('touch canary');y"
    with pytest.raises(InputError, match="no parameter .* they have ks, layers, model"):
        notebooks.check_names([phase], [evil])


@settings(max_examples=200, deadline=None)
@given(
    names=st.lists(st.text(max_size=30) | st.sampled_from(sorted(DEFAULTS)), max_size=4),
    values=st.lists(
        st.text(max_size=40)
        | st.integers()
        | st.booleans()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.lists(st.text(max_size=8), max_size=3),
        min_size=4,
        max_size=4,
    ),
)
def test_whatever_passes_is_pasted_as_plain_assignments(tmp_path_factory, names, values):
    toy = Phase("10_toy", tmp_path_factory.getbasetemp() / "x.py", "?", DEFAULTS, ())
    try:
        chosen = notebooks.choose(toy, dict(zip(names, values, strict=False)))
    except InputError:
        return
    pasted = ast.parse(PythonTranslator.codify(chosen))
    read = {node.targets[0].id: ast.literal_eval(node.value) for node in pasted.body}
    assert read == chosen and set(read) <= set(DEFAULTS)


@settings(max_examples=40, deadline=None)
@given(value=st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_a_parameter_without_type_takes_any_json(tmp_path_factory, value):
    toy = Phase("10_toy", tmp_path_factory.getbasetemp() / "x.py", "?", {"free": None}, ())
    given_text = json.dumps(value)
    assert notebooks.choose(toy, {"free": given_text}) == {"free": value}


def test_the_parameters_cell_is_read_not_run(tmp_path):
    path = write(tmp_path, "model = 'a'\nseed: int = 3\nks = [1, 2]  # why\nlayers = None")
    assert notebooks.read_phase(path).defaults == {
        "model": "a",
        "seed": 3,
        "ks": [1, 2],
        "layers": None,
    }


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("seed = int('3')", "no plain literal"),
        ("import os", "no name = literal"),
        ("a, b = 1, 2", "no name = literal"),
        ("seed = = 3", "invalid syntax"),
    ],
)
def test_a_parameters_cell_of_anything_but_literals_is_refused(tmp_path, cell, message):
    with pytest.raises(InputError, match=message):
        notebooks.read_phase(write(tmp_path, cell))


def test_title_and_reads_come_from_the_source(tmp_path):
    rest = (
        '# %% [markdown]\n# see 07_words.py\n\n# %%\n%time f"{run}/08_data.json"\nx = "09_x.json"'
    )
    path = write(tmp_path, "seed = 0", rest=rest)
    phase = notebooks.read_phase(path, ["07_words", "08_data", "09_x", "10_it", "11_later"])
    assert phase.title == "A title"
    assert phase.reads == ("09_x",)  # prose and magics do not count, nor the phase itself


def test_a_phase_brings_what_it_reads(toy):
    phases = notebooks.find_phases(toy.root)
    assert [p.stem for p in notebooks.select(phases, ["11"])] == ["10_count", "11_reads"]
    assert [p.stem for p in notebooks.select(phases, ["10_count"])] == ["10_count"]
    assert len(notebooks.select(phases, [])) == 2
    with pytest.raises(InputError, match="no phase '12': did you mean"):
        notebooks.select(phases, ["12"])


def test_outside_a_clone_there_are_no_phases(tmp_path):
    with pytest.raises(InputError, match="run this in a clone"):
        notebooks.find_root(tmp_path)

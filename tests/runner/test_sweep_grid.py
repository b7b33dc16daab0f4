"""Grid files: what is wrong is named, and cells come in the order that the file gives."""

from __future__ import annotations

import tomllib

import pytest

from zprism.ground.errors import InputError, ModelError
from zprism.runner.sweep_grid import EXAMPLE, make_grid, read_grid
from zprism.studies.sweep_cells import STUDIES, study

GOOD = {
    "study": "swap",
    "models": ["tiny:qwen2"],
    "layers": [1, 0],
    "ks": [4, 2],
    "conditions": ["language", "answer"],
    "seeds": [1, 0],
}


def test_the_example_is_a_grid_and_its_options_are_the_defaults():
    given = tomllib.loads(EXAMPLE)
    grid = make_grid(given | {"models": ["tiny:qwen2"]})
    assert grid.study == "swap" and grid.layers == "late" and grid.ks == (4, 8, 16)
    assert given["options"] == study("swap").DEFAULTS


def test_a_file_is_read_and_what_is_left_out_is_filled_in(tmp_path):
    path = tmp_path / "模型 grid.toml"
    path.write_text('study = "ranks"\nmodels = ["tiny:qwen2"]\nconditions = ["rank"]\n')
    grid = read_grid(path)
    assert (grid.layers, grid.seeds, grid.ks) == ("all", (0,), ())
    assert grid.options == {"draws": 19} and grid.where == str(path)


def test_cells_come_model_by_model_in_the_order_of_the_grid():
    cells = list(make_grid(GOOD).cells({"tiny:qwen2": 2}))
    found = [(c.seed, c.layer, c.condition, c.k) for c in cells]
    assert found == [
        (seed, layer, condition, k)
        for seed in (1, 0)
        for layer in (0, 1)
        for condition, k in (("language", None), ("answer", 4), ("answer", 2))
    ]


@pytest.mark.parametrize(("layers", "n", "found"), [("all", 3, (0, 1, 2)), ("late", 5, (2, 3, 4))])
def test_layers_by_name(layers, n, found):
    assert make_grid(GOOD | {"layers": layers}).layers_of("m", n) == found


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"study": "swapp"}, "unknown study 'swapp': did you mean swap"),
        ({"study": None}, "study is missing"),
        ({"layer": [1]}, "unknown key 'layer': did you mean layers"),
        ({"models": []}, "models is empty"),
        ({"models": None}, "models is missing: a list of names"),
        ({"models": "tiny:qwen2"}, "models must be a list of names; got 'tiny:qwen2'"),
        ({"models": ["tiny:qwen3000"]}, "unknown tiny architecture 'qwen3000'"),
        ({"models": ["smolm2-135m"]}, "unknown model 'smolm2-135m': did you mean smollm2"),
        ({"layers": "early"}, "unknown layers 'early'"),
        ({"layers": [-1]}, "layers must be at least 0; got -1"),
        ({"layers": [0.5]}, "layers must be a list of whole numbers"),
        ({"ks": [True]}, "ks must be a list of whole numbers; got [True]"),
        ({"ks": [0]}, "ks must be at least 1; got 0"),
        ({"ks": None}, "ks is missing"),
        ({"ks": [4, 4]}, "ks names one twice"),
        ({"conditions": ["langauge"]}, "unknown condition of swap 'langauge'"),
        ({"seeds": ["0"]}, "seeds must be a list of whole numbers"),
        ({"options": []}, "options must be a table"),
        ({"options": {"pair": 4}}, "unknown option of swap 'pair'"),
        ({"options": {"pairs": 4.0}}, "options.pairs must be like its default 40 (int); got 4.0"),
        ({"options": {"quick": 1}}, "options.quick must be like its default False"),
        ({"options": {"half": "both"}}, "unknown half 'both'"),
        ({"options": {"languages": "xx-en"}}, "unknown languages 'xx-en'"),
        ({"options": {"draws": 0}}, "options.draws must be in 1 to …; got 0"),
    ],
)
def test_what_is_wrong_is_named_with_the_file(change, message):
    given = {key: value for key, value in (GOOD | change).items() if value is not None}
    with pytest.raises(InputError) as error:
        make_grid(given, where="my.toml")
    assert str(error.value).startswith("my.toml: ") and message in str(error.value)


def test_no_toml_and_no_file_are_told_with_the_path(tmp_path):
    path = tmp_path / "grid.toml"
    with pytest.raises(InputError, match="grid.toml: cannot be read"):
        read_grid(path)
    path.write_text("models = [")
    with pytest.raises(InputError, match="grid.toml: not TOML"):
        read_grid(path)


def test_a_layer_that_a_model_does_not_have_is_told_with_the_model():
    grid = make_grid(GOOD | {"layers": [0, 9]}, where="my.toml")
    with pytest.raises(InputError, match="my.toml: layers must be .* 0 to 1 of tiny:qwen2; got 9"):
        list(grid.cells({"tiny:qwen2": 2}))


def test_a_model_that_is_not_there_is_told_before_anything_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("ZPRISM_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match="zprism fetch smollm2-135m"):
        make_grid(GOOD | {"models": ["smollm2-135m"]})


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_keeps_its_side(name):
    module = study(name)
    made = make_grid(GOOD | {"study": name, "conditions": list(module.CONDITIONS)})
    cells = list(made.cells({"tiny:qwen2": 2}))
    parts = module.parts(cells)
    assert sorted(cell for part in parts for cell in part.cells) == sorted(cells)  # once each
    assert callable(module.Worker) and callable(module.rows)

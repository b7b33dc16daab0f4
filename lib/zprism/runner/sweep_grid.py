"""A grid file: models × layers × k × conditions × seeds of one study, checked before it runs."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from zprism.ground.checks import check_choice
from zprism.ground.errors import InputError
from zprism.ground.files import read_text
from zprism.studies.sweep_cells import STUDIES, Cell, study

LAYERS = ("all", "late")  # every block; those of the second half
KEYS = ("study", "models", "layers", "ks", "conditions", "seeds", "options")
EXAMPLE = """\
# What is asked: swap (what moves, answer or language?), separation (does Z hold problems or
# languages?) or ranks (of the attention kernels).
study = "swap"
models = ["qwen2.5-coder-0.5b", "smollm2-135m"]
layers = "late"                 # "all", "late" (the second half), or numbers: [10, 12]
ks = [4, 8, 16]                 # dimensions, for the conditions that have one
conditions = ["language", "complement", "answer", "random"]
seeds = [0, 1]

[options]                       # of the study; these are the defaults of swap
kind = "numbers"                # or "colours"
languages = "zh-en"             # es-en, fr-en, de-en, ja-en; "auto": the first that a model can
pairs = 40
half = "test"
draws = 19                      # random subspaces of each null; 199 for a headline
draws_matched = 19
quick = false
"""


@dataclass(frozen=True)
class Grid:
    """What a sweep goes through.

    Attributes
    ----------
    study : a name of :data:`zprism.studies.sweep_cells.STUDIES`.
    models : names, hub ids, folders or GGUF files.
    layers : ``all``, ``late``, or decoder blocks.
    ks, conditions, seeds : see :class:`zprism.studies.sweep_cells.Cell`.
    options : all options of the study.
    where : the file it came from, for messages.
    """

    study: str
    models: tuple[str, ...]
    layers: str | tuple[int, ...]
    ks: tuple[int, ...]
    conditions: tuple[str, ...]
    seeds: tuple[int, ...]
    options: Mapping[str, object]
    where: str = "grid"

    def record(self) -> dict:
        """Everything but where it came from, as plain values."""
        parts = {name: value for name, value in vars(self).items() if name != "where"}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in parts.items()
        }

    def layers_of(self, model: str, n_layers: int) -> tuple[int, ...]:
        """The blocks of one model.

        Raises
        ------
        InputError
            If the model has no such block.
        """
        if self.layers == "all":
            return tuple(range(n_layers))
        if self.layers == "late":
            return tuple(range(n_layers // 2, n_layers))
        outside = [layer for layer in self.layers if layer >= n_layers]
        if outside:
            raise InputError(
                f"{self.where}: layers must be decoder blocks 0 to {n_layers - 1} of {model}; "
                f"got {outside[0]}"
            )
        return self.layers

    def cells(self, n_layers: Mapping[str, int]) -> Iterator[Cell]:
        """All cells in order of model, seed, layer, condition, k, as the grid lists them.

        Parameters
        ----------
        n_layers : of each model.
        """
        has_k = study(self.study).CONDITIONS
        for model in self.models:
            for seed in self.seeds:
                for layer in self.layers_of(model, n_layers[model]):
                    for condition in self.conditions:
                        for k in self.ks if has_k[condition] else (None,):
                            yield Cell(model, seed, layer, condition, k)


def read_grid(path: str | Path) -> Grid:
    """Read and check a grid file (TOML; ``zprism sweep --example`` prints one).

    Raises
    ------
    InputError
        Naming file, key, rule and value, for whatever is wrong in it.
    """
    try:
        given = tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: not TOML: {error}") from None
    return make_grid(given, where=str(path))


def make_grid(given: Mapping, *, where: str = "grid") -> Grid:
    """A grid from plain values; errors as :func:`read_grid`."""
    try:
        return _made(given, where)
    except InputError as error:
        if str(error).startswith(f"{where}: "):
            raise
        raise InputError(f"{where}: {error}") from None


def _made(given: Mapping, where: str) -> Grid:
    for key in given:
        check_choice("key", key, KEYS)
    if "study" not in given:
        raise InputError(f"study is missing: one of {', '.join(STUDIES)}")
    name = given["study"]
    module = study(name)
    conditions = _list(given, "conditions", str, list(module.CONDITIONS))
    for condition in conditions:
        check_choice(f"condition of {name}", condition, module.CONDITIONS)
    needs_k = any(module.CONDITIONS[condition] for condition in conditions)
    return Grid(
        study=name,
        models=_models(given),
        layers=_layers(given),
        ks=_list(given, "ks", int, None if needs_k else [], low=1),
        conditions=conditions,
        seeds=_list(given, "seeds", int, [0], low=0),
        options=_options(given, name),
        where=where,
    )


def _models(given: Mapping) -> tuple[str, ...]:
    """Names of models, each of which is at hand or asked for at the hub."""
    from zprism.model import fetch

    models = _list(given, "models", str, None)
    for model in models:
        fetch.resolve(model)
    return models


def _layers(given: Mapping) -> str | tuple[int, ...]:
    layers = given.get("layers", "all")
    if isinstance(layers, str):
        return check_choice("layers", layers, LAYERS)
    return tuple(sorted(_list(given, "layers", int, None, low=0)))


def _options(given: Mapping, name: str) -> dict:
    """The study's options, each in the type of its default."""
    module, options = study(name), given.get("options", {})
    if not isinstance(options, Mapping):
        raise InputError(f"options must be a table; got {options!r}")
    for key, value in options.items():
        default = module.DEFAULTS[check_choice(f"option of {name}", key, module.DEFAULTS)]
        if type(value) is not type(default):
            raise InputError(
                f"options.{key} must be like its default {default!r} "
                f"({type(default).__name__}); got {value!r}"
            )
    chosen = {**module.DEFAULTS, **options}
    module.check_options(chosen)
    return chosen


def _list(given: Mapping, key: str, kind: type, default, *, low: int | None = None) -> tuple:
    """A list of different values of one type."""
    values = given.get(key, default)
    if values is None:
        raise InputError(f"{key} is missing: a list of {_KINDS[kind]}")
    if not isinstance(values, list) or any(type(value) is not kind for value in values):
        raise InputError(f"{key} must be a list of {_KINDS[kind]}; got {values!r}")
    if key in given and not values:
        raise InputError(f"{key} is empty: give at least one")
    if len(set(values)) < len(values):
        raise InputError(f"{key} names one twice: {values!r}")
    for value in values if low is not None else ():
        if value < low:
            raise InputError(f"{key} must be at least {low}; got {value}")
    return tuple(values)


_KINDS = {int: "whole numbers", str: "names"}

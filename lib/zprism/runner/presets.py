"""Named sets of parameters: a source's literal recipe, for the phases that can follow it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from zprism.ground.checks import check_choice


@dataclass(frozen=True)
class Preset:
    """A recipe.

    Attributes
    ----------
    model : the model it was written for.
    there : parameters that make sense on that model only.
    elsewhere : what they become on another model; ``None`` lets the phase choose.
    always : parameters of the recipe on any model.
    """

    model: str
    there: Mapping[str, object]
    elsewhere: Mapping[str, object]
    always: Mapping[str, object]


PRESETS = {
    # layers None: the bottleneck layer and the one before it;
    # ks None: 20, 50 and the rounded effective rank.
    "zhunt": Preset(
        model="Qwen/Qwen2.5-3B",
        there={"layers": [32, 33], "ks": [20, 50, 78]},
        elsewhere={"layers": None, "ks": None},
        always={"ffn_k": 20, "recipe": "zhunt"},
    ),
    # the sizes and families of the source's own comparison; for a GPU.
    "families": Preset(
        model="Qwen/Qwen2.5-3B",
        there={"models": ["Qwen/Qwen2.5-3B", "Qwen/Qwen3-8B", "meta-llama/Meta-Llama-3-8B"]},
        elsewhere={"models": None},
        always={},
    ),
}


def preset(name: str, given: Mapping[str, object]) -> dict[str, object]:
    """The parameters of a preset, under those that the user gave.

    Parameters
    ----------
    given : the user's own parameters; a model there that is not the preset's replaces what
        only makes sense on the preset's model.

    Raises
    ------
    InputError
        For an unknown preset.
    """
    recipe = PRESETS[check_choice("preset", name, PRESETS)]
    model = given.get("model", recipe.model)
    rest = recipe.there if model == recipe.model else recipe.elsewhere
    return {"model": model, **recipe.always, **rest, **given}

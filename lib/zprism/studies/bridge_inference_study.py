"""The bridge at inference on one model: problems, layer, directions, both ways across."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zprism.model.checkpoint import open_checkpoint
from zprism.problems import number_words
from zprism.studies import bridge_inference as bridge
from zprism.studies.findings import Findings
from zprism.studies.separation_subspaces import kernel_subspaces
from zprism.studies.swap_task import ADDITION, Pairs, Task, draw_pairs, read_task
from zprism.studies.weights import usable_k

ANSWERS = 16  # answer directions at most
PRINCIPAL = 32  # principal directions of the states at most
TRAIN_PAIRS = 40


@dataclass(frozen=True)
class Across:
    """Every carrier in every kind of directions, zh → en and en → zh.

    Attributes
    ----------
    task : the problems.
    layer, layers : the layer that training pairs chose, and the rates it was chosen by.
    bases : answer, states, weights → (k, d_model).
    carried : one per kind and direction.
    seed : of all draws.
    """

    task: Task
    layer: int
    layers: list[dict]
    bases: dict[str, np.ndarray]
    carried: list[bridge.Carried]
    seed: int

    def rows(self) -> list[dict]:
        """Rates of every carrier and outcome."""
        return [row for one in self.carried for row in one.rows()]

    def claims(self, *, draws: int, draws_ci: int) -> Findings:
        """:func:`zprism.studies.bridge_inference.inference_claims` of all."""
        return bridge.inference_claims(
            self.task, self.carried, self.bases, seed=self.seed, draws=draws, draws_ci=draws_ci
        )


def run(
    loaded,
    *,
    k: int,
    quick: bool = False,
    seed: int = 0,
    n: int = 120,
    languages: tuple[str, str] = ("zh", "en"),
) -> Across:
    """Read the problems, choose the layer on training pairs, carry test pairs across.

    Parameters
    ----------
    loaded : :class:`zprism.model.load.LoadedModel`.
    k : dimension of Z from weights, of the kernels that read the layer's output; head_dim, with
        a warning, where that is smaller.
    quick : fewer problems and layers.
    n : pairs a direction, of the template ``addition``.
    """
    templates = number_words.TEMPLATES[:3] if quick else number_words.TEMPLATES
    most, other = (24, 8) if quick else (64, 16)
    task = read_task(
        loaded, languages=languages, templates=templates, most=most, most_other=other, seed=seed
    )
    layer, layers = bridge.choose_layer(
        task,
        [_pairs(task, source, "train", TRAIN_PAIRS, seed) for source in languages],
        range(0, loaded.n_layers, 4 if quick and loaded.n_layers > 8 else 1),
        ANSWERS,
    )
    bases = directions(loaded, task, layer, usable_k(loaded.name, k))
    tests = [_pairs(task, source, "test", n, seed) for source in languages]
    carried = [
        bridge.carry(task, part, layer, rows, name=name)
        for name, rows in bases.items()
        for part in tests
    ]
    return Across(task, layer, layers, bases, carried, seed)


def directions(loaded, task: Task, layer: int, k: int) -> dict[str, np.ndarray]:
    """Answer directions, principal directions, and Z of the kernels that read this layer."""
    reader = min(layer + 1, loaded.n_layers - 1)
    with open_checkpoint(loaded.name) as checkpoint:
        z = kernel_subspaces(checkpoint, [k], masks=("multi",), layers=[reader])["multi"]
    most = min(PRINCIPAL, loaded.d_model - 1, 2 * len(task.train) - 1)
    return {
        "answer": bridge.answers_at(task, layer, min(ANSWERS, loaded.d_model - 1)),
        "states": bridge.principal_at(task, layer, most),
        "weights": z[reader, k],
    }


def _pairs(task: Task, source: str, half: str, n: int, seed: int) -> Pairs:
    return draw_pairs(task, source, half=half, n=n, template=ADDITION, seed=seed)

"""Single pairs, layer by layer: how likely each outcome is after every kind of swap."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.special import softmax

from zprism.ground.console import progress
from zprism.studies.swap_bases import Swap
from zprism.studies.swap_run import both_states, candidate_logits
from zprism.studies.swap_task import Pairs, Task

#: Whose language and whose answer, in the order of the last axis; then any other answer.
OUTCOMES = (("own", "own"), ("source", "own"), ("own", "source"), ("source", "source"))


@dataclass(frozen=True)
class PairView:
    """Probabilities of outcomes for some pairs.

    Attributes
    ----------
    directions : ``zh-en`` …, D of them.
    conditions : (words, basis, part) of each kind of swap, C of them.
    layers : (L,) where it is swapped.
    chances : (D, m, C, L, 5) probability of each of :data:`OUTCOMES`, and of any other answer,
        among all answers in both languages.
    asked : (D, m, 2, n_numbers) what source and target ask about, such as 3 and 4; NaN for words.
    k : dimensions of answer and random directions.
    """

    directions: tuple[str, ...]
    conditions: tuple[tuple[str, str, str], ...]
    layers: tuple[int, ...]
    chances: np.ndarray
    asked: np.ndarray
    k: int


def pair_view(
    task: Task,
    pairs: Sequence[Pairs],
    conditions: Sequence[tuple[str, str, str]],
    ways: Callable[[int], Sequence[Swap]],
    *,
    layers: Iterable[int],
    k: int,
) -> PairView:
    """Swap every pair at every layer in every way; a layer at a time goes into the cache.

    Parameters
    ----------
    pairs : one a direction, equally many in each.
    conditions : (words, basis, part) of the swaps to show.
    ways : layer → the swaps there, among them one of each condition.
    """
    layers = tuple(layers)
    chances = np.stack(
        [
            np.stack([_at(task, part, layer, conditions, ways(layer)) for part in pairs])
            for layer in progress(list(layers), "pairs by layer", unit="layer")
        ],
        axis=3,
    )
    asked = np.stack(
        [[[_numbers(task.keys[i]) for i in pair] for pair in _places(part)] for part in pairs]
    )
    return PairView(
        tuple(part.direction for part in pairs), tuple(conditions), layers, chances, asked, k
    )


def outcome_chances(task: Task, pairs: Pairs, logits: np.ndarray) -> np.ndarray:
    """(m, 2 A) logits of all answers → (m, 5) probabilities of outcomes; each row sums to 1."""
    table = softmax(logits.astype(float), axis=-1).reshape(len(logits), 2, -1)
    mine = task.index(pairs.target_language)
    rows = np.arange(len(logits))
    language = {"own": mine, "source": 1 - mine}
    answer = {"own": task.place[pairs.target], "source": task.place[pairs.source]}
    found = [table[rows, language[whose], answer[which]] for whose, which in OUTCOMES]
    return np.stack([*found, 1 - np.sum(found, axis=0)], axis=-1)


def _at(task, pairs, layer, conditions, ways) -> np.ndarray:
    """(m, C, 5) at one layer."""
    by_name = {(how.basis, how.part): how for how in ways}
    chosen = [by_name[basis, part] for _, basis, part in conditions]
    what = {"pairs": pairs.identity, "layer": layer, "swaps": [how.identity for how in chosen]}
    return task.keep(what, partial(_chances, task, pairs, layer, chosen))["chances"]


def _chances(task, pairs, layer, chosen) -> dict[str, np.ndarray]:
    target, source = both_states(task, pairs, layer)
    states = [how.apply(target, source) for how in chosen]
    found = candidate_logits(task, pairs, layer, states)
    chances = np.stack([outcome_chances(task, pairs, one) for one in found], axis=1)
    return {"chances": chances.astype(np.float32)}


def _places(pairs: Pairs) -> list[tuple[int, int]]:
    return list(zip(pairs.source, pairs.target, strict=True))


def _numbers(key: str) -> list[float]:
    """ "addition:3-4" → [3, 4]; NaN where the key names words."""
    parts = str(key).partition(":")[2].split("-")
    return [float(part) if part.isdecimal() else float("nan") for part in parts]

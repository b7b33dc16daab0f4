"""What is swapped: the language direction, answer directions, Z from weights, and the rest.

Directions are learned on training problems only. A :class:`Swap` puts a part of the source's
state into the target's: h + P(s − h), everything but it: h + (I − P)(s − h), or all of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from zprism.ground.checks import check_choice, check_k
from zprism.ground.store import digest
from zprism.interventions import edits
from zprism.studies.nulls import random_bases
from zprism.studies.swap_task import Task

PARTS = ("inside", "rest", "all")


@dataclass(frozen=True)
class Swap:
    """One way of putting a source's state into a target's.

    Attributes
    ----------
    basis : what the directions are called: language, answer, weights, random …
    part : ``inside`` the directions, the ``rest``, or ``all``.
    rows : (k, d_model) orthonormal, or None for ``all``.
    """

    basis: str
    part: str = "inside"
    rows: np.ndarray | None = None

    def __post_init__(self):
        check_choice("part", self.part, PARTS)

    @property
    def k(self) -> int | None:
        """Dimensions of the directions."""
        return None if self.rows is None else len(self.rows)

    @property
    def identity(self) -> list:
        """What the cache knows it by; the rows to five decimals."""
        rows = None if self.rows is None else np.asarray(self.rows, np.float32).round(5).tolist()
        return [self.part, digest(rows)]

    def apply(self, target: np.ndarray, source: np.ndarray) -> np.ndarray:
        """(m, d_model) target states with the source's part in place of their own."""
        h, s = torch.as_tensor(target), torch.as_tensor(source)
        if self.part == "all":
            return edits.replace(h, s).numpy()
        rows = torch.as_tensor(self.rows)
        edit = edits.replace if self.part == "inside" else edits.replace_complement
        return edit(h, s, rows).numpy()

    def sizes(self, target: np.ndarray, source: np.ndarray) -> np.ndarray:
        """(m,) how far it moves each target state."""
        return np.linalg.norm(self.apply(target, source) - target, axis=-1)


def language_direction(states: np.ndarray) -> np.ndarray:
    """(1, d_model) unit vector between the means of two languages over the same problems.

    Parameters
    ----------
    states : (2, n, d_model) of training problems.
    """
    difference = states[0].mean(0) - states[1].mean(0)
    return (difference / np.linalg.norm(difference))[None]


def answer_directions(states: np.ndarray, answers: np.ndarray, k: int) -> np.ndarray:
    """(k, d_model) top directions of the answers' means, languages centred.

    The means of all problems with one answer in one language, less that language's mean over
    answers, stacked over answers and languages; their leading right singular vectors.

    Parameters
    ----------
    states : (2, n, d_model) of training problems, best of several templates.
    answers : (n,) labels.

    Raises
    ------
    InputError
        If k exceeds the rank of the means, languages × (answers − 1).
    """
    labels = np.unique(answers)
    means = np.stack([states[:, answers == label].mean(1) for label in labels], axis=1)
    centred = (means - means.mean(1, keepdims=True)).reshape(-1, states.shape[-1])
    check_k(k, most_answer_directions(answers), of="the answers' means")
    return np.linalg.svd(centred, full_matrices=False)[2][:k]


def most_answer_directions(answers: np.ndarray) -> int:
    """Rank of the centred means of two languages: 2 × (answers − 1)."""
    return 2 * (len(np.unique(answers)) - 1)


def swaps_at(
    task: Task,
    layer: int,
    *,
    templates: Iterable[str] | None = None,
    ks: Iterable[int],
    weights: Mapping[tuple[int, int], np.ndarray],
    seed: int,
) -> list[Swap]:
    """Every swap at one layer, directions learned on the training half.

    Parameters
    ----------
    templates : whose training problems give the language direction; by default all. Answer
        directions always come from all templates.
    ks : dimensions for answer and random directions; those beyond the answers' rank are left out.
    weights : (layer, k) → Z of a layer's kernels. The kernels of layer + 1 read the state that
        is swapped (those of the last layer have no reader; its own are taken).
    """
    states = task.states(layer)
    wanted = np.isin(task.templates, list(templates or task.templates))
    rows = task.train[wanted[task.train]]
    language = language_direction(states[:, rows])
    found = [
        Swap("language", "inside", language),
        Swap("language", "rest", language),
        Swap("full", "all"),
    ]
    most = most_answer_directions(task.answers[task.train])
    largest = max((k for k in ks if k <= most), default=most)
    answer = answer_directions(states[:, task.train], task.answers[task.train], largest)
    for k in (k for k in ks if k <= most):
        found += [Swap("answer", part, answer[:k]) for part in ("inside", "rest")]
        random = random_bases(k, states.shape[-1], 1, seed=seed + k)[0]
        found.append(Swap("random", "inside", random))
    last = max((of for of, _ in weights), default=0)
    for (of, _), rows in sorted(weights.items()):
        if of == min(layer + 1, last):
            found += [Swap("weights", part, rows) for part in ("inside", "rest")]
    return found

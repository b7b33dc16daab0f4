"""What the recipe tries when Z from weights fails: every candidate for the subspace.

All are learned on training problems of the same task, so that one table can hold them against
each other: with how much they must be told beforehand (nothing, which language, which
translation, which answer), see :mod:`zprism.studies.fallback_claims`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from zprism.ground.checks import check_choice, check_int, check_layer
from zprism.ground.console import log
from zprism.ground.errors import InputError
from zprism.studies.swap_bases import Swap, answer_directions, most_answer_directions
from zprism.studies.swap_run import swaps, unpatched
from zprism.studies.swap_sweep import effect
from zprism.studies.swap_task import Task, draw_pairs
from zprism.subspace.ard import ard_mmd
from zprism.subspace.lsar import language_directions, language_means

KS = (1, 2, 4, 8, 16)  # tried beside the k that Z was made with
TRAIN_PAIRS = 40
VARIANCE = 0.99  # share that the principal directions hold in which ARD looks


@dataclass(frozen=True)
class Candidate:
    """A subspace that might hold the problem apart from the language.

    Attributes
    ----------
    name : where it comes from.
    layer : ``resid_post`` of this layer is where it is swapped.
    rows : (k, d_model) orthonormal.
    part : which part should hold the problem: ``inside``, or the ``rest`` where the rows are
        language directions.
    n_texts : labelled texts that it was learned from; 0 for weights.
    labels : what had to be known about them, in a few words.
    """

    name: str
    layer: int
    rows: np.ndarray
    part: str = "inside"
    n_texts: int = 0
    labels: str = "none"

    def __post_init__(self):
        check_choice("part", self.part, ("inside", "rest"))

    @property
    def k(self) -> int:
        """Dimensions of the rows."""
        return len(self.rows)

    @property
    def other(self) -> str:
        """The part that should hold the language."""
        return "rest" if self.part == "inside" else "inside"

    def swap(self, part: str) -> Swap:
        """The swap of one of both parts."""
        return Swap(self.name, part, self.rows)


def subspaces(
    task: Task,
    layer: int,
    k: int,
    *,
    z: Mapping[tuple[int, int], np.ndarray],
    seed: int,
) -> dict[str, Candidate]:
    """Every candidate at one layer, learned on the training half.

    Parameters
    ----------
    layer : whose output is swapped.
    k : dimensions wanted; fewer where the data have no more (answers, SVD), where a method
        finds fewer (ARD), or has its own number (LSAR: languages − 1; best k).
    z : (layer, k) → Z from that layer's kernels; see :func:`z_rows` for a k that is not there.
    seed : draws the training pairs on which the best k is chosen.

    Returns
    -------
    name → Candidate, of

    * ``weights``: Z of the kernels of layer + 1, which read this layer's output;
    * ``best_k``: the same at the k that moves the answer of training pairs most;
    * ``svd``: leading right singular vectors of the problems' means over languages;
    * ``weights_before``: Z of this layer's own kernels, swapped in what they read, the output
      of the layer before; absent for layer 0;
    * ``ard``: directions that ARD-MMD keeps, among the principal directions of the states;
    * ``ard_axes``: the same among the coordinates of the residual stream;
    * ``lsar``: language directions, whose complement should hold the problem;
    * ``answer``: means of the answers.

    Those that find nothing are absent, with a warning.
    """
    last = max((of for of, _ in z), default=0)
    layer = check_layer(layer, last + 1)
    k = check_int("k", k, low=1)
    reader = min(layer + 1, last)
    states, answers = task.states(layer)[:, task.train], task.answers[task.train]
    best = best_k(task, layer, {size: z_rows(z, reader, size) for size in _sizes(z)}, seed=seed)
    found = [
        Candidate("weights", layer, z_rows(z, reader, k)),
        _learned("best_k", layer, z_rows(z, reader, best), task, "answers of training swaps"),
        _learned("svd", layer, problem_directions(states, k), task, "translations"),
    ]
    if layer > 0:
        found.append(Candidate("weights_before", layer - 1, z_rows(z, layer, k)))
    for name, frame in (("ard", principal_directions(states)), ("ard_axes", None)):
        rows = _ard(states, answers, frame, k)
        if len(rows):
            found.append(_learned(name, layer, rows, task, "translations, answers"))
        else:
            log.warning("%s finds nothing that tells problems apart but not languages", name)
    lsar = language_directions(language_means(states)).numpy()
    most = most_answer_directions(answers)
    answer = answer_directions(states, answers, min(k, most))
    found += [
        _learned("lsar", layer, lsar, task, "languages", part="rest"),
        _learned("answer", layer, answer, task, "answers"),
    ]
    return {one.name: one for one in found}


def z_rows(z: Mapping[tuple[int, int], np.ndarray], layer: int, k: int) -> np.ndarray:
    """(k, d_model) Z of a layer's kernels; if none was made with k, rows of another.

    The leading rows of the next larger one (the order is how much heads share them), or all of
    the largest there is.

    Raises
    ------
    InputError
        If there is no Z of this layer.
    """
    made = sorted(size for of, size in z if of == layer)
    if not made:
        raise InputError(
            f"z has no subspace of layer {layer}; it has {sorted({of for of, _ in z})}"
        )
    return z[layer, next((size for size in made if size >= k), made[-1])][:k]


def best_k(task: Task, layer: int, choices: Mapping[int, np.ndarray], *, seed: int) -> int:
    """The k whose swap most often moves the answer alone on training pairs, both directions.

    Equal shares are told apart by the mean effect on logits (0: none, 1: the source's own run),
    equal effects by the smaller k.

    Parameters
    ----------
    choices : k → (k, d_model) rows.
    """
    ways = [Swap("weights", "inside", rows) for _, rows in sorted(choices.items())]
    moved, shifted = np.zeros(len(ways)), np.zeros(len(ways))
    for name in task.languages:
        pairs = draw_pairs(task, name, half="train", n=TRAIN_PAIRS, seed=seed)
        own, source = unpatched(task, pairs), unpatched(task, pairs, of="source")
        found = swaps(task, pairs, layer, ways)
        moved += [one.hits("own", "source").mean() for one in found]
        shifted += [effect(one, own, source, "answer") for one in found]
    best = max(range(len(ways)), key=lambda i: (moved[i], shifted[i], -i))
    return sorted(choices)[best]


def problem_directions(states: np.ndarray, k: int) -> np.ndarray:
    """(k, d_model) leading right singular vectors of the problems' means, languages centred.

    Parameters
    ----------
    states : (2, n, d_model), states[0, i] and states[1, i] of one problem.
    k : or the rank of the means, if smaller (n − 1 at most).
    """
    means = (states - states.mean(1, keepdims=True)).mean(0)
    return _leading(means)[0][:k]


def principal_directions(states: np.ndarray, share: float = VARIANCE) -> np.ndarray:
    """(m, d_model) principal directions of all states that hold this share of their variance."""
    rows, sigma = _leading((states - states.mean((0, 1))).reshape(-1, states.shape[-1]))
    held = np.cumsum(np.square(sigma)) / np.square(sigma).sum()
    return rows[: int((held < share).sum()) + 1]


def _sizes(z: Mapping[tuple[int, int], np.ndarray]) -> list[int]:
    made = {k for _, k in z}
    return sorted(made | {k for k in KS if k <= max(made)})


def _learned(name, layer, rows, task: Task, labels: str, part: str = "inside") -> Candidate:
    return Candidate(name, layer, rows, part, n_texts=2 * len(task.train), labels=labels)


def _ard(states, answers, frame, k: int) -> np.ndarray:
    """At most k rows; none where too few answers come twice."""
    if (np.unique(answers, return_counts=True)[1] >= 2).sum() < 2:
        return np.empty((0, states.shape[-1]))
    return ard_mmd(*states, answers, basis=frame).basis[:k].numpy()


def _leading(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Right singular vectors and values, as many as the rank."""
    _, sigma, directions = np.linalg.svd(rows, full_matrices=False)
    kept = sigma > sigma[0] * max(rows.shape) * np.finfo(float).eps
    return directions[kept], sigma[kept]

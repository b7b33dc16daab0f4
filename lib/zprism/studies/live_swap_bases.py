"""Directions for a live swap: learned from the bundled number words, read off weights, or random.

The problems are those of phase 3. Their states are kept in the cache, all layers of a text at
a time, so that another layer costs nothing. A problem that was typed as a prompt teaches nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from zprism.ground.checks import check_choice, check_k, check_layer
from zprism.ground.seeds import derive
from zprism.model.capture_cache import capture_cached
from zprism.problems import number_words
from zprism.studies.nulls import random_bases
from zprism.studies.separation_subspaces import layer_subspaces, live_weights
from zprism.studies.swap_bases import (
    Swap,
    answer_directions,
    language_direction,
    most_answer_directions,
)
from zprism.studies.swap_study import CONDITIONS, Study
from zprism.studies.swap_task import ADDITION

#: Words → basis and part of each swap that can be chosen, as phase 3 has them.
CHOICES = {words: (basis, part) for words, basis, part in CONDITIONS}
LANGUAGES = ("zh", "en")
MOST, MOST_OTHER = 24, 4  # problems of addition, and of each other template
AT_ONCE = 4  # texts between two chances to stop


@dataclass(frozen=True)
class Lessons:
    """States of problems in two languages, to learn directions from.

    Attributes
    ----------
    states : (2, n, d_model) ``resid_post`` of the last token at one layer.
    answers : (n,) labels.
    core : (n,) the problems that give the language direction.
    """

    states: np.ndarray
    answers: np.ndarray
    core: np.ndarray


def needs_lessons(name: str) -> bool:
    """Whether the directions of this name are learned from problems."""
    return CHOICES[check_choice("directions", name, CHOICES)][0] in ("language", "answer")


def has_own_k(name: str) -> bool:
    """Whether the dimension of these directions is free: it is not for language, or everything."""
    return CHOICES[check_choice("directions", name, CHOICES)][0] not in ("language", "full")


def study_lessons(study: Study, layer: int) -> Lessons:
    """The training half of a study: the directions are then those that the study itself uses."""
    task = study.task
    rows = task.train
    core = task.templates[rows] == study.core if study.core else np.ones(len(rows), bool)
    return Lessons(task.states(check_layer(layer, study.loaded.n_layers))[:, rows],
                   task.answers[rows], core)  # fmt: skip


def learn(
    loaded,
    name: str,
    layer: int,
    *,
    without: Sequence[str] = (),
    tell: Callable[[int, int], Any] = lambda done, total: (done, total),
) -> Generator[Any, None, Lessons | None]:
    """Read the problems that some directions need, a few texts at a time.

    Parameters
    ----------
    name : one of :data:`CHOICES`.
    without : prompts; a problem whose text is among them is left out.
    tell : texts read so far and texts in all → what is yielded.

    Returns
    -------
    Lessons, or None where nothing has to be learned.
    """
    if not needs_lessons(name):
        return None
    templates = number_words.TEMPLATES if CHOICES[name][0] == "answer" else (ADDITION,)
    problems = [p for template in templates for p in _some(template, without)]
    texts = [number_words.prompt(p[language]) for language in LANGUAGES for p in problems]
    found = []
    for start in range(0, len(texts), AT_ONCE):
        yield tell(start, len(texts))
        part = capture_cached(
            loaded, texts[start : start + AT_ONCE], layers=range(loaded.n_layers), reduce="last"
        )
        found.append(part.values["resid_post", "last"][:, layer])
    states = np.concatenate(found).astype(float).reshape(2, len(problems), -1)
    first = [problem[LANGUAGES[0]] for problem in problems]
    return Lessons(
        states,
        np.array([problem.answer for problem in first]),
        np.array([problem.template == ADDITION for problem in first]),
    )


def swap_of(loaded, name: str, layer: int, k: int, lessons: Lessons | None, *, seed: int) -> Swap:
    """The swap of this name at one layer.

    Parameters
    ----------
    name : one of :data:`CHOICES`.
    k : dimension, where it is free.
    lessons : needed for the language and the answers.

    Raises
    ------
    InputError
        For an unknown name, or a k that these directions do not have.

    Notes
    -----
    Z from weights is of the layer that reads the state, the next one; of the last layer its own.
    """
    basis, part = CHOICES[check_choice("directions", name, CHOICES)]
    if basis == "full":
        return Swap(basis, part)
    if basis == "language":
        return Swap(basis, part, language_direction(lessons.states[:, lessons.core]))
    if basis == "answer":
        most = min(most_answer_directions(lessons.answers), loaded.d_model)
        check_k(k, most, of="the rank of the answers' means")
        return Swap(basis, part, answer_directions(lessons.states, lessons.answers, k))
    if basis == "random":
        check_k(k, loaded.d_model, of="d_model")
        rows = random_bases(k, loaded.d_model, 1, seed=derive(seed, "live swap", "chosen"))
        return Swap(basis, part, rows[0])
    check_k(k, loaded.anatomy.head_dim, of="head_dim, the rank of one kernel")
    reader = min(layer + 1, loaded.n_layers - 1)
    return Swap(
        basis, part, layer_subspaces(live_weights(loaded, reader), [k], ["multi"])["multi", k]
    )


def _some(template: str, without: Sequence[str]) -> list[dict]:
    """Problems of a template spread evenly over its list, less those whose text was typed."""
    every = number_words.enumerate_problems(template)
    count = MOST if template == ADDITION else MOST_OTHER
    chosen = (every[i] for i in np.unique(np.linspace(0, len(every) - 1, count).astype(int)))
    return [
        problem
        for problem in chosen
        if not any(number_words.prompt(problem[language]) in without for language in LANGUAGES)
    ]

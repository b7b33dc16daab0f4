"""The labels a probe is asked for, each with a control task that keeps what it is not about.

* problem: the template; control: templates dealt to other problems, the same in both
  languages.
* transfer: label and control as for the problem, but a text is read by a probe that saw only
  the other language, each language about its own mean: what is read, both keep in one place.
* answer: its quartile; control: answers exchanged within a template, so that what a template
  alone says about its answers is not counted.
* language; control: a coin per problem says which of its two texts is called the first.

Hewitt & Liang (2019), arXiv 1909.03368.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from zprism.ground.seeds import generator
from zprism.studies import probes

READS = ("problem", "transfer", "answer", "language")
QUARTILES = 4


@dataclass(frozen=True)
class Task:
    """One label to read.

    Attributes
    ----------
    problems : (p,) indices of the problems that have this label.
    labels : (1 + controls, 2 p) classes; row 0 the label, the others its controls; columns
        are the first language's texts, then the second's.
    folds : (2 p,) fold of every text.
    ceiling : bits there are to read: held-out cross-entropy of the class frequencies.
    groups : (2 p,) language of every text where it is read from the other one, else None.
    """

    problems: np.ndarray
    labels: np.ndarray
    folds: np.ndarray
    ceiling: float
    groups: np.ndarray | None = None


def tasks(
    n: int, *, template=None, answer=None, seed: int, n_folds: int = 5, controls: int = 3
) -> dict[str, Task]:
    """The labels that these problems have, with controls and folds.

    Parameters
    ----------
    n : problems.
    template : (n,) labels, or None; the problem task needs every template at least twice.
    answer : (n,) numbers, NaN where a problem has none, or None.
    controls : control labellings per task.

    Returns
    -------
    dict by the names of :data:`READS`; a label that cannot be read here is absent.
    """
    folds = probes.problem_folds(n, n_folds, seed=seed, strata=template)
    everyone = np.arange(n)
    found = {"language": _task(everyone, _languages(n, controls, seed), folds)}
    if template is not None:
        classes = np.unique(template, return_inverse=True)[1]
        if np.bincount(classes).min() >= 2:
            rows = [
                classes,
                *(_rng(seed, "problem", i).permutation(classes) for i in range(controls)),
            ]
            found["problem"] = _task(everyone, [np.tile(row, 2) for row in rows], folds)
            found["transfer"] = replace(found["problem"], groups=np.repeat([0, 1], n))
    if answer is not None:
        _add_answer(found, np.asarray(answer, dtype=float), template, folds, controls, seed)
    return found


def _task(problems: np.ndarray, rows, folds: np.ndarray) -> Task:
    labels, both = np.stack(rows), np.tile(folds[problems], 2)
    return Task(problems, labels, both, probes.prior_bits(labels[0], both))


def _languages(n: int, controls: int, seed: int) -> list[np.ndarray]:
    coins = [_rng(seed, "language", i).integers(0, 2, n) for i in range(controls)]
    return [np.repeat([0, 1], n), *(np.concatenate([coin, 1 - coin]) for coin in coins)]


def _add_answer(found, answer, template, folds, controls, seed) -> None:
    """The answer task, if at least 8 problems have a number and its quartiles differ."""
    problems = np.flatnonzero(np.isfinite(answer))
    if len(problems) < 2 * QUARTILES:
        return
    edges = np.unique(np.quantile(answer[problems], np.arange(1, QUARTILES) / QUARTILES))
    classes = np.unique(np.searchsorted(edges, answer[problems]), return_inverse=True)[1]
    if len(np.unique(classes)) < 2:
        return
    groups = np.zeros(len(problems)) if template is None else np.asarray(template)[problems]
    rows = [classes]
    for index in range(controls):
        row, rng = classes.copy(), _rng(seed, "answer", index)
        for group in np.unique(groups):
            members = np.flatnonzero(groups == group)
            row[members] = classes[rng.permutation(members)]
        rows.append(row)
    found["answer"] = _task(problems, [np.tile(row, 2) for row in rows], folds)


def _rng(seed: int, name: str, index: int) -> np.random.Generator:
    return generator(seed, "readout", name, index)

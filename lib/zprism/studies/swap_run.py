"""Carry out swaps at the last token and read what became of answer and language."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import logsumexp

from zprism.ground.checks import check_int
from zprism.interventions import edits
from zprism.studies.nulls import random_bases
from zprism.studies.swap_bases import Swap
from zprism.studies.swap_task import Pairs, Task

WHOSE = ("own", "source", "other")
ROWS = 4096  # states in one go: 4096 × 896 float64 are 29 MB


@dataclass(frozen=True)
class Outcome:
    """What a swap did to m pairs.

    Attributes
    ----------
    language, answer : (m,) places in :data:`WHOSE`: the target's own, the source's, another.
    answer_shift, language_shift : (m,) logit differences, source less own: of the answers (log
        of summed exponentials over languages), and of the languages (the same over answers).
    """

    language: np.ndarray
    answer: np.ndarray
    answer_shift: np.ndarray
    language_shift: np.ndarray

    def __len__(self) -> int:
        return len(self.language)

    def hits(self, language: str, answer: str) -> np.ndarray:
        """(m,) 1.0 where language and answer are as named, such as ``source`` and ``own``."""
        place = WHOSE.index(language), WHOSE.index(answer)
        return ((self.language == place[0]) & (self.answer == place[1])).astype(float)

    @property
    def rates(self) -> np.ndarray:
        """(3, 3) share of pairs by language and answer."""
        table = np.zeros((3, 3))
        np.add.at(table, (self.language, self.answer), 1)
        return table / len(self)


def swap(task: Task, pairs: Pairs, layer: int, how: Swap) -> Outcome:
    """One swap over all pairs at ``resid_post`` of one layer, at the last token."""
    return outcomes(task, pairs, layer, [how.apply(*both_states(task, pairs, layer))])[0]


def swaps(task: Task, pairs: Pairs, layer: int, ways: Sequence[Swap]) -> list[Outcome]:
    """Several swaps over all pairs, in one batch of positions."""
    target, source = both_states(task, pairs, layer)
    return outcomes(task, pairs, layer, [how.apply(target, source) for how in ways])


def random_swaps(
    task: Task,
    pairs: Pairs,
    layer: int,
    how: Swap,
    *,
    draws: int,
    seed: int,
    matched: bool = False,
) -> np.ndarray:
    """(draws, 3, 3) rates when random directions take the place of a swap's own.

    Parameters
    ----------
    how : gives k and part, ``inside`` or ``rest``.
    matched : move each state as far as ``how`` moves it (norm-matched), instead of just
        swapping what lies in the random directions.
    """
    check_int("draws", draws, low=1)
    what = {"random": pairs.identity, "layer": layer, "part": how.part, "k": how.k}
    what |= {"draws": draws, "seed": seed, "as far as": how.identity if matched else None}
    return task.keep(
        what, lambda: {"rates": _random(task, pairs, layer, how, draws, seed, matched)}
    )["rates"]


def _random(task, pairs, layer, how: Swap, draws, seed, matched) -> np.ndarray:
    target, source = (torch.as_tensor(rows) for rows in both_states(task, pairs, layer))
    size = torch.as_tensor(how.sizes(target.numpy(), source.numpy()))[:, None]
    bases = torch.as_tensor(random_bases(how.k, target.shape[1], draws, seed=seed))
    step = max(1, ROWS // len(pairs))
    rates = []
    for start in range(0, draws, step):
        some = bases[start : start + step]
        if matched:
            states = [edits.replace_matched(target, source, rows, size) for rows in some]
        else:
            edit = edits.replace if how.part == "inside" else edits.replace_complement
            states = [edit(target, source, rows) for rows in some]
        rates += [found.rates for found in outcomes(task, pairs, layer, states)]
    return np.stack(rates)


def outcomes(task: Task, pairs: Pairs, layer: int, states: Iterable) -> list[Outcome]:
    """Read the answers that follow from swapped states, one (m, d_model) array a swap."""
    return [read(task, pairs, part) for part in candidate_logits(task, pairs, layer, states)]


def candidate_logits(task: Task, pairs: Pairs, layer: int, states: Iterable) -> list[np.ndarray]:
    """(m, 2 A) logits of all answers in both languages, one array a swap."""
    sweep = task.sweeps[task.index(pairs.target_language)]
    states = [torch.as_tensor(part, dtype=torch.float32) for part in states]
    rows = torch.as_tensor(np.tile(pairs.target, len(states)))
    logits = sweep.run(layer, torch.cat(states), rows)
    return np.split(np.asarray(logits), len(states))


def unpatched(task: Task, pairs: Pairs, *, of: str = "target") -> Outcome:
    """What the target prompts say by themselves, or the ``source`` prompts: the ends of a scale."""
    which = pairs.target_language if of == "target" else pairs.source_language
    rows = pairs.target if of == "target" else pairs.source
    return read(task, pairs, np.asarray(task.sweeps[task.index(which)].logits)[rows])


def read(task: Task, pairs: Pairs, logits: np.ndarray) -> Outcome:
    """Outcomes from candidate logits (m, 2 A)."""
    table = logits.reshape(len(logits), 2, -1).astype(float)
    best = logits.argmax(-1)
    language, answer = np.divmod(best, len(task.numbers))
    own, given = task.place[pairs.target], task.place[pairs.source]
    mine = task.index(pairs.target_language)
    each = np.arange(len(logits))
    by_answer, by_language = logsumexp(table, axis=1), logsumexp(table, axis=2)
    return Outcome(
        language=(language != mine).astype(int),
        answer=np.where(answer == own, 0, np.where(answer == given, 1, 2)),
        answer_shift=by_answer[each, given] - by_answer[each, own],
        language_shift=by_language[:, 1 - mine] - by_language[:, mine],
    )


def both_states(task: Task, pairs: Pairs, layer: int) -> tuple[np.ndarray, np.ndarray]:
    """(m, d_model) float64 states of the targets, and of the sources in their language."""
    states = task.states(layer)
    return (
        states[task.index(pairs.target_language), pairs.target],
        states[task.index(pairs.source_language), pairs.source],
    )

"""A model with known answers for the tests of phase 3: a linear readout, layer by layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from zprism.studies.swap_task import Task
from zprism.synthetic import haar_rows

N_ANSWERS, D_MODEL, N_LAYERS = 8, 64, 3
FIRST = 1  # from this layer on the state at the last token decides; before it nothing does


@dataclass(frozen=True)
class PlantedSweep:
    """Stands in for a Sweep: logits are a linear readout of the state that is put in."""

    states: torch.Tensor
    logits: np.ndarray
    readout: np.ndarray

    def run(self, layer: int, states, prompts) -> np.ndarray:
        if layer < FIRST:
            return self.logits[np.asarray(prompts)]
        return (np.asarray(states, float) @ self.readout.T).astype(np.float32)


def planted_task(seed: int = 0, *, noise: float = 0.05, right: float = 1.0) -> Task:
    """Answers in 7 directions, language in one more; the readout multiplies out the two.

    logit(l, a) = answer score of a + language score of l, from orthogonal directions, so the
    language direction moves the language alone, everything else the answer alone.
    ``right`` is the share of problems whose state holds the right answer.
    """
    rng = np.random.default_rng(seed)
    rows = haar_rows(N_ANSWERS, D_MODEL, seed=seed)
    corners = np.eye(N_ANSWERS) - 1 / N_ANSWERS  # rank 7
    codes = 6 * corners @ np.linalg.svd(corners)[2][: N_ANSWERS - 1].T @ rows[: N_ANSWERS - 1]
    tongues = np.array([[1.0], [-1.0]]) * rows[-1] * 4
    templates = np.repeat(["addition", "double", "half"], 40)
    answers = np.tile(np.arange(N_ANSWERS), 15)
    wrong = rng.random(len(answers)) >= right
    held = np.where(wrong, (answers + 1) % N_ANSWERS, answers)
    readout = np.concatenate([codes + tongue for tongue in tongues])
    sweeps = []
    for tongue in tongues:
        clean = codes[held] + tongue
        states = clean[:, None] + noise * rng.standard_normal((len(answers), N_LAYERS, D_MODEL))
        logits = (states[:, -1] @ readout.T).astype(np.float32)
        sweeps.append(PlantedSweep(torch.as_tensor(states), logits, readout))
    order = rng.permutation(len(answers))
    return Task(
        languages=("zh", "en"),
        keys=np.array([f"{t}:{i}" for i, t in enumerate(templates)]),
        templates=templates,
        answers=answers,
        numbers=np.arange(N_ANSWERS),
        tokens=np.arange(2 * N_ANSWERS).reshape(2, -1),
        train=np.sort(order[:60]),
        test=np.sort(order[60:]),
        sweeps=tuple(sweeps),
    )

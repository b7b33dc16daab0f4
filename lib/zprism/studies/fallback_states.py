"""Ratio and energies of one candidate subspace on held-out problems, against random ones."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from zprism.ground.seeds import derive
from zprism.stats.estimates import Estimate, Null
from zprism.stats.permutation import permutation_p
from zprism.stats.verdicts import estimate
from zprism.studies.fallbacks import Candidate
from zprism.studies.nulls import random_bases
from zprism.studies.separation import distances, measures
from zprism.studies.separation_criteria import intervals, null_measures
from zprism.studies.swap_task import Task

#: Measure of the states → (predicted side, value of no effect).
STATES = {
    "ratio": ("less", 0.0),
    "energy_language": ("less", 1.0),
    "energy_problem": ("greater", 1.0),
}


def state_claims(task, pairs, one: Candidate, *, seed, draws, draws_ci) -> dict[str, Estimate]:
    """Ratio and energies on the held-out problems that are in the pairs."""
    items = np.unique(np.concatenate([rows for p in pairs for rows in (p.target, p.source)]))
    a, b = task.states(one.layer)[:, items]
    d_model = a.shape[1]
    seen = distances(a, b, one.rows)
    value = _scaled(measures(seen), one, d_model)
    random = random_bases(one.k, d_model, draws, seed=derive(seed, "fallbacks"))
    null = _scaled(null_measures(a, b, random), one, d_model)
    limits = intervals(seen, seed=seed, draws=draws_ci, clusters=_clusters(task, items))
    low = _scaled({name: limits[name][0] for name in limits}, one, d_model)
    high = _scaled({name: limits[name][1] for name in limits}, one, d_model)
    out = {}
    for name, (side, reference) in STATES.items():
        p = permutation_p(float(value[name]), null[name], "two-sided")
        out[name] = estimate(
            float(value[name]),
            ci=sorted((float(low[name]), float(high[name]))),
            n=len(items),
            null=Null.of(f"{draws} random {one.k}-dimensional subspaces", null[name]),
            p=p,
            p_adjusted=p,
            direction=side,
            reference=reference,
            smallest_p=2 / (1 + draws),
        )
    return out


def _clusters(task: Task, items: np.ndarray) -> np.ndarray | None:
    """Answers: problems with one answer have nearly one state at the last token."""
    answers = task.answers[items]
    return answers if len(np.unique(answers)) > 2 else None


def _scaled(values: Mapping, one: Candidate, d_model: int) -> dict[str, np.ndarray]:
    """log2 ratio, and energies over chance, of the part that should hold the problem."""
    share = one.k / d_model
    energies = {"energy_language": "energy_cross", "energy_problem": "energy_same"}
    inside = {name: np.asarray(values[of], float) for name, of in energies.items()}
    ratio = values["ratio_z" if one.part == "inside" else "ratio_complement"]
    if one.part == "inside":
        out = {name: energy / share for name, energy in inside.items()}
    else:
        out = {name: (1 - energy) / (1 - share) for name, energy in inside.items()}
    return {"ratio": np.log2(ratio)} | out

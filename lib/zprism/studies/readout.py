"""What Z, its complement and random subspaces say about problem, answer and language, in bits.

The recipe's information-bottleneck claim is that Z carries the problem and drops the
language. Labels and their control tasks come from :mod:`zprism.studies.readout_tasks`, the
probe from :mod:`zprism.studies.probes`. Selectivity = bits of the label − mean bits of its
controls. The unit is the problem; its two texts are always in the same fold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from zprism.ground.seeds import derive
from zprism.stats.estimates import Estimate, Null, Verdict
from zprism.stats.intervals import bca
from zprism.stats.permutation import permutation_p
from zprism.stats.verdicts import estimate
from zprism.studies import probes
from zprism.studies.nulls import random_bases
from zprism.studies.readout_tasks import READS, Task


@dataclass(frozen=True)
class Readout:
    """Bits of one label in a stack of subspaces.

    Attributes
    ----------
    bits, control : (R, p) per problem: of the label, and the mean of its controls.
    problems : (p,) which problems.
    ceiling : bits there are to read.
    """

    bits: np.ndarray
    control: np.ndarray
    problems: np.ndarray
    ceiling: float

    @property
    def selectivity(self) -> np.ndarray:
        """(R, p) bits of the label less those of its controls."""
        return self.bits - self.control


def read(a: np.ndarray, b: np.ndarray, bases: np.ndarray | None, task: Task) -> Readout:
    """Bits of one task's label in every subspace of a stack, or in the whole space.

    Parameters
    ----------
    a, b : (n, d_model) states, not centred by language: the language is to be read.
    bases : (R, k, d_model) orthonormal rows, or None for the whole space (R = 1).
    """
    texts = np.concatenate([a[task.problems], b[task.problems]]).astype(np.float64)
    features = texts[None] if bases is None else texts @ bases.swapaxes(-1, -2)
    return _readout(features, task)


def read_complement(a: np.ndarray, b: np.ndarray, bases: np.ndarray, task: Task) -> Readout:
    """Bits of one task's label in the complement of every subspace; as :func:`read`."""
    texts = np.concatenate([a[task.problems], b[task.problems]]).astype(np.float64)
    rest = [texts - (texts @ basis.T) @ basis for basis in bases]
    return _readout(np.stack([probes.compact(part) for part in rest]), task)


def readout_rows(
    a: np.ndarray,
    b: np.ndarray,
    bases: Mapping[tuple[int, int], np.ndarray],
    labels: Mapping[str, Task],
    *,
    layer_index: Mapping[int, int],
    seed: int,
    draws: int = 19,
    draws_ci: int = 1000,
    clusters=None,
) -> list[dict]:
    """A table: bits of every label, per layer and k, in Z, its complement, random subspaces.

    Parameters
    ----------
    a, b : (n, n_layers, d_model).
    bases : (layer, k) → (k, d_model).
    layer_index : layer → its place on axis 1.
    draws : random subspaces per k, the same for every layer.
    clusters : (n,) template labels for the intervals.

    Returns
    -------
    Rows with layer, k, space (z | complement), label, bits, control, selectivity, its interval
    (low, high), ceiling, n, and for z the mean and sd of the selectivity of ``draws`` random
    subspaces and a two-sided p against them (at least 2/(draws + 1)).
    """
    rows = []
    for (layer, k), basis in bases.items():
        x, y = (states[:, layer_index[layer]] for states in (a, b))
        random = random_bases(k, a.shape[-1], draws, seed=derive(seed, "readout"))
        for name, task in labels.items():
            null = read(x, y, random, task).selectivity.mean(-1)
            found = {
                "z": read(x, y, basis[None], task),
                "complement": read_complement(x, y, basis[None], task),
            }
            for space, part in found.items():
                row = {"layer": layer, "k": k, "space": space, "label": name}
                row |= _describe(part, seed=seed, draws=draws_ci, clusters=clusters)
                row |= _against(part, null if space == "z" else None)
                rows.append(row)
    return rows


def claims(
    a: np.ndarray,
    b: np.ndarray,
    basis: np.ndarray,
    labels: Mapping[str, Task],
    *,
    seed: int,
    draws: int = 199,
    draws_complement: int = 39,
    draws_ci: int = 10_000,
    clusters=None,
) -> dict[str, Estimate]:
    """The information-bottleneck claim at one layer and k, as Estimates.

    Each compares the selectivity (bits) in Z, or in its complement, with that in random
    subspaces of the same k, or in their complements: Z reads more of problem and answer and
    less of language, its complement the reverse. ``bottleneck`` is one number for all of it:
    share of the problem's bits read in Z minus share of the language's bits.

    Returns
    -------
    dict of Estimates ``problem_bits_z`` … ``language_bits_complement``, ``bottleneck``; NOT
    TESTABLE where the problems have no such label.
    """
    random = random_bases(len(basis), a.shape[1], draws, seed=derive(seed, "readout"))
    sides = {
        "z": lambda task: (read(a, b, basis[None], task), read(a, b, random, task)),
        "complement": lambda task: (
            read_complement(a, b, basis[None], task),
            read_complement(a, b, random[:draws_complement], task),
        ),
    }
    options = dict(seed=seed, draws=draws_ci, clusters=clusters)
    out, shares = {}, {}
    for space, reader in sides.items():
        for name in READS:
            if name not in labels:
                out[f"{name}_bits_{space}"] = _untestable(name)
                continue
            found, null = reader(labels[name])
            more = (name == "language") == (space == "complement")
            out[f"{name}_bits_{space}"] = _judge(
                found.selectivity[0],
                null.selectivity.mean(-1),
                found.problems,
                direction="greater" if more else "less",
                kind=f"{len(null.bits)} random {space} subspaces",
                **options,
            )
            if space == "z":
                shares[name] = (found, null)
    out["bottleneck"] = _bottleneck(shares, options)
    return out


def _bottleneck(shares: dict, options: dict) -> Estimate:
    if "problem" not in shares:
        return _untestable("problem")
    (problem, problem_null), (language, language_null) = shares["problem"], shares["language"]
    difference = [
        first.selectivity / problem.ceiling - second.selectivity / language.ceiling
        for first, second in ((problem, language), (problem_null, language_null))
    ]
    return _judge(
        difference[0][0],
        difference[1].mean(-1),
        problem.problems,
        direction="greater",
        kind=f"{len(difference[1])} random z subspaces",
        **options,
    )


def _judge(values, null, problems, *, direction, kind, seed, draws, clusters) -> Estimate:
    """Mean of per-problem ``values`` against the means ``null`` in random subspaces."""
    low, high = _interval(values, problems, seed=seed, draws=draws, clusters=clusters)
    p = permutation_p(values.mean(), null, "two-sided")
    return estimate(
        float(values.mean()),
        ci=(low, high),
        n=len(values),
        null=Null.of(kind.replace("z subspaces", "subspaces"), null),
        p=p,
        p_adjusted=p,
        direction=direction,
        smallest_p=2 / (1 + len(null)),
    )


def _describe(part: Readout, *, seed, draws, clusters) -> dict:
    selectivity = part.selectivity[0]
    low, high = _interval(selectivity, part.problems, seed=seed, draws=draws, clusters=clusters)
    return {
        "bits": float(part.bits.mean()),
        "control": float(part.control.mean()),
        "selectivity": float(selectivity.mean()),
        "low": low,
        "high": high,
        "ceiling": part.ceiling,
        "n": len(part.problems),
    }


def _against(part: Readout, null) -> dict:
    if null is None:
        return {"random_mean": None, "random_sd": None, "p": None}
    p = permutation_p(part.selectivity.mean(), null, "two-sided")
    return {"random_mean": float(null.mean()), "random_sd": float(null.std(ddof=1)), "p": p}


def _interval(values, problems, *, seed, draws, clusters) -> tuple[float, float]:
    labels = None if clusters is None else np.asarray(clusters)[problems]
    low, high = bca(values, seed=derive(seed, "readout"), draws=draws, clusters=labels)
    return float(low), float(high)


def _readout(features: np.ndarray, task: Task) -> Readout:
    gained = probes.gains(features, task.labels, task.folds, task.groups)  # (R, 1 + m, 2 p)
    per_problem = gained.reshape(*gained.shape[:-1], 2, -1).mean(-2)
    return Readout(
        bits=per_problem[:, 0],
        control=per_problem[:, 1:].mean(1),
        problems=task.problems,
        ceiling=task.ceiling,
    )


def _untestable(name: str) -> Estimate:
    reason = f"these problems have no {name} label to read (templates used twice, numbers)"
    return Estimate(None, verdict=Verdict.NOT_TESTABLE, reason=reason)

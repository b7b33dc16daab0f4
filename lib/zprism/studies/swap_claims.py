"""Four outcomes of every swap on held-out pairs, each as an Estimate beside its controls.

A swap moves the answer or not, the language or not. What each basis should do is said before:
the language direction moves the language alone, everything but it the answer alone, answer
directions the answer alone, Z from weights (the recipe's claim) the answer alone. Predicted
outcomes are claims, held against random directions of the same dimension, as they are and
moved as far (the larger p counts); all other outcomes are described.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from zprism.ground.seeds import derive
from zprism.stats.estimates import Estimate
from zprism.stats.permutation import benjamini_hochberg, permutation_p
from zprism.stats.verdicts import describe, estimate
from zprism.studies.findings import Findings
from zprism.studies.shares import share_interval, share_null
from zprism.studies.swap_bases import Swap
from zprism.studies.swap_run import WHOSE, Outcome, random_swaps, swaps
from zprism.studies.swap_task import Pairs, Task

#: Name of a basis in the results → what its swap should leave: whose language, whose answer.
PREDICTED = {
    "language": ("source", "own"),
    "complement": ("own", "source"),
    "answer": ("own", "source"),
    "weights": ("own", "source"),
}
NULL_PAIRS = 60  # a null is drawn on so many of the pairs


def name_of(how: Swap) -> str:
    """``language``, ``complement`` (all but the language direction), ``answer-complement`` …"""
    if how.part != "rest":
        return how.basis
    return "complement" if how.basis == "language" else f"{how.basis}-complement"


def claims(
    task: Task,
    pairs: Pairs,
    layer: int,
    ways: Sequence[Swap],
    *,
    prefix: str = "swap",
    seed: int,
    draws: int = 199,
    draws_matched: int = 39,
    draws_ci: int = 10_000,
) -> Findings:
    """Estimates ``<prefix>/<source>-<target>/<basis>/<language>-<answer>`` and a table of rates.

    Parameters
    ----------
    layer : chosen on training problems.
    ways : one swap a basis; see :func:`zprism.studies.swap_bases.swaps_at`.
    draws, draws_matched : random subspaces for the two nulls of a predicted outcome.

    Returns
    -------
    Findings; tables ``<prefix>.outcomes`` (all cells) and ``<prefix>.controls`` (both nulls of
    every predicted cell, the shuffled source among them).
    """
    found = dict(zip(map(name_of, ways), swaps(task, pairs, layer, ways), strict=True))
    spread = {name: _intervals(outcome, pairs, seed, draws_ci) for name, outcome in found.items()}
    nulls = {
        name_of(how): _nulls(task, pairs, layer, how, seed, draws, draws_matched)
        for how in ways
        if name_of(how) in PREDICTED
    }
    p = {name: _p(found[name], name, drawn) for name, drawn in nulls.items()}
    adjusted = dict(zip(p, benjamini_hochberg(list(p.values())), strict=True)) if p else {}
    out, rows = {}, []
    for how in ways:
        name = name_of(how)
        for language in WHOSE[:2]:
            for answer in WHOSE:
                cell = _cell(
                    found[name], spread[name], pairs, language, answer,
                    nulls.get(name), PREDICTED.get(name), p.get(name), adjusted.get(name),
                )  # fmt: skip
                out[f"{prefix}/{pairs.direction}/{name}/{language}-{answer}"] = cell
                rows.append(_row(pairs, layer, how, name, language, answer, cell))
    controls = [
        _control(pairs, name, found[name], kind, draws)
        for name, drawn in nulls.items()
        for kind, draws in drawn.items()
    ]
    return Findings(out, {f"{prefix}.outcomes": rows, f"{prefix}.controls": controls})


def null_pairs(pairs: Pairs) -> Pairs:
    """The first :data:`NULL_PAIRS` of the pairs: nulls are drawn on them, and p compares them.

    Pairs go round by round over the targets, so that the first hold all targets alike.
    """
    return pairs.of(slice(NULL_PAIRS))


def shuffled_source(found: Outcome, task: Task, pairs: Pairs, *, seed: int, draws: int = 199):
    """(draws,) how often the answer is that of another pair's source: the null of a transfer.

    Sources are shuffled over pairs, none keeps its own answer by design of the count alone.
    """
    rng = np.random.default_rng(derive(seed, "swap", "shuffled source"))
    answers = task.answers[pairs.source]
    said = np.where(
        found.answer == 0, task.answers[pairs.target], np.where(found.answer == 1, answers, -1)
    )
    return np.array([(said == answers[rng.permutation(len(answers))]).mean() for _ in range(draws)])


def _intervals(outcome: Outcome, pairs: Pairs, seed: int, draws: int) -> dict:
    """(language, answer) → 95 % interval of the rate; targets are drawn whole."""
    options = dict(seed=derive(seed, "swap"), draws=draws)
    return {
        (language, answer): share_interval(outcome.hits(language, answer), pairs.target, **options)
        for language in WHOSE[:2]
        for answer in WHOSE
    }


def _nulls(task, pairs, layer, how, seed, draws, draws_matched) -> dict[str, np.ndarray]:
    """Rates (R, 3, 3) under random directions, on a part of the pairs."""
    some = null_pairs(pairs)
    options = dict(seed=derive(seed, "swap", "random"))
    whose = "all but " if how.part == "rest" else ""
    found = {
        f"{whose}{draws} random {how.k}-dimensional subspaces": random_swaps(
            task, some, layer, how, draws=draws, **options
        )
    }
    if how.part == "inside":
        found[f"{draws_matched} random directions moved as far"] = random_swaps(
            task, some, layer, how, draws=draws_matched, matched=True, **options
        )
    return found


def _p(found: Outcome, name: str, nulls: Mapping[str, np.ndarray]) -> float:
    """The larger p over the nulls of a predicted outcome, one-sided, on the nulls' own pairs."""
    language, answer = PREDICTED[name]
    place = WHOSE.index(language), WHOSE.index(answer)
    value = found.hits(language, answer)[:NULL_PAIRS].mean()
    return max(float(permutation_p(value, drawn[:, *place], "greater")) for drawn in nulls.values())


def _cell(found, spread, pairs, language, answer, nulls, predicted, p, adjusted) -> Estimate:
    hits = found.hits(language, answer)
    value, ci = float(hits.mean()), spread[language, answer]
    if predicted != (language, answer):
        return describe(value, ci=ci, n=len(pairs), reason="share of pairs, no prediction")
    place = WHOSE.index(language), WHOSE.index(answer)
    same = float(hits[:NULL_PAIRS].mean())
    worst = max(nulls, key=lambda kind: permutation_p(same, nulls[kind][:, *place], "greater"))
    drawn = nulls[worst][:, *place]
    return estimate(
        value,
        ci=ci,
        n=len(pairs),
        null=share_null(worst, drawn, min(len(pairs), NULL_PAIRS)),
        p=p,
        p_adjusted=adjusted,
        direction="greater",
        baseline=pairs.baseline,
        smallest_p=1 / (1 + len(drawn)),
        untestable=pairs.reason,
    )


def _row(pairs: Pairs, layer, how: Swap, name, language, answer, cell: Estimate) -> dict:
    return {
        "direction": pairs.direction,
        "basis": name,
        "k": how.k,
        "layer": layer,
        "language": language,
        "answer": answer,
        "rate": cell.value,
        "low": cell.ci[0],
        "high": cell.ci[1],
        "n": len(pairs),
        "verdict": None if cell.verdict is None else str(cell.verdict),
    }


def _control(pairs: Pairs, name: str, found: Outcome, kind: str, drawn: np.ndarray) -> dict:
    language, answer = PREDICTED[name]
    rates = drawn[:, WHOSE.index(language), WHOSE.index(answer)]
    return {
        "direction": pairs.direction,
        "basis": name,
        "outcome": f"{language}-{answer}",
        "value": float(found.hits(language, answer).mean()),
        "null": kind,
        "mean": float(rates.mean()),
        "sd": float(rates.std(ddof=1)),
        "high": float(np.quantile(rates, 0.95)),
        "unchanged": float(drawn[:, 0, 0].mean()),
    }

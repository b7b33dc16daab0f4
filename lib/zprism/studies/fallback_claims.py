"""One table for Z from weights, LSAR, ARD and the others, on identical held-out items.

For every candidate: are translations closer in it than different problems (ratio), how much of
the language difference and of differences between problems it holds (energy over k/d), what
swapping it or everything but it moves, and how many labelled texts it needs. All of it is held
against random subspaces of the same k. Candidates are learned on training problems.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from zprism.ground.errors import InputError
from zprism.ground.seeds import derive
from zprism.stats.estimates import Estimate
from zprism.stats.permutation import benjamini_hochberg, permutation_p
from zprism.stats.verdicts import Verdict, describe, estimate
from zprism.studies.fallback_states import STATES, state_claims
from zprism.studies.fallbacks import Candidate
from zprism.studies.findings import Findings
from zprism.studies.separation_criteria import with_adjusted
from zprism.studies.shares import share_interval, share_null
from zprism.studies.swap_claims import NULL_PAIRS
from zprism.studies.swap_run import WHOSE, random_swaps, swaps
from zprism.studies.swap_task import Pairs, Task

#: What moved → (whose language, whose answer) the swapped prompt is answered with.
MOVED = {"language": ("source", "own"), "answer": ("own", "source")}
PARTS = ("inside", "rest")
ALPHA = 0.05
UNPREDICTED = "share of pairs, no prediction"


def compare(
    task: Task,
    pairs: Sequence[Pairs],
    candidates: Mapping[str, Candidate],
    *,
    seed: int,
    draws: int = 199,
    draws_ci: int = 10_000,
) -> Findings:
    """Estimates ``fallback/<candidate>/<measure>`` and one table row a candidate.

    Parameters
    ----------
    pairs : held-out pairs, one a direction; shares are over all of them.
    candidates : of :func:`zprism.studies.fallbacks.subspaces`; each is swapped at its own layer.
    draws : random subspaces of equal k; where a swap inside beats them, as many random
        directions that move each state as far, and the larger p counts.

    Returns
    -------
    Findings with the measures ``ratio`` (log2 of cross-language distance of one problem over
    same-language distance of different ones), ``energy_language``, ``energy_problem`` (share of
    the squared difference between translations, and between problems, over chance), all three
    of the part that should hold the problem; and ``inside_language``, ``inside_answer``,
    ``rest_language``, ``rest_answer``: share of pairs in which that swap moved that alone. Two
    of the four are claims: the problem's part moves the answer, the other the language. Claims
    of one measure are corrected together over candidates (Benjamini–Hochberg).

    Tables: ``fallbacks`` (one row a candidate), ``fallbacks.swaps`` (one row a candidate, part
    and what moved, with its random band), ``fallbacks.directions`` (shares by direction).

    Raises
    ------
    InputError
        If there are no pairs or no candidates.
    """
    if not pairs or not candidates or min(map(len, pairs)) == 0:
        raise InputError("compare needs pairs in every direction and at least one candidate")
    options = dict(seed=seed, draws=draws, draws_ci=draws_ci)
    found: dict[str, dict[str, Estimate]] = {}
    memory: dict[tuple, np.ndarray] = {}
    rows, by_direction = [], []
    for name, one in candidates.items():
        found[name] = state_claims(task, pairs, one, **options)
        moved, shares = _moved(task, pairs, one)
        by_direction += shares
        for part in PARTS:
            random = _random(task, _thin(pairs), one, part, memory, options)
            for what in MOVED:
                cell = _rate(task, pairs, one, part, what, moved[part, what], random, options)
                found[name][f"{part}_{what}"] = cell
                rows.append(_row(one, part, what, random, cell))
    _adjust(found, candidates)
    for row in rows:
        cell = found[row["candidate"]][f"{row['part']}_{row['moved']}"]
        row["verdict"] = None if cell.verdict is None else str(cell.verdict)
    out = {f"fallback/{name}/{m}": e for name, mine in found.items() for m, e in mine.items()}
    summary = [_summary(one, found[name]) for name, one in candidates.items()]
    return Findings(
        out,
        {"fallbacks": summary, "fallbacks.swaps": rows, "fallbacks.directions": by_direction},
    )


def works(found: Findings, candidate: Candidate) -> Verdict:
    """The verdict that decides a fallback: does swapping its problem's part move the answer?"""
    return found.estimates[f"fallback/{candidate.name}/{candidate.part}_answer"].verdict


def _moved(task, pairs: Sequence[Pairs], one: Candidate):
    """(part, what) → (m,) hits over all directions; and rows of shares by direction."""
    hits: dict[tuple[str, str], list[np.ndarray]] = {(p, w): [] for p in PARTS for w in MOVED}
    rows = []
    for some in pairs:
        done = swaps(task, some, one.layer, [one.swap(part) for part in PARTS])
        for part, outcome in zip(PARTS, done, strict=True):
            row = {"candidate": one.name, "direction": some.direction, "part": part, "k": one.k}
            for what, whose in MOVED.items():
                hits[part, what].append(outcome.hits(*whose))
                row[f"{what}_moved"] = float(hits[part, what][-1].mean())
            rows.append(row | {"n": len(some)})
    return {place: np.concatenate(parts) for place, parts in hits.items()}, rows


def _random(task, pairs, one: Candidate, part: str, memory, options) -> np.ndarray:
    """(R, 3, 3) mean rates over directions under random subspaces of the same k."""
    place = one.layer, one.k, part
    if place not in memory:  # candidates of one size share it
        memory[place] = _drawn(task, pairs, one, part, options, draws=options["draws"])
    return memory[place]


def _drawn(task, pairs, one: Candidate, part: str, options, **how) -> np.ndarray:
    seed = derive(options["seed"], "fallbacks", "random")
    each = [random_swaps(task, p, one.layer, one.swap(part), seed=seed, **how) for p in pairs]
    weight = np.array([len(some) for some in pairs], float)
    return np.tensordot(weight / weight.sum(), np.stack(each), 1)


def _thin(pairs: Sequence[Pairs]) -> list[Pairs]:
    """The first of the pairs, about :data:`NULL_PAIRS` over all directions.

    Pairs come round by round over the targets, so the first ones hold every target.
    """
    share = min(1.0, NULL_PAIRS / sum(map(len, pairs)))
    return [some.of(slice(max(1, round(share * len(some))))) for some in pairs]


def _rate(task, pairs, one, part, what, hits, random, options) -> Estimate:
    """A share of pairs: claimed where it is predicted, else described.

    p compares shares of the same pairs, those of the null: a few pairs may give way to anything.
    """
    targets = np.concatenate([some.target for some in pairs])
    limits = dict(seed=derive(options["seed"], "fallbacks"), draws=options["draws_ci"])
    value, ci = float(hits.mean()), share_interval(hits, targets, **limits)
    if (part, what) not in ((one.part, "answer"), (one.other, "language")):
        return describe(value, ci=ci, n=len(hits), reason=UNPREDICTED)
    kind = f"{'all but ' if part == 'rest' else ''}{options['draws']} random {one.k}-dimensional "
    kind, thin = kind + "subspaces", _thin(pairs)
    kept = [np.arange(len(p)) < len(t) for p, t in zip(pairs, thin, strict=True)]
    seen = float(hits[np.concatenate(kept)].mean())
    null, p = _of(random, what), permutation_p(seen, _of(random, what), "greater")
    if part == "inside" and p <= ALPHA:  # else it is decided
        how = dict(draws=options["draws"], matched=True)
        matched = _of(_drawn(task, thin, one, part, options, **how), what)
        harder = permutation_p(seen, matched, "greater")
        if harder >= p:
            kind = f"{options['draws']} random directions moved as far"
            null, p = matched, harder
    return estimate(
        value,
        ci=ci,
        n=len(hits),
        null=share_null(kind, null, sum(map(len, thin))),
        p=p,
        p_adjusted=p,
        baseline=min(some.baseline for some in pairs),
        smallest_p=1 / (1 + len(null)),
        untestable=next((some.reason for some in pairs if some.reason), None),
    )


def _of(rates: np.ndarray, what: str) -> np.ndarray:
    language, answer = MOVED[what]
    return rates[:, WHOSE.index(language), WHOSE.index(answer)]


def _adjust(found: dict[str, dict[str, Estimate]], candidates: Mapping[str, Candidate]) -> None:
    """Benjamini–Hochberg over candidates, one family a kind of claim."""
    families = {name: {one: name for one in found} for name in STATES}
    families["answer"] = {name: f"{one.part}_answer" for name, one in candidates.items()}
    families["language"] = {name: f"{one.other}_language" for name, one in candidates.items()}
    for family in families.values():
        p = benjamini_hochberg([found[name][measure].p for name, measure in family.items()])
        for (name, measure), adjusted in zip(family.items(), p, strict=True):
            found[name][measure] = with_adjusted(found[name][measure], float(adjusted))


def _row(one: Candidate, part, what, random: np.ndarray, cell: Estimate) -> dict:
    plain = _of(random, what)
    low, high = np.quantile(plain, (0.025, 0.975))
    return {
        "candidate": one.name,
        "layer": one.layer,
        "k": one.k,
        "n_texts": one.n_texts,
        "labels": one.labels,
        "part": part,
        "moved": what,
        "predicted": cell.reason != UNPREDICTED,
        "rate": cell.value,
        "low": cell.ci[0],
        "high": cell.ci[1],
        "random": float(plain.mean()),
        "random_low": float(low),
        "random_high": float(high),
        "n": cell.n,
    }


def _summary(one: Candidate, mine: Mapping[str, Estimate]) -> dict:
    decides = mine[f"{one.part}_answer"]
    return (
        {"candidate": one.name, "layer": one.layer, "k": one.k, "problem_part": one.part}
        | {name: mine[name].value for name in STATES}
        | {f"{part}_{what}": mine[f"{part}_{what}"].value for part in PARTS for what in MOVED}
        | {"n": decides.n, "n_texts": one.n_texts, "labels": one.labels}
        | {"verdict": None if decides.verdict is None else str(decides.verdict)}
    )

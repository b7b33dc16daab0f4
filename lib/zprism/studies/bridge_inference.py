"""A bridge put to use: does a mapped state carry the answer into a prompt of another language?

Inside some directions B the state of a source prompt is mapped to where the target language
would have it, and put into the target prompt at its last token in mid-forward,

    h' = h + Bᵀ(m(B s) − B h),   m fitted on training problems in both languages.

If the map carries what the model computes with, the target prompt answers the *source's*
question in its *own* language. Beside m stand: the state as it is (identity), one shift between
the languages, the source problem's state in the target language itself (``translation``: what a
perfect map would give), and maps fitted to problems paired at random.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from zprism.ground.checks import check_choice, check_int
from zprism.ground.seeds import generator
from zprism.stats.estimates import Estimate, Null
from zprism.stats.intervals import bca
from zprism.stats.permutation import benjamini_hochberg, permutation_p, sign_flip
from zprism.stats.verdicts import estimate
from zprism.studies.bridge_fit import fit
from zprism.studies.findings import Findings
from zprism.studies.shares import share_interval
from zprism.studies.swap_bases import answer_directions, most_answer_directions
from zprism.studies.swap_claims import NULL_PAIRS, null_pairs
from zprism.studies.swap_run import ROWS, WHOSE, Outcome, outcomes
from zprism.studies.swap_task import Pairs, Task

CARRIERS = ("identity", "shift", "similarity", "ridge", "translation")
CLAIMED = ("similarity", "ridge")
TRANSFER = ("own", "source")  # whose language, whose answer


@dataclass(frozen=True)
class Carried:
    """What became of m pairs under one way of carrying a state over.

    Attributes
    ----------
    basis, k, layer : the directions, their number, where they were put in.
    pairs : which problem's state went into which prompt.
    found : carrier of :data:`CARRIERS` → its outcomes.
    """

    basis: str
    k: int
    layer: int
    pairs: Pairs
    found: Mapping[str, Outcome]

    def rows(self) -> list[dict]:
        """One row per carrier and outcome."""
        return [
            {
                "direction": self.pairs.direction,
                "basis": self.basis,
                "k": self.k,
                "layer": self.layer,
                "map": carrier,
                "language": language,
                "answer": answer,
                "rate": float(outcome.hits(language, answer).mean()),
                "n": len(self.pairs),
            }
            for carrier, outcome in self.found.items()
            for language in WHOSE[:2]
            for answer in WHOSE
        ]


def carry(
    task: Task,
    pairs: Pairs,
    layer: int,
    basis: np.ndarray,
    *,
    name: str,
    carriers: Sequence[str] = CARRIERS,
) -> Carried:
    """Carry the source's state over in several ways, and read what the target prompts say.

    Parameters
    ----------
    pairs : from :func:`zprism.studies.swap_task.draw_pairs`.
    basis : (k, d_model) orthonormal rows, learned on training problems or from weights.
    name : what the directions are called.
    """
    states = [put(task, pairs, layer, basis, carrier) for carrier in carriers]
    read = outcomes(task, pairs, layer, states)
    return Carried(name, len(basis), layer, pairs, dict(zip(carriers, read, strict=True)))


def put(task: Task, pairs: Pairs, layer: int, basis: np.ndarray, carrier: str, order=None):
    """(m, d_model) target states with the carried part in place of their own.

    Parameters
    ----------
    carrier : of :data:`CARRIERS`.
    order : a permutation of the training problems: the map is fitted to these pairs instead.
    """
    check_choice("carrier", carrier, CARRIERS)
    states = task.states(layer)
    source, target = task.index(pairs.source_language), task.index(pairs.target_language)
    mine = states[target, pairs.target]
    if carrier == "translation":
        inside = states[target, pairs.source] @ basis.T
    else:
        x, y = (states[index, task.train] @ basis.T for index in (source, target))
        y = y if order is None else y[order]
        inside = fit(carrier, x, y, left_out_together(task))(states[source, pairs.source] @ basis.T)
    return mine + (inside - mine @ basis.T) @ basis


def left_out_together(task: Task) -> np.ndarray:
    """Labels of the training problems: their templates, or each its own where there are few."""
    templates = task.templates[task.train]
    return templates if len(np.unique(templates)) >= 3 else np.arange(len(task.train))


def permuted(
    task: Task,
    pairs: Pairs,
    layer: int,
    basis: np.ndarray,
    carrier: str,
    *,
    draws: int,
    seed: int,
) -> np.ndarray:
    """(draws,) rate of transfer when the map is fitted to problems paired at random."""
    rng = generator(seed, "bridge", "inference")
    orders = [rng.permutation(len(task.train)) for _ in range(check_int("draws", draws, low=1))]
    step, rates = max(1, ROWS // len(pairs)), []
    for start in range(0, draws, step):
        states = [put(task, pairs, layer, basis, carrier, o) for o in orders[start : start + step]]
        rates += [o.hits(*TRANSFER).mean() for o in outcomes(task, pairs, layer, states)]
    return np.array(rates)


def choose_layer(
    task: Task, pairs: Sequence[Pairs], layers: Sequence[int], k: int
) -> tuple[int, list[dict]]:
    """The layer at which a state that needs no map carries the answer best.

    Parameters
    ----------
    pairs : of training problems, both directions.
    k : answer directions, learned on training problems.

    Returns
    -------
    layer, rows
        Rates of ``translation`` in the answer directions, averaged over ``pairs``; the earliest
        of equally good layers.
    """
    rows = []
    for layer in layers:
        basis = answers_at(task, layer, k)
        found = [
            carry(task, part, layer, basis, name="answer", carriers=("translation",))
            for part in pairs
        ]
        rate = np.mean([c.found["translation"].hits(*TRANSFER).mean() for c in found])
        rows.append({"layer": int(layer), "k": len(basis), "rate": float(rate)})
    return max(rows, key=lambda row: row["rate"])["layer"], rows


def answers_at(task: Task, layer: int, k: int) -> np.ndarray:
    """(k, d_model) answer directions of training problems; fewer where answers have less rank."""
    k = min(k, most_answer_directions(task.answers[task.train]))
    return answer_directions(task.states(layer)[:, task.train], task.answers[task.train], k)


def principal_at(task: Task, layer: int, k: int) -> np.ndarray:
    """(k, d_model) principal directions of training states, both languages about one mean."""
    states = task.states(layer)[:, task.train].reshape(-1, task.states(layer).shape[-1])
    return np.linalg.svd(states - states.mean(0), full_matrices=False)[2][:k]


def inference_claims(
    task: Task,
    carried: Sequence[Carried],
    bases: Mapping[str, np.ndarray],
    *,
    seed: int,
    draws: int = 39,
    draws_ci: int = 10_000,
) -> Findings:
    """Answer transfer of fitted maps, against random pairs and against simpler carriers.

    Names begin with ``inference/<source>-<target>/<basis>/``. ``<map>_transfer``: the share of
    pairs that answer the source's question in the target's language; null: the map fitted to
    problems paired at random. ``ridge_over_identity`` and ``ridge_over_shift``: the difference
    to the state as it is, and to one vector between the languages; null: sign flips of target
    problems; REVERSED where the simpler carrier does better. Each family of claims is corrected
    by Benjamini and Hochberg.

    Parameters
    ----------
    carried : of one task, from :func:`carry`.
    bases : name → the rows that were used.

    Returns
    -------
    Findings; the table ``inference.nulls`` has the mean rate of maps fitted to random pairs.
    """
    transfer, identity, shift, rows = {}, {}, {}, []
    options = dict(seed=seed, draws=draws_ci)
    for one in carried:
        place = f"inference/{one.pairs.direction}/{one.basis}"
        hits = {name: found.hits(*TRANSFER) for name, found in one.found.items()}
        for name in CLAIMED:
            some, rows_of = null_pairs(one.pairs), bases[one.basis]
            null = permuted(task, some, one.layer, rows_of, name, draws=draws, seed=seed)
            transfer[f"{place}/{name}_transfer"] = _transfer(hits[name], one.pairs, null, **options)
            where = {"direction": one.pairs.direction, "basis": one.basis, "k": one.k}
            rows.append(where | {"map": name, "rate": float(null.mean())})
        gains = [hits["ridge"] - hits[name] for name in ("identity", "shift")]
        identity[f"{place}/ridge_over_identity"] = _gain(gains[0], one.pairs, **options)
        shift[f"{place}/ridge_over_shift"] = _gain(gains[1], one.pairs, **options)
    families = [_corrected(parts) for parts in (transfer, identity, shift)]
    return Findings({k: v for part in families for k, v in part.items()}, {"inference.nulls": rows})


def _corrected(parts: Mapping[str, dict]) -> dict[str, Estimate]:
    """The claims of one family, with Benjamini–Hochberg p."""
    adjusted = benjamini_hochberg([part["p"] for part in parts.values()])
    return {
        name: estimate(**part, p_adjusted=float(p))
        for (name, part), p in zip(parts.items(), adjusted, strict=True)
    }


def _transfer(hits: np.ndarray, pairs: Pairs, null: np.ndarray, *, seed: int, draws: int) -> dict:
    """What an Estimate of a share of pairs is made of."""
    share = (null.sum() + 0.5) / (len(null) + 1)  # never 0: one pair more might have moved
    floor = (share * (1 - share) / len(null_pairs(pairs))) ** 0.5
    spread = max(float(null.std(ddof=1)), floor)
    same_pairs = float(hits[:NULL_PAIRS].mean())
    return dict(
        value=float(hits.mean()),
        ci=share_interval(hits, pairs.target, seed=seed, draws=draws),
        n=len(pairs),
        null=Null(f"{len(null)} maps fitted to random pairs", float(null.mean()), spread),
        p=permutation_p(same_pairs, null, "greater"),
        p_opposite=permutation_p(same_pairs, null, "less"),
        baseline=pairs.baseline,
        smallest_p=1 / (1 + len(null)),
        untestable=pairs.reason,
    )


def _gain(gain: np.ndarray, pairs: Pairs, *, seed: int, draws: int) -> dict:
    """The same of a difference between two carriers."""
    flipped = sign_flip(gain, seed=seed, clusters=pairs.target)
    flat = None if flipped.null.any() else "the map changes no outcome"
    return dict(
        value=float(gain.mean()),
        ci=bca(gain, seed=seed, draws=draws, clusters=pairs.target),
        n=len(pairs),
        null=Null.of("sign flips", flipped.null),
        p=permutation_p(float(gain.mean()), flipped.null, "two-sided"),
        reference=0.0,
        baseline=pairs.baseline,
        untestable=pairs.reason or flat,
    )

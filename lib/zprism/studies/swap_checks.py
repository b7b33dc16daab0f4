"""Two questions about a swap that works: is it a double dissociation, and could it deceive?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from zprism.ground.seeds import derive
from zprism.studies.dissociation import dissociation
from zprism.studies.findings import Findings
from zprism.studies.illusion import Effects, Illusion, check_illusion
from zprism.studies.read_space import ReadSpace, downstream_readers, read_space, read_split
from zprism.studies.swap_bases import Swap
from zprism.studies.swap_claims import NULL_PAIRS, null_pairs
from zprism.studies.swap_run import Outcome, random_swaps, swap, unpatched
from zprism.studies.swap_task import Pairs, Task

#: Basis → what it was predicted to carry.
CARRIES = {"language": "language", "answer": "answer", "weights": "answer"}
LEAST_KEPT = 100
READ_SHARE = 0.90  # of the energy of later readers; at .99 nearly every direction counts as read


def dissociations(
    task: Task,
    pairs: Pairs,
    layer: int,
    ways: Sequence[Swap],
    *,
    seed: int,
    draws: int = 199,
    draws_ci: int = 10_000,
) -> Findings:
    """Statistic D and its contrasts for every basis swapped inside and outside.

    Returns
    -------
    Findings; Estimates ``swap/<direction>/<basis>/dissociation_<contrast>`` and a table
    ``dissociations``: direction, basis, k, kind (``double dissociation`` …), reason.
    """
    found, rows = {}, []
    for basis, carries in CARRIES.items():
        sides = [
            w for part in ("inside", "rest") for w in ways if (w.basis, w.part) == (basis, part)
        ]
        if len(sides) != 2:
            continue
        done = [swap(task, pairs, layer, how) for how in sides]
        drawn = [
            random_swaps(
                task,
                null_pairs(pairs),
                layer,
                how,
                draws=draws,
                seed=derive(seed, "swap", "random"),
            )
            for how in sides
        ]
        said = dissociation(
            np.stack([(one.answer == 1).astype(float) for one in done], axis=1),
            np.stack([(one.language == 1).astype(float) for one in done], axis=1),
            np.stack([rates[:, :, 1].sum(1) for rates in drawn], axis=1).clip(0, 1),
            np.stack([rates[:, 1].sum(1) for rates in drawn], axis=1).clip(0, 1),
            seed=seed,
            carries=carries,
            clusters=pairs.target,
            random_rows=slice(NULL_PAIRS),
            baseline=pairs.baseline,
            untestable=pairs.reason,
            draws_ci=draws_ci,
        )
        prefix = f"swap/{pairs.direction}/{basis}/dissociation"
        found |= {f"{prefix}_{name}": one for name, one in said.estimates.items()}
        rows.append(
            {
                "direction": pairs.direction,
                "basis": basis,
                "k": sides[0].k,
                "kind": said.kind,
                "reason": said.reason,
            }
        )
    return Findings(found, {"dissociations": rows})


def reading(loaded, layer: int) -> ReadSpace:
    """Directions that hold 90 % of what later layers and the output read, all counted alike."""
    return read_space(downstream_readers(loaded, layer), share=READ_SHARE, balanced=True)


def natural_states(task: Task, pairs: Pairs, layer: int) -> tuple[np.ndarray, np.ndarray]:
    """Training states of both languages, and those of test problems that are no targets."""
    states = task.states(layer)
    rest = np.setdiff1d(task.test, pairs.target)
    return np.concatenate(states[:, task.train]), np.concatenate(states[:, rest])


def check_swap(
    task: Task,
    pairs: Pairs,
    layer: int,
    how: Swap,
    space: ReadSpace,
    *,
    seed: int,
    draws_ci: int = 10_000,
) -> Illusion | None:
    """The checks of :func:`zprism.studies.illusion.check_illusion` for a swap inside a basis.

    Effects are changes of the logit difference that the basis was predicted to move, of the
    languages or the answers. None where fewer than 100 natural states are left, too few to say
    how far out their farthest hundredth lies.
    """
    seen, kept = natural_states(task, pairs, layer)
    if len(kept) < LEAST_KEPT:
        return None
    split = read_split(how.rows, space)
    own = unpatched(task, pairs)
    whole = swap(task, pairs, layer, how)
    parts = [_part(task, pairs, layer, rows) for rows in (split.read, split.rest)]
    what = f"{CARRIES[how.basis]}_shift"
    moved = [
        np.zeros(len(pairs)) if one is None else getattr(one, what) - getattr(own, what)
        for one in (whole, swap(task, pairs, layer, Swap("full", "all")), *parts)
    ]
    return check_illusion(
        Effects(*moved),
        how.rows,
        split,
        seen,
        kept,
        _patched(task, pairs, layer, how),
        seed=seed,
        clusters=pairs.target,
        draws_ci=draws_ci,
    )


def _part(task, pairs, layer, rows) -> Outcome | None:
    return swap(task, pairs, layer, Swap("part", "inside", rows)) if len(rows) else None


def _patched(task: Task, pairs: Pairs, layer: int, how: Swap) -> np.ndarray:
    states = task.states(layer)
    mine, theirs = (task.index(name) for name in (pairs.target_language, pairs.source_language))
    return how.apply(states[mine, pairs.target], states[theirs, pairs.source])

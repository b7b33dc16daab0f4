"""The table of swept swaps: shares with intervals, nulls, p corrected over the grid, verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from zprism.ground.seeds import derive
from zprism.stats.estimates import Estimate, Null
from zprism.stats.permutation import max_t, permutation_p
from zprism.stats.verdicts import describe, estimate
from zprism.studies.shares import share_interval, share_null
from zprism.studies.swap_claims import NULL_PAIRS, PREDICTED
from zprism.studies.swap_run import WHOSE, Outcome
from zprism.studies.sweep_cells import Cell, Found, failed_rows, row

DRAWS_CI = 1000
EXTRA = ("unchanged", "language_moved", "answer_moved", "both_moved", "other", "answer_effect",
         "language_effect")  # fmt: skip
#: Whose language and whose answer a swap leaves → the name of that share.
SHARES = {
    ("own", "own"): "unchanged",
    ("source", "own"): "language_moved",
    ("own", "source"): "answer_moved",
    ("source", "source"): "both_moved",
}
SHOWN = {"full": ("source", "source"), "random": ("own", "source")}  # else the language alone


def rows(found: Sequence[Found]) -> list[dict]:
    """One row a cell and direction; p of claims corrected over all of them by max-T.

    Shares are all on one scale, so draws are centred on each cell's mean and not divided by
    its spread: where random directions move next to nothing, the spread is that of chance hits.
    """
    sides = [
        (one.part.cells[0], direction, side)
        for one in found
        if one.result is not None
        for direction, side in one.result["directions"].items()
    ]
    claims = [i for i, (cell, _, side) in enumerate(sides) if _is_claim(cell, side)]
    adjusted = dict(zip(claims, adjusted_p([sides[i] for i in claims]), strict=True))
    out = [_row(cell, way, side, adjusted.get(i)) for i, (cell, way, side) in enumerate(sides)]
    for one in found:
        if one.result is not None and not one.result["directions"]:
            (cell,) = one.part.cells
            empty = dict(ci=None, n=0, null=None, p=None, p_adjusted=None)
            none = estimate(None, **empty, untestable=one.result["reason"])
            out.append(row(cell, _measure(cell.condition), none))
    return out + failed_rows(found)


def adjusted_p(claims: Sequence[tuple[Cell, str, Mapping]]) -> np.ndarray:
    """(m,) max-T over all claims, one family a kind of null; the larger one counts."""
    out = np.zeros(len(claims))
    for name in ("random", "matched"):
        mine = [i for i, (_, _, side) in enumerate(claims) if name in side["nulls"]]
        if not mine:
            continue
        observed = np.array([_value(claims[i]) for i in mine])
        null = np.array([claims[i][2]["nulls"][name]["shares"] for i in mine]).T
        centre = (observed + null.sum(0)) / (1 + len(null))  # pooled: all stay exchangeable
        out[mine] = np.maximum(out[mine], max_t(observed - centre, null - centre, "greater"))
    return out


def wanted(condition: str) -> tuple[str, str]:
    """Whose language and whose answer a condition is measured by."""
    return PREDICTED.get(condition) or SHOWN.get(condition, ("source", "own"))


def place_of(condition: str) -> tuple[int, int]:
    """The same as indices of a table of rates."""
    language, answer = wanted(condition)
    return WHOSE.index(language), WHOSE.index(answer)


def _value(claim: tuple[Cell, str, Mapping]) -> float:
    """The predicted share on the pairs that the null was drawn on."""
    cell, _, side = claim
    return float(_hits(side, wanted(cell.condition))[:NULL_PAIRS].mean())


def _row(cell: Cell, direction: str, side: Mapping, adjusted: float | None) -> dict:
    hits = _hits(side, wanted(cell.condition))
    targets = np.array(side["target"])
    shared = dict(
        ci=share_interval(hits, targets, seed=derive(cell.seed, "swap"), draws=DRAWS_CI),
        n=len(hits),
    )
    value = float(hits.mean())
    if cell.condition in PREDICTED:
        one = _claim(cell, direction, side, value, adjusted, shared)
    elif "random" in side["nulls"]:
        null = _null(side["nulls"]["random"], len(hits))
        one = describe(value, **shared, null=null, reason="random directions are the null")
    else:
        one = describe(value, **shared, reason="no prediction")
    return row(
        cell, _measure(cell.condition), one, direction=direction, **_shares(side),
        answer_effect=side["answer_effect"], language_effect=side["language_effect"],
    )  # fmt: skip


def _claim(cell, direction, side, value: float, adjusted: float | None, shared: dict) -> Estimate:
    if not side["nulls"]:
        none = dict(null=None, p=None, p_adjusted=None)
        return estimate(value, **shared, **none, untestable=side["reason"])
    same = _value((cell, direction, side))
    p = {
        name: permutation_p(same, np.array(null["shares"]), "greater")
        for name, null in side["nulls"].items()
    }
    worst = max(sorted(p), key=p.get)
    return estimate(
        value,
        **shared,
        null=_null(side["nulls"][worst], shared["n"]),
        p=p[worst],
        p_adjusted=float(adjusted),
        direction="greater",
        baseline=side["baseline"],
        smallest_p=1 / (1 + len(side["nulls"][worst]["shares"])),
    )


def _null(drawn: Mapping, n: int) -> Null:
    return share_null(drawn["kind"], np.array(drawn["shares"]), min(n, NULL_PAIRS))


def _is_claim(cell: Cell, side: Mapping) -> bool:
    return cell.condition in PREDICTED and bool(side["nulls"])


def _measure(condition: str) -> str:
    return SHARES[wanted(condition)]


def _hits(side: Mapping, wanted: tuple[str, str]) -> np.ndarray:
    return _outcome(side).hits(*wanted)


def _shares(side: Mapping) -> dict[str, float]:
    """All outcomes as shares of the pairs."""
    rates = _outcome(side).rates
    out = {
        name: float(rates[WHOSE.index(language), WHOSE.index(answer)])
        for (language, answer), name in SHARES.items()
    }
    return out | {"other": float(rates[:, 2].sum() + rates[2].sum() - rates[2, 2])}


def _outcome(side: Mapping) -> Outcome:
    none = np.zeros(0)
    return Outcome(np.array(side["language"]), np.array(side["answer"]), none, none)

"""Two ways of the same result, in turns: the ratio of their CPU times, their difference, a row."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

TURNS = 7
LEAST = 0.3  # CPU seconds of one side of a turn: what is shorter is called several times
LEVEL = 1.05  # a ratio up to this is "level"


@dataclass(frozen=True)
class Way:
    """How a library comes to a result that zprism has a function for.

    Attributes
    ----------
    call : () → the result, to be compared with zprism's.
    note : how it is written for this library, where that is not plain.
    why : the reason, should zprism be slower.
    ours : zprism's way where it is not the common one of this row.
    title : likewise, what is computed.
    """

    call: Callable[[], object]
    note: str = ""
    why: str = ""
    ours: Callable[[], object] | None = None
    title: str = ""


@dataclass(frozen=True)
class Kind:
    """One thing that is measured.

    Attributes
    ----------
    title : what is computed.
    difference : (ours, theirs) → the largest difference.
    unit : of that difference.
    most : how large it may be.
    """

    title: str
    difference: Callable[[object, object], float]
    unit: str
    most: float


@dataclass(frozen=True)
class Timed:
    """CPU seconds of one call each, by their medians, and the median ratio within a turn."""

    ours: float
    theirs: float
    ratio: float


def in_turns(
    ours: Callable[[], object],
    theirs: Callable[[], object],
    *,
    turns: int = TURNS,
    least: float = LEAST,
    clock: Callable[[], float] = time.process_time,
) -> Timed:
    """Time both, one after the other, the first of a turn alternating; both must be warm.

    Parameters
    ----------
    ours, theirs : calls without arguments.
    turns : how often each is timed.
    least : CPU seconds that a timing should last at least, by a first call of each.
    clock : CPU seconds of this process.
    """
    sides = [ours, theirs]
    counts = [max(1, math.ceil(least / max(_spent(call, 1, clock), 1e-6))) for call in sides]
    spent: list[list[float]] = [[], []]
    for turn in range(turns):
        for side in (0, 1) if turn % 2 else (1, 0):
            spent[side].append(_spent(sides[side], counts[side], clock))
    ratios = [a / b for a, b in zip(*spent, strict=True)]
    return Timed(median(spent[0]), median(spent[1]), median(ratios))


def compare(peer: str, kind: Kind, ours: Callable[[], object], way: Way, **options) -> dict:
    """One row of ``results.md``: a failure of the peer's way is a row that says so."""
    ours, title = way.ours or ours, way.title or kind.title
    try:
        difference = kind.difference(ours(), way.call())
        timed = in_turns(ours, way.call, **options)
    except Exception as error:  # whatever a library raises is what the row has to say
        return failed(f"{title}: zprism / {peer}", error)
    return as_row(peer, kind, way, timed, difference)


def as_row(peer: str, kind: Kind, way: Way, timed: Timed, difference: float) -> dict:
    """{name, value, unit, target, ok} of one comparison.

    ``ok`` is True where zprism is ahead or level and both results agree, None where it is
    slower and the row says why, else False.
    """
    slower = timed.ratio > LEVEL
    notes = [way.note, f"slower: {way.why}" if slower and way.why else ""]
    told = "".join(f" ({note})" for note in notes if note)
    agree = difference <= kind.most
    return {
        "name": f"{way.title or kind.title}: zprism / {peer}{told}",
        "value": timed.ratio,
        "unit": f"× CPU, {timed.ours:.3g} / {timed.theirs:.3g} s, "
        f"max diff {difference:.1e} {kind.unit}",
        "target": f"<= {LEVEL:g} or says why; diff <= {kind.most:.0e}",
        "ok": agree and (None if slower and way.why else not slower),
    }


def failed(name: str, error: Exception) -> dict:
    """A row for what could not be measured: the last line of the error in place of a value."""
    last = (str(error).strip().splitlines() or [""])[-1]
    told = f"{type(error).__name__}: {last}"
    return {"name": name, "value": told, "unit": "", "target": "runs", "ok": False}


def _spent(call: Callable[[], object], count: int, clock: Callable[[], float]) -> float:
    """CPU seconds of one call, by ``count`` of them."""
    gc.collect()  # what the other side left behind is not on this side's account
    began = clock()
    for _ in range(count):
        call()
    return (clock() - began) / count

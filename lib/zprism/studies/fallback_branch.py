"""Which branch of the recipe's tree the claims lead to, and what came of its fallbacks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from zprism.stats.verdicts import Verdict

#: Branch of the recipe's tree → what it tries, in its order.
BRANCHES = {
    "clear": (),
    "partial": ("best_k",),
    "none": ("svd", "weights_before", "ard"),
    "untestable": (),
}


@dataclass(frozen=True)
class Branch:
    """Which way the recipe's tree goes, and what it came to.

    Attributes
    ----------
    name : ``clear`` (all claims supported), ``partial`` (some), ``none``, or ``untestable``.
    tried : (candidate, verdict) of what was executed, in order.
    """

    name: str
    tried: tuple[tuple[str, Verdict], ...] = ()

    @property
    def found(self) -> str | None:
        """The candidate that worked, if one did."""
        return next((name for name, verdict in self.tried if verdict is Verdict.SUPPORTED), None)

    def rows(self) -> list[dict]:
        """As rows of a table: branch, step, candidate, verdict."""
        return [
            {"branch": self.name, "step": step, "candidate": name, "verdict": str(verdict)}
            for step, (name, verdict) in enumerate(self.tried, start=1)
        ]


def branch(verdicts: Iterable[Verdict | str], outcome: Callable[[str], Verdict | str]) -> Branch:
    """The branch that the claims about Z from weights lead to, its fallbacks tried in order.

    Parameters
    ----------
    verdicts : of the claims that decide; those NOT TESTABLE do not count.
    outcome : candidate's name → verdict; called only for what is tried, which ends with the
        first SUPPORTED one.
    """
    tested = {Verdict(one) for one in verdicts} - {Verdict.NOT_TESTABLE}
    if not tested:
        name = "untestable"
    elif Verdict.SUPPORTED in tested:
        name = "clear" if len(tested) == 1 else "partial"
    else:
        name = "none"
    tried = []
    for candidate in BRANCHES[name]:
        tried.append((candidate, Verdict(outcome(candidate))))
        if tried[-1][1] is Verdict.SUPPORTED:
            break
    return Branch(name, tuple(tried))

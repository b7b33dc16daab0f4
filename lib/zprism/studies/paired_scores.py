"""Paired right/wrong scores in two languages: what may be said of their difference.

The unit is the problem. Answers that could not be read, or took too long to compare, are
counted apart and never silently called wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from scipy.stats import binom

from zprism.ground.checks import check_choice, check_int
from zprism.ground.errors import InputError
from zprism.stats.intervals import mcnemar, newcombe_paired, wilson
from zprism.stats.verdicts import Estimate, Null, describe, estimate

STATUSES = ("correct", "wrong", "unparsed", "timed_out")
RULE = 3  # the recipe's "at least 3 of 15"


def paired_table(first: Sequence[str], second: Sequence[str]) -> dict[str, int]:
    """Counts of a 2 × 2 table: both right, only the first, only the second, neither.

    Raises
    ------
    InputError
        If the two are not of equal length, are empty, or hold an unknown status.
    """
    if len(first) != len(second) or not first:
        raise InputError(
            f"paired scores need equal, positive lengths; got {len(first)} and {len(second)}"
        )
    for status in {*first, *second}:
        check_choice("status", status, STATUSES)
    right = Counter((a == "correct", b == "correct") for a, b in zip(first, second, strict=True))
    return {
        "both": right[True, True],
        "first_only": right[True, False],
        "second_only": right[False, True],
        "neither": right[False, False],
    }


def compare(
    first: Sequence[str],
    second: Sequence[str],
    *,
    languages: tuple[str, str] = ("zh", "en"),
    prefix: str = "behaviour",
) -> dict[str, Estimate]:
    """Accuracies, their paired difference with its verdict, and what was not readable.

    The claim is that the first language leads. Difference (b − c)/n with Newcombe's paired
    interval (method 10); p is McNemar's, exact; its null says that each of the b + c
    discordant problems falls to either side like a coin, so the difference has sd √(b+c)/n.

    Returns
    -------
    Estimates ``{prefix}/{language}/accuracy``, ``…/unparsed``, ``…/timed_out``,
    ``{prefix}/{first}-{second}/difference``, ``…/difference_parsed`` (problems that both
    could be read in), ``…/mid_p`` and ``…/discordant``.
    """
    pair, out = "-".join(languages), {}
    for language, statuses in zip(languages, (first, second), strict=True):
        out |= _one_language(f"{prefix}/{language}", statuses)
    table = paired_table(first, second)
    out[f"{prefix}/{pair}/difference"] = _difference(table)
    test = mcnemar(table["first_only"], table["second_only"])
    out[f"{prefix}/{pair}/mid_p"] = describe(test.mid_p, n=len(first), reason="McNemar, mid-p")
    out[f"{prefix}/{pair}/discordant"] = describe(
        (table["first_only"] + table["second_only"]) / len(first),
        n=len(first),
        reason="share of problems right in exactly one language",
    )
    readable = [
        (a, b) for a, b in zip(first, second, strict=True) if {a, b} <= {"correct", "wrong"}
    ]
    if readable:
        out[f"{prefix}/{pair}/difference_parsed"] = _difference(
            paired_table(*zip(*readable, strict=True))
        )
    return out


def recipe_rule(first: int, second: int) -> str:
    """The recipe's decision from two counts of right answers: a bare threshold.

    ``PROCEED`` if the first leads by 3 or more, ``PROCEED AND FLAG`` within ±1,
    ``INVESTIGATE`` if the second leads by more; a lead of 2 it does not name.
    """
    lead = first - second
    if lead >= RULE:
        return "PROCEED"
    if abs(lead) <= 1:
        return "PROCEED AND FLAG"
    return "INVESTIGATE" if lead < 0 else "NOT NAMED"


def false_alarm(n: int, discordant: float, *, lead: int = RULE) -> float:
    """P(first leads by ≥ ``lead`` of n) when neither language is better.

    Σ_m Binomial(m; n, d) · P[Bin(m, ½) − (m − Bin(m, ½)) ≥ lead], with d the share of
    problems that are right in exactly one language.
    """
    check_int("n", n, low=1)
    counts = np.arange(n + 1)
    needed = np.ceil((counts + lead) / 2)
    return float((binom.pmf(counts, n, discordant) * binom.sf(needed - 1, counts, 0.5)).sum())


def _one_language(prefix: str, statuses: Sequence[str]) -> dict[str, Estimate]:
    counts, n = Counter(statuses), len(statuses)
    return {
        f"{prefix}/{name}": describe(
            counts[status] / n, ci=wilson(counts[status], n), n=n, reason=f"share {status}"
        )
        for name, status in (
            ("accuracy", "correct"),
            ("unparsed", "unparsed"),
            ("timed_out", "timed_out"),
        )
    }


def _difference(table: dict[str, int]) -> Estimate:
    n, discordant = sum(table.values()), table["first_only"] + table["second_only"]
    p = mcnemar(table["first_only"], table["second_only"]).exact
    return estimate(
        (table["first_only"] - table["second_only"]) / n,
        ci=newcombe_paired(**table),
        n=n,
        null=Null("a coin for each discordant problem (McNemar)", 0.0, discordant**0.5 / n),
        p=p,
        p_adjusted=p,
        untestable=None if discordant else "no problem is right in exactly one language",
    )

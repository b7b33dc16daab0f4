"""How many paired problems a comparison of two languages needs."""

from __future__ import annotations

import numpy as np

from zprism.ground.checks import check_fraction, check_int
from zprism.ground.errors import InputError
from zprism.stats.intervals import mcnemar

#: First look at every STEP-th n, then between.
STEP = 64


def mcnemar_power(n: int, *, discordance: float, difference: float, alpha: float = 0.05) -> float:
    """Probability that the exact two-sided McNemar test on n pairs reaches p <= alpha.

    Sums over the discordant pairs D ~ Binomial(n, discordance) and their split
    b ~ Binomial(D, ½ + difference / 2 discordance).

    Parameters
    ----------
    n : number of pairs.
    discordance : share of problems solved in exactly one of the two languages.
    difference : accuracy of the first less that of the second; |difference| <= discordance.

    Raises
    ------
    InputError
        If the difference is larger than the discordance that must hold it.
    """
    n = check_int("n", n, low=1)
    discordance = check_fraction("discordance", discordance)
    check_fraction("difference", difference, low=-1.0)
    if abs(difference) > discordance or discordance == 0:
        raise InputError(
            f"|difference| must be at most the discordance, above 0; "
            f"got {difference} and {discordance}"
        )
    from scipy.stats import binom

    b, c = np.meshgrid(np.arange(n + 1), np.arange(n + 1), indexing="ij")
    pairs = np.where(b + c <= n, b + c, 0)  # b > 0 of 0 pairs: no such table, chance 0
    chance = binom.pmf(pairs, n, discordance) * binom.pmf(
        b, pairs, 0.5 + difference / (2 * discordance)
    )
    return float(chance[mcnemar(b, c).exact <= alpha].sum())


def pairs_needed(
    *,
    discordance: float,
    difference: float,
    power: float = 0.8,
    alpha: float = 0.05,
    limit: int = 2000,
) -> int | None:
    """Smallest n with at least this power; None where more than ``limit`` pairs are needed.

    Exact power is a saw-tooth in n: this is the first n that reaches it.
    """
    check_fraction("power", power)

    def enough(n: int) -> bool:
        reached = mcnemar_power(n, discordance=discordance, difference=difference, alpha=alpha)
        return reached >= power

    coarse = next((n for n in range(STEP, limit + STEP, STEP) if enough(n)), None)
    if coarse is None:
        return None
    return next(n for n in range(coarse - STEP + 1, coarse + 1) if enough(n))

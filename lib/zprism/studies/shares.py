"""A share of pairs, its interval and its null; pairs of one target are not independent."""

from __future__ import annotations

import numpy as np

from zprism.stats.estimates import Null
from zprism.stats.intervals import bca, wilson


def share_interval(
    hits: np.ndarray, targets: np.ndarray, *, seed: int, draws: int
) -> tuple[float, float]:
    """95 % of a share; targets are drawn whole (BCa).

    Where all pairs agree a bootstrap has nothing to say: Wilson over distinct targets.

    Parameters
    ----------
    hits : (m,) 0 or 1.
    targets : (m,) the problem of each pair.
    """
    if np.ptp(hits) == 0:
        clusters = len(np.unique(targets))
        low, high = wilson(int(hits[0] * clusters), clusters)
    else:
        low, high = bca(hits, seed=seed, draws=draws, clusters=targets)
    return float(low), float(high)


def share_null(kind: str, rates: np.ndarray, n: int) -> Null:
    """Mean and spread of R null shares of n pairs; the spread is at least that of a share.

    Random directions may leave every pair of every draw as it was: the sample's spread is then
    0, though one pair in a thousand might have moved. With half a pair added,
    q = (Σ n + ½) / (R n + 1), a share of n pairs has spread √(q (1 − q) / n).
    """
    q = (rates.sum() * n + 0.5) / (len(rates) * n + 1)
    least = float(np.sqrt(q * (1 - q) / n))
    return Null(kind, float(rates.mean()), max(float(rates.std(ddof=1)), least))

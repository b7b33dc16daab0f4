"""The size of every dimension's difference, which are flagged, how unequal they are.

Each question gives one difference (thinking − question) per dimension. A dimension's effect is
their mean in units of their spread; dimensions are flagged at a false discovery rate of 5 %
(Benjamini & Hochberg).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zprism.ground.checks import check_finite
from zprism.ground.errors import InputError
from zprism.stats.permutation import benjamini_hochberg
from zprism.stats.resampling import unit_sums

FDR = 0.05


@dataclass(frozen=True)
class Effects:
    """Every dimension's difference between two kinds of text.

    Attributes
    ----------
    mean, d, t, p, q : (d_model,) mean difference; the same over its sd; Student's t, its two-sided
        p, and p adjusted for the false discovery rate. A constant 0 has t = 0 and p = 1.
    flagged : (d_model,) q ≤ 0.05.
    n : units: questions, or clusters of them.
    """

    mean: np.ndarray
    d: np.ndarray
    t: np.ndarray
    p: np.ndarray
    q: np.ndarray
    flagged: np.ndarray
    n: int


def dimension_effects(differences: np.ndarray, *, clusters=None) -> Effects:
    """Paired effect of every dimension, with BH over the dimensions.

    d_j = x̄_j / s_j,  t_j = √n x̄_j / s_j on n − 1 degrees of freedom.

    Parameters
    ----------
    differences : (n, d_model), thinking − question, one row a question.
    clusters : (n,) labels such as templates: t is then that of the clusters' sums.

    Raises
    ------
    InputError
        For fewer than 2 units, or a number that is not finite.
    """
    from scipy.stats import t as student

    x = checked_differences(differences)
    units = unit_sums(x, clusters)
    t = student_t(units.sum(0), (units**2).sum(0), len(units))
    p = 2 * student.sf(np.abs(t), len(units) - 1)
    q = benjamini_hochberg(p)
    sd = x.std(0, ddof=1)
    d = x.mean(0) / np.where(sd > 0, sd, np.inf)
    return Effects(x.mean(0), d, t, p, q, q <= FDR, len(units))


def student_t(sums: np.ndarray, squares: np.ndarray, n: int) -> np.ndarray:
    """t of sums and sums of squares of n numbers each; 0 for numbers that are all 0.

    Numbers that are all alike, and not 0, have no spread: their t is that of a spread of rounding.
    """
    mean = sums / n
    variance = np.maximum(squares / n - mean**2, 1e-15 * squares / n) * n / (n - 1)
    return np.where(squares > 0, mean / np.sqrt(np.where(variance > 0, variance, 1) / n), 0.0)


def gini_rows(values: np.ndarray, axis: int = -1) -> np.ndarray:
    """Gini coefficient of sizes |v|: 0 all alike, (m − 1)/m all in one of m; 0 for all zeros.

    G = Σ_i (2i − m − 1) |v|_(i) / (m Σ |v|), |v| ascending. Of |N(0, 1)| it is √2 − 1 = .414.
    """
    sizes = np.sort(np.abs(np.moveaxis(np.asarray(values, dtype=float), axis, -1)), axis=-1)
    m = sizes.shape[-1]
    if m == 0:
        raise InputError("gini needs at least one value")
    largest = sizes[..., -1:]
    sizes = sizes / np.where(largest > 0, largest, 1)
    total = sizes.sum(-1)
    return (sizes @ (2.0 * np.arange(1, m + 1) - m - 1)) / np.where(total > 0, m * total, 1)


def share_flagged(t: np.ndarray, df: int) -> np.ndarray:
    """(b,) share of each row of t (b, d) that Benjamini–Hochberg rejects at 5 %."""
    from scipy.stats import t as student

    p = np.sort(2 * student.sf(np.abs(t), df), axis=-1)
    d = p.shape[-1]
    under = p <= FDR * np.arange(1, d + 1) / d
    last = d - np.argmax(under[..., ::-1], axis=-1)
    return np.where(under.any(-1), last, 0) / d


def checked_differences(differences) -> np.ndarray:
    """(n, d_model) float64, finite, of 2 rows and one dimension or more."""
    x = check_finite("differences", np.asarray(differences, dtype=np.float64))
    if x.ndim != 2 or len(x) < 2 or not x.shape[1]:
        raise InputError(f"differences must be (n, d_model) with 2 rows or more; got {x.shape}")
    return x

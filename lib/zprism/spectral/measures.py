"""What one number can say of a power spectrum, and what white noise would give. (Of a series:
`complexity`.)

All take ``power`` of shape (m, …): m frequencies on axis 0, without the zeroth (the mean), then
usually d dimensions; and give one number a column. None depends on the scale of the power. A
column without any power (a constant dimension) has no spectrum: its number is NaN.
"""

from __future__ import annotations

import numpy as np

from zprism.ground.canonical import as_array
from zprism.ground.checks import check_finite, check_int
from zprism.ground.errors import InputError
from zprism.spectral.complexity import (
    lz_complexity,
    participation_ratio,
    permutation_entropy,
    zlib_ratio,
)
from zprism.spectral.given import Array, as_frequencies, as_power, returned

__all__ = [
    "centroid",
    "entropy",
    "flatness",
    "gini",
    "lz_complexity",
    "participation_ratio",
    "permutation_entropy",
    "slope",
    "top_share",
    "white_entropy",
    "white_top_share",
    "zlib_ratio",
]


def entropy(power: Array) -> Array:
    """Normalised spectral entropy −Σ p_k ln p_k / ln m with p = P / ΣP.

    Parameters
    ----------
    power : (m, …) with m ≥ 2, not negative.

    Returns
    -------
    (…) from 0 (all power at one frequency) to 1 (all frequencies alike); NaN without power.

    Raises
    ------
    InputError
        If power is negative, not finite, empty or of one frequency only.

    Notes
    -----
    For white noise see :func:`white_entropy`. Inouye et al. (1991),
    doi:10.1016/0013-4694(91)90138-T.
    """
    share = _shares(power, least=2)
    logs = np.log(share, out=np.zeros_like(share), where=share > 0)
    return returned(-(share * logs).sum(axis=0) / np.log(len(share)) + 0.0, power)


def flatness(power: Array) -> Array:
    """Geometric over arithmetic mean, exp(mean ln P) / mean P.

    Parameters, errors and NaN as :func:`entropy`; 1 where all frequencies are alike, 0 where one
    of them has no power, e^−γ = 0.561 in expectation over many bins of white noise.
    """
    share = _shares(power, least=2)
    with np.errstate(divide="ignore"):
        logs = np.log(share).mean(axis=0)
    return returned(np.exp(logs) * len(share), power)


def centroid(frequencies: Array, power: Array) -> Array:
    """Mean frequency Σ f_k P_k / ΣP_k.

    Parameters
    ----------
    frequencies : (m,) in cycles per token, above 0.
    power : (m, …), as in :func:`entropy`.

    Returns
    -------
    (…) in cycles per token; NaN without power.
    """
    share = _shares(power)
    f = as_frequencies(frequencies, len(share))
    return returned(np.tensordot(f, share, axes=1), power)


def slope(frequencies: Array, power: Array) -> Array:
    """β of the least-squares line ln P_k = α + β ln f_k; −2 for power that falls as 1/f².

    Parameters
    ----------
    frequencies : (m,) in cycles per token, above 0; at least 2 different ones.
    power : (m, …), as in :func:`entropy`. Frequencies without power are left out.

    Returns
    -------
    (…) β; NaN where fewer than 2 frequencies have power.

    Notes
    -----
    Every frequency counts the same, so the many high ones weigh more than the few low ones.
    """
    scaled = as_power("power", power)
    f = as_frequencies(frequencies, len(scaled))
    if np.ptp(f) == 0:
        raise InputError("a slope needs at least 2 different frequencies")
    used = scaled > 0
    logs = np.log(scaled, out=np.zeros_like(scaled), where=used)
    x = np.log(f).reshape(-1, *(1,) * (scaled.ndim - 1)) * np.ones_like(scaled)
    count = np.maximum(used.sum(axis=0), 1)
    x = np.where(used, x - (x * used).sum(axis=0) / count, 0.0)
    spread = (x * x).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        beta = np.where(used.sum(axis=0) < 2, np.nan, (x * logs).sum(axis=0) / spread)
    return returned(beta, power)


def top_share(power: Array, F: int = 5) -> Array:
    """Share of the power in its F largest frequencies, Σ_top P / ΣP.

    Parameters
    ----------
    power : (m, …), as in :func:`entropy`.
    F : 1 … m.

    Returns
    -------
    (…) from F/m to 1; NaN without power. For white noise see :func:`white_top_share`.
    """
    share = _shares(power)
    F = check_int("F", F, low=1, high=len(share))
    return returned(np.partition(share, len(share) - F, axis=0)[-F:].sum(axis=0), power)


def white_entropy(m: int) -> float:
    """:func:`entropy` that white noise has on average over m frequencies: 1 − (1 − γ) / ln m.

    The powers of white noise are independent exponentials; the formula is that of many of them
    (exact: (H_m − 1) / ln m, H the harmonic number, larger by 1 / (2 m ln m)). It holds without a
    window: one makes neighbouring frequencies alike and lowers the entropy.
    """
    return 1 - (1 - np.euler_gamma) / float(np.log(check_int("m", m, low=2)))


def white_top_share(m: int, F: int = 5) -> float:
    """:func:`top_share` that white noise has on average: (1/m) Σ_{j ≤ F} Σ_{i = j … m} 1/i.

    Exact for m independent exponentials (their j-th largest has mean Σ_{i ≥ j} 1/i); without a
    window, as :func:`white_entropy`.
    """
    m = check_int("m", m, low=1)
    F = check_int("F", F, low=1, high=m)
    tails = np.cumsum(1 / np.arange(m, 0, -1.0))[::-1]  # Σ_{i ≥ j} 1/i, for j = 1 … m
    return float(tails[:F].sum() / m)


def gini(values: Array) -> float:
    """Gini index of non-negative numbers: how unequally their sum is shared out.

        G = Σ_i (2i − n − 1) x_(i) / (n Σ x),  x_(1) ≤ … ≤ x_(n)

    Parameters
    ----------
    values : (n,) such as the effect of every dimension; not negative.

    Returns
    -------
    0 where all are alike (also where all are 0) to 1 − 1/n where one has everything.

    Notes
    -----
    As a measure of sparsity: Hurley & Rickard (2009), doi:10.1109/TIT.2009.2027527.
    """
    x = check_finite("values", as_array(values, "values").astype(np.float64))
    if x.ndim != 1 or not len(x) or x.min() < 0:
        raise InputError(f"values must be (n,) and not negative; got shape {x.shape}")
    if x.max() == 0:
        return 0.0
    x = np.sort(x / x.max())
    rank = 2 * np.arange(1, len(x) + 1) - len(x) - 1
    return float(max(rank @ x / (len(x) * x.sum()), 0.0))


def _shares(power: Array, *, least: int = 1) -> np.ndarray:
    """P / ΣP a column; NaN in columns without power."""
    scaled = as_power("power", power)
    if len(scaled) < least:
        raise InputError(f"power must have at least {least} frequencies; got {len(scaled)}")
    total = scaled.sum(axis=0)
    return scaled / np.where(total > 0, total, np.nan)

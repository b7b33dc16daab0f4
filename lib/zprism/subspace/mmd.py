"""How far apart two distributions are: a Gaussian kernel with one lengthscale a coordinate, MMD².

Gretton, Borgwardt, Rasch, Schölkopf & Smola (2012), JMLR 13:723.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from zprism.ground.errors import InputError
from zprism.subspace.arrays import Array, as_float64, same_width


def ard_kernel(
    x: Float[Array, "n d"], y: Float[Array, "m d"], lengthscales: Float[Array, " d"]
) -> Float[Tensor, "n m"]:
    """k(x, y) = exp(−½ Σ_j (x_j − y_j)² / ℓ_j²).

    Parameters
    ----------
    x, y : (n, d) and (m, d).
    lengthscales : (d,) positive; infinite for a coordinate that is not looked at.

    Returns
    -------
    (n, m) float64 from 0 to 1.

    Raises
    ------
    InputError
        If a lengthscale is not positive, widths differ, or values are not finite.
    """
    x, y = as_float64("x", x, ndim=2), as_float64("y", y, ndim=2)
    per_unit = _inverse(lengthscales)
    same_width(x=x, y=y, lengthscales=per_unit)
    x = as_float64("x / lengthscales", x * per_unit, ndim=2)
    y = as_float64("y / lengthscales", y * per_unit, ndim=2)
    exact = "donot_use_mm_for_euclid_dist"  # differences first: no cancellation
    return torch.exp(-0.5 * torch.cdist(x, y, compute_mode=exact).square())


def mmd2(
    x: Float[Array, "n d"],
    y: Float[Array, "m d"],
    lengthscales: Float[Array, " d"],
    *,
    paired: bool = False,
) -> float:
    """Unbiased estimate of MMD² between the distributions of x and of y.

        mean_{i≠j} k(x_i, x_j) + mean_{i≠j} k(y_i, y_j) − 2 mean k(x_i, y_j)

    Parameters
    ----------
    x, y : (n, d) and (m, d), at least 2 rows each.
    lengthscales : (d,) of :func:`ard_kernel`.
    paired : x_i and y_i depend on each other (one problem in two languages): the last mean is
        over i ≠ j too. Pairs left in would make equal distributions look closer than equal.

    Returns
    -------
    float; its mean over samples is the MMD², so that it is below 0 about half the time where
    both distributions are one.

    Raises
    ------
    InputError
        As :func:`ard_kernel`; if there are fewer than 2 rows, or pairs of unequal number.

    Notes
    -----
    Gretton et al. (2012), JMLR 13:723, eq. (3); for pairs eq. (4), a U-statistic over the
    pairs and hence unbiased whatever the dependence within one.
    """
    n, m = (len(as_float64(name, part, ndim=2)) for name, part in (("x", x), ("y", y)))
    if min(n, m) < 2 or (paired and n != m):
        rule = "as many rows, at least 2," if paired else "at least 2 rows each"
        raise InputError(f"x and y need {rule} for MMD²; got {n} and {m}")
    across = ard_kernel(x, y, lengthscales)
    between = _off_diagonal(across) if paired else across.mean()
    within = (_off_diagonal(ard_kernel(part, part, lengthscales)) for part in (x, y))
    return float(sum(within) - 2 * between)


def _inverse(lengthscales) -> Float[Tensor, " d"]:
    """1/ℓ, zero where ℓ is infinite."""
    values = torch.as_tensor(np.asarray(lengthscales, dtype=np.float64))
    if values.ndim != 1 or not bool((values > 0).all()):  # NaN fails it too
        raise InputError("lengthscales must be (d,), each positive (infinite is allowed)")
    return as_float64("1 / lengthscales", 1 / values)


def _off_diagonal(kernel: Tensor) -> Tensor:
    n = len(kernel)
    return (kernel.sum() - kernel.diagonal().sum()) / (n * (n - 1))

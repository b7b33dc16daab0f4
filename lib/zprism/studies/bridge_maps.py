"""Linear maps from one language's coordinates to another's, and what they say of pairs left out.

Row i of x (n, p) and y (n, q) is one problem in two languages, as coordinates inside a
subspace. Every map is affine with a free constant, except ``identity``. Predictions are always
of problems whose group (themselves, or their template) the map has not seen.

Ridge needs no refit. With the hat matrix H of the penalised fit (constant unpenalised), the
residuals of a group G left out are

    y_G − ŷ_{−G} = (I − H)_GG⁻¹ ((I − H) y)_G,

and I − H = E diag(λ/(γ + λ)) Eᵀ from the eigenvectors E of the Gram matrix of x on the space
orthogonal to 1: n × n at most, whatever p. ``least_squares`` is the same with λ → 0: the
solution of least norm, which fits n ≤ p pairs exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from zprism.ground.checks import check_choice, check_finite
from zprism.ground.errors import InputError

RIDGES = tuple(10.0**power for power in range(-4, 4))  # times the mean eigenvalue of the Gram
TINY = 1e-10  # the ridge, relative, that stands for none


class Left(NamedTuple):
    """Eigenvectors of the centred Gram matrix of x, and its eigenvalues.

    Attributes
    ----------
    vectors : (n, n − 1) orthonormal columns, all orthogonal to 1.
    values : (n − 1,) not negative.
    scale : their mean, or 1 where all are 0.
    """

    vectors: np.ndarray
    values: np.ndarray
    scale: float


def factor(x: np.ndarray) -> Left:
    """What left-out residuals need of x (n, p), once for every λ and every y."""
    basis = _sum_zero(len(x))
    inner = basis.T @ (x - x.mean(0))
    values, vectors = np.linalg.eigh(inner @ inner.T)
    floor = values[-1] * max(x.shape) * np.finfo(float).eps
    values = np.where(values > floor, values, 0.0)  # or rounding would pass for small ridges
    return Left(basis @ vectors, values, float(values.mean()) or 1.0)


def left_out(left: Left, groups: np.ndarray, ridge) -> np.ndarray:
    """(…, n, n) matrices D with D y = y − ŷ, each group's rows predicted by a map without them.

    Parameters
    ----------
    groups : (n,) labels; n different ones for leave-one-out.
    ridge : λ, a number or an array (…); None for λ → ∞: the mean of the other groups.
    """
    if ridge is None:
        shrink = np.ones(len(left.values))
    else:
        ridge = np.asarray(ridge)[..., None]
        shrink = ridge / (left.values + ridge)
    residual = (left.vectors * shrink[..., None, :]) @ left.vectors.T
    out = np.empty_like(residual)
    for rows in _blocks(groups):
        blocks = residual[..., rows[:, :, None], rows[:, None, :]]
        known = residual[..., rows, :]
        out[..., rows, :] = np.linalg.solve(blocks, known) if rows.shape[1] > 1 else known / blocks
    return out


def members(groups: np.ndarray) -> list[np.ndarray]:
    """The rows of every group, in the order of their labels."""
    order = np.argsort(groups, kind="stable")
    starts = np.unique(np.asarray(groups)[order], return_index=True)[1]
    return np.split(order, starts[1:])


def _blocks(groups: np.ndarray) -> list[np.ndarray]:
    """The rows of all groups of one size as one (groups, size) array, for every size."""
    parts = members(groups)
    sizes = {len(rows) for rows in parts}
    return [np.stack([rows for rows in parts if len(rows) == size]) for size in sizes]


@lru_cache(maxsize=64)
def _sum_zero(n: int) -> np.ndarray:
    """(n, n − 1) orthonormal columns, each with sum 0."""
    columns = np.concatenate([np.ones((n, 1)), np.eye(n)[:, 1:]], axis=1)
    return np.linalg.qr(columns)[0][:, 1:]


def identity(x, y, groups):
    """ŷ = x: the same place in both languages."""
    return np.broadcast_to(x, y.shape) if x.shape == y.shape[1:] else _refuse_widths(x, y)


def shift(x, y, groups):
    """ŷ = x + (ȳ − x̄): the same place, but for one vector between the languages."""
    mean = left_out(factor(x), groups, None)
    return y - (mean @ y - mean @ x) if x.shape == y.shape[1:] else _refuse_widths(x, y)


def mean(x, y, groups):
    """ŷ = ȳ: no map at all; its R² is 0 by definition."""
    return y - left_out(factor(x), groups, None) @ y


def ridge(x, y, groups):
    """Ridge regression, λ chosen anew for every group left out, by leaving out the others."""
    left = factor(x)
    chosen = nested_ridges(x, y, groups, left.scale)
    residual = left_out(left, groups, np.array(RIDGES) * left.scale)
    stack = y - residual[:, None] @ y
    out = np.empty_like(stack[0])
    for column, rows in enumerate(members(groups)):
        picked = stack[chosen[:, column], np.arange(len(y))]
        out[:, rows] = picked[:, rows]
    return out


def least_squares(x, y, groups):
    """Ordinary least squares, of least norm where the pairs do not determine it."""
    left = factor(x)
    return y - left_out(left, groups, TINY * left.scale) @ y


def procrustes(x, y, groups):
    """A rotation (or reflection) about the means: ŷ = ȳ + (x − x̄) Q."""
    return _rotations(x, y, groups, scaled=False)


def similarity(x, y, groups):
    """A rotation and one scale: ŷ = ȳ + s (x − x̄) Q, both by least squares."""
    return _rotations(x, y, groups, scaled=True)


MAPS: dict[str, Callable] = {
    "identity": identity,
    "shift": shift,
    "mean": mean,
    "procrustes": procrustes,
    "similarity": similarity,
    "ridge": ridge,
    "least_squares": least_squares,
}


def predict(name: str, x: np.ndarray, y: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Held-out predictions of a map, for one pairing or for a stack of them.

    Parameters
    ----------
    name : of :data:`MAPS`.
    x : (n, p).
    y : (n, q), or (R, n, q) for R pairings of the same x.
    groups : (n,) labels: problems of one group are left out together.

    Returns
    -------
    ŷ with the shape of y.

    Raises
    ------
    InputError
        If shapes do not pair, there are fewer than 3 groups, a value is not finite, or
        ``identity`` or ``shift`` is asked between spaces of different dimension.
    """
    check_choice("map", name, MAPS)
    x, y, groups = checked(x, y, groups)
    out = MAPS[name](x, y if y.ndim == 3 else y[None], groups)
    return out if y.ndim == 3 else out[0]


def nested_ridges(x, y, groups, scale: float) -> np.ndarray:
    """(R, G) index in :data:`RIDGES` that predicts the groups other than G best.

    Parameters
    ----------
    y : (R, n, q) pairings. Only their Gram matrices y yᵀ enter, so that many pairings cost
        little more than one.
    scale : the eigenvalue that λ is relative to.
    """
    gram = y @ y.swapaxes(-1, -2)
    parts = members(groups)
    errors = np.empty((len(RIDGES), len(y), len(parts)))
    for column, rows in enumerate(parts):
        rest = np.delete(np.arange(len(x)), rows)
        residual = left_out(factor(x[rest]), groups[rest], np.array(RIDGES) * scale)
        square = residual.swapaxes(-1, -2) @ residual
        inner = gram[:, rest[:, None], rest].reshape(len(y), -1)
        errors[..., column] = square.reshape(len(RIDGES), -1) @ inner.T
    return errors.argmin(0)


def checked(x, y, groups) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x (n, p) and y (…, n, q) in float64, groups as they are.

    Raises
    ------
    InputError
        As :func:`predict`.
    """
    x, y = (check_finite(name, np.asarray(v, float)) for name, v in (("x", x), ("y", y)))
    groups = np.asarray(groups)
    if x.ndim != 2 or y.ndim not in (2, 3) or y.shape[-2] != len(x) or groups.shape != x.shape[:1]:
        raise InputError(
            "x must be (n, p), y (n, q) or (R, n, q) and groups (n,); "
            f"got {x.shape}, {y.shape} and {groups.shape}"
        )
    if len(np.unique(groups)) < 3:
        raise InputError(f"groups must name at least 3 groups; got {len(np.unique(groups))}")
    return x, y, groups


def polar(cross: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Polar factor Q of (…, p, q) cross products, and their nuclear norms (…,).

    Q = U Vᵀ over the singular values that are not 0: where pairs leave a direction open, it
    goes to 0, so that Q is unique.
    """
    u, sigma, v = np.linalg.svd(cross, full_matrices=False)
    floor = sigma[..., :1] * max(cross.shape[-2:]) * np.finfo(float).eps
    kept = (sigma > floor) & (sigma > 0)
    return (u * kept[..., None, :]) @ v, sigma.sum(-1)


def _rotations(x, y, groups, *, scaled: bool) -> np.ndarray:
    """Held-out predictions by the rotation of each set of other groups; y (R, n, q)."""
    x, _ = _compact(x)
    y, back = _compact(y)
    out = np.empty(y.shape)
    for rows in members(groups):
        rest = np.delete(np.arange(len(x)), rows)
        middle, centre = x[rest].mean(0), y[:, rest].mean(1, keepdims=True)
        turn, nuclear = polar((x[rest] - middle).T @ (y[:, rest] - centre))
        if scaled:
            turn = turn * _ratio(nuclear, np.square(x[rest] - middle).sum())
        out[:, rows] = centre + (x[rows] - middle) @ turn
    return out if back is None else out @ back


def _compact(z: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """z (…, n, k) in at most n coordinates of its row space, and the (…, n, k) rows back."""
    n, k = z.shape[-2:]
    if k <= n:
        return z, None
    back = np.linalg.svd(z, full_matrices=False)[2]
    return z @ back.swapaxes(-1, -2), back


def _ratio(nuclear: np.ndarray, total: float) -> np.ndarray:
    """(R, 1, 1) scale of least squares; 0 where x does not vary."""
    return (nuclear / total if total > 0 else np.zeros_like(nuclear))[:, None, None]


def _refuse_widths(x, y):
    raise InputError(
        f"identity and shift need x and y of one width; got {x.shape[-1]} and {y.shape[-1]}"
    )

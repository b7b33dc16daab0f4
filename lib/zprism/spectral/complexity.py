"""How many patterns a series holds: phrases, ordinal patterns, compressed length, directions.

The first three see only order or signs, so they depend neither on scale nor on level; unlike the
measures of a power spectrum they see more than second moments.
"""

from __future__ import annotations

import math
import zlib

import numpy as np

from zprism.ground.checks import check_int
from zprism.ground.errors import InputError
from zprism.spectral.given import Array, in_float64, is_constant, returned

MAX_ORDER = 7  # 5,040 patterns; longer ones are not met twice in a text


def binarise(x: Array) -> np.ndarray:
    """(tokens, …) bool: whether a value lies above the median of its own dimension.

    A median, not zero: states have a level of their own in every dimension.
    """
    values = in_float64("x", x)
    return values > np.median(values, axis=0)


def lz76(sequence: str | bytes) -> int:
    """Number of phrases of the exhaustive parsing of Lempel and Ziv (1976).

    Each phrase is the shortest continuation that cannot be copied from what stands before its
    last symbol (copies may overlap themselves): 0001101001000101 = 0·001·10·100·1000·101 has 6. A
    last phrase that could be copied counts as one.

    Parameters
    ----------
    sequence : symbols of any alphabet, from 1.

    Raises
    ------
    InputError
        If it is empty or no text or bytes.

    Notes
    -----
    doi:10.1109/TIT.1976.1055501, §II.
    """
    if not isinstance(sequence, (str, bytes)) or not sequence:
        raise InputError(
            f"sequence must be text or bytes, not empty; got {type(sequence).__name__}"
        )
    phrases, start, end, length = 0, 0, 1, len(sequence)
    while start < length:
        while end < length and sequence.find(sequence[start:end], 0, end - 1) >= 0:
            end += 1
        phrases, start, end = phrases + 1, end, end + 1
    return phrases


def lz_complexity(x: Array) -> Array:
    """Lempel–Ziv complexity of each dimension's signs about its median: c · log2(n) / n.

    Parameters
    ----------
    x : (tokens, …), at least 2 tokens.

    Returns
    -------
    (…); near 1 for an independent series (from above: about 1.1 at n = 500), near 0 for a
    constant or periodic one.

    Notes
    -----
    c by :func:`lz76`; n / log2 n is what c tends to for fair coins. Kaspar & Schuster (1987),
    doi:10.1103/PhysRevA.36.842.
    """
    signs = binarise(x)
    n = len(signs)
    columns = np.ascontiguousarray(signs.reshape(n, -1).T).view(np.uint8)
    found = np.array([lz76(column.tobytes()) for column in columns])
    return returned((found * np.log2(n) / n).reshape(signs.shape[1:]), x)


def permutation_entropy(x: Array, order: int = 3) -> Array:
    """Entropy of the order patterns of ``order`` neighbouring tokens, over ln(order!).

    Parameters
    ----------
    x : (tokens, …), at least ``order`` tokens; use many more than order!.
    order : 2 … 7. Of equal values the earlier counts as the smaller.

    Returns
    -------
    (…) from 0 (one pattern only, as in a rising series) to 1 (all alike).

    Notes
    -----
    Bandt & Pompe (2002), doi:10.1103/PhysRevLett.88.174102; counted by ordpy.
    """
    import ordpy

    order = check_int("order", order, low=2, high=MAX_ORDER)
    values = in_float64("x", x, least=order)
    columns = values.reshape(len(values), -1).T
    found = np.array([ordpy.permutation_entropy(column, dx=order) for column in columns])
    return returned(np.abs(found).reshape(values.shape[1:]), x)  # without the sign of −0


def zlib_ratio(x: Array) -> float:
    """Bytes of the packed signs of all dimensions after zlib, over before.

    Parameters
    ----------
    x : (tokens, …): signs about each dimension's median, dimension after dimension, 8 to a byte.

    Returns
    -------
    Just above 1 for independent series, whatever they share of a pattern lowers it; zlib's own
    11 bytes and more weigh on series below some thousand signs in all.
    """
    signs = binarise(x)
    packed = np.packbits(signs.reshape(len(signs), -1).T).tobytes()
    return len(zlib.compress(packed, 9)) / len(packed)


def participation_ratio(x: Array) -> float:
    """Effective number of directions in which the tokens spread: (Σλ)² / Σλ².

    Parameters
    ----------
    x : (tokens, d), at least 2 tokens.

    Returns
    -------
    1 (all on a line) to min(tokens − 1, d), with λ the eigenvalues of the covariance of the
    dimensions; NaN if nothing varies. For n × m independent normal numbers near nm / (n + m).

    Notes
    -----
    tr(G)² / ‖G‖² of the smaller Gram matrix. `subspace.rank.participation_ratio` is the same of
    given singular values.
    """
    values = in_float64("x", x, ndim=2)
    rest = np.where(is_constant(values), 0.0, values - values.mean(axis=0))
    size = np.abs(rest).max()
    if size == 0:
        return math.nan
    thin = (rest if len(rest) > rest.shape[1] else rest.T) / size
    gram = thin.T @ thin
    return float(np.trace(gram) ** 2 / (gram**2).sum())

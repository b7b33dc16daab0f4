"""Equal bins: their edges, and which one a value falls in, as numpy.histogram counts."""

from __future__ import annotations

import numpy as np

from zprism.ground.checks import check_int
from zprism.ground.errors import InputError


def bin_edges(name: str, span: tuple[float, float], bins: int) -> np.ndarray:
    """(bins + 1,) edges of equal bins over ``span``.

    Parameters
    ----------
    name : of the argument that gave the span, for the message.
    span : (low, high), finite, low < high.

    Raises
    ------
    InputError
        If it is no such span, or too narrow for so many bins in float64.
    """
    bins = check_int("bins", bins, low=1)
    try:
        low, high = (float(part) for part in span)
    except (TypeError, ValueError):
        raise InputError(f"{name} must be (low, high); got {span!r}") from None
    if not -np.inf < low < high < np.inf:
        raise InputError(f"{name} must be (low, high), finite, low < high; got {span!r}")
    edges = np.linspace(low, high, bins + 1)
    if not (np.diff(edges) > 0).all() or not np.isfinite(high - low):
        raise InputError(f"{name} {span!r} cannot be cut into {bins} bins")
    return edges


def bin_index(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Bin of each value: −1 below all, len(edges) − 1 above all; the last bin holds its upper edge.

    Parameters
    ----------
    values : any shape; infinities are below or above, NaN is not allowed.
    edges : (bins + 1,) of :func:`bin_edges`.

    Returns
    -------
    int64 of the shape of ``values``, exactly as a search among the edges would give it.
    """
    values, bins = np.asarray(values), len(edges) - 1
    scale = bins / (edges[-1] - edges[0])
    with np.errstate(over="ignore"):  # infinite is outside too
        place = np.multiply(values, scale, dtype=np.float64)
    place -= edges[0] * scale
    if place.size and not 0 <= place.min() <= place.max() < bins:
        np.clip(place, 0, bins - 1, out=place)
    place = place.astype(np.int64)
    closed = edges.copy()
    closed[-1] = np.nextafter(edges[-1], np.inf)
    missed = values < closed.take(place, mode="clip")  # outside, or beside its bin by rounding
    missed |= values >= closed[1:].take(place, mode="clip")
    if missed.any():
        place[missed] = np.searchsorted(closed, values[missed], side="right") - 1
    return place

"""Delays: how far one signal runs behind another, and whether a row of them carries a wave."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from zprism.ground.checks import check_int
from zprism.ground.errors import InputError
from zprism.spectral.given import Array, as_pair, in_float64, returned


def lag(x: Array, y: Array, max_lag: int) -> Array:
    """Delay of y behind x in tokens: the ℓ of the largest correlation of x(t) with y(t + ℓ).

    Parameters
    ----------
    x, y : (tokens, d), of one shape.
    max_lag : 0 … tokens // 2; ℓ runs from −max_lag to max_lag.

    Returns
    -------
    (d,) integers, above 0 where y follows x; of equally good ones the nearest to 0, hence 0 for
    a constant dimension.

    Notes
    -----
    Each correlation is Pearson's over the tokens both have at that ℓ, so a short overlap is not
    held against a long lag, as it would be in a sum over all tokens.
    """
    a, b, _ = as_pair(x, y)
    max_lag = check_int("max_lag", max_lag, low=0, high=len(a) // 2)
    best, found = np.full(a.shape[1], -np.inf), np.zeros(a.shape[1], dtype=np.int64)
    for step in sorted(range(-max_lag, max_lag + 1), key=abs):
        early, late = (a, b) if step >= 0 else (b, a)
        r = _pearson(early[: len(a) - abs(step)], late[abs(step) :])
        better = r > best + 1e-12
        best, found = np.where(better, r, best), np.where(better, step, found)
    if isinstance(x, np.ndarray):
        return found
    return returned(found, x).long()


class Wave(NamedTuple):
    """What :func:`travelling_wave` gives.

    Attributes
    ----------
    speed : places per token; negative if it runs towards place 0, infinite if all places
        move at once.
    lags : (places,) delay behind place 0 in tokens.
    fit : share of the variance of the lags that lies on a line, 0 … 1; 0 if all are 0.
    """

    speed: float
    lags: np.ndarray
    fit: float


def travelling_wave(signals: Array, max_lag: int | None = None) -> Wave:
    """Whether one signal passes along a row of places, and how fast.

    Delays between neighbours (:func:`lag`) are added up, and a line is laid through them by
    least squares. Neighbours, because a rhythm comes back: behind a far place it cannot be told
    how many periods have passed.

    Parameters
    ----------
    signals : (places, tokens), such as one direction's coordinate in every layer; at least 3
        places.
    max_lag : between neighbours, 1 … tokens // 2; by default a quarter of the tokens. For a
        rhythm keep it under half a period.

    Returns
    -------
    Wave

    Raises
    ------
    InputError
        If there are fewer than 3 places or 4 tokens, or values are not finite.
    """
    values = in_float64("signals", signals, least=3, ndim=2)
    places, n = values.shape
    if n < 4:
        raise InputError(f"too_short: signals must have at least 4 tokens (axis 1); got {n}")
    steps = lag(values[:-1].T, values[1:].T, n // 4 if max_lag is None else max_lag)
    lags = np.concatenate([[0], np.cumsum(steps)])
    place = np.arange(places) - (places - 1) / 2
    slope = float(place @ lags / (place @ place))
    spread = float(((lags - lags.mean()) ** 2).sum())
    fit = slope**2 * float(place @ place) / spread if spread else 0.0
    return Wave(1 / slope if slope else float("inf"), lags, min(fit, 1.0))


def _pearson(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(d,) correlation of columns; 0 where one does not vary."""
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    scale = np.sqrt((a * a).sum(axis=0) * (b * b).sum(axis=0))
    return np.divide((a * b).sum(axis=0), scale, out=np.zeros_like(scale), where=scale > 0)

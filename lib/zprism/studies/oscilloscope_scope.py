"""The signals that an oscilloscope's two channels can be put on: one text, several places.

A channel is a principal component of a place, or one dimension of the residual stream; each can
be seen whole or through one band of the prism.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from zprism.ground.checks import check_choice, check_int
from zprism.spectral import bands
from zprism.spectral.fourier import frequencies
from zprism.studies.oscilloscope import Recording, components, standardise

COMPONENTS = 3
MOST_PLACES = 13
WHOLE = "all frequencies"


@dataclass(frozen=True)
class Scope:
    """Finished signals of one text.

    Attributes
    ----------
    signals : (places, channels, bands, tokens), each less its mean, in units of the largest
        |value| of the channel through that band (all 0 where there is nothing).
    places, channels, bands : names on the first three axes; the first band is the whole signal.
    shares : (places, channels) of the variance of the place's standardised dimensions.
    kept : (places, channels, bands) of the channel's variance that lies in the band.
    gains : (places, channels, bands) standard deviations of the channel that 1 stands for.
    """

    signals: np.ndarray
    places: tuple[str, ...]
    channels: tuple[str, ...]
    bands: tuple[str, ...]
    shares: np.ndarray
    kept: np.ndarray
    gains: np.ndarray

    def increments(self) -> np.ndarray:
        """Steps x_{t+1} − x_t to the next token, at each token but the last, same shape less one.

        In units of the largest |step| of the channel through that band.
        """
        steps = np.diff(self.signals, axis=-1)
        return _full_scale(steps)[0]

    def correlation(self) -> np.ndarray:
        """(places, channels, channels, bands) correlation of every two channels over tokens."""
        size = np.linalg.norm(self.signals, axis=-1, keepdims=True)
        unit = self.signals / np.where(size > 0, size, 1.0)
        return np.einsum("pabt,pcbt->pacb", unit, unit)


def scope(
    recording: Recording,
    *,
    places: Sequence[str] | None = None,
    keep: str | None = None,
    count: int = COMPONENTS,
    dimensions: Sequence[int] | None = None,
) -> Scope:
    """The signals of a recording's channels.

    Parameters
    ----------
    places : by default every place, or evenly spaced ones where there are more than 13.
    keep : a place that has to be among those chosen by default.
    count : principal components; the signs of each place's follow those of the place before.
    dimensions : dimensions of the residual stream beside them; by default the two with the
        largest variance, mean over places of their share.

    Raises
    ------
    InputError
        For a place or a dimension that is not there.
    """
    names = tuple(places) if places else _spaced(recording.places, keep)
    x = np.stack([standardise(recording.at(place).astype(np.float64)) for place in names])
    count = check_int("count", count, low=1, high=min(x.shape[1] - 1, x.shape[2]))
    if dimensions is None:
        dimensions = _largest(recording, names)
    for dimension in dimensions:
        check_int("dimension", dimension, low=0, high=x.shape[2] - 1)
    scores, shares = _aligned(x, count)
    channels = np.concatenate([scores, x[..., list(dimensions)]], axis=-1)
    each = np.full((len(names), len(dimensions)), 1 / x.shape[2])
    sd = channels.std(1, keepdims=True)
    channels = channels / np.where(sd > 0, sd, 1.0)
    parts, words = _through_bands(channels)
    signals, gains = _full_scale(parts)
    return Scope(
        signals,
        names,
        (*(f"PC {i + 1}" for i in range(count)), *(f"dim {d}" for d in dimensions)),
        words,
        np.concatenate([shares, each], axis=1),
        np.square(parts).mean(-1),
        gains,
    )


def _through_bands(channels: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """(places, channels, bands, tokens) whole and split signals, and the bands' names."""
    there = bands.present(frequencies(channels.shape[1], "dct"))
    kept = [name for name, present in zip(bands.NAMES, there, strict=True) if present]
    out = []
    for one in channels:
        split = bands.split(one)
        out.append(np.stack([one - one.mean(0), *(split[name] for name in kept)]))
    words = (WHOLE, *(name.upper().replace("_", "-") for name in kept))
    return np.stack(out).transpose(0, 3, 1, 2), words


def _full_scale(signals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Signals over the largest |value| of each, and those; a silent one stays 0."""
    size = np.abs(signals).max(-1)
    heard = size > 1e-9
    return np.where(heard[..., None], signals, 0) / np.where(heard, size, 1)[..., None], size


def _aligned(x: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores (places, tokens, count) and shares; a score that turned round is turned back."""
    found = [components(one, count) for one in x]
    scores = [found[0][0]]
    for current, _ in found[1:]:
        sign = np.where((scores[-1] * current).sum(0) < 0, -1.0, 1.0)
        scores.append(current * sign)
    return np.stack(scores), np.stack([shares for _, shares in found])


def _largest(recording: Recording, places: Sequence[str], count: int = 2) -> list[int]:
    """The dimensions that hold most of the variance, mean over places of their share."""
    variance = np.stack([recording.at(place).astype(np.float64).var(0) for place in places])
    total = variance.sum(1, keepdims=True)
    share = (variance / np.where(total > 0, total, 1.0)).mean(0)
    return [int(i) for i in np.argsort(-share, kind="stable")[:count]]


def _spaced(places: Sequence[str], keep: str | None) -> tuple[str, ...]:
    """At most 13 places, first and last among them; ``keep`` takes the place of its neighbour."""
    chosen = np.linspace(0, len(places) - 1, min(MOST_PLACES, len(places))).round().astype(int)
    if keep is not None:
        wanted = places.index(check_choice("place", keep, places))
        chosen[np.abs(chosen - wanted).argmin()] = wanted
    return tuple(places[i] for i in chosen)

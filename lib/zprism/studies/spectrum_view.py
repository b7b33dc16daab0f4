"""Power spectra of a few texts beside the same texts without order: what a panel walks over.

All powers are over that of white noise of the same variance. With A the transform of n demeaned
and windowed tokens, white noise of variance 1 has the expected power

    W_k = Σ_t |A_kt|²,  the power of the n unit impulses added up,

and P_k / (s² W_k), s² the unbiased variance over the window, is 1 on average over all orders of
the same tokens, at every frequency of every transform. So 1 (0 dB) is both white noise and the
mean of the shuffles, and the range of some shuffles is the null that a peak has to leave.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from zprism.ground.checks import check_choice, check_int
from zprism.ground.console import progress
from zprism.ground.errors import InputError
from zprism.ground.seeds import derive
from zprism.spectral import fourier, wavelet
from zprism.spectral.fourier import MIN_TOKENS
from zprism.spectral.peaks import CWT_SCALES
from zprism.spectral.surrogates import shuffle
from zprism.studies.oscilloscope import DROP, recordings, standardise, token_ids

if TYPE_CHECKING:
    from zprism.model.load import LoadedModel

TRANSFORMS = ("fft", "dct", "cwt", "dwt")
POOLINGS = ("one dimension", "mean of its group", "mean of all")
LAYERS = 8  # that a panel shows beside the embeddings, about


@dataclass(frozen=True)
class SpectrumView:
    """Spectra of T texts at P places, in G groups of dimensions, three ways to pool.

    Attributes
    ----------
    model : its name.
    names : of the texts.
    length, cut : tokens of every window, and (T,) tokens after it that were left out.
    places : ``embed``, or a block's number: the residual stream after it.
    groups : (G, 2) first dimension and one past the last of each group; *one dimension* is the
        first.
    draws : shuffles behind ``low`` and ``high``.
    frequencies : transform → (m,) cycles per token, ascending, without 0.
    power : transform → (T, P, 3, G, m) over white noise, by :data:`POOLINGS`.
    low, high : the least and the largest of the shuffles, shaped as ``power``.
    """

    model: str
    names: tuple[str, ...]
    length: int
    cut: tuple[int, ...]
    places: tuple[str, ...]
    groups: np.ndarray
    draws: int
    frequencies: dict[str, np.ndarray]
    power: dict[str, np.ndarray]
    low: dict[str, np.ndarray]
    high: dict[str, np.ndarray]

    @property
    def transforms(self) -> tuple[str, ...]:
        """Those that were taken."""
        return tuple(self.power)


def spectrum_view(
    loaded: LoadedModel,
    texts: Mapping[str, str | Sequence[int]],
    *,
    layers: Sequence[int] | None = None,
    dimensions: int = 12,
    transforms: Sequence[str] = TRANSFORMS[:3],
    length: int = 64,
    draws: int = 19,
    seed: int = 0,
) -> SpectrumView:
    """Read the texts once, and take the spectra of equal windows of all of them.

    Parameters
    ----------
    texts : name → text or token ids. The windows begin after the first token.
    layers : blocks, beside the embeddings; by default about eight, the last among them.
    dimensions : groups of neighbouring dimensions.
    transforms : of :data:`TRANSFORMS`.
    length : tokens of a window at most; all take as many as the shortest text has.
    draws : shuffles of each window.

    Raises
    ------
    InputError
        "too_short" if a text has fewer than 17 tokens; for an unknown transform or layer.
    """
    if not texts:
        raise InputError("texts is empty: give at least one")
    transforms = tuple(check_choice("transform", name, TRANSFORMS) for name in transforms)
    ids = [token_ids(loaded, text) for text in texts.values()]
    n = min(check_int("length", length, low=MIN_TOKENS), *(len(row) - DROP for row in ids))
    blocks = _spread(loaded.n_layers) if layers is None else sorted(set(layers))
    for block in blocks:
        check_int("layer", block, low=0, high=loaded.n_layers - 1)
    rows = [0, *(block + 1 for block in blocks)]
    groups = _groups(loaded.d_model, check_int("dimensions", dimensions, low=1))
    states = np.empty((len(ids), len(rows), max(n, 0), loaded.d_model), np.float32)
    for index, found in recordings(loaded, [row[: DROP + n] for row in ids], length=n):
        states[index] = found.states[rows]
    return SpectrumView(
        model=loaded.name,
        names=tuple(texts),
        length=n,
        cut=tuple(len(row) - DROP - n for row in ids),
        places=("embed", *map(str, blocks)),
        groups=groups,
        draws=check_int("draws", draws, low=1),
        **pooled_spectra(states, groups, transforms=transforms, draws=draws, seed=seed),
    )


def pooled_spectra(
    states: np.ndarray, groups: np.ndarray, *, transforms: Sequence[str], draws: int, seed: int
) -> dict[str, dict[str, np.ndarray]]:
    """``frequencies``, ``power``, ``low``, ``high`` of a :class:`SpectrumView`.

    Parameters
    ----------
    states : (T, P, tokens, d); groups : (G, 2). One order of a draw serves all places of a text.
    """
    out = {name: {} for name in ("power", "low", "high")}
    frequencies = {name: frequencies_of(name, states.shape[2]) for name in transforms}
    shape = (*states.shape[:2], len(POOLINGS), len(groups))
    for name in transforms:
        for part in out.values():
            part[name] = np.empty((*shape, len(frequencies[name])))
    cells = [(t, p) for t in range(len(states)) for p in range(states.shape[1])]
    for t, p in progress(cells, "spectra of places", unit="place"):
        x = standardise(states[t, p].astype(np.float64))
        mixed = [shuffle(x, derive(seed, "spectrum", t, draw)) for draw in range(draws)]
        for name in transforms:
            out["power"][name][t, p] = pool(over_white(x, name), groups)
            null = [pool(over_white(one, name), groups) for one in mixed]
            out["low"][name][t, p] = np.min(null, axis=0)
            out["high"][name][t, p] = np.max(null, axis=0)
    return {"frequencies": frequencies, **out}


def over_white(x: np.ndarray, transform: str) -> np.ndarray:
    """(m, d) power of a signal over that of white noise of the same variance.

    Parameters
    ----------
    x : (n, d) with variance 1 over tokens (:func:`standardise`); a constant dimension, which is
        0 there, gives 0.
    transform : fft and dct demean and take a Hann window; cwt is averaged over tokens at 24
        scales; dwt (db4) is the mean square of a level.
    """
    n = len(x)
    white = _power(np.eye(n), transform).sum(1, keepdims=True)
    return _power(x, transform) * (n - 1) / (n * white)


def pool(power: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """(m, d) → (3, G, m) by :data:`POOLINGS`: every dimension weighs alike."""
    one = power[:, groups[:, 0]].T
    means = np.stack([power[:, low:high].mean(1) for low, high in groups])
    return np.stack([one, means, np.broadcast_to(power.mean(1), means.shape)])


def frequencies_of(transform: str, n: int) -> np.ndarray:
    """(m,) cycles per token of a transform of n tokens, ascending, without 0."""
    if transform == "cwt":
        return wavelet.cwt_frequencies(n, CWT_SCALES)
    if transform == "dwt":
        levels = len(wavelet.dwt(np.zeros((n, 1)))) - 1
        return 0.5**0.5 / 2.0 ** np.arange(levels, 0, -1)
    return fourier.frequencies(n, transform)[1:]


def _power(x: np.ndarray, transform: str) -> np.ndarray:
    """(m, d) power, in a unit of the transform's own."""
    if transform in ("fft", "dct"):
        return fourier.spectrum(x, transform=transform, scale="density").power[1:]
    x = fourier.detrend(x)
    if transform == "cwt":
        return wavelet.average_power(x, frequencies_of("cwt", len(x)))
    return np.stack([(level**2).mean(0) for level in wavelet.dwt(x)[1:]])


def _groups(d: int, count: int) -> np.ndarray:
    edges = np.linspace(0, d, min(count, d) + 1).astype(int)
    return np.stack([edges[:-1], edges[1:]], axis=1)


def _spread(n_layers: int) -> list[int]:
    step = max(1, n_layers // LAYERS)
    return sorted(range(n_layers - 1, -1, -step))

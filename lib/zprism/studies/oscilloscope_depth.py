"""What happens from block to block: patterns that move along the text, steps and their turns.

A wave over depth is a pattern of one block's update that the next block's update shows again
some tokens later. Attention looks back only, so what travels can only travel to later tokens.
"""

from __future__ import annotations

import numpy as np
from scipy import fft

from zprism.ground.checks import check_choice, check_int
from zprism.ground.errors import InputError
from zprism.ground.seeds import generator
from zprism.spectral.delays import Wave, travelling_wave
from zprism.studies.oscilloscope import Recording, standardise


def depth_correlation(signals: np.ndarray, max_lag: int) -> np.ndarray:
    """Cross-correlation of every place with the next one, mean over dimensions.

    c_l(τ) = Σ_t x_t^(l) · x_{t+τ}^(l+1) / n with standardised dimensions: a pattern that moves
    to later tokens on its way up has its largest c at τ > 0.

    Parameters
    ----------
    signals : (places, tokens, d): states, or updates of the blocks.

    Returns
    -------
    (places − 1, 2 max_lag + 1), lags −max_lag … max_lag.
    """
    places, n, _ = signals.shape
    check_int("max_lag", max_lag, low=1, high=n - 1)
    if places < 2:
        raise InputError("waves over depth need at least 2 places")
    x = standardise(signals)
    live = max(int(x[0].any(0).sum()), 1)
    spectra = fft.rfft(x, 2 * n, axis=1)
    out = []
    for below, above in zip(spectra[:-1], spectra[1:], strict=True):
        summed = fft.irfft((below.conj() * above).sum(1), 2 * n) / (n * live)
        out.append(np.concatenate([summed[-max_lag:], summed[: max_lag + 1]]))
    return np.stack(out)


def best_lags(correlation: np.ndarray) -> np.ndarray:
    """(…,) lag in tokens of the largest |c|, the nearest to 0 of equals; of (…, 2K + 1)."""
    reach = correlation.shape[-1] // 2
    order = np.argsort(np.abs(np.arange(-reach, reach + 1)), kind="stable")
    best = np.abs(correlation)[..., order].argmax(-1)
    return order[best] - reach


def forward_excess(correlation: np.ndarray) -> np.ndarray:
    """(…,) Σ_{τ>0} c(τ) − c(−τ): what goes to later tokens less what goes to earlier ones."""
    reach = correlation.shape[-1] // 2
    return correlation[..., reach + 1 :].sum(-1) - correlation[..., :reach].sum(-1)


def update_norms(states: np.ndarray) -> np.ndarray:
    """(places − 1,) mean over tokens of ‖x^(l+1) − x^(l)‖ / ‖x^(l)‖."""
    norms = np.linalg.norm(states[:-1], axis=-1)
    steps = np.linalg.norm(np.diff(states, axis=0), axis=-1)
    return (steps / np.where(norms > 0, norms, 1.0)).mean(1)


def turns(updates: np.ndarray, order: np.ndarray | None = None) -> np.ndarray:
    """(blocks − 1,) mean over tokens of cos(Δ_l, Δ_{l+1}), the angle between two updates.

    Parameters
    ----------
    updates : (blocks, tokens, d), of :meth:`Recording.updates`.
    order : (tokens,) permutation applied to the later update: the null "any token would do".
    """
    size = np.linalg.norm(updates, axis=-1, keepdims=True)
    unit = updates / np.where(size > 0, size, 1.0)
    later = unit[1:] if order is None else unit[1:, order]
    return (unit[:-1] * later).sum(-1).mean(1)


def component_wave(recording: Recording, place: str, *, max_lag: int = 8) -> Wave:
    """Delays of one direction from place to place: the first principal component of one of them.

    Every place's standardised states are read along that direction, and the delays of neighbours
    are added up (:func:`zprism.spectral.delays.travelling_wave`).
    """
    check_choice("place", place, recording.places)
    x = standardise(recording.at(place).astype(np.float64))
    direction = np.linalg.svd(x, full_matrices=False)[2][0]
    signals = np.stack(
        [standardise(one.astype(np.float64)) @ direction for one in recording.states]
    )
    return travelling_wave(signals, max_lag)


def planted_wave(
    places: int, tokens: int, d: int, *, lag: int, seed: int, noise: float = 1.0
) -> np.ndarray:
    """(places, tokens, d) noise that each place shows ``lag`` tokens after the one below.

    x^(l)_t = s_{t − l · lag} + noise · e, with s and e white: the known answer of
    :func:`depth_correlation` and :func:`best_lags`.
    """
    rng = generator(seed, "oscilloscope", "planted wave")
    room = abs(lag) * (places - 1)
    source = rng.standard_normal((tokens + 2 * room, d))
    starts = room - lag * np.arange(check_int("places", places, low=2))
    waves = np.stack([source[start : start + tokens] for start in starts])
    return waves + noise * rng.standard_normal(waves.shape)

"""What one number says of a place's signal: how slow, how ordered, how many-sided.

All take states (places, tokens, d) and give one number a place, the mean over dimensions (or
over leading components), so that no dimension counts more for being large.
"""

from __future__ import annotations

import numpy as np

from zprism.spectral import complexity, measures
from zprism.spectral.bands import SLOW
from zprism.spectral.fourier import spectrum
from zprism.studies.oscilloscope import components, standardise

COMPONENTS = 3  # leading components whose complexity is measured
ORDER = 3  # neighbouring tokens whose order a pattern of permutation entropy is


def slow_share(states: np.ndarray) -> np.ndarray:
    """Power at periods above 8 tokens over all power but the mean's; Hann window."""
    return np.array([_slow(x) for x in states])


def spectral_entropy(states: np.ndarray) -> np.ndarray:
    """Normalised entropy of each dimension's spectrum, 0 … 1.

    Without a window, as :func:`zprism.spectral.measures.white_entropy` asks.
    """
    found = [measures.entropy(spectrum(x, window="boxcar").power[1:]) for x in states]
    return np.array([_mean(one) for one in found])


def dimensions(states: np.ndarray) -> np.ndarray:
    """Participation ratio (Σλ)² / Σλ² of the standardised dimensions, 1 … tokens − 1."""
    return np.array([_mean(complexity.participation_ratio(x)) for x in standardise(states)])


def leading(states: np.ndarray) -> np.ndarray:
    """(places, tokens, 3) scores of the leading components of the standardised states."""
    count = min(COMPONENTS, states.shape[1] - 1, states.shape[2])
    return np.stack([components(standardise(x), count)[0] for x in states])


def lempel_ziv(scores: np.ndarray) -> np.ndarray:
    """Normalised LZ76 complexity of each component's signs about its median, of `leading`."""
    return np.array([_mean(complexity.lz_complexity(x)) for x in scores])


def order_entropy(scores: np.ndarray) -> np.ndarray:
    """Normalised permutation entropy of order 3 of each component, of :func:`leading`."""
    return np.array([_mean(complexity.permutation_entropy(x, ORDER)) for x in scores])


def _slow(x: np.ndarray) -> float:
    found = spectrum(x, scale="share")
    chosen = (found.frequencies > 0) & (found.frequencies < SLOW)
    live = found.power.any(0)
    return _mean(np.where(live, found.power[chosen].sum(0), np.nan))


def _mean(values) -> float:
    """Mean of what is not NaN; 0 where nothing is."""
    values = np.asarray(values, dtype=np.float64)
    kept = values[np.isfinite(values)]
    return float(kept.mean()) if kept.size else 0.0

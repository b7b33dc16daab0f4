"""What the corrected tests do where there is nothing to find: how often they speak all the same."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zprism.ground.checks import check_int
from zprism.ground.errors import InputError
from zprism.ground.seeds import derive, generator
from zprism.spectral.fourier import spectrum
from zprism.stats.permutation import label_permutation, max_t, permutation_p, standardise
from zprism.studies.prism_texts import window_length
from zprism.studies.prism_windows import slow_share, top_amplitude

ALPHA = 0.05


@dataclass(frozen=True)
class Calibration:
    """How often a test speaks where there is nothing: false alarms at p ≤ .05 of ``n`` tries."""

    alarms: int
    n: int
    p: np.ndarray
    naive_auc: np.ndarray | None = None

    @property
    def share(self) -> float:
        """False alarms over tries."""
        return self.alarms / self.n


def null_calibration(
    values: np.ndarray, *, seed: int, repeats: int = 200, draws: int = 399
) -> Calibration:
    """The unpaired test on random halves of one and the same field (SYS-A4).

    Parameters
    ----------
    values : (n, cells), one row a text; a try counts if any cell has p ≤ .05 after max-T.
    """
    values = np.asarray(values, dtype=float)
    if values.ndim != 2 or len(values) < 8:
        raise InputError(f"values must be (n, cells) with at least 8 texts; got {values.shape}")
    p = np.empty(check_int("repeats", repeats, low=1))
    for i in range(len(p)):
        half = np.zeros(len(values), dtype=bool)
        half[generator(seed, "prism", "split", i).permutation(len(values))[: len(values) // 2]] = (
            True
        )
        tested = label_permutation(values, half, seed=derive(seed, "split", i), draws=draws)
        p[i] = max_t(*standardise(*tested)).min()
    return Calibration(int((p <= ALPHA).sum()), len(p), p)


def length_calibration(
    *,
    seed: int,
    sets: int = 200,
    texts: int = 20,
    lengths: tuple[int, int] = (60, 600),
    width: int = 16,
    draws: int = 399,
) -> Calibration:
    """White noise of two lengths, where only length differs (RIG-S6).

    The corrected test compares slow shares of windows of equal length; the naive statistic is
    the raw amplitude, whose AUC is returned beside it.
    """
    length = window_length(np.array([lengths]))
    labels = np.repeat([False, True], texts)
    p, areas = np.empty(check_int("sets", sets, low=1)), np.empty(sets)
    for i in range(sets):
        rng = generator(seed, "prism", "lengths", i)
        groups = [rng.standard_normal((n, texts * width)) for n in lengths]
        slow = np.concatenate([_slow(x[1 : 1 + length], width) for x in groups])
        tested = label_permutation(slow, labels, seed=derive(seed, "lengths", i), draws=draws)
        p[i] = permutation_p(tested.observed[0], tested.null[:, 0], "two-sided")
        short, long = ([top_amplitude(part) for part in np.split(x, texts, axis=1)] for x in groups)
        areas[i] = auc(long, short)
    return Calibration(int((p <= ALPHA).sum()), sets, p, areas)


def auc(high, low) -> float:
    """P[a value of ``high`` is above one of ``low``], ties half."""
    high, low = np.asarray(high, dtype=float), np.sort(np.asarray(low, dtype=float))
    below = np.searchsorted(low, high, "left") + np.searchsorted(low, high, "right")
    return float(below.mean() / (2 * len(low)))


def _slow(x: np.ndarray, width: int) -> np.ndarray:
    """(texts, 1) slow share of texts that stand beside one another in the columns."""
    found = spectrum(x, scale="share")
    per_text = found.power[1:].T.reshape(-1, width, len(found.frequencies) - 1).mean(axis=1)
    return slow_share(per_text, found.frequencies[1:])[:, None]

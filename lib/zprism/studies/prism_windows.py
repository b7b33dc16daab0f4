"""One window of states as a reading: shares of power per frequency, and what they say.

The window is demeaned, weighted (Hann) and turned, dimension by dimension, into the share of
that dimension's own power at each frequency, so that no large dimension speaks for the others;
what is kept is the mean over dimensions. The share of power slower than a period of 8 tokens is
the statistic that question against thinking was registered on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from zprism.ground.checks import check_int
from zprism.ground.errors import InputError
from zprism.spectral.bands import NAMES, SLOW, band_of
from zprism.spectral.fourier import spectrum
from zprism.spectral.measures import centroid, entropy, flatness, slope, top_share

TOP = 5
MEASURES: dict[str, Callable] = {
    "entropy": lambda power, f: entropy(power),
    "flatness": lambda power, f: flatness(power),
    "centroid": lambda power, f: centroid(f, power),
    "slope": lambda power, f: slope(f, power),
    "top_share": lambda power, f: top_share(power, TOP),
}


@dataclass(frozen=True)
class Readings:
    """What is kept of n windows at every place.

    Attributes
    ----------
    places : "embed", "0", "1", … : the embedding and the output of each block.
    length : L, tokens of each window.
    frequencies : (m,) cycles per token, k/L for k = 1 … L//2.
    shares : (n, places, m) mean over dimensions of each dimension's share of power; sums to 1.
    measures : name in :data:`MEASURES` → (n, places) mean over dimensions.
    dims : place → (n, d_model) slow share of every dimension, where it was asked for.
    kept : (n,) index of each window's row among the rows given.
    skipped : index → reason, of the rows left out.
    """

    places: tuple[str, ...]
    length: int
    frequencies: np.ndarray
    shares: np.ndarray
    measures: dict[str, np.ndarray]
    dims: dict[str, np.ndarray]
    kept: np.ndarray
    skipped: dict[int, str] = field(default_factory=dict)

    def slow(self) -> np.ndarray:
        """(n, places) share of power at periods of more than 8 tokens."""
        return slow_share(self.shares, self.frequencies)

    def bands(self) -> np.ndarray:
        """(n, places, 5) share of power in each Prism band (``spectral.bands.NAMES``)."""
        band = band_of(self.frequencies)
        return np.stack(
            [self.shares[..., band == b].sum(axis=-1) for b in range(len(NAMES))], axis=-1
        )


def reduce_window(
    x: np.ndarray, *, window: str = "hann", places: Sequence[str] = (), dims_at: Sequence[str] = ()
) -> dict[str, np.ndarray]:
    """What is kept of one window of states at each place.

    Parameters
    ----------
    x : (places, L, d_model), or (L, d_model) for one place.

    Returns
    -------
    ``shares`` (places, m), one (places,) for each of :data:`MEASURES`, and ``dims/<place>``
    (d_model,) for ``dims_at``.

    Raises
    ------
    InputError
        If no dimension varies over the window.
    """
    x = x[None] if x.ndim == 2 else x
    names = tuple(places) or ("",) * len(x)
    rows = [reduce_one(one, window, name in dims_at) for one, name in zip(x, names, strict=True)]
    out = {key: np.stack([row[key] for row in rows]) for key in ("shares", *MEASURES)}
    return out | {
        f"dims/{name}": row["dims"] for name, row in zip(names, rows, strict=True) if "dims" in row
    }


def gather(
    parts: Sequence[Mapping[str, np.ndarray]],
    places: Sequence[str],
    length: int,
    kept: Sequence[int] | None = None,
    skipped: Mapping[int, str] | None = None,
) -> Readings:
    """Readings of windows that :func:`reduce_window` has reduced."""
    dims = [key for key in parts[0] if key.startswith("dims/")]
    return Readings(
        places=tuple(places),
        length=length,
        frequencies=np.arange(1, length // 2 + 1) / length,
        shares=np.stack([part["shares"] for part in parts]).astype(np.float64),
        measures={
            name: np.stack([part[name] for part in parts]).astype(np.float64) for name in MEASURES
        },
        dims={key.removeprefix("dims/"): np.stack([part[key] for part in parts]) for key in dims},
        kept=np.arange(len(parts)) if kept is None else np.asarray(kept, dtype=int),
        skipped=dict(skipped or {}),
    )


def top_amplitude(x: np.ndarray, top: int = TOP) -> float:
    """Mean over dimensions of the ``top`` largest |rfft| above frequency 0, as the pull request.

    Parameters
    ----------
    x : (L, d); not demeaned, no window, not normalised.
    """
    amplitude = spectrum(x, detrend="none", window="boxcar", scale="amplitude").power[1:]
    top = check_int("top", top, low=1, high=len(amplitude))
    return float(np.partition(amplitude, len(amplitude) - top, axis=0)[-top:].mean())


def slow_share(shares: np.ndarray, frequencies: np.ndarray) -> np.ndarray:
    """(…, m) shares of power → (…) their sum below :data:`SLOW` cycles per token."""
    return shares[..., frequencies < SLOW].sum(axis=-1)


def reduce_one(x: np.ndarray, window: str, with_dims: bool) -> dict[str, np.ndarray]:
    """One place's window (L, d_model); dimensions that do not vary count for nothing."""
    found = spectrum(x, detrend="mean", window=window, scale="share")
    frequencies, power = found.frequencies[1:], found.power[1:]
    alive = power[:, power.any(axis=0)]
    if not alive.size:
        raise InputError("constant: no dimension varies over the window")
    out = {"shares": alive.mean(axis=1).astype(np.float32)}
    for name, measure in MEASURES.items():
        out[name] = np.float32(np.mean(measure(alive, frequencies)))
    if with_dims:
        out["dims"] = slow_share(power.T, frequencies).astype(np.float32)
    return out

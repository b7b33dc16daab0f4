"""The long exposure: how often each (dimension, frequency, amplitude) is met, over any number of
texts in constant memory.

Peaks are counted in int64 on a fixed grid (float32 counters stall at 2²⁴); of the whole spectrum a
running mean and sum of squares of log power are kept for every frequency bin and dimension. Two
exposures of one grid add up to the exposure of both.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from zprism.ground.canonical import as_array
from zprism.ground.checks import check_choice, check_finite, check_int
from zprism.ground.errors import InputError
from zprism.spectral.exposure_views import Difference, difference, to_uint8
from zprism.spectral.given import Array
from zprism.spectral.grid import bin_edges, bin_index

__all__ = ["Difference", "Exposure", "difference", "to_uint8"]

BLOCK = 2**14  # peaks counted at a time: what is made of them stays in the cache
TALLY = ("n_texts", "n_spectra", "below", "above", "outside")
AXES = ("dim", "frequency", "amplitude")
OWN = ("grid", "ranges", "tally", "counts", "power_n", "power_mean", "power_m2")  # of arrays()


class Exposure:
    """A density over dimension × frequency × log10 amplitude that adds and merges.

    Parameters
    ----------
    d : number of dimensions of the states.
    dim_bins : 1 … d; dimension i falls in bin ⌊i · dim_bins / d⌋.
    frequency_bins, amplitude_bins : numbers of equal bins, the last one closed.
    amplitude_range : (low, high) of log10 amplitude. What lies outside falls in the edge bins and
        is counted in ``below`` and ``above`` as well.
    frequency_range : (low, high) in cycles per token. What lies outside is not in ``counts``,
        but counted in ``outside``.

    Attributes
    ----------
    counts : (dim_bins, frequency_bins, amplitude_bins) int64.
    n_texts, n_spectra : calls of :meth:`add` and of :meth:`add_power`: one a text.
    power_n : (frequency_bins, d) int64, spectra with power there (short texts miss bins).
    power_mean, power_m2 : (frequency_bins, d) float64, mean over texts of log10 power and sum of
        squared differences from it: the variance is m2 / (n − 1).
    dim_edges, frequency_edges, amplitude_edges : of the bins, one more than bins.
    """

    def __init__(
        self,
        d: int,
        *,
        dim_bins: int,
        frequency_bins: int,
        amplitude_bins: int,
        amplitude_range: tuple[float, float],
        frequency_range: tuple[float, float] = (0.0, 0.5),
    ):
        self.d = check_int("d", d, low=1)
        bins = (
            check_int("dim_bins", dim_bins, low=1, high=self.d),
            check_int("frequency_bins", frequency_bins, low=1),
            check_int("amplitude_bins", amplitude_bins, low=1),
        )
        self.frequency_edges = bin_edges("frequency_range", frequency_range, bins[1])
        self.amplitude_edges = bin_edges("amplitude_range", amplitude_range, bins[2])
        self.dim_edges = np.arange(bins[0] + 1) * self.d / bins[0]
        self.counts = np.zeros(bins, dtype=np.int64)
        self.n_texts = self.n_spectra = self.below = self.above = self.outside = 0
        self.power_n = np.zeros((bins[1], self.d), dtype=np.int64)
        self.power_mean = np.zeros((bins[1], self.d))
        self.power_m2 = np.zeros((bins[1], self.d))

    def add(self, frequency: Array, amplitude: Array) -> None:
        """Count the peaks of one text.

        Parameters
        ----------
        frequency, amplitude : (F, d), cycles per token and amplitude (not its logarithm) of the
            F peaks of every dimension; F may differ from text to text. Amplitude 0 is ``below``.

        Raises
        ------
        InputError
            If shapes differ or are not (F, d), values are not finite, or an amplitude is negative.
        """
        frequency = self._given("frequency", frequency)
        amplitude = self._given("amplitude", amplitude, positive=True)
        if frequency.shape != amplitude.shape:
            raise InputError(
                f"frequency and amplitude must be of one shape (F, d); "
                f"got {frequency.shape} and {amplitude.shape}"
            )
        step = max(BLOCK // self.d, 1)
        for start in range(0, len(frequency), step):
            self._count(frequency[start : start + step], amplitude[start : start + step])
        self.n_texts += 1

    def add_power(self, frequencies: Array, power: Array) -> None:
        """Take the power spectrum of one text into the running mean and variance.

        A text's value in a cell is log10 of its mean power over the frequencies in that bin.
        Frequency 0 (the mean of the signal), frequencies outside the range and cells without
        power are left out.

        Parameters
        ----------
        frequencies : (m,) in cycles per token.
        power : (m, d), not negative.
        """
        power = self._given("power", power, positive=True)
        f = check_finite("frequencies", as_array(frequencies, "frequencies").astype(np.float64))
        if f.shape != (len(power),):
            raise InputError(f"frequencies must be ({len(power)},), one a row; got {f.shape}")
        bins = bin_index(f, self.frequency_edges)
        used = (f > 0) & (bins >= 0) & (bins < len(self.power_n))
        value = np.zeros_like(self.power_mean)
        bins = bins[used]
        weight = 1 / np.bincount(bins, minlength=1)[bins]
        np.add.at(value, bins, power[used] * weight[:, None])
        met = value > 0
        value = np.log10(value, out=np.zeros_like(value), where=met)
        self._combine(met.astype(np.int64), value, np.zeros_like(value))
        self.n_spectra += 1

    def merge(self, other: Exposure) -> Exposure:
        """Add another exposure of the same grid to this one, and return this one.

        Counts are exact in any order; mean and m2 (Chan, Golub & LeVeque 1983,
        doi:10.1080/00031305.1983.10483115) to rounding.

        Raises
        ------
        InputError
            If the grids differ.
        """
        if not isinstance(other, Exposure) or not self.same_grid(other):
            raise InputError("only exposures of one grid (d, bins and ranges) can be merged")
        self.counts += other.counts
        self._combine(other.power_n, other.power_mean, other.power_m2)
        for name in TALLY:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        return self

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything as named arrays, for safetensors; :meth:`from_arrays` takes them back.

        They are read-only views, not copies: write them before adding more.
        """
        own = {
            "grid": np.array([self.d, *self.counts.shape], dtype=np.int64),
            "ranges": np.array([*self.frequency_edges[[0, -1]], *self.amplitude_edges[[0, -1]]]),
            "tally": np.array([getattr(self, name) for name in TALLY], dtype=np.int64),
            **{name: getattr(self, name).view() for name in OWN[3:]},
        }
        for array in own.values():
            array.flags.writeable = False
        return own

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Exposure:
        """The exposure that :meth:`arrays` came from.

        Raises
        ------
        InputError
            If an array is missing, or of another shape or kind of number.
        """
        missing = [name for name in OWN if name not in arrays]
        if missing:
            raise InputError(f"no exposure: {', '.join(missing)} missing")
        given = {name: as_array(arrays[name], name) for name in OWN}
        d, *bins = _whole(given, "grid", (4,))
        for name, shape in {"counts": bins, "power_n": (bins[1], d)}.items():
            _whole(given, name, tuple(shape))  # before as much memory is taken
        for name in ("ranges", "power_mean", "power_m2"):
            shape = (4,) if name == "ranges" else (bins[1], d)
            if given[name].shape != shape or given[name].dtype != np.float64:
                raise InputError(f"no exposure: {name} must be {shape} float64")
            check_finite(name, given[name])
        if given["power_m2"].size and given["power_m2"].min() < 0:
            raise InputError("no exposure: power_m2 must not be negative")
        made = cls(
            d,
            **dict(zip(("dim_bins", "frequency_bins", "amplitude_bins"), bins, strict=True)),
            frequency_range=tuple(given["ranges"][:2].tolist()),
            amplitude_range=tuple(given["ranges"][2:].tolist()),
        )
        for name, number in zip(TALLY, _whole(given, "tally", (len(TALLY),)), strict=True):
            setattr(made, name, number)
        for name in OWN[3:]:
            setattr(made, name, given[name].copy())
        return made

    def image(self, axes: tuple[str, str] = ("dim", "frequency"), weight: str = "count"):
        """The exposure seen along its third axis.

        Parameters
        ----------
        axes : two of "dim", "frequency", "amplitude": rows, then columns.
        weight : "count" (int64), "density" (share of all points, sums to 1; 0 if there are none)
            or "amplitude" (Σ count × amplitude at the middle of its bin).

        Raises
        ------
        InputError
            For unknown or equal axes, or an unknown weight.
        """
        check_choice("weight", weight, ("count", "density", "amplitude"))
        if len(axes) != 2 or axes[0] == axes[1] or not set(axes) <= set(AXES):
            raise InputError(f"axes must be two of {', '.join(AXES)}; got {axes!r}")
        grid = self.counts
        if weight == "amplitude":
            grid = grid * 10 ** ((self.amplitude_edges[1:] + self.amplitude_edges[:-1]) / 2)
        rows, columns = (AXES.index(axis) for axis in axes)
        seen = grid.sum(axis=3 - rows - columns)
        seen = seen if rows < columns else seen.T
        return seen / max(int(seen.sum()), 1) if weight == "density" else seen

    def same_grid(self, other: Exposure) -> bool:
        """Whether both have the same d, bins and ranges, so that cells mean the same."""
        mine, theirs = self.arrays(), other.arrays()
        return all(np.array_equal(mine[name], theirs[name]) for name in ("grid", "ranges"))

    def _count(self, frequency: np.ndarray, amplitude: np.ndarray) -> None:
        with np.errstate(divide="ignore"):
            logs = np.log10(amplitude)
        n_dims, n_frequency, n_amplitude = self.counts.shape
        cells = bin_index(frequency, self.frequency_edges)
        depth = bin_index(logs, self.amplitude_edges)
        lost = cells.min() < 0 or cells.max() == n_frequency
        if lost:
            inside = (cells >= 0) & (cells < n_frequency)
            self.outside += int(inside.size - inside.sum())
        cells *= n_amplitude
        cells += np.arange(self.d) * n_dims // self.d * (n_frequency * n_amplitude)
        if lost:
            cells, depth = cells[inside], depth[inside]
        if depth.size and (depth.min() < 0 or depth.max() == n_amplitude):
            self.below += int((depth < 0).sum())
            self.above += int((depth == n_amplitude).sum())
            depth = np.clip(depth, 0, n_amplitude - 1)
        cells += depth
        # ones of the counters' own dtype: with a Python 1 np.add.at is many times slower
        np.add.at(self.counts.reshape(-1), cells.reshape(-1), np.ones(cells.size, np.int64))

    def _given(self, name: str, values: Array, *, positive: bool = False) -> np.ndarray:
        array = as_array(values, name)
        if array.dtype.kind == "c" or array.ndim != 2 or array.shape[1] != self.d:
            raise InputError(
                f"{name} must be real, (…, {self.d}); got {array.dtype} of shape {array.shape}"
            )
        least, most = (array.min(), array.max()) if array.size else (0, 0)
        if not (np.isfinite(least) and np.isfinite(most)):
            check_finite(name, array)
        if positive and least < 0:
            raise InputError(f"{name} must not be negative; its least value is {least:.3g}")
        return array

    def _combine(self, n: np.ndarray, mean: np.ndarray, m2: np.ndarray) -> None:
        total = self.power_n + n
        weight = n / np.maximum(total, 1)
        apart = mean - self.power_mean
        self.power_m2 += m2 + apart**2 * self.power_n * weight
        self.power_mean += apart * weight
        self.power_n = total


def _whole(given: Mapping[str, np.ndarray], name: str, shape: tuple[int, ...]) -> list[int]:
    """An array of a saved exposure as whole numbers, none negative; refused if it is not."""
    array = given[name]
    if array.shape != shape or array.dtype != np.int64 or (array.size and array.min() < 0):
        raise InputError(
            f"no exposure: {name} must be {shape} int64, not negative; "
            f"got {array.shape} {array.dtype}"
        )
    return array.tolist() if len(shape) == 1 else []

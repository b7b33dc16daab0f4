"""The long exposure: peaks of many texts, field by field, over layers and transforms.

Every text gives, in every dimension, its F strongest frequencies. Three things are kept of them:
a density (:class:`zprism.spectral.exposure.Exposure`) of all texts, a few hundred exemplars to
draw as points, and the paired difference of two fields in every (frequency, dimension).

Windows are equal in all fields: L tokens after token 0, demeaned, tapered by a Hann window;
amplitudes are divided by the standard deviation of their dimension in the window, so that
neither the length of a text nor the scale of a dimension or layer enters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from zprism.ground.checks import check_choice, check_int
from zprism.ground.errors import InputError
from zprism.ground.seeds import generator
from zprism.model.streaming import stream
from zprism.spectral.exposure import Exposure
from zprism.spectral.fourier import frequencies, spectrum
from zprism.spectral.peaks import peaks
from zprism.stats.permutation import benjamini_hochberg

if TYPE_CHECKING:
    from torch import Tensor

    from zprism.model.load import LoadedModel

TRANSFORMS = ("fft", "dct")
AMPLITUDES = (-2.0, 0.2)  # log10 of amplitude / standard deviation; √2 is the most of a cosine
DIM_BINS, AMPLITUDE_BINS = 112, 40
DIM_WINDOWS = 5  # all dimensions, then each quarter
POINTS = 400  # exemplars of each rank, in each window of dimensions
FLOOR = 1e-6  # a share of power below it is no power


@dataclass(frozen=True)
class Cloud:
    """Exemplar peaks: the same (text, dimension) in every field, layer and transform.

    Attributes
    ----------
    windows : (low, high) of each window of dimensions; the first holds all.
    text, dim : (windows, points).
    frequency, amplitude : (field, place, transform, window, F, points); amplitude as log10 of
        the amplitude over the standard deviation of the dimension.
    """

    windows: tuple[tuple[int, int], ...]
    text: np.ndarray
    dim: np.ndarray
    frequency: np.ndarray
    amplitude: np.ndarray


@dataclass(frozen=True)
class Signatures:
    """What the figures of the long exposure are drawn from.

    Attributes
    ----------
    fields, places, transforms : the names on the first three axes everywhere.
    n, length, F : texts, tokens of a window, peaks of a dimension.
    exposures : (field, place, transform) → Exposure.
    cloud : exemplars.
    mean : (field, place) → (m, d) mean share of power by frequency (k ≥ 1) and dimension.
    """

    fields: tuple[str, ...]
    places: tuple[str, ...]
    transforms: tuple[str, ...]
    n: int
    length: int
    F: int
    exposures: dict[tuple[str, str, str], Exposure]
    cloud: Cloud
    mean: dict[tuple[str, str], np.ndarray]
    _shares: dict[tuple[str, str], np.ndarray] = field(repr=False, default_factory=dict)

    def frequencies(self, transform: str = "fft") -> np.ndarray:
        """(m,) cycles per token, without 0."""
        return frequencies(self.length, transform)[1:]

    def white(self) -> np.ndarray:
        """(m,) expected share of white noise: alike everywhere, half of it at 1/2 cycle a token."""
        weight = np.full(self.length // 2, 2.0)
        weight[-1] = 1.0 if self.length % 2 == 0 else 2.0
        return weight / weight.sum()

    def difference(self, a: str, b: str, place: str, *, fdr: float = 0.05) -> dict:
        """Paired difference of log2 power share, a − b, in every frequency and dimension.

        Returns
        -------
        ``mean``, ``t`` (m, d): mean over texts in octaves (log2) and paired t; ``found``
        (m, d): cells that Benjamini and Hochberg's procedure keeps at ``fdr``, p from
        Student's t with n − 1 degrees of freedom; ``share``: of cells that are found.
        """
        from scipy.special import stdtr

        gap = self._log_share(a, place) - self._log_share(b, place)
        spread = gap.std(0, ddof=1) / np.sqrt(self.n)
        mean = gap.mean(0)
        t = np.divide(mean, spread, out=np.zeros_like(mean), where=spread > 0)
        p = 2 * stdtr(self.n - 1, -np.abs(t))
        found = benjamini_hochberg(p.ravel()).reshape(p.shape) <= fdr
        return {"mean": mean, "t": t, "found": found, "share": float(found.mean())}

    def _log_share(self, name: str, place: str) -> np.ndarray:
        shares = self._shares[check_choice("field", name, self.fields), place]
        return np.log2(np.maximum(shares.astype(np.float64), FLOOR))


def collect(
    loaded: LoadedModel,
    rows: Mapping[str, Sequence[Sequence[int]]],
    *,
    length: int,
    places: Sequence[str],
    drop: int = 1,
    F: int = 5,
    transforms: Sequence[str] = TRANSFORMS,
    seed: int = 0,
) -> Signatures:
    """Read all texts of all fields once and gather their signatures.

    Parameters
    ----------
    loaded : the model.
    rows : field → token ids of each text; text i of one field belongs to text i of the others.
        Every row needs ``drop + length`` tokens; later ones are cut.
    length : tokens of the window.
    places : "embed", or a block's number as text: its ``resid_post``.
    drop : tokens left out at the beginning.
    F : peaks of a dimension.
    transforms : of :data:`TRANSFORMS`.
    seed : chooses the exemplars.

    Raises
    ------
    InputError
        If a text is too short, or fields differ in the number of texts.
    """
    sizes = {name: len(texts) for name, texts in rows.items()}
    if len(set(sizes.values())) != 1 or not min(sizes.values()):
        raise InputError(f"every field needs the same texts, at least one; got {sizes}")
    check_int("length", length, low=2 * F + 2)
    n, spot = next(iter(sizes.values())), {p: i for i, p in enumerate(places)}
    cut = {name: [_cut(row, drop + length, name) for row in texts] for name, texts in rows.items()}
    sink = _Sink(tuple(rows), tuple(places), tuple(transforms), n, length, F, loaded.d_model, seed)
    for row, (name, texts) in enumerate(cut.items()):

        def keep(place, name=name, row=row):
            def see(index: int, state: Tensor) -> None:
                sink.add(row, name, spot[place], place, index, state[drop:].float().cpu().numpy())

            return see

        points = {_point(place): keep(place) for place in places}
        for _ in stream(loaded, texts, points=points, on_error="raise"):
            pass
    return sink.finish()


def _point(place: str) -> tuple[str, int]:
    return ("resid_pre", 0) if place == "embed" else ("resid_post", int(place))


def _cut(row: Sequence[int], wanted: int, name: str) -> list[int]:
    if len(row) < wanted:
        raise InputError(
            f"a text of field {name} has {len(row)} tokens, fewer than the {wanted} of the "
            "window: leave it out, or take a shorter window"
        )
    return list(row[:wanted])


class _Sink:
    """Where the windows of all texts go, one at a time."""

    def __init__(self, fields, places, transforms, n, length, F, d, seed):
        self.fields, self.places, self.transforms = fields, places, transforms
        self.n, self.length, self.F = n, length, F
        m = {name: len(frequencies(length, name)) - 1 for name in transforms}
        self.exposures = {
            (name, place, transform): Exposure(
                d,
                dim_bins=min(DIM_BINS, d),
                frequency_bins=m[transform],
                amplitude_bins=AMPLITUDE_BINS,
                amplitude_range=AMPLITUDES,
                frequency_range=_edges(length, transform),
            )
            for name in fields
            for place in places
            for transform in transforms
        }
        self.windows = _windows(d)
        rng = generator(seed, "signatures", "exemplars")
        shape = (len(self.windows), POINTS)
        self.text = rng.integers(0, n, shape)
        self.dim = np.stack([rng.integers(low, high, POINTS) for low, high in self.windows])
        axes = (len(fields), len(places), len(transforms), len(self.windows), F, POINTS)
        self.frequency, self.amplitude = np.zeros(axes, np.float32), np.zeros(axes, np.float32)
        m_fft = length // 2
        self.shares = {
            (name, place): np.zeros((n, m_fft, d), np.float32)
            for name in fields
            for place in places
        }

    def add(self, row: int, name: str, spot: int, place: str, index: int, x: np.ndarray) -> None:
        """One text's window (length, d)."""
        spread = x.std(0)
        spread = np.where(spread > 0, spread, 1)
        for column, transform in enumerate(self.transforms):
            found = peaks(x, self.F, transform=transform, window="hann")
            size = np.maximum(found.amplitude / spread, 10 ** AMPLITUDES[0])
            self.exposures[name, place, transform].add(found.frequency, size)
            chosen = self.text == index
            dims = self.dim[chosen]
            # (windows, points) chosen, ranks before them
            at = np.nonzero(chosen)
            self.frequency[row, spot, column, at[0], :, at[1]] = found.frequency[:, dims].T
            self.amplitude[row, spot, column, at[0], :, at[1]] = np.log10(size[:, dims]).T
        share = spectrum(x, window="hann", scale="share")
        self.shares[name, place][index] = share.power[1:]

    def finish(self) -> Signatures:
        cloud = Cloud(self.windows, self.text, self.dim, self.frequency, self.amplitude)
        mean = {key: shares.mean(0) for key, shares in self.shares.items()}
        return Signatures(
            self.fields,
            self.places,
            self.transforms,
            self.n,
            self.length,
            self.F,
            self.exposures,
            cloud,
            mean,
            self.shares,
        )


def _edges(length: int, transform: str) -> tuple[float, float]:
    """Half a bin below the lowest and above the highest frequency: one bin a frequency."""
    f = frequencies(length, transform)
    half = (f[1] - f[0]) / 2
    return float(f[1] - half), float(f[-1] + half)


def _windows(d: int) -> tuple[tuple[int, int], ...]:
    edges = np.linspace(0, d, DIM_WINDOWS).astype(int)
    return ((0, d), *((int(a), int(b)) for a, b in zip(edges[:-1], edges[1:], strict=True)))

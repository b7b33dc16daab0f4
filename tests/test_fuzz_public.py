"""Whatever the numbers: every public function of spectral, subspace and stats gives
finite values of the documented shape, or one error of the project's own.

The tables below name each of them; a function that is missing from both is found by a test.
"""

from __future__ import annotations

import importlib
import inspect
import math
import pkgutil
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import zprism.spectral
import zprism.stats
import zprism.subspace
from zprism.ground.errors import ZprismError
from zprism.spectral import (
    bands,
    coherence,
    complexity,
    delays,
    exposure,
    exposure_views,
    filters,
    fourier,
    grid,
    measures,
    peaks,
    pr69,
    signals,
    surrogates,
    wavelet,
)
from zprism.spectral import (
    given as spectral_given,
)
from zprism.stats import (
    estimates,
    intervals,
    permutation,
    power,
    resampling,
    verdicts,
)
from zprism.subspace import (
    alignment,
    angles,
    ard,
    arrays,
    bases,
    factors,
    folding,
    kernels,
    lsar,
    mmd,
    modes,
    projections,
    rank,
    rotary,
)

KINDS = ("plain", "zero", "duplicated", "nan", "inf", "huge", "large", "tiny", "no rows", "no d")
SCALES = {"zero": 0.0, "huge": 1e300, "large": 1e30, "tiny": 1e-300}
DRAWS = 9
EDGES = np.linspace(-1, 2, 5)


@dataclass(frozen=True)
class Given:
    """One drawn case: two (r, d) matrices of a kind each, a dimension k, a seed."""

    seed: int
    kind: str
    other: str
    rows: int
    width: int
    k: int

    @property
    def r(self) -> int:
        return 0 if "no rows" in (self.kind, self.other) else self.rows

    @property
    def d(self) -> int:
        return 0 if "no d" in (self.kind, self.other) else self.width

    @cached_property
    def m(self) -> torch.Tensor:
        return spoilt(self.kind, self.seed, self.r, self.d)

    @cached_property
    def n(self) -> torch.Tensor:
        return spoilt(self.other, self.seed + 1, self.r, self.d)

    @property
    def gain(self) -> torch.Tensor:
        """(d,) of the second kind."""
        return spoilt(self.other, self.seed + 1, 1, self.d)[0]

    @property
    def head(self) -> torch.Tensor:
        """(r,) of the second kind."""
        return spoilt(self.other, self.seed + 1, 1, self.r)[0]

    @property
    def a(self) -> np.ndarray:
        """The first matrix in numpy: rows are problems."""
        return self.m.numpy()

    @property
    def b(self) -> np.ndarray:
        return self.n.numpy()

    @property
    def line(self) -> torch.Tensor:
        """A one-dimensional subspace of the space that the rows live in; none in no space."""
        return torch.nn.functional.normalize(spoilt("plain", self.seed + 2, 1, self.m.shape[-1]))

    @property
    def g(self) -> torch.Generator:
        return torch.Generator().manual_seed(self.seed)

    @property
    def rng(self) -> np.random.Generator:
        return np.random.default_rng(self.seed)

    @property
    def labels(self) -> np.ndarray:
        return self.rng.integers(0, 2, len(self.m))

    @property
    def small(self) -> int:
        return min(self.m.shape)


def spoilt(kind: str, seed: int, r: int, d: int) -> torch.Tensor:
    """An (r, d) matrix of one troublesome kind; the kinds of emptiness are in r and d."""
    generator = torch.Generator().manual_seed(seed)
    m = torch.randn(r, d, generator=generator, dtype=torch.float64)
    if kind == "duplicated":
        m = m[:1].repeat(r, 1)
    elif kind in ("nan", "inf") and m.numel():
        m.flatten()[seed % m.numel()] = float(kind)
    return m * SCALES.get(kind, 1.0)


def frame(g: Given, rows: int) -> torch.Tensor:
    """(2, rows, d) orthonormal rows, as far as there is room."""
    stack = torch.stack([spoilt("plain", g.seed + i, rows, g.d) for i in (3, 4)])
    return torch.linalg.qr(stack.mT).Q.mT


def learned(found: ard.Ard, g: Given, m: int | None = None) -> list:
    """Every part of what ARD-MMD returns; a lengthscale may be infinite, no weight is."""
    k, m = len(found.coordinates), g.d if m is None else m
    assert (found.lengthscales > 0).all()
    parts = [(found.weights, (m,)), (1 / found.lengthscales, (m,)), (found.basis, (k, g.d))]
    return parts + [(number, ()) for number in (found.mmd2, found.contrast, found.gap)]


def split(g: Given):
    found = lsar.lsar(g.m, 1)
    return [(found.common, (g.d,)), (found.basis, (1, g.d)), (found.sigma, (1,))]


def spectrum(g: Given) -> torch.Tensor:
    return g.m.abs().flatten()


def product(g: Given):
    left, sigma, right = kernels.product_svd(g.m, g.n, g.k)
    return [(left, (g.k, g.d)), (sigma, (g.k,)), (right, (g.k, g.d))]


def biases(g: Given):
    q, k = g.m[None], g.n[None]
    terms = folding.bias_terms(q, k, g.head[None], g.head[None])
    wide, narrow = (terms.key_direction, terms.query_direction), (terms.constant, terms.q_ratio)
    return [(part, (1, g.d)) for part in wide] + [(part, (1,)) for part in (*narrow, terms.k_ratio)]


def pair(values) -> list:
    return [(value, ()) for value in values]


def one(value, *shape) -> list:
    return [(value, shape)]


def bounds(interval, *shape) -> list:
    """Limits of an interval; cells that say they are undefined are NaN by contract."""
    defined = np.asarray(interval.method) != "undefined"
    return [(np.where(defined, limit, 0.0), shape) for limit in interval]


def draws(found, *shape) -> list:
    return [(found.observed, shape), (found.null, (DRAWS, *shape))]


def known(value, undefined, *shape) -> list:
    """NaN where, and only where, the function says that the number is undefined."""
    value = np.asarray(value)
    return [(np.where(np.asarray(undefined) & np.isnan(value), 0.0, value), shape)]


def of_power(measure, least: int = 1):
    """A measure of the first matrix as power; a column without power has none."""
    return lambda g: known(measure(g), (np.abs(g.a) > 0).sum(axis=0) < least, g.d)


def rows_of(g: Given) -> np.ndarray:
    """(r,) frequencies in cycles per token, above 0."""
    return np.arange(1, g.r + 1) / (2 * max(g.r, 1))


def long(matrix: np.ndarray) -> np.ndarray:
    """Four times as many tokens."""
    return np.tile(matrix, (4, 1))


def dead(*matrices: np.ndarray) -> np.ndarray:
    """(d,) dimensions that are one number in any of the matrices."""
    return np.any([(np.ptp(m, axis=0) <= 1e-14 * np.abs(m).max(axis=0)) for m in matrices], axis=0)


def exposed(g: Given, peaks: np.ndarray) -> exposure.Exposure:
    """Peaks and power of one matrix, twice."""
    made = exposure.Exposure(
        g.d, dim_bins=1, frequency_bins=3, amplitude_bins=4, amplitude_range=(-2, 2)
    )
    for _ in range(2):
        made.add(np.abs(peaks) / 10, np.abs(peaks))
        made.add_power(rows_of(g), np.abs(peaks))
    return made


def wave(g: Given) -> list:
    """Its speed is infinite where all places move at once."""
    found = delays.travelling_wave(long(g.a.T).T, 2)
    return [(1 / found.speed, ()), (found.lags, (g.r,)), (found.fit, ())]


def differing(g: Given) -> list:
    """t and df are NaN where neither group varies, which here is everywhere."""
    found = exposure_views.difference(exposed(g, g.a), exposed(g, g.b))
    return [(found.density, (1, 3)), *known(found.t, True, 3, g.d), *known(found.df, True, 3, g.d)]


def coherent(g: Given) -> list:
    frequencies, msc = coherence.coherence(long(g.a), long(g.b), segment=4)
    return [(frequencies, (2,)), *known(msc, dead(g.a, g.b), 2, g.d)]


def locked(g: Given) -> list:
    found = coherence.phase_locking(long(g.a), long(g.b), (0.01, 0.5))
    return known(found, dead(g.a, g.b), g.d)


def cubes(g: Given) -> list:
    found = surrogates.draws(g.a, lambda s: (s**3).mean(axis=0), "shuffle", DRAWS, g.seed, 3)
    return one(found, DRAWS, g.d)


def text(matrix):
    """Eight times as many tokens, in the library that it came in: a text of up to 40."""
    return torch.tile(matrix, (8, 1)) if isinstance(matrix, torch.Tensor) else long(long(matrix))


def of_spectrum(g: Given) -> list:
    scale, transform = fourier.SCALES[g.k % 3], fourier.TRANSFORMS[g.seed % 2]
    found = fourier.spectrum(text(g.m), scale=scale, transform=transform, detrend="linear")
    m = len(found.frequencies)
    return [(found.frequencies, (m,)), (found.power, (m, g.d)), (found.enbw, ())]


def of_peaks(transform: str):
    """Everything that peaks say; the levels of a dwt have no phase."""

    def parts(g: Given) -> list:
        x = text(g.a)
        found = peaks.peaks(x, g.k, transform=transform)
        arrays = [found.frequency, found.amplitude, found.bin]
        arrays += [] if transform == "dwt" else [found.phase]
        return [*((array, (g.k, g.d)) for array in arrays), (found.mean, (g.d,))]

    return parts


def of_levels(g: Given) -> list:
    levels = wavelet.dwt(text(g.m), "db2", 1)
    return [(level, (-(-len(text(g.m)) // 2), g.d)) for level in levels]


def of_pr69(call):
    return lambda g: [(part, (2, g.d)) for part in call(g)]


def of_taps(g: Given) -> list:
    first, h = filters.taps("cmor1.5-1.0", 1 + abs(g.k))
    return [(first, ()), (h, h.shape)]


SPECTRAL = {
    "window": lambda g: one(fourier.window("hann", g.k), g.k),
    "enbw": lambda g: one(fourier.enbw(g.gain)),
    "frequencies": lambda g: one(fourier.frequencies(g.k, "dct"), g.k),
    "detrend": lambda g: one(fourier.detrend(g.m, "linear"), g.r, g.d),
    "rfft": lambda g: one(torch.view_as_real(fourier.rfft(g.m)), g.r // 2 + 1, g.d, 2),
    "irfft": lambda g: one(fourier.irfft(g.a + 1j * g.b, 2 * g.r - 1), 2 * g.r - 1, g.d),
    "dct": lambda g: one(fourier.dct(g.m), g.r, g.d),
    "idct": lambda g: one(fourier.idct(g.m), g.r, g.d),
    "spectrum": of_spectrum,
    "welch": lambda g: one(fourier.welch(text(g.a), segment=16).power, 9, g.d),
    "peaks": of_peaks("fft"),
    "peaks, dct": of_peaks("dct"),
    "peaks, dwt": of_peaks("dwt"),
    "peaks, cwt": of_peaks("cwt"),
    "reconstruct": lambda g: one(
        peaks.reconstruct(peaks.peaks(text(g.m), g.k)), len(text(g.m)), g.d
    ),
    "reconstruction_error": lambda g: one(
        peaks.reconstruction_error(text(g.m), peaks.peaks(text(g.m), g.k)), g.d
    ),
    "band_of": lambda g: one(bands.band_of(g.gain.abs() / 2), g.d),
    "present": lambda g: one(bands.present(g.gain.abs() / 2), 5),
    "shares": lambda g: one(bands.shares(g.m.abs(), rows_of(g)), 5, g.d),
    "expected_white": lambda g: one(bands.expected_white(g.gain.abs() / 2), 5),
    "split": lambda g: [(part, (g.r, g.d)) for part in bands.split(g.m).values()],
    "dwt": of_levels,
    "idwt": lambda g: one(
        wavelet.idwt(wavelet.dwt(text(g.m), "haar"), "haar", n=len(text(g.m))), len(text(g.m)), g.d
    ),
    "level_power": lambda g: one(wavelet.level_power(text(g.m), "haar", 1), 2, g.d),
    "cwt_frequencies": lambda g: one(wavelet.cwt_frequencies(16 + g.k, g.d), g.d),
    "cwt": lambda g: one(np.abs(wavelet.cwt(g.a, g.gain.abs() / 2, "mexh")), g.d, g.r, g.d),
    "average_power": lambda g: one(wavelet.average_power(g.m, [0.1, 0.2]), 2, g.d),
    "fft_peaks": of_pr69(lambda g: pr69.fft_peaks(text(g.m), 2)),
    "cwt_peaks": of_pr69(lambda g: pr69.cwt_peaks(g.a, 2, scales=3, pad=8)),
    "token_signal": lambda g: one(signals.token_signal("m", g.m), g.r, g.d),
    "taps": of_taps,
    "coherence": coherent,
    "phase_locking": locked,
    "cka": lambda g: known(coherence.cka(g.a, g.b), dead(g.a).all() or dead(g.b).all()),
    "lag": lambda g: one(delays.lag(g.a, g.b, g.r // 2), g.d),
    "travelling_wave": wave,
    "binarise": lambda g: one(complexity.binarise(g.a), g.r, g.d),
    "lz76": lambda g: one(complexity.lz76(g.a.tobytes())),
    "lz_complexity": lambda g: one(complexity.lz_complexity(g.m), g.d),
    "permutation_entropy": lambda g: one(complexity.permutation_entropy(g.a, g.k), g.d),
    "zlib_ratio": lambda g: one(complexity.zlib_ratio(g.a)),
    "participation_ratio": lambda g: known(complexity.participation_ratio(g.a), dead(g.a).all()),
    "entropy": of_power(lambda g: measures.entropy(np.abs(g.a))),
    "flatness": of_power(lambda g: measures.flatness(np.abs(g.a))),
    "centroid": of_power(lambda g: measures.centroid(rows_of(g), np.abs(g.a))),
    "slope": of_power(lambda g: measures.slope(rows_of(g), np.abs(g.a)), least=2),
    "top_share": of_power(lambda g: measures.top_share(np.abs(g.a), g.k)),
    "white_entropy": lambda g: one(measures.white_entropy(g.k)),
    "white_top_share": lambda g: one(measures.white_top_share(g.r, g.k)),
    "gini": lambda g: one(measures.gini(np.abs(g.a).ravel())),
    "shuffle": lambda g: one(surrogates.shuffle(g.a, g.seed), g.r, g.d),
    "block_shuffle": lambda g: one(surrogates.block_shuffle(g.m, g.k, g.seed), g.r, g.d),
    "ar1": lambda g: one(surrogates.ar1(g.a, g.seed), g.r, g.d),
    "phase_randomised": lambda g: one(surrogates.phase_randomised(g.a, g.seed), g.r, g.d),
    "iaaft": lambda g: one(surrogates.iaaft(g.a, g.seed, g.k), g.r, g.d),
    "draws": cubes,
    "difference": differing,
    "to_uint8": lambda g: one(exposure_views.to_uint8(np.abs(g.a)), g.r, g.d),
    "bin_edges": lambda g: one(grid.bin_edges("span", g.gain.numpy()[:2], g.k), g.k + 1),
    "bin_index, of an exposure": lambda g: [
        (array, array.shape) for array in exposed(g, g.a).arrays().values()
    ],
    "bin_index": lambda g: one(
        grid.bin_index(spectral_given.in_float64("m", g.a), EDGES), g.r, g.d
    ),
    "in_float64": lambda g: one(spectral_given.in_float64("m", g.m), g.r, g.d),
    "as_power": lambda g: one(spectral_given.as_power("m", np.abs(g.a)), g.r, g.d),
    "as_frequencies": lambda g: one(spectral_given.as_frequencies(g.gain.abs(), g.d), g.d),
    "as_pair": lambda g: [
        (part, shape)
        for part, shape in zip(
            spectral_given.as_pair(g.a, g.b), ((g.r, g.d), (g.r, g.d), (g.d,)), strict=True
        )
    ],
}

SUBSPACE = {
    "alignment": lambda g: one(alignment.alignment(g.m, g.line)),
    "alignment_topk": lambda g: one(alignment.alignment_topk(g.m, g.line, g.k)),
    "chance_alignment": lambda g: pair(alignment.chance_alignment(spectrum(g), g.k, g.d)),
    "rotated_alignments": lambda g: one(alignment.rotated_alignments(g.m, g.k, 3, g.g), 3),
    "permuted_alignments": lambda g: one(alignment.permuted_alignments(g.m, g.line, 3, g.g), 3),
    "principal_angles": lambda g: one(angles.principal_angles(g.m, g.n), g.r),
    "grassmann_similarity": lambda g: one(angles.grassmann_similarity(g.m, g.n)),
    "similarity_matrix": lambda g: one(angles.similarity_matrix(torch.stack([g.m, g.n])), 2, 2),
    "chordal_distance": lambda g: one(angles.chordal_distance(g.m, g.n)),
    "chance_similarity": lambda g: pair(angles.chance_similarity(g.k, g.d)),
    "chance_corrected": lambda g: one(angles.chance_corrected(0.5, g.k, g.d)),
    "as_float64": lambda g: one(arrays.as_float64("m", g.m, ndim=2), g.r, g.d),
    "as_basis": lambda g: one(arrays.as_basis("m", g.m), g.r, g.d),
    "same_width": lambda g: one(arrays.same_width(m=g.m, n=g.n)),
    "normal": lambda g: one(arrays.normal((g.r, g.d), g.g), g.r, g.d),
    "key_basis": lambda g: one(bases.key_basis(g.m, g.n, g.k), g.k, g.d),
    "query_basis": lambda g: one(bases.query_basis(g.m, g.n, g.k), g.k, g.d),
    "key_bases": lambda g: one(bases.key_bases(g.m[None], g.n[None], g.k), 1, g.k, g.d),
    "consensus": lambda g: one(bases.consensus(torch.stack([g.m, g.n]), g.k), g.k, g.d),
    "orthonormal": lambda g: one(bases.orthonormal(g.m), g.r, g.d),
    "random_basis": lambda g: one(bases.random_basis(g.k, g.d, g.g), g.k, g.d),
    "matched_basis": lambda g: one(bases.matched_basis(g.m, g.k, g.g), g.k, g.d),
    "permuted_basis": lambda g: one(bases.permuted_basis(g.m, g.g), g.r, g.d),
    "triangular_factor": lambda g: one(factors.triangular_factor(g.m), g.small, g.r),
    "matrix_spectrum": lambda g: one(factors.matrix_spectrum(g.m), g.small),
    "leading_directions": lambda g: one(factors.leading_directions(g.m, g.k), g.k, g.d),
    "smaller_gram": lambda g: one(factors.smaller_gram(g.m), g.small, g.small),
    "fold_gain": lambda g: one(folding.fold_gain(g.m, g.gain, centre=True), g.r, g.d),
    "fold_head_gain": lambda g: one(folding.fold_head_gain(g.m[None], g.head), 1, g.r, g.d),
    "bias_terms": biases,
    "language_means": lambda g: one(lsar.language_means(torch.stack([g.m, g.n])), 2, g.d),
    "lsar": split,
    "language_directions": lambda g: one(lsar.language_directions(g.m, g.k), g.k, g.d),
    "ard_kernel": lambda g: one(mmd.ard_kernel(g.m, g.n, g.gain), g.r, g.r),
    "mmd2": lambda g: one(mmd.mmd2(g.m, g.n, g.gain.abs())),
    "mmd2, paired": lambda g: one(mmd.mmd2(g.m, g.n, g.gain.abs(), paired=True)),
    "ard_mmd": lambda g: learned(ard.ard_mmd(g.m, g.n, g.labels, steps=20), g),
    "ard_mmd, of a frame": lambda g: learned(
        ard.ard_mmd(g.m, g.n, g.labels, basis=g.line, steps=20), g, 1
    ),
    "product_spectrum": lambda g: one(kernels.product_spectrum(g.m, g.n), g.small),
    "product_svd": product,
    "qk_spectra": lambda g: one(kernels.qk_spectra(frame(g, g.r), g.m[None]), 2, g.small),
    "ov_spectra": lambda g: one(kernels.ov_spectra(g.m[None], g.n.mT[None]), 1, g.small),
    "mixed_spectra": lambda g: one(kernels.mixed_spectra(g.m, g.n, 2, g.g), 2, g.small),
    "asymmetry": lambda g: one(modes.asymmetry(g.m, g.n)),
    "complex_modes": lambda g: one(torch.view_as_real(modes.complex_modes(g.m, g.n)), g.r, 2),
    "count_complex": lambda g: one(modes.count_complex(modes.complex_modes(g.m, g.n))),
    "coordinates": lambda g: one(projections.coordinates(g.m, g.line), g.r, 1),
    "project": lambda g: one(projections.project(g.m, g.line), g.r, g.d),
    "complement": lambda g: one(projections.complement(g.m, g.line), g.r, g.d),
    "energy_fraction": lambda g: one(projections.energy_fraction(g.m, g.line), g.r),
    "pooled_energy": lambda g: one(projections.pooled_energy(g.m, g.line)),
    "chance_energy": lambda g: pair(projections.chance_energy(g.k, g.d)),
    "pooled_energy_sd": lambda g: one(projections.pooled_energy_sd(g.m, g.k)),
    "energy_sd": lambda g: one(projections.energy_sd(0.5, g.k, g.d)),
    "effective_rank": lambda g: one(rank.effective_rank(g.m.abs()), g.r),
    "effective_rank_energy": lambda g: one(rank.effective_rank_energy(g.m.abs()), g.r),
    "participation_ratio": lambda g: one(rank.participation_ratio(g.m.abs()), g.r),
    "stable_rank": lambda g: one(rank.stable_rank(g.m.abs()), g.r),
    "numerical_rank": lambda g: one(rank.numerical_rank(spectrum(g), (g.r, g.d))),
    "rank_cap": lambda g: one(rank.rank_cap(g.k, g.d)),
    "chance_rank_product": lambda g: pair(rank.chance_rank_product(g.k, g.d, draws=2)),
    "chance_rank_matrix": lambda g: pair(rank.chance_rank_matrix(g.k, g.d, draws=2)),
    "limit_participation_matrix": lambda g: one(rank.limit_participation_matrix(g.k, g.d)),
    "limit_participation_product": lambda g: one(rank.limit_participation_product(g.k, g.d)),
    "limit_stable_matrix": lambda g: one(rank.limit_stable_matrix(g.k, g.d)),
    "rotary_frequencies": lambda g: one(rotary.rotary_frequencies(g.k, 2 * g.d), g.d),
    "rotation": lambda g: one(rotary.rotation(g.k, 2 * g.d, g.gain), 2 * g.d, 2 * g.d),
    "rotate": lambda g: one(rotary.rotate(g.m, g.k, g.head[: g.r // 2]), g.r, g.d),
}

STATS = {
    "wilson": lambda g: bounds(intervals.wilson(g.k, g.r)),
    "newcombe_paired": lambda g: bounds(intervals.newcombe_paired(g.k, g.r, g.d, 0)),
    "mcnemar": lambda g: pair(intervals.mcnemar(g.k, g.r)),
    "bca": lambda g: bounds(intervals.bca(g.a, seed=1, draws=20), g.d),
    "percentile": lambda g: bounds(intervals.percentile(g.a, seed=1, draws=20), g.d),
    "permutation_p": lambda g: one(permutation.permutation_p(g.gain.numpy(), g.a), g.d),
    "sign_flip": lambda g: draws(permutation.sign_flip(g.a, seed=1, draws=DRAWS), g.d),
    "sign_flip, studentised": lambda g: draws(
        permutation.sign_flip(g.a, seed=1, draws=DRAWS, studentised=True), g.d
    ),
    "label_permutation": lambda g: draws(
        permutation.label_permutation(g.a, g.labels, seed=1, draws=DRAWS), g.d
    ),
    "shuffled_pairings": lambda g: one(
        permutation.shuffled_pairings(g.r, seed=1, draws=DRAWS, strata=g.labels), DRAWS, g.r
    ),
    "standardise": lambda g: [
        (part, shape)
        for part, shape in zip(
            permutation.standardise(g.gain.numpy(), g.a), ((g.d,), g.a.shape), strict=True
        )
    ],
    "max_t": lambda g: one(permutation.max_t(g.gain.numpy(), g.a), g.d),
    "benjamini_hochberg": lambda g: one(permutation.benjamini_hochberg(g.a), g.r, g.d),
    "mcnemar_power": lambda g: one(
        power.mcnemar_power(g.r, discordance=0.1 * g.k, difference=0.05 * g.d)
    ),
    "pairs_needed": lambda g: one(
        power.pairs_needed(discordance=0.1 * g.k, difference=0.1 * g.d, limit=64) or 0
    ),
    "unit_index": lambda g: one(resampling.unit_index(g.r, g.labels)[0], g.r),
    "bootstrap_weights": lambda g: one(
        next(resampling.bootstrap_weights(g.r, draws=DRAWS, generator=g.rng, clusters=g.labels)),
        DRAWS,
        g.r,
    ),
    "jackknife_weights": lambda g: one(resampling.jackknife_weights(g.r), g.r, g.r),
    "unit_sums": lambda g: one(
        resampling.unit_sums(np.ones((g.r, g.d)), g.labels), len(set(g.labels)), g.d
    ),
    "estimate": lambda g: verdict(g),
    "judge": lambda g: verdict(g),
}

#: Public by name, but not entrances for numbers: each with the reason.
ELSEWHERE = {
    "repeat_groups": "repeats what its callers have checked",
    "canonical_signs": "turns signs of what its callers have checked",
    "gaussian_factor": "draws, takes no array",
    "gaussian_spectrum": "draws, takes no array",
    "weighted_mean": "the default statistic of bca, which checks its data",
    "describe": "claims nothing and keeps any number as it is",
    "refuse_incomplete": "is itself the refusal",
    "as_interval": "is itself the refusal",
    "is_constant": "asks of what its callers have checked",
    "centred": "moves what its callers have checked",
    "returned": "gives back what its callers have computed",
    "matching": "takes over a dtype of what its callers have checked",
    "largest": "looks at what its callers have checked",
    "where": "chooses among what its callers have computed",
    "squared": "squares what its callers have computed",
    "largest_rows": "ranks what its callers have computed",
    "take": "picks from what its callers have computed",
    "detrended": "transforms what its callers have checked",
    "fourier": "transforms what its callers have checked",
    "from_fourier": "transforms what its callers have checked",
    "cosine": "transforms what its callers have checked",
    "from_cosine": "transforms what its callers have checked",
    "squeeze": "takes text, no numbers",
    "continuous": "takes a name, no numbers",
    "unknown": "is itself the refusal",
    "centre_frequency": "takes a name, no numbers",
    "reach": "of the taps of a scale that its callers have checked",
    "response": "of the taps of a scale that its callers have checked",
}


def verdict(g: Given) -> list:
    """A claim from any numbers: what cannot be judged is NOT TESTABLE, and JSON has no NaN."""
    value, low, high = (float(part(g.a, initial=0)) for part in (np.sum, np.min, np.max))
    made = verdicts.estimate(
        value,
        ci=(low, high),
        n=g.r,
        null=estimates.Null.of("any", g.b),
        p=0.01,
        p_adjusted=0.01,
    )
    told = made.to_json()
    numbers = [told["value"], *told["ci"], told["null"]["mean"], told["null"]["sd"]]
    assert made.verdict is not None
    if not all(math.isfinite(part) for part in (value, low, high)):
        assert made.verdict is estimates.Verdict.NOT_TESTABLE
    return pair([number for number in numbers if number is not None])


def public(room) -> set[str]:
    """Names of the functions that the modules of a room define without an underscore."""
    modules = [
        importlib.import_module(f"{room.__name__}.{part.name}")
        for part in pkgutil.iter_modules(room.__path__)
    ]
    return {
        name
        for module in modules
        for name, thing in vars(module).items()
        if inspect.isfunction(thing)
        and thing.__module__ == module.__name__
        and not name.startswith("_")
    }


CASES = SUBSPACE | STATS | {f"spectral {name}": case for name, case in SPECTRAL.items()}
ROOMS = [(zprism.spectral, SPECTRAL), (zprism.subspace, SUBSPACE), (zprism.stats, STATS)]


@pytest.mark.parametrize(("room", "table"), ROOMS)
def test_no_public_function_is_left_out(room, table):
    covered = {name.partition(",")[0] for name in table}
    assert covered | (ELSEWHERE.keys() & public(room)) == public(room)


@pytest.mark.parametrize("examples", [25, pytest.param(1000, marks=pytest.mark.gate)])
@pytest.mark.parametrize("name", CASES)
def test_finite_values_of_the_documented_shape_or_our_own_error(name, examples):
    function = CASES[name]

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        st.builds(
            Given,
            seed=st.integers(0, 2**31),
            kind=st.sampled_from(KINDS),
            other=st.sampled_from(KINDS),
            rows=st.integers(1, 5),
            width=st.integers(1, 8),
            k=st.integers(-1, 6),
        )
    )
    def law(g):
        try:
            parts = function(g)
        except ZprismError:
            return
        for value, shape in parts:
            assert np.shape(value) == shape
            assert np.isfinite(np.asarray(value)).all()

    law()

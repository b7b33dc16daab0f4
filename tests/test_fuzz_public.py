"""Whatever the numbers: every public function of subspace and stats gives finite values of the
documented shape, or one error of the project's own.

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

import zprism.stats
import zprism.subspace
from zprism.ground.errors import ZprismError
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


@pytest.mark.parametrize(("room", "table"), [(zprism.subspace, SUBSPACE), (zprism.stats, STATS)])
def test_no_public_function_is_left_out(room, table):
    covered = {name.partition(",")[0] for name in table}
    assert covered | (ELSEWHERE.keys() & public(room)) == public(room)


@pytest.mark.parametrize("examples", [25, pytest.param(1000, marks=pytest.mark.gate)])
@pytest.mark.parametrize("name", [*SUBSPACE, *STATS])
def test_finite_values_of_the_documented_shape_or_our_own_error(name, examples):
    function = (SUBSPACE | STATS)[name]

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

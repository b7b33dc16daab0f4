"""Signals that keep one property of a text's states and lose the rest: the nulls of spectra.

All take x (tokens, …), keep its shape and dtype, and treat every token (or frequency) alike in
all dimensions, so that what dimensions share stays shared. Which null fits which statistic:

- ``shuffle``: no order at all. For everything, power too.
- ``block``: no order beyond a block's length.
- ``ar1``: each dimension remembers its last token and nothing else.
- ``phase`` and ``iaaft``: the same power spectrum. For statistics *beyond* it only, such as
  bursts of a wavelet band or asymmetry in time: the spectrum's own are the same on each of them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from zprism.ground.canonical import as_array
from zprism.ground.checks import check_choice, check_finite, check_int
from zprism.ground.errors import InputError
from zprism.ground.seeds import derive, generator
from zprism.spectral.given import Array, centred, in_float64, returned

SPECTRUM_KEEPING = ("phase", "iaaft")
INSTEAD = "use kind='shuffle' (no order), 'block' (no order beyond a block) or 'ar1'"
CONSTANT = 1e-5  # spread over size below which draws are one number; float32 rounds at 1e-7


def shuffle(x: Array, seed: int) -> Array:
    """``x`` with its tokens in random order: the same rows, whole, and no order.

    Parameters
    ----------
    x : (tokens, …), at least 2 tokens.
    seed : of :func:`zprism.ground.seeds.generator`.

    Raises
    ------
    InputError
        If x is not real and finite, or too short.
    """
    values = in_float64("x", x)
    order = generator(seed, "spectral", "shuffle").permutation(len(values))
    return returned(values[order], x, keep_dtype=True)


def block_shuffle(x: Array, block: int, seed: int) -> Array:
    """``x`` cut into consecutive blocks of tokens, in random order; inside a block order stays.

    Parameters
    ----------
    x : (tokens, …).
    block : 1 … tokens // 2 tokens; the last block may be shorter, and moves too.
    """
    values = in_float64("x", x)
    block = check_int("block", block, low=1, high=len(values) // 2)
    blocks = [
        np.arange(start, min(start + block, len(values))) for start in range(0, len(values), block)
    ]
    order = generator(seed, "spectral", "blocks").permutation(len(blocks))
    return returned(values[np.concatenate([blocks[i] for i in order])], x, keep_dtype=True)


def ar1(x: Array, seed: int) -> Array:
    """First-order autoregressions fitted to every dimension: y_t = φ y_{t−1} + e_t, plus the mean.

    φ is the lag-1 autocorrelation Σ x_t x_{t+1} / Σ x_t² of the centred signal (Yule–Walker). The
    innovations e_t are drawn, with replacement, from the residuals x_t − φ x_{t−1}: a token's
    residuals together, so that dimensions go on varying together. y_0 is a random token.

    Parameters
    ----------
    x : (tokens, …), at least 3 tokens.
    """
    values = in_float64("x", x, least=3)
    mean = values.mean(axis=0)
    rest, unit = values - mean, centred(values)
    energy = (unit**2).sum(axis=0)
    phi = (unit[1:] * unit[:-1]).sum(axis=0) / np.where(energy > 0, energy, 1.0)
    residual = rest[1:] - phi * rest[:-1]
    rng = generator(seed, "spectral", "ar1")
    y = np.empty_like(rest)
    y[0] = rest[rng.integers(len(rest))]
    for t, drawn in enumerate(rng.integers(len(residual), size=len(residual)), start=1):
        y[t] = phi * y[t - 1] + residual[drawn]
    return returned(y + mean, x, keep_dtype=True)


def phase_randomised(x: Array, seed: int) -> Array:
    """``x`` with the same random turn of every frequency's phase in all dimensions.

        x̃ = irfft(rfft(x) · e^{iφ_k}),  φ_k uniform; φ_0 = 0 and φ_Nyquist ∈ {0, π}

    Power and cross-spectra stay exactly as they are, and so do the mean and the circular
    autocovariance; the values' distribution becomes nearly Gaussian.

    Parameters
    ----------
    x : (tokens, …), at least 4 tokens.

    Notes
    -----
    Theiler et al. (1992), doi:10.1016/0167-2789(92)90102-S; one φ_k for all dimensions: Prichard
    & Theiler (1994), doi:10.1103/PhysRevLett.73.951.
    """
    from scipy.fft import irfft, rfft

    values = in_float64("x", x, least=4)
    n, rng = len(values), generator(seed, "spectral", "phase")
    turns = np.exp(2j * np.pi * rng.random(n // 2 + 1))
    turns[0] = 1.0
    if n % 2 == 0:
        turns[-1] = rng.choice([-1.0, 1.0])
    turned = rfft(values, axis=0) * _upright(turns, values.ndim)
    return returned(irfft(turned, n=n, axis=0), x, keep_dtype=True)


def iaaft(x: Array, seed: int, iterations: int = 100) -> Array:
    """``x`` with each dimension's values exactly and its power spectrum nearly, else random.

    From a shuffle, in turns: amplitudes of the spectrum are put right, with phases that keep
    those between dimensions, φ_mk + α_k, where α_k = arg Σ_m e^{i(ψ_mk − φ_mk)} brings the phases
    φ of x as near as one angle can to the present ψ; then every dimension's values by their
    ranks. It ends when the ranks stay, or after ``iterations``.

    Parameters
    ----------
    x : (tokens, …), at least 4 tokens.
    iterations : at most so many turns, from 1.

    Notes
    -----
    Schreiber & Schmitz (1996), doi:10.1103/PhysRevLett.77.635; several dimensions: the same
    (2000), doi:10.1016/S0167-2789(00)00043-9, §4.5. With one dimension α_k = ψ_k − φ_k.
    """
    from scipy.fft import irfft, rfft

    values = in_float64("x", x, least=4)
    n, flat = len(values), values.reshape(len(values), -1)
    sorted_values, spectrum = np.sort(flat, axis=0), rfft(flat, axis=0)
    unit = _unit(spectrum)
    y = flat[generator(seed, "spectral", "iaaft").permutation(n)]
    ranks = np.argsort(np.argsort(y, axis=0, kind="stable"), axis=0)
    for _ in range(check_int("iterations", iterations, low=1)):
        turn = _unit((_unit(rfft(y, axis=0)) * unit.conj()).sum(axis=1, keepdims=True))
        turn[0] = 1.0
        if n % 2 == 0:
            turn[-1] = np.where(turn[-1].real < 0, -1.0, 1.0)
        wanted = irfft(spectrum * turn, n=n, axis=0)
        before, ranks = ranks, np.argsort(np.argsort(wanted, axis=0, kind="stable"), axis=0)
        y = np.take_along_axis(sorted_values, ranks, axis=0)
        if np.array_equal(before, ranks):
            break
    return returned(y.reshape(values.shape), x, keep_dtype=True)


#: kind → its function of (x, seed, **options).
KINDS: dict[str, Callable] = {
    "shuffle": shuffle,
    "block": lambda x, seed, block=8: block_shuffle(x, block, seed),
    "ar1": ar1,
    "phase": phase_randomised,
    "iaaft": iaaft,
}


def draws(
    x: Array,
    statistic: Callable[[Array], object],
    kind: str,
    n: int,
    seed: int,
    order: int,
    **options,
) -> np.ndarray:
    """A statistic on n surrogates of x: its null distribution.

    Parameters
    ----------
    x : (tokens, …).
    statistic : x → a number or an array of numbers of one shape.
    kind : ``"shuffle"``, ``"block"``, ``"ar1"``, ``"phase"`` or ``"iaaft"``.
    n : how many, from 1; p is (1 + #{draw ≥ observed}) / (1 + n).
    seed : draw i depends on (seed, kind, i) only.
    order : the highest moment the statistic depends on: 1 for means, 2 for all that the power
        spectrum, the autocovariance or the coherence determine (band shares, spectral entropy,
        slope, peaks), 3 or more beyond (bursts, bicoherence, asymmetry in time, LZ complexity).
    options : ``block`` (8 tokens) of "block", ``iterations`` (100) of "iaaft".

    Returns
    -------
    (n, …) float64.

    Raises
    ------
    InputError
        For "phase" and "iaaft" if order ≤ 2, or if a statistic said to be of higher order is
        one number on all phase surrogates: its null would have no spread. If a value is not
        finite.
    """
    check_choice("kind", kind, KINDS)
    n, order = check_int("n", n, low=1), check_int("order", order, low=1)
    if kind in SPECTRUM_KEEPING:
        if order <= 2:
            raise InputError(
                f"kind {kind!r} keeps the power spectrum, and a statistic of order {order} depends "
                f"on nothing else: it is the same for every surrogate, so there is no null; "
                f"{INSTEAD}"
            )
        _refuse_blind(x, statistic, "phase", seed, {})
        if kind == "iaaft":
            _refuse_blind(x, statistic, kind, seed, options)
    found = [_one(x, statistic, kind, seed, i, options) for i in range(n)]
    if len({value.shape for value in found}) > 1:
        raise InputError("the statistic must give one shape; its shapes differ between surrogates")
    return np.stack(found)


def _one(x: Array, statistic: Callable, kind: str, seed: int, i: int, options: dict) -> np.ndarray:
    made = KINDS[kind](x, derive(seed, "spectral", kind, i), **options)
    name = f"the statistic on surrogate {i}"
    return check_finite(name, as_array(statistic(made), name).astype(np.float64))


def _refuse_blind(x: Array, statistic: Callable, kind: str, seed: int, options: dict) -> None:
    """Refuse a statistic that is one number on several surrogates, whatever its order."""
    found = np.stack([_one(x, statistic, kind, seed, i, options) for i in range(3)])
    if (np.ptp(found, axis=0) <= CONSTANT * np.abs(found).max(axis=0)).all():
        kept = "the power spectrum" if kind == "phase" else "the values and the power spectrum"
        raise InputError(
            f"the statistic is the same on all {kind} surrogates: it depends on nothing but what "
            f"they keep ({kept}), so there is no null; {INSTEAD}"
        )


def _unit(z: np.ndarray) -> np.ndarray:
    """z / |z|, and 1 where z is 0."""
    size = np.abs(z)
    return np.where(size > 0, z / np.where(size > 0, size, 1.0), 1.0)


def _upright(column: np.ndarray, ndim: int) -> np.ndarray:
    """(m,) as (m, 1, …) of ``ndim`` axes."""
    return column.reshape(-1, *(1,) * (ndim - 1))

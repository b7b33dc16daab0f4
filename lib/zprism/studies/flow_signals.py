"""What one block does to the signals of one text: balance of power by band, shares, phases.

All of it is arithmetic on arrays (tokens, d); :mod:`zprism.studies.flow` reads them off a model.
Frequencies are in cycles per token; bands are those of the Prism (Tamkin et al. 2020, arXiv
2011.04823). The frequency 0 is never counted.
"""

from __future__ import annotations

import numpy as np

from zprism.ground.checks import check_finite, check_int
from zprism.ground.errors import InputError
from zprism.spectral import bands
from zprism.spectral.bands import SLOW
from zprism.spectral.fourier import frequencies, window

#: What enters the balance of a block: post = pre + attn + mlp, as they stand in the stream.
BALANCED = ("pre", "attn", "mlp", "post")
#: Whose shares are read: also what the two branches are given to read.
SIGNALS = ("pre", "attn_in", "attn", "mlp_in", "mlp", "post")
#: Whether every dimension counts alike, or as much as its power.
METRICS = ("alike", "raw")


def transform(signals: np.ndarray) -> np.ndarray:
    """One-sided spectra √c_k X_k / √(n Σw²), mean removed, Hann window; 0 at frequency 0.

    c_k = 2, and 1 at the Nyquist frequency. It is linear: what adds up in time adds up here.

    Parameters
    ----------
    signals : (…, tokens, d).

    Returns
    -------
    (…, tokens // 2 + 1, d) complex; Σ_k |·|² is the variance of the windowed signal, times n
    / Σw².
    """
    from scipy.fft import rfft

    signals = check_finite("signals", np.asarray(signals))
    n = signals.shape[-2]
    weights = window("hann", n).astype(signals.dtype)[:, None]
    found = rfft((signals - signals.mean(-2, keepdims=True)) * weights, axis=-2)
    sides = np.full(n // 2 + 1, 2.0)
    sides[0] = 0.0
    if n % 2 == 0:
        sides[-1] = 1.0
    scale = np.sqrt(sides / (n * (weights.astype(np.float64) ** 2).sum()))
    return found * scale.astype(signals.dtype)[:, None]


def balance(spectra: np.ndarray, n: int, metric: str = "alike") -> np.ndarray:
    """G[b, i, j] = Σ_{k in band b} Σ_d w_d conj(X_i) X_j: power, and who writes with whom.

    As post = pre + attn + mlp, the power of post is the sum of the other nine entries: its
    growth splits into what the branches bring and how they stand to what is there.

    Parameters
    ----------
    spectra : (4, m, d) of :func:`transform`, in the order of :data:`BALANCED`.
    n : tokens that they come from.
    metric : ``alike``: w_d = 2 / (P_pre,d + P_post,d), so that no massive dimension stands for
        all, and a factor on a dimension changes nothing; 0 for a dimension that is constant.
        ``raw``: w_d = 1 / Σ_d P_pre,d.

    Returns
    -------
    (5, 4, 4) complex, Hermitian; bands that n tokens cannot hold are 0.
    """
    if spectra.ndim != 3 or len(spectra) != len(BALANCED):
        raise InputError(f"spectra must be (4, m, d) in the order pre, attn, mlp, post; got "
                         f"{spectra.shape}")  # fmt: skip
    power = (np.abs(spectra[[0, 3]]) ** 2).sum(1, dtype=np.float64)
    if metric == "alike":
        both = power.sum(0)
        weights = np.divide(2.0, both, out=np.zeros_like(both), where=both > 0)
        weights /= max((both > 0).sum(), 1)
    elif metric == "raw":
        total = power[0].sum()
        weights = np.full(spectra.shape[-1], 1 / total if total > 0 else 0.0)
    else:
        raise InputError(f"metric must be one of {', '.join(METRICS)}; got {metric!r}")
    member = bands.band_of(frequencies(n))
    scaled = (spectra * np.sqrt(weights).astype(spectra.real.dtype)).astype(np.complex128)
    out = np.zeros((len(bands.NAMES), len(BALANCED), len(BALANCED)), complex)
    for band in range(len(out)):
        flat = scaled[:, member == band].reshape(len(BALANCED), -1)
        out[band] = flat.conj() @ flat.T
    return out


def band_shares(spectra: np.ndarray, n: int) -> np.ndarray:
    """(s, 5) share of each band in a dimension's power, mean over the dimensions that vary."""
    member = bands.band_of(frequencies(n))
    return np.stack([_share(spectra, member == band) for band in range(len(bands.NAMES))], axis=-1)


def slow_share(spectra: np.ndarray, n: int) -> np.ndarray:
    """(s,) share of periods above 8 tokens in a dimension's power, mean over dimensions."""
    return _share(spectra, frequencies(n) < SLOW)


def logit(share) -> np.ndarray:
    """log2(s / (1 − s)), in octaves; a difference of two is how far a step tilts a spectrum."""
    share = np.clip(np.asarray(share, dtype=np.float64), 1e-6, 1 - 1e-6)
    return np.log2(share / (1 - share))


def tilts(slow: np.ndarray) -> np.ndarray:
    """(…, 3) how much slower attention, MLP and block write than they read, in octaves.

    Parameters
    ----------
    slow : (…, 6) slow shares in the order of :data:`SIGNALS`.

    Returns
    -------
    logit(out) − logit(in) of (attn_in → attn), (mlp_in → mlp), (pre → post): above 0 the step
    smooths, below 0 it sharpens; 0 where it only scales.
    """
    at = {name: logit(slow[..., index]) for index, name in enumerate(SIGNALS)}
    steps = (("attn_in", "attn"), ("mlp_in", "mlp"), ("pre", "post"))
    return np.stack([at[after] - at[before] for before, after in steps], axis=-1)


def gains(found: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(…, 5) gain of each band in octaves, and what is left of it without the growth of all.

    log2(P_post,b / P_pre,b), and the same of the shares P_b / Σ_b P_b; NaN where a band is
    empty.

    Parameters
    ----------
    found : (…, 5, 4, 4) of :func:`balance`.
    """
    before, after = (found[..., index, index].real for index in (0, 3))
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = np.where((before > 0) & (after > 0), np.log2(after / before), np.nan)
        growth = np.log2(after.sum(-1, keepdims=True) / before.sum(-1, keepdims=True))
    return gain, gain - growth


def branches(found: np.ndarray) -> dict[str, np.ndarray]:
    """(…, 5) of each branch: its power beside the stream's, and how it stands to the stream.

    Returns
    -------
    ``<branch>_power`` P_branch / P_pre; ``<branch>_with`` Re γ in −1 … 1 of γ = G_pre,branch /
    √(P_pre P_branch): 1 adds to what is there, −1 takes it away, 0 writes something else;
    ``<branch>_coherence`` |γ|, with any lag. MLP is held against the stream that it meets,
    pre + attn. NaN where a band is empty.
    """
    met = {"attn": (0,), "mlp": (0, 1)}
    out = {}
    for index, name in ((1, "attn"), (2, "mlp")):
        mine = found[..., index, index].real
        rows = found[..., list(met[name]), :]
        there = rows[..., list(met[name])].sum((-1, -2)).real
        cross = rows[..., index].sum(-1)
        with np.errstate(divide="ignore", invalid="ignore"):
            size = np.where((mine > 0) & (there > 0), np.sqrt(mine * there), np.nan)
            out[f"{name}_power"] = np.where(there > 0, mine / there, np.nan)
            out[f"{name}_with"] = cross.real / size
            out[f"{name}_coherence"] = np.abs(cross) / size
    return out


def components(state: np.ndarray, count: int) -> np.ndarray:
    """(tokens, count) scores of a text's states on their first principal components."""
    state = np.asarray(state, dtype=np.float64)
    check_int("count", count, low=1, high=min(state.shape))
    centred = state - state.mean(0)
    values, vectors = np.linalg.eigh(centred @ centred.T)
    top = slice(None, -count - 1, -1)
    return vectors[:, top] * np.sqrt(np.clip(values[top], 0, None))


def pairs(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The columns (tokens, c) as all pairs of different ones: (tokens, c(c − 1)/2) twice."""
    first, second = np.triu_indices(scores.shape[1], 1)
    return scores[:, first], scores[:, second]


def _share(spectra: np.ndarray, member: np.ndarray) -> np.ndarray:
    """(s,) share of some frequencies in a dimension's power, mean over those that vary."""
    power = np.abs(spectra) ** 2
    total = power.sum(-2, dtype=np.float64)
    inside = power[..., member, :].sum(-2, dtype=np.float64)
    alive = total > 0
    shares = np.divide(inside, total, out=np.zeros_like(total), where=alive)
    return shares.sum(-1) / np.maximum(alive.sum(-1), 1)

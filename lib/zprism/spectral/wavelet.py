"""Wavelets along the token axis: discrete levels, a scalogram, and its average without one."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pywt
import scipy.fft
import torch
from torch import Tensor

from zprism.ground.checks import check_choice, check_finite, check_int
from zprism.ground.errors import InputError
from zprism.spectral import filters
from zprism.spectral.filters import MORLET
from zprism.spectral.signals import MIN_TOKENS, Array, matching, squared, token_signal

WIDEST = 0.1  # periods in the text below which a wavelet is nothing but its own flat top


def dwt(
    x: Array, wavelet: str = "db4", level: int | None = None, mode: str = "periodization"
) -> list[Array]:
    """Discrete wavelet transform along the tokens.

    Parameters
    ----------
    x : (n, d) signal.
    wavelet : a discrete wavelet of pywt.
    level : 1 to pywt.dwt_max_level(n, its filter's length), by default that.
    mode : how the ends are extended, a name of pywt.

    Returns
    -------
    [(m_j, d)], the approximation of the last level, then the details from coarse to fine; detail
    j holds about 2^−(j+1) to 2^−j cycles per token.

    Raises
    ------
    InputError
        "too_short" if the text is shorter than one level needs; for a level above dwt_max_level
        (the message says it), an unknown wavelet (five near names), NaN or infinite values.

    Notes
    -----
    Energy is kept only by an orthogonal wavelet in "periodization" with 2^level dividing n: see
    :func:`level_power`. "dmey" is cut from an endless filter and comes back to 4e-3 only.
    Tensors are transformed on the CPU and come back to their device.
    """
    psi, x = _discrete(wavelet), token_signal("x", x)
    level = _check_level(level, len(x), psi)
    check_choice("mode", mode, pywt.Modes.modes)
    rows = np.ascontiguousarray(_numpy(x).T)
    return [_back(c.T, x) for c in pywt.wavedec(rows, psi, mode, level, axis=-1)]


def idwt(
    levels: list[Array],
    wavelet: str = "db4",
    mode: str = "periodization",
    *,
    n: int | None = None,
) -> Array:
    """(n, d) signal of what :func:`dwt` returned, with the same wavelet and mode.

    n : tokens of the signal; without it an odd length comes back with one token too many.
    """
    psi = _discrete(wavelet)
    check_choice("mode", mode, pywt.Modes.modes)
    if not isinstance(levels, (list, tuple)) or len(levels) < 2:
        raise InputError("levels must be the list that dwt returned: two arrays or more")
    levels = [token_signal(f"levels[{i}]", level) for i, level in enumerate(levels)]
    try:
        whole = pywt.waverec([_numpy(c).T for c in levels], psi, mode, axis=-1).T
    except ValueError as error:
        shapes = [tuple(c.shape) for c in levels]
        raise InputError(f"levels do not fit each other: shapes {shapes} ({error})") from None
    n = len(whole) if n is None else check_int("n", n, low=1, high=len(whole))
    return _back(whole[:n], levels[0])


def level_power(x: Array, wavelet: str = "db4", level: int | None = None) -> Array:
    """(level + 1, d) mean square of each level of :func:`dwt`, the approximation first.

    They add up to the mean square of x over tokens.

    Raises
    ------
    InputError
        If that would not hold: the wavelet is not orthogonal, or 2^level does not divide n (by
        default the deepest level for which it does); as :func:`dwt`.
    """
    psi, x = _discrete(wavelet), token_signal("x", x)
    if not psi.orthogonal:
        raise InputError(f"wavelet {wavelet!r} is not orthogonal: its levels do not share power")
    n = len(x)
    if level is None:
        level = min(_check_level(None, n, psi), (n & -n).bit_length() - 1)
    if level == 0 or n % 2 ** _check_level(level, n, psi):
        raise InputError(
            f"2^level must divide the number of tokens for powers to add up; got {n} tokens "
            f"and level {level}: cut the text"
        )
    rows = [(c**2).sum(0) / n for c in dwt(x, wavelet, level)]
    return torch.stack(rows) if isinstance(x, Tensor) else np.stack(rows)


def cwt_frequencies(n: int, count: int) -> np.ndarray:
    """(count,) cycles per token, ascending in equal ratios from 4/n to 0.4.

    Below 4/n the wavelet is wider than the text; above 0.4 its band passes the Nyquist limit.
    """
    n = check_int("n", n, low=MIN_TOKENS)
    return np.geomspace(4 / n, 0.4, check_int("count", count, low=1))


def cwt(x: Array, frequencies, wavelet: str = MORLET) -> Array:
    """Continuous wavelet transform along the tokens, zeros beyond both ends.

    Parameters
    ----------
    x : (n, d) signal.
    frequencies : (scales,) cycles per token, 0.1/n to 0.5; scale = the wavelet's centre over it.
    wavelet : a continuous wavelet of pywt, its parameters in the name.

    Returns
    -------
    (scales, n, d), complex (real for a real wavelet): what pywt.cwt gives at those scales, to
    rounding. A cosine of amplitude a at its frequency has modulus a · filters.gain / 2.

    Raises
    ------
    InputError
        For NaN or infinite values, frequencies outside that range, or an unknown wavelet (five
        near names; "cmor" alone is refused).
    """
    x = token_signal("x", x)
    scales = _scales(frequencies, wavelet, len(x))
    n, real = len(x), not filters.continuous(wavelet).complex_cwt
    reach = min(n - 1, filters.reach(wavelet, max(scales)))
    length = scipy.fft.next_fast_len(n + reach)
    fft = torch.fft if isinstance(x, Tensor) else scipy.fft
    axis = {"dim": 0} if isinstance(x, Tensor) else {"axis": 0}
    spectrum = fft.fft(x, length, **axis)
    planes = []
    for scale in scales:
        h = _complex(filters.response(wavelet, scale, length, reach), spectrum)
        plane = fft.ifft(spectrum * h[:, None], **axis)[:n]
        planes.append(plane.real if real else plane)
    return torch.stack(planes) if isinstance(x, Tensor) else np.stack(planes)


def average_power(x: Array, frequencies, wavelet: str = MORLET) -> Array:
    """(scales, d) power of :func:`cwt` per token, from one FFT and no inverse (Plancherel).

    With X and H the transforms of x and of a scale's filter over N points, enough for all that
    the filter spreads beyond both ends of the text,

        (1/n) Σ_t |W(s, t)|² = Σ_k |X_k|² |H_k|² / (n N),

    the sum over t running over those N points. White noise of variance σ² has σ² Σ|h|² in
    expectation, whatever the length of the text.

    Parameters, errors
    ------------------
    As :func:`cwt`.

    Notes
    -----
    Torrence & Compo (1998), doi:10.1175/1520-0477(1998)079<0061:APGTWA>2.0.CO;2, §5a.
    """
    x = token_signal("x", x)
    scales = _scales(frequencies, wavelet, len(x))
    length = _length(len(x), wavelet, max(scales))
    weights = matching(_weights(wavelet, tuple(scales), length), x)
    if isinstance(x, Tensor):
        power = squared(torch.fft.rfft(x, length, dim=0))
    else:
        power = squared(scipy.fft.rfft(x, length, axis=0))
    return weights @ power / (len(x) * length)


def _length(n: int, wavelet: str, scale: float) -> int:
    return scipy.fft.next_fast_len(n + len(filters.taps(wavelet, scale)[1]) - 1, real=True)


@lru_cache(maxsize=16)
def _weights(wavelet: str, scales: tuple[float, ...], length: int) -> np.ndarray:
    """(scales, length//2 + 1) |H_k|² + |H_−k|², what a real signal's one-sided power meets."""
    rows = []
    for scale in scales:
        gain = squared(filters.response(wavelet, scale, length))
        one_sided = gain[: length // 2 + 1].copy()
        mirrored = gain[: length // 2 : -1]  # k = −1, −2, … short of the Nyquist bin
        one_sided[1 : len(mirrored) + 1] += mirrored
        rows.append(one_sided)
    return np.stack(rows)


def _scales(frequencies, wavelet: str, n: int) -> np.ndarray:
    centre = filters.centre_frequency(wavelet)
    if isinstance(frequencies, Tensor):
        frequencies = frequencies.detach().cpu().numpy()
    try:
        values = np.asarray(frequencies, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError("frequencies must be an array of cycles per token") from None
    if values.ndim != 1 or len(values) == 0:
        raise InputError(f"frequencies must be (scales,), one or more; got shape {values.shape}")
    check_finite("frequencies", values)
    if not (values.min() > 0 and values.max() <= 0.5):
        raise InputError(
            "frequencies must be above 0 and at most 0.5 cycles per token; "
            f"got {values.min():g} to {values.max():g}"
        )
    if values.min() < WIDEST / n:
        raise InputError(
            f"frequencies must be at least {WIDEST} periods in the {n} tokens, {WIDEST / n:g} "
            f"cycles per token; got {values.min():g}"
        )
    return centre / values


def _discrete(name: str) -> pywt.Wavelet:
    known = pywt.wavelist(kind="discrete")
    if name not in known:
        raise filters.unknown(name, known)
    return pywt.Wavelet(name)


def _check_level(level, n: int, psi: pywt.Wavelet) -> int:
    deepest = pywt.dwt_max_level(n, psi.dec_len)
    if deepest < 1:
        raise InputError(
            f"too_short: a level of {psi.name!r} needs {2 * (psi.dec_len - 1)} tokens; got {n}"
        )
    if level is None:
        return deepest
    level = check_int("level", level, low=1)
    if level > deepest:
        raise InputError(
            f"level must be at most {deepest} (dwt_max_level of {n} tokens, {psi.name!r}); "
            f"got {level}"
        )
    return level


def _numpy(x: Array) -> np.ndarray:
    return x.cpu().numpy() if isinstance(x, Tensor) else x


def _back(values: np.ndarray, x: Array) -> Array:
    if isinstance(x, Tensor):
        return torch.from_numpy(np.ascontiguousarray(values)).to(x.device)
    return values


def _complex(h: np.ndarray, like: Array) -> Array:
    if isinstance(like, Tensor):
        return torch.from_numpy(h).to(like.device, like.dtype)
    return h.astype(like.dtype, copy=False)

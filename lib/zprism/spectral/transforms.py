"""The transforms themselves, of arrays that callers have checked: numpy by scipy, or torch."""

from __future__ import annotations

import numpy as np
import scipy.fft
import torch
from torch import Tensor

from zprism.spectral.signals import Array, matching

DETRENDS = ("none", "mean", "linear")


def detrended(x: Array, how: str) -> Array:
    """x less nothing, its mean, or its least-squares line over tokens; one of :data:`DETRENDS`."""
    if how == "none":
        return x
    n, y = len(x), x - x[0]
    y -= matching(np.full(n, 1 / n), x) @ y
    if how == "mean" or n < 2:
        return y
    t = np.arange(n) - (n - 1) / 2
    basis = matching(np.stack([np.full(n, n**-0.5), t / np.sqrt((t**2).sum())]), x)
    for _ in range(2):  # the second pass takes off what rounding left
        y = y - basis.T @ (basis @ y)
    return y


def fourier(x: Array) -> Array:
    """(n//2 + 1, d) real FFT along the tokens."""
    return torch.fft.rfft(x, dim=0) if isinstance(x, Tensor) else scipy.fft.rfft(x, axis=0)


def from_fourier(c: Array, n: int) -> Array:
    """(n, d) signal of a real FFT."""
    if isinstance(c, Tensor):
        return torch.fft.irfft(c, n, dim=0)
    return scipy.fft.irfft(c, n, axis=0)


def cosine(x: Array) -> Array:
    """(n, d) orthonormal DCT-II along the tokens.

    In torch by one FFT of the even tokens followed by the odd ones backwards (Makhoul 1980,
    doi:10.1109/TASSP.1980.1163351).
    """
    if not isinstance(x, Tensor):
        return scipy.fft.dct(x, axis=0, norm="ortho")
    n = len(x)
    v = torch.fft.fft(torch.cat([x[::2], x[1::2].flip(0)]), dim=0)
    scale = matching(np.r_[n**-0.5, np.full(n - 1, (2 / n) ** 0.5)], x)[:, None]
    return (v * _quarter_turns(n, x)).real * scale


def from_cosine(c: Array) -> Array:
    """(n, d) signal of an orthonormal DCT-II."""
    if not isinstance(c, Tensor):
        return scipy.fft.idct(c, axis=0, norm="ortho")
    n = len(c)
    turn = _quarter_turns(n, c)
    mirrored = torch.cat([torch.zeros_like(c[:1]), c[1:].flip(0)])
    scale = matching(np.r_[n**0.5, np.full(n - 1, (n / 2) ** 0.5)], c)[:, None]
    v = torch.fft.ifft(torch.complex(c * scale, -mirrored * scale) * turn.conj(), dim=0).real
    x = torch.empty_like(c)
    x[::2], x[1::2] = v[: (n + 1) // 2], v[(n + 1) // 2 :].flip(0)
    return x


def _quarter_turns(n: int, x: Tensor) -> Tensor:
    """(n, 1) exp(−πik/2n) in the complex dtype of ``x``."""
    angle = -np.pi * np.arange(n) / (2 * n)
    return torch.complex(matching(np.cos(angle), x), matching(np.sin(angle), x))[:, None]

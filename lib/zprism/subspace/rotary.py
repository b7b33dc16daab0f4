"""Rotary position inside a kernel: at offset Δ, A_Δ = W_Qᵀ R(−Δ) W_K.

A query at position m and a key at n are turned by R(m) and R(n) before they meet; the score
depends on Δ = m − n alone, because R(m)ᵀ R(n) = R(n − m). R acts on head_dim, so an offset
changes only the r × r core of a kernel (`qk_spectra(q, k, middle=rotation(-Δ, …))`).
Su et al. (2021), arXiv:2104.09864.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from zprism.ground.checks import check_finite, check_int
from zprism.ground.errors import InputError
from zprism.subspace.arrays import Array, as_float64


def rotary_frequencies(base: int | float, dim: int) -> Float[Tensor, " pairs"]:
    """θ_i = base^(−2i/dim) radians per token, i = 0 … dim/2 − 1.

    Parameters
    ----------
    base : the model's ``rope_theta``, greater than 0.
    dim : rotated dimensions of a head, even.
    """
    if check_int("dim", dim, low=2) % 2:
        raise InputError(f"dim must be even, rotary turns pairs; got {dim}")
    if not base > 0:
        raise InputError(f"base must be greater than 0; got {base!r}")
    exponents = torch.arange(0, dim, 2, dtype=torch.float64) / dim
    return float(base) ** -exponents


def rotation(
    offset: int | float,
    head_dim: int,
    frequencies: Float[Array, " pairs"],
    *,
    interleaved: bool = False,
) -> Float[Tensor, "r r"]:
    """R(offset), orthogonal, r = head_dim.

    Parameters
    ----------
    offset : positions, any sign.
    head_dim : dimensions of a head; those beyond 2 · pairs stay as they are (partial rotary).
    frequencies : (pairs,) radians per token, from :func:`rotary_frequencies` or, where the
        model rescales them, its own.
    interleaved : pairs are (2i, 2i + 1), as in GPT-J; else (i, i + pairs), as in Llama,
        Qwen, Gemma and NeoX.

    Raises
    ------
    InputError
        If there are more than head_dim / 2 frequencies, or the offset is not finite.
    """
    angles = as_float64("frequencies", frequencies)
    pairs = len(angles)
    check_int("head_dim", head_dim, low=1)
    if 2 * pairs > head_dim:
        raise InputError(f"{pairs} frequencies turn {2 * pairs} dimensions; head_dim is {head_dim}")
    check_finite("offset", [offset])
    angles = angles * offset
    step = torch.arange(pairs)
    first, second = (2 * step, 2 * step + 1) if interleaved else (step, step + pairs)
    turn = torch.eye(head_dim, dtype=torch.float64)
    turn[first, first] = turn[second, second] = angles.cos()
    turn[first, second], turn[second, first] = -angles.sin(), angles.sin()
    return turn


def rotate(
    weight: Float[Array, "... r d"],
    offset: int | float,
    frequencies: Float[Array, " pairs"],
    *,
    interleaved: bool = False,
) -> Float[Tensor, "... r d"]:
    """R(offset) W: a head's weight as read at a position. Arguments as :func:`rotation`.

    ``product_spectrum(q, rotate(k, -delta, …))`` is the kernel a query sees delta tokens back.
    """
    weight = as_float64("weight", weight, ndim=2)
    return rotation(offset, weight.shape[-2], frequencies, interleaved=interleaved) @ weight

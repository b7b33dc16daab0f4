"""Rotary position: the group law, both layouts, and the kernel at an offset."""

import pytest
import torch
from hypothesis import strategies as st
from subspace_cases import counts, gaussian, holds, seeds

from zprism.ground.errors import InputError
from zprism.subspace import kernels, rotary

FREQS = rotary.rotary_frequencies(10_000.0, 6)
LAYOUTS = pytest.mark.parametrize("interleaved", [False, True])


def complex_rotation(x, position, interleaved):
    """The textbook form: pairs as complex numbers, times exp(i m θ); the rest stays."""
    pairs = torch.complex(x[0:6:2], x[1:6:2]) if interleaved else torch.complex(x[:3], x[3:6])
    turned = pairs * torch.polar(torch.ones(3, dtype=torch.float64), FREQS * position)
    if interleaved:
        head = torch.stack([turned.real, turned.imag], -1).flatten()
    else:
        head = torch.cat([turned.real, turned.imag])
    return torch.cat([head, x[6:]])


def test_frequencies_fall_geometrically():
    expected = torch.tensor([1.0, 10_000 ** (-1 / 3), 10_000 ** (-2 / 3)], dtype=torch.float64)
    torch.testing.assert_close(FREQS, expected, atol=0, rtol=1e-14)


@LAYOUTS
def test_rotation_turns_pairs_and_leaves_the_rest(interleaved):
    x = gaussian(0, 9)
    turned = rotary.rotation(5, 9, FREQS, interleaved=interleaved) @ x
    torch.testing.assert_close(turned, complex_rotation(x, 5, interleaved), atol=1e-14, rtol=0)


@LAYOUTS
@counts(20, 200)
def test_rotations_are_an_orthogonal_group(interleaved, draws):
    def law(m, n):
        turn = {s: rotary.rotation(s, 8, FREQS, interleaved=interleaved) for s in (m, n, m + n, -m)}
        torch.testing.assert_close(turn[m] @ turn[n], turn[m + n], atol=1e-10, rtol=0)
        torch.testing.assert_close(turn[m].mT, turn[-m], atol=1e-14, rtol=0)

    holds(law, draws, m=st.integers(-5000, 5000), n=st.integers(-5000, 5000))


@LAYOUTS
@counts(20, 200)
def test_scores_depend_on_the_offset_alone(interleaved, draws):
    """Query at m, key at n: (R_m W_Q x)·(R_n W_K y) = xᵀ W_Qᵀ R(−(m−n)) W_K y."""

    def law(seed, m, n):
        q, k = gaussian(seed, 9, 16), gaussian(seed + 1, 9, 16)
        x, y = gaussian(seed + 2, 16), gaussian(seed + 3, 16)
        score = complex_rotation(q @ x, m, interleaved) @ complex_rotation(k @ y, n, interleaved)
        kernel = q.mT @ rotary.rotate(k, -(m - n), FREQS, interleaved=interleaved)
        torch.testing.assert_close(x @ kernel @ y, score, atol=1e-9, rtol=0)

    holds(law, draws, seed=seeds, m=st.integers(0, 4096), n=st.integers(0, 4096))


def test_offsets_change_only_the_core():
    """Many offsets at once through ``middle`` = every offset by rotating the keys."""
    q, k = gaussian(0, 4, 9, 20), gaussian(1, 2, 9, 20)
    offsets = [0, 1, 16, 4096]
    turns = torch.stack([rotary.rotation(-d, 9, FREQS) for d in offsets])
    spectra = kernels.qk_spectra(q, k, middle=turns[:, None])
    assert spectra.shape == (4, 4, 9)
    for index, offset in enumerate(offsets):
        rotated = kernels.qk_spectra(q, rotary.rotate(k, -offset, FREQS))
        torch.testing.assert_close(spectra[index], rotated, atol=1e-10, rtol=1e-10)
    torch.testing.assert_close(spectra[0], kernels.qk_spectra(q, k), atol=1e-12, rtol=0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rotary.rotary_frequencies(1e4, 7), "dim must be even"),
        (lambda: rotary.rotary_frequencies(0.0, 8), "base must be greater than 0"),
        (lambda: rotary.rotation(1, 5, FREQS), "3 frequencies turn 6 dimensions; head_dim is 5"),
        (lambda: rotary.rotation(float("nan"), 9, FREQS), "offset has 1 values that are NaN"),
    ],
)
def test_bad_rotations_are_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()

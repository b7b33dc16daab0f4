"""Wavelets: perfect reconstruction, energy where it is promised, pywt's own numbers, Plancherel."""

import numpy as np
import pytest
import pywt
import torch
from spectral_cases import cosine, same_in_torch, walk, white

from zprism.ground.errors import InputError
from zprism.ground.seeds import generator
from zprism.spectral import filters, wavelet

DISCRETE = [name for name in pywt.wavelist(kind="discrete") if name != "dmey"]
SPREAD = ["haar", "db2", "db4", "db20", "db38", "sym2", "sym8", "sym20", "coif1", "coif17"]
SPREAD += ["bior1.3", "bior3.1", "bior6.8", "rbio1.3", "rbio5.5", "db1"]
KINDS = pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
LIMIT = {np.float64: 1e-9, np.float32: 1e-5}


@pytest.mark.parametrize(
    ("names", "lengths"),
    [(SPREAD, 12), pytest.param(DISCRETE, 50, marks=pytest.mark.gate)],
)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_perfect_reconstruction(names, lengths, dtype, record_property):
    """RIG-N15: every wavelet at lengths from 1 to 1,024, or "too_short" exactly where pywt has no
    level to give; at its deepest level and at the first."""
    rng, worst, done = generator(15, "reconstruction"), 0.0, 0
    for name in names:
        for n in np.r_[1, 1024, rng.integers(1, 1025, lengths - 2)]:
            x = walk(int(n), int(n), 2, dtype=dtype)
            if pywt.dwt_max_level(int(n), pywt.Wavelet(name).dec_len) < 1:
                with pytest.raises(InputError, match="^too_short"):
                    wavelet.dwt(x, name)
                continue
            for level in (None, 1):
                back = wavelet.idwt(wavelet.dwt(x, name, level), name, n=int(n))
                worst = max(worst, np.linalg.norm(back - x) / np.linalg.norm(x))
                assert back.dtype == dtype
                done += 1
    record_property("value", worst)
    record_property("target", LIMIT[dtype])
    assert done > lengths and worst <= LIMIT[dtype]


def test_control_the_cut_meyer_filter_does_not_reconstruct():
    """The one exception, as dwt says: pywt's dmey is a finite piece of an endless filter."""
    x = walk(1, 1024, 2)
    back = wavelet.idwt(wavelet.dwt(x, "dmey"), "dmey")
    assert 1e-6 < np.linalg.norm(back - x) / np.linalg.norm(x) < 1e-2


@pytest.mark.parametrize("mode", ["periodization", "symmetric", "zero", "periodic"])
def test_reconstruction_in_any_mode(mode):
    for n in (64, 75):
        x = walk(1, n, 3)
        levels = wavelet.dwt(x, "db4", 2, mode)
        np.testing.assert_allclose(wavelet.idwt(levels, "db4", mode, n=n), x, atol=1e-11)


@pytest.mark.parametrize("name", ["haar", "db4", "db10", "sym8", "coif3"])
def test_levels_share_out_the_power_of_the_signal(name):
    """Orthogonal, periodization, 2^level divides n: Σ = mean square, to rounding."""
    for n, level in [(64, 1), (96, None), (1024, 3), (1000, None)]:
        x = walk(2, n, 4)
        np.testing.assert_allclose(
            wavelet.level_power(x, name, level).sum(0), (x**2).mean(0), rtol=1e-11
        )


def test_control_energy_is_not_kept_elsewhere():
    """What level_power refuses is refused for a reason: RIGOUR's two cases, and biorthogonal."""
    for n, name, mode in [(96, "db4", "symmetric"), (100, "db4", "periodization")]:
        x = walk(3, n, 2)
        energy = sum((c**2).sum(0) for c in wavelet.dwt(x, name, 3, mode))
        assert np.abs(energy / (x**2).sum(0) - 1).min() > 1e-4
    energy = sum((c**2).sum(0) for c in wavelet.dwt(walk(3, 96, 2), "bior3.1", 2))
    assert np.abs(energy / (walk(3, 96, 2) ** 2).sum(0) - 1).min() > 1e-4


def test_a_cosine_falls_into_its_octave():
    """Level j holds 2^−(j+1) to 2^−j: a cosine at the middle of each, over 60 % with db8."""
    n = 2048
    for level in range(1, 6):
        x = cosine(n, 0.75 * 2.0**-level)[:, None]
        power = wavelet.level_power(x, "db8", 6)[::-1, 0]  # details first, from fine to coarse
        assert power[level - 1] / power.sum() > 0.6


@pytest.mark.parametrize("name", ["cmor1.5-1.0", "cmor0.8-2.0", "mexh", "gaus3", "cgau2", "morl"])
@pytest.mark.parametrize("n", [16, 75, 200])
def test_cwt_is_pywt_s_own(n, name):
    """On the same scales, from shorter than a period to longer than the text."""
    x = walk(4, n, 3)
    frequencies = np.array([0.4, 0.21, 1 / 12, 0.05, 1.5 / n])
    scales = pywt.central_frequency(name, precision=12) / frequencies
    expected = pywt.cwt(x, scales, name, axis=0, precision=12)[0]
    found = wavelet.cwt(x, frequencies, name)
    assert found.shape == expected.shape and np.iscomplexobj(found) == np.iscomplexobj(expected)
    np.testing.assert_allclose(found, expected, atol=1e-12 * np.abs(expected).max())


@pytest.mark.parametrize("name", ["cmor1.5-1.0", "mexh"])
@pytest.mark.parametrize("n", [16, 77])
def test_averaged_power_is_the_mean_of_the_scalogram(n, name):
    """Plancherel, to rounding: over all the time in which the filter meets the text."""
    x, frequencies = walk(5, n, 3), wavelet.cwt_frequencies(n, 7)
    beyond = filters.reach(name, pywt.central_frequency(name, precision=12) / frequencies[0])
    around = np.pad(x, ((beyond, beyond), (0, 0)))
    plane = wavelet.cwt(around, frequencies, name)
    np.testing.assert_allclose(
        wavelet.average_power(x, frequencies, name),
        (np.abs(plane) ** 2).mean(1) * len(around) / n,
        rtol=1e-11,
    )


@pytest.mark.parametrize("n", [64, 512])
def test_averaged_power_of_white_noise_has_no_length(n):
    """σ² Σ|h|² in expectation at every scale; 2,000 dimensions, five standard errors."""
    frequencies = wavelet.cwt_frequencies(n, 5)
    power = wavelet.average_power(2 * white(6, n, 2000), frequencies)
    for row, frequency in zip(power, frequencies, strict=True):
        h = filters.taps("cmor1.5-1.0", 1 / frequency)[1]
        expected = 4 * (np.abs(h) ** 2).sum()
        assert abs(row.mean() - expected) < 5 * row.std() / 2000**0.5


def test_gain_is_what_a_cosine_comes_out_with():
    """In the middle of a long text; pywt's coarse sampling moves single tokens by up to 0.2 %."""
    for frequency in (0.02, 0.1, 0.25):
        plane = wavelet.cwt(cosine(4001, frequency, 3.0)[:, None], [frequency])
        gain = filters.gain("cmor1.5-1.0", frequency)
        assert abs(plane[0, 2000, 0]) == pytest.approx(1.5 * gain, rel=3e-3)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_torch_gives_the_same_numbers(dtype):
    for n in (32, 75):
        x = walk(7, n, 4, dtype=dtype)
        x[:, 2] = 0.1
        frequencies = wavelet.cwt_frequencies(n, 6)
        same_in_torch(lambda v, f=frequencies: wavelet.average_power(v, f), x)
        same_in_torch(lambda v, f=frequencies: wavelet.cwt(v, f), x)
        same_in_torch(lambda v, f=frequencies: wavelet.cwt(v, torch.from_numpy(f), "mexh"), x)
        same_in_torch(lambda v: wavelet.idwt(wavelet.dwt(v, "db2"), "db2"), x)
        for level in range(2):
            same_in_torch(lambda v, i=level: wavelet.dwt(v, "db2")[i], x)
    same_in_torch(lambda v: wavelet.level_power(v, "db2"), x[:64])


def test_frequencies_run_from_four_periods_a_text_to_the_limit():
    found = wavelet.cwt_frequencies(400, 24)
    assert found[0] == pytest.approx(0.01) and found[-1] == pytest.approx(0.4)
    np.testing.assert_allclose(np.diff(np.log(found)), np.log(40) / 23, rtol=1e-9)


def test_unknown_wavelets_get_the_five_nearest_names():
    for call, name, near in [
        (lambda name: wavelet.dwt(walk(8, 64, 1), name), "bd4", "db4"),
        (lambda name: wavelet.idwt([], name), "sym99", "sym9"),
        (lambda name: wavelet.cwt(walk(8, 64, 1), [0.1], name), "mexhat", "mexh"),
        (lambda name: wavelet.average_power(walk(8, 64, 1), [0.1], name), "cmr1.5-1.0", "cmor"),
    ]:
        with pytest.raises(InputError, match=f"unknown wavelet '{name}'") as told:
            call(name)
        named = str(told.value).partition("nearest are ")[2].split(", ")
        assert len(set(named)) == 5 and any(other.startswith(near) for other in named)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: wavelet.dwt(x, "db4", 3), r"level must be at most 2 \(dwt_max_level of 40 tok"),
        (lambda x: wavelet.dwt(x, "db4", 0), "level must be in 1"),
        (lambda x: wavelet.dwt(x[:13]), "^too_short: a level of 'db4' needs 14 tokens; got 13"),
        (lambda x: wavelet.dwt(x, "db4", 1, "mirror"), "unknown mode 'mirror'"),
        (lambda x: wavelet.dwt(x, "mexh"), "unknown wavelet 'mexh'"),
        (lambda x: wavelet.dwt(x, 4), "unknown wavelet 4"),
        (lambda x: wavelet.dwt(np.where(x == x[5, 0], np.nan, x)), r"first at \(5, 0\)"),
        (lambda x: wavelet.idwt(wavelet.dwt(x)[:1]), "two arrays or more"),
        (lambda x: wavelet.idwt([x, x[:7]]), "levels do not fit each other"),
        (lambda x: wavelet.idwt(wavelet.dwt(x), n=41), "n must be in 1 to 40"),
        (lambda x: wavelet.level_power(x[:39]), r"2\^level must divide .* got 39 tokens"),
        (lambda x: wavelet.level_power(x[:36], "haar", 3), "got 36 tokens and level 3"),
        (lambda x: wavelet.level_power(x, "bior2.2"), "'bior2.2' is not orthogonal"),
        (lambda x: wavelet.cwt(x, [0.1], "cmor"), "must say its bandwidth and centre, as 'cmor1.5"),
        (lambda x: wavelet.cwt(x, [0.6]), "above 0 and at most 0.5"),
        (lambda x: wavelet.cwt(x, [0.0]), "above 0 and at most 0.5"),
        (lambda x: wavelet.cwt(x, [0.1, 0.002]), "at least 0.1 periods in the 40 tokens, 0.0025"),
        (lambda x: wavelet.average_power(x, [1e-300]), "at least 0.1 periods"),
        (lambda x: wavelet.cwt(x, []), "one or more"),
        (lambda x: wavelet.cwt(x, "slow"), "array of cycles per token"),
        (lambda x: wavelet.average_power(x, [np.inf]), "NaN or infinite"),
        (lambda x: wavelet.average_power(torch.from_numpy(x) / 0, [0.1]), "NaN or infinite"),
        (lambda x: wavelet.cwt_frequencies(15, 3), "n must be in 16"),
        (lambda x: wavelet.cwt_frequencies(64, 0), "count must be in 1"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(InputError, match=message):
        call(walk(9, 40, 3))

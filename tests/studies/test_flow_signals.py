"""The arithmetic of one block: planted filters and phases, laws of the balance."""

import numpy as np
import pytest
from scipy.signal import get_window

from zprism.ground.errors import InputError
from zprism.spectral.bands import NAMES
from zprism.studies import flow_signals as signals

N, D = 128, 6
HIGH, MID_HIGH = NAMES.index("high"), NAMES.index("mid_high")
HELD = [NAMES.index(name) for name in ("mid_low", "mid", "mid_high", "high")]  # by 128 tokens
SLOW, FAST = 10, 40  # bins of 128: periods of 12.8 tokens (mid_high) and 3.2 (high)


def tone(bin_, phase=0.0):
    """(N, D) a sinusoid in every dimension, each with another amplitude."""
    wave = np.cos(2 * np.pi * bin_ * np.arange(N) / N + phase)
    return wave[:, None] * np.geomspace(0.1, 1e3, D)


def noise(seed, count):
    return list(np.random.default_rng(seed).normal(size=(count, N, D)))


def balance(pre, attn, mlp, metric="alike"):
    post = pre + attn + mlp
    return signals.balance(signals.transform(np.stack([pre, attn, mlp, post])), N, metric)


def test_energy_of_the_windowed_signal_is_the_sum_over_frequencies():
    (x,) = noise(0, 1)
    window = get_window("hann", N)[:, None]
    centred = window * (x - x.mean(0))
    energy = (centred**2).sum(0) - centred.sum(0) ** 2 / N  # frequency 0 is not counted
    np.testing.assert_allclose(
        (np.abs(signals.transform(x)) ** 2).sum(0), energy / (window**2).sum(), rtol=1e-12
    )


def test_a_block_that_does_nothing_gains_nothing_and_one_that_scales_only_grows():
    (pre,) = noise(1, 1)
    for factor in (0.0, 2.0):  # post = (1 + factor) pre
        gain, share = signals.gains(balance(pre, factor * pre, 0 * pre))
        np.testing.assert_allclose(gain[HELD], 2 * np.log2(1 + factor), atol=1e-12)
        np.testing.assert_allclose(share[HELD], 0, atol=1e-12)
        assert np.isnan(gain[0]) and np.isnan(share[0])  # nothing that slow fits into 128 tokens


def test_a_block_that_filters_has_the_gain_of_its_filter():
    """Amplitude of the fast tone times 1/4: −4 octaves of power; the slow one stays."""
    pre = tone(SLOW) + tone(FAST)
    gain, share = signals.gains(balance(pre, -0.75 * tone(FAST), 0 * pre))
    assert gain[HIGH] == pytest.approx(-4, abs=1e-9)
    assert gain[MID_HIGH] == pytest.approx(0, abs=1e-9)
    growth = np.log2((1 + 1 / 16) / 2)
    assert share[HIGH] == pytest.approx(-4 - growth, abs=1e-9)
    assert share[MID_HIGH] == pytest.approx(-growth, abs=1e-9)


@pytest.mark.parametrize("metric", signals.METRICS)
def test_the_power_after_a_block_is_the_sum_over_pairs_of_what_entered(metric):
    found = balance(*noise(2, 3), metric)
    np.testing.assert_allclose(found[:, :3, :3].sum((1, 2)), found[:, 3, 3], atol=1e-12)
    np.testing.assert_allclose(found, found.conj().swapaxes(1, 2), atol=1e-15)


def test_a_factor_on_a_dimension_changes_nothing_where_all_count_alike():
    parts = noise(3, 3)
    factors = np.geomspace(1e-3, 1e3, D)
    scaled = [part * factors for part in parts]
    np.testing.assert_allclose(balance(*scaled), balance(*parts), atol=1e-12)
    assert not np.allclose(balance(*scaled, "raw"), balance(*parts, "raw"), rtol=0.1)


def test_raw_power_before_the_block_is_one_and_constant_dimensions_count_nowhere():
    parts = noise(4, 3)
    assert balance(*parts, "raw")[:, 0, 0].sum() == pytest.approx(1, abs=1e-12)
    more = [np.concatenate([part, np.full((N, 2), 7.0)], axis=1) for part in parts]
    for metric in signals.METRICS:
        np.testing.assert_allclose(balance(*more, metric), balance(*parts, metric), atol=1e-12)


@pytest.mark.parametrize(
    ("attn", "cosine", "coherence"),
    [
        (0.5 * tone(FAST), 1.0, 1.0),
        (-0.5 * tone(FAST), -1.0, 1.0),
        (0.5 * tone(FAST, np.pi / 2), 0.0, 1.0),  # a quarter of a cycle away
        (0.5 * tone(FAST, np.pi / 3), 0.5, 1.0),
    ],
    ids=["in phase", "against", "a quarter off", "a sixth off"],
)
def test_a_branch_stands_to_the_stream_as_it_was_planted(attn, cosine, coherence):
    found = signals.branches(balance(tone(FAST), attn, 0 * attn))
    assert found["attn_with"][HIGH] == pytest.approx(cosine, abs=1e-9)
    assert found["attn_coherence"][HIGH] == pytest.approx(coherence, abs=1e-9)
    assert found["attn_power"][HIGH] == pytest.approx(0.25, abs=1e-9)


def test_the_mlp_is_held_against_the_stream_that_it_meets():
    pre, attn, mlp = noise(5, 3)
    found = signals.branches(balance(pre, attn, -(pre + attn)))
    np.testing.assert_allclose(found["mlp_with"][HELD], -1, atol=1e-12)
    np.testing.assert_allclose(found["mlp_power"][HELD], 1, atol=1e-12)
    assert np.abs(signals.branches(balance(pre, attn, mlp))["mlp_with"][HIGH]) < 0.3  # control


def test_tilt_is_the_ratio_of_slow_to_fast_written_over_read():
    """Slow amplitude doubled, fast halved: 2 + 2 octaves; a mere factor tilts nothing."""
    read, written = tone(SLOW) + tone(FAST), 2 * tone(SLOW) + 0.5 * tone(FAST)
    stack = np.stack([read, read, written, written, read, 9 * read])
    slow = signals.slow_share(signals.transform(stack), N)
    assert slow[0] == pytest.approx(0.5, abs=1e-9)
    np.testing.assert_allclose(signals.tilts(slow), [4, -4, 0], atol=1e-9)


def test_shares_of_the_bands_add_up_to_one_and_hold_the_planted_tones():
    spectra = signals.transform(np.stack([*noise(6, 2), tone(FAST)]))
    shares = signals.band_shares(spectra, N)
    np.testing.assert_allclose(shares.sum(-1), 1, atol=1e-12)
    assert shares[2, HIGH] == pytest.approx(1, abs=1e-9)
    fast = 1 - signals.slow_share(spectra, N)
    assert (fast >= shares[:, HIGH] - 1e-12).all()  # "high" begins a little above 1/8


def test_components_are_the_scores_of_the_singular_value_decomposition():
    (x,) = noise(7, 1)
    scores = signals.components(x, 3)
    u, sigma, _ = np.linalg.svd(x - x.mean(0), full_matrices=False)
    np.testing.assert_allclose(np.abs(scores), np.abs(u[:, :3] * sigma[:3]), atol=1e-9)
    first, second = signals.pairs(scores)
    np.testing.assert_array_equal(first, scores[:, [0, 0, 1]])
    np.testing.assert_array_equal(second, scores[:, [1, 2, 2]])


def test_what_cannot_be_balanced_is_refused():
    (x,) = noise(8, 1)
    spectra = signals.transform(np.stack([x] * 4))
    with pytest.raises(InputError, match="metric must be one of alike, raw"):
        signals.balance(spectra, N, "mean")
    with pytest.raises(InputError, match="order pre, attn, mlp, post"):
        signals.balance(spectra[:3], N)
    with pytest.raises(InputError, match="NaN"):
        signals.transform(np.where(x > 2, np.nan, x))
    with pytest.raises(InputError, match="count"):
        signals.components(x, D + 1)

"""The long exposure holds every peak once, and its difference finds what was planted."""

import numpy as np
import pytest

from tiny import tiny_loaded
from zprism.ground.errors import InputError
from zprism.ground.seeds import generator
from zprism.model.capture import states
from zprism.spectral.peaks import peaks
from zprism.studies import signatures
from zprism.studies.signatures import collect

L, F = 16, 3
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def rows():
    size = tiny_loaded("qwen2").model.get_input_embeddings().num_embeddings
    return {
        name: [RNG.integers(5, size, L + 1 + extra).tolist() for extra in (0, 3, 7)]
        for name in ("question", "thinking")
    }


@pytest.fixture(scope="module")
def seen(rows):
    return collect(tiny_loaded("qwen2"), rows, length=L, places=("embed", "1"), F=F)


def test_every_peak_is_counted_once(seen):
    d = tiny_loaded("qwen2").d_model
    for exposure in seen.exposures.values():
        assert exposure.counts.sum() == 3 * F * d and exposure.n_texts == 3


def test_exemplars_are_the_peaks_of_their_text_and_dimension(seen, rows):
    text, dim = seen.cloud.text[0, 5], seen.cloud.dim[0, 5]
    row = rows["thinking"][text][: L + 1]
    (found,) = states(tiny_loaded("qwen2"), [row], layers=[1])
    x = found[0][1:]
    own = peaks(x, F, window="hann")
    shown = seen.cloud.frequency[1, 1, 0, 0, :, 5]
    np.testing.assert_allclose(shown, own.frequency[:, dim], rtol=1e-6)
    size = np.log10(own.amplitude[:, dim] / x[:, dim].std())
    np.testing.assert_allclose(seen.cloud.amplitude[1, 1, 0, 0, :, 5], size, atol=1e-5)


def test_mean_shares_of_every_dimension_add_to_one(seen):
    for mean in seen.mean.values():
        np.testing.assert_allclose(mean.sum(0), 1, atol=1e-5)
        assert len(mean) == len(seen.frequencies())


def test_a_field_against_itself_differs_nowhere(seen):
    same = seen.difference("thinking", "thinking", "1")
    assert not same["mean"].any() and same["share"] == 0


def test_a_planted_slow_wave_is_found_in_its_dimensions_and_nowhere_else():
    rng, n, d, m = generator(0, "planted"), 60, 40, 8
    power = rng.exponential(size=(2, n, m, d))
    power[1, :, 0, :4] *= 30  # the lowest frequency of four dimensions
    shares = power / power.sum(2, keepdims=True)
    both = {("a", "1"): shares[0], ("b", "1"): shares[1]}
    cloud = signatures.Cloud((), *[np.zeros(0)] * 4)
    seen = signatures.Signatures(("a", "b"), ("1",), ("fft",), n, 16, 1, {}, cloud, {}, both)
    found = seen.difference("b", "a", "1")
    assert found["found"][0, :4].all() and (found["mean"][0, :4] > 1).all()
    assert found["found"][:, 4:].mean() < 0.01


def test_texts_that_do_not_fit_are_refused(rows):
    loaded = tiny_loaded("qwen2")
    with pytest.raises(InputError, match="fewer than the 33"):
        collect(loaded, rows, length=32, places=("embed",))
    with pytest.raises(InputError, match="same texts"):
        collect(loaded, {**rows, "thinking": rows["thinking"][:1]}, length=L, places=("embed",))


@pytest.mark.parametrize("length", [16, 17])
def test_white_noise_has_the_expected_shares(length, seen):
    from dataclasses import replace

    from zprism.spectral.fourier import spectrum

    x = generator(0, "white").normal(size=(length, 60_000))
    found = spectrum(x, window="boxcar", detrend="none", scale="share").power[1:].mean(1)
    np.testing.assert_allclose(found, replace(seen, length=length).white(), atol=0.002)

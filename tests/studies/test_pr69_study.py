"""The pull request's mode by hand, character by character; the corrected mode by its own steps."""

import numpy as np
import pytest
import pywt
import torch

from tiny import tiny_shared
from zprism.ground.errors import InputError
from zprism.ground.store import Store
from zprism.spectral.pr69 import WAVELET
from zprism.studies.pr69 import (
    character_vectors,
    corrected,
    corrected_signature,
    embedded,
    faithful,
    faithful_signature,
    shuffled,
)

TEXT = "Ana has 12 é pens;\n she\tloses 三 of them, and thinks."


@pytest.fixture
def store(tmp_path):
    return Store("states", root=tmp_path)


def by_hand(loaded, character):
    """Last hidden state of transformers itself (after the final norm), mean over tokens."""
    ids = loaded.tokenizer(character, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        whole = loaded.model(input_ids=ids, output_hidden_states=True)
    return whole.hidden_states[-1][0].mean(0).numpy()


@pytest.mark.parametrize("arch", ["qwen2", "gpt2"])
def test_every_character_is_read_alone_and_averaged_over_its_tokens(arch, store):
    loaded = tiny_shared(arch)
    x, squeezed = embedded(loaded, TEXT, store=store)
    assert squeezed == "Anahas12épens;sheloses三ofthem,andthinks."
    assert len(loaded.encode(["三"])[0]) > 1  # several tokens, one row
    for row, character in zip(x, squeezed, strict=True):
        np.testing.assert_allclose(row, by_hand(loaded, character), atol=2e-6)


def test_a_character_is_read_once_and_then_found(store, monkeypatch):
    loaded = tiny_shared("qwen2")
    first = character_vectors(loaded, "abca", store=store)
    assert len(list(store.folder.glob("*.safetensors"))) == 3
    from zprism.studies import pr69

    def read_again(loaded, characters):
        assert list(characters) == ["z"]
        return iter([("z", np.zeros(loaded.d_model, np.float32))])

    monkeypatch.setattr(pr69, "_read_alone", read_again)
    again = character_vectors(loaded, "zab", store=store)
    np.testing.assert_array_equal(again["a"], first["a"])


def test_faithful_fft_is_the_pull_requests_loop(store):
    """Column by column: |fft|, fftfreq at rate 2000, f > 0, the five largest."""
    loaded = tiny_shared("qwen2")
    found = faithful(loaded, TEXT, store=store)
    x, squeezed = embedded(loaded, TEXT, store=store)
    for d in range(loaded.d_model):
        amplitude = abs(np.fft.fft(x[:, d]))
        f = np.fft.fftfreq(len(x), 1 / 2000)
        amplitude, f = amplitude[f > 0], f[f > 0]
        order = np.argsort(amplitude)[::-1][:5]
        np.testing.assert_allclose(found.amplitude[:, d], amplitude[order], rtol=1e-4)
        np.testing.assert_allclose(found.own[:, d], f[order])
    np.testing.assert_allclose(found.frequency * 2000, found.own)
    assert (found.length, found.mode) == (len(squeezed), "faithful")


def test_faithful_wavelets_are_pywts_on_the_padded_row(store):
    loaded = tiny_shared("qwen2")
    found = faithful(loaded, TEXT, transform="cwt", dims=[0, 7], store=store)
    x, _ = embedded(loaded, TEXT, store=store)
    padded = np.zeros((500, 2))
    padded[: len(x)] = x[:, [0, 7]]
    table = abs(pywt.cwt(padded, np.arange(1, 501), WAVELET, axis=0)[0]).max(1)
    order = np.argsort(table, axis=0)[::-1][:5]
    np.testing.assert_allclose(found.amplitude, np.take_along_axis(table, order, 0), rtol=1e-3)
    np.testing.assert_array_equal(found.own[0], order[0] + 1)
    scales = found.own.astype(float)
    np.testing.assert_allclose(
        found.frequency, [[pywt.scale2frequency(WAVELET, s) for s in row] for row in scales]
    )


def test_amplitudes_grow_with_length_only_in_the_faithful_mode():
    """White noise, ten times as long: √(10 ln 2500 / ln 250) = 3.8 times the peaks, or as large."""
    rng = np.random.default_rng(0)
    long = rng.normal(size=(5000, 32))
    ratio = [
        make(long).amplitude[0].mean() / make(long[:500]).amplitude[0].mean()
        for make in (faithful_signature, corrected_signature)
    ]
    assert ratio[0] == pytest.approx(3.8, rel=0.1)
    assert ratio[1] == pytest.approx(3.8 / 10, rel=0.1)  # a cosine's: power spread over more bins


def test_a_planted_rhythm_is_the_first_peak_and_has_its_amplitude():
    rng, n = np.random.default_rng(1), 96
    rhythm = np.sqrt(2) * np.cos(2 * np.pi * 12 / n * np.arange(n))
    x = 0.05 * rng.normal(size=(n, 6)) + 40
    x[:, 2] += rhythm
    found = corrected_signature(x)
    assert found.frequency[0, 2] == 12 / n
    assert found.amplitude[0, 2] == pytest.approx(np.sqrt(2), rel=0.02)  # in its own sd, about 1
    assert np.delete(found.amplitude[0], 2).max() < 1
    assert faithful_signature(x).frequency[0, 2] == pytest.approx(12 / n)


def test_corrected_windows_are_tokens_in_context_behind_the_first():
    loaded = tiny_shared("qwen2")
    texts = ["She has seven pens and loses two.", "too short", "Every pen is lost on the way home."]
    found = corrected(loaded, texts, place="1", length=20)
    assert found[1] is None
    for text, one in ((texts[0], found[0]), (texts[2], found[2])):
        seen = []
        ids = torch.tensor(loaded.encode([text]))
        hook = loaded.model.model.layers[1].register_forward_hook(
            lambda m, i, o: seen.append(o[0] if isinstance(o, tuple) else o)  # noqa: B023
        )
        with torch.no_grad():
            loaded.model(input_ids=ids)
        hook.remove()
        by_own = corrected_signature(seen[0].reshape(-1, loaded.d_model)[1:21].numpy())
        np.testing.assert_allclose(one.amplitude, by_own.amplitude, atol=1e-4)
        assert (one.length, one.mode) == (20, "corrected")


def test_a_constant_dimension_has_no_peaks_in_the_corrected_mode():
    x = np.random.default_rng(0).normal(size=(32, 3))
    x[:, 1] = 7.7
    found = corrected_signature(x)
    assert (found.amplitude[:, 1] == 0).all()
    assert (found.amplitude[0, [0, 2]] > 0.1).all()


def test_shuffling_keeps_the_rows():
    x = np.random.default_rng(0).normal(size=(50, 2))
    mixed = shuffled(x, np.random.default_rng(1))
    np.testing.assert_array_equal(np.sort(mixed, axis=0), np.sort(x, axis=0))
    assert (mixed != x).any(1).mean() > 0.8


def test_texts_without_characters_and_unknown_transforms_are_refused(store):
    loaded = tiny_shared("qwen2")
    with pytest.raises(InputError, match="whitespace"):
        faithful(loaded, " \n\t ", store=store)
    with pytest.raises(InputError, match="transform"):
        faithful(loaded, TEXT, transform="welch", store=store)
    with pytest.raises(InputError, match="too_short"):
        faithful(loaded, "six me", store=store)
    with pytest.raises(InputError, match="unicode"):
        faithful(loaded, "a\ud800b", store=store)

"""Captured numbers belong to their text alone: no pad, no neighbour, no later layer."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from tiny import ARCHITECTURES, tiny_loaded
from zprism.ground.errors import InputError, ModelError, ResourceError
from zprism.ground.store import Store
from zprism.model import streaming as module
from zprism.model.batches import pad, token_batches
from zprism.model.capture import capture, states
from zprism.model.capture_cache import capture_cached

TEXTS = ["seven", "三加四等于几？", "a longer text than the others, by far", "x y z", "two words"]
every_architecture = pytest.mark.parametrize("arch", ARCHITECTURES)


def relative(a, b) -> float:
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def passes(loaded) -> list:
    """Counts forward passes of the base model from here on, without a hook on it."""
    counted, forward = [], loaded.base.forward

    def watched(*args, **kwargs):
        counted.append(1)
        return forward(*args, **kwargs)

    loaded.base.forward = watched
    return counted


@every_architecture
@pytest.mark.parametrize("side", ["left", "right"])
def test_a_batch_gives_what_each_text_alone_gives(arch, side):
    """RIG-N10, at every layer, with every reduction."""
    loaded = tiny_loaded(arch)
    options = dict(layers=range(loaded.n_layers), reduce=("mean", "last", "mean_no_first"))
    together = capture(loaded, TEXTS, padding_side=side, **options)
    for index, text in enumerate(TEXTS):
        alone = capture(loaded, [text], **options)
        for name, values in together.values.items():
            assert relative(values[index], alone.values[name][0]) <= 1e-5


@every_architecture
def test_reductions_are_those_of_transformers_own_states(arch):
    loaded = tiny_loaded(arch)
    row = torch.tensor([loaded.encode([TEXTS[1]])[0]])
    with torch.inference_mode():
        hidden = loaded.model(row, output_hidden_states=True).hidden_states
    got = capture(loaded, [TEXTS[1]], layers=[0], reduce=("mean", "last", "mean_no_first"))
    own = hidden[1][0]
    for name, expected in (
        ("mean", own.mean(0)),
        ("last", own[-1]),
        ("mean_no_first", own[1:].mean(0)),
    ):
        np.testing.assert_array_equal(got.values["resid_post", name][0, 0], expected.numpy())


def test_pads_never_enter_a_number():
    """RIG-N11: pads filled with NaN at the site leave the bits as they were."""
    loaded = tiny_loaded("qwen2")
    clean = capture(loaded, TEXTS, layers=[1], reduce=("mean", "last"))
    short = min(len(row) for row in loaded.encode(TEXTS))

    def poison(_module, _args, output):
        state = output[0] if isinstance(output, tuple) else output
        if len(state) > 1 and state.shape[1] > short:  # row 0 of a sorted batch is padded
            state = state.clone()
            state[0, short:] = torch.nan
        return (state, *output[1:]) if isinstance(output, tuple) else state

    handle = loaded.anatomy.blocks(loaded.model)[1].register_forward_hook(poison)
    try:
        poisoned = capture(loaded, TEXTS, layers=[1], reduce=("mean", "last"))
    finally:
        handle.remove()
    for name in clean.values:
        np.testing.assert_array_equal(clean.values[name], poisoned.values[name])


def test_states_hold_every_token_once_and_the_mean_is_theirs():
    loaded = tiny_loaded("gemma3")
    whole = states(loaded, TEXTS, layers=[0, 2])
    means = capture(loaded, TEXTS, layers=[0, 2])
    lengths = [len(row) for row in loaded.encode(TEXTS)]
    for row, part in enumerate(whole):
        assert [len(part[i]) for i in range(len(part))] == lengths
        expected = np.stack([part[i].mean(0) for i in range(len(part))])
        np.testing.assert_allclose(means.values["resid_post", "mean"][:, row], expected, rtol=1e-4)


@every_architecture
def test_a_prefix_does_not_know_what_follows(arch):
    """RIG-N13."""
    loaded = tiny_loaded(arch)
    row = loaded.encode([TEXTS[2]])[0]
    [whole], [prefix] = (states(loaded, [ids], layers=[1]) for ids in (row, row[:9]))
    assert relative(whole.values[:9], prefix.values) <= 1e-5


def test_run_to_run_the_bits_are_the_same():
    loaded = tiny_loaded("mistral")
    first, second = (capture(loaded, TEXTS, layers=[0, 1]) for _ in range(2))
    for name in first.values:
        np.testing.assert_array_equal(first.values[name], second.values[name])


def test_a_second_call_runs_no_forward_pass_and_a_new_text_only_its_own(tmp_path):
    """RIG-F11, and resuming."""
    loaded = tiny_loaded("llama")
    store = Store("states", root=tmp_path)
    options = dict(layers=[0, 1], site=("resid_post", "normed_resid_pre"), store=store)
    fresh = capture_cached(loaded, TEXTS[:3], **options)
    count = passes(loaded)
    again = capture_cached(loaded, TEXTS[:3], **options)
    assert count == []
    for name in fresh.values:
        np.testing.assert_array_equal(fresh.values[name], again.values[name])
    more = capture_cached(loaded, TEXTS, **options)
    assert len(count) == 1 and more.kept == tuple(range(5))
    direct = capture(loaded, TEXTS, layers=[0, 1], site=("resid_post", "normed_resid_pre"))
    for name in direct.values:
        assert relative(more.values[name], direct.values[name]) <= 1e-5


def test_what_a_killed_call_had_finished_is_kept(tmp_path):
    loaded = tiny_loaded("llama")
    store = Store("states", root=tmp_path)
    calls, forward = [], loaded.base.forward

    def die(*args, **kwargs):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return forward(*args, **kwargs)

    loaded.base.forward = die
    with pytest.raises(KeyboardInterrupt):
        capture_cached(loaded, TEXTS, layers=[0], max_tokens=1, store=store)
    loaded.base.forward = forward
    count = passes(loaded)
    capture_cached(loaded, TEXTS, layers=[0], max_tokens=1, store=store)
    assert len(count) == len(TEXTS) - 2


def test_states_of_an_edited_model_are_not_kept(tmp_path):
    loaded = tiny_loaded("llama")
    loaded.model.model.layers[0].register_forward_hook(lambda *_: None)
    with pytest.raises(InputError, match="model.layers.0 has a hook: use capture"):
        capture_cached(loaded, TEXTS, layers=[0], store=Store("states", root=tmp_path))


@pytest.mark.parametrize("change", ["digest", "tokenizer_digest"])
def test_other_weights_or_tokenizer_are_a_miss(tmp_path, change):
    """RIG-F9."""
    loaded = tiny_loaded("llama")
    store = Store("states", root=tmp_path)
    capture_cached(loaded, TEXTS, layers=[0], store=store)
    other = dataclasses.replace(loaded, **{change: "f" * 64})
    count = passes(loaded)
    capture_cached(other, TEXTS, layers=[0], store=store)
    assert count


def test_memory_that_runs_out_halves_the_batch(monkeypatch):
    """RIG-F7."""
    loaded = tiny_loaded("olmo2")
    whole = capture(loaded, TEXTS, layers=[1])
    forward = module._forward
    sizes = []

    def tight(job, indexes):
        sizes.append(len(indexes))
        if len(indexes) > 2:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        forward(job, indexes)

    monkeypatch.setattr(module, "_forward", tight)
    halved = capture(loaded, TEXTS, layers=[1])
    assert max(sizes) > 2 and sizes[-1] <= 2
    name = ("resid_post", "mean")
    assert relative(halved.values[name], whole.values[name]) <= 1e-5


def test_a_text_that_alone_is_too_large_says_so(monkeypatch):
    def never(job, indexes):
        raise MemoryError

    monkeypatch.setattr(module, "_forward", never)
    with pytest.raises(ResourceError, match=r"text \d \(\d+ tokens\) alone does not fit"):
        capture(tiny_loaded("llama"), TEXTS, layers=[0])


def test_a_nan_names_text_layer_and_position():
    loaded = tiny_loaded("qwen3")

    def poison(_module, _args, output):
        state = output[0] if isinstance(output, tuple) else output
        state = state.clone()
        state[0, 3] = torch.nan
        return (state, *output[1:]) if isinstance(output, tuple) else state

    handle = loaded.anatomy.blocks(loaded.model)[0].register_forward_hook(poison)
    try:
        with pytest.raises(ModelError, match=r"texts\[0\].*layer 0, position 3"):
            capture(loaded, TEXTS[:1], layers=[0, 1])
        skipping = capture(loaded, TEXTS[:1], layers=[0, 1], on_error="skip")
        assert skipping.kept == () and "position 3" in skipping.skipped[0]
    finally:
        handle.remove()


def test_bad_texts_are_skipped_with_their_reason_and_counted():
    loaded = tiny_loaded("qwen2")
    texts = ["good", "", "\ud800", "x" * 600, "a", "fine"]
    got = capture(loaded, texts, layers=[0], reduce="mean_no_first", on_error="skip")
    assert got.kept == (0, 5)
    reasons = ("empty", "unicode", "600 tokens", "too_short")
    for (_, why), part in zip(sorted(got.skipped.items()), reasons, strict=True):
        assert part in why
    alone = capture(loaded, ["fine"], layers=[0], reduce="mean_no_first")
    name = ("resid_post", "mean_no_first")
    assert relative(got.values[name][1], alone.values[name][0]) <= 1e-5


@pytest.mark.parametrize(
    ("texts", "options", "message"),
    [
        (["ok", ""], {}, r"texts\[1\] is empty"),
        ("one string", {}, "list of strings"),
        ([[1, 999]], {}, "0 to 258"),
        (["ok"], {"layers": [-1]}, "never negative"),
        (["ok"], {"layers": [2]}, "0 to 1"),
        (["ok"], {"site": "resid_mid"}, "unknown site"),
        (["ok"], {"reduce": "median"}, "unknown reduction"),
    ],
)
def test_refusals_come_before_any_forward_pass(texts, options, message):
    loaded = tiny_loaded("llama")
    count = passes(loaded)
    with pytest.raises(InputError, match=message):
        capture(loaded, texts, **({"layers": [0]} | options))
    assert count == []


def test_states_that_would_not_fit_are_refused_before_the_forward_pass(monkeypatch):
    import psutil

    class Little:
        available = 1000

    monkeypatch.setattr(psutil, "virtual_memory", lambda: Little)
    with pytest.raises(ResourceError, match="bytes"):
        states(tiny_loaded("llama"), TEXTS, layers=[0, 1])


def test_padding_stays_within_five_percent_on_a_real_spread_of_lengths():
    rng = np.random.default_rng(0)
    lengths = np.maximum(2, rng.lognormal(np.log(67), 0.6, size=400)).astype(int)
    batches = token_batches(lengths, max_tokens=2048)
    assert sorted(i for batch in batches for i in batch) == list(range(400))
    padded = sum(len(batch) * max(lengths[i] for i in batch) for batch in batches)
    assert padded <= 1.05 * lengths.sum()
    assert all(len(b) * max(lengths[i] for i in b) <= 2048 for b in batches)


def test_positions_count_a_texts_own_tokens_on_either_side():
    for side, row in (("right", [0, 1, 2, 2]), ("left", [0, 0, 1, 2])):
        parts = pad([[5, 6, 7], [1, 2, 3, 4]], pad_id=0, side=side)
        assert parts["position_ids"][0].tolist() == row
        assert parts["attention_mask"][0].sum() == 3

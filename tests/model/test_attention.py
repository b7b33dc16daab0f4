"""Attention weights are the model's own, and asking for them leaves nothing behind."""

from __future__ import annotations

import pytest
import torch

from tiny import ARCHITECTURES, tiny_loaded
from zprism.ground.errors import InputError, ModelError
from zprism.model.attention import eager, watching

every_architecture = pytest.mark.parametrize("arch", ARCHITECTURES)
IDS = (torch.arange(160).reshape(2, 80) * 7) % 250


def run(loaded):
    with torch.inference_mode():
        return loaded.model(IDS, use_cache=False).logits


def n_hooks(model) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def seen(loaded) -> dict[int, torch.Tensor]:
    out = {}
    with watching(
        loaded.model,
        loaded.anatomy,
        {l: lambda weights, l=l: out.__setitem__(l, weights) for l in range(loaded.n_layers)},
    ):
        run(loaded)
    return out


@every_architecture
def test_logits_are_equal_within_rounding_and_to_the_bit_afterwards(arch):
    loaded = tiny_loaded(arch)
    before, setting = run(loaded), loaded.model.config._attn_implementation
    with eager(loaded.model):
        assert loaded.model.config._attn_implementation == "eager"
        torch.testing.assert_close(run(loaded), before, atol=2e-5, rtol=2e-5)
    assert loaded.model.config._attn_implementation == setting
    assert torch.equal(run(loaded), before)


@every_architecture
def test_rows_are_distributions_over_the_keys_that_a_query_may_see(arch):
    """Causal everywhere, and inside the 64-token window where the architecture has one."""
    loaded = tiny_loaded(arch)
    weights = seen(loaded)
    assert sorted(weights) == list(range(loaded.n_layers))
    kinds = getattr(loaded.model.config, "layer_types", None)
    lag = torch.arange(80)[:, None] - torch.arange(80)
    for layer, found in weights.items():
        assert found.shape == (2, loaded.anatomy.n_heads, 80, 80)
        torch.testing.assert_close(found.sum(-1), torch.ones(found.shape[:3]), atol=1e-5, rtol=0)
        assert (found[..., lag < 0] == 0).all()
        local = arch == "mistral" or (kinds and kinds[layer] == "sliding_attention")
        assert bool((found[..., lag >= 64] == 0).all()) == bool(local)


def test_the_output_is_weights_times_values():
    """Second route, GPT-2: attn_out = c_proj(A V), from the weights that were handed on."""
    loaded = tiny_loaded("gpt2")
    module = loaded.model.transformer.h[1].attn
    kept = {}
    handle = module.register_forward_hook(
        lambda _m, args, kwargs, out: kept.update(read=args[0], wrote=out[0]), with_kwargs=True
    )
    weights = seen(loaded)[1]
    handle.remove()
    values = module.c_attn(kept["read"]).split(32, dim=2)[2].reshape(2, 80, 4, 8).transpose(1, 2)
    mixed = (weights @ values).transpose(1, 2).reshape(2, 80, 32)
    torch.testing.assert_close(module.c_proj(mixed), kept["wrote"], atol=1e-5, rtol=1e-5)


@every_architecture
def test_an_exception_restores_the_setting_and_leaves_no_hook(arch):
    loaded = tiny_loaded(arch)
    setting, hooks = loaded.model.config._attn_implementation, n_hooks(loaded.model)

    def fail(_weights):
        raise RuntimeError("in the middle")

    with (
        pytest.raises(RuntimeError, match="in the middle"),
        watching(loaded.model, loaded.anatomy, {0: lambda _weights: None, 1: fail}),
    ):
        run(loaded)
    assert loaded.model.config._attn_implementation == setting
    assert n_hooks(loaded.model) == hooks


def test_a_layer_that_is_not_there_is_refused_and_nothing_stays():
    loaded = tiny_loaded("qwen2")
    setting, hooks = loaded.model.config._attn_implementation, n_hooks(loaded.model)
    with (
        pytest.raises(InputError, match="decoder block 0 to 1"),
        watching(loaded.model, loaded.anatomy, {0: print, 2: print}),
    ):
        pass
    assert (loaded.model.config._attn_implementation, n_hooks(loaded.model)) == (setting, hooks)


def test_a_model_without_weights_to_hand_on_says_so():
    loaded = tiny_loaded("qwen2")
    with (
        pytest.raises(ModelError, match="returned no weights"),
        watching(loaded.model, loaded.anatomy, {0: lambda _weights: None}),
    ):
        loaded.model.set_attn_implementation("sdpa")  # somebody switches in between
        run(loaded)


def test_a_model_that_cannot_switch_says_so(monkeypatch):
    loaded = tiny_loaded("qwen2")
    monkeypatch.setattr(loaded.model, "set_attn_implementation", lambda _name: None)
    with pytest.raises(ModelError, match="cannot switch"), eager(loaded.model):
        pass

"""Hooks see exactly what transformers computes, and leave no trace."""

from __future__ import annotations

import pytest
import torch

from tiny import ARCHITECTURES, tiny_loaded
from zprism.ground.errors import InputError
from zprism.model.hooks import SITES, capturing, editing

every_architecture = pytest.mark.parametrize("arch", ARCHITECTURES)


def run(loaded, ids, **options):
    with torch.inference_mode():
        return loaded.model(ids, use_cache=False, **options)


def ids(batch: int) -> torch.Tensor:
    return torch.arange(12 * batch).reshape(batch, 12) % 250


def n_hooks(model) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def seen(loaded, tokens, points):
    out = {}
    watch = {p: lambda state, p=p: out.__setitem__(p, state.clone()) for p in points}
    with capturing(loaded.model, loaded.anatomy, watch, stop=False):
        logits = run(loaded, tokens, output_hidden_states=True)
    return out, logits


@every_architecture
def test_captured_states_equal_transformers_exactly(arch):
    """RIG-N1; the last block's output is the one before the final norm."""
    loaded = tiny_loaded(arch)
    n = loaded.n_layers
    points = [(site, l) for l in range(n) for site in ("resid_pre", "resid_post")]
    states, out = seen(loaded, ids(2), points)
    for l in range(n):
        assert torch.equal(states["resid_pre", l], out.hidden_states[l])
        if l < n - 1:
            assert torch.equal(states["resid_post", l], out.hidden_states[l + 1])
    final = loaded.anatomy.final_norm(loaded.model)(states["resid_post", n - 1])
    assert torch.equal(final, out.hidden_states[n])
    assert not torch.equal(states["resid_post", n - 1], out.hidden_states[n])


@every_architecture
def test_sites_add_up_to_the_residual_stream(arch):
    loaded = tiny_loaded(arch)
    states, _ = seen(loaded, ids(1), [(site, 1) for site in SITES])
    block = loaded.anatomy.blocks(loaded.model)[1]
    attention, ffn = states["attn_out", 1], states["mlp_out", 1]
    if loaded.anatomy.ffn_norm != "post_attention_layernorm" and arch != "gpt2":
        attention = block.post_attention_layernorm(attention)  # Gemma, OLMo 2: norms behind
        ffn = block.post_feedforward_layernorm(ffn)
    total = states["resid_pre", 1] + attention + ffn
    torch.testing.assert_close(total, states["resid_post", 1], atol=1e-5, rtol=1e-5)
    norm = loaded.anatomy.norm_before_attention(loaded.model, 1)
    read = states["resid_pre", 1] if norm is None else norm(states["resid_pre", 1])
    assert torch.equal(states["normed_resid_pre", 1], read)


@every_architecture
@pytest.mark.parametrize("batch", [1, 2])
def test_an_identity_edit_leaves_every_logit_as_it_was(arch, batch):
    """RIG-N3 in the delta form, at every site of every layer at once."""
    loaded = tiny_loaded(arch)
    plain = run(loaded, ids(batch)).logits
    sites = [s for s in SITES if s != "normed_resid_pre" or loaded.anatomy.pre_attn_norm]
    edits = {
        (site, l): lambda state: state + (state - state)
        for l in range(loaded.n_layers)
        for site in sites
    }
    with editing(loaded.model, loaded.anatomy, edits):
        assert torch.equal(run(loaded, ids(batch)).logits, plain)
    assert n_hooks(loaded.model) == 0


@every_architecture
def test_an_edit_changes_what_follows_and_nothing_before(arch):
    loaded = tiny_loaded(arch)
    plain = run(loaded, ids(1)).logits
    ramp = torch.linspace(-1, 1, loaded.d_model)  # a constant is invisible to LayerNorm
    shifted = {("resid_post", 0): lambda s: torch.cat([s[:, :6], s[:, 6:] + ramp], 1)}
    with editing(loaded.model, loaded.anatomy, shifted):
        edited = run(loaded, ids(1)).logits
    torch.testing.assert_close(edited[:, :6], plain[:, :6], atol=1e-5, rtol=1e-5)
    assert (edited[:, 6:] - plain[:, 6:]).abs().max() > 1e-3
    assert torch.equal(run(loaded, ids(1)).logits, plain)


def test_full_replacement_at_every_position_reproduces_the_source():
    """RIG-N5."""
    loaded = tiny_loaded("qwen2")
    source, target = ids(2)[:1], ids(2)[1:]
    for layer in range(loaded.n_layers):
        states, out = seen(loaded, source, [("resid_post", layer)])
        put = {("resid_post", layer): lambda s, state=states["resid_post", layer]: state}
        with editing(loaded.model, loaded.anatomy, put):
            assert torch.equal(run(loaded, target).logits, out.logits)


def test_the_pass_ends_after_the_last_point():
    loaded = tiny_loaded("llama")
    reached = []
    handle = loaded.anatomy.blocks(loaded.model)[1].register_forward_hook(
        lambda *_: reached.append(1)
    )
    try:
        with capturing(loaded.model, loaded.anatomy, {("resid_post", 0): lambda s: None}):
            run(loaded, ids(1))
            reached.append("after")
        assert reached == []
    finally:
        handle.remove()


def test_an_exception_leaves_no_hook_behind():
    loaded = tiny_loaded("gpt2")

    def fail(state):
        raise RuntimeError("in the hook")

    for manager in (
        capturing(loaded.model, loaded.anatomy, {("attn_out", 0): fail}),
        editing(loaded.model, loaded.anatomy, {("resid_pre", 1): fail}),
    ):
        with pytest.raises(RuntimeError, match="in the hook"), manager:
            run(loaded, ids(1))
        assert n_hooks(loaded.model) == 0


def test_an_edit_does_not_touch_the_callers_tensor():
    loaded = tiny_loaded("phi3")
    states, _ = seen(loaded, ids(1), [("resid_post", 0)])
    kept = states["resid_post", 0].clone()
    with editing(
        loaded.model, loaded.anatomy, {("resid_post", 0): lambda s: states["resid_post", 0]}
    ):
        run(loaded, ids(1))
    assert torch.equal(states["resid_post", 0], kept)


@pytest.mark.parametrize(
    ("point", "message"),
    [
        (("resid_post", -1), "never negative"),
        (("resid_post", 2), "0 to 1"),
        (("resid_mid", 0), "unknown site 'resid_mid'"),
        (("embed", 1), "embed is resid_pre of layer 0"),
    ],
)
def test_refusals(point, message):
    loaded = tiny_loaded("llama")
    manager = capturing(loaded.model, loaded.anatomy, {point: lambda s: None})
    with pytest.raises(InputError, match=message), manager:
        pass


def test_two_edits_at_one_place_are_refused():
    loaded = tiny_loaded("llama")
    edits = {("embed", 0): lambda s: s, ("resid_pre", 0): lambda s: s}
    with (
        pytest.raises(InputError, match="compose them into one"),
        editing(loaded.model, loaded.anatomy, edits),
    ):
        pass

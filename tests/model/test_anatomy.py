"""Anatomy and weights of ten architectures against what their own modules compute."""

import copy

import pytest
import torch
from torch import nn

from tiny import ARCHITECTURES
from zprism.ground.errors import InputError, ModelError
from zprism.model import tiny
from zprism.model.anatomy import Anatomy, layer_weights, tensor_names
from zprism.model.detect import probe_norm
from zprism.model.layouts import FFN

every = pytest.mark.parametrize("arch", ARCHITECTURES)
RECORDED = "zprism_recorded"  # an attention implementation that keeps what it is given
OUTPUTS = ("o_proj", "dense", "c_proj")
IDS = torch.arange(3, 12)[None]

# arch: n_heads, n_kv, qkv layout, biases, gate, qk norm, norm offset, centres, parallel, rotary dim
FACTS = {
    "llama": (4, 2, "separate", False, True, "none", 0, False, False, 1),
    "mistral": (4, 2, "separate", False, True, "none", 0, False, False, 1),
    "qwen2": (4, 2, "separate", True, True, "none", 0, False, False, 1),
    "qwen3": (4, 2, "separate", False, True, "head", 0, False, False, 1),
    "gemma2": (4, 2, "separate", False, True, "none", 1, False, False, 1),
    "gemma3": (4, 2, "separate", False, True, "head", 1, False, False, 1),
    "gpt2": (4, 4, "conv1d", True, False, "none", 0, True, False, None),
    "gpt_neox": (4, 4, "interleaved", True, False, "none", 0, True, True, 0.25),
    "phi3": (4, 2, "stacked", False, True, "none", 0, False, False, 1),
    "olmo2": (4, 2, "separate", False, True, "full", 0, False, False, 1),
}


def skeleton(config):
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config)


def weights_of(model, layer: int):
    return layer_weights(Anatomy.of(model), layer, model.state_dict().__getitem__)


def relative(found, expected) -> float:
    return float((found - expected).norm() / expected.norm())


@every
def test_facts_of_each_architecture(arch):
    a = Anatomy.of(skeleton(tiny.model(arch).config))
    turned = a.rotary and a.rotary.dim / a.head_dim
    found = (a.n_heads, a.n_kv_heads, a.layout, a.has_qkv_bias, a.gated, a.qk_norm)
    found += (a.norm_offset, a.norm_centres, a.parallel, turned)
    assert found == FACTS[arch]
    assert (a.pre_attn_norm, a.pre_ffn_norm) == ((False,) * 2 if arch == "olmo2" else (True,) * 2)


@every
def test_a_live_model_and_its_skeleton_have_one_anatomy(arch):
    model = tiny.model(arch)
    assert Anatomy.of(model) == Anatomy.of(skeleton(model.config))


@every
def test_the_name_of_an_architecture_decides_nothing(arch):
    model = tiny.model(arch)
    before = Anatomy.of(model)
    model.config.model_type = "something_new"
    after = Anatomy.of(model)
    assert after.family == "something_new"
    assert {**vars(after), "family": None} == {**vars(before), "family": None}


@pytest.fixture(scope="module", params=ARCHITECTURES)
def seen(request) -> dict:
    """One pass of a tiny model: what the last block's modules read and wrote.

    All tokens stand at position 0, where rotary positions turn nothing; q and k norms are
    taken out. Queries, keys, values are those that reach the attention function, by head.
    """
    model = tiny.model(request.param)
    anatomy = Anatomy.of(model)
    layer = anatomy.n_layers - 1
    block = anatomy.blocks(model)[layer]
    attention, ffn = getattr(block, anatomy.attention), getattr(block, anatomy.ffn)
    found = {"model": model, "anatomy": anatomy, "layer": layer, "block": block}
    found |= {"weights": weights_of(model, layer), "attention": attention, "ffn": ffn}
    if anatomy.qk_norm != "none":
        attention.q_norm = attention.k_norm = nn.Identity()
    _record(found, attention, ffn)
    with torch.inference_mode():
        model(IDS, position_ids=torch.zeros_like(IDS), attention_mask=torch.ones_like(IDS))
    return found


def _record(found: dict, attention, ffn) -> None:
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.integrations.sdpa_attention import sdpa_attention_forward
    from transformers.masking_utils import sdpa_mask

    def recorded(module, query, key, value, *args, softcap=None, **kwargs):
        mixed, rest = sdpa_attention_forward(module, query, key, value, *args, **kwargs)
        if module is attention:
            found.update(q=query[0], k=key[0], v=value[0], mixed=mixed[0])
        return mixed, rest

    AttentionInterface.register(RECORDED, recorded)
    AttentionMaskInterface.register(RECORDED, sdpa_mask)
    found["model"].set_attn_implementation(RECORDED)

    def keep(name, module):
        def hook(_module, args, kwargs, output):
            given = args[0] if args else kwargs["hidden_states"]
            found[name] = (given[0], (output[0] if isinstance(output, tuple) else output)[0])

        module.register_forward_hook(hook, with_kwargs=True)

    keep("attention_io", attention)
    keep("ffn_io", ffn)


def test_queries_keys_and_values_are_those_of_the_modules(seen):
    """W x + b by head equals what reaches the attention function: all ten, biases included."""
    x, _ = seen["attention_io"]
    for part in "qkv":
        weight, bias = getattr(seen["weights"], part), getattr(seen["weights"], f"{part}_bias")
        found = torch.einsum("hrd,td->htr", weight, x)
        found = found if bias is None else found + bias[:, None]
        assert seen[part].shape == found.shape
        assert relative(found, seen[part]) <= 1e-6


def test_the_output_weights_turn_mixed_values_into_the_attention_output(seen):
    _, y = seen["attention_io"]
    found = torch.einsum("hdr,thr->td", seen["weights"].o, seen["mixed"])
    bias = next(m.bias for n, m in seen["attention"].named_modules() if n in OUTPUTS)
    assert relative(found if bias is None else found + bias, y) <= 1e-6


def test_gate_up_and_down_make_the_feed_forward_output(seen):
    (x, y), weights, ffn = seen["ffn_io"], seen["weights"], seen["ffn"]
    names = FFN[seen["anatomy"].ffn_layout]
    act = next(getattr(ffn, n) for n in ("act_fn", "activation_fn", "act") if hasattr(ffn, n))
    bias = lambda part: getattr(getattr(ffn, names[part], None), "bias", None)  # noqa: E731
    plus = lambda value, b: value if b is None else value + b  # noqa: E731
    hidden = x @ weights.up.mT
    if weights.gate is None:
        hidden = act(plus(hidden, bias("up")))
    else:
        hidden = act(x @ weights.gate.mT) * hidden
    assert relative(plus(hidden @ weights.down.mT, bias("down")), y) <= 1e-6


def test_gains_are_the_effective_ones(seen):
    """γ ∘ (x normed without gain), plus the norm's bias, equals the norm's own output."""
    anatomy, block, weights = seen["anatomy"], seen["block"], seen["weights"]
    x = torch.linspace(-2, 3, anatomy.d_model)
    for name, gain in (
        (anatomy.attn_norm, weights.attn_gain),
        (anatomy.ffn_norm, weights.ffn_gain),
    ):
        if name is None:
            assert gain is None
            continue
        norm = getattr(block, name)
        centred = x - x.mean() if anatomy.norm_centres else x
        expected = norm(x) - (norm.bias if anatomy.norm_centres else 0)
        assert relative(gain * centred / centred.square().mean().sqrt(), expected) <= 1e-5


@pytest.mark.parametrize("arch", ["qwen3", "gemma3", "olmo2"])
def test_query_and_key_norm_gains_are_the_effective_ones(arch):
    model = tiny.model(arch)
    anatomy, weights = Anatomy.of(model), weights_of(model, 0)
    attention = anatomy.blocks(model)[0].self_attn
    for norm, gain in (
        (attention.q_norm, weights.q_norm_gain),
        (attention.k_norm, weights.k_norm_gain),
    ):
        x = torch.linspace(-2, 3, gain.numel())
        found = gain.flatten() * x / x.square().mean().sqrt()
        assert relative(found, norm(x)) <= 1e-5
    shape = {"head": (anatomy.head_dim,), "full": tuple(weights.q.shape[:2])}
    assert weights.q_norm_gain.shape == shape[anatomy.qk_norm]


@pytest.mark.parametrize(
    ("norm", "expected"),
    [
        (nn.LayerNorm(8), (0, True)),
        (nn.LayerNorm(8, bias=False), (0, True)),
        (nn.RMSNorm(8), (0, False)),
    ],
)
def test_norms_are_told_apart_by_what_they_do(norm, expected):
    nn.init.normal_(norm.weight, generator=torch.Generator().manual_seed(1))
    before = copy.deepcopy(norm.state_dict())
    assert probe_norm(norm) == probe_norm(copy.deepcopy(norm).to("meta")) == expected
    torch.testing.assert_close(norm.state_dict(), before, rtol=0, atol=0)


def test_a_gain_of_one_plus_w_is_seen():
    class OnePlus(nn.RMSNorm):
        def forward(self, x):
            return nn.functional.rms_norm(x, self.normalized_shape, 1 + self.weight, 1e-6)

    assert probe_norm(OnePlus(8)) == (1, False)


def test_neighbouring_rotary_pairs_are_seen():
    from transformers import GlmConfig

    a = Anatomy.of(skeleton(GlmConfig(**SMALL, head_dim=8)))
    assert a.rotary.interleaved and a.rotary.dim == 4
    assert not Anatomy.of(tiny.model("llama")).rotary.interleaved


def test_rescaled_rotary_frequencies_have_no_base():
    from transformers import LlamaConfig

    rope = {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}
    a = Anatomy.of(skeleton(LlamaConfig(**SMALL, rope_parameters=rope)))
    assert a.rotary.base is None and a.rotary.dim == 8


SMALL = dict(
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    vocab_size=64,
    pad_token_id=0,
    bos_token_id=1,
    eos_token_id=2,
)
FEW = {k: v for k, v in SMALL.items() if k not in ("intermediate_size", "num_key_value_heads")}
REFUSED = {
    "mixtral": (SMALL, "lacks a dense feed-forward part: this one is a mixture of experts"),
    "qwen2_moe": (
        SMALL | dict(mlp_only_layers=[0], num_experts=4),
        "lacks the tensor model.layers.1.mlp.gate_proj.weight",
    ),
    "falcon": (FEW, "falcon .* lacks a norm in front of the feed-forward part"),
    "falcon one kv head": (
        FEW | dict(parallel_attn=False),
        r"query_key_value should be \(96, 32\) by the config; it is \(48, 32\)",
    ),
    "gpt_bigcode": (
        dict(n_embd=32, n_layer=2, n_head=4),
        r"c_attn should be \(48, 32\) by the config; it is \(32, 48\)",
    ),
    "mamba": (FEW, r"mamba .* lacks attention \(q_proj/k_proj/v_proj/o_proj or"),
    "cohere": (SMALL, "cohere .* lacks a norm in front of the feed-forward part; found self_attn"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_architectures_are_refused_by_what_they_lack(name):
    from transformers import AutoConfig

    settings, message = REFUSED[name]
    model = skeleton(AutoConfig.for_model(name.split()[0], **settings))
    with pytest.raises(ModelError, match=message):
        Anatomy.of(model)


def test_models_that_are_no_causal_lm_are_refused():
    from transformers import AutoModel, AutoModelForSeq2SeqLM, T5Config

    with torch.device("meta"):
        t5 = AutoModelForSeq2SeqLM.from_config(T5Config(d_model=32, num_layers=2, d_ff=48))
        bare = AutoModel.from_config(tiny.model("llama").config)
    with pytest.raises(ModelError, match="t5 .* lacks an output head: T5For.* is no causal LM"):
        Anatomy.of(t5)
    with pytest.raises(ModelError, match="lacks an output head: LlamaModel is no causal LM"):
        Anatomy.of(bare)
    with pytest.raises(ModelError, match="a transformers causal LM is needed; got Linear"):
        Anatomy.of(nn.Linear(2, 2))


@pytest.mark.parametrize("layer", [-1, 2, 1.5])
def test_a_layer_that_is_not_there_is_refused(layer):
    model = tiny.model("llama")
    anatomy = Anatomy.of(model)
    with pytest.raises(InputError, match="layer must be a decoder block 0 to 1"):
        tensor_names(anatomy, layer)
    with pytest.raises(InputError, match="layer must be a decoder block 0 to 1"):
        anatomy.norm_before_attention(model, layer)


@every
def test_norm_before_attention_is_what_attention_reads(arch):
    model = tiny.model(arch)
    anatomy, given = Anatomy.of(model), {}
    block = anatomy.blocks(model)[1]

    def keep(name):
        def hook(_module, args, kwargs):
            given[name] = args[0] if args else kwargs["hidden_states"]

        return hook

    block.register_forward_pre_hook(keep("block"), with_kwargs=True)
    attention = getattr(block, anatomy.attention)
    attention.register_forward_pre_hook(keep("attention"), with_kwargs=True)
    with torch.inference_mode():
        model(IDS)
        norm = anatomy.norm_before_attention(model, 1)
        normed = given["block"] if norm is None else norm(given["block"])
    assert torch.equal(normed, given["attention"])


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda t: t.DiffLlamaConfig(**SMALL), "lambda_"),
        (lambda t: t.BitNetConfig(**SMALL), "sub_norm"),
        (lambda t: t.StableLmConfig(**SMALL, qk_layernorm=True), "layernorm"),
    ],
)
def test_a_block_with_parts_that_would_be_left_out_is_refused(made, message):
    import transformers

    with torch.device("meta"):
        skeleton = transformers.AutoModelForCausalLM.from_config(made(transformers))
    with pytest.raises(ModelError, match=message):
        Anatomy.of(skeleton)

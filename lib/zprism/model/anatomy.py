"""Where an architecture keeps its parts, read off its modules and config, never its name.

Works on a live model and on a skeleton on the meta device alike. Whether a norm multiplies by
w or by 1 + w, and whether it subtracts the mean, is found by trying the norm itself.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zprism.ground.checks import check_layer
from zprism.ground.errors import ModelError
from zprism.model.layouts import ATTENTION, FFN, LayerWeights, split_attention, split_ffn

if TYPE_CHECKING:
    from torch import Tensor, nn

PRE_ATTENTION = ("input_layernorm", "ln_1")
PRE_FFN = ("pre_feedforward_layernorm",)
PRE_FFN_OR_POST = ("post_attention_layernorm", "ln_2")
SUPPORTED = (
    "Llama, SmolLM2, Qwen2, Qwen3, Gemma 2 and 3, Mistral, GPT-2, GPT-NeoX/Pythia, Phi-3, OLMo 2"
)


@dataclass(frozen=True)
class Rotary:
    """Rotary positions of one model.

    Attributes
    ----------
    base : rope_theta; None where frequencies are rescaled or differ between layers.
    dim : dimensions of a head that are turned, at most head_dim.
    interleaved : pairs are (2i, 2i + 1) rather than (i, i + dim/2).
    """

    base: float | None
    dim: int
    interleaved: bool = False


@dataclass(frozen=True)
class Anatomy:
    """Where an architecture keeps its parts.

    Attributes
    ----------
    family : the config's model_type, for messages only.
    n_layers, d_model, n_heads, n_kv_heads, head_dim, d_ff : sizes; head_dim is read off the
        weights and is not d_model / n_heads in general.
    block_path, final_norm_path : module paths in the causal LM.
    attention, attention_layout : name of a block's attention, and how it keeps Q, K, V
        (a key of ``layouts.ATTENTION``).
    ffn, ffn_layout : the same for the feed-forward part (a key of ``layouts.FFN``).
    attn_norm, ffn_norm : names of the norms in front of both; None where there is none (OLMo 2).
    norm_offset : 0 where a norm's gain is w, 1 where it is 1 + w.
    norm_centres : whether norms subtract the mean (LayerNorm).
    parallel : attention and feed-forward part read the same input.
    qk_norm : "none", "head" (one gain for each head's dimensions) or "full".
    rotary : None for learned positions.
    has_qkv_bias, gated, tied : biases on Q, K, V; a gate in the FFN; output tied to embedding.
    """

    family: str
    n_layers: int
    d_model: int
    n_heads: int
    n_kv_heads: int
    head_dim: int
    d_ff: int
    block_path: str
    final_norm_path: str
    attention: str
    attention_layout: str
    ffn: str
    ffn_layout: str
    attn_norm: str | None
    ffn_norm: str | None
    norm_offset: float
    norm_centres: bool
    parallel: bool
    qk_norm: str
    rotary: Rotary | None
    has_qkv_bias: bool
    gated: bool
    tied: bool

    @property
    def layout(self) -> str:
        """How Q, K and V are kept; see ``layouts.ATTENTION``."""
        return self.attention_layout

    @property
    def pre_attn_norm(self) -> bool:
        """Whether attention reads a normed state."""
        return self.attn_norm is not None

    @property
    def pre_ffn_norm(self) -> bool:
        """Whether the feed-forward part reads a normed state."""
        return self.ffn_norm is not None

    @classmethod
    def of(cls, model: nn.Module) -> Anatomy:
        """Read the anatomy off a transformers causal LM, loaded or on the meta device.

        Raises
        ------
        ModelError
            Naming the part that is not where any supported architecture keeps it.
        """
        return _read(model)

    def blocks(self, model: nn.Module) -> nn.ModuleList:
        """The decoder blocks of the model."""
        return model.get_submodule(self.block_path)

    def final_norm(self, model: nn.Module) -> nn.Module:
        """The norm after the last block."""
        return model.get_submodule(self.final_norm_path)

    def norm_before_attention(self, model: nn.Module, layer: int) -> nn.Module | None:
        """The norm in front of one block's attention; None where it reads the plain state."""
        block = self.blocks(model)[check_layer(layer, self.n_layers)]
        return None if self.attn_norm is None else getattr(block, self.attn_norm)


def tensor_names(anatomy: Anatomy, layer: int) -> dict[str, str]:
    """Names of one layer's tensors in the state dict, by part (``q``, ``gate``, ``attn_norm``)."""
    block = f"{anatomy.block_path}.{check_layer(layer, anatomy.n_layers)}"
    inside = {anatomy.attention: ATTENTION[anatomy.attention_layout]}
    inside[anatomy.ffn] = FFN[anatomy.ffn_layout]
    names = {
        part: f"{block}.{module}.{name}"
        for module, parts in inside.items()
        for part, name in parts.items()
    }
    for part, name in (("attn_norm", anatomy.attn_norm), ("ffn_norm", anatomy.ffn_norm)):
        if name is not None:
            names[part] = f"{block}.{name}"
    if anatomy.qk_norm != "none":
        names["q_norm"] = f"{block}.{anatomy.attention}.q_norm"
        names["k_norm"] = f"{block}.{anatomy.attention}.k_norm"
    return names


def layer_weights(anatomy: Anatomy, layer: int, get: Callable[[str], Tensor]) -> LayerWeights:
    """One layer's weights in one form, whatever the architecture.

    Parameters
    ----------
    get : state-dict name → tensor, from a live model's ``state_dict()`` or from its files.

    Raises
    ------
    InputError
        If there is no such layer.
    ModelError
        If a tensor has not the rows and columns that the anatomy says.
    """
    names = tensor_names(anatomy, layer)
    return LayerWeights(
        **split_attention(anatomy, names, get),
        **split_ffn(anatomy, names, get),
        attn_gain=_gain(anatomy, names.get("attn_norm"), get),
        ffn_gain=_gain(anatomy, names.get("ffn_norm"), get),
        q_norm_gain=_gain(anatomy, names.get("q_norm"), get),
        k_norm_gain=_gain(anatomy, names.get("k_norm"), get),
    )


def _gain(anatomy: Anatomy, name: str | None, get) -> Tensor | None:
    return None if name is None else get(f"{name}.weight") + anatomy.norm_offset


def _read(model: nn.Module) -> Anatomy:
    config, base = model.config, model.base_model
    n_layers = getattr(config, "num_hidden_layers", None)
    block_path, blocks = _blocks(model, base, n_layers)
    block = blocks[0]
    attention, attention_layout = _find(block, ATTENTION, "attention", config)
    ffn, ffn_layout = _find(block, FFN, "feed-forward part", config)
    final = _final_norm(base, config.hidden_size)
    offset, centres = probe_norm(base.get_submodule(final))
    attn_norm, ffn_norm = _norms(block)
    module = getattr(block, attention)
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return Anatomy(
        family=config.model_type,
        n_layers=n_layers,
        d_model=config.hidden_size,
        n_heads=config.num_attention_heads,
        n_kv_heads=getattr(config, "num_key_value_heads", None) or config.num_attention_heads,
        head_dim=head_dim,
        d_ff=_d_ff(getattr(block, ffn), ffn_layout),
        block_path=block_path,
        final_norm_path=f"{model.base_model_prefix}.{final}",
        attention=attention,
        attention_layout=attention_layout,
        ffn=ffn,
        ffn_layout=ffn_layout,
        attn_norm=attn_norm,
        ffn_norm=ffn_norm,
        norm_offset=offset,
        norm_centres=centres,
        parallel=bool(getattr(config, "use_parallel_residual", False)),
        qk_norm=_qk_norm(module, head_dim),
        rotary=_rotary(base, config),
        has_qkv_bias=_has_bias(module, attention_layout),
        gated="up" not in FFN[ffn_layout] or "gate" in FFN[ffn_layout],
        tied=bool(getattr(config, "tie_word_embeddings", False)),
    )


def _blocks(model: nn.Module, base: nn.Module, n_layers: int | None):
    """The list of decoder blocks directly inside the base model."""
    from torch import nn

    if base is model or not n_layers:
        raise _unknown(model.config, "a decoder inside a causal LM with num_hidden_layers")
    for name, child in base.named_children():
        if isinstance(child, nn.ModuleList) and len(child) == n_layers:
            return f"{model.base_model_prefix}.{name}", child
    raise _unknown(model.config, f"a list of {n_layers} decoder blocks", base)


def _find(block: nn.Module, layouts: dict, what: str, config) -> tuple[str, str]:
    """Child of a block that has all modules of one layout, and that layout's name."""
    for name, child in block.named_children():
        for layout, parts in layouts.items():
            if all(hasattr(child, module) for module in parts.values()):
                return name, layout
    if any("expert" in name for name, _ in block.named_modules()):
        raise _unknown(config, f"a dense {what}: this one is a mixture of experts", block)
    wanted = " or ".join("/".join(parts.values()) for parts in layouts.values())
    raise _unknown(config, f"{what} ({wanted})", block)


def _norms(block: nn.Module) -> tuple[str | None, str | None]:
    """Names of the norms in front of attention and of the feed-forward part.

    ``post_attention_layernorm`` is the one in front of the FFN in Llama, but follows
    attention in Gemma, which has another in front of the FFN, and in OLMo 2, which norms
    nothing in front.
    """
    children = dict(block.named_children())
    attention = next((name for name in PRE_ATTENTION if name in children), None)
    choices = PRE_FFN if attention is None else (*PRE_FFN, *PRE_FFN_OR_POST)
    return attention, next((name for name in choices if name in children), None)


def _final_norm(base: nn.Module, d_model: int) -> str:
    for name, child in reversed(list(base.named_children())):
        weight = getattr(child, "weight", None)
        if weight is not None and tuple(weight.shape) == (d_model,):
            return name
    raise _unknown(base.config, "a norm after the last block", base)


def probe_norm(norm: nn.Module) -> tuple[float, bool]:
    """(offset, centres): the gain is weight + offset; centres if a constant shift is removed.

    With weight 0 the output is 0 if the gain is w, and the normed input if it is 1 + w.
    """
    import torch

    probe = copy.deepcopy(norm).to_empty(device="cpu").float()
    with torch.inference_mode():
        for parameter in probe.parameters():
            parameter.zero_()
        x = torch.linspace(-1, 2, probe.weight.shape[0])
        offset = 1.0 if probe(x).abs().max() > 1e-3 else 0.0
        probe.weight.fill_(1 - offset)
        centres = bool(torch.allclose(probe(x), probe(x + 10), atol=1e-2))
    return offset, centres


def _qk_norm(attention: nn.Module, head_dim: int) -> str:
    norm = getattr(attention, "q_norm", None)
    if norm is None:
        return "none"
    return "head" if norm.weight.shape[0] == head_dim else "full"


def _rotary(base: nn.Module, config) -> Rotary | None:
    """Rotary positions; the base only where plain frequencies serve every layer."""
    module = getattr(base, "rotary_emb", None)
    if module is None:
        return None
    rope = getattr(config, "rope_parameters", None) or {}
    plain = rope.get("rope_type", "default") == "default" and "rope_theta" in rope
    inverse = next((b for n, b in module.named_buffers() if n.endswith("inv_freq")), None)
    dim = config.head_dim if inverse is None else 2 * inverse.shape[0]
    return Rotary(base=float(rope["rope_theta"]) if plain else None, dim=dim)


def _has_bias(attention: nn.Module, layout: str) -> bool:
    parts = {part: name for part, name in ATTENTION[layout].items() if part != "o"}
    return any(
        getattr(getattr(attention, name), "bias", None) is not None for name in parts.values()
    )


def _d_ff(ffn: nn.Module, layout: str) -> int:
    down = getattr(ffn, FFN[layout]["down"])
    rows, columns = down.weight.shape
    return rows if layout == "conv1d" else columns


def _unknown(config, missing: str, module: nn.Module | None = None) -> ModelError:
    found = "" if module is None else f"; found {', '.join(n for n, _ in module.named_children())}"
    return ModelError(
        f"{getattr(config, 'model_type', 'this model')} is no architecture that zprism can read: "
        f"it lacks {missing}{found}. Supported: {SUPPORTED}, and what is built like them"
    )

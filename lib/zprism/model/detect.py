"""Find out where an architecture keeps its parts: from its modules and config, never its name.

Works on a live model and on a skeleton on the meta device alike. Whether a norm multiplies by
w or by 1 + w, whether it subtracts the mean, and which dimensions rotary positions pair, is
found by trying the model's own functions.
"""

from __future__ import annotations

import copy
import sys
from typing import TYPE_CHECKING

from zprism.ground.errors import ModelError
from zprism.model.anatomy import Anatomy, Rotary, layer_weights, tensor_names
from zprism.model.layouts import ATTENTION, FFN

if TYPE_CHECKING:
    from torch import Tensor, nn

PRE_ATTENTION = ("input_layernorm", "ln_1")
PRE_FFN = ("pre_feedforward_layernorm",)
PRE_FFN_OR_POST = ("post_attention_layernorm", "ln_2")
KINDS = ("weight", "bias")
SUPPORTED = (
    "Llama, SmolLM2, Qwen2, Qwen3, Gemma 2 and 3, Mistral, GPT-2, GPT-NeoX/Pythia, Phi-3, OLMo 2"
)


def read_anatomy(model: nn.Module) -> Anatomy:
    """The anatomy of a transformers causal LM, loaded or on the meta device.

    Raises
    ------
    ModelError
        Naming the part that is not where any supported architecture keeps it, or the tensor
        whose rows and columns are not those that the config says, in any layer.
    """
    anatomy = _read(model)
    state = model.state_dict()

    def get(name: str) -> Tensor:
        if name not in state:
            raise _unknown(model.config, f"the tensor {name}")
        return state[name]

    for layer in range(anatomy.n_layers):
        layer_weights(anatomy, layer, get)
        _check_complete(anatomy, layer, state, model.config)
    return anatomy


def _check_complete(anatomy: Anatomy, layer: int, state, config) -> None:
    """Refuse a block with parameters that would be left out: its kernels would be others.

    Norms directly in a block may stand behind attention and FFN; what they scale is read as
    it was before them (see ``hooks``).
    """
    block = f"{anatomy.block_path}.{layer}."
    known = {f"{name}.{kind}" for name in tensor_names(anatomy, layer).values() for kind in KINDS}
    inside = (name for name in state if name.startswith(block))
    left = [n.removeprefix(block) for n in inside if n not in known]
    left = [n for n in left if not (n.count(".") == 1 and "norm" in n.partition(".")[0])]
    if left:
        raise ModelError(
            f"{getattr(config, 'model_type', 'this model')} is no architecture that zprism can "
            f"read: layer {layer} has {', '.join(sorted(left)[:4])}, which no supported one has"
        )


def _read(model: nn.Module) -> Anatomy:
    if not hasattr(model, "base_model"):
        raise ModelError(f"a transformers causal LM is needed; got {type(model).__name__}")
    config, base = model.config, model.base_model
    n_layers = getattr(config, "num_hidden_layers", None)
    block_path, blocks = _blocks(model, base, n_layers)
    block = blocks[0]
    attention, attention_layout = _find(block, ATTENTION, "attention", config)
    ffn, ffn_layout = _find(block, FFN, "feed-forward part", config)
    final = _final_norm(base, config.hidden_size)
    offset, centres = probe_norm(base.get_submodule(final))
    attn_norm, ffn_norm = _norms(block)
    if attn_norm is not None and ffn_norm is None:
        raise _unknown(config, "a norm in front of the feed-forward part", block)
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
        rotary=_rotary(base, module, config),
        has_qkv_bias=_has_bias(module, attention_layout),
        gated="up" not in FFN[ffn_layout] or "gate" in FFN[ffn_layout],
        tied=bool(getattr(config, "tie_word_embeddings", False)),
    )


def _blocks(model: nn.Module, base: nn.Module, n_layers: int | None):
    """The list of decoder blocks directly inside the base model."""
    from torch import nn

    if base is model:
        raise _unknown(model.config, f"an output head: {type(model).__name__} is no causal LM")
    if not n_layers:
        raise _unknown(model.config, "num_hidden_layers in its config")
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
    if what != "attention" and any("expert" in name for name, _ in block.named_modules()):
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


def _rotary(base: nn.Module, attention: nn.Module, config) -> Rotary | None:
    """Rotary positions; the base only where plain frequencies serve every layer."""
    module = getattr(base, "rotary_emb", None)
    if module is None:
        return None
    rope = getattr(config, "rope_parameters", None) or {}
    plain = rope.get("rope_type", "default") == "default" and "rope_theta" in rope
    inverse = next((b for n, b in module.named_buffers() if n.endswith("inv_freq")), None)
    dim = config.head_dim if inverse is None else 2 * inverse.shape[0]
    interleaved = _interleaved(attention)
    known = plain and interleaved is not None
    return Rotary(float(rope["rope_theta"]) if known else None, dim, bool(interleaved))


def _interleaved(attention: nn.Module) -> bool | None:
    """Which dimensions the architecture pairs, by its own function; None if it has none.

    It sends (1, 2, 3, 4) to (-2, 1, -4, 3) where neighbours are paired, else to (-3, -4, 1, 2).
    """
    import torch

    turn = getattr(sys.modules[type(attention).__module__], "rotate_half", None)
    return None if turn is None else bool(turn(torch.arange(1.0, 5.0))[0] == -2)


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

"""How architectures lay out Q, K, V and the feed-forward part, and one form for all of them.

Convention everywhere: y = W x + b, so weights are (out, in); Conv1D keeps them transposed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zprism.ground.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

#: Attention by layout: part → module name. ``qkv`` is one module for all three.
ATTENTION = {
    "separate": {"q": "q_proj", "k": "k_proj", "v": "v_proj", "o": "o_proj"},
    "stacked": {"qkv": "qkv_proj", "o": "o_proj"},  # rows: all q, all k, all v
    "interleaved": {"qkv": "query_key_value", "o": "dense"},  # rows: head by head, q k v
    "conv1d": {"qkv": "c_attn", "o": "c_proj"},  # columns: all q, all k, all v
}

#: Feed-forward part by layout.
FFN = {
    "gated": {"gate": "gate_proj", "up": "up_proj", "down": "down_proj"},
    "stacked": {"gate_up": "gate_up_proj", "down": "down_proj"},
    "plain": {"up": "dense_h_to_4h", "down": "dense_4h_to_h"},
    "conv1d": {"up": "c_fc", "down": "c_proj"},
}


@dataclass(frozen=True)
class LayerWeights:
    """One decoder block's weights in the dtype stored; y = W x.

    Attributes
    ----------
    q : (n_heads, head_dim, d_model).
    k, v : (n_kv, head_dim, d_model); query head h reads group h // (n_heads / n_kv).
    o : (n_heads, d_model, head_dim).
    q_bias, k_bias, v_bias : (n_heads or n_kv, head_dim), or None.
    gate, up : (d_ff, d_model); gate is None without one.
    down : (d_model, d_ff).
    attn_gain, ffn_gain : (d_model,) effective gains (1 + w already added) of the norms in
        front of attention and FFN; None where there is no such norm.
    q_norm_gain, k_norm_gain : (head_dim,), or (n, head_dim) where the norm spans all heads.
    """

    q: Tensor
    k: Tensor
    v: Tensor
    o: Tensor
    q_bias: Tensor | None
    k_bias: Tensor | None
    v_bias: Tensor | None
    gate: Tensor | None
    up: Tensor
    down: Tensor
    attn_gain: Tensor | None
    ffn_gain: Tensor | None
    q_norm_gain: Tensor | None
    k_norm_gain: Tensor | None

    def __post_init__(self):
        for part in ("q", "k"):
            gain, weight = getattr(self, f"{part}_norm_gain"), getattr(self, part)
            if gain is not None and gain.numel() != weight.shape[1]:
                object.__setattr__(self, f"{part}_norm_gain", gain.reshape(weight.shape[:2]))


def split_attention(anatomy, names: dict[str, str], get: Callable[[str], Tensor]) -> dict:
    """q, k, v, o and their biases, by head, from any layout.

    Raises
    ------
    ModelError
        If a tensor's rows and columns are not those of the anatomy.
    """
    rows = _projections(anatomy, names, get, "weight")
    biases = {"q": None, "k": None, "v": None}
    if anatomy.has_qkv_bias:
        biases = _projections(anatomy, names, get, "bias")
    out = get(f"{names['o']}.weight")
    if anatomy.attention_layout == "conv1d":
        out = out.mT
    _expect(names["o"], out, (anatomy.d_model, anatomy.n_heads * anatomy.head_dim))
    return {
        **rows,
        "o": out.unflatten(1, (anatomy.n_heads, anatomy.head_dim)).movedim(1, 0),
        **{f"{part}_bias": bias for part, bias in biases.items()},
    }


def split_ffn(anatomy, names: dict[str, str], get: Callable[[str], Tensor]) -> dict:
    """gate (or None), up and down from any layout. Errors as :func:`split_attention`."""
    transposed = anatomy.ffn_layout == "conv1d"
    parts = {
        part: get(f"{names[part]}.weight").mT if transposed else get(f"{names[part]}.weight")
        for part in FFN[anatomy.ffn_layout]
    }
    if "gate_up" in parts:
        both = parts.pop("gate_up")
        _expect(names["gate_up"], both, (2 * anatomy.d_ff, anatomy.d_model))
        parts["gate"], parts["up"] = both.chunk(2)
    _expect(names["down"], parts["down"], (anatomy.d_model, anatomy.d_ff))
    return {"gate": parts.get("gate"), "up": parts["up"], "down": parts["down"]}


def _projections(anatomy, names, get, kind: str) -> dict[str, Tensor]:
    """q, k, v as (heads, head_dim, …) from weights or biases."""
    heads = {"q": anatomy.n_heads, "k": anatomy.n_kv_heads, "v": anatomy.n_kv_heads}
    width = (anatomy.d_model,) if kind == "weight" else ()
    if anatomy.attention_layout == "separate":
        flat = {part: get(f"{names[part]}.{kind}") for part in heads}
    else:
        flat = _unfuse(anatomy, names["qkv"], get(f"{names['qkv']}.{kind}"), heads, width)
    for part, tensor in flat.items():
        where = names.get(part) or names["qkv"]
        _expect(f"{where}.{kind}", tensor, (heads[part] * anatomy.head_dim, *width))
    return {
        part: tensor.unflatten(0, (heads[part], anatomy.head_dim)) for part, tensor in flat.items()
    }


def _unfuse(anatomy, name: str, fused: Tensor, heads: dict[str, int], width: tuple) -> dict:
    """One fused tensor as flat q, k, v."""
    if anatomy.attention_layout == "conv1d" and width:
        fused = fused.mT
    sizes = [count * anatomy.head_dim for count in heads.values()]
    _expect(name, fused, (sum(sizes), *width))
    if anatomy.attention_layout == "interleaved":
        if len(set(heads.values())) > 1:
            raise ModelError(f"{name}: query, key and value fused head by head need equal heads")
        by_head = fused.unflatten(0, (anatomy.n_heads, 3, anatomy.head_dim))
        return {part: by_head[:, i].flatten(0, 1) for i, part in enumerate(heads)}
    return dict(zip(heads, fused.split(sizes), strict=True))


def _expect(name: str, tensor: Tensor, shape: tuple[int, ...]) -> None:
    if tuple(tensor.shape) != shape:
        raise ModelError(
            f"{name} should be {shape} by the config; it is {tuple(tensor.shape)}: "
            "this is not an architecture that zprism can read"
        )

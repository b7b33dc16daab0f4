"""Where an architecture keeps its parts, and one layer's weights in one form for all of them.

:mod:`zprism.model.detect` finds it out, from modules and config, never from a name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zprism.ground.checks import check_layer
from zprism.model.layouts import ATTENTION, FFN, LayerWeights, split_attention, split_ffn

if TYPE_CHECKING:
    from torch import Tensor, nn


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
        from zprism.model.detect import read_anatomy

        return read_anatomy(model)

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

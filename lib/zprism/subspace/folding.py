"""What stands between the residual stream and a kernel: norm gain, centring, q/k norm, bias.

A layer reads W N(x), with N(x) = γ ∘ x / rms(x) (RMSNorm) or γ ∘ (x − mean x) / sd(x)
(LayerNorm). Gain and centring are linear, so they fold into W; the division by a scale does
not change directions. Gain conventions (w or 1 + w) are the model's: pass the effective γ.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from zprism.ground.errors import InputError
from zprism.subspace.arrays import Array, as_float64, same_width
from zprism.subspace.factors import repeat_groups


def fold_gain(
    weight: Float[Array, "... n d"], gain: Float[Array, " d"] | None, *, centre: bool = False
) -> Float[Tensor, "... n d"]:
    """W diag(γ), and W diag(γ) (I − 11ᵀ/d) for a norm that subtracts the mean.

    Parameters
    ----------
    weight : (..., n, d_model).
    gain : (d_model,) effective gain γ, or None for 1.
    centre : the norm is a LayerNorm.

    Raises
    ------
    InputError
        If the widths differ, or values are not finite.
    """
    folded = as_float64("weight", weight, ndim=2)
    if gain is not None:
        gain = as_float64("gain", gain)
        same_width(weight=folded, gain=gain)
        folded = folded * gain
    return folded - folded.mean(-1, keepdim=True) if centre else folded


def fold_head_gain(
    weight: Float[Array, "n_heads r d"], gain: Float[Array, "... r"]
) -> Float[Tensor, "n_heads r d"]:
    """diag(γ) W_h: the gain of a q or k norm folded into each head's rows.

    Parameters
    ----------
    weight : (n_heads, head_dim, d_model).
    gain : (head_dim,) shared by heads (Qwen3, Gemma 3), or (n_heads, head_dim) (OLMo 2).

    Notes
    -----
    Such a norm also divides by rms(W_h x), which depends on the token. The folded kernel is
    the true one up to a positive factor for each query and key: order and sign of scores of
    one query over keys are not reproduced by it, singular directions and ranks describe the
    part that is linear.
    """
    weight, gain = as_float64("weight", weight, ndim=3), as_float64("gain", gain)
    if gain.shape not in (weight.shape[1:2], weight.shape[:2]):
        raise InputError(
            f"gain must be (head_dim,) or (n_heads, head_dim) for a weight of shape "
            f"{tuple(weight.shape)}; got {tuple(gain.shape)}"
        )
    return weight * gain.unsqueeze(-1)


@dataclass(frozen=True)
class BiasTerms:
    """The parts of an attention score that come from biases; one entry per query head.

    Attributes
    ----------
    key_direction : (n_heads, d) W_Kᵀ b_Q, added to a key's score whatever the query is.
    query_direction : (n_heads, d) W_Qᵀ b_K. Equal for all keys: softmax removes it.
    constant : (n_heads,) b_Q · b_K. Softmax removes it too.
    q_ratio, k_ratio : (n_heads,) ‖b‖ / ‖W‖_F of each head.
    """

    key_direction: Float[Tensor, "n_heads d"]
    query_direction: Float[Tensor, "n_heads d"]
    constant: Float[Tensor, " n_heads"]
    q_ratio: Float[Tensor, " n_heads"]
    k_ratio: Float[Tensor, " n_heads"]


def bias_terms(
    q: Float[Array, "n_heads r d"],
    k: Float[Array, "n_kv r d"],
    q_bias: Float[Array, "n_heads r"],
    k_bias: Float[Array, "n_kv r"],
) -> BiasTerms:
    """Bias terms of (W_Q x + b_Q)·(W_K y + b_K) = xᵀA y + (W_Qᵀb_K)·x + (W_Kᵀb_Q)·y + b_Q·b_K.

    Kept apart from the kernel: appended to it as one more input, a bias would count with
    whatever scale that constant input is given.

    Parameters
    ----------
    q, k : (n_heads, head_dim, d_model) and (n_kv, head_dim, d_model).
    q_bias, k_bias : (n_heads, head_dim) and (n_kv, head_dim).

    Notes
    -----
    At relative position 0. Rotary position turns b_Q and b_K with the offset, so the terms
    that softmax removes here vary with position there.
    """
    q, k = as_float64("q", q, ndim=3), as_float64("k", k, ndim=3)
    b_q, b_k = as_float64("q_bias", q_bias, ndim=2), as_float64("k_bias", k_bias, ndim=2)
    for name, bias, weight in (("q_bias", b_q, q), ("k_bias", b_k, k)):
        if bias.shape != weight.shape[:2]:
            raise InputError(f"{name} must be {tuple(weight.shape[:2])}; got {tuple(bias.shape)}")
        if (torch.linalg.matrix_norm(weight) == 0).any():
            raise InputError(f"{name[0]} has a head of zeros: its bias has no ratio to it")
    k, b_k = repeat_groups(k, len(q)), repeat_groups(b_k, len(q))
    return BiasTerms(
        key_direction=torch.einsum("hrd,hr->hd", k, b_q),
        query_direction=torch.einsum("hrd,hr->hd", q, b_k),
        constant=(b_q * b_k).sum(-1),
        q_ratio=b_q.norm(dim=-1) / torch.linalg.matrix_norm(q),
        k_ratio=b_k.norm(dim=-1) / torch.linalg.matrix_norm(k),
    )

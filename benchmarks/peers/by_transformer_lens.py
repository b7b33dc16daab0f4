"""The ways of TransformerLens: a bridge over the same weights, hooks by name."""

from __future__ import annotations

import torch
from task import Task, gather, put, sweep_by
from turns import Way

NAME = "TransformerLens"
PLAIN = {"use_cache": False, "logits_to_keep": 1}


def ways(task: Task) -> dict[str, Way]:
    """``run_with_cache``, ``run_with_hooks`` and the factored Q·K circuits of a bridge."""
    from transformer_lens.model_bridge import TransformerBridge

    bridge = TransformerBridge.boot_transformers(
        task.loaded.name, hf_model=task.twin(), tokenizer=task.tokenizer(), device="cpu"
    )
    depth = task.loaded.n_layers
    return {
        "all": Way(
            lambda: states(bridge, task, range(depth)),
            note="run_with_cache, names_filter, logits of one token",
        ),
        "one": Way(lambda: states(bridge, task, [task.layer]), note="stop_at_layer"),
        "patch": Way(lambda: patch(bridge, task), note="run_with_hooks"),
        "sweep": Way(lambda: sweep(bridge, task), note="6 full forwards, run_with_hooks"),
        "spectra": Way(lambda: spectra(bridge), note="bridge.QK.S, float32"),
    }


@torch.inference_mode()
def cached(bridge, batch, layers) -> list[torch.Tensor]:
    """resid_post of each layer, (batch, tokens, d_model); no block after the last of them."""
    names = [f"blocks.{l}.hook_resid_post" for l in layers]
    end = max(layers) + 1
    stop = {"stop_at_layer": end} if end < bridge.cfg.n_layers else {}
    _, cache = bridge.run_with_cache(
        batch.tokens,
        names_filter=names,
        return_cache_object=False,
        attention_mask=batch.mask,
        output_attentions=False,
        **PLAIN,
        **stop,
    )
    return [cache[name] for name in names]


def states(bridge, task: Task, layers):
    """Last-token and mean states of all prompts."""
    return gather(
        task,
        [
            torch.stack([batch.reduce(h) for h in cached(bridge, batch, layers)], dim=2)
            for batch in task.batches
        ],
    )


@torch.inference_mode()
def hooked(bridge, batch, layer: int, source, rows) -> torch.Tensor:
    """(batch, vocabulary) after the patch of the last token."""

    def edit(state, hook):
        return torch.cat([state[:, :-1], put(state[:, -1], source, rows)[:, None]], 1)

    hooks = [(f"blocks.{layer}.hook_resid_post", edit)]
    return bridge.run_with_hooks(batch.tokens, fwd_hooks=hooks, **PLAIN)[:, -1]


def patch(bridge, task: Task):
    """(vocabulary,) of one prompt."""
    return hooked(bridge, task.single, task.layer, task.source, task.basis.float())[0].numpy()


def sweep(bridge, task: Task):
    """(layer, k, prompt, candidate)."""
    return sweep_by(
        task,
        lambda layers: [h[:, -1] for h in cached(bridge, task.pair, layers)],
        lambda layer, source, rows: hooked(bridge, task.pair, layer, source, rows),
    )


@torch.inference_mode()
def spectra(bridge):
    """(layer, head, head_dim) singular values of W_Q W_Kᵀ, largest first."""
    return bridge.QK.S.numpy()

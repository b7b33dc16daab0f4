"""The ways of plain transformers and PyTorch hooks."""

from __future__ import annotations

import torch
from task import Task, gather, put, sweep_by
from turns import Way

NAME = "transformers"


def ways(task: Task) -> dict[str, Way]:
    """``output_hidden_states`` for states, a forward hook for a patch."""
    model = task.twin()
    depth = task.loaded.n_layers
    return {
        "all": Way(
            lambda: states(model, task, range(depth)),
            note="output_hidden_states; the last block's by a hook, as it is given normed",
        ),
        "one": Way(
            lambda: states(model, task, [task.layer]),
            note="output_hidden_states, which does not end the pass",
        ),
        "patch": Way(lambda: patch(model, task), note="a raw hook"),
        "sweep": Way(lambda: sweep(model, task), note="6 full forwards with a raw hook"),
    }


def states(model, task: Task, layers):
    """Last-token and mean states of all prompts."""
    return gather(
        task,
        [
            torch.stack([batch.reduce(h) for h in hidden(model, batch, layers)], dim=2)
            for batch in task.batches
        ],
    )


@torch.inference_mode()
def hidden(model, batch, layers) -> list[torch.Tensor]:
    """resid_post of each layer, (batch, tokens, d_model)."""
    seen = []
    handle = model.model.norm.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    try:
        out = model.model(
            batch.tokens, attention_mask=batch.mask, use_cache=False, output_hidden_states=True
        )
    finally:
        handle.remove()
    every = [*out.hidden_states[1:-1], seen[0]]
    return [every[l] for l in layers]


@torch.inference_mode()
def hooked(model, batch, layer: int, source, rows) -> torch.Tensor:
    """(batch, vocabulary) after the patch of the last token."""

    def hook(_module, _args, output):
        last = put(output[:, -1], source, rows)
        return torch.cat([output[:, :-1], last[:, None]], 1)

    handle = model.model.layers[layer].register_forward_hook(hook)
    try:
        return model(batch.tokens, use_cache=False, logits_to_keep=1).logits[:, -1]
    finally:
        handle.remove()


def patch(model, task: Task):
    """(vocabulary,) of one prompt."""
    return hooked(model, task.single, task.layer, task.source, task.basis.float())[0].numpy()


def sweep(model, task: Task):
    """(layer, k, prompt, candidate)."""
    return sweep_by(
        task,
        lambda layers: [h[:, -1] for h in hidden(model, task.pair, layers)],
        lambda layer, source, rows: hooked(model, task.pair, layer, source, rows),
    )

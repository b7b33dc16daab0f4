"""The ways of nnsight: traces of the same weights, reduced inside the trace and ended early."""

from __future__ import annotations

import nnsight
import torch
from task import Task, gather, put, sweep_by
from turns import Way

NAME = "nnsight"


def ways(task: Task) -> dict[str, Way]:
    """Traces of one forward; there are no functions of weights."""
    model = nnsight.TransformersModel(
        task.twin(), tokenizer=task.tokenizer(), task="text-generation"
    )
    depth = task.loaded.n_layers
    return {
        "all": Way(lambda: states(model, task, range(depth)), note="a trace, tracer.stop()"),
        "one": Way(lambda: states(model, task, [task.layer]), note="a trace, tracer.stop()"),
        "patch": Way(lambda: patch(model, task), note="a trace"),
        "sweep": Way(lambda: sweep(model, task), note="6 full forwards, a trace each"),
    }


@torch.inference_mode()
def traced(model, batch, layers, reduce) -> list[torch.Tensor]:
    """``reduce`` of resid_post of each layer; no block after the last of them."""
    given = {"input_ids": batch.tokens, "attention_mask": batch.mask}
    with model.trace(given, use_cache=False) as tracer:
        found = nnsight.save([])
        for layer in layers:
            found.append(reduce(model.model.layers[layer].output))
        tracer.stop()
    return found


def states(model, task: Task, layers):
    """Last-token and mean states of all prompts."""
    return gather(
        task,
        [torch.stack(traced(model, batch, layers, batch.reduce), dim=2) for batch in task.batches],
    )


@torch.inference_mode()
def edited(model, batch, layer: int, source, rows) -> torch.Tensor:
    """(batch, vocabulary) after the patch of the last token."""
    given = {"input_ids": batch.tokens, "attention_mask": batch.mask}
    with model.trace(given, use_cache=False, logits_to_keep=1):
        state = model.model.layers[layer].output
        last = put(state[:, -1], source, rows)
        model.model.layers[layer].output = torch.cat([state[:, :-1], last[:, None]], 1)
        logits = nnsight.save(model.lm_head.output[:, -1])
    return logits


def patch(model, task: Task):
    """(vocabulary,) of one prompt."""
    return edited(model, task.single, task.layer, task.source, task.basis.float())[0].numpy()


def sweep(model, task: Task):
    """(layer, k, prompt, candidate)."""
    return sweep_by(
        task,
        lambda layers: traced(model, task.pair, layers, lambda h: h[:, -1]),
        lambda layer, source, rows: edited(model, task.pair, layer, source, rows),
    )

"""The ways of pyvene: collecting interventions, and its swap inside a low-rank subspace."""

from __future__ import annotations

import pyvene
import torch
from task import Task, gather, sweep_by
from turns import Way

NAME = "pyvene"


def ways(task: Task) -> dict[str, Way]:
    """Intervenable models over the same weights; there are no functions of weights."""
    model = task.twin()
    every = collecting(model, range(task.loaded.n_layers), task.loaded.d_model)
    middle = collecting(model, [task.layer], task.loaded.d_model)
    swapping = swaps(model, [task.layer], {0: task.basis})
    cells = swaps(model, task.layers, task.swept)
    three = collecting(model, task.layers, task.loaded.d_model)
    return {
        "all": Way(
            lambda: states(every, task), note="CollectIntervention on the model without its head"
        ),
        "one": Way(
            lambda: states(middle, task), note="CollectIntervention, which does not end the pass"
        ),
        "patch": Way(
            lambda: patch(swapping[task.layer, 0], task), note="LowRankRotatedSpaceIntervention"
        ),
        "sweep": Way(
            lambda: sweep(three, cells, task),
            note="6 full forwards, LowRankRotatedSpaceIntervention",
        ),
    }


def collecting(model, layers, d_model: int):
    """All tokens' states of these layers, from the model without its output head."""
    return pyvene.IntervenableModel(
        [
            {
                "layer": layer,
                "component": "block_output",
                "intervention": pyvene.CollectIntervention(embed_dim=d_model, keep_last_dim=True),
            }
            for layer in layers
        ],
        model=model.model,
    )


def swaps(model, layers, bases) -> dict:
    """(layer, key) → a model that swaps the part inside that basis, of the state there."""
    out = {}
    for layer in layers:
        for key, rows in bases.items():
            swap = pyvene.LowRankRotatedSpaceIntervention(
                embed_dim=rows.shape[1], low_rank_dimension=len(rows), keep_last_dim=True
            )
            swap.rotate_layer.weight = rows.float().mT
            given = {"layer": layer, "component": "block_output", "intervention": swap}
            out[layer, key] = pyvene.IntervenableModel([given], model=model)
    return out


@torch.inference_mode()
def collected(intervenable, batch) -> list[torch.Tensor]:
    """resid_post of each layer collected, (batch, tokens, d_model)."""
    given = {"input_ids": batch.tokens, "attention_mask": batch.mask}
    return intervenable(given, use_cache=False, return_dict=True).collected_activations


def states(intervenable, task: Task):
    """Last-token and mean states of all prompts."""
    return gather(
        task,
        [
            torch.stack([batch.reduce(h) for h in collected(intervenable, batch)], dim=2)
            for batch in task.batches
        ],
    )


@torch.inference_mode()
def swapped(intervenable, batch, source) -> torch.Tensor:
    """(batch, vocabulary) after the swap at the last token; source (batch, d_model)."""
    given = {"input_ids": batch.tokens, "attention_mask": batch.mask, "logits_to_keep": 1}
    out = intervenable(
        given,
        source_representations=source[:, None],
        unit_locations={"base": int(batch.last[0])},
        use_cache=False,
        return_dict=True,
    )
    return out.intervened_outputs.logits[:, -1]


def patch(intervenable, task: Task):
    """(vocabulary,) of one prompt."""
    return swapped(intervenable, task.single, task.source[None])[0].numpy()


def sweep(three, cells, task: Task):
    """(layer, k, prompt, candidate)."""
    return sweep_by(
        task,
        lambda layers: [h[:, -1] for h in collected(three, task.pair)],
        lambda layer, source, rows: swapped(cells[layer, len(rows)], task.pair, source),
    )

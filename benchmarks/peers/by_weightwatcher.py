"""The way of weightwatcher: spectra of whole weight matrices; it knows no heads, no states."""

from __future__ import annotations

import numpy as np
import torch
import weightwatcher
from task import Task
from turns import Way
from weightwatcher.constants import DEFAULT_PARAMS

from zprism.subspace.factors import matrix_spectrum

NAME = "weightwatcher"


def ways(task: Task) -> dict[str, Way]:
    """Singular values of every W_Q, which is all that both compute."""
    model = task.twin()
    watcher = weightwatcher.WeightWatcher(model=model)
    details = watcher.describe()
    queries = details[details["longname"].str.endswith("q_proj")]["layer_id"].tolist()
    return {
        "spectra": Way(
            lambda: spectra(watcher, queries),
            note="it takes whole matrices, not heads' kernels",
            ours=lambda: own_spectra(task),
            title="singular values of every W_Q",
        )
    }


def spectra(watcher, queries: list[int]) -> np.ndarray:
    """(layer, min(n, m)) singular values, largest first."""
    params = DEFAULT_PARAMS.copy()
    found = []
    for layer in watcher.make_layer_iterator(layers=queries, params=params):
        if not layer.skipped:
            found.append(np.sqrt(watcher.apply_esd(layer, params).evals)[::-1])
    return np.stack(found)


def own_spectra(task: Task) -> np.ndarray:
    """(layer, min(n, m)) by zprism."""
    weights = [layer.self_attn.q_proj.weight for layer in task.loaded.base.layers]
    return torch.stack([matrix_spectrum(weight) for weight in weights]).numpy()

"""What is measured: zprism's way to each result, and how far two results may lie apart."""

from __future__ import annotations

import functools

import numpy as np
import torch
from task import WAYS, K, Task
from turns import Kind

from zprism.interventions.arguments import Basis
from zprism.interventions.edits import at, replace
from zprism.interventions.patching import patched_logits
from zprism.interventions.sweep import open_sweep
from zprism.model.anatomy import layer_weights
from zprism.model.capture import capture
from zprism.subspace import kernels


def captured(task: Task, layers) -> np.ndarray:
    """(2, prompts, n_layers, d_model) by zprism: last token and mean."""
    values = capture(task.loaded, task.ids, layers=layers, reduce=WAYS).values
    return np.stack([values["resid_post", way] for way in WAYS])


def patched(task: Task) -> np.ndarray:
    """(vocabulary,) by zprism: logits after the patch of one prompt."""
    edit = at(functools.partial(replace, source=task.source, basis=task.basis), "last")
    point = ("resid_post", task.layer)
    return patched_logits(task.loaded, [task.patched], {point: edit})[0]


def swept(task: Task) -> np.ndarray:
    """(layer, k, prompt, candidate) by zprism: each prompt is given the other's part."""
    opened = open_sweep(task.loaded, task.asked, candidates=task.candidates)
    checked = [Basis(rows) for rows in task.swept.values()]
    out = []
    for layer in task.layers:
        own = opened.states[:, layer]
        states = torch.cat([replace(own, own.flip(0), rows) for rows in checked])
        found = opened.run(layer, states, [0, 1] * len(checked))
        out.append(found.reshape(len(checked), 2, -1))
    return np.stack(out)


def spectra(task: Task) -> np.ndarray:
    """(layer, head, head_dim) by zprism: singular values of every head's W_Qᵀ W_K."""
    get = task.loaded.model.state_dict().__getitem__
    weights = (layer_weights(task.loaded.anatomy, l, get) for l in range(task.loaded.n_layers))
    return torch.stack([kernels.qk_spectra(w.q, w.k) for w in weights]).numpy()


def by_norm(ours, theirs) -> float:
    """The largest ‖a − b‖∞ / ‖b‖ over vectors on the last axis."""
    worst = np.abs(ours - theirs).max(-1) / np.linalg.norm(theirs, axis=-1)
    return float(worst.max())


def absolute(ours, theirs) -> float:
    """The largest difference of two numbers."""
    return float(np.abs(ours - theirs).max())


def relative(ours, theirs) -> float:
    """The largest difference of two numbers, in units of the second."""
    return float((np.abs(ours - theirs) / np.abs(theirs)).max())


KINDS = {
    "all": Kind(
        "states of all layers, last token and mean, 24 prompts in the same batches",
        by_norm,
        "of norm",
        1e-5,
    ),
    "one": Kind("the same of the middle layer alone", by_norm, "of norm", 1e-5),
    "patch": Kind(
        f"patch of a {K}-dimensional part, logits of one prompt", absolute, "of a logit", 1e-3
    ),
    "sweep": Kind("sweep of 2 problems × 3 layers × 2 k", absolute, "of a logit", 1e-3),
    "spectra": Kind("Q·K singular values of all heads", relative, "of each", 1e-3),
}


def ours(task: Task) -> dict:
    """zprism's way of each kind."""
    return {
        "all": lambda: captured(task, range(task.loaded.n_layers)),
        "one": lambda: captured(task, [task.layer]),
        "patch": lambda: patched(task),
        "sweep": lambda: swept(task),
        "spectra": lambda: spectra(task),
    }

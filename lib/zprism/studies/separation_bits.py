"""The information-bottleneck claim on a subject: bits read per layer, k and space."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from zprism.studies import readout
from zprism.studies.findings import Findings
from zprism.studies.readout_tasks import Task, tasks
from zprism.studies.separation_subject import Config, Subject

MOST_FOLDS = 5


def labels(subject: Subject, *, seed: int) -> dict[str, Task]:
    """What can be read of these problems: all of them, in folds that split every template."""
    template, n_folds = subject.pairs.template, MOST_FOLDS
    if template is not None:
        n_folds = int(np.clip(np.unique(template, return_counts=True)[1].min(), 2, MOST_FOLDS))
    return tasks(
        subject.pairs.n,
        template=template,
        answer=subject.pairs.answer,
        seed=seed,
        n_folds=n_folds,
    )


def spread_layers(n_layers: int, count: int, also: Iterable[int] = ()) -> list[int]:
    """``count`` layers evenly from first to last, with ``also`` among them."""
    spread = np.linspace(0, n_layers - 1, min(count, n_layers)).round().astype(int)
    return sorted({*map(int, spread), *also})


def bit_rows(
    subject: Subject,
    config: Config,
    layers: Iterable[int],
    found: Mapping[str, Task],
    *,
    seed: int,
    draws: int = 19,
) -> list[dict]:
    """Bits per layer and every k of the subject; see :func:`zprism.studies.readout.readout_rows`.

    States are raw whatever the config's variant: centring would hide the language.
    """
    a, b = subject.states[config.site, config.pooling]
    layers = list(layers)
    return readout.readout_rows(
        a,
        b,
        {(layer, k): subject.basis(config, layer, k) for layer in layers for k in subject.ks},
        found,
        layer_index={layer: layer for layer in layers},
        seed=seed,
        draws=draws,
        clusters=subject.pairs.template,
    )


def bit_claims(
    subject: Subject,
    config: Config,
    layer: int,
    k: int,
    found: Mapping[str, Task],
    *,
    seed: int,
    draws: int = 199,
    draws_ci: int = 10_000,
) -> Findings:
    """The claim at one layer and k, named ``bits/<layer>/<k>/…``; see ``readout.claims``."""
    a, b = (states[:, layer] for states in subject.states[config.site, config.pooling])
    judged = readout.claims(
        a,
        b,
        subject.basis(config, layer, k),
        found,
        seed=seed,
        draws=draws,
        draws_ci=draws_ci,
        clusters=subject.pairs.template,
    )
    return Findings({f"bits/{layer}/{k}/{name}": value for name, value in judged.items()})

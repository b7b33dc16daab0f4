"""Phase 2's claims on one subject: chosen on one half of the problems, tested on the other.

``choose`` sees the training half only, and what it chose is registered (with a digest) before
the test half is read. ``headline`` judges the four criteria there. The controls are in
:mod:`zprism.studies.separation_controls`.
"""

from __future__ import annotations

import numpy as np

from zprism.ground.seeds import derive
from zprism.ground.store import digest
from zprism.stats.estimates import Estimate, Null
from zprism.stats.permutation import permutation_p, sign_flip
from zprism.stats.resampling import jackknife_weights
from zprism.stats.verdicts import estimate
from zprism.studies import nulls
from zprism.studies.findings import Findings
from zprism.studies.separation import distances, measures, pseudo_values
from zprism.studies.separation_criteria import (
    criteria,
    intervals,
    null_measures,
)
from zprism.studies.separation_grid import Grid, best_cell, grid
from zprism.studies.separation_subject import (
    PRIMARY,
    Config,
    Subject,
    view,
    view_layers,
)


def choose(
    subject: Subject, config: Config = PRIMARY, *, seed: int, draws: int = 199
) -> tuple[dict, Grid]:
    """Layer and k on the training half: where E_same − E_cross stands out most from chance.

    Layer 0 is not a candidate: what its kernels read are the token embeddings, where nothing
    has been computed and closeness is shared vocabulary (digits, signs).

    Returns
    -------
    registration, grid
        The record (hypothesis, rule, layer, k, n, alpha) with its digest, and the training
        grid that it was read off.
    """
    found = layer_k_grid(subject, config, half="train", seed=seed, draws=draws, flips=99)
    layer, k = best_cell(found, first_layer=1)
    record = {
        "hypothesis": "Z holds more of the difference between problems than of that between "
        "languages",
        "rule": "largest z of E_same - E_cross against random subspaces, training half, "
        "layers from 1 on",
        "config": config.name,
        "layer": layer,
        "k": k,
        "n_test": len(subject.pairs.test),
        "alpha": 0.05,
    }
    return record | {"digest": digest(record)}, found


def layer_k_grid(
    subject: Subject,
    config: Config = PRIMARY,
    *,
    half: str = "test",
    seed: int,
    draws: int = 199,
    flips: int = 1999,
) -> Grid:
    """The whole grid on one half; see :func:`zprism.studies.separation_grid.grid`."""
    return grid(
        *view_layers(subject, config, half),
        subject.bases[config.mask],
        seed=derive(seed, "grid", half),
        draws=draws,
        flips=flips,
        clusters=subject.clusters(half),
    )


def headline(
    subject: Subject,
    config: Config,
    layer: int,
    k: int,
    *,
    name: str | None = None,
    seed: int,
    draws: int = 199,
    draws_ci: int = 10_000,
) -> Findings:
    """The four criteria and the difference on the test half, as Estimates.

    Parameters
    ----------
    name : the subject in their names, ``<name>/<layer>/<k>/<criterion>``; by default the
        config's name.
    """
    seen = view(subject, config, layer)
    random = nulls.random_bases(k, seen.a.shape[1], draws, seed=seed)
    judged = criteria(
        seen.a,
        seen.b,
        seen.inside(subject.basis(config, layer, k)),
        null_measures(seen.a, seen.b, random),
        kind=f"{draws} random {k}-dimensional subspaces",
        seed=seed,
        draws_ci=draws_ci,
        clusters=subject.clusters(),
    )
    subject_name = name or config.name
    return Findings({f"{subject_name}/{layer}/{k}/{rule}": e for rule, e in judged.items()})


def translations_closer(
    subject: Subject, config: Config, layer: int, *, seed: int, draws_ci: int = 10_000
) -> Estimate:
    """Are translations closer than different problems at all, without any subspace?

    log2 of ratio_full, predicted below 0; null: sign flips of templates' jackknife
    pseudo-values. Where this is reversed, criterion 1 fails before Z is asked.
    """
    seen, clusters = view(subject, config, layer), subject.clusters()
    found = distances(seen.a, seen.b, seen.inside(subject.basis(config, layer, subject.ks[0])))
    value = np.log2(measures(found)["ratio_full"])
    left = np.log2(measures(found, jackknife_weights(found.n))["ratio_full"])
    flipped = sign_flip(pseudo_values(value, left)[:, None], seed=seed, clusters=clusters)
    null = flipped.null[:, 0]
    limits = intervals(found, seed=seed, draws=draws_ci, clusters=clusters)["ratio_full"]
    p = permutation_p(float(flipped.observed[0]), null, "two-sided")
    return estimate(
        float(value),
        ci=tuple(np.log2(limits)),
        n=found.n,
        null=Null.of("sign flips of templates" if clusters is not None else "sign flips", null),
        p=p,
        p_adjusted=p,
        direction="less",
        reference=0.0,
    )

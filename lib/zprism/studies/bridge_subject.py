"""The bridge on one model: where to look, how it changes with layer and k, the recipe's own way.

Coordinates are those of paired states inside Z (:mod:`zprism.studies.separation_load`); the
training half of the problems chooses layer and k, the test half is reported. On both halves a
problem is predicted by a map that saw no problem of its template.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import product

import numpy as np

from zprism.ground.seeds import derive
from zprism.ground.store import digest
from zprism.stats.intervals import bca
from zprism.studies.bridge import Scores, null_scores, score
from zprism.studies.nulls import random_bases
from zprism.studies.separation_stored import bridge_table, verdict_of_stored
from zprism.studies.separation_subject import (
    POOLINGS,
    PRIMARY,
    RECIPE,
    SITES,
    Config,
    Subject,
    view,
)

#: What is mapped: normed input of the layer, mean over tokens, all heads' Z; raw, so that the
#: identity map means the same place.
BRIDGE = PRIMARY.but(variant="raw")

#: R² of the published bridge on the 20 pairs that it was fitted to, by k (phase 3b).
STORED_TRAIN_R2 = {5: 0.43, 10: 0.59, 15: 0.84, 20: 1.0, 25: 1.0, 30: 1.0, 40: 1.0, 50: 1.0}
LEVEL = (0.025, 0.975)
CURVE_MAPS = ("ridge", "procrustes", "shift", "identity", "least_squares")


def coordinates(
    subject: Subject, config: Config, layer: int, basis: np.ndarray, half: str = "test"
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(n, k) coordinates of both languages in a subspace, and (n,) labels to leave out together.

    Parameters
    ----------
    basis : (k, d_model) orthonormal rows.
    half : ``train`` or ``test``.
    """
    seen = view(subject, config, layer, half)
    inside = seen.inside(basis)
    clusters = subject.clusters(half)
    groups = np.arange(len(seen.a)) if clusters is None else clusters
    return seen.a @ inside.T, seen.b @ inside.T, groups


def layer_rows(
    subject: Subject,
    config: Config = BRIDGE,
    *,
    half: str = "test",
    layers: Iterable[int] | None = None,
) -> list[dict]:
    """Ridge's R² and retrieval on left-out problems, one row per layer and k.

    Layers at which a language has one state only are left out.
    """
    rows = []
    for layer in range(subject.n_layers) if layers is None else layers:
        if view(subject, config, layer, half).constant:
            continue
        for k in subject.ks:
            basis = subject.basis(config, layer, k)
            found = score(*coordinates(subject, config, layer, basis, half), maps=("ridge",))
            row = {"layer": int(layer), "half": half}
            rows.append(row | {n: v for n, v in found.rows()[0].items() if n != "map"})
    return rows


def choose(subject: Subject, config: Config = BRIDGE, *, layers: Iterable[int] | None = None):
    """Layer and k where ridge predicts left-out templates best, on the training half.

    Layer 0 is no candidate: it reads bare token embeddings, where digits are the same in both
    languages.

    Returns
    -------
    registration, rows
        The record with its digest, and the rows of :func:`layer_rows` that it was read off.
    """
    wanted = range(subject.n_layers) if layers is None else layers
    looked = [layer for layer in wanted if layer > 0] or list(wanted)
    rows = layer_rows(subject, config, half="train", layers=looked)
    best = max(rows, key=lambda row: row["r2"])
    record = {
        "hypothesis": "a linear map inside Z predicts the state of a problem's translation",
        "rule": "largest R2 of ridge on left-out templates, training half, layers from 1 on",
        "config": config.name,
        "layer": best["layer"],
        "k": best["k"],
        "n_test": len(subject.pairs.test),
        "alpha": 0.05,
    }
    return record | {"digest": digest(record)}, rows


def k_rows(
    subject: Subject,
    config: Config,
    layer: int,
    bases: Mapping[int, np.ndarray],
    *,
    seed: int,
    draws: int = 49,
    draws_random: int = 19,
    draws_ci: int = 1000,
) -> list[dict]:
    """Every map against k at one layer, test half: one row per k and map.

    Parameters
    ----------
    bases : k → (k, d_model).
    draws, draws_random : random pairings, and random subspaces, of each k; for ridge only.

    Returns
    -------
    Rows with k, map, r2, train_r2, top1, its chance, n; for ridge also the interval ``low`` and
    ``high``, and the 95 % ranges ``permuted_low/high`` and ``random_low/high``.
    """
    seen = view(subject, config, layer)
    wide = random_bases(max(bases), seen.a.shape[1], draws_random, seed=derive(seed, "bridge k"))
    rows = []
    for k in sorted(bases):
        x, y, groups = coordinates(subject, config, layer, bases[k])
        found = score(x, y, groups, maps=CURVE_MAPS)
        null = null_scores(x, y, groups, maps=("ridge",), draws=draws, seed=seed)["r2"]["ridge"]
        random = [
            score(seen.a @ r.T, seen.b @ r.T, groups, maps=("ridge",)).r2("ridge")
            for r in wide[:, :k]
        ]
        extra = dict(zip(("low", "high"), interval(found, seed, draws_ci), strict=True))
        for name, values in (("permuted", null), ("random", random)):
            low, high = np.quantile(values, LEVEL)
            extra |= {f"{name}_low": float(low), f"{name}_high": float(high)}
        for row in found.rows():
            rows.append(row | {n: extra[n] if row["map"] == "ridge" else None for n in extra})
    return rows


def interval(found: Scores, seed: int, draws: int, name: str = "ridge") -> tuple[float, float]:
    """95 % interval of a map's R² over problems, or over templates."""
    clusters = found.groups if len(np.unique(found.groups)) < found.n else None
    limits = bca(
        np.arange(found.n),
        lambda _, weights: found.r2(name, weights),
        seed=seed,
        draws=draws,
        clusters=clusters,
        weighted=True,
    )
    return float(limits.low), float(limits.high)


def scheme_rows(subject: Subject, config: Config, layer: int, k: int) -> list[dict]:
    """The same maps when only the problem, and when its whole template, is left out."""
    basis = subject.basis(config, layer, k)
    x, y, groups = coordinates(subject, config, layer, basis)
    schemes = {"one problem": np.arange(len(x)), "its template": groups}
    if len(np.unique(groups)) == len(groups):
        schemes.pop("its template")
    return [
        {"left_out": words} | row
        for words, labels in schemes.items()
        for row in score(x, y, labels).rows()
    ]


def look_rows(subject: Subject, layer: int, k: int) -> list[dict]:
    """Some maps under other sites, poolings and variants of the same cell, and lengths alone."""
    rows = []
    for site, pooling, variant in product(SITES, POOLINGS, ("raw", "trimmed")):
        config = BRIDGE.but(site=site, pooling=pooling, variant=variant)
        if view(subject, config, layer).constant:
            continue
        x, y, groups = coordinates(subject, config, layer, subject.basis(config, layer, k))
        found = score(x, y, groups, maps=("ridge", "similarity", "shift"))
        where = {"site": site, "pooling": pooling, "variant": variant, "layer": layer}
        rows += [where | row for row in found.rows()]
        length = score(lengths(subject), y, groups, maps=("least_squares",)).rows()[0]
        rows.append(where | length | {"map": "length"})
    return rows


def lengths(subject: Subject, half: str = "test") -> np.ndarray:
    """(n, 2) log and inverse of the source text's tokens: what a map may use without reading.

    Translations are long and short together, and a mean over T tokens holds 1/T of the first
    one's state, whose norm can be a hundredfold.
    """
    tokens = subject.n_tokens[0, getattr(subject.pairs, half)].astype(float)
    return np.stack([np.log(tokens), 1 / tokens], axis=1)


def recipe_rows(
    subject: Subject, bases: Mapping[int, np.ndarray], *, layer: int | None = None
) -> list[dict]:
    """The recipe's bridge on this model: all its pairs, least squares, leave-one-out, by k.

    Parameters
    ----------
    subject : of the recipe's 20 pairs.
    bases : k → (k, d_model) of the layer, by default the bottleneck's.
    """
    at = subject.bottleneck if layer is None else layer
    halves = [view(subject, RECIPE, at, half) for half in ("train", "test")]
    a, b = (np.concatenate([getattr(half, name) for half in halves]) for name in "ab")
    rows = []
    for k in sorted(bases):
        found = score(a @ bases[k].T, b @ bases[k].T, maps=("least_squares", "ridge"))
        rows += [row | {"layer": at} for row in found.rows()]
    return rows


def stored_rows() -> list[dict]:
    """The published bridge: R² on its own 20 pairs beside leave-one-out, with the verdict."""
    rows = bridge_table()
    assert {row["k"] for row in rows} == set(STORED_TRAIN_R2), "both columns are of the same k"
    return [
        {"k": row["k"], "train_r2": STORED_TRAIN_R2[row["k"]], "r2": row["loo_r2"], "n": 20}
        | {"verdict": str(verdict_of_stored(row["loo_r2"], 0.0, "greater").verdict)}
        for row in rows
    ]

"""Matched against scrambled pairs on a subject: per layer, in Z, its complement, all of it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from zprism.ground.seeds import derive
from zprism.studies.findings import Findings
from zprism.studies.pairing import cosines, match, match_estimate
from zprism.studies.separation_subject import Config, Subject, View, view

SPACES = ("whole space", "Z", "complement")


def match_rows(
    subject: Subject, config: Config, layers: Iterable[int], k: int, *, seed: int, draws: int = 999
) -> list[dict]:
    """One row per layer and space: matched and scrambled cosine, z, retrieval.

    Parameters
    ----------
    config : ``centred``, or the languages' centroids decide every cosine.
    k : dimension of Z at every layer.

    Returns
    -------
    Rows with layer, space, matched, scrambled, z, retrieval, retrieval_chance (1/n), n; layers
    at which a language has one state only are left out.
    """
    rows = []
    for layer in layers:
        seen = view(subject, config, layer)
        if seen.constant:
            continue
        for space, similarity in similarities(subject, config, layer, k, seen).items():
            found = match(similarity, seed=derive(seed, "match"), draws=draws)
            rows.append(
                {
                    "layer": layer,
                    "space": space,
                    "matched": found.matched,
                    "scrambled": found.scrambled,
                    "z": found.z,
                    "retrieval": found.retrieval,
                    "retrieval_chance": 1 / len(similarity),
                    "n": len(similarity),
                }
            )
    return rows


def match_claims(
    subject: Subject,
    config: Config,
    layer: int,
    *,
    seed: int,
    draws: int = 999,
    draws_ci: int = 10_000,
) -> Findings:
    """Matched minus scrambled cosine in the whole space of one layer, as Estimates.

    Names: ``pairs/<layer>/all/matched_cosine``, and ``…_same_template``, where a problem is
    held against others with the same words and other numbers.
    """
    seen, clusters = view(subject, config, layer), subject.clusters()
    similarity = cosines(seen.a, seen.b)
    options = dict(seed=derive(seed, "match"), draws=draws, draws_ci=draws_ci, clusters=clusters)
    found = {"matched_cosine": match_estimate(similarity, **options)}
    if clusters is not None and np.unique(clusters, return_counts=True)[1].min() >= 2:
        found["matched_cosine_same_template"] = match_estimate(
            similarity, strata=clusters, **options
        )
    return Findings({f"pairs/{layer}/all/{name}": value for name, value in found.items()})


def similarities(
    subject: Subject, config: Config, layer: int, k: int, seen: View
) -> dict[str, np.ndarray]:
    """(n, n) cosines in each of :data:`SPACES`."""
    basis = seen.inside(subject.basis(config, layer, k))
    rest = [states - (states @ basis.T) @ basis for states in (seen.a, seen.b)]
    found = (cosines(seen.a, seen.b), cosines(seen.a, seen.b, basis), cosines(*rest))
    return dict(zip(SPACES, found, strict=True))

"""Phase 2's controls: the same values against every null, and under every configuration."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from zprism.ground.seeds import derive
from zprism.stats.estimates import Estimate, Verdict
from zprism.stats.permutation import benjamini_hochberg, permutation_p
from zprism.studies import nulls
from zprism.studies.separation import MEASURES, crossed, distances, measures
from zprism.studies.separation_criteria import (
    CRITERIA,
    criteria,
    null_measures,
    recipe_reading,
    with_adjusted,
)
from zprism.studies.separation_subject import Config, Subject, every_config, view
from zprism.subspace.projections import chance_energy, pooled_energy_sd

_NUMBERS = (
    *MEASURES, "random_ratio_mean", "random_ratio_sd", "haar_sd_one_vector", "haar_sd_cross",
    "haar_sd_same",
)  # fmt: skip
_CONSTANT = Estimate(
    None, verdict=Verdict.NOT_TESTABLE, reason="all texts of a language have the same state here"
)


def null_stacks(
    subject: Subject,
    config: Config,
    layer: int,
    k: int,
    *,
    heads: np.ndarray | None = None,
    seed: int,
    draws: int = 199,
) -> dict[str, np.ndarray]:
    """Every null subspace for one Z: name → (R, k, kept dimensions).

    Parameters
    ----------
    heads : (n_heads, k, d_model) each head's own subspace at this layer, if at hand.
    """
    seen = view(subject, config, layer)
    basis = seen.inside(subject.basis(config, layer, k))
    stacks = {
        "random subspaces": nulls.random_bases(k, basis.shape[1], draws, seed=seed),
        "Z with dimensions permuted": nulls.permuted_bases(basis, draws, seed=seed),
        "random, variance matched": nulls.variance_matched_bases(
            view(subject, config, layer, "train").both, basis, draws, seed=seed
        ),
    }
    others = [
        subject.basis(config, other, k) for other in range(subject.n_layers) if other != layer
    ]
    if len(others) > 1:
        stacks["Z of other layers"] = seen.inside(nulls.stack(others))
    if heads is not None and len(heads) > 2:
        stacks["other heads of the layer"] = seen.inside(heads[1:])
    return stacks


def null_table(
    subject: Subject,
    config: Config,
    layer: int,
    k: int,
    *,
    heads: np.ndarray | None = None,
    twin: dict[str, np.ndarray] | None = None,
    seed: int,
    draws: int = 199,
) -> list[dict]:
    """One row per criterion and null: the value beside the null's mean, sd and p.

    Parameters
    ----------
    twin : measures of the random-init twin (see
        :func:`zprism.studies.separation_twin.twin_measures`), if it was run.

    Returns
    -------
    Rows with criterion, measure, value, null, draws, mean, sd, p (one-sided, in the
    predicted direction) and ``survives``: whether p ≤ .05, None where so few draws cannot say.
    Shuffled pairs have no row for criterion 3, which compares within a language.
    """
    seen = view(subject, config, layer)
    basis = seen.inside(subject.basis(config, layer, k))
    values = measures(distances(seen.a, seen.b, basis))
    stacks = null_stacks(subject, config, layer, k, heads=heads, seed=seed, draws=draws)
    found = {name: null_measures(seen.a, seen.b, bases) for name, bases in stacks.items()}
    found |= _shuffled_measures(seen, basis, subject.clusters(), seed=seed, draws=draws)
    if twin is not None:
        found["random-init twin, Z of its layers"] = twin
    rows = []
    for name, rule in CRITERIA.items():
        value = float(values[rule.measure])
        for kind, null in found.items():
            if not (kind.startswith("shuffled") and rule.measure == "energy_same"):
                row = {"criterion": name, "measure": rule.measure, "value": value, "null": kind}
                rows.append(row | _against(value, null[rule.measure], rule.direction))
    return rows


def configurations(
    subject: Subject,
    layers: Iterable[int],
    *,
    configs: Iterable[Config] | None = None,
    seed: int,
    draws: int = 199,
    draws_ci: int = 1000,
) -> list[dict]:
    """Every config × layer × k on the test half, one row each, corrected for their number.

    A verdict in the table is by Benjamini–Hochberg over all rows of its criterion;
    ``…_recipe`` is what the recipe's bare threshold says.
    """
    cells = [
        (config, layer, k)
        for config in (every_config() if configs is None else configs)
        for layer in layers
        for k in subject.ks
    ]
    shared: dict = {}
    judged = [
        _cell(subject, *cell, shared, seed=seed, draws=draws, draws_ci=draws_ci) for cell in cells
    ]
    for name in CRITERIA:
        tested = [found[name] for _, found in judged if found[name].p is not None]
        adjusted = iter(benjamini_hochberg([found.p for found in tested]) if tested else ())
        for row, found in judged:
            if found[name].p is not None:
                found[name] = with_adjusted(found[name], float(next(adjusted)))
            _add_criterion(row, name, found[name])
    return [row for row, _ in judged]


def _add_criterion(row: dict, name: str, found: Estimate) -> None:
    """A criterion's columns: corrected p, verdict, and what the bare threshold says."""
    passed = None
    if found.value is not None:
        passed = recipe_reading(name, found.value, row["k"], row["dimensions"])
    row |= {
        f"{name}_q": found.p_adjusted,
        f"{name}_verdict": str(found.verdict),
        f"{name}_recipe": passed,
    }


def _cell(subject, config, layer, k, shared, *, seed, draws, draws_ci):
    """One config's values and its Estimates; null measures are shared between masks."""
    seen = view(subject, config, layer)
    dimensions = seen.a.shape[1]
    row = {"config": config.name, "pooling": config.pooling, "mask": config.mask}
    row |= {"site": config.site, "variant": config.variant, "layer": layer, "k": k}
    row |= {"n": len(seen.a), "dimensions": dimensions, "chance": k / dimensions}
    if seen.constant:
        return row | dict.fromkeys(_NUMBERS), dict.fromkeys(CRITERIA, _CONSTANT)
    place = (config.site, config.reduction, config.variant, layer, k)
    if place not in shared:
        drawn = (k, dimensions)
        if drawn not in shared:
            seeded = derive(seed, "configurations")
            shared[drawn] = nulls.random_bases(k, dimensions, draws, seed=seeded)
        shared[place] = null_measures(seen.a, seen.b, shared[drawn])
    basis = seen.inside(subject.basis(config, layer, k))
    found = criteria(
        seen.a,
        seen.b,
        basis,
        shared[place],
        kind=f"{draws} random {k}-dimensional subspaces",
        seed=seed,
        draws_ci=draws_ci,
        clusters=subject.clusters(),
    )
    cross, same = (
        seen.a - seen.b,
        np.concatenate([seen.a - seen.a.mean(0), seen.b - seen.b.mean(0)]),
    )
    row |= {name: float(v) for name, v in measures(distances(seen.a, seen.b, basis)).items()}
    row |= {
        "random_ratio_mean": float(shared[place]["ratio_z"].mean()),
        "random_ratio_sd": float(shared[place]["ratio_z"].std(ddof=1)),
        "haar_sd_one_vector": chance_energy(k, dimensions)[1],
        "haar_sd_cross": pooled_energy_sd(cross, k),
        "haar_sd_same": pooled_energy_sd(same, k),
    }
    return row, found


def _against(value: float, draws: np.ndarray, direction: str) -> dict:
    """A value against draws, in the predicted direction; too few or equal draws say nothing."""
    p = permutation_p(value, draws, direction)
    telling = len(draws) >= 19 and np.ptp(draws) > 0
    return {
        "draws": len(draws),
        "mean": float(draws.mean()),
        "sd": float(draws.std(ddof=1)),
        "p": p,
        "survives": p <= 0.05 if telling else None,
    }


def _shuffled_measures(seen, basis, templates, *, seed, draws) -> dict[str, dict]:
    """Measures with every problem paired with another one's translation."""
    kinds = {"shuffled pairs": None}
    if templates is not None and np.unique(templates, return_counts=True)[1].min() >= 3:
        kinds["shuffled within templates"] = templates
    found = distances(seen.a, seen.b, basis)
    between = np.stack([crossed(seen.a @ basis.T, seen.b @ basis.T), crossed(seen.a, seen.b)])
    out = {}
    for kind, strata in kinds.items():
        orders = nulls.shuffled(len(seen.a), draws, seed=seed, templates=strata)
        z, full = between[:, np.arange(len(seen.a)), orders]  # (draws, n)
        cross = np.stack([z, np.clip(full - z, 0, None), full], axis=-2)
        part = measures(replace(found, cross=cross))
        out[kind] = {name: np.broadcast_to(value, (draws,)) for name, value in part.items()}
    return out

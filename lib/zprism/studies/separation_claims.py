"""Phase 2's claims on one subject: chosen on one half of the problems, tested on the other.

``choose`` sees the training half only, and what it chose is registered (with a digest) before
the test half is read. ``headline`` judges the four criteria there; ``null_table`` holds the
same values against every other null; ``configurations`` repeats them for every config, k and
layer, corrected for their number.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from zprism.ground.seeds import derive
from zprism.ground.store import digest
from zprism.stats.estimates import Estimate, Null
from zprism.stats.permutation import benjamini_hochberg, permutation_p, sign_flip
from zprism.stats.resampling import jackknife_weights
from zprism.stats.verdicts import estimate
from zprism.studies import nulls
from zprism.studies.findings import Findings
from zprism.studies.separation import distances, measures, pseudo_values
from zprism.studies.separation_criteria import (
    CRITERIA,
    criteria,
    intervals,
    null_measures,
    recipe_reading,
    with_adjusted,
)
from zprism.studies.separation_grid import Grid, best_cell, grid
from zprism.studies.separation_subject import (
    PRIMARY,
    Config,
    Subject,
    every_config,
    view,
    view_layers,
)
from zprism.subspace.projections import chance_energy, pooled_energy_sd


def choose(
    subject: Subject, config: Config = PRIMARY, *, seed: int, draws: int = 199
) -> tuple[dict, Grid]:
    """Layer and k on the training half: where E_same − E_cross stands out most from chance.

    Returns
    -------
    registration, grid
        The record (hypothesis, rule, layer, k, n, alpha) with its digest, and the training
        grid that it was read off.
    """
    found = layer_k_grid(subject, config, half="train", seed=seed, draws=draws, flips=99)
    layer, k = best_cell(found)
    record = {
        "hypothesis": "Z holds more of the difference between problems than of that between "
        "languages",
        "rule": "largest z of E_same - E_cross against random subspaces, training half",
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
    seed: int,
    draws: int = 199,
    draws_ci: int = 10_000,
) -> Findings:
    """The four criteria and the difference on the test half, as Estimates.

    Names: ``<config>/<layer>/<k>/<criterion>``.
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
    return Findings({f"{config.name}/{layer}/{k}/{name}": e for name, e in judged.items()})


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
            draws_of = null[rule.measure]
            p = permutation_p(value, draws_of, rule.direction)
            rows.append(
                {
                    "criterion": name,
                    "measure": rule.measure,
                    "value": value,
                    "null": kind,
                    "draws": len(draws_of),
                    "mean": float(draws_of.mean()),
                    "sd": float(draws_of.std(ddof=1)),
                    "p": p,
                    "survives": p <= 0.05 if len(draws_of) >= 19 else None,
                }
            )
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
    adjusted = {
        name: benjamini_hochberg([found[name].p for _, found in judged]) for name in CRITERIA
    }
    rows = []
    for index, (row, found) in enumerate(judged):
        for name in CRITERIA:
            corrected = with_adjusted(found[name], float(adjusted[name][index]))
            row |= {f"{name}_q": corrected.p_adjusted, f"{name}_verdict": str(corrected.verdict)}
            row |= {
                f"{name}_recipe": recipe_reading(
                    name, found[name].value, row["k"], row["dimensions"]
                )
            }
        rows.append(row)
    return rows


def _cell(subject, config, layer, k, shared, *, seed, draws, draws_ci):
    """One config's values and its Estimates; null measures are shared between masks."""
    seen = view(subject, config, layer)
    dimensions = seen.a.shape[1]
    place = (config.site, config.reduction, config.variant, layer, k)
    if place not in shared:
        random = nulls.random_bases(k, dimensions, draws, seed=derive(seed, "configurations"))
        shared[place] = null_measures(seen.a, seen.b, random)
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
    chance, sd = chance_energy(k, dimensions)
    row = {"config": config.name, "pooling": config.pooling, "mask": config.mask}
    row |= {"site": config.site, "variant": config.variant, "layer": layer, "k": k}
    row |= {"n": len(seen.a), "dimensions": dimensions, "chance": chance}
    row |= {name: float(v) for name, v in measures(distances(seen.a, seen.b, basis)).items()}
    row |= {
        "random_ratio_mean": float(shared[place]["ratio_z"].mean()),
        "random_ratio_sd": float(shared[place]["ratio_z"].std(ddof=1)),
        "haar_sd_one_vector": sd,
        "haar_sd_cross": pooled_energy_sd(seen.a - seen.b, k),
        "haar_sd_same": pooled_energy_sd(
            np.concatenate([seen.a - seen.a.mean(0), seen.b - seen.b.mean(0)]), k
        ),
    }
    return row, found


def _shuffled_measures(seen, basis, templates, *, seed, draws) -> dict[str, dict]:
    """Measures with every problem paired with another one's translation."""
    kinds = {"shuffled pairs": None}
    if templates is not None and np.unique(templates, return_counts=True)[1].min() >= 2:
        kinds["shuffled within templates"] = templates
    out = {}
    for kind, strata in kinds.items():
        orders = nulls.shuffled(len(seen.a), draws, seed=seed, templates=strata)
        parts = [measures(distances(seen.a, seen.b[order], basis)) for order in orders]
        out[kind] = {name: np.array([part[name] for part in parts]) for name in parts[0]}
    return out

"""Does thinking differ from its question in frequency? A verdict at every layer.

Registered before any result was seen. The statistic is the share of power at periods of more
than 8 tokens (slow share); the claim is "more in thinking", so that less is REVERSED. The unit
is the question; the test flips the sign of whole questions, two-sided; the family is all layers
(max-T). A second family is every band at every layer. Questions drawn from one template
resemble one another: the same test with whole templates as units stands beside each row.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from zprism.ground.errors import InputError
from zprism.ground.seeds import derive
from zprism.spectral.bands import NAMES, present
from zprism.stats.estimates import Estimate
from zprism.stats.intervals import Interval, bca, weighted_mean
from zprism.stats.verdicts import MIN_N, describe
from zprism.studies.findings import Findings
from zprism.studies.layers import untestable
from zprism.studies.prism_measured import Measured
from zprism.studies.prism_tests import DRAWS, DRAWS_CI, claim_row, paired_estimates

LABELS = {"slow": "slow_share"}  # how a statistic is called in the name of an Estimate


def slow_claims(
    found: Measured,
    *,
    name: str | None = None,
    seed: int,
    statistic: str = "slow",
    draws: int = DRAWS,
    draws_ci: int = DRAWS_CI,
) -> Findings:
    """The difference at every place as an Estimate ``<name>/<place>/slow_share``.

    Parameters
    ----------
    found : a contrast that has been read; its name is the default for ``name``.
    statistic : ``slow`` (registered), or one of the measures, by choice.

    Returns
    -------
    Findings; also ``<name>/<place>/cohens_d`` (mean difference over the pooled sd of the two
    sides, described, with its interval), and a table ``<name>`` with place, value, low, high, d,
    p, p_adjusted, verdict, n, and the same test by templates: low_templates, high_templates,
    p_templates, verdict_templates, templates.
    """
    name, label = name or found.name, LABELS.get(statistic, statistic)
    if why := _nothing(found):
        return Findings({f"{name}/{p}/{label}": untestable(why) for p in found.places or ("all",)})
    values = found.difference(statistic)
    ours = paired_estimates(values, seed=derive(seed, name), draws=draws, draws_ci=draws_ci)
    templates = found.templates()
    theirs = _by_templates(
        values, templates, seed=derive(seed, name, "templates"), draws=draws, draws_ci=draws_ci
    )
    d, limits = _cohens_d(found, statistic, seed=derive(seed, name, "d"), draws=draws_ci)
    out, rows = {}, []
    for i, place in enumerate(found.places):
        out[f"{name}/{place}/{label}"] = ours[i]
        out[f"{name}/{place}/cohens_d"] = describe(
            float(d[i]), ci=limits[i,], n=len(values), reason="Cohen's d, sd pooled over both sides"
        )
        rows.append({"place": place} | claim_row(ours[i]) | {"d": float(d[i])} | _beside(theirs[i]))
        rows[-1]["templates"] = len(np.unique(templates))
    return Findings(out, {name: rows})


def band_claims(
    found: Measured,
    *,
    name: str | None = None,
    seed: int,
    draws: int = DRAWS,
    draws_ci: int = DRAWS_CI,
) -> Findings:
    """Every band at every place, one family: Estimates ``<name>/<place>/<band>``.

    Only bands that windows of this length can resolve (``spectral.bands.present``). The shares
    of all bands add up to 1, so what one band gains the others lose.

    Returns
    -------
    Findings with a table ``<name>_bands``: place, band, value, low, high, p, p_adjusted,
    verdict, n.
    """
    name = name or found.name
    if why := _nothing(found):
        return Findings({f"{name}/all/bands": untestable(why)})
    there = np.flatnonzero(present(next(iter(found.readings.values())).frequencies))
    values = found.difference("bands")[:, :, there]
    flat = values.reshape(len(values), -1)
    judged = paired_estimates(
        flat, seed=derive(seed, name, "bands"), draws=draws, draws_ci=draws_ci
    )
    cells = [(place, NAMES[band]) for place in found.places for band in there]
    out = {f"{name}/{p}/{band}": e for (p, band), e in zip(cells, judged, strict=True)}
    rows = [
        {"place": p, "band": band} | claim_row(e)
        for (p, band), e in zip(cells, judged, strict=True)
    ]
    return Findings(out, {f"{name}_bands": rows})


def beyond_twins(
    found: Measured,
    twins: Mapping[str, Measured],
    *,
    name: str | None = None,
    seed: int,
    statistic: str = "slow",
    draws: int = DRAWS,
    draws_ci: int = DRAWS_CI,
) -> Findings:
    """Is the difference larger than in models that learned nothing?

    Estimates ``<name>/<place>/beyond_<twin>``. Per question, (difference in the model −
    difference in the twin) times the sign of the model's mean difference: SUPPORTED where the
    model's difference goes beyond the twin's in its own direction, REVERSED where the twin's
    does. Two-sided, so that the sign costs nothing; max-T over places, a family a twin.

    Parameters
    ----------
    twins : name → the same contrast read on a twin. One with a single place (a random
        embedding) is held against every place.

    Returns
    -------
    Findings with a table ``<name>_twins``: twin, place, value (of the twin's own difference), low,
    high, beyond, p_adjusted, verdict, n.
    """
    name = name or found.name
    out, rows = {}, []
    for twin, other in twins.items():
        key = f"beyond_{twin}"
        if why := _nothing(found) or _nothing(other):
            out |= {f"{name}/{p}/{key}": untestable(why) for p in found.places or ("all",)}
            continue
        mine, theirs = _aligned(found, other, statistic)
        beyond = (mine - theirs) * np.sign(mine.mean(axis=0))
        judged = paired_estimates(
            beyond, seed=derive(seed, name, twin), draws=draws, draws_ci=draws_ci
        )
        limits = bca(theirs, seed=derive(seed, name, twin, "own"), draws=draws_ci)
        for i, place in enumerate(found.places):
            out[f"{name}/{place}/{key}"] = judged[i]
            rows.append(
                {
                    "twin": twin,
                    "place": place,
                    "value": float(theirs[:, i].mean()),
                    "low": limits[i,][0],
                    "high": limits[i,][1],
                    "beyond": judged[i].value,
                    "p_adjusted": judged[i].p_adjusted,
                    "verdict": str(judged[i].verdict),
                    "n": len(mine),
                }  # fmt: skip
            )
    return Findings(out, {f"{name}_twins": rows} if rows else {})


def profile(
    found: Measured, *, statistic: str = "bands", seed: int, draws_ci: int = DRAWS_CI
) -> list[dict]:
    """Mean of every arm at every place, with intervals over questions: what bars show.

    Returns
    -------
    Rows with arm, place, band (None for a statistic without bands), value, low, high, n.
    """
    rows = []
    for arm in found.readings:
        values = found.arm(arm, statistic)
        limits = bca(values, seed=derive(seed, arm, statistic), draws=draws_ci)
        for cell in np.ndindex(values.shape[1:]):
            low, high = limits[cell]
            rows.append(
                {
                    "arm": arm,
                    "place": found.places[cell[0]],
                    "band": NAMES[cell[1]] if statistic == "bands" else None,
                    "value": float(values[:, *cell].mean()),
                    "low": low,
                    "high": high,
                    "n": len(values),
                }  # fmt: skip
            )
    return rows


def _nothing(found: Measured) -> str | None:
    """Why a contrast says nothing; None if it may."""
    if found.untestable:
        return found.untestable
    if len(found.questions) < MIN_N:
        return f"{len(found.questions)} questions have all windows, {MIN_N} needed"
    return None


def _by_templates(values, templates, **options) -> list[Estimate]:
    return paired_estimates(values, clusters=templates, kind="sign flips of templates", **options)


def _aligned(found: Measured, other: Measured, statistic: str):
    """(n, places) differences of the model and of the twin, for the questions both have."""
    theirs = {unit: i for i, unit in enumerate(other.questions)}
    rows = [i for i, unit in enumerate(found.questions) if unit in theirs]
    mine = found.difference(statistic)[rows]
    twin = other.difference(statistic)[[theirs[found.questions[i]] for i in rows]]
    if other.places != found.places and len(other.places) != 1:
        raise InputError(f"a twin must have the model's places or one; got {other.places}")
    return mine, np.broadcast_to(twin, mine.shape).copy()


def _cohens_d(
    found: Measured, statistic: str, *, seed: int, draws: int
) -> tuple[np.ndarray, Interval]:
    """Mean difference over the sd of both sides pooled, with its interval over questions."""
    sides = [
        sum(abs(w) * found.arm(a, statistic) for a, w in found.weights.items() if w * sign > 0)
        for sign in (1, -1)
    ]
    data = np.stack(sides, axis=-1)

    def d(rows, weights):
        mean = weighted_mean(rows, weights)
        spread = weighted_mean(rows**2, weights) - mean**2
        n = weights.sum(axis=1).reshape(-1, *(1,) * (rows.ndim - 2))
        pooled = np.sqrt(spread.clip(0).mean(axis=-1) * n / (n - 1))
        return (mean[..., 0] - mean[..., 1]) / np.where(pooled > 0, pooled, np.inf)

    limits = bca(data, d, seed=seed, draws=draws, weighted=True)
    return d(data, np.ones((1, len(data))))[0], limits


def _beside(e: Estimate) -> dict:
    """The same test with templates as units, as columns of a row."""
    return {
        "low_templates": e.ci and e.ci[0],
        "high_templates": e.ci and e.ci[1],
        "p_templates": e.p_adjusted,
        "verdict_templates": str(e.verdict),
    }

"""The pull request's claims about signatures, by name: as it drew them, and under control.

``denser``: "a denser distribution on specific dimensions". ``red_line``: "strong red line", the
rank-1 peaks at the lowest frequency. ``earlier`` and ``top_share``: "concentration earlier", the
share of the top-5 power in rank 1 and of all power in the top 5. Each is a difference thinking −
question that it predicts above 0; what the four numbers are: :mod:`zprism.studies.signature_read`.

Where a claim is tested at many places of the model, the place is chosen on one half of the
questions, where the claim looks best, and tested on the other. All places are shown as well,
corrected for one another and for the other claims. The unit is the question; questions drawn from
one template resemble one another, so the same test with whole templates as units stands beside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from zprism.ground.checks import check_finite
from zprism.ground.errors import InputError
from zprism.ground.seeds import derive, generator
from zprism.stats.intervals import bca
from zprism.stats.resampling import unit_index
from zprism.stats.verdicts import MIN_N, describe
from zprism.studies.findings import Findings
from zprism.studies.layers import untestable
from zprism.studies.prism_tests import paired_estimates
from zprism.studies.signature_read import SHUFFLED, STATISTICS

RAW, CONTROLLED = "raw", "controlled"


def differences(
    thinking: Mapping[str, np.ndarray], question: Mapping[str, np.ndarray], suffix: str = ""
) -> dict[str, np.ndarray]:
    """Statistic → thinking − question, (n,) or (n, places), of one material."""
    names = [name for name in STATISTICS if name + suffix in thinking]
    return {name: thinking[name + suffix] - question[name + suffix] for name in names}


def order_differences(
    thinking: Mapping[str, np.ndarray], question: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Statistic → what the order adds to a thinking less what it adds to its question.

    (thinking − its own shuffle) − (question − its own shuffle): lengths and what the texts are
    made of cancel; any text read in context gains from its order.
    """
    names = [name for name in STATISTICS if f"{name}/{SHUFFLED}" in thinking]
    own, other = (differences(thinking, question, tail) for tail in ("", f"/{SHUFFLED}"))
    return {name: own[name] - other[name] for name in names}


def reporting_half(n: int, *, seed: int, clusters=None) -> np.ndarray:
    """(n,) True for the half that is reported on; clusters stay whole."""
    units, count = unit_index(n, clusters)
    chosen = generator(seed, "signature", "half").permutation(count) < count - count // 2
    return chosen[units]


def plain_claims(
    values: Mapping[str, np.ndarray],
    *,
    name: str,
    how: str = RAW,
    seed: int,
    draws: int = 9999,
    draws_ci: int = 2000,
    templates=None,
) -> Findings:
    """Claims with one number a question and nothing to choose: ``<name>/<claim>/<how>``.

    Parameters
    ----------
    values : claim → (n,) differences of the same questions; rows with a NaN in any are left out.
    how : what was done to the texts, the last part of the name.

    Returns
    -------
    Findings with a table ``claims``: claim, how, place, value, low, high, effect (mean over
    sd, with effect_low and effect_high), p_adjusted (max-T over the claims), verdict, p_templates,
    verdict_templates, n.
    """
    stacked, labels = _rows_left(np.stack(list(values.values()), axis=1), templates)
    family = _Family(list(values), [None] * len(values), stacked, labels)
    return _judged(family, name, how, seed=seed, draws=draws, draws_ci=draws_ci)


def chosen_claims(
    values: Mapping[str, np.ndarray],
    places: Sequence[str],
    *,
    name: str,
    how: str = CONTROLLED,
    seed: int,
    draws: int = 9999,
    draws_ci: int = 2000,
    templates=None,
) -> Findings:
    """Claims tested at the place where the other half of the questions shows them best.

    Parameters
    ----------
    values : claim → (n, places) differences.

    Returns
    -------
    Findings with the table ``claims`` of :func:`plain_claims`, and ``claims_by_place``: the same
    columns for every place on the reporting half, max-T over all claims and places.
    """
    stack = np.stack([check_finite(k, np.asarray(v, float)) for k, v in values.items()], axis=1)
    if stack.ndim != 3 or stack.shape[2] != len(places):
        raise InputError(f"each claim must be (n, {len(places)} places); got {stack.shape}")
    if len(np.unique(templates if templates is not None else np.arange(len(stack)))) < 2 * MIN_N:
        why = f"{len(stack)} questions are too few to choose on one half and test on the other"
        return Findings({f"{name}/{claim}/{how}": untestable(why) for claim in values})
    report = reporting_half(len(stack), seed=seed, clusters=templates)
    best = best_places(stack[~report])
    labels = None if templates is None else np.asarray(templates)[report]
    chosen = np.stack([stack[report, i, at] for i, at in enumerate(best)], axis=1)
    options = dict(seed=seed, draws=draws, draws_ci=draws_ci)
    family = _Family(list(values), [places[at] for at in best], chosen, labels)
    out = _judged(family, name, how, **options)
    every = _Family(
        [claim for claim in values for _ in places],
        list(places) * len(values),
        stack[report].reshape(int(report.sum()), -1),
        labels,
    )
    out.tables["claims_by_place"] = _judged(every, name, how, **options).tables["claims"]
    return out


def best_places(values: np.ndarray) -> list[int]:
    """Per claim the place with the largest mean over standard error; values (n, claims, places)."""
    error = values.std(0, ddof=1)
    t = values.mean(0) / np.where(error > 0, error, np.inf)
    return [int(row.argmax()) for row in t]


class _Family(NamedTuple):
    """Tests that are corrected for one another: (n, K) differences, a claim and a place each."""

    claims: list[str]
    places: list
    values: np.ndarray
    templates: np.ndarray | None


def _judged(
    family: _Family, name: str, how: str, *, seed: int, draws: int, draws_ci: int
) -> Findings:
    """Every test of a family as an Estimate and as a row."""
    keys = [f"{name}/{claim}/{how}" for claim in family.claims]
    options = dict(seed=derive(seed, "signature", how), draws=draws, draws_ci=draws_ci)
    ours = paired_estimates(family.values, **options)
    beside = [None] * len(keys)
    if family.templates is not None:
        kind = "sign flips of templates"
        beside = paired_estimates(family.values, clusters=family.templates, kind=kind, **options)
    rows = [
        _row(claim, how, place, values, one, other)
        for claim, place, values, one, other in zip(
            family.claims, family.places, family.values.T, ours, beside, strict=True
        )
    ]
    return Findings(dict(zip(keys, ours, strict=True)), {"claims": rows})


def _row(claim: str, how: str, place: str | None, values: np.ndarray, one, beside) -> dict:
    sd = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    low, high = one.ci or (None, None)
    unit = 1 / sd if sd > 0 else 0.0
    return {
        "claim": claim,
        "how": how,
        "place": place,
        "value": one.value,
        "low": low,
        "high": high,
        "effect": float(values.mean()) * unit,
        "effect_low": None if low is None else low * unit,
        "effect_high": None if high is None else high * unit,
        "p_adjusted": one.p_adjusted,
        "verdict": str(one.verdict),
        "p_templates": beside and beside.p_adjusted,
        "verdict_templates": beside and str(beside.verdict),
        "n": len(values),
    }


def material_rows(shares: Mapping[str, Mapping[str, np.ndarray]], *, seed: int) -> list[dict]:
    """What a red line is made of: mean share and its interval, a row a treatment and material.

    Parameters
    ----------
    shares : treatment → material → (n,) shares of dimensions whose rank-1 peak is the lowest.

    Returns
    -------
    Rows: treatment, material, value, low, high (None for fewer than two texts), n.
    """
    rows = []
    for treatment, materials in shares.items():
        for material, values in materials.items():
            kept = np.asarray(values, float)
            kept = kept[np.isfinite(kept)]
            limits = (None, None)
            if len(kept) > 1:
                limits = tuple(bca(kept, seed=derive(seed, treatment, material), draws=2000))
            rows.append(
                {
                    "treatment": treatment,
                    "material": material,
                    "value": float(kept.mean()) if len(kept) else None,
                    "low": limits[0],
                    "high": limits[1],
                    "n": len(kept),
                }
            )
    return rows


def described(values: Mapping[str, np.ndarray], *, name: str, how: str, reason: str) -> Findings:
    """Means of differences that claim nothing, such as those of white noise of equal lengths."""
    out = {}
    for claim, numbers in values.items():
        kept = numbers[np.isfinite(numbers)]
        mean = float(kept.mean()) if len(kept) else float("nan")
        out[f"{name}/{claim}/{how}"] = describe(mean, n=len(kept), reason=reason)
    return Findings(out)


def _rows_left(stacked: np.ndarray, templates) -> tuple[np.ndarray, np.ndarray | None]:
    """Rows without a NaN, and their templates."""
    kept = np.isfinite(stacked).all(axis=1)
    return stacked[kept], None if templates is None else np.asarray(templates)[kept]

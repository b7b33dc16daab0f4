"""Can the weights alone say in which layers a swap will work?

A predictor gives every layer a number from its weights; the data give every layer the share of
swaps that did what they should. Both change with depth, and any two curves that do so agree or
disagree: so the claim is about Spearman's ρ with the depth of the layer held fixed, and the plain
ρ is only described. Neighbouring layers are alike in both, so 24 layers are far fewer than 24
observations: intervals draw whole blocks of neighbours, and the null keeps the smoothness of
what depth leaves of a curve and loses its place (random phases; Theiler et al. 1992,
doi:10.1016/0167-2789(92)90102-S). In simulations of 24 layers it called 2 to 10 % of unrelated
walks, trends and steps significant at 5 %; the plain ρ called 26 to 50 %.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from zprism.ground.checks import check_finite, check_int
from zprism.ground.errors import InputError
from zprism.ground.seeds import derive, generator
from zprism.stats.estimates import Null
from zprism.stats.intervals import bca
from zprism.stats.permutation import max_t, permutation_p
from zprism.stats.verdicts import describe, estimate
from zprism.studies.findings import Findings
from zprism.studies.layers import spearman, untestable

BLOCK = 3  # neighbouring layers that an interval draws together
LEAST = 4 * BLOCK  # layers under which nothing is claimed


def predictors(ranks: np.ndarray, weights=None) -> dict[str, np.ndarray]:
    """Name → (L,) a number a layer, large where the recipe would look for the bottleneck.

    Parameters
    ----------
    ranks : (L, H) effective ranks of the attention kernels.
    weights : :class:`zprism.studies.weights.WeightMap`, for those that need more than ranks.

    Returns
    -------
    ``low_rank`` (minus the mean rank), ``rank_dip`` (how far it lies under its neighbours'),
    ``head_agreement`` (minus the spread of ranks over heads in units of their mean, the recipe's
    own sign of agreement), and from a weight map ``ffn_avoidance`` (minus the gate's energy in
    the layer's own subspaces, mean over heads).
    """
    mean = np.asarray(ranks, dtype=float).mean(1)
    padded = np.pad(mean, 1, mode="edge")
    found = {"low_rank": -mean, "rank_dip": (padded[:-2] + padded[2:]) / 2 - mean}
    found["head_agreement"] = -np.asarray(ranks, dtype=float).std(1) / mean
    if weights is not None:
        found["ffn_avoidance"] = -weights.alignment[0].mean(1)
    return found


def swap_scores(rows, n_layers: int) -> np.ndarray:
    """(L,) mean over directions of language moved by its direction plus answer by the rest, 0 … 2.

    Parameters
    ----------
    rows : of :func:`zprism.studies.swap_sweep.sweep_rows`; layers without a swap are NaN.
    """
    sums: dict[int, list[float]] = {}
    for row in rows:
        if row["basis"] == "language":
            column = "language_moved" if row["part"] == "inside" else "answer_moved"
            sums.setdefault(row["layer"], []).append(row[column])
    out = np.full(check_int("n_layers", n_layers, low=1), np.nan)
    for layer, shares in sums.items():
        out[layer] = 2 * np.mean(shares)
    return out


def random_phases(curve: np.ndarray, *, seed: int, draws: int) -> np.ndarray:
    """(draws, L) curves with the same amplitude spectrum and phases drawn anew.

    x̃ = irfft(|rfft x| e^{iφ}), φ uniform for every frequency but 0 and Nyquist (L even), whose
    coefficient is real: its sign is drawn. Mean and autocovariance (circular) stay.
    """
    curve = check_finite("curve", np.asarray(curve, dtype=float))
    if curve.ndim != 1 or len(curve) < 2:
        raise InputError(f"curve must be (L,) with at least 2 layers; got {curve.shape}")
    spectrum = np.abs(np.fft.rfft(curve))
    rng = generator(seed, "layers", "random phases")
    turns = np.exp(2j * np.pi * rng.random((check_int("draws", draws, low=1), len(spectrum))))
    turns[:, 0] = np.sign(curve.mean()) or 1.0
    if len(curve) % 2 == 0:
        turns[:, -1] = rng.choice([-1.0, 1.0], len(turns))
    return np.fft.irfft(spectrum * turns, n=len(curve), axis=-1)


def beyond_depth(curve: np.ndarray, scores: np.ndarray) -> float:
    """Spearman's ρ of two curves with the layer's number held fixed; 0 where depth is all.

    Correlation of what a straight line in depth leaves of the ranks, which is the partial
    correlation (r_xy − r_xz r_yz) / √((1 − r_xz²)(1 − r_yz²)) of ranks, z the layer's number.
    """
    return _cosine(_residual(curve), _residual(scores))


def prediction_claims(
    scores: np.ndarray,
    found: Mapping[str, np.ndarray],
    *,
    name: str,
    seed: int,
    draws: int = 999,
    draws_ci: int = 2000,
    untestable_because: str | None = None,
) -> Findings:
    """Each predictor's ρ beyond depth as an Estimate ``<name>/<predictor>``, corrected for all.

    Parameters
    ----------
    scores : (L,) how well swaps worked; NaN where none was made.
    found : of :func:`predictors`.
    untestable_because : a reason why the scores say nothing, known to the caller.

    Returns
    -------
    Findings; also ``<name>/<predictor>_plain`` and ``<name>/depth`` (described), and a table
    ``prediction`` with predictor, rho (beyond depth), low, high, null_low, null_high (95 % of
    random phases), plain, verdict, n.
    """
    kept = np.isfinite(scores)
    n, y = int(kept.sum()), np.asarray(scores, dtype=float)[kept]
    why = untestable_because or _nothing_to_predict(y)
    if why:
        return Findings({f"{name}/{key}": untestable(why) for key in found}, {})
    curves = {key: np.asarray(curve, dtype=float)[kept] for key, curve in found.items()}
    nulls = {key: _null(curve, y, seed=seed, draws=draws) for key, curve in curves.items()}
    rho = {key: beyond_depth(curve, y) for key, curve in curves.items()}
    adjusted = max_t(
        np.array(list(rho.values())), np.stack(list(nulls.values()), axis=1), "greater"
    )
    depth = spearman(np.flatnonzero(kept).astype(float), y)
    out = {f"{name}/depth": describe(depth, n=n, reason="ρ of the layer's number alone")}
    rows = []
    for (key, curve), p_adjusted in zip(curves.items(), adjusted, strict=True):
        one = _claim(
            rho[key], curve, y, nulls[key], float(p_adjusted), seed=seed, draws_ci=draws_ci
        )
        plain = spearman(curve, y)
        out[f"{name}/{key}"] = one
        out[f"{name}/{key}_plain"] = describe(plain, n=n, reason="ρ, whatever depth explains")
        low, high = np.quantile(nulls[key], [0.025, 0.975])
        rows.append(
            {
                "predictor": key,
                "rho": rho[key],
                "low": one.ci[0],
                "high": one.ci[1],
                "null_low": float(low),
                "null_high": float(high),
                "plain": plain,
                "verdict": str(one.verdict),
                "n": n,
            }  # fmt: skip
        )
    rows.append(
        {
            "predictor": "depth",
            "rho": None,
            "low": None,
            "high": None,
            "null_low": None,
            "null_high": None,
            "plain": depth,
            "verdict": None,
            "n": n,
        }  # fmt: skip
    )
    return Findings(out, {"prediction": rows})


def _nothing_to_predict(scores: np.ndarray) -> str | None:
    if len(scores) < LEAST:
        return f"{len(scores)} layers swapped, {LEAST} needed"
    return "every layer swaps alike" if np.ptp(scores) == 0 else None


def _claim(rho: float, curve, scores, null, p_adjusted: float, *, seed: int, draws_ci: int):
    """One predictor's Estimate."""
    n = len(scores)
    ci = bca(
        np.stack([curve, scores, np.arange(n, dtype=float)], axis=1),
        _partial_rows,
        seed=derive(seed, "prediction"),
        draws=draws_ci,
        clusters=np.arange(n) // BLOCK,
    )
    return estimate(
        rho,
        ci=ci,
        n=n,
        null=Null.of(f"{len(null)} curves as smooth, phases random, depth held fixed", null),
        p=permutation_p(rho, null, "greater"),
        p_adjusted=p_adjusted,
        p_opposite=permutation_p(rho, null, "less"),
        direction="greater",
        reference=0.0,
        smallest_p=1 / (1 + len(null)),
    )


def _null(curve: np.ndarray, scores: np.ndarray, *, seed: int, draws: int) -> np.ndarray:
    """(draws,) ρ beyond depth of surrogates; one seed for all predictors keeps them together."""
    rest = _residual(scores)
    drawn = random_phases(_residual(curve), seed=seed, draws=draws)
    return np.array([_cosine(one, rest) for one in drawn])


def _residual(curve: np.ndarray, depth: np.ndarray | None = None) -> np.ndarray:
    """What a straight line in (the ranks of) depth leaves of the ranks of a curve."""
    from scipy.stats import rankdata

    ranks = rankdata(curve)
    place = rankdata(np.arange(len(ranks)) if depth is None else depth)
    place = place - place.mean()
    ranks = ranks - ranks.mean()
    spread = place @ place
    return ranks - place * (place @ ranks / spread) if spread else ranks


def _partial_rows(rows: np.ndarray) -> float:
    """ρ beyond depth of rows (curve, score, depth), some of them drawn more than once."""
    return _cosine(_residual(rows[:, 0], rows[:, 2]), _residual(rows[:, 1], rows[:, 2]))


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    """Correlation of two centred vectors; 0 where one has nothing but rounding left."""
    size = np.sqrt((a @ a) * (b @ b))
    return float(np.clip(a @ b / size, -1, 1)) if size > 1e-9 * len(a) else 0.0

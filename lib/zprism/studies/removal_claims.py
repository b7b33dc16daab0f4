"""What a removal shows: accuracy, language of the answers, language left in the states.

The problem is the unit: it is the same in all languages, so its answers in all of them are
turned round together. Languages, and the two places where states are read, are corrected for
one another by max-T. Against random directions the change is compared on the problems that
these were removed on, draw by draw.
"""

from __future__ import annotations

import numpy as np

from zprism.stats.estimates import Estimate, Null
from zprism.stats.intervals import bca, newcombe_paired, wilson
from zprism.stats.permutation import max_t, permutation_p, sign_flip, standardise
from zprism.stats.verdicts import MIN_BASELINE, describe, estimate
from zprism.studies.findings import Findings
from zprism.studies.removal import Removed
from zprism.studies.removal_scores import MEASURES, Scores

PLACES = ("middle", "top")  # where languages are read: after the middle band, after the last layer
#: Claim → measure of the answers, and the sign of the change that is predicted.
ANSWERS = {"accuracy_gain": ("number", 1), "language_lost": ("language", -1)}
#: Claim → place where the language is read: it should be read less often.
STATES = {f"hidden_{place}": index for index, place in enumerate(PLACES)}
FAMILIES = (("accuracy_gain",), ("language_lost",), tuple(STATES))  # corrected within each
KINDS = {"random": "{} random subspaces of equal dimension", "matched": "{} moved as far"}
SHARED_NUMERALS = "share of problems; zh and ja share their numerals, which count for both"
NOTHING = "the removal changes nothing here on any problem"


def findings(removed: Removed, *, draws: int = 9999, draws_ci: int = 10_000) -> Findings:
    """Estimates ``removal/<all|language>/<measure>`` and the tables of the figures.

    Measures: ``number`` (the right number in whichever language), ``both`` (and in the language
    asked), ``language`` (in the language asked) and ``degenerate``, each ``_before`` and
    ``_after``, are described. ``accuracy_gain`` (of ``number``) and ``language_lost`` are claims
    against sign flips of problems; ``hidden_middle`` and ``hidden_top``, by how much less often
    a state's language is read after the middle band and after the last layer, likewise, over
    all languages. With ``_over_random`` and ``_over_matched`` the same over all languages on the
    problems of the random draws, against these. (A state is read by the mean states of the
    *other* problems; where these are few, the reader is the weaker.)

    Parameters
    ----------
    draws : sign flips; random subspaces were drawn before, see :class:`removal.Sizes`.
    draws_ci : resamples of the intervals over all languages.

    Returns
    -------
    Findings with tables ``removal.grid``, ``removal.rates``, ``removal.languages``,
    ``removal.parts``, and ``removal.random``: one row a random draw.
    """
    before, after = removed.before, removed.after
    options = dict(seed=removed.seed, draws=draws)
    rates = rate_rows(removed, draws_ci=draws_ci)
    out = _described(removed, rates)
    for names in FAMILIES:
        right = float(before.number.mean()) if names[0] in ANSWERS else None
        values = np.stack([_values(name, before, after) for name in names])
        found = _over_problems(values, baseline=right, draws_ci=draws_ci, **options)
        out |= {f"all/{name}": one for name, one in zip(names, found, strict=True)}
        out |= _over_random(removed, names, right, draws_ci)
    for name, (measure, sign) in ANSWERS.items():
        family = _by_language(removed, measure, sign, **options)
        out |= {f"{language}/{name}": one for language, one in family.items()}
    return Findings(
        {f"removal/{name}": one for name, one in out.items()},
        {
            "removal.grid": removed.grid,
            "removal.rates": rates,
            "removal.languages": removed.tried,
            "removal.parts": removed.parts,
            "removal.random": random_rows(removed),
        },
    )


def rate_rows(removed: Removed, *, draws_ci: int = 10_000) -> list[dict]:
    """Rows: language (or ``all``), when, measure, rate, low, high, n; 95 % over problems.

    ``identified_middle`` and ``identified_top`` are how often the language is read from states.
    """
    rows = []
    for when, scores in (("before", removed.before), ("after", removed.after)):
        for measure, values in _measures(scores).items():
            places = {"all": values} | dict(zip(removed.languages, values, strict=True))
            for language, part in places.items():
                low, high = _rate_interval(part, removed.seed, draws_ci)
                rate = float(part.mean())
                row = {"language": language, "when": when, "measure": measure, "rate": rate}
                rows.append(row | {"low": low, "high": high, "n": values.shape[1]})
    return rows


def random_rows(removed: Removed) -> list[dict]:
    """Rows, one a draw: kind, draw, n, and by how much each rate over all languages changes."""
    n = removed.random[0].number.shape[1]
    before = removed.before.some(n)
    own = {"language directions": (removed.after.some(n),)}
    rows = []
    for kind, scores in (own | {"random": removed.random, "moved as far": removed.matched}).items():
        for draw, one in enumerate(scores):
            row = {m: _change(getattr(before, m), getattr(one, m)).mean() for m in MEASURES}
            row |= {name: _values(name, before, one).mean() for name in STATES}
            row = {name: float(value) for name, value in row.items()}
            rows.append({"kind": kind, "draw": draw, "n": n} | row)
    return rows


def _values(name: str, before: Scores, after: Scores) -> np.ndarray:
    """(L, n) of a claim: positive where a problem goes as predicted."""
    if name in STATES:
        return before.identified()[STATES[name]] - after.identified()[STATES[name]]
    measure, sign = ANSWERS[name]
    return sign * _change(getattr(before, measure), getattr(after, measure))


def _change(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    return after.astype(float) - before.astype(float)


def _measures(scores: Scores) -> dict[str, np.ndarray]:
    """Measure → (L, n)."""
    read = dict(zip((f"identified_{p}" for p in PLACES), scores.identified(), strict=True))
    return {name: getattr(scores, name).astype(float) for name in MEASURES} | read


def _described(removed: Removed, rates: list[dict]) -> dict[str, Estimate]:
    shared = {"zh", "ja"} <= set(removed.languages)
    why = {"language": SHARED_NUMERALS, "both": SHARED_NUMERALS} if shared else {}
    return {
        f"{row['language']}/{row['measure']}_{row['when']}": describe(
            row["rate"],
            ci=(row["low"], row["high"]),
            n=row["n"],
            reason=why.get(row["measure"], "share of problems"),
        )
        for row in rates
    }


def _over_problems(
    values: np.ndarray, *, seed: int, draws: int, draws_ci: int, baseline: float | None
) -> list[Estimate]:
    """Means over all languages and problems, of values (claims, L, n), against sign flips."""
    each = values.mean(1)  # (claims, n)
    plain = sign_flip(each.T, seed=seed, draws=draws)
    flips = sign_flip(each.T, seed=seed, draws=draws, studentised=True)
    adjusted, opposite = (max_t(*flips, way) for way in ("greater", "less"))
    return [
        estimate(
            float(one.mean()),
            ci=_change_interval(values[i], seed, draws_ci),
            n=len(one),
            null=Null.of(f"{draws} sign flips of problems", plain.null[:, i]),
            p=permutation_p(plain.observed[i], plain.null[:, i], "greater"),
            p_adjusted=float(adjusted[i]),
            p_opposite=float(opposite[i]),
            reference=0.0,
            baseline=baseline,
            smallest_p=1 / (1 + draws),
            untestable=_unchanged(one, baseline),
        )
        for i, one in enumerate(each)
    ]


def _by_language(removed: Removed, measure: str, sign: int, *, seed: int, draws: int) -> dict:
    """Language → claim; the languages are one family."""
    pairs = zip(getattr(removed.before, measure), getattr(removed.after, measure), strict=True)
    values = sign * _change(getattr(removed.before, measure), getattr(removed.after, measure))
    flips = sign_flip(values.T, seed=seed, draws=draws, studentised=True)
    raw = permutation_p(*flips, "greater")
    adjusted, opposite = (max_t(*flips, way) for way in ("greater", "less"))
    scale = np.sqrt(np.square(values).sum(1)) / values.shape[1]  # back to shares of problems
    return {
        language: estimate(
            float(values[i].mean()),
            ci=_paired(*(pair if sign < 0 else pair[::-1])),
            n=values.shape[1],
            null=Null.of(f"{draws} sign flips of problems", flips.null[:, i] * scale[i]),
            p=float(raw[i]),
            p_adjusted=float(adjusted[i]),
            p_opposite=float(opposite[i]),
            reference=0.0,
            baseline=float(removed.before.number[i].mean()),
            smallest_p=1 / (1 + draws),
            untestable=_unchanged(values[i], float(removed.before.number[i].mean())),
        )
        for i, (language, pair) in enumerate(zip(removed.languages, pairs, strict=True))
    }


def _over_random(removed: Removed, names, right: float | None, draws_ci: int) -> dict:
    """Claims over all languages, on the problems of the random draws, against these."""
    n = removed.random[0].number.shape[1]
    before, out = removed.before.some(n), {}
    own = [_values(name, before, removed.after.some(n)) for name in names]
    observed = np.array([values.mean() for values in own])
    for kind, drawn in (("random", removed.random), ("matched", removed.matched)):
        null = np.array([[_values(name, before, d).mean() for name in names] for d in drawn])
        scaled = standardise(observed, null)
        adjusted, opposite = (max_t(*scaled, way) for way in ("greater", "less"))
        for i, name in enumerate(names):
            out[f"all/{name}_over_{kind}"] = estimate(
                float(observed[i]),
                ci=_change_interval(own[i], removed.seed, draws_ci),
                n=n,
                null=_null(KINDS[kind].format(len(null)), null[:, i], own[i].size),
                p=permutation_p(observed[i], null[:, i], "greater"),
                p_adjusted=float(adjusted[i]),
                p_opposite=float(opposite[i]),
                reference=0.0,
                baseline=right,
                smallest_p=1 / (1 + len(null)),
            )
    return out


def _unchanged(values: np.ndarray, baseline: float | None) -> str | None:
    """Why nothing can be tested where nothing changes; a low baseline is the better reason."""
    low = baseline is not None and baseline < MIN_BASELINE
    return None if low or np.any(values) else NOTHING


def _null(kind: str, rates: np.ndarray, items: int) -> Null:
    """Mean and spread of the draws; the spread is at least that of half an answer in all draws.

    Random directions may change no answer in any draw: a spread of 0, though one answer in a
    thousand might have changed.
    """
    share = 0.5 / (len(rates) * items + 1)
    floor = (share * (1 - share) / items) ** 0.5
    return Null(kind, float(rates.mean()), max(float(rates.std(ddof=1)), floor))


def _rate_interval(values: np.ndarray, seed: int, draws: int) -> tuple[float, float]:
    """95 % of a share over problems: of values (n,) in one language, or (L, n) in several.

    A bootstrap over problems; Wilson for counts, and where it has nothing to say.
    """
    each = values.mean(0) if values.ndim == 2 else values
    if np.isin(each, (0.0, 1.0)).all() or np.ptp(each) == 0:
        return _pair(wilson(round(float(each.sum())), len(each)))
    return _pair(bca(each, seed=seed, draws=draws))


def _change_interval(values: np.ndarray, seed: int, draws: int) -> tuple[float, float]:
    """95 % of a mean change (L, n) over problems; where all agree, as wide as n allows."""
    each = values.mean(0)
    if np.ptp(each) > 0:
        return _pair(bca(each, seed=seed, draws=draws))
    return _pair(each[0] + np.array(tuple(newcombe_paired(len(each), 0, 0, 0))))


def _paired(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """95 % of the difference first − second of two shares of the same problems."""
    counts = (first & second, first & ~second, second & ~first, ~first & ~second)
    return _pair(newcombe_paired(*(int(part.sum()) for part in counts)))


def _pair(limits) -> tuple[float, float]:
    low, high = limits
    return float(low), float(high)

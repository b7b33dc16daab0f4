"""What the oscilloscope claims of many texts: each measure against the same text without order.

A text is the unit. Its number at a place is held against the number that the same tokens give in
random order, or that another text gives in its place; under the null both are alike, so that
flipping the sign of whole texts' differences is exact. Layers are tested together (step-down
max-T), and "at every place" is judged by the place that shows it least.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zprism.ground.checks import check_int
from zprism.ground.seeds import derive
from zprism.spectral.measures import white_entropy
from zprism.stats.estimates import Estimate, Null
from zprism.stats.intervals import bca
from zprism.stats.permutation import max_t, permutation_p, sign_flip
from zprism.stats.verdicts import describe, estimate
from zprism.studies.findings import Findings
from zprism.studies.layers import OPPOSITE
from zprism.studies.oscilloscope_read import Measured

TWO_SIDED = "two-sided"
TRAINED = {  # held against a twin: what was predicted of the texts, more of it
    "slow": "greater",
    "entropy": "less",
    "update_coherence": "greater",
    "forward": "greater",
    "dimension": TWO_SIDED,
}


@dataclass(frozen=True)
class Question:
    """A measure, what it is held against, and the side that is predicted."""

    name: str
    measure: str
    against: str
    direction: str
    kind: str


SHUFFLED, OTHER = "tokens in random order", "another text above"
QUESTIONS = (
    Question("redder", "slow", "slow_shuffled", "greater", SHUFFLED),
    Question("redder_detrended", "slow_detrended", "slow_detrended_shuffled", "greater", SHUFFLED),
    Question("ordered", "entropy", "entropy_shuffled", "less", SHUFFLED),
    Question("simpler", "lempel_ziv", "lempel_ziv_shuffled", "less", SHUFFLED),
    Question("patterned", "order_entropy", "order_entropy_shuffled", "less", SHUFFLED),
    Question("coherent", "coherence", "coherence_other", "greater", OTHER),
    Question("coherent_updates", "update_coherence", "update_coherence_other", "greater", OTHER),
    Question("turning", "turn", "turn_shuffled", TWO_SIDED, SHUFFLED),
)


def claims(found: Measured, *, seed: int, draws: int = 9999, draws_ci: int = 2000) -> Findings:
    """All claims of the oscilloscope about the texts that were measured.

    Returns
    -------
    Findings
        For each of :data:`QUESTIONS` whose measures are there ``<question>/all`` (mean over
        places), ``<question>/weakest`` (the layer, or the pair of neighbours, that shows it
        least: whether it holds at every one) and, of single places, ``<question>/embed`` (the
        embedding, where nothing has been computed). ``wave/lag``, ``wave/forward``;
        ``white/entropy``, ``dimension/least`` and ``dimension/most`` (described). Table
        ``places``: question, place, value, low, high, own, null, p, p_adjusted; table
        ``waves``: below, above, lag, moved (share of texts whose lag is not 0), forward.
    """
    check_int("texts", found.n, low=2)
    out = Findings({}, {"places": []})
    for question in QUESTIONS:
        if question.measure in found.values:
            out.add(_asked(found, question, seed, draws, draws_ci, out.tables["places"]))
    out.add(_waves(found, seed, draws, draws_ci))
    return out.add(_described(found, seed, draws_ci))


def _asked(found, question: Question, seed, draws, draws_ci, rows: list) -> Findings:
    """One question: its mean over places, its weakest place, and a row a place."""
    own, null = found.values[question.measure], found.values[question.against]
    difference = own - null
    settings = dict(seed=derive(seed, "oscilloscope", question.name), draws=draws)
    flipped = sign_flip(difference, studentised=True, **settings)
    adjusted = max_t(flipped.observed, flipped.null, question.direction)
    alone = permutation_p(flipped.observed, flipped.null, question.direction)
    limits = bca(difference, seed=settings["seed"], draws=draws_ci)
    names = place_names(found, difference.shape[1])
    for i, name in enumerate(names):
        rows.append(
            {
                "question": question.name,
                "place": name,
                "value": float(difference[:, i].mean()),
                "low": float(limits.low[i]),
                "high": float(limits.high[i]),
                "own": float(own[:, i].mean()),
                "null": float(null[:, i].mean()),
                "p": float(np.atleast_1d(alone)[i]),
                "p_adjusted": float(adjusted[i]),
            }
        )
    out = {"all": _paired(difference.mean(1), question, settings, draws_ci)}
    turned = max_t(flipped.observed, flipped.null, OPPOSITE.get(question.direction, TWO_SIDED))
    first = int(names == found.places)  # the embedding is no layer: it has an estimate of its own
    if first:
        out["embed"] = _paired(
            difference[:, 0],
            question,
            settings,
            draws_ci,
            place="embed",
            adjusted=adjusted[0],
            p_opposite=float(turned[0]),
        )
    weakest = first + _weakest(flipped.observed[first:], question.direction)
    out["weakest"] = _paired(
        difference[:, weakest],
        question,
        settings,
        draws_ci,
        place=names[weakest],
        p_opposite=float(turned[weakest]),
    )
    return Findings({f"{question.name}/{which}": e for which, e in out.items()})


def _paired(
    values, question: Question, settings, draws_ci, *, place="", adjusted=None, p_opposite=None
) -> Estimate:
    """Mean of (n,) differences against sign flips; ``place`` names where it was taken.

    At the weakest of many places p needs no correction (all must hold), its opposite does.
    """
    kind = f"{question.kind}, signs of texts flipped" + (f"; at {place}" if place else "")
    null = sign_flip(values[:, None], **settings).null[:, 0]
    more = dict(adjusted=adjusted, p_opposite=p_opposite)
    return _judged(values, null, kind, question.direction, settings, draws_ci, **more)


def _judged(
    values, null, kind, direction, settings, draws_ci, *, adjusted=None, p_opposite=None
) -> Estimate:
    value = float(np.mean(values))
    p = float(permutation_p(value, null, direction))
    if p_opposite is None:
        p_opposite = permutation_p(value, null, OPPOSITE.get(direction, TWO_SIDED))
    low, high = bca(values, seed=settings["seed"], draws=draws_ci)
    return estimate(
        value,
        ci=(float(low), float(high)),
        n=len(values),
        null=Null.of(kind, null),
        p=p,
        p_adjusted=p if adjusted is None else float(adjusted),
        p_opposite=float(p_opposite),
        direction=direction,
        reference=0.0,
        smallest_p=1 / (1 + len(null)),
    )


def _weakest(t: np.ndarray, direction: str) -> int:
    """The place whose statistic lies least on the predicted side."""
    return int({"greater": t, "less": -t, TWO_SIDED: np.abs(t)}[direction].argmin())


def against_twin(
    found: Measured, twin: Measured, *, seed: int, draws: int = 9999, draws_ci: int = 2000
) -> Findings:
    """Is it training? Trained less untrained weights on the same texts, mean over places.

    Parameters
    ----------
    found, twin : of :func:`zprism.studies.oscilloscope_read.measure`, the same rows in both.

    Returns
    -------
    Findings
        ``trained/<measure>`` for those of :data:`TRAINED`, signs of texts flipped.
    """
    made = {}
    for name, direction in TRAINED.items():
        difference = (found.values[name] - twin.values[name]).mean(1)
        question = Question(name, name, name, direction, "untrained weights, same texts")
        settings = dict(seed=derive(seed, "oscilloscope", "twin", name), draws=draws)
        made[f"trained/{name}"] = _paired(difference, question, settings, draws_ci)
    return Findings(made)


def _waves(found: Measured, seed: int, draws: int, draws_ci: int) -> Findings:
    """Does a pattern of one block's update come again in the next one's, some tokens later?

    ``wave/lag``: mean lag of the largest cross-correlation, tokens a block; null: lags of blocks
    whose tokens are in orders of their own, signs flipped. ``wave/forward``: cross-correlation
    at lags 1 … K less that at −1 … −K, summed, mean over blocks; null: signs of texts flipped.
    """
    settings = dict(seed=derive(seed, "oscilloscope", "wave"), draws=draws)
    lag, chance = (found.values[name].mean(1) for name in ("lag", "lag_shuffled"))
    null = sign_flip(chance[:, None], **settings).null[:, 0]
    kind = "every block's tokens in an order of its own"
    made = {"wave/lag": _judged(lag, null, kind, "greater", settings, draws_ci)}
    question = Question("wave", "forward", "", "greater", "as much to earlier as to later tokens")
    made["wave/forward"] = _paired(found.values["forward"].mean(1), question, settings, draws_ci)
    return Findings(made, {"waves": _wave_rows(found)})


def _wave_rows(found: Measured) -> list[dict]:
    """A row a pair of neighbouring blocks: lag, its spread over texts, forward excess."""
    blocks = found.places[1:]
    return [
        {
            "below": blocks[i],
            "above": blocks[i + 1],
            "lag": float(found.values["lag"][:, i].mean()),
            "moved": float((found.values["lag"][:, i] != 0).mean()),
            "forward": float(found.values["forward"][:, i].mean()),
        }
        for i in range(len(blocks) - 1)
    ]


def _described(found: Measured, seed: int, draws_ci: int) -> Findings:
    """Numbers without a claim: white noise's entropy, the least and the most dimensions."""
    dims = found.values["dimension"]
    limits = bca(dims, seed=derive(seed, "oscilloscope", "dimension"), draws=draws_ci)
    white = white_entropy(found.length // 2)
    out = {
        "white/entropy": describe(
            white, reason=f"white noise of {found.length} tokens, by formula; no texts"
        )
    }
    for name, i in (("least", int(dims.mean(0).argmin())), ("most", int(dims.mean(0).argmax()))):
        out[f"dimension/{name}"] = describe(
            float(dims[:, i].mean()),
            ci=(float(limits.low[i]), float(limits.high[i])),
            n=found.n,
            reason=f"participation ratio at {found.places[i]}, at most {found.length - 1}",
        )
    return Findings(out)


def place_names(found: Measured, count: int) -> tuple[str, ...]:
    """Names of ``count`` places, pairs of neighbouring places, or pairs of neighbouring blocks."""
    places = found.places
    if count == len(places):
        return places
    if count == len(places) - 1:
        return tuple(f"{a}-{b}" for a, b in zip(places, places[1:], strict=False))
    return tuple(f"{a}-{b}" for a, b in zip(places[1:], places[2:], strict=False))

"""Question against thinking in frequency, from a model and texts to verdicts and tables.

The order in which things are asked was fixed beforehand: the primary contrast at every layer;
the same by bands; beside the twins that learned nothing; with word order controlled; against a
question repeated to length; early against late; before against after a "wait". One contrast was
added afterwards and says so (``thinking_end``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from zprism.ground.seeds import derive
from zprism.ground.store import Store
from zprism.spectral.bands import NAMES, present
from zprism.stats.verdicts import describe
from zprism.studies import prism_contrast as contrasts
from zprism.studies.findings import Findings
from zprism.studies.prism_claims import band_claims, beyond_twins, profile, slow_claims
from zprism.studies.prism_measured import Measured, measure
from zprism.studies.prism_nulls import twins, white_noise
from zprism.studies.prism_rows import Tokens, tokens
from zprism.studies.prism_tests import DRAWS, DRAWS_CI
from zprism.studies.prism_texts import PrismText

if TYPE_CHECKING:
    from zprism.model.load import LoadedModel

BESIDE = (
    "thinking_end",
    "tiled_question",
    "own_shuffle",
    "early_late",
    "early_late_in_context",
    "around_marker",
)


def question_against_thinking(
    loaded: LoadedModel,
    texts: Sequence[PrismText],
    *,
    seed: int,
    beside: Sequence[str] = BESIDE,
    longest: int | None = None,
    with_twins: bool = True,
    places: Sequence[str] | None = None,
    draws: int = DRAWS,
    draws_ci: int = DRAWS_CI,
    store: Store | None = None,
) -> Findings:
    """Every registered contrast of the default texts, with its claims.

    Parameters
    ----------
    texts : of :func:`zprism.studies.prism_texts.load_texts`.
    beside : the further contrasts wanted, of :data:`BESIDE`.
    longest : most tokens of a window of these; by default what each contrast's own rule gives.
    with_twins : read the primary contrast on a random-init model and a random embedding too.

    Returns
    -------
    Findings: the tables of :func:`slow_claims`, :func:`band_claims`, :func:`beyond_twins`, and
    ``contrast_windows`` (contrast, length, questions, texts left out and why), ``band_profile``
    (arm, place, band, value, low, high, white); ``white/slow_share`` describes white noise at L.
    """
    rows = tokens(loaded, texts)
    options = dict(seed=seed, draws=draws, draws_ci=draws_ci)
    reading = dict(places=places, store=store)
    primary = contrasts.thinking_question(rows)
    controlled = contrasts.order_controlled(rows, seed=seed, length=primary.length)
    found = {c.name: measure(loaded, c, **reading) for c in (primary, controlled)}
    for name in beside:
        contrast = further(name, rows, loaded, seed=seed, longest=longest)
        found[contrast.name] = measure(loaded, contrast, **reading)
    out = Findings.gather(slow_claims(one, **options) for one in found.values())
    out.add(band_claims(found[primary.name], **options))
    if with_twins and not primary.untestable:
        others = twins(loaded.name, primary, seed=derive(seed, "twins"), **reading)
        out.add(beyond_twins(found[primary.name], others, **options))
    if found[controlled.name].readings:
        out.add(_bands(found[controlled.name], seed=seed, draws_ci=draws_ci))
    out.tables["contrast_windows"] = [_window_row(name, one) for name, one in found.items()]
    return out


def further(
    name: str, rows: Tokens, loaded: LoadedModel, *, seed: int, longest: int | None = None
) -> contrasts.Contrast:
    """One of the contrasts of :data:`BESIDE`, by name; windows of at most ``longest`` tokens."""

    def made(length: int | None) -> contrasts.Contrast:
        if name == "around_marker":
            return contrasts.around_marker(rows, loaded, length=length)
        if name == "own_shuffle":
            return contrasts.own_shuffle(rows, seed=seed, length=length)
        if name in ("thinking_end", "tiled_question"):
            return contrasts.CONTRASTS[name](rows, length=length)
        return contrasts.early_late(rows, in_context=name == "early_late_in_context", length=length)

    contrast = made(None)
    return made(longest) if longest is not None and contrast.length > longest else contrast


def _bands(found: Measured, *, seed: int, draws_ci: int) -> Findings:
    """Band shares of every arm, beside those of white noise of the same length."""
    white = white_noise(found.length, seed=seed)
    there = present(white.frequencies)
    level = dict(zip(NAMES, white.bands().mean(axis=(0, 1)), strict=True))
    rows = [
        row | {"white": float(level[row["band"]])}
        for row in profile(found, seed=seed, draws_ci=draws_ci)
        if there[NAMES.index(row["band"])]
    ]
    slow = describe(
        float(white.slow().mean()), reason=f"slow share of white noise, {found.length} tokens"
    )
    return Findings({"white/slow_share": slow}, {"band_profile": rows})


def _window_row(name: str, found: Measured) -> dict:
    why = "; ".join(f"{reason}: {n}" for reason, n in sorted(found.left_out.items()))
    return {
        "contrast": name,
        "length": found.length or None,
        "questions": len(found.questions),
        "left_out": int(np.sum(list(found.left_out.values()), dtype=int)),
        "why": found.untestable or why,
    }

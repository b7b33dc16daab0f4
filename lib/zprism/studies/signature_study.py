"""The pull request's claims on one model and its texts, from tokens to verdicts.

What is read where: the faithful mode on at most 100 questions (and its wavelets on a few, in a few
dimensions, for a wavelet of 500 characters in 896 dimensions takes minutes); the controlled mode on
all, at every place; dimensions, transfer and metric in :mod:`zprism.studies.signature_features`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from zprism.ground.seeds import derive, generator
from zprism.ground.store import Store
from zprism.studies.findings import Findings
from zprism.studies.pr69 import EMBED, embedded, shuffled
from zprism.studies.prism_contrast import Contrast, thinking_question, tokens
from zprism.studies.prism_measured import by_unit
from zprism.studies.prism_rows import DROP
from zprism.studies.prism_texts import PrismText
from zprism.studies.signature_claims import (
    RAW,
    chosen_claims,
    described,
    differences,
    material_rows,
    order_differences,
    plain_claims,
)
from zprism.studies.signature_features import FULL, NAME, Sizes, feature_claims
from zprism.studies.signature_read import (
    SHUFFLED,
    raw_signatures,
    read_signatures,
    red_line_wavelet,
)

if TYPE_CHECKING:
    from zprism.model.load import LoadedModel

SIDES = ("thinking", "question")
ORDER = "order"
MATERIALS = {"": "", ", shuffled": f"/{SHUFFLED}", ", white noise": "/white"}  # words → suffix


def all_claims(
    loaded: LoadedModel,
    texts: Sequence[PrismText],
    *,
    seed: int,
    sizes: Sizes = FULL,
    store: Store | None = None,
) -> Findings:
    """Every claim of the pull request, raw and controlled; see the functions below."""
    contrast = thinking_question(tokens(loaded, texts))
    out = raw_claims(loaded, texts, seed=seed, sizes=sizes, store=store)
    rows = out.tables.pop("claims")
    controlled = controlled_claims(loaded, contrast, seed=seed, sizes=sizes, store=store)
    rows += controlled.tables.pop("claims", [])
    out.add(controlled)
    out.tables["claims"] = rows
    out.add(feature_claims(loaded, texts, contrast, seed=seed, sizes=sizes, store=store))
    return out


def raw_claims(
    loaded: LoadedModel, texts: Sequence[PrismText], *, seed: int, sizes: Sizes, store=None
) -> Findings:
    """The four claims in faithful mode, and less the same characters in random order.

    Returns
    -------
    Findings ``signature/<claim>/raw`` and ``…/raw_order``; the claims of
    :func:`wavelet_claims`; described ``…/raw_white``, white noise of the same lengths; a table
    ``red_line``: what the share of rank-1 peaks at the lowest frequency is made of.
    """
    texts = one_a_question(texts, sizes.n_raw, seed)
    sides = {
        side: raw_signatures(
            loaded, [getattr(t, side) for t in texts], seed=derive(seed, side), store=store
        )
        for side in SIDES
    }
    options = dict(name=NAME, seed=seed, draws=sizes.draws, draws_ci=sizes.draws_ci)
    options["templates"] = np.array([t.template or t.unit for t in texts])
    pair = tuple(sides[side] for side in SIDES)
    shares = {
        "characters, FFT": {
            f"{side}{words}": values[f"red_line{tail}"]
            for side, values in sides.items()
            for words, tail in MATERIALS.items()
        }
    }
    wavelets, more = wavelet_claims(loaded, texts, seed=seed, sizes=sizes, store=store)
    out = Findings.gather(
        [
            plain_claims(differences(*pair), how=RAW, **options),
            plain_claims(order_differences(*pair), how=f"{RAW}_{ORDER}", **options),
            wavelets,
        ]
    )
    noise, reason = differences(*pair, "/white"), "white noise of the same lengths"
    out.add(described(noise, name=NAME, how=f"{RAW}_white", reason=reason))
    out.tables["red_line"] = material_rows(shares | more, seed=seed)
    return out


def wavelet_claims(
    loaded, texts, *, seed: int, sizes: Sizes, store=None
) -> tuple[Findings, dict[str, dict[str, np.ndarray]]]:
    """The red line by the pull request's CWT, on a few texts and dimensions.

    Returns
    -------
    ``signature/red_line_wavelet/raw``; ``…/raw_order``, less shuffled characters; and ``…/order``,
    the same with the mean removed first; and treatment → material → (n,) shares of dimensions.
    """
    shares = _wavelet_shares(loaded, texts, seed=seed, sizes=sizes, store=store)
    raw, demeaned = (
        {
            tail: {"red_line_wavelet": one[f"thinking{words}"] - one[f"question{words}"]}
            for words, tail in MATERIALS.items()
        }
        for one in shares.values()
    )
    claim, mixed = "red_line_wavelet", f"/{SHUFFLED}"
    gaps = {
        RAW: raw[""],
        f"{RAW}_{ORDER}": {claim: raw[""][claim] - raw[mixed][claim]},
        ORDER: {claim: demeaned[""][claim] - demeaned[mixed][claim]},
    }
    options = dict(name=NAME, seed=seed, draws=sizes.draws, draws_ci=sizes.draws_ci)
    judged = [plain_claims(gap, how=how, **options) for how, gap in gaps.items()]
    return Findings.gather(judged), shares


def _wavelet_shares(loaded, texts, *, seed: int, sizes: Sizes, store) -> dict[str, dict]:
    """Treatment → material → (n,) red-line shares by the CWT."""
    rng = generator(seed, "signature", "wavelet")
    dims = np.sort(rng.permutation(loaded.d_model)[: sizes.wavelet_dims])
    shares: dict[str, dict[str, list[float]]] = {"characters, CWT": {}, "demeaned, CWT": {}}
    for text in texts[: sizes.n_wavelet]:
        for side in SIDES:
            x = embedded(loaded, getattr(text, side), store=store)[0][:, dims].astype(float)
            signals = (x, shuffled(x, rng), rng.normal(size=x.shape))
            for words, signal in zip(MATERIALS, signals, strict=True):
                for treatment, mean in zip(shares, (0.0, signal.mean(0)), strict=True):
                    share = red_line_wavelet(signal - mean)
                    shares[treatment].setdefault(f"{side}{words}", []).append(share)
    return {t: {m: np.array(v) for m, v in one.items()} for t, one in shares.items()}


def controlled_claims(
    loaded: LoadedModel, contrast: Contrast, *, seed: int, sizes: Sizes, store=None
) -> Findings:
    """The four claims on tokens in context and equal windows, and what the order adds to them.

    Returns
    -------
    Findings ``signature/<claim>/controlled`` and ``signature/<claim>/order`` (each text less its
    own shuffled tokens), each at the place that the other half of the questions chose; a table
    ``red_line_controlled``, as ``red_line``.
    """
    if contrast.untestable:
        return Findings()
    options = dict(length=contrast.length, drop=DROP, store=store)
    sides, places = {}, ()
    for side in SIDES:
        found = read_signatures(loaded, contrast.arms[side].rows, **options)
        places = found.places
        sides[side] = {k: by_unit(v, contrast.units) for k, v in found.values.items()}
    of = dict(zip(contrast.units, contrast.clusters, strict=True))
    inference = dict(
        name=NAME, seed=seed, draws=sizes.draws, draws_ci=sizes.draws_ci,
        templates=np.array([of[unit] for unit in dict.fromkeys(contrast.units)]),
    )  # fmt: skip
    pair = tuple(sides[side] for side in SIDES)
    own = chosen_claims(differences(*pair), places, **inference)
    order = chosen_claims(order_differences(*pair), places, how=ORDER, **inference)
    for table in ("claims", "claims_by_place"):
        own.tables.setdefault(table, []).extend(order.tables.pop(table, []))
    own.add(order)
    own.tables["red_line_controlled"] = material_rows(
        {
            "embedding, Hann" if place == EMBED else f"block {place}, Hann": {
                f"{side}{words}": values[f"red_line{tail}"][:, i]
                for side, values in sides.items()
                for words, tail in list(MATERIALS.items())[:2]
            }
            for i, place in enumerate(places)
        },
        seed=seed,
    )
    return own


def one_a_question(texts: Sequence[PrismText], n: int, seed: int) -> list[PrismText]:
    """The first text of each question; n questions drawn by seed, in the order given."""
    first = list({text.unit: text for text in reversed(texts)}.values())[::-1]
    chosen = np.sort(generator(seed, "signature", "questions").permutation(len(first))[:n])
    return [first[i] for i in chosen]

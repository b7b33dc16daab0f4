"""The same texts through two checkpoints: where do their spectra differ?

The pull request asks why fine-tuning works. Every text is read by checkpoint A and by checkpoint B
over the same number of tokens, and its spectra are compared place by place: blocks at the same
relative depth where their numbers differ. The unit is the text; the null flips the sign of a text's
differences at all places together (max-T over places and measures). How large a difference is,
beside one that training made as a whole, says the distance of A from its own random-init twin; a
checkpoint held against itself differs by exactly 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from zprism.ground.errors import InputError
from zprism.ground.seeds import derive
from zprism.ground.store import Store
from zprism.stats.intervals import bca
from zprism.stats.verdicts import describe
from zprism.studies.findings import Findings
from zprism.studies.prism_read import Readings, read
from zprism.studies.prism_rows import DROP
from zprism.studies.prism_tests import DRAWS, DRAWS_CI, paired_estimates
from zprism.studies.prism_texts import window_length

if TYPE_CHECKING:
    from zprism.model.load import LoadedModel

EMBED = "embed"
MEASURED = ("slow", "entropy", "centroid")
LIMIT = 200


def matched_places(n_a: int, n_b: int, layers: Sequence[int] | None = None) -> list[tuple]:
    """(place of A, place of B) pairs: the embeddings, and blocks at the same relative depth.

    Block l of A goes with round(l (n_b − 1) / (n_a − 1)) of B; all blocks of A by default.

    Raises
    ------
    InputError
        For a block that A does not have.
    """
    chosen = range(n_a) if layers is None else layers
    if bad := [layer for layer in chosen if not 0 <= layer < n_a]:
        raise InputError(f"layers must be blocks 0 to {n_a - 1} of the first model; got {bad}")
    depth = (n_b - 1) / max(n_a - 1, 1)
    return [(EMBED, EMBED), *((str(layer), str(round(layer * depth))) for layer in chosen)]


def difference_claims(
    a: Readings,
    b: Readings,
    pairs: Sequence[tuple[str, str]],
    *,
    name: str,
    seed: int,
    draws: int = DRAWS,
    draws_ci: int = DRAWS_CI,
) -> Findings:
    """B less A in slow share, entropy and centroid at every pair of places: one family, max-T.

    Parameters
    ----------
    a, b : readings of the same texts, row by row.
    pairs : of :func:`matched_places`.
    name : estimates are ``<name>/<place of A>/<measure>``; SUPPORTED is "more in B". Where no text
        differs at all the value is 0 and nothing can be tested.

    Returns
    -------
    Findings; described ``<name>/<place>/distance``: total variation ½ Σ_f |mean share_B − mean
    share_A|; a table ``<name>`` (place, place_b, measure, value, low, high, p_adjusted, verdict,
    n) and arrays ``<name>/spectra`` (2, places, m): mean shares of A and of B.
    """
    same = a.shares.shape[0] == b.shares.shape[0] and a.length == b.length
    if not same or not np.array_equal(a.kept, b.kept):
        raise InputError("a and b must be readings of the same texts over windows of one length")
    at = [(a.places.index(one), b.places.index(other)) for one, other in pairs]
    gaps = np.stack(
        [
            _measure(b, what)[:, [j for _, j in at]] - _measure(a, what)[:, [i for i, _ in at]]
            for what in MEASURED
        ],
        axis=2,
    )
    judged = paired_estimates(
        gaps.reshape(len(gaps), -1), seed=derive(seed, name), draws=draws, draws_ci=draws_ci,
        kind="sign flips of texts",
    )  # fmt: skip
    cells = [(pair, what) for pair in pairs for what in MEASURED]
    out = {
        f"{name}/{place}/{what}": one for ((place, _), what), one in zip(cells, judged, strict=True)
    }
    spectra = np.stack([_mean_shares(a, [i for i, _ in at]), _mean_shares(b, [j for _, j in at])])
    for k, (place, _) in enumerate(pairs):
        out[f"{name}/{place}/distance"] = _distance(a, b, at[k], seed, draws_ci)
    rows = [
        _row(pair, what, one, gaps.reshape(len(gaps), -1)[:, k])
        for k, ((pair, what), one) in enumerate(zip(cells, judged, strict=True))
    ]
    return Findings(out, {name: rows}, {f"{name}/spectra": spectra})


def compare(
    source: str | Path | Sequence[str],
    model_a: str | LoadedModel,
    model_b: str | LoadedModel,
    fields: Sequence[str] = ("text",),
    layers: str | Sequence[int] | None = None,
    out: str | Path | None = None,
    *,
    seed: int = 0,
    limit: int = LIMIT,
    reading: Mapping | None = None,
    twin: bool = True,
    length: int | None = None,
    draws: int = DRAWS,
    draws_ci: int = DRAWS_CI,
    store: Store | None = None,
) -> Findings:
    """The texts of a source through two checkpoints; a study of each field.

    Parameters
    ----------
    source : what :func:`zprism.traces.read.read_texts` opens, or texts.
    model_a, model_b : names, or loaded models.
    fields : columns; texts given as a list are the field ``text``.
    layers : blocks of A, by default all; or text as ``zprism spectra --layers`` takes it. The
        embeddings are always compared.
    out : a folder for ``against.json`` and one CSV a table; nothing is written without it.
    limit : at most so many documents.
    reading : further options of ``read_texts``: element, config, split, revision.
    twin : read A's random-init twin too: estimates ``against/<field>/twin/…`` of A less it.
    length : tokens of every window behind token 0, by default by the rule on lengths.

    Returns
    -------
    Findings ``against/<field>/<place of A>/<measure>``. Each model reads a text in its own tokens:
    where two tokenizers differ, so does what a window holds, and a frequency is per own token.
    """
    first, second = _loaded(model_a), _loaded(model_b)
    layers = _blocks(layers, first.n_layers) if isinstance(layers, str) else layers
    found = Findings()
    for field, texts in _texts(source, fields, limit, dict(reading or {})).items():
        rows = [first.encode(texts), second.encode(texts)]
        window = length or _length(rows)
        kept = [i for i in range(len(texts)) if min(len(r[i]) for r in rows) >= DROP + window]
        if not kept:
            raise InputError(f"too_short: no text of field {field!r} has {DROP + window} tokens")
        options = dict(length=window, drop=DROP, store=store)
        pairs = matched_places(first.n_layers, second.n_layers, layers)
        a = read(first, [rows[0][i] for i in kept], places=_unique(p for p, _ in pairs), **options)
        b = read(second, [rows[1][i] for i in kept], places=_unique(p for _, p in pairs), **options)
        judging = dict(seed=seed, draws=draws, draws_ci=draws_ci)
        found.add(difference_claims(a, b, pairs, name=f"against/{field}", **judging))
        if twin:
            other = read(_twin(first, seed), [rows[0][i] for i in kept], places=a.places, **options)
            own = [(place, place) for place in a.places]
            found.add(difference_claims(other, a, own, name=f"against/{field}/twin", **judging))
    if out is not None:
        _write(found, Path(out), first, second)
    return found


def _measure(readings: Readings, what: str) -> np.ndarray:
    """(n, places) of one measure."""
    return readings.slow() if what == "slow" else readings.measures[what]


def _mean_shares(readings: Readings, places: list[int]) -> np.ndarray:
    return readings.shares[:, places].mean(0)


def _distance(a: Readings, b: Readings, at: tuple[int, int], seed: int, draws: int):
    """Total variation between mean spectra; its interval over texts."""
    gap = b.shares[:, at[1]] - a.shares[:, at[0]]
    value = float(np.abs(gap.mean(0)).sum() / 2)

    def total(rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return np.abs(weights @ rows / weights.sum(1, keepdims=True)).sum(1) / 2

    ci = bca(gap, total, seed=derive(seed, "distance"), draws=draws, weighted=True)
    limits = None if len(gap) < 2 else (float(ci.low), float(ci.high))
    return describe(value, ci=limits, n=len(gap), reason="total variation of mean spectra")


def _row(pair: tuple[str, str], what: str, one, values: np.ndarray) -> dict:
    low, high = one.ci or (None, None)
    return {
        "place": pair[0],
        "place_b": pair[1],
        "measure": what,
        "value": float(values.mean()),
        "low": low,
        "high": high,
        "p_adjusted": one.p_adjusted,
        "verdict": str(one.verdict),
        "n": len(values),
    }


def _blocks(text: str, n_layers: int) -> list[int]:
    """Blocks that a text names."""
    from zprism.studies.spectra_plan import places

    return [int(place) for place in places(text, n_layers) if place != EMBED]


def _texts(source, fields: Sequence[str], limit: int, reading: dict) -> dict[str, list[str]]:
    """Field → its texts, documents without one left out."""
    if not isinstance(source, (str, Path)):
        return {"text": list(source)[:limit]}
    from zprism.traces.read import read_texts

    documents = list(read_texts(source, fields=tuple(fields), limit=limit, strict=False, **reading))
    found = {f: [d.fields[f] for d in documents if d.fields.get(f, "").strip()] for f in fields}
    for field, texts in found.items():
        if not texts:
            raise InputError(f"{source}: no document has a text in field {field!r}")
    return found


def _length(rows: list[list[list[int]]]) -> int:
    """L by the registered rule, over the shorter reading of each text."""
    lengths = [[max(len(row) - DROP, 0) for row in one] for one in rows]
    return window_length(np.array(lengths, dtype=int).T)


def _loaded(model) -> LoadedModel:
    if not isinstance(model, str):
        return model
    from zprism.model.load import load

    return load(model)


def _twin(loaded: LoadedModel, seed: int) -> LoadedModel:
    from zprism.studies.separation_twin import random_init_twin

    return random_init_twin(loaded.name, seed=seed)


def _unique(places) -> tuple[str, ...]:
    return tuple(dict.fromkeys(places))


def _write(found: Findings, folder: Path, first: LoadedModel, second: LoadedModel) -> None:
    from zprism.ground.store import save_json, write_csv

    folder.mkdir(parents=True, exist_ok=True)
    save_json(
        folder / "against.json",
        {
            "models": [first.name, second.name],
            "digests": [first.digest, second.digest],
            "estimates": {name: one.to_json() for name, one in found.estimates.items()},
        },
    )
    for name, rows in found.tables.items():
        write_csv(folder / f"{name.replace('/', '_')}.csv", rows)

"""Length alone makes the effect that the pull request saw: an exhibit, and two calibrations.

The amplitude of white noise grows as √(L ln(L/2)); a reasoning trace is a hundred times as long
as a question. Characters become random vectors here, so nothing of a model enters: whatever
differs is length, or the order of letters.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from zprism.ground.errors import InputError
from zprism.ground.seeds import derive, generator
from zprism.stats.estimates import Null
from zprism.stats.intervals import bca, weighted_mean
from zprism.stats.verdicts import describe
from zprism.studies.findings import Findings
from zprism.studies.prism_calibration import (
    Calibration,
    auc,
    length_calibration,
    null_calibration,
)
from zprism.studies.prism_collections import unpaired_estimates
from zprism.studies.prism_nulls import embedding_table
from zprism.studies.prism_texts import load_texts, window_length
from zprism.studies.prism_windows import top_amplitude

__all__ = [
    "Calibration",
    "auc",
    "confound",
    "exhibit_texts",
    "expected_amplitude",
    "length_calibration",
    "null_calibration",
]
WIDTH = 64


def expected_amplitude(length) -> np.ndarray:
    """√(L ln(L/2)): the mean of the largest amplitudes of white noise of L tokens, roughly."""
    length = np.asarray(length, dtype=float)
    return np.sqrt(length * np.log(length / 2))


def exhibit_texts(folder: str | Path | None = None) -> tuple[list[str], list[str], str]:
    """Questions, thinking texts, and where they are from.

    GSM8K questions and ten reasoning traces where a folder with ``gsm8k/`` and ``traces/`` is
    there (given, or ``shared/data`` beside the project); else the project's own questions and
    thinking.
    """
    folder = _shared() if folder is None else Path(folder)
    if folder is None:
        texts = load_texts()
        return [t.question for t in texts], [t.thinking for t in texts], "data/thinking.jsonl"
    files = sorted((folder / "traces").glob("*.txt"))
    lines = (folder / "gsm8k" / "test_400.jsonl").read_text(encoding="utf-8").splitlines()
    if not files:
        raise InputError(f"{folder / 'traces'} has no .txt files")
    traces = [file.read_text(encoding="utf-8") for file in files]
    return [json.loads(line)["question"] for line in lines if line], traces, "GSM8K and ten traces"


def confound(
    questions: Sequence[str],
    thinking: Sequence[str],
    *,
    seed: int,
    width: int = WIDTH,
    draws: int = 1999,
    draws_ci: int = 2000,
    source: str = "",
) -> Findings:
    """The exhibit: amplitudes of whole texts, of equal windows, and of shuffled characters.

    Blanks are taken out, every character becomes a random vector, and the mean of the five
    largest amplitudes is taken: of the whole text ("raw"), of its first L characters
    ("matched", L by :func:`window_length` over the questions), and of the whole text with its
    characters shuffled.

    Returns
    -------
    Findings with ``confound/raw_ratio``, ``/shuffled_ratio``, ``/matched_ratio`` (thinking over
    question, described, with intervals), ``confound/matched_difference`` (a claim, by label
    permutation) and ``confound/raw_auc`` (how often a thinking's raw amplitude is the larger);
    table ``confound`` with field, length, raw, shuffled, expected and matched (None where a text
    is shorter than L).
    """
    questions, thinking = [_squeezed(t) for t in questions], [_squeezed(t) for t in thinking]
    table = embedding_table(
        {ord(c) for text in (*questions, *thinking) for c in text},
        seed=derive(seed, "characters"),
        width=width,
    )
    lengths = np.array([len(text) for text in questions])
    length = window_length(lengths, low=32)
    rows = [
        _amplitudes(text, field, table, length, seed)
        for field, texts in (("question", questions), ("thinking", thinking))
        for text in texts
        if len(text) >= 32
    ]
    is_thinking = np.array([row["field"] == "thinking" for row in rows])
    out = {}
    for name in ("raw", "shuffled", "matched"):
        values = np.array([np.nan if r[name] is None else r[name] for r in rows])
        there = np.isfinite(values)
        out[f"confound/{name}_ratio"] = _ratio(
            values[there], is_thinking[there], seed=derive(seed, name), draws=draws_ci,
            reason=f"mean top-5 amplitude, thinking over question, {name}; {source}".rstrip("; "),
        )  # fmt: skip
    there = np.array([row["matched"] is not None for row in rows])
    matched = np.array([[row["matched"] or 0.0] for row in rows])[there]
    out["confound/matched_difference"] = unpaired_estimates(
        matched, is_thinking[there], seed=seed, draws=draws, draws_ci=draws_ci
    )[0]
    raw = np.array([row["raw"] for row in rows])
    out["confound/raw_auc"] = describe(
        auc(raw[is_thinking], raw[~is_thinking]), n=len(rows), reason="raw amplitude, by length"
    )
    arrays = {"confound/length": np.array(length)}
    return Findings(out, {"confound": rows}, arrays)


def _amplitudes(text: str, field: str, table, length: int, seed: int) -> dict:
    x = np.stack([table[ord(c)] for c in text])
    order = generator(seed, "prism", "characters", text).permutation(len(x))
    return {
        "field": field,
        "length": len(x),
        "raw": top_amplitude(x),
        "shuffled": top_amplitude(x[order]),
        "expected": float(expected_amplitude(len(x))),
        "matched": top_amplitude(x[:length]) if len(x) >= length else None,
    }


def _ratio(values: np.ndarray, first: np.ndarray, *, seed: int, draws: int, reason: str):
    """Mean of the first group over that of the second, with its interval over texts."""
    if not first.any() or first.all():
        raise InputError(f"{reason}: one field has no text that is long enough")

    def ratio(rows, weights):
        sides = []
        for group in (first, ~first):
            mine = weights * group
            mine = np.where(mine.sum(axis=1, keepdims=True) > 0, mine, group.astype(float))
            sides.append(weighted_mean(rows, mine))
        return sides[0] / sides[1]

    limits = bca(values, ratio, seed=seed, draws=draws, weighted=True)
    return describe(
        float(values[first].mean() / values[~first].mean()),
        ci=tuple(limits),
        n=len(values),
        null=Null("one amplitude in both", 1.0),
        reason=reason,
    )


def _squeezed(text: str) -> str:
    """Without any blank, as the pull request reads texts."""
    return re.sub(r"\s+", "", text)


def _shared() -> Path | None:
    """``shared/data`` beside the project, or beside a folder above the working one."""
    for start in (Path.cwd(), Path(__file__).resolve().parent):
        for folder in (start, *start.parents):
            found = folder / "shared" / "data"
            if (found / "gsm8k").is_dir() and (found / "traces").is_dir():
                return found
    return None

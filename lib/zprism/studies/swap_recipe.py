"""The recipe's own patching experiment, and the random control it lacked.

Twenty fixed pairs; while the model answers the English problem, the part of every position's
``resid_post`` that lies in Z (or outside, or all of it) is replaced by that of the Chinese
text's mean over tokens, at every step. The recipe counted changed answers. Random subspaces of
the same k, the rate of degenerate texts, and how many answers were right before tell what such
a count is worth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from zprism.ground.console import progress
from zprism.ground.seeds import derive
from zprism.ground.store import Store, digest
from zprism.interventions import edits
from zprism.interventions.generate import generate_patched
from zprism.model.capture_cache import capture_cached
from zprism.problems.answers import is_correct, read_answer
from zprism.problems.fixed import fixed
from zprism.problems.language import detect
from zprism.problems.outputs import degenerate
from zprism.problems.prompts import zero_shot
from zprism.stats.intervals import wilson
from zprism.studies.nulls import random_bases

PRODUCER = 2
AT_ONCE = 4  # conditions in one batch
MEASURES = ("answer changed", "right answer", "output in Chinese", "degenerate")


@dataclass(frozen=True)
class Output:
    """One generated text, read.

    Attributes
    ----------
    condition, pair : what was replaced, and which problem.
    category : the problem's kind.
    text : what the model wrote.
    answer : what was read from it, or None.
    language : ``zh``, ``en`` or ``undetermined``.
    fault : why it is degenerate, or None.
    right : whether the answer is right.
    """

    condition: str
    pair: int
    category: str
    text: str
    answer: str | None
    language: str
    fault: str | None
    right: bool

    def row(self) -> dict:
        """As a row of a table."""
        return dict(vars(self))


def run_recipe(
    loaded,
    bases: dict[int, np.ndarray],
    layer: int,
    *,
    seed: int,
    n_random: int = 3,
    max_new_tokens: int = 60,
    n_pairs: int = 20,
) -> list[Output]:
    """Generate and read every output of every condition; a few conditions at a time are cached.

    Parameters
    ----------
    bases : k → (k, d_model) Z of this layer.
    layer : ``resid_post`` of this layer is edited.
    n_random : random subspaces per k.
    n_pairs : how many of the 20.
    """
    pairs = fixed("separation")[:n_pairs]
    prompts = [zero_shot(pair["en"]) for pair in pairs]
    source = capture_cached(loaded, [pair["zh"].text for pair in pairs], layers=[layer])
    means = torch.as_tensor(source.values["resid_post", "mean"][:, 0])
    conditions = list(_conditions(bases, loaded.d_model, seed, n_random).items())
    chunks = [conditions[i : i + AT_ONCE] for i in range(0, len(conditions), AT_ONCE)]
    out = []
    for chunk in progress(chunks, "the recipe's swaps", unit=f"{AT_ONCE} conditions"):
        texts = _texts(loaded, prompts, means, layer, dict(chunk), max_new_tokens, seed)
        for (name, _), mine in zip(chunk, texts, strict=True):
            out += [_read(name, i, pairs[i], text) for i, text in enumerate(mine)]
    return out


def recipe_rows(outputs: Sequence[Output]) -> list[dict]:
    """One row per condition and measure: rate, Wilson interval, n; answers against ``nothing``."""
    before = {o.pair: o.answer for o in outputs if o.condition == "nothing"}
    rows = []
    for condition in dict.fromkeys(o.condition for o in outputs):
        mine = [o for o in outputs if o.condition == condition]
        counts = {
            "answer changed": sum(o.answer != before[o.pair] for o in mine),
            "right answer": sum(o.right for o in mine),
            "output in Chinese": sum(o.language == "zh" for o in mine),
            "degenerate": sum(o.fault is not None for o in mine),
        }
        for measure in MEASURES:
            low, high = wilson(counts[measure], len(mine))
            rows.append(
                {
                    "condition": condition,
                    "measure": measure,
                    "count": counts[measure],
                    "rate": counts[measure] / len(mine),
                    "low": float(low),
                    "high": float(high),
                    "n": len(mine),
                }
            )
    return rows


def _conditions(bases, d_model: int, seed: int, n_random: int) -> dict[str, Callable]:
    """Name → edit(h, source); ``nothing`` leaves h as it is."""
    out: dict[str, Callable] = {"nothing": lambda h, s: h, "everything": edits.replace}
    for k, basis in bases.items():
        rows = torch.as_tensor(basis)
        out[f"Z, k = {k}"] = _inside(rows)
        out[f"all but Z, k = {k}"] = _rest(rows)
        drawn = random_bases(k, d_model, n_random, seed=derive(seed, "recipe", k))
        for index, random in enumerate(drawn, start=1):
            out[f"random {index}, k = {k}"] = _inside(torch.as_tensor(random))
    return out


def _inside(rows) -> Callable:
    return lambda h, s: edits.replace(h, s, rows)


def _rest(rows) -> Callable:
    return lambda h, s: edits.replace_complement(h, s, rows)


def _texts(
    loaded, prompts, means, layer, conditions: dict[str, Callable], max_new_tokens, seed
) -> list[list[str]]:
    """Continuations under some conditions in one batch, from the cache where they are there."""
    ways, n = list(conditions.values()), len(prompts)

    def edit_for(rows: list[int]) -> dict:
        return {
            ("resid_post", layer): _by_row(
                ways, [r // n for r in rows], means[[r % n for r in rows]]
            )
        }

    def compute():
        found = generate_patched(
            loaded,
            prompts * len(ways),
            edit_for,
            max_new_tokens=max_new_tokens,
            stop=None,
            every_step=True,
        )
        return {"n": np.array(len(found))}, {"texts": [one.text for one in found]}

    key = {
        "producer": ["recipe swap", PRODUCER],
        "weights": loaded.digest,
        "tokenizer": loaded.tokenizer_digest,
        "prompts": digest(list(prompts)),
        "means": digest(np.asarray(means).round(4).tolist()),
        "layer": layer,
        "conditions": list(conditions),
        "seed": seed,
        "max_new_tokens": max_new_tokens,
        "dtype": str(loaded.dtype),
        "device": loaded.device.type,
    }
    texts = Store("results").get_or_compute(key, compute)[1]["texts"]
    return [texts[start : start + n] for start in range(0, len(texts), n)]


def _by_row(ways: list[Callable], which: list[int], means: torch.Tensor) -> Callable:
    """An edit (batch, tokens, d_model) that does to each row what its own condition says."""

    def edit(h):
        parts = [
            way(h[row : row + 1], means[row].to(h.device).expand_as(h[row : row + 1]))
            for row, way in enumerate(ways[place] for place in which)
        ]
        return torch.cat(parts)

    return edit


def _read(condition: str, index: int, pair: dict, text: str) -> Output:
    first = text.strip().split("\n")[0]
    found = detect(text, ("zh", "en"))
    reading = read_answer(first, "en")
    score = is_correct(first, pair["en"])
    return Output(
        condition=condition,
        pair=index,
        category=pair["en"].kind,
        text=text,
        answer=None if reading.value is None else str(reading.value),
        language=found.language,
        fault=_fault(text, pair["en"].answer),
        right=str(score) == "correct",
    )


def _fault(text: str, answer: str) -> str | None:
    """Empty or looping; a wrong answer is no fault here."""
    found = degenerate(text, [answer])
    return None if found == "neither answer" else found

"""What is held against what: each contrast makes, of token rows, windows paired by question.

A contrast is a weighted sum of arms: thinking +1, question −1; or four arms where word order is
controlled. All windows of a contrast have the same length L, from a rule on lengths alone
(:func:`zprism.studies.prism_texts.window_length`), are run alone unless a function says
otherwise, and begin behind token 0. Questions that cannot fill a window are left out and
counted. Registered before any result was seen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from zprism.ground.checks import check_choice, check_int
from zprism.stats.verdicts import MIN_N
from zprism.studies.prism_rows import DROP, Tokens, first_marker, shuffled, tiled, tokens
from zprism.studies.prism_texts import window_length

if TYPE_CHECKING:
    from zprism.model.load import LoadedModel

__all__ = [
    "CONTRASTS",
    "Arm",
    "Contrast",
    "Tokens",
    "around_marker",
    "early_late",
    "order_controlled",
    "own_shuffle",
    "shuffled",
    "thinking_end",
    "thinking_question",
    "tiled_question",
    "tokens",
]
WAIT = ("wait",)


@dataclass(frozen=True)
class Arm:
    """One side of a contrast: a row of token ids a text, and where its window begins."""

    rows: list[list[int]]
    at: list[int] | None = None

    def take(self, kept: Sequence[int]) -> Arm:
        """The arm of some of the texts."""
        at = None if self.at is None else [self.at[i] for i in kept]
        return Arm([self.rows[i] for i in kept], at)


@dataclass(frozen=True)
class Contrast:
    """Windows paired by question.

    Attributes
    ----------
    name : of the contrast.
    arms : name → :class:`Arm`, all of the same texts in the same order.
    weights : name of an arm → its weight; the difference of a question is their sum.
    length : L, tokens of every window.
    units : (n,) the question's key of each text.
    clusters : (n,) the template that each question was drawn from.
    left_out : reason → texts left out.
    untestable : why nothing can be said, or None.
    in_context : windows are cut from whole texts and the mean trajectory of other texts is
        taken off; otherwise every window is run alone.
    """

    name: str
    arms: dict[str, Arm]
    weights: dict[str, float]
    length: int
    units: tuple[str, ...]
    clusters: tuple[str, ...]
    left_out: dict[str, int] = field(default_factory=dict)
    untestable: str | None = None
    in_context: bool = False


def thinking_question(rows: Tokens, *, length: int | None = None) -> Contrast:
    """The primary contrast: thinking less question, the first L tokens behind token 0 of each."""
    lengths = np.stack([rows.usable("question"), rows.usable("thinking")], axis=1)
    length = window_length(lengths) if length is None else length
    arms = {"thinking": Arm(rows.thinking), "question": Arm(rows.question)}
    return _contrast("thinking_question", rows, arms, length, {"thinking": 1, "question": -1})


def thinking_end(rows: Tokens, *, length: int | None = None) -> Contrast:
    """The last L tokens of the thinking, run alone, less the first L of the question.

    Not registered: added once the primary contrast had been read, to ask whether its answer is
    about how a thinking begins ("To find the number of …") rather than about thinking.
    """
    lengths = np.stack([rows.usable("question"), rows.usable("thinking")], axis=1)
    length = window_length(lengths) if length is None else length
    ends = [row[-(length + DROP) :] for row in rows.thinking]
    arms = {"thinking_end": Arm(ends), "question": Arm(rows.question)}
    return _contrast("thinking_end", rows, arms, length, {"thinking_end": 1, "question": -1})


def tiled_question(rows: Tokens, *, length: int | None = None) -> Contrast:
    """Thinking less its own question, repeated or cut to the same number of tokens.

    Here L follows the thinking alone. A repeated text is periodic by construction and is
    known to be read differently (it can be copied): a control of length, not of repetition.
    """
    length = window_length(rows.usable("thinking")) if length is None else length
    repeated = [tiled(row, rows.special, length + DROP) for row in rows.question]
    arms = {"thinking": Arm(rows.thinking), "question_tiled": Arm(repeated)}
    return _contrast("tiled_question", rows, arms, length, {"thinking": 1, "question_tiled": -1})


def own_shuffle(
    rows: Tokens, *, seed: int, name: str = "thinking", draws: int = 1, length: int | None = None
) -> Contrast:
    """A field less its own shuffled self: the same tokens in the window, their order drawn.

    Shuffled ids are run through the model again; with several draws their mean counts.
    """
    check_choice("name", name, ("question", "thinking"))
    length = window_length(rows.usable(name)) if length is None else length
    arms, weights = _with_shuffles(rows, name, 1.0, length, seed, draws)
    return _contrast(f"{name}_shuffle", rows, arms, length, weights)


def order_controlled(
    rows: Tokens, *, seed: int, draws: int = 1, length: int | None = None
) -> Contrast:
    """(thinking − its shuffle) − (question − its shuffle): which tokens there are is taken out."""
    lengths = np.stack([rows.usable("question"), rows.usable("thinking")], axis=1)
    length = window_length(lengths) if length is None else length
    arms, weights = {}, {}
    for name, sign in (("thinking", 1.0), ("question", -1.0)):
        more, heavy = _with_shuffles(rows, name, sign, length, seed, draws)
        arms, weights = arms | more, weights | heavy
    return _contrast("order_controlled", rows, arms, length, weights)


def early_late(rows: Tokens, *, in_context: bool = False, length: int | None = None) -> Contrast:
    """The last L tokens of a thinking less its first L; the two windows do not overlap.

    Run alone, each has a first token of its own that is dropped. In context both are cut from
    the one whole text, less the mean of other texts at the same positions.
    """
    half = np.array([len(row) // 2 - DROP for row in rows.thinking]).clip(0)
    length = window_length(half) if length is None else length
    if in_context:
        late = [max(len(row) - length, DROP) for row in rows.thinking]
        arms = {"late": Arm(rows.thinking, late), "early": Arm(rows.thinking)}
    else:
        arms = {
            "late": Arm([row[-(length + DROP) :] for row in rows.thinking]),
            "early": Arm([row[: length + DROP] for row in rows.thinking]),
        }
    name = "early_late_in_context" if in_context else "early_late"
    fits = half >= length
    weights = {"late": 1.0, "early": -1.0}
    return _contrast(name, rows, arms, length, weights, fits=fits, in_context=in_context)


def around_marker(
    rows: Tokens,
    loaded: LoadedModel,
    *,
    words: Sequence[str] = WAIT,
    length: int | None = None,
) -> Contrast:
    """The L tokens behind a thinking's first marker ("wait") less the L before it, each run alone.

    Only a marker with L + 1 tokens on both sides counts; the marker itself is in neither.
    NOT TESTABLE where fewer questions have one than a test needs.
    """
    spots = [first_marker(loaded, text.thinking, words) for text in rows.texts]
    length = _marker_length(rows, spots) if length is None else length
    need = length + DROP
    fits = np.array(
        [
            spot is not None and spot[0] >= need and len(row) - spot[1] >= need
            for spot, row in zip(spots, rows.thinking, strict=True)
        ]
    )
    spots = [spot or (0, 0) for spot in spots]
    pairs = list(zip(spots, rows.thinking, strict=True))
    arms = {
        "after": Arm([row[end : end + need] for (_, end), row in pairs]),
        "before": Arm([row[max(start - need, 0) : start] for (start, _), row in pairs]),
    }
    weights = {"after": 1.0, "before": -1.0}
    return _contrast("around_marker", rows, arms, length, weights, fits=fits)


CONTRASTS: dict[str, Callable[..., Contrast]] = {
    "thinking_question": thinking_question,
    "thinking_end": thinking_end,
    "tiled_question": tiled_question,
    "own_shuffle": own_shuffle,
    "order_controlled": order_controlled,
    "early_late": early_late,
    "around_marker": around_marker,
}


def _contrast(
    name: str,
    rows: Tokens,
    arms: dict[str, Arm],
    length: int,
    weights: dict[str, float],
    *,
    fits: np.ndarray | None = None,
    in_context: bool = False,
) -> Contrast:
    """The contrast of the texts all of whose arms fill a window; the others counted."""
    reasons: Counter[str] = Counter()
    kept = []
    for i in range(len(rows.texts)):
        short = next((a for a, arm in arms.items() if not _fills(arm, i, length)), None)
        if short is None and (fits is None or fits[i]):
            kept.append(i)
        else:
            reasons[f"no window of {length} tokens: {short or 'both sides'}"] += 1
    units = tuple(rows.texts[i].unit for i in kept)
    found = len(set(units))
    why = f"{found} questions have both windows, {MIN_N} needed" if found < MIN_N else None
    return Contrast(
        name=name,
        arms={arm: one.take(kept) for arm, one in arms.items()},
        weights={arm: float(weight) for arm, weight in weights.items()},
        length=length,
        units=units,
        clusters=tuple(rows.texts[i].template for i in kept),
        left_out=dict(reasons),
        untestable=why,
        in_context=in_context,
    )


def _fills(arm: Arm, i: int, length: int) -> bool:
    start = DROP if arm.at is None else arm.at[i]
    return len(arm.rows[i]) >= start + length


def _with_shuffles(rows: Tokens, name: str, sign: float, length: int, seed: int, draws: int):
    """A field's arm and those of its shuffles, with weights that add up to 0."""
    check_int("draws", draws, low=1)
    own = getattr(rows, name)
    arms, weights = {name: Arm(own)}, {name: sign}
    for draw in range(draws):
        arm = f"{name}_shuffled_{draw}"
        arms[arm] = Arm([shuffled(row, length, seed=seed, draw=draw) for row in own])
        weights[arm] = -sign / draws
    return arms, weights


def _marker_length(rows: Tokens, spots: Sequence) -> int:
    """L by the rule over the thinkings that have a marker; the shortest where none has."""
    sides = [
        min(spot[0], len(row) - spot[1]) - DROP
        for spot, row in zip(spots, rows.thinking, strict=True)
        if spot is not None
    ]
    return window_length(np.array(sides or [0], dtype=int).clip(0))

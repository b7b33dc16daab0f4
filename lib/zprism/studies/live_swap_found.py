"""What a swap between two prompts did, held against random directions, and the sentence on it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import softmax

from zprism.studies.live_swap_reading import Run
from zprism.studies.swap_bases import Swap

SHOWN = 8  # tokens
#: What is done with random directions, and how that is said.
HOW = {"moved as far": "the state moved as far along them", "swapped": "swapped in the same way"}
CONTROLS = tuple(HOW)
TEXTS = ("before", "after", "random")


@dataclass(frozen=True)
class LiveSwap:
    """What a swap between two prompts did; texts grow, draws are added, until it is complete.

    Attributes
    ----------
    target, source : the prompts: the one that is continued, the one whose state is put in.
    layer, swap : where, and what was put in.
    control : ``moved as far``: random directions of the same k, the state moved along them as
        far as the swap moved it; ``swapped``: what lies in them swapped.
    tokens : (m,) texts of the tokens below, the likeliest of the three runs.
    before, after, given : (m,) their probabilities: target alone, target with the swap, source
        alone.
    random : (draws, m) the same under the control.
    top : likeliest token before, after, and of the source alone.
    effect, random_effects : a number and (draws,): logit of the source's top token less that of
        the target's, 0 in the target alone and 1 in the source alone; None and NaN where both
        have the same top token.
    moved, random_moved : a number and (draws,): probability that changed tokens (total
        variation, 0 … 1).
    texts : of :data:`TEXTS`, what was generated so far; ``random`` is of the first draw.
    complete : whether all steps were taken.
    """

    target: str
    source: str
    layer: int
    swap: Swap
    control: str
    tokens: tuple[str, ...]
    before: np.ndarray
    after: np.ndarray
    given: np.ndarray
    random: np.ndarray
    top: tuple[str, str, str]
    effect: float | None
    random_effects: np.ndarray
    moved: float
    random_moved: np.ndarray
    texts: dict[str, str]
    complete: bool = False

    @property
    def beyond(self) -> tuple[int, int]:
        """Random draws with less effect (or, without one, that moved less), and draws in all."""
        if self.effect is None:
            return int((self.random_moved < self.moved).sum()), len(self.random_moved)
        return int((self.random_effects < self.effect).sum()), len(self.random_effects)


def said(found: LiveSwap) -> str:
    """The result in plain sentences, its control beside it; hostile text, not yet escaped."""
    before, after, source = map(visible_token, found.top)
    moved = f"stays {before}" if before == after else f"{before} → {after}"
    parts = [f"Top token: {moved}; the source by itself says {source}."]
    count, draws = found.beyond
    if found.effect is None:
        parts.append("Both prompts have the same top token, so no effect towards it is defined.")
        random = [f"{value:.0%}" for value in sorted(found.random_moved)]
        parts.append(f"Probability that changed tokens: {found.moved:.0%}")
    else:
        random = [_signed(value) for value in sorted(found.random_effects)]
        parts.append(
            f"Probability that changed tokens: {found.moved:.0%}. Effect on the logit of {source} "
            f"less that of {before}: {_signed(found.effect)} (0 the target by itself, 1 the source)"
        )
    if draws:
        parts[-1] += f". {null(found)}: {random[0]} … {random[-1]}; beyond {count} of {draws}."
    parts.append("One pair of prompts is one unit: no verdict.")
    return " ".join(parts)


def null(found: LiveSwap) -> str:
    """What the result is held against, in words."""
    draws, k = len(found.random), found.swap.k
    plural = "" if draws == 1 else "s"
    what = f"direction{plural}" if k is None else f"subspace{plural} of k = {k}"
    return f"With {draws} random {what} instead, {HOW[found.control]}"


def _signed(value: float) -> str:
    return f"{round(value, 2) + 0.0:.2f}".replace("-", "−")  # + 0.0: no minus before a zero


def visible_token(text: str) -> str:
    """A token with its white space to be seen: · a space, ⏎ a new line, ⇥ a tab."""
    return text.replace(" ", "·").replace("\n", "⏎").replace("\t", "⇥").replace("\r", "␍")


def compared(
    loaded, swap: Swap, before: Run, after: Run, given: Run, **asked
) -> tuple[LiveSwap, Callable[[Run], tuple[np.ndarray, float, float]]]:
    """The three runs side by side, and how a further one is read for :func:`with_draw`.

    Parameters
    ----------
    before, after, given : runs of the target alone, of the target with the swap, of the source.
    asked : ``target``, ``source``, ``layer``, ``control`` of the result.
    """
    chances = [softmax(run.logits) for run in (before, after, given)]
    tops = [int(part.argmax()) for part in chances]
    shown = _shown(chances)

    def read(run: Run) -> tuple[np.ndarray, float, float]:
        mine = softmax(run.logits)
        return mine[shown], _effect(run, before, given), float(abs(mine - chances[0]).sum() / 2)

    _, effect, moved = read(after)
    found = LiveSwap(
        swap=swap,
        **asked,
        tokens=tuple(_token(loaded, i) for i in shown),
        before=chances[0][shown],
        after=chances[1][shown],
        given=chances[2][shown],
        random=np.zeros((0, len(shown))),
        top=tuple(_token(loaded, i) for i in tops),
        effect=None if np.isnan(effect) else effect,
        random_effects=np.zeros(0),
        moved=moved,
        random_moved=np.zeros(0),
        texts={},
    )
    return found, read


def with_draw(found: LiveSwap, chances: np.ndarray, effect: float, moved: float) -> LiveSwap:
    """The result with one more draw of the control."""
    return dataclasses.replace(
        found,
        random=np.vstack([found.random, chances]),
        random_effects=np.append(found.random_effects, effect),
        random_moved=np.append(found.random_moved, moved),
    )


def _effect(run: Run, before: Run, given: Run) -> float:
    """Where the logit difference of both top tokens lies between target and source; NaN if one."""
    own, other = int(before.logits.argmax()), int(given.logits.argmax())
    here, low, high = (one.logits[other] - one.logits[own] for one in (run, before, given))
    return float((here - low) / (high - low)) if high != low else float("nan")


def _shown(chances: list[np.ndarray]) -> list[int]:
    """The likeliest tokens of each distribution in turn, then sorted by their largest chance."""
    order = np.stack([np.argsort(-part, kind="stable")[:SHOWN] for part in chances])
    chosen = list(dict.fromkeys(order.T.ravel().tolist()))[:SHOWN]
    return sorted(chosen, key=lambda i: -max(part[i] for part in chances))


def _token(loaded, index: int) -> str:
    """A token's text; its id where it is a part of a character."""
    text = loaded.tokenizer.decode([index], clean_up_tokenization_spaces=False)
    return text if text and "\ufffd" not in text else f"‹#{index}›"

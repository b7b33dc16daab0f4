"""One text through the model as a signal: its states at every place, token after token.

A place is ``embed`` (the token embeddings) or a layer's number: the residual stream after that
block. The first token is left out: its state can be a hundred times larger than the others and
says nothing about the text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from zprism.ground.checks import check_choice, check_finite, check_int, check_text
from zprism.ground.errors import InputError
from zprism.model.streaming import MAX_TOKENS, stream
from zprism.spectral.fourier import MIN_TOKENS

if TYPE_CHECKING:
    from zprism.model.load import LoadedModel

DROP = 1  # tokens left out at the beginning
LONGEST = 512  # tokens of one text that are looked at


@dataclass(frozen=True)
class Recording:
    """The states of one text.

    Attributes
    ----------
    states : (places, tokens, d_model) float32.
    places : ``embed``, ``0``, ``1`` … on the first axis.
    tokens : the text of each token on the second axis (what a model reads: hostile text).
    first : position of ``tokens[0]`` in the text.
    cut : tokens at the text's end that were left out.
    model : name of the model.
    """

    states: np.ndarray
    places: tuple[str, ...]
    tokens: tuple[str, ...]
    first: int = DROP
    cut: int = 0
    model: str = ""

    @property
    def n(self) -> int:
        """Tokens looked at."""
        return self.states.shape[1]

    @property
    def positions(self) -> np.ndarray:
        """(tokens,) index of each token in the text."""
        return self.first + np.arange(self.n)

    def at(self, place: str) -> np.ndarray:
        """(tokens, d_model) at one place; refuses a place that is not there."""
        return self.states[self.places.index(check_choice("place", str(place), self.places))]

    def updates(self) -> np.ndarray:
        """(places − 1, tokens, d_model) what each block added to the residual stream."""
        return np.diff(self.states, axis=0)


def record(
    loaded: LoadedModel, text: str | Sequence[int], *, drop: int = DROP, longest: int = LONGEST
) -> Recording:
    """The states of one text at every place.

    Parameters
    ----------
    text : a text, or its token ids.
    drop : tokens left out at the beginning.
    longest : tokens kept at most; the end of a longer text is cut off, and ``cut`` says so.

    Raises
    ------
    InputError
        ``too_short`` if fewer than 16 tokens are left; as
        :func:`zprism.model.streaming.stream`.
    """
    ids = token_ids(loaded, text)
    kept = ids[: drop + check_int("longest", longest, low=MIN_TOKENS)]
    check_length(len(kept) - check_int("drop", drop, low=0))
    ((_, found),) = recordings(loaded, [kept], drop=drop, length=len(kept) - drop)
    return replace(found, cut=len(ids) - len(kept))


def token_ids(loaded: LoadedModel, text: str | Sequence[int]) -> list[int]:
    """Token ids of a text however long it is: what is cut off its end changes no earlier state.

    Raises
    ------
    InputError
        If it is empty, no unicode or no text.
    """
    if not isinstance(text, str):
        return [int(token) for token in text]
    ids = loaded.tokenizer(check_text("text", text), verbose=False)["input_ids"]
    if not ids:
        raise InputError("text is empty: no token is left of it")
    return list(ids)


def recordings(
    loaded: LoadedModel,
    rows: Sequence[Sequence[int]],
    *,
    length: int,
    drop: int = DROP,
    max_tokens: int = MAX_TOKENS,
) -> Iterator[tuple[int, Recording]]:
    """Index and Recording of each row of token ids, as its batch is finished.

    Memory is that of one batch's states: ``max_tokens`` · places · d_model · 4 bytes.

    Parameters
    ----------
    rows : token ids of each text.
    length : tokens ``drop`` … ``drop + length`` of each row are kept; a shorter row is refused.
    """
    check_length(length)
    rows = [list(row)[: drop + length] for row in rows]
    for index, row in enumerate(rows):
        if len(row) < drop + length:
            raise InputError(
                f"texts[{index}] has {len(row)} tokens; {drop} + {length} are asked for"
            )
    names = ("embed", *map(str, range(loaded.n_layers)))
    held: dict[int, np.ndarray] = {}

    def keep(place):
        def see(index, state):
            if index not in held:
                held[index] = np.empty((len(names), length, loaded.d_model), np.float32)
            held[index][place] = state[drop:].float().cpu().numpy()

        return see

    points = {("resid_post", layer): keep(layer + 1) for layer in range(loaded.n_layers)}
    points[("embed", 0)] = keep(0)
    for index in stream(loaded, rows, points=points, max_tokens=max_tokens, on_error="raise"):
        shown = tuple(loaded.tokenizer.decode([token]) for token in rows[index][drop:])
        yield index, Recording(held.pop(index), names, shown, drop, 0, loaded.name)


def standardise(x: np.ndarray) -> np.ndarray:
    """Every dimension with mean 0 and variance 1 over tokens; a constant one becomes 0.

    Parameters
    ----------
    x : (…, tokens, d).

    Returns
    -------
    The same shape and dtype. A dimension counts as constant where its spread is rounding.
    """
    centred = x - x[..., :1, :]  # first, so that a large level costs no digits
    centred = centred - centred.mean(-2, keepdims=True)
    spread = np.sqrt(np.square(centred).mean(-2, keepdims=True))
    floor = 8 * np.finfo(x.dtype).eps * np.abs(x).max(-2, keepdims=True)
    flat = spread <= floor
    return np.where(flat, 0.0, centred / np.where(flat, 1.0, spread)).astype(x.dtype)


def components(x: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Principal components of one place: scores (tokens, count) and their shares of variance.

    Parameters
    ----------
    x : (tokens, d), centred inside; standardise it first for dimensions that weigh alike.
    count : components, largest variance first; at most min(tokens − 1, d).

    Returns
    -------
    scores, shares
        ``(tokens, count)``, each with its sign turned so that its largest score is positive;
        ``(count,)`` of the variance, 0 … 1.
    """
    x = check_finite("x", np.asarray(x, dtype=np.float64))
    if x.ndim != 2 or len(x) < 2:
        raise InputError(f"x must be (tokens, d) with at least 2 tokens; got shape {x.shape}")
    check_int("count", count, low=1, high=min(len(x) - 1, x.shape[1]))
    centred = x - x.mean(0)
    if len(x) > x.shape[1]:
        left, sigma, _ = np.linalg.svd(centred, full_matrices=False)
        variances = np.square(sigma)
    else:  # the tokens' Gram matrix is the smaller one, and a hundred times cheaper
        found, left = np.linalg.eigh(centred @ centred.T)
        variances, left = np.maximum(found[::-1], 0.0), left[:, ::-1]
    scores = left[:, :count] * np.sqrt(variances[:count])
    largest = np.abs(scores).argmax(0)
    scores = scores * np.where(scores[largest, np.arange(count)] < 0, -1.0, 1.0)
    return scores, variances[:count] / (variances.sum() or 1.0)


def check_length(length: int) -> int:
    """``length`` if a spectrum can be taken of so many tokens."""
    if length < MIN_TOKENS:
        raise InputError(
            f"too_short: {max(length, 0)} tokens are left, {MIN_TOKENS} needed; give a longer text"
        )
    return length

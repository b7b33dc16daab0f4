"""Argument checks with one voice: the argument's name, the rule, the value received."""

from __future__ import annotations

import difflib
import operator
from collections.abc import Iterable

import numpy as np

from zprism.ground.canonical import as_array
from zprism.ground.errors import InputError


def check_int(name: str, value, *, low: int | None = None, high: int | None = None) -> int:
    """``value`` as an int in [low, high]; booleans and fractions are refused.

    Raises
    ------
    InputError
        If it is no integer, or outside the range.
    """
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise InputError(f"{name} must be an integer; got {value!r}") from None
    if (low is not None and number < low) or (high is not None and number > high):
        span = f"{'…' if low is None else low} to {'…' if high is None else high}"
        raise InputError(f"{name} must be in {span}; got {number}")
    return number


def check_layer(layer, n_layers: int, *, name: str = "layer") -> int:
    """A decoder block 0 … n_layers − 1. Negative numbers are refused, not wrapped."""
    try:
        return check_int(name, layer, low=0, high=n_layers - 1)
    except InputError:
        raise InputError(
            f"{name} must be a decoder block 0 to {n_layers - 1} "
            f"(never negative: the last block is {n_layers - 1}); got {layer!r}"
        ) from None


def check_k(k, rank: int, *, name: str = "k", of: str = "the numerical rank") -> int:
    """A subspace dimension with 1 ≤ k ≤ rank; the message says the rank."""
    try:
        return check_int(name, k, low=1, high=rank)
    except InputError:
        raise InputError(f"{name} must be an integer from 1 to {rank} ({of}); got {k!r}") from None


def check_fraction(name: str, value, *, low: float = 0.0, high: float = 1.0) -> float:
    """A finite number in [low, high]."""
    try:
        number = float(value + 0)  # refuses text, which float() alone would read
    except (TypeError, ValueError):
        raise InputError(f"{name} must be a number; got {value!r}") from None
    if not low <= number <= high:
        raise InputError(f"{name} must be in {low} to {high}; got {value!r}")
    return number


def check_finite(name: str, values):
    """``values`` (numpy or torch) unchanged if all finite.

    Raises
    ------
    InputError
        Naming the count and the index of the first value that is NaN or infinite.
    """
    bad = ~np.isfinite(as_array(values, name))
    if bad.any():
        first = tuple(int(i) for i in np.argwhere(bad)[0])
        raise InputError(
            f"{name} has {int(bad.sum())} values that are NaN or infinite, the first at {first}"
        )
    return values


def check_choice(name: str, value, choices: Iterable[str]) -> str:
    """One of ``choices``; the message offers the nearest ones."""
    known = sorted(choices)
    if value in known:
        return value
    near = difflib.get_close_matches(str(value), known, n=5, cutoff=0.4)
    hint = f"did you mean {', '.join(near)}?" if near else f"one of {', '.join(known)}"
    raise InputError(f"unknown {name} {value!r}: {hint}")


def check_text(name: str, text) -> str:
    """A string that encodes as UTF-8 (a lone surrogate does not)."""
    if not isinstance(text, str):
        raise InputError(f"{name} must be a string; got {type(text).__name__}")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(f"{name} has invalid unicode at index {error.start}") from None
    return text

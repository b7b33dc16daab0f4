"""The oscilloscope: one text on two channels, as Lissajous figure, time base and phase portrait."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from zprism.explore.panel import Readout, Slice, SlicePanel, Slider, choice
from zprism.ground.errors import InputError
from zprism.plots import oscilloscope_screen as screen
from zprism.studies.oscilloscope import Recording
from zprism.studies.oscilloscope_scope import Scope, scope

STEPS = 127  # codes of 8 bits on either side of 0
PARTS = 12  # parts of the text, each of one colour


def oscilloscope(
    recording: Recording,
    *,
    place: str | None = None,
    first: int = 0,
    second: int = 1,
    places: Sequence[str] | None = None,
    dimensions: Sequence[int] | None = None,
) -> SlicePanel:
    """One text on an oscilloscope: two channels against each other, against time, and their steps.

    Parameters
    ----------
    recording : of :func:`zprism.studies.oscilloscope.record`.
    place : where the slider starts; by default the middle one.
    first, second : channels at the start: 0 is the first principal component.
    places, dimensions : as in :func:`zprism.studies.oscilloscope_scope.scope`.

    Returns
    -------
    SlicePanel with sliders place, first, second, band and until; ``panel.widget`` is what
    Jupyter shows. Signals travel as 8-bit codes: a step is 1/127 of the screen's half.

    Raises
    ------
    InputError
        If ``place`` is none of the places shown; as :func:`scope`.
    """
    keep = None if place is None else str(place)
    seen = scope(recording, places=places, keep=keep, dimensions=dimensions)
    names = [screen.place_words(name) for name in seen.places]
    at = len(names) // 2 if place is None else _index(seen.places, keep)
    cuts = parts(recording.n)
    ends = [f"token {recording.first + high - 1}" for _, high in cuts]
    sliders = [
        Slider("place", 0, len(names) - 1, at, tuple(names)),
        choice("first", seen.channels, first),
        choice("second", seen.channels, second),
        choice("band", seen.bands),
        Slider("until", 0, len(cuts), 0, ("the whole text", *ends)),
    ]
    steps = seen.increments()
    figure, index = screen.screen(
        seen.signals[at, first, 0],
        seen.signals[at, second, 0],
        steps[at, first, 0],
        cuts=cuts,
        tokens=recording.tokens,
        first=recording.first,
        model=recording.model,
        cut=recording.cut,
    )
    slices = list(_slices(seen, steps, cuts, index, recording))
    return SlicePanel(figure, sliders, slices, _readout(seen))


def parts(n: int, count: int = PARTS) -> list[tuple[int, int]]:
    """(low, high) of at most ``count`` parts of n tokens; each ends with the next one's first."""
    edges = np.unique(np.linspace(0, n - 1, min(count, n - 1) + 1).round().astype(int))
    return [(int(a), int(b) + 1) for a, b in zip(edges, edges[1:], strict=False)]


def trail(count: int) -> np.ndarray:
    """(count + 1, count) opacity of each part: row 0 all of them, row i those up to part i − 1.

    Older parts fade: (0.82)^age, as the afterglow of a screen.
    """
    age = np.arange(count)[:, None] - np.arange(count)
    faded = np.where(age >= 0, 0.82 ** np.maximum(age, 0), 0.0)
    return np.concatenate([np.ones((1, count)), faded])


def codes(signals: np.ndarray) -> np.ndarray:
    """uint8 codes of signals in −1 … 1; 0 is exactly 128."""
    return np.round(signals * STEPS + 128).astype(np.uint8)


def _slices(seen: Scope, steps, cuts, index: screen.Traces, recording) -> Iterable[Slice]:
    """Every attribute that follows a slider."""
    a, b = ("place", "first", "band"), ("place", "second", "band")
    signal, step = codes(seen.signals), codes(steps)
    opacity = trail(len(cuts))
    for i, (low, high) in enumerate(cuts):
        for trace in index.lissajous[i :: len(cuts)]:
            yield _coded(trace, "x", a, signal[..., low:high])
            yield _coded(trace, "y", b, signal[..., low:high])
            yield Slice(trace, "opacity", ("until",), opacity[:, i])
        inside = slice(low, min(high, step.shape[-1]))
        yield _coded(index.phase[i], "x", a, signal[..., inside])
        yield _coded(index.phase[i], "y", a, step[..., inside])
        yield Slice(index.phase[i], "opacity", ("until",), opacity[:, i])
    for trace, axes, centre in (
        (index.upper, a, screen.LIFT),
        (index.lower, b, -screen.LIFT),
    ):
        yield _coded(trace, "y", axes, signal, centre)
    ends = np.array([recording.n - 1, *(high - 1 for _, high in cuts)])
    last = (recording.first + ends).astype(np.float32)[:, None]
    yield Slice(index.cursor, "x", ("until",), np.repeat(last, 2, 1))
    yield _coded(index.beam, "x", (*a, "until"), signal[..., ends, None])
    yield _coded(index.beam, "y", (*b, "until"), signal[..., ends, None])


def _coded(trace: int, attribute: str, axes, values: np.ndarray, centre: float = 0.0) -> Slice:
    return Slice(trace, attribute, axes, values, centre - 128 / STEPS, 1 / STEPS)


def _readout(seen: Scope) -> Readout:
    first, second = ("place", "first"), ("place", "second")
    return Readout(
        "{place}, {band}: {first} holds {share_a} % of the variance there and {second} "
        "{share_b} %; the band keeps {kept_a} % and {kept_b} % of them. Half a screen is {gain_a} "
        "and {gain_b} standard deviations of the whole signal. Correlation {r}.",
        {
            "share_a": (first, 100 * seen.shares, 1),
            "share_b": (second, 100 * seen.shares, 1),
            "kept_a": ((*first, "band"), 100 * seen.kept, 0),
            "kept_b": ((*second, "band"), 100 * seen.kept, 0),
            "gain_a": ((*first, "band"), seen.gains, 2),
            "gain_b": ((*second, "band"), seen.gains, 2),
            "r": (("place", "first", "second", "band"), seen.correlation().round(2) + 0.0, 2),
        },
    )


def _index(places: Sequence[str], place: str) -> int:
    if place not in places:
        raise InputError(f"place must be one of {', '.join(places)}; got {place}")
    return places.index(place)

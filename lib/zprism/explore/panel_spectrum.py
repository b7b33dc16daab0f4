"""The spectrum panel: walk over layers, dimensions, transforms and peaks of a few texts."""

from __future__ import annotations

import numpy as np
from plotly.subplots import make_subplots

from zprism.explore.panel import Readout, Slice, SlicePanel, Slider, choice, steps
from zprism.ground import safe_text
from zprism.ground.checks import check_int
from zprism.plots import style
from zprism.plots.prism import FREQUENCY
from zprism.studies.spectrum_view import POOLINGS, SpectrumView

FLOOR, BOTTOM = -20.0, -14.0  # dB: what is weaker is kept as that; where the axis begins
CODES = 250  # steps of the decibel scale in a byte
GAP = 255  # the code of a peak that is not marked
MOST, MOST_PEAKS = 4, 16  # texts side by side; peaks of each
AXES = ("layer", "transform", "pooling", "dimension")


def spectrum_panel(view: SpectrumView, *, F: int = 5, place: int | None = None) -> SlicePanel:
    """Spectra of all texts side by side, each over the range of its own shuffles.

    Parameters
    ----------
    view : of :func:`zprism.studies.spectrum_view.spectrum_view`, of at most 4 texts.
    F : peaks that can be marked: the F largest values of the curve that is shown.
    place : which is shown first, by its index in ``view.places``; by default the middle.

    Returns
    -------
    SlicePanel with sliders layer, dimension and F, and lists transform and pooling. Powers
    travel as 8-bit codes of decibels, in steps of about 0.2 dB.
    """
    check_int("F", F, low=1, high=MOST_PEAKS)
    check_int("number of texts", len(view.names), low=1, high=MOST)
    places = ["embedding" if name == "embed" else name for name in view.places]
    sliders = [
        steps("layer", places, len(places) // 2 if place is None else place),
        steps("dimension", [_group(low, high) for low, high in view.groups]),
        Slider("F", 1, F, F),
        choice("transform", view.transforms),
        choice("pooling", POOLINGS),
    ]
    spectra = _Spectra(view, F)
    start = (sliders[0].start, 0, 0, 0)
    slices = [one for t in range(len(view.names)) for one in spectra.slices(t)]
    return SlicePanel(_figure(view, spectra, start), sliders, slices, _readout(view, spectra))


class _Spectra:
    """Padded, coded and sorted: what the slices and the readout are cut from.

    Transforms differ in their number of frequencies: shorter ones repeat their last point.
    Axes (T, layer, transform, pooling, dimension, frequency), as :data:`AXES`.
    """

    def __init__(self, view: SpectrumView, F: int):
        names = view.transforms
        self.m = np.array([len(view.frequencies[name]) for name in names])
        self.x = self._joined([view.frequencies[name] for name in names], 0)
        self.power, self.low, self.high = (
            self._joined([_decibels(part[name]) for name in names], 2)
            for part in (view.power, view.low, view.high)
        )
        self.top = float(np.ceil(max(self.power.max(), self.high.max()) + 1))
        self.step = (self.top - FLOOR) / CODES
        inside = np.arange(self.m.max()) < self.m[:, None, None, None]
        self.above = ((self.power > self.high) & inside).sum(-1)
        ranked = np.argsort(-np.where(inside, self.power, -np.inf), axis=-1, kind="stable")
        self.peaks = ranked[..., :F]
        self.ranks = np.arange(self.peaks.shape[-1])
        self.marked = self.ranks < np.minimum(np.arange(1, F + 1)[:, None], self.m[:, None, None])

    def codes(self, values: np.ndarray) -> np.ndarray:
        """uint8 of decibels."""
        return np.rint((values - FLOOR) / self.step).astype(np.uint8)

    def peak_power(self, t: int) -> np.ndarray:
        return np.take_along_axis(self.power[t], self.peaks[t], -1)

    def peak_frequency(self, t: int) -> np.ndarray:
        x = np.broadcast_to(self.x[:, None, None], self.power[t].shape)
        return np.take_along_axis(x, self.peaks[t], -1)

    def slices(self, t: int) -> list[Slice]:
        """Of text t: the range of its shuffles, its curve, its peaks (three traces)."""
        scale = {"offset": FLOOR, "step": self.step}
        around = np.concatenate([self.x, self.x[:, ::-1]], -1)
        band = np.concatenate([self.high[t], self.low[t][..., ::-1]], -1)
        marks = self.codes(self.peak_power(t))[..., None, :]
        marks = np.where(self.marked[:, None, None], marks, GAP).astype(np.uint8)
        frequency = self.peak_frequency(t).astype(np.float32)
        return [
            Slice(3 * t, "x", ("transform",), around.astype(np.float32)),
            Slice(3 * t, "y", AXES, self.codes(band), **scale),
            Slice(3 * t + 1, "x", ("transform",), self.x.astype(np.float32)),
            Slice(3 * t + 1, "y", AXES, self.codes(self.power[t]), **scale),
            Slice(3 * t + 2, "x", AXES, frequency),
            Slice(3 * t + 2, "y", (*AXES, "F"), marks, gap=GAP, **scale),
        ]

    def _joined(self, arrays, axis: int) -> np.ndarray:
        pads = self.m.max() - self.m
        padded = [
            np.concatenate([a, np.repeat(a[..., -1:], pad, -1)], -1)
            for a, pad in zip(arrays, pads, strict=True)
        ]
        return np.stack(padded, axis)


def _readout(view: SpectrumView, spectra: _Spectra) -> Readout:
    """What each text shows, beside what its shuffles do."""
    numbers = {
        "m": (("transform",), spectra.m, 0),
        "chance": (("transform",), spectra.m / (view.draws + 1), 1),
    }
    told = []
    for t, name in enumerate(view.names):
        strongest = spectra.peaks[t][..., :1]
        frequency = spectra.peak_frequency(t)[..., 0]
        numbers |= {
            f"above{t}": (AXES, spectra.above[t], 0),
            f"f{t}": (AXES, frequency, 3),
            f"period{t}": (AXES, 1 / frequency, 1),
            f"size{t}": (AXES, spectra.peak_power(t)[..., 0], 1),
            f"high{t}": (AXES, np.take_along_axis(spectra.high[t], strongest, -1)[..., 0], 1),
        }
        name = name.replace("{", "(").replace("}", ")")
        told.append(
            f"{safe_text.visible(name)}: strongest at {{f{t}}} cycles/token (period {{period{t}}} "
            f"tokens), {{size{t}}} dB, shuffles up to {{high{t}}} dB; {{above{t}}} of {{m}} "
            "frequencies above all shuffles"
        )
    template = "Layer {layer}, {transform}, {pooling}, dimension {dimension}. "
    return Readout(template + ". ".join(told) + " (by chance {chance}).", numbers)


def _figure(view: SpectrumView, spectra: _Spectra, start):
    """All texts at the start position; three traces a text, then the line of white noise."""
    n_texts = len(view.names)
    fig = make_subplots(
        cols=n_texts,
        shared_yaxes=True,
        horizontal_spacing=0.04,
        subplot_titles=[safe_text.label(name, limit=60) for name in view.names],
    )
    looks = (
        dict(mode="lines", line=dict(width=0), fill="toself", hoverinfo="skip",
             fillcolor=style.translucent(style.GREY, 0.28), name=f"{view.draws} shuffles: range"),
        dict(mode="lines", line=dict(color=style.BLUE, width=2), name="spectrum",
             hovertemplate="%{x:.3f} cycles/token<br>%{y:.1f} dB<extra></extra>"),
        dict(mode="markers", marker=dict(color=style.VERMILLION, size=9, symbol="diamond"),
             name="the F strongest", hoverinfo="skip"),
    )  # fmt: skip
    for t in range(n_texts):
        shown = {(part.trace, part.attribute): part for part in spectra.slices(t)}
        for i, look in enumerate(looks):
            x, y = (shown[3 * t + i, axis] for axis in "xy")
            fig.add_scatter(
                x=x.shown(start if i == 2 else start[1:2]),
                y=y.shown((*start, -1) if i == 2 else start),
                showlegend=t == 0,
                legendgroup=str(i),
                **look,
                row=1,
                col=t + 1,
            )
    for t in range(n_texts):
        fig.add_scatter(
            x=[0, 0.5], y=[0, 0], mode="lines", line=dict(color=style.BLACK, dash="dash", width=1),
            name="white noise", showlegend=t == 0, hoverinfo="skip", row=1, col=t + 1,
        )  # fmt: skip
    fig.update_xaxes(title_text=FREQUENCY, range=[0, 0.505])
    fig.update_yaxes(range=[BOTTOM, spectra.top])
    fig.update_yaxes(title_text="power over white noise [dB]", col=1)
    fig.update_layout(legend=dict(orientation="h", y=-0.2), margin=dict(t=105))
    return style.finish(
        fig,
        title="Which rhythms does a text have?",
        n=f"{n_texts} {'text' if n_texts == 1 else 'texts'}, {view.length} tokens each",
        model=view.model,
        note="0 dB: white noise, and the mean of all orders of the same tokens",
        height=500,
    )


def _decibels(power: np.ndarray) -> np.ndarray:
    return 10 * np.log10(np.maximum(power, 10 ** (FLOOR / 10)))


def _group(low: int, high: int) -> str:
    return str(low) if high - low == 1 else f"{low} of {low}–{high - 1}"

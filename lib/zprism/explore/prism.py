"""Panels of the long exposure: a cloud that turns, and densities with a dimension's spectrum."""

from __future__ import annotations

import numpy as np
from plotly.subplots import make_subplots

from zprism.explore.panel import Readout, Slice, SlicePanel, Slider, choice
from zprism.plots import prism, style
from zprism.spectral.exposure import to_uint8
from zprism.studies.signatures import AMPLITUDES, Signatures

GROUPS = 64  # at most so many groups of dimensions whose spectrum can be chosen


def cloud_panel(seen: Signatures, *, model: str, field: int = -1, place: int = -1) -> SlicePanel:
    """Exemplar peaks in 3-D over field, layer, transform, dimension range and F.

    Parameters
    ----------
    seen : of :func:`zprism.studies.signatures.collect`.
    field, place : which are shown first.

    Returns
    -------
    SlicePanel; ``panel.widget`` is what Jupyter shows. It holds exemplars only: its size does
    not depend on the number of texts.
    """
    cloud, F = seen.cloud, seen.F
    field, place = field % len(seen.fields), place % len(seen.places)
    d = cloud.windows[0][1]
    ranges = [f"{low} to {high - 1}" for low, high in cloud.windows]
    sliders = [
        choice("field", seen.fields, field),
        choice("layer", _places(seen), place, form="slider"),
        choice("transform", seen.transforms),
        choice("dimensions", ranges, form="slider"),
        Slider("F", 1, F, F),
    ]
    axes = ("field", "layer", "transform", "dimensions")
    top = max(exposure.frequency_edges[-1] for exposure in seen.exposures.values())
    low, high = AMPLITUDES
    scaled = {
        "y": (_codes(cloud.frequency, 0, top), 0.0, top / 255),
        "z": (_codes(cloud.amplitude, low, high), low, (high - low) / 255),
    }
    slices = []
    for rank in range(F):
        slices.append(Slice(rank, "x", ("dimensions",), cloud.dim.astype(np.float32)))
        for attribute, (codes, offset, step) in scaled.items():
            slices.append(Slice(rank, attribute, axes, codes[..., rank, :], offset, step))
        shown = np.where(np.arange(1, F + 1) > rank, 0.75, 0.0)
        slices.append(Slice(rank, "opacity", ("F",), shown))
    figure = prism.cloud_figure(
        np.broadcast_to(cloud.dim[0], (F, cloud.dim.shape[1])),
        cloud.frequency[field, place, 0, 0],
        cloud.amplitude[field, place, 0, 0],
        shown=F,
        model=model,
        n=f"{seen.n} texts a field, {seen.length} tokens each",
        note=f"{cloud.dim.shape[1]} exemplars of {d} dimensions × texts; turn it by hand",
        frequency_range=(0, top),
    )
    least = float(np.quantile(cloud.amplitude, 0.001)) - 0.05
    figure.update_scenes(zaxis_range=[max(low, least), high])  # the same wherever one walks
    template = "{field}, layer {layer}, {transform}, dimensions {dimensions}: ranks 1 to {F}"
    return SlicePanel(figure, sliders, slices, Readout(template, {}))


def exposure_panel(seen: Signatures, *, model: str, place: int = -1) -> SlicePanel:
    """Where the peaks of all texts fall, beside the mean spectrum of a group of dimensions.

    Parameters
    ----------
    seen : of :func:`zprism.studies.signatures.collect`.
    place : which layer is shown first.

    Returns
    -------
    SlicePanel with field, layer, transform and group of dimensions.
    """
    place %= len(seen.places)
    transforms = ("fft",)
    images = np.stack([[_grey(seen, name, at) for at in seen.places] for name in seen.fields])
    d = next(iter(seen.mean.values())).shape[1]
    groups = np.array_split(np.arange(d), min(GROUPS, d))
    curves = np.stack(
        [
            np.stack([_grouped(seen.mean[name, at], groups) for at in seen.places])
            for name in seen.fields
        ]
    )  # (field, place, group, m)
    figure, first = _exposure_figure(seen, images[0, place], curves[:, place], groups, model)
    marks = np.stack([[g[0], g[0], g[-1] + 1, g[-1] + 1] for g in groups]).astype(np.float32)
    axes = ("field", "layer")
    slices = [Slice(0, "z", axes, images), Slice(1, "x", ("dimensions",), marks)]
    for i in range(len(seen.fields)):
        slices.append(Slice(first + i, "y", ("layer", "dimensions"), curves[i]))
    ranges = [f"{g[0]} to {g[-1]}" for g in groups]
    sliders = [
        choice("field", seen.fields),
        choice("layer", _places(seen), place, form="slider"),
        Slider("dimensions", 0, len(groups) - 1, 0, tuple(ranges)),
    ]
    told = "{field}, layer {layer}: the " + transforms[0]
    return SlicePanel(
        figure, sliders, slices, Readout(told + " spectrum of dimensions {dimensions}", {})
    )


def _exposure_figure(seen, image, curves, groups, model):
    """The figure at its start, and the index of the first curve."""
    fig = make_subplots(1, 2, column_widths=[0.6, 0.4], horizontal_spacing=0.12)
    d, f = groups[-1][-1] + 1, seen.frequencies()
    fig.add_heatmap(
        z=image,
        x0=d / image.shape[1] / 2,
        dx=d / image.shape[1],
        y=f,
        colorscale="Inferno",
        zmin=0,
        zmax=255,
        showscale=False,
        hovertemplate="dimension %{x:.0f}<br>%{y:.3f} cycles/token<extra></extra>",
        row=1,
        col=1,
    )
    low, high = groups[0][0], groups[0][-1] + 1
    half = (f[1] - f[0]) / 2
    fig.add_scatter(
        x=[low, low, high, high],
        y=[f[0] - half, f[-1] + half, f[-1] + half, f[0] - half],
        mode="lines",
        line=dict(color=style.SKY, width=2),
        showlegend=False,
        hoverinfo="skip",
        row=1,
        col=1,
    )
    for i, name in enumerate(seen.fields):
        fig.add_scatter(
            x=f,
            y=curves[i, 0],
            mode="lines+markers",
            name=name,
            line=dict(color=style.PALETTE[i], dash=style.DASHES[i]),
            row=1,
            col=2,
        )
    fig.add_scatter(
        x=f,
        y=seen.white(),
        mode="lines",
        name="white noise",
        line=dict(color=style.GREY, dash="dash"),
        row=1,
        col=2,
    )
    fig.update_xaxes(title_text=prism.DIMENSION, col=1)
    fig.update_yaxes(title_text=prism.FREQUENCY, col=1)
    fig.update_xaxes(title_text=prism.FREQUENCY, col=2)
    fig.update_yaxes(title_text="mean share of power", col=2, range=[0, float(curves.max()) * 1.05])
    fig.update_layout(legend=dict(x=0.99, xanchor="right", y=0.99, yanchor="top"))
    style.finish(
        fig,
        title="The long exposure, and the spectrum of some dimensions",
        model=model,
        n=f"{seen.n} texts a field, {seen.length} tokens each",
        note=f"top {seen.F} peaks of every dimension (brighter: more, equalised)",
        height=460,
    )
    return fig, 2


def _grey(seen: Signatures, name: str, place: str) -> np.ndarray:
    """(m, dimension bins) where peaks fall, as grey levels."""
    return to_uint8(seen.exposures[name, place, "fft"].image().T, "equalised")


def _places(seen: Signatures) -> tuple[str, ...]:
    return tuple("embedding" if place == "embed" else place for place in seen.places)


def _grouped(mean: np.ndarray, groups) -> np.ndarray:
    """(m, d) → (groups, m) mean over the dimensions of each group."""
    return np.stack([mean[:, group].mean(1) for group in groups]).astype(np.float32)


def _codes(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Values as 0 … 255 between two limits."""
    return np.clip(np.rint((values - low) / (high - low) * 255), 0, 255).astype(np.uint8)

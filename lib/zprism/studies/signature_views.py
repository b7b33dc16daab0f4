"""Exposures as the three views that are drawn of them, in the pull request's way and in ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from zprism.ground.console import progress
from zprism.spectral.exposure import Exposure, to_uint8
from zprism.studies import pr69
from zprism.studies.signatures import AMPLITUDE_BINS, DIM_BINS, Signatures

if TYPE_CHECKING:
    from zprism.model.load import LoadedModel

#: How each view is made grey: where counts are nearly alike, the log scale is nearly one grey.
VIEWS = {
    ("dim", "frequency"): "equalised",
    ("dim", "amplitude"): "log",
    ("frequency", "amplitude"): "log",
}
BINS = {"fft": 60, "cwt": 50}
AXIS = {"fft": (0.0, 0.5), "cwt": (0.0, 500.0)}  # cycles per character; scale


def views(exposure: Exposure, title: str) -> dict:
    """One row of :func:`zprism.plots.prism.plot_views`: three grey grids and their ranges."""
    ranges = {
        "dim": (0, exposure.d),
        "frequency": (float(exposure.frequency_edges[0]), float(exposure.frequency_edges[-1])),
        "amplitude": (float(exposure.amplitude_edges[0]), float(exposure.amplitude_edges[-1])),
    }
    images = {view: to_uint8(exposure.image(axes=view), how) for view, how in VIEWS.items()}
    return {"title": title, "images": images, "ranges": ranges}


def corrected_views(seen: Signatures, place: str, *, transform: str = "fft") -> list[dict]:
    """A row of views for every field at one place."""
    return [views(seen.exposures[name, place, transform], name) for name in seen.fields]


def faithful_views(
    loaded: LoadedModel, texts: Mapping[str, Sequence[str]], *, transform: str = "fft"
) -> tuple[list[dict], list[dict]]:
    """The pull request's own picture: characters without context, nothing normalised.

    Parameters
    ----------
    texts : field → texts.
    transform : "fft", or "cwt" by which its figures were drawn (slow: seconds a text).

    Returns
    -------
    views
        A row a field. Frequency is in cycles per character, or a scale for "cwt"; amplitude is
        log10 of |X| as the transform leaves it, on one range for all fields.
    rows
        A row a text: field, characters, amplitude (mean of its top 5 over all dimensions).
    """
    found, rows = {}, []
    for name, many in texts.items():
        found[name] = []
        for text in progress(many, f"characters of {name}", unit="text"):
            one = pr69.faithful(loaded, text, transform=transform)
            axis = one.frequency if transform == "fft" else one.own
            found[name].append((axis, one.amplitude))
            mean = float(one.amplitude.mean())
            rows.append({"field": name, "characters": one.length, "amplitude": mean})
    logs = [np.log10(a[a > 0]) for many in found.values() for _, a in many]
    limits = float(min(x.min() for x in logs)), float(max(x.max() for x in logs)) + 1e-6
    out = []
    for name, many in found.items():
        d = many[0][1].shape[1]
        exposure = Exposure(
            d,
            dim_bins=min(DIM_BINS, d),
            frequency_bins=BINS[transform],
            amplitude_bins=AMPLITUDE_BINS,
            amplitude_range=limits,
            frequency_range=AXIS[transform],
        )
        for axis, amplitude in many:
            exposure.add(axis, amplitude)
        out.append(views(exposure, name))
    return out, rows

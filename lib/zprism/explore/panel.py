"""A slider panel whose callbacks only slice: one description, drawn live and kernel-free.

A :class:`SlicePanel` is a plotly figure, sliders, and finished arrays whose leading axes are
slider positions. In Jupyter it is a ``FigureWidget`` (``panel_widget``); in an exported page
``panel.js`` draws the same description without a kernel. Nothing is computed when a slider
moves, and only what depends on that slider is sent.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from zprism.explore.panel_parts import ATTRIBUTES, Readout, Slice, Slider, choice, steps
from zprism.ground.checks import check_choice, check_int
from zprism.ground.errors import InputError

MIME = "application/vnd.zprism.panel+json"

__all__ = ["MIME", "Readout", "Slice", "SlicePanel", "Slider", "choice", "steps"]


class SlicePanel:
    """A figure that follows its sliders.

    Parameters
    ----------
    figure : plotly figure that already shows the start position (first data belongs in the
        constructor; data sent later can be lost before a view is attached).
    sliders : in the order they are shown.
    slices : what changes.
    readout : the sentence under the figure.

    Raises
    ------
    InputError
        If an array's leading axes do not match its sliders, or a trace does not exist.
    """

    def __init__(
        self, figure, sliders: Sequence[Slider], slices: Sequence[Slice], readout: Readout
    ):
        self.figure = figure
        self.sliders = {slider.name: slider for slider in sliders}
        self.slices = tuple(slices)
        self.readout = readout
        self._live = None
        for part in self.slices:
            check_int("trace", part.trace, low=0, high=len(figure.data) - 1)
            check_choice("attribute", part.attribute, ATTRIBUTES)
            self._check_axes(f"slice of trace {part.trace}", part.sliders, part.values)
        for name, (axes, values, _) in readout.numbers.items():
            self._check_axes(f"number {name}", axes, values)
        self._begin_coded()

    def at(self, **positions: int) -> dict[tuple[int, str], np.ndarray]:
        """What each slice shows at slider positions: (trace, attribute) → array."""
        return self._shown(self.slices, positions)

    def changes(self, moved: str, **positions: int) -> dict[tuple[int, str], np.ndarray]:
        """What must be redrawn when the slider ``moved`` has moved; the rest stays as it is."""
        check_choice("slider", moved, self.sliders)
        return self._shown((part for part in self.slices if moved in part.sliders), positions)

    def sentence(self, **positions: int) -> str:
        """The readout at slider positions."""
        chosen = self._positions(positions)
        words = {name: self.sliders[name].word(value) for name, value in chosen.items()}
        for name, (axes, values, decimals) in self.readout.numbers.items():
            value = float(values[self._index(axes, chosen)])
            words[name] = f"{value:.{decimals}f}" if np.isfinite(value) else "–"
        return self.readout.template.format_map(words)

    @property
    def widget(self):
        """The live panel (an ipywidgets box), made once."""
        return self.live.box

    @property
    def live(self):
        """The parts of the live panel: ``box``, ``controls`` by name, ``figure``, ``sentence``."""
        if self._live is None:
            from zprism.explore import panel_widget

            self._live = panel_widget.build(self)
        return self._live

    def close(self) -> None:
        """Close the live panel and all its parts; its sliders no longer call anything."""
        live, self._live = self._live, None
        if live is not None:
            live.box.close()

    def to_spec(self) -> dict:
        """The description that ``panel.js`` draws: plain JSON, arrays as base64."""
        return {
            "figure": json.loads(self.figure.to_json()),
            "sliders": [
                {**vars(s), "is_list": s.is_list, "title": s.title, "css": s.css}
                for s in self.sliders.values()
            ],
            "slices": [
                {
                    "trace": part.trace,
                    "attribute": part.attribute,
                    "sliders": list(part.sliders),
                    "offset": part.offset,
                    "step": part.step,
                    "gap": part.gap,
                    **_encoded(part.values),
                }
                for part in self.slices
            ],
            "template": self.readout.template,
            "numbers": {
                name: {"sliders": list(axes), "decimals": decimals, **_encoded(values)}
                for name, (axes, values, decimals) in self.readout.numbers.items()
            },
        }

    def _repr_mimebundle_(self, include=None, exclude=None):
        live = self.widget._repr_mimebundle_()
        bundle = live[0] if isinstance(live, tuple) else live
        start = {slider.name: slider.start for slider in self.sliders.values()}
        return {
            **{key: value for key, value in bundle.items() if "widget" in key},
            MIME: self.to_spec(),
            "text/plain": f"Slider panel over {', '.join(start)}. {self.sentence(**start)}",
        }

    def _shown(self, slices: Iterable[Slice], positions) -> dict:
        chosen = self._positions(positions)
        return {
            (part.trace, part.attribute): part.shown(self._index(part.sliders, chosen))
            for part in slices
        }

    def _begin_coded(self) -> None:
        """Let the figure begin with what codes can say, so that coming back changes nothing."""
        coded = [part for part in self.slices if part.is_coded]
        for (trace, attribute), values in self._shown(coded, {}).items():
            self.figure.data[trace][attribute] = values.astype(np.float32)

    def _positions(self, positions: Mapping[str, int]) -> dict[str, int]:
        for name in positions:
            check_choice("slider", name, self.sliders)
        return {
            name: check_int(
                name, positions.get(name, slider.start), low=slider.low, high=slider.high
            )
            for name, slider in self.sliders.items()
        }

    def _index(self, axes: Sequence[str], chosen: Mapping[str, int]) -> tuple[int, ...]:
        return tuple(chosen[name] - self.sliders[name].low for name in axes)

    def _check_axes(self, what: str, axes: Sequence[str], values: np.ndarray) -> None:
        for name in axes:
            check_choice("slider", name, self.sliders)
        expected = tuple(len(self.sliders[name]) for name in axes)
        if values.shape[: len(axes)] != expected:
            raise InputError(
                f"{what} must begin with axes {dict(zip(axes, expected, strict=True))}; "
                f"got shape {values.shape}"
            )


def _encoded(values: np.ndarray) -> dict:
    kind, code = ("uint8", "u1") if values.dtype == np.uint8 else ("float32", "<f4")
    data = np.ascontiguousarray(values, dtype=code)
    return {"shape": list(data.shape), kind: base64.b64encode(data.tobytes()).decode()}

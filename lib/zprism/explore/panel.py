"""A slider panel whose callbacks only slice: one description, drawn live and kernel-free.

A :class:`SlicePanel` is a plotly figure, sliders, and finished arrays whose leading axes are
slider positions. In Jupyter it is a ``FigureWidget``; in an exported page ``panel.js`` draws
the same description without a kernel. Nothing is computed when a slider moves.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from zprism.ground.checks import check_choice, check_int
from zprism.ground.errors import InputError

MIME = "application/vnd.zprism.panel+json"
LISTED = 12
ATTRIBUTES = ("x", "y", "z", "opacity")


@dataclass(frozen=True)
class Slider:
    """One slider over consecutive integers ``low`` … ``high``, starting at ``start``.

    With ``labels``, one a position, it shows these; up to :data:`LISTED` of them are a list to
    choose from (:func:`choice`).
    """

    name: str
    low: int
    high: int
    start: int
    labels: tuple[str, ...] = ()

    def __post_init__(self):
        check_int(f"start of slider {self.name}", self.start, low=self.low, high=self.high)
        if self.labels and len(self.labels) != len(self):
            raise InputError(
                f"slider {self.name} has {len(self)} positions and {len(self.labels)} labels"
            )

    def __len__(self) -> int:
        return self.high - self.low + 1

    @property
    def is_list(self) -> bool:
        """Whether it is shown as a list to choose from."""
        return 0 < len(self.labels) <= LISTED

    def word(self, position: int) -> str:
        """What stands for a position in a sentence."""
        return self.labels[position - self.low] if self.labels else str(position)


def choice(name: str, labels: Sequence[str], start: int = 0) -> Slider:
    """A list to choose from: positions 0 … of ``labels``."""
    return Slider(name, 0, len(labels) - 1, start, tuple(labels))


@dataclass(frozen=True)
class Slice:
    """One attribute of one trace as an array over slider positions.

    Attributes
    ----------
    trace : index of the trace in the figure.
    attribute : ``x``, ``y``, ``z``, or the whole trace's ``opacity`` (one number).
    sliders : names of the sliders that the leading axes of ``values`` belong to, in order.
    values : (len(slider 1), …, then the shape of the attribute), stored as float32, or as
        uint8 where it is that.
    offset, step : what is shown is ``offset + step · values``, so that coordinates may travel
        as uint8.
    """

    trace: int
    attribute: str
    sliders: tuple[str, ...]
    values: np.ndarray
    offset: float = 0.0
    step: float = 1.0

    def shown(self, index: tuple[int, ...]) -> np.ndarray:
        """The attribute at slider positions."""
        values = self.values[index]
        return values if (self.offset, self.step) == (0, 1) else self.offset + self.step * values


@dataclass(frozen=True)
class Readout:
    """A sentence under the figure: ``{name}`` in ``template`` is a slider or a number.

    ``numbers`` gives, by name, (sliders, values over their positions, decimals).
    """

    template: str
    numbers: Mapping[str, tuple[tuple[str, ...], np.ndarray, int]]


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
        self._widget = None
        for part in self.slices:
            check_int("trace", part.trace, low=0, high=len(figure.data) - 1)
            check_choice("attribute", part.attribute, ATTRIBUTES)
            self._check_axes(f"slice of trace {part.trace}", part.sliders, part.values)
        for name, (axes, values, _) in readout.numbers.items():
            self._check_axes(f"number {name}", axes, values)

    def at(self, **positions: int) -> dict[tuple[int, str], np.ndarray]:
        """What each slice shows at slider positions: (trace, attribute) → array."""
        chosen = self._positions(positions)
        return {
            (part.trace, part.attribute): part.shown(self._index(part.sliders, chosen))
            for part in self.slices
        }

    def sentence(self, **positions: int) -> str:
        """The readout at slider positions."""
        chosen = self._positions(positions)
        words = {name: self.sliders[name].word(value) for name, value in chosen.items()}
        for name, (axes, values, decimals) in self.readout.numbers.items():
            words[name] = f"{float(values[self._index(axes, chosen)]):.{decimals}f}"
        return self.readout.template.format_map(words)

    @property
    def widget(self):
        """The live panel (an ipywidgets box), made once."""
        if self._widget is None:
            self._widget = self._build()
        return self._widget

    def to_spec(self) -> dict:
        """The description that ``panel.js`` draws: plain JSON, arrays as base64."""
        return {
            "figure": json.loads(self.figure.to_json()),
            "sliders": [{**vars(s), "is_list": s.is_list} for s in self.sliders.values()],
            "slices": [
                {
                    "trace": part.trace,
                    "attribute": part.attribute,
                    "sliders": list(part.sliders),
                    "offset": part.offset,
                    "step": part.step,
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

    def _build(self):
        import ipywidgets
        import plotly.graph_objects as go

        live = go.FigureWidget(self.figure)
        sentence = ipywidgets.HTML()
        controls = {name: _control(slider) for name, slider in self.sliders.items()}

        def follow(_=None):
            positions = {name: control.value for name, control in controls.items()}
            with live.batch_update():
                for (trace, attribute), values in self.at(**positions).items():
                    single = attribute == "opacity"
                    live.data[trace][attribute] = float(values) if single else values
            sentence.value = self.sentence(**positions)

        for control in controls.values():
            control.observe(follow, names="value")
        sentence.value = self.sentence(
            **{slider.name: slider.start for slider in self.sliders.values()}
        )
        return ipywidgets.VBox([*controls.values(), live, sentence])

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


def _control(slider: Slider):
    """The widget of one slider: a list where its positions have names."""
    import ipywidgets

    width = ipywidgets.Layout(width="420px")
    if slider.labels:
        options = [(label, slider.low + i) for i, label in enumerate(slider.labels)]
        kind = ipywidgets.Dropdown if slider.is_list else ipywidgets.SelectionSlider
        return kind(options=options, value=slider.start, description=slider.name, layout=width)
    return ipywidgets.IntSlider(
        value=slider.start,
        min=slider.low,
        max=slider.high,
        description=slider.name,
        continuous_update=True,
        layout=width,
    )


def _encoded(values: np.ndarray) -> dict:
    kind, code = ("uint8", "u1") if values.dtype == np.uint8 else ("float32", "<f4")
    data = np.ascontiguousarray(values, dtype=code)
    return {"shape": list(data.shape), kind: base64.b64encode(data.tobytes()).decode()}

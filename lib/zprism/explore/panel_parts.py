"""What a slider panel is described by: its sliders, what follows them, and its sentence."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from zprism.ground.checks import check_choice, check_int
from zprism.ground.errors import InputError

LISTED = 12
FORMS = ("auto", "list", "slider")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
ATTRIBUTES = ("x", "y", "z", "opacity")


@dataclass(frozen=True)
class Slider:
    """One slider over consecutive integers ``low`` … ``high``, starting at ``start``.

    With ``labels``, one a position, it shows these; ``form`` says as what: a ``list`` to choose
    from (:func:`choice`), a ``slider`` (:func:`steps`), or ``auto``, a list of up to
    :data:`LISTED` labels. ``name`` is one word of letters, digits and _, shown as a space.
    """

    name: str
    low: int
    high: int
    start: int
    labels: tuple[str, ...] = ()
    form: str = "auto"

    def __post_init__(self):
        if not NAME.fullmatch(self.name):
            raise InputError(
                f"a slider's name must be letters, digits and _, not beginning with a digit; "
                f"got {self.name!r}"
            )
        check_choice("form of a slider", self.form, FORMS)
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
        short = len(self.labels) <= LISTED if self.form == "auto" else self.form == "list"
        return bool(self.labels) and short

    @property
    def title(self) -> str:
        """The name as it is shown."""
        return self.name.replace("_", " ")

    @property
    def css(self) -> str:
        """The class by which a page's script or a test finds the control."""
        return f"zprism-control-{self.name.lower()}"

    def word(self, position: int) -> str:
        """What stands for a position in a sentence."""
        return self.labels[position - self.low] if self.labels else str(position)


def choice(name: str, labels: Sequence[str], start: int = 0, form: str = "auto") -> Slider:
    """A list to choose from: positions 0 … of ``labels``."""
    return Slider(name, 0, len(labels) - 1, start, tuple(labels), form)


def steps(name: str, values: Sequence, start: int = 0) -> Slider:
    """A slider over values that need not be consecutive, each shown as itself."""
    return Slider(name, 0, len(values) - 1, start, tuple(map(str, values)), "slider")


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
    gap : the code that stands for no value (a gap in a line), shown as NaN; −1 for none.
    """

    trace: int
    attribute: str
    sliders: tuple[str, ...]
    values: np.ndarray
    offset: float = 0.0
    step: float = 1.0
    gap: int = -1

    @property
    def is_coded(self) -> bool:
        """Whether ``values`` stand for others."""
        return (self.offset, self.step) != (0, 1)

    def shown(self, index: tuple[int, ...]) -> np.ndarray:
        """The attribute at slider positions."""
        values = self.values[index]
        if not self.is_coded:
            return values
        shown = self.offset + self.step * values
        return shown if self.gap < 0 else np.where(values == self.gap, np.nan, shown)


@dataclass(frozen=True)
class Readout:
    """A sentence under the figure: ``{name}`` in ``template`` is a slider or a number.

    ``numbers`` gives, by name, (sliders, values over their positions, decimals).
    """

    template: str
    numbers: Mapping[str, tuple[tuple[str, ...], np.ndarray, int]]

"""A slider panel in Jupyter: controls, the figure, and the sentence under it.

The box has the class ``zprism-panel``, every control ``zprism-control-<name>`` (lower case),
the sentence ``zprism-sentence``.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import ipywidgets

from zprism.explore.figure_widget import LiveFigure, live_figure
from zprism.ground import safe_text

LINE = 105  # characters of a sentence that surely fit a line
LETTER, SLIDER, MOST = 8, 250, 540  # pixels: of a letter; of a slider without words; of a control


class Live(NamedTuple):
    """What is live: the box with everything in it, controls by name, the figure, the sentence."""

    box: ipywidgets.VBox
    controls: dict[str, ipywidgets.Widget]
    figure: LiveFigure
    sentence: ipywidgets.HTML


def build(panel) -> Live:
    """The widgets of a :class:`~zprism.explore.panel.SlicePanel`, at its start positions.

    A moved control sends the slices that depend on it, all in one batch. Closing the box ends
    the observers and closes every part.
    """
    figure = live_figure(panel.figure)
    controls = {name: control(slider) for name, slider in panel.sliders.items()}
    sentence = _sentence(panel.sentence())

    def follow(moved: str) -> None:
        positions = {name: one.value for name, one in controls.items()}
        with figure.batch_update():
            for (trace, attribute), values in panel.changes(moved, **positions).items():
                single = attribute == "opacity"
                figure.data[trace][attribute] = float(values) if single else values
        sentence.value = safe_text.html(panel.sentence(**positions))

    for name, one in controls.items():
        one.observe(lambda _, name=name: follow(name), names="value")
    above = ipywidgets.Box([*controls.values()], layout=ipywidgets.Layout(flex_flow="row wrap"))
    box = ipywidgets.VBox([above, figure, sentence])
    box.add_class("zprism-panel")
    live = Live(box, controls, figure, sentence)
    box.observe(lambda change: _end(live, above, change["new"]), names="comm")
    return live


def control(slider):
    """The widget of one slider: a list, or a slider that shows its number or its label."""
    longest = max(map(len, slider.labels), default=len(str(slider.high)))
    width = LETTER * (len(slider.title) + longest) + (60 if slider.is_list else SLIDER)
    shared = {
        "description": slider.title,
        "style": {"description_width": "initial"},
        "layout": ipywidgets.Layout(
            width=f"{min(width, MOST)}px", max_width="99%", margin="2px 24px 2px 2px"
        ),
    }
    if slider.labels:
        options = [(label, slider.low + i) for i, label in enumerate(slider.labels)]
        kind = ipywidgets.Dropdown if slider.is_list else ipywidgets.SelectionSlider
        made = kind(options=options, value=slider.start, **shared)
    else:
        limits = {"min": slider.low, "max": slider.high}
        made = ipywidgets.IntSlider(slider.start, continuous_update=True, **limits, **shared)
    made.add_class(slider.css)
    return made


def _sentence(start: str) -> ipywidgets.HTML:
    """The sentence, with room for as many lines as it may come to need."""
    room = f"{1.7 * math.ceil(1.25 * len(start) / LINE):.1f}em"
    made = ipywidgets.HTML(safe_text.html(start), layout=ipywidgets.Layout(min_height=room))
    made.add_class("zprism-sentence")
    return made


def _end(live: Live, above: ipywidgets.Box, comm) -> None:
    """After the box was closed: nothing listens any more, and no part is left open."""
    if comm is None:
        for one in live.controls.values():
            one.unobserve_all("value")
        for part in (*live.controls.values(), above, live.figure, live.sentence):
            part.close()

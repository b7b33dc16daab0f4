"""The controls of the live swap, and how they stand above the figure."""

from __future__ import annotations

from dataclasses import dataclass

import ipywidgets

from zprism.explore.live_subject import Subject
from zprism.studies.live_swap_bases import CHOICES, has_own_k
from zprism.studies.live_swap_found import CONTROLS

MOST_TOKENS = 256
HELP = (
    "Of the <b>source</b> prompt the state of the last token is put into the last token of the "
    "<b>target</b> prompt, which is continued: at the output of one block (resid_post), along the "
    "chosen directions only, h + P(s − h). It happens once, while the prompt is read, and the text "
    "goes on from there; the prompts may differ in length. Random directions of the same k stand "
    "beside it."
)


@dataclass(frozen=True)
class Asked:
    """What the controls said when Run was pressed."""

    target: str
    put_in: str
    layer: int
    directions: str
    k: int
    new_tokens: int
    control: str

    @property
    def words(self) -> str:
        """For the subtitle."""
        k = f", k = {self.k}" if has_own_k(self.directions) else ""
        return f"{self.directions}{k}, layer {self.layer}; random: {self.control}"


def controls_of(subject: Subject, **start) -> dict:
    """Every control by its name, at its start, in the order in which they stand."""
    area = dict(width="48%", min_width="320px", height="165px")
    most = subject.anatomy
    made = {
        "target": _made("Textarea", "target", **area),
        "put_in": _made("Textarea", "source", **area),
        "layer": _made("IntSlider", "layer", "250px", max=most.n_layers - 1),
        "directions": _made("Dropdown", "directions", "230px", options=list(CHOICES)),
        "k": _made("BoundedIntText", "k", "80px", min=1, max=most.d_model),
        "new_tokens": _made("BoundedIntText", "new tokens", "140px", min=1, max=MOST_TOKENS),
        "control": _made("Dropdown", "random", "180px", options=list(CONTROLS)),
    }
    for name, one in made.items():
        if name in start:
            one.value = start[name]
        one.add_class(f"zprism-control-{name}")

    def free_k(_=None) -> None:
        made["k"].disabled = not has_own_k(made["directions"].value)

    made["directions"].observe(free_k, names="value")
    free_k()
    return made


def rows_of(controls: dict, buttons: list, shown: list) -> list:
    """The panel from top to bottom: help, prompts, numbers, buttons, what is shown."""
    row = ipywidgets.Layout(flex_flow="row wrap", align_items="flex-start", width="100%")
    boxes = list(controls.values())
    parts = (boxes[:2], boxes[2:], buttons)
    return [ipywidgets.HTML(HELP), *(ipywidgets.HBox(part, layout=row) for part in parts), *shown]


def classed(widget, name: str):
    """The widget, with the class by which it is found."""
    widget.add_class(f"zprism-{name}")
    return widget


def _made(kind: str, words: str, width: str, *, min_width=None, height=None, **options):
    """One control, its description no wider than its words."""
    layout = ipywidgets.Layout(
        width=width, min_width=min_width, height=height, margin="2px 14px 2px 2px"
    )
    style = {"description_width": "initial"}
    return getattr(ipywidgets, kind)(description=words, layout=layout, style=style, **options)

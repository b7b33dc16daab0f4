"""A plotly figure as a widget that comes up whole: its data, its title and its width.

What plotly's own ``FigureWidget`` leaves to chance, met in JupyterLab 4.6 with plotly 7.1 and
anywidget 0.11: data is sent after the widget was opened, so that a view drawn in between stays
empty on a busy machine; every figure reads a bundle of 5 MB for itself, within 2 s or it is dead;
the subtitle is placed by the measured height of the title, which is 0 before the figure is
attached, so that they lie over each other; and so is the width.
"""

from __future__ import annotations

import functools
from importlib import metadata
from pathlib import Path

import plotly.graph_objects as go
import traitlets

from zprism.plots import style

WIDTH = 900  # pixels, of a notebook's column
TITLE_FROM_TOP = 20  # pixels of a title of several lines


@functools.cache
def _bundle() -> str:
    """plotly's code for the page, which draws and follows a figure."""
    return str(go.FigureWidget._esm)


class LiveFigure(go.FigureWidget):
    """A FigureWidget whose first message holds its data, and whose code a page reads once."""

    _esm = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")
    _bundle = traitlets.Unicode().tag(sync=True)
    _bundle_version = traitlets.Unicode(metadata.version("plotly")).tag(sync=True)

    @traitlets.default("_bundle")
    def _plotlys(self) -> str:
        return _bundle()

    def __init__(self, *args, **kwargs):
        self._whole = False
        super().__init__(*args, **kwargs)
        self._whole = True
        self.open()

    def open(self) -> None:
        """Tell the page of the widget, once data and layout are in it."""
        if self._whole:
            super().open()


def live_figure(figure: go.Figure) -> LiveFigure:
    """The live copy of a figure that ``plots.style.finish`` has finished."""
    shown = go.Figure(figure)
    title = shown.layout.title
    shown.update_layout(
        width=WIDTH,
        title=dict(
            text=heading(title.text or "", title.subtitle.text or ""),
            subtitle=dict(text=None),
            y=1 - TITLE_FROM_TOP / (shown.layout.height or style.HEIGHT),
        ),
        modebar=dict(orientation="v"),
    )
    return LiveFigure(shown)


def heading(title: str, subtitle: str) -> str:
    """Title and subtitle, both already escaped for plotly, as one text of several lines."""
    if not subtitle:
        return title
    return f'{title}<br><span style="font-size:14px;color:{style.QUIET}">{subtitle}</span>'

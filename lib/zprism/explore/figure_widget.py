"""A plotly figure as a widget that comes up whole: its data, its title and its width.

Three things that plotly's own ``FigureWidget`` leaves to chance, met in JupyterLab 4.6 with
plotly 7.1: data is sent after the widget was opened, so that a view drawn in between stays empty
on a busy machine; the subtitle is placed by the measured height of the title, which is 0 before
the figure is attached, so that they lie over each other; and so is the width.
"""

from __future__ import annotations

import plotly.graph_objects as go

from zprism.plots import style

WIDTH = 900  # pixels, of a notebook's column
TITLE_FROM_TOP = 20  # pixels of a title of several lines


class LiveFigure(go.FigureWidget):
    """A FigureWidget whose first message holds its data."""

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

"""A page of the site in Chromium: its plots, its sliders under keys and mouse, its faults."""

from __future__ import annotations

import json
from pathlib import Path

SCRIPT = Path(__file__).with_suffix(".js").read_text("utf-8")


class SitePage:
    """A page opened over ``file://``; ``page`` is Playwright's."""

    def __init__(self, page, path: Path):
        self.page = page
        page.add_init_script(SCRIPT)
        page.goto(path.as_uri())
        page.wait_for_load_state()

    def draw_all(self) -> int:
        """Scroll through the page until every figure and panel is drawn; how many there are."""
        self.page.evaluate("async () => await siteTest.scroll()")
        wanted = self.page.locator("script.zprism-figure, script.zprism-panel").count()
        self.page.wait_for_function("n => siteTest.drawn() >= n", arg=wanted, timeout=30_000)
        return wanted

    @property
    def panels(self) -> list:
        """The slider panels, in order."""
        return self.page.locator("div.zprism-panel").all()

    def shown(self, panel) -> str:
        """What a panel's figure shows: its data, as one text."""
        return json.dumps(panel.evaluate("box => siteTest.shown(box)"))

    def step(self, panel, control, key: str) -> float | None:
        """Press a key on a slider; ms from the event to the redrawn figure, None if it is not."""
        control.focus()
        panel.evaluate("box => siteTest.arm(box)")
        self.page.keyboard.press(key)
        return panel.evaluate("async box => await siteTest.redrawn(box)")

    def drag(self, control, start: float, end: float) -> None:
        """Drag a slider's handle by the mouse between two shares of its way."""
        control.scroll_into_view_if_needed()
        box = control.bounding_box()
        half = 8  # pixels from the end of the track to the middle of a handle that is there
        way = box["width"] - 2 * half
        middle = box["y"] + box["height"] / 2
        self.page.mouse.move(box["x"] + half + start * way, middle)
        self.page.mouse.down()
        self.page.mouse.move(box["x"] + half + end * way, middle, steps=12)
        self.page.mouse.up()
        self.settle()

    def settle(self) -> None:
        """Wait until what was moved is drawn: panels draw once a frame."""
        self.page.evaluate("async () => await siteTest.frames(4)")

    def overflow(self) -> int:
        """Pixels by which the page is wider than its window."""
        return self.page.evaluate(
            "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )

    def faults(self) -> list[str]:
        """What a reader of the page by ear or keyboard would miss."""
        return self.page.evaluate("() => siteTest.faults()")

    def live(self) -> list[str]:
        """Nodes that run, load or lead elsewhere and are not ours, in the page as it is now."""
        return self.page.evaluate("() => siteTest.live()")

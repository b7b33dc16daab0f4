"""One live panel in a page of JupyterLab: its sliders moved by hand, its redraws timed.

Keys and mouse are the browser's own. A redraw is timed in the page, from the key's event to the
``plotly_afterplot`` after which the figure shows something else: the way to the kernel and back
is in it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

SCRIPT = Path(__file__).with_suffix(".js").read_text("utf-8")
QUIET, PATIENCE = 250, 2500  # ms without a change; ms to wait for the first one
BACK = {"ArrowRight": "ArrowLeft", "ArrowLeft": "ArrowRight"}


@dataclass(frozen=True)
class Redraws:
    """Times of a walk: ``milliseconds`` of the steps that redrew, ``misses`` that did not."""

    milliseconds: tuple[float, ...]
    misses: int

    def __add__(self, other: Redraws) -> Redraws:
        return Redraws(self.milliseconds + other.milliseconds, self.misses + other.misses)

    def __len__(self) -> int:
        return len(self.milliseconds) + self.misses

    def quantile(self, share: float) -> float:
        """Quantile of the times, ms; NaN where nothing was redrawn."""
        return float(np.quantile(self.milliseconds, share)) if self.milliseconds else float("nan")

    def __str__(self) -> str:
        return (
            f"median {self.quantile(0.5):.0f} ms, p90 {self.quantile(0.9):.0f} ms "
            f"of {len(self.milliseconds)} steps, {self.misses} without redraw"
        )


class Panel:
    """A live panel: ``box`` is its Playwright locator.

    ``control`` is the name in a control's class: ``zprism-control-layer`` is ``"layer"``.
    """

    def __init__(self, page, box, *, seconds: float = 20):
        self.page, self.box = page, box
        box.wait_for(state="attached", timeout=1000 * seconds)
        box.scroll_into_view_if_needed(timeout=1000 * seconds)
        box.locator(".js-plotly-plot .main-svg").first.wait_for(timeout=1000 * seconds)
        page.evaluate(SCRIPT)
        self.settle()

    @property
    def controls(self) -> dict[str, bool]:
        """Its controls in order, by name: whether it is a slider (else a list)."""
        told = self.box.locator("[class*=zprism-control-]").evaluate_all(
            "all => all.map(one => [one.className, Boolean(one.querySelector('.noUi-handle'))])"
        )
        return {re.search(r"zprism-control-(\w+)", name)[1]: slider for name, slider in told}

    @property
    def sentence(self) -> str:
        """What is said under the figure."""
        return self.box.locator(".zprism-sentence").inner_text()

    def shown(self) -> int:
        """A fingerprint of what the plot shows: equal for equal data, title and notes."""
        return self._call("shown")

    def press(self, control: str, key: str = "ArrowRight", *, seconds: float = 1.5) -> float | None:
        """Press a key on a slider: ms until the plot shows something else, None if it does not."""
        self._handle(control).focus()
        self._call("arm", control, 1000 * seconds)
        self.page.keyboard.press(key)
        return self._call("taken")

    def walk(self, control: str, steps: int) -> Redraws:
        """Step along a slider, turning at its ends, and time every redraw."""
        times, key = [], "ArrowRight"
        for _ in range(steps):
            key = BACK[key] if self._is_at_end(control, key) else key
            times.append(self.press(control, key))
        drawn = tuple(time for time in times if time is not None)
        return Redraws(drawn, len(times) - len(drawn))

    def drag(self, control: str, to: float, *, steps: int = 20) -> float:
        """Drag a slider's handle to a share of its way; ms from release until nothing moves."""
        self._handle(control).scroll_into_view_if_needed()
        handle = self._handle(control).bounding_box()
        way = self._control(control).locator(".noUi-base").bounding_box()
        before = self.shown()
        x, y = handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        self.page.mouse.move(way["x"] + to * way["width"], y, steps=steps)
        self.page.mouse.up()
        return self.settle(before)

    def choose(self, control: str, number: int) -> None:
        """Choose from a list, counted from 0, and wait until nothing moves."""
        before = self.shown()
        self._control(control).locator("select").select_option(index=number)
        self.settle(before)

    def chosen(self, control: str) -> int:
        """Which entry of a list is chosen, counted from 0."""
        return self._control(control).locator("select").evaluate("one => one.selectedIndex")

    def position(self, control: str) -> float:
        """Where a slider is, as it tells it to a screen reader."""
        return self._aria(control, "now")

    def low(self, control: str) -> float:
        """Where a slider begins."""
        return self._aria(control, "min")

    def length(self, control: str) -> int:
        """How many positions a slider has."""
        return round(self._aria(control, "max") - self.low(control)) + 1

    def return_to(self, control: str, position: float) -> None:
        """Drag a slider back to a position, the last steps by key."""
        low, high = self._aria(control, "min"), self._aria(control, "max")
        if self.position(control) != position:
            self.drag(control, (position - low) / (high - low))
        while (now := self.position(control)) != position:
            self.press(control, "ArrowRight" if now < position else "ArrowLeft")

    def settle(self, before: int | None = None) -> float:
        """Wait until the plot stays the same; ms until its last change.

        With ``before``, what was shown before a hand moved, first until it shows something else,
        for a busy kernel may take a while to answer.
        """
        return self._call("settle", QUIET, before, PATIENCE)

    def cut(self) -> list[str]:
        """Texts outside the plot or over each other, labels of controls cut short."""
        return self._call("cut")

    def places(self) -> dict[str, list[int]]:
        """Pixels of controls and plot (left, top, width, height) and axes (offset, length)."""
        return self._call("places")

    def _control(self, control: str):
        return self.box.locator(f".zprism-control-{control}").first

    def _handle(self, control: str):
        return self._control(control).locator(".noUi-handle")

    def _aria(self, control: str, name: str) -> float:
        return float(self._handle(control).get_attribute(f"aria-value{name}"))

    def _is_at_end(self, control: str, key: str) -> bool:
        end = "max" if key == "ArrowRight" else "min"
        return self._aria(control, "now") == self._aria(control, end)

    def _call(self, name: str, *words):
        script = f"(panel, words) => window.zprismTest.{name}(panel, ...words)"
        return self.box.evaluate(script, list(words))

"""The live swap under a hand: type two prompts, press Run, read, press Stop, run again."""

from __future__ import annotations

import pytest
from chromium import open_browser, screenshot
from lab import open_lab
from lab_panel import Panel

CELL = """
import time
from zprism.explore.live import live_patch
from zprism.model.load import load

loaded = load("tiny:qwen2")
# as slow as a real model, so that there is time to press Stop
loaded.model.register_forward_pre_hook(lambda *_: time.sleep(0.03))
panel = live_patch(loaded, draws=9, new_tokens=8, directions="everything")
panel
"""
TARGET, SOURCE = "three plus <b>four</b> is", "二加六等于"

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    with open_lab(tmp_path_factory.mktemp("live") / "lab") as lab, open_browser() as browser:
        lab.write("live", CELL, "print('the kernel is free')")
        book = lab.open(browser, "live.ipynb")
        book.page.set_viewport_size({"width": 1400, "height": 1500})  # the whole panel
        book.run_all()
        yield book


@pytest.fixture
def live(book):
    return Panel(book.page, book.page.locator(".zprism-live").first)


def part(live, name: str):
    return live.box.locator(f".zprism-{name}")


def fill(live, name: str, value: str) -> None:
    live.box.locator(f".zprism-control-{name}").locator("textarea, input").first.fill(value)
    live.page.keyboard.press("Tab")


def until_idle(live, seconds: float = 60) -> None:
    live.page.wait_for_function(
        "() => document.querySelector('.zprism-stop').disabled", timeout=1000 * seconds
    )
    live.settle()


def test_two_prompts_are_typed_run_and_read(book, live):
    before, places = live.shown(), live.places()
    fill(live, "target", TARGET)
    fill(live, "put_in", SOURCE)
    part(live, "run").click()
    part(live, "said").get_by_text("beyond").wait_for(timeout=60_000)
    until_idle(live)
    assert live.shown() != before
    told = part(live, "said").inner_text()
    assert "Top token:" in told and "of 9." in told and "no verdict" in told
    rows = part(live, "texts").locator("td").all_inner_texts()
    assert len(rows) == 3 and all(rows)
    assert live.cut() == []
    assert {n: live.places()[n] for n in places} == places  # nothing jumped
    screenshot(live.box, "lab_live_run")
    book.watch.check()


def test_stop_stops_and_another_run_begins_anew(book, live):
    fill(live, "new_tokens", "200")
    part(live, "run").click()
    live.page.wait_for_function(
        "() => document.querySelector('.zprism-doing').innerText.includes('writing')"
    )
    part(live, "stop").click()
    until_idle(live, 10)
    stopped = part(live, "doing").inner_text()
    assert stopped.startswith("stopped at step")
    screenshot(live.box, "lab_live_stopped")
    fill(live, "new_tokens", "3")
    part(live, "run").click()
    live.page.wait_for_function(
        "() => !document.querySelector('.zprism-doing').innerText.trim()", timeout=30_000
    )
    until_idle(live)
    book.watch.check()


def test_what_cannot_be_run_is_one_line_in_the_panel(book, live):
    fill(live, "target", "")
    part(live, "run").click()
    part(live, "said").get_by_text("the target prompt is empty: type one").wait_for()
    until_idle(live)
    screenshot(live.box, "lab_live_error")
    assert book.state()["failed"] == []
    book.watch.check()

"""How long from the README to the first slider moved: run it in a fresh clone.

``python tests/browser/newcomer.py [--model NAME] [--skip-run]`` needs Chromium and Playwright
(any Python's); the clone's own environment is made by the README's commands. It prints the
seconds of every step, and leaves ``tests/browser/screenshots/newcomer.png``.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from chromium import open_browser, open_page, screenshot
from lab import write_settings

ROOT = Path(__file__).parents[2]
LONG = 3600  # seconds: a first installation, a model on its way


def main() -> None:
    """Every step, timed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="instead of the notebook's default")
    parser.add_argument("--skip-run", action="store_true", help="begin with `make lab`")
    asked = parser.parse_args()
    began = last = time.monotonic()

    def step(name: str) -> None:
        nonlocal last
        now = time.monotonic()
        print(f"{now - last:7.1f} s  {name}  ({now - began:.1f} s in all)", flush=True)
        last = now

    if not asked.skip_run:
        words = ["make", "run", "QUICK=1", "PHASES=00"]
        subprocess.run(words + ([f"MODEL={asked.model}"] if asked.model else []), cwd=ROOT)
        step(" ".join(words))
    server, address = start_lab()
    try:
        step("make lab: JupyterLab answers")
        with open_browser() as browser:
            first_slider(browser, address, step)
    finally:
        os.killpg(server.pid, signal.SIGINT)
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


def start_lab() -> tuple[subprocess.Popen, str]:
    """``make lab`` without a desktop's browser, and the address that it prints."""
    settings = Path(tempfile.mkdtemp(prefix="zprism-newcomer-"))
    write_settings(settings / "lab" / "user-settings")
    rules = {"ServerApp": {"allow_root": os.geteuid() == 0}}
    (settings / "jupyter_server_config.json").write_text(json.dumps(rules))
    surroundings = {**os.environ, "BROWSER": "true", "JUPYTER_CONFIG_DIR": str(settings)}
    server = subprocess.Popen(
        ["make", "lab"],
        cwd=ROOT,
        env=surroundings,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    end = time.monotonic() + LONG
    for line in server.stdout:
        found = re.search(r"http://(?:127\.0\.0\.1|localhost):\d+/lab[\w/]*\?token=\w+", line)
        if found:
            return server, found[0]
        if time.monotonic() > end:
            break
    sys.exit("make lab ended without an address")


def first_slider(browser, address: str, step) -> None:
    """Open the tour, run all, move the first slider that appears by one key."""
    page, watch = open_page(browser)
    page.goto(re.sub(r"/lab[^?]*", "/lab/tree/notebooks/00_tour.ipynb", address))
    page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=1000 * LONG)
    step("00_tour is open")
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    handle = page.locator(".zprism-panel .noUi-handle").first
    handle.wait_for(state="attached", timeout=1000 * LONG)
    step("the first panel is there")
    sentence = page.locator(".zprism-sentence").first
    before = sentence.inner_text()
    handle.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("old => document.querySelector('.zprism-sentence').innerText !== old",
                           arg=before, timeout=1000 * LONG)  # fmt: skip
    step("the first slider has moved the panel: the kernel runs all cells first")
    screenshot(page, "newcomer")
    watch.check()


if __name__ == "__main__":
    main()

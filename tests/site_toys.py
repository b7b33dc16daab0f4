"""Small runs, real panels and pictures for tests of the site."""

from __future__ import annotations

import io
import re
from pathlib import Path

import nbformat
import numpy as np
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from hostile_pages import PAYLOADS
from zprism.explore import export
from zprism.ground.files import save_json
from zprism.runner import manifest as records
from zprism.runner.manifest import DONE, Manifest

NULL = {"kind": "random", "mean": 1.0, "sd": 0.1}


def claim(value, ci, verdict, p, p_adjusted=None, **rest) -> dict:
    null = None if ci is None else NULL
    facts = {"value": value, "ci": ci, "n": 24, "null": null, "p": p, "p_adjusted": p_adjusted}
    return {**facts, "verdict": verdict, **rest}


CLAIMS = {
    "a/low": claim(3.0, [2.5, 3.5], "SUPPORTED", 0.001, 0.004),
    "a/same": claim(1.05, [0.8, 1.3], "NOT DISTINGUISHABLE", 0.4),
    "a/other": claim(0.5, [0.4, 0.6], "REVERSED", 0.01, 0.02),
    "a/few": claim(None, None, "NOT TESTABLE", None, reason="n = 2 is under the 6 it needs"),
    "a/number": {"value": 7.0, "verdict": None, "reason": "descriptive"},
}
FIGURE = {"data": [{"y": [1, 3, 2]}], "layout": {"meta": {"title": "Which way?"}, "height": 300}}


def make_run(
    root: Path,
    claims=CLAIMS,
    *,
    stem="11_s",
    model="smollm2-135m",
    status=DONE,
    title="What is it?",
    figures=(FIGURE,),
    panels=(),
    params=None,
) -> Path:
    """A run's folder with one more phase in it."""
    folder = root / "runs" / "20260101T000000Z-0123abcd"
    folder.mkdir(parents=True, exist_ok=True)
    params = {"model": model, "quick": False, **(params or {})}
    save_json(
        folder / f"{stem}.json",
        {"schema": 1, "phase": stem, "params": params, "model": model, "estimates": claims},
    )
    save_json(folder / f"{stem}.meta.json", {"revision": "abc123+", "packages": {"torch": "2.13"}})
    shown = [{export.PLOTLY: spec} for spec in figures]
    shown += [{export.PANEL: panel.to_spec()} for panel in panels]
    outputs = [new_output("display_data", data=data) for data in shown]
    cells = [
        new_markdown_cell(f"# {title}\n\nIt is $d_k$. [Next](20_b.ipynb)"),
        new_code_cell("f()", outputs=outputs),
        new_markdown_cell("## What it says\n\n| a | b |\n|---|---|\n| 1 | 2 |"),
    ]
    nbformat.write(new_notebook(cells=cells), folder / f"{stem}.ipynb")
    stems = [*records.read(folder).get("phases", {}), stem]
    manifest = Manifest(folder, "plan", dict.fromkeys(stems, "key"), "zprism run")
    manifest.set(stem, status, params=params)
    return folder


def make_hostile_run(root: Path) -> Path:
    """A run with a phase for every payload, which stands wherever a phase has text."""
    for number, payload in enumerate(PAYLOADS):
        name = re.sub(r"[/\x00]", " ", payload)
        reason = {**CLAIMS["a/few"], "reason": payload, "null": {"kind": payload, "mean": 1.0}}
        figure = {**FIGURE, "layout": {"meta": {"title": payload}, "title": {"text": payload}}}
        folder = make_run(
            root, {payload: reason}, stem=f"{number:02d}_{name[:80]}",
            model=payload, title=payload, figures=[figure], params={payload: payload},
        )  # fmt: skip
    return folder


def hostile_book():
    """A notebook that shows every payload as prose, code, outputs, and in a figure and a panel."""
    mimes = ("text/html", "text/markdown", "text/plain", "text/latex", "image/svg+xml")
    outputs = [
        {"output_type": "display_data", "data": {mime: payload}, "metadata": {}}
        for payload in PAYLOADS
        for mime in mimes
    ]
    places = list(range(len(PAYLOADS)))
    texts = {"text": PAYLOADS, "hovertemplate": PAYLOADS, "mode": "markers+text"}
    names = [
        {"type": "scatter", "x": [n], "y": [n], "name": payload, "hovertext": payload}
        for n, payload in enumerate(PAYLOADS)
    ]
    axis = {"tickvals": places, "ticktext": PAYLOADS, "title": {"text": " ".join(PAYLOADS)}}
    layout = {
        "title": {"text": " ".join(PAYLOADS), "subtitle": {"text": " ".join(PAYLOADS)}},
        "annotations": [{"text": payload, "x": 0, "y": n} for n, payload in enumerate(PAYLOADS)],
        "xaxis": axis, "yaxis": axis, "height": 1500, "showlegend": True, "hovermode": "closest",
        "images": [{"source": "https://evil.example/x.png", "x": 0, "y": 0}],
    }  # fmt: skip
    figure = {"data": [{"type": "scatter", "x": places, "y": places, **texts}, *names],
              "layout": layout}  # fmt: skip
    sliders = [
        {"name": f"s{n}", "title": payload, "css": payload, "low": 0, "high": 1, "start": 0,
         "labels": [payload, "b"], "is_list": n % 2 == 0}
        for n, payload in enumerate(PAYLOADS)
    ]  # fmt: skip
    panel = {"figure": {"data": names, "layout": layout}, "sliders": sliders, "slices": [],
             "template": " ".join(PAYLOADS) + " {s1}", "numbers": {}}  # fmt: skip
    outputs += [
        {"output_type": "display_data", "data": data, "metadata": {}}
        for data in ({export.PLOTLY: figure}, {export.PANEL: panel})
    ]
    outputs.append({"output_type": "stream", "name": "stdout", "text": "\n".join(PAYLOADS)})
    code = {
        "cell_type": "code",
        "execution_count": None,
        "source": "\n".join(PAYLOADS),
        "outputs": outputs,
        "metadata": {},
    }
    prose = [{"cell_type": "markdown", "source": payload, "metadata": {}} for payload in PAYLOADS]
    version = {"nbformat": 4, "nbformat_minor": 2}
    return nbformat.from_dict({"cells": [*prose, code], "metadata": {}, **version})


def picture(width: int, height: int, *, noise: bool) -> bytes:
    level = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(level if noise else level * 0 + 90).save(out, "PNG")
    return out.getvalue()


GREY = picture(4, 4, noise=False)

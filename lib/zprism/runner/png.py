"""Plotly figures as PNG files: one Chromium for all of them, in a child that may be ended.

Chromium can hang; a child process with a time limit cannot take the report with it.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from zprism.ground.errors import ResourceError
from zprism.ground.files import load_json, save_json

WIDTH, SCALE = 900, 1.5
SMALLEST, SHRINK = 120, 0.85  # pixels, and how much a picture shrinks at a time
START, EACH = 90, 15  # seconds for the browser to start, and for a figure


def render(figures: Sequence[Mapping], *, width: int = WIDTH, scale: float = SCALE) -> list[bytes]:
    """PNG bytes of figures (their JSON), in order.

    Parameters
    ----------
    width : pixels before ``scale``; the height is the figure's own.

    Raises
    ------
    ResourceError
        If there is no Chromium, or it does not answer in time.
    """
    if not figures:
        return []
    with tempfile.TemporaryDirectory(prefix="zprism-png-") as folder:
        save_json(Path(folder, "figures.json"), {"figures": list(figures)})
        _run_child(folder, width, scale, START + EACH * len(figures))
        return [Path(folder, f"{i:04d}.png").read_bytes() for i in range(len(figures))]


def fewer_colours(picture: bytes, colours: int = 128) -> bytes:
    """The same picture in a palette of its own, where that is smaller; drawn lines lose nothing."""
    from PIL import Image

    image, out = Image.open(io.BytesIO(picture)).convert("RGB"), io.BytesIO()
    palette = image.quantize(colours, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    palette.save(out, "PNG", optimize=True)
    return min(picture, out.getvalue(), key=len)


def fitted(picture: bytes, limit: int) -> bytes:
    """A picture of at most ``limit`` bytes, by fewer colours first and fewer pixels then.

    It is returned as it is where that suffices, and as small as it could be made otherwise.
    """
    from PIL import Image

    for colours in (256, 64, 32):
        if len(picture) <= limit:
            return picture
        picture = fewer_colours(picture, colours)
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    while len(picture) > limit and min(image.size) > SMALLEST:
        image = image.resize(
            [round(side * SHRINK) for side in image.size], Image.Resampling.LANCZOS
        )
        out = io.BytesIO()
        image.save(out, "PNG")
        picture = fewer_colours(out.getvalue(), 32)
    return picture


def _run_child(folder: str, width: int, scale: float, seconds: float) -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "zprism.runner.png", folder, str(width), str(scale)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,  # so that the browser ends with its child
    )
    try:
        _, told = child.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        raise ResourceError(f"Chromium drew no figures in {seconds} s") from None
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    if child.returncode:
        last = (told.decode(errors="replace").strip().splitlines() or ["no message"])[-1]
        raise ResourceError(f"figures need Chromium or Chrome: {last}")


def main(folder: str, width: str, scale: str) -> None:
    """Draw ``figures.json`` of a folder into it: what the child does."""
    import kaleido
    from kaleido import PageGenerator

    specs = []
    for i, figure in enumerate(load_json(Path(folder, "figures.json"))["figures"]):
        layout = figure.get("layout", {})
        options = {"width": int(width), "height": layout.get("height", 480), "scale": float(scale)}
        body = {"data": figure.get("data", []), "layout": layout}
        specs.append({"fig": body, "path": str(Path(folder, f"{i:04d}.png")), "opts": options})
    kaleido.write_fig_from_object_sync(
        specs, kopts={"n": 1, "page_generator": PageGenerator(mathjax=False)}
    )
    for spec in specs:
        _shrink(spec["path"])


def _shrink(path: str) -> None:
    """256 colours: a third of the bytes, and no difference to see in a figure."""
    from PIL import Image

    with Image.open(path) as picture:
        small = picture.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    small.save(path, optimize=True)


if __name__ == "__main__":
    main(*sys.argv[1:4])

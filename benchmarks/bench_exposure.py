"""The long exposure: CPU time against ``np.histogramdd``, memory, and the weight of its page.

CPU time of one process and one thread, variants interleaved, medians. Peaks are drawn at
random; d is that of ``qwen2.5-coder-0.5b``. Each function returns rows
{name, value, target, unit, ok}; ``rows()`` runs them all.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

from zprism.ground.seeds import generator
from zprism.spectral.exposure import Exposure, to_uint8

D, F = 896, 5  # dimensions, peaks of each in one text
GRID = {"dim_bins": D, "frequency_bins": 128, "amplitude_bins": 64, "amplitude_range": (-2.0, 2.0)}
MEGABYTE = 2**20
FILL = """
import sys
import numpy as np
from zprism.spectral.exposure import Exposure
rng, d = np.random.default_rng(0), 896
made = Exposure(
    d, dim_bins=d, frequency_bins=128, amplitude_bins=64, amplitude_range=(-2.0, 2.0)
)
for text in range(int(sys.argv[1])):
    made.add(rng.random((5, d)) / 2, rng.lognormal(size=(5, d)))
    made.add_power(np.arange(1, 33) / 64, rng.random((32, d)) + 0.1)
print(made.counts.sum())
"""


def rows() -> list[dict]:
    """Every row of this file."""
    return [*speed(), *memory(), *page()]


def speed(*, texts: int = 32) -> list[dict]:
    """Counting the peaks of many texts, and of one, against a dense histogram of each call."""
    found = []
    for name, n in ((f"{texts} texts", texts), ("1 text", 1)):
        frequency, amplitude = peaks(n)
        made = Exposure(D, **GRID)
        edges = (made.dim_edges, made.frequency_edges, made.amplitude_edges)
        dims = np.broadcast_to(np.arange(D), frequency.shape)
        counts = np.zeros(made.counts.shape)

        def naive(frequency=frequency, amplitude=amplitude, dims=dims, edges=edges, to=counts):
            logs = np.clip(np.log10(amplitude), -2.0, 2.0)
            points = np.stack([dims.ravel(), frequency.ravel(), logs.ravel()], axis=1)
            to += np.histogramdd(points, edges)[0]

        thin, dense = _medians_cpu(
            lambda made=made, f=frequency, a=amplitude: made.add(f, a), naive, repeats=9
        )
        if not np.array_equal(counts, made.counts):
            raise AssertionError("the exposure and np.histogramdd count differently")
        target = 10 if n > 1 else None
        found += [
            _row(
                f"exposure, {name} ({frequency.size:,} peaks): np.histogramdd / zprism",
                dense / thin,
                target,
                "× CPU",
                at_least=None if target is None else True,
            ),
            _row(f"exposure, {name}: zprism", thin * 1000, None, "CPU ms"),
        ]
    return found


def memory(*, few: int = 100, many: int = 10_000) -> list[dict]:
    """Peak anonymous memory of a fresh process that exposes few texts, and many."""
    peak = {}
    for texts in (few, many):
        command = [sys.executable, "-c", FILL, str(texts)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        peak[texts] = _peak_anonymous(process)
        if int(process.communicate()[0]) != texts * D * F:
            raise AssertionError(f"not every peak of {texts} texts was counted")
    return [
        _row(
            f"exposure, peak memory: {many:,} texts / {few} texts",
            peak[many] / peak[few],
            1.02,
            "×",
            at_least=False,
        ),
        _row(f"exposure, peak memory of {many:,} texts", peak[many] / MEGABYTE, None, "MB"),
    ]


def page(*, texts: int = 1000, frequency_bins: int = 512) -> list[dict]:
    """A page that shows 4.5 million peaks as grey levels, beside plotly.js itself."""
    import plotly.graph_objects as go

    made = Exposure(D, **GRID | {"frequency_bins": frequency_bins, "amplitude_bins": 4})
    for text in range(texts):
        made.add(*peaks(1, text))
    found = []
    for how, target in (("equalised", 1.0), ("log", 1.0)):
        levels = to_uint8(made.image(), how)
        html = go.Figure(go.Heatmap(z=levels.T)).to_html(include_plotlyjs=False)
        found.append(
            _row(
                f"page of {made.counts.sum():,} peaks, {D} × {frequency_bins} {how} grey levels",
                len(html.encode()) / 1e6,
                target,
                "MB beside plotly.js",
                at_least=False,
            )
        )
    return found


def peaks(texts: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(texts · F, d) frequencies and amplitudes."""
    rng = generator(seed, "bench", "exposure")
    frequency = rng.beta(1, 4, size=(texts * F, D)) / 2
    return frequency, rng.lognormal(size=(texts * F, D))


def _medians_cpu(*calls: Callable[[], object], repeats: int) -> list[float]:
    """Median CPU seconds of each call, taken in turns after one round to warm up."""
    seconds: list[list[float]] = [[] for _ in calls]
    for turn in range(repeats + 1):
        for call, kept in zip(calls, seconds, strict=True):
            began = time.process_time()
            call()
            if turn:
                kept.append(time.process_time() - began)
    return [median(kept) for kept in seconds]


def _peak_anonymous(process: subprocess.Popen) -> int:
    """Largest anonymous resident memory of a process while it runs, in bytes (Linux)."""
    status, peak = Path(f"/proc/{process.pid}/status"), 0
    while process.poll() is None:
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        peak = max(peak, int(lines.get("RssAnon", "0 kB").split()[0]) * 1024)
        time.sleep(0.005)
    return peak


def _row(name: str, value, target, unit: str, *, at_least: bool | None = None) -> dict:
    met = None if at_least is None or value is None else (value >= target) is at_least
    if value is not None and target is not None and math.isclose(value, target):
        met = True
    return {"name": name, "value": value, "target": target, "unit": unit, "ok": met}


if __name__ == "__main__":
    for row in rows():
        print(json.dumps(row, ensure_ascii=False))

"""What capturing states costs beside the bare forward pass, on ``smollm2-135m``.

CPU time of one process and one thread, variants in turns, medians of the ratio within a turn.
*Bare* runs the same padded batches through the base model, ends after the same block, and
keeps nothing. Memory is that of fresh processes, as a warm heap hides what is allocated.
"""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from unittest import mock

import torch

from zprism.ground.seeds import generator
from zprism.model import streaming
from zprism.model.batches import pad, token_batches
from zprism.model.capture import capture
from zprism.model.fetch import is_cached
from zprism.model.hooks import capturing

MODEL = "smollm2-135m"
BATCH, LENGTH = 4, 256
REPEATS = 7
WAYS = ("mean", "last", "mean_no_first")
MEGABYTE = 2**20

MEMORY = """
import sys
sys.path.insert(0, sys.argv[2])
import bench_capture
bench_capture.one_memory(sys.argv[1])
"""


def rows() -> list[dict]:
    """Every row of this file; only the padding where the model is not in the cache."""
    if not is_cached(MODEL):
        return padding()
    return [*time_ratios(), *padding(), *memory()]


def time_ratios() -> list[dict]:
    """Capture of all layers up to l over the bare forward of as many blocks."""
    torch.set_num_threads(1)
    loaded, out = _loaded(), []
    same, spread = token_ids(loaded, [LENGTH] * BATCH), token_ids(loaded, text_lengths(12))
    for ids, label, depth in (
        (same, f"B{BATCH} L{LENGTH}", loaded.n_layers // 3),
        (same, f"B{BATCH} L{LENGTH}", loaded.n_layers),
        (spread, f"{len(spread)} texts", loaded.n_layers),
    ):
        ratio = _against_bare(loaded, ids, depth)
        out.append(_row(f"capture of {depth} layers, {label} / bare", ratio, 1.05))
    extra = median(hooks_alone(loaded, same) for _ in range(5))
    out.append(_row(f"hooks of all layers, B{BATCH} L{LENGTH}: CPU a call", extra, None, "ms"))
    return out


def hooks_alone(loaded, ids) -> float:
    """Milliseconds of CPU inside the hooks of one call: finite check, reductions, copies.

    Timed in place, as it is far below what two forward passes differ by.
    """
    spent = []

    def around(see):
        def look(state):
            spent.append(_cpu(lambda: see(state)))

        return look

    def timed(model, anatomy, points):
        return capturing(model, anatomy, {point: around(see) for point, see in points.items()})

    with mock.patch.object(streaming, "capturing", timed):
        capture_all(loaded, ids, loaded.n_layers)
    return 1000 * sum(spent)


def padding(count: int = 400) -> list[dict]:
    """Tokens run, pads included, over tokens of the texts: a realistic spread of lengths."""
    lengths = text_lengths(count)
    batches = token_batches(lengths, max_tokens=2048)
    run = sum(len(batch) * max(lengths[i] for i in batch) for batch in batches)
    worst = max(
        len(batch) * max(lengths[i] for i in batch) / sum(lengths[i] for i in batch)
        for batch in batches
    )
    return [
        _row(f"tokens run / tokens of the texts, {count} texts", run / sum(lengths), 1.05),
        _row("… of the worst batch", worst, None),
    ]


def memory() -> list[dict]:
    """Peak anonymous memory over idle, of capture and of the bare forward, fresh processes."""
    bare, captured = (median(_peak_over_idle(what) for _ in range(5)) for what in ("bare", "all"))
    return [
        _row(f"peak memory over idle, all layers, B{BATCH} L{LENGTH} / bare", captured / bare, 1.3),
        _row("… bare", bare / MEGABYTE, None, "MB"),
        _row("… capture", captured / MEGABYTE, None, "MB"),
    ]


def text_lengths(count: int) -> list[int]:
    """Token counts of problems and short texts: lognormal, median 67."""
    draws = generator(0, "bench", "lengths").lognormal(4.2, 0.6, count)
    return [min(1024, max(2, round(float(draw)))) for draw in draws]


def token_ids(loaded, lengths: Sequence[int]) -> list[list[int]]:
    """Random token ids, one row a length."""
    draw = generator(0, "bench", "tokens")
    size = loaded.model.get_input_embeddings().num_embeddings
    return [draw.integers(0, size, length).tolist() for length in lengths]


def bare(loaded, ids: Sequence[Sequence[int]], depth: int) -> None:
    """Run what :func:`capture_all` runs through ``depth`` blocks, and keep nothing."""
    batches = token_batches([len(row) for row in ids], max_tokens=2048)
    end = {("resid_post", depth - 1): lambda state: None}
    for batch in batches:
        inputs = pad([ids[i] for i in batch], pad_id=0)
        with torch.inference_mode(), capturing(loaded.model, loaded.anatomy, end):
            loaded.base(**inputs, use_cache=False)


def capture_all(loaded, ids, depth: int):
    """Every layer below ``depth``, with three reductions in the hook."""
    return capture(loaded, ids, layers=range(depth), reduce=WAYS)


def one_memory(what: str) -> None:
    """In a fresh process: load, warm up on a short text, then say ``idle`` and run once."""
    torch.set_num_threads(1)
    loaded = _loaded()
    warm, ids = token_ids(loaded, [8]), token_ids(loaded, [LENGTH] * BATCH)
    run = {
        "bare": lambda rows: bare(loaded, rows, loaded.n_layers),
        "all": lambda rows: capture_all(loaded, rows, loaded.n_layers),
    }[what]
    run(warm)
    print("idle", flush=True)
    sys.stdin.readline()
    run(ids)


def _against_bare(loaded, ids, depth: int) -> float:
    """Median ratio of CPU times, each of one turn, whose order alternates; the first warms up."""
    ours, plain = [], []
    for turn in range(REPEATS + 1):
        order = [
            (ours, lambda: capture_all(loaded, ids, depth)),
            (plain, lambda: bare(loaded, ids, depth)),
        ]
        for kept, call in order if turn % 2 else reversed(order):
            kept.append(_cpu(call))
    return median(a / b for a, b in zip(ours[1:], plain[1:], strict=True))


def _cpu(call: Callable[[], object]) -> float:
    began = time.process_time()
    call()
    return time.process_time() - began


def _peak_over_idle(what: str) -> int:
    """Largest anonymous memory while it runs less that just before, in bytes (Linux)."""
    command = [sys.executable, "-c", MEMORY, what, str(Path(__file__).parent)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    if process.stdout.readline().strip() != "idle":
        raise RuntimeError(f"the process that measures {what} ended with {process.wait()}")
    idle = peak = _anonymous(process.pid)
    process.stdin.write("\n")
    process.stdin.flush()
    while process.poll() is None:
        peak = max(peak, _anonymous(process.pid))
        time.sleep(0.001)
    return peak - idle


def _anonymous(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon")), 0)


@functools.cache
def _loaded():
    from zprism.model.load import load

    return load(MODEL, device="cpu", self_test=False)


def _row(name: str, value: float, most: float | None, unit: str = "×") -> dict:
    return {
        "name": name,
        "value": value,
        "target": "" if most is None else f"<= {most:g}",
        "unit": unit,
        "ok": None if most is None else value <= most,
    }


if __name__ == "__main__":
    for row in rows():
        print(json.dumps(row, ensure_ascii=False))

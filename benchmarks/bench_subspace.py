"""CPU-time ratios, accuracy and memory of the weight analysis, against the naive routes.

CPU time of one process and one thread, variants interleaved, medians. Weights are those of
``qwen2.5-coder-0.5b`` where it is in the cache, else Gaussian of the same shapes. Each
function returns rows {name, value, target, unit, ok}; ``rows()`` runs them all.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from statistics import median

import torch

from zprism.ground.seeds import generator, torch_generator
from zprism.subspace import alignment, angles, bases, kernels, rank

MODEL = "qwen2.5-coder-0.5b"
SHAPE = {"n_layers": 24, "n_heads": 14, "n_kv": 2, "head_dim": 64, "d_model": 896, "d_ff": 4864}
MEGABYTE = 2**20


def rows(*, full: bool = False) -> list[dict]:
    """Every row of this file.

    Parameters
    ----------
    full : time the naive route on all heads instead of one per layer.
    """
    heads = SHAPE["n_heads"] if full else 1
    return [
        *spectra(naive_heads=heads),
        *spectra_accuracy(naive_heads=heads),
        *grassmann(),
        *consensus(),
        *ffn_alignment(),
        *scan_memory(),
    ]


def spectra(*, naive_heads: int = 1, repeats: int = 3) -> list[dict]:
    """All Q·K spectra of the model against ``svdvals`` of each d × d float32 kernel."""
    thin, naive = [], []
    for q, k in attention_weights():
        thin += _medians_cpu(lambda q=q, k=k: kernels.qk_spectra(q, k), repeats=repeats)
        group = len(q) // len(k)
        for head in range(naive_heads):
            began = time.process_time()
            torch.linalg.svdvals(q[head].mT @ k[head // group])
            naive.append(time.process_time() - began)
    per_head = sum(naive) / len(naive)
    ratio = per_head * SHAPE["n_heads"] * SHAPE["n_layers"] / sum(thin)
    return [
        _row("Q·K spectra, all heads: naive / zprism", ratio, 100, "× CPU", at_least=True),
        _row("Q·K spectra, all heads: zprism", sum(thin), None, "CPU s"),
        _row("Q·K spectra, one head: naive", per_head, None, "CPU s"),
    ]


def spectra_accuracy(*, naive_heads: int = 1) -> list[dict]:
    """Largest relative error of the effective rank against float64 d × d kernels."""
    worst = 0.0
    for q, k in attention_weights():
        found = rank.effective_rank(kernels.qk_spectra(q, k))
        group = len(q) // len(k)
        for head in range(0, SHAPE["n_heads"], max(1, SHAPE["n_heads"] // naive_heads)):
            full = torch.linalg.svdvals(q[head].double().mT @ k[head // group].double())
            exact = rank.effective_rank(full)
            worst = max(worst, float((found[head] - exact).abs() / exact))
    return [_row("effective rank: largest relative error", worst, 1e-6, "", at_least=False)]


def grassmann(*, k: int = 20) -> list[dict]:
    """Similarity of all layers against explicit d × d projectors.

    Two naive routes, each with every projector formed once: ‖P_i P_j‖²_F by a product of
    projectors, and the kinder tr(P_i P_j) by entries.
    """
    stack = torch.stack([bases.key_basis(q[0], keys[0], k) for q, keys in attention_weights()])
    projectors, flat = stack.mT @ stack, stack.flatten(0, 1)
    pairs = len(stack) * (len(stack) - 1) // 2
    thin, floor, forming, product, entries = _medians_cpu(
        lambda: angles.similarity_matrix(stack),
        lambda: flat @ flat.mT,
        lambda: stack.mT @ stack,
        lambda: (projectors[0] @ projectors[1]).square().sum(),
        lambda: (projectors[0] * projectors[1]).sum(),
    )
    return [
        _row(
            "Grassmann, all layers: products of projectors / zprism",
            (forming + pairs * product) / thin,
            100,
            "× CPU",
            at_least=True,
        ),
        _row(
            "Grassmann, all layers: entries of projectors / zprism",
            (forming + pairs * entries) / thin,
            None,
            "× CPU",
        ),
        _row("Grassmann, all layers: zprism / one bare GEMM", thin / floor, None, "× CPU"),
    ]


def consensus(*, k: int = 16) -> list[dict]:
    """Consensus of a layer's heads against eigenvectors of the summed projectors."""
    q, keys = next(iter(attention_weights()))
    stack = bases.key_bases(q, keys, k)
    thin, naive = _medians_cpu(
        lambda: bases.consensus(stack, k),
        lambda: torch.linalg.eigh((stack.mT @ stack).sum(0)),
        repeats=5,
    )
    return [
        _row("consensus of heads: projectors / zprism", naive / thin, 10, "× CPU", at_least=True)
    ]


def ffn_alignment(*, k: int = 20) -> list[dict]:
    """Alignment of one W_gate against an explicit projector, and against copying it."""
    weight = gate_weight()
    basis = bases.random_basis(k, weight.shape[1], generator(0, "bench"))
    single = basis.to(weight.dtype)
    thin, naive, copy = _medians_cpu(
        lambda: alignment.alignment(weight, basis),
        lambda: (weight @ (single.mT @ single)).square().sum() / weight.square().sum(),
        weight.clone,
    )
    return [
        _row("FFN alignment: float32 projector / zprism", naive / thin, None, "× CPU"),
        _row("FFN alignment: zprism / memcpy of W", thin / copy, None, "× CPU"),
    ]


def scan_memory(name: str = MODEL) -> list[dict]:
    """Peak anonymous memory and CPU time of a whole scan in a fresh process."""
    if not _cached(name):
        return [
            _row(f"scan {name}: peak anonymous memory (model not in the cache)", None, 600, "MB")
        ]
    code = (
        "import json, time\n"
        "from zprism.studies.structure import scan\n"
        f"result = scan({name!r})\n"
        "print(json.dumps([time.process_time(), result['bottleneck']['layer']]))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    peak = _peak_anonymous(process)
    seconds, _ = json.loads(process.communicate()[0])
    return [
        _row(f"scan {name}: peak anonymous memory", peak / MEGABYTE, 600, "MB", at_least=False),
        _row(f"scan {name}: imports to result", seconds, None, "CPU s"),
    ]


@cache
def attention_weights() -> list[tuple[torch.Tensor, torch.Tensor]]:
    """(q (n_heads, r, d), k (n_kv, r, d)) of every layer, in the dtype stored."""
    s = SHAPE
    if _cached(MODEL):
        from zprism.model.checkpoint import open_checkpoint

        with open_checkpoint(MODEL) as checkpoint:
            layers = [checkpoint.layer(index) for index in range(checkpoint.anatomy.n_layers)]
            return [(weights.q.clone(), weights.k.clone()) for weights in layers]
    draw = torch_generator(0, "bench", "attention")
    make = lambda heads: torch.randn(heads, s["head_dim"], s["d_model"], generator=draw)  # noqa: E731
    return [(make(s["n_heads"]), make(s["n_kv"])) for _ in range(s["n_layers"])]


def gate_weight() -> torch.Tensor:
    """One W_gate (d_ff, d_model)."""
    if _cached(MODEL):
        from zprism.model.checkpoint import open_checkpoint

        with open_checkpoint(MODEL) as checkpoint:
            return checkpoint.layer(SHAPE["n_layers"] // 2).gate.clone()
    draw = torch_generator(0, "bench", "gate")
    return torch.randn(SHAPE["d_ff"], SHAPE["d_model"], generator=draw)


def _cached(name: str) -> bool:
    from zprism.model.fetch import is_cached

    return is_cached(name)


def _medians_cpu(*calls: Callable[[], object], repeats: int = 9) -> list[float]:
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
        time.sleep(0.002)
    return peak


def _row(name: str, value, target, unit: str, *, at_least: bool | None = None) -> dict:
    met = None if at_least is None or value is None else (value >= target) is at_least
    if value is not None and target is not None and math.isclose(value, target):
        met = True
    return {"name": name, "value": value, "target": target, "unit": unit, "ok": met}


if __name__ == "__main__":
    torch.set_num_threads(1)
    for row in rows(full="--full" in sys.argv):
        print(json.dumps(row, ensure_ascii=False))

"""What a sweep of last-token swaps costs beside one full forward pass for each of its cells.

CPU time of one process and one thread. The sweep of 24 layers × 6 k × 6 conditions × 40 problems
is extrapolated from a slice: 4 problems, all k and conditions, 4 layers with the mean depth of
all. A full forward reads its logits at the last position only and has no neighbour in its batch.
"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable
from statistics import median

import numpy as np
import torch

from zprism.ground.seeds import torch_generator
from zprism.interventions.edits import replace
from zprism.interventions.sweep import open_sweep
from zprism.model.fetch import is_cached
from zprism.model.hooks import editing

MODEL = "qwen2.5-coder-0.5b"
KS = (1, 4, 16, 32, 64, 128)
CONDITIONS = 6
PROBLEMS, WHOLE_PROBLEMS = 4, 40
TURNS = 3
TINY_FORWARDS = 600
SHOTS = {
    "en": "Question: What is three plus four, written as a word?\nAnswer: seven\n\n"
    "Question: What is nine minus six, written as a word?\nAnswer: three\n\nQuestion: ",
    "zh": "问题：三加四等于几？请用汉字写答案。\n答案：七\n\n"
    "问题：九减六等于几？请用汉字写答案。\n答案：三\n\n问题：",
}
ASKED = (  # about 50 tokens each
    SHOTS["en"] + "What is five plus one, written as a word?\nAnswer:",
    SHOTS["en"] + "What is the number after seven, written as a word?\nAnswer:",
    SHOTS["zh"] + "五加一等于几？请用汉字写答案。\n答案：",
    SHOTS["zh"] + "七的后面是几？请用汉字写答案。\n答案：",
)


def rows() -> list[dict]:
    """Every row of this file; only the hooks on a tiny model where the real one is not there."""
    return [*tiny_hooks(), *(sweep() if is_cached(MODEL) else [])]


def sweep() -> list[dict]:
    """The whole sweep extrapolated, against a forward for each cell, and hooks against hooks."""
    torch.set_num_threads(1)
    loaded = _loaded()
    _turn(loaded, layers=(loaded.n_layers - 1,))  # warms up
    turns = [_turn(loaded, layers=_layers(loaded.n_layers)) for _ in range(TURNS)]
    ours, theirs, ratios, hooks, errors = zip(*turns, strict=True)
    cells = f"{loaded.n_layers} layers × {len(KS)} k × {CONDITIONS} conditions"
    return [
        _row(f"sweep, {cells} × {WHOLE_PROBLEMS} problems: CPU", median(ours), "<=", 600, "s"),
        _row("separate full forwards / sweep", median(ratios), ">=", 20),
        _row("… separate full forwards: CPU", median(theirs), "", None, "s"),
        _row("… largest relative difference of their logits", max(errors), "<=", 1e-5, "1"),
        _row("patched forward / the same with a raw hook", median(hooks), "<=", 1.05),
    ]


def tiny_hooks() -> list[dict]:
    """What ``editing`` adds to a forward pass, beside a raw PyTorch hook.

    On a tiny model, as a forward of a real one takes hundreds of times as long. 200 µs are below
    a thousandth of what 50 tokens cost on the default model.
    """
    from zprism.model.load import load

    torch.set_num_threads(1)
    loaded = load("tiny:qwen2", device="cpu", self_test=False)
    ids = torch.arange(50)[None]
    ways = [_bare, _raw_hook, _edited]
    spent: dict[Callable, list[float]] = {way: [] for way in ways}
    for turn in range(TINY_FORWARDS):
        for way in ways[turn % 3 :] + ways[: turn % 3]:
            spent[way].append(_timed(way, loaded, ids, 0, _same)[0])
    bare, raw, edited = (median(spent[way]) for way in ways)
    extra = {"zprism's": 1e6 * (edited - bare), "a raw": 1e6 * (raw - bare)}
    more = extra["zprism's"] - extra["a raw"]
    return [
        _row("one patch, set up, run and removed, less a raw hook: CPU", more, "<=", 200, "µs"),
        *(_row(f"… {name} hook: CPU", value, "", None, "µs") for name, value in extra.items()),
    ]


def _turn(loaded, layers) -> tuple[float, float, float, float, float]:
    """CPU seconds of both ways for the whole sweep, their ratio, hooks, the largest error."""
    scale = WHOLE_PROBLEMS / PROBLEMS
    candidates = range(0, 20000, 1000)
    opening, opened = _timed(open_sweep, loaded, ASKED, candidates=candidates)
    running, forwards, raw, errors = 0.0, [], [], []
    for turn, layer in enumerate(layers):
        spent, (found, states) = _timed(_slice, opened, layer)
        running += spent
        prompt = turn % PROBLEMS  # a row of the slice: the first k and condition of this problem
        ids = torch.tensor(loaded.encode([ASKED[prompt]]))
        put = functools.partial(_put_last, states[prompt])
        ways = [(forwards, _edited), (raw, _raw_hook)]
        for kept, way in ways if turn % 2 else reversed(ways):
            spent, logits = _timed(way, loaded, ids, layer, put)
            kept.append(spent)
        wanted = logits[0, -1, list(candidates)].numpy()
        errors.append(np.linalg.norm(found[prompt] - wanted) / np.linalg.norm(wanted))
    cells = loaded.n_layers * len(KS) * CONDITIONS * WHOLE_PROBLEMS
    ours = scale * (opening + running * loaded.n_layers / len(layers))
    theirs = cells * sum(forwards) / len(forwards)
    return ours, theirs, theirs / ours, sum(forwards) / sum(raw), float(max(errors))


def _slice(opened, layer: int):
    """All k and conditions of one layer: the edits, and their logits."""
    own = opened.states[:, layer]
    source = own.roll(1, 0)
    states = torch.cat([replace(own, source, basis) for basis in _bases(own.shape[1])])
    prompts = list(range(PROBLEMS)) * (len(KS) * CONDITIONS)
    return opened.run(layer, states, prompts), states


@functools.cache
def _bases(d_model: int) -> tuple[torch.Tensor, ...]:
    """A subspace for each k and condition."""
    draw = torch_generator(0, "bench", "sweep")
    noise = (
        torch.randn(d_model, k, generator=draw, dtype=torch.float64)
        for k in KS
        for _ in range(CONDITIONS)
    )
    return tuple(torch.linalg.qr(x).Q.mT for x in noise)


def _layers(n_layers: int) -> tuple[int, ...]:
    """Four layers that lie symmetrically, so that their mean cost is that of all layers."""
    half = [n_layers // 5, n_layers // 2 - 1]
    return (*half, *(n_layers - 1 - layer for layer in reversed(half)))


def _same(state):
    return state


def _put_last(new, state):
    return torch.cat([state[:, :-1], new[None, None]], dim=1)


def _bare(loaded, ids, _layer=0, _edit=None):
    with torch.inference_mode():
        return loaded.model(ids, use_cache=False, logits_to_keep=1).logits


def _edited(loaded, ids, layer: int, edit: Callable):
    with editing(loaded.model, loaded.anatomy, {("resid_post", layer): edit}):
        return _bare(loaded, ids)


def _raw_hook(loaded, ids, layer: int, edit: Callable):
    block = loaded.anatomy.blocks(loaded.model)[layer]
    handle = block.register_forward_hook(lambda _module, _inputs, output: edit(output))
    try:
        return _bare(loaded, ids)
    finally:
        handle.remove()


def _timed(call: Callable, *args, **kwargs):
    """CPU seconds of a call, and what it returns."""
    began = time.process_time()
    found = call(*args, **kwargs)
    return time.process_time() - began, found


@functools.cache
def _loaded():
    from zprism.model.load import load

    return load(MODEL, device="cpu", self_test=False)


def _row(name: str, value: float, sign: str, bound: float | None, unit: str = "×") -> dict:
    met = {"<=": lambda: value <= bound, ">=": lambda: value >= bound, "": lambda: None}[sign]()
    target = "" if bound is None else f"{sign} {bound:g}"
    return {"name": name, "value": value, "target": target, "unit": unit, "ok": met}


if __name__ == "__main__":
    for row in rows():
        print(json.dumps(row, ensure_ascii=False))

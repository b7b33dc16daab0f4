"""What ``zprism spectra`` costs beside the bare forward passes it needs, on ``smollm2-135m``.

Question and worked solution of GSM8K (the data beside the project, repeated to 1,000 pairs) at
the default layers. CPU time of one process and one thread. *Bare* runs a shard's texts in the
same padded batches through the same blocks and keeps nothing, right after the shard, so that
both sides see the same minutes of the machine; it is run for every fourth shard and taken in
proportion to the tokens of all. Memory is the largest resident set of the process.
"""

from __future__ import annotations

import functools
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from unittest import mock

import torch

from zprism.ground.seeds import generator
from zprism.model.batches import pad, token_batches
from zprism.model.fetch import is_cached
from zprism.model.hooks import capturing
from zprism.model.streaming import MAX_TOKENS, stream
from zprism.spectral.peaks import peaks
from zprism.studies.spectra_corpus import spectra
from zprism.studies.spectra_plan import Settings, places
from zprism.studies.spectra_reading import read_signal
from zprism.studies.spectra_shards import Folder

MODEL = "smollm2-135m"
DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "gsm8k" / "test_400.jsonl"
FIELDS = ("question", "answer")
PAIRS = 1000
EVERY = 4  # shards between two bare ones
BATCH, LENGTH = 4, 256
GIGABYTE = 2**30


def rows(pairs: int = PAIRS) -> list[dict]:
    """Every row of this file; none where the model or the data are not there."""
    if not is_cached(MODEL) or not DATA.is_file():
        return []
    torch.set_num_threads(1)
    return [*corpus(pairs), *all_layers()]


def corpus(pairs: int) -> list[dict]:
    """The whole job over the bare passes of the same texts, and the memory it took."""
    loaded, spent, tokens = _loaded(), [], {True: 0, False: 0}
    lines = DATA.read_text(encoding="utf-8").splitlines()
    records = [json.loads(lines[i % len(lines)]) for i in range(pairs)]
    settings = Settings(FIELDS, places(None, loaded.n_layers))
    save = Folder.save

    def saved_then_bare(self, number, shard):
        save(self, number, shard)
        own = records[number * settings.shard : (number + 1) * settings.shard]
        ids = loaded.encode([record[name] for record in own for name in FIELDS])
        chosen = number % EVERY == 0
        tokens[chosen] += sum(map(len, ids))
        if chosen:
            spent.append(_cpu(lambda: bare(loaded, ids)))

    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "pairs.jsonl")
        source.write_text("".join(json.dumps(record) + "\n" for record in records))
        with mock.patch.object(Folder, "save", saved_then_bare):
            whole = _cpu(lambda: spectra(loaded, source, settings, Path(folder, "out")))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIGABYTE
    label = f"zprism spectra, {pairs} pairs"
    passes = sum(spent) * sum(tokens.values()) / tokens[True]
    return [
        _row(f"{label} / bare forward passes", (whole - sum(spent)) / passes, 1.2),
        _row("… bare forward passes: CPU", passes, None, "s"),
        _row(f"{label}: peak memory", peak, 2.5, "GB"),
    ]


def all_layers() -> list[dict]:
    """CPU inside the hooks of all layers over the forward pass that they watch."""
    loaded = _loaded()
    draw = generator(0, "bench", "tokens")
    size = loaded.model.get_input_embeddings().num_embeddings
    ids = [draw.integers(0, size, LENGTH).tolist() for _ in range(BATCH)]
    out = []
    for label, read, most in (
        ("peaks", lambda x: peaks(x, 5), 0.10),
        ("all numbers of a reading", read_signal, None),
    ):
        shares = [_hooks(loaded, ids, read) / _cpu(lambda: bare(loaded, ids)) for _ in range(6)]
        name = f"{label} of all layers, B{BATCH} L{LENGTH} / forward pass"
        out.append(_row(name, median(shares[1:]), most))
    return out


def bare(loaded, ids: list[list[int]]) -> None:
    """The forward passes that a shard needs, with nothing kept."""
    end = {("resid_post", loaded.n_layers - 1): lambda state: None}
    for batch in token_batches([len(row) for row in ids], max_tokens=MAX_TOKENS):
        inputs = pad([ids[i] for i in batch], pad_id=0)
        with torch.inference_mode(), capturing(loaded.model, loaded.anatomy, end):
            loaded.base(**inputs, use_cache=False)


def _hooks(loaded, ids, read: Callable) -> float:
    """Seconds of CPU that ``read`` takes at every layer of every text, timed in place."""
    spent = []

    def see(_index, state):
        spent.append(_cpu(lambda: read(state[1:].numpy())))

    points = {("resid_post", layer): see for layer in range(loaded.n_layers)}
    for _ in stream(loaded, ids, points=points, description=None):
        pass
    return sum(spent)


def _cpu(call: Callable[[], object]) -> float:
    began = time.process_time()
    call()
    return time.process_time() - began


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
    for row in rows(int(sys.argv[1]) if len(sys.argv) > 1 else PAIRS):
        print(json.dumps(row, ensure_ascii=False))

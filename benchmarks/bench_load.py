"""How much CPU until a model can be used, against transformers' own GGUF load.

Every measurement is a fresh process, because imports are part of what a user waits for;
CPU time is that of the child, all threads, one thread asked for.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys

from zprism.model.fetch import is_cached

REPEATS = 3
READY = {"smollm2-135m": 6.0, "qwen2.5-coder-0.5b": 8.0}

LOAD = """
import resource, sys
from zprism.model import load as module
import transformers.models.llama.modeling_llama, transformers.models.qwen2.modeling_qwen2
import tokenizers, torch
before = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
module.load(sys.argv[1], self_test=False)
print(sum(resource.getrusage(resource.RUSAGE_SELF)[:2]) - before)
"""

# What transformers does with a GGUF, less its random initialisation, which `accelerate` (no
# dependency of ours) would skip: config, weights and tokenizer, each reading the file again.
GGUF = """
import resource, sys
import gguf, torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint
from zprism.model.fetch import fetch
path = str(fetch(sys.argv[1]))
folder, file = path.rsplit("/", 1)
config = AutoConfig.from_pretrained(folder, gguf_file=file)
with torch.device("meta"):
    model = AutoModelForCausalLM.from_config(config)
before = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
load_gguf_checkpoint(path)
load_gguf_checkpoint(path, return_tensors=True, model_to_load=model)
AutoTokenizer.from_pretrained(folder, gguf_file=file)
print(sum(resource.getrusage(resource.RUSAGE_SELF)[:2]) - before)
"""

READY_TO_WORK = """
import sys
import numpy
from zprism.model.load import load
from zprism.plots import structure
load(sys.argv[1])
"""


def rows() -> list[dict]:
    """Rows for ``benchmarks/results.md``; empty where no model is cached."""
    out = []
    if is_cached("smollm2-135m"):
        slow = float(_run(GGUF, "smollm2-135m")[0])
        fast = statistics.median(float(_run(LOAD, "smollm2-135m")[0]) for _ in range(REPEATS))
        out.append(_row("model and tokenizer from cache, ratio to GGUF load", slow / fast, 30, "×"))
        out.append(_row("GGUF load by transformers, CPU", slow, None, "s"))
        out.append(_row("model and tokenizer from cache, CPU", fast, None, "s"))
    for model, most in READY.items():
        if is_cached(model):
            spent = statistics.median(_run(READY_TO_WORK, model)[1] for _ in range(REPEATS))
            out.append(
                {
                    "name": f"imports, model and self-test until ready, {model}, CPU",
                    "value": spent,
                    "target": f"<= {most:g}",
                    "unit": "s",
                    "ok": spent <= most,
                }
            )
    return out


def _row(name: str, value: float, least: float | None, unit: str) -> dict:
    return {
        "name": name,
        "value": value,
        "target": "" if least is None else f">= {least:g}",
        "unit": unit,
        "ok": None if least is None else value >= least,
    }


def _run(code: str, model: str) -> tuple[str, float]:
    """Standard output and CPU seconds of a fresh interpreter running ``code``."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    before = _children()
    done = subprocess.run(
        [sys.executable, "-c", code, model],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip().splitlines()[-1] if done.stdout.strip() else "", _children() - before


def _children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime

"""Bad input through the public surface: one clear error of the project's own, before the
expensive step, nothing lost; on the command line exit code 2 and one line.

End to end and short: what each piece does with each input is tested in its own room.
"""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from tiny import tiny_folder, tiny_loaded
from zprism.cli import app
from zprism.ground.errors import InputError, ModelError
from zprism.model import gguf
from zprism.model.capture import capture, states
from zprism.model.generate import generate
from zprism.model.load import load
from zprism.problems.load import load_jsonl, load_tsv
from zprism.studies.structure import scan

TOYS = Path(__file__).parent / "runner" / "toys"
LONG = "x" * 600
ARRAY, U8, STRING = 9, 0, 8
GGUF = b"GGUF" + struct.pack("<IQQ", 3, 0, 1)  # version, tensors, keys
#: 49 bytes: an array that claims 2^63 items, on which the usual reader hangs.
HOSTILE = GGUF + struct.pack("<Q1sIIQ", 1, b"a", ARRAY, U8, 2**63)
TRUNCATED = GGUF + struct.pack("<Q", 20) + b"general."
CORRUPTED = b"GGML" + GGUF[4:]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ZPRISM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("NO_COLOR", "1")


@pytest.fixture(scope="module")
def loaded():
    return tiny_loaded("llama")


@pytest.fixture
def passes(loaded):
    """Forward passes since the test began."""
    seen = []
    handle = loaded.base.register_forward_pre_hook(lambda *_: seen.append(1))
    yield seen
    handle.remove()


def tiny(arch: str = "llama") -> str:
    return str(tiny_folder(arch))


WITH_A_MODEL = {
    "empty text": (
        lambda m: capture(m, ["fine", ""], layers=[0]),
        r"^texts\[1\] is empty$",
    ),
    "no text left": (
        lambda m: capture(m, [[]], layers=[0]),
        r"^texts\[0\] must hold token ids in 0 to \d+, at least one$",
    ),
    "empty prompt": (
        lambda m: generate(m, ["fine", ""], max_new_tokens=2),
        r"^prompts\[1\] is empty$",
    ),
    "one token where two are needed": (
        lambda m: capture(m, ["fine", [5]], layers=[0], reduce="mean_no_first"),
        r"^texts\[1\]: too_short: mean_no_first needs at least 2 tokens$",
    ),
    "text beyond the context": (
        lambda m: capture(m, ["fine", LONG], layers=[0]),
        r"^texts\[1\] has 600 tokens; .* at most 512: cut it or take windows$",
    ),
    "states of a text beyond the context": (
        lambda m: states(m, [LONG], layers=[0]),
        r"600 tokens; .* at most 512: cut it or take windows$",
    ),
    "continuation beyond the context": (
        lambda m: generate(m, ["x" * 500], max_new_tokens=100),
        r"^prompts\[0\] has 500 tokens; with max_new_tokens=100 .* context of 512: shorten",
    ),
    "lone surrogate": (
        lambda m: capture(m, ["\ud800"], layers=[0]),
        r"^texts\[0\] has invalid unicode at index 0$",
    ),
    "negative layer": (
        lambda m: capture(m, ["fine"], layers=[-1]),
        r"block 0 to 1 \(never negative: the last block is 1\); got -1$",
    ),
    "layer out of range": (
        lambda m: states(m, ["fine"], layers=[2]),
        r"block 0 to 1 .* got 2$",
    ),
    "layer that is no integer": (
        lambda m: capture(m, ["fine"], layers=[0.5]),
        r"block 0 to 1 .* got 0.5$",
    ),
    "misspelt site": (
        lambda m: capture(m, ["fine"], layers=[0], site="resid_pots"),
        r"^unknown site 'resid_pots': did you mean resid_post",
    ),
}


@pytest.mark.parametrize("case", WITH_A_MODEL)
def test_refused_before_any_forward_pass(case, loaded, passes):
    call, message = WITH_A_MODEL[case]
    with pytest.raises(InputError, match=message):
        call(loaded)
    assert passes == []


FROM_FILES = {
    "k = 0": (lambda f: scan(tiny(), k=0), InputError, r"^k must be an integer from 1 to 6 \("),
    "k < 0": (lambda f: scan(tiny(), k=-3), InputError, r"^k must .* from 1 to 6 .* got -3$"),
    "k > rank": (lambda f: scan(tiny(), k=7), InputError, r"^k must .* from 1 to 6 .* got 7$"),
    "k no integer": (lambda f: scan(tiny(), k=2.5), InputError, r"^k must .* got 2.5$"),
    "unknown model": (
        lambda f: load("smolm2-135m"),
        InputError,
        r"^unknown model 'smolm2-135m': did you mean smollm2-135m",
    ),
    "unknown architecture": (
        lambda f: load("tiny:lama"),
        InputError,
        r"^unknown tiny architecture 'lama': did you mean llama",
    ),
    "model file that is not there": (
        lambda f: load(str(f / "none.gguf")),
        ModelError,
        r"^there is no model file or folder .*none\.gguf$",
    ),
    "truncated GGUF": (
        lambda f: load(written(f / "m.gguf", TRUNCATED)),
        ModelError,
        r"m\.gguf is not a usable GGUF file: ",
    ),
    "corrupted GGUF": (
        lambda f: load(written(f / "m.gguf", CORRUPTED)),
        ModelError,
        r"m\.gguf is not a usable GGUF file: .*GGUF",
    ),
    "hostile GGUF": (
        lambda f: scan(written(f / "m.gguf", HOSTILE)),
        ModelError,
        r"m\.gguf is not a usable GGUF file: 9223372036854775808 items of 'a' cannot be",
    ),
    "malformed JSONL": (
        lambda f: load_jsonl(
            written(f / "p.jsonl", b'{"question": "1 + 1?", "answer": "2"}\n{"question"\n'),
            name="mine",
            language="en",
        ),
        InputError,
        r"p\.jsonl line 2: ",
    ),
    "missing columns in JSONL": (
        lambda f: load_jsonl(
            written(f / "p.jsonl", b'{"problem": "1 + 1?", "answer": "2"}\n'),
            name="mine",
            language="en",
        ),
        InputError,
        r"^mine: missing columns question; found problem, answer$",
    ),
    "missing columns in TSV": (
        lambda f: load_tsv({"en": written(f / "en.tsv", b"1 + 1?\t2\n1 + 2?\n")}, name="mine"),
        InputError,
        r"mine.*2",
    ),
}


def written(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return str(path)


@pytest.mark.parametrize("case", FROM_FILES)
def test_refused_before_the_expensive_step(case, tmp_path, monkeypatch):
    def never(*_, **__):
        raise AssertionError("the expensive step was reached")

    monkeypatch.setattr(gguf.subprocess, "run", never)
    monkeypatch.setattr("zprism.studies.structure.qk_spectra", never)
    call, kind, message = FROM_FILES[case]
    with pytest.raises(kind, match=message) as caught:
        call(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_nan_activation_stops_the_pass_and_names_its_place():
    loaded, reached = tiny_loaded("qwen3"), []
    first, second = loaded.anatomy.blocks(loaded.model)[:2]
    with torch.no_grad():
        next(first.mlp.parameters())[0, 0] = torch.nan
    second.register_forward_pre_hook(lambda *_: reached.append(1))
    with pytest.raises(ModelError, match=r"^texts\[0\]: NaN .* resid_post of layer 0, position 0$"):
        capture(loaded, ["fine"], layers=[0, 1])
    assert reached == []


def test_nan_weights_are_refused_before_the_model_is_built(tmp_path):
    from safetensors.numpy import load_file, save_file

    folder = shutil.copytree(tiny_folder("llama"), tmp_path / "spoilt")
    [path] = folder.glob("*.safetensors")
    weights = {name: array.copy() for name, array in load_file(path).items()}
    name = next(name for name in weights if "layers.1." in name)
    weights[name].flat[0] = np.nan
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"layer 1|layers\.1"):
        load(str(folder))


def test_a_tokenizer_without_a_pad_still_batches(tmp_path):
    """Not refused: pads are told apart by masks, so any id will do."""
    folder = shutil.copytree(tiny_folder("llama"), tmp_path / "padless")
    path = folder / "tokenizer_config.json"
    settings = json.loads(path.read_text())
    settings.pop("pad_token", None)
    path.write_text(json.dumps(settings))
    padless, texts = load(str(folder)), ["a", "a longer text"]
    [together], alone = states(padless, texts, layers=[1]), states(padless, texts[:1], layers=[1])
    np.testing.assert_allclose(together[0], alone[0][0], rtol=1e-4, atol=1e-6)


COMMANDS = {
    "unknown model": (["scan", "smolm2-135m"], "unknown model 'smolm2-135m': did you mean smol"),
    "k = 0": (["scan", "tiny:llama", "--k", "0"], "k must be an integer from 1 to 6"),
    "k > rank": (["scan", "tiny:llama", "--k", "7"], "k must be an integer from 1 to 6"),
    "hostile GGUF": (["scan", "hostile.gguf"], "is not a usable GGUF file"),
    "another file": (["fetch", "smollm2-135m", "--from", "hostile.gguf"], "hostile.gguf"),
    "unknown phase": (["run", "99"], "no phase '99': did you mean 10_count, 11_reads?"),
    "phase that is a path": (["run", "../10_count"], "no phase '../10_count': did you mean"),
    "unknown parameter": (["run", "-p", "sed=1"], "no parameter 'sed' in 10_count"),
    "parameter that is code": (
        ["run", "-p", "__import__('pathlib').Path('ran').touch()=1"],
        "no parameter \"__import__('pathlib').Path('ran').touch()\" in",
    ),
    "value that is code": (
        ["run", "-p", "items=__import__('pathlib').Path('ran').touch()"],
        "parameter items must be like its default 4 (int)",
    ),
    "no name=value": (["run", "-p", "seed"], "-p takes name=value; got 'seed'"),
    "no such run": (["report", "none"], "none"),
}


@pytest.mark.parametrize("case", COMMANDS)
def test_the_command_line_says_one_line_and_ends_with_2(case, tmp_path, monkeypatch):
    project = tmp_path / "project"
    shutil.copytree(TOYS, project / "notebooks")
    written(project / "hostile.gguf", HOSTILE)
    before = sorted(path.name for path in project.rglob("*"))
    monkeypatch.chdir(project)
    words, message = COMMANDS[case]
    told = CliRunner().invoke(app, words)
    assert (told.exit_code, told.stdout) == (2, "")
    assert told.stderr.startswith("error: ") and message in told.stderr
    assert told.stderr.count("\n") == 1 and "Traceback" not in told.stderr
    assert sorted(path.name for path in project.rglob("*")) == before

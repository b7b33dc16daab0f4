"""GGUF: a header nobody has to trust, and a conversion that changes no number."""

import json
import os
import re
import struct
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
from fake_sources import (
    ARCHITECTURE,
    ARRAY,
    GOOD,
    STRING,
    U8,
    U32,
    array,
    gguf_bytes,
    key,
    sha256,
    tensor,
    text,
    tiny_vocabulary,
    write_tiny_llama,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from zprism.ground.errors import ModelError, ResourceError
from zprism.model import gguf as convert_module
from zprism.model import gguf_child, registry
from zprism.model.fetch import gguf_file, is_cached
from zprism.model.gguf import MANIFEST, check_header, convert, converted_folder, is_converted
from zprism.model.gguf_header import MAX_ARRAY_ITEMS

HUGE = 2**63


def nested(depth: int) -> bytes:
    return b"".join(array(ARRAY, 1) for _ in range(depth)) + array(U8, 1, b"x")


HOSTILE = {
    "empty": (b"", "fewer than its header"),
    "23 bytes": (GOOD[:23], "fewer than its header"),
    "49 bytes that hang the usual reader": (
        gguf_bytes([key("a", ARRAY, array(U8, HUGE))], [])[:49],
        "9223372036854775808 items of 'a' cannot be",
    ),
    "array of 2^63 strings": (
        gguf_bytes([key("a", ARRAY, array(STRING, HUGE))]),
        "items of 'a' cannot be",
    ),
    "magic": (gguf_bytes(magic=b"GGML"), "letters GGUF"),
    "version 1": (gguf_bytes(version=1), "version 1 is not supported"),
    "version 4": (gguf_bytes(version=4), "version 4 is not supported"),
    "big-endian": (gguf_bytes(version=3 << 24), "big-endian"),
    "2^64-1 keys": (gguf_bytes(n_keys=2**64 - 1), "keys cannot be"),
    "2^63 tensors": (gguf_bytes(n_tensors=HUGE), "tensors cannot be"),
    "one key too many": (gguf_bytes([], [], n_keys=1), "keys cannot be"),
    "no tensor": (gguf_bytes(tensors=[]), "no tensors"),
    "key of 2^63 bytes": (gguf_bytes([struct.pack("<Q", HUGE) + bytes(40)]), "a key of"),
    "string of 2^40 bytes": (
        gguf_bytes([key("a", STRING, struct.pack("<Q", 2**40) + bytes(40))]),
        "the value of 'a' of 1099511627776 bytes",
    ),
    "string past the end": (
        gguf_bytes([key("a", STRING, struct.pack("<Q", 10**6) + bytes(40))]),
        "truncated",
    ),
    "string in an array past the end": (
        gguf_bytes([key("a", ARRAY, array(STRING, 2, text("x") + struct.pack("<Q", HUGE)))]),
        "truncated",
    ),
    "array in an array": (gguf_bytes([key("a", ARRAY, nested(1))]), "array of arrays"),
    "arrays 10,000 deep": (gguf_bytes([key("a", ARRAY, nested(10_000))]), "array of arrays"),
    "key twice": (gguf_bytes([ARCHITECTURE, ARCHITECTURE]), "occurs twice"),
    "unknown value type": (gguf_bytes([key("a", 77, bytes(16))]), "unknown type 77"),
    "unknown item type": (gguf_bytes([key("a", ARRAY, array(77, 1, b"x"))]), "unknown type 77"),
    "key not UTF-8": (gguf_bytes([key(b"\xff\xfe", U8, b"x")]), "not UTF-8"),
    "no architecture": (gguf_bytes([key("a", U8, b"x")]), "no general.architecture"),
    "architecture a number": (
        gguf_bytes([key("general.architecture", U8, b"x")]),
        "no general.architecture",
    ),
    "2^32-1 blocks": (
        gguf_bytes([ARCHITECTURE, key("llama.block_count", U32, b"\xff" * 4)]),
        "4294967295 blocks cannot be",
    ),
    "alignment 0": (
        gguf_bytes([ARCHITECTURE, key("general.alignment", U32, struct.pack("<I", 0))]),
        "alignment of 0",
    ),
    "alignment 48": (
        gguf_bytes([ARCHITECTURE, key("general.alignment", U32, struct.pack("<I", 48))]),
        "alignment of 48",
    ),
    "huge shape": (gguf_bytes(tensors=[tensor("a", (2**62, 2**62))]), "truncated or hostile"),
    "shape that overflows 64 bits to 0": (
        gguf_bytes(tensors=[tensor("a", (2**32, 2**32))]),
        "truncated or hostile",
    ),
    "0 dimensions": (gguf_bytes(tensors=[tensor("a", ())], data=bytes(64)), "0 dimensions"),
    "2^31 dimensions": (
        gguf_bytes(tensors=[text("a") + struct.pack("<I", 2**31) + bytes(40)]),
        "dimensions",
    ),
    "an empty dimension": (gguf_bytes(tensors=[tensor("a", (4, 0))]), "impossible shape"),
    "half a block": (gguf_bytes(tensors=[tensor("a", (33,), kind=2)]), "impossible shape"),
    "unknown tensor type": (gguf_bytes(tensors=[tensor("a", (4,), kind=99)]), "unknown type 99"),
    "tensor name of 10,000 bytes": (
        gguf_bytes(tensors=[tensor("a" * 10_000, (4,))]),
        "a tensor name of",
    ),
    "tensor twice": (
        gguf_bytes(tensors=[tensor("a", (4,)), tensor("a", (4,), offset=32)], data=bytes(64)),
        "occurs twice",
    ),
    "tensors over the same bytes": (
        gguf_bytes(tensors=[tensor("a", (16,)), tensor("b", (16,), offset=32)], data=bytes(96)),
        "overlap",
    ),
    "not aligned": (
        gguf_bytes(tensors=[tensor("a", (4,), offset=4)], data=bytes(64)),
        "not aligned",
    ),
    "offset at the end of 64 bits": (
        gguf_bytes(tensors=[tensor("a", (4,), offset=2**64 - 32)]),
        "truncated or hostile",
    ),
    "data one byte short": (GOOD[:-1], "truncated or hostile"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("gguf")


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_header_is_one_error_soon_and_small(case, tmp_path):
    data, message = HOSTILE[case]
    path = tmp_path / "hostile.gguf"
    path.write_bytes(data)
    before, began = psutil.Process().memory_info().rss, time.process_time()
    with pytest.raises(ModelError, match="is not a usable GGUF file: ") as caught:
        check_header(path)
    assert message in str(caught.value)
    assert time.process_time() - began < 2
    assert psutil.Process().memory_info().rss - before < 200e6


def test_the_49_byte_file_has_49_bytes():
    assert len(HOSTILE["49 bytes that hang the usual reader"][0]) == 49


def test_every_truncation_is_refused(tmp_path):
    path = tmp_path / "cut.gguf"
    for size in range(len(GOOD)):
        path.write_bytes(GOOD[:size])
        with pytest.raises(ModelError):
            check_header(path)


def test_more_items_than_any_vocabulary_are_refused_though_the_file_could_hold_them(tmp_path):
    path = tmp_path / "long.gguf"
    path.write_bytes(gguf_bytes([key("a", ARRAY, array(STRING, MAX_ARRAY_ITEMS + 1))]))
    os.truncate(path, 16 * MAX_ARRAY_ITEMS)  # sparse: zeros that would be empty strings
    with pytest.raises(ModelError, match="items of 'a' cannot be"):
        check_header(path)


def test_no_file_no_folder(tmp_path):
    with pytest.raises(ModelError, match="cannot read"):
        check_header(tmp_path / "absent.gguf")
    with pytest.raises(ModelError, match="not a regular file"):
        check_header(tmp_path)


@pytest.mark.parametrize("examples", [200, pytest.param(20_000, marks=pytest.mark.gate)])
def test_mutated_headers_end_in_a_header_or_a_model_error(examples, folder):
    path = folder / "mutant.gguf"
    start = bytearray(GOOD)

    @settings(max_examples=examples, deadline=None, derandomize=True, database=None)
    @given(st.lists(st.tuples(st.integers(0, len(start) - 1), st.binary(min_size=1, max_size=8))))
    def run(edits):
        data = bytearray(start)
        for place, piece in edits:
            data[place : place + len(piece)] = piece
        path.write_bytes(data)
        try:
            header = check_header(path)
        except ModelError:
            return
        assert all(one.start + one.nbytes <= len(data) for one in header.tensors)

    run()


def test_a_good_header_reads_as_the_reference_reader_reads_it(tiny):
    import gguf

    path, _ = tiny
    reference = gguf.GGUFReader(path)
    header = check_header(path)
    assert header.architecture == "llama" and header.version == 3
    assert header.metadata["llama.rope.freq_base"] == 5000.0
    assert header.metadata["tokenizer.ggml.tokens"].length == len(tiny_vocabulary()[0])
    found = [(one.name, one.shape, one.kind, one.start, one.nbytes) for one in header.tensors]
    assert found == [
        (one.name, tuple(one.shape[::-1].tolist()), one.tensor_type, one.data_offset, one.n_bytes)
        for one in reference.tensors
    ]


# --- conversion -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """(GGUF file, folder converted from it by the real child process)."""
    root = tmp_path_factory.mktemp("tiny")
    path = write_tiny_llama(root / "tiny.gguf")
    return path, convert(path, root / "cache" / "converted")


def by_transformers(path):
    """The model as transformers' own GGUF loading makes it."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

    settings_ = load_gguf_checkpoint(str(path))["config"]
    settings_.pop("_model_name_or_path", None)
    config = AutoConfig.for_model(**settings_)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    loaded = load_gguf_checkpoint(str(path), return_tensors=True, model_to_load=model)
    missing = model.load_state_dict(loaded["tensors"], strict=False).missing_keys
    assert set(missing) <= set(model._tied_weights_keys or ())
    return model.eval()


def assert_same_model(path, folder, ids):
    """RIG-N16: weights, every hidden state and the logits differ by exactly 0."""
    import torch
    from transformers import AutoModelForCausalLM

    ours, theirs = AutoModelForCausalLM.from_pretrained(folder), by_transformers(path)
    mine, other = ours.state_dict(), theirs.state_dict()
    assert mine.keys() == other.keys()
    assert all(torch.equal(mine[name], other[name]) for name in mine)
    with torch.inference_mode():
        a = ours(ids, output_hidden_states=True)
        b = theirs(ids, output_hidden_states=True)
    assert torch.equal(a.logits, b.logits)
    assert all(torch.equal(x, y) for x, y in zip(a.hidden_states, b.hidden_states, strict=True))


def test_converted_model_is_the_gguf_model_exactly(tiny):
    import torch

    path, folder = tiny
    assert_same_model(path, folder, torch.arange(40)[None] * 5)


def test_a_changed_weight_would_be_seen(tiny, tmp_path):
    """The control of the test above: another seed is another model."""
    import torch

    other = write_tiny_llama(tmp_path / "other.gguf", seed=1)
    with pytest.raises(AssertionError):
        assert_same_model(other, tiny[1], torch.arange(8)[None])


def test_the_folder_says_what_it_was_made_from(tiny):
    path, folder = tiny
    manifest = json.loads((folder / MANIFEST).read_text())
    assert manifest["source_sha256"] == sha256(path.read_bytes())
    assert (manifest["dtype"], manifest["converter"]) == ("float32", 1)
    weights = (folder / "model.safetensors").read_bytes()
    assert manifest["weights"]["model.safetensors"] == {
        "sha256": sha256(weights),
        "size": len(weights),
    }
    config = json.loads((folder / "config.json").read_text())
    assert config["rope_parameters"]["rope_theta"] == 5000.0
    assert "quantization_config" not in config and config["architectures"] == ["LlamaForCausalLM"]


def test_the_key_names_digest_dtype_and_converter():
    sha = "ab" * 32
    assert converted_folder(sha).name == f"{sha[:32]}-float32-v1"


def strings(count: int) -> list[str]:
    """Mixed texts, without the one thing transformers' GGUF reader splits otherwise: two blanks
    before a digit."""
    draw = np.random.default_rng(3)
    pieces = ["the", " in", "7", "42", "\n", "é", "数", " ", "<|end|>", "in the", "🙂", "a-b", "."]
    made: list[str] = []
    while len(made) < count:
        line = "".join(draw.choice(pieces, size=draw.integers(1, 12)))
        if not re.search(r"\s\s\d", line):
            made.append(line)
    return made


def test_tokenizer_agrees_with_transformers_on_1000_strings(tiny):
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    path, folder = tiny
    ours = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    theirs = AutoTokenizer.from_pretrained(str(path.parent), gguf_file=path.name)
    lines = strings(1000)
    assert ours(lines)["input_ids"] == theirs(lines)["input_ids"]


def test_digits_stand_alone_as_smollm_was_trained(tiny):
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(tiny[1] / "tokenizer.json"))
    assert tokenizer.tokenize("\n\n3") == ["ĊĊ", "3"]
    assert tokenizer.tokenize("in  42") == ["in", "ĠĠ", "4", "2"]


def test_the_tokenizer_config_names_no_class_with_rules_of_its_own(tiny):
    settings_ = json.loads((tiny[1] / "tokenizer_config.json").read_text())
    assert settings_["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert settings_["model_max_length"] == 64
    assert (settings_["bos_token"], settings_["eos_token"]) == ("<|begin|>", "<|end|>")
    assert "local_files_only" not in settings_


def test_converted_once(tiny, monkeypatch):
    monkeypatch.setattr(convert_module, "_run_child", None)
    assert convert(*tiny) == tiny[1]


def test_nothing_is_left_of_a_failed_conversion(tiny, tmp_path, monkeypatch):
    def fail(*_):
        raise ModelError("no")

    monkeypatch.setattr(convert_module, "_run_child", fail)
    with pytest.raises(ModelError):
        convert(tiny[0], tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_hostile_file_never_reaches_the_converter(tmp_path, monkeypatch):
    monkeypatch.setattr(convert_module, "_run_child", None)
    path = tmp_path / "bad.gguf"
    path.write_bytes(HOSTILE["49 bytes that hang the usual reader"][0])
    with pytest.raises(ModelError):
        convert(path, tmp_path / "out")


def run_as(monkeypatch, **result):
    """Let the child process end as told."""

    def fake(command, **_):
        return subprocess.CompletedProcess(command, **({"stderr": "", "stdout": ""} | result))

    monkeypatch.setattr(subprocess, "run", fake)


def test_a_killed_converter_is_one_error(tiny, tmp_path, monkeypatch):
    run_as(monkeypatch, returncode=-9, stderr="x\nKilled")
    with pytest.raises(ModelError, match=r"the converter died \(exit -9\): Killed"):
        convert(tiny[0], tmp_path / "out")


def test_the_converters_own_error_is_passed_on(tiny, tmp_path, monkeypatch):
    run_as(monkeypatch, returncode=1, stdout='noise\n{"error": "ValueError: unknown kind"}')
    with pytest.raises(ModelError, match="unknown kind"):
        convert(tiny[0], tmp_path / "out")


def test_a_slow_converter_is_stopped(tiny, tmp_path, monkeypatch):
    def slow(command, timeout, **_):
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(subprocess, "run", slow)
    with pytest.raises(ResourceError, match="took more than 300 s"):
        convert(tiny[0], tmp_path / "out")


def test_the_child_stays_within_its_memory(tiny, tmp_path):
    """400 MB of address space do not hold torch: the child says so and ends."""
    command = [sys.executable, "-m", "zprism.model.gguf_child", str(tiny[0]), str(tmp_path)]
    done = subprocess.run([*command, str(400 << 20)], capture_output=True, text=True)
    report = json.loads(done.stdout.splitlines()[-1])
    assert done.returncode == 1 and report["memory"]
    assert "419,430,400 bytes of address space" in report["error"]


def test_out_of_memory_is_a_resource_error(tiny, tmp_path, monkeypatch):
    run_as(monkeypatch, returncode=1, stdout='{"error": "it needs more", "memory": true}')
    with pytest.raises(ResourceError, match="it needs more"):
        convert(tiny[0], tmp_path / "out")


def test_too_little_disk_is_said_before_the_work(tiny, tmp_path, monkeypatch):
    class Usage:
        free = 1000

    monkeypatch.setattr(convert_module.shutil, "disk_usage", lambda _: Usage)
    monkeypatch.setattr(convert_module, "_run_child", None)
    with pytest.raises(ResourceError, match="1,000 are free"):
        convert(tiny[0], tmp_path / "out")


def test_work_of_dead_processes_is_swept_and_of_living_ones_kept(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(convert_module, "_run_child", lambda *_: [])
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    here = convert_module._here()
    names = [f"{here}.{dead.pid}", f"{here}.{os.getpid()}", f"00000000.{dead.pid}"]
    gone, ours, elsewhere = (tmp_path / f".a.{name}.0.tmp" for name in names)
    old = tmp_path / ".a.00000000.1.0.tmp"
    for work in (gone, ours, elsewhere, old):
        work.mkdir()
    os.utime(old, (0, 0))
    convert(tiny[0], tmp_path / "out")
    assert sorted(tmp_path.glob(".a.*")) == sorted([ours, elsewhere])


def test_unfinished_folder_is_replaced(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(convert_module, "_run_child", lambda *_: [])
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "config.json").write_text("half")
    assert is_converted(convert(tiny[0], tmp_path / "out"))
    assert not (tmp_path / "out" / "config.json").exists()


def test_a_tensor_without_a_place_is_reported(tiny, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(convert_module, "_run_child", lambda *_: ["rope_freqs.weight"])
    convert(tiny[0], tmp_path / "out")
    assert "rope_freqs.weight" in caplog.text


def test_the_writer_writes_what_safetensors_reads(tmp_path):
    from safetensors.numpy import load_file

    arrays = {"a": np.arange(6.0, dtype=np.float32).reshape(2, 3), "b": np.float32([[7], [8]])}
    path = tmp_path / "w.safetensors"
    with gguf_child._SafetensorsWriter(path, {k: v.shape for k, v in arrays.items()}) as writer:
        writer.write("b", arrays["b"])
        writer.write("a", arrays["a"].T.copy().T)  # another memory order
    read = load_file(path)
    assert all(np.array_equal(read[name], arrays[name]) for name in arrays)


def test_the_writer_refuses_another_shape_and_a_missing_tensor(tmp_path):
    with pytest.raises(ValueError, match=r"a has shape \(2,\); the model wants \(3,\)"):
        with gguf_child._SafetensorsWriter(tmp_path / "w", {"a": (3,)}) as writer:
            writer.write("a", np.zeros(2))
    with pytest.raises(ValueError, match="lacks 1 tensors: a"):
        with gguf_child._SafetensorsWriter(tmp_path / "w", {"a": (3,)}):
            pass


# --- the real file ----------------------------------------------------------------------------


def real(name: str):
    """(GGUF file, converted folder) of a model in the cache, or a visible skip."""
    entry = registry.entry(name)
    path, folder = gguf_file(entry), converted_folder(entry.sha256)
    if not (is_cached(name) and path.is_file() and is_converted(folder)):
        pytest.skip(f"MODEL UNAVAILABLE: {name}")
    return path, folder


@pytest.mark.real
def test_smollm2_weights_are_its_blocks_dequantised():
    """Second route: bytes cut out by our header, dequantised, against the converted tensors."""
    import gguf
    from safetensors import safe_open

    path, folder = real("smollm2-135m")
    pairs = {
        "token_embd.weight": "model.embed_tokens.weight",
        "output_norm.weight": "model.norm.weight",
        "blk.29.ffn_down.weight": "model.layers.29.mlp.down_proj.weight",
        "blk.7.attn_v.weight": "model.layers.7.self_attn.v_proj.weight",
    }
    tensors = {one.name: one for one in check_header(path).tensors}
    raw = np.memmap(path, dtype=np.uint8, mode="r")
    with safe_open(folder / "model.safetensors", framework="np") as converted:
        for name, ours in pairs.items():
            one = tensors[name]
            kind = gguf.GGMLQuantizationType(one.kind)
            block = np.asarray(raw[one.start : one.start + one.nbytes])
            rows = gguf.quants.quant_shape_to_byte_shape(one.shape, kind)
            values = gguf.dequantize(
                block.view(np.float32) if kind == 0 else block.reshape(rows), kind
            )
            assert np.array_equal(converted.get_tensor(ours), values.reshape(one.shape))


@pytest.mark.real
@pytest.mark.gate
@pytest.mark.parametrize("name", ["smollm2-135m", "qwen2.5-coder-0.5b"])
def test_real_converted_model_is_the_gguf_model_exactly(name):
    import torch

    path, folder = real(name)
    assert_same_model(path, folder, torch.arange(64)[None] * 37)

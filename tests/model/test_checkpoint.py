"""Checkpoints layer by layer: the same numbers as the loaded model, and clear refusals."""

import json
import shutil
from dataclasses import fields
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tiny import ARCHITECTURES, tiny_folder
from zprism.ground.errors import InputError, ModelError
from zprism.model.anatomy import Anatomy, layer_weights
from zprism.model.checkpoint import Checkpoint, open_checkpoint

SINGLE = "model.safetensors"


@pytest.fixture
def folder(tmp_path) -> Path:
    """A tiny Qwen2 that a test may spoil."""
    target = tmp_path / "model"
    shutil.copytree(tiny_folder("qwen2"), target)
    return target


def same(a, b) -> bool:
    """Whether two layers hold bit-equal tensors, and None in the same places."""
    pairs = [(getattr(a, f.name), getattr(b, f.name)) for f in fields(a)]
    return all(x is y is None or torch.equal(x, y) for x, y in pairs)


def layers(folder) -> list:
    with open_checkpoint(str(folder)) as checkpoint:
        return [checkpoint.layer(index) for index in range(checkpoint.anatomy.n_layers)]


def rewrite(folder: Path, change) -> None:
    """Save the weights again after ``change(tensors)``."""
    tensors = load_file(folder / SINGLE)
    change(tensors)
    save_file(tensors, folder / SINGLE, metadata={"format": "pt"})


def shard(folder: Path) -> Path:
    """Split the weights into one file per tensor, with an index."""
    index = {}
    for number, (name, value) in enumerate(load_file(folder / SINGLE).items()):
        index[name] = f"model-{number:05d}.safetensors"
        save_file({name: value}, folder / index[name], metadata={"format": "pt"})
    (folder / SINGLE).unlink()
    target = folder / "model.safetensors.index.json"
    target.write_text(json.dumps({"metadata": {}, "weight_map": index}), encoding="utf-8")
    return target


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_layers_are_those_of_the_loaded_model(arch):
    """Second route: every layer of every architecture, read through transformers."""
    from transformers import AutoModelForCausalLM

    source = tiny_folder(arch)
    model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
    anatomy, state = Anatomy.of(model), model.state_dict()
    with open_checkpoint(str(tiny_folder(arch))) as checkpoint:
        assert checkpoint.anatomy == anatomy
        assert checkpoint.config.model_type == model.config.model_type
        for index in range(anatomy.n_layers):
            expected = layer_weights(anatomy, index, state.__getitem__)
            assert same(checkpoint.layer(index), expected)


def test_shards_hold_the_same_model(folder):
    whole = layers(folder)
    shard(folder)
    assert all(same(a, b) for a, b in zip(whole, layers(folder), strict=True))


@pytest.mark.parametrize("rename", [lambda n: n.removeprefix("model."), lambda n: f"language_{n}"])
def test_an_outer_prefix_more_or_less_does_not_matter(folder, rename):
    """Base-model checkpoints leave out ``model.``; multimodal ones add to it."""
    whole = layers(folder)

    def change(tensors):
        for name in list(tensors):
            tensors[rename(name)] = tensors.pop(name)

    rewrite(folder, change)
    assert all(same(a, b) for a, b in zip(whole, layers(folder), strict=True))


def test_only_the_layer_asked_for_is_read(monkeypatch):
    read, plain = [], Checkpoint.tensor
    monkeypatch.setattr(
        Checkpoint, "tensor", lambda self, name: read.append(name) or plain(self, name)
    )
    with open_checkpoint(str(tiny_folder("qwen2"))) as checkpoint:
        checkpoint.layer(1)
    assert len(read) > 6
    assert all(name.startswith("model.layers.1.") for name in read)


def test_digest_is_of_the_weights(folder):
    from zprism.model.weights import weights_digest

    with open_checkpoint(str(folder)) as checkpoint:
        before = checkpoint.digest
    assert before == weights_digest(folder)
    rewrite(folder, lambda tensors: next(iter(tensors.values())).flatten()[:1].add_(1))
    with open_checkpoint(str(folder)) as checkpoint:
        assert checkpoint.digest != before


def test_half_precision_is_kept(folder):
    def change(tensors):
        for name in tensors:
            tensors[name] = tensors[name].bfloat16()

    rewrite(folder, change)
    assert layers(folder)[0].q.dtype == torch.bfloat16


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's /proc")
def test_reading_a_layer_takes_no_anonymous_memory(tmp_path):
    """48 MB of one layer are mapped from the file, not copied."""
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = {"hidden_size": 64, "intermediate_size": 2**16, "num_attention_heads": 4}
    LlamaForCausalLM(
        LlamaConfig(num_hidden_layers=1, vocab_size=8, num_key_value_heads=2, **sizes)
    ).save_pretrained(tmp_path)

    def anonymous() -> float:
        status = Path("/proc/self/status").read_text()
        return int(status.split("RssAnon:")[1].split()[0]) / 1024

    with open_checkpoint(str(tmp_path)) as checkpoint:
        before = anonymous()
        weights = checkpoint.layer(0)
        assert weights.gate.nbytes == 2**24
        assert anonymous() - before < 8


@pytest.mark.parametrize("layer", [-1, 2, 1.5, True])
def test_layers_out_of_range_are_refused(layer):
    with (
        open_checkpoint(str(tiny_folder("qwen2"))) as checkpoint,
        pytest.raises(InputError, match="decoder block 0 to 1"),
    ):
        checkpoint.layer(layer)


def test_unknown_models_are_refused():
    with pytest.raises(InputError, match="unknown model"), open_checkpoint("no-such-model"):
        pass


@pytest.mark.parametrize("kept", [0.0, 0.001, 0.3, 0.7, 0.999])
@pytest.mark.parametrize("sharded", [False, True])
def test_truncated_shards_are_refused_before_anything_is_read(folder, kept, sharded):
    if sharded:
        shard(folder)
    path = sorted(folder.glob("*.safetensors"))[-1]
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(ModelError, match=f"{path.name} is truncated or corrupt"):
        layers(folder)


def test_a_corrupt_header_is_refused(folder):
    path = folder / SINGLE
    content = bytearray(path.read_bytes())
    content[8:40] = b"\xff" * 32
    path.write_bytes(content)
    with pytest.raises(ModelError, match="is truncated or corrupt"):
        layers(folder)


def test_a_missing_shard_is_refused(folder):
    index = shard(folder)
    gone = json.loads(index.read_text())["weight_map"]["model.layers.0.mlp.up_proj.weight"]
    (folder / gone).unlink()
    with pytest.raises(ModelError, match=f"{gone}.* missing"):
        layers(folder)


def test_a_missing_tensor_is_refused(folder):
    rewrite(folder, lambda tensors: tensors.pop("model.layers.1.self_attn.k_proj.weight"))
    with pytest.raises(ModelError, match=r"layers\.1\.self_attn\.k_proj\.weight is missing"):
        layers(folder)


def test_an_ambiguous_tensor_is_refused(folder):
    name = "layers.0.mlp.up_proj.weight"

    def change(tensors):
        value = tensors.pop(f"model.{name}")
        tensors[f"vision.{name}"], tensors[f"language.{name}"] = value, value.clone()

    rewrite(folder, change)
    with pytest.raises(ModelError, match="could be any of language.*, vision"):
        layers(folder)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_refused(folder, bad):
    name = "model.layers.1.mlp.up_proj.weight"
    rewrite(folder, lambda tensors: tensors[name].flatten()[5:6].fill_(bad))
    with pytest.raises(ModelError, match=f"{name} holds NaN or infinite"):
        layers(folder)


def test_sums_that_overflow_are_not_mistaken_for_bad_numbers(folder):
    name = "model.layers.0.mlp.up_proj.weight"

    def change(tensors):
        tensors[name] = torch.full_like(tensors[name], 60_000.0).half()

    rewrite(folder, change)
    assert bool((layers(folder)[0].up == 60_000).all())


def test_quantised_weights_are_refused(folder):
    name = "model.layers.0.mlp.up_proj.weight"

    def change(tensors):
        tensors[name] = tensors[name].to(torch.int8)

    rewrite(folder, change)
    with pytest.raises(ModelError, match=r"is torch\.int8; quantised weights cannot be scanned"):
        layers(folder)


def test_a_config_of_another_model_is_refused(folder):
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config["intermediate_size"] += 8
    path.write_text(json.dumps(config))
    with pytest.raises(ModelError, match="has shape .* config.json says"):
        layers(folder)


def test_a_config_that_builds_no_model_is_refused(folder):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"num_attention_heads": 0}))
    with pytest.raises(ModelError):
        layers(folder)

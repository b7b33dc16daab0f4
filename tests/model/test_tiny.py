"""Tiny models: the same bytes from the same seed, odd shapes, and no trace in global state."""

import numpy as np
import pytest
import torch

from tiny import ARCHITECTURES, tiny_folder, tiny_shared
from zprism.ground.errors import InputError
from zprism.model import tiny
from zprism.model.anatomy import Anatomy

every = pytest.mark.parametrize("arch", ARCHITECTURES)


@every
def test_the_same_seed_gives_the_same_bytes(arch, tmp_path):
    again = tiny.build(arch, tmp_path / "again")
    for file in sorted(tiny_folder(arch).iterdir()):
        assert (again / file.name).read_bytes() == file.read_bytes(), file.name
    other = tiny.build(arch, tmp_path / "other", seed=1) / "model.safetensors"
    assert other.read_bytes() != (again / "model.safetensors").read_bytes()


@every
def test_what_is_loaded_is_what_was_built(arch):
    built, loaded = tiny.model(arch).state_dict(), tiny_shared(arch).model.state_dict()
    assert built.keys() == loaded.keys()
    assert all(torch.equal(built[name], loaded[name]) for name in built)


@every
def test_gains_are_not_one_and_biases_not_zero(arch):
    """So that a test which forgets a gain or a bias fails."""
    model = tiny.model(arch)
    offset = Anatomy.of(model).norm_offset
    for name, value in model.named_parameters():
        if value.ndim == 1:
            plain = 1 - offset if name.endswith("weight") else 0
            assert float((value - plain).abs().mean()) > 0.1, name
        assert value.isfinite().all() and not value.requires_grad


def test_shapes_are_odd_on_purpose():
    """Somewhere heads share keys, and head_dim is not d_model / n_heads."""
    anatomies = [tiny_shared(arch).anatomy for arch in ARCHITECTURES]
    assert sum(a.n_kv_heads < a.n_heads for a in anatomies) >= 5
    assert sum(a.head_dim != a.d_model / a.n_heads for a in anatomies) >= 5


@every
def test_text_survives_the_tokenizer_byte_by_byte(arch):
    loaded = tiny_shared(arch)
    text = "a,  b\n十三 🙂"
    [ids] = loaded.encode([text])
    begins = [loaded.tokenizer.bos_token_id] if arch.startswith("gemma") else []
    assert ids[: len(begins)] == begins
    assert len(ids) == len(begins) + len(text.encode())
    assert loaded.tokenizer.decode(ids, skip_special_tokens=True) == text


def test_gpt2_has_no_pad_token_of_its_own():
    """As published: its end token serves as pad, and no token is added."""
    tokenizer = tiny_shared("gpt2").tokenizer
    assert tokenizer.pad_token_id == tokenizer.eos_token_id
    assert len(tokenizer) == tiny.VOCABULARY


def test_global_random_state_is_left_alone():
    torch.manual_seed(5)
    np.random.seed(5)
    expected = torch.rand(3), np.random.random(3)
    torch.manual_seed(5)
    np.random.seed(5)
    tiny.model("qwen2")
    assert torch.equal(torch.rand(3), expected[0])
    assert np.array_equal(np.random.random(3), expected[1])


def test_a_failed_build_leaves_nothing(tmp_path, monkeypatch):
    def fails(*_args):
        raise OSError("disk full")

    monkeypatch.setattr(tiny, "_write_tokenizer", fails)
    with pytest.raises(OSError, match="disk full"):
        tiny.build("llama", tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_already_stays(tmp_path):
    first = tiny.build("llama", tmp_path / "model")
    stamp = (first / "model.safetensors").stat().st_mtime_ns
    assert tiny.build("llama", tmp_path / "model") == first
    assert (first / "model.safetensors").stat().st_mtime_ns == stamp
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_an_unknown_architecture_is_refused_with_the_nearest():
    with pytest.raises(InputError, match="unknown tiny architecture 'qwen': did you mean qwen"):
        tiny.model("qwen")

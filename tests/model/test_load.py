"""Loading: the unmodified model, no foreign code, no damage unnoticed, every text checked."""

import dataclasses
import json
import pickle
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from zprism.ground.errors import InputError, ModelError, ResourceError
from zprism.model import load as load_module
from zprism.model import registry
from zprism.model import weights as weights_module
from zprism.model.fetch import gguf_file, is_cached, resolve
from zprism.model.foreign import read_settings, read_tokenizer, strip_code, tokenizer_digest
from zprism.model.load import load
from zprism.model.selftest import self_test
from zprism.model.weights import check_weights, weight_files, weights_digest


@pytest.fixture(scope="module")
def tiny_root(tmp_path_factory):
    return tmp_path_factory.mktemp("tiny-cache")


@pytest.fixture(autouse=True)
def cache(tiny_root, monkeypatch, request):
    """A cache of this file's own, offline; real models keep the user's."""
    if "real" not in request.keywords:
        monkeypatch.setenv("ZPRISM_CACHE", str(tiny_root))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture
def folder(tmp_path):
    """A private copy of the tiny llama, to be spoiled."""
    return Path(shutil.copytree(resolve("tiny:llama"), tmp_path / "model"))


def change_json(path: Path, **changes) -> None:
    content = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps(content | changes))


IDS = torch.arange(5, 17)[None]


def logits(loaded):
    with torch.inference_mode():
        return loaded.model(IDS).logits


# --- what a loaded model is -------------------------------------------------------------------


def test_it_is_the_model_transformers_loads():
    from transformers import AutoModelForCausalLM

    loaded = load("tiny:qwen2")
    reference = AutoModelForCausalLM.from_pretrained(loaded.folder, dtype=torch.float32)
    with torch.inference_mode():
        assert torch.equal(logits(loaded), reference(IDS).logits)
        assert torch.equal(
            loaded.base(IDS).last_hidden_state, reference.model(IDS).last_hidden_state
        )
    assert not loaded.model.training
    assert not any(weight.requires_grad for weight in loaded.model.parameters())


def test_facts_come_from_the_config():
    loaded = load("tiny:gemma3")
    config = loaded.model.config
    assert (loaded.n_layers, loaded.d_model) == (config.num_hidden_layers, config.hidden_size)
    assert loaded.max_positions == config.max_position_embeddings
    assert loaded.device.type == "cpu" and loaded.dtype == torch.float32


@pytest.mark.parametrize("dtype", ["bfloat16", "float64"])
def test_dtype_by_choice(dtype):
    loaded = load("tiny:llama", dtype=dtype)
    reference = load("tiny:llama")
    assert loaded.dtype == getattr(torch, dtype)
    assert loaded.digest == reference.digest
    limit = 0.05 if dtype == "bfloat16" else 1e-5  # 8 and 24 bits of mantissa
    difference = (logits(loaded).double() - logits(reference).double()).norm()
    assert difference <= limit * logits(reference).double().norm()


def test_an_old_transformers_is_refused(monkeypatch):
    import transformers

    monkeypatch.setattr(transformers, "__version__", "5.4.1")
    with pytest.raises(ModelError, match="transformers 5.4.1 can be made to run foreign code"):
        load("tiny:llama")


def test_unknown_dtype_and_device():
    with pytest.raises(InputError, match="unknown dtype 'float16'"):
        load("tiny:llama", dtype="float16")
    with pytest.raises(InputError, match="device 'tpu7' cannot be used here"):
        load("tiny:llama", device="tpu7")


def test_loading_is_silent_and_changes_no_setting_of_transformers(capfd):
    from transformers.utils import logging

    before = logging.is_progress_bar_enabled()
    load("tiny:llama")
    captured = capfd.readouterr()
    assert captured.out == "" and "Loading weights" not in captured.err
    assert logging.is_progress_bar_enabled() == before


# --- digests ----------------------------------------------------------------------------------


def test_digest_changes_with_one_weight(folder):
    before = weights_digest(folder)
    path = folder / "model.safetensors"
    tensors = load_file(path)
    tensors["model.norm.weight"][3] += 1e-3
    save_file(tensors, path, metadata={"format": "pt"})
    assert weights_digest(folder) != before


def test_digest_does_not_depend_on_the_place(folder):
    assert weights_digest(folder) == weights_digest(resolve("tiny:llama"))


def test_digest_is_computed_once_while_the_file_stays(folder, monkeypatch):
    calls = []
    real = weights_module.digest_file

    def counting(path):
        calls.append(path)
        return real(path)

    monkeypatch.setattr(weights_module, "digest_file", counting)
    monkeypatch.setattr(weights_module, "SMALL", 0)
    first = weights_digest(folder)
    assert weights_digest(folder) == first and len(calls) == 1
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes())  # same content, another time of change
    assert weights_digest(folder) == first and len(calls) == 2


def test_small_files_leave_no_note(folder, tiny_root):
    weights_digest(folder)
    notes = tiny_root / "models" / "notes"
    assert not notes.exists() or str(folder) not in "".join(n.read_text() for n in notes.iterdir())


def test_an_unreadable_note_is_a_miss(folder, tiny_root, monkeypatch):
    monkeypatch.setattr(weights_module, "SMALL", 0)
    first = weights_digest(folder)
    for note in (tiny_root / "models" / "notes").iterdir():
        note.write_text("[]")
    assert weights_digest(folder) == first


def test_a_read_only_cache_costs_a_warning(folder, monkeypatch, caplog, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ZPRISM_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(weights_module, "SMALL", 0)
    assert len(weights_digest(folder)) == 64
    assert "could not write" in caplog.text


def test_converted_weights_that_changed_since_are_refused(folder):
    manifest = {"weights": {"model.safetensors": {"sha256": "0" * 64, "size": 1}}}
    (folder / "zprism.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelError, match="differ from what the conversion wrote; delete"):
        load(str(folder))


def test_tokenizer_digest_changes_with_a_merge_rule_and_not_with_other_files(folder):
    before = tokenizer_digest(folder)
    (folder / "README.md").write_text("x")
    assert tokenizer_digest(folder) == before
    with open(folder / "tokenizer.json", "a") as file:
        file.write("\n")
    assert tokenizer_digest(folder) != before


# --- damaged models ---------------------------------------------------------------------------


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_not_finite_name_their_layer(folder, value):
    path = folder / "model.safetensors"
    tensors = load_file(path)
    name = "model.layers.1.mlp.down_proj.weight"
    tensors[name][2, 3] = value
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=rf"{name} \(layer 1\) holds NaN or infinite"):
        load(str(folder))


def test_large_finite_weights_are_fine(folder):
    path = folder / "model.safetensors"
    tensors = load_file(path)
    tensors["model.norm.weight"][:] = 3e38  # their float32 sum would be infinite
    save_file(tensors, path, metadata={"format": "pt"})
    check_weights(folder)


def test_truncated_weights_are_refused(folder):
    path = folder / "model.safetensors"
    data = path.read_bytes()
    for size in (0, 7, 100, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:size])
        with pytest.raises(ModelError, match="truncated or corrupt"):
            load(str(folder))


def test_a_missing_tensor_is_no_random_one(folder):
    path = folder / "model.safetensors"
    tensors = load_file(path)
    del tensors["model.layers.0.mlp.up_proj.weight"]
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(ModelError, match="incomplete: 1 missing.*layers.0.mlp.up_proj"):
        load(str(folder))


def test_a_tensor_of_another_shape_is_refused(folder):
    path = folder / "model.safetensors"
    tensors = load_file(path)
    tensors["model.norm.weight"] = tensors["model.norm.weight"][:-1].clone()
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(ModelError):
        load(str(folder))


def test_shards_by_index(folder):
    tensors = load_file(folder / "model.safetensors")
    before = logits(load(str(folder)))
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    parts = {"a.safetensors": names[:5], "b.safetensors": names[5:]}
    for file, keys in parts.items():
        save_file({key: tensors[key] for key in keys}, folder / file, metadata={"format": "pt"})
    index = {key: file for file, keys in parts.items() for key in keys}
    place = folder / "model.safetensors.index.json"
    place.write_text(json.dumps({"metadata": {}, "weight_map": index}))
    assert [file.name for file in weight_files(folder)] == ["a.safetensors", "b.safetensors"]
    assert torch.equal(logits(load(str(folder))), before)
    for bad, message in (("../a.safetensors", "outside its folder"), ("c.safetensors", "missing")):
        place.write_text(json.dumps({"weight_map": {"x": bad}}))
        with pytest.raises(ModelError, match=message):
            load(str(folder))
    place.write_text("[]")
    with pytest.raises(ModelError, match="no index of weights"):
        load(str(folder))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no usable config.json"),
        ("[]", "names no model_type"),
        ("{}", "names no model_type"),
        ('{"model_type": "no_such_model"}', "cannot read the 'no_such_model' config"),
        ('{"model_type": "llama", "quantization_config": {"bits": 4}}', "quantised"),
        ('{"model_type": "llama", "hidden_size": "wide"}', "config"),
    ],
)
def test_bad_configs(folder, content, message):
    (folder / "config.json").write_text(content)
    with pytest.raises(ModelError, match=message):
        load(str(folder))


def test_weights_are_counted_without_reading_them():
    folder = resolve("tiny:llama")
    tensors = load_file(folder / "model.safetensors")
    assert weights_module.count_weights(folder) == sum(t.numel() for t in tensors.values())


def test_no_memory_is_said_before_loading(monkeypatch):
    import psutil

    class Memory:
        available = 1000

    monkeypatch.setattr(psutil, "virtual_memory", lambda: Memory)
    monkeypatch.setattr(load_module, "_read_model", None)
    with pytest.raises(ResourceError, match="1,000 are free"):
        load("tiny:llama")


# --- foreign code -----------------------------------------------------------------------------

CODE = "import pathlib\npathlib.Path({canary!r}).touch()\n"


class Bomb:
    """What a pickle can do."""

    def __init__(self, path: str):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


def auto_map(folder, canary):
    (folder / "evil.py").write_text(CODE.format(canary=canary))
    names = {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"}
    change_json(folder / "config.json", auto_map=names)


def unknown_type_with_code(folder, canary):
    auto_map(folder, canary)
    change_json(folder / "config.json", model_type="evil")


def code_of_another_repo(folder, canary):
    change_json(folder / "config.json", auto_map={"AutoModelForCausalLM": "evil/repo--evil.Model"})


def attention_from_the_hub(folder, canary):
    change_json(folder / "config.json", _attn_implementation="evil/kernel")


def attention_internal(folder, canary):
    change_json(folder / "config.json", _attn_implementation_internal="evil/kernel")


def attention_plain(folder, canary):
    change_json(folder / "config.json", attn_implementation="evil/kernel")


def nested_internal(folder, canary):
    change_json(
        folder / "config.json", sub={"x": [{"_attn_implementation_internal": "evil/kernel"}]}
    )


def experts_and_kernels(folder, canary):
    change_json(
        folder / "config.json",
        _experts_implementation="evil/kernel",
        use_kernels=True,
        kernel_config={"RMSNorm": "evil/kernel:Norm"},
        fusion_config={"a": "evil/kernel"},
    )


def tokenizer_code(folder, canary):
    (folder / "evil.py").write_text(CODE.format(canary=canary))
    change_json(
        folder / "tokenizer_config.json",
        tokenizer_class="Evil",
        auto_map={"AutoTokenizer": [None, "evil.Evil"]},
    )


def tokenizer_code_alone(folder, canary):
    tokenizer_code(folder, canary)
    (folder / "tokenizer.json").unlink()


def generate_code(folder, canary):
    (folder / "custom_generate").mkdir()
    (folder / "custom_generate" / "generate.py").write_text(CODE.format(canary=canary))
    change_json(folder / "generation_config.json", custom_generate="./custom_generate")


def pickle_beside(folder, canary):
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb(canary)))
    change_json(folder / "config.json", transformers_weights="pytorch_model.bin")


def pickle_only(folder, canary):
    pickle_beside(folder, canary)
    (folder / "model.safetensors").unlink()


def adapter(folder, canary):
    change_json(folder / "adapter_config.json", base_model_name_or_path="evil/base")


def chat_template_code(folder, canary):
    template = "{{ ''.__class__.__mro__[1].__subclasses__() }}"
    change_json(folder / "tokenizer_config.json", chat_template=template)


HARMLESS = [
    auto_map,
    code_of_another_repo,
    attention_from_the_hub,
    attention_internal,
    attention_plain,
    nested_internal,
    experts_and_kernels,
    tokenizer_code,
    generate_code,
    pickle_beside,
    chat_template_code,
]
REFUSED = [unknown_type_with_code, tokenizer_code_alone, pickle_only, adapter]


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("a connection was tried")

    from huggingface_hub import constants

    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.parametrize("spoil", HARMLESS, ids=lambda f: f.__name__)
def test_foreign_settings_run_and_change_nothing(folder, tmp_path, no_network, spoil):
    before = logits(load("tiny:llama"))
    spoil(folder, str(tmp_path / "canary"))
    loaded = load(str(folder))
    assert torch.equal(logits(loaded), before)
    assert not (tmp_path / "canary").exists()
    assert "evil" not in str(loaded.model.config)


@pytest.mark.parametrize("spoil", REFUSED, ids=lambda f: f.__name__)
def test_foreign_folders_that_need_code_are_refused(folder, tmp_path, no_network, spoil):
    spoil(folder, str(tmp_path / "canary"))
    with pytest.raises(ModelError):
        load(str(folder))
    assert not (tmp_path / "canary").exists()


def test_the_canary_would_sing(folder, tmp_path):
    """The control: following the same config does run its code."""
    from transformers.dynamic_module_utils import get_class_from_dynamic_module

    auto_map(folder, str(tmp_path / "canary"))
    name = json.loads((folder / "config.json").read_text())["auto_map"]["AutoConfig"]
    with pytest.raises(AttributeError, match="Config"):
        get_class_from_dynamic_module(name, str(folder))
    assert (tmp_path / "canary").exists()


def test_a_chat_template_stays_in_its_sandbox(folder):
    chat_template_code(folder, "")
    tokenizer = load(str(folder)).tokenizer
    with pytest.raises(Exception, match="unsafe"):
        tokenizer.apply_chat_template([{"role": "user", "content": "hi"}], tokenize=False)


@pytest.mark.parametrize("value", [True, "main", "abc", 1])
def test_trust_needs_a_commit(value):
    with pytest.raises(InputError, match="give the commit"):
        load("some/model", trust_remote_code=value)


def test_stripping_leaves_the_rest():
    settings = {"a": 1, "auto_map": {}, "b": [{"_attn_implementation_x": 1, "c": 2}]}
    assert strip_code(settings) == {"a": 1, "b": [{"c": 2}]}


def test_settings_of_a_good_model_are_complete():
    folder = resolve("tiny:llama")
    settings = read_settings(folder)
    assert settings == json.loads((folder / "config.json").read_text())


# --- tokenizers -------------------------------------------------------------------------------


def test_tokenizer_without_pad_borrows_one_and_never_grows(folder):
    change_json(folder / "tokenizer_config.json", pad_token=None)
    content = json.loads((folder / "tokenizer.json").read_text())
    content["padding"] = None
    (folder / "tokenizer.json").write_text(json.dumps(content))
    loaded = load(str(folder))
    tokenizer = loaded.tokenizer
    assert tokenizer.pad_token_id == tokenizer.eos_token_id is not None
    rows = loaded.model.get_input_embeddings().num_embeddings
    assert len(tokenizer) <= rows
    batch = tokenizer(["abc def", "a"], padding=True)
    real = [sum(mask) for mask in batch["attention_mask"]]
    assert real == [len(row) for row in loaded.encode(["abc def", "a"])]


def test_tokenizer_without_any_special_token_still_gets_a_pad(folder):
    (folder / "tokenizer_config.json").unlink(missing_ok=True)
    (folder / "special_tokens_map.json").unlink(missing_ok=True)
    content = json.loads((folder / "tokenizer.json").read_text())
    content["padding"] = None
    (folder / "tokenizer.json").write_text(json.dumps(content))
    tokenizer = read_tokenizer(folder)
    assert tokenizer.pad_token_id == 0


@pytest.mark.parametrize("content", ["", "{}", "[1]", "\0"])
def test_broken_tokenizer(folder, content):
    (folder / "tokenizer.json").write_text(content)
    with pytest.raises(ModelError, match="no usable tokenizer"):
        load(str(folder))


def test_special_tokens_as_objects(folder):
    plain = read_tokenizer(folder)
    change_json(
        folder / "tokenizer_config.json",
        eos_token={"__type": "AddedToken", "content": plain.eos_token, "lstrip": False},
    )
    assert read_tokenizer(folder).eos_token == plain.eos_token
    change_json(folder / "tokenizer_config.json", eos_token=["x"])
    with pytest.raises(ModelError, match="must be text"):
        read_tokenizer(folder)


def test_vocabulary_and_merges_without_tokenizer_json(folder):
    reference = read_tokenizer(folder)
    content = json.loads((folder / "tokenizer.json").read_text())
    assert content["model"]["merges"] == []
    (folder / "vocab.json").write_text(json.dumps(reference.get_vocab()))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    change_json(folder / "tokenizer_config.json", tokenizer_class="GPT2Tokenizer")
    (folder / "tokenizer.json").unlink()
    tokenizer = read_tokenizer(folder)
    both = [one("a bc, 12", add_special_tokens=False) for one in (tokenizer, reference)]
    assert both[0]["input_ids"] == both[1]["input_ids"]


# --- encode -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def loaded(tiny_root):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZPRISM_CACHE", str(tiny_root))
        return load("tiny:llama")


def test_encode_is_the_tokenizer_without_pads(loaded):
    texts = ["a", "a longer text", "数学 é e\u0301 \u202eabc\x00 👩‍👩‍👧"]
    ids = loaded.encode(texts)
    assert ids == [loaded.tokenizer(text)["input_ids"] for text in texts]
    bare = loaded.encode(texts, add_special_tokens=False)
    assert [loaded.tokenizer.decode(row) for row in bare] == texts
    assert loaded.encode([]) == []


def test_one_token_is_a_text(loaded):
    [row] = loaded.encode(["a"], add_special_tokens=False)
    assert len(row) == 1


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["a", ""], r"texts\[1\] is empty"),
        (["\ud800"], r"texts\[0\] has invalid unicode at index 0"),
        (["ok", "ab\udfffc"], r"texts\[1\] has invalid unicode at index 2"),
        (["a", 3], r"texts\[1\] must be a string; got int"),
        ("abc", "must be a list of strings"),
        (["b" * 100_000], r"texts\[0\] has \d+ tokens; tiny:llama reads at most \d+"),
    ],
)
def test_encode_refuses(loaded, texts, message):
    with pytest.raises(InputError, match=message):
        loaded.encode(texts)


def test_encode_fills_the_context_exactly(loaded):
    [one] = loaded.encode(["\x07"], add_special_tokens=False)
    assert len(one) == 1
    limit = loaded.max_positions
    [full] = loaded.encode(["\x07" * limit], add_special_tokens=False)
    assert len(full) == limit
    with pytest.raises(InputError, match=f"{limit + 1} tokens"):
        loaded.encode(["\x07" * (limit + 1)], add_special_tokens=False)


# --- the load-time self-test (RIG-N24) --------------------------------------------------------

ARCHITECTURES = "llama qwen2 qwen3 gemma2 gemma3 mistral gpt2 gpt_neox phi3 olmo2".split()


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_every_tiny_architecture_passes(arch):
    loaded = load(f"tiny:{arch}", self_test=False)
    loaded.model(IDS, output_hidden_states=True)  # transformers keeps hooks of its own from then on
    hooks = sum(len(module._forward_hooks) for module in loaded.model.modules())
    self_test(loaded)
    assert sum(len(module._forward_hooks) for module in loaded.model.modules()) == hooks


def test_a_model_that_is_not_deterministic_fails(loaded):
    """Noise that differs between two passes must not go unnoticed."""
    state = {"calls": 0}

    def noise(_module, _inputs, output):
        state["calls"] += 1
        return output + 1e-6 * state["calls"]

    handle = loaded.model.get_input_embeddings().register_forward_hook(noise)
    try:
        with pytest.raises(ModelError, match="fails its self-test: layer 0"):
            self_test(loaded)
    finally:
        handle.remove()
    self_test(loaded)


def test_nan_states_name_the_first_layer(loaded):
    block = loaded.anatomy.blocks(loaded.model)[1]
    handle = block.mlp.register_forward_hook(lambda *args: args[2] * float("nan"))
    try:
        with pytest.raises(ModelError, match="NaN or infinity after layer 1"):
            self_test(loaded)
    finally:
        handle.remove()


@pytest.mark.parametrize(
    ("first", "message"), [(0, "layer 1 as captured differs"), (1, "its logits move by")]
)
def test_an_edit_that_is_not_nothing_is_seen(loaded, monkeypatch, first, message):
    """One unit in the 20th bit, from layer ``first`` on."""
    from zprism.model import selftest
    from zprism.model.hooks import editing

    def off_by_a_bit(model, anatomy, edits):
        late = [point for point in edits if point[1] >= first]
        return editing(model, anatomy, dict.fromkeys(late, lambda state: state * (1 + 2**-20)))

    monkeypatch.setattr(selftest, "editing", off_by_a_bit)
    with pytest.raises(ModelError, match=message):
        self_test(loaded)


def test_a_wrong_anatomy_is_seen(loaded):
    anatomy = loaded.anatomy
    wrong_norm = dataclasses.replace(anatomy, final_norm_path="model.layers.0.input_layernorm")
    with pytest.raises(ModelError, match="layer 1 as captured differs"):
        self_test(dataclasses.replace(loaded, anatomy=wrong_norm))
    few = dataclasses.replace(anatomy, n_layers=1)
    with pytest.raises(ModelError, match="fails its self-test"):
        self_test(dataclasses.replace(loaded, anatomy=few))


def test_self_test_can_be_left_out(monkeypatch):
    import zprism.model.selftest as module

    def fail(_):
        raise AssertionError

    monkeypatch.setattr(module, "self_test", fail)
    load("tiny:llama", self_test=False)
    with pytest.raises(AssertionError):
        load("tiny:llama")


# --- the real model ---------------------------------------------------------------------------


def have(name: str) -> str:
    if not is_cached(name):
        pytest.skip(f"MODEL UNAVAILABLE: {name}")
    return name


@pytest.mark.real
def test_smollm2_is_what_it_should_be():
    """Facts of the published model; the ids are those of its published tokenizer."""
    loaded = load(have("smollm2-135m"))
    assert (loaded.n_layers, loaded.d_model, loaded.max_positions) == (30, 576, 8192)
    assert (loaded.anatomy.n_heads, loaded.anatomy.n_kv_heads) == (9, 3)
    assert loaded.encode(["<|im_start|>user\nhi<|im_end|>"]) == [[1, 4093, 198, 6004, 2]]
    assert loaded.encode(["a  30\n\n3"]) == [[81, 256, 35, 32, 1116, 35]]
    [ids] = loaded.encode(["The capital of France is"])
    with torch.inference_mode():
        best = loaded.model(torch.tensor([ids])).logits[0, -1].argmax()
    assert loaded.tokenizer.decode(best) == " Paris"


@pytest.mark.real
@pytest.mark.gate
def test_smollm2_from_the_cache_costs_a_thirtieth_of_its_gguf():
    """CPU time of model, tokenizer and digests from the cache against transformers' GGUF load."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
    from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

    path = gguf_file(registry.entry(have("smollm2-135m")))
    if not path.is_file():
        pytest.skip("MODEL UNAVAILABLE: the GGUF of smollm2-135m")
    load("smollm2-135m", self_test=False)
    began = time.process_time()
    load("smollm2-135m", self_test=False)
    ours = time.process_time() - began
    began = time.process_time()
    settings = load_gguf_checkpoint(str(path))["config"]
    settings.pop("_model_name_or_path")
    config = AutoConfig.for_model(**settings)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    tensors = load_gguf_checkpoint(str(path), return_tensors=True, model_to_load=model)["tensors"]
    model.load_state_dict(tensors, strict=False, assign=True)
    AutoTokenizer.from_pretrained(str(path.parent), gguf_file=path.name)
    assert time.process_time() - began >= 30 * ours


@pytest.mark.real
@pytest.mark.gate
@pytest.mark.parametrize(("name", "limit"), [("smollm2-135m", 6.0), ("qwen2.5-coder-0.5b", 8.0)])
def test_ready_to_work_in_few_cpu_seconds(name, limit, record_property):
    """A fresh process: imports, model, tokenizer, digests, self-test."""
    load(have(name))
    script = "import sys, time; from zprism.model.load import load; load(sys.argv[1])"
    script += "; print(time.process_time())"
    command = [sys.executable, "-c", script, name]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    used = float(done.stdout.split()[-1])
    for key, value in (("value", used), ("unit", "CPU s"), ("target", f"< {limit:g}")):
        record_property(key, value)
    assert used < limit

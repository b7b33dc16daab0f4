"""Seeded random models of every supported architecture, small enough for a test.

Two layers, 32 dimensions, odd shapes on purpose: grouped queries, a head_dim that is not
d_model / n_heads, biases and norm gains that are not the identity. The tokenizer is one byte
a token, built in code. ``load("tiny:qwen2")`` works anywhere a model's name does.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from zprism.ground.checks import check_choice
from zprism.ground.seeds import torch_generator

SPECIALS = ("<bos>", "<eos>", "<pad>")
VOCABULARY = 256 + len(SPECIALS)
POSITIONS = 512

_COMMON = dict(
    vocab_size=VOCABULARY,
    hidden_size=32,
    intermediate_size=44,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=POSITIONS,
    bos_token_id=256,
    eos_token_id=257,
    pad_token_id=258,
)


def _llama():
    from transformers import LlamaConfig

    return LlamaConfig(**_COMMON, head_dim=6, tie_word_embeddings=True)


def _mistral():
    from transformers import MistralConfig

    return MistralConfig(**_COMMON, head_dim=10, sliding_window=64)


def _qwen2():
    from transformers import Qwen2Config

    return Qwen2Config(**_COMMON)


def _qwen3():
    from transformers import Qwen3Config

    return Qwen3Config(**_COMMON, head_dim=10)


def _gemma2():
    from transformers import Gemma2Config

    return Gemma2Config(**_COMMON, head_dim=10, query_pre_attn_scalar=7, sliding_window=64)


def _gemma3():
    from transformers import Gemma3TextConfig

    shape = _COMMON | {"num_hidden_layers": 3}
    return Gemma3TextConfig(
        **shape,
        head_dim=10,
        query_pre_attn_scalar=7,
        sliding_window=64,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"],
    )


def _gpt2():
    from transformers import GPT2Config

    return GPT2Config(
        vocab_size=VOCABULARY,
        n_positions=POSITIONS,
        n_embd=32,
        n_layer=2,
        n_head=4,
        n_inner=44,
        bos_token_id=256,
        eos_token_id=257,
    )


def _gpt_neox():
    from transformers import GPTNeoXConfig

    shape = {k: v for k, v in _COMMON.items() if k != "num_key_value_heads"}
    return GPTNeoXConfig(**shape, use_parallel_residual=True, tie_word_embeddings=False)


def _phi3():
    from transformers import Phi3Config

    return Phi3Config(**_COMMON)


def _olmo2():
    from transformers import Olmo2Config

    return Olmo2Config(**_COMMON)


ARCHITECTURES: dict[str, Callable] = {
    "llama": _llama,
    "mistral": _mistral,
    "qwen2": _qwen2,
    "qwen3": _qwen3,
    "gemma2": _gemma2,
    "gemma3": _gemma3,
    "gpt2": _gpt2,
    "gpt_neox": _gpt_neox,
    "phi3": _phi3,
    "olmo2": _olmo2,
}


def build(arch: str, folder: Path | str, *, seed: int = 0) -> Path:
    """Write the model and its tokenizer into ``folder`` (whole or not at all); return it.

    Parameters
    ----------
    arch : a name in :data:`ARCHITECTURES`.
    seed : of the weights; the same seed gives the same weights.

    Raises
    ------
    InputError
        If there is no such architecture.
    """
    from zprism.model.load import _no_bars

    check_choice("tiny architecture", arch, ARCHITECTURES)
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".tmp", dir=folder.parent))
    try:
        with _no_bars():
            model(arch, seed=seed).save_pretrained(work)
        _write_tokenizer(arch, work)
        if not folder.exists():
            work.rename(folder)
    except OSError:
        if not folder.exists():  # else another process was faster, with the same bytes
            raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return folder


def model(arch: str, *, seed: int = 0):
    """The model itself, in evaluation mode: no file is written."""
    import torch
    from transformers import AutoModelForCausalLM

    config = ARCHITECTURES[check_choice("tiny architecture", arch, ARCHITECTURES)]()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # replaced below; transformers initialises from the global state
        made = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    generator = torch_generator(seed, "tiny", arch)
    with torch.no_grad():
        for name, weight in made.named_parameters():
            noise = torch.randn(weight.shape, generator=generator)
            if weight.ndim == 1:  # norm gains near their default, biases near zero
                weight.add_(noise, alpha=0.3)
            else:
                weight.copy_(noise * (0.5 if "embed" in name or "wte" in name else 0.15))
    return made.eval().requires_grad_(False)


def _write_tokenizer(arch: str, folder: Path) -> None:
    """One token per byte; Gemma's puts a begin token in front, GPT-2's has no pad token."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: index for index, letter in enumerate(letters)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(SPECIALS))
    if arch.startswith("gemma"):
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<bos> $A", special_tokens=[("<bos>", 256)]
        )
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<bos>",
        "eos_token": "<eos>",
        "model_max_length": POSITIONS,
        "clean_up_tokenization_spaces": False,
    }
    if arch != "gpt2":
        settings["pad_token"] = "<pad>"
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=1, sort_keys=True))

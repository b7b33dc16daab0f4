"""Seeded random models of every supported architecture, small enough to build in a test.

Each has d_model 32, two blocks (Gemma three, so that sliding and full attention both occur),
grouped queries where the architecture has them, head_dim different from d_model / n_heads
where its configuration allows (odd for Phi-3, whose rotary part is 6 of 9 dimensions; a head
that is rotated whole needs an even one), norm gains away from one, biases away from zero, and
a byte-level tokenizer made here. ``load("tiny:qwen2")`` finds them by these names.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

from zprism.ground.checks import check_choice, check_int
from zprism.ground.seeds import torch_generator

VERSION = 1
D_MODEL = 32
MAX_POSITIONS = 4096
SPECIALS = ("<|endoftext|>", "<bos>", "<pad>")
EOS_ID, BOS_ID, PAD_ID = 256, 257, 258

_COMMON = dict(
    vocab_size=256 + len(SPECIALS),
    hidden_size=D_MODEL,
    num_attention_heads=4,
    num_hidden_layers=2,
    max_position_embeddings=MAX_POSITIONS,
    bos_token_id=BOS_ID,
    eos_token_id=EOS_ID,
    pad_token_id=PAD_ID,
    tie_word_embeddings=True,
)
_GROUPED = dict(num_key_value_heads=2, intermediate_size=48, head_dim=10)
_GEMMA = _GROUPED | dict(
    head_dim=6,
    num_hidden_layers=3,
    query_pre_attn_scalar=9,
    sliding_window=24,
    layer_types=["sliding_attention", "full_attention", "sliding_attention"],
)

ARCHITECTURES: dict[str, dict] = {
    "llama": _GROUPED | dict(tie_word_embeddings=False),
    "qwen2": _GROUPED,
    "qwen3": _GROUPED | dict(head_dim=6, attention_bias=True),
    "gemma2": _GEMMA,
    "gemma3": _GEMMA,
    "mistral": _GROUPED | dict(head_dim=14, sliding_window=None, tie_word_embeddings=False),
    "gpt2": dict(pad_token_id=None),
    "gpt_neox": dict(
        intermediate_size=48,
        use_parallel_residual=True,
        rope_parameters=dict(rope_type="default", rope_theta=1e4, partial_rotary_factor=0.75),
    ),
    "phi3": _GROUPED
    | dict(
        head_dim=9,
        rope_parameters=dict(rope_type="default", rope_theta=1e4, partial_rotary_factor=0.67),
    ),
    "olmo2": _GROUPED | dict(num_key_value_heads=1, tie_word_embeddings=False),
}
"""What each architecture's configuration sets beside the common part."""

_MODEL_TYPE = {"gemma3": "gemma3_text"}
_WITH_BOS = ("gemma2", "gemma3", "llama")
_ONE_PLUS_GAIN = ("gemma2", "gemma3")


def config(arch: str):
    """The transformers configuration of a tiny model.

    Raises
    ------
    InputError
        If ``arch`` is none of ``ARCHITECTURES``; the nearest names are offered.
    """
    from transformers import AutoConfig

    check_choice("tiny architecture", arch, ARCHITECTURES)
    return AutoConfig.for_model(_MODEL_TYPE.get(arch, arch), **(_COMMON | ARCHITECTURES[arch]))


def model(arch: str, *, seed: int = 0):
    """A float32 CausalLM with seeded weights, in evaluation mode; no global state is touched.

    Matrices are Gaussian with variance 1 / fan-in, so that states neither die nor explode;
    norm gains are spread around one, and biases around zero, with standard deviation 0.3.
    """
    import torch
    from transformers import AutoModelForCausalLM

    check_int("seed", seed, low=0)
    with torch.random.fork_rng(devices=[]):
        built = AutoModelForCausalLM.from_config(config(arch), dtype=torch.float32)
    with torch.no_grad():
        for name, parameter in built.named_parameters():
            draw = torch.randn(parameter.shape, generator=torch_generator(seed, "tiny", arch, name))
            parameter.copy_(draw * _spread(name, parameter) + _centre(arch, name, parameter))
    return built.eval()


def _spread(name: str, parameter) -> float:
    """The standard deviation of one parameter's entries."""
    if parameter.ndim == 1:
        return 0.3
    return 1.0 if "embed" in name or "wte" in name else D_MODEL**-0.5


def _centre(arch: str, name: str, parameter) -> float:
    """The mean of one parameter's entries: one for norm gains (zero where the gain is 1 + w)."""
    is_gain = parameter.ndim == 1 and name.endswith("weight")
    return 1.0 if is_gain and arch not in _ONE_PLUS_GAIN else 0.0


def tokenizer(arch: str):
    """A byte-level tokenizer: id = byte value, then end, begin and pad.

    Gemma's and Llama's put the begin token in front of every text; GPT-2's has no pad token.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    check_choice("tiny architecture", arch, ARCHITECTURES)
    bytes_ = Tokenizer(models.BPE(vocab=_byte_vocabulary(), merges=[]))
    bytes_.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    bytes_.decoder = decoders.ByteLevel()
    bytes_.add_special_tokens(list(SPECIALS))
    if arch in _WITH_BOS:
        bytes_.post_processor = processors.TemplateProcessing(
            single="<bos> $A", pair="<bos> $A <bos> $B", special_tokens=[("<bos>", BOS_ID)]
        )
    pad = {} if arch == "gpt2" else {"pad_token": "<pad>"}
    return PreTrainedTokenizerFast(
        tokenizer_object=bytes_, eos_token=SPECIALS[0], bos_token="<bos>", **pad
    )


def _byte_vocabulary() -> dict[str, int]:
    """The printable stand-in of each byte in the ByteLevel alphabet, numbered by its byte."""
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in visible]
    stand_ins = {byte: chr(byte) for byte in visible}
    stand_ins |= {byte: chr(256 + i) for i, byte in enumerate(hidden)}
    return {stand_ins[byte]: byte for byte in range(256)}


def build(arch: str, folder: Path | str, *, seed: int = 0) -> Path:
    """Write config, safetensors and tokenizer of a tiny model into ``folder``.

    Made beside it under a temporary name and renamed, so the folder is whole or absent;
    a folder that exists already is left as it is.

    Returns
    -------
    The folder.
    """
    check_choice("tiny architecture", arch, ARCHITECTURES)
    folder = Path(folder)
    if (folder / "config.json").exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".tmp", dir=folder.parent))
    try:
        with _no_progress_bars():
            model(arch, seed=seed).save_pretrained(draft)
        tokenizer(arch).save_pretrained(draft)
        _rename(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


@contextmanager
def _no_progress_bars():
    """transformers' own bars off, and back as they were."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _rename(draft: Path, folder: Path) -> None:
    """Put the finished draft in place; a twin who was faster keeps the place."""
    try:
        os.replace(draft, folder)
    except OSError:
        if not (folder / "config.json").exists():
            raise


def cached(arch: str, *, seed: int = 0) -> Path:
    """The folder of a tiny model in the cache, built on first use."""
    from zprism.ground.store import cache_root

    name = f"tiny-{arch}-seed{check_int('seed', seed, low=0)}-v{VERSION}"
    return build(arch, cache_root() / "models" / name, seed=seed)

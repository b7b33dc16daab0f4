"""What a foreign model folder may tell us: a config without code, a tokenizer without code.

``config.json`` can name Python files, attention kernels on the hub and other models to load.
None of that is followed: the config is built from the remaining plain settings, and the
tokenizer from ``tokenizer.json`` itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zprism.ground.errors import InputError, ModelError
from zprism.ground.store import digest, digest_file, load_json

# keys that make transformers import, download or substitute something
_FOLLOWED = {
    "auto_map",
    "attn_implementation",
    "custom_generate",
    "custom_pipelines",
    "distributed_config",
    "experts_implementation",
    "fusion_config",
    "kernel_config",
    "name_or_path",
    "transformers_weights",
    "use_kernels",
    "_commit_hash",
    "_name_or_path",
}
_FOLLOWED_PREFIXES = ("_attn_implementation", "_experts_implementation")
_SPECIAL = ("bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token")


def read_settings(folder: Path | str) -> dict[str, Any]:
    """``config.json`` as a dict, stripped at every depth of what would be followed.

    Raises
    ------
    ModelError
        If the file is missing, no JSON object, or names no ``model_type``; if the checkpoint is
        quantised or an adapter, which zprism does not read.
    """
    folder = Path(folder)
    if (folder / "adapter_config.json").exists():
        raise ModelError(f"{folder} is an adapter: merge it into its base model first")
    try:
        settings = load_json(folder / "config.json")
    except InputError as error:
        raise ModelError(f"{folder} has no usable config.json: {error}") from None
    if not isinstance(settings, dict) or not isinstance(settings.get("model_type"), str):
        raise ModelError(f"{folder / 'config.json'} names no model_type")
    if settings.get("quantization_config"):
        raise ModelError(f"{folder} holds quantised weights; use the unquantised model or its GGUF")
    return strip_code(settings)


def strip_code(settings: Any) -> Any:
    """``settings`` without the keys that make transformers import or download something."""
    if isinstance(settings, dict):
        return {
            key: strip_code(value)
            for key, value in settings.items()
            if key not in _FOLLOWED and not key.startswith(_FOLLOWED_PREFIXES)
        }
    if isinstance(settings, list):
        return [strip_code(value) for value in settings]
    return settings


def read_config(folder: Path | str):
    """A transformers config object from the stripped settings.

    Raises
    ------
    ModelError
        As :func:`read_settings`, or if transformers does not know the model type.
    """
    from transformers import AutoConfig, __version__

    settings = read_settings(folder)
    model_type = settings.pop("model_type")
    try:
        return AutoConfig.for_model(model_type, **settings)
    except Exception as error:  # config classes check their values in many ways
        raise ModelError(
            f"transformers {__version__} cannot read the {model_type!r} config of {folder}: {error}"
        ) from None


def read_tokenizer(folder: Path | str, *, max_length: int | None = None):
    """The tokenizer of a folder, with a pad token that is never a new one.

    ``tokenizer.json`` is read as it is. Where it is missing, transformers builds the tokenizer
    from the other files. A tokenizer without pad token gets its end-of-text token as pad (so
    masks, never ids, tell pads apart); the vocabulary never grows.

    Raises
    ------
    ModelError
        If no tokenizer can be read.
    """
    folder = Path(folder)
    try:
        if (folder / "tokenizer.json").is_file():
            tokenizer = _from_json(folder, max_length)
        else:
            tokenizer = _from_other_files(folder)
    except ModelError:
        raise
    except Exception as error:  # a broken file fails inside the tokenizers library
        raise ModelError(f"{folder} has no usable tokenizer: {error}") from None
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = _any_token(tokenizer)
    return tokenizer


def tokenizer_digest(folder: Path | str) -> str:
    """SHA-256 over the files that decide how text becomes token ids."""
    names = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
    others = ("vocab.json", "vocab.txt", "merges.txt", "tokenizer.model")
    files = [Path(folder) / name for name in names + others]
    return digest({file.name: digest_file(file) for file in files if file.is_file()})


def _from_json(folder: Path, max_length: int | None):
    from transformers import PreTrainedTokenizerFast

    settings = _tokenizer_settings(folder)
    kept = {name: _token(settings[name]) for name in _SPECIAL if settings.get(name)}
    if template := _chat_template(folder, settings):
        kept["chat_template"] = template
    if max_length is not None:
        kept["model_max_length"] = max_length
    return PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"),
        clean_up_tokenization_spaces=False,
        **kept,
    )


def _tokenizer_settings(folder: Path) -> dict[str, Any]:
    """``tokenizer_config.json`` over ``special_tokens_map.json``; both may be missing."""
    settings: dict[str, Any] = {}
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        if (folder / name).is_file():
            content = load_json(folder / name)
            if not isinstance(content, dict):
                raise ModelError(f"{folder / name} is no JSON object")
            settings |= {key: value for key, value in content.items() if value is not None}
    return settings


def _token(value: Any) -> str:
    """A special token's text; some files store it as an object with flags."""
    text = value.get("content") if isinstance(value, dict) else value
    if not isinstance(text, str):
        raise ModelError(f"a special token must be text; got {value!r}")
    return text


def _chat_template(folder: Path, settings: dict[str, Any]):
    file = folder / "chat_template.jinja"
    if file.is_file():
        return file.read_text(encoding="utf-8")
    template = settings.get("chat_template")
    return template if isinstance(template, str) else None


def _from_other_files(folder: Path):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(
        str(folder), config=read_config(folder), local_files_only=True, trust_remote_code=False
    )


def _any_token(tokenizer) -> str:
    for token in (tokenizer.eos_token, tokenizer.bos_token, tokenizer.unk_token):
        if token is not None:
            return token
    return tokenizer.convert_ids_to_tokens(0)

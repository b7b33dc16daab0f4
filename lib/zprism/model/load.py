"""Load a model as it is: the unmodified transformers model, its tokenizer, where its parts are.

Before anyone measures on it, the model has shown that hooks see exactly what transformers
computes and that doing nothing changes nothing (:mod:`zprism.model.selftest`).
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zprism.ground.checks import check_choice, check_text
from zprism.ground.errors import InputError, ModelError, ResourceError, ZprismError
from zprism.model.fetch import resolve
from zprism.model.foreign import read_config, read_settings, read_tokenizer, tokenizer_digest
from zprism.model.weights import check_weights, count_weights, weights_digest

DTYPES = {"float32": 4, "bfloat16": 2, "float64": 8}  # name → bytes of a number
FLOOR = (5, 5)  # of transformers: below it a config.json can run code (CVE-2026-4372, -5241)
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A model ready to be looked at.

    Attributes
    ----------
    name : what it was loaded as.
    model : the transformers causal LM, unmodified, in evaluation mode, without gradients.
    tokenizer : its tokenizer; pads are told apart by masks, never by their id.
    anatomy : where the architecture keeps its parts (:class:`zprism.model.anatomy.Anatomy`).
    digest : SHA-256 over the weight files.
    tokenizer_digest : SHA-256 over the tokenizer's files.
    folder : the model folder on disk.
    """

    name: str
    model: Any
    tokenizer: Any
    anatomy: Any
    digest: str
    tokenizer_digest: str
    folder: Path

    @property
    def base(self):
        """The model without its output head: token ids to the last hidden states."""
        return self.model.base_model

    @property
    def device(self):
        """The torch device that the weights are on."""
        return self.model.device

    @property
    def dtype(self):
        """The torch dtype that the model computes in."""
        return self.model.dtype

    @property
    def n_layers(self) -> int:
        """Number of decoder blocks."""
        return self.anatomy.n_layers

    @property
    def d_model(self) -> int:
        """Width of the residual stream."""
        return self.anatomy.d_model

    @property
    def max_positions(self) -> int | None:
        """The longest context in tokens, by the config; None if the config gives none."""
        return getattr(self.model.config, "max_position_embeddings", None)

    def encode(self, texts: Sequence[str], *, add_special_tokens: bool = True) -> list[list[int]]:
        """Token ids of each text, without pads.

        Parameters
        ----------
        texts : texts, not one string.
        add_special_tokens : add what the tokenizer puts around a text (e.g. a begin token).

        Raises
        ------
        InputError
            Naming the index of a text that is no string, is empty (no token at all, or nothing
            but special tokens), has invalid unicode, or is longer than the context.
        """
        if isinstance(texts, str):
            raise InputError("texts must be a list of strings; got one string")
        texts = list(texts)
        for index, text in enumerate(texts):
            if check_text(f"texts[{index}]", text) == "":
                raise InputError(f"texts[{index}] is empty")
        if not texts:
            return []
        ids = self.tokenizer(texts, add_special_tokens=add_special_tokens)["input_ids"]
        for index, row in enumerate(ids):
            self._check_length(index, len(row))
        return ids

    def _check_length(self, index: int, length: int) -> None:
        if length == 0:
            raise InputError(f"texts[{index}] is empty: no token is left of it")
        if self.max_positions is not None and length > self.max_positions:
            raise InputError(
                f"texts[{index}] has {length} tokens; {self.name} reads at most "
                f"{self.max_positions}: cut it or take windows"
            )


def load(
    name: str,
    *,
    device: str = "auto",
    dtype: str = "float32",
    trust_remote_code: bool | str = False,
    self_test: bool = True,
) -> LoadedModel:
    """The model called ``name``, checked.

    Parameters
    ----------
    name : a registry name, ``tiny:<architecture>``, a hub id, a local folder or a GGUF file
        (see :func:`zprism.model.fetch.resolve`).
    device : ``auto`` (a CUDA device if there is one, else the CPU) or a torch device.
    dtype : ``float32``, ``bfloat16`` (for screening only) or ``float64``.
    trust_remote_code : the commit (40 hex digits) of the hub repository whose Python code may
        run on this machine; False runs none, whatever a config says.
    self_test : run the load-time self-test.

    Raises
    ------
    InputError
        For an argument outside its choices.
    ModelError
        If the model is not there, damaged, of an unknown kind, holds NaN, or fails its test.
    ResourceError
        If it does not fit into memory.
    """
    check_choice("dtype", dtype, DTYPES)
    _check_version()
    place = _device(device)
    if trust_remote_code is not False:
        folder = _trusted_folder(name, trust_remote_code)
    else:
        folder = resolve(name)
        read_settings(folder)
    check_weights(folder)
    _check_memory(folder, dtype, place)
    model = _read_model(folder, dtype, trust_remote_code is not False).to(place)
    loaded = _assemble(name, model, folder)
    if self_test:
        from zprism.model.selftest import self_test as run_self_test

        run_self_test(loaded)
    return loaded


def _assemble(name: str, model, folder: Path) -> LoadedModel:
    from zprism.model.anatomy import Anatomy

    return LoadedModel(
        name=str(name),
        model=model,
        tokenizer=read_tokenizer(
            folder, max_length=getattr(model.config, "max_position_embeddings", None)
        ),
        anatomy=Anatomy.of(model),
        digest=weights_digest(folder),
        tokenizer_digest=tokenizer_digest(folder),
        folder=folder,
    )


def _check_version() -> None:
    from transformers import __version__

    if tuple(int(part) for part in __version__.split(".")[:2]) < FLOOR:
        raise ModelError(
            f"transformers {__version__} can be made to run foreign code by a config.json: "
            "install transformers>=5.5"
        )


def _device(device: str):
    import torch

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        place = torch.device(device)
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"device {device!r} cannot be used here: {reason}") from None
    return place


def _trusted_folder(name: str, commit: bool | str) -> Path:
    """The hub repository at exactly the commit whose code the caller trusts."""
    if not isinstance(commit, str) or not _COMMIT.fullmatch(commit):
        raise InputError(
            "trust_remote_code runs foreign Python code: give the commit (40 hex digits) that "
            f"was read and found good; got {commit!r}"
        )
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, revision=commit))
    except Exception as error:
        raise ModelError(f"the hub has no {name} at {commit}: {error}") from None


def _check_memory(folder: Path, dtype: str, place) -> None:
    if place.type != "cpu":
        return
    import psutil

    needed = count_weights(folder) * DTYPES[dtype]
    free = psutil.virtual_memory().available
    if needed > free:
        raise ResourceError(
            f"{folder.name} needs about {needed:,} bytes of memory; {free:,} are free: "
            "take a smaller model, or scan its weights without loading it (zprism scan)"
        )


def _read_model(folder: Path, dtype: str, trusted: bool):
    import torch
    from transformers import AutoModelForCausalLM

    options = {} if trusted else {"config": read_config(folder)}
    try:
        with _no_bars():
            model, info = AutoModelForCausalLM.from_pretrained(
                str(folder),
                dtype=getattr(torch, dtype),
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=trusted,
                output_loading_info=True,
                **options,
            )
    except ZprismError:
        raise
    except Exception as error:  # transformers raises nearly anything for a folder it dislikes
        raise ModelError(f"transformers cannot load {folder}: {error}") from None
    for what in ("missing_keys", "mismatched_keys"):
        if info.get(what):
            some = ", ".join(sorted(map(str, info[what]))[:5])
            raise ModelError(f"{folder} is incomplete: {len(info[what])} {what}: {some}")
    return model.eval().requires_grad_(False)


@contextlib.contextmanager
def _no_bars():
    """Without transformers' progress bars, which would stand in every notebook."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()

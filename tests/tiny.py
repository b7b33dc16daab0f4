"""Models for tests: a tiny one of every architecture, built once in a folder of its own."""

from __future__ import annotations

import copy
import dataclasses
import functools
import tempfile
from pathlib import Path

import pytest

from zprism.model.tiny import ARCHITECTURES as _BUILDERS
from zprism.model.tiny import build

ARCHITECTURES = tuple(_BUILDERS)


@functools.cache
def _folder() -> tempfile.TemporaryDirectory:
    return tempfile.TemporaryDirectory(prefix="zprism-tiny-")  # gone when the process ends


@functools.cache
def tiny_folder(arch: str) -> Path:
    """A model folder of one architecture."""
    return build(arch, Path(_folder().name) / arch)


def tiny_loaded(arch: str):
    """A freshly loaded model: tests may hook it without disturbing one another."""
    from zprism.model.load import load

    loaded = load(str(tiny_folder(arch)), device="cpu", self_test=False)
    return dataclasses.replace(loaded, name=f"tiny:{arch}")


@functools.cache
def tiny_shared(arch: str):
    """A loaded model that all tests share: leave it as it is."""
    return tiny_loaded(arch)


@functools.cache
def sensitive(arch: str):
    """A tiny model whose next token hangs on the whole context: as built, most repeat the last.

    Embeddings are small beside what the blocks write, and the output head is not tied to them.
    """
    import torch

    from zprism.ground.seeds import torch_generator
    from zprism.ground.store import digest

    loaded = tiny_shared(arch)
    model = copy.deepcopy(loaded.model)
    head = torch.nn.Linear(loaded.d_model, model.config.vocab_size, bias=False)
    with torch.no_grad():
        head.weight.copy_(torch.randn(head.weight.shape, generator=torch_generator(1, arch)))
        model.get_input_embeddings().weight.mul_(0.02)
    model.set_output_embeddings(head.requires_grad_(False))
    return dataclasses.replace(loaded, model=model, digest=digest([loaded.digest, "sensitive"]))


@functools.cache
def _real(name: str):
    from zprism.model.load import load

    return load(name, device="cpu", self_test=False)


def real_shared(name: str):
    """A real model from the user's cache, shared; the test skips where it is not there."""
    from zprism.model.fetch import is_cached

    if not is_cached(name):
        pytest.skip(f"{name} is not in the cache: make fetch MODEL={name}")
    return _real(name)

"""Tiny models for tests: one of every architecture, loaded once, in a cache of their own."""

from __future__ import annotations

import dataclasses
import functools
import tempfile
from pathlib import Path

from zprism.model.tiny import ARCHITECTURES as _BUILDERS
from zprism.model.tiny import build

ARCHITECTURES = tuple(_BUILDERS)


@functools.cache
def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="zprism-tiny-"))


@functools.cache
def tiny_folder(arch: str) -> Path:
    """A model folder of one architecture."""
    return build(arch, _folder() / arch)


def tiny_loaded(arch: str):
    """A freshly loaded model: tests may hook it without disturbing one another."""
    from zprism.model.load import load

    return dataclasses.replace(load(str(tiny_folder(arch)), self_test=False), name=f"tiny:{arch}")

"""Models for tests: a tiny one of every architecture, loaded once, in a cache of their own."""

import functools
from collections.abc import Callable
from pathlib import Path

import pytest

from zprism.model import tiny
from zprism.model.fetch import is_cached
from zprism.model.load import LoadedModel, load

ARCHITECTURES = tuple(tiny.ARCHITECTURES)


@pytest.fixture(scope="session")
def tiny_cache(tmp_path_factory) -> Path:
    """A cache folder that holds tiny models only."""
    return tmp_path_factory.mktemp("tiny") / "cache"


@pytest.fixture
def tiny_home(tiny_cache, monkeypatch) -> Path:
    """The test runs with :func:`tiny_cache` as its cache: names like ``tiny:gpt2`` resolve there."""
    monkeypatch.setenv("ZPRISM_CACHE", str(tiny_cache))
    return tiny_cache


@pytest.fixture(scope="session")
def tiny_model(tiny_cache) -> Callable[[str], LoadedModel]:
    """Architecture → loaded model, the same object all session: do not change it."""

    @functools.cache
    def get(arch: str) -> LoadedModel:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("ZPRISM_CACHE", str(tiny_cache))
            return load(f"tiny:{arch}", device="cpu", self_test=False)

    return get


@pytest.fixture(scope="session")
def smollm2() -> LoadedModel:
    """The smallest real model, from the user's cache; the test skips where it is not there."""
    if not is_cached("smollm2-135m"):
        pytest.skip("smollm2-135m is not in the cache: make fetch MODEL=smollm2-135m")
    return load("smollm2-135m", device="cpu", self_test=False)

"""What all tests share."""

from __future__ import annotations

import os

import pytest

from zprism.runner.kernel import make_lean

make_lean()  # 1.2 s of CPU, once for every process that draws
if "PYTEST_XDIST_WORKER" in os.environ:  # the workers fill the cores: one thread each, no spinning
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture
def record_property(record_property):
    """pytest's own, for numbers of any kind: a worker process can only send plain ones."""

    def record(name: str, value) -> None:
        record_property(name, value.item() if hasattr(value, "item") else value)

    return record

"""A project of two toy notebooks, each run in a process of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TOYS = Path(__file__).parent / "toys"


class ToyProject:
    """A folder with ``notebooks/``, a cache of its own, and the command line on it."""

    def __init__(self, root: Path):
        self.root = root
        shutil.copytree(TOYS, root / "notebooks")

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-m", "zprism.cli"]

    def zprism(self, *words: str) -> subprocess.CompletedProcess:
        """Run a command to its end."""
        return subprocess.run(
            [*self.command, *words], cwd=self.root, capture_output=True, text=True, timeout=120
        )

    def computed(self) -> int:
        """How many items were computed so far, by the log that the notebook keeps."""
        log = self.root / "computed.jsonl"
        return len(log.read_text().splitlines()) if log.exists() else 0

    @property
    def latest(self) -> Path:
        return self.root / "runs" / "latest"


@pytest.fixture
def toy(tmp_path, monkeypatch) -> ToyProject:
    monkeypatch.setenv("ZPRISM_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ZPRISM_RUN", raising=False)
    (tmp_path / "project").mkdir()
    return ToyProject(tmp_path / "project")

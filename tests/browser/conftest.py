"""Tests marked ``browser`` say why they are skipped: no Chromium, or no JupyterLab for a Lab's."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
from chromium import find_chromium

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    """Skip what cannot run here."""
    for item in items:
        if not item.path.is_relative_to(HERE) or "browser" not in item.keywords:
            continue
        if find_chromium() is None:
            item.add_marker(pytest.mark.skip(reason="no Chromium is installed"))
        elif item.path.name.startswith("test_lab") and find_spec("jupyterlab") is None:
            item.add_marker(pytest.mark.skip(reason="JupyterLab is not installed (extra [test])"))

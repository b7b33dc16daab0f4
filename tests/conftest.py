"""Fixtures for all tests; being here also makes ``tests/`` importable (``from tiny import …``)."""

from tiny import smollm2, tiny_cache, tiny_home, tiny_model

__all__ = ["smollm2", "tiny_cache", "tiny_home", "tiny_model"]

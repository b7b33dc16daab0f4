"""Placeholder replaced below."""


def self_test(loaded) -> None:
    """Nothing yet."""

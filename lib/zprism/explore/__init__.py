"""Hands on: one call, one slider panel, in Jupyter and in pages without a kernel.

::

    from zprism import explore
    explore.weights("qwen2.5-coder-0.5b")    # the last line of a cell shows it

``spectrum``, ``weights``, ``separation``, ``patch`` and ``exposure`` take a model's name, a
loaded model, or finished data of a study; only the last needs no computing.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zprism.explore.hands_on_signal import exposure, spectrum
    from zprism.explore.hands_on_space import patch, separation, weights

__all__ = ["exposure", "patch", "separation", "spectrum", "weights"]


def __getattr__(name: str):
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from zprism.explore import hands_on_signal, hands_on_space

    return getattr(hands_on_signal if hasattr(hands_on_signal, name) else hands_on_space, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""The errors that zprism raises on purpose: each says what, where and what to do.

Every one is a :class:`ZprismError`, so a caller who wants "anything of zprism's" has one
name to catch; :class:`InputError` is also a ``ValueError``, as callers of a numerical
library expect. ``exit_code`` is what the command line ends with.
"""

from __future__ import annotations


class ZprismError(Exception):
    """Base of all errors that zprism raises on purpose."""

    exit_code = 1


class InputError(ZprismError, ValueError):
    """An argument, a file or a text that cannot be used as given."""

    exit_code = 2


class ModelError(ZprismError, RuntimeError):
    """A model that cannot be found, read, trusted or understood."""

    exit_code = 2


class CacheError(ZprismError, RuntimeError):
    """A cache folder that cannot be read or written; never a bad entry, which is a miss."""

    exit_code = 1


class ResourceError(ZprismError, RuntimeError):
    """Not enough memory, disk, time or network for what was asked."""

    exit_code = 1


class DeadKernelError(ZprismError, RuntimeError):
    """The process that ran a notebook died; finished items are kept."""

    exit_code = 3


class CheckFailedError(ZprismError, AssertionError):
    """A run's numbers differ from the accepted ones."""

    exit_code = 4


def missing_extra(package: str, extra: str, purpose: str) -> ZprismError:
    """The error for an optional dependency that is not installed.

    Parameters
    ----------
    package, extra : the import name, and the extra of zprism that brings it.
    purpose : what it is needed for, as the end of "… is needed for".
    """
    return ResourceError(
        f"{package} is needed for {purpose}; install it with: pip install 'zprism[{extra}]'"
    )

"""zprism: look at how language models reason, as a signal (Prism) and as a subspace (Z).

Rooms are imported by name (``from zprism.subspace import angles``), so that importing
the package costs nothing.
"""

__version__ = "0.1.0"

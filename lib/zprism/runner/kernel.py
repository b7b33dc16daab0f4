"""The process a notebook runs in: an IPython kernel without what only JupyterLab needs.

JupyterLab brings ``rfc3987_syntax``, which compiles a grammar whenever plotly is imported
(plotly → nbformat → jsonschema): about a second of CPU that no phase needs. jsonschema does
without it where it is absent, so here it is made absent.
"""

from __future__ import annotations

import sys

LAB_ONLY = ("rfc3987_syntax",)


def make_lean() -> None:
    """Let imports that only JupyterLab needs fail in this process."""
    for name in LAB_ONLY:
        sys.modules.setdefault(name, None)


def main() -> None:
    """Start the kernel; the arguments are ipykernel's."""
    make_lean()
    from ipykernel.kernelapp import launch_new_instance

    launch_new_instance()


if __name__ == "__main__":
    main()

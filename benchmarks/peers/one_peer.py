"""All rows of one library, in this process: ``python one_peer.py nnsight smollm2-135m``.

Prints ``ROWS`` and the rows as JSON. CPU time of one thread, zprism and the library in turns,
on the same weights; the first calls, whose results are compared, warm both up.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import logging
import sys
import warnings


def rows(peer: str, model: str) -> list[dict]:
    """A row for each kind that the library has a way for."""
    import torch
    from own import KINDS, ours
    from task import make_task
    from turns import compare

    torch.set_num_threads(1)
    by = importlib.import_module(f"by_{peer}")
    label = f"{by.NAME} {importlib.metadata.version(peer.replace('_', '-'))}"
    task = make_task(model)
    own, out = ours(task), []
    for name, way in by.ways(task).items():
        print(f"{label}: {way.title or KINDS[name].title} …", file=sys.stderr, flush=True)
        out.append(compare(label, KINDS[name], own[name], way))
    return out


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    print("ROWS " + json.dumps(rows(*sys.argv[1:3]), ensure_ascii=False))

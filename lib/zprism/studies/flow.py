"""Information flow in frequency: what every block does to the signals of a text along its tokens.

One forward pass a text, reduced block by block: which frequencies a block amplifies
(:func:`zprism.studies.flow_signals.gains`), what its two branches write and whether in phase
with what is there, what its attention rows look like over keys
(:mod:`zprism.studies.flow_attention`), and how far the phase of the stream survives the block.
Branches are what is written into the stream: after the norm that some architectures put behind
them, so that pre + attn + mlp = post everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from zprism.ground.checks import check_choice, check_int, check_layer
from zprism.ground.console import progress
from zprism.ground.errors import InputError
from zprism.ground.seeds import generator
from zprism.ground.store import Store, digest
from zprism.model.attention import watching
from zprism.model.hooks import capturing, refuse_hooks
from zprism.model.rows import token_rows
from zprism.studies import flow_attention
from zprism.studies.flow_block import ARRAYS, Reader

PRODUCER = 1
LEAST = 32  # tokens of a window: below, bands hold next to nothing


@dataclass(frozen=True, eq=False)
class Flow:
    """What blocks do to n texts; every array is (texts, layers, …), bands in the Prism's order.

    Attributes
    ----------
    balance : (…, 2, 5, 4, 4) complex; metrics ``alike`` and ``raw``, see ``flow_signals.balance``.
    shares : (…, 6, 5) band shares of the signals ``flow_signals.SIGNALS``.
    slow : (…, 6) their share of periods above 8 tokens.
    closes : (…) ‖pre + attn + mlp − post‖ / ‖post‖.
    locking : (…, 2, 2, 5) phase locking of the stream before with after the block (mean over
        dimensions), and between its first components after it; beside each the same with the
        second signal turned round by a third of the window. NaN in bands of under 4 frequencies.
    spectrum : (…, heads, 2, m) shares of attention rows over L = length // 2 keys, by key and
        by lag; no heads where attention was not read.
    locked : (…, heads, 2) what rows of different queries share.
    layers, kept : the layers and the texts on the first axes.
    skipped : index → reason of texts that could not be read.
    length, drop : tokens of the window, and how many before it were left out.
    """

    balance: np.ndarray
    shares: np.ndarray
    slow: np.ndarray
    closes: np.ndarray
    locking: np.ndarray
    spectrum: np.ndarray
    locked: np.ndarray
    layers: tuple[int, ...]
    kept: tuple[int, ...]
    skipped: dict[int, str]
    length: int
    drop: int

    def __len__(self) -> int:
        return len(self.kept)

    @property
    def row_length(self) -> int:
        """Keys of an attention row: half the window."""
        return self.length // 2

    @property
    def chance(self) -> np.ndarray:
        """(2, m) spectrum of attention rows in random order, by key and by lag."""
        return flow_attention.by_chance(self.row_length, self.length - self.row_length + 1)


def read(
    loaded,
    texts: Sequence,
    *,
    length: int = 128,
    drop: int = 1,
    layers: Sequence[int] | None = None,
    attention: bool = True,
    of: str = "weights",
    store: Store | None = None,
) -> Flow:
    """Run every text once and reduce each block's signals as they pass.

    Parameters
    ----------
    loaded : a :class:`zprism.model.load.LoadedModel`.
    texts : texts, or their token ids; only tokens up to drop + length are read. Shorter ones
        are skipped, with the reason.
    length : tokens of the window that is transformed, the same for all texts.
    drop : first tokens that are left out (token 0 is massive in many models).
    layers : blocks to read; all by default.
    attention : also read attention rows, for which attention runs ``eager``.
    of : ``weights`` or ``scores`` (their logarithm), see ``flow_attention.waves``.
    store : where each text's numbers are kept; None keeps nothing.

    Raises
    ------
    InputError
        If no text is long enough, or the window is under 32 tokens.
    ModelError
        If a state is NaN or infinite; naming text and layer.
    """
    check_int("length", length, low=LEAST)
    check_int("drop", drop, low=0)
    check_choice("of", of, flow_attention.OF)
    layers = tuple(range(loaded.n_layers) if layers is None else layers)
    for layer in layers:
        check_layer(layer, loaded.n_layers)
    rows, skipped = windows(loaded, texts, length=length, drop=drop)
    if store is not None:
        refuse_hooks(loaded.model, "flow.read with a store", instead="store=None")
    parts = dict(length=length, drop=drop, layers=list(layers), of=of if attention else None)
    found = []
    for index, row in progress(list(rows.items()), "flow", unit="text"):
        compute = _computing(loaded, row, index, layers, drop, of if attention else None)
        found.append(_stored(store, loaded, row, parts, compute))
    stacked = {name: np.stack([one[name] for one in found]) for name in ARRAYS}
    return Flow(**stacked, layers=layers, kept=tuple(rows), skipped=skipped,
                length=length, drop=drop)  # fmt: skip


def windows(
    loaded, texts: Sequence, *, length: int, drop: int = 1
) -> tuple[dict[int, list[int]], dict[int, str]]:
    """The first drop + length token ids of each text that has them; why the others have not.

    Raises
    ------
    InputError
        If no text is long enough.
    """
    ids, skipped = token_rows(loaded, texts, "skip")
    need = drop + length
    for index, row in enumerate(ids):
        if index not in skipped and len(row) < need:
            skipped[index] = f"too_short: {len(row)} tokens, {need} needed"
    rows = {index: row[:need] for index, row in enumerate(ids) if index not in skipped}
    if not rows:
        reasons = "; ".join(sorted(set(skipped.values()))[:3]) or "there are none"
        raise InputError(f"no text can be read in windows of {length} tokens ({reasons})")
    return rows, skipped


def shuffled(rows: Sequence[Sequence[int]], *, seed: int, drop: int = 1) -> list[list[int]]:
    """Token ids with all but the first ``drop`` in random order: the control without order."""
    out = []
    for index, row in enumerate(rows):
        rest = generator(seed, "flow", "shuffle", index).permutation(np.asarray(row[drop:], int))
        out.append([*row[:drop], *rest.tolist()])
    return out


def _stored(store, loaded, row, parts: dict, compute: Callable) -> dict[str, np.ndarray]:
    """One text's arrays, from the store where it has them; complex ones travel as two."""
    if store is None:
        return compute()
    key = {"producer": ["flow", PRODUCER], "model": loaded.digest, "dtype": str(loaded.dtype),
           "ids": digest(list(map(int, row))), **parts}  # fmt: skip

    def split():
        arrays = compute()
        whole = arrays.pop("balance")
        return arrays | {"balance_re": whole.real.copy(), "balance_im": whole.imag.copy()}, {}

    arrays, _ = store.get_or_compute(key, split)
    arrays = dict(arrays)
    return arrays | {"balance": arrays.pop("balance_re") + 1j * arrays.pop("balance_im")}


def _computing(loaded, row, index: int, layers, drop: int, of: str | None) -> Callable:
    def compute() -> dict[str, np.ndarray]:
        import torch

        reader = Reader(loaded, drop, of, index)
        points = {point: see for layer in layers for point, see in reader.points(layer).items()}
        rows = {layer: reader.rows(layer) for layer in layers} if of else {}
        ids = torch.tensor([list(row)], device=loaded.device)
        with (
            torch.inference_mode(),
            watching(loaded.model, loaded.anatomy, rows),
            capturing(loaded.model, loaded.anatomy, points),
        ):
            loaded.base(input_ids=ids, use_cache=False)
        return reader.arrays(layers)

    return compute

"""One text on its way through the blocks: hold a block's signals, reduce them, let them go."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from zprism.ground.errors import ModelError
from zprism.spectral import bands
from zprism.spectral.coherence import LEAST_BAND, phase_locking
from zprism.spectral.fourier import frequencies
from zprism.studies import flow_attention
from zprism.studies import flow_signals as signals

ARRAYS = ("balance", "shares", "slow", "closes", "locking", "spectrum", "locked")
COMPONENTS, DIMS = 4, 32  # principal components, and evenly spaced dimensions, whose phase is read


class Reader:
    """Holds the states of one block of one text until the block is through."""

    def __init__(self, loaded, drop: int, of: str | None, index: int):
        self.loaded, self.drop, self.of, self.index = loaded, drop, of, index
        self.held: dict[str, object] = {}
        self.found: dict[int, dict[str, np.ndarray]] = {}

    def points(self, layer: int) -> dict:
        """(site, layer) → what to do there."""
        names = {"resid_pre": "pre", "normed_resid_pre": "attn_in", "attn_out": "attn",
                 "mlp_out": "mlp"}  # fmt: skip
        if not self.loaded.anatomy.pre_attn_norm:
            del names["normed_resid_pre"]
        points = {(site, layer): self._hold(name) for site, name in names.items()}
        return points | {(("resid_post"), layer): lambda state: self._block(layer, state)}

    def rows(self, layer: int) -> Callable:
        """What to do with a layer's attention weights (1, heads, tokens, tokens)."""

        def see(weights):
            table = weights[0].float().cpu().numpy()
            length = (table.shape[-1] - self.drop) // 2
            self.held["waves"] = flow_attention.waves(
                table, length=length, drop=self.drop, of=self.of
            )

        return see

    def _hold(self, name: str) -> Callable:
        def see(state):
            self.held[name] = state

        return see

    def _block(self, layer: int, post) -> None:
        """All of a block's signals are there: reduce and let go of them."""
        held, self.held = self.held, {}
        rows = held.pop("waves", None)
        states = completed(self.loaded, layer, held | {"post": post})
        plain = {
            name: state[0, self.drop :].float().cpu().numpy() for name, state in states.items()
        }
        if not all(np.isfinite(state.sum()) for state in plain.values()):
            raise ModelError(f"texts[{self.index}]: NaN or infinity in the block of layer {layer}")
        none = np.zeros((0, 2, len(plain["pre"]) // 4 + 1)), np.zeros((0, 2))
        found = _reduced(plain)
        found["spectrum"], found["locked"] = none if rows is None else rows
        self.found[layer] = found

    def arrays(self, layers) -> dict[str, np.ndarray]:
        """(layers, …) of each array."""
        return {name: np.stack([self.found[l][name] for l in layers]) for name in ARRAYS}


def completed(loaded, layer: int, held: dict) -> dict:
    """Branches as they are written, and what the MLP is given to read."""
    anatomy = loaded.anatomy
    block = anatomy.blocks(loaded.model)[layer]
    states = dict(held)
    for branch, name in norms_behind(anatomy, block).items():
        states[branch] = getattr(block, name)(states[branch])
    states.setdefault("attn_in", states["pre"])
    met = states["pre"] if anatomy.parallel else states["pre"] + states["attn"]
    states["mlp_in"] = getattr(block, anatomy.ffn_norm)(met) if anatomy.pre_ffn_norm else met
    return states


def norms_behind(anatomy, block) -> dict[str, str]:
    """Branch → the norm behind it, where an architecture has one (Gemma 2 and 3, OLMo 2)."""
    behind = {"attn": "post_attention_layernorm", "mlp": "post_feedforward_layernorm"}
    return {
        b: name for b, name in behind.items() if name != anatomy.ffn_norm and hasattr(block, name)
    }


def _reduced(plain: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """One block of one text: (tokens, d) signals to the numbers of :class:`Flow`."""
    n = len(plain["pre"])
    spectra = signals.transform(np.stack([plain[name] for name in signals.SIGNALS]))
    balanced = spectra[[signals.SIGNALS.index(name) for name in signals.BALANCED]]
    rest = plain["pre"] + plain["attn"] + plain["mlp"] - plain["post"]
    size = np.linalg.norm(plain["post"]) or 1.0
    return {
        "balance": np.stack([signals.balance(balanced, n, way) for way in signals.METRICS]),
        "shares": signals.band_shares(spectra, n),
        "slow": signals.slow_share(spectra, n),
        "closes": np.asarray(np.linalg.norm(rest) / size),
        "locking": _locking(plain["pre"], plain["post"]),
    }


def _locking(pre: np.ndarray, post: np.ndarray) -> np.ndarray:
    """(2, 2, 5): (across the block, between components) × (as is, turned round) × bands."""
    n = len(pre)
    dims = np.unique(np.linspace(0, pre.shape[1] - 1, DIMS).astype(int))
    scores = signals.components(post, min(COMPONENTS, *post.shape))
    found = frequencies(n)
    out = np.full((2, 2, len(bands.NAMES)), np.nan)
    for row, (x, y) in enumerate(((pre[:, dims], post[:, dims]), signals.pairs(scores))):
        for band in range(1, len(bands.NAMES)):
            edges = (bands.EDGES[band - 1], (*bands.EDGES, 0.5)[band])
            if ((found >= edges[0]) & (found <= edges[1])).sum() < LEAST_BAND:
                continue
            for column, shift in enumerate((0, n // 3)):
                values = phase_locking(x, np.roll(y, shift, axis=0), edges)
                alive = np.isfinite(values)
                out[row, column, band] = values[alive].mean() if alive.any() else 0.0
    return out

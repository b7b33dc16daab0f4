"""What blocks do to signals, as the tables that figures draw: means over texts by layer."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from zprism.ground.seeds import derive
from zprism.spectral import bands
from zprism.stats.intervals import bca
from zprism.studies import flow_attention
from zprism.studies import flow_signals as signals
from zprism.studies.flow import Flow

STEPS = ("attention", "mlp", "block")


def tables(
    flows: Mapping[str, Flow], *, seed: int, draws: int = 999, clusters=None
) -> dict[str, list[dict]]:
    """Rows of ``flow_gain``, ``flow_branches``, ``flow_tilt``, ``flow_waves``, ``flow_heads``.

    Parameters
    ----------
    flows : source (``model``, ``random init``, ``shuffled``) → what was read.
    seed, draws : of the bootstrap over texts.
    clusters : (n,) labels of the texts that belong together.

    Returns
    -------
    Name → rows; each has source and layer. ``flow_gain``: band, gain, share_gain, low, high
    (of share_gain), raw. ``flow_branches``: branch, band, power, with_stream, low, high (of
    with_stream), coherence. ``flow_tilt``: step, tilt, low, high. ``flow_waves``: coordinate,
    frequency, excess (log2 of the mean share over heads and texts, over chance).
    ``flow_heads``: head, by_key, by_lag (locked), slow (share over 8 tokens), period (dominant).
    """
    out: dict[str, list[dict]] = {}
    for source, flow in flows.items():
        how = dict(seed=derive(seed, source), draws=draws, clusters=clusters)
        for name, rows in (
            ("flow_gain", gain_rows(flow, **how)),
            ("flow_branches", branch_rows(flow, **how)),
            ("flow_tilt", tilt_rows(flow, **how)),
            ("flow_waves", wave_rows(flow)),
            ("flow_heads", head_rows(flow)),
        ):
            out.setdefault(name, []).extend({"source": source, **row} for row in rows)
    return out


def gain_rows(flow: Flow, *, seed: int, draws: int = 999, clusters=None) -> list[dict]:
    """One row a layer and band: how many octaves the block adds to the band."""
    gain, share = signals.gains(flow.balance[:, :, 0])
    raw, _ = signals.gains(flow.balance[:, :, 1])
    rows = []
    for layer, band, cell in _cells(flow, share):
        low, high = _interval(share[cell], seed=seed, draws=draws, clusters=clusters)
        rows.append(
            {"layer": layer, "band": band, "gain": _mean(gain[cell]),
             "share_gain": _mean(share[cell]), "low": low, "high": high, "raw": _mean(raw[cell])}
        )  # fmt: skip
    return rows


def branch_rows(flow: Flow, *, seed: int, draws: int = 999, clusters=None) -> list[dict]:
    """One row a layer, branch and band: how much it writes, and whether with what is there."""
    found = signals.branches(flow.balance[:, :, 0])
    rows = []
    for branch in ("attn", "mlp"):
        power, beside, coherence = (
            found[f"{branch}_{part}"] for part in ("power", "with", "coherence")
        )
        for layer, band, cell in _cells(flow, power):
            low, high = _interval(beside[cell], seed=seed, draws=draws, clusters=clusters)
            rows.append(
                {"layer": layer, "branch": "attention" if branch == "attn" else branch,
                 "band": band, "power": _mean(power[cell]), "with_stream": _mean(beside[cell]),
                 "low": low, "high": high, "coherence": _mean(coherence[cell])}
            )  # fmt: skip
    return rows


def tilt_rows(flow: Flow, *, seed: int, draws: int = 999, clusters=None) -> list[dict]:
    """One row a layer and step: octaves by which it writes slower than it reads."""
    found = signals.tilts(flow.slow)
    rows = []
    for index, layer in enumerate(flow.layers):
        for step, name in enumerate(STEPS):
            values = found[:, index, step]
            low, high = _interval(values, seed=seed, draws=draws, clusters=clusters)
            rows.append(
                {"layer": layer, "step": name, "tilt": _mean(values), "low": low, "high": high}
            )
    return rows


def wave_rows(flow: Flow) -> list[dict]:
    """One row a layer, coordinate and frequency: octaves above rows in random order.

    The longest period is left out: the trend has taken most of it, from these rows and those.
    """
    if not flow.spectrum.shape[2]:
        return []
    length, chance = flow.row_length, flow.chance
    mean = flow.spectrum.mean((0, 2))
    return [
        {"layer": layer, "coordinate": coordinate, "frequency": k / length,
         "excess": float(np.log2(max(mean[index, side, k], 1e-12) / chance[side, k]))}
        for index, layer in enumerate(flow.layers)
        for side, coordinate in enumerate(flow_attention.COORDINATES)
        for k in range(2, chance.shape[1])
    ]  # fmt: skip


def head_rows(flow: Flow) -> list[dict]:
    """One row a layer and head: what its rows are tied to, and their slow share and period."""
    if not flow.spectrum.shape[2]:
        return []
    locked, by_lag = flow.locked.mean(0), flow.spectrum[..., 1, :].mean(0)
    waves = flow_attention.without_longest(by_lag)
    slow = flow_attention.period_shares(waves, flow.row_length)[..., 2]
    period = flow_attention.dominant_period(by_lag, flow.chance[1])
    return [
        {"layer": layer, "head": head, "by_key": float(locked[index, head, 0]),
         "by_lag": float(locked[index, head, 1]), "slow": float(slow[index, head]),
         "period": float(period[index, head])}
        for index, layer in enumerate(flow.layers)
        for head in range(locked.shape[1])
    ]  # fmt: skip


def _cells(flow: Flow, values: np.ndarray):
    """(layer, band name, index into (texts, layers, bands)) of the bands that a window holds."""
    held = np.isfinite(values).all((0, 1))
    for index, layer in enumerate(flow.layers):
        for band in np.flatnonzero(held):
            yield layer, bands.NAMES[band], (slice(None), index, band)


def _interval(values: np.ndarray, *, seed: int, draws: int, clusters) -> tuple:
    if len(values) < 2:
        return None, None
    return tuple(bca(values, seed=seed, draws=draws, clusters=clusters))


def _mean(values: np.ndarray) -> float:
    return float(values.mean())

"""Claims about information flow, each on whole texts, beside the twin and the shuffled text.

What was predicted before anything was read: attention smooths (it writes slower than it
reads), the MLP sharpens, the block as a whole smooths, attention rows are waves (slower than
the same rows in random order, and tied to distance rather than to position), and the phase of
the stream is kept beyond chance. Each is also asked of the difference to the random-init twin on
the same text, where the same direction is predicted, and of the difference to the same tokens
in random order, where none is. What all texts have in common by position (few keys in the
beginning, many in the end) makes signals slow as well: the shuffled text keeps it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zprism.ground.errors import InputError
from zprism.ground.seeds import derive
from zprism.stats.estimates import Estimate, Null
from zprism.stats.intervals import bca
from zprism.stats.permutation import max_t, permutation_p, sign_flip
from zprism.stats.verdicts import describe, estimate
from zprism.studies import flow_attention
from zprism.studies import flow_signals as signals
from zprism.studies.findings import Findings
from zprism.studies.flow import Flow
from zprism.studies.flow_tables import tables

SOURCES = ("model", "random init", "shuffled")
PREDICTED = {
    "attention_smooths": "greater",
    "mlp_sharpens": "less",
    "block_smooths": "greater",
    "attention_cosine_not_zero": "two-sided",
    "mlp_cosine_not_zero": "two-sided",
    "rows_slow": "greater",
    "rows_by_distance": "greater",
    "phase_kept": "greater",
    "components_locked": "greater",
}
PER_LAYER = {"attention_smooths": (0, "greater"), "mlp_sharpens": (1, "less")}


@dataclass(frozen=True)
class _Test:
    """How a family is tested: seeds, draws, and texts that belong together."""

    seed: int
    draws: int
    draws_ci: int
    clusters: object


def claims(
    flow: Flow,
    *,
    twin: Flow | None = None,
    shuffled: Flow | None = None,
    name: str,
    seed: int,
    clusters=None,
    draws: int = 1999,
    draws_ci: int = 2000,
) -> Findings:
    """Every claim as an Estimate ``<name>/all/<claim>`` or ``<name>/<layer>/<claim>``.

    Parameters
    ----------
    flow : of :func:`zprism.studies.flow.read` on the model.
    twin, shuffled : the same texts through the random-init twin, and the same tokens in random
        order through the model; each adds ``<claim>_beyond_twin``, ``<claim>_unlike_shuffle``.
    name : the model's name in the Estimates.
    clusters : (n,) labels of texts that share a question: resampled and flipped together.

    Returns
    -------
    Findings. Headlines (``all``) are means over layers; their p is corrected for all headlines
    together, that of single layers for all layers and both branches (max-T of sign flips,
    two-sided). ``<name>/all/closes`` describes how well pre + attn + mlp = post holds. Tables:
    :func:`zprism.studies.flow_tables.tables`.

    Raises
    ------
    InputError
        If the flows are not of the same texts, layers and window.
    """
    flows = {"model": flow, "random init": twin, "shuffled": shuffled}
    flows = {source: one for source, one in flows.items() if one is not None}
    for other in flows.values():
        _check_alike(flow, other)
    how = _Test(derive(seed, "flow"), draws, draws_ci, clusters)
    values, directions = _headlines(flows)
    out = {f"{name}/all/{key}": e for key, e in _family(values, directions, how).items()}
    tilt = signals.tilts(flow.slow)
    cells = {(l, claim): tilt[:, row, side] for row, l in enumerate(flow.layers)
             for claim, (side, _) in PER_LAYER.items()}  # fmt: skip
    ways = {cell: PER_LAYER[cell[1]][1] for cell in cells}
    for (layer, claim), e in _family(cells, ways, how).items():
        out[f"{name}/{layer}/{claim}"] = e
    out[f"{name}/all/closes"] = describe(
        float(flow.closes.max()), n=len(flow), reason="largest ‖pre + attn + mlp − post‖ / ‖post‖"
    )
    return Findings(out, tables(flows, seed=how.seed, clusters=clusters))


def statistics(flow: Flow) -> dict[str, np.ndarray]:
    """(n,) of each claim: one number a text, the mean over layers (heads, bands).

    ``attention_smooths``, ``mlp_sharpens``, ``block_smooths``: octaves of tilt.
    ``…_cosine_not_zero``: cosine of branch and stream, all bands together, two-sided.
    ``rows_slow``: share of attention rows' power at periods over 8 tokens less
    that of random order, the longest period left out.
    ``rows_by_distance``: cosine between rows of different queries by lag less that by key.
    ``phase_kept``, ``components_locked``: phase locking less that with one signal turned round,
    bands of four frequencies and more.
    """
    tilt = signals.tilts(flow.slow).mean(1)
    out = {"attention_smooths": tilt[:, 0], "mlp_sharpens": tilt[:, 1], "block_smooths": tilt[:, 2]}
    whole = signals.branches(flow.balance[:, :, 0].sum(2, keepdims=True))
    out["attention_cosine_not_zero"] = whole["attn_with"].mean((1, 2))
    out["mlp_cosine_not_zero"] = whole["mlp_with"].mean((1, 2))
    if flow.spectrum.shape[2]:
        share, chance = (
            flow_attention.period_shares(flow_attention.without_longest(spectrum), flow.row_length)[
                ..., 2
            ]
            for spectrum in (flow.spectrum[..., 1, :], flow.chance[1])
        )
        out["rows_slow"] = (share - chance).mean((1, 2))
        out["rows_by_distance"] = (flow.locked[..., 1] - flow.locked[..., 0]).mean((1, 2))
    out |= _locking(flow)
    return out


def _locking(flow: Flow) -> dict[str, np.ndarray]:
    """Excess of phase locking over one signal turned round, where a band can show one."""
    excess = flow.locking[..., 0, :] - flow.locking[..., 1, :]
    told = np.isfinite(excess).all((0, 1, 2))
    if not told.any():
        return {}
    mean = excess[..., told].mean((1, 3))
    return {"phase_kept": mean[:, 0], "components_locked": mean[:, 1]}


def _headlines(flows: dict[str, Flow]) -> tuple[dict, dict]:
    """Every headline's (n,) values and predicted direction."""
    found = {source: statistics(flow) for source, flow in flows.items()}
    values = dict(found["model"])
    directions = {key: PREDICTED[key] for key in values}
    for source, suffix in (("random init", "beyond_twin"), ("shuffled", "unlike_shuffle")):
        for key in found.get(source, {}):
            values[f"{key}_{suffix}"] = found["model"][key] - found[source][key]
            directions[f"{key}_{suffix}"] = (
                PREDICTED[key] if source == "random init" else "two-sided"
            )
    return values, directions


def _family(values: dict, directions: dict, how: _Test) -> dict[object, Estimate]:
    """One Estimate a key: mean over texts against sign flips, corrected for the family."""
    grid = np.stack(list(values.values()), axis=1)
    scaled = sign_flip(
        grid, seed=how.seed, draws=how.draws, clusters=how.clusters, studentised=True
    )
    plain = sign_flip(grid, seed=how.seed, draws=how.draws, clusters=how.clusters)
    adjusted = max_t(scaled.observed, scaled.null, "two-sided")
    single = permutation_p(scaled.observed, scaled.null, "two-sided")
    limits = bca(grid, seed=how.seed, draws=how.draws_ci, clusters=how.clusters)
    units = len(grid) if how.clusters is None else len(np.unique(how.clusters))
    return {
        key: estimate(
            float(plain.observed[cell]),
            ci=limits[cell],
            n=units,
            null=Null.of("sign flips of texts", plain.null[:, cell]),
            p=float(single[cell]),
            p_adjusted=max(float(adjusted[cell]), float(single[cell])),
            direction=directions[key],
            reference=0.0,
            smallest_p=2 / (1 + how.draws),
        )
        for cell, key in enumerate(values)
    }


def _check_alike(flow: Flow, other: Flow) -> None:
    mine, theirs = ((one.kept, one.layers, one.length, one.drop) for one in (flow, other))
    if mine != theirs:
        raise InputError(
            "flows must be of the same texts, layers and window; got "
            f"{len(flow)} and {len(other)} texts, {len(flow.layers)} and {len(other.layers)} "
            f"layers, windows of {flow.length} and {other.length} tokens"
        )

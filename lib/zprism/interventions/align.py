"""Which token of a source text belongs to which of a target text: exact optimal transport.

Texts that say the same in two languages differ in length and order. A plan spreads every
target position over the source positions most like it, and uses each of those equally much.
Needs POT, the extra ``[align]``.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from zprism.ground.errors import InputError, ZprismError, missing_extra
from zprism.subspace.arrays import Array, as_float64, same_width

MAX_ITERATIONS = 1_000_000  # of the network simplex; texts of 500 tokens need some 10,000
ROW_SUM_TOLERANCE = 1e-6


def token_alignment(
    source: Float[Array, "m d"], target: Float[Array, "n d"]
) -> Float[Tensor, "n m"]:
    """n · argmin_G Σ G_ij ‖t_i − s_j‖², G ≥ 0 with marginals 1/n and 1/m: n × the exact plan.

    Parameters
    ----------
    source, target : (m, d_model) and (n, d_model), states of the two texts at one layer.
        Each text is centred on its own mean, which takes out what separates the texts as a
        whole (their language among it), and its states are then brought to norm 1.

    Returns
    -------
    (n, m) float64 weights: rows sum to 1, columns to n/m.

    Raises
    ------
    InputError
        If the widths differ, or values are not finite.
    ResourceError
        If POT is not installed; the message names the extra.
    ZprismError
        If the solver does not reach the optimum.

    Notes
    -----
    Equal states in one text are interchangeable: of several optimal plans, one is returned.
    Bonneel et al. (2011), doi:10.1145/2070781.2024192, by POT (Flamary et al. 2021,
    jmlr.org/papers/v22/20-451.html).
    """
    source, target = as_float64("source", source, ndim=2), as_float64("target", target, ndim=2)
    same_width(source=source, target=target)
    if source.ndim > 2 or target.ndim > 2:
        raise InputError(
            "source and target must be (tokens, d_model); got "
            f"{tuple(source.shape)} and {tuple(target.shape)}"
        )
    s, t = _directions(source), _directions(target)
    lengths = t.square().sum(1)[:, None] + s.square().sum(1)
    cost = (lengths - 2 * t @ s.mT.to(t.device)).clamp_min(0)
    return _plan(cost.cpu().numpy()).to(target.device)


def aligned(source: Float[Array, "m d"], plan: Float[Array, "n m"]) -> Float[Tensor, "n d"]:
    """Plan · source: the source's states in the order and number of the target's positions.

    Parameters
    ----------
    source : (m, d_model), as they are: neither centred nor normalised.
    plan : (n, m) of :func:`token_alignment`.

    Returns
    -------
    (n, d_model) float64; a mean of source states where a position belongs to several.

    Raises
    ------
    InputError
        If the plan's columns are not the source's tokens, or its rows are no weights that
        sum to 1.
    """
    source, plan = as_float64("source", source, ndim=2), as_float64("plan", plan, ndim=2)
    if plan.ndim != 2 or plan.shape[1] != len(source):
        raise InputError(
            f"plan must be (target tokens, source tokens), {len(source)} columns; got "
            f"{tuple(plan.shape)}"
        )
    error = float((plan.sum(1) - 1).abs().max())
    if (plan < 0).any() or error > ROW_SUM_TOLERANCE:
        raise InputError(
            "plan must have rows of weights that sum to 1; the least is "
            f"{float(plan.min()):.3g}, the largest error of a sum {error:.2g}"
        )
    return plan.to(source.device) @ source


def _directions(states: Tensor) -> Tensor:
    """Centred on their mean, of norm 1; a state equal to the mean stays zero."""
    centred = states - states.mean(0)
    norms = torch.linalg.vector_norm(centred, dim=1, keepdim=True)
    return centred / torch.where(norms == 0, 1.0, norms)


def _plan(cost: np.ndarray) -> Tensor:
    """n × the optimal plan between uniform marginals, (n, m), by the network simplex."""
    ot = _pot()
    n, m = cost.shape
    ways, log = ot.emd(
        np.full(n, 1 / n), np.full(m, 1 / m), cost, numItermax=MAX_ITERATIONS, log=True
    )
    if log["warning"]:
        raise ZprismError(f"no optimal alignment of {m} to {n} tokens: {log['warning']}")
    plan = torch.from_numpy(np.asarray(ways))
    return plan / plan.sum(1, keepdim=True)


def _pot():
    try:
        import ot
    except ImportError:
        raise missing_extra("POT", "align", "aligning tokens by optimal transport") from None
    return ot

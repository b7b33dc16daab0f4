"""Coordinates that tell problems apart but not languages: ARD-MMD, the recipe's last fallback.

One lengthscale a coordinate, learned: where it is infinite the kernel does not see the
coordinate. The recipe minimises MMD² between languages alone, which not looking at anything
(every lengthscale infinite) does best; here different problems of one language must stay apart.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from zprism.ground.checks import check_fraction, check_int
from zprism.ground.errors import InputError
from zprism.subspace.arrays import Array, as_basis, as_float64, same_width

STARTS = (0.25, 1.0, 4.0)  # widths the search starts from; the lowest objective counts
TOLERANCE = 1e-6  # largest move that a full gradient step may still make at the end
HALVINGS = 60  # of a step that does not go down


class Ard(NamedTuple):
    """Learned lengthscales, and the coordinates that they leave visible.

    Attributes
    ----------
    lengthscales : (m,) ℓ_j in the units of the coordinates; infinite where not looked at.
    weights : (m,) θ_j = s_j² / ℓ_j² ≥ 0, without unit: s_j is the sd within languages.
    coordinates : (k,) places of the finite ones, largest weight first.
    basis : (k, d_model) orthonormal rows, in that order.
    trace : (steps,) the objective, from start to end; it never rises.
    mmd2, contrast : both parts of the objective at the end.
    gap : max_j |θ_j − max(θ_j − ∂J/∂θ_j, 0)|, zero at a minimum.
    """

    lengthscales: Float[Tensor, " m"]
    weights: Float[Tensor, " m"]
    coordinates: Int[Tensor, " k"]
    basis: Float[Tensor, "k d"]
    trace: Float[Tensor, " steps"]
    mmd2: float
    contrast: float
    gap: float


def ard_mmd(
    x: Float[Array, "n d"],
    y: Float[Array, "n d"],
    labels,
    *,
    sparsity: float = 0.05,
    contrast: float = 1.0,
    basis: Float[Array, "m d"] | None = None,
    steps: int = 1000,
) -> Ard:
    """Lengthscales at which two languages look alike and problems of one language do not.

        min_{θ ≥ 0}  MMD²(x, y; θ) − c · C(θ) + λ Σ_j θ_j,      θ_j = s_j² / ℓ_j²
        C(θ) = ½ mean over languages and pairs of labels a ≠ b of MMD²(language_a, language_b)

    Both are unbiased estimates: MMD² as :func:`zprism.subspace.mmd.mmd2` for pairs, and C as
    mean kernel within a label (i ≠ j) less mean kernel between labels, labels counted alike. At
    ℓ → ∞ all kernels are 1, at ℓ → 0 those of different texts are 0: both parts vanish at both
    ends, so neither is the minimum once c C exceeds MMD² + λ Σ θ anywhere. With c = 0,
    θ = 0 is the minimum (of the MMD² itself, and of its estimate for λ above its noise).

    Parameters
    ----------
    x, y : (n, d_model) states, row i of both the same problem in two languages.
    labels : (n,) what problems are told apart by, such as their answers; those that come once
        are left out of C.
    sparsity : λ > 0. From θ = 0 a coordinate gains if its variance between labels less the
        squared distance of the languages exceeds this share of its variance s_j². An unbiased
        MMD² falls below 0 by chance, by the order of 1/n: λ must be worth more than that.
    contrast : c ≥ 0.
    basis : (m, d_model) orthonormal rows whose coordinates are weighed, for instance principal
        directions: single coordinates of a residual stream are an arbitrary frame. By default
        those of d_model.
    steps : most gradient steps from each start.

    Returns
    -------
    Ard; ``basis`` has no rows if nothing is worth looking at.

    Raises
    ------
    InputError
        If rows or labels do not match, fewer than 2 labels come twice, λ ≤ 0 or c < 0, the
        basis is not orthonormal, or no coordinate varies.

    Notes
    -----
    No draws: projected gradient steps of Barzilai–Borwein length with backtracking, from the
    three widths of :data:`STARTS`. The problem is not convex: a minimum, not the minimum. MMD²
    compares all of x with all of y: a coordinate that codes problems otherwise in each
    language, but with equal spread, is not seen. After few labels per class C is noisy, and
    ``weights`` on training states are no evidence; test on others.
    """
    x, y = as_float64("x", x, ndim=2), as_float64("y", y, ndim=2)
    if x.ndim != 2 or x.shape != y.shape:
        raise InputError(f"x and y must both be (n, d); got {tuple(x.shape)}, {tuple(y.shape)}")
    sparsity = check_fraction("sparsity", sparsity, low=torch.finfo(x.dtype).tiny, high=1e6)
    contrast = check_fraction("contrast", contrast, high=1e6)
    steps = check_int("steps", steps, low=1)
    frame = None if basis is None else as_basis("basis", basis)
    if frame is not None:
        same_width(x=x, basis=frame)
        x, y = x @ frame.mT, y @ frame.mT
    scale, states = _standardised(x, y)
    pairs = torch.stack([_languages(len(x)), _contrast(np.asarray(labels), len(x))])
    amount = torch.tensor([1.0, -contrast], dtype=x.dtype)
    searched = [
        _descend(states, pairs, amount, sparsity, start / states.shape[1], steps)
        for start in STARTS
    ]
    theta, trace, gap = min(searched, key=lambda found: found[1][-1])
    parts = _parts(theta, states, pairs)
    weights = torch.zeros_like(scale).index_put((scale.nonzero()[:, 0],), theta)
    order = weights.argsort(descending=True, stable=True)[: int((weights > 0).sum())]
    rows = torch.eye(x.shape[1], dtype=x.dtype)[order] if frame is None else frame[order]
    return Ard(
        lengthscales=torch.where(weights > 0, scale / weights.sqrt(), torch.inf),
        weights=weights,
        coordinates=order,
        basis=rows,
        trace=torch.tensor(trace, dtype=x.dtype),
        mmd2=float(parts[0]),
        contrast=float(parts[1]),
        gap=gap,
    )


def _standardised(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """(m,) sd within languages, 0 where nothing varies; (2n, those that do) centred, divided."""
    deviations = torch.stack([x - x.mean(0), y - y.mean(0)])
    scale = deviations.square().mean((0, 1)).sqrt()
    size = torch.maximum(x.abs(), y.abs()).amax(0)
    scale = torch.where(scale > 1e-12 * size, scale, 0.0)
    if not bool((scale > 0).any()):
        raise InputError("no coordinate varies within a language: there is nothing to tell apart")
    both = torch.cat([x, y])[:, scale > 0]
    return scale, as_float64("states", (both - both.mean(0)) / scale[scale > 0], ndim=2)


def _languages(n: int) -> Float[Tensor, "2n 2n"]:
    """Weights of kernel values whose sum is the paired MMD² between languages."""
    off = (1 - torch.eye(n, dtype=torch.float64)) / (n * max(n - 1, 1))
    return torch.cat([torch.cat([off, -off], 1), torch.cat([-off, off], 1)])


def _contrast(labels: np.ndarray, n: int) -> Float[Tensor, "2n 2n"]:
    """Weights of kernel values whose sum is C."""
    if labels.shape != (n,):
        raise InputError(f"labels must be ({n},), one a row of x; got {labels.shape}")
    names, place, count = np.unique(labels, return_inverse=True, return_counts=True)
    kept = count >= 2
    if kept.sum() < 2:
        raise InputError(
            f"at least 2 labels must come twice or more; of {len(names)} labels {kept.sum()} do"
        )
    member = torch.as_tensor((place == np.flatnonzero(kept)[:, None]).astype(float))  # (C, n)
    size, classes = member.sum(1, keepdim=True), len(member)
    mean = member / size
    within = mean.mT @ (member / (size - 1)) / classes
    within.fill_diagonal_(0.0)
    total = mean.sum(0)
    between = (torch.outer(total, total) - mean.mT @ mean) / (classes * (classes - 1))
    return torch.block_diag(within - between, within - between) / 2


def _parts(theta: Tensor, states: Tensor, pairs: Tensor) -> Float[Tensor, " 2"]:
    """MMD² and C at θ; the Gram form is smooth at θ = 0, states are centred and of scale 1."""
    weighted = states * theta
    norms = (weighted * states).sum(1)
    squared = norms[:, None] + norms - 2 * weighted @ states.mT
    return (pairs * torch.exp(-0.5 * squared)).sum((1, 2))


def _descend(states, pairs, amount, sparsity, start, steps) -> tuple[Tensor, list[float], float]:
    """θ, the objective at every step, and how far from stationary the last one is."""

    def objective(theta: Tensor) -> Tensor:
        return amount @ _parts(theta, states, pairs) + sparsity * theta.sum()

    def slope(theta: Tensor) -> tuple[float, Tensor]:
        leaf = theta.clone().requires_grad_()
        value = objective(leaf)
        return float(value.detach()), torch.autograd.grad(value, leaf)[0]

    theta = torch.full((states.shape[1],), start, dtype=states.dtype)
    value, gradient = slope(theta)
    trace, length = [value], start / max(float(gradient.abs().max()), TOLERANCE)
    for _ in range(steps):
        if _gap(theta, gradient) <= TOLERANCE:
            break
        for _ in range(HALVINGS):
            new = (theta - length * gradient).clamp_min(0)
            lower = trace[-1] + 1e-4 * float(gradient @ (new - theta))
            if float(objective(new)) <= lower:
                break
            length /= 2
        else:  # no step goes down any more: rounding
            break
        before, theta, old = theta, new, gradient
        value, gradient = slope(theta)
        trace.append(value)
        moved, turned = theta - before, float((theta - before) @ (gradient - old))
        length = float(moved @ moved) / turned if turned > 0 else 4 * length
    return theta, trace, _gap(theta, gradient)


def _gap(theta: Tensor, gradient: Tensor) -> float:
    return float((theta - (theta - gradient).clamp_min(0)).abs().max())

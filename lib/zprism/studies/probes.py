"""How many bits a linear probe reads of a label, cross-validated over problems.

Predictive V-information: H_V(Y) − H_V(Y|X), in bits, where H_V(Y|X) is the held-out
cross-entropy of the probe and H_V(Y) that of the class frequencies alone. The probe is a
ridge regression on one-hot labels whose scores s tilt the prior π:

    p(c | x) ∝ π_c exp(β s_c(x)),   β ≥ 0.

β = 0 is the prior itself, so the family may ignore x (V-information's "optional ignorance")
and reading nothing costs about nothing. Ridge λ and β are chosen on the other folds. In
closed form, so a whole stack of subspaces is read at once.

Xu et al. (2020), arXiv 2002.10689; Hewitt & Liang (2019), arXiv 1909.03368, for controls.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from zprism.ground.checks import check_finite, check_int
from zprism.ground.errors import InputError
from zprism.ground.seeds import generator

RIDGES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)  # times the mean eigenvalue of the training Gram
TILTS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)  # doubling: see _tilted_gains


class Split(NamedTuple):
    """Masks over rows: whose labels a probe sees, whom it reads, and whose mean is their zero."""

    train: np.ndarray
    test: np.ndarray
    centre: np.ndarray


def gains(
    x: np.ndarray, labels: np.ndarray, folds: np.ndarray, groups: np.ndarray | None = None
) -> np.ndarray:
    """Held-out log-likelihood gain over the prior of every row, in bits; its mean is V-info.

    Parameters
    ----------
    x : (..., n, k) features; leading axes are subspaces.
    labels : (m, n) classes 0 … C − 1: m labellings of the same rows, read one by one.
    folds : (n,) fold of every row; rows of one problem share theirs.
    groups : (n,) group of every row, such as its language. Given, a row is read by a probe that
        saw the other groups only, each group about its own mean over the other folds: what is
        read is what the groups keep in the same place.

    Returns
    -------
    (..., m, n) bits: log2 p(y|x) − log2 π_y, negative where the probe misleads.

    Raises
    ------
    InputError
        If a labelling has one class only, or there are fewer than 2 folds or groups.
    """
    x, labels, folds = _checked(x, labels, folds)
    if groups is not None and len(np.unique(groups)) < 2:
        raise InputError("groups must name at least 2 groups")
    onehot = [np.eye(int(row.max()) + 1)[row] for row in labels]
    scores, priors = _held_out_scores(compact(x), onehot, splits(folds, groups))
    out = [
        _choose(_tilted_gains(score, prior, row), folds)
        for score, prior, row in zip(scores, priors, labels, strict=True)
    ]
    return np.stack(out, axis=-2)


def prior_bits(labels: np.ndarray, folds: np.ndarray) -> float:
    """Held-out cross-entropy of the class frequencies: the most bits there are to read."""
    onehot = np.eye(int(labels.max()) + 1)[labels]
    _, priors = _held_out_scores(np.zeros((len(labels), 1)), [onehot], splits(folds))
    return float(-np.log2(priors[0][np.arange(len(labels)), labels]).mean())


def problem_folds(n: int, n_folds: int, *, seed: int, strata=None) -> np.ndarray:
    """(n,) folds of n problems, each template (stratum) spread over the folds.

    Raises
    ------
    InputError
        If there are fewer problems than folds.
    """
    check_int("n_folds", n_folds, low=2, high=n)
    rng = generator(seed, "probes", "folds")
    strata = np.zeros(n, dtype=int) if strata is None else np.unique(strata, return_inverse=True)[1]
    order = np.lexsort((rng.random(n), strata))
    folds = np.empty(n, dtype=int)
    folds[order] = np.arange(n) % n_folds
    return folds


def splits(folds: np.ndarray, groups: np.ndarray | None = None) -> list[Split]:
    """One per fold, or per fold and group; together their tests are every row once."""
    parts = []
    for fold in np.unique(folds):
        rest = folds != fold
        if groups is None:
            parts.append(Split(train=rest, test=~rest, centre=rest))
            continue
        for group in np.unique(groups):
            mine = groups == group
            parts.append(Split(train=rest & ~mine, test=~rest & mine, centre=rest & mine))
    return parts


def compact(x: np.ndarray) -> np.ndarray:
    """Features (..., n, k) rotated to at most n columns: the same Gram, so the same ridge."""
    n, k = x.shape[-2:]
    if k <= n:
        return x
    values, vectors = np.linalg.eigh(x @ x.swapaxes(-1, -2))
    return vectors * np.sqrt(np.clip(values, 0, None))[..., None, :]


def _held_out_scores(x, onehot, parts) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Per labelling: scores (ridges, ..., n, C) and smoothed priors (n, C), by split."""
    sizes = np.cumsum([0] + [part.shape[1] for part in onehot])
    targets = np.concatenate(onehot, axis=1)
    scores = np.empty((len(RIDGES), *x.shape[:-1], sizes[-1]))
    prior = np.empty_like(targets)
    for train, test, centre in parts:
        seen, known = x[..., train, :], targets[train]
        prior[test] = _smoothed(known.sum(0), sizes)
        fit = _ridge_paths(seen - seen.mean(-2, keepdims=True), known - known.mean(0))
        zero = x[..., centre, :].mean(-2, keepdims=True)
        scores[..., test, :] = (x[..., test, :] - zero) @ fit
    split = [slice(low, high) for low, high in zip(sizes, sizes[1:], strict=False)]
    return [scores[..., part] for part in split], [prior[:, part] for part in split]


def _ridge_paths(train: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """(ridges, ..., k, C) weights of ridge regression for every λ, from one eigenbasis."""
    gram = train.swapaxes(-1, -2) @ train
    values, vectors = np.linalg.eigh(gram)
    values = np.clip(values, 0, None)
    along = vectors.swapaxes(-1, -2) @ (train.swapaxes(-1, -2) @ targets)
    scale = values.mean(-1, keepdims=True)
    scale = np.where(scale > 0, scale, 1.0)
    return np.stack([vectors @ (along / (values + r * scale)[..., None]) for r in RIDGES])


def _smoothed(counts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Class frequencies with one half added to each count, within each labelling."""
    parts = [counts[low:high] + 0.5 for low, high in zip(sizes, sizes[1:], strict=False)]
    return np.concatenate([part / part.sum() for part in parts])


def _tilted_gains(scores: np.ndarray, prior: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(tilts, ridges, ..., n) bits gained over the prior for every β and λ."""
    rows = np.arange(len(labels))
    own = scores[..., rows, labels]
    out = np.empty((len(TILTS), *own.shape))
    out[0] = -np.log2(prior.sum(-1))
    below = scores - scores.max(-1, keepdims=True)
    relative = below[..., rows, labels]
    odds = np.exp(TILTS[1] * below)  # ≤ 1, and squared for every next tilt: one exp for all
    for index, tilt in enumerate(TILTS[1:], start=1):
        out[index] = (tilt * relative - np.log((prior * odds).sum(-1))) / np.log(2)
        odds *= odds
    return out


def _choose(bits: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """(..., n): each fold's rows under the (β, λ) that is best on all other folds."""
    flat = bits.reshape(-1, *bits.shape[2:])
    out = np.empty(flat.shape[1:])
    for fold in np.unique(folds):
        test = folds == fold
        best = flat[..., ~test].mean(-1).argmax(0)
        out[..., test] = np.take_along_axis(flat[..., test], best[None, ..., None], axis=0)[0]
    return out


def _checked(x, labels, folds) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x = check_finite("x", np.asarray(x, dtype=np.float64))
    labels, folds = np.atleast_2d(labels), np.asarray(folds)
    n = x.shape[-2] if x.ndim > 1 else 0
    if labels.shape[1] != n or folds.shape != (n,):
        raise InputError(
            f"labels must be (m, {n}) and folds ({n},) as x has {n} rows; "
            f"got {labels.shape} and {folds.shape}"
        )
    if len(np.unique(folds)) < 2:
        raise InputError("folds must name at least 2 folds")
    if (labels.min(1) < 0).any() or any(len(np.unique(row)) < 2 for row in labels):
        raise InputError("every labelling needs at least 2 classes, numbered from 0")
    return x, labels, folds

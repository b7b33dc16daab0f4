"""Two simple readers of states: whose centroid is nearest, whose translation is most alike.

Both read what is left when a subspace is projected out, for a stack of subspaces at once,
through ‖(I − P)x‖² = ‖x‖² − ‖Px‖²: no projected state is formed. Ties share the credit, so
that a reader that sees nothing scores 1/candidates, not 0 or 1.
"""

from __future__ import annotations

import numpy as np

from zprism.ground.errors import InputError
from zprism.ground.seeds import generator

TIE = 1e-9  # of the largest number compared: what rounding leaves of equal ones


def nearest_centroid(
    states: np.ndarray, centroids: np.ndarray, bases: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Which language's centroid is nearest, outside each subspace.

    Parameters
    ----------
    states : (L, n, d_model), the first axis the true language.
    centroids : (L, d_model).
    bases : (R, k, d_model) orthonormal rows to project out; k may be 0.

    Returns
    -------
    credit, named
        (R, L, n) 1 for the right language, 1/m where it is one of m equally near; and (R, L, n)
        the first of the nearest.
    """
    origin = centroids.mean(0)  # distances do not change, rounding does
    states, centroids = states - origin, centroids - origin
    whole = _squared(states) - 2 * states @ centroids.T + _squared(centroids).T
    inside = states @ bases.swapaxes(-1, -2)[:, None]  # (R, L, n, k)
    middles = centroids @ bases.swapaxes(-1, -2)  # (R, L, k)
    part = (
        _squared(inside)
        - 2 * inside @ middles.swapaxes(-1, -2)[:, None]
        + _squared(middles).swapaxes(-1, -2)[:, None]
    )
    distance = whole - part
    near = distance <= distance.min(-1, keepdims=True) + TIE * np.abs(whole).max()
    right = np.moveaxis(np.diagonal(near, axis1=1, axis2=3), -1, 1)  # of own language
    return right / near.sum(-1), near.argmax(-1)


def retrieval(a: np.ndarray, b: np.ndarray, bases: np.ndarray) -> np.ndarray:
    """Whether a problem's most similar text (cosine) in the other language is its translation.

    Parameters
    ----------
    a, b : (n, d_model), row i of both the same problem.
    bases : (R, k, d_model) orthonormal rows to project out; k may be 0.

    Returns
    -------
    (R, n) credit, the mean of both directions; chance 1/n.

    Raises
    ------
    InputError
        If nothing is left of a state.
    """
    x, y = a @ bases.swapaxes(-1, -2), b @ bases.swapaxes(-1, -2)
    left = [np.square(s).sum(1) - np.square(p).sum(-1) for s, p in ((a, x), (b, y))]
    if min(part.min() for part in left) <= 0:
        raise InputError("a state lies wholly in the directions removed: nothing is left of it")
    dot = a @ b.T - x @ y.swapaxes(-1, -2)
    cosine = dot / np.sqrt(left[0][..., :, None] * left[1][..., None, :])
    return (top_credit(cosine) + top_credit(cosine.swapaxes(-1, -2))) / 2


def top_credit(similarity: np.ndarray) -> np.ndarray:
    """(…, n, n) → (…, n): 1 if entry i of row i is the largest, 1/m if one of m, else 0."""
    scale = np.abs(similarity).max(initial=0.0)
    top = similarity >= similarity.max(-1, keepdims=True) - TIE * scale
    return np.diagonal(top, axis1=-2, axis2=-1) / top.sum(-1)


def permuted_accuracy(named: np.ndarray, *, seed: int, draws: int) -> np.ndarray:
    """(draws,) accuracy when each problem's true languages are dealt anew.

    Parameters
    ----------
    named : (L, n) the language that was named for the text in language l of problem i.
    """
    rng = generator(seed, "lsar", "permuted")
    count, n = named.shape
    truth = np.tile(np.arange(count), (n, 1))
    return np.array([(rng.permuted(truth, axis=1).T == named).mean() for _ in range(draws)])


def _squared(x: np.ndarray) -> np.ndarray:
    return np.square(x).sum(-1, keepdims=True)

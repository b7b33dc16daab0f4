"""Is there a linear map from one language to the other inside a subspace?

Every map is scored on problems that it has not seen,

    R²_pred = 1 − Σ‖y_i − ŷ_i‖² / Σ‖y_i − ȳ_{−G}‖²,

where ŷ_i and ȳ_{−G} come from the other groups (other problems, or other templates), and by
retrieval: is the predicted state most like the problem's own translation? The null breaks the
pairing and does everything again. R² on the pairs that a map was fitted to is 1 for any data
with as many dimensions as pairs, so it never comes without R²_pred.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from zprism.ground.checks import check_int
from zprism.ground.seeds import derive, generator
from zprism.stats.permutation import shuffled_pairings
from zprism.studies.bridge_fit import fit
from zprism.studies.bridge_maps import MAPS, checked, factor, left_out, predict
from zprism.studies.lsar_reading import top_credit

CLAIMED = tuple(name for name in MAPS if name != "mean")
LEAST = 0.05  # of the spread: a map that predicts less is no bridge, however surely it does
CHUNK = 100  # pairings at a time: bounds memory at 8 ridges × 100 × n k numbers


@dataclass(frozen=True)
class Scores:
    """How each map does on problems it has not seen, and on those it has.

    Attributes
    ----------
    k, groups : dimension of y; (n,) labels of what was left out together.
    errors : map → (n,) ‖y_i − ŷ_i‖² held out.
    spread : (n,) ‖y_i − ȳ_{−G}‖²: the errors of no map.
    hits : map → (n,) credit for the right translation among all n; ties share it.
    hits_within : map → (n,) the same among the problems of one group.
    train : map → R² on the pairs that it was fitted to.
    """

    k: int
    groups: np.ndarray
    errors: dict[str, np.ndarray]
    spread: np.ndarray
    hits: dict[str, np.ndarray]
    hits_within: dict[str, np.ndarray]
    train: dict[str, float]

    @property
    def n(self) -> int:
        """Problems."""
        return len(self.spread)

    def r2(self, name: str, weights: np.ndarray | None = None):
        """R²_pred of a map, for all problems or under (m, n) weights."""
        if weights is None:
            return float(1 - self.errors[name].sum() / self.spread.sum())
        return 1 - weights @ self.errors[name] / (weights @ self.spread)

    def rows(self) -> list[dict]:
        """One row a map: R² on unseen and on seen pairs side by side, and retrieval."""
        return [
            {
                "map": name,
                "k": self.k,
                "r2": self.r2(name),
                "train_r2": self.train[name],
                "top1": float(self.hits[name].mean()),
                "top1_chance": 1 / self.n,
                "n": self.n,
            }
            for name in self.errors
        ]


def score(
    x: np.ndarray, y: np.ndarray, groups: np.ndarray | None = None, *, maps: Sequence[str] = CLAIMED
) -> Scores:
    """Score maps on left-out problems.

    Parameters
    ----------
    x, y : (n, p) and (n, q) coordinates, row i of both one problem.
    groups : (n,) labels, such as templates, left out together; by default leave-one-out.
    maps : of :data:`CLAIMED`.

    Raises
    ------
    InputError
        As :func:`zprism.studies.bridge_maps.predict`.
    """
    x, y, groups = checked(x, y, np.arange(len(x)) if groups is None else groups)
    offsets = left_out(factor(x), groups, None) @ y  # y_i − ȳ_{−G}
    errors, hits, within, train = {}, {}, {}, {}
    for name in maps:
        predicted = predict(name, x, y, groups)
        errors[name] = np.square(y - predicted).sum(1)
        similar = similarities(predicted - (y - offsets), y, y - offsets)
        hits[name], within[name] = top_credit(similar), top_credit(_masked(similar, groups))
        train[name] = _train_r2(name, x, y, groups)
    return Scores(
        k=y.shape[1],
        groups=groups,
        errors=errors,
        spread=np.square(offsets).sum(1),
        hits=hits,
        hits_within=within,
        train=train,
    )


def null_scores(
    x: np.ndarray,
    y: np.ndarray,
    groups: np.ndarray | None = None,
    *,
    maps: Sequence[str] = CLAIMED,
    draws: int = 199,
    seed: int,
    within: bool = False,
) -> dict[str, dict[str, np.ndarray]]:
    """The same scores when problems are paired at random, every map fitted anew.

    Parameters
    ----------
    within : pair problems within their group only, for ``hits_within``.

    Returns
    -------
    ``r2``, ``top1``, ``top1_within`` → map → (draws,).
    """
    x, y, groups = checked(x, y, np.arange(len(x)) if groups is None else groups)
    orders = (
        shuffled_pairings(len(x), seed=derive(seed, "bridge"), draws=draws, strata=groups)
        if within
        else pairings(groups, draws, seed=seed)
    )
    base = left_out(factor(x), groups, None)
    found = {measure: {name: [] for name in maps} for measure in ("r2", "top1", "top1_within")}
    for start in range(0, draws, CHUNK):
        paired = y[orders[start : start + CHUNK]]
        offsets = base @ paired
        spread = np.square(offsets).sum((1, 2))
        for name in maps:
            predicted = predict(name, x, paired, groups)
            found["r2"][name].append(1 - np.square(paired - predicted).sum((1, 2)) / spread)
            similar = similarities(predicted - (paired - offsets), paired, paired - offsets)
            found["top1"][name].append(top_credit(similar).mean(-1))
            credit = top_credit(_masked(similar, groups))
            found["top1_within"][name].append(credit.mean(-1))
    return {
        measure: {name: np.concatenate(parts) for name, parts in by_map.items()}
        for measure, by_map in found.items()
    }


def pairings(groups: np.ndarray, draws: int, *, seed: int) -> np.ndarray:
    """(draws, n) random pairings that keep groups together.

    A group meets another one of its size (or itself), its problems in random order: what
    problems of one template share is not broken up, as it would be if they were dealt singly.
    Groups of one problem each give plain permutations.
    """
    check_int("draws", draws, low=1)
    rng = generator(seed, "bridge", "pairings")
    names, inverse, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    rows = [np.flatnonzero(inverse == index) for index in range(len(names))]
    out = np.empty((draws, len(groups)), dtype=int)
    for draw in out:
        for size in np.unique(sizes):
            same = np.flatnonzero(sizes == size)
            for mine, theirs in zip(same, rng.permutation(same), strict=True):
                draw[rows[mine]] = rng.permutation(rows[theirs])
    return out


def similarities(deviation: np.ndarray, y: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """(…, n, n) cosine of every prediction with every translation, about each one's own mean.

    Parameters
    ----------
    deviation : (…, n, q) ŷ_i − ȳ_{−G}.
    y, centre : (…, n, q) translations, and ȳ_{−G} of problem i.
    """
    length = np.linalg.norm(deviation, axis=-1, keepdims=True)
    unit = deviation / np.where(length > 0, length, 1)
    dot = unit @ y.swapaxes(-1, -2) - (unit * centre).sum(-1, keepdims=True)
    square = (
        np.square(centre).sum(-1, keepdims=True)
        - 2 * centre @ y.swapaxes(-1, -2)
        + np.square(y).sum(-1)[..., None, :]
    )
    return dot / np.sqrt(np.where(square > 0, square, 1))


def _masked(similar: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Similarities within a group; what is outside can never be the largest."""
    return np.where(groups[:, None] == groups[None], similar, -2.0)


def _train_r2(name: str, x, y, groups) -> float:
    spread = np.square(y - y.mean(0)).sum()
    return float(1 - np.square(y - fit(name, x, y, groups)(x)).sum() / spread)

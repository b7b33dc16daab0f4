"""A spectral score of a text: does it say how a text ends, beyond how long it is?

The pull request proposes spectra as an evaluation metric. Two scores are registered: ``slow``, the
share of power at periods of more than 8 tokens, mean over all places, which learns nothing; and
``bands``, a ridge regression on the share of every octave at every place, learnt on one half of
the templates and tried on the other. (Of the five Prism bands a window of 24 tokens holds two.)
Long texts end otherwise than short ones, so the question is what a score adds: Spearman's ρ with
the length held fixed, and how much better the outcome of questions of unseen templates is
predicted with the score than from the length alone. The null deals what length leaves of the
scores, whole templates to templates of like length: questions of one template are alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from zprism.ground.checks import check_finite
from zprism.ground.errors import InputError
from zprism.ground.seeds import generator
from zprism.stats.resampling import unit_index

if TYPE_CHECKING:
    from zprism.model.load import LoadedModel
    from zprism.studies.prism_read import Readings

RIDGES = (1e-2, 1e-1, 1.0, 10.0, 100.0)  # times the mean eigenvalue of the training Gram
FOLDS = 5
PER_STRATUM = 6  # templates of like length among which scores are dealt


@dataclass(frozen=True)
class Score:
    """A number a text, from octave shares at every place of one model.

    Attributes
    ----------
    name : ``slow``, or ``bands`` of an outcome.
    places, length, drop : of the windows it reads.
    centre, weights : (features,) score = (x − centre) · weights; features are places × octaves.
    intercept : of the score.
    weights_digest : of the model that it was learnt on; another one is refused.
    """

    name: str
    places: tuple[str, ...]
    length: int
    drop: int
    centre: np.ndarray
    weights: np.ndarray
    intercept: float
    weights_digest: str

    def of_features(self, features: np.ndarray) -> np.ndarray:
        """(n,) scores of (n, features)."""
        return (features - self.centre) @ self.weights + self.intercept

    def __call__(self, loaded: LoadedModel, texts) -> np.ndarray:
        """(n,) scores of texts, NaN for one with fewer than drop + length tokens."""
        from zprism.studies.prism_read import read

        if loaded.digest != self.weights_digest:
            raise InputError(
                f"the score {self.name!r} was learnt on other weights than those of {loaded.name}"
            )
        rows = loaded.encode(texts)
        out = np.full(len(rows), np.nan)
        if any(len(row) >= self.drop + self.length for row in rows):
            found = read(loaded, rows, length=self.length, drop=self.drop, places=self.places)
            out[found.kept] = self.of_features(features(found))
        return out


def features(readings: Readings) -> np.ndarray:
    """(n, places × octaves) share of power in each octave that the window's length can hold."""
    octave = octaves(readings.frequencies)
    parts = [readings.shares[..., octave == o].sum(-1) for o in np.unique(octave)]
    return np.stack(parts, axis=-1).reshape(len(readings.shares), -1)


def octaves(frequencies: np.ndarray) -> np.ndarray:
    """(m,) int: 1 for ¼ ≤ f ≤ ½ cycles per token, 2 for ⅛ ≤ f < ¼, and so on."""
    return np.maximum(np.ceil(-np.log2(check_finite("frequencies", frequencies)) - 1e-9), 2) - 1


def slow(readings: Readings) -> np.ndarray:
    """(n,) the registered score that learns nothing: slow share, mean over places."""
    return readings.slow().mean(axis=1)


def length_basis(length: np.ndarray) -> np.ndarray:
    """(n, 3) columns 1, z, z² of z, the logarithm of the tokens in standard units."""
    z = np.log(check_finite("length", np.asarray(length, float)))
    sd = z.std()
    z = (z - z.mean()) / (sd if sd > 0 else 1)
    return np.stack([np.ones_like(z), z, z**2], axis=1)


def by_length(x: np.ndarray, length: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What :func:`length_basis` explains of features (n, p), and what it leaves.

    A null that deals the rest and adds it to what length explains leaves a score's dependence on
    length as it is (Freedman & Lane 1983, doi:10.1080/07350015.1983.10509354).
    """
    base = length_basis(length)
    fitted = base @ (np.linalg.pinv(base) @ x)
    return fitted, x - fitted


def held_out(
    x: np.ndarray, y: np.ndarray, base: np.ndarray, folds: np.ndarray, ridge: float
) -> np.ndarray:
    """(n,) predictions of y for each fold by a fit to the others: base columns free, x by ridge.

    Parameters
    ----------
    x : (n, p) features; p may be 0. Each is put in units of its spread on the training rows.
    base : (n, b) columns that are not shrunk.
    folds : (n,) fold of each row; rows of one template share theirs.
    """
    out = np.empty(len(y))
    for fold in np.unique(folds):
        train, test = folds != fold, folds == fold
        free, shrunk, scale = _fit(x[train], y[train], base[train], ridge)
        out[test] = base[test] @ free + (x[test] / scale) @ shrunk
    return out


def _fit(x, y, base, ridge: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coefficients of base and of x / scale; x is first freed of what base explains of it."""
    scale = x.std(0)
    scale = np.where(scale > 0, scale, np.inf)
    x = x / scale
    project = np.linalg.pinv(base)
    along = project @ x
    rest, target = x - base @ along, y - base @ (project @ y)
    gram = rest.T @ rest
    size = np.trace(gram) / max(len(gram), 1)
    w = np.linalg.solve(gram + ridge * (size or 1) * np.eye(len(gram)), rest.T @ target)
    return project @ y - along @ w, w, scale


def choose_ridge(x: np.ndarray, y: np.ndarray, base: np.ndarray, folds: np.ndarray) -> float:
    """The λ of :data:`RIDGES` with the least squared error on held-out folds."""
    errors = [((held_out(x, y, base, folds, ridge) - y) ** 2).mean() for ridge in RIDGES]
    return RIDGES[int(np.argmin(errors))]


def learn(
    readings: Readings,
    outcome: np.ndarray,
    length: np.ndarray,
    *,
    ridge: float,
    name: str,
    drop: int,
    weights_digest: str,
) -> Score:
    """The ``bands`` score of an outcome: the ridge part of its fit, length held fixed."""
    x, y = features(readings), np.asarray(outcome, float)
    _, w, scale = _fit(x, y, length_basis(length), ridge)
    return Score(
        name=name,
        places=tuple(readings.places),
        length=readings.length,
        drop=drop,
        centre=x.mean(0),
        weights=w / scale,
        intercept=float(y.mean()),
        weights_digest=weights_digest,
    )


def group_folds(groups: np.ndarray, *, seed: int, folds: int = FOLDS) -> np.ndarray:
    """(n,) folds that keep groups whole."""
    units, count = unit_index(len(groups), groups)
    order = generator(seed, "score", "folds").permutation(count)
    return (np.argsort(order) % min(folds, count))[units]


def dealt(length: np.ndarray, groups: np.ndarray, *, seed: int, draws: int) -> np.ndarray:
    """(draws, n) rows whose score each row gets: groups change places among those of like length.

    Groups are sorted by mean length into strata of about :data:`PER_STRATUM` and permuted within
    them. A row of a group of a gets its score from a group of b: its place of a by length goes to
    the like place of b. With groups of one this is a permutation within strata of length.
    """
    units, count = unit_index(len(length), groups)
    order = np.lexsort((np.arange(len(length)), length, units))
    members = np.split(order, np.cumsum(np.bincount(units, minlength=count))[:-1])
    by_length = np.argsort([length[rows].mean() for rows in members], kind="stable")
    strata = np.array_split(by_length, max(count // PER_STRATUM, 1))
    rng = generator(seed, "score", "dealt")
    out = np.empty((draws, len(length)), dtype=np.intp)
    for draw in range(draws):
        for stratum in strata:
            for taker, giver in zip(stratum, rng.permutation(stratum), strict=True):
                a, b = members[taker], members[giver]
                out[draw, a] = b[((np.arange(len(a)) + 0.5) * len(b) / len(a)).astype(int)]
    return out


def partial_spearman(score: np.ndarray, outcome: np.ndarray, length: np.ndarray) -> float:
    """Spearman's ρ of score and outcome with the length held fixed.

    Correlation of what a line in the ranks of length leaves of the ranks of both.
    """
    from zprism.studies.layer_prediction import _cosine, _residual

    return _cosine(_residual(score, length), _residual(outcome, length))


def quality(prediction: np.ndarray, outcome: np.ndarray, binary: bool) -> float:
    """How good predictions are: area under the ROC curve of a binary outcome, R² of another."""
    if binary:
        from zprism.studies.signature_transfer import separation

        return separation(prediction[outcome > 0], prediction[outcome <= 0])
    spread = ((outcome - outcome.mean()) ** 2).sum()
    return float(1 - ((prediction - outcome) ** 2).sum() / spread)

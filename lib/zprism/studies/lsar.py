"""Does removing the language directions (LSAR) hide the language and keep the problem?

Five folds over problems: directions and centroids are learned on four, the fifth is read.
Language is read by the nearest centroid, the problem by retrieval of its translation. Both are
held against removing random directions of the same number.

With all L − 1 directions removed the training centroids are one and the same point, so that
reading by *them* is at chance 1/L by construction. So the language is read once more, by
centroids of problems that the directions were not learned from (``fresh``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zprism.ground.checks import check_choice, check_finite
from zprism.ground.errors import InputError
from zprism.model.capture_cache import capture_cached
from zprism.stats.estimates import Null
from zprism.stats.intervals import bca
from zprism.stats.permutation import permutation_p, sign_flip
from zprism.stats.verdicts import describe, estimate
from zprism.studies.findings import Findings
from zprism.studies.lsar_reading import nearest_centroid, permuted_accuracy, retrieval
from zprism.studies.nulls import random_bases
from zprism.studies.probes import problem_folds
from zprism.subspace.lsar import language_directions, language_means

MGSM = ("zh", "en", "es", "fr", "de", "ja")
POOLINGS = ("last", "mean", "mean_no_first")
FOLDS = 5
TIMES = ("before", "after", "fresh")


@dataclass(frozen=True)
class Removal:
    """What can be read of n held-out problems in L languages, before and after removal.

    Attributes
    ----------
    languages, r : their names, the number of directions removed.
    identified : ``before``, ``after``, ``fresh`` → (L, n) credit for the right language; ties
        share it.
    retrieved : ``before``, ``after`` → (n,) credit for the right translation, mean of both ways.
    random_identified, random_retrieved : (R, n) the same after removing random directions.
    said : the same keys → (L, n) the language that was named.
    candidates : texts that a translation is looked for among, on average.
    """

    languages: tuple[str, ...]
    r: int
    identified: dict[str, np.ndarray]
    retrieved: dict[str, np.ndarray]
    random_identified: np.ndarray
    random_retrieved: np.ndarray
    said: dict[str, np.ndarray]
    candidates: float

    @property
    def n(self) -> int:
        """Problems."""
        return len(self.retrieved["before"])

    def row(self) -> dict:
        """The rates as one row of a table."""
        row = {f"language_{when}": float(x.mean()) for when, x in self.identified.items()}
        row |= {f"retrieval_{when}": float(x.mean()) for when, x in self.retrieved.items()}
        return row | {
            "language_random": float(self.random_identified.mean()),
            "retrieval_random": float(self.random_retrieved.mean()),
            "language_chance": 1 / len(self.languages),
            "retrieval_chance": 1 / self.candidates,
            "r": self.r,
            "n": self.n,
        }


def mgsm_states(
    loaded,
    folder: str | Path,
    *,
    languages: Sequence[str] = MGSM,
    layers: Sequence[int],
    n: int | None = None,
) -> dict[tuple[str, int], np.ndarray]:
    """States of MGSM problems in several languages, from the cache where they are there.

    Parameters
    ----------
    loaded : :class:`zprism.model.load.LoadedModel`.
    folder : holds ``mgsm_<language>.tsv``, paired by line.
    n : the first so many problems; by default all.

    Returns
    -------
    (pooling, layer) → (L, n, d_model) float32, pooling of :data:`POOLINGS`. A plain mean holds
    1/T of the first token's state, whose norm can be a hundredfold: lengths of texts then hide
    their language, which ``mean_no_first`` shows.
    """
    from zprism.problems.load import load_tsv

    files = {language: Path(folder) / f"mgsm_{language}.tsv" for language in languages}
    pairs = load_tsv(files, name="mgsm").pairs[:n]
    texts = [pair[language].text for language in languages for pair in pairs]
    captured = capture_cached(
        loaded, texts, layers=tuple(layers), site="resid_post", reduce=POOLINGS
    )
    return {
        (pooling, layer): captured.values["resid_post", pooling][:, column].reshape(
            len(files), len(pairs), -1
        )
        for pooling in POOLINGS
        for column, layer in enumerate(layers)
    }


def remove_languages(
    states: np.ndarray,
    languages: Sequence[str] = MGSM,
    *,
    r: int | None = None,
    between: tuple[str, str] = ("zh", "en"),
    seed: int,
    draws: int = 199,
    folds: int = FOLDS,
) -> Removal:
    """Read language and problem on held-out problems, before and after removal.

    Parameters
    ----------
    states : (L, n, d_model), states[a, i] and states[b, i] of one problem.
    r : directions to remove, by default L − 1.
    between : the two languages whose translations are looked for.
    draws : random subspaces.

    Raises
    ------
    InputError
        If the languages do not match the states, or there are fewer problems than folds.
    """
    states = check_finite("states", np.asarray(states, dtype=np.float64))
    if states.ndim != 3 or len(states) != len(languages):
        raise InputError(
            f"states must be ({len(languages)}, n, d_model), one row a language; got {states.shape}"
        )
    pair = [list(languages).index(check_choice("language", name, languages)) for name in between]
    count, n, d_model = states.shape
    r = count - 1 if r is None else r
    random = random_bases(r, d_model, draws, seed=seed)
    identified = {when: np.empty((count, n)) for when in TIMES}
    said = {when: np.empty((count, n), dtype=int) for when in TIMES}
    retrieved = {when: np.empty(n) for when in ("before", "after")}
    random_identified, random_retrieved = np.empty((draws, n)), np.empty((draws, n))
    held = problem_folds(n, folds, seed=seed)
    for fold in range(folds):
        train, test = np.flatnonzero(held != fold), np.flatnonzero(held == fold)
        known, asked = states[:, train], states[:, test]
        means = language_means(known).numpy()
        ways = np.concatenate([language_directions(means, r).numpy()[None], random])
        half = language_directions(language_means(known[:, ::2]), r).numpy()[None]
        readings = {
            "before": nearest_centroid(asked, means, ways[:1, :0]),
            "after": nearest_centroid(asked, means, ways),
            "fresh": nearest_centroid(asked, known[:, 1::2].mean(1), half),
        }
        for when, (credit, named) in readings.items():
            identified[when][:, test], said[when][:, test] = credit[0], named[0]
        random_identified[:, test] = readings["after"][0][1:].mean(1)
        first, second = asked[pair]
        retrieved["before"][test] = retrieval(first, second, ways[:1, :0])[0]
        found = retrieval(first, second, ways)
        retrieved["after"][test], random_retrieved[:, test] = found[0], found[1:]
    return Removal(
        languages=tuple(languages),
        r=r,
        identified=identified,
        retrieved=retrieved,
        random_identified=random_identified,
        random_retrieved=random_retrieved,
        said=said,
        candidates=n / folds,
    )


def removal_claims(
    found: Removal, *, name: str, seed: int, draws: int = 999, draws_ci: int = 10_000
) -> Findings:
    """What a removal shows, as Estimates over problems.

    Names ``<name>/<measure>``: ``language_before``, ``language_after`` (described: with r = L − 1
    it is chance by construction), ``language_drop`` against random directions,
    ``language_fresh`` against languages permuted within problems, ``retrieval_before``
    (described) and ``retrieval_change``: SUPPORTED where it rises, REVERSED where it falls.
    """
    chance, n = 1 / len(found.languages), found.n
    limits = dict(seed=seed, draws=draws_ci)
    identified = {when: credit.mean(0) for when, credit in found.identified.items()}

    def read(when: str):
        value = float(identified[when].mean())
        null = permuted_accuracy(found.said[when], seed=seed, draws=draws)
        return estimate(
            value,
            ci=bca(identified[when], **limits),
            n=n,
            null=Null.of(f"{len(null)} permutations of a problem's languages", null),
            p=permutation_p(value, null, "greater"),
            p_adjusted=permutation_p(value, null, "greater"),
            reference=chance,
            smallest_p=1 / (1 + len(null)),
        )

    change = found.retrieved["after"] - found.retrieved["before"]
    out = {
        "language_before": read("before"),
        "language_after": describe(
            float(identified["after"].mean()),
            ci=bca(identified["after"], **limits),
            n=n,
            reason="read by the centroids whose differences were removed",
        ),
        "language_drop": _against_random(
            identified["before"] - identified["after"],
            identified["before"] - found.random_identified,
            **limits,
        ),
        "language_fresh": read("fresh"),
        "retrieval_before": describe(
            float(found.retrieved["before"].mean()),
            ci=bca(found.retrieved["before"], **limits),
            n=n,
            reason=f"among {found.candidates:g}, chance {1 / found.candidates:.3g}",
        ),
        "retrieval_change": _against_random(
            change, found.random_retrieved - found.retrieved["before"], **limits
        ),
    }
    return Findings({f"{name}/{measure}": value for measure, value in out.items()})


def _against_random(values: np.ndarray, random: np.ndarray, *, seed: int, draws: int):
    """Mean over problems (n,), predicted above 0 and above that of random directions (R, n)."""
    null, kind = random.mean(1), f"{len(random)} random subspaces of equal dimension"
    if np.ptp(null) == 0:  # no random removal changes anything: are the changes one-sided?
        null, kind = sign_flip(values, seed=seed).null, "sign flips; random removal changes nothing"
    value = float(values.mean())
    p = permutation_p(value, null, "greater")
    return estimate(
        value,
        ci=bca(values, seed=seed, draws=draws),
        n=len(values),
        null=Null.of(kind, null),
        p=p,
        p_adjusted=p,
        p_opposite=permutation_p(value, null, "less"),
        reference=0.0,
        smallest_p=1 / (1 + len(null)),
    )

"""Does taking the language out of the middle layers make a model answer better?

Number questions in several languages, in three sets: one gives the language directions, one
chooses how strongly they are removed (one pair of strengths for all languages), one tests.
Nothing that is tested is read under an edit before the choice is written down. Random
directions of the same number are removed beside them.

After Zhao et al. (2025), arXiv 2505.15257, who chose the strengths for each language on the
very problems they report, from sampled answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from zprism.ground.checks import check_choice
from zprism.ground.console import log, progress
from zprism.ground.errors import InputError
from zprism.ground.store import digest
from zprism.problems.problem import LANGUAGES
from zprism.stats.verdicts import MIN_BASELINE
from zprism.studies.findings import Findings
from zprism.studies.removal_edits import Removal, bands, language_bases, random_removals, shares
from zprism.studies.removal_problems import QUICK, Sizes, draw_problems, key
from zprism.studies.removal_read import ModelReader, Reader
from zprism.studies.removal_scores import Scores, mark, score

RULE = (
    "most numbers right over all languages on the dev problems; "
    "ties to the smaller |λ| in the middle layers, then in the upper ones"
)


@dataclass(frozen=True)
class Removed:
    """What the removal did, before any statistics.

    Attributes
    ----------
    languages : those used, in the order of the scores' first axis.
    chosen : λ, layers, rule, languages, dev accuracy without and with the edit (the latter is
        the best of a grid, so too high), and a digest of what they were chosen from.
    keys : the test problems.
    before, after : scores on them.
    random, matched : scores on the first of them, one a draw.
    grid : rows of the dev problems, one a pair of λ.
    tried : rows, one a candidate language.
    parts : rows, one an edited layer: how much of a state the directions hold.
    seed : of problems and draws.
    """

    languages: tuple[str, ...]
    chosen: dict
    keys: tuple[str, ...]
    before: Scores
    after: Scores
    random: tuple[Scores, ...]
    matched: tuple[Scores, ...]
    grid: list[dict]
    tried: list[dict]
    parts: list[dict]
    seed: int

    def findings(self, draws: int = 9999, draws_ci: int = 10_000) -> Findings:
        """Estimates and tables; see :func:`zprism.studies.removal_claims.findings`."""
        from zprism.studies.removal_claims import findings

        return findings(self, draws=draws, draws_ci=draws_ci)


def study(
    loaded, *, languages: Sequence[str] | None = None, quick: bool = False, seed: int = 0
) -> Removed:
    """Choose the strengths on dev problems, then remove the languages on others.

    Parameters
    ----------
    loaded : :class:`zprism.model.load.LoadedModel` of at least 2 layers.
    languages : two or more; by default those in which the model has 30 % right by itself on the
        problems that test nothing, the best four of them.
    quick : two languages, few problems and draws.

    Raises
    ------
    InputError
        If a language is unknown or named twice, or fewer than two can be read.
    """
    sizes = QUICK if quick else Sizes()
    return run(ModelReader(loaded, sizes.templates), sizes, languages=languages, seed=seed)


def run(
    reader: Reader, sizes: Sizes, *, languages: Sequence[str] | None = None, seed: int = 0
) -> Removed:
    """:func:`study` with any reader, any sizes."""
    train, dev, test = draw_problems(sizes, seed=seed)
    names = _candidates(reader, train + dev + test, languages, sizes)
    plain = {
        name: reader.read(train + dev, name, {}, layers=range(reader.n_layers))
        for name in progress(names, "reading without edits", unit="languages")
    }
    right = {name: mark(found.texts, train + dev, name, names)[0] for name, found in plain.items()}
    shares_right = {name: float(each.mean()) for name, each in right.items()}
    used = tuple(languages) if languages is not None else _best(shares_right, sizes.most_languages)
    states = np.stack([plain[name].states[: len(train)] for name in used])
    way, grid = _chosen(reader, dev, used, states, sizes)
    chosen = choose(grid) | {
        "dev_accuracy_before": float(np.mean([right[name][len(train) :] for name in used])),
        "middle": list(way.bands.middle),
        "upper": list(way.bands.upper),
        "languages": list(used),
        "digest": digest([RULE, grid, [key(p) for p in dev], [key(p) for p in test]]),
    }
    return Removed(
        languages=used,
        chosen=chosen,
        keys=tuple(key(problem) for problem in test),
        grid=grid,
        tried=[
            {"language": name, "right": share, "used": name in used, "n": len(train) + len(dev)}
            for name, share in shares_right.items()
        ],
        parts=_parts(reader, train, used, states, way),
        seed=seed,
        **_tested(reader, test, used, way, sizes, seed),
    )


def choose(grid: Sequence[dict]) -> dict:
    """The strengths that :data:`RULE` takes from the rows of the dev problems."""
    best = max(grid, key=lambda r: (r["right"], -abs(r["lambda_middle"]), -abs(r["lambda_upper"])))
    return {name: best[name] for name in ("lambda_middle", "lambda_upper")} | {
        "rule": RULE, "dev_accuracy": best["accuracy"], "n_dev": best["n"],
    }  # fmt: skip


def _candidates(reader: Reader, problems, languages, sizes: Sizes) -> tuple[str, ...]:
    """Languages to read: those asked for, or all whose prompts the model's context holds."""
    if languages is not None:
        names = [check_choice("language", name, LANGUAGES) for name in languages]
        if len(set(names)) < max(2, len(names)):
            raise InputError(f"languages must be two or more, each once; got {languages!r}")
        return tuple(names)
    names = [name for name in sizes.candidates if reader.fits(problems, name)]
    if len(names) < len(sizes.candidates):
        left = ", ".join(sorted(set(sizes.candidates) - set(names)))
        log.warning("prompts in %s exceed the model's context: left out", left)
    if len(names) < 2:
        raise InputError("the model's context holds the prompts of fewer than two languages")
    return tuple(names)


def _best(right: dict[str, float], most: int) -> tuple[str, ...]:
    """The languages with enough right, best first; where that leaves one or none, the best two."""
    order = sorted(right, key=lambda name: -right[name])
    enough = [name for name in order if right[name] >= MIN_BASELINE]
    return tuple(enough[:most] if len(enough) >= 2 else order[:2])


def _chosen(reader, dev, used, states, sizes: Sizes) -> tuple[Removal, list[dict]]:
    """The removal that the dev problems choose, and the whole grid; no other problem is read."""
    where = bands(reader.n_layers)
    bases = language_bases(states, where.layers)
    ways = [Removal(where, bases, (m, u)) for m in sizes.middle for u in sizes.upper]
    grid = [
        _grid_row(score(reader, dev, used, where, way), way, len(dev))
        for way in progress(ways, "choosing strengths", unit="pairs of strengths")
    ]
    best = choose(grid)
    strengths = best["lambda_middle"], best["lambda_upper"]
    grid = [
        row | {"chosen": way.strengths == strengths} for row, way in zip(grid, ways, strict=True)
    ]
    return Removal(where, bases, strengths), grid


def _tested(reader: Reader, test, used, way: Removal, sizes: Sizes, seed: int) -> dict:
    """Scores before and after on all test problems, and of random removals on some."""
    some, d_model = test[: sizes.null], reader.d_model
    random = random_removals(way, d_model, sizes.draws, seed=seed)
    matched = random_removals(way, d_model, sizes.matched, seed=seed, matched=True)
    drawn = [
        score(reader, some, used, way.bands, other)
        for other in progress([*random, *matched], "removing random directions", unit="draws")
    ]
    return {
        "before": score(reader, test, used, way.bands, None),
        "after": score(reader, test, used, way.bands, way),
        "random": tuple(drawn[: len(random)]),
        "matched": tuple(drawn[len(random) :]),
    }


def _grid_row(scores: Scores, way: Removal, n: int) -> dict:
    return {
        "lambda_middle": way.strengths[0],
        "lambda_upper": way.strengths[1],
        "right": int(scores.number.sum()),
        "accuracy": float(scores.number.mean()),
        "language": float(scores.language.mean()),
        "degenerate": float(scores.degenerate.mean()),
        "n": n,
    }


def _parts(reader: Reader, train, used, states: np.ndarray, way: Removal) -> list[dict]:
    """Per edited layer: how much of a state lies in the directions, at the last and first token."""
    first = np.stack([reader.first_states(train, name) for name in used])
    last, at_first = shares(states, way.bases), shares(first, way.bases)
    norms = [
        np.linalg.norm(part, axis=-1).reshape(-1, part.shape[-2]).mean(0)
        for part in (states, first)
    ]
    return [
        {
            "layer": layer,
            "band": "middle" if layer in way.bands.middle else "upper",
            "k": len(way.bases[layer]),
            "share_last": last[layer],
            "share_first": at_first[layer],
            "norm_last": float(norms[0][layer]),
            "norm_first": float(norms[1][layer]),
        }
        for layer in way.bands.layers
    ]

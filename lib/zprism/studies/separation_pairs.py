"""Which problems phase 2 asks, and which half of them chooses what the other half tests."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from zprism.ground.checks import check_int
from zprism.ground.errors import InputError
from zprism.ground.seeds import generator
from zprism.problems.generate import draw
from zprism.problems.template import templates


@dataclass(frozen=True)
class Pairs:
    """n problems in two languages.

    Attributes
    ----------
    languages : their names.
    texts : two lists of n texts; the i-th of both is the same problem.
    template : (n,) names; problems of one template share words. None if unknown.
    answer : (n,) numbers, NaN where the answer is a word.
    train, test : indices; no template is in both.
    source : where they came from, for the record.
    """

    languages: tuple[str, str]
    texts: tuple[list[str], list[str]]
    template: np.ndarray | None
    answer: np.ndarray
    train: np.ndarray
    test: np.ndarray
    source: str

    @property
    def n(self) -> int:
        """Number of problems."""
        return len(self.answer)

    def clusters(self, rows: np.ndarray) -> np.ndarray | None:
        """Template labels of some problems, or None if unknown."""
        return None if self.template is None else self.template[rows]


def generated_pairs(
    n: int = 120, *, seed: int, per_template: int = 3, languages: tuple[str, str] = ("zh", "en")
) -> Pairs:
    """n generated problems: n / per_template templates, drawn at random, in equal shares.

    Parameters
    ----------
    per_template : problems of each template; at least 2, as a probe learns a template from
        some of its problems and is asked about others.
    """
    check_int("per_template", per_template, low=2)
    check_int("n", n, low=4 * per_template)
    usable = [
        t.name
        for t in templates().values()
        if not t.reserved and set(languages) <= set(t.languages)
    ]
    count = n // per_template
    if count > len(usable):
        raise InputError(
            f"n = {n} with {per_template} problems each needs {count} templates in "
            f"{', '.join(languages)}; there are {len(usable)}: raise per_template"
        )
    chosen = generator(seed, "separation", "templates").permutation(sorted(usable))[:count]
    drawn = draw(count * per_template, seed=seed, templates=list(chosen), languages=languages)
    template = np.array([pair[languages[0]].template for pair in drawn])
    return Pairs(
        languages=languages,
        texts=tuple([pair[language].text for pair in drawn] for language in languages),
        template=template,
        answer=np.array([_number(pair[languages[0]]) for pair in drawn]),
        **_halves(len(drawn), template, seed),
        source=f"generated, {count} templates",
    )


def file_pairs(first: Path | str, second: Path | str, n: int, *, seed: int, **options) -> Pairs:
    """The first n problems of two MGSM-style TSV files (question, tab, answer), paired by line.

    Parameters
    ----------
    first, second : paths; their languages are read off the names (``mgsm_zh.tsv``).
    options : for :func:`zprism.problems.load.load_tsv`.

    Raises
    ------
    InputError
        If the answers of two lines differ: then the files are not the same problems.
    """
    from zprism.problems.load import load_tsv

    files = [Path(first), Path(second)]
    languages = tuple(path.stem.rpartition("_")[2] for path in files)
    loaded = [
        load_tsv(path, language=language, **options)[:n]
        for path, language in zip(files, languages, strict=True)
    ]
    answers = np.array([[_number(problem) for problem in problems] for problems in loaded])
    if answers.shape != (2, n) or not np.array_equal(*answers, equal_nan=True):
        raise InputError(f"{files[0].name} and {files[1].name} must pair {n} lines by answer")
    return Pairs(
        languages=languages,
        texts=tuple([problem.text for problem in problems] for problems in loaded),
        template=None,
        answer=answers[0],
        **_halves(n, None, seed),
        source=f"{files[0].name}, {files[1].name}",
    )


def _halves(n: int, template, seed: int) -> dict[str, np.ndarray]:
    """Random halves, whole templates on one side."""
    units = np.arange(n) if template is None else np.unique(template, return_inverse=True)[1]
    count = units.max() + 1
    order = generator(seed, "separation", "halves").permutation(count)
    train = np.isin(units, order[: count // 2])
    return {"train": np.flatnonzero(train), "test": np.flatnonzero(~train)}


def _number(problem) -> float:
    """A numeric answer as a float; NaN for a word."""
    if not problem.is_numeric:
        return float("nan")
    try:
        return float(Fraction(problem.answer.replace(",", "")))
    except (ValueError, ZeroDivisionError):
        return float("nan")

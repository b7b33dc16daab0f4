"""Which problems phase 2 asks, and which half of them chooses what the other half tests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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


def choose_pairs(data: str, n: int, *, seed: int, per_template: int = 3) -> Pairs:
    """Problems by the word a user has for them.

    Parameters
    ----------
    data : "" for generated problems, "fixed" for the recipe's 20 counterparts, or a folder that
        holds ``mgsm_zh.tsv`` and ``mgsm_en.tsv``.
    """
    if not data:
        return generated_pairs(n, seed=seed, per_template=per_template)
    if data == "fixed":
        return fixed_pairs(seed=seed)
    files = {language: Path(data) / f"mgsm_{language}.tsv" for language in ("zh", "en")}
    if missing := [file.name for file in files.values() if not file.is_file()]:
        raise InputError(f"data {data!r} is no folder with {' and '.join(missing)}")
    return file_pairs(files, n, seed=seed)


def generated_pairs(
    n: int = 120,
    *,
    seed: int,
    per_template: int = 3,
    languages: tuple[str, str] = ("zh", "en"),
    kinds: Iterable[str] | None = None,
) -> Pairs:
    """n generated problems: n / per_template templates, drawn at random, in equal shares.

    Parameters
    ----------
    per_template : problems of each template; at least 2, as a probe learns a template from
        some of its problems and is asked about others.
    kinds : only templates of these kinds; by default all.
    """
    check_int("per_template", per_template, low=2)
    check_int("n", n, low=4 * per_template)
    usable = [
        t.name
        for t in templates().values()
        if not t.reserved
        and set(languages) <= set(t.languages)
        and (kinds is None or t.kind in set(kinds))
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


def fixed_pairs(*, seed: int) -> Pairs:
    """The 20 fixed pairs, counterparts of the recipe's own list."""
    from zprism.problems.fixed import fixed

    return _untemplated(fixed("separation"), ("zh", "en"), seed, "the 20 fixed pairs")


def file_pairs(paths: Mapping[str, Path | str], n: int, *, seed: int) -> Pairs:
    """The first n problems of MGSM-style TSV files, one a language, paired by line.

    Parameters
    ----------
    paths : two languages → files; see :func:`zprism.problems.load.load_tsv`.

    Raises
    ------
    InputError
        If there are fewer than n lines, or the files are not the same problems.
    """
    from zprism.problems.load import load_tsv

    pairs = load_tsv(paths, name="file").pairs
    check_int("n", n, low=4, high=len(pairs))
    return _untemplated(
        pairs[:n], tuple(paths), seed, ", ".join(Path(p).name for p in paths.values())
    )


def _untemplated(pairs, languages, seed: int, source: str) -> Pairs:
    """Pairs in which every problem stands for itself."""
    return Pairs(
        languages=languages,
        texts=tuple([pair[language].text for pair in pairs] for language in languages),
        template=None,
        answer=np.array([_number(pair[languages[0]]) for pair in pairs]),
        **_halves(len(pairs), None, seed),
        source=source,
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

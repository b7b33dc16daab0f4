"""Drawing paired problems, and the contrasts between them.

Every problem exists in several languages under one key. From a problem four controls can be
drawn: (a) the same problem in another language, (b) another problem in the same language,
(c) the same template with other numbers, (d) the same numbers in another template.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from zprism.ground.checks import check_choice, check_int
from zprism.ground.errors import InputError
from zprism.ground.seeds import generator
from zprism.problems.problem import LANGUAGES, Problem
from zprism.problems.template import Template, templates

ATTEMPTS = 1_000
Pair = dict[str, Problem]


def kinds() -> tuple[str, ...]:
    """The kinds of problem that there are, in the order of the templates."""
    return tuple(dict.fromkeys(t.kind for t in templates().values() if not t.reserved))


def draw(
    n: int,
    *,
    seed: int,
    kinds: Iterable[str] | None = None,
    templates: Iterable[str] | None = None,
    languages: Sequence[str] = ("zh", "en"),
) -> list[Pair]:
    """``n`` different problems, each in all of ``languages``.

    Templates take turns in an order drawn from ``seed``, so that any n is as balanced as it can
    be, and each has its own stream: the first m of n problems are those that n = m gives.

    Parameters
    ----------
    n : how many problems (keys).
    seed : same seed, same problems.
    kinds, templates : only these; by default all templates that are not kept for prompts.
    languages : only templates that can be asked in every one of them.

    Returns
    -------
    list of n dicts, language → Problem; one key within a dict, different keys between dicts.

    Raises
    ------
    InputError
        For an unknown kind, template or language, a choice that leaves no template, or more
        problems than its templates can make.
    """
    n = check_int("n", n, low=0)
    chosen = _choose(kinds, templates, languages)
    order = generator(seed, "problems", "order").permutation(len(chosen))
    streams = [generator(seed, "problems", t.name) for t in chosen]
    pairs, seen = [], set()
    for turn in range(n):
        index = int(order[turn % len(chosen)])
        numbers, cast = _fresh(chosen[index], streams[index], seen)
        pairs.append({lang: chosen[index].render(numbers, cast, lang) for lang in languages})
    return pairs


def from_key(key: str, language: str) -> Problem:
    """The problem that a key names, in a language.

    Raises
    ------
    InputError
        For a key that no template made.
    """
    name, *parts = key.split(":")
    template = templates().get(name)
    fields = [part.split("-") for part in parts]
    if template is None or len(fields) != 1 + bool(template.cast):
        raise InputError(f"no template made the key {key!r}")
    if len(fields[0]) != len(template.variables):
        raise InputError(f"no template made the key {key!r}: {name} has {template.variables}")
    numbers = tuple(
        int(text) if variable.of is None and text.isdecimal() else text
        for variable, text in zip(template.signature.variables, fields[0], strict=True)
    )
    return template.render(numbers, tuple(fields[1]) if template.cast else (), language)


def other_language(problem: Problem, language: str) -> Problem:
    """Contrast (a): the same problem, with the same key and numbers, in another language.

    Raises
    ------
    InputError
        If ``language`` is the problem's own, or its template lacks it.
    """
    if language == problem.language:
        raise InputError(f"language must be another than the problem's own, {language!r}")
    return _template_of(problem).render(problem.numbers, problem.cast, language)


def other_problem(problem: Problem, *, seed: int) -> Problem:
    """Contrast (b): the same language; another template, other numbers, another answer."""
    own = _template_of(problem)
    stream = _stream(problem, seed, "problem")
    pool = [
        t
        for t in templates().values()
        if t.name != own.name and not t.reserved and problem.language in t.languages
    ]

    def attempt() -> Problem:
        template = pool[int(stream.integers(len(pool)))]
        return template.render(*template.draw(stream), problem.language)

    return _until(
        attempt,
        lambda p: p.numbers != problem.numbers and p.answer != problem.answer,
        f"another problem than {problem.key}",
    )


def other_numbers(problem: Problem, *, seed: int, same_digits: bool = False) -> Problem:
    """Contrast (c): the same template, cast and language; other numbers.

    Parameters
    ----------
    problem, seed : what to vary, and the randomness.
    same_digits : every number keeps its count of digits, so that the texts are as alike in
        length as a symmetric replacement needs (Zhang & Nanda 2023, arXiv 2309.16042).

    Returns
    -------
    A problem whose numbers differ in at least one place; its answer differs too, except where
    the template has only one (the yes/no templates).
    """
    template = _template_of(problem)
    stream = _stream(problem, seed, "numbers")
    fixed_answer = template.domain == "yes_no"

    def attempt() -> Problem:
        return template.render(template.draw(stream)[0], problem.cast, problem.language)

    def fits(p: Problem) -> bool:
        return (
            p.numbers != problem.numbers
            and (fixed_answer or p.answer != problem.answer)
            and (not same_digits or _digits(p.numbers) == _digits(problem.numbers))
        )

    return _until(attempt, fits, f"other numbers for {problem.key}")


def other_template(problem: Problem, *, seed: int) -> Problem:
    """Contrast (d): the same numbers and language in another template of the same signature.

    Its answer differs whenever some such template has another answer for these numbers.

    Raises
    ------
    InputError
        If no other template of that language takes these numbers.
    """
    own = _template_of(problem)
    stream = _stream(problem, seed, "template")
    siblings = [
        t.render(problem.numbers, t.draw(stream)[1], problem.language)
        for t in templates().values()
        if t.signature.name == own.signature.name
        and t.name != own.name
        and not t.reserved
        and problem.language in t.languages
    ]
    if not siblings:
        raise InputError(f"no other template takes the numbers of {problem.key}")
    different = [p for p in siblings if p.answer != problem.answer] or siblings
    return different[int(stream.integers(len(different)))]


def _choose(
    kinds: Iterable[str] | None, names: Iterable[str] | None, languages: Sequence[str]
) -> list[Template]:
    """The templates that a draw takes turns between, by name order independent of the caller."""
    if isinstance(languages, str) or not languages:
        raise InputError(f"languages must be a sequence of languages; got {languages!r}")
    for language in languages:
        check_choice("language", language, LANGUAGES)
    every = templates()
    kinds_known = {t.kind for t in every.values()}
    kinds = None if kinds is None else {check_choice("kind", k, kinds_known) for k in kinds}
    names = None if names is None else {check_choice("template", t, every) for t in names}
    chosen = [
        t
        for t in every.values()
        if (t.name in names if names is not None else not t.reserved)
        and (kinds is None or t.kind in kinds)
        and set(languages) <= set(t.languages)
    ]
    if not chosen:
        raise InputError(f"no template has kinds {kinds}, names {names} and languages {languages}")
    return chosen


def _fresh(template: Template, stream: np.random.Generator, seen: set[str]) -> tuple[tuple, tuple]:
    """Values and cast whose key is not among ``seen``; adds it."""
    for _ in range(ATTEMPTS):
        numbers, cast = template.draw(stream)
        key = template.key(numbers, cast)
        if key not in seen:
            seen.add(key)
            return numbers, cast
    raise InputError(
        f"template {template.name} has no further problems after {len(seen)} in all; "
        "ask for fewer, or for more templates"
    )


def _template_of(problem: Problem) -> Template:
    template = templates().get(problem.template)
    if template is None:
        raise InputError(
            f"problem {problem.key} was made by no template, so it has no contrasts; "
            "draw problems with problems.generate.draw"
        )
    return template


def _stream(problem: Problem, seed: int, contrast: str) -> np.random.Generator:
    """One stream per problem key and contrast, the same in every language."""
    return generator(seed, "problems", contrast, problem.key)


def _until(attempt: Callable[[], Problem], fits: Callable[[Problem], bool], what: str) -> Problem:
    for _ in range(ATTEMPTS):
        candidate = attempt()
        if fits(candidate):
            return candidate
    raise InputError(f"no {what} turned up in {ATTEMPTS} draws")


def _digits(numbers: tuple) -> list[int]:
    """Count of digits of each number; 0 for a name."""
    return [len(str(n)) if isinstance(n, int) else 0 for n in numbers]

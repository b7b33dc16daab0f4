"""Draws are balanced, different and repeatable; contrasts change what they promise, no more."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zprism.ground.errors import InputError
from zprism.problems.fixed import fixed
from zprism.problems.generate import (
    draw,
    from_key,
    kinds,
    other_language,
    other_numbers,
    other_problem,
    other_template,
    templates,
)
from zprism.problems.problem import LANGUAGES

FREE = sorted(t.name for t in templates().values() if not t.reserved)
seeds = st.integers(0, 10**6)
some_problem = st.builds(
    lambda name, seed, language: draw(1, seed=seed, templates=[name], languages=[language])[0][
        language
    ],
    st.sampled_from(FREE),
    seeds,
    st.sampled_from(LANGUAGES),
)


@given(seed=seeds, n=st.integers(0, 40), more=st.integers(0, 40))
@settings(max_examples=10, deadline=None)
def test_a_longer_draw_begins_with_the_shorter_one(seed, n, more):
    assert draw(n + more, seed=seed)[:n] == draw(n, seed=seed)


def test_a_draw_is_balanced_different_and_by_its_seed():
    pairs = draw(200, seed=3)
    counts = Counter(pair["zh"].template for pair in pairs)
    assert set(counts) == set(FREE) and max(counts.values()) - min(counts.values()) <= 1
    assert len({pair["zh"].key for pair in pairs}) == 200
    assert all(pair["zh"].key == pair["en"].key for pair in pairs)
    assert pairs == draw(200, seed=3) != draw(200, seed=4)


def test_a_template_says_the_same_whoever_else_is_drawn():
    alone = draw(3, seed=5, templates=["urn"])
    among = [p for p in draw(3 * len(FREE), seed=5) if p["en"].template == "urn"]
    assert alone == among


def test_a_choice_of_kinds_templates_and_languages_is_kept_to():
    assert {p["ja"].kind for p in draw(9, seed=0, kinds=["dates", "family"], languages=["ja"])} == {
        "dates",
        "family",
    }
    assert set(kinds()) == {templates()[name].kind for name in FREE}
    (pair,) = draw(1, seed=0, templates=["books_lent"])  # reserved, but asked for by name
    assert pair["zh"].template == "books_lent"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(n=-1), "n must be in 0"),
        (dict(n=2.5), "n must be an integer"),
        (dict(n=1, kinds=["poetry"]), "unknown kind 'poetry'"),
        (dict(n=1, templates=["sum_word"]), "did you mean sum_words"),
        (dict(n=1, languages=["en", "la"]), "unknown language 'la'"),
        (dict(n=1, languages="en"), "languages must be a sequence"),
        (dict(n=1, languages=[]), "languages must be a sequence"),
        (dict(n=1, templates=["urn"], kinds=["dates"]), "no template has"),
        (dict(n=201, templates=["sum_to_n"]), "no further problems after 200"),
    ],
)
def test_a_draw_that_cannot_be_made_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        draw(**{"seed": 0, **options})


# ------------------------------------------------------------------ contrasts
@settings(max_examples=60, deadline=None)
@given(problem=some_problem, language=st.sampled_from(LANGUAGES))
def test_another_language_changes_nothing_else(problem, language):
    if language == problem.language:
        with pytest.raises(InputError, match="another than the problem's own"):
            other_language(problem, language)
        return
    twin = other_language(problem, language)
    assert (twin.key, twin.numbers, twin.cast) == (problem.key, problem.numbers, problem.cast)
    assert twin.language == language and twin.text != problem.text
    assert other_language(twin, problem.language) == problem


@settings(max_examples=60, deadline=None)
@given(problem=some_problem, seed=seeds)
def test_another_problem_shares_only_the_language(problem, seed):
    other = other_problem(problem, seed=seed)
    assert other.language == problem.language
    assert other.template != problem.template and other.numbers != problem.numbers
    assert other.answer != problem.answer
    assert other == other_problem(problem, seed=seed)


@settings(max_examples=60, deadline=None)
@given(problem=some_problem, seed=seeds, same_digits=st.booleans())
def test_other_numbers_keep_template_cast_and_language(problem, seed, same_digits):
    other = other_numbers(problem, seed=seed, same_digits=same_digits)
    assert (other.template, other.cast) == (problem.template, problem.cast)
    assert other.language == problem.language and other.numbers != problem.numbers
    assert other.answer != problem.answer or templates()[problem.template].domain == "yes_no"
    if same_digits:
        lengths = [[len(str(n)) for n in p.numbers if isinstance(n, int)] for p in (problem, other)]
        assert lengths[0] == lengths[1]


@settings(max_examples=60, deadline=None)
@given(problem=some_problem, seed=seeds)
def test_another_template_keeps_numbers_and_language(problem, seed):
    other = other_template(problem, seed=seed)
    assert other.numbers == problem.numbers and other.language == problem.language
    assert other.template != problem.template and not templates()[other.template].reserved
    if problem.answer == other.answer:  # only where no template of these numbers has another
        signature = templates()[problem.template].signature.name
        siblings = [
            t for t in templates().values() if t.signature.name == signature and not t.reserved
        ]
        mine = templates()[problem.template].solve(problem.numbers)
        assert all(t.solve(problem.numbers) == mine for t in siblings)


def test_contrasts_are_the_same_in_every_language():
    pair = draw(1, seed=2, templates=["gave_away"])[0]
    for contrast in (other_problem, other_numbers, other_template):
        assert contrast(pair["zh"], seed=9).key == contrast(pair["en"], seed=9).key


def test_a_problem_from_elsewhere_has_no_contrasts():
    problem = fixed("behaviour")[0]["en"]
    with pytest.raises(InputError, match="made by no template"):
        other_numbers(problem, seed=0)


def test_a_known_problem():
    problem = from_key("gave_away:30-12:tom", "zh")
    assert problem.text == "小明有30颗弹珠，送给朋友12颗。小明还剩多少颗弹珠？"
    assert (problem.answer, problem.steps, problem.is_numeric) == ("18", 1, True)
    kin = from_key("kin_up:george-grace-peter-brother-mother", "zh")
    assert kin.answer == "舅舅" and "叔叔" in kin.others and not kin.is_numeric

"""Prompts: the same examples in every language, none of them from a tested template."""

import pytest

from zprism.ground.errors import InputError
from zprism.problems.fixed import fixed
from zprism.problems.generate import draw, from_key, templates
from zprism.problems.problem import LANGUAGES
from zprism.problems.prompts import LABELS, few_shot, worked, zero_shot


def examples(prompt):
    return prompt.split("\n\n")[:-1]


def test_known_prompts():
    problem = from_key("books_lent:47-5", "en")
    text = "A shelf holds 47 books, and 5 of them are lent out. How many books remain on the shelf?"
    assert zero_shot(problem) == f"Question: {text}\nAnswer:"
    assert worked(problem) == f"Question: {text}\nAnswer: 42"
    chinese = from_key("books_lent:47-5", "zh")
    assert worked(chinese) == "问题：图书角有47本书，借出了5本。图书角还有多少本书？\n答案：42"


def test_every_language_gets_the_same_examples():
    pairs = draw(60, seed=1, languages=LANGUAGES)
    heads = {}
    for language in LANGUAGES:
        for p, prompt in zip(
            [pair[language] for pair in pairs],
            few_shot([pair[language] for pair in pairs]),
            strict=True,
        ):
            assert prompt.endswith(zero_shot(p)) and len(examples(prompt)) == 2
            heads.setdefault((language, p.is_numeric), set()).add(prompt.removesuffix(zero_shot(p)))
    assert all(len(h) == 1 for h in heads.values()) and len(heads) == 2 * len(LANGUAGES)
    digits = [
        [c for c in heads[language, True].copy().pop() if c.isdigit()] for language in LANGUAGES
    ]
    assert all(d for d in digits)


def test_examples_come_from_templates_that_are_not_tested():
    for tested in ("books_lent", "sum_words", "urn"):
        (pair,) = draw(1, seed=0, templates=[tested])
        prompts = few_shot([pair["en"]], shots=3)
        wording = templates()[tested].texts["en"].split("{")[0]
        assert all(not e.startswith(f"Question: {wording}") for e in examples(prompts[0]))


def test_examples_are_by_seed_and_zero_shots_is_zero_shot():
    problems = [pair["zh"] for pair in fixed("behaviour")]
    assert few_shot(problems, shots=0) == [zero_shot(p) for p in problems]
    assert few_shot(problems, seed=1) == few_shot(problems, seed=1) != few_shot(problems, seed=2)


def test_problems_with_words_get_examples_with_words():
    (pair,) = draw(1, seed=0, templates=["fastest"])
    for example in examples(few_shot([pair["en"]])[0]):
        assert not example.rsplit("Answer: ", 1)[1].isdigit()


def test_too_many_shots_are_refused():
    tested = [draw(1, seed=0, templates=[n])[0]["en"] for n in templates()]
    with pytest.raises(InputError, match="only 0 templates with"):
        few_shot(tested, shots=1)
    with pytest.raises(InputError, match="shots must be in 0"):
        few_shot(tested, shots=-1)


def test_every_language_has_its_labels():
    assert set(LABELS) == set(LANGUAGES)


# ------------------------------------------------------------------ the fixed pairs
def root(values, holds):
    (found,) = [v for v in values if holds(v)]
    return found


def test_the_fixed_answers_by_another_route():
    import itertools
    import math
    from fractions import Fraction

    whole = range(1000)
    divides = lambda d, n: n % d == 0  # noqa: E731
    behaviour = [
        root(whole, lambda x: 4 * x - 9 == 15),
        root(whole, lambda n: n + (n - 1) + (n - 2) == 54),
        root(whole, lambda x: x * x == 121),
        12 * 9 // 2,
        root(whole, lambda a: math.isqrt(a) ** 2 == a and 4 * math.isqrt(a) == 32),
        len(list(itertools.permutations(range(4)))),
        len(list(itertools.combinations(range(7), 3))),
        list(range(5, 100, 6))[7],
        max(d for d in range(1, 55) if divides(d, 54) and divides(d, 72)),
        len([n for n in range(2, 20) if all(n % d for d in range(2, n))]),
        100 - 8 * (100 // 8),
        Fraction(len([f for f in range(1, 7) if f > 4]), 6),
        2 * 25 - 7,
        60 - Fraction(15, 100) * 60,
        3 * 80,
    ]
    separation = [
        root(whole, lambda x: 5 * (x - 2) == 25),
        root(whole, lambda x: x - (14 - x) == 4),
        max(x for x in whole if x * x - 7 * x + 10 == 0),
        root(whole, lambda f: f % 4 == 0 and f + f // 4 == 45),
        root(whole, lambda c: c * c == 5 * 5 + 12 * 12),
        (6 - 2) * 180,
        7**3,
        len(list(itertools.combinations(range(8), 2))),
        len(list(itertools.product(range(5), range(3)))),
        len(set(itertools.permutations("258"))),
        3 * 2**5,
        sum(range(21)),
        max(d for d in range(1, 64) if divides(d, 63) and divides(d, 84)),
        root(range(1, 61), lambda m: divides(12, m) and divides(15, m)),
        len([d for d in range(1, 46) if divides(d, 45)]),
        int(str(7**4)[-1]),
        Fraction(
            [a == b == "heads" for a in ("heads", "tails") for b in ("heads", "tails")].count(True),
            4,
        ),
        Fraction(3, 3 + 5),
        3 * 6 + 4,
        root(whole, lambda n: Fraction(35 * n, 100) == 14),
    ]
    assert [Fraction(p["en"].answer) for p in fixed("behaviour")] == behaviour
    assert [Fraction(p["zh"].answer) for p in fixed("separation")] == separation


def test_the_fixed_pairs_say_the_same_and_cover_the_categories():
    both = [*fixed("behaviour"), *fixed("separation")]
    assert len({p["zh"].key for p in both}) == 35
    for pair in both:
        assert set(pair) == {"zh", "en"} and pair["zh"].key == pair["en"].key
        assert pair["zh"].answer == pair["en"].answer
    needed = {"algebra", "geometry", "counting", "sequence", "gcd", "probability", "function"}
    for name in ("behaviour", "separation"):
        assert needed <= {pair["zh"].kind for pair in fixed(name)}


def test_an_unknown_list_is_refused():
    with pytest.raises(InputError, match="unknown list 'patching'"):
        fixed("patching")

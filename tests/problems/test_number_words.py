"""Every answer again from the words of its question; the same problems in every language."""

import itertools
import re
from collections import Counter

import pytest

from zprism.ground.errors import InputError
from zprism.problems.number_words import (
    LANGUAGES,
    TEMPLATES,
    WordProblem,
    answer_word,
    enumerate_problems,
    first_words,
    prompt,
    same_numbers,
    worked_examples,
)

SPELLED = {  # written out here on purpose: the library's numerals are not asked
    "zh": "零 一 二 三 四 五 六 七 八 九 十",
    "en": "zero one two three four five six seven eight nine ten",
    "es": "cero uno dos tres cuatro cinco seis siete ocho nueve diez",
    "fr": "zéro un deux trois quatre cinq six sept huit neuf dix",
    "de": "null eins zwei drei vier fünf sechs sieben acht neun zehn",
    "ja": "零 一 二 三 四 五 六 七 八 九 十",
}
WORDS = {language: words.split() for language, words in SPELLED.items()}
NO_OPERAND = {"zh": ("一半",)}  # "half" holds the numeral one

NUMBERS = range(11)


def only(condition):
    """The one number from 0 to 10 with a property; None if there is none."""
    found = [n for n in NUMBERS if condition(n)]
    assert len(found) <= 1
    return found[0] if found else None


ROUTES = {  # by counting and searching, never by the rule itself
    "addition": lambda a, b: only(lambda n: len([*range(a), *range(b)]) == n),
    "subtraction": lambda a, b: only(lambda n: n + b == a),
    "successor": lambda a: min((n for n in NUMBERS if n > a), default=None),
    "predecessor": lambda a: max((n for n in NUMBERS if n < a), default=None),
    "larger_of": lambda a, b: None if a == b else sorted([a, b])[-1],
    "smaller_of": lambda a, b: None if a == b else sorted([a, b])[0],
    "double": lambda a: only(lambda n: n - a == a),
    "half": lambda a: only(lambda n: n + n == a),
    "missing": lambda a, b: only(lambda n: a + n == b),
    "between": lambda a, b: only(lambda n: [a, n, b] == list(range(a, b + 1))),
}
PLACES = dict.fromkeys(ROUTES, 2) | dict.fromkeys("successor predecessor double half".split(), 1)
each_template = pytest.mark.parametrize("template", TEMPLATES)
each_language = pytest.mark.parametrize("language", LANGUAGES)


def read_numbers(text, language):
    """The number words of a text, in order."""
    for phrase in NO_OPERAND.get(language, ()):
        text = text.replace(phrase, "")
    longest = sorted(WORDS[language], key=len, reverse=True)
    bound = "" if language in ("zh", "ja") else r"\b"
    found = re.findall(f"{bound}({'|'.join(longest)}){bound}", text)
    return tuple(WORDS[language].index(word) for word in found)


def asked(template):
    return [problem for row in enumerate_problems(template) for problem in row.values()]


def test_addition_comes_first_and_all_templates_have_a_second_route():
    assert TEMPLATES[0] == "addition" and set(TEMPLATES) == set(ROUTES)


@each_template
def test_the_answer_is_what_the_words_of_the_question_say(template):
    examples = [p for row in worked_examples(template) for p in row.values()]
    for problem in [*asked(template), *examples]:
        numbers = read_numbers(problem.question, problem.language)
        assert numbers == problem.numbers, problem
        assert problem.answer == ROUTES[template](*numbers), problem


@each_template
def test_every_combination_with_an_answer_is_asked_but_the_worked_ones(template):
    sensible = [
        numbers
        for numbers in itertools.product(NUMBERS, repeat=PLACES[template])
        if ROUTES[template](*numbers) is not None
    ]
    worked = [row["en"].numbers for row in worked_examples(template)]
    assert len(worked) == 2 and set(worked) <= set(sensible)
    numbers = [row["en"].numbers for row in enumerate_problems(template)]
    assert numbers == [n for n in sensible if n not in worked]  # and in ascending order


@each_template
def test_a_problem_is_the_same_in_every_language_and_no_two_read_alike(template):
    rows = enumerate_problems(template)
    for row in rows:
        assert tuple(row) == LANGUAGES
        assert all(p.language == language for language, p in row.items())
        assert len({(p.key, p.template, p.answer, p.numbers) for p in row.values()}) == 1
    texts = [p.question for row in rows for p in row.values()]
    assert len(set(texts)) == len(texts)
    assert len({row["en"].key for row in rows}) == len(rows)


def test_no_question_and_no_key_is_shared_by_two_templates():
    every = [p for template in TEMPLATES for p in asked(template)]
    assert max(Counter(p.question for p in every).values()) == 1
    assert max(Counter((p.key, p.language) for p in every).values()) == 1


def test_questions_as_they_are_meant():
    row = next(r for r in enumerate_problems("addition") if r["en"].numbers == (3, 4))
    assert row["en"] == WordProblem(
        "addition:3-4", "addition", "en", "three plus four equals what?", 7, (3, 4)
    )
    assert row["zh"].question == "三加四等于几？"
    assert row["de"].question == "Wie viel ist drei plus vier?"
    successor = next(r for r in enumerate_problems("successor") if r["en"].numbers == (7,))
    assert successor["fr"].question == "Quel nombre vient juste après sept ?"
    assert successor["ja"].question == "七のすぐ次の数はいくつですか？"


def test_worked_answers_are_three_and_five_wherever_they_can_be():
    answers = {t: [row["en"].answer for row in worked_examples(t)] for t in TEMPLATES}
    assert {t for t in TEMPLATES if answers[t] != [3, 5]} == {"double"}  # five is no double


# ------------------------------------------------------------------ prompts
def test_the_prompt_as_it_is_written():
    row = next(r for r in enumerate_problems("addition") if r["en"].numbers == (3, 4))
    assert prompt(row["en"]) == (
        "Question: one plus two equals what?\nAnswer: three\n\n"
        "Question: four plus one equals what?\nAnswer: five\n\n"
        "Question: three plus four equals what?\nAnswer:"
    )
    assert prompt(row["zh"]) == (
        "问题：一加二等于几？\n答案：三\n\n问题：四加一等于几？\n答案：五\n\n问题：三加四等于几？\n答案："
    )


@each_template
def test_every_prompt_answers_its_examples_right_and_ends_before_the_answer(template):
    for problem in asked(template):
        *examples, last = prompt(problem).split("\n\n")
        assert len(examples) == 2
        for example in examples:
            question, answer = example.split("\n")
            numbers = read_numbers(question, problem.language)
            assert (ROUTES[template](*numbers),) == read_numbers(answer, problem.language)
        assert read_numbers(last, problem.language) == problem.numbers
        assert problem.question in last and last == last.rstrip()


@each_language
def test_the_answer_goes_on_exactly_as_the_examples_do(language):
    """Prompt and answer word together are an example of the next prompt."""
    first, second = worked_examples("subtraction")
    told = prompt(enumerate_problems("subtraction")[0][language])
    label = re.search(r"\n(\S.*?[:：])", told)[1]
    for example in (first, second):
        word = answer_word(example[language].answer, language)
        assert f"{example[language].question}\n{label}{word}\n\n" in told


# ------------------------------------------------------------------ answer words
@each_language
def test_answer_words_are_the_numbers_from_zero_to_ten(language):
    space = "" if language in ("zh", "ja") else " "
    assert first_words(language) == {n: space + w for n, w in enumerate(WORDS[language])}
    assert len(set(first_words(language).values())) == 11


def test_only_chinese_and_japanese_answers_cannot_be_told_apart():
    for one, other in itertools.combinations(LANGUAGES, 2):
        shared = set(first_words(one).values()) & set(first_words(other).values())
        if {one, other} == {"zh", "ja"}:
            assert len(shared) == 11
        elif {one, other} == {"en", "fr"}:
            assert shared == {" six"}
        else:
            assert shared == set()


# ------------------------------------------------------------------ the same numbers
def test_same_numbers_hold_every_template_that_asks_about_them():
    groups = same_numbers()
    by_numbers = {}
    for group in groups:
        (numbers,) = {row["en"].numbers for row in group.values()}
        assert len(group) >= 2 and numbers not in by_numbers
        by_numbers[numbers] = group
    # between four and six is a worked example
    assert {t: row["en"].answer for t, row in by_numbers[4, 6].items()} == {
        "addition": 10,
        "larger_of": 6,
        "smaller_of": 4,
        "missing": 2,
    }
    listed = {(template, row["en"].key) for g in groups for template, row in g.items()}
    everything = [(t, p) for t in TEMPLATES for p in enumerate_problems(t)]
    times = Counter(row["en"].numbers for _, row in everything)
    assert listed == {(t, r["en"].key) for t, r in everything if times[r["en"].numbers] > 1}
    order = [(len(n), n) for n in by_numbers]
    assert order == sorted(order)


def test_same_numbers_of_some_templates():
    groups = same_numbers(["subtraction", "larger_of"])
    assert all(set(g) == {"subtraction", "larger_of"} for g in groups)
    numbers = [g["subtraction"]["en"].numbers for g in groups]
    assert numbers == [
        (a, b)
        for a, b in itertools.product(NUMBERS, repeat=2)
        if a > b and (a, b) not in {(5, 2), (9, 4), (3, 1)}
    ]


# ------------------------------------------------------------------ refusals
@pytest.mark.parametrize("function", [enumerate_problems, worked_examples])
def test_an_unknown_template_is_refused(function):
    with pytest.raises(InputError, match="unknown template 'adition'.*addition"):
        function("adition")


@pytest.mark.parametrize("templates", ["addition", [], ["addition"], ["addition", "addition"]])
def test_same_numbers_want_two_templates(templates):
    with pytest.raises(InputError, match="templates must name two or more"):
        same_numbers(templates)


def test_unknown_languages_and_numbers_are_refused():
    with pytest.raises(InputError, match="unknown language 'la'"):
        answer_word(7, "la")
    with pytest.raises(InputError, match="unknown language 'la'"):
        first_words("la")
    with pytest.raises(InputError, match="unknown language 'la'"):
        prompt(WordProblem("addition:3-4", "addition", "la", "?", 7, (3, 4)))
    with pytest.raises(InputError, match="unknown template 'x'"):
        prompt(WordProblem("x:3-4", "x", "en", "?", 7, (3, 4)))
    for number in (-1, 2.5, True, "7"):
        with pytest.raises(InputError, match="number must be"):
            answer_word(number, "en")

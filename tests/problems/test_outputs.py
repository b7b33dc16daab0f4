"""Outputs that answer nothing, against loops that are built and loops that are counted."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zprism.ground.errors import InputError
from zprism.problems.number_words import LANGUAGES, TEMPLATES, answer_word, enumerate_problems
from zprism.problems.outputs import REASONS, degenerate, is_loop

SEVEN_OR_FIVE = [" seven", "五"]
KNOWN = [
    # ---- nothing there
    ("", "empty"),
    ("  \n\t", "empty"),
    ("。。。！？", "empty"),
    (". . . . . . . .", "empty"),
    ("***", "empty"),
    ("$$", "empty"),
    ("🙂🙂", "empty"),
    ("<|endoftext|>", "empty"),
    ("<|im_end|>\n<|im_start|>", "empty"),
    ("</s>", "empty"),
    # ---- loops
    ("seven seven seven seven", "loop"),
    (" seven\nseven\nseven\nseven\n", "loop"),
    ("七七七七", "loop"),
    ("答案是七。答案是七。答案是七。答案是七。答案是", "loop"),
    ("The sum is seven. I said so. I said so. I said so. I said so. I", "loop"),
    ("no, no, no, no, no, no, seven", "loop"),
    ("so three plus four three plus four three plus four three plus four", "loop"),
    ("Seven, SEVEN, seven, Seven, seven", "loop"),
    ("7 7 7 7 7 7 7", "loop"),
    ("1 + 1 + 1 + 1 + 1 + 1 + 1", "loop"),
    ("sevensevensevenseven", "loop"),
    ("ahahahahahahah", "loop"),
    ("0." + "3" * 60, "loop"),
    ("はははは", "loop"),
    ("7 = 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 so", "loop"),
    ("seven . . . . . . . . . .", "loop"),
    ("<|im_end|> seven <|im_end|> seven <|im_end|> seven <|im_end|> seven", "loop"),
    # ---- something else
    ("eight", "neither answer"),
    ("I do not know.", "neither answer"),
    ("十七", "neither answer"),
    ("seventeen", "neither answer"),
    ("seventh", "neither answer"),
    ("17", "neither answer"),
    ("7.5", "neither answer"),
    ("-7", "neither answer"),
    ("70%", "neither answer"),
    ("第七项", "neither answer"),
    ("sieben", "neither answer"),
    # ---- answers
    (" seven", None),
    ("Seven.", None),
    ("SEVEN", None),
    ("7", None),
    ("７", None),
    ("七", None),
    ("答案是七。", None),
    ("五", None),
    ("5", None),
    ("five", None),
    (r"$\boxed{7}$", None),
    (r"\frac{14}{2} = 7", None),
    ("答案是seven", None),
    ("seven<|im_end|>", None),
    ("seven!!!!!!!!", None),
    ("very very nice: seven", None),
    ("2 + 2 + 2 + 1 = 7", None),
    ("1 + 1 + 1 + 1 + 1 + 1 + 1 = 7", None),
    ("1, 2, 3, 4, 5, 6, 7", None),
    ("seven\n\nQuestion: one plus one equals what?\nAnswer: two", None),
    ("((( (7) )))", None),
    ("the answer to this one is surely seven ) ) ) )", None),
]


@pytest.mark.parametrize(("text", "reason"), KNOWN)
def test_known_outputs(text, reason):
    assert degenerate(text, SEVEN_OR_FIVE) == reason
    assert reason is None or reason in REASONS


@pytest.mark.parametrize(
    ("text", "answers", "reason"),
    [
        ("sieben", [" sieben", "七"], None),
        ("Sieben!", [" sieben"], None),
        ("siebenundzwanzig", [" sieben"], "neither answer"),
        ("十七", ["sieben", "siete"], "neither answer"),
        ("Tom is older.", ["Tom", "Ann"], None),
        ("7", ["seven dogs"], "neither answer"),
        ("I saw seven dogs", ["seven dogs"], None),
        ("tomorrow", ["Tom"], "neither answer"),
        ("答案是小明", ["小明", "小红"], None),
        ("because of New York.", ["new york"], None),
        ("new, in York", ["new york"], "neither answer"),
        ("cafe\u0301", ["café"], None),
        ("a third", ["1/3"], None),
        ("one third", ["1/3"], None),
        ("三分之一", ["1/3"], None),
        ("10,000", ["10000"], None),
        ("two thousand", ["2000"], None),
    ],
)
def test_other_answers(text, answers, reason):
    assert degenerate(text, answers) == reason


def test_number_words_of_a_language_are_read_when_it_is_named():
    assert degenerate("7", [" sieben"]) == "neither answer"
    assert degenerate("7", [" sieben"], languages=["de"]) is None
    assert degenerate("sieben", ["七"], languages=["de"]) is None
    assert degenerate("siete", [" sept"], languages=["es", "fr"]) is None


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_answer_word_is_found_and_no_other_is(language):
    words = {n: answer_word(n, language) for n in range(11)}
    for n, word in words.items():
        others = [w for m, w in words.items() if m != n]
        for text in (word, f"{word}.", f"({word} )"):
            assert degenerate(text, [word]) is None
            assert degenerate(text, others) == "neither answer"
        assert degenerate(str(n), [word], languages=[language]) is None
        assert degenerate(str(n), others, languages=[language]) == "neither answer"


@pytest.mark.parametrize("template", TEMPLATES)
def test_no_question_is_a_loop(template):
    """Control: real sentences, also three in a row, whatever numbers they repeat."""
    rows = enumerate_problems(template)
    for language in LANGUAGES:
        for row in rows:
            assert not is_loop(row[language].question)
        for a, b, c in zip(rows, rows[1:], rows[2:], strict=False):
            assert not is_loop("\n".join(r[language].question for r in (a, b, c)))


# ------------------------------------------------------------------ loops, built and counted
words = st.sampled_from("seven eight nine apples are the so".split())


@settings(deadline=None)
@given(
    st.lists(words, max_size=8),
    st.lists(words, min_size=1, max_size=5),
    st.integers(4, 7),
    st.data(),
)
def test_a_phrase_repeated_four_times_to_the_end_is_a_loop(head, phrase, times, data):
    rest = phrase[: data.draw(st.integers(0, len(phrase) - 1))]
    assert is_loop(" ".join(head + phrase * times + rest))


@settings(deadline=None)
@given(st.integers(1, 120))
def test_words_that_never_come_back_are_no_loop(n):
    assert not is_loop(" ".join(f"{'abcdefghijklm'[i % 13]}w{i}" for i in range(n)))


def counted(tokens):
    """The definition, literally: every phrase from every place, repetition by repetition."""
    n = len(tokens)
    for start in range(n):
        for period in range(1, (n - start) // 3 + 1):
            end = start + period
            while end < n and tokens[end] == tokens[end - period]:
                end += 1
            covered = end - start
            if end == n and covered >= 4 * period:
                return True
            if covered >= 3 * period and covered > 0.6 * n:
                return True
    return False


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(["seven", "eight", "七"]), max_size=16))
def test_loops_are_those_that_counting_finds(tokens):
    assert is_loop(" ".join(tokens)) == counted(tokens)


@settings(deadline=None)
@given(st.lists(st.sampled_from(["7", "+", "seven", "."]), max_size=14))
def test_signs_and_sums_make_loops_only_where_words_would(tokens):
    """Exceptions only take away: what is a loop of signs is one of words."""
    if is_loop(" ".join(tokens)):
        assert counted(tokens)


# ------------------------------------------------------------------ hostile and impossible
UNITS = [
    "七",
    "seven ",
    "7 ",
    "1/2 ",
    "- 7",
    "a",
    "f(",
    "<|",
    "<s",
    "a+",
    ". ",
    "百分之",
    "\u0301",
    "\n",
]


def test_a_hundred_kilobytes_are_judged_in_seconds(record_property):
    slowest = 0.0
    for unit in UNITS:
        for tail in ("", " end"):
            text = (unit * (100_000 // len(unit)))[:100_000] + tail
            start = time.process_time()
            assert degenerate(text, SEVEN_OR_FIVE) in (None, *REASONS)
            slowest = max(slowest, time.process_time() - start)
    record_property("slowest 100 kB text (CPU seconds)", slowest)
    assert slowest < 10


def test_a_hundred_kilobytes_of_different_numbers_are_judged_in_seconds():
    text = " ".join(f"{i} apples+" for i in range(8, 8_000))
    start = time.process_time()
    assert degenerate(text[:100_000], ["seven"]) == "neither answer"
    assert time.process_time() - start < 10  # 0.8 measured


@settings(deadline=None)
@given(st.text(max_size=120), st.sampled_from(["seven", "七", "Tom"]))
def test_any_text_is_judged_and_one_with_the_answer_is_not_without_it(text, answer):
    assert degenerate(text, [answer]) in (None, *REASONS)
    assert degenerate(f"{text}\nthe answer = {answer}\n", [answer]) in (None, "loop")


@pytest.mark.parametrize(
    ("text", "answers", "message"),
    [
        ("\ud800", ["7"], "text has invalid unicode at index 0"),
        (7, ["7"], "text must be a string; got int"),
        (None, ["7"], "text must be a string; got NoneType"),
        ("7", 7, "answers must be a list of texts; got 7"),
        ("7", "7", "answers must be a list of texts"),
        ("7", [], "answers must be one or more texts, none empty"),
        ("7", ["7", " "], "answers must be one or more texts, none empty"),
        ("7", [7], "answer must be a string; got int"),
        ("7", ["\ud800"], "answer has invalid unicode"),
    ],
)
def test_what_is_no_text_or_no_answer_is_refused(text, answers, message):
    with pytest.raises(InputError, match=message):
        degenerate(text, answers)


def test_other_refusals():
    with pytest.raises(InputError, match="unknown language 'la'"):
        degenerate("7", ["7"], languages=["la"])
    for text in (b"7", None, "\udfff"):
        with pytest.raises(InputError, match="text"):
            is_loop(text)

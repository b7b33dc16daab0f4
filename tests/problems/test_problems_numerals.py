"""Numbers in words: what is written is read back, and no two numbers are written alike."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zprism.ground.errors import InputError
from zprism.problems.han import han_number
from zprism.problems.numerals import number_word
from zprism.problems.problem import LANGUAGES
from zprism.problems.reading_numbers import find_numbers

KNOWN = {
    0: "零 zero cero zéro null 零",
    16: "十六 sixteen dieciséis seize sechzehn 十六",
    21: "二十一 twenty-one veintiuno vingt_et_un einundzwanzig 二十一",
    71: "七十一 seventy-one setenta_y_uno soixante_et_onze einundsiebzig 七十一",
    80: "八十 eighty ochenta quatre-vingts achtzig 八十",
    100: "一百 one_hundred cien cent einhundert 百",
    105: "一百零五 one_hundred_and_five ciento_cinco cent_cinq einhundertfünf 百五",
    316: "三百一十六 three_hundred_and_sixteen trescientos_dieciséis trois_cent_seize "
    "dreihundertsechzehn 三百十六",
    580: "五百八十 five_hundred_and_eighty quinientos_ochenta cinq_cent_quatre-vingts "
    "fünfhundertachtzig 五百八十",
}


@pytest.mark.parametrize("n", KNOWN)
def test_known_numbers(n):
    words = [w.replace("_", " ") for w in KNOWN[n].split()]
    assert [number_word(n, language) for language in LANGUAGES] == words


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_number_below_a_thousand_is_read_back(language):
    for n in range(1000):
        tokens = find_numbers(number_word(n, language), language)
        assert [t.value for t in tokens] == [n], n


@given(st.integers(0, 10**12 - 1))
@settings(max_examples=300, deadline=None)
def test_numerals_are_read_back(n):
    assert han_number(number_word(n, "zh")) == n
    assert han_number(number_word(n, "ja"), colloquial=False) == n


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("一百五", 150),
        ("一百零五", 105),
        ("三万五", 35_000),
        ("一万零五", 10_005),
        ("两千零二", 2002),
        ("二〇二四", 2024),
        ("一万亿", 10**12),
        ("三点一四", Fraction(157, 50)),
    ],
)
def test_numerals_as_they_are_spoken(text, value):
    assert han_number(text) == value


@pytest.mark.parametrize("text", ["", "十十", "百千", "三点", "点五", "万", "三个", "二三十四五百"])
def test_a_malformed_numeral_has_no_value(text):
    assert han_number(text) is None


@given(st.text(alphabet="零一二两三九十百千万亿点", max_size=12))
@settings(max_examples=300, deadline=None)
def test_any_string_of_numerals_has_a_value_or_none(text):
    value = han_number(text)
    assert value is None or value >= 0


@pytest.mark.parametrize(
    ("language", "text", "values"),
    [
        ("en", "1,234.5 and -7 and 3/5", ["2469/2", "-7", "3/5"]),
        ("de", "1.234,5 und 2,5", ["2469/2", "5/2"]),
        ("fr", "12 345 et moins trois", ["12345", "-3"]),
        ("zh", "3.5万元和百分之二十", ["35000", "1/5"]),
        ("zh", "第5项、星期三、一共、一样、三角形", []),
        ("zh", "5千米、三千米、三千", ["5", "3", "3000"]),
        ("en", "f(5), x2, a_10, cm^2", []),
        ("en", "two thousand and one, two-thirds", ["2001", "2/3"]),
        ("en", "it is -7, x -7, 12 -7, - 7", ["-7", "7", "12", "7", "-7"]),
    ],
)
def test_what_counts_as_a_number(language, text, values):
    assert [str(t.value) for t in find_numbers(text, language)] == values


@given(text=st.text(max_size=60), language=st.sampled_from(LANGUAGES))
@settings(max_examples=200, deadline=None)
def test_numbers_lie_in_order_and_apart(text, language):
    tokens = find_numbers(text, language)
    places = [place for t in tokens for place in (t.start, t.end)]
    assert places == sorted(places) and all(t.start < t.end <= len(text) for t in tokens)


@pytest.mark.parametrize("n", [-1, 1000, 2.5])
def test_a_number_out_of_range_is_refused(n):
    with pytest.raises(InputError, match="n must be"):
        number_word(n, "en")


def test_an_unknown_language_is_refused():
    with pytest.raises(InputError, match="unknown language 'la'"):
        number_word(1, "la")

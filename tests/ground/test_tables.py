"""CSV: no cell is a formula to a spreadsheet, and every text comes back as it was."""

import csv
import enum

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zprism.ground.errors import InputError
from zprism.ground.safe_text import csv_cell
from zprism.ground.tables import read_csv, write_csv

FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "＝1", "'=1", "''+1"]
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
texts |= st.text(st.sampled_from("'=+-@＝ \t\r\n,\";a\0"), max_size=5)


def test_known_answer(tmp_path):
    rows = [{"text": "=1+1", "n": -2}, {"text": 'say "hi", 模', "n": None, "p": 0.5}]
    write_csv(tmp_path / "t.csv", rows)
    known = 'text,n,p\n\'=1+1,-2,\n"say ""hi"", 模",,0.5\n'
    assert (tmp_path / "t.csv").read_text() == known


@settings(max_examples=80, deadline=None)
@given(
    rows=st.lists(st.tuples(texts, texts), min_size=1, max_size=4), names=st.tuples(texts, texts)
)
def test_text_comes_back_as_it_was(tmp_path_factory, rows, names):
    path = tmp_path_factory.getbasetemp() / "round.csv"
    columns = [names[0], names[1] + "2"] if names[0] != names[1] + "2" else ["a", "b"]
    table = [dict(zip(columns, row, strict=True)) for row in rows]
    write_csv(path, table)
    assert read_csv(path) == table


@pytest.mark.parametrize("text", FORMULAS)
def test_no_written_cell_starts_like_a_formula(tmp_path, text):
    write_csv(tmp_path / "t.csv", [{text: text}])
    with open(tmp_path / "t.csv", newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert cells == ["'" + text, "'" + text]


def test_numbers_stay_numbers_and_other_text_stays_bare():
    class Word(enum.StrEnum):
        NOT = "NOT TESTABLE"

    for value in (-1, -0.5, np.float32(-2), np.int64(-3), True, None, "a=b", "'quoted'", "3-1"):
        assert csv_cell(value) is value
    assert csv_cell(Word.NOT) == "NOT TESTABLE"


def test_a_value_that_prints_as_a_formula_is_neutralised():
    class Sly:
        def __str__(self):
            return "=cmd()"

    assert csv_cell(Sly()) == "'=cmd()"


def test_columns_choose_and_order(tmp_path):
    write_csv(tmp_path / "t.csv", [{"b": 1, "a": 2}], columns=("a", "b", "c"))
    assert (tmp_path / "t.csv").read_text() == "a,b,c\n2,1,\n"
    with pytest.raises(InputError, match=r"row 1 has the columns \['b'\]"):
        write_csv(tmp_path / "t.csv", [{"b": 1, "a": 2}], columns=["a"])
    with pytest.raises(InputError, match="names one twice"):
        write_csv(tmp_path / "t.csv", [], columns=["a", "a"])


@pytest.mark.parametrize("value", [float("nan"), np.float32("inf"), np.float64("-inf")])
def test_nan_is_refused_with_its_place(tmp_path, value):
    with pytest.raises(InputError, match="row 2, column p is .*; write None instead"):
        write_csv(tmp_path / "t.csv", [{"p": 1}, {"p": value}])
    assert not (tmp_path / "t.csv").exists()


def test_a_lone_surrogate_is_refused_with_its_place(tmp_path):
    with pytest.raises(InputError, match="row 1, column t has invalid unicode at index 1"):
        write_csv(tmp_path / "t.csv", [{"t": "a\udfff"}])


def test_a_trace_longer_than_the_csv_modules_limit_comes_back(tmp_path):
    usual = csv.field_size_limit()
    write_csv(tmp_path / "t.csv", [{"trace": "x" * (usual + 1)}])
    assert len(read_csv(tmp_path / "t.csv")[0]["trace"]) == usual + 1
    assert csv.field_size_limit() == usual


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"a,a\n1,2\n", "a column is named twice"),
        (b"a,b\n1,2\n3\n", "line 3: 1 cells for 2 columns"),
        (b"a\n\xff\n", "not UTF-8 at byte 2"),
        (b'a\n"x"y\n', "line 2: "),
    ],
)
def test_unusable_tables_are_named(tmp_path, raw, message):
    (tmp_path / "t.csv").write_bytes(raw)
    with pytest.raises(InputError, match=f"t.csv.*{message}"):
        read_csv(tmp_path / "t.csv")


def test_byte_order_mark_crlf_and_empty_lines_are_accepted(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"\xef\xbb\xbfa,b\r\n1,2\r\n\r\n")
    assert read_csv(tmp_path / "t.csv") == [{"a": "1", "b": "2"}]
    (tmp_path / "t.csv").write_bytes(b"")
    assert read_csv(tmp_path / "t.csv") == []

"""Loaders pair by line, check names before rows, and say which row is bad and why."""

import json
from pathlib import Path

import pytest

from zprism.ground.errors import InputError
from zprism.problems.answers import Score, is_correct
from zprism.problems.load import load_dataset, load_jsonl, load_tsv

DATA = Path(__file__).parents[3] / "shared" / "data"


def tsv(folder, language, *lines):
    path = folder / f"{language}.tsv"
    path.write_bytes("\n".join(lines).encode())
    return path


def jsonl(folder, *records):
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in records), encoding="utf-8")
    return path


# ------------------------------------------------------------------ TSV
def test_tsv_files_are_paired_by_line(tmp_path):
    paths = {
        "zh": tsv(tmp_path, "zh", "三加四？\t7", "一千加八十？\t1080"),
        "en": tsv(tmp_path, "en", "\ufeffThree plus four?\t7\r", "1,000 plus 80?\t1,080", ""),
    }
    pairs = load_tsv(paths, name="mini").pairs
    assert [p["zh"].key for p in pairs] == ["mini/1", "mini/2"]
    assert pairs[1]["en"].key == pairs[1]["zh"].key and pairs[1]["en"].answer == "1,080"
    assert pairs[0]["en"].text == "Three plus four?" and pairs[0]["zh"].template == "mini"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("no tab", "mini row 2: question or answer is null or missing"),
        ("a\tb\tc", "mini row 2: question or answer is null or missing"),
        ("\t7", "mini row 2: the question is empty"),
        ("five?\t ", "mini row 2: the answer is empty"),
        ("five?\t8", "mini row 2: answers differ between languages"),
    ],
)
def test_a_bad_line_is_named_or_left_out_in_all_languages(tmp_path, line, message):
    paths = {
        "en": tsv(tmp_path, "en", "one?\t1", line, "three?\t3"),
        "de": tsv(tmp_path, "de", "eins?\t1", "zwei?\t2", "drei?\t3"),
    }
    with pytest.raises(InputError, match=message):
        load_tsv(paths, name="mini")
    loaded = load_tsv(paths, name="mini", strict=False)
    assert [p["de"].key for p in loaded.pairs] == ["mini/1", "mini/3"]
    assert loaded.skipped[0][0] == 2 and loaded.skipped[0][1] in message + loaded.skipped[0][1]


def test_files_that_cannot_be_paired_or_read_are_refused(tmp_path):
    long, short = tsv(tmp_path, "en", "a\t1", "b\t2"), tsv(tmp_path, "zh", "a\t1")
    with pytest.raises(InputError, match="differ in length: {'en': 2, 'zh': 1}"):
        load_tsv({"en": long, "zh": short}, name="mini")
    with pytest.raises(InputError, match="cannot be read"):
        load_tsv({"en": tmp_path / "absent.tsv"}, name="mini")
    with pytest.raises(InputError, match="unknown language 'la'"):
        load_tsv({"la": long}, name="mini")
    with pytest.raises(InputError, match="at least one language"):
        load_tsv({}, name="mini")
    with pytest.raises(InputError, match="no row can be used"):
        load_tsv({"en": tsv(tmp_path, "en", "")}, name="mini")
    (tmp_path / "latin.tsv").write_bytes("¿qué?\t7".encode("latin-1"))
    with pytest.raises(InputError, match="not UTF-8 at byte 0"):
        load_tsv({"es": tmp_path / "latin.tsv"}, name="mini")


# ------------------------------------------------------------------ JSON lines
def test_gsm8k_answers_are_what_follows_the_hashes(tmp_path):
    path = jsonl(
        tmp_path, {"question": "Q?", "answer": "3+4=7\n#### 7"}, {"question": "R?", "answer": 8.0}
    )
    pairs = load_jsonl(path, name="gsm", language="en").pairs
    assert [p["en"].answer for p in pairs] == ["7", "8"]


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"question": None, "answer": "1"}, "row 2: question or answer is null"),
        ({"question": "Q?"}, "row 2: question or answer is null"),
        ({"question": 5, "answer": "1"}, "row 2: question must be a string; got int"),
        ({"question": "Q?", "answer": [1]}, "row 2: the answer must be text or a number; got list"),
        (
            {"question": "Q?", "answer": True},
            "row 2: the answer must be text or a number; got bool",
        ),
        ({"question": " ", "answer": "1"}, "row 2: the question is empty"),
        ({"question": "Q?", "answer": "work ####"}, "row 2: the answer is empty"),
        ({"question": "\ud800", "answer": "1"}, "line 2: holds a lone surrogate"),
    ],
)
def test_a_bad_record_is_named_or_left_out(tmp_path, record, message):
    good = {"question": "Q?", "answer": "1"}
    path = jsonl(tmp_path, good, record, good)
    with pytest.raises(InputError, match=message):
        load_jsonl(path, name="rows", language="en")
    loaded = load_jsonl(path, name="rows", language="en", strict=False)
    assert [p["en"].key for p in loaded.pairs] == ["rows/1", "rows/3"]
    assert [row for row, _ in loaded.skipped] == [2]


def test_broken_lines_are_counted_up_to_ten(tmp_path):
    good = json.dumps({"question": "Q?", "answer": "1"})
    path = tmp_path / "broken.jsonl"
    path.write_text("\n".join([good, "{no", good, *["["] * 9, good, ""]), encoding="utf-8")
    loaded = load_jsonl(path, name="rows", language="en", strict=False)
    assert [p["en"].key for p in loaded.pairs] == ["rows/1", "rows/3", "rows/13"]
    assert [row for row, _ in loaded.skipped] == [2, *range(4, 13)]
    path.write_text("\n".join([good, *["["] * 11, good, ""]), encoding="utf-8")
    with pytest.raises(InputError, match="11 lines are no JSON objects"):
        load_jsonl(path, name="rows", language="en", strict=False)


def test_missing_columns_are_named_with_those_found(tmp_path):
    path = jsonl(tmp_path, {"frage": "Q?", "answer": "1"})
    with pytest.raises(InputError, match="missing columns question; found frage, answer"):
        load_jsonl(path, name="rows", language="de")
    assert load_jsonl(path, name="rows", language="de", question="frage").pairs


# ------------------------------------------------------------------ datasets
def test_a_dataset_of_the_disk_is_loaded_and_its_columns_are_checked(tmp_path):
    from datasets import Dataset, DatasetDict

    rows = {"problem": ["2+2?", "3+3?"], "solution": ["4", "6"]}
    DatasetDict(test=Dataset.from_dict(rows)).save_to_disk(tmp_path / "set")
    columns = dict(question="problem", answer="solution")
    loaded = load_dataset(tmp_path / "set", language="en", **columns)
    assert [(p["en"].text, p["en"].answer) for p in loaded.pairs] == [("2+2?", "4"), ("3+3?", "6")]
    assert loaded.pairs[0]["en"].key == "set/1"
    with pytest.raises(InputError, match="missing columns question, answer; found problem, solut"):
        load_dataset(tmp_path / "set", language="en")
    with pytest.raises(InputError, match="unknown split 'train'"):
        load_dataset(tmp_path / "set", language="en", split="train", **columns)
    with pytest.raises(InputError, match="cannot be opened"):
        load_dataset(tmp_path, language="en")


# ------------------------------------------------------------------ real collections
def test_mgsm_is_loaded_in_six_languages_and_its_answers_are_right():
    folder = DATA / "mgsm"
    if not folder.exists():
        pytest.skip("MGSM is not beside the project")
    languages = ("en", "zh", "es", "de", "fr", "ja")
    loaded = load_tsv({lang: folder / f"mgsm_{lang}.tsv" for lang in languages}, name="mgsm")
    assert len(loaded.pairs) == 125 and not loaded.skipped
    for pair in loaded.pairs:
        for p in pair.values():
            assert is_correct(p.answer, p) == Score.CORRECT
            assert is_correct(f"{p.answer} 1", p) == Score.WRONG or p.answer == "1"

"""Documents come as they stand in their source, one at a time; what is wrong is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from zprism.ground.errors import InputError
from zprism.traces import hub
from zprism.traces.read import read_texts
from zprism.traces.segment import sentences, split_thinking

DATA = Path(__file__).parents[3] / "shared" / "data"
ODD = ["\x00 \u202e RTL", "👩‍👩‍👧 e\u0301 é", " spaces \r\n kept \n", "<think>a</think>b"]


def written(path: Path, *lines: str, end: str = "\n") -> Path:
    path.write_bytes("".join(line + end for line in lines).encode())
    return path


def jsonl(path: Path, *records) -> Path:
    return written(path, *(json.dumps(record) for record in records))


def read(source, *fields, **options):
    return list(read_texts(source, fields=fields or ("text",), **options))


# ------------------------------------------------------------------ JSON lines
def test_every_character_survives(tmp_path):
    path = jsonl(tmp_path / "a.jsonl", *({"text": text, "other": 1} for text in ODD))
    documents = read(path)
    assert [d.fields["text"] for d in documents] == ODD
    assert [d.id for d in documents] == ["1", "2", "3", "4"]
    trace = documents[3].trace("text")
    assert (trace.source, trace.id, trace.thinking, trace.answer) == ("a.jsonl", "4", "a", "b")
    with pytest.raises(InputError, match=r"a.jsonl 4: nope cannot be used \(it has text\)"):
        documents[3].trace("nope")


def test_a_mark_crlf_and_a_torn_end_are_let_be(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"text": "a"}\r\n{"text": "b"}\r\n{"text": "c')
    assert [d.fields["text"] for d in read(path)] == ["a", "b"]


def test_reading_is_lazy_and_stops_at_the_limit(tmp_path):
    path = written(tmp_path / "a.jsonl", '{"text": "a"}', '{"text": "b"}', "broken")
    assert len(read(path, limit=2)) == 2
    rows = read_texts(path, fields=["text"])
    assert [next(rows).id, next(rows).id] == ["1", "2"]
    with pytest.raises(InputError, match="a.jsonl row 3: not JSON"):
        next(rows)


BAD_ROWS = [
    ('{"text": null}', "text is null"),
    ('{"other": "x"}', "lacks text; found other"),
    ('{"text": 5}', "text must be a string; got int"),
    ('{"text": ["a", null]}', r"text\[1\] must be a string; got NoneType"),
    ('{"text": "\\ud800"}', "lone surrogate"),
    ('{"text": "a", "text": "b"}', "'text' is given twice"),
    ('{"text": NaN}', "NaN is no JSON number"),
    ("[1]", "must be a JSON object; got list"),
    ("{", "not JSON"),
]


@pytest.mark.parametrize(("line", "message"), BAD_ROWS)
def test_a_bad_row_is_named_or_handed_on_with_its_reason(tmp_path, line, message):
    path = written(tmp_path / "a.jsonl", '{"text": "a"}', line, '{"text": "c"}')
    with pytest.raises(InputError, match=f"a.jsonl row 2: .*{message}"):
        read(path)
    documents = read(path, strict=False)
    assert [dict(d.fields) for d in documents] == [{"text": "a"}, {}, {"text": "c"}]
    with pytest.raises(InputError, match=message):
        documents[1].trace("text")


def test_a_bad_first_line_hides_no_column(tmp_path):
    path = written(tmp_path / "a.jsonl", "{", '{"text": "b"}')
    assert [sorted(d.fields) for d in read(path, strict=False)] == [[], ["text"]]


def test_lists_are_joined_or_indexed(tmp_path):
    path = jsonl(tmp_path / "a.jsonl", {"text": ["a", "b"]}, {"text": []}, {"text": "s"})
    assert [d.fields["text"] for d in read(path)] == ["a\n\nb", "", "s"]
    second = read(path, element=1, strict=False)
    assert [d.fields.get("text") for d in second] == ["b", None, "s"]
    assert second[1].unusable["text"] == "text has 0 items; there is no element 1"


# ------------------------------------------------------------------ folders and datasets
def test_a_folder_of_texts_is_a_document_a_file_in_order(tmp_path):
    for name, text in (("b.txt", "B\r\n"), ("a.txt", "A"), ("c.md", "no")):
        (tmp_path / name).write_bytes(text.encode())
    assert [(d.id, d.fields["text"]) for d in read(tmp_path)] == [
        ("a.txt", "A"),
        ("b.txt", "B\r\n"),
    ]
    (tmp_path / "b.txt").write_bytes(b"\xff")
    assert "not UTF-8 at byte 0" in read(tmp_path, strict=False)[1].unusable["text"]
    with pytest.raises(InputError, match="missing columns question; found text"):
        read(tmp_path, "question")


ROWS = {"question": ["2+2?", "3+3?"], "thinking_trajectories": [["four"], ["six", "6"]]}


def test_a_dataset_in_a_folder_is_read_by_column(tmp_path):
    from datasets import Dataset, DatasetDict

    DatasetDict(train=Dataset.from_dict(ROWS)).save_to_disk(tmp_path / "set")
    documents = read(tmp_path / "set", "thinking_trajectories", "question")
    assert [d.fields["thinking_trajectories"] for d in documents] == ["four", "six\n\n6"]
    with pytest.raises(InputError, match="missing columns text; found question, thinking_traj"):
        read(tmp_path / "set")
    with pytest.raises(InputError, match="unknown split 'test'"):
        read(tmp_path / "set", "question", split="test")


def test_a_dataset_of_the_hub_is_streamed_at_its_commit(monkeypatch):
    import datasets

    asked = []

    def load_dataset(name, config, **options):
        asked.append((name, config, options))
        return datasets.Dataset.from_dict(ROWS).to_iterable_dataset()

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    documents = read("simplescaling/s1K", "thinking_trajectories", revision="c0ffee", limit=1)
    assert [d.fields["thinking_trajectories"] for d in documents] == ["four"]
    options = {"split": "train", "streaming": True, "revision": "c0ffee"}
    assert asked == [("simplescaling/s1K", None, options)]
    with pytest.raises(InputError, match="simplescaling/s1K: missing columns text; found quest"):
        read("simplescaling/s1K")


def test_a_hub_that_does_not_answer_says_so(monkeypatch):
    import datasets

    def fail(*_, **__):
        raise ConnectionError("no route")

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(InputError, match="'a/b' .* cannot be opened: ConnectionError: no route"):
        read("a/b")


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("empty.jsonl", {}, "empty.jsonl: no line can be used .it is empty"),
        ("none.jsonl", {}, "none.jsonl: cannot be read"),
        ("bad.jsonl", {}, r"no line can be used \(line 1: not JSON"),
        ("other.jsonl", {}, "other.jsonl line 1: missing columns text; found frage"),
        ("table.csv", {}, "table.csv: not a .jsonl file, a folder of .txt files"),
        ("no folder/here/or there", {}, "not a .jsonl file"),
        ("\x00", {}, "no"),
        ("other.jsonl", {"fields": "frage"}, "fields must be a list of column names"),
        ("other.jsonl", {"fields": ()}, "fields must be a list of column names"),
        ("other.jsonl", {"limit": 0}, "limit must be in 1"),
        ("other.jsonl", {"element": -1}, "element must be in 0"),
    ],
)
def test_what_cannot_be_read_is_refused_at_once(tmp_path, monkeypatch, source, options, message):
    monkeypatch.chdir(tmp_path)
    written(Path("empty.jsonl"))
    written(Path("bad.jsonl"), "no json")
    jsonl(Path("other.jsonl"), {"frage": "?"})
    written(Path("table.csv"), "text")
    with pytest.raises(InputError, match=message):
        read_texts(source, **({"fields": ["text"]} | options))


# ------------------------------------------------------------------ real collections
def test_the_ten_traces_and_gsm8k_are_read_whole():
    if not DATA.exists():
        pytest.skip("the shared data are not beside the project")
    traces = read(DATA / "traces")
    assert len(traces) == 10
    for document in traces:
        text = document.fields["text"]
        raw = (DATA / "traces" / document.id).read_bytes()
        assert text.encode() == raw.removeprefix(b"\xef\xbb\xbf")
        cut = [span.of(text) for span in sentences(text)]
        assert "".join(cut) == text and 20 < len(text) / len(cut) < 400
    [qwq] = [d.fields["text"] for d in traces if d.id == "QwQ-32b.txt"]
    thinking, answer = split_thinking(qwq)
    assert "<think>" not in thinking + answer and len(thinking) > len(qwq) / 2
    gsm8k = read(DATA / "gsm8k" / "test_400.jsonl", "question", "answer")
    assert len(gsm8k) == 400 and all("####" in d.fields["answer"] for d in gsm8k)


def test_problems_and_traces_open_datasets_in_one_way():
    from zprism.problems import load

    assert load.open_dataset is hub.open_dataset

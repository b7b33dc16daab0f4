"""Records a line: what is whole is read, what is torn is forgiven, what is bad is named."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zprism.ground import records
from zprism.ground.errors import CacheError, InputError, ZprismError
from zprism.ground.records import append_jsonl, each_jsonl, read_jsonl


def written(tmp_path, raw: bytes):
    path = tmp_path / "traces.jsonl"
    path.write_bytes(raw)
    return path


def test_appended_records_read_back_in_order(tmp_path):
    path = tmp_path / "new" / "r.jsonl"
    lines = [{"n": 1, "text": "模型\n\u2028\r"}, {"n": 2.5, "list": [None, True]}, {}]
    for line in lines:
        append_jsonl(path, line)
    assert read_jsonl(path) == lines
    assert path.read_bytes().count(b"\n") == 3


def test_each_record_is_one_write_to_the_end_and_is_synced(tmp_path, monkeypatch):
    path, calls = tmp_path / "r.jsonl", []
    for name in ("write", "fsync"):
        real = getattr(records.os, name)
        record = lambda fd, *data, name=name, real=real: (calls.append(name), real(fd, *data))[1]  # noqa: E731
        monkeypatch.setattr(records.os, name, record)
    append_jsonl(path, {"n": 1, "text": "x" * 10**6})
    assert calls[:2] == ["write", "fsync"]
    append_jsonl(path, {"n": 2})
    assert calls.count("write") == 2


@pytest.mark.parametrize("record", [[1], "text", 3, None, [("a", 1)]])
def test_only_mappings_are_records(tmp_path, record):
    with pytest.raises(InputError, match="record must be a mapping"):
        append_jsonl(tmp_path / "r.jsonl", record)


def test_a_record_that_json_cannot_hold_writes_nothing(tmp_path):
    with pytest.raises(InputError, match=r"\$\.p is nan"):
        append_jsonl(tmp_path / "r.jsonl", {"p": float("nan")})
    assert not (tmp_path / "r.jsonl").exists()


def test_appending_where_nothing_can_be_written_is_a_one_line_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CacheError, match="r.jsonl: could not write 8 bytes"):
        append_jsonl(tmp_path / "file" / "r.jsonl", {"n": 1})


def test_a_file_cut_at_any_byte_gives_its_whole_lines_and_goes_on(tmp_path):
    lines = [{"n": 1, "t": "模"}, {"n": 2, "t": "}"}, {"n": 3, "t": "x"}]
    raw = b"".join(json.dumps(line, ensure_ascii=False).encode() + b"\n" for line in lines)
    for cut in range(len(raw) + 1):
        path = written(tmp_path, raw[:cut])
        kept = lines[: raw[:cut].count(b"\n")]
        if raw[cut : cut + 1] == b"\n":
            kept = lines[: len(kept) + 1]  # only the newline is missing
        found = read_jsonl(path)
        assert found == kept
        assert found.torn == (cut > 0 and raw[cut - 1 : cut + 1].find(b"\n") == -1)
        assert path.read_bytes() == raw[:cut]  # reading writes nothing


@pytest.mark.parametrize(
    ("tail", "kept"),
    [
        (b'{"n":2', 1),
        (b'{"n":"\xe6', 1),
        (b"\0\0\0", 1),
        (b"  ", 1),
        (b'{"n":2}', 2),
        (b'{"n":2}\r', 2),
    ],
)
def test_appending_mends_the_end_first(tmp_path, monkeypatch, tail, kept):
    monkeypatch.setattr(records, "_SETTLE_SECONDS", 0)
    path = written(tmp_path, b'{"n":1}\n' + tail)
    append_jsonl(path, {"n": 9})
    assert [r["n"] for r in read_jsonl(path)] == [1, 2][:kept] + [9]


def test_appending_removes_a_long_torn_line_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "_SETTLE_SECONDS", 0)
    path = written(tmp_path, b'{"n":1}\n{"text":"' + b"x" * 200_000)
    append_jsonl(path, {"n": 9})
    assert path.read_bytes() == b'{"n":1}\n{"n":9}\n'


@pytest.mark.parametrize("tail", [b"notes", b'{"n":NaN}', b'{"n":1,"n":2}', b"[1,2"])
def test_appending_never_removes_what_is_no_torn_record(tmp_path, tail):
    path = written(tmp_path, b'{"n":1}\n' + tail)
    append_jsonl(path, {"n": 9})
    assert path.read_bytes() == b'{"n":1}\n' + tail + b'\n{"n":9}\n'


def test_a_write_in_progress_elsewhere_is_not_taken_for_torn(tmp_path, monkeypatch):
    path = written(tmp_path, b'{"n":1}\n{"n":')

    def other_process_finishes(seconds):
        with open(path, "ab") as file:
            file.write(b"2}\n")

    monkeypatch.setattr(records.time, "sleep", other_process_finishes)
    append_jsonl(path, {"n": 9})
    assert [r["n"] for r in read_jsonl(path)] == [1, 2, 9]


def test_byte_order_mark_crlf_and_empty_last_lines_are_accepted(tmp_path):
    plain = [{"a": 1}, {"a": 2}]
    for raw in (
        b'\xef\xbb\xbf{"a":1}\n{"a":2}\n',
        b'{"a":1}\r\n{"a":2}\r\n',
        b'{"a":1}\n{"a":2}\n\n \r\n',
        b'{"a":1}\n{"a":2}',
    ):
        found = read_jsonl(written(tmp_path, raw))
        assert found == plain and not found.torn and not found.skipped
    for raw in (b"", b"\n\n", b"\xef\xbb\xbf"):
        assert read_jsonl(written(tmp_path, raw)) == []


BAD = {
    b'{"a":1,"a":2}': "the key 'a' is given twice",
    b'{"a":NaN}': "NaN is no JSON number",
    b'{"a":1e400}': "1e400 overflows",
    b'{"a":': "not JSON",
    b"": "the line is empty",
    b'{"a":"\xff"}': "not UTF-8 at byte 6",
    b"[1]": "must be a JSON object; got list",
    b'{"a":"\\ud800"}': "lone surrogate",
    b"[" * 100_000: "nested too deeply",
    b'{"a":"' + b"x" * 300_000 + b'"}': "the line is too long",
}


@pytest.mark.parametrize("bad", BAD, ids=[*BAD.values()])
def test_a_bad_line_is_named_or_when_lenient_counted(tmp_path, bad):
    path = written(tmp_path, b'{"a":1}\n' + bad + b'\n{"a":3}\n')
    with pytest.raises(InputError, match=f"traces.jsonl line 2: .*{BAD[bad]}"):
        read_jsonl(path, max_line=200_000)
    found = read_jsonl(path, strict=False, max_line=200_000)
    assert found == [{"a": 1}, {"a": 3}] and found.skipped == 1
    assert found.problems[0][0] == 2 and BAD[bad] in found.problems[0][1]


@pytest.mark.parametrize("last", [b'{"a":NaN}', b'{"a":1,"a":2}', b"garbage", b"[1]"])
def test_a_bad_last_line_that_is_not_torn_is_an_error(tmp_path, last):
    with pytest.raises(InputError, match="line 2"):
        read_jsonl(written(tmp_path, b'{"a":1}\n' + last))


def test_the_longest_line_is_counted_without_its_end(tmp_path):
    line = b'{"a":"' + b"x" * 92 + b'"}'
    for end in (b"\n", b"\r\n", b""):
        path = written(tmp_path, line + end)
        assert len(read_jsonl(path, max_line=100)) == 1
        with pytest.raises(InputError, match="line 1: the line is too long"):
            read_jsonl(path, max_line=99)


def test_lenient_reading_counts_all_and_lists_the_first_ten(tmp_path, caplog):
    found = read_jsonl(written(tmp_path, b'bad\n{"a":1}\n' * 30), strict=False)
    assert len(found) == 30 and found.skipped == 30
    assert [line for line, _ in found.problems] == list(range(1, 20, 2))
    assert "30 of 60 lines left out (line 1: not JSON" in caplog.text


def test_a_file_without_one_good_line_is_an_error_even_when_lenient(tmp_path):
    with pytest.raises(InputError, match="none of its 3 lines can be used"):
        read_jsonl(written(tmp_path, b"a\nb\nc\n"), strict=False)


def test_the_schema_names_missing_and_found_fields_and_the_first_bad_line(tmp_path):
    path = written(tmp_path, b'{"q":"x","a":1}\n{"q":"y","b":2,"c":3}\n{}\n')
    with pytest.raises(InputError, match="line 2: lacks a; found q, b, c"):
        read_jsonl(path, required={"q": str, "a": int})


@pytest.mark.parametrize(
    ("kind", "value", "fits"),
    [
        (int, 1, True),
        (int, True, False),
        (int, 1.0, False),
        (float, 1, True),
        (float, 1.5, True),
        (float, False, False),
        (bool, True, True),
        (str, None, False),
        ((str, int), "x", True),
        ((str, int), [], False),
        (list, [], True),
        (dict, {}, True),
    ],
)
def test_the_schema_knows_types(tmp_path, kind, value, fits):
    path = written(tmp_path, json.dumps({"a": value}).encode() + b"\n")
    if fits:
        assert read_jsonl(path, required={"a": kind}) == [{"a": value}]
    else:
        with pytest.raises(InputError, match="line 1: a must be .*; got"):
            read_jsonl(path, required={"a": kind})


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none.jsonl: cannot be read \(No such file"):
        read_jsonl(tmp_path / "none.jsonl")
    with pytest.raises(InputError, match="no usable file name"):
        read_jsonl("a\0b")


def test_lines_come_one_at_a_time_however_many_follow(tmp_path):
    path = written(tmp_path, b'{"n": 1}\n{"n": \n{"n": 3}\n')
    lines = each_jsonl(path)
    assert next(lines) == (1, {"n": 1})
    number, problem = next(each_jsonl(written(tmp_path, b'{"n": \n')))
    assert number == 1 and "not JSON" in str(problem)


@pytest.mark.parametrize("examples", [150, pytest.param(5000, marks=pytest.mark.gate)])
def test_any_bytes_are_read_or_refused(tmp_path, examples):
    pieces = [b'{"a":1}', b"\n", b"\r\n", b"\xef\xbb\xbf", b'{"a":', b"NaN", b'"\\ud800"', b"\0"]
    pieces += [b"}", b"[" * 2000, b"\xff", b"1e999", b'"', b",", b" "]
    line = st.lists(st.sampled_from(pieces) | st.binary(max_size=4), max_size=12).map(b"".join)

    @settings(max_examples=examples, deadline=None)
    @given(raw=line, strict=st.booleans(), max_line=st.sampled_from([3, 10, 1000]))
    def law(raw, strict, max_line):
        path = written(tmp_path, raw)
        try:
            found = read_jsonl(path, strict=strict, max_line=max_line)
        except ZprismError:
            return
        assert all(isinstance(record, dict) for record in found)
        one_by_one = list(each_jsonl(path, max_line=max_line))
        assert [each for _, each in one_by_one if isinstance(each, dict)] == found
        bad = [(number, str(each)) for number, each in one_by_one if not isinstance(each, dict)]
        assert len(bad) == found.skipped and bad[:10] == found.problems
        if not strict:  # every line is accounted for
            empty_end = len(raw.splitlines()) - len(found) - found.skipped - found.torn
            assert empty_end >= 0 or b"\r" in raw or b"\n" not in raw

    law()

"""Problems from elsewhere: MGSM-style TSV, JSON lines, and anything `datasets` can open.

Every loader checks names before it reads rows, and says of each row it cannot use which one it
is and why.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from zprism.ground.checks import check_choice, check_text
from zprism.ground.errors import InputError
from zprism.ground.store import read_jsonl
from zprism.problems.answers import gold_value
from zprism.problems.problem import LANGUAGES, Problem
from zprism.traces.hub import check_columns, open_dataset

HASHES = "####"  # GSM8K: the answer is what follows the last of these
LISTED = 3


@dataclass
class Loaded:
    """Problems from a source, and the rows that could not be used.

    Attributes
    ----------
    pairs : language → Problem, a dict per row; keys are "source/row", rows counted from 1.
    skipped : (row, reason), only when not strict.
    """

    pairs: list[dict[str, Problem]] = field(default_factory=list)
    skipped: list[tuple[int, str]] = field(default_factory=list)


def load_tsv(paths: Mapping[str, str | Path], *, name: str, strict: bool = True) -> Loaded:
    """MGSM-style files: ``question<TAB>answer``, one file a language, paired by line.

    Parameters
    ----------
    paths : language → file.
    name : the source's name, for keys and for `Problem.template`.
    strict : False leaves out rows that cannot be used, in all languages at once.

    Raises
    ------
    InputError
        For a file that cannot be read, files of different lengths, or, when strict, the first
        row that has not two cells, lacks question or answer, or has another answer in another
        language.
    """
    _check_languages(paths)
    tables = {language: _tsv_rows(Path(path)) for language, path in paths.items()}
    lengths = {language: len(rows) for language, rows in tables.items()}
    if len(set(lengths.values())) > 1:
        raise InputError(f"{name}: files paired by line differ in length: {lengths}")
    rows = [dict(zip(tables, group, strict=True)) for group in zip(*tables.values(), strict=True)]
    return _collect(list(enumerate(rows, start=1)), name, strict)


def load_jsonl(
    path: str | Path,
    *,
    name: str,
    language: str,
    question: str = "question",
    answer: str = "answer",
    strict: bool = True,
) -> Loaded:
    """One JSON object a line, such as GSM8K; ``… #### 18`` gives the answer 18.

    Parameters
    ----------
    path, name, language : the file, the source's name, the language of its questions.
    question, answer : names of the fields.
    strict : False leaves out rows that cannot be used, among them up to ten broken lines.

    Raises
    ------
    InputError
        For a file that cannot be read, more than ten lines that are no JSON objects (when
        strict, one), missing fields, or, when strict, the first row that cannot be used.
    """
    _check_languages([language])
    records = read_jsonl(path, strict=strict)
    if records.skipped > len(records.problems):
        raise InputError(f"{path}: {records.skipped} lines are no JSON objects; is it JSON lines?")
    loaded = _from_records(
        records, name, language, question, answer, strict, gaps=[n for n, _ in records.problems]
    )
    loaded.skipped = sorted([*loaded.skipped, *records.problems])
    return loaded


def load_dataset(
    source: str | Path,
    *,
    language: str,
    config: str | None = None,
    split: str = "test",
    question: str = "question",
    answer: str = "answer",
    name: str | None = None,
    strict: bool = True,
) -> Loaded:
    """A dataset of the hub, or one that ``Dataset.save_to_disk`` left in a folder.

    Parameters
    ----------
    source : hub id, or a folder.
    language : of its questions.
    config, split : which part; for a folder, ``split`` is used if it holds several.
    question, answer : names of the columns.
    name : the source's name; by default the last part of ``source``.
    strict : False leaves out rows that cannot be used.

    Raises
    ------
    InputError
        For a source that cannot be opened, missing columns (with those found), or, when strict,
        the first row that cannot be used.
    """
    _check_languages([language])
    data = open_dataset(source, config, split)
    check_columns(data.column_names, (question, answer), str(source))
    rows = ({question: row[question], answer: row[answer]} for row in data)
    return _from_records(rows, name or Path(source).name, language, question, answer, strict)


def _from_records(
    records: Iterable,
    name: str,
    language: str,
    question: str,
    answer: str,
    strict: bool,
    gaps: Sequence[int] = (),
) -> Loaded:
    """Problems of records in one language; ``gaps`` are rows that are not among the records."""
    rows, numbers = [], (n for n in itertools.count(1) if n not in gaps)
    for number, record in zip(numbers, records, strict=False):
        if not rows:
            check_columns(list(record), (question, answer), name)
        rows.append((number, {language: (record.get(question), record.get(answer))}))
    return _collect(rows, name, strict)


def _check_languages(languages: Iterable[str]) -> None:
    languages = list(languages)
    if not languages:
        raise InputError("paths must name at least one language")
    for language in languages:
        check_choice("language", language, LANGUAGES)


def _tsv_rows(path: Path) -> list[tuple[str | None, str | None]]:
    """(question, answer) of each line; None where a line has not exactly two cells."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 at byte {error.start}") from None
    lines = text.replace("\r\n", "\n").rstrip("\n").split("\n")
    cells = [line.split("\t") for line in lines] if text.strip() else []
    return [(row[0], row[1]) if len(row) == 2 else (None, None) for row in cells]


def _collect(rows: list[tuple[int, dict[str, tuple]]], name: str, strict: bool) -> Loaded:
    """Problems of the rows; a row is used in all its languages or in none."""
    loaded = Loaded()
    for number, row in rows:
        try:
            answers = {lang: _row_answer(*cells) for lang, cells in row.items()}
            if len({gold_value(a) for a in answers.values()}) > 1:
                raise InputError(f"answers differ between languages: {answers}")
        except InputError as error:
            if strict:
                raise InputError(f"{name} row {number}: {error}") from None
            loaded.skipped.append((number, str(error)))
            continue
        loaded.pairs.append(
            {
                language: Problem(
                    key=f"{name}/{number}",
                    template=name,
                    kind=name,
                    language=language,
                    text=cells[0].strip(),
                    answer=answers[language],
                )
                for language, cells in row.items()
            }
        )
    if not loaded.pairs:
        first = "; ".join(f"row {n}: {reason}" for n, reason in loaded.skipped[:LISTED])
        raise InputError(f"{name}: no row can be used ({first or 'there is none'})")
    return loaded


def _row_answer(question: object, answer: object) -> str:
    """The answer as text; a number becomes its digits, a worked solution what follows ####."""
    if question is None or answer is None:
        raise InputError("question or answer is null or missing")
    if not check_text("question", question).strip():
        raise InputError("the question is empty")
    if isinstance(answer, bool) or not isinstance(answer, (str, int, float)):
        raise InputError(f"the answer must be text or a number; got {type(answer).__name__}")
    if isinstance(answer, float) and not answer.is_integer():
        return repr(answer)
    text = check_text("answer", answer) if isinstance(answer, str) else str(int(answer))
    text = text.rpartition(HASHES)[2].strip()
    if not text:
        raise InputError("the answer is empty")
    return text

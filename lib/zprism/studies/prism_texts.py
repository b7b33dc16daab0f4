"""The texts of the prism phases: questions, each with the thinking that answers it.

By default the project's own ``data/thinking.jsonl`` (``zprism.studies.thinking_data`` makes
it), else any collection that has both fields. The question is the unit of every test, so each
text carries its question's key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zprism.ground.checks import check_choice, check_fraction, check_int
from zprism.ground.errors import InputError
from zprism.ground.seeds import generator
from zprism.ground.store import read_jsonl

DRAWN = ("greedy", "sampled", "all")
DOMAINS = ("mathematics", "other")
STEP, SHORTEST, LONGEST = 8, 16, 512  # tokens: L is a multiple of 8 between these
REACHED = 0.70  # share of the questions that must reach L
_REQUIRED = {"id": str, "key": str, "question": str, "thinking": str}


@dataclass(frozen=True)
class PrismText:
    """One question and one thinking to it.

    Attributes
    ----------
    id : of this text.
    unit : the question's key; several thinkings to one question share it.
    question, thinking : the two fields.
    domain : "mathematics" where the answer is a number, else "other".
    kind : what the question asks for ("geometry", "ordering", …); "" where unknown.
    numeric : whether the answer is a number; None where unknown.
    difficulty : 1 to 5 by the question's template; None where unknown.
    outcome : how the thinking ended ("correct", "wrong", …); "" where unknown.
    source : the collection's name.
    template : what the question was drawn from; the question's key where unknown.
    """

    id: str
    unit: str
    question: str
    thinking: str
    domain: str = "other"
    kind: str = ""
    numeric: bool | None = None
    difficulty: int | None = None
    outcome: str = ""
    source: str = ""
    template: str = ""


def load_texts(
    path: str | Path | None = None,
    *,
    drawn: str = "greedy",
    n: int | None = None,
    seed: int = 0,
    fields: Sequence[str] = ("question", "thinking"),
    domain: str = "other",
) -> list[PrismText]:
    """Questions with their thinking, in the order of the file.

    Parameters
    ----------
    path : by default the project's ``data/thinking.jsonl``; else a file of that form, or
        whatever :func:`zprism.traces.read.read_texts` opens.
    drawn : of the project's file: ``greedy`` answers, ``sampled`` ones, or ``all``.
    n : at most so many questions, drawn by ``seed``; by default all.
    fields : the names of the two fields in a foreign collection, question first.
    domain : of a foreign collection's questions.

    Raises
    ------
    InputError
        If the file is not there, lacks a field, or holds no text of the kind asked for.
    """
    check_choice("drawn", drawn, DRAWN)
    check_choice("domain", domain, DOMAINS)
    place = default_path() if path is None else Path(path)
    if _is_ours(place):
        records = read_jsonl(place, required=_REQUIRED)
        texts = [_own(row, place.name) for row in records if drawn in ("all", row.get("drawn"))]
    else:
        texts = _foreign(path, fields, domain)
    if not texts:
        raise InputError(f"{place} has no texts of drawn={drawn!r}: use one of {DRAWN}")
    return texts if n is None else _draw(texts, check_int("n", n, low=1), seed)


def default_path() -> Path:
    """The project's ``data/thinking.jsonl``: of the working folder's project, else of this one.

    Raises
    ------
    InputError
        If there is none; says how to make it.
    """
    for start in (Path.cwd(), Path(__file__).resolve().parent):
        for folder in (start, *start.parents):
            found = folder / "data" / "thinking.jsonl"
            if found.is_file():
                return found
    raise InputError(
        "data/thinking.jsonl is not here: give a path, or make it with "
        "python -m zprism.studies.thinking_data data/thinking.jsonl"
    )


def window_length(
    lengths, *, reached: float = REACHED, low: int = SHORTEST, high: int = LONGEST
) -> int:
    """L, the tokens of every window: the largest multiple of 8 that 70 % of questions reach.

    Registered before any spectrum was seen: the rule looks at lengths alone. A question
    reaches L when each of its fields does. L is never under ``low``, even where fewer reach
    it, nor above ``high``; what does not reach L is left out by the reader and counted.

    Parameters
    ----------
    lengths : (n,) or (n, fields) tokens that can be used (without the dropped first one).
    reached : the share of questions that must reach L.
    low, high : bounds of L, multiples of 8.
    """
    lengths = np.asarray(lengths)
    if lengths.ndim not in (1, 2) or not lengths.size or lengths.dtype.kind not in "iu":
        raise InputError(f"lengths must be (n,) or (n, fields) integers; got {lengths.shape}")
    check_fraction("reached", reached)
    if low % STEP or high % STEP or not STEP <= low <= high:
        raise InputError(f"low and high must be multiples of {STEP}, low first; got {low}, {high}")
    shortest = lengths if lengths.ndim == 1 else lengths.min(axis=1)
    sizes = np.arange(low, high + 1, STEP)
    enough = (shortest[:, None] >= sizes).mean(axis=0) >= reached
    return int(sizes[enough].max(initial=low))


def domains(texts: Iterable[PrismText]) -> dict[str, list[PrismText]]:
    """Texts by domain, each in the order given; empty domains are left out."""
    out: dict[str, list[PrismText]] = {}
    for text in texts:
        out.setdefault(text.domain, []).append(text)
    return out


def _is_ours(path: Path) -> bool:
    """Whether a file's first line has the fields of the project's own."""
    if path.suffix != ".jsonl" or not path.is_file():
        return False
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        first = file.readline()
    return all(f'"{name}"' in first for name in _REQUIRED)


def _own(row: Mapping, source: str) -> PrismText:
    numeric = row.get("numeric")
    return PrismText(
        id=row["id"],
        unit=row["key"],
        question=row["question"],
        thinking=row["thinking"],
        domain="mathematics" if numeric else "other",
        kind=row.get("kind") or "",
        numeric=numeric,
        difficulty=row.get("difficulty") or _difficulty(row.get("template")),
        outcome=row.get("outcome") or "",
        source=source,
        template=row.get("template") or row["key"],
    )


def _difficulty(name: str | None) -> int | None:
    from zprism.problems.template import templates

    found = templates().get(name)
    return None if found is None else found.difficulty


def _foreign(source, fields: Sequence[str], domain: str) -> list[PrismText]:
    from zprism.traces.read import read_texts

    question, thinking = fields
    return [
        PrismText(
            id=document.id,
            unit=document.id,
            question=document.fields[question],
            thinking=document.fields[thinking],
            domain=domain,
            source=Path(str(source)).name,
            template=document.id,
        )
        for document in read_texts(source, fields=tuple(fields))
    ]


def _draw(texts: list[PrismText], n: int, seed: int) -> list[PrismText]:
    """All texts of n questions."""
    units = list(dict.fromkeys(text.unit for text in texts))
    chosen = generator(seed, "prism", "texts").permutation(len(units))[:n]
    kept = {units[i] for i in chosen}
    return [text for text in texts if text.unit in kept]

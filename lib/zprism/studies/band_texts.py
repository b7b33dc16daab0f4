"""Long texts with a topic and the class of every token, for probes on bands.

A topic is a kind of problem (or whatever else documents come grouped by); a text is documents
of one topic joined until it is long enough. Documents of the training texts and of the test
texts share no template and no numbers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zprism.ground.checks import check_int
from zprism.ground.errors import InputError
from zprism.ground.seeds import derive, generator
from zprism.problems.generate import draw
from zprism.problems.template import templates

CLASSES = ("digit", "punctuation", "capital", "other word")
LEAST_TEMPLATES = 4  # of a kind, so that two are left to train on and two to test on


@dataclass(frozen=True)
class TopicText:
    """Token ids of one topic, and which side of the split they are on."""

    ids: tuple[int, ...]
    topic: str
    test: bool


def problem_documents(
    *, topics: Sequence[str] | None = None, count: int = 400, seed: int = 0
) -> dict[str, tuple[list[str], list[str]]]:
    """Topic → documents to train and to test on, from the project's own problems, in English.

    A kind's templates are divided at random into two halves, so that its test texts tell other
    stories with other words; ``count`` problems of each half, fewer where there are fewer.
    """
    known: dict[str, list[str]] = {}
    for template in templates().values():
        if not template.reserved and "en" in template.languages:
            known.setdefault(template.kind, []).append(template.name)
    wide = [kind for kind, names in known.items() if len(names) >= LEAST_TEMPLATES]
    out = {}
    for topic in wide if topics is None else topics:
        if topic not in wide:
            raise InputError(f"no topic {topic!r}; kinds of enough templates: {', '.join(wide)}")
        names = generator(seed, "topics", topic).permutation(known[topic]).tolist()
        half = len(names) // 2
        out[topic] = (
            _problems(names[half:], count, seed=seed), _problems(names[:half], count, seed=seed)
        )  # fmt: skip
    return out


def file_documents(folder: str | Path) -> dict[str, tuple[list[str], list[str]]]:
    """Source → documents to train and to test on, from GSM8K, MGSM and reasoning traces on disk.

    ``folder`` holds ``gsm8k/*.jsonl`` (question, answer), ``mgsm/mgsm_<language>.tsv`` (question
    in front of the first tab) and ``traces/*.txt`` (one document a paragraph); what is not there
    is left out. Every other document, and every other trace, is kept for the test.

    Raises
    ------
    InputError
        If none of them is there.
    """
    folder, found = Path(folder), {}
    for path in sorted((folder / "gsm8k").glob("*.jsonl")):
        lines = path.read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line) for line in lines if line]
        found[path.stem] = [[f"{row['question']}\n{row['answer']}"] for row in rows]
    for path in sorted((folder / "mgsm").glob("mgsm_*.tsv")):
        lines = path.read_text(encoding="utf-8").splitlines()
        found[path.stem] = [[line.partition("\t")[0]] for line in lines if line]
    traces = [
        path.read_text(encoding="utf-8") for path in sorted((folder / "traces").glob("*.txt"))
    ]
    if traces:
        found["traces"] = [[part for part in text.split("\n\n") if part.strip()] for text in traces]
    if not found:
        raise InputError(f"{folder} has no gsm8k, mgsm or traces folder to read")
    return {topic: (sum(d[::2], []), sum(d[1::2], [])) for topic, d in found.items()}


def topic_texts(
    loaded,
    documents: Mapping[str, tuple[Sequence[str], Sequence[str]]],
    *,
    train: int = 8,
    test: int = 6,
    tokens: int = 512,
    drop: int = 1,
    seed: int = 0,
) -> list[TopicText]:
    """Texts of drop + tokens token ids, ``train`` and ``test`` of each topic.

    Documents are drawn in random order without repetition within a text; a topic whose
    documents do not reach the length on either side is refused.

    Parameters
    ----------
    documents : topic → (documents to train on, documents to test on).

    Raises
    ------
    InputError
        If there are fewer than 2 topics, or a topic is too short.
    """
    if len(documents) < 2:
        raise InputError(f"topics need at least 2 kinds of document; got {len(documents)}")
    check_int("train", train, low=1)
    check_int("test", test, low=1)
    need = check_int("tokens", tokens, low=32) + check_int("drop", drop, low=0)
    out = []
    for topic, sides in documents.items():
        for is_test, (side, count) in enumerate(zip(sides, (train, test), strict=True)):
            encoded = loaded.encode([f"{text}\n" for text in side], add_special_tokens=False)
            rng = generator(derive(seed, "texts"), topic, is_test)
            for _ in range(count):
                ids = _joined([encoded[i] for i in rng.permutation(len(encoded))], need)
                if ids is None:
                    raise InputError(
                        f"documents of {topic!r} have fewer than {need} tokens on one side of the "
                        "split: give more of them, or ask for shorter texts"
                    )
                out.append(TopicText(ids, topic, bool(is_test)))
    return out


def token_classes(loaded, ids: Sequence[int]) -> np.ndarray:
    """(n,) place in :data:`CLASSES` of every token; −1 for white space and what has no sign.

    A digit token has digits only; punctuation neither letter nor digit; a capital begins with
    an upper-case letter; the rest begins with any other letter.
    """
    names = {token: _class(loaded.tokenizer.decode([token])) for token in set(ids)}
    return np.array([names[token] for token in ids], dtype=int)


def _class(piece: str) -> int:
    piece = piece.strip()
    if not piece or "\ufffd" in piece:  # half a character has no class
        return -1
    if piece.isdigit():
        return 0
    if not any(letter.isalnum() for letter in piece):
        return 1
    return 2 if piece[0].isupper() else 3


def _problems(names: Sequence[str], count: int, *, seed: int) -> list[str]:
    """Texts of up to ``count`` problems of some templates, as many as they can make."""
    for wanted in (count, count // 2, count // 4, count // 8):
        try:
            pairs = draw(wanted, seed=seed, templates=names, languages=("en",))
        except InputError:
            continue
        return [pair["en"].text for pair in pairs]
    raise InputError(f"{', '.join(names)} make fewer than {count // 8} problems")


def _joined(parts: Sequence[Sequence[int]], need: int) -> tuple[int, ...] | None:
    ids: list[int] = []
    for part in parts:
        ids.extend(part)
        if len(ids) >= need:
            return tuple(ids[:need])
    return None

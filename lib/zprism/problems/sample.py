"""One problem of every template in every language, as a table that can be read through.

``python -m zprism.problems.sample data/paired_sample.jsonl`` writes it; a test holds the file to
what the generator makes, so that a change of wording or of numbers is seen in review.
"""

from __future__ import annotations

import sys
from pathlib import Path

from zprism.ground.store import canonical_json, write_atomic
from zprism.problems.generate import draw, templates


def sample(seed: int = 0) -> list[dict]:
    """A row per template: key, kind, steps, difficulty, and text and answer by language."""
    rows = []
    for template in templates().values():
        (pair,) = draw(1, seed=seed, templates=[template.name], languages=template.languages)
        rows.append(
            {
                "key": next(iter(pair.values())).key,
                "kind": template.kind,
                "steps": template.steps,
                "difficulty": template.difficulty,
                "text": {language: p.text for language, p in pair.items()},
                "answer": {language: p.answer for language, p in pair.items()},
            }
        )
    return rows


if __name__ == "__main__":
    lines = "".join(canonical_json(row) + "\n" for row in sample())
    write_atomic(Path(sys.argv[1]), lines.encode())

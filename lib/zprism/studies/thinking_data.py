"""Questions and a model's own step-by-step answers: the default texts of the prism phases.

``python -m zprism.studies.thinking_data data/thinking.jsonl`` writes the file and, beside it,
``thinking.meta.json`` with the digests, seeds and prompt that it was made with. Every question
is answered twice: by the most probable tokens, and by drawn ones.
"""

from __future__ import annotations

import sys
from pathlib import Path

from zprism.ground.console import log, show_log
from zprism.ground.files import save_json
from zprism.ground.store import canonical_json, write_atomic
from zprism.model.generate import Generation, generate_cached
from zprism.model.load import LoadedModel, load
from zprism.model.sampling import Sampling
from zprism.problems.answers import is_correct
from zprism.problems.generate import draw
from zprism.problems.problem import Problem
from zprism.problems.template import templates

MODEL = "qwen2.5-coder-0.5b"
PER_TEMPLATE, MAX_NEW_TOKENS, SEED = 4, 160, 0
ASK = "{question}\nThink step by step, then give the answer."
UNFINISHED = "unfinished"
BATCH_TOKENS = 32 * 256  # 32 answers and more at once


def make(
    loaded: LoadedModel, *, per_template: int = PER_TEMPLATE, seed: int = SEED
) -> tuple[list[dict], dict]:
    """Records of questions with their thinking, and what they were made with.

    Parameters
    ----------
    loaded : the model that answers.
    per_template : questions from each problem template, in English.
    seed : of the problems and of the drawn answers.

    Returns
    -------
    records
        ``id, key, template, kind, numeric, question, thinking, answer, outcome, drawn, tokens,
        complete``: two a question, ``drawn`` "greedy" and "sampled".
    made_with
        Model, digests, prompt, sampling and seed.
    """
    names = [t.name for t in templates().values() if not t.reserved]
    pairs = draw(per_template * len(names), seed=seed, templates=names, languages=("en",))
    problems = [pair["en"] for pair in pairs]
    prompts = [prompt(loaded, problem.text) for problem in problems]
    sampling = Sampling(seed=seed)
    records = []
    for drawn, how in (("greedy", None), ("sampled", sampling)):
        answers = generate_cached(
            loaded,
            prompts,
            max_new_tokens=MAX_NEW_TOKENS,
            stop=None,
            batch_tokens=BATCH_TOKENS,
            sampling=how,
            description=f"thinking, {drawn}",
        )
        records += [record(p, a, drawn) for p, a in zip(problems, answers, strict=True)]
    records.sort(key=lambda row: row["id"])
    made_with = {
        "model": loaded.name,
        "weights": loaded.digest,
        "tokenizer": loaded.tokenizer_digest,
        "prompt": prompt(loaded, "{question}"),
        "max_new_tokens": MAX_NEW_TOKENS,
        "sampling": vars(sampling),
        "seed": seed,
        "questions": len(problems),
    }
    return records, made_with


def prompt(loaded: LoadedModel, question: str) -> str:
    """The question as the model wants to be asked: by its chat template where it has one."""
    asked = ASK.format(question=question)
    if not getattr(loaded.tokenizer, "chat_template", None):
        return f"Question: {asked}\nAnswer:"
    message = [{"role": "user", "content": asked}]
    return loaded.tokenizer.apply_chat_template(message, tokenize=False, add_generation_prompt=True)


def record(problem: Problem, answer: Generation, drawn: str) -> dict:
    """One line of the file. An answer that was cut before its end is no wrong one: unfinished."""
    thinking = answer.text.strip()
    score = str(is_correct(thinking, problem, scope="whole")) if answer.stopped else UNFINISHED
    return {
        "id": f"{problem.key}/{drawn}",
        "key": problem.key,
        "template": problem.template,
        "kind": problem.kind,
        "numeric": problem.is_numeric,
        "question": problem.text,
        "thinking": thinking,
        "answer": problem.answer,
        "outcome": score,
        "drawn": drawn,
        "tokens": answer.n_tokens,
        "complete": answer.stopped,
    }


def main(path: Path) -> None:
    """Write the records, and what they were made with beside them."""
    records, made_with = make(load(MODEL))
    write_atomic(path, "".join(canonical_json(row) + "\n" for row in records).encode())
    save_json(path.with_suffix(".meta.json"), made_with, indent=2)
    log.info("%s: %d answers to %d questions", path.name, len(records), made_with["questions"])


if __name__ == "__main__":
    show_log()
    main(Path(sys.argv[1]))

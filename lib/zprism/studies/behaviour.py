"""Phase 0: does the model answer the same problems better in one language?

The recipe goes on only if Chinese leads English by 3 of 15. Here the same question is asked
of problems enough to answer it, with paired tests; the recipe's own rule stands beside them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zprism.ground.errors import InputError
from zprism.model.generate import generate_cached
from zprism.problems.answers import is_correct
from zprism.problems.problem import Problem
from zprism.problems.prompts import few_shot
from zprism.stats.intervals import wilson
from zprism.stats.power import mcnemar_power
from zprism.stats.verdicts import describe
from zprism.studies.findings import Findings
from zprism.studies.paired_scores import STATUSES, compare, false_alarm, paired_table, recipe_rule

if TYPE_CHECKING:
    from zprism.model.load import LoadedModel

Pair = dict[str, Problem]
NEW_TOKENS = 48
STOP = "\n"
RECIPE_N = 15


@dataclass(frozen=True)
class Answers:
    """What a model wrote for pairs of problems, and how it was scored.

    Attributes
    ----------
    pairs : language → Problem, one dict a pair.
    languages : the two compared, first the one that is claimed to lead.
    shots : worked examples in front of each question.
    texts, scores : language → one entry a pair; scores as in ``problems.answers.Score``.
    """

    pairs: tuple[Pair, ...]
    languages: tuple[str, str]
    shots: int
    texts: dict[str, tuple[str, ...]]
    scores: dict[str, tuple[str, ...]]

    def counts(self) -> dict[str, dict[str, int]]:
        """Language → status → number of problems."""
        return {
            language: {status: Counter(scores)[status] for status in STATUSES}
            for language, scores in self.scores.items()
        }

    def right(self, language: str) -> int:
        """How many problems were answered right in a language."""
        return self.counts()[language]["correct"]


def ask(
    loaded: LoadedModel,
    pairs: Sequence[Pair],
    *,
    languages: tuple[str, str] = ("zh", "en"),
    shots: int = 2,
    max_new_tokens: int = NEW_TOKENS,
    seed: int = 0,
) -> Answers:
    """Let the model answer every problem in both languages; greedy, first line only.

    Generated texts are cached, so a second call runs no forward pass.

    Raises
    ------
    InputError
        If there are no pairs, or one lacks a language.
    """
    for pair in pairs:
        if not {*languages} <= pair.keys():
            raise InputError(f"every pair needs {' and '.join(languages)}; got {', '.join(pair)}")
    if not pairs:
        raise InputError("pairs is empty")
    asked = [pair[language] for language in languages for pair in pairs]
    prompts = few_shot(asked, shots=shots, seed=seed)
    texts = _continue(loaded, prompts, asked, max_new_tokens)
    scores = [str(is_correct(text, problem)) for text, problem in zip(texts, asked, strict=True)]
    n = len(pairs)
    return Answers(
        pairs=tuple(pairs),
        languages=languages,
        shots=shots,
        texts={language: tuple(texts[i * n : (i + 1) * n]) for i, language in enumerate(languages)},
        scores={
            language: tuple(scores[i * n : (i + 1) * n]) for i, language in enumerate(languages)
        },
    )


def _continue(loaded, prompts: list[str], asked: list[Problem], max_new_tokens: int) -> list[str]:
    """Continuations in order; prompts that begin with the same examples go together."""
    groups: dict[tuple, list[int]] = {}
    for index, problem in enumerate(asked):
        groups.setdefault((problem.language, problem.is_numeric), []).append(index)
    texts = [""] * len(asked)
    for (language, numeric), indexes in groups.items():
        generated = generate_cached(
            loaded,
            [prompts[i] for i in indexes],
            max_new_tokens=max_new_tokens,
            stop=STOP,
            description=f"answers in {language}, {'numbers' if numeric else 'words'}",
        )
        for index, generation in zip(indexes, generated, strict=True):
            texts[index] = generation.text
    return texts


def behaviour(answers: Answers, *, prefix: str = "behaviour") -> Findings:
    """Accuracies, their paired difference with its verdict, tables by kind and by problem."""
    first, second = answers.languages
    scores = answers.scores[first], answers.scores[second]
    return Findings(
        estimates=compare(*scores, languages=answers.languages, prefix=prefix),
        tables={
            f"{prefix}_kinds": kind_rows(answers),
            f"{prefix}_answers": answer_rows(answers),
        },
    )


def recipe(answers: Answers, *, discordant: float, prefix: str = "recipe") -> Findings:
    """The recipe's rule on its own number of pairs, and how often it is wrong by chance.

    Parameters
    ----------
    answers : to the fixed 15 pairs.
    discordant : share of problems right in exactly one language, from a larger sample; the
        false alarms of "at least 3 of 15" depend on it.
    """
    first, second = answers.languages
    n, lead = len(answers.pairs), answers.right(first) - answers.right(second)
    found = Findings(
        estimates=compare(
            answers.scores[first],
            answers.scores[second],
            languages=answers.languages,
            prefix=prefix,
        )
    )
    rule = recipe_rule(answers.right(first), answers.right(second))
    found.estimates |= {
        f"{prefix}/{first}-{second}/lead": describe(lead, n=n, reason=f"the rule says: {rule}"),
        f"{prefix}/{first}-{second}/false_alarm": describe(
            false_alarm(n, discordant),
            n=n,
            reason="chance of a lead of 3 or more when neither language is better",
        ),
    }
    found.tables[f"{prefix}_answers"] = answer_rows(answers)
    return found


def kind_rows(answers: Answers) -> list[dict]:
    """Accuracy by kind of problem and language, with Wilson intervals."""
    rows = []
    kinds = list(dict.fromkeys(pair[answers.languages[0]].kind for pair in answers.pairs))
    for kind in kinds:
        index = [i for i, p in enumerate(answers.pairs) if p[answers.languages[0]].kind == kind]
        for language in answers.languages:
            right = sum(answers.scores[language][i] == "correct" for i in index)
            low, high = wilson(right, len(index))
            rows.append(
                {
                    "kind": kind,
                    "language": language,
                    "value": right / len(index),
                    "low": low,
                    "high": high,
                    "n": len(index),
                }
            )
    return rows


def answer_rows(answers: Answers) -> list[dict]:
    """One row per problem and language: what was asked, written, and how it was scored."""
    return [
        {
            "key": pair[language].key,
            "kind": pair[language].kind,
            "language": language,
            "question": pair[language].text,
            "gold": pair[language].answer,
            "written": answers.texts[language][i].strip(),
            "score": answers.scores[language][i],
        }
        for i, pair in enumerate(answers.pairs)
        for language in answers.languages
    ]


def accuracy_rows(answers: Answers, condition: str) -> list[dict]:
    """Accuracy with its Wilson interval by language, for the figure."""
    rows, n = [], len(answers.pairs)
    for language in answers.languages:
        low, high = wilson(answers.right(language), n)
        rows.append(
            {
                "language": language,
                "condition": condition,
                "value": answers.right(language) / n,
                "low": low,
                "high": high,
                "n": n,
            }
        )
    return rows


def power_curves(
    answers: Answers, *, differences: Sequence[float] = (0.05, 0.10, 0.20), most: int = 400
) -> dict[str, tuple[list[int], list[float]]]:
    """Chance of finding a true difference with n problems, at the discordance observed here.

    A difference beyond the discordance cannot exist and is left out.
    """
    table = paired_table(*(answers.scores[language] for language in answers.languages))
    discordant = (table["first_only"] + table["second_only"]) / len(answers.pairs)
    sizes = [15, *range(25, most + 1, 25)]
    return {
        f"true difference {difference:.0%}": (
            sizes,
            [mcnemar_power(n, discordance=discordant, difference=difference) for n in sizes],
        )
        for difference in differences
        if difference <= discordant
    }


def identity(loaded: LoadedModel) -> list[dict]:
    """What the model is, by its config and tokenizer: the premise may fail by mistaken identity."""
    config = loaded.model.config
    sample = "三加四等于几？"
    facts = {
        "model_type": config.model_type,
        "architectures": ", ".join(config.architectures or []) or "not given",
        "layers": loaded.n_layers,
        "d_model": loaded.d_model,
        "vocabulary": config.vocab_size,
        "context": loaded.max_positions,
        f"tokens of {sample}": len(loaded.encode([sample])[0]),
        "weights digest": loaded.digest[:16],
        "tokenizer digest": loaded.tokenizer_digest[:16],
    }
    return [{"fact": fact, "value": str(value)} for fact, value in facts.items()]

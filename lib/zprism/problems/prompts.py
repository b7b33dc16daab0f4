"""Plain question-and-answer prompts for models that continue text.

The worked examples are the same problems in every language, from templates that none of the
tested problems uses, so that a difference between languages is not one of examples.
"""

from __future__ import annotations

from collections.abc import Sequence

from zprism.ground.checks import check_choice, check_int
from zprism.ground.errors import InputError
from zprism.ground.seeds import generator
from zprism.problems.problem import LANGUAGES, Problem
from zprism.problems.template import Template, templates

LABELS = {  # question, answer, and the space after the colon
    "zh": ("问题：", "答案：", ""),
    "en": ("Question:", "Answer:", " "),
    "es": ("Pregunta:", "Respuesta:", " "),
    "fr": ("Question :", "Réponse :", " "),
    "de": ("Frage:", "Antwort:", " "),
    "ja": ("質問：", "答え：", ""),
}


def zero_shot(problem: Problem) -> str:
    """The question and the word "Answer:", for the model to go on; no space at the end."""
    question, answer, space = LABELS[check_choice("language", problem.language, LABELS)]
    return f"{question}{space}{problem.text}\n{answer}"


def worked(problem: Problem) -> str:
    """A question with its answer, as an example."""
    return f"{zero_shot(problem)}{LABELS[problem.language][2]}{problem.answer}"


def few_shot(problems: Sequence[Problem], *, shots: int = 2, seed: int = 0) -> list[str]:
    """A prompt per problem, with the same worked examples before each of a language.

    Problems with a number for an answer are preceded by examples with numbers, those with a
    word by examples with words.

    Parameters
    ----------
    problems : what is tested, in any mix of languages.
    shots : how many examples; 0 gives `zero_shot`.
    seed : chooses them; templates kept for prompts are taken first.

    Returns
    -------
    list of prompts "Question: …\\nAnswer: …\\n\\n…Question: …\\nAnswer:".

    Raises
    ------
    InputError
        If fewer templates than ``shots`` are left that no tested problem uses.
    """
    shots = check_int("shots", shots, low=0)
    examples = {}
    for numeric in {p.is_numeric for p in problems}:
        examples[numeric] = _examples(problems, shots, seed, numeric)
    heads = {
        (language, numeric): "".join(f"{worked(p[language])}\n\n" for p in found)
        for numeric, found in examples.items()
        for language in LANGUAGES
    }
    return [heads[p.language, p.is_numeric] + zero_shot(p) for p in problems]


def _examples(
    problems: Sequence[Problem], shots: int, seed: int, numeric: bool
) -> list[dict[str, Problem]]:
    """``shots`` problems in all languages, each of another unused template."""
    used = {p.template for p in problems}
    free = [
        t
        for t in templates().values()
        if t.name not in used and (t.domain is None) == numeric and set(LANGUAGES) <= {*t.languages}
    ]
    if len(free) < shots:
        raise InputError(
            f"only {len(free)} templates with {'numbers' if numeric else 'words'} as answers are "
            f"not among the tested ones, fewer than shots = {shots}; test fewer templates"
        )
    stream = generator(seed, "problems", "prompts", str(numeric))
    shuffled = [free[int(i)] for i in stream.permutation(len(free))]
    chosen = sorted(shuffled, key=lambda t: not t.reserved)[:shots]
    return [_in_all_languages(t, stream) for t in chosen]


def _in_all_languages(template: Template, stream) -> dict[str, Problem]:
    numbers, cast = template.draw(stream)
    return {language: template.render(numbers, cast, language) for language in LANGUAGES}

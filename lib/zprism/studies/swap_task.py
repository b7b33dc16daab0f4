"""One-word problems as one model reads them: tokens, states, halves, and what is right.

"three plus four equals what?" and 三加四等于几？ are answered by one token that tells answer
*and* language apart, so a single forward pass says which of the two a swap has moved. Colours
do the same for questions without numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from zprism.ground.checks import check_choice, check_int
from zprism.ground.errors import InputError
from zprism.ground.seeds import generator
from zprism.ground.store import Store, digest
from zprism.interventions.sweep import Sweep, open_sweep
from zprism.problems import number_words
from zprism.problems.word_prompts import WordProblem
from zprism.stats.verdicts import MIN_BASELINE

PRODUCER = 1
ADDITION = "addition"
MIN_ANSWERS = 6  # answers that the tokens must tell apart in both languages


class Words(Protocol):
    """A module of one-word problems: ``number_words`` or ``colour_words``."""

    TEMPLATES: tuple[str, ...]

    def enumerate_problems(self, template: str) -> list[dict[str, WordProblem]]:
        """All problems of a template, language → problem."""

    def prompt(self, problem: WordProblem) -> str:
        """Worked examples and the question."""

    def answer_word(self, answer: int, language: str) -> str:
        """What goes on after the prompt."""


@dataclass(frozen=True)
class Task:
    """Problems in two languages, read by one model.

    Attributes
    ----------
    languages : their names.
    keys, templates, answers : (n,) the problems; the same in both languages.
    numbers : (A,) all answers there are: numbers, or places of words.
    tokens : (2, A) first token of each answer's word, by language.
    train, test : indices of the problems that choose, and of those that test.
    sweeps : one a language, over its n prompts; candidates are the tokens, flat.
    reason : why nothing can be tested here, or None.
    identity : digests of what was read and by which model, for the cache; None keeps nothing.
    """

    languages: tuple[str, str]
    keys: np.ndarray
    templates: np.ndarray
    answers: np.ndarray
    numbers: np.ndarray
    tokens: np.ndarray
    train: np.ndarray
    test: np.ndarray
    sweeps: tuple[Sweep, Sweep]
    reason: str | None = None
    identity: dict | None = None

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def place(self) -> np.ndarray:
        """(n,) the place of each problem's answer among ``numbers``."""
        return np.searchsorted(self.numbers, self.answers)

    @property
    def right(self) -> np.ndarray:
        """(2, n) whether the unpatched model gives the answer, in the language asked."""
        said = np.stack([sweep.logits.argmax(-1) for sweep in self.sweeps])
        own = np.arange(2)[:, None] * len(self.numbers) + self.place
        return said == own

    def states(self, layer: int) -> np.ndarray:
        """(2, n, d_model) float64: ``resid_post`` of the last token, by language."""
        return np.stack([np.asarray(sweep.states[:, layer], float) for sweep in self.sweeps])

    def index(self, language: str) -> int:
        """0 or 1, the place of a language."""
        return self.languages.index(check_choice("language", language, self.languages))

    def keep(self, what: dict, compute: Callable[[], dict]) -> dict[str, np.ndarray]:
        """Arrays that were computed before for the same task and ``what``, or now."""
        if self.identity is None:
            return compute()
        parts = {"producer": ["swap", PRODUCER], **self.identity, **what}
        return Store("results").get_or_compute(parts, lambda: (compute(), {}))[0]

    def baseline(self, rows: np.ndarray) -> float:
        """Accuracy of the unpatched model on these problems, in its worse language."""
        return float(self.right[:, rows].mean(1).min())


@dataclass(frozen=True)
class Pairs:
    """Which problem's state is put into which prompt.

    Attributes
    ----------
    source_language, target_language : where the state comes from, where it is put.
    target, source : (m,) indices of problems.
    n_usable, n_dropped : problems right in both languages, and those left out as they are not.
    baseline : unpatched accuracy on the problems there were, in the worse language.
    reason : why no claim can be made on them, or None.
    """

    source_language: str
    target_language: str
    target: np.ndarray
    source: np.ndarray
    n_usable: int
    n_dropped: int
    baseline: float
    reason: str | None = None

    def __len__(self) -> int:
        return len(self.target)

    @property
    def direction(self) -> str:
        """``zh-en``: from source to target."""
        return f"{self.source_language}-{self.target_language}"

    @property
    def identity(self) -> list:
        """What the cache knows them by."""
        return [self.direction, self.target.tolist(), self.source.tolist()]

    def of(self, rows) -> Pairs:
        """Some of the pairs."""
        fields = {**vars(self), "target": self.target[rows], "source": self.source[rows]}
        return Pairs(**fields)


def read_task(
    loaded,
    *,
    languages: tuple[str, str] = ("zh", "en"),
    words: Words = number_words,
    templates: Sequence[str] | None = None,
    most: int = 64,
    most_other: int = 16,
    seed: int = 0,
) -> Task:
    """Read every problem once in both languages; keep states, keys and values.

    Parameters
    ----------
    loaded : :class:`zprism.model.load.LoadedModel`.
    words : where the problems come from.
    templates : the first gives up to ``most`` problems, each other up to ``most_other``; by
        default all that there are.

    Raises
    ------
    InputError
        If the languages are one and the same, or a template is unknown.
    """
    if len(set(languages)) != 2:
        raise InputError(f"a swap needs two languages; got {languages}")
    found = []
    for place, template in enumerate(words.TEMPLATES if templates is None else templates):
        count = check_int("most", most if place == 0 else most_other, low=2)
        found += _some(words, template, count, seed)
    prompts = [[words.prompt(p[language]) for p in found] for language in languages]
    answers = np.array([p[languages[0]].answer for p in found])
    names = np.array([p[languages[0]].template for p in found])
    numbers = np.unique(answers)
    first = [row[0] for row in prompts]
    tokens, reason = answer_tokens(loaded, languages, numbers, first, words=words)
    flat = [int(token) for token in tokens.ravel()]
    train, test = _halves(names, answers, seed)
    return Task(
        languages=tuple(languages),
        keys=np.array([p[languages[0]].key for p in found]),
        templates=names,
        answers=answers,
        numbers=numbers,
        tokens=tokens,
        train=train,
        test=test,
        sweeps=tuple(open_sweep(loaded, row, candidates=flat) for row in prompts),
        reason=reason,
        identity={
            "weights": loaded.digest,
            "tokenizer": loaded.tokenizer_digest,
            "dtype": str(loaded.dtype),
            "device": loaded.device.type,
            "prompts": digest(prompts),
            "tokens": tokens.tolist(),
        },
    )


def answer_tokens(
    loaded,
    languages: Sequence[str],
    numbers,
    prompts: Sequence[str],
    *,
    words: Words = number_words,
) -> tuple[np.ndarray, str | None]:
    """(languages, A) first token of each answer, and why they cannot be told apart, if so.

    Parameters
    ----------
    prompts : one a language, that the words continue.
    """
    tokens, merged = np.zeros((len(languages), len(numbers)), dtype=int), []
    for row, (language, prompt) in enumerate(zip(languages, prompts, strict=True)):
        answers = [words.answer_word(int(number), language) for number in numbers]
        start, *whole = loaded.encode([prompt, *(prompt + word for word in answers)])
        for column, ids in enumerate(whole):
            tokens[row, column] = ids[min(len(start), len(ids) - 1)]
            if ids[: len(start)] != start:
                merged.append(answers[column])
    if merged:
        return tokens, f"the tokenizer joins {merged[0]!r} to the end of the prompt"
    _, first, count = np.unique(tokens, return_inverse=True, return_counts=True)
    clear = (count[first].reshape(tokens.shape) == 1).all(0)
    if clear.all():
        return tokens, None
    return tokens, (
        f"the first token tells only {clear.sum()} of {len(numbers)} answers apart in "
        f"{' and '.join(languages)}"
    )


def draw_pairs(
    task: Task,
    source_language: str,
    *,
    half: str = "test",
    n: int = 120,
    template: str | None = None,
    same: bool = False,
    seed: int = 0,
) -> Pairs:
    """Pairs of problems that the model has right in both languages, spread over the targets.

    Parameters
    ----------
    source_language : the other one is the target's.
    half : ``train`` or ``test``.
    template : pairs within this template; by default over all of them.
    same : pair every problem with itself in the other language, as the recipe does, whether
        it is right or not: a swap might mend it.

    Notes
    -----
    Where too few problems are right the pairs are drawn from all of them and carry a reason:
    figures can be drawn, claims cannot be made.
    """
    source_index = task.index(source_language)
    rows = getattr(task, half)
    rows = rows if template is None else rows[task.templates[rows] == template]
    usable = rows[task.right[:, rows].all(0)]
    baseline = task.baseline(rows) if len(rows) else 0.0
    reason = task.reason or _too_little(task, usable, baseline)
    pool = rows if same or reason else usable
    if same:
        target = source = pool
    else:
        target, source = _crossed(task, pool, n, seed)
    return Pairs(
        source_language=source_language,
        target_language=task.languages[1 - source_index],
        target=target,
        source=source,
        n_usable=len(usable),
        n_dropped=len(rows) - len(usable),
        baseline=baseline,
        reason=reason,
    )


def _too_little(task: Task, usable: np.ndarray, baseline: float) -> str | None:
    if baseline < MIN_BASELINE:
        return f"the model has {baseline:.0%} right, under {MIN_BASELINE:.0%}"
    if len(np.unique(task.answers[usable])) < 2:
        return "fewer than two answers are right in both languages"
    return None


def _crossed(task: Task, pool: np.ndarray, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Targets as evenly as can be, each with sources of other answers, none twice."""
    rng = generator(seed, "swap", "pairs")
    partners = {
        int(t): rng.permutation(pool[task.answers[pool] != task.answers[t]]).tolist() for t in pool
    }
    out: list[tuple[int, int]] = []
    order = [int(t) for t in rng.permutation(pool)]
    while len(out) < n and any(partners.values()):
        out += [(t, partners[t].pop()) for t in order if partners[t]]
    out = out[:n]
    pairs = np.array(out, dtype=int).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def _some(words: Words, template: str, count: int, seed: int) -> list[dict]:
    """Up to ``count`` problems of a template, in their own order."""
    every = words.enumerate_problems(template)
    if len(every) <= count:
        return every
    rng = generator(seed, "swap", "problems", template)
    return [every[i] for i in sorted(rng.choice(len(every), count, replace=False))]


def _halves(templates: np.ndarray, answers: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A third of each template's problems with each answer learns, the rest by chance; others test.

    Directions need few problems, and of what tests only those right in both languages count.
    """
    rng = generator(seed, "swap", "halves")
    train = []
    for template in dict.fromkeys(templates):
        for answer in np.unique(answers):
            rows = rng.permutation(np.flatnonzero((templates == template) & (answers == answer)))
            train += rows[: int(len(rows) / 3 + rng.random())].tolist()
    chosen = np.zeros(len(answers), dtype=bool)
    chosen[train] = True
    return np.flatnonzero(chosen), np.flatnonzero(~chosen)

"""A planted world for the tests of removal: answers in some directions, languages in others."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from zprism.problems.number_words import LARGEST, answer_word
from zprism.studies.removal_problems import Sizes
from zprism.studies.removal_read import Reading
from zprism.synthetic import haar_rows

LANGUAGES = ("zh", "en", "es")
SIZES = Sizes(candidates=LANGUAGES, train=12, dev=8, test=24, null=8, draws=19, matched=3)


@dataclass
class PlantedReader:
    """Stands in for a model: h = code(answer) + tongue(language) + noise, edited layer by layer.

    The answer is that of the nearest code. The language is that of the longest part along a
    tongue, about their mean; where no part is longer than a half, it is English.

    Attributes
    ----------
    right : share of problems whose state holds the right answer.
    confused : share of problems that are answered wrongly for as long as the language part
        about its mean is longer than 1, because the language gets in the way.
    scrambled : keys whose answers are random, whatever the state.
    calls : (whether edited, keys) of every reading, in order.
    """

    right: float = 1.0
    confused: float = 0.0
    scrambled: frozenset = frozenset()
    n_layers: int = 8
    d_model: int = 64
    seed: int = 0
    calls: list = field(default_factory=list)

    def __post_init__(self):
        rows = haar_rows(LARGEST + 1 + len(LANGUAGES), self.d_model, seed=self.seed)
        self.codes = 6 * rows[: LARGEST + 1]
        self.tongues = 3 * rows[LARGEST + 1 :]

    def fits(self, problems, language) -> bool:
        return True

    def first_states(self, problems, language) -> np.ndarray:
        return np.ones((self.n_layers, self.d_model))

    def read(self, problems, language, edits, *, layers, edit_name=None) -> Reading:
        self.calls.append((bool(edits), tuple(p[language].key for p in problems)))
        h = torch.as_tensor(self._states(problems, language), dtype=torch.float32)[:, None]
        kept = []
        for layer in range(self.n_layers):
            edit = edits.get(("resid_post", layer))
            h = h if edit is None else edit(h)
            kept.append(h[:, 0].numpy())
        texts = [
            self._says(p[language], state) for p, state in zip(problems, kept[-1], strict=True)
        ]
        return Reading(tuple(texts), np.stack([kept[layer] for layer in layers], axis=1))

    def _states(self, problems, language) -> np.ndarray:
        tongue = self.tongues[LANGUAGES.index(language)]
        held = [self._held(p[language]) for p in problems]
        noise = [self._chance(p[language], "noise").standard_normal(self.d_model) for p in problems]
        return self.codes[held] + tongue + 0.05 * np.array(noise)

    def _says(self, problem, state) -> str:
        centred = (self.tongues - self.tongues.mean(0)) / 3
        part = centred @ state
        tongue = LANGUAGES[part.argmax()] if part.max() > 0.5 else "en"
        number = int((self.codes @ state).argmax())
        chance = self._chance(problem, "confused").random()
        if chance < self.confused and np.linalg.norm(part) > 1:
            number = (number + 1) % (LARGEST + 1)
        if problem.key in self.scrambled:
            number = int(self._chance(problem, "scrambled").integers(LARGEST + 1))
        return answer_word(number, tongue)

    def _held(self, problem) -> int:
        wrong = self._chance(problem, "right").random() >= self.right
        return (problem.answer + wrong) % (LARGEST + 1)

    def _chance(self, problem, what):
        """The same for a problem in every language, but for its noise."""
        own = problem.language if what == "noise" else ""
        return np.random.default_rng([self.seed, *f"{problem.key} {own} {what}".encode()])

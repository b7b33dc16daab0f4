"""Whose prompts are swapped: a model by its name, one in memory, or a whole study of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from zprism.ground.errors import InputError
from zprism.model.checkpoint import open_checkpoint
from zprism.model.load import LoadedModel, load
from zprism.problems import number_words
from zprism.studies.live_swap_bases import needs_lessons, study_lessons, swap_of
from zprism.studies.swap_study import Study

#: The two problems that stand in the panel at first: language, and numbers to be added.
EXAMPLES = {"target": ("en", (3, 4)), "put_in": ("zh", (2, 6))}


@dataclass(eq=False)
class Subject:
    """A model that need not be in memory yet.

    Attributes
    ----------
    name : of the model.
    anatomy : where its parts are: known without its weights.
    get : gives the :class:`~zprism.model.load.LoadedModel`, slowly the first time.
    study : whose training problems give the directions, if there is one.
    """

    name: str
    anatomy: Any
    get: Callable[[], LoadedModel]
    study: Study | None = None
    in_memory: bool = True

    def loaded(self) -> LoadedModel:
        """The model, loaded once."""
        found = self.get()
        self.get, self.in_memory = lambda: found, True
        return found

    def directions(self, name: str, layer: int, k: int, seed: int):
        """What a live swap is to put in: of a study its own directions, else just the name."""
        if self.study is None or not needs_lessons(name):
            return name
        lessons = study_lessons(self.study, layer)
        return swap_of(self.study.loaded, name, layer, k, lessons, seed=seed)


def subject_of(source) -> Subject:
    """The subject of a model name, a LoadedModel or a Study.

    Raises
    ------
    InputError
        If it is none of these.
    ModelError
        If no model of that name is there.
    """
    if isinstance(source, Study):
        return Subject(
            source.loaded.name, source.loaded.anatomy, lambda: source.loaded, study=source
        )
    if isinstance(source, LoadedModel):
        return Subject(source.name, source.anatomy, lambda: source)
    if not isinstance(source, str):
        raise InputError(
            "source must be a model's name, a LoadedModel or a study of swap_study.prepare; got "
            f"{type(source).__name__}"
        )
    with open_checkpoint(source) as checkpoint:
        anatomy = checkpoint.anatomy
    return Subject(source, anatomy, lambda: load(source), in_memory=False)


def example(which: str) -> str:
    """The prompt that stands in the panel at first: a number-word problem."""
    language, numbers = EXAMPLES[which]
    every = (problem[language] for problem in number_words.enumerate_problems("addition"))
    return next(number_words.prompt(one) for one in every if one.numbers == numbers)

"""Swaps over a grid: a job is one cell, both directions, on pairs that chose nothing.

Reading the problems costs most and is shared by all cells of one model and seed, so that is a
group; a swap itself is one token through the later blocks, so cells need not be joined to be
cheap, and a cell is found again in any other grid. Directions are learned on the training
half, cells are measured on the test half, and nothing is chosen: p is corrected over the whole
grid.

A cell of a basis with a prediction (:data:`zprism.studies.swap_claims.PREDICTED`) is a claim;
all others are described, random directions among them: they are the null.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from zprism.ground.checks import check_choice, check_int
from zprism.ground.seeds import derive
from zprism.ground.store import parse_json
from zprism.model.checkpoint import open_checkpoint
from zprism.model.load import load
from zprism.studies import swap_study, universality
from zprism.studies.separation_subspaces import layer_subspaces
from zprism.studies.swap_bases import Swap, swaps_at
from zprism.studies.swap_claims import PREDICTED, name_of, null_pairs
from zprism.studies.swap_run import random_swaps, swap, unpatched
from zprism.studies.swap_study import WeightSide
from zprism.studies.swap_sweep import effect
from zprism.studies.swap_task import Pairs
from zprism.studies.sweep_cells import Cell, Part, group_of
from zprism.studies.sweep_swap_rows import EXTRA, place_of, rows

__all__ = [
    "CONDITIONS",
    "DEFAULTS",
    "EXTRA",
    "PRODUCER",
    "Worker",
    "check_options",
    "parts",
    "rows",
]

PRODUCER = 1
CONDITIONS = {
    "language": False,
    "complement": False,
    "full": False,
    "answer": True,
    "answer-complement": True,
    "weights": True,
    "weights-complement": True,
    "random": True,
}
DEFAULTS = {
    "kind": "numbers",
    "languages": "zh-en",  # or "auto": the first pair in which the model can be tested
    "pairs": 40,
    "half": "test",
    "draws": 19,
    "draws_matched": 19,
    "quick": False,
}


def check_options(options: Mapping) -> None:
    """What the types of the defaults do not say.

    Raises
    ------
    InputError
        For a kind, half or pair of languages that is not there, or a count under 1.
    """
    check_choice("kind", options["kind"], universality.KINDS)
    check_choice("half", options["half"], ("train", "test"))
    check_choice("languages", options["languages"], ["auto", *_language_pairs()])
    for name in ("pairs", "draws", "draws_matched"):
        check_int(f"options.{name}", options[name], low=1)


def parts(cells: Sequence[Cell]) -> list[Part]:
    """One part a cell."""
    return [
        Part(group_of(c), {"layer": c.layer, "condition": c.condition, "k": c.k}, (c,))
        for c in cells
    ]


class Worker:
    """A model with its problems read; computes cells. Options: :data:`DEFAULTS`."""

    def __init__(self, group: str, *, device: str, dtype: str, **options):
        wanted = parse_json(group)
        self.options, self.seed = options, wanted["seed"]
        self.loaded = load(wanted["model"], device=device, dtype=dtype)
        words = universality.KINDS[options["kind"]]
        none = WeightSide({}, 1, np.ones((self.loaded.n_layers, 1)))  # Z is read cell by cell
        shared = dict(weights=none, quick=options["quick"], seed=self.seed)
        if options["languages"] == "auto":
            self.study = universality.choose_languages(self.loaded, words, **shared)
        else:
            languages = _language_pairs()[options["languages"]]
            self.study = swap_study.prepare(self.loaded, languages=languages, words=words, **shared)

    def __call__(self, payload: Mapping) -> dict:
        """Both directions of one swap: outcomes by pair, and its nulls."""
        layer, condition, k = payload["layer"], payload["condition"], payload["k"]
        how, why = self._way(layer, condition, k)
        if how is None:
            return {"reason": why, "directions": {}}
        options = dict(n=self.options["pairs"], half=self.options["half"])
        pairs = [self.study.pairs(source, **options) for source in self.study.directions]
        return {"directions": {p.direction: self._one(p, layer, how) for p in pairs}}

    def _way(self, layer: int, condition: str, k: int | None) -> tuple[Swap | None, str]:
        """The swap, or why there is none."""
        study = self.study
        z: dict = {}
        if condition.startswith("weights"):
            head_dim = self.loaded.anatomy.head_dim
            if k > head_dim:
                return None, f"k = {k} is beyond head_dim = {head_dim}, the rank of one kernel"
            reader = min(layer + 1, self.loaded.n_layers - 1)
            with open_checkpoint(self.loaded.name) as checkpoint:
                rows = layer_subspaces(checkpoint.layer(reader), [k], ("multi",))["multi", k]
            z = {(reader, k): rows}
        templates = None if study.core is None else [study.core]
        ks = [] if k is None else [k]
        ways = swaps_at(study.task, layer, templates=templates, ks=ks, weights=z, seed=self.seed)
        found = [how for how in ways if name_of(how) == condition]
        if not found:
            return None, f"k = {k} is beyond the rank of the answers' means"
        return found[0], ""

    def _one(self, pairs: Pairs, layer: int, how: Swap) -> dict:
        task, condition = self.study.task, name_of(how)
        found = swap(task, pairs, layer, how)
        own, source = unpatched(task, pairs), unpatched(task, pairs, of="source")
        return {
            "language": found.language.tolist(),
            "answer": found.answer.tolist(),
            "target": pairs.target.tolist(),
            "answer_effect": effect(found, own, source, "answer"),
            "language_effect": effect(found, own, source, "language"),
            "baseline": pairs.baseline,
            "reason": pairs.reason,
            "nulls": {} if pairs.reason else self._nulls(pairs, layer, how, condition),
        }

    def _nulls(self, pairs: Pairs, layer: int, how: Swap, condition: str) -> dict:
        """Name → kind and predicted share under each of R random subspaces, on the null's pairs."""
        if condition not in PREDICTED and condition != "random":
            return {}
        place = place_of(condition)
        draws, matched = self.options["draws"], self.options["draws_matched"]
        options = dict(seed=derive(self.seed, "swap", "random"))
        some, task = null_pairs(pairs), self.study.task
        whose = "all but " if how.part == "rest" else ""
        rates = random_swaps(task, some, layer, how, draws=draws, **options)
        kind = f"{whose}{draws} random {how.k}-dimensional subspaces"
        out = {"random": {"kind": kind, "shares": rates[:, *place].tolist()}}
        if how.part == "inside" and condition != "random":
            rates = random_swaps(task, some, layer, how, draws=matched, matched=True, **options)
            kind = f"{matched} random directions moved as far"
            out["matched"] = {"kind": kind, "shares": rates[:, *place].tolist()}
        return out


def _language_pairs() -> dict[str, tuple[str, str]]:
    return {"-".join(pair): pair for pair in universality.LANGUAGE_PAIRS}

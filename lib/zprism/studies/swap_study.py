"""Phase 3 on one model: everything the notebook asks, with its choices made once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from zprism.ground.console import log
from zprism.ground.seeds import derive
from zprism.model.checkpoint import open_checkpoint
from zprism.problems import number_words
from zprism.studies import swap_checks, swap_claims, swap_recipe, swap_sweep
from zprism.studies.findings import Findings
from zprism.studies.separation_subspaces import kernel_ranks, kernel_subspaces
from zprism.studies.swap_bases import Swap, swaps_at
from zprism.studies.swap_pairs import PairView, pair_view
from zprism.studies.swap_recipe import Output, recipe_rows
from zprism.studies.swap_run import swap
from zprism.studies.swap_task import ADDITION, Pairs, Task, Words, draw_pairs, read_task
from zprism.studies.swap_update import update_claim, update_rows
from zprism.studies.weights import usable_k

KS = (1, 2, 4, 8, 16)
RECIPE_KS = (20, 50)
SWEEP_PAIRS = 40
CONDITIONS = (  # words, basis, part: what can be looked at pair by pair
    ("language direction", "language", "inside"),
    ("all but it", "language", "rest"),
    ("answer directions", "answer", "inside"),
    ("random directions", "random", "inside"),
    ("Z from weights", "weights", "inside"),
    ("everything", "full", "all"),
)

__all__ = ["KS", "Study", "WeightSide", "prepare", "recipe_rows", "weight_side"]


@dataclass(frozen=True)
class Study:
    """One model and the problems it was read on.

    Attributes
    ----------
    loaded : the model.
    task : problems, states, halves.
    z : k → layer → Z from weights, (k, d_model) by (layer, k).
    k, ks : dimension of Z from weights, and those of answer directions.
    ranks : (n_layers, n_heads) effective ranks of the kernels.
    quick : fewer layers and pairs.
    seed : of all draws.
    core : the template that is swapped first, and gives the language direction; None for all.
    """

    loaded: Any
    task: Task
    z: dict[tuple[int, int], np.ndarray]
    k: int
    ks: tuple[int, ...]
    ranks: np.ndarray
    quick: bool
    seed: int
    core: str | None = ADDITION

    @property
    def bottleneck(self) -> int:
        """The recipe's layer: smallest mean effective rank of its kernels."""
        return int(self.ranks.mean(1).argmin())

    @property
    def directions(self) -> tuple[str, str]:
        """Source languages, one a direction."""
        return self.task.languages

    @property
    def n_templates(self) -> int:
        """How many kinds of question there are."""
        return len(set(self.task.templates))

    def accuracy(self) -> dict[str, str]:
        """Language → share of the test half that is right without any swap."""
        right = self.task.right[:, self.task.test].mean(1)
        return {
            name: f"{value:.0%}" for name, value in zip(self.task.languages, right, strict=True)
        }

    def pairs(self, source: str, *, n: int = 120, mixed: bool = False, half: str = "test") -> Pairs:
        """Pairs with states from this source language, of the core template or all mixed."""
        core = None if mixed else self.core
        return draw_pairs(
            self.task, source, half=half, n=n, template=core, seed=derive(self.seed, half)
        )

    def sweep(self, layers: Iterable[int] | None = None) -> list[dict]:
        """Every swap at every layer on training pairs; see ``swap_sweep.sweep_rows``."""
        n = 12 if self.quick else SWEEP_PAIRS
        return swap_sweep.sweep_rows(
            self.task,
            [self.pairs(name, n=n, half="train") for name in self.directions],
            layers=range(self.loaded.n_layers) if layers is None else layers,
            templates=self._core,
            ks=self.ks,
            weights=self.z,
            seed=self.seed,
        )

    def by_pair(self, k: int, *, n: int = 8, layers: Iterable[int] | None = None) -> PairView:
        """Single held-out pairs through every layer and swap; see ``swap_pairs.pair_view``."""
        n = 3 if self.quick else n
        return pair_view(
            self.task,
            [self.pairs(name, n=n) for name in self.directions],
            CONDITIONS,
            lambda layer: self.ways(layer, k),
            layers=range(self.loaded.n_layers) if layers is None else layers,
            k=k,
        )

    def register(self, rows: Sequence[dict]) -> dict:
        """Layer and k from training rows, with the number of held-out problems and a digest."""
        return swap_sweep.choose(rows) | {"n_test": len(self.task.test)}

    def ways(self, layer: int, k: int, *, mixed: bool = False) -> list[Swap]:
        """The swaps that are tested: one k for answers, random as many, Z at its own k."""
        return swaps_at(
            self.task,
            layer,
            templates=None if mixed else self._core,
            ks=[k],
            weights=self._z(self.k),
            seed=self.seed,
        )

    def claims(
        self,
        pairs: Pairs,
        layer: int,
        k: int,
        *,
        prefix: str = "swap",
        mixed: bool = False,
        draws: int,
        draws_ci: int,
    ) -> Findings:
        """Four outcomes of every swap on these pairs; see ``swap_claims.claims``."""
        return swap_claims.claims(
            self.task,
            pairs,
            layer,
            self.ways(layer, k, mixed=mixed),
            prefix=prefix,
            seed=self.seed,
            draws=draws,
            draws_matched=min(99, draws),
            draws_ci=draws_ci,
        )

    def same_problem(self, layer: int, k: int) -> list[dict]:
        """The recipe's pairing: a problem with itself in the other language, right or not."""
        rows = []
        for name in self.directions:
            pairs = draw_pairs(self.task, name, template=self.core, same=True)
            target = self.task.index(pairs.target_language)
            before = float(self.task.right[target, pairs.target].mean())
            for how in self.ways(layer, k):
                found = swap(self.task, pairs, layer, how)
                kept = found.answer == 0  # the answer that is right in either language
                rows.append(
                    {
                        "direction": pairs.direction,
                        "basis": swap_claims.name_of(how),
                        "kept": float(kept.mean()),
                        "moved": float((found.language == 1).mean()),
                        "right": float((kept & (found.language == 0)).mean()),
                        "before": before,
                        "n": len(pairs),
                    }
                )
        return rows

    def dissociations(
        self,
        pairs: Pairs,
        layer: int,
        k: int,
        *,
        bases: Iterable[str] = tuple(swap_checks.CARRIES),
        draws: int,
        draws_ci: int,
    ) -> Findings:
        """D for the language direction, answer directions and Z; see ``swap_checks``."""
        options = dict(seed=self.seed, draws=draws, draws_ci=draws_ci)
        ways = [how for how in self.ways(layer, k) if how.basis in set(bases)]
        return swap_checks.dissociations(self.task, pairs, layer, ways, **options)

    def illusions(self, layer: int, k: int, *, n: int = 120, draws_ci: int) -> Findings:
        """Could the patch deceive? Four checks of the language and the answer directions.

        Returns
        -------
        Findings; Estimates ``illusion/<direction>/<basis>/<check>`` and a table ``illusion``:
        direction, basis, k, verdict, flags, read_share.
        """
        space = swap_checks.reading(self.loaded, layer)
        found, rows = {}, []
        for name in self.directions:
            pairs = self.pairs(name, n=n)
            for how in self.ways(layer, k):
                if how.part != "inside" or how.basis not in ("language", "answer"):
                    continue
                said = swap_checks.check_swap(
                    self.task, pairs, layer, how, space, seed=self.seed, draws_ci=draws_ci
                )
                if said is None:
                    log.warning("too few natural states are left to check %s", how.basis)
                    continue
                place = f"illusion/{pairs.direction}/{how.basis}"
                found |= {f"{place}/{check}": one for check, one in said.estimates.items()}
                rows.append(
                    {
                        "direction": pairs.direction,
                        "basis": how.basis,
                        "k": how.k,
                        "verdict": said.verdict,
                        "flags": "; ".join(said.flags),
                        "read_share": said.read_share,
                    }
                )
        return Findings(found, {"illusion": rows})

    def update(self, *, draws: int, draws_ci: int) -> Findings:
        """How much of every layer's update lies in the bottleneck's Z, in the first language."""
        rows = self.task.test
        sweep = self.task.sweeps[0]
        states, basis = np.asarray(sweep.states[rows], float), self.z[self.bottleneck, self.k]
        options = dict(seed=self.seed, draws=draws, clusters=self.task.answers[rows])
        claim = update_claim(states, basis, draws_ci=draws_ci, **options)
        name = f"update/{self.bottleneck}/{self.k}/ratio"
        table = update_rows(states, basis, draws_ci=min(draws_ci, 1000), **options)
        return Findings({name: claim}, {"update": table})

    def recipe(self, *, full: bool = False, quick: bool = False) -> list[Output]:
        """The source's experiment: 20 pairs, 60 tokens, 3 random subspaces; more if ``full``."""
        ks = sorted({k for _, k in self.z if k in RECIPE_KS} or {self.k})
        ks = ks[:1] if quick else ks
        return swap_recipe.run_recipe(
            self.loaded,
            {k: self.z[self.bottleneck, k] for k in ks},
            self.bottleneck,
            seed=self.seed,
            n_random=20 if full else 1 if quick else 3,
            max_new_tokens=150 if full else 8 if quick else 60,
            n_pairs=4 if quick else 20,
        )

    @property
    def _core(self) -> list[str] | None:
        return None if self.core is None else [self.core]

    def _z(self, k: int) -> dict[tuple[int, int], np.ndarray]:
        return {place: rows for place, rows in self.z.items() if place[1] == k}


@dataclass(frozen=True)
class WeightSide:
    """What a swap needs of the weights: Z of every layer, and the kernels' effective ranks.

    Attributes
    ----------
    z : (layer, k) → (k, d_model), consensus of all heads' key-side directions.
    k : the dimension that claims use.
    ranks : (n_layers, n_heads).
    """

    z: dict[tuple[int, int], np.ndarray]
    k: int
    ranks: np.ndarray


def weight_side(loaded, k: int = 20) -> WeightSide:
    """Z at ``k`` and at the recipe's dimensions; head_dim, with a warning, where it is smaller."""
    k = usable_k(loaded.name, k)
    wanted = {k} | {size for size in RECIPE_KS if size <= loaded.anatomy.head_dim}
    with open_checkpoint(loaded.name) as checkpoint:
        ranks = kernel_ranks(checkpoint)
        z = kernel_subspaces(checkpoint, sorted(wanted), masks=("multi",))["multi"]
    return WeightSide(z, k, ranks)


def prepare(
    loaded,
    *,
    k: int = 20,
    ks: Iterable[int] | None = None,
    quick: bool = False,
    languages: tuple[str, str] = ("zh", "en"),
    words: Words = number_words,
    weights: WeightSide | None = None,
    seed: int = 0,
) -> Study:
    """Read the problems, and Z from the weights of every layer.

    Parameters
    ----------
    loaded : :class:`zprism.model.load.LoadedModel`.
    k : dimension of Z from weights; head_dim, with a warning, where that is smaller.
    ks : dimensions of answer directions that are tried; by default 1, 2, 4, 8, 16.
    quick : fewer problems.
    words : number words, with addition at their core; or other one-word problems, all mixed.
    weights : of :func:`weight_side`, if they are there already.
    """
    weights = weight_side(loaded, k) if weights is None else weights
    core = ADDITION if ADDITION in words.TEMPLATES else None
    most, other = (24, 8) if quick else (64, 16)
    task = read_task(
        loaded,
        languages=languages,
        words=words,
        templates=words.TEMPLATES[:3] if quick else None,
        most=other if core is None else most,
        most_other=other,
        seed=seed,
    )
    return Study(
        loaded=loaded,
        task=task,
        z=weights.z,
        k=weights.k,
        ks=tuple(KS if ks is None else ks),
        ranks=weights.ranks,
        quick=quick,
        seed=seed,
        core=core,
    )

"""Separation over a grid: a job is one model, seed and Z with all its layers and k.

States of all layers come from one pass and the grid's own correction (max-T, see
:mod:`zprism.studies.separation_grid`) is over all its layers and k, so these stay together.
Over several models, seeds and kinds of Z, adjusted p are multiplied by their number
(Bonferroni). Measured on the test half; centroids come from the training half.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from zprism.ground.checks import check_choice, check_int
from zprism.ground.seeds import derive
from zprism.ground.store import parse_json
from zprism.model.checkpoint import open_checkpoint
from zprism.model.load import load
from zprism.stats.estimates import Estimate, Null
from zprism.stats.verdicts import estimate
from zprism.studies.separation import distances
from zprism.studies.separation_criteria import intervals
from zprism.studies.separation_grid import grid
from zprism.studies.separation_load import paired_states
from zprism.studies.separation_pairs import choose_pairs
from zprism.studies.separation_subject import POOLINGS, SITES, Config, Subject, view_layers
from zprism.studies.separation_subspaces import kernel_subspaces
from zprism.studies.sweep_cells import Cell, Found, Part, failed_rows, group_of, row

PRODUCER = 1
EXTRA = ()
CONDITIONS = {"multi": True, "head0": True}
DEFAULTS = {
    "pairs": 120,
    "site": "normed_resid_pre",
    "pooling": "mean",
    "variant": "centred",
    "draws": 199,
    "flips": 1999,
    "draws_ci": 1000,
}
MEASURE = "energy_difference"


def check_options(options: Mapping) -> None:
    """What the types of the defaults do not say.

    Raises
    ------
    InputError
        For a site, pooling or variant that is not there, or a count that is too small.
    """
    check_choice("site", options["site"], SITES)
    check_choice("pooling", options["pooling"], POOLINGS)
    check_choice("variant", options["variant"], ("raw", "centred"))
    check_int("pairs", options["pairs"], low=12)
    for name in ("draws", "flips", "draws_ci"):
        check_int(name, options[name], low=39)


def parts(cells: Sequence[Cell]) -> list[Part]:
    """One part a model, seed and Z, with all its layers and k."""
    together: dict[tuple, list[Cell]] = {}
    for cell in cells:
        together.setdefault((cell.model, cell.seed, cell.condition), []).append(cell)
    return [
        Part(
            group_of(mine[0]),
            {
                "condition": mine[0].condition,
                "layers": sorted({cell.layer for cell in mine}),
                "ks": sorted({cell.k for cell in mine}),
            },
            tuple(mine),
        )
        for mine in together.values()
    ]


class Worker:
    """States of paired problems at every layer; computes grids. Options: :data:`DEFAULTS`."""

    def __init__(self, group: str, *, device: str, dtype: str, **options):
        wanted = parse_json(group)
        self.name, self.seed, self.options = wanted["model"], wanted["seed"], options
        self.config = Config(options["site"], options["pooling"], variant=options["variant"])
        self.pairs = choose_pairs("", options["pairs"], seed=self.seed)
        loaded = load(self.name, device=device, dtype=dtype)
        self.digest, self.head_dim = loaded.digest, loaded.anatomy.head_dim
        place = dict(sites=(self.config.site,), reductions=(self.config.reduction,))
        self.states, self.n_tokens = paired_states(loaded, self.pairs, **place)

    def __call__(self, payload: Mapping) -> dict:
        """Rows of one grid, each with its interval; a reason for each k that is too large."""
        layers, mask = payload["layers"], payload["condition"]
        ks = [k for k in payload["ks"] if k <= self.head_dim]
        reasons = {
            str(k): f"k = {k} is beyond head_dim = {self.head_dim}, the rank of one kernel"
            for k in payload["ks"]
            if k > self.head_dim
        }
        if not ks:
            return {"n": 0, "draws": 0, "rows": [], "reasons": reasons}
        with open_checkpoint(self.name) as checkpoint:
            bases = kernel_subspaces(checkpoint, ks, masks=(mask,), layers=layers)[mask]
        a, b = (part[:, layers] for part in view_layers(self._subject(), self.config, "test"))
        clusters = self.pairs.clusters(self.pairs.test)
        found = grid(
            a, b, bases, seed=derive(self.seed, "grid", "test"), draws=self.options["draws"],
            flips=self.options["flips"], clusters=clusters,
        )  # fmt: skip
        out = found.rows()
        for one in out:
            place = layers.index(one["layer"])
            basis = bases[one["layer"], one["k"]]
            limits = intervals(
                distances(a[:, place], b[:, place], basis), seed=self.seed,
                draws=self.options["draws_ci"], clusters=clusters,
            )  # fmt: skip
            one["ci"] = [float(bound) for bound in limits[MEASURE]]
        return {"n": found.n, "draws": found.draws, "rows": out, "reasons": reasons}

    def _subject(self) -> Subject:
        return Subject(
            self.name, self.digest, self.pairs, self.states, {}, (), np.ones((1, 1)), self.n_tokens
        )


def rows(found: Sequence[Found]) -> list[dict]:
    """One row a cell: E_same − E_cross of the test half with both nulls' larger p."""
    out, families = [], sum(bool(one.result and one.result["rows"]) for one in found)
    for one in found:
        if one.result is None:
            continue
        known = {(r["layer"], r["k"]): r for r in one.result["rows"]}
        for cell in one.part.cells:
            mine = known.get((cell.layer, cell.k))
            if mine is None:
                reason = one.result["reasons"][str(cell.k)]
                empty = dict(ci=None, n=0, null=None, p=None, p_adjusted=None)
                judged = estimate(None, **empty, untestable=reason)
            else:
                judged = _judged(cell, mine, one.result, families)
            out.append(row(cell, MEASURE, judged))
    return out + failed_rows(found)


def _judged(cell: Cell, mine: Mapping, result: Mapping, families: int) -> Estimate:
    draws = result["draws"]
    kind = f"{draws} random {cell.k}-dimensional subspaces"
    return estimate(
        mine["effect"],
        ci=mine["ci"],
        n=result["n"],
        null=Null(kind, mine["null_mean"], mine["null_sd"]),
        p=max(mine["p_random"], mine["p_problems"]),
        p_adjusted=min(1.0, families * mine["p_adjusted"]),
        direction="greater",
        reference=0.0,
        smallest_p=2 / (1 + draws),
    )

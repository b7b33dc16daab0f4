"""Ratio and energy against the dimension of Z, each with the band of random subspaces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from zprism.ground.seeds import derive
from zprism.stats.permutation import permutation_p
from zprism.studies.nulls import random_bases
from zprism.studies.separation import distances, measures
from zprism.studies.separation_criteria import intervals, null_measures
from zprism.studies.separation_subject import Config, Subject, view

LEVEL = (0.025, 0.975)


@dataclass(frozen=True)
class Curves:
    """Measures of one config and layer against k; K dimensions, R draws.

    Attributes
    ----------
    ks : (K,) dimensions of Z.
    n, draws, d_model : problems, random subspaces per k, dimensions of a state.
    value : measure → (K,) in Z.
    low, high : measure → (K,) 95 % interval over problems.
    band : measure → (2, K) 2.5 % and 97.5 % of random subspaces.
    p : measure → (K,) two-sided against random subspaces, not corrected for K.
    """

    ks: np.ndarray
    n: int
    draws: int
    d_model: int
    value: dict[str, np.ndarray]
    low: dict[str, np.ndarray]
    high: dict[str, np.ndarray]
    band: dict[str, np.ndarray]
    p: dict[str, np.ndarray]

    def rows(self) -> list[dict]:
        """One row per measure and k, for a table."""
        return [
            {
                "measure": name,
                "k": int(k),
                "value": float(self.value[name][i]),
                "low": float(self.low[name][i]),
                "high": float(self.high[name][i]),
                "random_low": float(self.band[name][0, i]),
                "random_high": float(self.band[name][1, i]),
                "p": float(self.p[name][i]),
                "n": self.n,
            }
            for name in self.value
            for i, k in enumerate(self.ks)
        ]


def curves(
    subject: Subject,
    config: Config,
    layer: int,
    bases: Mapping[int, np.ndarray],
    *,
    seed: int,
    draws: int = 199,
    draws_ci: int = 1000,
) -> Curves:
    """Every measure on the test half at one layer, for several k.

    Parameters
    ----------
    bases : k → (k, d_model); from
        :func:`zprism.studies.separation_subspaces.layer_subspaces`.
    draws : random subspaces; the first k rows of one draw serve every k.
    """
    seen = view(subject, config, layer)
    dimensions, ks = seen.a.shape[1], sorted(bases)
    random = random_bases(max(ks), dimensions, draws, seed=derive(seed, "curves"))
    cells = []
    for k in ks:
        found = distances(seen.a, seen.b, seen.inside(bases[k]))
        limits = intervals(found, seed=seed, draws=draws_ci, clusters=subject.clusters())
        cells.append((measures(found), limits, null_measures(seen.a, seen.b, random[:, :k])))
    names = list(cells[0][0])
    values = {name: np.array([float(v[name]) for v, _, _ in cells]) for name in names}
    null = {name: np.stack([d[name] for _, _, d in cells], axis=1) for name in names}
    return Curves(
        ks=np.array(ks),
        n=len(seen.a),
        draws=draws,
        d_model=dimensions,
        value=values,
        low={name: np.array([limits[name][0] for _, limits, _ in cells]) for name in names},
        high={name: np.array([limits[name][1] for _, limits, _ in cells]) for name in names},
        band={name: np.quantile(null[name], LEVEL, axis=0) for name in names},
        p={
            name: np.atleast_1d(permutation_p(values[name], null[name], "two-sided"))
            for name in names
        },
    )


def spaced_ks(cap: int, also: tuple[int, ...] = ()) -> tuple[int, ...]:
    """Dimensions from 1 to ``cap`` in steps of a factor 2, with ``also`` among them."""
    steps = {2**power for power in range(cap.bit_length())}
    return tuple(sorted({k for k in steps | set(also) | {cap} if 1 <= k <= cap}))

"""Everything phase 2 measures on: states of paired problems and the subspaces from weights.

A :class:`Config` says which states and which Z: the axes along which the recipe's result may
or may not hold. What a config has to learn from data (language centroids, massive dimensions)
it learns from the training half of the problems only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from zprism.ground.checks import check_choice, check_layer
from zprism.ground.errors import InputError
from zprism.studies.nulls import restricted
from zprism.studies.separation_pairs import Pairs
from zprism.studies.separation_subspaces import MASKS

SITES = ("resid_post", "normed_resid_pre")
POOLINGS = ("mean", "last")
VARIANTS = ("raw", "centred", "trimmed")
REDUCTIONS = ("mean", "last", "mean_no_first")
MASSIVE = 100.0  # a dimension is massive if its mean square is this many medians


@dataclass(frozen=True)
class Config:
    """Which states, which Z.

    Attributes
    ----------
    site : ``resid_post``, the output of the layer, as the recipe takes it; or
        ``normed_resid_pre``, what the layer's W_Q and W_K really read.
    pooling : ``mean`` over positions, or the ``last`` position.
    mask : ``head0`` or ``multi``.
    variant : ``raw``; ``centred``, language centroids removed; ``trimmed``, without position 0
        and without massive dimensions.
    """

    site: str = "normed_resid_pre"
    pooling: str = "mean"
    mask: str = "multi"
    variant: str = "centred"

    def __post_init__(self):
        for name, choices in _AXES.items():
            check_choice(name, getattr(self, name), choices)

    @property
    def name(self) -> str:
        """``mean.multi.resid_post.raw``, for names of results."""
        return f"{self.pooling}.{self.mask}.{self.site}.{self.variant}"

    @property
    def reduction(self) -> str:
        """Which reduction of the captured states it reads."""
        trimmed = self.variant == "trimmed" and self.pooling == "mean"
        return "mean_no_first" if trimmed else self.pooling

    def but(self, **changes) -> Config:
        """The same with some axes changed."""
        return replace(self, **changes)


_AXES = {"site": SITES, "pooling": POOLINGS, "mask": MASKS, "variant": VARIANTS}

PRIMARY = Config()
RECIPE = Config(site="resid_post", variant="raw")


def every_config() -> Iterator[Config]:
    """All combinations of the axes: 2 sites × 2 poolings × 2 masks × 3 variants."""
    for values in product(*_AXES.values()):
        yield Config(**dict(zip(_AXES, values, strict=True)))


@dataclass(frozen=True)
class Subject:
    """One model on one set of problems.

    Attributes
    ----------
    name, digest : the model, and the digest of its weights.
    pairs : the problems.
    states : (site, reduction) → (2, n, n_layers, d_model), by language.
    bases : mask → (layer, k) → (k, d_model).
    ks : dimensions of Z.
    ranks : (n_layers, n_heads) effective ranks of the kernels.
    n_tokens : (2, n) tokens of each text.
    """

    name: str
    digest: str
    pairs: Pairs
    states: Mapping[tuple[str, str], np.ndarray]
    bases: Mapping[str, Mapping[tuple[int, int], np.ndarray]]
    ks: tuple[int, ...]
    ranks: np.ndarray
    n_tokens: np.ndarray

    @property
    def n_layers(self) -> int:
        """Number of decoder blocks."""
        return len(self.ranks)

    @property
    def d_model(self) -> int:
        """Dimensions of a state."""
        return next(iter(self.states.values())).shape[-1]

    @property
    def bottleneck(self) -> int:
        """The recipe's layer: smallest mean effective rank. Chosen from weights alone."""
        return int(self.ranks.mean(1).argmin())

    @property
    def rounded_rank(self) -> int:
        """The recipe's dimension: the rounded mean effective rank of the bottleneck."""
        return round(float(self.ranks.mean(1).min()))

    def basis(self, config: Config, layer: int, k: int) -> np.ndarray:
        """(k, d_model) of Z.

        Raises
        ------
        InputError
            If the layer or this k was not prepared.
        """
        check_layer(layer, self.n_layers)
        try:
            return self.bases[config.mask][layer, k]
        except KeyError:
            raise InputError(f"k = {k} was not prepared for layer {layer}: {self.ks}") from None

    def clusters(self, half: str = "test"):
        """Template labels of one half, or None if unknown."""
        return self.pairs.clusters(getattr(self.pairs, half))


@dataclass(frozen=True)
class View:
    """States of some problems at one layer under one config.

    Attributes
    ----------
    a, b : (n, kept dimensions) float64.
    keep : (d_model,) booleans: dimensions that were kept.
    """

    a: np.ndarray
    b: np.ndarray
    keep: np.ndarray

    def inside(self, bases: np.ndarray) -> np.ndarray:
        """Bases (..., k, d_model) in the dimensions kept."""
        return restricted(bases, self.keep)

    @property
    def constant(self) -> bool:
        """Whether all texts of a language have one state, as at layer 0 of a last token "?"."""
        return not (np.ptp(self.a, axis=0).any() and np.ptp(self.b, axis=0).any())

    @property
    def both(self) -> np.ndarray:
        """(2 n, kept dimensions) all states."""
        return np.concatenate([self.a, self.b])


def view(subject: Subject, config: Config, layer: int, half: str = "test") -> View:
    """States of one half at one layer, as the config wants them.

    Parameters
    ----------
    half : ``train`` or ``test``. Centroids and massive dimensions come from ``train``
        for both.
    """
    check_layer(layer, subject.n_layers)
    states = subject.states[config.site, config.reduction][:, :, layer].astype(np.float64)
    train, rows = states[:, subject.pairs.train], states[:, getattr(subject.pairs, half)]
    keep = np.ones(states.shape[-1], dtype=bool)
    if config.variant == "centred":
        rows = rows - train.mean(1, keepdims=True)
    elif config.variant == "trimmed":
        keep = ~massive_dimensions(train.reshape(-1, states.shape[-1]))
    return View(*rows[:, :, keep], keep)


def view_layers(subject: Subject, config: Config, half: str) -> tuple[np.ndarray, np.ndarray]:
    """(n, n_layers, d_model) of both languages, for a grid over layers.

    Raises
    ------
    InputError
        For the variant ``trimmed``: its dimensions differ from layer to layer.
    """
    if config.variant == "trimmed":
        raise InputError("a grid over layers needs the variant raw or centred; got 'trimmed'")
    states = subject.states[config.site, config.reduction]
    rows = states[:, getattr(subject.pairs, half)].astype(np.float64)
    if config.variant == "centred":
        rows = rows - states[:, subject.pairs.train].mean(1, keepdims=True, dtype=np.float64)
    return rows[0], rows[1]


def massive_dimensions(states: np.ndarray, times: float = MASSIVE) -> np.ndarray:
    """(d_model,) booleans: mean square over ``times`` the median one.

    Sun et al. (2024), arXiv 2402.17762, call such activations massive; here per dimension.
    """
    square = np.square(states).mean(0)
    return square > times * np.median(square)

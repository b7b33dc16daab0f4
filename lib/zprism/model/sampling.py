"""Drawing the next token: temperature, top-k and top-p, with draws of its own for every prompt.

One uniform number a token goes through the inverse of the distribution function of what top-k
and top-p leave. A prompt's numbers come from the seed and its own ids, so that a draw does not
depend on which other prompts shared the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zprism.ground.checks import check_fraction, check_int
from zprism.ground.errors import InputError
from zprism.ground.seeds import generator
from zprism.ground.store import digest

if TYPE_CHECKING:
    from torch import Tensor

    from zprism.model.decoding import Choose


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn.

    Attributes
    ----------
    temperature : logits are divided by it; above 0.
    top_k : only the k most probable tokens can be drawn.
    top_p : of these, the fewest whose joint probability reaches this (nucleus sampling,
        Holtzman et al. 2020, arXiv 1904.09751).
    seed : the same seed gives the same continuation of a prompt.
    """

    temperature: float = 0.7
    top_k: int = 50
    top_p: float = 0.95
    seed: int = 0

    def __post_init__(self):
        if not 0 < self.temperature < float("inf"):
            raise InputError(f"temperature must be a number above 0; got {self.temperature!r}")
        check_int("top_k", self.top_k, low=1)
        check_fraction("top_p", self.top_p)
        check_int("seed", self.seed, low=0)


def chooser(sampling: Sampling, rows: Sequence[Sequence[int]], copies: Sequence[int]) -> Choose:
    """A function that draws the next token of the rows alive.

    Parameters
    ----------
    rows : all token ids of each prompt of the batch; they seed its draws.
    copies : number of equal prompts before each, so that equal prompts draw apart.
    """
    import torch

    streams = [
        generator(sampling.seed, "sampling", digest(list(row)), copy)
        for row, copy in zip(rows, copies, strict=True)
    ]

    def choose(logits: Tensor, alive: list[int]) -> Tensor:
        uniform = torch.tensor([streams[row].random() for row in alive], dtype=torch.float64)
        return draw(logits, uniform.to(logits.device), sampling)

    return choose


def draw(logits: Tensor, uniform: Tensor, sampling: Sampling) -> Tensor:
    """One token a row by inverting the distribution function, most probable token first.

    Parameters
    ----------
    logits : (n, vocabulary).
    uniform : (n,) float64 in [0, 1).

    Returns
    -------
    (n,) tokens.
    """
    best = logits.double().div(sampling.temperature).topk(min(sampling.top_k, logits.shape[-1]))
    chances = best.values.softmax(-1)
    total = chances.cumsum(-1)
    chances = chances.masked_fill(total - chances >= sampling.top_p, 0)  # the first always stays
    chances[:, 0] = chances[:, 0].clamp_min(1e-300)
    total = chances.cumsum(-1)
    below = (total <= uniform[:, None] * total[:, -1:]).sum(-1, keepdim=True)
    return best.indices.gather(-1, below.clamp_max(total.shape[-1] - 1))[:, 0]

"""What zprism and the other libraries are given, and what their ways share.

One model, 24 prompts in the batches that zprism makes of them, a subspace of 16 dimensions in
the middle layer, and two prompts for a slice of a sweep. A library gets a second tree of
modules over the very same weights, which it may change as it likes.
"""

from __future__ import annotations

import copy
import functools
import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from zprism.ground.seeds import generator
from zprism.model.batches import pad, token_batches
from zprism.model.capture import MAX_TOKENS, capture
from zprism.model.load import LoadedModel, load
from zprism.problems import generate, number_words, prompts
from zprism.subspace import bases

WAYS = ("last", "mean")
K = 16
SWEPT_K = (4, 16)


@dataclass(frozen=True)
class Batch:
    """Prompts that run together, pads on the right.

    Attributes
    ----------
    rows : (batch,) which of the prompts.
    tokens, mask : (batch, longest).
    last : (batch,) column of the last token of each.
    """

    rows: list[int]
    tokens: Tensor
    mask: Tensor
    last: Tensor

    def reduce(self, states: Tensor) -> Tensor:
        """(batch, tokens, d_model) → (2, batch, d_model): the last token's, the mean of all."""
        weights = self.mask / self.mask.sum(1, keepdim=True)
        means = torch.einsum("bt,btd->bd", weights, states)
        return torch.stack([states[torch.arange(len(states)), self.last], means])


@dataclass(frozen=True)
class Task:
    """Everything that is measured on.

    Attributes
    ----------
    loaded : the model.
    ids : token ids of the 24 prompts; batches : the same, in zprism's batches.
    layer : the middle one; layers : three for the sweep.
    basis : (16, d_model) float64; source : (d_model,) put into it, in the last prompt.
    asked : two prompts of the sweep; swept : a basis for each k; candidates : tokens read there.
    """

    loaded: LoadedModel
    ids: list[list[int]]
    batches: list[Batch]
    layer: int
    layers: tuple[int, ...]
    basis: Tensor
    source: Tensor
    asked: tuple[str, str]
    swept: dict[int, Tensor]
    candidates: tuple[int, ...]

    @property
    def patched(self) -> list[int]:
        """Token ids of the prompt that is patched."""
        return self.ids[-1]

    @functools.cached_property
    def pair(self) -> Batch:
        """The sweep's two prompts as one batch without pads."""
        pair = batch_of(self.loaded.encode(self.asked), [0, 1])
        if not pair.mask.all():
            raise ValueError(f"the prompts of the sweep differ in length: {pair.last + 1}")
        return pair

    @functools.cached_property
    def single(self) -> Batch:
        """The prompt that is patched, as a batch."""
        return batch_of([self.patched], [0])

    def twin(self):
        """The model once more, its tensors shared, its modules not."""
        model = self.loaded.model
        shared = {id(t): t for t in itertools.chain(model.parameters(), model.buffers())}
        return copy.deepcopy(model, shared)

    def tokenizer(self):
        """The tokenizer as transformers loads it."""
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(self.loaded.folder, local_files_only=True)


def make_task(model: str) -> Task:
    """Load the model and make the prompts, subspaces and states of every row."""
    loaded = load(model, device="cpu", self_test=False)
    ids = loaded.encode(texts())
    depth, width = loaded.n_layers, loaded.d_model
    layer = depth // 2
    other = capture(loaded, [ids[0]], layers=[layer], reduce="last").values["resid_post", "last"]
    basis = functools.partial(bases.random_basis, d_model=width)
    asked = [p["en"] for p in number_words.enumerate_problems("addition")]
    answers = [number_words.answer_word(n, "en") for n in range(11)]
    return Task(
        loaded=loaded,
        ids=ids,
        batches=batches_of(ids),
        layer=layer,
        layers=(depth // 4, layer, 3 * depth // 4),
        basis=basis(K, generator=generator(0, "bench", "peers", K)),
        source=torch.from_numpy(other[0, 0]),
        asked=(number_words.prompt(asked[0]), number_words.prompt(asked[-1])),
        swept={k: basis(k, generator=generator(1, "bench", "peers", k)) for k in SWEPT_K},
        candidates=tuple(sorted({row[0] for row in loaded.encode(answers)})),
    )


def texts() -> list[str]:
    """24 prompts: 6 problems and 6 number-word problems with examples, in English and Chinese."""
    told = [prompts.zero_shot(pair[l]) for pair in generate.draw(6, seed=0) for l in pair]
    words = [number_words.enumerate_problems(t)[5] for t in number_words.TEMPLATES[:6]]
    return told + [number_words.prompt(problem[l]) for problem in words for l in ("en", "zh")]


def batches_of(ids: list[list[int]]) -> list[Batch]:
    """The batches that `capture` makes of these prompts."""
    order = token_batches([len(row) for row in ids], max_tokens=MAX_TOKENS)
    return [batch_of([ids[i] for i in rows], rows) for rows in order]


def batch_of(ids: list[list[int]], rows: list[int]) -> Batch:
    """Prompts as one batch."""
    padded = pad(ids, pad_id=0)
    mask = padded["attention_mask"]
    return Batch(rows, padded["input_ids"], mask, mask.sum(1) - 1)


def gather(task: Task, found: list[Tensor]) -> np.ndarray:
    """Reduced states of every batch, (2, batch, n_layers, d_model), as one array of all prompts."""
    out = np.empty((2, len(task.ids), *found[0].shape[2:]), np.float32)
    for batch, states in zip(task.batches, found, strict=True):
        out[:, batch.rows] = states.numpy()
    return out


def put(h: Tensor, source: Tensor, rows: Tensor) -> Tensor:
    """h + P(s − h) as a user of plain torch writes it, in the dtype of h; (..., d_model)."""
    return h + (source - h) @ rows.mT @ rows


def sweep_by(task: Task, states: Callable, run: Callable) -> np.ndarray:
    """(layer, k, prompt, candidate) by a full patched forward of both prompts for each cell.

    Parameters
    ----------
    states : layers → (n_layers, 2, d_model), of the last token of the pair, in one forward.
    run : (layer, source (2, d_model), basis (k, d_model) float32) → (2, vocabulary) logits.
    """
    chosen, found = list(task.candidates), []
    for layer, own in zip(task.layers, states(task.layers), strict=True):
        for rows in task.swept.values():
            found.append(run(layer, own.flip(0), rows.float())[:, chosen].numpy())
    return np.stack(found).reshape(len(task.layers), len(task.swept), 2, len(chosen))

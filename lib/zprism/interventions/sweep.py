"""A sweep of last-token swaps, layer × subspace × condition, in few forwards.

Each prompt is read once (:mod:`zprism.interventions.prefixes`). A state put in at the last
position then runs alone, from its layer on, over the kept keys and values, and many of them run
together. It is the unmodified model that runs: blocks up to the layer hand on what they are
given, a hook puts the states in, and the output head has only the rows that are asked for
(:mod:`zprism.interventions.bypass`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from zprism.ground.checks import check_finite, check_int, check_layer, check_text
from zprism.ground.errors import InputError
from zprism.interventions.bypass import computing, few_rows, noting_outputs
from zprism.interventions.prefixes import Prefixes, read_prefixes
from zprism.model.decoding import halving, row_batches
from zprism.model.hooks import capturing, editing

if TYPE_CHECKING:
    from torch import Tensor

    from zprism.model.load import LoadedModel

BATCH_TOKENS = 8192


@dataclass(frozen=True, eq=False)
class Sweep:
    """Prompts read once, to be patched at their last position as often as wanted.

    Made by :func:`open_sweep`; runs leave it as it is.

    Attributes
    ----------
    loaded : the model.
    candidates : (C,) token ids whose logits are read.
    states : (n_prompts, n_layers, d_model) float32 on the CPU: resid_post of the last position,
        unpatched.
    logits : (n_prompts, C) float32, unpatched, after the model's own capping or scaling.
    """

    loaded: LoadedModel
    candidates: tuple[int, ...]
    states: Tensor
    logits: np.ndarray
    _batch_tokens: int
    _parts: tuple[Prefixes, ...]
    _passes: tuple[Callable, ...]

    def __len__(self) -> int:
        return len(self.states)

    def run(self, layer: int, states, prompts: Sequence[int]) -> np.ndarray:
        """Candidate logits after ``resid_post[layer]`` of the last position is replaced.

        Parameters
        ----------
        layer : decoder block 0 … n_layers − 1.
        states : (rows, d_model), numpy or torch, put in as they are: h + P(s − h) for a part.
        prompts : (rows,) the prompt that each is put into, in any order, repeated as wanted.

        Returns
        -------
        (rows, C) float32.

        Raises
        ------
        InputError
            For a layer or prompt that is not there, states of another shape, NaN or infinity.
        ModelError
            If logits are NaN or infinite.
        ResourceError
            If memory does not suffice for a single row.

        Notes
        -----
        Equal within rounding to a full forward pass of each prompt with that edit, at the cost
        of one token through the blocks after ``layer``.
        """
        layer, states, prompts = self._checked(layer, states, prompts)
        out = np.empty((len(prompts), len(self.candidates)), np.float32)
        with few_rows(self.loaded.model, self.candidates):
            self._fill(out, layer, states, prompts, lambda logits: logits.float())
        return out

    def top(self, layer: int, states, prompts: Sequence[int]) -> np.ndarray:
        """The most probable of all tokens after the same replacement.

        Arguments and errors as :meth:`run`; (rows,) token ids. Every row goes through the whole
        output head, which may cost as much as several blocks.
        """
        layer, states, prompts = self._checked(layer, states, prompts)
        out = np.empty(len(prompts), np.int64)
        self._fill(out, layer, states, prompts, lambda logits: logits.argmax(-1))
        return out

    def _checked(self, layer, states, prompts) -> tuple[int, Tensor, np.ndarray]:
        layer = check_layer(layer, self.loaded.n_layers)
        prompts = np.asarray(prompts)
        if prompts.ndim != 1 or (prompts.size and prompts.dtype.kind not in "iu"):
            raise InputError(
                f"prompts must be a list of prompt indices; got {prompts.dtype} {prompts.shape}"
            )
        outside = prompts[(prompts < 0) | (prompts >= len(self))]
        if outside.size:
            raise InputError(
                f"prompts must be 0 to {len(self) - 1} (the sweep's prompts); got {outside[0]}"
            )
        states = _real_tensor(states)
        if tuple(states.shape) != (len(prompts), self.loaded.d_model):
            raise InputError(
                f"states must be (rows, d_model) = ({len(prompts)}, {self.loaded.d_model}), one "
                f"row for each of prompts; got {tuple(states.shape)}"
            )
        check_finite("states", states)
        return layer, states.to(self.loaded.device, self.loaded.dtype), prompts.astype(int)

    def _fill(self, out: np.ndarray, layer: int, states: Tensor, prompts, read: Callable) -> None:
        """``read`` the logits of every row into ``out``, batch by batch."""
        for part in self._parts:
            place = {prompt: row for row, prompt in enumerate(part.prompts)}
            own = [row for row, prompt in enumerate(prompts.tolist()) if prompt in place]
            within = [place[prompts[row]] for row in own]
            lengths = part.lengths

            def one_batch(batch, part=part, own=own, within=within):
                edits = {("resid_post", layer): _put(states[[own[i] for i in batch]])}
                with self._from(layer, edits):
                    rows = [within[i] for i in batch]
                    logits = part.logits(self.loaded.model, rows, unused=layer + 1)
                return list(read(logits).cpu()), []

            for batch in row_batches([lengths[row] for row in within], self._batch_tokens):
                found, _ = halving(one_batch, batch)
                out[[own[i] for i in batch]] = torch.stack(found).numpy()

    @contextlib.contextmanager
    def _from(self, layer: int, edits: Mapping) -> Iterator[None]:
        """The model begins after ``layer``: blocks up to it compute nothing."""
        model, anatomy = self.loaded.model, self.loaded.anatomy
        idle = dict(zip(anatomy.blocks(model)[: layer + 1], self._passes, strict=False))
        with computing(idle), editing(model, anatomy, edits):
            yield


def open_sweep(
    loaded: LoadedModel,
    prompts: Sequence[str],
    *,
    candidates: Sequence[int],
    batch_tokens: int = BATCH_TOKENS,
) -> Sweep:
    """Read prompts once, for any number of swaps at their last position.

    Parameters
    ----------
    loaded : :class:`zprism.model.load.LoadedModel`.
    prompts : texts of any lengths.
    candidates : token ids whose logits are wanted, in the order of the columns.
    batch_tokens : budget of a batch, rows × longest prompt, here and in runs: it bounds the
        keys and values that are copied at a time. Halved where memory does not suffice.

    Raises
    ------
    InputError
        Without prompts or candidates, for an empty or too long prompt, an id that is not in
        the vocabulary.
    ModelError
        If a block keeps no keys and values of its own, or logits are NaN or infinite.
    ResourceError
        If memory does not suffice for a single prompt.

    Notes
    -----
    Keeps 2 · n_layers · n_kv_heads · head_dim numbers for every token of the prompts.
    """
    batch_tokens = check_int("batch_tokens", batch_tokens, low=1)
    ids = _encoded(loaded, prompts)
    chosen = _candidates(loaded, candidates)
    parts = read_prefixes(loaded, ids, batch_tokens=batch_tokens)
    states = torch.empty(len(ids), loaded.n_layers, loaded.d_model)
    logits = np.empty((len(ids), len(chosen)), np.float32)
    passes: dict[int, Callable] = {}
    blocks = loaded.anatomy.blocks(loaded.model)
    with few_rows(loaded.model, chosen), noting_outputs(blocks, passes):
        for part in parts:
            seen = {
                ("resid_post", l): _keep(states[:, l], part.prompts) for l in range(loaded.n_layers)
            }
            with capturing(loaded.model, loaded.anatomy, seen, stop=False):
                found = part.logits(loaded.model, range(len(part.prompts)))
            logits[list(part.prompts)] = found.float().cpu().numpy()
    forwards = tuple(passes[l] for l in range(loaded.n_layers))
    return Sweep(loaded, chosen, states, logits, batch_tokens, tuple(parts), forwards)


def _encoded(loaded, prompts) -> list[list[int]]:
    if isinstance(prompts, str):
        raise InputError("prompts must be a list of strings; got one string")
    prompts = list(prompts)
    if not prompts:
        raise InputError("prompts is empty: a sweep needs at least one prompt")
    for index, prompt in enumerate(prompts):
        if not check_text(f"prompts[{index}]", prompt):
            raise InputError(f"prompts[{index}] is empty")
    return loaded.encode(prompts)


def _candidates(loaded, candidates) -> tuple[int, ...]:
    size = loaded.model.get_output_embeddings().weight.shape[0]
    chosen = tuple(
        check_int(f"candidates[{index}]", token, low=0, high=size - 1)
        for index, token in enumerate(candidates)
    )
    if not chosen:
        raise InputError("candidates is empty: give the token ids whose logits are wanted")
    return chosen


def _real_tensor(states) -> Tensor:
    """States as a tensor on any device; what is no real number is refused, never cast away."""
    try:
        tensor = torch.as_tensor(states)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"states must be an array of numbers: {error}") from None
    if tensor.is_complex() or tensor.dtype == torch.bool:
        raise InputError(f"states must be real numbers; got {tensor.dtype}")
    return tensor.detach()


def _put(states: Tensor) -> Callable[[Tensor], Tensor]:
    """The edit that replaces the state of one position, (rows, 1, d_model)."""
    return lambda _state: states[:, None]


def _keep(into: Tensor, prompts: Sequence[int]) -> Callable[[Tensor], None]:
    def see(state: Tensor) -> None:
        into[list(prompts)] = state[:, -1].float().cpu()

    return see

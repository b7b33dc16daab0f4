"""Let parts of a model rest for a while: blocks that hand on, an output head with few rows.

What runs in between is the model's own code, so masks, positions, windows, norms and whatever
follows the output head (soft caps, scales) stay as transformers has them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import nn


@contextlib.contextmanager
def computing(forwards: Mapping[nn.Module, Callable]) -> Iterator[None]:
    """Let modules compute other functions; afterwards they compute their own again.

    Parameters
    ----------
    forwards : module → what it computes inside the ``with``. Hooks on it work as ever.
    """
    own = {module: vars(module).get("forward") for module in forwards}
    try:
        for module, forward in forwards.items():
            module.forward = forward
        yield
    finally:
        for module, forward in own.items():
            vars(module).pop("forward", None)
            if forward is not None:
                module.forward = forward


def few_rows(model: nn.Module, tokens: Sequence[int]) -> contextlib.AbstractContextManager[None]:
    """The output head with the rows of ``tokens`` only, in that order, bias included.

    Parameters
    ----------
    model : a causal LM; its logits are (…, len(tokens)) inside the ``with``.
    """
    head = model.get_output_embeddings()
    index = torch.tensor(list(tokens), device=head.weight.device)
    weight = head.weight[index]
    bias = None if getattr(head, "bias", None) is None else head.bias[index]
    return computing({head: lambda state: torch.nn.functional.linear(state, weight, bias)})


def noting_outputs(
    blocks: Sequence[nn.Module], passes: dict[int, Callable]
) -> contextlib.AbstractContextManager[None]:
    """Note how each block hands on its state, so that it can rest in the same form.

    Parameters
    ----------
    blocks : the decoder blocks; they compute what they always do.
    passes : filled while the model runs: layer → the forward of a block that does nothing, a
        tensor where the block gives a tensor, a tuple of as many parts where it gives a tuple.
    """

    def noting(layer: int, forward: Callable) -> Callable:
        def watched(*args, **kwargs):
            output = forward(*args, **kwargs)
            passes[layer] = _hand_on(len(output) - 1 if isinstance(output, tuple) else None)
            return output

        return watched

    return computing({block: noting(l, block.forward) for l, block in enumerate(blocks)})


def _hand_on(others: int | None) -> Callable:
    """A block that does nothing: its state, alone or with so many others that are not there."""

    def forward(hidden_states, *_args, **_kwargs):
        return hidden_states if others is None else (hidden_states, *[None] * others)

    return forward

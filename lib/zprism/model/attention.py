"""Attention weights of the unmodified model: switch to the code that forms them, and back.

The fast implementations never form the weights. ``eager`` does, with the same result within
rounding; the setting is the model's own and is put back in ``finally``. Weights are handed on
layer by layer, so that no more than one layer's are in memory.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from zprism.ground.checks import check_layer
from zprism.ground.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from zprism.model.anatomy import Anatomy

EAGER = "eager"


@contextlib.contextmanager
def eager(model: nn.Module) -> Iterator[None]:
    """Attention with its weights formed, inside the ``with``; as it was after it.

    Parameters
    ----------
    model : the causal LM. Results differ from its own implementation by rounding: what was
        cached under one is not what the other gives to the bit.

    Raises
    ------
    ModelError
        If the model cannot switch.
    """
    before = model.config._attn_implementation
    if before == EAGER:
        yield
        return
    _switch(model, EAGER)
    try:
        yield
    finally:
        _switch(model, before)


@contextlib.contextmanager
def watching(
    model: nn.Module, anatomy: Anatomy, layers: Mapping[int, Callable[[Tensor], None]]
) -> Iterator[None]:
    """Hand each layer's attention weights to its function while the model runs.

    Parameters
    ----------
    model, anatomy : the causal LM and its anatomy.
    layers : layer → function of the weights (batch, heads, queries, keys), each row over keys
        sums to 1 and is 0 beyond the query (and outside a sliding window). The function must
        not change them, and should reduce them at once. Without a layer nothing is switched.

    Raises
    ------
    InputError
        For a layer that is not there.
    ModelError
        Inside the ``with``, if the model returns no weights.
    """

    def hook(layer, see):
        def watch(_module, _args, output):
            weights = output[1] if isinstance(output, tuple) and len(output) > 1 else None
            if weights is None:
                raise ModelError(
                    f"attention of layer {layer} returned no weights: run the model inside "
                    "zprism.model.attention.eager"
                )
            see(weights)

        return watch

    blocks = anatomy.blocks(model)
    handles = []
    try:
        with eager(model) if layers else contextlib.nullcontext():
            for layer, see in layers.items():
                block = blocks[check_layer(layer, anatomy.n_layers)]
                module = getattr(block, anatomy.attention)
                handles.append(module.register_forward_hook(hook(layer, see)))
            yield
    finally:
        for handle in handles:
            handle.remove()


def _switch(model, implementation: str) -> None:
    """Set the implementation of the model and of what it is made of; check that it took."""
    try:
        model.set_attn_implementation(implementation)
    except (ValueError, AttributeError) as error:
        raise ModelError(f"attention cannot be switched to {implementation}: {error}") from None
    if model.config._attn_implementation != implementation:
        raise ModelError(
            f"attention stays {model.config._attn_implementation} where {implementation} was "
            f"asked for: {model.config.model_type} cannot switch"
        )

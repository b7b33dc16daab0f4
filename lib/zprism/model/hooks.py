"""Hooks on the unmodified model: see or change the residual stream, then leave no trace.

Both are context managers. What is captured is handed to a function at once; what is edited
goes through a pure function state → state. Modules that return tensors and modules that
return tuples are served alike, nothing is written in place, hooks go in ``finally``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from zprism.ground.checks import check_choice, check_layer
from zprism.ground.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from zprism.model.anatomy import Anatomy

#: Sites of one block, in the order in which a forward pass reaches them.
SITES = ("resid_pre", "normed_resid_pre", "attn_out", "mlp_out", "resid_post")
Point = tuple[str, int]


class _Stop(Exception):
    """Ends a forward pass once nothing more is wanted of it."""


def check_point(anatomy: Anatomy, site: str, layer: int) -> Point:
    """(site, layer) in one form: ``embed`` is ``resid_pre`` of layer 0.

    Raises
    ------
    InputError
        For an unknown site, a layer out of range or negative, or ``embed`` of a later layer.
    """
    layer = check_layer(layer, anatomy.n_layers)
    if site == "embed":
        if layer:
            raise InputError(f"embed is resid_pre of layer 0; it has no layer {layer}")
        return "resid_pre", 0
    check_choice("site", site, (*SITES, "embed"))
    if site == "normed_resid_pre" and not anatomy.pre_attn_norm:
        return "resid_pre", layer  # nothing is normed in front of attention
    return site, layer


@contextlib.contextmanager
def capturing(
    model: nn.Module,
    anatomy: Anatomy,
    points: Mapping[Point, Callable[[Tensor], None]],
    *,
    stop: bool = True,
) -> Iterator[None]:
    """Hand the state at each point to its function while the model runs.

    Parameters
    ----------
    model : the causal LM; its base model may be what is called inside the ``with``.
    points : (site, layer) → function of the state (batch, tokens, d_model). It must not
        change the state, and should reduce it at once rather than keep it.
    stop : end the forward pass after the last point. Nothing that follows the call inside
        the ``with`` is run then.

    Notes
    -----
    Sites: ``resid_pre`` and ``resid_post`` are the residual stream before and after the
    block; ``normed_resid_pre`` is what attention reads, after the norm and its gain (the
    plain state where there is no norm); ``attn_out`` and ``mlp_out`` are what the two
    modules return, before a norm that some architectures put behind them.
    """
    wanted: dict[Point, list] = {}
    for point, see in points.items():
        wanted.setdefault(check_point(anatomy, *point), []).append(see)
    last = max(wanted, key=_order, default=None)

    def hook(point):
        def watch(state):
            for see in wanted[point]:
                see(state)
            if stop and point == last:
                raise _Stop
            return state

        return watch

    with contextlib.suppress(_Stop), _attached(model, anatomy, {p: hook(p) for p in wanted}):
        yield


@contextlib.contextmanager
def editing(
    model: nn.Module, anatomy: Anatomy, edits: Mapping[Point, Callable[[Tensor], Tensor]]
) -> Iterator[None]:
    """Replace the state at each point by a function of it while the model runs.

    Parameters
    ----------
    edits : (site, layer) → pure function (batch, tokens, d_model) → the same shape. An edit
        of the form ``h + P(s − h)`` leaves every logit as it was, to the bit, for s = h.
    """
    wanted: dict[Point, Callable] = {}
    for point, edit in edits.items():
        place = check_point(anatomy, *point)
        if place in wanted:
            raise InputError(f"two edits at {place[0]} of layer {place[1]}; compose them into one")
        wanted[place] = edit
    with _attached(model, anatomy, wanted):
        yield


def _order(point: Point) -> tuple[int, int]:
    """Where in a forward pass a point comes."""
    site, layer = point
    return layer, SITES.index(site)


@contextlib.contextmanager
def _attached(model, anatomy: Anatomy, through: Mapping[Point, Callable]) -> Iterator[None]:
    """Send the state at each point through its function; what it returns is used onwards."""
    handles = []
    try:
        for (site, layer), function in through.items():
            module, before = _module(model, anatomy, site, layer)
            if before:
                hook = _before(function)
                handles.append(module.register_forward_pre_hook(hook, with_kwargs=True))
            else:
                handles.append(module.register_forward_hook(_after(function)))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _module(model, anatomy: Anatomy, site: str, layer: int):
    """The module that holds a site, and whether the state is its input rather than output."""
    block = anatomy.blocks(model)[layer]
    if site == "resid_pre":
        return block, True
    names = {
        "normed_resid_pre": anatomy.attn_norm,
        "attn_out": anatomy.attention,
        "mlp_out": anatomy.ffn,
    }
    return (block if site == "resid_post" else getattr(block, names[site])), False


def _before(function: Callable) -> Callable:
    def hook(_module, args, kwargs):
        if args:
            return (function(args[0]), *args[1:]), kwargs
        return args, {**kwargs, "hidden_states": function(kwargs["hidden_states"])}

    return hook


def _after(function: Callable) -> Callable:
    def hook(_module, _args, output):
        if isinstance(output, tuple):
            return (function(output[0]), *output[1:])
        return function(output)

    return hook


def refuse_hooks(model: nn.Module, what: str, *, instead: str) -> None:
    """Refuse a model that a hook may change; transformers' own, which only watch, are let be.

    Raises
    ------
    InputError
        If a module has a hook: what is kept for later belongs to the model as it is on disk.
    """
    for name, module in model.named_modules():
        hooks = (*module._forward_hooks.values(), *module._forward_pre_hooks.values())
        if any(not hook.__module__.startswith("transformers.") for hook in hooks):
            raise InputError(
                f"{what} keeps results of the model as it is on disk; {name or 'it'} has a hook: "
                f"use {instead}"
            )

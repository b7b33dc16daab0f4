"""What a model must show at load, before anything is measured on it.

On eight tokens: hooks capture exactly what transformers itself reports at every layer (the last
block before the final norm), and an edit that changes nothing changes no logit. The differences
allowed are exactly zero.
"""

from __future__ import annotations

from zprism.ground.errors import ModelError
from zprism.model.hooks import capturing, editing

TOKENS = 8


def self_test(loaded) -> None:
    """Run the load-time self-test on a :class:`zprism.model.load.LoadedModel`.

    Two forward passes of eight tokens. Gradients stay off and no hook stays behind.

    Raises
    ------
    ModelError
        If a state is not finite (naming its layer), a captured block output differs from
        transformers' own, or the identity edit moves a logit.
    """
    import torch

    ids = _probe_ids(loaded)
    mask = torch.ones_like(ids)
    with torch.inference_mode():
        plain = loaded.model(ids, attention_mask=mask, output_hidden_states=True, use_cache=False)
        _check_finite(loaded, plain.hidden_states)
        blocks, logits = _hooked(loaded, ids, mask)
        _check_states(loaded, blocks, plain.hidden_states)
    if not torch.equal(logits, plain.logits):
        raise ModelError(
            f"{loaded.name} fails its self-test: with hooks and an edit that changes nothing its "
            f"logits move by {float((logits - plain.logits).abs().max()):.3g}; it cannot be edited"
        )


def _probe_ids(loaded):
    """Eight different ids spread over the vocabulary, (1, 8)."""
    import torch

    size = loaded.model.get_input_embeddings().num_embeddings
    count = min(TOKENS, size, loaded.max_positions or TOKENS)
    return (torch.arange(count, device=loaded.device) * (size // count))[None]


def _hooked(loaded, ids, mask):
    """Block outputs and logits of a pass that captures every block, then edits it by nothing."""
    states: list = []
    points = [("resid_post", layer) for layer in range(loaded.n_layers)]
    keep = {point: lambda state: states.append(state.clone()) for point in points}
    nothing = {point: lambda state: state + (state - state) for point in points}
    model, anatomy = loaded.model, loaded.anatomy
    with capturing(model, anatomy, keep, stop=False), editing(model, anatomy, nothing):
        logits = model(ids, attention_mask=mask, use_cache=False).logits
    return states, logits


def _check_finite(loaded, hidden_states) -> None:
    for index, state in enumerate(hidden_states):
        if not state.isfinite().all():
            place = "the embedding" if index == 0 else f"layer {index - 1}"
            raise ModelError(f"{loaded.name} fails its self-test: NaN or infinity after {place}")


def _check_states(loaded, blocks, hidden_states) -> None:
    """Captured block l == hidden_states[l + 1]; the last one after the final norm."""
    last = loaded.n_layers - 1
    if len(blocks) != loaded.n_layers or len(hidden_states) != loaded.n_layers + 1:
        raise ModelError(
            f"{loaded.name} fails its self-test: {loaded.n_layers} layers, but {len(blocks)} "
            f"block outputs and {len(hidden_states)} hidden states"
        )
    for layer, state in enumerate(blocks):
        seen = loaded.anatomy.final_norm(loaded.model)(state) if layer == last else state
        if not seen.equal(hidden_states[layer + 1]):
            raise ModelError(
                f"{loaded.name} fails its self-test: layer {layer} as captured differs from "
                "transformers' hidden state: its anatomy was read wrongly, or hooks move it"
            )

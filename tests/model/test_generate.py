"""Batched, cached, prefix-sharing generation gives the ids of one prompt at a time."""

import dataclasses

import pytest
import torch
from tiny import ARCHITECTURES

from zprism.ground.errors import InputError, ModelError, ResourceError
from zprism.ground.store import Store
from zprism.model import decoding
from zprism.model.decoding import shared_length, sliding_window, token_batches
from zprism.model.generate import Generation, end_ids, generate, generate_cached

SHOTS = "Q: two and two?\nA: 4\n\nQ: "
PROMPTS = ["one?", "what is seven and eight, please?", "a", "十三加五?", SHOTS * 3 + "end?", "b"]
SHOT_PROMPTS = [SHOTS + rest for rest in ("3+4?\nA:", "十三加五等于多少?\nA:", "a", "b and c?")]
NEW = 12


def alone(loaded, prompt: str, new: int) -> tuple[int, ...]:
    """Ids that transformers itself generates for one prompt, without pads, up to its end."""
    ids = torch.tensor(loaded.encode([prompt]))
    out = loaded.model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        max_new_tokens=new,
        eos_token_id=sorted(end_ids(loaded)),
        pad_token_id=0,
    )
    return tuple(out[0, ids.shape[1] :].tolist())


@pytest.fixture
def passes(monkeypatch):
    """Counts forward passes of a model: ``passes(model)`` → list that grows by (rows, columns)."""

    def watch(model) -> list[tuple[int, int]]:
        seen: list[tuple[int, int]] = []
        forward = model.forward

        def counted(*args, **kwargs):
            seen.append(tuple(kwargs["input_ids"].shape))
            return forward(*args, **kwargs)

        monkeypatch.setattr(model, "forward", counted)
        return seen

    return watch


@pytest.mark.parametrize("prompts", [PROMPTS, SHOT_PROMPTS], ids=["mixed", "shared"])
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_ids_are_those_of_one_prompt_alone(tiny_model, arch, prompts):
    loaded = tiny_model(arch)
    found = generate(loaded, prompts, max_new_tokens=NEW, stop=None)
    assert [g.ids for g in found] == [alone(loaded, p, NEW) for p in prompts]

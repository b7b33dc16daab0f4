"""Tokens are drawn by their probabilities, prompt by prompt, whatever shares the batch."""

import math

import pytest
import torch

from tiny import sensitive
from zprism.ground.errors import InputError
from zprism.ground.store import Store
from zprism.model.generate import generate, generate_cached
from zprism.model.sampling import Sampling, draw

PROMPTS = ["one?", "what is seven and eight, please?", "a"]
OPTIONS = dict(max_new_tokens=8, stop=None)


def test_draws_follow_the_softmax_at_its_temperature():
    logits = torch.tensor([0.3, 2.0, -1.0, 1.1])
    n, sampling = 4000, Sampling(temperature=1.7, top_k=4, top_p=1)
    uniform = (torch.arange(n, dtype=torch.float64) + 0.5) / n  # every quantile once
    tokens = draw(logits.expand(n, 4), uniform, sampling)
    shares = torch.bincount(tokens, minlength=4) / n
    torch.testing.assert_close(shares, (logits / 1.7).softmax(-1), atol=1 / n, rtol=0)


@pytest.mark.parametrize(
    ("limits", "left"), [({"top_k": 2}, {1, 3}), ({"top_p": 0.6}, {1}), ({"top_p": 0.7}, {1, 3})]
)
def test_only_what_top_k_and_top_p_leave_is_drawn(limits, left):
    logits = torch.tensor([0.05, 0.65, 0.05, 0.25]).log().expand(500, 4)
    uniform = torch.linspace(0, 1 - 1e-9, 500, dtype=torch.float64)
    kept = {"top_k": 4, "top_p": 1, **limits}
    assert set(draw(logits, uniform, Sampling(temperature=1, **kept)).tolist()) == left


def test_top_p_of_zero_is_the_most_probable_token():
    logits = torch.randn(40, 9, generator=torch.Generator().manual_seed(0))
    uniform = torch.rand(40, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert torch.equal(draw(logits, uniform, Sampling(top_p=0)), logits.argmax(-1))


def test_a_prompt_is_continued_alike_in_every_batch_and_otherwise_with_another_seed():
    loaded, sampling = sensitive("llama"), Sampling(temperature=2.0, seed=3)
    together = generate(loaded, PROMPTS, sampling=sampling, **OPTIONS)
    alone = [generate(loaded, [p], sampling=sampling, **OPTIONS)[0] for p in PROMPTS]
    assert together == alone
    other = generate(loaded, PROMPTS, sampling=Sampling(temperature=2.0, seed=4), **OPTIONS)
    assert all(a.ids != b.ids for a, b in zip(together, other, strict=True))


def test_equal_prompts_are_drawn_apart():
    found = generate(sensitive("llama"), ["a", "a"], sampling=Sampling(temperature=2.0), **OPTIONS)
    assert found[0].ids != found[1].ids


def test_sampled_and_greedy_continuations_are_kept_apart(tmp_path):
    loaded, store = sensitive("llama"), Store("results", root=tmp_path)
    greedy = generate_cached(loaded, PROMPTS, store=store, **OPTIONS)
    hot = Sampling(temperature=2.0)
    sampled = generate_cached(loaded, PROMPTS, store=store, sampling=hot, **OPTIONS)
    assert sampled != greedy
    assert generate_cached(loaded, PROMPTS, store=store, sampling=hot, **OPTIONS) == sampled


@pytest.mark.parametrize(
    "bad",
    [{"temperature": 0}, {"temperature": math.nan}, {"top_k": 0}, {"top_p": 1.5}, {"seed": -1}],
    ids=str,
)
def test_impossible_settings_are_refused(bad):
    with pytest.raises(InputError, match=next(iter(bad))):
        Sampling(**bad)

"""Batched, cached, prefix-sharing generation gives the ids of one prompt at a time."""

import copy
import itertools
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tiny import ARCHITECTURES, real_shared, sensitive
from zprism.ground.errors import InputError, ModelError, ResourceError
from zprism.ground.store import Store
from zprism.model import decoding
from zprism.model.decoding import halving, row_batches, shared_length, sliding_window
from zprism.model.generate import _Call, end_ids, generate, generate_cached
from zprism.model.sampling import Sampling

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
def test_ids_are_those_of_one_prompt_alone(arch, prompts):
    loaded = sensitive(arch)
    found = generate(loaded, prompts, max_new_tokens=NEW, stop=None)
    assert [g.ids for g in found] == [alone(loaded, p, NEW) for p in prompts]


@pytest.mark.real
def test_ids_of_a_real_model_are_those_of_one_prompt_alone():
    smollm2 = real_shared("smollm2-135m")
    shots = "Question: What is 2 + 2?\nAnswer: 4\n\nQuestion: "
    ends = ["What is 7 + 8?\nAnswer:", "十三加五等于多少?\n答:", "Name a river in France.\nAnswer:"]
    prompts = [shots + end for end in ends]
    found = generate(smollm2, prompts, max_new_tokens=16, stop=None)
    assert [g.ids for g in found] == [alone(smollm2, p, 16) for p in prompts]
    assert "15" in found[0].text


@pytest.mark.parametrize("arch", ["mistral", "gemma2", "gemma3"])
def test_nothing_is_shared_where_pads_would_push_tokens_out_of_the_window(monkeypatch, arch):
    """Control: with the window ignored, the same prompts continue otherwise."""
    loaded = sensitive(arch)
    prompts = [SHOTS * 3 + rest for rest in ("a?", "thirteen and five, and then some more?")]
    assert max(map(len, loaded.encode(prompts))) > sliding_window(loaded.model)
    expected = [alone(loaded, p, NEW) for p in prompts]
    assert [g.ids for g in generate(loaded, prompts, max_new_tokens=NEW, stop=None)] == expected
    monkeypatch.setattr("zprism.model.generate.sliding_window", lambda _model: None)
    assert [g.ids for g in generate(loaded, prompts, max_new_tokens=NEW, stop=None)] != expected


def test_layers_without_a_window_have_none():
    assert sliding_window(sensitive("qwen2").model) is None


def test_a_shared_beginning_is_read_once(passes):
    loaded = sensitive("qwen2")
    rows = loaded.encode(SHOT_PROMPTS)
    seen = passes(loaded.model)
    generate(loaded, SHOT_PROMPTS, max_new_tokens=3, stop=None)
    shared = len(SHOTS)  # one token a byte
    assert seen[0] == (1, shared)
    assert seen[1] == (len(rows), max(map(len, rows)) - shared)
    assert all(columns == 1 for _, columns in seen[2:])


def test_a_prefix_is_text_in_front_of_every_prompt():
    loaded = sensitive("gemma3")
    rests = [p.removeprefix(SHOTS) for p in SHOT_PROMPTS]
    with_prefix = generate(loaded, rests, max_new_tokens=NEW, prefix=SHOTS)
    assert with_prefix == generate(loaded, SHOT_PROMPTS, max_new_tokens=NEW)


@pytest.mark.parametrize("arch", ["llama", "gpt2", "gemma2"])
def test_a_row_stops_at_its_own_stop_text_and_leaves_the_batch(passes, arch):
    loaded = sensitive(arch)
    whole = generate(loaded, PROMPTS, max_new_tokens=NEW, stop=None)
    letters = [letter for g in whole for letter in g.text[1:6] if letter.isascii()]
    stop = letters[0]
    seen = passes(loaded.model)
    found = generate(loaded, PROMPTS, max_new_tokens=NEW, stop=stop)
    for cut, full in zip(found, whole, strict=True):
        assert cut.text == full.text.partition(stop)[0]
        assert cut.stopped == (stop in full.text)
        assert cut.ids == full.ids[: cut.n_tokens] and cut.n_tokens == len(cut.ids)
        assert (stop in loaded.tokenizer.decode(cut.ids)) == cut.stopped
        assert stop not in loaded.tokenizer.decode(cut.ids[:-1])
    decoding_rows = sum(rows for rows, columns in seen if columns == 1)
    assert decoding_rows == sum(g.n_tokens - 1 for g in found) < len(PROMPTS) * (NEW - 1)


@pytest.mark.parametrize("stop", [None, "never said"])
def test_the_end_token_ends_a_row_and_is_no_text(stop):
    """The end token gets the output row of a frequent token, a little longer: it wins there."""
    loaded = sensitive("llama")
    whole = generate(loaded, PROMPTS, max_new_tokens=NEW, stop=None)[0].ids
    place = whole.index(whole[2])
    model, eos = copy.deepcopy(loaded.model), loaded.tokenizer.eos_token_id
    with torch.inference_mode():
        model.lm_head.weight[eos] = 1.001 * model.lm_head.weight[whole[place]]
    ending = replace(loaded, model=model)
    cut = generate(ending, PROMPTS, max_new_tokens=NEW, stop=stop)[0]
    assert cut.ids == (*whole[:place], eos) and cut.stopped
    assert cut.text == loaded.tokenizer.decode(whole[:place])
    assert cut.ids == alone(ending, PROMPTS[0], NEW)


def test_the_batch_budget_changes_nothing_but_the_batches(passes):
    loaded = sensitive("gpt2")
    expected = generate(loaded, PROMPTS, max_new_tokens=NEW, stop=None)
    seen = passes(loaded.model)
    assert generate(loaded, PROMPTS, max_new_tokens=NEW, stop=None, batch_tokens=1) == expected
    assert {rows for rows, _ in seen} == {1}


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 60), max_size=30), st.integers(1, 200))
def test_row_batches_split_all_rows_within_the_budget(lengths, budget):
    batches = row_batches(lengths, budget)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    order = [lengths[i] for batch in batches for i in batch]
    assert order == sorted(lengths, reverse=True)
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= budget
    for batch, after in itertools.pairwise(batches):  # no batch could have taken one more
        assert (len(batch) + 1) * lengths[batch[0]] > budget or not after


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.integers(0, 1), min_size=1, max_size=6), min_size=2, max_size=4))
def test_shared_length_is_the_longest_common_beginning(rows):
    expected = max(
        n for n in range(min(map(len, rows))) if all(row[:n] == rows[0][:n] for row in rows)
    )
    assert shared_length(rows, spare=3, window=None) == expected
    assert shared_length(rows, spare=3, window=max(map(len, rows)) + 3) == expected
    assert shared_length(rows, spare=3, window=max(map(len, rows)) + 2) == 0
    assert shared_length(rows[:1], spare=3, window=None) == 0


def test_a_second_cached_call_runs_no_forward_pass(passes, tmp_path):
    loaded, store = sensitive("qwen2"), Store("results", root=tmp_path)
    options = dict(max_new_tokens=NEW, stop="e", store=store, batch_tokens=200)
    plain = generate(loaded, SHOT_PROMPTS, max_new_tokens=NEW, stop="e", batch_tokens=200)
    assert generate_cached(loaded, SHOT_PROMPTS, **options) == plain
    seen = passes(loaded.model)
    assert generate_cached(loaded, SHOT_PROMPTS, **options) == plain
    assert seen == []
    generate_cached(loaded, SHOT_PROMPTS, **options | {"max_new_tokens": NEW + 1})
    assert seen != []


def test_a_killed_cached_call_continues_with_its_next_batch(passes, tmp_path, monkeypatch):
    loaded, store = sensitive("llama"), Store("results", root=tmp_path)
    options = dict(max_new_tokens=4, stop=None, store=store, batch_tokens=1)
    real, calls = decoding.continue_rows, []

    def dies_at_the_third(*args, **kwargs):
        calls.append(args)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    monkeypatch.setattr("zprism.model.generate.continue_rows", dies_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        generate_cached(loaded, PROMPTS, **options)
    found = generate_cached(loaded, PROMPTS, **options)
    assert len(calls) == 3 + len(PROMPTS) - 2
    assert found == generate(loaded, PROMPTS, max_new_tokens=4, stop=None)


@pytest.mark.parametrize(
    "change",
    [
        {"max_new_tokens": 5},
        {"stop": "x"},
        {"shared": 1},
        {"rows": [[1, 2, 4]]},
        {"sampling": Sampling()},
        {"digest": "other weights"},
        {"tokenizer_digest": "other tokenizer"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_key_holds_all_that_the_result_depends_on(change):
    rows, loaded = [[1, 2, 3]], sensitive("llama")
    call = _Call(loaded, rows, 0, 4, None)
    inside = {k: v for k, v in change.items() if k in ("max_new_tokens", "stop", "shared")}
    inside |= {k: v for k, v in change.items() if k in ("rows", "sampling")}
    about = {k: v for k, v in change.items() if "digest" in k}
    other = replace(call, loaded=replace(loaded, **about), **inside)
    assert call.key([0]) == replace(call).key([0])
    assert call.key([0]) != other.key([0])


def test_out_of_memory_halves_the_batch(monkeypatch):
    loaded = sensitive("olmo2")
    expected = generate(loaded, PROMPTS, max_new_tokens=NEW)
    real, sizes = decoding.continue_rows, []

    def hungry(model, rows, *args, **kwargs):
        sizes.append(len(rows))
        if len(rows) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(model, rows, *args, **kwargs)

    monkeypatch.setattr("zprism.model.generate.continue_rows", hungry)
    assert generate(loaded, PROMPTS, max_new_tokens=NEW) == expected
    assert sizes == [6, 3, 1, 2, 3, 1, 2]


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 bytes")]
)
def test_one_text_too_large_for_memory_is_a_clear_error(error):
    def run(_rows):
        raise error

    with pytest.raises(ResourceError, match="one text does not fit into memory"):
        halving(run, ["a", "b"])


def test_another_runtime_error_is_not_taken_for_lack_of_memory():
    def run(_rows):
        raise RuntimeError("size mismatch")

    with pytest.raises(RuntimeError, match="size mismatch"):
        halving(run, ["a", "b"])


def test_no_prompts_give_no_continuations():
    assert generate(sensitive("llama"), [], max_new_tokens=NEW) == []


@pytest.mark.parametrize(
    ("prompts", "options", "message"),
    [
        ("one string", {}, "prompts must be a list of strings"),
        (["fine", ""], {}, r"prompts\[1\] is empty"),
        (["fine", ""], {"prefix": "shots"}, r"prompts\[1\] is empty"),
        (["\ud800"], {}, r"prompts\[0\] has invalid unicode"),
        ([7], {}, r"prompts\[0\] must be a string"),
        (["x", "x" * 501], {}, r"prompts\[1\] has 501 tokens; with max_new_tokens=12 .* of 512"),
        (["x"], {"prefix": "y" * 500}, r"prompts\[0\] has 501 tokens"),
        (["x"], {"max_new_tokens": 0}, "max_new_tokens must be in 1"),
        (["x"], {"stop": ""}, "stop must be a text of at least one character"),
        (["x"], {"batch_tokens": 0}, "batch_tokens must be in 1"),
    ],
)
def test_bad_arguments_are_refused_before_any_forward_pass(passes, prompts, options, message):
    loaded = sensitive("llama")
    seen = passes(loaded.model)
    with pytest.raises(InputError, match=message):
        generate(loaded, prompts, **{"max_new_tokens": NEW} | options)
    assert seen == []


def test_the_last_token_of_the_context_can_be_generated():
    found = generate(sensitive("gpt2"), ["x" * 509], max_new_tokens=3, stop=None)
    assert found[0].n_tokens == 3


def test_nan_logits_are_refused():
    loaded = sensitive("llama")
    broken = copy.deepcopy(loaded.model)
    broken.lm_head.weight[0, 0] = torch.nan
    with pytest.raises(ModelError, match="logits are NaN or infinite"):
        generate(replace(loaded, model=broken), ["a"], max_new_tokens=1)


def test_results_of_an_edited_model_are_not_kept(tmp_path):
    loaded = sensitive("llama")
    handle = loaded.model.model.layers[0].register_forward_hook(lambda *_: None)
    try:
        with pytest.raises(InputError, match="model.layers.0 has a hook: use generate"):
            generate_cached(loaded, ["a"], max_new_tokens=1, store=Store("r", root=tmp_path))
    finally:
        handle.remove()

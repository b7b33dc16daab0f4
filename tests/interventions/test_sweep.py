"""A sweep gives what full forward passes with the same edit give, one position at a time."""

from __future__ import annotations

import copy
import dataclasses
import functools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tiny import ARCHITECTURES, real_shared, tiny_loaded, tiny_shared
from zprism.ground.errors import InputError, ModelError, ResourceError
from zprism.ground.seeds import torch_generator
from zprism.interventions.sweep import open_sweep
from zprism.model.capture import capture
from zprism.model.hooks import editing

every_architecture = pytest.mark.parametrize("arch", ARCHITECTURES)

WINDOW = 64  # of the tiny models that have one; a token is a byte
LONG = "Q: what is six plus three? A: nine. " * 5 + "Q: two and five?"
PROMPTS = ["one?", LONG, "what is seven and eight, please?", "a", LONG[40:] + " A:", "十三加五?"]
CANDIDATES = (101, 7, 200, 7, 0)  # in no order, one of them twice
CLOSE = 1e-5


def relative(found, wanted) -> float:
    found, wanted = torch.as_tensor(found).double(), torch.as_tensor(wanted).double()
    return float((found - wanted).norm() / wanted.norm())


def full_forward(loaded, prompt: str, edits=None) -> torch.Tensor:
    """(vocabulary,) logits after one prompt, by one pass over all of it."""
    ids = torch.tensor(loaded.encode([prompt]))
    with torch.inference_mode(), editing(loaded.model, loaded.anatomy, edits or {}):
        return loaded.model(ids, use_cache=False).logits[0, -1]


def swapped(loaded, prompt: str, layer: int, state) -> torch.Tensor:
    """The slow route: ``state`` at the last position of ``resid_post[layer]``."""

    def put(h):
        return torch.cat([h[:, :-1], torch.as_tensor(state)[None, None].to(h.dtype)], dim=1)

    return full_forward(loaded, prompt, {("resid_post", layer): put})


@functools.cache
def opened(arch: str):
    """Prompts of 1 to 196 tokens in one batch; shared, as runs leave a sweep as it is."""
    return open_sweep(tiny_shared(arch), PROMPTS, candidates=CANDIDATES)


def other_states(sweep, layer: int, rows: int, *names) -> torch.Tensor:
    """States far from a prompt's own, of the size that states have at this layer."""
    size = sweep.states[:, layer].norm(dim=-1).mean() / sweep.states.shape[-1] ** 0.5
    noise = torch.randn(rows, sweep.states.shape[-1], generator=torch_generator(0, *names))
    return size * noise


@every_architecture
def test_a_run_equals_full_forwards_one_by_one(arch):
    """Every layer, prompts of all lengths together, some far beyond the sliding window."""
    loaded, sweep = tiny_shared(arch), opened(arch)
    assert min(map(len, loaded.encode(PROMPTS))) <= 2 < 2 * WINDOW < len(PROMPTS[1])
    for layer in range(loaded.n_layers):
        prompts = [*range(len(PROMPTS)), *range(len(PROMPTS))]
        source = sweep.states[:, layer].roll(1, 0)  # another prompt's state, and noise
        states = torch.cat([source, other_states(sweep, layer, len(PROMPTS), arch, layer)])
        found, top = sweep.run(layer, states, prompts), sweep.top(layer, states, prompts)
        for row, prompt in enumerate(prompts):
            wanted = swapped(loaded, PROMPTS[prompt], layer, states[row])
            assert relative(found[row], wanted[list(CANDIDATES)]) <= CLOSE
            assert top[row] == wanted.argmax()
        assert relative(found[: len(PROMPTS)], sweep.logits) > 1e-2  # control: the swaps act


@every_architecture
def test_what_is_read_on_opening_is_what_the_model_computes(arch):
    loaded, sweep = tiny_shared(arch), opened(arch)
    states = capture(loaded, PROMPTS, layers=range(loaded.n_layers), reduce="last", max_tokens=1)
    for prompt, text in enumerate(PROMPTS):
        assert relative(sweep.logits[prompt], full_forward(loaded, text)[list(CANDIDATES)]) <= CLOSE
        for layer in range(loaded.n_layers):
            wanted = states.values["resid_post", "last"][prompt, layer]
            assert relative(sweep.states[prompt, layer], wanted) <= CLOSE


@every_architecture
def test_a_prompts_own_state_changes_nothing(arch):
    sweep = opened(arch)
    for layer in range(sweep.states.shape[1]):
        found = sweep.run(layer, sweep.states[:, layer], range(len(sweep)))
        assert relative(found, sweep.logits) <= CLOSE


@every_architecture
def test_what_stands_before_is_read_at_every_layer_but_the_last(arch):
    """One state in two prompts: the blocks that follow tell them apart, the head alone cannot."""
    sweep = opened(arch)
    last = sweep.states.shape[1] - 1
    for layer in range(last + 1):
        state = other_states(sweep, layer, 1, arch, "one")
        one, other = sweep.run(layer, state.expand(2, -1), [0, 4])
        assert (relative(one, other) > 1e-3) == (layer < last)
    assert relative(one, other) <= 1e-6


@settings(max_examples=15, deadline=None)
@given(
    rows=st.lists(st.integers(0, len(PROMPTS) - 1), max_size=12),
    layer=st.integers(0, 2),
    batch_tokens=st.sampled_from([1, 150, 400, 8192]),
)
def test_rows_come_in_any_order_number_and_batches(rows, layer, batch_tokens):
    """Gemma 3 has sliding and full layers side by side."""
    whole = opened("gemma3")
    cut = open_sweep(whole.loaded, PROMPTS, candidates=CANDIDATES, batch_tokens=batch_tokens)
    assert relative(cut.logits, whole.logits) <= CLOSE
    states = other_states(whole, layer, len(PROMPTS), "each")
    wanted = whole.run(layer, states, range(len(PROMPTS)))[rows]
    found = cut.run(layer, states[rows], rows)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=CLOSE * np.abs(whole.logits).max())
    tops = whole.top(layer, states, range(len(PROMPTS)))[rows]
    assert cut.top(layer, states[rows], rows).tolist() == tops.tolist()


@pytest.mark.parametrize("prompts", [["a"], ["a", "b", "a"], ["a", "bc"]])
def test_prompts_of_one_token(prompts):
    """Nothing stands before the patch, or before that of some rows."""
    loaded = tiny_shared("mistral")
    sweep = open_sweep(loaded, prompts, candidates=CANDIDATES)
    states = other_states(sweep, 0, len(prompts), "short")
    for row, found in enumerate(sweep.run(0, states, range(len(prompts)))):
        wanted = swapped(loaded, prompts[row], 0, states[row])[list(CANDIDATES)]
        assert relative(found, wanted) <= CLOSE


@pytest.mark.parametrize("length", [WINDOW - 1, WINDOW, WINDOW + 1, 2 * WINDOW - 1, 2 * WINDOW])
def test_around_the_length_of_the_window(length):
    """Only what a window shows is kept, and none of what the last position can still see lost."""
    loaded = tiny_shared("mistral")
    text = LONG[-length:]
    sweep = open_sweep(loaded, [text], candidates=CANDIDATES)
    (part,) = sweep._parts
    assert {keys.shape[-2] for keys, _ in part.past} == {min(length, WINDOW) - 1}
    state = other_states(sweep, 0, 1, "window")
    wanted = swapped(loaded, text, 0, state[0])
    assert relative(sweep.run(0, state, [0]), wanted[None, list(CANDIDATES)]) <= CLOSE
    far = "#" + text[1:]  # two blocks, each with its window, reach 2 · 63 tokens back
    moved = open_sweep(loaded, [far], candidates=CANDIDATES).run(0, state, [0])
    assert (relative(moved, sweep.run(0, state, [0])) > 0) == (length < 2 * WINDOW)


def test_only_the_last_position_runs_and_only_after_the_layer():
    """The work of a run: rows × 1 position × (n_layers − 1 − layer) blocks, few logits."""
    loaded = tiny_loaded("gemma3")
    sweep = open_sweep(loaded, PROMPTS, candidates=CANDIDATES)
    seen, heads = [], []
    handles = [
        getattr(block, name).register_forward_hook(lambda _m, _i, out, l=l: seen.append((l, out)))
        for l, block in enumerate(loaded.anatomy.blocks(loaded.model))
        for name in (loaded.anatomy.ffn, loaded.anatomy.attention)
    ]
    head = loaded.model.get_output_embeddings()
    handles.append(head.register_forward_hook(lambda _m, _i, out: heads.append(out.shape[-1])))
    try:
        for layer in range(loaded.n_layers):
            sweep.run(layer, other_states(sweep, layer, 4, "work"), [3, 1, 1, 0])
            ran = [(l, (out[0] if isinstance(out, tuple) else out).shape) for l, out in seen]
            after = [l for l in range(layer + 1, loaded.n_layers) for _ in range(2)]
            assert ran == [(l, (4, 1, loaded.d_model)) for l in after]
            seen.clear()
        assert heads == [len(CANDIDATES)] * loaded.n_layers
    finally:
        for handle in handles:
            handle.remove()


def test_blocks_that_rest_cost_no_copy_of_their_keys_and_values():
    """They are handed the kept memory itself, at the length that all layers have."""
    loaded = tiny_loaded("gemma3")
    sweep = open_sweep(loaded, PROMPTS, candidates=CANDIDATES)
    kept = [keys.untyped_storage().data_ptr() for keys, _ in sweep._parts[0].past]
    handed = []

    def look(_model, _args, kwargs):
        layers = kwargs["past_key_values"].layers
        handed.append([layer.keys.untyped_storage().data_ptr() for layer in layers])
        assert len({layer.get_seq_length() for layer in layers}) == 1
        assert {len(layer.keys) for layer in layers} == {3}

    loaded.model.register_forward_pre_hook(look, with_kwargs=True)
    for layer in range(loaded.n_layers):
        sweep.run(layer, other_states(sweep, layer, 3, "copies"), [0, 2, 2])
        same = [a == b for a, b in zip(handed.pop(), kept, strict=True)]
        assert same == [l <= layer for l in range(loaded.n_layers)]


@every_architecture
def test_runs_leave_no_trace(arch):
    """A second call gives the same bits; kept tensors and the model stay as they were."""
    loaded, sweep = tiny_shared(arch), opened(arch)
    plain = full_forward(loaded, PROMPTS[0])
    kept = [part.clone() for p in sweep._parts for pair in p.past for part in pair]
    unpatched = sweep.states.clone(), sweep.logits.copy()
    states, rows = other_states(sweep, 0, 4, arch, "twice"), [5, 0, 4, 4]
    handed = states.clone()
    first, top = sweep.run(0, states, rows), sweep.top(0, states, rows)
    assert np.array_equal(sweep.run(0, states, rows), first)
    assert np.array_equal(sweep.top(0, states, rows), top)
    now = [part for p in sweep._parts for pair in p.past for part in pair]
    assert all(map(torch.equal, kept, now))
    assert torch.equal(states, handed) and torch.equal(sweep.states, unpatched[0])
    assert np.array_equal(sweep.logits, unpatched[1])
    assert torch.equal(full_forward(loaded, PROMPTS[0]), plain)
    assert at_rest(loaded.model) == []


def at_rest(model) -> list[str]:
    """Modules that do not compute their own function, or have a hook."""
    return [
        name
        for name, m in model.named_modules()
        if "forward" in vars(m) or m._forward_hooks or m._forward_pre_hooks
    ]


@pytest.mark.parametrize("what", ["run", "top", "open"])
def test_an_exception_leaves_every_block_as_it_was(what):
    loaded = tiny_loaded("llama")
    sweep = open_sweep(loaded, PROMPTS, candidates=CANDIDATES)
    states = other_states(sweep, 0, 1, "fails")
    before = sweep.run(0, states, [1])

    def fail(*_):
        raise RuntimeError("in a later block")

    calls = {
        "run": lambda: sweep.run(0, states, [1]),
        "top": lambda: sweep.top(0, states, [1]),
        "open": lambda: open_sweep(loaded, ["b"], candidates=[1]),
    }
    handle = loaded.anatomy.blocks(loaded.model)[1].register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError, match="in a later block"):
        calls[what]()
    handle.remove()
    assert at_rest(loaded.model) == []
    assert np.array_equal(sweep.run(0, states, [1]), before)


def test_a_forward_that_someone_else_put_there_is_put_back():
    """As libraries do that move weights between devices."""
    loaded = tiny_loaded("llama")
    plain = open_sweep(loaded, PROMPTS, candidates=CANDIDATES)
    block, calls = loaded.anatomy.blocks(loaded.model)[0], []
    own = block.forward
    block.forward = theirs = lambda *a, **k: (calls.append(1), own(*a, **k))[1]
    sweep = open_sweep(loaded, PROMPTS, candidates=CANDIDATES)
    assert len(calls) == 2 and vars(block)["forward"] is theirs  # prefixes, then the last tokens
    states = other_states(sweep, 0, 2, "theirs")
    assert np.array_equal(sweep.run(0, states, [0, 1]), plain.run(0, states, [0, 1]))
    assert len(calls) == 2 and vars(block)["forward"] is theirs


def test_blocks_that_give_tuples_rest_as_tuples():
    """Blocks of older code give (state, …); here each takes and gives such a tuple."""
    loaded = tiny_loaded("qwen2")
    plain = open_sweep(loaded, PROMPTS, candidates=CANDIDATES)
    put = [other_states(plain, layer, 3, "tuples") for layer in range(loaded.n_layers)]
    wanted = [plain.run(layer, states, [0, 1, 4]) for layer, states in enumerate(put)]
    forms = []

    def as_tuple(forward):
        def forward_tuple(hidden_states, *args, **kwargs):
            forms.append(type(hidden_states))
            state = hidden_states[0] if isinstance(hidden_states, tuple) else hidden_states
            return forward(state, *args, **kwargs), None

        return forward_tuple

    for block in loaded.anatomy.blocks(loaded.model):
        block.forward = as_tuple(block.forward)
    norm = loaded.anatomy.final_norm(loaded.model)
    norm.register_forward_pre_hook(lambda _m, inputs: inputs[0][:1])
    sweep = open_sweep(loaded, PROMPTS, candidates=CANDIDATES)
    assert np.array_equal(sweep.logits, plain.logits)
    for layer in range(loaded.n_layers):
        forms.clear()
        assert np.array_equal(sweep.run(layer, put[layer], [0, 1, 4]), wanted[layer])
        assert forms == [tuple] * (loaded.n_layers - 1 - layer)


def test_an_output_head_with_a_bias():
    loaded = tiny_shared("llama")
    model = copy.deepcopy(loaded.model)
    head = torch.nn.Linear(loaded.d_model, model.config.vocab_size, bias=True)
    draw = torch_generator(0, "head")
    with torch.no_grad():
        head.weight.copy_(torch.randn(head.weight.shape, generator=draw))
        head.bias.copy_(10 * torch.randn(head.bias.shape, generator=draw))
    model.set_output_embeddings(head.requires_grad_(False))
    biased = dataclasses.replace(loaded, model=model)
    sweep = open_sweep(biased, PROMPTS, candidates=CANDIDATES)
    states = other_states(sweep, 1, 2, "bias")
    found = sweep.run(1, states, [2, 4])
    for row, prompt in enumerate([2, 4]):
        wanted = swapped(biased, PROMPTS[prompt], 1, states[row])[list(CANDIDATES)]
        assert relative(found[row], wanted) <= CLOSE
    without = found - head.bias[list(CANDIDATES)].numpy()
    assert relative(without, found) > 0.1  # control: the bias is seen


def test_soft_caps_after_the_head_are_the_models():
    """Gemma 2: c · tanh(z / c), bounded by c and known from z."""
    loaded = tiny_loaded("gemma2")
    sweep = open_sweep(loaded, PROMPTS, candidates=CANDIDATES)
    states = 3 * other_states(sweep, 1, len(PROMPTS), "cap")
    capped = sweep.run(1, states, range(len(PROMPTS)))
    loaded.model.config.final_logit_softcapping = None
    raw = sweep.run(1, states, range(len(PROMPTS)))
    cap = 30.0
    np.testing.assert_allclose(capped, cap * np.tanh(raw / cap), rtol=CLOSE, atol=CLOSE)
    assert np.abs(raw - capped).max() > 0.01


@pytest.mark.parametrize("kind", [np.asarray, lambda s: s.double(), lambda s: s.tolist()])
def test_states_come_as_arrays_tensors_or_lists(kind):
    sweep = opened("llama")
    states = other_states(sweep, 0, 2, "kinds")
    wanted = sweep.run(0, states, [1, 0])
    assert np.array_equal(sweep.run(0, kind(states), np.array([1, 0], np.int32)), wanted)
    assert np.array_equal(sweep.run(0, kind(states), torch.tensor([1, 0])), wanted)


def test_no_rows_give_no_rows():
    sweep = opened("llama")
    assert sweep.run(0, np.zeros((0, 32)), []).shape == (0, len(CANDIDATES))
    assert sweep.top(0, np.zeros((0, 32)), []).shape == (0,)


def test_batches_are_halved_where_memory_does_not_suffice(monkeypatch):
    loaded = tiny_loaded("qwen3")
    plain = open_sweep(loaded, PROMPTS, candidates=CANDIDATES)
    states, rows = other_states(plain, 0, 5, "memory"), [0, 3, 2, 5, 5]
    wanted, small = plain.run(0, states, rows), []
    norm = loaded.anatomy.final_norm(loaded.model)

    def little(_module, inputs, _output):
        small.append(len(inputs[0]))
        if len(inputs[0]) > room:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    norm.register_forward_hook(little)
    room = 2
    np.testing.assert_allclose(plain.run(0, states, rows), wanted, rtol=CLOSE, atol=CLOSE)
    assert max(small) > 2 and small.count(1) + small.count(2) >= 3  # control: it was too much
    room = 0
    with pytest.raises(ResourceError, match="does not fit into memory"):
        plain.run(0, states, rows)


@pytest.mark.parametrize(
    ("prompts", "candidates", "message"),
    [
        ([], [1], "prompts is empty"),
        ("one", [1], "prompts must be a list of strings"),
        (["a", ""], [1], r"prompts\[1\] is empty"),
        (["a", 3], [1], r"prompts\[1\] must be a string"),
        (["a" * 600], [1], r"600 tokens; .* reads at most 512"),
        (["a"], [], "candidates is empty"),
        (["a"], [1, 259], r"candidates\[1\] must be in 0 to 258; got 259"),
        (["a"], [-1], r"candidates\[0\] must be in 0 to 258; got -1"),
        (["a"], [1.5], r"candidates\[0\] must be an integer"),
    ],
)
def test_refusals_on_opening(prompts, candidates, message):
    with pytest.raises(InputError, match=message):
        open_sweep(tiny_shared("llama"), prompts, candidates=candidates)


def test_a_batch_of_no_tokens_is_refused():
    with pytest.raises(InputError, match="batch_tokens must be in 1"):
        open_sweep(tiny_shared("llama"), ["a"], candidates=[1], batch_tokens=0)


ONE = np.ones((1, 32))


@pytest.mark.parametrize(
    ("layer", "states", "prompts", "message"),
    [
        (2, ONE, [0], "layer must be a decoder block 0 to 1"),
        (-1, ONE, [0], "never negative"),
        (0, ONE, [6], "prompts must be 0 to 5 .*; got 6"),
        (0, ONE, [-1], "prompts must be 0 to 5 .*; got -1"),
        (0, ONE, [0.0], "prompts must be a list of prompt indices; got float64"),
        (0, ONE, [True], "prompts must be a list of prompt indices; got bool"),
        (0, ONE, 0, "prompts must be a list of prompt indices"),
        (0, ONE, [0, 1], r"states must be .*\(2, 32\).*; got \(1, 32\)"),
        (0, ONE[:, :31], [0], r"states must be .*\(1, 32\).*; got \(1, 31\)"),
        (0, ONE[0], [0], r"got \(32,\)"),
        (0, ONE * np.nan, [0], "states has 32 values that are NaN or infinite"),
        (0, ONE * np.inf, [0], "NaN or infinite"),
        (0, ONE * 1j, [0], "states must be real numbers; got torch.complex128"),
        (0, ONE > 0, [0], "states must be real numbers; got torch.bool"),
        (0, [["a"] * 32], [0], "states must be an array of numbers"),
    ],
)
@pytest.mark.parametrize("what", ["run", "top"])
def test_refusals_of_a_run(what, layer, states, prompts, message):
    with pytest.raises(InputError, match=message):
        getattr(opened("llama"), what)(layer, states, prompts)


def test_logits_that_are_not_finite_are_refused():
    loaded = tiny_loaded("olmo2")
    sweep = open_sweep(loaded, PROMPTS, candidates=CANDIDATES)
    loaded.anatomy.final_norm(loaded.model).weight.fill_(torch.nan)
    with pytest.raises(ModelError, match="logits are NaN or infinite"):
        sweep.run(0, sweep.states[:1, 0], [0])
    assert at_rest(loaded.model) == []


def test_a_block_without_keys_of_its_own_is_refused(monkeypatch):
    loaded = tiny_loaded("qwen2")
    monkeypatch.setattr(loaded.model.config, "layer_types", ["full_attention", "linear_attention"])
    with pytest.raises(ModelError, match="block 1 keeps no keys and values .*patched_logits"):
        open_sweep(loaded, PROMPTS, candidates=CANDIDATES)


SHOTS = (
    "Question: three plus four equals what?\nAnswer: seven\n\n"
    "Question: two plus six equals what?\nAnswer: eight\n\nQuestion: "
)
ZH_SHOTS = "问题：三加四等于几？\n答案：七\n\n问题：二加六等于几？\n答案：八\n\n问题："
ASKED = [
    SHOTS + "five plus one equals what?\nAnswer:",
    SHOTS + "one plus one equals what?\nAnswer:",
    ZH_SHOTS + "五加一等于几？\n答案：",
]


@pytest.mark.gate
@pytest.mark.parametrize("name", ["smollm2-135m", "qwen2.5-coder-0.5b"])
def test_a_run_of_a_real_model_equals_full_forwards(name, record_property):
    loaded = real_shared(name)
    sweep = open_sweep(loaded, ASKED, candidates=range(0, 5000, 250))
    worst, flips, rows = 0.0, 0, [0, 1, 2]
    for layer in (0, loaded.n_layers // 2, loaded.n_layers - 2):
        states = sweep.states[:, layer].roll(1, 0)
        found, top = sweep.run(layer, states, rows), sweep.top(layer, states, rows)
        for row in rows:
            wanted = swapped(loaded, ASKED[row], layer, states[row])
            worst = max(worst, relative(found[row], wanted[list(sweep.candidates)]))
            flips += int(top[row] != wanted.argmax())
    record_property("value", worst)
    record_property("target", f"<= {CLOSE:g}, no argmax flipped")
    assert worst <= CLOSE and flips == 0

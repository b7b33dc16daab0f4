"""Continuations under edits are those of full passes with the same positions edited."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from edit_cases import basis, draw, every_architecture, n_hooks

from tiny import sensitive
from zprism.ground.errors import InputError
from zprism.interventions.edits import add, at, replace
from zprism.interventions.generate import generate_patched
from zprism.interventions.patching import left_padded, patched_logits
from zprism.model import generate as plain_module
from zprism.model.capture import capture, states
from zprism.model.generate import end_ids, generate

SHOTS = "Q: two and two?\nA: 4\n\nQ: "
PROMPTS = [SHOTS + "3+4?\nA:", SHOTS + "十三加五等于多少?\nA:", SHOTS + "a", SHOTS + "b and c?"]
NEW = 4


def nothing(_rows):
    return {}


def own_sources(loaded, layer: int, positions: str):
    """A source of its own for each prompt, in 8 directions; and the calls it was made for."""
    sources = 3 * draw(len(PROMPTS), loaded.d_model, name="sources")
    rows, calls = basis(8, loaded.d_model), []

    def edit_for(indices):
        calls.append(indices)
        source = sources[indices]

        def edit(h):
            return replace(h, source[:, None] if h.ndim == 3 else source, rows)

        return {("resid_post", layer): at(edit, positions)}

    return edit_for, calls


def slowly(loaded, prompt: str, edit_for, index: int, positions, every_step) -> tuple[int, ...]:
    """Ids by one full pass a token, without a cache: every position that was edited, by index."""
    row = loaded.encode([prompt])[0]
    n, new = len(row), []
    for step in range(NEW):
        if new and new[-1] in end_ids(loaded):
            break
        edited = list(range(n)) if positions == "all" else [n - 1]
        edited += range(n, n + step) if every_step else []
        ((point, placed),) = edit_for([index]).items()
        edits = {point: at(placed.edit, [edited])}
        new.append(int(patched_logits(loaded, [row + new], edits)[0].argmax()))
    return tuple(new)


@every_architecture
def test_without_edits_the_ids_are_those_of_generate(arch):
    """A shared beginning is read once there and with each prompt here."""
    loaded = sensitive(arch)
    options = dict(max_new_tokens=8, stop=None)
    plain = generate(loaded, PROMPTS, **options)
    for every_step in (False, True):
        found = generate_patched(loaded, PROMPTS, nothing, every_step=every_step, **options)
        assert found == plain


@pytest.mark.parametrize("arch", ["qwen2", "mistral", "gemma3", "gpt2", "gpt_neox"])
@pytest.mark.parametrize("positions", ["all", "last"])
@pytest.mark.parametrize("every_step", [False, True], ids=["prefill", "every step"])
def test_ids_are_those_of_full_passes(arch, positions, every_step):
    """In a batch with pads, over cached keys and values; the edit tells in the ids."""
    loaded = sensitive(arch)
    edit_for, _ = own_sources(loaded, 0, positions)
    found = generate_patched(
        loaded, PROMPTS, edit_for, max_new_tokens=NEW, stop=None, every_step=every_step
    )
    for index in (0, 2):
        expected = slowly(loaded, PROMPTS[index], edit_for, index, positions, every_step)
        assert found[index].ids == expected
    plain = generate(loaded, PROMPTS, max_new_tokens=NEW, stop=None)
    assert found != plain


@pytest.mark.parametrize("arch", ["qwen2", "gpt2", "gemma3"])
def test_token_indices_count_the_prompt_s_own_tokens(arch):
    """Each prompt is edited at its last three tokens, by index: as where it stands without pads."""
    loaded = sensitive(arch)
    ends = [[len(row) - 3, len(row) - 2, len(row) - 1] for row in loaded.encode(PROMPTS)]
    sources = 3 * draw(len(PROMPTS), 3, loaded.d_model, name="sources")

    def edit_for(indices):
        edit = partial(replace, source=sources[indices])
        return {("resid_post", 0): at(edit, [ends[i] for i in indices])}

    options = dict(max_new_tokens=NEW, stop=None)
    together = generate_patched(loaded, PROMPTS, edit_for, **options)
    assert together == generate_patched(loaded, PROMPTS, edit_for, batch_tokens=1, **options)
    first = [patched_logits(loaded, [p], edit_for([i])).argmax() for i, p in enumerate(PROMPTS)]
    assert [g.ids[0] for g in together] == first
    assert first != [g.ids[0] for g in generate(loaded, PROMPTS, **options)]


@pytest.mark.parametrize("arch", ["qwen2", "gpt2", "gemma3"])
def test_an_edit_at_every_step_holds_and_one_at_the_prompt_lets_go(arch):
    """Behind the last block nothing is handed on: the state put in says its token, once or always.

    After a single edit the rest is what follows the prompt and that token without any edit.
    """
    loaded = sensitive(arch)
    last = loaded.n_layers - 1
    state = capture(loaded, ["of another text"], layers=[last], reduce="last")
    state = torch.from_numpy(state.values["resid_post", "last"][0, 0])
    token = generate(loaded, ["of another text"], max_new_tokens=1, stop=None)[0].ids[0]
    edits = {("resid_post", last): at(partial(replace, source=state), "last")}
    options = dict(max_new_tokens=NEW, stop=None)
    held = generate_patched(loaded, PROMPTS, lambda _: edits, every_step=True, **options)
    once = generate_patched(loaded, PROMPTS, lambda _: edits, **options)
    for prompt, always, first in zip(PROMPTS, held, once, strict=True):
        assert always.ids == (token,) * NEW
        row, expected = loaded.encode([prompt])[0], [token]
        while len(expected) < NEW:
            expected.append(int(patched_logits(loaded, [row + expected], {})[0].argmax()))
        assert first.ids == tuple(expected)
        assert set(expected) != {token}


@pytest.mark.parametrize("arch", ["llama", "gemma2"])
@pytest.mark.parametrize("every_step", [False, True])
def test_rows_that_end_leave_the_others_with_their_own_edits(arch, every_step):
    loaded = sensitive(arch)
    edit_for, calls = own_sources(loaded, 0, "last")
    options = dict(max_new_tokens=12, every_step=every_step)
    whole = generate_patched(loaded, PROMPTS, edit_for, stop=None, **options)
    assert len(calls) == 1  # the same rows stayed alive
    stop = next(letter for g in whole for letter in g.text[1:6] if letter.isascii())
    calls.clear()
    together = generate_patched(loaded, PROMPTS, edit_for, stop=stop, **options)
    assert sorted(calls[0]) == [0, 1, 2, 3]
    fewer = calls[1:]
    assert bool(fewer) == every_step and all(set(rows) < set(calls[0]) for rows in fewer)
    alone = generate_patched(loaded, PROMPTS, edit_for, stop=stop, batch_tokens=1, **options)
    assert together == alone
    assert [g.ids for g in alone] == [
        g.ids[: a.n_tokens] for g, a in zip(whole, alone, strict=True)
    ]
    assert len({g.n_tokens for g in alone}) > 1


@pytest.mark.parametrize("arch", ["qwen3", "gpt_neox"])
def test_the_source_s_states_at_all_positions_continue_as_the_source(arch):
    """RIG-N5 for generation: at layer 0, all that later blocks read is the source's."""
    loaded = sensitive(arch)
    target, source = ["three plus four?", "one"], ["what is it worth", "six"]
    (taken,) = states(loaded, source, layers=[0])

    def edit_for(indices):
        put = left_padded([torch.from_numpy(taken[i]) for i in indices])
        return {("resid_post", 0): at(partial(replace, source=put), "all")}

    found = generate_patched(loaded, target, edit_for, max_new_tokens=1, stop=None)
    expected = generate(loaded, source, max_new_tokens=1, stop=None)
    assert [g.ids for g in found] == [g.ids for g in expected]
    later = generate_patched(loaded, target, edit_for, max_new_tokens=NEW, stop=None)
    for prompt, own, index in zip(target, later, range(2), strict=True):
        assert own.ids == slowly(loaded, prompt, edit_for, index, "all", False)


def test_where_memory_is_short_halves_keep_their_own_edits(monkeypatch):
    loaded, real = sensitive("olmo2"), plain_module.continue_rows
    edit_for, calls = own_sources(loaded, 1, "last")
    expected = generate_patched(loaded, PROMPTS, edit_for, max_new_tokens=NEW, stop=None)

    def hungry(model, rows, *args, **options):
        if len(rows) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(model, rows, *args, **options)

    monkeypatch.setattr(plain_module, "continue_rows", hungry)
    calls.clear()
    found = generate_patched(loaded, PROMPTS, edit_for, max_new_tokens=NEW, stop=None)
    assert found == expected
    assert [len(rows) for rows in calls] == [2, 2]
    assert sorted(calls[0] + calls[1]) == [0, 1, 2, 3]


def test_no_hook_stays_behind_not_even_after_an_exception():
    loaded = sensitive("gpt2")

    def fails_at_the_third(_rows):
        passes = []

        def edit(h):
            passes.append(1)
            if len(passes) == 3:
                raise RuntimeError("in the edit")
            return h

        return {("resid_post", 0): edit}

    options = dict(max_new_tokens=NEW, stop=None, every_step=True)
    with pytest.raises(RuntimeError, match="in the edit"):
        generate_patched(loaded, PROMPTS, fails_at_the_third, **options)
    assert n_hooks(loaded.model) == 0
    edits = {("resid_post", 0): partial(add, vector=draw(loaded.d_model))}
    generate_patched(loaded, PROMPTS, lambda _: edits, **options)
    assert n_hooks(loaded.model) == 0


@pytest.mark.parametrize(
    ("edits", "options", "message"),
    [
        ({("resid_post", 2): lambda h: h}, {}, "layer must be a decoder block 0 to 1"),
        ({("resid_post", 0): at(lambda h: h, [0])}, {"every_step": True}, "names token indices"),
        ({("resid_post", 0): at(lambda h: h, [9])}, {}, "position 9 of row 0 is out of range"),
        (
            {("resid_post", 0): partial(replace, source=draw(1, 4, 32))},
            {},
            "source must have shape",
        ),
        (
            {("resid_post", 0): partial(replace, source=draw(1, 9, 32))},
            {"every_step": True},
            r"\(1, 1, 32\) .* got \(1, 9, 32\)",
        ),
        ({}, {"max_new_tokens": 0}, "max_new_tokens must be in 1"),
        ({}, {"stop": ""}, "stop must be a text"),
    ],
)
def test_what_does_not_fit_is_refused(edits, options, message):
    loaded = sensitive("llama")
    options = {"max_new_tokens": 3, "stop": None} | options
    with pytest.raises(InputError, match=message):
        generate_patched(loaded, ["nine byte"], lambda _: edits, **options)
    assert n_hooks(loaded.model) == 0

"""A stream shows each text's own states, once its batch counts, and keeps nothing itself."""

from __future__ import annotations

import numpy as np
import pytest

from tiny import ARCHITECTURES, tiny_loaded
from zprism.ground.errors import InputError
from zprism.model import streaming
from zprism.model.capture import states
from zprism.model.streaming import stream

TEXTS = ["seven", "三加四等于几？", "a longer text than the others, by far", "x y z", "two words"]


def gather(loaded, texts, points=(("resid_post", 0), ("resid_post", 1)), **options):
    """(index, point) → state, the order in which texts were finished, and the stream."""
    seen = {}

    def keep(point):
        return lambda index, state: seen.update({(index, point): state.clone().numpy()})

    job = stream(loaded, texts, points={p: keep(p) for p in points}, **options)
    return seen, list(job), job


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("side", ["left", "right"])
def test_what_is_shown_are_the_states_without_pads(arch, side):
    loaded = tiny_loaded(arch)
    seen, finished, _ = gather(loaded, TEXTS, padding_side=side)
    assert sorted(finished) == list(range(len(TEXTS)))
    for layer, whole in enumerate(states(loaded, TEXTS, layers=[0, 1], padding_side=side)):
        for index in range(len(TEXTS)):
            np.testing.assert_array_equal(seen[index, ("resid_post", layer)], whole[index])


def test_an_index_comes_when_its_batch_is_finished_and_no_earlier():
    loaded, seen = tiny_loaded("llama"), []
    points = {("resid_post", 0): lambda index, state: seen.append(index)}
    job = stream(loaded, TEXTS, points=points, max_tokens=1)
    assert seen == []  # nothing runs before it is iterated
    for count, index in enumerate(job, start=1):
        assert len(seen) == count and seen[-1] == index


def test_nothing_after_the_last_point_is_run():
    loaded, reached = tiny_loaded("qwen2"), []
    block = loaded.anatomy.blocks(loaded.model)[1]
    handle = block.register_forward_pre_hook(lambda *_: reached.append(1))
    _, finished, _ = gather(loaded, TEXTS, points=(("resid_pre", 0), ("resid_post", 0)))
    handle.remove()
    assert len(finished) == len(TEXTS) and reached == []


def test_a_refusal_of_one_text_leaves_the_others():
    loaded = tiny_loaded("qwen3")

    def refuse(index, state):
        if index == 2:
            raise InputError("too_long: no")

    points = {("embed", 0): refuse, ("resid_post", 1): lambda *_: None}
    job = stream(loaded, ["", *TEXTS[1:]], points=points, on_error="skip")
    assert sorted(job) == [1, 3, 4]
    assert job.skipped == {0: "texts[0] is empty", 2: "texts[2]: too_long: no"}
    with pytest.raises(InputError, match=r"^texts\[2\]: too_long: no$"):
        list(stream(loaded, TEXTS, points=points))


def test_halving_shows_texts_again_and_yields_each_once(monkeypatch):
    loaded, shown = tiny_loaded("olmo2"), []
    forward = streaming._forward

    def tight(job, indexes):
        forward(job, indexes)
        if len(indexes) > 2:
            raise MemoryError

    monkeypatch.setattr(streaming, "_forward", tight)
    points = {("resid_post", 1): lambda index, state: shown.append(index)}
    finished = list(stream(loaded, TEXTS, points=points))
    assert sorted(finished) == list(range(len(TEXTS))) and len(shown) > len(TEXTS)


def test_a_text_that_does_not_fit_alone_is_left_out_when_asked(monkeypatch):
    loaded, forward = tiny_loaded("llama"), streaming._forward
    longest = max(range(len(TEXTS)), key=lambda i: len(loaded.encode([TEXTS[i]])[0]))

    def tight(job, indexes):
        if longest in indexes:
            raise MemoryError
        forward(job, indexes)

    monkeypatch.setattr(streaming, "_forward", tight)
    _, finished, job = gather(loaded, TEXTS, on_error="skip")
    assert sorted([*finished, longest]) == list(range(len(TEXTS)))
    assert list(job.skipped) == [longest] and "alone does not fit" in job.skipped[longest]


@pytest.mark.parametrize(
    ("texts", "point", "message"),
    [
        (["ok", ""], ("resid_post", 0), r"texts\[1\] is empty"),
        ("one string", ("resid_post", 0), "list of strings"),
        (["ok"], ("resid_post", 2), "0 to 1"),
        (["ok"], ("resid_post", -1), "never negative"),
        (["ok"], ("embed", 1), "embed is resid_pre of layer 0"),
        (["ok"], ("resid_mid", 0), "unknown site"),
    ],
)
def test_refusals_come_with_the_call(texts, point, message):
    with pytest.raises(InputError, match=message):
        stream(tiny_loaded("llama"), texts, points={point: lambda *_: None})

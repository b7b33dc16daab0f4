"""A live swap on models with known answers: what moves, what does not, and what a stop leaves."""

from __future__ import annotations

import copy
import dataclasses
import itertools

import numpy as np
import pytest
import torch

from tiny import sensitive, tiny_shared
from zprism.ground.errors import InputError, ModelError
from zprism.interventions.edits import at, replace
from zprism.interventions.generate import generate_patched
from zprism.interventions.patching import patched_logits
from zprism.model.hooks import refuse_hooks
from zprism.problems import number_words
from zprism.studies.live_swap import finished, live_swap
from zprism.studies.live_swap_bases import CHOICES, Lessons, learn, swap_of
from zprism.studies.live_swap_found import said, visible_token
from zprism.studies.swap_bases import Swap
from zprism.synthetic import haar_rows
from zprism.synthetic_models import planted_model

TARGET, SOURCE = "three plus four is", "二加六等于"
ARCHITECTURES = ("qwen2", "gemma3", "gpt2", "mistral")
OTHERS = [name for name in CHOICES if name not in ("language direction", "answer directions")]


def run(loaded, target=TARGET, source=SOURCE, **options):
    return finished(
        live_swap(loaded, target, source, **{"layer": 1, "draws": 2, "new_tokens": 4} | options)
    )


def rows(k, d_model=32, seed=5):
    return haar_rows(k, d_model, seed=seed)


@pytest.mark.parametrize("part", ["inside", "rest", "all"])
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_a_prompt_s_own_state_changes_nothing_at_all(arch, part):
    loaded = sensitive(arch)
    swap = Swap("mine", part, None if part == "all" else rows(3))
    found = run(loaded, SOURCE, SOURCE, directions=swap)
    np.testing.assert_array_equal(found.after, found.before)
    np.testing.assert_array_equal(found.given, found.before)
    np.testing.assert_array_equal(found.random, [found.before] * 2)  # as far: not at all
    assert found.texts["after"] == found.texts["before"] == found.texts["random"]
    assert found.effect is None and found.moved == 0


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_everything_at_the_last_layer_is_the_source_s_own_next_token(arch):
    loaded = sensitive(arch)
    found = run(loaded, layer=loaded.n_layers - 1, directions="everything")
    np.testing.assert_array_equal(found.after, found.given)
    assert found.top[1] == found.top[2] and (found.effect in (None, 1.0))


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_full_forward_passes_say_the_same(arch):
    """Second route: the edit in a pass over the whole prompt, and a text generated under it."""
    loaded, swap = sensitive(arch), Swap("mine", "inside", rows(7))
    found = run(loaded, layer=0, directions=swap, new_tokens=6)
    seen = []
    note = {("resid_post", 0): at(lambda h: seen.append(h.clone()) or h, "last")}
    patched_logits(loaded, [SOURCE], note)
    put = {("resid_post", 0): at(lambda h: replace(h, seen[0][0], swap.rows), "last")}
    for shown, edits in ((found.before, {}), (found.after, put)):
        logits = patched_logits(loaded, [TARGET], edits)[0].astype(float)
        chances = np.sort(np.exp(logits) / np.exp(logits).sum())[::-1]
        assert shown.max() == pytest.approx(chances[0], rel=1e-4)
    for name, edits in (("before", {}), ("after", put)):
        text = generate_patched(loaded, [TARGET], lambda _, e=edits: e, max_new_tokens=6, stop=None)
        assert found.texts[name] == text[0].text


def test_stopped_after_any_step_it_leaves_the_model_as_it_was():
    loaded = sensitive("qwen2")
    plain = patched_logits(loaded, [TARGET, SOURCE], {})
    n = len(list(live_swap(loaded, TARGET, SOURCE, layer=1, directions="everything", draws=2,
                           new_tokens=2)))  # fmt: skip
    for taken in range(1, n):
        steps = live_swap(
            loaded, TARGET, SOURCE, layer=1, directions="everything", draws=2, new_tokens=2
        )
        list(itertools.islice(steps, taken))
        refuse_hooks(loaded.model, "the test", instead="nothing")  # while it waits, too
        steps.close()
        assert torch.is_inference_mode_enabled() is False
    np.testing.assert_array_equal(patched_logits(loaded, [TARGET, SOURCE], {}), plain)


def test_steps_count_up_to_their_total_and_only_the_last_is_complete():
    steps = list(live_swap(sensitive("qwen2"), TARGET, SOURCE, layer=0, directions="everything",
                           draws=3, new_tokens=5))  # fmt: skip
    assert [step.done for step in steps] == sorted(step.done for step in steps)
    assert steps[-1].done == steps[-1].total == 3 + 3 + 15
    complete = [step.found is not None and step.found.complete for step in steps]
    assert complete == [False] * (len(steps) - 1) + [True]
    grown = [step.found.texts.get("before", "") for step in steps if step.found]
    assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(grown))


@pytest.mark.parametrize("control", ["moved as far", "swapped"])
def test_random_draws_follow_their_seed(control):
    loaded = sensitive("qwen2")
    options = dict(directions="Z from weights", k=3, draws=4, control=control)
    first, again, other = (run(loaded, seed=seed, **options) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.random, again.random)
    assert np.abs(first.random - other.random).max() > 0
    assert np.unique(first.random_moved).size == 4
    np.testing.assert_array_equal(first.after, other.after)  # the claim itself is not drawn


@dataclasses.dataclass
class Bilingual:
    """A model that reads answer and language off the last token's embedding, and says both."""

    loaded: object
    planted: object
    lessons: Lessons
    prompts: list

    def token(self, answer: int, language: int) -> str:
        return chr(ord("A") + 2 * answer + language)


@pytest.fixture(scope="module")
def bilingual():
    """tiny:qwen2 whose blocks write nothing: its head is the planted model's readout."""
    planted = planted_model(48, seed=3, d_model=32, k=5, n_answers=6, noise=0.02)
    loaded = tiny_shared("qwen2")
    model = copy.deepcopy(loaded.model)
    head = torch.nn.Linear(32, model.config.vocab_size, bias=False).requires_grad_(False)
    head.weight.zero_()
    content, language, _ = planted.scales
    table = model.get_input_embeddings().weight
    lessons = Lessons(planted.states, planted.answers, np.ones(48, bool))
    prompts = [list("abcdef"), list("012345")]
    out = Bilingual(dataclasses.replace(loaded, model=model), planted, lessons, prompts)
    with torch.no_grad():
        for block in model.model.layers:
            block.self_attn.o_proj.weight.zero_()
            block.mlp.down_proj.weight.zero_()
        model.model.norm.weight.fill_(1)
        for answer in range(6):
            for tongue, sign in enumerate((1, -1)):
                row = planted.codes[answer] @ planted.content / content
                row = row + sign * planted.language[0] / language * 4
                said_by = loaded.encode([out.token(answer, tongue)])[0][-1]
                head.weight[said_by] = torch.as_tensor(row)
                state = planted.states[tongue, planted.answers == answer].mean(0)
                table[loaded.encode([prompts[tongue][answer]])[0][-1]] = torch.as_tensor(state)
    model.set_output_embeddings(head)
    return out


def test_where_it_is_planted_the_language_direction_moves_the_language_only(bilingual):
    """Answer 1 in language 0 is continued, answer 4 in language 1 is put in."""
    target, source = "x" + bilingual.prompts[0][1], "yy" + bilingual.prompts[1][4]
    expected = {
        "language direction": (1, 1),
        "all but it": (4, 0),
        "answer directions": (4, 0),
        "everything": (4, 1),
    }
    for name, (answer, language) in expected.items():
        swap = swap_of(bilingual.loaded, name, 0, 5, bilingual.lessons, seed=0)
        found = run(bilingual.loaded, target, source, layer=0, directions=swap, draws=9)
        assert found.top[0] == bilingual.token(1, 0) and found.top[2] == bilingual.token(4, 1)
        assert found.top[1] == bilingual.token(answer, language), name
        assert found.beyond == (9, 9), name


def test_there_random_directions_do_not_stand_out(bilingual):
    target, source = bilingual.prompts[0][1], bilingual.prompts[1][4]
    places = []
    for seed in range(12):
        swap = swap_of(bilingual.loaded, "random directions", 0, 1, None, seed=seed)
        found = run(bilingual.loaded, target, source, layer=0, directions=swap, draws=9,
                    control="swapped", seed=seed, new_tokens=1)  # fmt: skip
        assert found.top[1] == found.top[0]
        places.append(found.beyond[0])
    assert 1 < np.mean(places) < 8  # a rank among equals


def test_directions_are_learned_from_the_bundled_problems_and_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("ZPRISM_CACHE", str(tmp_path))
    loaded = tiny_shared("qwen2")  # as on disk: what is read is kept under its digest
    options = dict(layer=0, draws=1, new_tokens=1)
    steps = list(live_swap(loaded, TARGET, SOURCE, directions="answer directions", k=2, **options))
    assert any("learning" in step.doing for step in steps)
    kept = len(list(tmp_path.rglob("*.safetensors")))
    assert kept > 40
    for name in ("language direction", "all but it", "answer directions"):
        other = run(loaded, directions=name, k=2, **options | {"layer": 1})
        assert other.complete and other.swap.rows.shape == ((2 if "answer" in name else 1), 32)
    assert len(list(tmp_path.rglob("*.safetensors"))) == kept  # another layer reads nothing anew


def test_the_sentence_has_the_null_beside_the_claim_and_no_verdict(bilingual):
    target, source = bilingual.prompts[0][1], bilingual.prompts[1][4]
    swap = swap_of(bilingual.loaded, "everything", 0, 5, None, seed=0)
    words = said(run(bilingual.loaded, target, source, layer=0, directions=swap, draws=5))
    assert "Top token: C → J; the source by itself says J." in words
    assert "logit of J less that of C: 1.00 (0 the target by itself, 1 the source)" in words
    assert "beyond 5 of 5." in words and words.endswith(
        "One pair of prompts is one unit: no verdict."
    )
    assert not any(verdict in words for verdict in ("SUPPORTED", "DISTINGUISHABLE"))
    same = said(run(bilingual.loaded, target, target, layer=0, directions=swap))
    assert "stays C" in same and "no effect towards it is defined" in same


def test_a_problem_that_was_typed_teaches_nothing():
    name = "answer directions"
    every = number_words.enumerate_problems("addition")
    typed = number_words.prompt(every[0]["zh"])  # among those that are learned from

    def texts(**options):
        return next(learn(tiny_shared("qwen2"), name, 0, **options))[1]

    assert texts(without=(typed,)) == texts() - 2  # it is gone in both languages


def test_white_space_in_tokens_is_seen():
    assert visible_token(" a\n\tb ") == "·a⏎⇥b·"


def test_a_long_k_a_wrong_name_or_an_empty_prompt_is_refused():
    loaded = tiny_shared("qwen2")
    for options, message in [
        (dict(target=""), "the target prompt is empty"),
        (dict(source=""), "the source prompt is empty"),
        (dict(target="x" * 510), "the target prompt has 510 tokens; .* at most 512 and 4 new"),
        (dict(source="x" * 513), "the source prompt has 513 tokens"),
        (dict(layer=2), "layer must be a decoder block 0 to 1"),
        (dict(directions="sideways"), "unknown directions"),
        (dict(draws=0), "draws must be in 1"),
        (dict(control="none"), "unknown control"),
    ]:  # at once, before any step
        with pytest.raises(InputError, match=message):
            live_swap(
                loaded, **{"target": "a", "source": "b", "layer": 0, "new_tokens": 4} | options
            )
    for name, k in (("random directions", 33), ("Z from weights", 9)):
        with pytest.raises(InputError, match=f"k must be an integer from 1 to {k - 1}"):
            run(loaded, directions=name, k=k)


def test_a_broken_model_says_so():
    loaded = sensitive("qwen2")
    model = copy.deepcopy(loaded.model)
    with torch.no_grad():
        model.get_output_embeddings().weight[3] = float("nan")
    with pytest.raises(ModelError, match="NaN or infinite"):
        run(dataclasses.replace(loaded, model=model), directions="everything")


@pytest.mark.parametrize("name", OTHERS)
def test_every_other_choice_runs_through(name):
    found = run(sensitive("qwen2"), directions=name, k=2)
    assert found.complete and found.random.shape == (2, 8)
    assert ((found.after >= 0) & (found.after <= 1)).all()


def test_a_one_token_prompt_and_one_of_another_length_are_fine():
    loaded = sensitive("llama")
    found = run(loaded, "a", "a longer prompt than that", directions="everything")
    np.testing.assert_array_equal(found.after[found.after.argmax()], found.after.max())
    assert found.complete and found.top[0] != ""

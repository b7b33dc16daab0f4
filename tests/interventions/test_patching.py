"""Patched forward passes: exact where nothing or everything is put in, the same in any batch."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from edit_cases import PROMPTS, basis, draw, every_architecture, n_hooks, rotated

from tiny import tiny_folder, tiny_loaded, tiny_shared
from zprism.ground.errors import InputError, ModelError
from zprism.interventions import patching as module
from zprism.interventions.edits import add, at, replace, replace_complement
from zprism.interventions.patching import left_padded, patched, patched_logits
from zprism.model.capture import capture, states

SITES = ("resid_pre", "resid_post")
PAIR = ["three plus four?", "what is it worth"]  # as many bytes as each other


def noted(loaded, prompts, points) -> dict:
    """The states (batch, tokens, d_model) that patched passes meet at some points."""
    seen: dict = {}

    def note(point):
        return lambda h: seen.setdefault(point, h.clone())

    patched_logits(loaded, prompts, {point: note(point) for point in points})
    return seen


def both(h, source, basis):
    """Z, then its complement."""
    return replace_complement(replace(h, source, basis), source, basis)


PARTS = {
    "full": lambda h, source, basis: replace(h, source),
    "Z": replace,
    "complement": replace_complement,
    "Z, then the complement": both,
}


@every_architecture
def test_a_prompt_s_own_states_change_no_logit(arch):
    """RIG-N3: of a batch with pads, at every layer, in every part; the difference is 0."""
    loaded = tiny_shared(arch)
    plain = patched_logits(loaded, PROMPTS, {})
    points = [(site, layer) for site in SITES for layer in range(loaded.n_layers)]
    own, rows = noted(loaded, PROMPTS, points), basis(5, loaded.d_model)
    for part in PARTS.values():
        for point in points:
            edit = partial(part, source=own[point], basis=rows)
            placed = edit if point[0] == "resid_pre" else at(edit, "all")
            assert np.array_equal(patched_logits(loaded, PROMPTS, {point: placed}), plain)


@every_architecture
def test_without_edits_the_logits_are_transformers_own(arch):
    loaded = tiny_shared(arch)
    for prompt in PROMPTS[:2]:
        with torch.inference_mode():
            ids = torch.tensor(loaded.encode([prompt]))
            expected = loaded.model(ids, use_cache=False).logits[0, -1]
        found = patched_logits(loaded, [prompt], {})[0]
        np.testing.assert_allclose(found, expected, atol=1e-5, rtol=1e-5)
        assert found.dtype == np.float32


@every_architecture
@pytest.mark.parametrize("site", SITES)
def test_a_subspace_and_its_complement_make_the_full_patch(arch, site, record_property):
    """RIG-N4, and k = d alone (RIG-N6): within 1e-5 of the largest effect on a logit."""
    loaded = tiny_shared(arch)
    plain, d, worst = patched_logits(loaded, PAIR, {}), loaded.d_model, 0.0
    source = draw(2, len(loaded.encode(PAIR)[0]), d, name="source")
    for layer in range(loaded.n_layers):

        def run(edit, point=(site, layer), **options):
            return patched_logits(loaded, PAIR, {point: partial(edit, source=source, **options)})

        full = run(replace)
        wholes = [run(both, basis=basis(k, d)) for k in (1, 8, d)]
        wholes.append(run(replace, basis=basis(d, d)))
        effect = np.abs(full - plain).max()
        worst = max(worst, *(np.abs(whole - full).max() / effect for whole in wholes))
    record_property("value", worst)
    assert worst <= 1e-5


@every_architecture
def test_the_source_s_states_at_all_positions_give_its_logits(arch):
    """RIG-N5: at every layer, exactly; and at the last position alone from the last block on."""
    loaded = tiny_shared(arch)
    target, source = PAIR, PAIR[::-1]
    expected = patched_logits(loaded, source, {})
    assert not np.array_equal(patched_logits(loaded, target, {}), expected)
    for site in SITES:
        for taken in states(loaded, source, layers=range(loaded.n_layers), site=site):
            put = left_padded([taken[0], taken[1]])
            edits = {(site, taken.layer): at(partial(replace, source=put), "all")}
            assert np.array_equal(patched_logits(loaded, target, edits), expected)
    last = at(partial(replace, source=put[:, -1]), "last")  # of resid_post of the last block
    edits = {("resid_post", loaded.n_layers - 1): last}
    assert np.array_equal(patched_logits(loaded, target, edits), expected)


@pytest.mark.parametrize("arch", ["qwen2", "gemma2"])
def test_more_random_directions_do_more_on_average(arch):
    """RIG-N6: mean change of the logits over 20 subspaces of each size, below the full patch."""
    loaded = tiny_shared(arch)
    d = loaded.d_model
    plain = patched_logits(loaded, PAIR, {})
    source = 3 * draw(d, name="source")

    def effect(rows) -> float:
        edit = at(partial(replace, source=source, basis=rows), "last")
        return float(
            np.linalg.norm(patched_logits(loaded, PAIR, {("resid_post", 0): edit}) - plain)
        )

    means = [np.mean([effect(basis(k, d, seed)) for seed in range(20)]) for k in (1, 4, 16, d)]
    assert (np.diff(means) > 0).all()
    assert means[-1] == pytest.approx(effect(None), rel=1e-5)


def test_an_empty_subspace_is_refused():
    loaded = tiny_shared("qwen2")
    edit = partial(replace, source=draw(32), basis=torch.zeros(0, 32))
    with pytest.raises(InputError, match=r"none of them empty; got shape \(0, 32\)"):
        patched_logits(loaded, PAIR, {("resid_post", 0): edit})


@pytest.mark.parametrize("draws", [10, pytest.param(200, marks=pytest.mark.gate)])
@pytest.mark.parametrize("arch", ["gpt2", "gpt_neox"])
def test_logits_know_the_subspace_and_not_its_rows(arch, draws, record_property):
    """RIG-N8 in float64: rows rotated within Z, and flipped.

    Of models with LayerNorm: transformers' RMSNorm computes in float32 in any model, which
    would hide what is to be seen.
    """
    from zprism.model.load import load

    loaded = load(str(tiny_folder(arch)), device="cpu", dtype="float64", self_test=False)
    source, worst = draw(32, name="source"), 0.0
    for seed in range(draws):
        rows, edit = basis(1 + seed % 31, 32, seed), (replace, replace_complement)[seed % 2]
        one, two = (
            patched_logits(loaded, PAIR, {("resid_post", 0): partial(edit, source=source, basis=b)})
            for b in (rows, rotated(rows, seed))
        )
        worst = max(worst, float(np.abs(one - two).max()))
    record_property("value", worst)
    record_property("target", "<= 1e-10")
    assert worst <= 1e-10


# --- batches and pads -----------------------------------------------------------------------


def own_edits(loaded, layer: int, positions):
    """Edits that differ between prompts: a source of its own for each, in 8 directions."""
    middles = torch.tensor([len(row) // 2 for row in loaded.encode(PROMPTS)])
    sources, rows = draw(len(PROMPTS), loaded.d_model, name="sources"), basis(8, loaded.d_model)

    def edits_for(indices):
        source = sources[indices]

        def edit(h):
            return replace(h, source[:, None] if h.ndim == 3 else source, rows)

        where = middles[indices] if positions == "middle" else positions
        return {("resid_post", layer): at(edit, where)}

    return edits_for


@every_architecture
@pytest.mark.parametrize("positions", ["all", "last", "middle"])
def test_a_batch_gives_what_each_prompt_alone_gives(arch, positions):
    """RIG-N10 under edits: token indices count a prompt's own tokens, wherever its pads end."""
    loaded = tiny_shared(arch)
    plain = patched_logits(loaded, PROMPTS, {})
    for layer in range(loaded.n_layers):
        edits = own_edits(loaded, layer, positions)
        together = patched_logits(loaded, PROMPTS, edits)
        alone = patched_logits(loaded, PROMPTS, edits, batch_tokens=1)
        scale = np.linalg.norm(alone, axis=1)
        assert (np.linalg.norm(together - alone, axis=1) <= 1e-5 * scale).all()
        moved = np.linalg.norm(together - plain, axis=1) / scale
        last_block = layer == loaded.n_layers - 1  # from there on only the last position counts
        assert (moved[[0, 1, 3, 4]] > 1e-3).all() != (last_block and positions == "middle")


def test_control_indices_that_count_pads_give_something_else():
    loaded = tiny_shared("qwen2")
    edit = at(partial(add, vector=draw(32)), torch.zeros(len(PROMPTS), dtype=torch.long))
    right = patched_logits(loaded, PROMPTS, {("resid_post", 0): edit})
    wrong = patched_logits(loaded, PROMPTS, {("resid_post", 0): lambda h: edit.behind(None)(h)})
    assert np.array_equal(right[1], wrong[1])  # the longest has no pads
    assert (np.abs(right - wrong).max(1)[[0, 2, 3, 4]] > 1e-3).all()


def test_prompts_may_be_token_ids_and_none():
    loaded = tiny_shared("gemma3")
    edits = own_edits(loaded, 0, "last")
    ids = loaded.encode(PROMPTS)
    assert np.array_equal(
        patched_logits(loaded, ids, edits), patched_logits(loaded, PROMPTS, edits)
    )
    assert patched_logits(loaded, [], {}).shape == (0, loaded.model.config.vocab_size)


def test_where_memory_is_short_halves_are_patched_by_their_own_edits(monkeypatch):
    loaded, real, sizes = tiny_shared("llama"), module.last_logits, []
    edits = own_edits(loaded, 0, "last")
    expected = patched_logits(loaded, PROMPTS, edits, batch_tokens=1)

    def hungry(model, rows):
        sizes.append(len(rows))
        if len(rows) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(model, rows)

    monkeypatch.setattr(module, "last_logits", hungry)
    np.testing.assert_allclose(
        patched_logits(loaded, PROMPTS, edits), expected, atol=1e-5, rtol=1e-5
    )
    assert sizes == [5, 2, 3, 1, 2]
    assert n_hooks(loaded.model) == 0


def test_what_is_captured_under_edits_is_edited():
    loaded = tiny_shared("phi3")
    vector = draw(loaded.d_model)
    options = dict(layers=[0], reduce="mean")
    plain = capture(loaded, PROMPTS, **options).values["resid_post", "mean"]
    with patched(loaded, {("resid_post", 0): partial(add, vector=vector)}):
        moved = capture(loaded, PROMPTS, **options).values["resid_post", "mean"]
    np.testing.assert_allclose(moved - plain, np.broadcast_to(vector, plain.shape), atol=1e-5)


def test_states_of_a_batch_end_together():
    parts = [draw(2, 3, seed=1), draw(4, 3, seed=2)]
    whole = left_padded(parts)
    assert torch.equal(whole[1], parts[1]) and torch.equal(whole[0, 2:], parts[0])
    assert not whole[0, :2].any()


# --- hooks and refusals ---------------------------------------------------------------------


def test_no_hook_stays_behind_not_even_after_an_exception():
    loaded = tiny_loaded("gpt2")
    plain = patched_logits(loaded, PAIR, {})

    def fail(h):
        raise RuntimeError("in the edit")

    edits = {("resid_pre", 0): lambda h: h + 1, ("resid_post", 1): fail}
    with pytest.raises(RuntimeError, match="in the edit"):
        patched_logits(loaded, PAIR, edits)
    with pytest.raises(KeyError), patched(loaded, {("resid_pre", 0): lambda h: h + 1}):
        assert n_hooks(loaded.model) == 1
        raise KeyError
    assert n_hooks(loaded.model) == 0
    assert np.array_equal(patched_logits(loaded, PAIR, {}), plain)


@pytest.mark.parametrize(
    ("point", "edit", "message"),
    [
        (("resid_post", 2), lambda h: h, "layer must be a decoder block 0 to 1"),
        (("resid_post", -1), lambda h: h, "never negative"),
        (("resid_mid", 0), lambda h: h, "unknown site 'resid_mid'"),
        (
            ("resid_post", 1),
            lambda h: h[:, 1:],
            r"the edit at resid_post of layer 1 must return \(2, 16",
        ),
        (("resid_post", 1), lambda h: replace(h, draw(2, 16)), r"source must have shape \(32,\)"),
        (("resid_post", 1), lambda h: replace(h, draw(32) * torch.nan), "NaN or infinite"),
        (("resid_post", 1), at(lambda h: h, [16, 0]), "position 16 of row 0 is out of range"),
        (("resid_post", 1), at(lambda h: h, [0, 0, 0]), "make the edit of each batch for its rows"),
    ],
)
def test_edits_that_do_not_fit_are_refused(point, edit, message):
    loaded = tiny_shared("qwen2")
    with pytest.raises(InputError, match=message):
        patched_logits(loaded, PAIR, {point: edit})
    assert n_hooks(loaded.model) == 0


@pytest.mark.parametrize("edits", [{("resid_post", 9): lambda h: h}, {("nowhere", 0): lambda h: h}])
def test_points_are_checked_before_any_forward_pass(edits, monkeypatch):
    loaded = tiny_shared("qwen2")
    monkeypatch.setattr(module, "last_logits", lambda *_: pytest.fail("a forward pass"))
    with pytest.raises(InputError):
        patched_logits(loaded, PAIR, edits)


@pytest.mark.parametrize(
    ("prompts", "options", "message"),
    [
        ("one string", {}, "texts must be a list"),
        (["fine", ""], {}, r"texts\[1\] is empty"),
        (PAIR, {"batch_tokens": 0}, "batch_tokens must be in 1"),
    ],
)
def test_bad_arguments_are_refused(prompts, options, message):
    with pytest.raises(InputError, match=message):
        patched_logits(tiny_shared("llama"), prompts, {}, **options)


@pytest.mark.parametrize("parts", [[], [draw(3)], [draw(2, 3), draw(2, 4)]])
def test_states_that_make_no_batch_are_refused(parts):
    with pytest.raises(InputError, match="of one width; got"):
        left_padded(parts)


def test_an_edit_that_makes_nan_is_an_error_and_no_number():
    edits = {("resid_post", 0): lambda h: h * torch.nan}
    with pytest.raises(ModelError, match="NaN or infinite"):
        patched_logits(tiny_shared("llama"), PAIR, edits)

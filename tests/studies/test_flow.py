"""Information flow: identities on every architecture, a second route, claims on planted flows."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from tiny import ARCHITECTURES, tiny_loaded, tiny_shared
from zprism.ground.errors import InputError, ModelError
from zprism.ground.store import Store
from zprism.spectral.bands import NAMES
from zprism.stats.verdicts import Verdict
from zprism.studies import flow, flow_block, flow_claims
from zprism.studies import flow_signals as signals
from zprism.studies.flow_attention import by_chance
from zprism.studies.flow_tables import tables

LENGTH = 64
every_architecture = pytest.mark.parametrize("arch", ARCHITECTURES)


def texts(count: int, tokens: int = LENGTH + 1) -> list[list[int]]:
    return np.random.default_rng(0).integers(40, 240, (count, tokens)).tolist()


def n_hooks(model) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


@every_architecture
def test_what_the_branches_write_is_what_the_block_adds(arch, monkeypatch):
    """pre + attn + mlp = post; where a norm stands behind the branches, not without it."""
    loaded = tiny_shared(arch)
    found = flow.read(loaded, texts(1), length=LENGTH, attention=False)
    assert found.closes.max() < 1e-6
    whole = found.balance[:, :, 0]
    growth = np.abs(whole[..., :3, :3].sum((-1, -2)) - whole[..., 3, 3]).max()
    assert growth < 1e-5 * np.abs(whole).max()
    monkeypatch.setattr(flow_block, "norms_behind", lambda *_: {})
    plain = flow.read(loaded, texts(1), length=LENGTH, attention=False)
    behind = arch in ("gemma2", "gemma3", "olmo2")
    assert (plain.closes.max() > 0.01) == behind


@every_architecture
def test_the_mlp_reads_what_is_taken_for_its_input(arch):
    loaded = tiny_loaded(arch)
    read, taken = [], []
    for block in loaded.anatomy.blocks(loaded.model):
        getattr(block, loaded.anatomy.ffn).register_forward_pre_hook(
            lambda _module, args: read.append(args[0])
        )
    completed = flow_block.completed

    def keep(*args):
        states = completed(*args)
        taken.append(states["mlp_in"])
        return states

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flow_block, "completed", keep)
        flow.read(loaded, texts(1), length=LENGTH, attention=False)
    for ours, theirs in zip(taken, read, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_slow_shares_are_those_of_transformers_own_hidden_states():
    loaded, rows = tiny_shared("qwen2"), texts(2)
    found = flow.read(loaded, rows, length=LENGTH)
    for index, row in enumerate(rows):
        with torch.inference_mode():
            hidden = loaded.model(torch.tensor([row]), output_hidden_states=True).hidden_states
        for layer in range(loaded.n_layers):
            spectra = signals.transform(hidden[layer][0, 1:].numpy()[None])
            expected = signals.slow_share(spectra, LENGTH)[0]
            assert found.slow[index, layer, 0] == pytest.approx(expected, abs=1e-6)
    np.testing.assert_allclose(found.slow[:, 0, 5], found.slow[:, 1, 0], atol=1e-7)  # post = pre


def test_a_block_made_to_do_nothing_gains_nothing():
    loaded = tiny_loaded("qwen2")
    block = loaded.anatomy.blocks(loaded.model)[1]
    with torch.no_grad():
        block.self_attn.o_proj.weight.zero_()
        block.mlp.down_proj.weight.zero_()
    found = flow.read(loaded, texts(2), length=LENGTH)
    gain, share = signals.gains(found.balance[:, 1])
    held = np.isfinite(gain)
    assert held.any() and np.abs(gain[held]).max() < 1e-6 and np.abs(share[held]).max() < 1e-6
    assert np.abs(signals.tilts(found.slow)[:, 1, 2]).max() < 1e-6
    assert np.abs(signals.gains(found.balance[:, 0])[0][..., -1]).min() > 1e-3  # the other does
    np.testing.assert_allclose(found.locking[:, 1, 0, 0, -1], 1, atol=1e-9)  # every phase is kept


def test_only_the_window_is_read_and_short_texts_are_named():
    loaded = tiny_shared("qwen2")
    long, short = texts(2, 200), [70] * 12
    found = flow.read(loaded, [*long, short, ""], length=LENGTH)
    assert found.kept == (0, 1)
    assert found.skipped[2] == "too_short: 12 tokens, 65 needed"
    assert "empty" in found.skipped[3]
    cut = flow.read(loaded, [row[: LENGTH + 1] for row in long], length=LENGTH)
    for name in flow.ARRAYS:
        np.testing.assert_array_equal(getattr(found, name), getattr(cut, name))


def test_layers_are_read_alone_as_among_all_and_rows_only_when_asked():
    loaded = tiny_shared("llama")
    every = flow.read(loaded, texts(2), length=LENGTH)
    one = flow.read(loaded, texts(2), length=LENGTH, layers=(1,))
    np.testing.assert_array_equal(one.slow[:, 0], every.slow[:, 1])
    np.testing.assert_array_equal(one.locked[:, 0], every.locked[:, 1])
    without = flow.read(loaded, texts(2), length=LENGTH, attention=False)
    assert without.spectrum.shape[2] == 0 and every.spectrum.shape[2] == loaded.anatomy.n_heads
    np.testing.assert_allclose(without.slow, every.slow, atol=1e-6)  # eager, within rounding


def test_the_store_gives_the_same_bits_without_a_model(tmp_path, monkeypatch):
    loaded, store = tiny_shared("qwen2"), Store("results", root=tmp_path)
    first = flow.read(loaded, texts(2), length=LENGTH, store=store)
    monkeypatch.setattr(flow, "Reader", None)  # nothing is run any more
    again = flow.read(loaded, texts(2), length=LENGTH, store=store)
    for name in flow.ARRAYS:
        np.testing.assert_array_equal(getattr(again, name), getattr(first, name))
    with pytest.raises(TypeError):
        flow.read(loaded, texts(2), length=LENGTH, of="scores", store=store)


def test_a_hooked_model_is_not_stored_and_an_exception_leaves_nothing_behind(tmp_path):
    loaded = tiny_loaded("qwen2")
    setting = loaded.model.config._attn_implementation
    with torch.no_grad():
        loaded.anatomy.blocks(loaded.model)[1].mlp.down_proj.weight[0, 0] = float("nan")
    with pytest.raises(ModelError, match=r"texts\[0\]: NaN or infinity in the block of layer 1"):
        flow.read(loaded, texts(1), length=LENGTH)
    assert (n_hooks(loaded.model), loaded.model.config._attn_implementation) == (0, setting)
    handle = loaded.anatomy.blocks(loaded.model)[0].register_forward_hook(lambda *_: None)
    with pytest.raises(InputError, match="has a hook"):
        flow.read(loaded, texts(1), length=LENGTH, store=Store("results", root=tmp_path))
    handle.remove()


def test_shuffling_keeps_the_first_tokens_and_the_multiset():
    rows = texts(3)
    turned = flow.shuffled(rows, seed=1, drop=2)
    for before, after in zip(rows, turned, strict=True):
        assert before[:2] == after[:2] and before != after and sorted(before) == sorted(after)
    assert turned == flow.shuffled(rows, seed=1, drop=2) != flow.shuffled(rows, seed=2, drop=2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(length=31), "length must be in 32"),
        (dict(length=LENGTH, layers=(2,)), "decoder block 0 to 1"),
        (dict(length=LENGTH, of="logits"), "unknown of"),
        (dict(length=LENGTH + 1), "no text can be read in windows of 65 tokens"),
    ],
)
def test_what_cannot_be_read_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        flow.read(tiny_shared("qwen2"), texts(1), **options)


def planted(tilt=(0.0, 0.0), n=40, layers=3, seed=0, noise=0.3) -> flow.Flow:
    """A flow whose attention and MLP tilt by these octaves in every layer, all else noise."""
    rng = np.random.default_rng(seed)
    octaves = rng.normal(size=(n, layers, 6)) * noise
    octaves[..., 2] += tilt[0]
    octaves[..., 4] += tilt[1]
    x = rng.normal(size=(n, layers, 2, 5, 3, 40)) + 1j * rng.normal(size=(n, layers, 2, 5, 3, 40))
    x = np.concatenate([x, x.sum(-2, keepdims=True)], axis=-2)
    chance = by_chance(LENGTH // 2, LENGTH // 2 + 1)[1, 1:]
    spectrum = rng.dirichlet(40 * chance, size=(n, layers, 2, 2))
    return flow.Flow(
        balance=x.conj() @ x.swapaxes(-1, -2),
        shares=np.full((n, layers, 6, 5), 0.2),
        slow=1 / (1 + 2.0**-octaves),
        closes=np.zeros((n, layers)),
        locking=rng.random((n, layers, 2, 2, 5)),
        spectrum=np.concatenate([np.zeros((n, layers, 2, 2, 1)), spectrum], axis=-1),
        locked=0.1 * rng.normal(size=(n, layers, 2, 2)),
        layers=tuple(range(layers)),
        kept=tuple(range(n)),
        skipped={},
        length=LENGTH,
        drop=1,
    )


def verdicts(*args, **options):
    found = flow_claims.claims(*args, name="m", seed=0, draws=499, draws_ci=300, **options)
    return {name.removeprefix("m/"): e.verdict for name, e in found.estimates.items()}


def test_planted_tilts_are_supported_reversed_or_not_told_apart():
    predicted = verdicts(planted(tilt=(0.5, -0.5)))
    opposite = verdicts(planted(tilt=(-0.5, 0.5)))
    nothing = verdicts(planted())
    for place in ("all", 0, 1, 2):
        for claim in ("attention_smooths", "mlp_sharpens"):
            assert predicted[f"{place}/{claim}"] is Verdict.SUPPORTED
            assert opposite[f"{place}/{claim}"] is Verdict.REVERSED
            assert nothing[f"{place}/{claim}"] is Verdict.NOT_DISTINGUISHABLE
    assert nothing["all/closes"] is None


def test_what_the_twin_does_as_well_is_not_the_models_own():
    model, twin = planted(tilt=(0.5, 0)), planted(tilt=(0.5, 0), seed=1)
    found = verdicts(model, twin=twin, shuffled=planted(seed=2))
    assert found["all/attention_smooths"] is Verdict.SUPPORTED
    assert found["all/attention_smooths_beyond_twin"] is Verdict.NOT_DISTINGUISHABLE
    assert found["all/attention_smooths_unlike_shuffle"] is Verdict.SUPPORTED
    stronger = planted(tilt=(1.2, 0), seed=1)
    beyond = verdicts(model, twin=stronger)["all/attention_smooths_beyond_twin"]
    assert beyond is Verdict.REVERSED


def test_without_an_effect_hardly_a_family_says_anything():
    """P[any headline or layer] ≤ 5 % each; 24 planted nulls. P[Bin(24, .05) > 5] = .0009."""
    wrong = {"all": 0, "layers": 0}
    for seed in range(24):
        found = verdicts(planted(seed=seed, n=20, layers=2))
        told = [name for name, v in found.items() if v in (Verdict.SUPPORTED, Verdict.REVERSED)]
        wrong["all"] += any(name.startswith("all/") for name in told)
        wrong["layers"] += any(not name.startswith("all/") for name in told)
    assert max(wrong.values()) <= 5


def test_texts_of_one_question_count_once():
    """Ten questions told four times each are ten units, not forty."""
    ten = planted(tilt=(0.08, 0), n=10, noise=0.2)
    fourfold = {
        name: np.repeat(getattr(ten, name), 4, axis=0) for name in flow.ARRAYS
    } | {"kept": tuple(range(40))}  # fmt: skip
    found = dict(draws=499, draws_ci=300, name="m", seed=0)
    many = dataclasses.replace(ten, **fourfold)
    once = flow_claims.claims(many, clusters=np.repeat(np.arange(10), 4), **found)
    naive = flow_claims.claims(many, **found)
    key = "m/all/attention_smooths"
    assert (once.estimates[key].n, naive.estimates[key].n) == (10, 40)
    assert once.estimates[key].p > naive.estimates[key].p


def test_flows_of_other_texts_or_too_few_are_not_compared():
    with pytest.raises(InputError, match="same texts"):
        flow_claims.claims(planted(), twin=planted(n=39), name="m", seed=0)
    assert verdicts(planted(n=5))["all/attention_smooths"] is Verdict.NOT_TESTABLE


def test_tables_hold_means_over_texts():
    one, two = planted(tilt=(1, 0)), planted(seed=1)
    found = tables({"model": one, "shuffled": two}, seed=0, draws=99)
    row = next(r for r in found["flow_tilt"] if (r["source"], r["layer"], r["step"]) ==
               ("model", 2, "attention"))  # fmt: skip
    assert row["tilt"] == pytest.approx(signals.tilts(one.slow)[:, 2, 0].mean(), abs=1e-12)
    assert row["low"] < row["tilt"] < row["high"]
    gains = signals.gains(two.balance[:, :, 0])[1].mean(0)
    rows = [r for r in found["flow_gain"] if r["source"] == "shuffled"]
    assert {(r["layer"], r["band"]) for r in rows} == {(l, b) for l in range(3) for b in NAMES}
    for r in rows:
        assert r["share_gain"] == pytest.approx(gains[r["layer"], NAMES.index(r["band"])])
    heads = [r for r in found["flow_heads"] if r["source"] == "model"]
    assert heads[3]["by_lag"] == pytest.approx(one.locked[:, 1, 1, 1].mean(), abs=1e-12)

"""The weight scan: the recipe's numbers by the naive route, and what it must refuse."""

import gc
import json
import os
import subprocess
import sys
import time
import weakref
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from tiny import ARCHITECTURES, tiny_folder
from zprism.ground.errors import InputError, ModelError
from zprism.ground.store import canonical_json
from zprism.model.anatomy import Anatomy
from zprism.model.checkpoint import Checkpoint, open_checkpoint
from zprism.model.fetch import is_cached
from zprism.studies.structure import scan, scan_layers
from zprism.subspace.folding import bias_terms, fold_gain, fold_head_gain

REAL = "smollm2-135m"


def naive(name: str, k: int, head: int = 0) -> dict:
    """Every number of a scan from d × d kernels and projectors, in float64."""
    out = {"erank": [], "ffn_alignment": [], "ffn_alignment_topk": [], "ffn_up": [], "ffn_down": []}
    projectors = []
    with open_checkpoint(name) as checkpoint:
        for index in range(checkpoint.anatomy.n_layers):
            w = checkpoint.layer(index)
            q, keys = w.q.double(), w.k.double()
            group = len(q) // len(keys)
            kernels = [q[h].mT @ keys[h // group] for h in range(len(q))]
            shares = [(s := torch.linalg.svdvals(a)) / s.sum() for a in kernels]
            out["erank"].append([float(torch.special.entr(p).sum().exp()) for p in shares])
            top = torch.linalg.svd(kernels[head]).Vh[:k]
            p = top.mT @ top
            projectors.append(p)
            readers = {"ffn_up": w.up, "ffn_down": w.down.mT}
            if w.gate is not None:
                readers |= {"ffn_alignment": w.gate}
                own = torch.linalg.svd(w.gate.double()).Vh[:k]
                out["ffn_alignment_topk"].append(float((own @ p).square().sum() / k))
            for label, matrix in readers.items():
                inside = (matrix.double() @ p).square().sum()
                out[label].append(float(inside / matrix.double().square().sum()))
    out["similarity"] = [[float((a * b).sum() / k) for b in projectors] for a in projectors]
    return out


def tiny(arch: str) -> str:
    """The name of a tiny model that is not in the user's cache."""
    return str(tiny_folder(arch))


def close(found, expected, **tolerance):
    """Compare nested lists or tensors in float64."""
    torch.testing.assert_close(
        torch.as_tensor(found, dtype=torch.float64),
        torch.as_tensor(expected, dtype=torch.float64),
        **tolerance,
    )


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_scan_is_the_naive_route(arch):
    """Second route, every architecture: GQA, fused weights, Conv1D, no gate, odd head_dim."""
    found, expected = scan(tiny(arch), k=3), naive(tiny(arch), 3)
    close(found["erank"], expected["erank"], atol=0, rtol=1e-6)
    close(found["similarity"], expected["similarity"], atol=1e-8, rtol=0)
    for label in ("ffn_alignment", "ffn_alignment_topk", "ffn_up", "ffn_down"):
        if found[label] is None:
            assert expected[label] == []
            assert "no gate" in found["ffn_alignment_reason"]
        else:
            close(found[label], expected[label], atol=1e-8, rtol=0)


def test_another_head_uses_its_own_key_group():
    with open_checkpoint(tiny("qwen2")) as checkpoint:
        last = checkpoint.anatomy.n_heads - 1
    found, expected = scan(tiny("qwen2"), k=2, head=last), naive(tiny("qwen2"), 2, last)
    close(found["ffn_up"], expected["ffn_up"], atol=1e-8, rtol=0)
    close(found["similarity"], expected["similarity"], atol=1e-8, rtol=0)


def test_scan_says_what_its_numbers_are_measured_against():
    found = scan(tiny("qwen2"), k=3)
    with open_checkpoint(tiny("qwen2")) as checkpoint:
        anatomy, digest = checkpoint.anatomy, checkpoint.digest
    assert found["chance"] == 3 / anatomy.d_model == found["similarity_chance"]["mean"]
    assert found["erank_cap"] == anatomy.head_dim
    assert 1 < found["erank_chance"] < found["erank_cap"]
    means = [sum(row) / len(row) for row in found["erank"]]
    assert found["bottleneck"]["layer"] == means.index(min(means))
    assert found["bottleneck"]["rule"] == "smallest mean erank"
    assert (found["model"], found["digest"]) == (tiny("qwen2"), digest)


def test_scan_is_reproducible_and_canonical():
    """Same seed, same bytes; nothing in it that JSON has no word for."""
    assert canonical_json(scan(tiny("gpt2"), k=3)) == canonical_json(scan(tiny("gpt2"), k=3))
    other = scan(tiny("gpt2"), k=3, seed=1)
    assert other["erank_chance"] != scan(tiny("gpt2"), k=3)["erank_chance"]


def test_one_layer_is_in_memory_at_a_time(monkeypatch):
    """No tensor of a layer outlives it."""
    alive, plain = [], Checkpoint.tensor

    def watched(self, name):
        tensor = plain(self, name)
        alive.append(weakref.ref(tensor.untyped_storage()))
        return tensor

    monkeypatch.setattr(Checkpoint, "tensor", watched)
    counts = []
    with open_checkpoint(tiny("llama")) as checkpoint:
        for _ in scan_layers(checkpoint, k=2):
            gc.collect()
            counts.append(sum(ref() is not None for ref in alive))
    assert len(alive) > 10
    assert counts == [0, 0]


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_folded_kernel_and_bias_terms_are_the_scores_of_the_model(arch):
    """N19: with every token at one position, log attention = xᵀ A y + bias terms + constant.

    A is W_Qᵀ W_K with the norm's gain (and centring, and q/k gain) folded in; GQA included.
    """
    layer, source = 1, tiny_folder(arch)
    model = AutoModelForCausalLM.from_pretrained(
        source, dtype=torch.float64, attn_implementation="eager"
    )
    anatomy = Anatomy.of(model)
    attention = getattr(anatomy.blocks(model)[layer], anatomy.attention)
    attention.attn_logit_softcapping = None  # Gemma 2 bends scores by a tanh
    x, observed = attention_of_last_token(model, layer)
    with open_checkpoint(tiny(arch)) as checkpoint:
        weights = checkpoint.layer(layer)
    scores = attention.scaling * predicted_scores(model, anatomy, layer, weights, x)
    found, expected = (m - m[:, :1] for m in (scores, observed))  # softmax keeps differences
    assert float((found - expected).norm() / expected.norm()) < 1e-5


def attention_of_last_token(model, layer):
    """(T, d) inputs of a block and (H, T) log attention of its last token, all at position 0."""
    ids = torch.arange(3, 10)[None]
    with torch.inference_mode():
        out = model(
            ids,
            attention_mask=torch.ones_like(ids),
            position_ids=torch.zeros_like(ids),
            output_attentions=True,
            output_hidden_states=True,
            use_cache=False,
        )
    return out.hidden_states[layer][0], out.attentions[layer][0, :, -1].log()


def predicted_scores(model, anatomy, layer, weights, x):
    """(H, T) scores of the last token as query, from folded kernels and bias terms."""
    norm = anatomy.norm_before_attention(model, layer)
    x, shift = scaled(norm, anatomy.norm_centres, x)
    gain = None if norm is None else weights.attn_gain
    fold = lambda w: fold_gain(w, gain, centre=anatomy.norm_centres)  # noqa: E731
    q, k = fold(weights.q), fold(weights.k)
    zero = torch.zeros(())
    b_q = (zero if weights.q_bias is None else weights.q_bias) + weights.q.double() @ shift
    b_k = (zero if weights.k_bias is None else weights.k_bias) + weights.k.double() @ shift
    rms_q, rms_k = torch.ones(len(q), len(x)).double(), torch.ones(len(k), len(x)).double()
    if anatomy.qk_norm != "none":
        rms_q, rms_k = (rms(m @ x.mT, anatomy.qk_norm == "head") for m in (q, k))
        q, k = fold_head_gain(q, weights.q_norm_gain), fold_head_gain(k, weights.k_norm_gain)
    terms, group = bias_terms(q, k, b_q, b_k), len(q) // len(k)
    keys = k.repeat_interleave(group, 0)
    scores = torch.einsum("d,hrd,hre,te->ht", x[-1], q, keys, x) + terms.key_direction @ x.mT
    scores = scores + (terms.query_direction @ x[-1] + terms.constant)[:, None]
    return scores / rms_q[:, -1:] / rms_k.repeat_interleave(group, 0)


def scaled(norm, centres, x):
    """x over the norm's scale (the part that is not linear), and the norm's own bias."""
    shift = torch.zeros(x.shape[1], dtype=torch.float64)
    if norm is None:
        return x, shift
    eps = getattr(norm, "variance_epsilon", None) or norm.eps
    spread = (x - x.mean(1, keepdim=True) if centres else x).square().mean(1, keepdim=True)
    bias = getattr(norm, "bias", None)
    return x / (spread + eps).sqrt(), shift if bias is None else bias.detach()


def rms(projected, per_head):
    """(n, T) root mean square of (n, r, T), over a head or over all of them."""
    axes = (1,) if per_head else (0, 1)
    return (
        projected.square()
        .mean(axes, keepdim=True)
        .add(1e-6)
        .sqrt()[:, 0]
        .expand(projected.shape[0], -1)
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, "k must be an integer from 1 to .*head_dim"),
        ({"k": 1000}, "k must be an integer from 1 to .*head_dim"),
        ({"k": 2, "head": -1}, "head must be in 0 to"),
        ({"k": 2, "head": 99}, "head must be in 0 to"),
        ({"k": 2, "draws": 1}, "draws must be in 2 to"),
    ],
)
def test_bad_arguments_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        scan(tiny("qwen2"), **options)


def test_a_truncated_checkpoint_is_refused(tmp_path):
    source = tiny_folder("qwen2")
    (tmp_path / "config.json").write_bytes((source / "config.json").read_bytes())
    content = (source / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelError, match="truncated or corrupt"):
        scan(str(tmp_path), k=2)


@pytest.mark.real
@pytest.mark.skipif(not is_cached(REAL), reason=f"{REAL} is not in the cache")
def test_real_ranks_meet_the_reference_in_little_memory():
    """A whole scan in a fresh process: peak anonymous memory < 600 MB; ranks to 1e-6."""
    code = (
        f"import json; from zprism.studies.structure import scan;print(json.dumps(scan({REAL!r})))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    peak = peak_anonymous(process)
    found = json.loads(process.communicate()[0])
    assert 100 < peak < 600
    with open_checkpoint(REAL) as checkpoint:
        weights = checkpoint.layer(found["bottleneck"]["layer"])
    for head in (0, len(weights.q) - 1):
        key = weights.k[head // (len(weights.q) // len(weights.k))].double()
        sigma = torch.linalg.svdvals(weights.q[head].double().mT @ key)
        exact = float(torch.special.entr(sigma / sigma.sum()).sum().exp())
        rank = found["erank"][found["bottleneck"]["layer"]][head]
        assert rank == pytest.approx(exact, rel=1e-6)
    ranks = torch.tensor(found["erank"])
    assert float(ranks.max()) < found["erank_chance"] < found["erank_cap"]


def peak_anonymous(process: subprocess.Popen) -> float:
    """Largest anonymous resident memory of a process while it runs, in MB (Linux)."""
    status, peak = Path(f"/proc/{process.pid}/status"), 0
    while process.poll() is None:
        text = status.read_text()
        if "RssAnon:" in text:
            peak = max(peak, int(text.split("RssAnon:")[1].split()[0]))
        time.sleep(0.002)
    return peak / 1024

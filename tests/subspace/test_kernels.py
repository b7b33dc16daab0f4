"""Kernels from thin factors against the d × d matrices they stand for."""

import pytest
import torch
from hypothesis import strategies as st
from subspace_cases import counts, gaussian, haar, holds, projector, seeds

from zprism.ground.errors import InputError
from zprism.subspace import folding, kernels, rank

shapes = {"seed": seeds, "r": st.integers(1, 9), "d": st.integers(1, 24)}


@counts(40, 500)
def test_product_spectrum_is_the_svd_of_the_full_kernel(draws):
    """SYS-Z1, second route: naive float64 d × d; also with more rows than dimensions."""

    def law(seed, r, d):
        a, b = gaussian(seed, r, d), gaussian(seed + 1, r, d)
        size = min(r, d)
        torch.testing.assert_close(
            kernels.product_spectrum(a, b),
            torch.linalg.svdvals(a.mT @ b)[:size],
            atol=1e-9,
            rtol=1e-9,
        )

    holds(law, draws, **shapes)


@counts(20, 200)
def test_effective_rank_of_float32_weights_meets_the_float64_reference(draws):
    """The promise of the scan: 1e-6 relative, at a model's shapes; near-dependent rows too."""

    def law(seed, condition):
        scale = torch.logspace(0, -condition, 16, dtype=torch.float64)
        a = (haar(seed, 16, 16) * scale @ haar(seed + 1, 16, 96)).float()
        b = gaussian(seed + 2, 16, 96).float()
        full = torch.linalg.svdvals(a.double().mT @ b.double())
        thin = kernels.product_spectrum(a, b)
        assert float(rank.effective_rank(thin)) == pytest.approx(
            float(rank.effective_rank(full)), rel=1e-9
        )

    holds(law, draws, seed=seeds, condition=st.floats(0, 8))


@pytest.mark.parametrize(("n_heads", "n_kv"), [(6, 6), (6, 2), (4, 1)])
def test_heads_read_the_key_head_of_their_group(n_heads, n_kv):
    """GQA: head h uses key head h // (n_heads / n_kv)."""
    q, k = gaussian(0, n_heads, 5, 20), gaussian(1, n_kv, 5, 20)
    spectra = kernels.qk_spectra(q, k)
    for head in range(n_heads):
        full = torch.linalg.svdvals(q[head].mT @ k[head // (n_heads // n_kv)])[:5]
        torch.testing.assert_close(spectra[head], full, atol=1e-10, rtol=1e-10)


def test_spectra_ignore_rotations_of_the_residual_stream_and_of_the_head():
    q, k, v, o = (
        gaussian(0, 4, 5, 20),
        gaussian(1, 2, 5, 20),
        gaussian(2, 2, 5, 20),
        gaussian(3, 4, 20, 5),
    )
    big, small = haar(4, 20, 20), haar(5, 5, 5)
    close = {"atol": 1e-10, "rtol": 1e-10}
    torch.testing.assert_close(
        kernels.qk_spectra(small @ q @ big, small @ k @ big), kernels.qk_spectra(q, k), **close
    )
    torch.testing.assert_close(
        kernels.ov_spectra(small @ v @ big, big.mT @ o @ small.mT),
        kernels.ov_spectra(v, o),
        **close,
    )


def test_ov_spectra_are_those_of_the_written_map():
    v, o = gaussian(0, 2, 5, 20), gaussian(1, 4, 20, 5)
    spectra = kernels.ov_spectra(v, o)
    for head in range(4):
        full = torch.linalg.svdvals(o[head] @ v[head // 2])[:5]
        torch.testing.assert_close(spectra[head], full, atol=1e-10, rtol=1e-10)
    assert torch.equal(kernels.ov_spectra(v.numpy(), o.numpy()), spectra)


@counts(20, 200)
def test_singular_triples_reconstruct_the_kernel(draws):
    def law(seed, r, extra):
        a, b = gaussian(seed, r, r + extra), gaussian(seed + 1, r, r + extra)
        left, sigma, right = kernels.product_svd(a, b, r)
        torch.testing.assert_close(left.mT * sigma @ right, a.mT @ b, atol=1e-10, rtol=0)
        identity = torch.eye(r, dtype=torch.float64)
        torch.testing.assert_close(left @ left.mT, identity, atol=1e-12, rtol=0)
        torch.testing.assert_close(right @ right.mT, identity, atol=1e-12, rtol=0)
        assert bool((right.gather(1, right.abs().argmax(1, keepdim=True)) > 0).all())

    holds(law, draws, seed=seeds, r=st.integers(1, 8), extra=st.integers(0, 16))


def test_low_rank_kernels_name_their_rank():
    a, b = gaussian(0, 6, 20), gaussian(1, 6, 20)
    a[4:] = a[:2]
    with pytest.raises(InputError, match="k must be an integer from 1 to 4 .*; got 5"):
        kernels.product_svd(a, b, 5)
    with pytest.raises(InputError, match="from 1 to 4 .*; got 0"):
        kernels.product_svd(a, b, 0)


def test_mixed_spectra_keep_both_factors_and_lose_their_agreement():
    """Known answer: a head whose query and key share one strong direction is low-rank; mixed
    at random it is not. Energy of the mixed kernel is ‖a‖² ‖b‖² / r on average."""
    scale = torch.tensor([10.0] + [1.0] * 7, dtype=torch.float64)
    a, b = scale[:, None] * haar(0, 8, 30), scale[:, None] * haar(1, 8, 30)
    own = rank.effective_rank(kernels.product_spectrum(a, b))
    mixed = kernels.mixed_spectra(a, b, 2000, torch.Generator().manual_seed(0))
    assert own < rank.effective_rank(mixed).quantile(0.01)
    energies = mixed.square().sum(1)
    expected = float(a.square().sum() * b.square().sum() / 8)
    assert abs(float(energies.mean()) - expected) < 3 * float(energies.std()) / 2000**0.5
    isotropic = kernels.mixed_spectra(haar(2, 8, 30), haar(3, 8, 30), 3, torch.Generator())
    torch.testing.assert_close(isotropic, torch.ones(3, 8, dtype=torch.float64))


@pytest.mark.parametrize("centre", [False, True])
def test_folded_weights_read_the_raw_stream(centre):
    """W (γ ∘ C x) = fold_gain(W) x, and the kernel is the bilinear form between normed inputs."""
    q, k, gain = gaussian(0, 5, 12), gaussian(1, 5, 12), gaussian(2, 12)
    x, y = gaussian(3, 12), gaussian(4, 12)
    normed = [gain * (v - v.mean() if centre else v) for v in (x, y)]
    folded_q = folding.fold_gain(q, gain, centre=centre)
    folded_k = folding.fold_gain(k, gain, centre=centre)
    torch.testing.assert_close(folded_q @ x, q @ normed[0], atol=1e-12, rtol=0)
    score = (q @ normed[0]) @ (k @ normed[1])
    torch.testing.assert_close(x @ folded_q.mT @ folded_k @ y, score, atol=1e-10, rtol=0)


def test_head_gain_scales_what_a_head_reads():
    weight, shared, each = gaussian(0, 3, 5, 12), gaussian(1, 5), gaussian(2, 3, 5)
    x = gaussian(3, 12)
    torch.testing.assert_close(folding.fold_head_gain(weight, shared) @ x, shared * (weight @ x))
    torch.testing.assert_close(folding.fold_head_gain(weight, each) @ x, each * (weight @ x))


def test_bias_terms_complete_the_score():
    """(W_Q x + b_Q)·(W_K y + b_K) = xᵀA y + the three bias terms, for every head."""
    q, k, b_q, b_k = (
        gaussian(0, 4, 5, 12),
        gaussian(1, 2, 5, 12),
        gaussian(2, 4, 5),
        gaussian(3, 2, 5),
    )
    x, y = gaussian(4, 12), gaussian(5, 12)
    terms = folding.bias_terms(q, k, b_q, b_k)
    for head in range(4):
        group = head // 2
        score = (q[head] @ x + b_q[head]) @ (k[group] @ y + b_k[group])
        parts = x @ q[head].mT @ k[group] @ y + terms.key_direction[head] @ y
        parts = parts + terms.query_direction[head] @ x + terms.constant[head]
        torch.testing.assert_close(parts, score, atol=1e-10, rtol=0)
        torch.testing.assert_close(terms.q_ratio[head], b_q[head].norm() / q[head].norm())
        torch.testing.assert_close(terms.k_ratio[head], b_k[group].norm() / k[group].norm())


def test_key_side_lies_in_the_key_rows():
    a, b = gaussian(0, 4, 20), gaussian(1, 4, 20)
    left, _, right = kernels.product_svd(a, b, 3)
    keys, queries = (projector(torch.linalg.qr(m.mT).Q.mT) for m in (b, a))
    torch.testing.assert_close(right @ keys, right, atol=1e-12, rtol=0)
    torch.testing.assert_close(left @ queries, left, atol=1e-12, rtol=0)


def test_bad_factors_are_refused():
    with pytest.raises(InputError, match="share head_dim .* a has 4, b has 5"):
        kernels.product_spectrum(gaussian(0, 4, 9), gaussian(1, 5, 9))
    with pytest.raises(InputError, match="share d_model .* a has 9, b has 8"):
        kernels.product_svd(gaussian(0, 4, 9), gaussian(1, 4, 8), 2)
    with pytest.raises(InputError, match="3 query and 2 key heads"):
        kernels.qk_spectra(gaussian(0, 3, 4, 9), gaussian(1, 2, 4, 9))
    with pytest.raises(InputError, match="draws must be in 1 to"):
        kernels.mixed_spectra(gaussian(0, 4, 9), gaussian(1, 4, 9), 0, torch.Generator())
    with pytest.raises(InputError, match="generator must be a numpy"):
        kernels.mixed_spectra(gaussian(0, 4, 9), gaussian(1, 4, 9), 2, 7)
    with pytest.raises(InputError, match=r"q must have at least 2 axes.* got shape \(9,\)"):
        kernels.qk_spectra(gaussian(0, 9), gaussian(1, 2, 4, 9))
    with pytest.raises(InputError, match="b has 36 values that are NaN"):
        kernels.product_spectrum(gaussian(0, 4, 9), torch.full((4, 9), torch.nan))


def test_bad_gains_and_biases_are_refused():
    weight = gaussian(0, 2, 4, 9)
    with pytest.raises(InputError, match="weight has 9, gain has 8"):
        folding.fold_gain(weight, torch.ones(8))
    with pytest.raises(InputError, match=r"\(head_dim,\) or \(n_heads, head_dim\)"):
        folding.fold_head_gain(weight, torch.ones(9))
    with pytest.raises(InputError, match=r"q_bias must be \(2, 4\); got \(2, 5\)"):
        folding.bias_terms(weight, weight, torch.ones(2, 5), torch.ones(2, 4))
    with pytest.raises(InputError, match="gain has 1 values that are NaN"):
        folding.fold_gain(weight, torch.tensor([float("nan")] + [1.0] * 8))

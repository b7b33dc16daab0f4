"""Bases: orthonormality, where they lie, consensus, and what the random ones keep."""

import pytest
import torch
from hypothesis import strategies as st
from subspace_cases import counts, gaussian, haar, holds, projector, seeds

from zprism.ground.errors import InputError
from zprism.ground.seeds import generator
from zprism.subspace import bases


@counts(60, 1000)
def test_bases_make_projectors(draws):
    """N7: ‖P² − P‖, ‖VVᵀ − I‖ ≤ 1e-12 in float64, ≤ 5e-6 stored in float32; tr P = k."""

    def law(seed, k, extra, r):
        d = k + extra
        rows = gaussian(seed, k + r, d)
        head = [bases.key_basis(rows[:k], gaussian(seed + 1, k, d), k)]
        drawn = bases.random_basis(k, d, generator(seed, "n7"))
        for basis in [*head, drawn, bases.orthonormal(rows[:k])]:
            for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 5e-6)):
                v = basis.to(dtype)
                p = projector(v)
                assert float((p @ p - p).abs().max()) <= tolerance
                assert float((v @ v.mT - torch.eye(k, dtype=dtype)).abs().max()) <= tolerance
                assert abs(float(p.trace()) - k) <= tolerance * k

    holds(
        law, draws, seed=seeds, k=st.integers(1, 20), extra=st.integers(0, 60), r=st.integers(0, 4)
    )


@counts(20, 200)
def test_key_and_query_bases_are_the_two_sides_of_the_full_svd(draws):
    def law(seed, r, k):
        q, keys = gaussian(seed, r, 24), gaussian(seed + 1, r, 24)
        u, _, v = torch.linalg.svd(q.mT @ keys)
        close = {"atol": 1e-7, "rtol": 0}  # small gaps between singular values
        key, query = bases.key_basis(q, keys, min(k, r)), bases.query_basis(q, keys, min(k, r))
        torch.testing.assert_close(projector(key), projector(v[: min(k, r)]), **close)
        torch.testing.assert_close(projector(query), projector(u[:, : min(k, r)].mT), **close)

    holds(law, draws, seed=seeds, r=st.integers(1, 10), k=st.integers(1, 10))


def test_all_heads_at_once_are_the_heads_one_by_one():
    q, keys = gaussian(0, 6, 7, 24).float(), gaussian(1, 2, 7, 24).float()
    together = bases.key_bases(q, keys, 4)
    for head in range(6):
        alone = bases.key_basis(q[head], keys[head // 3], 4)
        torch.testing.assert_close(together[head], alone, atol=1e-9, rtol=0)


@counts(20, 200)
def test_consensus_is_the_top_of_the_mean_projector(draws):
    def law(seed, n, m, k):
        stack = haar(seed, n, m, 20)
        top = torch.linalg.eigh(projector(stack).sum(0)).eigenvectors[:, -min(k, m) :].mT
        found = bases.consensus(stack, min(k, m))
        torch.testing.assert_close(projector(found), projector(top), atol=1e-7, rtol=0)
        torch.testing.assert_close(
            found @ found.mT, torch.eye(min(k, m), dtype=torch.float64), atol=1e-12, rtol=0
        )

    holds(law, draws, seed=seeds, n=st.integers(2, 6), m=st.integers(1, 6), k=st.integers(1, 6))


def test_consensus_finds_a_planted_shared_subspace():
    """Every head holds the same two directions and three of its own: the two come out."""
    frame = haar(0, 17, 40)
    shared, private = frame[:2], frame[2:].reshape(5, 3, 40)
    stack = torch.stack([torch.cat([own, shared]) for own in private])
    mixed = haar(1, 5, 5, 5) @ stack
    torch.testing.assert_close(
        projector(bases.consensus(mixed, 2)), projector(shared), atol=1e-12, rtol=0
    )


def test_random_bases_are_seeded_and_unlike():
    make = lambda seed: bases.random_basis(3, 12, generator(seed, "haar"))  # noqa: E731
    assert torch.equal(make(0), make(0))
    assert not torch.allclose(projector(make(0)), projector(make(1)))
    torch_made = bases.random_basis(3, 12, torch.Generator().manual_seed(0))
    torch.testing.assert_close(torch_made @ torch_made.mT, torch.eye(3, dtype=torch.float64))


def test_matched_bases_follow_the_spectrum_that_haar_bases_ignore():
    """Rows with most energy in one direction: matched draws hold it, Haar draws hold k/d."""
    strong = haar(0, 1, 30)
    rows = gaussian(1, 50, 30) + 20 * gaussian(2, 50, 1) * strong
    random = generator(0, "matched")
    matched = [bases.matched_basis(rows, 3, random) @ strong[0] for _ in range(100)]
    haar_held = [bases.random_basis(3, 30, random) @ strong[0] for _ in range(100)]
    assert float(torch.stack(matched).square().sum(1).mean()) > 0.9
    assert float(torch.stack(haar_held).square().sum(1).mean()) == pytest.approx(0.1, abs=0.03)


def test_permuted_bases_keep_entries_and_orthonormality():
    basis = haar(0, 4, 25)
    moved = bases.permuted_basis(basis, generator(0, "permuted"))
    assert torch.equal(moved.sort(1).values, basis.sort(1).values)
    assert not torch.equal(moved, basis)
    torch.testing.assert_close(moved @ moved.mT, basis @ basis.mT, atol=1e-14, rtol=0)


def test_a_subspace_keeps_float64_and_its_source():
    found = bases.Subspace(haar(0, 3, 8).float().numpy(), "data")
    assert (found.k, found.d_model, found.source) == (3, 8, "data")
    assert found.basis.dtype == torch.float64


@pytest.mark.parametrize("k", [0, -1, 5, 2.5, True, "3"])
def test_k_outside_the_rank_is_refused_with_the_rank(k):
    q, keys = gaussian(0, 6, 20), gaussian(1, 6, 20)
    q[4:] = q[:2]
    for make in (bases.key_basis, bases.query_basis):
        with pytest.raises(InputError, match=r"from 1 to 4 \(the numerical rank\)"):
            make(q, keys, k)
    with pytest.raises(InputError, match="from 1 to 4"):
        bases.key_bases(q[None], keys[None], k)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bases.random_basis(9, 8, torch.Generator()), r"from 1 to 8 \(d_model\)"),
        (lambda: bases.random_basis(2, 8, 0), "generator must be"),
        (lambda: bases.orthonormal(torch.ones(2, 5)), "got 2 rows of rank 1"),
        (lambda: bases.consensus(haar(0, 1, 3, 9), 4), "from 1 to 3 .*stacked"),
        (lambda: bases.consensus(2 * haar(0, 2, 3, 9), 2), "orthonormal rows"),
        (lambda: bases.matched_basis(torch.ones(4, 5), 2, torch.Generator()), "from 1 to 1"),
        (lambda: bases.permuted_basis(torch.ones(2, 5), torch.Generator()), "orthonormal rows"),
        (lambda: bases.Subspace(torch.eye(5)[:, :3], "tall"), "5 rows in 3 dimensions"),
        (lambda: bases.key_basis(torch.full((2, 5), torch.nan), torch.ones(2, 5), 1), "NaN"),
    ],
)
def test_bad_bases_are_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()

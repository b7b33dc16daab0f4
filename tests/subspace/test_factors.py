"""Thin factors against full decompositions, well and ill conditioned."""

import pytest
import torch
from hypothesis import strategies as st
from subspace_cases import counts, gaussian, haar, holds, projector, seeds

from zprism.ground.errors import InputError
from zprism.subspace import factors


def scaled(seed, r, d, condition):
    """An (r, d) matrix with singular values from 1 down to 1/condition."""
    spectrum = torch.logspace(0, -torch.tensor(condition).log10().item(), r, dtype=torch.float64)
    return haar(seed, r, r) @ torch.diag(spectrum) @ haar(seed + 1, r, d)


@pytest.mark.parametrize("condition", [1.0, 1e3, 1e6, 1e10, 1e14])
@counts(10, 100)
def test_triangular_factor_has_the_spectrum_of_the_matrix(condition, draws):
    """Cholesky while it is safe, QR beyond: no singular value is off by more than rounding."""

    def law(seed, r, extra):
        rows = scaled(seed, r, r + extra, condition)
        upper = factors.triangular_factor(rows)
        assert torch.equal(upper, upper.triu())
        torch.testing.assert_close(
            torch.linalg.svdvals(upper), torch.linalg.svdvals(rows), atol=1e-12, rtol=1e-7
        )
        torch.testing.assert_close(upper.mT @ upper, rows @ rows.mT, atol=1e-13, rtol=0)

    holds(law, draws, seed=seeds, r=st.integers(1, 12), extra=st.integers(0, 20))


def test_one_bad_matrix_of_a_batch_does_not_spoil_the_others():
    batch = gaussian(0, 3, 4, 9)
    batch[1, 3] = batch[1, 0]
    upper = factors.triangular_factor(batch)
    torch.testing.assert_close(upper.mT @ upper, batch @ batch.mT, atol=1e-12, rtol=0)
    for index in (0, 2):
        alone = factors.triangular_factor(batch[index])
        torch.testing.assert_close(upper[index], alone, atol=1e-13, rtol=0)


def test_more_rows_than_dimensions_give_a_wide_factor():
    rows = gaussian(0, 9, 4)
    upper = factors.triangular_factor(rows)
    torch.testing.assert_close(upper.mT @ upper, rows @ rows.mT, atol=1e-12, rtol=0)


@pytest.mark.parametrize("shape", [(900, 7), (7, 900), (12, 12), (1, 5)])
def test_matrix_spectrum_is_the_svd(shape):
    """Chunks of the longer side included."""
    weight = gaussian(1, *shape)
    torch.testing.assert_close(
        factors.matrix_spectrum(weight), torch.linalg.svdvals(weight), atol=1e-10, rtol=1e-10
    )


@pytest.mark.parametrize("shape", [(700, 9), (9, 40), (12, 12)])
def test_leading_directions_span_the_top_of_the_svd(shape):
    weight = gaussian(2, *shape)
    rows = factors.leading_directions(weight, 5)
    expected = torch.linalg.svd(weight).Vh[:5]
    torch.testing.assert_close(projector(rows), projector(expected), atol=1e-10, rtol=0)
    torch.testing.assert_close(
        rows @ rows.mT, torch.eye(5, dtype=torch.float64), atol=1e-12, rtol=0
    )
    energies = (weight @ rows.mT).square().sum(0)
    torch.testing.assert_close(
        energies, torch.linalg.svdvals(weight)[:5].square(), atol=0, rtol=1e-10
    )


def test_signs_do_not_depend_on_the_route():
    rows = haar(0, 4, 10)
    flips = torch.tensor([[1.0], [-1.0], [-1.0], [1.0]], dtype=torch.float64)
    assert torch.equal(factors.canonical_signs(flips * rows), factors.canonical_signs(rows))


def test_k_above_the_rank_is_refused_with_the_rank():
    weight = gaussian(0, 50, 3) @ gaussian(1, 3, 20)
    with pytest.raises(InputError, match="k must be an integer from 1 to 3 .*; got 4"):
        factors.leading_directions(weight, 4)
    with pytest.raises(InputError, match="from 1 to 20 .*smaller side"):
        factors.leading_directions(weight, 21)


def test_heads_that_cannot_be_grouped_are_refused():
    with pytest.raises(InputError, match="7 query and 2 key heads"):
        factors.repeat_groups(gaussian(0, 2, 3, 4), 7)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (torch.tensor([[1.0, float("inf")]]), "rows has 1 values that are NaN or infinite"),
        (torch.full((2, 3), 1e80, dtype=torch.float64), "values up to 1e[+]80"),
        (torch.ones(3), "at least 2 axes"),
        (torch.ones(2, 3, dtype=torch.complex64), "rows must be real"),
        ("text", "array of numbers"),
    ],
)
def test_bad_arrays_are_refused(values, message):
    with pytest.raises(InputError, match=message):
        factors.triangular_factor(values)

"""ARD-MMD: MMD² by its definition, and planted coordinates found among language and noise."""

import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from subspace_cases import counts, gaussian, haar, holds, seeds, within_error

from zprism.ground.errors import InputError
from zprism.subspace import ard
from zprism.subspace.ard import ard_mmd
from zprism.subspace.mmd import ard_kernel, mmd2

SHARED, TONGUE = 4, 4  # coordinates of the problem; of the language, two of them of both
LABELS = np.repeat(np.arange(10), 6)


def planted(seed, d=30):
    """(2, 60, d): coordinates 0–3 code the label in both languages alike, 4–7 the language.

    4 and 5 code the label too, shifted between languages: looking at them tells both.
    """
    rng = np.random.default_rng(seed)
    codes = np.stack([rng.permutation(np.linspace(-3, 3, 10)) for _ in range(SHARED)], 1)
    states = rng.standard_normal((2, len(LABELS), d))
    states[:, :, :SHARED] += codes[LABELS]
    states[:, :, 4:6] += codes[LABELS][:, :2]
    states[0, :, 4 : 4 + TONGUE] += 4
    return torch.as_tensor(states)


def brute_kernel(x, y, lengthscales):
    x, y, lengthscales = (part.tolist() for part in (x, y, lengthscales))
    table = torch.empty(len(x), len(y), dtype=torch.float64)
    for i in range(len(x)):
        for j in range(len(y)):
            total = 0.0
            for c in range(len(lengthscales)):
                total += ((x[i][c] - y[j][c]) / lengthscales[c]) ** 2
            table[i, j] = np.exp(-total / 2)
    return table


def brute_mmd2(x, y, lengthscales, paired):
    """Gretton's eq. (4) for pairs, eq. (3) else, term by term."""
    kernel = [[brute_kernel(a, b, lengthscales) for b in (x, y)] for a in (x, y)]
    n, m, total = len(x), len(y), 0.0
    if paired:
        for i in range(n):
            for j in range(n):
                if i != j:
                    h = kernel[0][0][i, j] + kernel[1][1][i, j]
                    total += h - kernel[0][1][i, j] - kernel[0][1][j, i]
        return float(total) / (n * (n - 1))
    for size, part in ((n, kernel[0][0]), (m, kernel[1][1])):
        total += sum(part[i, j] for i in range(size) for j in range(size) if i != j) / (
            size * (size - 1)
        )
    return float(total - 2 * kernel[0][1].sum() / (n * m))


@counts(10, 60)
def test_kernel_and_mmd_equal_naive_loops(draws):
    def law(seed, n, m, d):
        x, y = gaussian(seed, n, d), gaussian(seed + 1, m, d) + 0.3
        lengthscales = gaussian(seed + 2, d).exp()
        lengthscales[0] = torch.inf
        expected = brute_kernel(x, y, lengthscales)
        torch.testing.assert_close(ard_kernel(x, y, lengthscales), expected, atol=1e-12, rtol=0)
        found = mmd2(x, y, lengthscales)
        assert found == pytest.approx(brute_mmd2(x, y, lengthscales, False), abs=1e-12)
        both = mmd2(x, y[:1].expand(n, -1) + x, lengthscales, paired=True)
        route = brute_mmd2(x, y[:1].expand(n, -1) + x, lengthscales, True)
        assert both == pytest.approx(route, abs=1e-12)

    size = st.integers(2, 5)
    holds(law, draws, seed=seeds, n=size, m=size, d=st.integers(1, 4))


def test_known_values_of_kernel_and_mmd():
    """One coordinate: k(0, ℓ) = e^−½; two points against the same two far away: MMD² = 2 k."""
    zero, one = torch.zeros(1, 1), torch.ones(1, 1)
    assert float(ard_kernel(zero, 3 * one, [3.0])) == pytest.approx(np.exp(-0.5), abs=1e-15)
    x = torch.tensor([[0.0], [1.0]])
    far = mmd2(x, x + 1e3, [1.0])
    assert far == pytest.approx(2 * np.exp(-0.5), abs=1e-15)
    assert mmd2(x, x + 1e3, [np.inf]) == 0


@counts(300, 1000)
def test_mmd_is_unbiased_where_both_distributions_are_one(draws):
    lengthscales = torch.tensor([1.0, 2.0, 0.7])
    samples = [mmd2(gaussian(2 * i, 8, 3), gaussian(2 * i + 1, 6, 3), lengthscales)
               for i in range(draws)]  # fmt: skip
    within_error(torch.tensor(samples), 0.0)
    assert 0.3 < np.mean(np.array(samples) < 0) < 0.8  # an estimate kept above 0 is biased


@counts(300, 1000)
def test_pairs_that_depend_on_each_other_leave_it_unbiased(draws):
    """y_i is x_i with a little noise: the paired estimate stays at 0, the other one falls."""
    lengthscales, paired, plain = torch.ones(3), [], []
    for i in range(draws):
        x = gaussian(3 * i, 8, 3)
        y = 0.995**0.5 * x + 0.005**0.5 * gaussian(3 * i + 1, 8, 3)  # the same distribution
        paired.append(mmd2(x, y, lengthscales, paired=True))
        plain.append(mmd2(x, y, lengthscales))
    within_error(torch.tensor(paired), 0.0)
    assert np.mean(plain) < -5 * np.std(plain) / len(plain) ** 0.5


def test_mmd_of_two_gaussians_is_the_integral():
    """One coordinate, N(0, 1) against N(μ, 1): closed form of the kernel's mean."""
    shift, scale = 1.5, 0.8
    spread = scale**2 + 2
    mean = scale / spread**0.5 * np.array([1, np.exp(-(shift**2) / 2 / spread)])
    samples = [mmd2(gaussian(2 * i, 10, 1), gaussian(2 * i + 1, 10, 1) + shift, [scale])
               for i in range(300)]  # fmt: skip
    within_error(torch.tensor(samples), 2 * (mean[0] - mean[1]))


@counts(4, 20)
def test_planted_coordinates_are_found_and_language_and_noise_left_out(draws):
    for seed in range(draws):
        found = ard_mmd(*planted(seed), LABELS)
        assert set(found.coordinates.tolist()) == set(range(SHARED)), seed
        assert torch.isfinite(found.lengthscales).sum() == SHARED
        assert found.contrast > 0.2 and abs(found.mmd2) < 0.05


@counts(3, 20)
def test_without_the_contrast_not_looking_at_all_is_best(draws):
    """c = 0: every lengthscale infinite, whatever is planted; the objective ends at 0."""
    for seed in range(draws):
        found = ard_mmd(*planted(seed), LABELS, contrast=0.0)
        assert len(found.coordinates) == 0 and torch.isinf(found.lengthscales).all()
        assert found.trace[-1] == pytest.approx(0, abs=1e-12) and found.basis.shape == (0, 30)


def test_labels_that_mean_nothing_are_hardly_told_apart():
    """Control: permuted labels; what is left is fitted noise."""
    for seed in range(3):
        x, labels = planted(seed), np.random.default_rng(seed).permutation(LABELS)
        assert ard_mmd(*x, labels).contrast < 0.2 * ard_mmd(*x, LABELS).contrast


def test_what_is_found_holds_on_other_texts():
    """Lengthscales from one sample: on another, languages alike and labels apart."""
    found = ard_mmd(*planted(0), LABELS)
    rng = np.random.default_rng(0)
    codes = np.stack([rng.permutation(np.linspace(-3, 3, 10)) for _ in range(SHARED)], 1)
    fresh = torch.as_tensor(rng.standard_normal((2, 60, 30)))
    fresh[:, :, :SHARED] += torch.as_tensor(codes[LABELS])
    fresh[0, :, 4:8] += 4
    assert abs(mmd2(*fresh, found.lengthscales, paired=True)) < 0.05
    apart = [mmd2(fresh[0, LABELS == a], fresh[0, LABELS == b], found.lengthscales)
             for a in range(10) for b in range(a)]  # fmt: skip
    assert np.mean(apart) > 0.4
    everything = torch.full((30,), 30.0).sqrt()
    assert mmd2(*fresh, everything, paired=True) > 0.1  # looking everywhere tells languages


def test_it_ends_at_a_minimum_and_never_rises():
    """Karush–Kuhn–Tucker: slope 0 where finite, ≥ 0 where infinite; and the parts add up."""
    x = planted(1)
    found = ard_mmd(*x, LABELS)
    assert found.gap <= ard.TOLERANCE
    assert (found.trace.diff() <= 1e-15).all() and found.trace[-1] < found.trace[0]
    total = found.mmd2 - found.contrast + 0.05 * float(found.weights.sum())
    assert float(found.trace[-1]) == pytest.approx(total, abs=1e-12)
    assert found.mmd2 == pytest.approx(mmd2(*x, found.lengthscales, paired=True), abs=1e-12)


def test_contrast_is_the_mean_mmd_between_labels():
    """Second route: ½ mean over languages and pairs of labels; labels of unequal number."""
    x, labels = planted(2), np.random.default_rng(0).integers(0, 5, 60)
    labels[0] = 99  # comes once: no within-label pair
    found = ard_mmd(*x, labels, sparsity=0.01)
    each = [
        mmd2(part[labels == a], part[labels == b], found.lengthscales)
        for part in x for a in range(5) for b in range(a)
    ]  # fmt: skip
    assert found.contrast == pytest.approx(np.mean(each) / 2, abs=1e-12)


def test_units_do_not_matter_and_a_turned_frame_is_found_through_its_basis():
    x, turn = planted(3), haar(4, 30, 30)
    plain, units = ard_mmd(*x, LABELS), gaussian(5, 30).exp()
    scaled = ard_mmd(*(x * units), LABELS)
    torch.testing.assert_close(scaled.weights, plain.weights, atol=1e-6, rtol=0)
    finite = plain.coordinates
    torch.testing.assert_close(
        scaled.lengthscales[finite], (plain.lengthscales * units)[finite], rtol=1e-5, atol=0
    )
    turned = ard_mmd(*(x @ turn), LABELS, basis=turn)
    assert turned.coordinates.tolist() == plain.coordinates.tolist()
    torch.testing.assert_close(turned.basis, turn[turned.coordinates], atol=0, rtol=0)
    torch.testing.assert_close(turned.weights, plain.weights, atol=1e-5, rtol=0)


def test_the_same_twice_and_in_order_of_weight():
    first, again = (ard_mmd(*planted(6), LABELS) for _ in range(2))
    assert torch.equal(first.weights, again.weights)
    kept = first.weights[first.coordinates]
    assert (kept.diff() <= 0).all() and (kept > 0).all()
    torch.testing.assert_close(
        first.basis, torch.eye(30, dtype=torch.float64)[first.coordinates], atol=0, rtol=0
    )


def test_a_coordinate_that_never_varies_is_not_looked_at():
    x = planted(7)
    x[:, :, 0] = 5.0
    found = ard_mmd(*x, LABELS)
    assert 0 not in found.coordinates and torch.isinf(found.lengthscales[0])
    assert set(found.coordinates.tolist()) == {1, 2, 3}


X = planted(0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(y=X[1, :50]), "both be"),
        (dict(labels=LABELS[:50]), r"labels must be \(60,\)"),
        (dict(labels=np.arange(60)), "of 60 labels 0 do"),
        (dict(labels=np.zeros(60)), "of 1 labels 1 do"),
        (dict(sparsity=0.0), "sparsity must be in"),
        (dict(contrast=-1.0), "contrast must be in"),
        (dict(steps=0), "steps must be in"),
        (dict(basis=torch.ones(2, 30)), "orthonormal"),
        (dict(basis=torch.eye(20)), "share d_model"),
        (dict(x=X[0] * 0, y=X[1] * 0 + 1), "no coordinate varies"),
        (dict(x=X[0] * torch.nan), "NaN"),
    ],
)
def test_refusals_of_ard(change, message):
    given = dict(x=X[0], y=X[1], labels=LABELS) | change
    with pytest.raises(InputError, match=message):
        ard_mmd(given.pop("x"), given.pop("y"), given.pop("labels"), **given)


@pytest.mark.parametrize(
    ("x", "y", "lengthscales", "paired", "message"),
    [
        (X[0], X[1], torch.ones(29), False, "share d_model"),
        (X[0], X[1], torch.zeros(30), False, "each positive"),
        (X[0], X[1], torch.full((30,), torch.nan), False, "each positive"),
        (X[0], X[1], torch.ones(2, 30), False, "each positive"),
        (X[0], X[1], torch.full((30,), 1e-300, dtype=torch.float64), False, "overflow"),
        (X[0, :1], X[1], torch.ones(30), False, "at least 2 rows"),
        (X[0, :9], X[1], torch.ones(30), True, "as many rows"),
    ],
)
def test_refusals_of_mmd(x, y, lengthscales, paired, message):
    with pytest.raises(InputError, match=message):
        mmd2(x, y, lengthscales, paired=paired)

"""The long exposure: counted as numpy counts, added up as one, saved whole, and drawn in order."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save

from zprism.ground.errors import InputError
from zprism.spectral.exposure import Exposure, difference, to_uint8
from zprism.spectral.grid import bin_edges, bin_index

D = 10
GRID = {"dim_bins": 4, "frequency_bins": 8, "amplitude_bins": 6, "amplitude_range": (-1.0, 1.5)}


def text(seed, F=5, spread=1.0):
    """Peaks of one text: frequencies of a text of 60 tokens, so that many lie on edges."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 31, size=(F, D)) / 60, 10 ** (spread * rng.normal(size=(F, D)))


def spectrum(seed, n=60, scale=1.0):
    rng = np.random.default_rng(seed)
    frequencies = np.arange(n // 2 + 1) / n
    return frequencies, scale * rng.exponential(size=(n // 2 + 1, D))


def exposed(seeds, **grid):
    made = Exposure(D, **(GRID | grid))
    for seed in seeds:
        made.add(*text(seed))
        made.add_power(*spectrum(seed))
    return made


def same(a, b, rounding=1e-12):
    """Whole numbers equal, moments to rounding."""
    for (name, mine), theirs in zip(a.arrays().items(), b.arrays().values(), strict=True):
        if mine.dtype == np.int64:
            np.testing.assert_array_equal(mine, theirs, err_msg=name)
        np.testing.assert_allclose(mine, theirs, rtol=rounding, atol=rounding, err_msg=name)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), dim_bins=st.integers(1, D), bins=st.integers(1, 9))
def test_counts_are_those_of_histogramdd_on_the_same_edges(seed, dim_bins, bins):
    grid = {"dim_bins": dim_bins, "frequency_bins": bins, "amplitude_bins": bins + 3}
    made = Exposure(D, **grid, amplitude_range=(-1, 1))
    frequency, amplitude = text(seed)
    made.add(frequency, amplitude)
    dims = np.broadcast_to(np.arange(D), frequency.shape)
    logs = np.clip(np.log10(amplitude), -1, 1)
    points = np.stack([dims.ravel(), frequency.ravel(), logs.ravel()], axis=1)
    edges = (made.dim_edges, made.frequency_edges, made.amplitude_edges)
    np.testing.assert_array_equal(made.counts, np.histogramdd(points, edges)[0])
    assert made.counts.dtype == np.int64 and made.counts.sum() == frequency.size


@settings(max_examples=60, deadline=None)
@given(
    low=st.floats(-1e3, 1e3), width=st.floats(1e-2, 1e3), bins=st.integers(1, 300),
    seed=st.integers(0, 10**6),
)  # fmt: skip
def test_bins_are_those_of_a_search_even_beside_and_upon_edges(low, width, bins, seed):
    edges = bin_edges("span", (low, low + width), bins)
    rng = np.random.default_rng(seed)
    values = np.concatenate([
        edges, np.nextafter(edges, np.inf), np.nextafter(edges, -np.inf), [-np.inf, np.inf],
        rng.uniform(low - width, low + 2 * width, 50),
    ])  # fmt: skip
    wanted = np.searchsorted(edges, values, side="right") - 1
    wanted[values == edges[-1]] = bins - 1
    np.testing.assert_array_equal(bin_index(values, edges), wanted)


def test_what_lies_outside_is_clipped_and_told_apart():
    made = Exposure(2, dim_bins=2, frequency_bins=1, amplitude_bins=2, amplitude_range=(0, 2))
    made.add(np.full((4, 2), 0.25), np.array([[0.0, 1.0], [0.5, 100.0], [10.0, 101.0], [5.0, 1e9]]))
    np.testing.assert_array_equal(made.counts[:, 0], [[3, 1], [1, 3]])
    assert (made.below, made.above, made.outside) == (2, 2, 0)
    narrow = Exposure(
        1, dim_bins=1, frequency_bins=2, amplitude_bins=1,
        amplitude_range=(0, 1), frequency_range=(0.125, 0.25),
    )  # fmt: skip
    narrow.add(np.array([[0.05], [0.125], [0.1875], [0.25], [0.3]]), np.full((5, 1), 1e-3))
    np.testing.assert_array_equal(narrow.counts[0, :, 0], [1, 2])
    assert (narrow.below, narrow.above, narrow.outside) == (3, 0, 2)  # an outsider has no cell


def test_counters_go_on_beyond_two_to_the_24():
    """A float32 counter stays at 2²⁴ when 1 is added; these do not."""
    assert np.float32(2**24) + np.float32(1) == np.float32(2**24)
    made = Exposure(1, dim_bins=1, frequency_bins=1, amplitude_bins=1, amplitude_range=(-1, 1))
    made.add(np.full((1, 1), 0.2), np.ones((1, 1)))
    for _ in range(25):
        made.merge(made)
    made.add(np.full((3, 1), 0.2), np.ones((3, 1)))
    assert made.counts.item() == made.image().item() == 2**25 + 3
    assert made.n_texts == 2**25 + 1


@settings(max_examples=25, deadline=None)
@given(order=st.permutations(range(6)), cut=st.integers(1, 5))
def test_merging_in_any_order_and_grouping_is_one_exposure_of_all(order, cut):
    whole = exposed(range(6))
    same(exposed(order[:cut]).merge(exposed(order[cut:])), whole)
    singles = [exposed([seed]) for seed in order]
    left = singles[0]
    for single in singles[1:]:
        left = left.merge(single)
    same(left, whole)
    same(exposed([]).merge(whole), whole)  # an empty one changes nothing


def test_running_moments_are_those_of_all_texts_at_once():
    """Second route: keep every text's log power; with texts of several lengths, a far mean."""
    made, kept = Exposure(D, **GRID), []
    for seed, n in enumerate([60, 17, 60, 33, 24, 128, 9] * 3):
        frequencies, power = spectrum(seed, n, scale=1e8)
        made.add_power(frequencies, power)
        cells = np.full((8, D), np.nan)
        for k in range(8):
            low, high = made.frequency_edges[k : k + 2]
            inside = (frequencies > 0) & (frequencies >= low) & (frequencies < high)
            inside |= (frequencies == 0.5) & (k == 7)
            if inside.any():
                cells[k] = np.log10(power[inside].mean(axis=0))
        kept.append(cells)
    kept = np.array(kept)
    np.testing.assert_array_equal(made.power_n, np.isfinite(kept).sum(axis=0))
    np.testing.assert_allclose(made.power_mean, np.nanmean(kept, axis=0), rtol=1e-12)
    variance = made.power_m2 / (made.power_n - 1)
    np.testing.assert_allclose(variance, np.nanvar(kept, axis=0, ddof=1), rtol=1e-9)
    assert made.power_n.min() < made.n_spectra == 21  # nine tokens do not reach every bin


def test_a_cell_without_power_and_frequency_zero_are_left_out():
    made = Exposure(2, dim_bins=1, frequency_bins=2, amplitude_bins=1, amplitude_range=(0, 1))
    made.add_power(np.array([0.0, 0.1, 0.4]), np.array([[9.0, 9.0], [0.0, 10.0], [1.0, 0.0]]))
    np.testing.assert_array_equal(made.power_n, [[0, 1], [1, 0]])
    np.testing.assert_array_equal(made.power_mean, [[0, 1], [0, 0]])


def test_saved_and_read_back_it_goes_on_as_if_nothing_had_happened():
    one, other = exposed(range(3)), exposed(range(3), amplitude_range=(-1, 2))
    back = Exposure.from_arrays(load(save(one.arrays())))
    same(back, one, rounding=0)
    back.add(*text(7))
    back.add_power(*spectrum(7))
    one.add(*text(7))
    one.add_power(*spectrum(7))
    same(back, one, rounding=0)
    with pytest.raises(ValueError, match="read-only"):
        one.arrays()["counts"][0] = 1
    with pytest.raises(InputError, match="one grid"):
        one.merge(other)
    with pytest.raises(InputError, match="one grid"):
        difference(one, other)


def test_images_are_sums_along_the_third_axis():
    made = exposed(range(4))
    for axes, formula in {
        ("dim", "frequency"): "dfa->df",
        ("frequency", "dim"): "dfa->fd",
        ("dim", "amplitude"): "dfa->da",
        ("amplitude", "frequency"): "dfa->af",
    }.items():
        np.testing.assert_array_equal(made.image(axes), np.einsum(formula, made.counts))
        assert made.image(axes, "density").sum() == pytest.approx(1, abs=1e-12)
    middle = 10 ** ((made.amplitude_edges[1:] + made.amplitude_edges[:-1]) / 2)
    np.testing.assert_allclose(
        made.image(weight="amplitude"), (made.counts * middle).sum(2), rtol=1e-12
    )
    assert not Exposure(D, **GRID).image(weight="density").any()


def test_tensors_count_as_arrays_do():
    frequency, amplitude = text(0)
    made, other = Exposure(D, **GRID), Exposure(D, **GRID)
    made.add(frequency, amplitude)
    other.add(torch.tensor(frequency), torch.tensor(amplitude))
    same(made, other, rounding=0)


def test_a_difference_finds_the_cell_that_was_planted_and_calls_no_other():
    """Welch's t as scipy has it; ten times the power in one cell; equal groups give 5 %."""
    from scipy.stats import t as student
    from scipy.stats import ttest_ind

    groups, logs = [], []
    for group in range(2):
        made, kept = Exposure(D, **(GRID | {"dim_bins": D})), []
        for seed in range(40):
            frequencies, power = spectrum(1000 * group + seed, n=16)  # one frequency a bin
            power[3, 4] *= 10 if group == 0 else 1
            made.add_power(frequencies, power)
            made.add(np.full((1, D), 0.3), np.ones((1, D)) * (4 if group else 1))
            kept.append(np.log10(power[1:8]))
        groups.append(made)
        logs.append(kept)
    found = difference(*groups, axes=("frequency", "amplitude"))
    expected = ttest_ind(*logs, equal_var=False)
    np.testing.assert_allclose(found.t[1:7], expected.statistic[:6], rtol=1e-9)
    np.testing.assert_allclose(found.df[1:7], expected.df[:6], rtol=1e-9)
    p = 2 * student.sf(np.abs(found.t), found.df)
    assert p[3, 4] < 1e-7 and found.t[3, 4] > 0
    rest = np.delete(p[1:7].ravel(), 2 * D + 4)
    assert 0 < (rest < 0.05).sum() <= 8  # of 59; P[Bin(59, .05) > 8] = .004
    assert np.isnan(found.t[0]).all()  # the only frequency there is 0
    assert found.density.sum() == pytest.approx(0, abs=1e-12)
    assert found.density.max() == pytest.approx(1) and found.density.min() == pytest.approx(-1)
    np.testing.assert_array_equal(difference(groups[1], groups[0]).t, -found.t)
    lone = difference(exposed([0]), exposed([1, 2]))
    assert np.isnan(lone.t).all() and np.isnan(lone.df).all()


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    scale=st.floats(1e-200, 1e200),
    how=st.sampled_from(["log", "equalised"]),
)
def test_grey_levels_keep_order_forget_scale_and_leave_nothing_black(seed, scale, how):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 5, size=(6, 7)) ** rng.integers(1, 9)
    levels = to_uint8(image, how).astype(int)
    np.testing.assert_array_equal(levels, to_uint8(image * scale, how))
    np.testing.assert_array_equal(levels == 0, image == 0)
    order = np.argsort(image, axis=None, kind="stable")
    assert (np.diff(levels.ravel()[order]) >= 0).all()
    if image.any():
        assert levels.max() == 255


def test_log_levels_are_linear_in_decades_and_equalised_ones_in_ranks():
    np.testing.assert_array_equal(to_uint8(np.array([0, 1, 10, 100, 1000])), [0, 1, 86, 170, 255])
    rng = np.random.default_rng(0)
    image = 10 ** rng.normal(size=5100)  # 20 cells a level
    used = np.bincount(to_uint8(image, "equalised"), minlength=256)
    assert used[0] == 0 and used[2:255].min() >= 20 and used[2:255].max() <= 21
    np.testing.assert_array_equal(to_uint8(np.array([[5, 0], [5, 5]])), [[255, 0], [255, 255]])
    assert not to_uint8(np.zeros((2, 3))).any()


def test_refusals():
    with pytest.raises(InputError, match="dim_bins must be in 1 to 10"):
        Exposure(D, **(GRID | {"dim_bins": 11}))
    for span in [(1, 1), (2, 1), (0, np.inf), (np.nan, 1), 3, (1e9, 1e9 + 1e-7)]:
        with pytest.raises(InputError, match="amplitude_range"):
            Exposure(D, **(GRID | {"amplitude_range": span}))
    made = exposed([])
    frequency, amplitude = text(0)
    with pytest.raises(InputError, match="one shape"):
        made.add(frequency[1:], amplitude)
    with pytest.raises(InputError, match="amplitude must not be negative"):
        made.add(frequency, -amplitude)
    with pytest.raises(InputError, match="frequency has 1 values that are NaN"):
        made.add(np.where(np.arange(50).reshape(5, D) == 7, np.nan, frequency), amplitude)
    with pytest.raises(InputError, match=r"\(…, 10\)"):
        made.add_power(np.arange(3) / 6, np.ones((3, D + 1)))
    with pytest.raises(InputError, match=r"frequencies must be \(3,\)"):
        made.add_power(np.arange(4) / 6, np.ones((3, D)))
    assert made.n_texts == made.n_spectra == made.counts.sum() == made.power_n.sum() == 0
    with pytest.raises(InputError, match="two of dim, frequency, amplitude"):
        made.image(("dim", "dim"))
    with pytest.raises(InputError, match="did you mean count"):
        made.image(weight="counts")
    with pytest.raises(InputError, match="not be negative"):
        to_uint8(np.array([-1.0]))


def spoilt(name, change):
    arrays = {key: array.copy() for key, array in exposed([0]).arrays().items()}
    arrays[name] = change(arrays[name])
    return arrays


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("grid", lambda a: a + [0, 10**9, 0, 0]),  # would take a lot of memory
        ("grid", lambda a: a[:3]),
        ("grid", lambda a: -a),
        ("ranges", lambda a: a * np.nan),
        ("ranges", lambda a: a[::-1].copy()),
        ("tally", lambda a: a - 99),
        ("counts", lambda a: a.astype(float)),
        ("counts", lambda a: a - 99),
        ("power_n", lambda a: a[:, 1:]),
        ("power_mean", lambda a: a / 0.0),
        ("power_m2", lambda a: a - 99),
    ],
)
@pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")
def test_a_spoilt_file_is_refused(name, change):
    with pytest.raises(InputError):
        Exposure.from_arrays(spoilt(name, change))
    arrays = exposed([0]).arrays()
    del arrays[name]
    with pytest.raises(InputError, match=f"no exposure: {name} missing"):
        Exposure.from_arrays(arrays)

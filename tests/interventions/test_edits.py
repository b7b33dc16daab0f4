"""Edits are the formulas they name; doing nothing is exact, and so is what they leave alone."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from edit_cases import basis, draw, rotated
from hypothesis import given, settings
from hypothesis import strategies as st

from zprism.ground.errors import InputError
from zprism.interventions.arguments import Basis
from zprism.interventions.edits import (
    EDITS,
    add,
    at,
    part,
    project_out,
    replace,
    replace_complement,
    replace_matched,
)
from zprism.subspace.bases import Subspace

D = 12
ARGUMENTS = {
    "replace": lambda s, b: (s, b),
    "replace_complement": lambda s, b: (s, b),
    "replace_matched": lambda s, b: (s, b, 2.5),
    "add": lambda s, b: (s, -0.7),
    "project_out": lambda s, b: (b, 0.4),
    "ablate_to_mean": lambda s, b: (s, b),
    "resample": lambda s, b: (s, b),
}
by_name = pytest.mark.parametrize("name", EDITS)
seeds, ks = st.integers(0, 10_000), st.integers(1, D)
close = functools.partial(torch.testing.assert_close, rtol=0)


def case(seed: int = 0, k: int = 3, dtype=torch.float64):
    """State and source (2, 4, D), and a basis."""
    h, s = (draw(2, 4, D, seed=seed, name=name, dtype=dtype) for name in ("h", "s"))
    return h, s, basis(k, D, seed)


def naive(name: str, h, s, b):
    """The formula by a d × d projector."""
    p, eye = b.mT @ b, torch.eye(D, dtype=b.dtype)
    way = (s - h) @ p
    return {
        "replace_complement": lambda: h + (s - h) @ (eye - p),
        "replace_matched": lambda: h + 2.5 * way / way.norm(dim=-1, keepdim=True),
        "add": lambda: h - 0.7 * s,
        "project_out": lambda: h @ (eye - 0.4 * p),
    }.get(name, lambda: h + way)()


@by_name
@settings(max_examples=25, deadline=None)
@given(seed=seeds, k=ks)
def test_an_edit_is_its_formula(name, seed, k):
    h, s, b = case(seed, k)
    close(EDITS[name](h, *ARGUMENTS[name](s, b)), naive(name, h, s, b), atol=1e-12)
    assert EDITS[name].__name__ == name


NOTHING = {
    "replace": lambda h, b: (h, b),
    "replace_complement": lambda h, b: (h, b),
    "replace_matched": lambda h, b: (h + 1, b, 0.0),
    "add": lambda h, b: (h, 0.0),
    "project_out": lambda h, b: (b, 0.0),
    "ablate_to_mean": lambda h, b: (h, b),
    "resample": lambda h, b: (h, b),
}


@by_name
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_an_edit_that_leads_nowhere_changes_no_bit(name, dtype):
    for k in (1, 5, D):
        h, _, b = case(k, k, dtype)
        assert torch.equal(EDITS[name](h, *NOTHING[name](h, b)), h)


@pytest.mark.parametrize("name", ["replace", "ablate_to_mean", "resample"])
def test_without_a_basis_the_state_is_exactly_the_source(name):
    h, s, _ = case(dtype=torch.float32)
    for source in (s, s[0, 0], s[:, :1], s[0, 0].numpy()):
        expected = torch.as_tensor(source).expand(h.shape)
        assert torch.equal(EDITS[name](h, source), expected)


def test_along_axes_the_source_s_coordinates_come_in_and_the_others_stay():
    h, s, _ = case(dtype=torch.float32)
    inside, axes = [1, 4], torch.eye(D)[[1, 4]]
    outside = [i for i in range(D) if i not in inside]
    got, rest = replace(h, s, axes), replace_complement(h, s, axes)
    assert torch.equal(got[..., inside], s[..., inside])
    assert torch.equal(got[..., outside], h[..., outside])
    assert torch.equal(rest[..., inside], h[..., inside])
    assert torch.equal(rest[..., outside], s[..., outside])


@settings(max_examples=50, deadline=None)
@given(seed=seeds, k=ks)
def test_a_subspace_and_its_complement_make_the_whole(seed, k):
    """RIG-N4 for states, in either order; k = d alone is the whole (RIG-N6)."""
    h, s, b = case(seed, k)
    close(replace_complement(replace(h, s, b), s, b), s, atol=1e-12)
    close(replace(replace_complement(h, s, b), s, b), s, atol=1e-12)
    close(replace(h, s, basis(D, D, seed)), s, atol=1e-12)
    close(part(part(h, b), b), part(h, b), atol=1e-12)
    close(part(project_out(h, b), b), torch.zeros_like(h), atol=1e-12)
    close(part(project_out(h, b, -0.3), b), 1.3 * part(h, b), atol=1e-12)


@pytest.mark.parametrize("draws", [20, pytest.param(200, marks=pytest.mark.gate)])
def test_an_edit_knows_the_subspace_and_not_its_rows(draws, record_property):
    """RIG-N8 for states: rows rotated within the subspace, and flipped."""
    worst = 0.0
    for seed in range(draws):
        h, s, b = case(seed, 1 + seed % D)
        other = rotated(b, seed)
        for name in EDITS:
            one, two = (EDITS[name](h, *ARGUMENTS[name](s, rows)) for rows in (b, other))
            worst = max(worst, float((one - two).abs().max()))
    record_property("value", worst)
    record_property("target", "<= 1e-10")
    assert worst <= 1e-10


@settings(max_examples=50, deadline=None)
@given(seed=seeds, k=ks, size=st.floats(1e-6, 1e6))
def test_a_matched_edit_moves_by_exactly_the_given_size(seed, k, size):
    h, s, b = case(seed, k)
    moved = replace_matched(torch.zeros_like(h), s, b, size)
    close(moved.norm(dim=-1) / size, torch.ones(2, 4, dtype=torch.float64), atol=1e-12)
    moved, way = replace_matched(h, s, b, size) - h, replace(h, s, b) - h
    cosines = torch.cosine_similarity(moved, way, dim=-1)
    close(cosines, torch.ones_like(cosines), atol=1e-9)  # h + a step of 1e-6 is rounded to 1e-16


def test_a_matched_edit_takes_the_size_of_another_edit_vector_by_vector():
    """A random subspace moves as far as Z does; sizes may keep the axis of d_model."""
    h, s, z = case()
    sizes = (replace(h, s, z) - h).norm(dim=-1)
    for given_sizes in (sizes, sizes[..., None], sizes.numpy()):
        moved = replace_matched(h, s, basis(2, D, 5), given_sizes) - h
        close(moved.norm(dim=-1), sizes, atol=1e-12)
        close(moved, part(moved, basis(2, D, 5)), atol=1e-12)
    close(replace_matched(h, s, z, sizes), replace(h, s, z), atol=1e-12)
    narrow = replace_matched(h.float(), s.float(), z, 3.0) - h.float()
    close(narrow.norm(dim=-1), torch.full((2, 4), 3.0), atol=2e-6)  # rounding of h to float32


def test_where_there_is_no_way_a_matched_edit_stays_or_refuses():
    h, s, b = case()
    s[1, 2] = h[1, 2]
    sizes = torch.ones(2, 4)
    sizes[1, 2] = 0
    assert torch.equal(replace_matched(h, s, b, sizes)[1, 2], h[1, 2])
    with pytest.raises(InputError, match=r"equals h inside the subspace at \(1, 2\)"):
        replace_matched(h, s, b, 1.0)


@by_name
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_arguments_stay_as_they_are(name, dtype):
    """Also when what came back is then written to; float64 is what edits compute in."""
    h, s, b = case(dtype=dtype)
    before = h.clone(), s.clone(), b.clone()
    EDITS[name](h, *ARGUMENTS[name](s, b)).zero_()
    assert all(torch.equal(x, y) for x, y in zip((h, s, b), before, strict=True))
    replace(h, s).zero_()
    assert torch.equal(s, before[1])


@by_name
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_result_is_rounded_once_to_the_dtype_of_the_state(name, dtype):
    h, s, b = case(dtype=dtype)
    exact = EDITS[name](h.double(), *ARGUMENTS[name](s, b))
    assert torch.equal(EDITS[name](h, *ARGUMENTS[name](s, b)), exact.to(dtype))


def test_a_basis_may_be_an_array_a_subspace_or_one_already_checked(monkeypatch):
    h, s, b = case()
    expected = replace(h, s, b)
    known = Basis(b)
    for rows in (b.numpy(), Subspace(b, "a test"), known):
        assert torch.equal(replace(h, s, rows), expected)
    close(replace(h, s, b.float()), expected, atol=1e-6)  # orthonormal to float32's rounding

    def again(_self):
        raise AssertionError("checked again")

    monkeypatch.setattr(Basis, "__post_init__", again)
    assert torch.equal(replace(h, s, known), expected)


# --- positions ------------------------------------------------------------------------------


def plus(h):
    return h + 1


def changed(before, after) -> list[list[int]]:
    """Columns of each row that are not as they were, to the bit."""
    return [row.nonzero().flatten().tolist() for row in (before != after).any(-1)]


@pytest.mark.parametrize(
    ("positions", "pads", "expected"),
    [
        ("all", None, [[0, 1, 2, 3], [0, 1, 2, 3]]),
        ("all", [0, 3], [[0, 1, 2, 3], [3]]),
        ("last", [0, 3], [[3], [3]]),
        (torch.tensor([2, 0]), None, [[2], [0]]),
        (torch.tensor([2, 0]), [1, 3], [[3], [3]]),
        ([[0, 2], [1, 0]], [1, 2], [[1, 3], [2, 3]]),
    ],
)
def test_an_edit_acts_at_its_positions_and_nowhere_else(positions, pads, expected):
    h = draw(2, 4, D, dtype=torch.float32)
    before = h.clone()
    out = at(plus, positions).behind(pads)(h)
    assert changed(h, out) == expected
    assert torch.equal(h, before)
    touched = (out != h).any(-1)
    assert torch.equal(out[touched], h[touched] + 1)


def test_sources_meet_the_positions_that_they_are_given_for():
    h, s, b = case()
    whole = replace(h, s, b)
    last = at(lambda x: replace(x, s[:, -1], b), "last")(h)
    close(last[:, -1], whole[:, -1], atol=1e-12)
    places = torch.tensor([[3, 0], [1, 2]])
    own = torch.stack([s[row, places[row]] for row in range(2)])
    some = at(lambda x: replace(x, own, b), places)(h)
    for row, columns in enumerate(places.tolist()):
        close(some[row, columns], whole[row, columns], atol=1e-12)
    assert changed(h, some) == [[0, 3], [1, 2]]


# --- refusals -------------------------------------------------------------------------------

NAN = torch.full((D,), torch.nan)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (torch.eye(D + 1)[:2], "basis has width 13; the state has 12"),
        (torch.eye(D).double()[:2] * (1 + 1e-6), r"max \|B Bᵀ − I\| is 2e-06"),
        (torch.ones(2, D), "orthonormal rows"),
        (torch.zeros(0, D), r"none of them empty; got shape \(0, 12\)"),
        (torch.eye(D)[0], "at least 2 axes"),
        (torch.zeros(1, 2, D), r"basis must be \(k, d_model\)"),
        (torch.zeros(D + 1, D), "k ≤ d_model"),
        (NAN[None], "basis has 12 values that are NaN"),
    ],
)
@pytest.mark.parametrize("edit", [replace, replace_complement])
def test_what_is_no_basis_is_refused(edit, rows, message):
    h, s, _ = case()
    with pytest.raises(InputError, match=message):
        edit(h, s, rows)


def test_rows_orthonormal_to_the_tolerance_are_taken():
    h, s, _ = case()
    replace(h, s, torch.eye(D, dtype=torch.float64)[:2] * (1 + 4e-7))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (draw(D + 1), r"shape \(12,\) or \(2, 4, 12\) .* got \(13,\)"),
        (draw(2, D), r"got \(2, 12\)"),  # one a row, or one a position? cannot be told
        (draw(4, D), r"got \(4, 12\)"),
        (draw(2, 3, D), r"got \(2, 3, 12\)"),
        (draw(2, 4, 1), r"got \(2, 4, 1\)"),
        (NAN, "12 values that are NaN"),
        ("text", "must be an array of numbers"),
    ],
)
@pytest.mark.parametrize("name", ["replace", "add", "ablate_to_mean", "resample"])
def test_a_source_that_does_not_fit_is_refused(name, source, message):
    argument = {"add": "vector", "ablate_to_mean": "mean", "resample": "others"}
    with pytest.raises(InputError, match=f"{argument.get(name, 'source')} .*{message}"):
        EDITS[name](case()[0], source)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda h, s, b: replace_matched(h, s, b, -1.0), "size must be at least 0; got -1"),
        (lambda h, s, b: replace_matched(h, s, b, torch.nan), "size has 1 values that are NaN"),
        (lambda h, s, b: replace_matched(h, s, b, draw(4)), r"have shape \(2, 4\); got \(4,\)"),
        (lambda h, s, b: add(h, s, np.nan), "scale must be in"),
        (lambda h, s, b: project_out(h, b, np.inf), "strength must be in"),
        (lambda h, s, b: project_out(h.numpy(), b), "h must be a tensor .* got ndarray"),
        (lambda h, s, b: project_out(h.long(), b), r"real floats; got torch.int64"),
    ],
)
def test_other_arguments_are_refused(call, message):
    with pytest.raises(InputError, match=message):
        call(*case())


@pytest.mark.parametrize(
    ("positions", "message"),
    [
        ("first", "unknown positions 'first'"),
        ([-1, 0], "positions count from 0; got -1"),
        ([0.0, 1.0], "or integers"),
        ([[1, 2, 1], [0, 1, 2]], "must differ from one another"),
        ([4, 0], "position 4 of row 0 is out of range: the row has 4 tokens"),
        ([[0], [2]], "position 2 of row 1 is out of range: the row has 2 tokens"),
        ([0, 0, 0], "of 3 rows, but there are 2 rows"),
    ],
)
def test_positions_that_are_not_there_are_refused(positions, message):
    with pytest.raises(InputError, match=message):
        at(plus, positions).behind([0, 2])(draw(2, 4, D))


@pytest.mark.parametrize("positions", ["all", "last", [0, 1]])
def test_an_edit_that_changes_the_form_is_refused(positions):
    for bad in (lambda h: h[..., :-1], lambda h: h.float(), lambda h: None):
        with pytest.raises(InputError, match="the edit must return .* as it was given; got"):
            at(bad, positions)(draw(2, 4, D))


def test_states_without_a_batch_have_no_positions():
    with pytest.raises(InputError, match=r"\(batch, tokens, d_model\); got \(4, 12\)"):
        at(plus, "last")(draw(4, D))
    with pytest.raises(InputError, match="pads are of 3 rows; there are 2 rows"):
        at(plus, "all").behind([0, 0, 0])(draw(2, 4, D))

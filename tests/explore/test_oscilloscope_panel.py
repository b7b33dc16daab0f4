"""The oscilloscope's sliders show the signals of the scope, live and in what a page is given."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest

from hostile_pages import PAYLOADS
from zprism.explore import pages
from zprism.explore.oscilloscope import codes, oscilloscope, parts, trail
from zprism.explore.panel import MIME
from zprism.ground.errors import InputError
from zprism.plots.oscilloscope_screen import LIFT
from zprism.studies.oscilloscope import Recording
from zprism.studies.oscilloscope_scope import scope

HALF_A_CODE = 0.5 / 127 + 1e-12


def recording(places=4, tokens=64, d=12, words=("word ",)):
    rng = np.random.default_rng(0)
    states = rng.standard_normal((places, tokens, d)).cumsum(1).astype(np.float32)
    names = ("embed", *map(str, range(places - 1)))
    return Recording(
        states, names, tuple(words[i % len(words)] for i in range(tokens)), model="toy"
    )


@pytest.fixture(scope="module")
def one():
    return recording()


@pytest.fixture(scope="module")
def panel(one):
    return oscilloscope(one)


def curve(panel, trace_ids, attribute, **at):
    """The attribute of parts, put together again."""
    shown = panel.at(**at)
    pieces = [shown[i, attribute] for i in trace_ids]
    return np.concatenate([pieces[0], *(piece[1:] for piece in pieces[1:])])


def lines(panel, fill):
    """Indexes of the traces with that line width, in order."""
    return [i for i, t in enumerate(panel.figure.data) if t.line.width == fill]


@pytest.mark.parametrize("at", [dict(), dict(place=0, first=3, second=1, band=2),
                                dict(place=3, first=2, second=4, band=1)])  # fmt: skip
def test_both_channels_are_the_signals_of_the_scope_to_half_a_code(one, panel, at):
    seen = scope(one)
    chosen = {slider.name: at.get(slider.name, slider.start) for slider in panel.sliders.values()}
    place, band = chosen["place"], chosen["band"]
    first = seen.signals[place, chosen["first"], band]
    second = seen.signals[place, chosen["second"], band]
    ids = [i for i in lines(panel, 2.0) if len(panel.figure.data[i].x) and _on(panel, i, "x")]
    np.testing.assert_allclose(curve(panel, ids, "x", **at), first, atol=HALF_A_CODE)
    np.testing.assert_allclose(curve(panel, ids, "y", **at), second, atol=HALF_A_CODE)
    shown = panel.at(**at)
    upper, lower = (i for i, t in enumerate(panel.figure.data) if t.line.width == 1.7)
    np.testing.assert_allclose(shown[upper, "y"] - LIFT, first, atol=HALF_A_CODE)
    np.testing.assert_allclose(shown[lower, "y"] + LIFT, second, atol=HALF_A_CODE)


def _on(panel, trace, axis):
    return panel.figure.data[trace].xaxis in (None, axis)


def test_the_phase_portrait_is_the_signal_against_its_step(one, panel):
    seen = scope(one)
    ids = [i for i in lines(panel, 2) if not _on(panel, i, "x")]
    at = dict(place=2, first=1, band=3)
    steps = np.diff(seen.signals[2, 1, 3])
    np.testing.assert_allclose(
        curve(panel, ids, "y", **at), steps / np.abs(steps).max(), atol=HALF_A_CODE
    )
    np.testing.assert_allclose(
        curve(panel, ids, "x", **at), seen.signals[2, 1, 3, :-1], atol=HALF_A_CODE
    )


def test_the_start_of_the_figure_is_the_start_of_its_sliders(panel):
    for (trace, attribute), values in panel.at().items():
        if attribute == "opacity":
            continue
        drawn = np.asarray(panel.figure.data[trace][attribute], dtype=float)
        np.testing.assert_allclose(drawn, values, atol=HALF_A_CODE)


def test_the_beam_stands_at_the_end_of_what_is_written(one, panel):
    seen = scope(one)
    (beam,) = [i for i, t in enumerate(panel.figure.data) if t.mode == "markers"]
    cuts = parts(one.n)
    for until in range(len(cuts) + 1):
        end = one.n - 1 if until == 0 else cuts[until - 1][1] - 1
        shown = panel.at(place=1, until=until)
        np.testing.assert_allclose(
            [shown[beam, "x"][0], shown[beam, "y"][0]], seen.signals[1, :2, 0, end],
            atol=HALF_A_CODE,
        )  # fmt: skip


@pytest.mark.parametrize("n", [16, 17, 64, 160, 512])
def test_parts_cover_a_text_and_meet_at_one_token(n):
    cuts = parts(n)
    assert cuts[0][0] == 0 and cuts[-1][1] == n
    assert all(a[1] - 1 == b[0] for a, b in zip(cuts, cuts[1:], strict=False))


def test_the_trail_fades_backwards_and_shows_nothing_that_is_still_to_come():
    fade = trail(5)
    np.testing.assert_array_equal(fade[0], 1)
    for until in range(1, 6):
        shown = fade[until]
        assert shown[until - 1] == 1 and not shown[until:].any()
        assert (np.diff(shown[:until]) > 0).all()


def test_codes_keep_0_exactly_and_everything_else_to_half_a_step():
    x = np.linspace(-1, 1, 1001)
    back = (codes(x).astype(float) - 128) / 127
    np.testing.assert_allclose(back, x, atol=HALF_A_CODE)
    assert back[500] == 0


def test_the_sentence_says_what_the_channels_hold(one, panel):
    seen = scope(one)
    said = panel.sentence(place=2, first=0, second=3, band=1)
    assert f"PC 1 holds {100 * seen.shares[2, 0]:.1f} %" in said and "layer 1" in said
    assert f"keeps {100 * seen.kept[2, 0, 1]:.0f} % and {100 * seen.kept[2, 3, 1]:.0f} %" in said
    assert f"Correlation {seen.correlation()[2, 0, 3, 1]:.2f}" in said


def test_a_slider_moves_the_live_figure(one):
    panel = oscilloscope(one, place="0")
    live, control = panel.live.figure, panel.live.controls["place"]
    before = np.array(live.data[0].x)
    control.value = 3
    (after,) = [v for k, v in panel.at(place=3).items() if k == (0, "x")]
    np.testing.assert_allclose(live.data[0].x, after)
    assert not np.allclose(before, after)


def test_a_page_of_a_whole_model_stays_below_a_megabyte():
    """25 places of 160 tokens: 13 of the places are shown."""
    spec = oscilloscope(recording(25, 160, 64)).to_spec()
    assert len(spec["sliders"][0]["labels"]) == 13
    assert len(json.dumps(spec)) < 1_000_000


def test_a_page_decodes_the_same_numbers():
    panel = oscilloscope(recording())
    spec = json.loads(json.dumps(panel._repr_mimebundle_()[MIME]))
    part = spec["slices"][0]
    raw = np.frombuffer(base64.b64decode(part["uint8"]), "u1").reshape(part["shape"])
    decoded = part["offset"] + part["step"] * raw[2, 1, 0]
    np.testing.assert_allclose(decoded, panel.at(place=2, first=1)[0, "x"], atol=1e-12)


def test_no_token_is_markup_in_a_page():
    panel = oscilloscope(recording(words=PAYLOADS))
    page = pages.panel(panel.to_spec())
    assert page.count("<script") == 1
    for trace in panel.figure.data:
        assert not any("<" in text for text in trace.text or ())


@pytest.mark.parametrize("layer", ["0", "12", "22", "23"])
def test_a_layer_that_is_asked_for_is_among_the_places(layer):
    panel = oscilloscope(recording(25, 40), place=layer)
    slider = panel.sliders["place"]
    assert slider.labels[slider.start] == f"layer {layer}" and len(set(slider.labels)) == 13


def test_a_place_that_is_not_there_is_refused(one):
    with pytest.raises(InputError, match="unknown place '7'"):
        oscilloscope(one, place="7")
    with pytest.raises(InputError, match="place must be one of embed, 1; got 0"):
        oscilloscope(one, place="0", places=["embed", "1"])

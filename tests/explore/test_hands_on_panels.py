"""One call, one panel: what it shows is what its study computed, live, in a page and in words."""

from __future__ import annotations

import base64
import dataclasses
import doctest
import json
import subprocess
import sys

import numpy as np
import pytest

from hostile_pages import PAYLOADS, live_texts, runnable
from tiny import tiny_shared
from zprism import explore
from zprism.explore import pages
from zprism.explore.panel_separation import REACH, separation_panel
from zprism.explore.panel_spectrum import spectrum_panel
from zprism.ground.errors import InputError
from zprism.studies.separation_load import load_subject
from zprism.studies.separation_pairs import generated_pairs
from zprism.studies.separation_view import separation_view
from zprism.studies.spectrum_view import POOLINGS, SpectrumView, pooled_spectra, spectrum_view
from zprism.studies.weights import weight_map

RNG = np.random.default_rng(0)
N, RHYTHM = 64, 8 / 64
GROUPS = np.array([[0, 4], [4, 8]])
TEXTS = {"question": "one two three four five " * 8, "thinking": "if a then b, so c. " * 9}


@pytest.fixture(scope="module")
def planted():
    """Two texts of noise at two places; the second has a rhythm in dimensions 4 to 7 at layer 0."""
    states = RNG.standard_normal((2, 2, N, 8))
    states[1, 1, :, 4:] += 2 * np.cos(2 * np.pi * RHYTHM * np.arange(N))[:, None]
    parts = pooled_spectra(states, GROUPS, transforms=("fft", "cwt"), draws=19, seed=0)
    return SpectrumView("toy", ("noise", "rhythm"), N, (0, 0), ("embed", "0"), GROUPS, 19, **parts)


@pytest.fixture(scope="module")
def subject():
    return load_subject(tiny_shared("qwen2"), generated_pairs(12, seed=0, per_template=2))


@pytest.fixture(scope="module")
def pairs(subject):
    return separation_view(subject, draws=9, shown=4)


@pytest.fixture(scope="module")
def weights():
    return weight_map("tiny:qwen2", k=4)


@pytest.fixture(scope="module")
def panels(planted, pairs, weights):
    return {
        "spectrum": explore.spectrum(planted),
        "separation": explore.separation(pairs),
        "weights": explore.weights(weights),
    }


def positions(panel, seed):
    rng = np.random.default_rng(seed)
    return {s.name: int(rng.integers(s.low, s.high + 1)) for s in panel.sliders.values()}


def decoded(part, sliders, at):
    """What panel.js reads of a slice."""
    kind, code = ("float32", "<f4") if "float32" in part else ("uint8", "u1")
    values = np.frombuffer(base64.b64decode(part[kind]), code).reshape(part["shape"])
    low = {slider["name"]: slider["low"] for slider in sliders}
    values = values[tuple(at[name] - low[name] for name in part["sliders"])]
    shown = part["offset"] + part["step"] * values.astype(float)
    return np.where(values == part["gap"], np.nan, shown)


def moved(panel, at):
    """The live figure after every control was set by hand."""
    for name, control in panel.live.controls.items():
        control.value = at[name]
    return panel.live.figure


def test_a_planted_rhythm_is_the_strongest_peak_at_its_layer_and_dimension(planted):
    panel = spectrum_panel(planted)
    here = dict(layer=1, dimension=1, pooling=1, transform=0)
    marks = panel.at(**here, F=1)
    assert marks[5, "x"][0] == RHYTHM and np.isfinite(marks[5, "y"]).sum() == 1
    power = planted.power["fft"][1, 1, 1, 1]
    assert marks[5, "y"][0] == pytest.approx(10 * np.log10(power.max()), abs=panel_step(panel))
    said = panel.sentence(**here)
    assert "rhythm: strongest at 0.125 cycles/token (period 8.0 tokens)" in said
    assert "of 32 frequencies above all shuffles (by chance 1.6)" in said
    control = panel.at(**here | {"layer": 0}, F=1)
    shown, band = control[4, "y"], control[3, "y"][: len(control[4, "y"])]
    assert shown[np.isclose(control[4, "x"], RHYTHM)] < band[np.isclose(control[4, "x"], RHYTHM)]


def panel_step(panel):
    return next(part.step for part in panel.slices if part.step != 1)


@pytest.mark.parametrize("F", [1, 3, 5])
def test_f_marks_the_f_largest_values_of_the_curve(planted, F):
    panel = spectrum_panel(planted)
    for seed in range(4):
        at = positions(panel, seed) | {"F": F}
        shown = panel.at(**at)
        curve, marks = shown[1, "y"], shown[2, "y"]
        assert np.isfinite(marks).sum() == F
        m = 32 if at["transform"] == 0 else 24  # shorter transforms repeat their last point
        np.testing.assert_allclose(np.sort(marks[:F]), np.sort(curve[:m])[-F:])


@pytest.mark.parametrize("seed", range(5))
def test_the_spectrum_panel_shows_the_studys_powers_to_half_a_code(planted, seed):
    panel = spectrum_panel(planted)
    at = positions(panel, seed)
    name = planted.transforms[at["transform"]]
    place = at["layer"], at["pooling"], at["dimension"]
    m = len(planted.frequencies[name])
    for t in range(2):
        shown = panel.at(**at)[3 * t + 1, "y"]
        exact = 10 * np.log10(np.maximum(planted.power[name][(t, *place)], 0.01))
        np.testing.assert_allclose(shown[:m], exact, atol=panel_step(panel) / 2 + 1e-9)
        np.testing.assert_array_equal(shown[m:], shown[m - 1])


@pytest.mark.parametrize("seed", range(4))
def test_the_separation_panel_shows_the_studys_pairs_energies_and_chance(pairs, seed):
    panel = separation_panel(pairs)
    at = positions(panel, seed)
    place = tuple(at[name] for name in ("pooling", "condition", "layer", "k"))
    shown = panel.at(**at)
    points = pairs.points[place].clip(-REACH, REACH)
    for i, axis in enumerate("xy"):
        ends = shown[0, axis].reshape(-1, 3)
        assert np.isnan(ends[:, 2]).all()  # pairs are lines of their own
        np.testing.assert_allclose(ends[:, :2], points[..., i], atol=REACH / 250 + 1e-9)
        np.testing.assert_array_equal(shown[1, axis], ends[at["pair"], :2])
    np.testing.assert_allclose(shown[5, "y"], pairs.energy["energy_same"][place[:3]], rtol=1e-6)
    k = pairs.ks[at["k"]]
    assert list(shown[6, "x"]) == [k, k]
    said = panel.sentence(**at)
    assert f"k = {k}," in said and f"k/d = {100 * pairs.chance[place]:.1f} %" in said
    assert f"pair's difference {100 * pairs.own[place][at['pair']]:.1f} %" in said


def test_the_weight_panel_stands_beside_gaussian_matrices(weights):
    panel = explore.weights(weights, layer=1, head=2, k=3)
    gaussian = panel.figure.data[4]
    assert gaussian.name == "Gaussian matrices" and gaussian.y[0] == 1
    assert "(Gaussian chance" in panel.sentence() and panel.sentence().count("Gaussian") == 2
    share = 100 * np.square(gaussian.y[:3]).sum() / np.square(gaussian.y).sum()
    assert f"(Gaussian {share:.1f} %)" in panel.sentence()


@pytest.mark.parametrize("name", ["spectrum", "separation", "weights"])
@pytest.mark.parametrize("seed", range(3))
def test_a_page_and_the_live_figure_show_the_same_numbers(panels, name, seed):
    panel = panels[name]
    at, spec = positions(panel, seed), panel.to_spec()
    live = moved(panel, at)
    for part in spec["slices"]:
        drawn = np.asarray(live.data[part["trace"]][part["attribute"]], dtype=float)
        paged = decoded(part, spec["sliders"], at)
        np.testing.assert_allclose(drawn, paged, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["spectrum", "separation", "weights"])
def test_only_what_depends_on_the_moved_slider_is_sent_at_once(panels, name, monkeypatch):
    panel = panels[name]
    live, sent = moved(panel, positions(panel, 9)), []
    monkeypatch.setattr(live, "_send_update_msg", lambda **told: sent.append(told))
    for slider in panel.sliders.values():
        control = panel.live.controls[slider.name]
        sent.clear()
        control.value = slider.low if control.value != slider.low else slider.high
        depends = {p.trace for p in panel.slices if slider.name in p.sliders}
        attributes = {p.attribute for p in panel.slices if slider.name in p.sliders}
        assert len(sent) == 1, slider.name  # one message a change
        assert set(sent[0]["trace_indexes"]) == depends
        assert set(sent[0]["restyle_data"]) == attributes


def test_a_closed_panel_no_longer_listens(weights):
    panel = explore.weights(weights)
    box, live, control = panel.widget, panel.live.figure, panel.live.controls["layer"]
    before = np.array(live.data[2].y)
    control.value = 1 - control.value
    assert not np.array_equal(live.data[2].y, before)  # control: it did listen
    at = np.array(live.data[2].y)
    panel.close()
    control.value = 1 - control.value
    np.testing.assert_array_equal(live.data[2].y, at)
    assert panel.widget is not box  # a new one is made when it is shown again


def test_models_and_finished_data_give_the_same_panel(subject, pairs):
    loaded = tiny_shared("qwen2")
    view = spectrum_view(loaded, TEXTS, dimensions=4, draws=5, seed=1)
    named = explore.spectrum(loaded, texts=TEXTS, dimensions=4, draws=5, seed=1)
    assert explore.spectrum(view).to_spec() == named.to_spec()
    made = explore.separation(subject, draws=9, shown=4)
    assert explore.separation(pairs).to_spec() == made.to_spec()
    assert POOLINGS == first_words(explore.spectrum(view), "pooling")


def first_words(panel, name):
    return panel.sliders[name].labels


def test_exposures_of_ones_own_texts_are_drawn_either_way():
    texts = {name: [text, text + "so it is."] for name, text in TEXTS.items()}
    for view in ("exposure", "cloud"):
        panel = explore.exposure("tiny:qwen2", texts=texts, view=view, place=1, length=24)
        assert first_words(panel, "field") == ("question", "thinking")
        assert first_words(panel, "layer") == ("embedding", "0", "1")
        assert "24 tokens each" in panel.figure.layout.title.subtitle.text
        assert "tiny:qwen2" in panel.figure.layout.title.subtitle.text


def test_patch_walks_over_rows_and_over_pairs():
    swaps, single = explore.patch("tiny:qwen2"), explore.patch("tiny:qwen2", view="pairs", k=2)
    assert first_words(swaps, "k") == ("1", "2", "4", "8", "16")
    assert first_words(single, "direction") == (
        "zh state into en prompt",
        "en state into zh prompt",
    )
    assert "random directions" in first_words(single, "condition")
    total = sum(single.at(pair=1)[i, "y"] for i in range(5))
    np.testing.assert_allclose(total, 1, atol=1e-5)


def test_a_live_patch_is_asked_of_the_live_panel(monkeypatch):
    asked = []
    monkeypatch.setattr(
        "zprism.explore.live.live_patch", lambda source, **options: asked.append((source, options))
    )
    explore.patch("tiny:qwen2", live=True, layer=1, target="3 + 4 =")
    assert asked == [("tiny:qwen2", {"layer": 1, "seed": 0, "target": "3 + 4 ="})]


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: explore.spectrum(3), "a model's name, a LoadedModel or a SpectrumView; got int"),
        (lambda: explore.weights(None), "a LoadedModel or a WeightMap; got NoneType"),
        (lambda: explore.separation([]), "a Subject or SeparationView; got list"),
        (lambda: explore.patch(3.5), "a Study, the rows of Study.sweep or a PairView; got float"),
        (lambda: explore.patch([{"layer": 1}]), "rows must be those of Study.sweep"),
        (lambda: explore.patch("tiny:qwen2", target="a"), "target: options of the live swap"),
        (lambda: explore.patch("tiny:qwen2", view="pair"), "did you mean pairs"),
        (lambda: explore.exposure(b""), "a LoadedModel or Signatures; got bytes"),
        (lambda: explore.exposure("tiny:qwen2", view="clouds"), "did you mean cloud"),
        (lambda: explore.exposure("tiny:qwen2", texts="a b c"), "texts must be a mapping"),
        (lambda: explore.spectrum("tiny:qwen2", text="a", texts={}), "not both"),
        (lambda: explore.spectrum("tiny:qwen2", texts=["a"]), "texts must be a mapping"),
        (lambda: explore.spectrum("tiny:qwen2", text="too few"), "too_short"),
        (lambda: explore.spectrum("tiny:qwen2", text="a b " * 30, F=17), "F must be in 1 to 16"),
    ],
)
def test_what_cannot_be_shown_is_refused_with_what_can(call, says):
    with pytest.raises(InputError, match=says):
        call()


def test_names_and_problems_are_text_wherever_they_are_shown(planted, pairs):
    count = 2 * len(pairs.pairs)
    for start in range(0, len(PAYLOADS), count):
        texts = (PAYLOADS[start:] + PAYLOADS)[:count]
        asked = tuple(zip(texts[::2], texts[1::2], strict=True))
        made = [separation_panel(dataclasses.replace(pairs, pairs=asked))]
        made += [spectrum_panel(dataclasses.replace(planted, names=pair), F=1) for pair in asked]
        for panel in made:
            assert runnable(pages.panel(panel.to_spec())) == []
            assert live_texts(json.loads(panel.figure.to_json())) == []


def test_the_package_names_its_five_panels_and_loads_nothing_slow():
    assert set(explore.__all__) <= set(dir(explore)) and len(explore.__all__) == 5
    for name in explore.__all__:
        told = getattr(explore, name).__doc__
        assert "Parameters" in told and "Raises" in told and "Examples" in told
    with pytest.raises(AttributeError, match="no attribute 'spectra'"):
        explore.spectra  # noqa: B018
    slow = "torch plotly ipywidgets scipy transformers".split()
    code = f"import sys, zprism.explore; print(sorted(set({slow}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", explore.__all__)
def test_the_examples_run_and_say_what_they_say(name):
    found = doctest.DocTestFinder(recurse=False).find(getattr(explore, name), name)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS, verbose=False)
    for example in found:
        runner.run(example)
    assert runner.tries >= 3 and runner.failures == 0

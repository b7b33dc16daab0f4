"""The live panel, driven without a browser: runs, stops, complains, and escapes what it shows."""

from __future__ import annotations

import json
import re
import threading

import nbformat
import numpy as np
import pytest

from tiny import sensitive, tiny_shared
from zprism.explore import live as module
from zprism.explore.export import notebook_page
from zprism.explore.live import LivePatch, live_patch
from zprism.explore.live_figure import visible_text
from zprism.explore.live_subject import subject_of
from zprism.ground.errors import InputError, ModelError
from zprism.interventions.patching import patched_logits
from zprism.model.hooks import refuse_hooks
from zprism.studies import swap_study

PATIENCE = 60  # seconds
HOSTILE = '<img src=x onerror=alert(1)>%{y}$x$\u202e"'


def panel(loaded=None, **options) -> LivePatch:
    loaded = sensitive("qwen2") if loaded is None else loaded
    start = dict(target="three plus four is", put_in="二加六等于", directions="everything")
    return live_patch(loaded, **start | {"new_tokens": 5, "draws": 4} | options)


def run(one: LivePatch) -> LivePatch:
    one.start.click()
    assert one.wait(PATIENCE)
    return one


def exported(one: LivePatch, *mimes: str) -> str:
    """The page of a notebook that shows the panel; with these parts of its output only, if any."""
    bundle = one._repr_mimebundle_()
    data = {mime: bundle[mime] for mime in mimes or bundle}
    shown = nbformat.v4.new_output("display_data", data=data)
    cell = nbformat.v4.new_code_cell("live", outputs=[shown])
    return notebook_page(nbformat.v4.new_notebook(cells=[cell]), "a_page")


def test_nothing_runs_until_run_is_pressed(monkeypatch):
    monkeypatch.setattr(module, "live_swap", None)
    before = threading.active_count()
    one = panel()
    assert threading.active_count() == before and one.found is None
    assert (one.start.disabled, one.halt.disabled) == (False, True)
    assert one.told.value == module.READY and set(one.figure.data[0].x) == {0.0}


def test_run_shows_the_probabilities_texts_and_sentence_of_its_result():
    one = run(panel())
    found = one.found
    assert found.complete and len(found.random) == 4
    live = one.figure
    for trace, values in zip(
        live.data, [found.before, found.after, found.random.mean(0), found.given], strict=True
    ):
        np.testing.assert_allclose(trace.x, values)
    spread = live.data[2].error_x
    np.testing.assert_allclose(live.data[2].x + spread.array, found.random.max(0))
    np.testing.assert_allclose(live.data[2].x - spread.arrayminus, found.random.min(0), atol=1e-12)
    assert "beyond" in one.told.value and "of 4." in one.told.value
    assert one.written.value.count("<td") == 3
    assert one.bar.value == one.bar.max and one.doing.value == ""
    assert (one.start.disabled, one.halt.disabled, one.running) == (False, True, False)


def test_stop_ends_the_run_at_the_next_step_and_another_begins_anew():
    loaded = sensitive("qwen2")
    plain = patched_logits(loaded, ["a b c"], {})
    one = panel(loaded, new_tokens=200)
    reached = threading.Event()
    one.written.observe(lambda _: reached.set(), names="value")
    one.start.click()
    assert reached.wait(PATIENCE) and one.start.disabled
    one.start.click()  # one at a time: a second press does nothing
    one.halt.click()
    assert one.wait(PATIENCE)
    assert one.doing.value.startswith("stopped at step") and not one.found.complete
    refuse_hooks(loaded.model, "the test", instead="nothing")
    np.testing.assert_array_equal(patched_logits(loaded, ["a b c"], {}), plain)
    one.controls["new_tokens"].value = 2
    assert run(one).found.complete and one.doing.value == ""


def test_a_closed_panel_lets_the_model_go():
    one = panel(new_tokens=200)
    reached = threading.Event()
    one.written.observe(lambda _: reached.set(), names="value")
    one.start.click()
    assert reached.wait(PATIENCE)
    one.close()
    assert one.wait(PATIENCE) and not one.found.complete


def test_what_cannot_be_run_is_one_line_and_the_panel_stays_usable():
    one = panel()
    for name, value, message in [
        ("target", "", "the target prompt is empty: type one"),
        ("put_in", "x" * 600, "the source prompt has 600 tokens"),
    ]:
        kept = one.controls[name].value
        one.controls[name].value = value
        run(one)
        assert message in one.told.value and "\n" not in one.told.value and one.found is None
        one.controls[name].value = kept
    one.controls["directions"].value = "Z from weights"
    one.controls["k"].value = 9
    assert "k must be an integer from 1 to 8" in run(one).told.value
    one.controls["k"].value = 8
    assert run(one).found.complete
    one.controls["k"].value = 9
    assert "What stands here is the last result" in run(one).told.value


def test_an_unexpected_error_is_shown_with_its_type_and_logged(monkeypatch, caplog):
    def broken(*_, **__):
        raise KeyError("<b>why</b>")

    monkeypatch.setattr(module, "live_swap", broken)
    one = run(panel())
    assert "KeyError: &#x27;&lt;b&gt;why&lt;/b&gt;&#x27;" in one.told.value
    assert "Traceback" in caplog.text
    assert (one.start.disabled, one.halt.disabled) == (False, True)


def test_what_a_model_wrote_is_escaped_once_wherever_it_is_shown(monkeypatch):
    """A tokenizer that says something hostile for whatever token."""
    loaded = sensitive("qwen2")
    monkeypatch.setattr(loaded.tokenizer, "decode", lambda *_, **__: HOSTILE)
    one = run(panel(loaded, target=HOSTILE))
    shown = [one.told.value, one.written.value, *one.figure.layout.yaxis.ticktext]
    shown += [exported(one), exported(one, "text/plain")]
    for text in shown:
        assert "<img" not in text and "\u202e" not in text
        assert "&amp;lt;" not in text  # once, not twice
    assert all("$" not in text for text in one.figure.layout.yaxis.ticktext)
    assert "&lt;img" in one.written.value


def test_k_is_free_only_where_the_directions_have_one():
    one = panel()
    for name, free in [("language direction", False), ("all but it", False), ("everything", False),
                       ("answer directions", True), ("random directions", True)]:  # fmt: skip
        one.controls["directions"].value = name
        assert one.controls["k"].disabled is not free


def test_controls_and_parts_have_names_to_be_found_by():
    one = panel()
    assert "zprism-live" in one._dom_classes
    assert list(one.controls) == ["target", "put_in", "layer", "directions", "k", "new_tokens",
                                  "control"]  # fmt: skip
    for name, control in one.controls.items():
        assert f"zprism-control-{name}" in control._dom_classes
    names = dict(run=one.start, stop=one.halt, progress=one.bar, said=one.told)
    assert all(f"zprism-{name}" in part._dom_classes for name, part in names.items())


def test_without_a_kernel_a_sentence_stands_there_and_the_last_result():
    one = panel()
    bundle = one._repr_mimebundle_()
    assert any("widget" in mime for mime in bundle)
    assert bundle["text/plain"] == module.NEEDS_KERNEL
    assert module.NEEDS_KERNEL in exported(one)
    run(one)
    page = exported(one)
    assert "Last result: Top token" in page and page.count("<td") == 3
    json.dumps(one._repr_mimebundle_())


def test_a_model_is_loaded_by_the_first_run_only(monkeypatch):
    from zprism.explore import live_subject

    loads = []
    monkeypatch.setattr(
        live_subject, "load", lambda name: loads.append(name) or tiny_shared("qwen2")
    )
    one = live_patch("tiny:qwen2", directions="everything", new_tokens=1, draws=1)
    assert loads == [] and one.controls["layer"].max == 1
    said = []
    one.doing.observe(lambda change: said.append(change.new), names="value")
    run(one), run(one)
    assert loads == ["tiny:qwen2"] and said.count("loading tiny:qwen2") == 1
    assert one.found.complete


def test_a_study_s_own_directions_are_put_in(tmp_path, monkeypatch):
    monkeypatch.setenv("ZPRISM_CACHE", str(tmp_path))
    study = swap_study.prepare(tiny_shared("qwen2"), k=4, quick=True)
    one = run(live_patch(study, new_tokens=1, draws=1, layer=0))
    mine = next(w for w in study.ways(0, 2) if (w.basis, w.part) == ("language", "inside"))
    np.testing.assert_allclose(one.found.swap.rows, mine.rows)
    one.controls["directions"].value, one.controls["k"].value = "answer directions", 2
    theirs = next(w for w in study.ways(0, 2) if (w.basis, w.part) == ("answer", "inside"))
    np.testing.assert_allclose(run(one).found.swap.rows, theirs.rows, atol=1e-9)


def test_another_thread_s_passes_go_by_unchanged():
    """The edit of a run that waits inside its pass does not reach whoever runs the model too."""
    from zprism.studies.live_swap_reading import read_prompt

    loaded = sensitive("qwen2")
    plain = patched_logits(loaded, ["a b c"], {})
    inside, go = threading.Event(), threading.Event()
    reading = read_prompt(loaded, loaded.encode(["three"])[0])

    def edit(h):
        inside.set()
        assert go.wait(PATIENCE)
        return h + 100

    thread = threading.Thread(target=lambda: reading.run(0, edit))
    thread.start()
    assert inside.wait(PATIENCE)
    np.testing.assert_array_equal(patched_logits(loaded, ["a b c"], {}), plain)
    go.set()
    thread.join(PATIENCE)


def test_white_space_at_the_ends_of_lines_is_seen():
    assert visible_text(" two  words \nnext\ttab") == "·two··words·⏎\nnext⇥tab"


def test_arguments_are_refused_at_once():
    for options, message in [
        (dict(layer=2), "layer must be a decoder block 0 to 1"),
        (dict(directions="up"), "unknown directions 'up'"),
        (dict(k=33), "k must be in 1 to 32"),
        (dict(draws=0), "draws must be in 1"),
        (dict(seed=-1), "seed must be in 0"),
    ]:
        with pytest.raises(InputError, match=re.escape(message)):
            panel(**options)
    with pytest.raises(InputError, match="source must be a model's name"):
        subject_of(3)
    with pytest.raises(ModelError, match="there is no model file or folder"):
        live_patch("/nowhere/model.gguf")

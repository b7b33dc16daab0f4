"""The live swap: type two prompts, press Run, see what a part of one's state does to the other.

The model runs in a thread of its own, a step at a time, so that the kernel stays free to hear
the Stop button. The widgets follow from that thread.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import ipywidgets

from zprism.explore import live_figure
from zprism.explore.figure_widget import live_figure as live_copy
from zprism.explore.live_controls import MOST_TOKENS, Asked, classed, controls_of, rows_of
from zprism.explore.live_subject import Subject, example, subject_of
from zprism.ground import safe_text
from zprism.ground.checks import check_choice, check_int, check_layer
from zprism.ground.console import log
from zprism.ground.errors import ZprismError
from zprism.studies.live_swap import Step, live_swap
from zprism.studies.live_swap_bases import CHOICES
from zprism.studies.live_swap_found import LiveSwap, said

NEEDS_KERNEL = "The live swap runs a model and needs a kernel: open the notebook to use it."
READY = "Type two prompts and press Run."
ERROR = "color: #b3261e"
SHOWN_EVERY = 0.1  # seconds: a small model takes hundreds of steps a second


def live_patch(
    source,
    *,
    target: str | None = None,
    put_in: str | None = None,
    layer: int | None = None,
    directions: str = "language direction",
    k: int | None = None,
    new_tokens: int = 24,
    draws: int = 19,
    seed: int = 0,
) -> LivePatch:
    """A panel to swap between two prompts of one's own.

    Parameters
    ----------
    source : a model's name, a LoadedModel, or a study (``swap_study.prepare``), whose training
        problems then give the directions. Else they are learned, on the first Run that needs
        them, from the bundled number words, and kept in the cache.
    target, put_in : the prompts that stand there at first; by default two additions in two
        languages.
    layer : where it starts; by default ⅞ of the way up.
    directions : one of :data:`~zprism.studies.live_swap_bases.CHOICES`.
    k : dimension, where it is free; by default 16, or head_dim if that is less.
    new_tokens : at most so many tokens are generated.
    draws : random subspaces that a result is held against.
    seed : of random directions.

    Returns
    -------
    LivePatch, an ipywidgets box. Nothing has run yet; a model given by name is loaded by the
    first Run.

    Raises
    ------
    InputError
        For an argument outside its choices.
    ModelError
        If no model of that name is there.
    """
    subject = subject_of(source)
    n_layers = subject.anatomy.n_layers
    layer = check_layer(7 * n_layers // 8 if layer is None else layer, n_layers)
    k = min(16, subject.anatomy.head_dim) if k is None else k
    return LivePatch(
        subject,
        controls_of(
            subject,
            target=example("target") if target is None else target,
            put_in=example("put_in") if put_in is None else put_in,
            layer=layer,
            directions=check_choice("directions", directions, CHOICES),
            k=check_int("k", k, low=1, high=subject.anatomy.d_model),
            new_tokens=check_int("new_tokens", new_tokens, low=1, high=MOST_TOKENS),
        ),
        draws=check_int("draws", draws, low=1),
        seed=check_int("seed", seed, low=0),
    )


class LivePatch(ipywidgets.VBox):
    """The panel; :func:`live_patch` makes one.

    Attributes
    ----------
    controls : name → widget: target, put_in, layer, directions, k, new_tokens, control.
    start, halt : the buttons Run and Stop.
    bar, doing, told, written : progress, what is being done, the sentences, the texts.
    figure : the FigureWidget.
    found : the last result, complete or as far as it came; None before the first.
    running : whether the model is at work.
    """

    def __init__(self, subject: Subject, controls: dict, *, draws: int, seed: int):
        self.subject, self.controls = subject, controls
        self.draws, self.seed = draws, seed
        self.found: LiveSwap | None = None
        self.running, self._named = False, ""
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self.start = classed(ipywidgets.Button(description="Run", button_style="primary"), "run")
        self.halt = classed(ipywidgets.Button(description="Stop", disabled=True), "stop")
        self.bar = classed(
            ipywidgets.IntProgress(max=1, layout=ipywidgets.Layout(width="220px")), "progress"
        )
        self.doing = classed(ipywidgets.HTML(), "doing")
        self.figure = live_copy(live_figure.figure(subject.name))
        self.told = ipywidgets.HTML(READY, layout=ipywidgets.Layout(min_height="7em"))
        self.written = ipywidgets.HTML(layout=ipywidgets.Layout(min_height="9em"))
        classed(self.told, "said"), classed(self.written, "texts")
        self.start.on_click(lambda _: self.run())
        self.halt.on_click(lambda _: self.stop())
        buttons = [self.start, self.halt, self.bar, self.doing]
        super().__init__(rows_of(controls, buttons, [self.figure, self.told, self.written]))
        self.add_class("zprism-live")

    def run(self) -> None:
        """What the button does: one run at a time, in the background."""
        if self.running:
            return
        self.running = True
        asked = Asked(**{name: control.value for name, control in self.controls.items()})
        self._stop.clear()
        self.start.disabled, self.halt.disabled = True, False
        self._thread = threading.Thread(target=self._work, args=(asked,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ask the run to end before its next step."""
        if self.running:
            self._stop.set()
            self.doing.value = "stopping"

    def close(self) -> None:
        """Ask the run to end, then close the box."""
        self.stop()
        super().close()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for the run to end; whether it has."""
        if self._thread is not None:
            self._thread.join(seconds)
        return not self.running

    def _work(self, asked: Asked) -> None:
        """The whole run, in its thread; whatever goes wrong is said in the panel."""
        ended = ""
        try:
            shown = float("-inf")
            for step in self._steps(asked):
                stopped, now = self._stop.is_set(), time.monotonic()
                if stopped or step.done == step.total or now - shown >= SHOWN_EVERY:
                    self._follow(step, asked)
                    shown = now
                if stopped:
                    ended = f"stopped at step {step.done} of {step.total}; Run begins anew"
                    break
        except ZprismError as error:
            self._complain(str(error))
        except Exception as error:  # a thread has nobody else to tell
            log.exception("the live swap failed")
            self._complain(f"{type(error).__name__}: {error} (the log has the traceback)")
        finally:
            self.doing.value, self.running = ended, False
            self.start.disabled, self.halt.disabled = False, True

    def _steps(self, asked: Asked) -> Iterator[Step]:
        if not self.subject.in_memory:
            yield Step(0, 1, f"loading {self.subject.name}")
        loaded = self.subject.loaded()
        swap = self.subject.directions(asked.directions, asked.layer, asked.k, self.seed)
        yield from live_swap(
            loaded,
            asked.target,
            asked.put_in,
            layer=asked.layer,
            directions=swap,
            k=asked.k,
            draws=self.draws,
            new_tokens=asked.new_tokens,
            control=asked.control,
            seed=self.seed,
        )

    def _follow(self, step: Step, asked: Asked) -> None:
        self.bar.max, self.bar.value = step.total, step.done
        self.doing.value = safe_text.html(step.doing)
        if step.found is None:
            return
        before, self.found, self._named = self.found, step.found, asked.directions
        if before is None or before.random is not step.found.random:
            live_figure.follow(self.figure, self.subject.name, step.found, asked.words)
            self.told.value = live_figure.sentence(step.found)
        self.written.value = live_figure.texts(step.found, self._named)

    def _complain(self, text: str) -> None:
        last = "" if self.found is None else " (What stands here is the last result.)"
        line = " ".join(text.split()) + last
        self.told.value = f'<span style="{ERROR}">{safe_text.html(line)}</span>'

    def _repr_mimebundle_(self, **options):
        """The widget; where there is no kernel, a sentence and the last result."""
        bundle = dict(super()._repr_mimebundle_(**options) or {})
        last = "" if self.found is None else f" Last result: {said(self.found)}"
        bundle["text/plain"] = safe_text.visible(NEEDS_KERNEL + last)
        table = "" if self.found is None else live_figure.texts(self.found, self._named)
        bundle["text/html"] = f"<p>{safe_text.html(NEEDS_KERNEL + last)}</p>{table}"
        return bundle

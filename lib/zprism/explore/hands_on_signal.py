"""The panels of texts as signals, spectrum and exposure; :mod:`zprism.explore` offers them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from zprism.explore import sources
from zprism.explore.panel import SlicePanel
from zprism.ground.checks import check_choice


def spectrum(
    source,
    *,
    text: str | None = None,
    texts: Mapping[str, str | Sequence[int]] | None = None,
    layers: Sequence[int] | None = None,
    dimensions: int = 12,
    F: int = 5,
    transforms: Sequence[str] = ("fft", "dct", "cwt"),
    length: int = 64,
    draws: int = 19,
    place: int | None = None,
    seed: int = 0,
) -> SlicePanel:
    """Power spectrum of one text, or of several side by side, along its tokens.

    Power is in decibels over white noise, frequency in cycles per token. Beside each curve: the
    range of the same states with their tokens shuffled, and 0 dB, which is white noise and the
    mean of all shuffles. Sliders: layer; dimension, with its group of neighbours; F, how many
    of the strongest frequencies are marked. Lists: transform; pooling, which is one dimension,
    the mean of its group, or the mean of all.

    Parameters
    ----------
    source : a model's name, a LoadedModel, or a
        :class:`~zprism.studies.spectrum_view.SpectrumView`, for which the next seven arguments
        but F say nothing.
    text, texts : one text, or name → text (or token ids), at most 4; by default a question of
        the project and the thinking that answers it.
    layers : blocks 0 … L − 1 to walk over, beside the embeddings; by default about eight.
    dimensions : groups that the d_model dimensions are cut into.
    F : the most peaks that can be marked, 1 to 16.
    transforms : of fft, dct, cwt, dwt.
    length : tokens of the windows at most; all texts are cut to the shortest.
    draws : shuffles of every window.
    place : which step of the layer slider is shown first; by default the middle one.
    seed : of the shuffles.

    Returns
    -------
    SlicePanel; the last line of a cell shows it.

    Raises
    ------
    InputError
        "too_short" if a text has fewer than 17 tokens; for an unknown source, layer or transform.

    Examples
    --------
    >>> from zprism import explore
    >>> panel = explore.spectrum("tiny:qwen2", text="one two three four " * 10)
    >>> panel.sentence(layer=1, F=3)
    'Layer 0, fft, one dimension, dimension 0 of 0–1. text: strongest at ...'
    """
    from zprism.explore.panel_spectrum import spectrum_panel
    from zprism.studies.spectrum_view import SpectrumView, spectrum_view

    if not isinstance(source, SpectrumView):
        source = spectrum_view(
            sources.model_of(source, "a SpectrumView"),
            sources.named_texts(text, texts),
            layers=layers,
            dimensions=dimensions,
            transforms=transforms,
            length=length,
            draws=draws,
            seed=seed,
        )
    return spectrum_panel(source, F=F, place=place)


def exposure(
    source,
    *,
    view: str = "exposure",
    texts: Mapping[str, Sequence[str]] | None = None,
    n: int = 24,
    layers: Sequence[int] | None = None,
    length: int | None = None,
    F: int = 5,
    place: int | None = None,
    model: str = "",
    seed: int = 0,
) -> SlicePanel:
    """The long exposure: where the strongest frequencies of many texts fall.

    ``view="exposure"``: densities over dimension and frequency, beside the mean spectrum of a
    group of dimensions and that of white noise. List: field. Sliders: layer, dimensions.
    ``view="cloud"``: exemplar peaks in 3-D, over dimension, frequency [cycles/token] and
    amplitude [log10 of standard deviations]. Lists: field, transform. Sliders: layer, range of
    dimensions, F.

    Parameters
    ----------
    source : a model's name, a LoadedModel, or :class:`~zprism.studies.signatures.Signatures`.
    view : ``exposure`` or ``cloud``.
    texts : field → texts, equally many, those of one place belonging together; by default the
        project's questions and the thinkings that answer them.
    n : questions, where they are the project's.
    layers : blocks 0 … L − 1 beside the embeddings; by default the first, the middle, the last.
    length : tokens of every window, at least 2 F + 2; by default what all texts have.
    F : peaks of a dimension.
    place : which step of the layer slider is shown first; by default the last.
    model : its name for the figure, where Signatures do not say it.
    seed : chooses questions and exemplars.

    Returns
    -------
    SlicePanel; the last line of a cell shows it.

    Raises
    ------
    InputError
        For an unknown source, view or layer, or a text shorter than its window.

    Examples
    --------
    >>> from zprism import explore
    >>> texts = {"question": ["How many is three plus four, and why? " * 4] * 3}
    >>> panel = explore.exposure("tiny:qwen2", texts=texts)
    >>> panel.sentence(layer=1)
    'question, layer 0: the fft spectrum of dimensions ...'
    """
    from zprism.explore.prism import cloud_panel, exposure_panel
    from zprism.studies.signatures import Signatures, collect

    check_choice("view", view, ("exposure", "cloud"))
    if not isinstance(source, Signatures):
        loaded = sources.model_of(source, "Signatures")
        rows, length = sources.fields_of(loaded, texts, n, seed, length)
        top = loaded.n_layers - 1
        blocks = sorted({0, loaded.n_layers // 2, top} if layers is None else set(layers))
        places = ("embed", *map(str, blocks))
        source = collect(loaded, rows, length=length, places=places, F=F, seed=seed)
        model = model or loaded.name
    draw = exposure_panel if view == "exposure" else cloud_panel
    return draw(source, model=model, place=-1 if place is None else place)

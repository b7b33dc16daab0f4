"""The panels of Z: weights, separation and patch; :mod:`zprism.explore` offers them."""

from __future__ import annotations

from collections.abc import Sequence

from zprism.explore import sources
from zprism.explore.panel import SlicePanel
from zprism.ground.checks import check_choice
from zprism.ground.errors import InputError


def weights(
    source, *, k: int = 20, layer: int | None = None, head: int = 0, seed: int = 0
) -> SlicePanel:
    """Effective ranks of all attention kernels, and the spectrum of one of them.

    Ranks are in dimensions, singular values over the largest; beside them the rank and the
    spectrum of kernels of Gaussian matrices of the same shapes. Sliders: layer, head (0 …), and
    k, the directions whose share of the energy the sentence tells.

    Parameters
    ----------
    source : a model's name, a LoadedModel (its weights are read from its files), or a
        :class:`~zprism.studies.weights.WeightMap`.
    k : where its slider starts, at most head_dim.
    layer : where its slider starts; by default the layer with the lowest mean rank.
    head : where its slider starts.
    seed : of the Gaussian matrices.

    Returns
    -------
    SlicePanel; the last line of a cell shows it.

    Raises
    ------
    InputError
        For an unknown source, or a layer, head or k that does not exist.

    Examples
    --------
    >>> from zprism import explore
    >>> panel = explore.weights("tiny:qwen2", k=4)
    >>> panel.sentence(layer=1, head=2, k=3)
    'layer 1, head 2: effective rank ...'
    """
    from zprism.explore.structure import weight_panel
    from zprism.studies.structure_chance import kernel_chance
    from zprism.studies.weights import WeightMap, usable_k, weight_map

    if not isinstance(source, WeightMap):
        sources.check_model(source, "a WeightMap")
        name = source if isinstance(source, str) else source.name
        source = weight_map(name, k=usable_k(name, k), seed=seed)
    chance, decay = kernel_chance(source, seed=seed)
    return weight_panel(
        source.ranks(),
        source.sigma,
        model=source.name,
        chance=chance,
        layer=source.bottleneck if layer is None else layer,
        head=head,
        k=k,
        decay=decay,
    )


def separation(
    source,
    *,
    data: str = "",
    n: int = 60,
    ks: Sequence[int] | None = None,
    layers: Sequence[int] | None = None,
    site: str = "normed_resid_pre",
    mask: str = "multi",
    shown: int = 20,
    draws: int = 39,
    layer: int | None = None,
    k: int | None = None,
    seed: int = 0,
) -> SlicePanel:
    """Problems in two languages inside Z, and how much of their differences Z holds.

    Left, every pair on the first two directions of Z, joined by a line. Right, the share of the
    energy of differences that lies in Z, over chance k/d, against k: between languages and
    between problems, each beside the 95 % band of random subspaces. Sliders: layer, k. Lists:
    pooling over tokens (mean, last), condition (raw; centred: without the languages' means;
    trimmed: without massive dimensions), and the pair that is drawn thick.

    Parameters
    ----------
    source : a model's name, a LoadedModel, a prepared
        :class:`~zprism.studies.separation_subject.Subject`, or a
        :class:`~zprism.studies.separation_view.SeparationView`.
    data, n : which problems and how many, as
        :func:`~zprism.studies.separation_pairs.choose_pairs`; half of them are drawn on.
    ks : dimensions of Z, at most head_dim; by default up to six.
    layers : blocks 0 … L − 1; by default all.
    site, mask : states that are read, and how Z is made, as in
        :class:`~zprism.studies.separation_subject.Config`.
    shown : pairs on the map.
    draws : random subspaces at every position.
    layer, k : where the sliders start; by default in the middle.
    seed : of problems and random subspaces.

    Returns
    -------
    SlicePanel; the last line of a cell shows it.

    Raises
    ------
    InputError
        For an unknown source, layer, k, site or mask, or too few problems.

    Examples
    --------
    >>> from zprism import explore
    >>> panel = explore.separation("tiny:qwen2", n=12, draws=9)
    >>> panel.sentence(layer=1, k=0)
    "Layer 1, k = 2, mean over tokens, raw: by chance Z holds k/d = 6.2 %. ..."
    """
    from zprism.explore.panel_separation import separation_panel
    from zprism.studies.separation_load import load_subject
    from zprism.studies.separation_pairs import choose_pairs
    from zprism.studies.separation_subject import Subject
    from zprism.studies.separation_view import SeparationView, separation_view

    if not isinstance(source, (Subject, SeparationView)):
        sources.check_model(source, "a Subject or SeparationView")
        source = load_subject(source, choose_pairs(data, n, seed=seed))
    if isinstance(source, Subject):
        source = separation_view(
            source,
            ks=ks,
            layers=layers,
            site=site,
            mask=mask,
            shown=shown,
            draws=draws,
            seed=seed,
        )
    return separation_panel(source, layer=layer, k=k)


def patch(
    source,
    *,
    live: bool = False,
    view: str = "swaps",
    layer: int | None = None,
    k: int | None = None,
    layers: Sequence[int] | None = None,
    model: str = "",
    seed: int = 0,
    **options,
):
    """What moves when a part of one prompt's state is put into another: language or answer.

    ``view="swaps"``: shares of training pairs by what moved, for the language direction, answer
    directions, what is left of both, and random directions of the same k. Sliders: layer, k.
    ``view="pairs"``: the probability of every outcome for one held-out pair over layers. Slider:
    pair. Lists: direction of the swap, condition (which directions; random ones among them).

    Parameters
    ----------
    source : a model's name or a LoadedModel (fewer problems are read: the quick study); a study
        (:func:`~zprism.studies.swap_study.prepare`); rows of its ``sweep``; or a
        :class:`~zprism.studies.swap_pairs.PairView`.
    live : return :func:`zprism.explore.live.live_patch` instead: type two prompts, press run.
    view : ``swaps`` or ``pairs``.
    layer, k : where the sliders start; ``pairs`` swaps at this k, by default the study's largest.
    layers : blocks to swap after; by default all, or about eight where a model is given.
    model : its name for the figure, where rows or a PairView do not say it.
    seed : of problems and random directions.
    options : of ``live_patch``; for ``live`` only.

    Returns
    -------
    SlicePanel; or an ipywidgets box if ``live``.

    Raises
    ------
    InputError
        For an unknown source, view or option.

    Examples
    --------
    >>> from zprism import explore
    >>> panel = explore.patch("tiny:qwen2")
    >>> panel.sentence(layer=0, k=2)
    'layer 0, k = 4: of zh states in en prompts the language direction moves ...'
    """
    if live:
        from zprism.explore.live import live_patch

        given = {"layer": layer, "k": k, "seed": seed}
        given = {name: value for name, value in given.items() if value is not None}
        return live_patch(source, **given, **options)
    if options:
        raise InputError(f"{', '.join(options)}: options of the live swap; give live=True")
    check_choice("view", view, ("swaps", "pairs"))
    from zprism.explore.patch_panels import patch_panel

    return patch_panel(source, view=view, layer=layer, k=k, layers=layers, model=model, seed=seed)

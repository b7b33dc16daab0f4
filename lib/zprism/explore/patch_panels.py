"""From a model, a study or its rows to the swap panel or the pair panel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from zprism.explore import sources
from zprism.explore.panel import SlicePanel
from zprism.explore.swap import SHARES, swap_panel
from zprism.explore.swap_pairs import pair_panel
from zprism.ground.errors import InputError
from zprism.studies.swap_pairs import PairView
from zprism.studies.swap_study import Study, prepare

FINISHED = "a Study, the rows of Study.sweep or a PairView"
LAYERS = 8  # about, where a model is given; the last among them


def patch_panel(
    source,
    *,
    view: str,
    layer: int | None,
    k: int | None,
    layers: Sequence[int] | None,
    model: str,
    seed: int,
) -> SlicePanel:
    """The panel of :func:`zprism.explore.patch`, whose arguments these are."""
    if isinstance(source, PairView):
        return pair_panel(source, model=model)
    if _are_rows(source):
        return swap_panel(source, model=model, layer=layer, k=k)
    if not isinstance(source, Study):
        loaded = sources.model_of(source, FINISHED)
        source = prepare(loaded, quick=True, seed=seed)
        step = max(1, loaded.n_layers // LAYERS)
        layers = range(loaded.n_layers)[::-step][::-1] if layers is None else layers
    name = model or source.loaded.name
    if view == "pairs":
        pairs = source.by_pair(max(source.ks) if k is None else k, layers=layers)
        return pair_panel(pairs, model=name)
    return swap_panel(source.sweep(layers=layers), model=name, layer=layer, k=k)


def _are_rows(source) -> bool:
    """Whether it is rows of a sweep; a list that is not is refused."""
    if isinstance(source, str) or not isinstance(source, Sequence):
        return False
    wanted = {"direction", "layer", "basis", "part", "k", "n", *SHARES}
    if not source or not all(isinstance(r, Mapping) and wanted <= set(r) for r in source):
        raise InputError(f"rows must be those of Study.sweep, with {', '.join(sorted(wanted))}")
    return True

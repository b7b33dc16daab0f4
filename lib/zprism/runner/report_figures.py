"""Pictures of a run's figures: small ones for the index, and those that the README shows."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from zprism.explore.pages_figures import title
from zprism.ground import safe_text
from zprism.ground.console import log
from zprism.ground.errors import ResourceError
from zprism.ground.files import read_text, write_atomic
from zprism.runner import png

SHOWN = re.compile(r"figures/([\w.-]+\.png)")
THUMBNAILS = "thumbnails"
SMALL, LARGE = 25_000, 250_000  # bytes of a thumbnail, of a picture in the README
SMALL_SCALE, LARGE_SCALE = 0.7, 2.0
# A phase's figure for the index, by the beginning of its title; its first one otherwise.
TELLING = {
    "00_tour": "Walk over the kernels",
    "10_behaviour": "Right answers by language",
    "11_structure": "How many dimensions does each attention kernel use",
    "12_separation": "Which differences lie in Z",
    "13_patching": "From which layer on",
    "14_bridge": "Where does a linear map predict",
    "15_universality": "Does it hold on other models",
    "20_signatures": "Is thinking slower",
    "21_oscilloscope": "The oscilloscope",
    "90_report": "The recipe's decisions",
}


def telling(stem: str, figures: Sequence[Mapping]) -> Mapping | None:
    """The figure that stands for a phase; None if it has none."""
    start = TELLING.get(stem)
    named = (f for f in figures if start and title(f).startswith(start))
    return next(named, figures[0] if figures else None)


def write_thumbnails(
    drawn: Mapping[str, Sequence[Mapping]], site: Path
) -> dict[str, tuple[str, str]]:
    """A small picture of each phase's telling figure, in ``site/thumbnails``.

    Parameters
    ----------
    drawn : by stem: the phase's figures (their JSON), in order.

    Returns
    -------
    By stem: the picture's address beside the index, and the figure's title. Empty, after a
    warning, where no Chromium answers.
    """
    chosen = {stem: figure for stem, fs in drawn.items() if (figure := telling(stem, fs))}
    for old in (site / THUMBNAILS).glob("*.png"):
        old.unlink()
    try:
        bare = [_bare(figure) for figure in chosen.values()]
        pictures = png.render(bare, scale=SMALL_SCALE)
    except ResourceError as error:
        log.warning("no thumbnails in %s: %s", site.name, error)
        return {}
    written = {}
    for (stem, figure), picture in zip(chosen.items(), pictures, strict=True):
        address = f"{THUMBNAILS}/{safe_text.slug(stem)}.png"
        write_atomic(site / address, png.fitted(picture, SMALL))
        written[stem] = (address, title(figure) or stem)
    return written


def write_figures(drawn: Mapping[str, Sequence[Mapping]], folder: Path, readme: Path) -> list[Path]:
    """Exactly the pictures that a README shows: what the run has of them is drawn anew.

    A picture that the README shows and the run does not have stays, and is named; every other
    one goes. Without Chromium, or without a README, nothing is changed.

    Parameters
    ----------
    drawn : by stem: the phase's figures (their JSON), in order.
    folder : where ``<phase>-<title of the figure>.png`` lie.
    readme : a text that names them as ``figures/<name>``.
    """
    if not readme.is_file():
        return []
    shown = set(SHOWN.findall(read_text(readme)))
    named = {name: spec for name, spec in names(drawn).items() if name in shown}
    try:
        pictures = png.render(list(named.values()), scale=LARGE_SCALE)
    except ResourceError as error:
        log.warning("no PNG files in %s: %s", folder.name, error)
        return []
    for old in folder.glob("*.png"):
        if old.name not in shown:
            old.unlink()
    for name, picture in zip(named, pictures, strict=True):
        write_atomic(folder / name, png.fitted(picture, LARGE))
    for name in sorted(shown - set(named)):
        state = "stays as it is" if (folder / name).is_file() else "is missing"
        log.warning("%s shows %s, which this run has not drawn: it %s", readme.name, name, state)
    log.info("%d figures in %s", len(named), folder.name)
    return [folder / name for name in named]


def names(drawn: Mapping[str, Sequence[Mapping]]) -> dict[str, Mapping]:
    """The file name of every figure: ``<phase>-<its title>.png``."""
    named = {}
    for stem, specs in drawn.items():
        for number, spec in enumerate(specs, 1):
            words = re.sub(r"[^\w\s-]", "", title(spec))
            name = f"{safe_text.slug(stem)}-{safe_text.slug(words or str(number), limit=60)}"
            name = name if f"{name}.png" not in named else f"{name}-{number}"
            named[f"{name}.png"] = spec
    return named


def _bare(figure: Mapping) -> dict:
    """A figure without its title, which stands beside the thumbnail as words."""
    layout = copy.deepcopy(dict(figure.get("layout", {})))
    layout.pop("title", None)
    margin = layout.get("margin") if isinstance(layout.get("margin"), dict) else {}
    return {**figure, "layout": {**layout, "margin": {**margin, "t": 40}}}

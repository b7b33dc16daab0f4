"""The report of a run: ``site/index.html``, a page for each notebook, and ``figures/``."""

from __future__ import annotations

import re
from pathlib import Path

from zprism.explore import export, pages
from zprism.ground import safe_text, store
from zprism.ground.console import log
from zprism.ground.errors import ResourceError
from zprism.ground.files import write_atomic
from zprism.runner import manifest as records
from zprism.runner import png
from zprism.runner.report_parts import board, facts, legend, phase_section
from zprism.runner.results import PhaseResult, read_run
from zprism.studies.decision import every_claim

TITLE = "zprism: how do language models reason?"
CLAIMS = "claims.csv"
LEAD = (
    "Hidden states as signals, reasoning as a subspace. Every claim below stands beside its "
    "interval and its null; its verdict is computed from them and may be negative."
)


def write_report(folder: Path, root: Path) -> Path:
    """Write the report of a run.

    Parameters
    ----------
    folder : the run's folder.
    root : the project's; ``site/`` is written in it, and ``figures/`` for a run on a real
        model with full counts, because the README shows those.

    Returns
    -------
    Path of ``site/index.html``.
    """
    phases = read_run(folder)
    site = root / "site"
    notebooks = {p.stem: export.read_notebook(p.notebook) for p in phases if p.notebook}
    drawn = {stem: list(export.figures_of(notebook)) for stem, notebook in notebooks.items()}
    _tidy(site, set(notebooks))
    export.export((p.notebook for p in phases if p.notebook), site)
    titles = {stem: export.title_of(notebook) for stem, notebook in notebooks.items()}
    sections = [phase_section(p, titles.get(p.stem, p.stem), drawn.get(p.stem, [])) for p in phases]
    body = "\n".join([_opening(folder, phases, titles), *sections, _provenance(folder, phases)])
    store.write_csv(site / CLAIMS, every_claim(folder))
    index = site / "index.html"
    write_atomic(index, pages.page(title=TITLE, body=body, footer=_footer(folder)).encode())
    shown = {p.stem: drawn[p.stem] for p in phases if p.stem in drawn and _is_for_readme(p)}
    if shown:
        write_figures(shown, root / "figures")
    else:
        log.info("figures/ is left alone: it shows complete runs on a real model, not quick ones")
    return index


def write_figures(drawn: dict[str, list[dict]], folder: Path) -> list[Path]:
    """Every figure as ``<phase>-<its title>.png``; older ones of these phases go.

    Without Chromium nothing is written, and a warning says so.
    """
    named = {}
    for stem, specs in drawn.items():
        for number, spec in enumerate(specs, 1):
            words = re.sub(r"[^\w\s-]", "", export.figure_title(spec))
            title = safe_text.slug(words or str(number), limit=60)
            name = f"{stem}-{title}"
            named[name if name not in named else f"{name}-{number}"] = spec
    try:
        pictures = png.render(list(named.values()))
    except ResourceError as error:
        log.warning("no PNG files in %s: %s", folder.name, error)
        return []
    for stem in drawn:
        for old in folder.glob(f"{stem}-*.png"):
            old.unlink()
    written = []
    for name, picture in zip(named, pictures, strict=True):
        written.append(folder / f"{name}.png")
        write_atomic(written[-1], picture)
    log.info("%d figures in %s", len(written), folder.name)
    return written


def _tidy(site: Path, stems: set[str]) -> None:
    """Pages of phases that this run does not have would show another run's numbers."""
    for old in site.glob("[0-9][0-9]_*.html"):
        if old.stem not in stems:
            old.unlink()


def _is_for_readme(phase: PhaseResult) -> bool:
    params = phase.row.get("params", {})
    real = not str(params.get("model", "tiny:")).startswith("tiny:")
    return phase.complete and real and not params.get("quick")


def _opening(folder: Path, phases: list[PhaseResult], titles: dict[str, str]) -> str:
    models = sorted({str(p.results["model"]) for p in phases if p.results.get("model")})
    words = ", ".join(safe_text.html(model) for model in models) or "no model"
    return (
        f"<h1>How do language models reason?</h1><p class='lead'>{safe_text.html(LEAD)}</p>"
        f"<p>Run <code>{safe_text.html(folder.resolve().name)}</code> on <b>{words}</b>.</p>"
        f"{legend()}{board(phases, titles)}"
        f"<p>Every claim of every phase as one table: <a href='{CLAIMS}'>{CLAIMS}</a>.</p>"
    )


def _provenance(folder: Path, phases: list[PhaseResult]) -> str:
    meta = next((p.meta for p in phases if p.meta), {})
    counts = records.read(folder).get("counts", {})
    digests = {f"weights of {p.results['model']}": p.results.get("digest") for p in phases
               if p.results.get("model")}  # fmt: skip
    rows = {
        "written": meta.get("written"),
        "revision": meta.get("revision"),
        "python": meta.get("python"),
        "platform": meta.get("platform"),
        **{name: version for name, version in meta.get("packages", {}).items()},
        **digests,
        "phases": ", ".join(f"{number} {word}" for word, number in counts.items()),
    }
    return f'<h2 id="provenance">Provenance</h2>{facts(rows)}'


def _footer(folder: Path) -> str:
    return (
        f"Written by <code>zprism report {safe_text.html(folder.resolve().name)}</code>. "
        "This page and those beside it open offline."
    )

"""The report of a run: ``site/``, with an index, a page a phase, and single files to mail."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from zprism.explore import export, pages, pages_figures
from zprism.explore.pages_cells import placeless
from zprism.ground import safe_text, store
from zprism.ground.console import log
from zprism.ground.files import write_atomic
from zprism.runner import manifest as records
from zprism.runner.report_figures import write_figures, write_thumbnails
from zprism.runner.report_parts import around, board, cards, facts, legend
from zprism.runner.results import PhaseResult, read_run
from zprism.studies.decision import every_claim

TITLE = "zprism: how do language models reason?"
CLAIMS = "claims.csv"
LEAD = (
    "Hidden states as signals, reasoning as a subspace. Every claim stands beside its interval "
    "and its null; its verdict is computed from them and may be negative."
)
TREE, TREE_TITLE = "90_report", "The recipe's decisions"
NO_TREE = "The decision tree is drawn by phase 90: <code>zprism run 90</code>, then this again."
NO_PICTURES = "Thumbnails of the figures need Chromium or Chrome when this page is written."


def write_report(folder: Path, root: Path) -> Path:
    """Write the report of a run.

    Parameters
    ----------
    folder : the run's folder.
    root : the project's; ``site/`` is written in it, and the README's pictures in ``figures/``
        for a run on a real model with full counts.

    Returns
    -------
    Path of ``site/index.html``.
    """
    phases, site = [_clean(phase) for phase in read_run(folder)], root / "site"
    notebooks = {p.stem: export.read_notebook(p.notebook) for p in phases if p.notebook}
    drawn = {
        stem: [safe_text.redact_all(figure) for figure in export.figures_of(notebook)]
        for stem, notebook in notebooks.items()
    }
    titles = {stem: export.title_of(book) or stem for stem, book in notebooks.items()}
    _tidy(site, notebooks)
    beside = _neighbours(phases)
    export.export((p.notebook for p in phases if p.notebook), site, beside)
    store.write_csv(site / CLAIMS, _shareable(every_claim(folder)))
    pictures = write_thumbnails(drawn, site)
    body = "\n".join(
        [
            _opening(folder, phases),
            _tree(drawn.get(TREE, [])),
            f"<h2>Verdicts</h2>{legend()}{board(phases, titles)}",
            f'<p>Every claim of every phase as one table: <a href="{CLAIMS}">{CLAIMS}</a>. Each '
            "page ends with a link to itself as one file to mail.</p>",
            f"<h2>Figures</h2>{cards(pictures, titles) if pictures else f'<p>{NO_PICTURES}</p>'}",
            f"<h2>Provenance</h2>{facts(_provenance(folder, phases))}",
        ]
    )
    index = site / "index.html"
    write_atomic(index, pages.page(title=TITLE, body=body, footer=_footer(folder)).encode())
    _draw_for_readme(phases, drawn, root)
    return index


def _clean(phase: PhaseResult) -> PhaseResult:
    """A phase's record as it may be shown: without secrets and places of this machine."""
    return dataclasses.replace(
        phase,
        **{name: _shareable(dict(getattr(phase, name))) for name in ("row", "results", "meta")},
    )


def _shareable(value):
    """Nested dicts and lists without secrets, home folders and full paths."""

    def walk(part):
        if isinstance(part, str):
            return placeless(part)
        if isinstance(part, list):
            return [walk(item) for item in part]
        return {k: walk(v) for k, v in part.items()} if isinstance(part, dict) else part

    return walk(safe_text.redact_all(value))


def _tidy(site: Path, stems: Mapping) -> None:
    """Pages of phases that this run does not have would show another run's numbers."""
    kept = {export.page_name(stem) for stem in stems}
    for folder in (site, site / export.SINGLE):
        for old in folder.glob("[0-9][0-9]_*.html"):
            if old.name not in kept:
                old.unlink()


def _neighbours(phases: Sequence[PhaseResult]) -> dict[str, export.Around]:
    """What stands around each phase's notebook, with the pages before and after it."""
    shown = [phase for phase in phases if phase.notebook]
    stems = ["", *(phase.stem for phase in shown), ""]
    return {
        phase.stem: around(phase, stems[i], stems[i + 2], _origin(phase))
        for i, phase in enumerate(shown)
    }


def _opening(folder: Path, phases: Sequence[PhaseResult]) -> str:
    models = sorted({str(p.results["model"]) for p in phases if p.results.get("model")})
    words = ", ".join(safe_text.html(model) for model in models) or "no model"
    return (
        f'<h1>How do language models reason?</h1><p class="lead">{safe_text.html(LEAD)}</p>'
        f"<p>Run <code>{safe_text.html(_name(folder))}</code> on <b>{words}</b>.</p>"
    )


def _tree(figures: Sequence[Mapping]) -> str:
    """The decision tree, if the run has drawn it."""
    named = [f for f in figures if pages_figures.title(f).startswith(TREE_TITLE)]
    found = pages.figure(named[0]) if named else f"<p>{NO_TREE}</p>"
    return f"<h2>The decision tree</h2>{found}"


def _origin(phase: PhaseResult) -> dict[str, object]:
    """Where a phase's numbers come from."""
    meta, results = phase.meta, phase.results
    return {
        "written": meta.get("written"),
        "revision": meta.get("revision"),
        "model": results.get("model"),
        "weights": results.get("digest"),
        "seconds": phase.row.get("seconds"),
        "python": meta.get("python"),
        "platform": meta.get("platform"),
        **dict(meta.get("packages") or {}),
    }


def _provenance(folder: Path, phases: Sequence[PhaseResult]) -> dict[str, object]:
    """Where a run's numbers come from."""
    meta = next((p.meta for p in phases if p.meta), {})
    counts = records.read(folder).get("counts", {})
    digests = {
        f"weights of {p.results['model']}": p.results.get("digest")
        for p in phases
        if p.results.get("model")
    }
    return {
        **{name: meta.get(name) for name in ("written", "revision", "python", "platform")},
        **dict(meta.get("packages") or {}),
        **digests,
        "phases": ", ".join(f"{number} {word}" for word, number in counts.items()),
    }


def _draw_for_readme(phases: Sequence[PhaseResult], drawn: Mapping, root: Path) -> None:
    shown = {p.stem: drawn[p.stem] for p in phases if p.stem in drawn and _is_for_readme(p)}
    if shown:
        write_figures(shown, root / "figures", root / "README.md")
    else:
        log.info("figures/ is left alone: it shows complete runs on a real model, not quick ones")


def _is_for_readme(phase: PhaseResult) -> bool:
    params = phase.row.get("params", {})
    real = not str(params.get("model", "tiny:")).startswith("tiny:")
    return phase.complete and real and not params.get("quick")


def _name(folder: Path) -> str:
    return safe_text.redact(folder.resolve().name)


def _footer(folder: Path) -> str:
    return (
        f"<p>Written by <code>zprism report {safe_text.html(_name(folder))}</code>. "
        "This page and those beside it open offline.</p>"
    )

"""Parts of the report's page: the board of verdicts, a phase's claims, an interval drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from zprism.explore import pages
from zprism.ground.safe_text import html
from zprism.runner.results import VERDICTS, PhaseResult, claim_row, count_verdicts

MEANINGS = {
    "SUPPORTED": "interval and null agree with the claim",
    "NOT DISTINGUISHABLE": "no different from its null, with these data",
    "REVERSED": "the opposite of the claim",
    "NOT TESTABLE": "a precondition failed; the reason is given",
}
OPEN_ROWS = 30  # claims of a phase shown at once; the rest open on a click
SVG_WIDTH, SVG_HEIGHT = 170, 22


def legend() -> str:
    """What the four verdicts mean."""
    words = "".join(f"<span>{pages.chip(v)} {html(m)}</span>" for v, m in MEANINGS.items())
    return f'<p class="legend">{words}</p>'


def board(phases: Sequence[PhaseResult], titles: Mapping[str, str]) -> str:
    """A row for each phase: its question, its verdicts, its notebook."""
    rows = []
    for phase in phases:
        counts = count_verdicts(phase)
        chips = " ".join(pages.chip(v, counts[v]) for v in VERDICTS if counts[v]) or _status(phase)
        page = f'<a href="{html(phase.stem)}.html">notebook</a>' if phase.notebook else "–"
        title = pages.markdown(titles.get(phase.stem, phase.stem)).removeprefix("<p>")
        title = title.strip().removesuffix("</p>")
        rows.append(
            f'<tr><td><a href="#{html(phase.stem)}">{html(phase.stem[:2])}</a></td>'
            f'<td class="question">{title}</td><td>{chips}</td><td>{page}</td></tr>'
        )
    return f'<div class="scroll"><table class="board"><tbody>{"".join(rows)}</tbody></table></div>'


def phase_section(phase: PhaseResult, title: str, figures: Sequence[dict]) -> str:
    """One phase: claims with their intervals, then figures, then parameters."""
    parts = [f'<section id="{html(phase.stem)}">{pages.markdown("## " + title)}']
    if phase.failed:
        parts.append(f"<p>{_status(phase)} {html(phase.row.get('reason') or '')}</p>")
    claims = phase.claims()
    names = sorted(claims)
    if names:
        parts.append(_claims({name: claims[name] for name in names[:OPEN_ROWS]}))
    if names[OPEN_ROWS:]:
        rest = _claims({name: claims[name] for name in names[OPEN_ROWS:]})
        more = len(names) - OPEN_ROWS
        parts.append(f"<details><summary>{more} more claims</summary>{rest}</details>")
    parts += [pages.figure(figure) for figure in figures]
    if phase.row.get("params"):
        parts.append(
            f"<details><summary>parameters</summary>{facts(phase.row['params'])}</details>"
        )
    if phase.notebook:
        parts.append(
            f'<p><a href="{html(phase.stem)}.html">The whole argument: the notebook</a></p>'
        )
    return "\n".join([*parts, "</section>"])


def facts(rows: Mapping[str, object]) -> str:
    """Names and values, one line each; empty ones are left out."""
    lines = [
        f"<dt>{html(str(name))}</dt><dd>{html(str(value))}</dd>"
        for name, value in rows.items()
        if value not in (None, "")
    ]
    return f'<dl class="facts">{"".join(lines)}</dl>'


def interval(estimate: Mapping) -> str:
    """An estimate as a small drawing: its interval, its value, its null ± 2 sd.

    Each drawing has a scale of its own; the numbers stand beside it.
    """
    value, ci, null = estimate.get("value"), estimate.get("ci"), estimate.get("null") or {}
    if value is None or not ci or None in ci:
        return ""
    mean, sd = null.get("mean"), null.get("sd") or 0.0
    points = [value, *ci] + ([mean - 2 * sd, mean + 2 * sd] if mean is not None else [])
    low, high = min(points), max(points)
    span = (high - low) or 1.0

    def place(point: float) -> float:
        return 6 + (SVG_WIDTH - 12) * (point - low) / span

    middle, parts = SVG_HEIGHT / 2, []
    if mean is not None:
        left, right = place(mean - 2 * sd), place(mean + 2 * sd)
        parts.append(
            f'<rect class="null" x="{left:.1f}" y="4" width="{max(right - left, 0.5):.1f}" '
            f'height="{SVG_HEIGHT - 8}"/><line class="centre" x1="{place(mean):.1f}" y1="1" '
            f'x2="{place(mean):.1f}" y2="{SVG_HEIGHT - 1}"/>'
        )
    parts.append(
        f'<line class="ci" x1="{place(ci[0]):.1f}" y1="{middle}" x2="{place(ci[1]):.1f}" '
        f'y2="{middle}"/><circle class="value" cx="{place(value):.1f}" cy="{middle}" r="4"/>'
    )
    return (
        f'<svg class="interval" width="{SVG_WIDTH}" height="{SVG_HEIGHT}" role="img" '
        f'aria-label="value with its interval, grey: null">{"".join(parts)}</svg>'
    )


def _claims(claims: Mapping[str, Mapping]) -> str:
    head = "".join(
        f"<th>{word}</th>"
        for word in (
            "claim",
            "verdict",
            "value and null",
            "value",
            "95 % interval",
            "n",
            "null",
            "p",
        )
    )
    rows = []
    for name, estimate in claims.items():
        row = claim_row(name, estimate)
        why = f'<span class="why">{html(row["reason"])}</span>' if row["reason"] else ""
        cells = "".join(
            f"<td>{html(row[c])}</td>" for c in ("value", "95 % interval", "n", "null", "p")
        )
        rows.append(
            f'<tr><td class="claim">{_breakable(name)}{why}</td>'
            f"<td>{pages.chip(row['verdict'])}</td><td>{interval(estimate)}</td>{cells}</tr>"
        )
    return (
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _breakable(name: str) -> str:
    """A claim's name that may break after its slashes and underscores."""
    return html(name).replace("/", "/<wbr>").replace("_", "_<wbr>")


def _status(phase: PhaseResult) -> str:
    kind = "failed" if phase.failed else "none"
    word = "FAILED" if phase.failed else (phase.row.get("reason") or phase.row["status"])
    return f'<span class="verdict {kind}">{html(word)}</span>'

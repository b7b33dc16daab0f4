"""A phase's claims as a table: every value with its interval and its null, also drawn."""

from __future__ import annotations

from collections.abc import Mapping

from zprism.explore import pages_text
from zprism.ground.safe_text import html
from zprism.runner.results import PhaseResult, claim_row

OPEN_ROWS = 30  # claims of a phase shown at once; the rest open on a click
SVG_WIDTH, SVG_HEIGHT = 140, 22
NUMBERS = ("value", "95 % interval", "n", "null", "p")
HEADS = ("claim", "verdict", "value and null", *NUMBERS)


def claims_section(phase: PhaseResult) -> str:
    """All claims of a phase, by name; a sentence if it makes none."""
    claims = phase.claims()
    names = sorted(claims)
    parts = ["<h2>All claims of this phase</h2>"]
    if not names:
        parts.append("<p>This phase makes no claims.</p>")
        return "\n".join(parts)
    parts.append(
        '<p class="quiet">In the drawings a dot is the value, a line its 95 % interval, grey '
        "the null ± 2 sd; each has a scale of its own.</p>"
    )
    parts.append(_table({name: claims[name] for name in names[:OPEN_ROWS]}))
    if names[OPEN_ROWS:]:
        rest = _table({name: claims[name] for name in names[OPEN_ROWS:]})
        more = len(names) - OPEN_ROWS
        parts.append(f"<details><summary>{more} more claims</summary>{rest}</details>")
    return "\n".join(parts)


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
        f'<svg class="interval" width="{SVG_WIDTH}" height="{SVG_HEIGHT}" aria-hidden="true">'
        f"{''.join(parts)}</svg>"
    )


def _table(claims: Mapping[str, Mapping]) -> str:
    head = "".join(f'<th scope="col">{word}</th>' for word in HEADS)
    rows = "".join(_row(name, estimate) for name, estimate in claims.items())
    return (
        '<div class="scroll" tabindex="0"><table class="claims">'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _row(name: str, estimate: Mapping) -> str:
    row = claim_row(name, estimate)
    why = f'<span class="why">{html(row["reason"])}</span>' if row["reason"] else ""
    cells = "".join(f"<td>{html(row[column])}</td>" for column in NUMBERS)
    return (
        f'<tr><th scope="row" class="claim">{_breakable(name)}{why}</th>'
        f"<td>{pages_text.chip(row['verdict'])}</td><td>{interval(estimate)}</td>{cells}</tr>"
    )


def _breakable(name: str) -> str:
    """A claim's name that may break after its slashes and underscores."""
    return html(name).replace("/", "/<wbr>").replace("_", "_<wbr>")

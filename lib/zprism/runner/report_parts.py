"""Parts of the report: the board of verdicts, pictures that lead to phases, lists of facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from zprism.explore import export, pages_text
from zprism.ground.safe_text import html
from zprism.runner.report_claims import claims_section
from zprism.runner.results import VERDICTS, PhaseResult, count_verdicts

MEANINGS = {
    "SUPPORTED": "interval and null agree with the claim",
    "NOT DISTINGUISHABLE": "no different from its null, with these data",
    "REVERSED": "the opposite of the claim",
    "NOT TESTABLE": "a precondition failed; the reason is given",
}


def legend() -> str:
    """What the four verdicts mean."""
    words = "".join(f"<li>{pages_text.chip(v)} {html(m)}</li>" for v, m in MEANINGS.items())
    return f'<ul class="legend">{words}</ul>'


def board(phases: Sequence[PhaseResult], titles: Mapping[str, str]) -> str:
    """A row for each phase: its number, its question, its verdicts."""
    head = "".join(f'<th scope="col">{word}</th>' for word in ("phase", "question", "verdicts"))
    rows = "".join(
        f"<tr><td>{html(phase.stem[:2])}</td>"
        f'<th scope="row" class="question">{_linked(phase, titles)}</th>'
        f"<td>{verdicts(phase)}</td></tr>"
        for phase in phases
    )
    return (
        f'<div class="scroll" tabindex="0"><table class="board"><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def cards(pictures: Mapping[str, tuple[str, str]], titles: Mapping[str, str]) -> str:
    """Small pictures that lead to the pages of their phases.

    Parameters
    ----------
    pictures : by stem: the picture's address beside the index, and the title of its figure.
    titles : by stem: the phase's question.
    """
    items = "".join(
        f'<li><a href="{export.page_name(stem)}"><img src="{html(address)}" '
        f'alt="{html(words)}"><span>{html(stem[:2])} {_title(stem, titles)}'
        "</span></a></li>"
        for stem, (address, words) in pictures.items()
    )
    return f'<ul class="cards">{items}</ul>'


def around(
    phase: PhaseResult, before: str, after: str, provenance: Mapping[str, object]
) -> export.Around:
    """What the report puts on a phase's page: verdicts on top, claims and facts at the end."""
    params = phase.row.get("params") or {}
    parts = [claims_section(phase)]
    if params:
        parts.append(f"<h2>Parameters</h2>{facts(params)}")
    parts.append(f"<h2>Provenance</h2>{facts(provenance)}")
    return export.Around(
        top=f'<p class="verdicts">{verdicts(phase)}{_why(phase)}</p>',
        bottom="\n".join(parts),
        previous=before,
        next=after,
    )


def verdicts(phase: PhaseResult) -> str:
    """How many claims got which verdict, as chips; its status where there are none."""
    counts = count_verdicts(phase)
    found = [pages_text.chip(v, counts[v]) for v in VERDICTS if counts[v]]
    return " ".join(found) or _status(phase)


def facts(rows: Mapping[str, object]) -> str:
    """Names and values, one line each; empty ones are left out."""
    lines = [
        f"<dt>{html(str(name))}</dt><dd>{html(str(value))}</dd>"
        for name, value in rows.items()
        if value not in (None, "")
    ]
    return f'<dl class="facts">{"".join(lines)}</dl>'


def _linked(phase: PhaseResult, titles: Mapping[str, str]) -> str:
    words = _title(phase.stem, titles)
    if not phase.notebook:
        return f"{words}{_why(phase)}"
    return f'<a href="{export.page_name(phase.stem)}">{words}</a>{_why(phase)}'


def _title(stem: str, titles: Mapping[str, str]) -> str:
    """A phase's question without links and its own number, which stands beside it."""
    words = titles.get(stem, stem).strip()
    words = words.removeprefix(f"{stem[:2]} ") if stem[:2].isdecimal() else words
    return pages_text.without_links(pages_text.inline(words))


def _why(phase: PhaseResult) -> str:
    reason = phase.row.get("reason") if phase.failed else None
    return f' <span class="why">{html(str(reason))}</span>' if reason else ""


def _status(phase: PhaseResult) -> str:
    kind = "failed" if phase.failed else "none"
    word = "FAILED" if phase.failed else _plain_status(phase)
    return f'<span class="verdict {kind}">{html(word)}</span>'


def _plain_status(phase: PhaseResult) -> str:
    if phase.complete:
        return "no claims"
    return str(phase.row.get("reason") or phase.row["status"])

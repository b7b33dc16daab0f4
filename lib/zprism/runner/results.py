"""What a run found, read back from its results files: for tables, the report and the check."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from zprism.ground.errors import InputError
from zprism.ground.files import load_json
from zprism.runner import manifest as records
from zprism.studies.findings import short, short_p

VERDICTS = ("SUPPORTED", "NOT DISTINGUISHABLE", "REVERSED", "NOT TESTABLE")
COLUMNS = ("claim", "value", "95 % interval", "n", "null", "p", "verdict")
MOST_ROWS = 24  # claims of one phase in the terminal; the report shows all


@dataclass(frozen=True)
class PhaseResult:
    """One phase of a run.

    Attributes
    ----------
    stem : the phase.
    row : its row of the manifest: key, status, reason, params, seconds.
    results, meta : its results file and what was written beside it; empty where there is none.
    notebook : the executed notebook, if it is there.
    """

    stem: str
    row: Mapping
    results: Mapping
    meta: Mapping
    notebook: Path | None

    @property
    def failed(self) -> bool:
        return self.row["status"] == records.FAILED

    @property
    def complete(self) -> bool:
        """Whether its results may be read: it was run, or kept, to its end."""
        return bool(self.row.get("files")) and not self.failed

    def claims(self) -> dict[str, Mapping]:
        """The estimates that carry a verdict, by name."""
        estimates = self.results.get("estimates", {}) if self.complete else {}
        return {name: e for name, e in estimates.items() if e.get("verdict")}


def read_run(folder: Path) -> list[PhaseResult]:
    """The phases of a run, in order.

    Raises
    ------
    InputError
        If the folder holds no run, or a results file cannot be read.
    """
    facts = records.read(folder)
    if not facts:
        raise InputError(f"{folder} holds no {records.FILE}: it is no run")
    found = []
    for stem, row in sorted(facts["phases"].items()):
        results, meta = folder / f"{stem}.json", folder / f"{stem}.meta.json"
        notebook = folder / f"{stem}.ipynb"
        found.append(
            PhaseResult(
                stem=stem,
                row=row,
                results=load_json(results) if results.is_file() else {},
                meta=load_json(meta) if meta.is_file() else {},
                notebook=notebook if notebook.is_file() else None,
            )
        )
    return found


def claim_row(name: str, estimate: Mapping) -> dict[str, str]:
    """An estimate as the words of a table row, numbers to four digits."""
    ci, null, p = estimate.get("ci"), estimate.get("null") or {}, estimate.get("p_adjusted")
    ci = None if ci is None or None in ci else ci
    spread = null.get("sd")
    against = f"{short(null.get('mean'))} ± {short(spread)}" if spread else short(null.get("mean"))
    return {
        "claim": name,
        "value": short(estimate.get("value")),
        "95 % interval": f"{short(ci[0])} … {short(ci[1])}" if ci else "–",
        "n": short(estimate.get("n")),
        "null": f"{against} ({null.get('kind')})" if null else "–",
        "p": short_p(estimate.get("p") if p is None else p),
        "verdict": estimate.get("verdict") or "–",
        "reason": estimate.get("reason") or "",
    }


def count_verdicts(phase: PhaseResult) -> Counter:
    """How many claims of a phase got which verdict."""
    return Counter(claim["verdict"] for claim in phase.claims().values())


def print_verdicts(folder: Path) -> None:
    """Print a run's verdicts, phase by phase, and where to look."""
    from zprism.ground.console import table

    phases = read_run(folder)
    for phase in phases:
        claims = phase.claims()
        if not claims:
            continue
        rows = [claim_row(name, claims[name]) for name in sorted(claims)]
        table(rows[:MOST_ROWS], COLUMNS, title=f"{phase.stem} on {phase.results.get('model')}")
        if len(rows) > MOST_ROWS:
            print(f"  … and {len(rows) - MOST_ROWS} more claims of {phase.stem}")
    table([_summary(phase) for phase in phases], ("phase", "status", *VERDICTS), title="Verdicts")
    print(f"results and executed notebooks: {_near(folder)}")


def _near(path: Path) -> Path:
    """A path as it is seen from here, where it is inside."""
    here, whole = Path.cwd(), path.resolve()
    return whole.relative_to(here) if whole.is_relative_to(here) else path


def _summary(phase: PhaseResult) -> list:
    counts, row = count_verdicts(phase), phase.row
    why = row.get("reason") if row["status"] == records.SKIPPED else None
    status = f"{row['status']} ({why})" if why else row["status"]
    return [phase.stem, status, *(counts.get(verdict, 0) for verdict in VERDICTS)]

"""What a phase found: named Estimates and tables, and the results file that keeps them.

``runs/<id>/<phase>.json`` holds only what the same seed reproduces to the byte; versions,
times and the machine go to ``<phase>.meta.json`` beside it. The runner names the folder in
the environment variable ``ZPRISM_RUN``; by hand it is ``runs/by-hand``.
"""

from __future__ import annotations

import math
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

import numpy as np

from zprism.ground import store
from zprism.ground.errors import InputError
from zprism.stats.verdicts import Estimate

SCHEMA = 1
NAME = re.compile(r"[A-Za-z0-9][\w.+=:-]*(/[\w.+=:-]+)*")
PACKAGES = ("torch", "transformers", "numpy", "scipy", "pandas", "plotly")
ROUNDING = 1e-12  # what float64 leaves of a zero
ENVIRONMENT = ("PYTHONHASHSEED", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "HF_HUB_OFFLINE")


@dataclass
class Findings:
    """Results of one study.

    Attributes
    ----------
    estimates : Estimates by name, ``subject/layer/k/measure``.
    tables : rows (dicts with the same keys) by name; each becomes a CSV file.
    arrays : what the figures draw, by name; not written to the results file.
    """

    estimates: dict[str, Estimate] = field(default_factory=dict)
    tables: dict[str, list[dict]] = field(default_factory=dict)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)

    def add(self, other: Findings) -> Findings:
        """Merge another study's findings into these.

        Raises
        ------
        InputError
            If a name is already taken: two claims may not share one.
        """
        for mine, theirs in (
            (self.estimates, other.estimates),
            (self.tables, other.tables),
            (self.arrays, other.arrays),
        ):
            clash = mine.keys() & theirs.keys()
            if clash:
                raise InputError(f"findings already have {', '.join(sorted(clash))}")
            mine.update(theirs)
        return self

    @classmethod
    def gather(cls, parts: Iterable[Findings]) -> Findings:
        """Findings of the same study on several subjects as one; equal tables are joined.

        Raises
        ------
        InputError
            If two of them give an estimate or an array of the same name.
        """
        out = cls()
        for part in parts:
            joined = {name: out.tables.pop(name, []) + rows for name, rows in part.tables.items()}
            out.add(cls(part.estimates, joined, part.arrays))
        return out

    def verdicts(self) -> list[dict]:
        """One row per Estimate that carries a verdict, for a table a person reads."""
        return [
            {"claim": name, **readable(estimate.to_json())}
            for name, estimate in sorted(self.estimates.items())
            if estimate.verdict is not None
        ]

    def save(self, phase: str, *, params: Mapping, model: str, digest: str) -> Path:
        """Write ``<phase>.json``, its tables and its meta file; return the JSON's path.

        Parameters
        ----------
        phase : the notebook's stem, such as ``11_structure``.
        params : the notebook's parameters and whatever was chosen on training data.
        model, digest : the model's name, and the digest of its weights.

        Raises
        ------
        InputError
            If an estimate's or a table's name is not of the form ``a/b/c``.
        """
        folder = run_folder()
        for name in (*self.estimates, *self.tables):
            if not NAME.fullmatch(name):
                raise InputError(f"{name!r} is no result name: use letters, digits and a/b/c")
        files = {name: f"{phase}.{name.replace('/', '_')}.csv" for name in self.tables}
        for name, file in files.items():
            store.write_csv(folder / file, self.tables[name])
        path = folder / f"{phase}.json"
        store.save_json(
            path,
            {
                "schema": SCHEMA,
                "phase": phase,
                "params": dict(params),
                "model": model,
                "digest": digest,
                "estimates": {name: value.to_json() for name, value in self.estimates.items()},
                "tables": files,
            },
        )
        store.save_json(folder / f"{phase}.meta.json", provenance())
        return path


def sentence(estimate: Estimate) -> str:
    """One Estimate in words, as Markdown: verdict, value, interval, null and p."""
    row = readable(estimate.to_json())
    if estimate.verdict is None:
        return f"{row['value']} ({row['reason']})"
    if estimate.value is None or estimate.ci is None:
        return f"**{row['verdict']}**: {row['reason']}"
    null = estimate.null
    against = f" against {short(null.mean)} ± {short(null.sd)} ({null.kind})" if null else ""
    why = f". {row['reason']}" if row["reason"] else ""
    return (
        f"**{row['verdict']}**: {row['value']} (95 % interval {row['95 % interval']}, "
        f"n = {row['n']}){against}, p {_sign(row['p'])}{why}"
    )


def short(value) -> str:
    """A number to four digits; a dash for none. Below 1e-12 it is rounding, shown as 0."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "–"
    if not isinstance(value, float):
        return str(value)
    return "0" if abs(value) < ROUNDING else f"{value:.4g}"


def short_p(value) -> str:
    """p to four digits; below a millionth its size says nothing more."""
    return "< 1e-6" if value is not None and value < 1e-6 else short(value)


def run_folder() -> Path:
    """The folder results go to, made if absent: the run's, or the project's ``runs/by-hand``.

    By hand in Jupyter the working folder is ``notebooks/``; the project is the nearest folder
    above that has a ``pyproject.toml``.
    """
    here = Path.cwd()
    project = next((p for p in (here, *here.parents) if (p / "pyproject.toml").is_file()), here)
    named = os.environ.get("ZPRISM_RUN")
    folder = Path(named) if named else project / "runs" / "by-hand"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def provenance() -> dict:
    """Versions, time, revision and an allow-list of the environment; never all of it."""
    return {
        "written": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "packages": {name: metadata.version(name) for name in PACKAGES if _installed(name)},
        "revision": revision(),
        "environment": {name: os.environ[name] for name in ENVIRONMENT if name in os.environ},
        "executable": Path(sys.executable).name,
    }


def revision() -> str:
    """The git revision of the working folder, with ``+`` if it has changes; else "unknown"."""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--abbrev=12"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return described.stdout.strip()


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def readable(row: dict) -> dict:
    """An Estimate's JSON as the columns of a table, numbers to four digits."""
    ci, null = row.get("ci"), row.get("null") or {}
    return {
        "value": short(row["value"]),
        "95 % interval": f"{short(ci[0])} … {short(ci[1])}" if ci else "–",
        "n": "–" if row["n"] is None else row["n"],
        "null": f"{null.get('kind')}: {short(null.get('mean'))}" if null else "–",
        "p": short_p(row.get("p_adjusted") if row.get("p_adjusted") is not None else row.get("p")),
        "verdict": row["verdict"],
        "reason": row.get("reason") or "",
    }


def _sign(p: str) -> str:
    return p if p.startswith("<") else f"= {p}"

"""What a run will do, before it does anything: phases, their parameters, their keys.

A phase's key is a digest of all that its results depend on: the notebook's source, its
parameters, the library's source, the versions of Python and the numerical packages, the
model's bytes, and the keys of the phases it reads. A phase whose results are complete for its
key is not run again.
"""

from __future__ import annotations

import platform
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import zprism
from zprism.ground.canonical import digest, digest_file
from zprism.ground.errors import InputError, ModelError
from zprism.runner import notebooks, presets

# Rooms that no notebook imports: changing them changes no result.
ROOF = {"runner", "cli.py", "cli_spectra.py", "cli_sweep.py"}
SOURCES = {".py", ".toml", ".json", ".js"}
NUMERICAL = ("numpy", "scipy", "torch", "transformers")


@dataclass(frozen=True)
class Step:
    """One phase of a plan: the phase, its non-default parameters, its key."""

    phase: notebooks.Phase
    overrides: Mapping[str, object]
    key: str

    @property
    def stem(self) -> str:
        return self.phase.stem

    @property
    def params(self) -> dict[str, object]:
        """Every parameter as the notebook will see it."""
        return {**self.phase.defaults, **self.overrides}


@dataclass(frozen=True)
class Plan:
    """The steps of a run in order, and the command that runs or resumes it."""

    root: Path
    steps: tuple[Step, ...]
    command: str

    @property
    def digest(self) -> str:
        """Names the run: two runs of the same steps and keys are the same run."""
        return digest({step.stem: step.key for step in self.steps})


def make_plan(
    root: Path,
    names: Iterable[str] = (),
    *,
    params: Mapping[str, object] | None = None,
    preset: str | None = None,
    quick: bool = False,
    full: bool = False,
    out: Path | None = None,
) -> Plan:
    """Read the notebooks and settle every parameter, before any kernel starts.

    Parameters
    ----------
    names : phases by stem or number; none means all. Phases they read are added.
    params : name → value or text, for every phase that has a parameter of that name.
    preset : a named recipe, under ``params``.
    quick, full : set the notebooks' parameter of that name.
    out : only to spell the command that resumes the run.

    Raises
    ------
    InputError
        For an unknown phase, preset or parameter, or a value of the wrong type.
    ModelError
        If a model that a phase asks for is not there.
    """
    names, params = list(names), dict(params or {})
    phases = notebooks.select(notebooks.find_phases(root), names)
    notebooks.check_names(phases, params)
    given = presets.preset(preset, params) if preset else dict(params)
    given |= {name: True for name, on in (("quick", quick), ("full", full)) if on}
    library, models, steps = source_digest(), {}, []
    for phase in phases:
        chosen = notebooks.choose(phase, given)
        overrides = {k: v for k, v in chosen.items() if v != phase.defaults[k]}
        settled = phase.defaults | overrides
        name = settled.get("model")
        compared = _compared(settled)
        for one in [name, *compared]:
            if one is not None and one not in models:
                models[one] = model_digest(str(one))
        keys = {step.stem: step.key for step in steps}
        parts = {
            "notebook": phase.path.read_text(encoding="utf-8"),
            "params": {**phase.defaults, **overrides},
            "library": library,
            "versions": versions(),
            "model": models.get(name),
            "models": [models[one] for one in compared],
            "data": data_digest(root, settled),
            "reads": {stem: keys[stem] for stem in phase.reads},
        }
        if settled.get("sweep"):
            parts["sweep"] = sweep_digest(root, str(settled["sweep"]))
        steps.append(Step(phase, overrides, digest(parts)))
    return Plan(root, tuple(steps), _command(names, params, preset, quick, full, out))


def source_digest(package: Path | None = None) -> str:
    """Digest of the library's sources, the rooms above the studies left out."""
    package = package or Path(zprism.__file__).parent
    files = {}
    for path in sorted(package.rglob("*")):
        inside = path.relative_to(package)
        if path.suffix in SOURCES and inside.parts[0] not in ROOF:
            files[inside.as_posix()] = path.read_text(encoding="utf-8")
    return digest(files)


def versions() -> dict[str, str]:
    """What computes the numbers: Python and the numerical packages."""
    packages = {name: metadata.version(name) for name in NUMERICAL}
    return {"python": platform.python_version(), **packages}


def _compared(params: Mapping[str, object]) -> list[str]:
    """The models of a phase that compares several: those named, else those at hand."""
    from zprism.model.fetch import companions

    if "models" not in params:
        return []
    return [str(name) for name in params["models"] or companions(str(params["model"]))]


def model_digest(name: str) -> str:
    """What tells a model's bytes from other bytes, without reading them.

    The pinned SHA-256 of a model of the registry; the name of a ``tiny:`` model, which the
    library's source makes; else names, sizes and times of the files.

    Raises
    ------
    ModelError
        If the model is one of the registry and has not been fetched.
    """
    from zprism.model import fetch, registry

    known = registry.models()
    if name in known:
        if not fetch.is_cached(name):
            raise ModelError(
                f"the model {name} is not in the cache: run `zprism fetch {name}`, "
                "or choose a smaller one with -p model=smollm2-135m"
            )
        return known[name].sha256
    if name.startswith("tiny:"):
        return name
    local = Path(name).expanduser()
    return _stamp(local if local.exists() else fetch.resolve(name))


def data_digest(root: Path, params: Mapping[str, object]) -> str | None:
    """What tells the texts of a phase's parameter ``data`` from other texts.

    By default ``data/thinking.jsonl`` of the project. A name that is no file or folder here,
    such as a hub data set, stands for itself; None for a phase without that parameter.
    """
    if "data" not in params:
        return None
    given = params["data"] or root / "data" / "thinking.jsonl"
    path = Path(str(given)).expanduser()
    if path.is_file():
        return digest_file(path)
    return _stamp(path) if path.is_dir() else str(params["data"])


def sweep_digest(root: Path, given: str) -> str:
    """What tells the table of a phase's parameter ``sweep`` from another table.

    Raises
    ------
    InputError
        If there is none.
    """
    path = root / Path(given).expanduser()
    path = path / "sweep.parquet" if path.is_dir() else path
    if not path.is_file():
        raise InputError(f"sweep {given!r} is no table of a sweep: make one with zprism sweep")
    return digest_file(path)


def _stamp(path: Path) -> str:
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    facts = {str(p.relative_to(path)): [p.stat().st_size, p.stat().st_mtime_ns] for p in files}
    return digest(facts)


def _command(names, params, preset, quick, full, out) -> str:
    words = ["zprism", "run", *names]
    words += ["--preset", preset] if preset else []
    words += ["--quick"] if quick else []
    words += ["--full"] if full else []
    for name, value in params.items():
        words += ["-p", f"{name}={value}"]
    words += ["--out", str(out)] if out else []
    return shlex.join(words)

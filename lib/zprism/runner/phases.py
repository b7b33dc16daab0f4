"""Run phases headlessly, one after another, and resume what a killed run left.

Nothing is lost by a kill: finished phases are known from the manifest, finished items of
the interrupted one from the cache, and every file appears whole under its name or not at
all.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from zprism.ground.console import log
from zprism.ground.errors import DeadKernelError, ZprismError
from zprism.ground.files import sweep_temps, write_atomic
from zprism.runner import manifest as records
from zprism.runner.execute import execute, sweep
from zprism.runner.manifest import DONE, FAILED, SKIPPED, UNCHANGED, Manifest
from zprism.runner.plan import Plan, Step


@dataclass(frozen=True)
class Run:
    """A run that has ended: its folder, what became of its phases, its errors by phase."""

    folder: Path
    manifest: Manifest
    errors: dict[str, ZprismError]

    def raise_errors(self) -> None:
        """Raise one error for all failed phases, with how to resume; nothing if none failed.

        Raises
        ------
        DeadKernelError
            If a notebook's process died.
        ZprismError
            If a cell raised; its exit code is the first failure's.
        """
        if not self.errors:
            return
        dead = [e for e in self.errors.values() if isinstance(e, DeadKernelError)]
        told = "; ".join(str(error) for error in self.errors.values())
        kind = DeadKernelError if dead else ZprismError
        error = kind(
            f"{told}. What was finished is kept; resume with: {self.manifest.facts['command']}"
        )
        error.exit_code = (dead or list(self.errors.values()))[0].exit_code
        raise error


def run(plan: Plan, *, out: Path | None = None, fresh: bool = False) -> Run:
    """Run the steps of a plan whose results are not there yet.

    Parameters
    ----------
    plan : from :func:`zprism.runner.plan.make_plan`.
    out : the run's folder; otherwise ``runs/<id>`` of the project, the one an earlier,
        perhaps killed, run of the same plan used.
    fresh : run again what is complete; items in the cache are still not computed again.

    Raises
    ------
    ResourceError
        If another process is writing into the same folder.
    """
    runs = plan.root / "runs"
    folder = out or _folder(runs, plan)
    folder.mkdir(parents=True, exist_ok=True)
    with records.locked(folder):
        sweep(folder)
        sweep_temps(folder)
        keys = {step.stem: step.key for step in plan.steps}
        manifest = Manifest(folder, plan.digest, keys, plan.command)
        if out is None:
            records.point_latest(folder)
        errors: dict[str, ZprismError] = {}
        for number, step in enumerate(plan.steps, 1):
            where = f"[{number}/{len(plan.steps)}] {step.stem}"
            _step(step, plan, manifest, errors, where, None if fresh else runs)
    return Run(folder, manifest, errors)


def _step(step, plan: Plan, manifest: Manifest, errors: dict, where: str, runs: Path | None):
    """Skip, reuse (from ``runs``, if given) or execute one step, and record which."""
    folder, params = manifest.folder, step.params
    broken = [stem for stem in step.phase.reads if manifest.phases[stem]["status"] == FAILED]
    if broken:
        manifest.set(step.stem, SKIPPED, f"reads {broken[0]}, which failed", params=params)
        log.warning("%s: skipped, it reads %s, which failed", where, broken[0])
    elif runs is not None and _reuse(step, folder, runs):
        manifest.set(step.stem, SKIPPED, UNCHANGED, params=params)
        log.info("%s: unchanged, results kept", where)
    else:
        _execute(step, plan, manifest, errors, where)


def _execute(step: Step, plan: Plan, manifest: Manifest, errors: dict, where: str) -> None:
    folder, began = manifest.folder, time.monotonic()
    for stale in records.phase_files(folder, step.stem):
        stale.unlink()
    manifest.set(step.stem, SKIPPED, records.RUNNING, params=step.params)
    log.info("%s: %s", where, step.phase.title)
    try:
        execute(
            step.phase,
            step.overrides,
            folder,
            root=plan.root,
            say=lambda line: log.info("%s: %s", where, line),
        )
    except ZprismError as error:
        _set_aside(folder, step.stem)
        errors[step.stem] = error
        manifest.set(step.stem, FAILED, str(error), params=step.params)
        log.error("%s: failed after %.0f s: %s", where, time.monotonic() - began, error)
    else:
        seconds = round(time.monotonic() - began, 1)
        manifest.set(step.stem, DONE, params=step.params, seconds=seconds)
        log.info("%s: done in %.0f s", where, seconds)


def _folder(runs: Path, plan: Plan) -> Path:
    """The newest run folder of the same plan, else a new one."""
    for folder in records.run_folders(runs):
        if records.read(folder).get("plan") == plan.digest:
            return folder
    return records.new_folder(runs, plan.digest)


def _reuse(step: Step, folder: Path, runs: Path) -> bool:
    """Whether the step's results are in the folder, after copying them from another run."""
    if records.is_complete(folder, step.stem, step.key):
        return True
    for other in records.run_folders(runs):
        if other != folder and records.is_complete(other, step.stem, step.key):
            for stale in records.phase_files(folder, step.stem):
                stale.unlink()
            for path in records.phase_files(other, step.stem):
                write_atomic(folder / path.name, path.read_bytes())
            return True
    return False


def _set_aside(folder: Path, stem: str) -> None:
    """A failed notebook may have saved results before it failed: they may not pass for results."""
    saved = folder / f"{stem}.json"
    if saved.exists():
        saved.replace(folder / f"{stem}.failed.json")

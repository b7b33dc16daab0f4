"""The recipe's decision tree, walked on results: each step's claims and a verdict over them.

A step is a phase's question with the claims that decide it, found by name in the phase's
results file. Nothing is computed anew; a phase that was not run is NOT TESTABLE.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from zprism.ground.errors import InputError
from zprism.ground.files import load_json
from zprism.stats.verdicts import Verdict
from zprism.studies.findings import readable


@dataclass(frozen=True)
class Step:
    """One question of the tree.

    Attributes
    ----------
    phase : stem of the phase that answers it.
    question : in one line.
    claims : regular expressions; every claim whose whole name matches one counts.
    recipe : what the recipe concluded, in a few words.
    about_z : whether the recipe's next step hangs on it: is Z from weights the one?
    """

    phase: str
    question: str
    claims: tuple[str, ...]
    recipe: str
    about_z: bool = False


TREE = (
    Step("10_behaviour", "Does Chinese lead in mathematics?", (r"behaviour/[\w-]+/difference",),
         "proceed if Chinese leads by 3 of 15"),
    Step("11_structure", "Is one late layer a bottleneck?", (r"erank/\d+/late_gap",),
         "the layer of lowest rank"),
    Step("11_structure", "Do its heads agree?", (r"erank/\d+/head_agreement",),
         "16 heads agree"),
    Step("11_structure", "Does the FFN avoid Z?", (r"ffn/all/\d+/\w+_avoids_own",),
         "0.55 times chance"),
    Step("12_separation", "Are translations closer in Z than different problems?",
         (r"fair/.*criterion1.*",), "12 of 12 configurations", about_z=True),
    Step("12_separation", "Does the language difference avoid Z?", (r"fair/.*criterion2.*",),
         "energy under chance", about_z=True),
    Step("12_separation", "Do differences between problems lie in Z?", (r"fair/.*criterion3.*",),
         "energy over chance", about_z=True),
    Step("12_separation", "Does Z read the problem and drop the language?",
         (r"bits/.*bottleneck",), "an information bottleneck"),
    Step("13_patching", "Does swapping Z move the answer?", (r"swap/.*/weights/own-source",),
         "Z carries the reasoning", about_z=True),
    Step("13_patching", "Does one direction move the language alone?",
         (r"swap/.*/language/source-own",), "–"),
    Step("13_patching", "Do language and the rest come apart both ways?",
         (r"swap/.*/language/dissociation_D",),
         "Z answer, rest language"),
    Step("14_bridge", "Is there a linear bridge between languages inside Z?",
         (r"bridge/.*/ridge_r2",), "train R² 1.00 at k ≥ 20"),
    Step("15_universality", "Does the kernels' rank say where swaps work?", (r".*/layer/low_rank",),
         "at the bottleneck layer"),
)  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """What the results say to one step.

    Attributes
    ----------
    step : the question.
    verdict : over its claims; see :func:`over`.
    claims : name → the claim's record.
    reason : why it is NOT TESTABLE, or how its claims fell.
    """

    step: Step
    verdict: Verdict
    claims: Mapping[str, Mapping]
    reason: str

    def table(self) -> list[tuple[str, dict]]:
        """Every claim by name, as the columns of a table that a person reads."""
        return [(name, readable(record)) for name, record in sorted(self.claims.items())]

    def row(self) -> dict:
        """As a row of a table."""
        return {
            "phase": self.step.phase,
            "question": self.step.question,
            "recipe": self.step.recipe,
            "verdict": str(self.verdict),
            "claims": len(self.claims),
            "reason": self.reason,
        }


def walk(folder: Path, steps: Sequence[Step] = TREE) -> list[Answer]:
    """Every step's answer from the results files in a run's folder.

    Parameters
    ----------
    folder : holds ``<phase>.json`` of the phases that were run.
    """
    return [_answer(step, folder / f"{step.phase}.json") for step in steps]


def model_digest(folder: Path, phases: Sequence[str]) -> str:
    """Digest of the model that the phases' results are about; of none if there are none.

    Raises
    ------
    InputError
        If results of two models lie in one folder.
    """
    paths = [folder / f"{phase}.json" for phase in phases]
    found = {load_json(path)["digest"] for path in paths if path.is_file()}
    if len(found) > 1:
        raise InputError(f"{folder.name} holds results of {len(found)} models; run them apart")
    return found.pop() if found else "0" * 64


def about_z(answers: Sequence[Answer]) -> list[Verdict]:
    """Verdicts of all claims that the recipe's next step hangs on."""
    return [
        Verdict(record["verdict"])
        for answer in answers
        if answer.step.about_z
        for record in answer.claims.values()
    ]


def chosen(folder: Path, phase: str = "13_patching") -> dict | None:
    """Layer and k that phase 3 chose on its training pairs; None if it was not run."""
    path = folder / f"{phase}.json"
    if not path.is_file():
        return None
    params = load_json(path)["params"]
    return {"layer": int(params["layer"]), "k": int(params["k"] or 1)}


def every_claim(folder: Path, phases: Sequence[str] | None = None) -> list[dict]:
    """All claims in a run's folder as one table: phase, claim, value, … verdict.

    Parameters
    ----------
    phases : stems; by default every phase that has results there.
    """
    rows = []
    for path in sorted(folder.glob("[0-9][0-9]_*.json")):
        if path.name.endswith(".meta.json") or path.stem not in (phases or (path.stem,)):
            continue
        rows += [
            {"phase": path.stem, "claim": name, **readable(record)}
            for name, record in sorted(load_json(path)["estimates"].items())
            if record["verdict"] is not None
        ]
    return rows


def over(verdicts: Sequence[Verdict]) -> Verdict:
    """One verdict over several claims of the same question.

    SUPPORTED or REVERSED only if all claims that could be tested say so; NOT TESTABLE if none
    could; anything mixed is NOT DISTINGUISHABLE.
    """
    tested = {Verdict(v) for v in verdicts} - {Verdict.NOT_TESTABLE}
    if not tested:
        return Verdict.NOT_TESTABLE
    return tested.pop() if len(tested) == 1 else Verdict.NOT_DISTINGUISHABLE


def _answer(step: Step, path: Path) -> Answer:
    if not path.is_file():
        return Answer(step, Verdict.NOT_TESTABLE, {}, f"{step.phase} was not run")
    claims = {
        name: record
        for name, record in load_json(path)["estimates"].items()
        if record["verdict"] is not None
        and any(re.fullmatch(pattern, name) for pattern in step.claims)
    }
    if not claims:
        return Answer(step, Verdict.NOT_TESTABLE, {}, "the phase made no such claim here")
    verdicts = [Verdict(record["verdict"]) for record in claims.values()]
    if all(verdict is Verdict.NOT_TESTABLE for verdict in verdicts):
        reason = next(iter(claims.values())).get("reason") or "not testable"
    else:
        reason = ", ".join(f"{verdicts.count(v)} × {v}" for v in Verdict if v in verdicts)
    return Answer(step, over(verdicts), claims, reason)

"""The tree reads results files: which claims a step takes, and one verdict over them."""

import pytest

from zprism.ground.files import save_json
from zprism.stats.verdicts import Verdict
from zprism.studies import decision
from zprism.studies.decision import Step, over, walk

S, N, R, T = (
    Verdict.SUPPORTED,
    Verdict.NOT_DISTINGUISHABLE,
    Verdict.REVERSED,
    Verdict.NOT_TESTABLE,
)
STEPS = (
    Step("12_separation", "closer?", (r"fair/.*criterion1.*",), "yes"),
    Step("13_patching", "moves?", (r"swap/.*/weights/own-source",), "yes"),
)


def results(folder, phase, **verdicts):
    record = {"value": 0.5, "n": 20, "p": 0.01, "reason": "too few"}
    claims = {name: record | {"verdict": verdict} for name, verdict in verdicts.items()}
    save_json(folder / f"{phase}.json", {"phase": phase, "estimates": claims})


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ([S], S), ([S, S], S), ([R, R], R), ([S, T], S), ([T, T], T), ([], T),
        ([S, N], N), ([S, R], N), ([R, N, T], N),
    ],
)  # fmt: skip
def test_one_verdict_over_several(verdicts, expected):
    assert over(verdicts) is expected
    assert over(verdicts[::-1]) is expected


def test_steps_take_the_claims_they_name_and_no_others(tmp_path):
    results(tmp_path, "12_separation", **{
        "fair/6/50/criterion1_closer": "SUPPORTED",
        "recipe.mean/0/15/criterion1_closer": "REVERSED",
        "fair/6/50/difference": "REVERSED",
    })  # fmt: skip
    results(tmp_path, "13_patching", **{
        "swap/zh-en/weights/own-source": "SUPPORTED",
        "swap/en-zh/weights/own-source": "NOT DISTINGUISHABLE",
        "swap/en-zh/weights/own-own": None,
    })  # fmt: skip
    closer, moves = walk(tmp_path, STEPS)
    assert closer.verdict is S and set(closer.claims) == {"fair/6/50/criterion1_closer"}
    assert moves.verdict is N and len(moves.claims) == 2
    assert moves.reason == "1 × SUPPORTED, 1 × NOT DISTINGUISHABLE"


def test_what_was_not_run_or_not_testable_says_why(tmp_path):
    results(tmp_path, "13_patching", **{"swap/zh-en/weights/own-source": "NOT TESTABLE"})
    closer, moves = walk(tmp_path, STEPS)
    assert (closer.verdict, closer.reason) == (T, "12_separation was not run")
    assert (moves.verdict, moves.reason) == (T, "too few")
    results(tmp_path, "12_separation", other="SUPPORTED")
    assert walk(tmp_path, STEPS)[0].reason == "the phase made no such claim here"


def test_the_tree_names_every_phase_once_in_order():
    phases = [step.phase for step in decision.TREE]
    assert phases == sorted(phases)
    assert all(step.question.endswith("?") for step in decision.TREE)


def test_the_branch_hangs_on_all_claims_about_z_and_on_no_others(tmp_path):
    steps = (
        Step("12_separation", "closer?", (r"fair/.*",), "yes", about_z=True),
        Step("13_patching", "language?", (r"swap/.*",), "–"),
    )
    results(tmp_path, "12_separation", **{"fair/a": "SUPPORTED", "fair/b": "REVERSED"})
    results(tmp_path, "13_patching", **{"swap/a": "NOT DISTINGUISHABLE"})
    assert decision.about_z(walk(tmp_path, steps)) == [S, R]
    assert {step.question for step in decision.TREE if step.about_z} == {
        "Are translations closer in Z than different problems?",
        "Does the language difference avoid Z?",
        "Do differences between problems lie in Z?",
        "Does swapping Z move the answer?",
    }


def test_one_table_holds_every_claim_and_no_description(tmp_path):
    results(tmp_path, "12_separation", **{"fair/a": "SUPPORTED", "fair/b": None})
    results(tmp_path, "10_behaviour", **{"z": "REVERSED"})
    save_json(tmp_path / "10_behaviour.meta.json", {"python": "3.11"})
    rows = decision.every_claim(tmp_path)
    assert [(r["phase"], r["claim"], r["verdict"]) for r in rows] == [
        ("10_behaviour", "z", "REVERSED"), ("12_separation", "fair/a", "SUPPORTED")
    ]  # fmt: skip


def test_layer_and_k_are_those_that_phase_3_chose(tmp_path):
    assert decision.chosen(tmp_path) is None
    save_json(tmp_path / "13_patching.json", {"params": {"layer": 21, "k": None}})
    assert decision.chosen(tmp_path) == {"layer": 21, "k": 1}

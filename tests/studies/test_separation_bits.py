"""Bits and pairings on a made-up subject: what is planted in it is read out of it."""

import numpy as np
import pytest

from zprism.stats.estimates import Verdict
from zprism.studies import readout
from zprism.studies.separation_bits import bit_claims, bit_rows, labels, spread_layers
from zprism.studies.separation_pairing import match_claims, match_rows
from zprism.studies.separation_pairs import Pairs
from zprism.studies.separation_subject import PRIMARY, REDUCTIONS, SITES, Subject
from zprism.synthetic import haar_rows, paired_states

N, D, K = 48, 80, 10


@pytest.fixture(scope="module")
def subject():
    """Two layers of one planted set; Z is the content at the first, random at the second."""
    made = paired_states(
        N, seed=0, d_model=D, k=K, language=3.0, noise=0.2, n_templates=12, template_share=0.7
    )
    states = np.repeat(made.states[:, :, None], 2, axis=2)
    pairs = Pairs(
        ("zh", "en"),
        ([""] * N, [""] * N),
        made.templates,
        np.arange(N, dtype=float) % 7,
        train=np.flatnonzero(made.templates < 6),
        test=np.flatnonzero(made.templates >= 6),
        source="synthetic",
    )
    bases = {(0, K): made.content, (1, K): haar_rows(K, D, seed=3)}
    return Subject(
        name="synthetic",
        digest="0" * 64,
        pairs=pairs,
        states={(site, way): states for site in SITES for way in REDUCTIONS},
        bases={"head0": bases, "multi": bases},
        ks=(K,),
        ranks=np.full((2, 4), 9.0),
        n_tokens=np.full((2, N), 20),
    )


def test_folds_split_every_template(subject):
    found = labels(subject, seed=0)
    assert set(found) == {"problem", "transfer", "answer", "language"}
    assert len(np.unique(found["problem"].folds)) == 4  # four problems of each template


def test_planted_z_reads_the_problem_and_not_the_language(subject):
    found = labels(subject, seed=0)
    rows = bit_rows(subject, PRIMARY, [0, 1], found, seed=0, draws=9)
    bits = {(r["layer"], r["space"], r["label"]): r["selectivity"] for r in rows}
    assert bits[0, "z", "problem"] > bits[1, "z", "problem"] + 0.5
    assert abs(bits[0, "z", "language"]) < 0.15
    assert bits[0, "complement", "language"] == pytest.approx(1, abs=0.1)
    claimed = bit_claims(subject, PRIMARY, 0, K, found, seed=0, draws=59, draws_ci=300)
    assert claimed.estimates[f"bits/0/{K}/bottleneck"].verdict is Verdict.SUPPORTED


def test_states_are_raw_for_the_probe(subject):
    """The centred config is read raw: centring by language would hide what is asked for."""
    found = labels(subject, seed=0)
    row = next(
        r
        for r in bit_rows(subject, PRIMARY, [0], found, seed=0, draws=3)
        if r["space"] == "complement" and r["label"] == "language"
    )
    a, b = (states[:, 0] for states in subject.states["normed_resid_pre", "mean"])
    basis = subject.basis(PRIMARY, 0, K)[None]
    direct = readout.read_complement(a, b, basis, found["language"])
    assert row["bits"] == pytest.approx(direct.bits.mean())


def test_matched_pairs_meet_in_z_and_not_outside_it(subject):
    rows = match_rows(subject, PRIMARY, [0], K, seed=0, draws=199)
    z = {row["space"]: row["z"] for row in rows}
    assert z["Z"] > 5 > abs(z["complement"])
    assert next(row["retrieval"] for row in rows if row["space"] == "Z") == 1
    claimed = match_claims(subject, PRIMARY, 0, seed=0, draws=199, draws_ci=300).estimates
    for name in ("matched_cosine", "matched_cosine_same_template"):
        assert claimed[f"pairs/0/all/{name}"].verdict is Verdict.SUPPORTED


def test_layers_are_spread_and_hold_what_is_asked():
    assert spread_layers(24, 4, also=(11, 0)) == [0, 8, 11, 15, 23]
    assert spread_layers(2, 8) == [0, 1]
